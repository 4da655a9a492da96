"""One run of an exercise's checks: the inputs it draws and the outcomes it reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from .sandbox.wire import Source
from .slope import Slope
from .student import Failure, Remote

# Relative to the largest entry of the truth. Wide enough for every correct formula, far below any mistake worth a name.
TOLERANCE = {torch.float64: 1e-7, torch.float32: 2e-4, torch.complex128: 1e-7, torch.complex64: 2e-4}
COARSE = TOLERANCE[torch.float32]


@dataclass(frozen=True)
class Outcome:
    """What one check found. `got`, `truth`, `suspect` and `evidence` are for recognising mistakes and never leave the
    grader.
    """

    what: str
    points: float
    max_points: float
    passed: bool
    message: str
    got: Any = None
    truth: Any = None
    suspect: str | None = None
    evidence: Any = None


class Case:
    """Draws inputs from its own seeded generator and collects outcomes. Every draw is float64 unless asked otherwise.

    `upstream(name)` is an earlier exercise's function: the oracle, or in follow-through the student's own.
    `watch(index, outcome)` is told of every outcome and may end the run by raising.
    """

    def __init__(
        self,
        seed: int,
        upstream: Mapping[str, Callable[..., Any]] | None = None,
        watch: Callable[[int, Outcome], None] | None = None,
    ) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.outcomes: list[Outcome] = []
        self._upstream = dict(upstream or {})
        self._watch = watch

    # ---- inputs

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Standard normal draws."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def uniform(
        self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        """Uniform draws on [low, high)."""
        unit = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return (low + (high - low) * unit).to(dtype)

    def integer(self, low: int, high: int) -> int:
        """One integer, low <= n <= high."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def number(self, low: float, high: float) -> float:
        """One Python float, low < x < high, that float32 holds exactly, and its square too: an answer that carries it
        through a float32 tensor loses nothing by that.
        """
        grid = 2.0**-10 if high - low > 2.0**-6 else 2.0**-14
        first, last = math.floor(low / grid) + 1, math.ceil(high / grid) - 1
        return grid * self.integer(first, last)

    def sizes(self, count: int, low: int = 2, high: int = 9) -> list[int]:
        """`count` different axis lengths between low and high, so that no two axes can be mixed up unseen."""
        if high - low + 1 < count:
            raise ValueError(f"{count} different sizes do not fit between {low} and {high}")
        return [low + int(i) for i in torch.randperm(high - low + 1, generator=self.generator)[:count]]

    def upstream(self, name: str) -> Callable[..., Any]:
        """The function of exercise `name`, which the exercise under check builds on (declare it in `after=`).

        A `Remote` like the student's own, so it is called by value and has `gradient` and `inputs_after` too.
        """
        if name not in self._upstream:
            raise KeyError(f"{name} is not in this exercise's after=(…)")
        return self._upstream[name]

    def unpack(self, value: Any, *names: str) -> list[Any]:
        """The parts of a returned tuple, one per name; where the form is wrong, that many failures that say so."""
        if isinstance(value, Failure):
            return [value] * len(names)
        if isinstance(value, list | tuple) and len(value) == len(names):
            return list(value)
        wanted = "(" + ", ".join(names) + ")"
        return [Failure("form", f"expected {wanted}, got {form(value)}")] * len(names)

    # ---- outcomes

    def expect(
        self,
        got: Any,
        truth: Any,
        what: str,
        points: float = 0.0,
        *,
        rtol: float | None = None,
        atol: float = 0.0,
        dtype: bool = False,
        suspects: Mapping[str, Any] | None = None,
        hint: str = "",
    ) -> bool:
        """Report whether `got` equals `truth`: same form and shape, same values, with `dtype=True` the same dtype as
        well.

        |got - truth| <= atol + rtol max|truth|, with rtol from the dtype when not given. Numbers, tensors and lists,
        tuples and dicts of them are compared part by part; infinities must agree, and NaN is never right unless the
        truth is NaN there. `suspects` names what a known mistake would give here, for checks whose truth depends on
        the student's own weights; a function there is called only when the check fails.
        """
        failed = failure_in(got) or failure_in(truth)
        if failed:
            return self._report(False, what, points, failed.message, got=failed, truth=None)
        problem = difference(got, truth, rtol, atol, dtype)
        suspect = None
        if problem:
            known = ((name, value() if callable(value) else value) for name, value in (suspects or {}).items())
            suspect = next((name for name, value in known if not _differs(got, value, rtol, atol)), None)
        message = f"{problem}. {hint}".strip() if problem and hint else problem
        return self._report(not problem, what, points, message, got=got, truth=truth, suspect=suspect)

    def conventions(
        self,
        function: Any,
        args: Sequence[Any],
        oracle: Callable[..., Any],
        points: float = 0.0,
        *,
        also: Sequence[Sequence[Any]] = (),
        gradient: Sequence[int] = (),
        detached: bool = False,
    ) -> bool:
        """Report whether what goes in as float32 or float64 comes out as such, right to float32's precision, however
        the tensors lie in memory and on whatever device, and every input stays as it was.

        `also` are further arguments to be right at, `ones(args)` for axes of length 1 among them; gradients must reach
        the arguments numbered in `gradient`; with `detached` no graph may stand behind the answer.

        One outcome, so that a function which does nothing earns nothing here. `args` as for the student, a `Source`
        where a function is handed over; the oracle sees the same numbers in float64.
        """
        what = "the dtype that goes in comes out, inputs untouched"
        given = [_permuted(_cast(argument, torch.float32)) for argument in args]
        wide = [a.run() if isinstance(a, Source) else _cast(a, torch.float64) for a in given]
        doubled = [a if isinstance(a, Source) else b for a, b in zip(given, wide, strict=True)]
        exact = oracle(*wide)
        truth, got, fine = _cast(exact, torch.float32), function(*given), function(*doubled)
        also = [[_permuted(argument) for argument in more] for more in also]
        tensors = [i for i, argument in enumerate(given) if isinstance(argument, torch.Tensor)]
        failed = failure_in(truth)
        slope = Slope(oracle, wide, exact, gradient, self.normal) if gradient and not failed else None
        asked: list[dict[str, Any]] = [{"op": "call", "args": given, "kwargs": {}, "inputs": True}]
        asked += [{"op": "call", "args": list(more), "kwargs": {}} for more in also]
        asked += [{**slope.request, "args": doubled}] if slope else []
        asked += [{"op": "carries", "args": doubled}] if detached else []
        elsewhere: list[dict[str, Any]] = [{"op": "elsewhere", "args": doubled}] if tensors else []
        if isinstance(function, Remote):
            after, *rest = function.several(*asked, *elsewhere)
        else:  # what stands around a student's function has no more than these two, and the function itself
            after, rest = function.inputs_after(*given), [function(*more) for more in also]
            inner = next((held for held in vars(function).values() if isinstance(held, Remote)), None)
            rest += inner.several(*elsewhere) if inner else [None for _ in elsewhere]
        before, left = [given[i] for i in tensors], [after[i] for i in tensors]
        refused = rest.pop() if elsewhere else None
        graph = rest.pop() if detached else False
        slopes = slope.along(rest.pop()) if slope else []
        true_rest = [oracle(*(a.run() if isinstance(a, Source) else a for a in more)) for more in also]
        failed = failure_in([got, left, fine, rest, slopes, graph]) or failed or failure_in(true_rest)
        if failed:
            return self._report(False, what, points, failed.message, got=failed)
        problem = difference(got, truth, dtype=True) or difference(fine, exact, COARSE, dtype=True)
        if not problem and difference(left, before):
            problem = "an input was modified: work on a new tensor instead of writing into the one you were given"
        if not problem and (problem := difference(rest, true_rest)):
            problem = f"at the edge, with axes of length 1 or extreme numbers: {problem}"
        if not problem and slope:
            problem = slope.problem(slopes)
        if not problem and graph:
            problem = "a graph stands behind the answer: it shall carry no gradients on"
        got = [got, fine, *left, *rest, *slopes, bool(graph)]
        if not problem and isinstance(refused, str) and refused:
            problem, got = _on_a_gpu(refused), [*got, refused]
        truths = [truth, exact, *before, *true_rest, *(slope.truths if slope else []), False]
        return self._report(not problem, what, points, problem, got=got, truth=truths)

    def check(self, passed: Any, what: str, points: float = 0.0, hint: str = "", evidence: Any = None) -> bool:
        """Report a property. `passed` is a bool, a 0-dim bool tensor or a Failure; `evidence` is what tells one
        mistake from another.
        """
        if isinstance(passed, Failure):
            return self._report(False, what, points, passed.message, got=passed, evidence=evidence)
        return self._report(bool(passed), what, points, "" if passed else hint, evidence=evidence)

    def _report(self, passed: bool, what: str, points: float, message: str, **kept: Any) -> bool:
        message = "" if passed else message or "not so"
        self.outcomes.append(Outcome(what, points if passed else 0.0, points, passed, message, **kept))
        if self._watch is not None:
            self._watch(len(self.outcomes) - 1, self.outcomes[-1])
        return passed


