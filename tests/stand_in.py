"""A GPU that is not there: its tensors keep their values in main memory and refuse to be mixed with the CPU's.

Where no GPU is, nothing else would notice a mask made on the CPU, a generator of the wrong device or a ``numpy()``
without ``cpu()``. Everything above torch's operators takes the paths that it takes on a GPU, and what that GPU would
refuse is refused; only the arithmetic is the CPU's, so speed, memory and half precision are not tried here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # some first calls import it, which must not happen among the patches
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

GPU = torch.device("cuda:0")
BELOW = torch.device("meta")  # what torch is told: its argument checks and its backward pass know this device
GENERATOR = torch.Generator
# Operators that may take tensors of two devices, as on a GPU; indices may also be the CPU's.
MOVES = {"_to_copy", "copy_"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
WAITED_FOR = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "equal", "_unique2"}
UNORDERED = {"index_add", "index_add_", "histc", "grid_sampler_2d_backward"}  # sums in another order every time
WAITS: list[str] = []
"""Operators for which a program would have waited until the GPU had done all it was asked before, in order."""


def _conv_relu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *geometry: Any) -> torch.Tensor:
    return torch.conv2d(x, weight, bias, *geometry).relu()


def _conv_add_relu(
    x: torch.Tensor, weight: torch.Tensor, z: torch.Tensor, alpha: float, bias: torch.Tensor, *geometry: Any
) -> torch.Tensor:
    return torch.conv2d(x, weight, bias, *geometry).add(z, alpha=alpha).relu()


ONLY_ON_GPUS = {"cudnn_convolution_relu": _conv_relu, "cudnn_convolution_add_relu": _conv_add_relu}


def on_gpu(device: Any) -> bool:
    """True for the stand-in under either of its names; False for the CPU and for no device."""
    return device is not None and torch.device(device).type in (GPU.type, BELOW.type)


class GpuTensor(torch.Tensor):
    """A tensor that says it lies on the GPU; ``values`` lie in main memory."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> GpuTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, values.size(), strides=values.stride(), storage_offset=values.storage_offset(), dtype=values.dtype,
            device=BELOW,
        )  # fmt: skip
        made.values = values
        return made

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return operate(func, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        made: torch.Tensor = GpuTensor(self.values.clone())
        if isinstance(self, torch.nn.Parameter):
            made = torch.nn.Parameter(made, requires_grad=self.requires_grad)
        memo[id(self)] = made
        return made

    def data_ptr(self) -> int:
        return self.values.data_ptr()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert a GPU's tensor to numpy. Use Tensor.cpu() to copy it to host memory first.")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.values.tolist()

    def __repr__(self) -> str:
        return f"GpuTensor({self.values!r})"


class GpuGenerator(torch.Generator):
    """Remembers which device it was made for; there a seed means another stream than on the CPU, as on a real GPU."""

    @staticmethod
    def __new__(cls, device: Any = "cpu") -> GpuGenerator:
        made = super().__new__(cls)
        made.of = GPU if on_gpu(device) else torch.device("cpu")
        return made

    device = property(lambda self: self.of)

    def manual_seed(self, seed: int) -> GpuGenerator:
        return super().manual_seed(seed ^ 1 if on_gpu(self.of) else seed)


def operate(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """One operator on the values, after a check that they lie on one device."""
    tensors = [leaf for leaf in _leaves((args, kwargs.values())) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, GpuTensor)]
    device = kwargs.get("device")
    if not there and not on_gpu(device):
        return func(*args, **kwargs)
    name = func._schema.name.split("::")[1]
    if there and name not in MOVES:
        may_stay = _leaves(args[1]) if name in INDEXED and isinstance(args[0], GpuTensor) else []
        here = [
            t for t in tensors if t.dim() and not isinstance(t, GpuTensor) and not any(t is one for one in may_stay)
        ]
        if here:
            raise RuntimeError(
                f"Expected all tensors to be on the same device: {name} of {[tuple(t.shape) for t in there]} on the "
                f"GPU and {[tuple(t.shape) for t in here]} on the CPU"
            )
    if there and name in UNORDERED and any(tensor.is_floating_point() for tensor in there):
        raise RuntimeError(f"{name} of floating-point numbers gives others every time on a GPU")
    if _is_waited_for(name, args, there, device):
        WAITS.append(name)
    plain_args, plain = tree_map(
        lambda leaf: leaf.values if isinstance(leaf, GpuTensor) else leaf, (args, dict(kwargs))
    )
    if on_gpu(device):
        plain["device"] = torch.device("cpu")
    plain.pop("pin_memory", None)
    in_place = func._schema.is_mutable and name.endswith("_")
    func = ONLY_ON_GPUS.get(name, func) if there else func
    found = func(*plain_args, **plain)
    if Tape.running is not None:
        Tape.running.asked.append((func, plain_args, plain, found))
    if in_place and isinstance(found, torch.Tensor):
        return args[0]  # done in place, whichever device it is on
    stays = on_gpu(device) if device is not None else bool(there)

    def wrapped(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        same = [tensor for tensor in there if tensor.values is leaf]
        return same[0] if same else GpuTensor(leaf)

    return tree_map(wrapped, found) if stays else found


class Tape:
    """What a GPU is asked for while a recording is made. What Python computes meanwhile is frozen, as in a real one."""

    running: Tape | None = None

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any, Any, Any]] = []

    def play(self) -> None:
        """Ask for all of it again; results come to lie where those of the recording lay."""
        for func, args, kwargs, found in self.asked:
            lying, fresh = (_tensors(result) for result in (found, func(*args, **kwargs)))
            for old, new in zip(lying, fresh, strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


def record(work: Callable[[], Any], stream: torch.Generator) -> Callable[[], Any]:
    """As :func:`compat_core.training.graphs.record`. The work is done once: that is the first replay."""
    tape = Tape.running = Tape()
    WAITS.clear()
    try:
        found = work()
    finally:
        Tape.running = None
    if WAITS:
        raise RuntimeError(f"a step that is recorded waits for the GPU: {', '.join(WAITS)}")
    replays = iter([lambda: None])

    def replay() -> Any:
        next(replays, tape.play)()
        return found

    return replay


def _tensors(result: Any) -> list[torch.Tensor]:
    return [leaf for leaf in _leaves((result,)) if isinstance(leaf, torch.Tensor)]


def _is_waited_for(name: str, args: Any, there: list[Any], device: Any) -> bool:
    if name in MOVES:  # from main memory that is not pinned, or into it
        onto = on_gpu(device) if name == "_to_copy" and device is not None else isinstance(args[0], GpuTensor)
        return onto != isinstance(args[0] if name == "_to_copy" else args[1], GpuTensor)
    masks = name in INDEXED and any(t.dtype == torch.bool for t in _leaves(args[1]) if isinstance(t, torch.Tensor))
    return bool(there) and (name in WAITED_FOR or masks)


def _leaves(parts: Any) -> list[Any]:
    """What lies in nested lists and tuples."""
    return [leaf for part in parts for leaf in (_leaves(part) if isinstance(part, (list, tuple)) else (part,))]


class Operators(TorchDispatchMode):
    """Sees what no GPU tensor goes into, such as ``zeros(device=...)``."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return operate(func, args, kwargs or {})


class Calls(TorchFunctionMode):
    """Python's calls: the GPU goes by the name torch knows, and a generator must be of the device it draws for."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.device or "autocast" in getattr(func, "__name__", ""):
            return func(*args, **kwargs)
        streams = [given for given in (*args, kwargs.get("generator")) if isinstance(given, GENERATOR)]
        if streams:
            where = kwargs.get("device") or next((arg.device for arg in args if isinstance(arg, torch.Tensor)), "cpu")
            if on_gpu(where) != on_gpu(streams[0].device):
                raise RuntimeError(f"Expected a generator on {where} but found one on {streams[0].device}")
        if func in (torch.tensor, torch.as_tensor) and on_gpu(kwargs.get("device")):
            made = func(*args, **{key: value for key, value in kwargs.items() if key != "device"})
            return made.to(BELOW)  # given a device, it copies where no mode sees it
        if func in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul) and args[0].dim() == 1 < args[1].dim():
            return torch.mv(args[1].T, args[0])  # torch's own way changes a shape in place, which a wrapper cannot
        return func(*map(_below, args), **{key: _below(value) for key, value in kwargs.items()})


