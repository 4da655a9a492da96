"""How images lie in memory while a network is trained on them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course_lib.device import random_state, set_random_state


@contextmanager
def untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """After the block, PyTorch's chance and the model's buffers (running means, say) are as before it."""
    chance, buffers = random_state(device), [b.clone() for b in model.buffers()]
    try:
        yield
    finally:
        set_random_state(chance, device)
        for buffer, before in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(before)


@contextmanager
def best_layout(
    model: nn.Module, loss: Callable[..., Tensor], data: Sequence[Tensor], wish: bool | str
) -> Iterator[None]:
    """Within the block the weights lie as is best for training on `data`; afterwards as they were.

    With "auto", a network with `nn.Conv2d` that sees images (N, C, H, W) has its channels last in memory,
    (N, H, W, C), on CUDA: the order in which its convolutions read them. (On a CPU small networks gained nothing
    reliable from it: between a tenth less and a tenth more time.) Shapes and values stay the same, but `h.view(...)`
    of images does not work with it. So one loss is tried, and where it fails the weights keep their order.

    Raises:
        ValueError: `wish` is neither True, False nor "auto".
    """
    if wish not in (True, False, "auto"):
        raise ValueError(f'fit: channels_last={wish!r}; expected True, False or "auto"')
    device = data[0].device
    chosen = any(not p.is_contiguous() for p in model.parameters())  # by whoever built the model
    if wish is False or chosen or (wish == "auto" and not (device.type == "cuda" and convolves(model, data))):
        yield
        return
    try:
        _lay(model, torch.channels_last)
        if not _works(model, loss, data):
            _lay(model, torch.contiguous_format)
        yield
    finally:
        _lay(model, torch.contiguous_format)


def convolves(model: nn.Module, data: Sequence[Tensor]) -> bool:
    """Whether `model` has 2-D convolutions and `data` images (N, C, H, W) to apply them to."""
    return any(isinstance(m, nn.Conv2d) for m in model.modules()) and any(x.ndim == 4 for x in data)


def _lay(model: nn.Module, order: torch.memory_format) -> None:
    for weight in model.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=order)


def _works(model: nn.Module, loss: Callable[..., Tensor], data: Sequence[Tensor]) -> bool:
    with untouched(model, data[0].device):
        try:
            loss(model, *(x[:2] for x in data))
        except RuntimeError:
            return False
    return True