def ones(args: Sequence[Any]) -> list[Any]:
    """The arguments with every axis cut to length 1, the first example and its first entry; tables (floating, one axis)
    stay whole.
    """

    def cut(value: Any) -> Any:
        table = isinstance(value, torch.Tensor) and value.ndim == 1 and value.is_floating_point()
        return value[(slice(1),) * value.ndim] if isinstance(value, torch.Tensor) and not table else value

    return [cut(value) for value in args]


def failure_in(value: Any) -> Failure | None:
    """The first `Failure` in a value or in the lists, tuples and dicts it is made of."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((found for item in value if (found := failure_in(item))), None)
    return value if isinstance(value, Failure) else None


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """`value` with its floating tensors in `dtype`."""
    if isinstance(value, list | tuple):
        return type(value)(_cast(item, dtype) for item in value)
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _permuted(value: Any) -> Any:
    """A floating tensor of several axes with the last one first in memory, as `permute` leaves it."""
    if isinstance(value, torch.Tensor) and value.ndim > 1 and value.is_floating_point():
        return value.transpose(0, -1).contiguous().transpose(0, -1)
    return value


def _on_a_gpu(operation: str) -> str:
    """What to say of a call that a GPU would refuse, by the operation at which it ends."""
    where = "the answer is left there" if operation == "return" else f"it meets the inputs in `{operation[:80]}`"
    return (
        f"on a GPU this fails: a tensor is made on the CPU wherever the inputs are, and {where}. "
        "Make it with device= as theirs, or from one of them (zeros_like, new_tensor)"
    )


def _differs(got: Any, value: Any, rtol: float | None, atol: float) -> bool:
    return failure_in(value) is not None or bool(difference(got, value, rtol, atol))


def form(value: Any) -> str:
    """A value's form in a few words: what a student may be told instead of the value itself."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None:
        return "None (is the return statement missing?)"
    if isinstance(value, Remote):
        return "a function or an object"
    return f"{'an' if type(value) is int else 'a'} {type(value).__name__}"


