"""Bounds on what the checker computes when the student's side asks it to: entries of a tensor, numbers, seconds.

An oracle is written for a check's own inputs. Handed two long vectors, it would build every pair of their entries; told
of a billion steps, it would take them.
"""

from __future__ import annotations

import math
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

MAX_ENTRIES = 1 << 21  # of a tensor that is asked with, answered, or made on the way
MAX_NUMBER = 1_000_000  # of steps, classes, dimensions
MAX_SECONDS = 5.0  # of processor time, for one answer
MEMORY = 2 * 2**30  # bytes for marking one submission; what needs more fails, and that submission with it
SQUARES = ("eye", "diag_embed")


def hold_memory(more: int) -> tuple[int, int]:
    """Let this process have so many more bytes than it has now; returns the limits it had (RLIMIT_DATA)."""
    import resource  # which not every system has

    before, account = resource.getrlimit(resource.RLIMIT_DATA), Path("/proc/self/statm")
    if account.exists():
        most = int(account.read_text().split()[5]) * resource.getpagesize() + more
        known = [limit for limit in before if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([most, *known]), before[1]))
    return before


class TooMuch(ValueError):
    """Something of a size that no check and no right answer asks for."""


def within(value: Any, what: str) -> None:
    """Raise `TooMuch` where `value`, plain or of tensors, holds more entries or a larger integer than there may be."""
    entries, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, torch.Tensor):
            entries += item.numel()
        elif type(item) is int and abs(item) > MAX_NUMBER:
            raise TooMuch(f"{what} holds an integer beyond {MAX_NUMBER}")
    if entries > MAX_ENTRIES:
        raise TooMuch(f"{what} holds {entries} entries, more than {MAX_ENTRIES}")


class Bounds(TorchDispatchMode):
    """While it is entered, an operation whose result would be too large is not begun, nor any after the time is up."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and saying so would import the compiler, for seconds

    def __init__(self, entries: int = MAX_ENTRIES, seconds: float = MAX_SECONDS) -> None:
        super().__init__()
        self._entries, self._end = entries, time.thread_time() + seconds
        self._soonest = time.perf_counter() + seconds  # by the wall: processor time is never ahead, and slow to read

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if time.perf_counter() > self._soonest and time.thread_time() > self._end:
            raise TooMuch("answering takes too long")
        # A result has at most as many entries as its arguments' entries and sizes come to, multiplied.
        most = _product([*args, *kwargs.values()], self._entries)
        if func._schema.name.removeprefix("aten::") in SQUARES:
            most *= most
        if not func.is_view and most > self._entries:
            entries = _result(func, args, kwargs)
            if entries > self._entries:
                raise TooMuch(f"a tensor of {entries} entries, more than {self._entries}")
        return func(*args, **kwargs)


def _product(values: Any, enough: int) -> int:
    product = 1
    for value in values:
        if isinstance(value, torch.Tensor):
            product *= max(value.numel(), 1)
        elif isinstance(value, list | tuple):
            product *= _product(value, enough)
        elif type(value) in (int, float) and math.isfinite(value):
            product *= max(abs(int(value)), 1)
        if product > enough:
            break
    return product


def _result(func: Any, args: Any, kwargs: dict[str, Any]) -> float:
    """Entries of the largest tensor that comes out. The usual kinds are reckoned here: the first question to torch
    costs a second.
    """
    given = _tensors([*args, *kwargs.values()])
    name = func._schema.name.removeprefix("aten::")
    if name.endswith("_"):
        return given[0].numel()
    if torch.Tag.pointwise in func.tags:
        sizes = zip_longest(*(reversed(tensor.shape) for tensor in given), fillvalue=1)
        return math.prod(0 if 0 in axis else max(axis) for axis in sizes)
    if name in ("mm", "bmm"):
        return math.prod(given[0].shape[:-1]) * given[1].shape[-1]
    if name in ("cat", "stack"):
        return sum(tensor.numel() for tensor in given)
    made = _shape(func, args, kwargs)
    # Where that depends on values, entries are only left out; where there are none, the sizes alone decide.
    return math.inf if made is None and not given else max((leaf.numel() for leaf in _tensors(made)), default=0)


def _shape(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What comes out, as tensors without values; None where torch cannot say."""
    named = {key: value for key, value in kwargs.items() if key != "generator"}
    if any(argument.name == "device" for argument in func._schema.arguments):
        named["device"] = torch.device("meta")
    try:
        return func(*_meta(args), **_meta(named))
    except (NotImplementedError, RuntimeError, TypeError):
        return None


def _meta(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if isinstance(value, dict):
        return {key: _meta(item) for key, item in value.items()}
    return type(value)(_meta(item) for item in value) if type(value) in (list, tuple) else value


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _tensors(item)]
    return [value] if isinstance(value, torch.Tensor) else []
