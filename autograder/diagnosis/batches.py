"""Two changes at once of what goes in and what comes out, hundreds of them computed together by `torch.vmap`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations, islice, product
from typing import Any

import torch

from .asked import Call, Function, answer
from .kinds import vagueness
from .makers import Arguments, Maker
from .quantities import close
from .questions import SELDOM, Questions
from .results import ResultMaker, change_result
from .schemata import TooLong
from .work import Work

ROWS = 512  # computed together
RESULT = 40  # what it costs to change all results
Tensor = torch.Tensor
Row = tuple[Sequence[Maker], Arguments]  # the changes, and the arguments that are others by them


class Batches:
    """All pairs of changed arguments, and of an argument and the result changed, put one call. `function` is a right
    answer that can be computed for many at once; None where there is none.
    """

    def __init__(self, questions: Questions, call: Call, work: Work) -> None:
        self._call, self._work = call, work
        self._given = questions.named(call)
        self._rows = _rows(questions.arguments, self._given)
        answers = [questions.right, *(function for function, _ in questions.formulas)]
        self._values: Any = None
        self.function: Function | None = None
        for function in answers if self._rows else ():
            if work.spent_together(len(self._rows)):
                break
            self._values = computed(function, self._given, self._rows)
            if self._values is not None:
                self.function = function
                break

    def on_top(self, results: Sequence[ResultMaker]) -> Iterator[tuple[Maker, ResultMaker]]:
        """An argument and the result changed, which together give the answer."""
        for result in results:
            if self._work.pays(RESULT):
                return
            for i in self._close(result):
                yield self._rows[i][0][0], result

    def _close(self, result: ResultMaker) -> list[int]:
        try:
            changed = torch.vmap(lambda one: change_result(result, one, self._given))(self._values)
        except Exception:
            return []
        return close(changed, self._call.got).tolist()

    def arguments(self) -> Iterator[Sequence[Maker]]:
        """Two arguments changed that give the answer, the clear kinds first."""
        assert self.function is not None
        clear = [row for row in self._rows if row[0][0].kind not in SELDOM]
        seldom = [row for row in self._rows if row[0][0].kind in SELDOM]
        kinds = combinations(clear, 2), product(clear, seldom), combinations(seldom, 2)
        both = (_both(*pair) for pairs in kinds for pair in pairs)
        merged = (row for row in both if row is not None)
        while some := list(islice(merged, ROWS)):
            if self._work.spent_together(len(some)):
                return
            value = computed(self.function, self._given, some)
            for i in [] if value is None else close(value, self._call.got).tolist():
                yield some[i][0]


def _rows(makers: Sequence[Maker], given: Arguments) -> list[Row]:
    """The makers that keep every argument's form, with what they change."""
    found: list[Row] = []
    for maker in makers:
        if vagueness(maker.kind):
            continue
        with suppress(Exception):
            changed = maker.change(given)
            others = {name: value for name, value in changed.items() if value is not given.get(name)}
            if others and all(_alike(value, given.get(name)) for name, value in others.items()):
                found.append(((maker,), others))
    return found


def _alike(value: Any, own: Any) -> bool:
    tensors = isinstance(value, Tensor) and isinstance(own, Tensor)
    return tensors and value.shape == own.shape and value.dtype == own.dtype


def _both(one: Row, other: Row) -> Row | None:
    """Two changes of different arguments at once."""
    if one[1].keys() & other[1].keys():
        return None
    return (*one[0], *other[0]), {**one[1], **other[1]}


def computed(function: Function, given: Arguments, rows: Sequence[Row]) -> Any:
    """What a function gives for each of some rows, one below the other; None where that cannot be done together."""
    names = list(dict.fromkeys(name for _, others in rows for name in others))
    stacked: dict[str, Tensor] = {}
    for name in names:
        kinds: dict[int, int] = {id(given[name]): 0}
        values = [given[name]]
        for _, others in rows:
            if name in others and id(others[name]) not in kinds:
                kinds[id(others[name])] = len(values)
                values.append(others[name])
        which = torch.tensor([kinds[id(others.get(name, given[name]))] for _, others in rows])
        stacked[name] = torch.stack(values)[which]
    try:
        return torch.vmap(lambda some: answer(function, {**given, **some}))(stacked)
    except (Exception, TooLong):
        return None
