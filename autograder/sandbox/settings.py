"""What a cell can set for everything after it: torch's and NumPy's global switches, and the filters of warnings.

The checks, and the cells that the course gives, find them as the course left them; the student's own cells find them as
the student left them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch.overrides import _pop_mode, _push_mode
from torch.utils import deterministic

State = dict[str, Any]
FILL = "fill_uninitialized_memory"


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _autocast() -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")


def _set_autocast(state: tuple[bool, torch.dtype]) -> None:
    torch.set_autocast_enabled("cpu", state[0])
    torch.set_autocast_dtype("cpu", state[1])


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _modes() -> list[Any]:
    """What stands on torch's stack of function modes: the default device, and devices entered and not left."""
    held = [_pop_mode() for _ in range(torch._C._len_torch_function_stack())][::-1]
    for mode in held:
        _push_mode(mode)
    return held


def _set_modes(modes: list[Any]) -> None:
    for _ in range(torch._C._len_torch_function_stack()):
        _pop_mode()
    for mode in modes:
        _push_mode(mode)


def _device() -> Any:
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _set_device(context: Any) -> None:
    torch._GLOBAL_DEVICE_CONTEXT.device_context = context  # its mode is among `_modes`


SWITCHES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (_device, _set_device),
    "function modes": (_modes, _set_modes),
    "gradients": (torch.is_grad_enabled, torch._C._set_grad_enabled),
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "determinism": (_deterministic, lambda state: torch.use_deterministic_algorithms(state[0], warn_only=state[1])),
    "uninitialised memory": (
        lambda: getattr(deterministic, FILL),
        lambda state: setattr(deterministic, FILL, state),
    ),
    "anomalies": (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda state: torch.set_anomaly_enabled(*state),
    ),
    "matrix products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "autocast": (_autocast, _set_autocast),
    "errors of NumPy": (numpy.geterr, lambda state: numpy.seterr(**state)),
    "filters of warnings": (lambda: list(warnings.filters), _set_filters),
}


# A given cell that sets a switch says so; what a student's function sets while a given cell calls it does not count.
SETS = re.compile(r"\bset_(?:default|grad|num|detect|float32|autocast)|use_determin|seterr|filterwarnings|simplefilter")


# Both stand around every call of a check: no context managers and no reading that can be spared.


def look() -> State:
    """All switches as they stand, but for those that the student broke."""
    state: State = {}
    for name, (read, _) in SWITCHES.items():
        try:
            state[name] = read()
        except Exception:
            continue
    return state


def put(state: State, standing: State | None = None) -> None:
    """Set what stands otherwise than in `state`: than it does now, or did when it was looked at last."""
    for name, value in state.items():
        try:
            read, write = SWITCHES[name]
            if (standing[name] if standing is not None and name in standing else read()) != value:
                write(value)
        except Exception:
            continue


class Settings:
    """The course's settings, in a process that holds a student's as well."""

    def __init__(self) -> None:
        self._given = look()

    @contextmanager
    def put_back(self, source: str = "") -> Iterator[None]:
        """A block for the course: its settings hold, and the student's again after it. What a given cell's `source`
        sets on purpose stays set, for both.
        """
        own = look()
        with torch.inference_mode(False):
            put(self._given, own)
            torch.set_flush_denormal(False)
            try:
                yield
            finally:
                left = look() if SETS.search(source) else {}
        changed = {name: value for name, value in left.items() if value != self._given.get(name)}
        self._given |= changed
        put(own | changed)
