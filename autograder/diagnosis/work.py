"""What a search has cost, counted instead of timed: the same on every machine."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .asked import Call, Function, Scene
from .questions import Questions

ROOM = 78_000  # what is spent on one exercise: a unit is about 3 microseconds
SHARES = {"single": 0.32, "solved": 0.2, "step": 0.2, "vague": 0.16}  # of it, at most; what is left goes to pairs
FIRST = 2  # of the times that a function of the check's is asked, as many does a wrong walk last
ROW = 0.2  # what a row of these costs beside
TOGETHER = 12  # what an operation costs that is made for many candidates together
MESSAGE = 12  # what a message to or from a host costs
EARLY = 6  # exchanges that a wrong function takes part in: it rarely gets further
BASE = 8  # what a candidate costs beside its formula's own operations
CHEAPER = 4  # times as cheap as the first right answer is one that is taken instead
NUMBERS = 2_000  # numbers that cost as much as one operation


class _Counter(TorchDispatchMode):
    """Counts the operations of torch, and the numbers that they make."""

    operations, numbers = 0, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in `bounds`: saying so would import the compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        self.operations += 1
        self.numbers += value.numel() if isinstance(value, torch.Tensor) else 0
        return value


class Work:
    """The work that is left to a search."""

    def __init__(self, questions: Questions) -> None:
        self._question, _ = questions.wrong[0]
        messages, self._scene = 0, isinstance(self._question, Scene)
        if isinstance(self._question, Scene):  # messages to and fro cost more than what is computed
            messages = sum(MESSAGE * (1 + len(exchange.callbacks)) for exchange in self._question.exchanges[:EARLY])
        self._costs: dict[int | None, float] = {None: BASE + messages + self._cost(questions.right)}
        self._plain = self._counted
        for i, (function, board) in enumerate(questions.formulas):
            board.on, board.ticks = {}, 0
            self._costs[i] = BASE + messages + self._cost(function)
            length = self._question.length if isinstance(self._question, Call) else 0
            self._costs[i] += board.ticks / 2 * FIRST / max(length, FIRST)
        self._left, self._until = float(ROOM), 0.0
        cheapest = min(self._costs, key=lambda i: self._costs[i])
        if cheapest is not None and CHEAPER * self._costs[cheapest] < self._costs[None]:  # a loop over a thousand steps
            questions.prefer(cheapest)
            self._costs[None] = self._costs[cheapest]

    def _cost(self, function: Function) -> float:
        """Of the operations of one call; of a walk, a wrong one rarely gets beyond its first steps."""
        with _Counter() as counter:
            self._question.put(function, whole=True)
        length = self._question.length if isinstance(self._question, Call) else 0
        self._counted = counter
        return (counter.operations + counter.numbers / NUMBERS) * FIRST / max(length, FIRST)

    def share(self, part: str) -> None:
        """From here on no more is spent than the share of this part; of one without a share, all that is left. Where
        no call can be asked by value, there are no steps to be replaced.
        """
        self._until = self._left - ROOM * SHARES[part] if part in SHARES and not self._scene else 0.0

    def spent(self, formula: int | None, extra: float = 0.0, times: int = 1) -> bool:
        """Counts one more candidate made of a formula, which is asked so many `times`; whether the room is used up."""
        return self.pays(times * self._costs[formula] + extra)

    def spent_together(self, rows: int) -> bool:
        """Counts so many candidates made of the first right answer, computed together."""
        return self.pays(TOGETHER * self._plain.operations + ROW * rows + rows * self._plain.numbers / NUMBERS)

    def pays(self, cost: float) -> bool:
        """Counts this much; whether the room is used up."""
        self._left -= cost
        return self._left < max(self._until, 0.0)
