"""Which device to compute on, in which precision, and why: the decision carries its reason."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from compat_core.errors import CompatError, unknown_name

DEVICE_REQUESTS = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device and the words that explain it.

    Attributes:
        device: what torch is asked for (``cpu``, ``cuda:0``, ``mps``).
        reason: one sentence for run headers and the app's sidebar.
        autocast: the dtype of forward passes during training (``None``: float32 throughout). Metrics are always
            computed in float32.
    """

    device: torch.device
    reason: str
    autocast: torch.dtype | None = None


def pick_device(request: str = "auto", precision: str = "auto") -> DeviceChoice:
    """The device for ``request`` (``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``) with the reason for it.

    Args:
        request: see above.
        precision: of forward passes in training. ``auto`` takes bfloat16 where the hardware multiplies it: twice the
            images per second on a CPU with such instructions, more on a GPU.

    Raises:
        CompatError: for an unknown request, or a device this machine does not have.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    kind = request.split(":")[0]
    if kind not in DEVICE_REQUESTS:
        raise CompatError("device", value=request, rule=f"must be one of {', '.join(DEVICE_REQUESTS)} or cuda:N")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if kind == "auto":
        kind = "cuda" if has_cuda else "mps" if has_mps else "cpu"
        why = "the fastest device here" if kind != "cpu" else "no GPU was found"
    else:
        why = "asked for"
    if kind == "cuda":
        return _cuda(request, why, has_cuda, precision)
    if kind == "mps":
        if not has_mps:
            raise CompatError("device", value=request, rule="no Apple GPU is available", fix="use --device cpu")
        return _with_precision("mps", f"Apple GPU ({why})", precision, native=False)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    able = torch.cpu.get_capabilities()
    native = any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return _with_precision("cpu", f"CPU, {cores} cores, {platform.machine()} ({why})", precision, native)


def _with_precision(device: str, reason: str, precision: str, native: bool) -> DeviceChoice:
    half = precision == "bfloat16" or (precision == "auto" and native)
    in_words = "bfloat16 autocast in training" if half else "float32"
    return DeviceChoice(torch.device(device), f"{reason}, {in_words}", torch.bfloat16 if half else None)


def _cuda(request: str, why: str, available: bool, precision: str) -> DeviceChoice:
    if not available:
        raise CompatError("device", value=request, rule="no CUDA GPU is available", fix="use --device cpu")
    index = request.split(":")[1] if ":" in request else "0"
    if not index.isdigit() or int(index) >= torch.cuda.device_count():
        raise CompatError("device", value=request, rule=f"this machine has {torch.cuda.device_count()} CUDA device(s)")
    device = torch.device(f"cuda:{index}")
    return _with_precision(
        str(device), f"{torch.cuda.get_device_name(device)} ({why})", precision, torch.cuda.is_bf16_supported()
    )


def for_small_images(choice: DeviceChoice, image_size: int, precision: str) -> DeviceChoice:
    """``choice`` in float32 where the CPU trains on images of up to 16 px and no precision was asked for.

    Converting such small operands takes longer than multiplying them.
    """
    if choice.device.type != "cpu" or image_size > SMALL_WORK_PX or precision != "auto":
        return choice
    return dataclasses.replace(choice, autocast=None)


SMALL_WORK_PX = 16


@contextmanager
def cpu_threads(device: torch.device, image_size: int) -> Iterator[int]:
    """Run a block with as many CPU threads as its work can use; the old number comes back afterwards.

    The operations of a network on images of up to 16 px take microseconds: handing them to a second thread costs as
    much as it saves, and many times more while another program uses that core.

    Args:
        device: nothing changes for anything but the CPU.
        image_size: side of the images in pixels.

    Yields:
        the number of threads.
    """
    before = torch.get_num_threads()
    threads = 1 if device.type == "cpu" and image_size <= SMALL_WORK_PX else before
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


IMAGES_SHARE = 0.35  # of free memory: the old model's images may be a copy of all, models and activations need the rest


def room_for_images(device: torch.device) -> int | None:
    """Bytes of images that may be put on ``device`` at once; None where that cannot be told."""
    memory = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory_of(device)
    return None if memory is None else int(memory * IMAGES_SHARE)


def memory_of(device: torch.device) -> int | None:
    """Bytes of memory that ``device`` has in all; None where that cannot be told."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory  # makes no context, which would take some of it
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return main_memory()


def main_memory() -> int | None:
    """Bytes of main memory this machine has; None where the system does not say."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