def difference(got: Any, truth: Any, rtol: float | None = None, atol: float = 0.0, dtype: bool = False) -> str:
    """What sets `got` apart from `truth`, in words that name forms and shares but no hidden value; "" where nothing
    does.
    """
    if isinstance(truth, dict):
        if not isinstance(got, dict) or got.keys() != truth.keys():
            return f"expected a dict with {', '.join(truth)}, got {form(got)}"
        parts = [(f"{key}: ", got[key], truth[key]) for key in truth]
    elif isinstance(truth, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(truth):
            return f"expected {len(truth)} values, got {form(got)}"
        parts = [(f"value {i + 1}: ", a, b) for i, (a, b) in enumerate(zip(got, truth, strict=True))]
    else:
        return _leaf_difference(got, truth, rtol, atol, dtype)
    return next((label + problem for label, a, b in parts if (problem := difference(a, b, rtol, atol, dtype))), "")


def _leaf_difference(got: Any, truth: Any, rtol: float | None, atol: float, dtype: bool) -> str:
    if truth is None or isinstance(truth, str):
        return "" if type(got) is type(truth) and got == truth else f"expected {truth!r}, got {form(got)}"
    if isinstance(truth, torch.Tensor) != isinstance(got, torch.Tensor) or isinstance(got, str):
        return f"expected {form(truth)}, got {form(got)}"
    if not isinstance(got, torch.Tensor | int | float) or isinstance(got, bool) != isinstance(truth, bool):
        return f"expected {form(truth)}, got {form(got)}"
    a, b = _number(got), _number(truth)
    if a.shape != b.shape:
        return f"expected shape {tuple(b.shape)}, got {tuple(a.shape)}"
    if dtype and isinstance(truth, torch.Tensor) and a.dtype != b.dtype:
        return f"expected dtype {b.dtype}, got {a.dtype}"
    share = rtol if rtol is not None else max(TOLERANCE.get(d, TOLERANCE[torch.float64]) for d in (a.dtype, b.dtype))
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    return _values_difference(_plain(a, wide), _plain(b, wide), share, atol)


def _values_difference(a: numpy.ndarray, b: numpy.ndarray, share: float, atol: float) -> str:
    """What sets arrays of one shape apart. In NumPy: of a few numbers, calling torch would take most of the time."""
    finite = numpy.isfinite(b)
    everywhere = finite.all()
    sizes = numpy.abs(b if everywhere else b[finite])
    scale = sizes.max() if sizes.size else 0.0
    with numpy.errstate(all="ignore"):
        same = numpy.abs(a - b) <= atol + share * scale
    if not everywhere:
        same = numpy.where(finite, same, (a == b) | (numpy.isnan(a) & numpy.isnan(b)))
    if same.all():
        return ""
    if (numpy.isnan(a) & ~numpy.isnan(b)).any():
        return "some values are NaN"
    if (numpy.isinf(a) & finite).any():
        return "some values are infinite"
    return "the value is wrong" if a.size == 1 else f"{int((~same).sum())} of {a.size} values are wrong"


def _plain(value: torch.Tensor, dtype: torch.dtype) -> numpy.ndarray:
    return value.detach().to("cpu", dtype).resolve_conj().resolve_neg().numpy()


def _number(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except OverflowError:  # an integer beyond every float
        return torch.tensor(math.inf if value > 0 else -math.inf, dtype=torch.float64)


def total(outcomes: Sequence[Outcome]) -> float:
    """Points earned, rounded so that sums of halves and thirds come out even."""
    return round(math.fsum(outcome.points for outcome in outcomes), 6)
