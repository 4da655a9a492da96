"""An oracle that remembers its answers: every known mistake is held against the same truths, on the same inputs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import wraps
from typing import Any

import torch

LARGEST = 20_000  # entries of a tensor that is still kept
KEPT = 128  # answers of one oracle: those of a handful of students


class Unknown(TypeError):
    """An argument that is no plain value, so that two calls with it cannot be known to be the same."""


def remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which depends on its arguments alone, asked only once for the same plain values.

    Numbers, words, tensors and lists or tuples of them are compared bit by bit; a call with anything else (a function,
    a module, a tensor that gradients flow through) is passed on. Every caller gets tensors of its own.
    """
    answers: OrderedDict[Hashable, Any] = OrderedDict()

    @wraps(function)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        try:
            key = _key([args, sorted(kwargs.items()), torch.is_grad_enabled()])
        except Unknown:
            return function(*args, **kwargs)
        with suppress(KeyError):  # another thread may take it away at any time
            answers.move_to_end(key)
            return _copy(answers[key])
        answer = function(*args, **kwargs)
        with suppress(Unknown):
            answers[key] = _copy(answer)
            if len(answers) > KEPT:
                with suppress(KeyError):
                    answers.popitem(last=False)
        return answer

    return remembered


def _key(value: Any) -> Hashable:
    if type(value) in (list, tuple):
        return type(value), *map(_key, value)
    if isinstance(value, torch.Tensor):
        plain = type(value) is torch.Tensor and value.device.type == "cpu" and value.layout == torch.strided
        if not plain or value.requires_grad or value.numel() > LARGEST or value.dtype == torch.bfloat16:
            raise Unknown
        return value.dtype, value.shape, value.resolve_conj().resolve_neg().contiguous().numpy().tobytes()
    if value is None or type(value) in (bool, int, float, complex, str):
        return type(value), repr(value)  # 0.0 is not -0.0, nor 1 True
    raise Unknown


def _copy(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            raise Unknown
        return value.clone()
    if value is None or type(value) in (bool, int, float, complex, str):
        return value
    raise Unknown
