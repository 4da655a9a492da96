"""What every answer owes besides its values, asked in one crossing: the dtype that came in, inputs as they were, any
order of axes in memory, axes of length 1, legal extremes, gradients, and the inputs' device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from .difference import COARSE, difference, failure_in
from .sandbox.wire import Source
from .slope import Slope
from .student import Failure

Request = dict[str, Any]


class Manner:
    """How arguments go into a student's function and what of its answer is looked at: as they are, all of it."""

    def before(self, dtype: torch.dtype) -> list[Request]:
        """What to ask first where arguments in `dtype` follow."""
        return []

    def calls(self, args: list[Any]) -> list[list[Any]]:
        """The arguments of each call."""
        return [args]

    def answer(self, values: list[Any], args: list[Any]) -> Any:
        """What is compared, from the values of the calls."""
        return values[0]


class InDtype(Manner):
    """A module, its weights brought to the dtype of what goes in."""

    def before(self, dtype: torch.dtype) -> list[Request]:
        return [{"op": "call", "method": "double" if dtype == torch.float64 else "float", "args": [], "kwargs": {}}]


class Rows(tuple):
    """The arguments of a call whose answer is compared example by example, each relative to its own size."""

    def split(self, value: Any) -> Any:
        """`value` as one list over the examples for each tensor in it."""
        if isinstance(value, list | tuple):
            return [self.split(part) for part in value]
        return list(value.unbind(0)) if isinstance(value, torch.Tensor) and value.ndim else value


def ones(args: Sequence[Any]) -> list[Any]:
    """The arguments with every axis cut to length 1, the first example and its first entry; tables (floating, one axis)
    stay whole.
    """

    def cut(value: Any) -> Any:
        table = isinstance(value, torch.Tensor) and value.ndim == 1 and value.is_floating_point()
        return value[(slice(1),) * value.ndim] if isinstance(value, torch.Tensor) and not table else value

    return [cut(value) for value in args]


