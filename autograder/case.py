"""One run of an exercise's checks: the inputs it draws and the outcomes it reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .conventions import Conventions, Manner
from .difference import difference, failure_in, form
from .marks import Outcome
from .student import Failure


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
        detached: Sequence[int] | None = None,
        manner: Manner | None = None,
    ) -> bool:
        """Report whether what goes in as float32 or float64 comes out as such, right to float32's precision, however
        the tensors lie in memory and on whatever device, and every input stays as it was.

        `also` are further arguments to be right at, `ones(args)` for axes of length 1 among them; gradients must reach
        the arguments numbered in `gradient`; with `detached` no graph may stand behind the answer, even where one
        stands behind the arguments numbered there.

        One outcome, so that a function which does nothing earns nothing here. `args` as for the student, a `Source`
        where a function is handed over; the oracle sees the same numbers in float64. `manner` says how they go in.
        """
        what = "the dtype that goes in comes out, inputs untouched"
        found = Conventions(function, oracle, args, also, gradient, detached, manner or Manner())
        found.ask(self.normal)
        if isinstance(found.got, Failure):
            return self._report(False, what, points, found.got.message, got=found.got)
        return self._report(not found.problem, what, points, found.problem, got=found.got, truth=found.truth)

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


def _differs(got: Any, value: Any, rtol: float | None, atol: float) -> bool:
    return failure_in(value) is not None or bool(difference(got, value, rtol, atol))


def total(outcomes: Sequence[Outcome]) -> float:
    """Points earned, rounded so that sums of halves and thirds come out even."""
    return round(math.fsum(outcome.points for outcome in outcomes), 6)
