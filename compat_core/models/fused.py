"""A frozen network that reads images on a GPU: convolution, batch norm, shortcut and ReLU in one pass over memory.

At 32 px more than half of what a ResNet's embedding takes on a GPU are batch norms, sums and ReLUs, each of which reads
and writes every activation once more. Without gradients, batch norm is part of the convolution's weights, and cuDNN
adds the shortcut and clamps at zero before it writes.
"""

from __future__ import annotations

import copy
import operator
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from compat_core.models.backbones import BACKBONES
from compat_core.models.embedder import Embedder


class ConvReLU(nn.Module):
    """``relu(conv(x) + shortcut)``.

    Args:
        conv: its batch norm folded into it.
        dtype: computed in.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", conv.weight.detach().to(dtype, memory_format=torch.channels_last))
        bias = torch.zeros(conv.out_channels, device=conv.weight.device) if conv.bias is None else conv.bias.detach()
        self.register_buffer("bias", bias.to(dtype))
        padding = [int(side) for side in conv.padding]
        self.geometry = (list(conv.stride), padding, list(conv.dilation), conv.groups)

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor | None = None) -> torch.Tensor:
        """Shape: ``(B, C_in, H, W)``, shortcut as the output → ``(B, C_out, H', W')`` in ``dtype``."""
        x = x.to(self.weight.dtype)
        shortcut = shortcut if shortcut is None else shortcut.to(x.dtype)
        geometry = self.geometry
        if not x.is_cuda:
            found = F.conv2d(x, self.weight, self.bias, *geometry)
            return F.relu(found if shortcut is None else found + shortcut)
        if shortcut is None:
            return torch.cudnn_convolution_relu(x, self.weight, self.bias, *geometry)
        return torch.cudnn_convolution_add_relu(x, self.weight, shortcut, 1.0, self.bias, *geometry)


def reader(net: nn.Module, device: torch.device, dtype: torch.dtype | None) -> nn.Module:
    """``net`` in eval mode on ``device``, or on a CUDA device a copy of it with the same embeddings, computed faster.

    Args:
        net: frozen; an Embedder whose backbone says that it can be fused is copied.
        device: where it reads images.
        dtype: of autocast; None for float32.

    Returns:
        a network for forward passes without gradients, under the same autocast; embeddings differ by rounding.
    """
    net = net.to(device).eval()
    if device.type != "cuda" or torch.version.hip or not torch.backends.cudnn.is_available():
        return net
    if not can_be_fused(net):
        return net
    quick, size = fused(net, dtype or torch.float32), net.arguments["image_size"]
    try:
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype is not None):
            quick(torch.zeros(1, net.arguments["channels"], size, size, device=device))
    except RuntimeError:  # this GPU or its cuDNN has no such kernel
        return net
    return quick


def can_be_fused(net: nn.Module) -> TypeGuard[Embedder]:
    """Whether ``net`` is an Embedder of a backbone that says so."""
    return isinstance(net, Embedder) and BACKBONES.get(net.arguments["arch"]).fusable


def fused(net: Embedder, dtype: torch.dtype) -> Embedder:
    """A copy of ``net``, in eval mode, whose backbone computes what a ReLU follows in one step."""
    found = copy.deepcopy(net)
    backbone: fx.GraphModule = fuse(found.backbone)  # type: ignore[assignment]  # batch norms folded into convolutions
    modules = dict(backbone.named_modules())
    for node in list(backbone.graph.nodes):
        if node.op != "call_module" or type(modules[node.target]) is not nn.ReLU:
            continue
        conv, shortcut = _convolution_before(node, modules)
        if conv is None:
            continue
        name = f"{conv.target}_relu".replace(".", "_")
        backbone.add_submodule(name, ConvReLU(modules[conv.target], dtype))
        with backbone.graph.inserting_before(node):
            taken = (conv.args[0],) if shortcut is None else (conv.args[0], shortcut)
            node.replace_all_uses_with(backbone.graph.call_module(name, taken))
        backbone.graph.erase_node(node)
    backbone.graph.eliminate_dead_code()
    backbone.recompile()
    backbone.delete_all_unused_submodules()
    found.backbone = backbone
    return found.eval()


def _convolution_before(relu: fx.Node, modules: dict[str, nn.Module]) -> tuple[fx.Node | None, fx.Node | None]:
    """The convolution whose output ``relu`` clamps, and what is added to it in between."""
    before = relu.args[0]
    if _convolution(before, modules):
        return before, None  # type: ignore[return-value]
    if not isinstance(before, fx.Node) or before.target not in (operator.add, operator.iadd) or len(before.users) > 1:
        return None, None
    for conv, other in (before.args, before.args[::-1]):
        if _convolution(conv, modules) and isinstance(other, fx.Node):
            return conv, other  # type: ignore[return-value]
    return None, None


def _convolution(node: object, modules: dict[str, nn.Module]) -> bool:
    """Whether ``node`` is a convolution with zeros around, whose output nobody else sees."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.users) > 1:
        return False
    conv = modules[str(node.target)]
    return type(conv) is nn.Conv2d and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
