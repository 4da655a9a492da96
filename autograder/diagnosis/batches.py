"""Two changes at once of what goes in and what comes out, hundreds of them computed together by `torch.vmap`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from .asked import Call, Function, answer
from .kinds import vagueness
from .makers import Arguments, Maker, is_times
from .quantities import close
from .questions import SELDOM, Questions
from .results import ResultMaker, change_result
from .schemata import TooLong
from .work import Work

ROWS = 2_048  # computed together
RESULT = 40  # what it costs to change all results
Tensor = torch.Tensor


@dataclass(frozen=True)
class Row:
    """A change, with the arguments that are others by it."""

    maker: Maker
    others: Arguments


class Batches:
    """All pairs of changed arguments, and of an argument and the result changed, put one call. `function` is a right
    answer that can be computed for many at once; None where there is none.
    """

    def __init__(self, questions: Questions, call: Call, work: Work) -> None:
        self._work = work
        self._got = torch.tensor(call.got, dtype=torch.float64) if isinstance(call.got, float) else call.got
        self._given = questions.named(call)
        self._rows = _rows(questions.arguments, self._given, call.seed)
        self._stacks, self._which = _stacked(self._rows, self._given)
        answers = [questions.right, *(function for function, _ in questions.formulas)]
        self._values: Any = None
        self.function: Function | None = None
        for function in answers if self._rows else ():
            if work.spent_together(len(self._rows)):
                break
            self._values = self._computed(function, self._which)
            if self._values is None and not self._keep(function):
                break
            if self._values is not None:
                self.function = function
                break

    def _keep(self, function: Function) -> bool:
        """Goes on without the changed whole numbers that a function cannot be given, a time beyond the table: one of
        them would end all. Returns whether there was room for it.
        """
        fine = []
        for i, row in enumerate(self._rows):
            whole = any(is_times(value) for value in row.others.values())
            if whole and self._work.spent_together(1):
                return False
            if not whole or self._computed(function, self._which[i : i + 1]) is not None:
                fine.append(i)
        if len(fine) < len(self._rows):
            self._values = self._computed(function, self._which[fine])
        if self._values is not None:
            self._rows, self._which = [self._rows[i] for i in fine], self._which[fine]
        return True

    def _computed(self, function: Function, which: Tensor) -> Any:
        """What a function gives for each row of `which`, one below the other; None where that cannot be done together.
        A column is an argument, a number the place in its stack.
        """
        chosen = {name: stack[which[:, i]] for i, (name, stack) in enumerate(self._stacks.items())}
        try:
            return torch.vmap(lambda some: answer(function, {**self._given, **some}))(chosen)
        except (Exception, TooLong):
            return None

    def singles(self) -> Iterator[Maker]:
        """One argument changed that gives the answer."""
        for i in close(self._values, self._got).tolist() if self.function else ():
            yield self._rows[i].maker

    def others(self, arguments: Sequence[Maker]) -> list[Maker]:
        """Those of some changes that are not among the ones computed together."""
        known = {id(row.maker) for row in self._rows} if self.function else set()
        return [maker for maker in arguments if id(maker) not in known]

    def on_top(self, results: Sequence[ResultMaker]) -> Iterator[tuple[Maker, ResultMaker]]:
        """An argument and the result changed, which together give the answer."""
        for result in results:
            if self._work.pays(RESULT):
                return
            for i in self._close(result):
                yield self._rows[i].maker, result

    def _close(self, result: ResultMaker) -> list[int]:
        try:
            changed = torch.vmap(lambda one: change_result(result, one, self._given))(self._values)
        except Exception:
            return []
        return close(changed, self._got).tolist()

    def arguments(self) -> Iterator[Sequence[Maker]]:
        """Two arguments changed that give the answer, the clear kinds first."""
        assert self.function is not None
        seldom = torch.tensor([row.maker.kind in SELDOM for row in self._rows])
        one, two = torch.combinations(torch.arange(len(self._rows))).unbind(1)
        apart = ((self._which[one] == 0) | (self._which[two] == 0)).all(1)
        one, two = one[apart], two[apart]
        order = (seldom[one].long() + seldom[two].long()).sort(stable=True).indices
        for some in order.split(ROWS) if len(order) else ():  # one argument makes no pair
            if self._work.spent_together(len(some)):
                return
            value = self._computed(self.function, self._which[one[some]] + self._which[two[some]])
            for i in [] if value is None else some[close(value, self._got)].tolist():
                yield self._rows[one[i]].maker, self._rows[two[i]].maker


def _rows(makers: Sequence[Maker], given: Arguments, seed: int) -> list[Row]:
    """The makers that keep every argument's form, with what they change; what is drawn comes of the call's seed."""
    found: list[Row] = []
    for maker in makers:
        if vagueness(maker.kind):
            continue
        torch.default_generator.manual_seed(seed)
        with suppress(Exception):
            changed = maker.change(given)
            others = {name: value for name, value in changed.items() if value is not given.get(name)}
            if others and all(_alike(value, given.get(name)) for name, value in others.items()):
                found.append(Row(maker, others))
    return found


def _alike(value: Any, own: Any) -> bool:
    tensors = isinstance(value, Tensor) and isinstance(own, Tensor)
    return tensors and value.shape == own.shape and value.dtype == own.dtype


def _stacked(rows: Sequence[Row], given: Arguments) -> tuple[dict[str, Tensor], Tensor]:
    """All values of each argument that some row changes, its own first, and (rows, arguments) which of them it has."""
    values = {name: [given[name]] for name in dict.fromkeys(name for row in rows for name in row.others)}
    which = torch.zeros(len(rows), len(values), dtype=torch.long)
    for i, row in enumerate(rows):
        for j, name in enumerate(values):
            if name in row.others:
                which[i, j] = len(values[name])
                values[name].append(row.others[name])
    return {name: torch.stack(found) for name, found in values.items()}, which