def _below(given: Any) -> Any:
    named = isinstance(given, torch.device) or (isinstance(given, str) and given.startswith(GPU.type))
    return BELOW if named and on_gpu(given) else given


@contextmanager
def stand_in() -> Iterator[None]:
    """A block in which ``cuda`` is there."""
    fork = torch.random.fork_rng
    WAITS.clear()
    patches = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.get_device_name": lambda device=None: "a GPU that is not there",
        "torch.cuda.is_bf16_supported": lambda: False,
        "torch.cuda.get_device_properties": lambda device=None: SimpleNamespace(total_memory=2**36),
        "torch.cuda.mem_get_info": lambda device=None: (2**36, 2**36),
        "torch.random.fork_rng": lambda devices=(): fork([]),
        "torch.Generator": GpuGenerator,
        "torch.cuda.device": lambda device: nullcontext(),
        "torch.cuda.make_graphed_callables": lambda module, samples: module,
        "torch.cuda.is_current_stream_capturing": lambda: Tape.running is not None,
        "compat_core.training.graphs.aside": lambda work, device: work(),
        "compat_core.training.graphs.record": record,
        "torch.optim.Optimizer._accelerator_graph_capture_health_check": lambda self: None,
    }
    with ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch(name, value, create=True))
        stack.enter_context(Calls())
        stack.enter_context(Operators())
        yield
