"""A submission's cells being run, in one process after another where that has to be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from nbformat import NotebookNode

from ..cells import exercise_graded_in, grade_id, label, open_to_students
from ..feedback.markup import Room, safe_outputs
from ..guard.guest import GuestProcess
from ..guard.limits import Clock, Limits
from ..guard.template import Template
from ..hand_in.beside import NONE, Beside
from ..hand_in.definitions import defined
from ..hand_in.reasons import Reasons, Stop
from ..hand_in.restoring import Master, Restored
from ..student import Failure, LinkBroken
from .below import Around, Effects, effects

MAX_RESTARTS = 5
SHORT = 5_000  # characters of a cell whose effects are remembered for the next submission
RESERVE = 0.2  # of a submission's seconds: kept for the checks, whatever its cells take
# What a cell's error says when a limit was hit, and what the instructor is told.
LIMITS_HIT = {
    r"MemoryError|t allocate memory|not enough memory|Cannot allocate": "more memory than one process may have",
    r"No space left on device|Disk quota": "more disk than it may have",
    r"File too large": "a larger file than it may write",
    r"t start new thread|Resource temporarily unavailable": "more processes than it may start",
    r"Too many open files": "more open files than it may have",
}


@dataclass
class Run:
    """A submission being run. When its process has to be ended, a new one runs the other cells again and goes on."""

    restored: Restored
    master: Master
    template: Template
    limits: Limits
    seed: int
    clock: Clock
    beside: Beside = NONE
    flags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._room = Room(late=lambda: not self.has_time())
        self._todo = [index for index, runs in enumerate(self.restored.runs) if runs]
        self.done: list[int] = []  # the cells that have run, by their index
        self._proved: set[int] = set()  # cells that have run, in this process or an earlier one
        self._process: GuestProcess | None = None
        self._restarts = self._crashes = 0
        self.stops: dict[int, Stop] = {}  # by a cell's index: what stopped it
        self._effects: dict[int, Effects] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; `go_on` starts another."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def go_on(self) -> GuestProcess | None:
        """The process with every cell run that can be, started again where needed; None when nothing more may be
        tried.
        """
        while self._process is None or self._todo:
            if self._restarts - self._crashes > MAX_RESTARTS or self.clock.left() <= 0:
                late = self.clock.left() <= 0
                limit = f"{self.limits.submission:g} s" if late else f"{self._restarts} processes"
                self.flags.append(f"the submission had used up its {limit}; what was left was not graded")
                self.stop()
                return None
            try:
                self._advance()
            except LinkBroken as error:
                self._blame(str(error))
        return self._process

    def _advance(self) -> None:
        if self._process is None:
            self._restarts += 1
            self._process = self.fresh()
            again, self.done = self.done, []
            self._todo = again + self._todo
        while self._todo and self.clock.left() > 0:
            index = self._todo[0]
            if index not in self._proved and self.clock.left() <= RESERVE * self.limits.submission:
                self._leave_out("its cells took so long that hardly any time was left for the checks")
                continue
            self._keep(index, *self._run(self._process, index))
            self.done.append(self._todo.pop(0))
            self._proved.add(index)

    def _run(self, process: GuestProcess, index: int) -> tuple[list[dict[str, Any]], float]:
        """A cell's outputs, and the seconds it might take. A given cell that was edited and fails runs as it was
        released, too; so it does beforehand where the edited one no longer defines all that it did.
        """
        cell, released = self.restored.notebook.cells[index], self.restored.released.get(index)
        seconds = self._seconds(index)
        lacks = released is not None and bool(defined(released) - defined(cell.source))
        if released is not None and lacks:
            process.run_cell(released, seconds, given=True)
        outputs = process.run_cell(cell.source, seconds, open_to_students(cell), self.is_given(index))
        stop = Stop.of(cell.source, outputs, seconds if process.interrupted else None)
        if released is not None and stop and not lacks:
            process.run_cell(released, self._seconds(index), given=True)
        if stop:
            self.stops[index] = stop
            if released is not None:
                self.flags.append(
                    f"{label(cell)}, a given cell, was edited; the released one ran as well: {stop.told()}"
                )
        return outputs, seconds

    def fresh(self) -> GuestProcess:
        """A new process, in which nothing has run."""
        process = GuestProcess(self.template, self.limits, self.seed, self.clock)
        try:
            process.put(self.beside.files)
        except BaseException:
            process.__exit__(None, None, None)
            raise
        return process

    def again(self, process: GuestProcess, before: int | None = None) -> None:
        """Run in `process` what has run in the submission's own, above cell `before` alone where that is given; without
        keeping outputs.
        """
        for index in self.done:
            if self.clock.left() <= 0:
                raise LinkBroken("the submission had used up its time")
            if before is None or index < before:
                self._run(process, index)

    def tell(self, failure: Failure) -> str:
        """What is said of a failed call, by what is known of the cells."""
        return self._reasons().tell(failure)

    def _reasons(self) -> Reasons:
        cells = self.restored.notebook.cells
        sources = {index: cells[index].source for index in self.done}
        return Reasons(sources, self._answers, self.stops, self.beside.left_out)

    @cached_property
    def _answers(self) -> dict[str, int]:
        cells = self.restored.notebook.cells
        return {grade_id(cell): index for index, cell in enumerate(cells) if open_to_students(cell)}

    def has_time(self) -> bool:
        """Whether anything more may be tried."""
        return self.clock.left() > 0

    def is_given(self, index: int) -> bool:
        """Whether a cell is the course's, unchanged."""
        return index in self._given

    @cached_property
    def _given(self) -> frozenset[int]:
        full = self.master.full
        sources = {c["id"]: (c.source, full.get(grade_id(c), c.source)) for c in self.master.released.cells}
        cells = enumerate(self.restored.notebook.cells)
        return frozenset(index for index, cell in cells if cell.source in sources.get(cell["id"], ()))

    @cached_property
    def _places(self) -> dict[str, int]:
        """By exercise the cell in which it is graded."""
        cells = enumerate(self.restored.notebook.cells)
        return {name: index for index, cell in cells if (name := exercise_graded_in(cell))}

    def around(self, exercise: str) -> tuple[int, Around]:
        """Where an exercise is graded, and what the cells around that place which have run could do."""
        place = self._places.get(exercise, len(self.restored.notebook.cells))
        found = Around([], [], [], [])
        for index in self.done:
            given = self.is_given(index)
            did = self.effects(index)
            if index < place:
                found.above.append(did)
            if not (given and index < place):
                (found.own_above if index < place else found.given_below if given else found.own_below).append(did)
        return place, found

    def effects(self, index: int) -> Effects:
        """What a cell could do."""
        if index not in self._effects:
            source = self.restored.notebook.cells[index].source
            self._effects[index] = (_known if len(source) <= SHORT else effects)(source)
        return self._effects[index]

    def _seconds(self, index: int) -> float:
        left = self.clock.left() - (0.0 if index in self._proved else RESERVE * self.limits.submission)
        return max(min(self.limits.cell, left), 0.1)

    def _leave_out(self, reason: str) -> None:
        """Of the cells that are to be run, keep those alone that have run before."""
        new = [index for index in self._todo if index not in self._proved]
        self._todo = [index for index in self._todo if index in self._proved]
        if new:
            first = label(self.restored.notebook.cells[new[0]])
            self.flags.append(f"{reason}: {len(new)} cells from {first} on were left out")

    def _keep(self, index: int, outputs: list[dict[str, Any]], seconds: float) -> None:
        """Store what a cell gave, and tell the instructor when it ran into a limit."""
        cell = self.restored.notebook.cells[index]
        full, cuts = self._room.left <= 0, self._room.cuts
        cell.outputs = safe_outputs(outputs, self._room)
        if self._process is not None and self._process.interrupted:
            self.flags.append(f"{label(cell)} did not finish in {seconds:.3g} s and was stopped")
        cut = self._room.cuts > cuts or any(isinstance(output, dict) and output.get("cut") for output in outputs)
        if hit := _limit_hit(cell.outputs) or ("more output than is kept" if cut else ""):
            self.flags.append(f"{label(cell)} wanted {hit}")
        if self._room.left <= 0 and not full:
            self.flags.append("its outputs were too long in all; the rest was cut")

    def _blame(self, reason: str) -> None:
        """The cell that ran last brought the process down: say so, leave it out, and begin again with the others."""
        self.stop()
        if not self._todo:
            return
        index = self._todo.pop(0)
        cell = self.restored.notebook.cells[index]
        self.stops[index] = Stop(cell.source, "Stopped", reason)
        self.flags.append(f"{label(cell)}: {reason}; it was left out")
        error = {"output_type": "error", "ename": "Stopped", "evalue": reason, "traceback": [f"Stopped: {reason}"]}
        cell.outputs = safe_outputs([error])
        if index not in self._proved:
            self._crashes += 1
        if self._crashes > MAX_RESTARTS:
            self._leave_out(f"{self._crashes} of its cells brought the process down")


@lru_cache(maxsize=2_000)
def _known(source: str) -> Effects:
    """The effects of a cell that many have: those of the course, and right answers."""
    return effects(source)


def _limit_hit(outputs: list[NotebookNode]) -> str:
    """What a cell wanted more of than it may have, by the system's own words: no other sign of it comes back."""
    texts = [f"{o.ename}: {o.evalue}" if o.output_type == "error" else o.get("text", "")[-200:] for o in outputs]
    return next((words for sign, words in LIMITS_HIT.items() if any(re.search(sign, text) for text in texts)), "")