@dataclass
class Conventions:
    """What `function` makes of them at `args`, held against `oracle`; arguments as for `Case.conventions`.

    After `ask`: `problem` is what to tell the student, "" where nothing is wrong; `got` and `truth` tell one mistake
    from another, `got` a Failure where a call gave no value.
    """

    function: Any
    oracle: Callable[..., Any]
    args: Sequence[Any]
    also: Sequence[Sequence[Any]] = ()
    gradient: Sequence[int] = ()
    detached: Sequence[int] | None = None
    manner: Manner = field(default_factory=Manner)
    problem: str = ""
    got: Any = None
    truth: Any = None

    def ask(self, normal: Callable[..., torch.Tensor]) -> None:
        """Ask the student's side everything at once. `normal(*shape)` draws what gradients are weighed with."""
        narrow = [permuted(_cast(argument, torch.float32)) for argument in self.args]
        wide = [a.run() if isinstance(a, Source) else _cast(a, torch.float64) for a in narrow]
        doubled = [a if isinstance(a, Source) else b for a, b in zip(narrow, wide, strict=True)]
        also = [[permuted(argument) for argument in more] for more in self.also]
        exact = self.oracle(*wide)
        slope = None
        if self.gradient and not failure_in(exact):
            slope = Slope(self.oracle, wide, exact, self.gradient, normal)
        sent, (call, *_) = self.manner.calls(narrow), self.manner.calls(doubled)
        calls = [args for more in (doubled, *also) for args in self.manner.calls(more)]
        first, then = self.manner.before(torch.float32), self.manner.before(torch.float64)
        requests = [*first, *(_call(args, inputs="too") for args in sent), *then, *map(_call, calls)]
        requests += [{**slope.request, "args": call}] if slope else []
        if self.detached is not None:
            requests += [{"op": "carries", "args": call, "leaves": list(self.detached)}]
        requests += [{"op": "elsewhere", "args": call}] if _tensors(call) else []
        if isinstance(self.function, Failure):
            self.got = self.function
            return
        replies = self.function.several(*requests)
        refused = replies.pop() if _tensors(call) else None
        graph = replies.pop() if self.detached is not None else False
        slopes = slope.along(replies.pop()) if slope else []
        both = [_pair(reply) for reply in replies[len(first) : len(first) + len(sent)]]
        values = replies[len(first) + len(sent) + len(then) :]
        got = self._answer([value for value, _ in both], narrow)
        left = [part for args, (_, after) in zip(sent, both, strict=True) for part in _beside(args, after)]
        fine, *rest = [
            self._answer(values[i * len(sent) : (i + 1) * len(sent)], more) for i, more in enumerate((doubled, *also))
        ]
        true_rest = [self.oracle(*(a.run() if isinstance(a, Source) else a for a in more)) for more in also]
        failed = failure_in([*replies, got, fine, rest, slopes, graph]) or failure_in([exact, true_rest])
        if failed:
            self.got = failed
            return
        for i, more in enumerate(self.also):
            if isinstance(more, Rows):
                rest[i], true_rest[i] = more.split(rest[i]), more.split(true_rest[i])
        before, truth = _tensors(sent), _cast(exact, torch.float32)
        share = None if _tensors(truth) else COARSE  # a number holds what its float32 inputs gave
        problem = difference(got, truth, share, dtype=True) or difference(fine, exact, COARSE, dtype=True)
        if not problem and difference(left, before):
            problem = "an input was modified: work on a new tensor instead of writing into the one you were given"
        if not problem and (problem := difference(rest, true_rest)):
            problem = f"at the edge, with axes of length 1 or extreme numbers: {problem}"
        if not problem and slope:
            problem = slope.problem(slopes)
        if not problem and graph:
            problem = "a graph stands behind the answer: it shall carry no gradients on"
        self.got = [got, fine, *left, *rest, *slopes, bool(graph)]
        self.truth = [truth, exact, *before, *true_rest, *(slope.truths if slope else []), False]
        if not problem and isinstance(refused, str) and refused:
            problem, self.got = on_a_gpu(refused), [*self.got, refused]
        self.problem = problem

    def _answer(self, values: list[Any], args: list[Any]) -> Any:
        return failure_in(values) or self.manner.answer(values, args)


def _call(args: list[Any], inputs: str | bool = False) -> Request:
    request: Request = {"op": "call", "args": args, "kwargs": {}}
    return {**request, "inputs": inputs} if inputs else request


def _pair(reply: Any) -> tuple[Any, Any]:
    """The value and the arguments after a call; its Failure twice where it gave none."""
    if isinstance(reply, list) and len(reply) == 2:
        return reply[0], reply[1]
    failed = reply if isinstance(reply, Failure) else Failure("form", "no answer that can be read")
    return failed, failed


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in a value, in order."""
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def _beside(sent: Any, after: Any) -> list[Any]:
    """What stands in `after` where `sent` holds tensors, in order."""
    if isinstance(sent, list | tuple) and isinstance(after, list | tuple) and len(sent) == len(after):
        return [part for pair in zip(sent, after, strict=True) for part in _beside(*pair)]
    return [after] if isinstance(sent, torch.Tensor) else []


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """`value` with its floating tensors in `dtype`."""
    if isinstance(value, list | tuple):
        return type(value)(_cast(item, dtype) for item in value)
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def permuted(value: Any) -> Any:
    """A tensor of several axes with the last one first in memory, as `permute` leaves it."""
    if isinstance(value, torch.Tensor) and value.ndim > 1:
        return value.transpose(0, -1).contiguous().transpose(0, -1)
    return value


def on_a_gpu(operation: str) -> str:
    """What to say of a call that a GPU would refuse, by the operation at which it ends."""
    where = "the answer is left there" if operation == "return" else f"it meets the inputs in `{operation[:80]}`"
    return (
        f"on a GPU this fails: a tensor is made on the CPU wherever the inputs are, and {where}. "
        "Make it with device= as theirs, or from one of them (zeros_like, new_tensor)"
    )
