"""A CUDA graph's memory on the CPU: record the operations of one call, repeat them on the same tensors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Within the block every operation is written down with its arguments and results; `replay` does them all again.

    As in a CUDA graph, a tensor stands for its place in memory, which is read anew, and everything else (numbers,
    shapes, which operations there are) for what it was when it was recorded. Unlike in a graph, recording executes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        self.operations.append((func, args, kwargs or {}, made))
        return result

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, made in self.operations:
                again = [x for x in tree_leaves(func(*args, **kwargs)) if isinstance(x, Tensor)]
                for place, value in zip(made, again, strict=True):
                    if place.data_ptr() != value.data_ptr():  # neither a view nor in place
                        place.detach().copy_(value)


def record(call: Callable[[], None]) -> tuple[Tape, Callable[[], None]]:
    """Take one step of `call`; the answer's second part takes the next ones."""
    with Tape() as tape:
        call()
    return tape, tape.replay
