"""Grading one submission: restore it, run its cells in a process of its own, mark its exercises, note what happened.

A pure function of (notebook, lesson, student): nothing here touches the grade book or another submission. Whatever a
submission does, a `Graded` comes back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..case import Outcome
from ..exercise import Exercise
from ..marking import Mark, judge, reconsider, seed_of, to_reconsider
from ..notebook import render, score
from ..student import LinkBroken
from .beside import NONE, Beside
from .definitions import bare, defined
from .markup import Room, readable, safe_outputs
from .notebook_file import SubmissionError, read
from .process import Clock, Limits, Submission, Template
from .reasons import Reasons, Stop
from .recovery import nbgrader, open_to_students
from .submission import Master, Restored, restore
from .witness import Recorder, confirmed

MAX_RESTARTS = 5
MAX_FLAGS = 40
# What a cell's error says when a limit was hit, and what the instructor is told.
LIMITS_HIT = {
    r"MemoryError|t allocate memory|not enough memory|Cannot allocate": "more memory than one process may have",
    r"No space left on device|Disk quota": "more disk than it may have",
    r"File too large": "a larger file than it may write",
    r"t start new thread|Resource temporarily unavailable": "more processes than it may start",
    r"Too many open files": "more open files than it may have",
    r"\[output cut: |more characters were cut\]": "more output than is kept",
}


@dataclass(frozen=True)
class Graded:
    """The outcome for one submission. `notebook` is what goes into `autograded/`; None where there was nothing to
    grade.
    """

    student: str
    lesson: str
    status: str  # "graded" | "failed"
    seconds: float
    flags: tuple[str, ...]
    marks: tuple[Mark, ...]
    notebook: NotebookNode | None

    @property
    def points(self) -> float:
        """Points earned by machine-graded exercises."""
        return round(sum(score(mark) for mark in self.marks), 2)

    @property
    def max_points(self) -> float:
        """Points there were to earn."""
        return round(sum(mark.max_points for mark in self.marks), 2)

    def public(self) -> dict[str, Any]:
        """As JSON: see README, "Grading from a script"."""
        return {
            "student": self.student,
            "lesson": self.lesson,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "flags": list(self.flags),
            "exercises": [mark.public() for mark in self.marks],
        }

    @classmethod
    def from_public(cls, held: dict[str, Any]) -> Graded:
        """The inverse of `public`, without the notebook."""
        marks = tuple(
            Mark(**{**mark, "outcomes": tuple(Outcome(**outcome) for outcome in mark["outcomes"])})
            for mark in held["exercises"]
        )
        about = {key: held[key] for key in ("student", "lesson", "status", "seconds")}
        return cls(**about, flags=tuple(held["flags"]), marks=marks, notebook=None)


def grade_submission(
    path: Path,
    student: str,
    master: Master,
    exercises: Mapping[str, Exercise],
    template: Template,
    limits: Limits,
    beside: Beside = NONE,
) -> Graded:
    """Grade the notebook at `path` as handed in by `student`."""
    start = time.monotonic()
    try:
        submitted = read(path)
    except SubmissionError as error:
        return failed(student, master.lesson, exercises, str(error), time.monotonic() - start)
    graded = grade_notebook(submitted, student, master, exercises, template, limits, beside)
    return replace(graded, seconds=time.monotonic() - start)


def grade_notebook(
    submitted: NotebookNode,
    student: str,
    master: Master,
    exercises: Mapping[str, Exercise],
    template: Template,
    limits: Limits,
    beside: Beside = NONE,
) -> Graded:
    """Grade a notebook that has been read (`submission.read`)."""
    start = time.monotonic()
    restored = restore(submitted, master)
    with _Run(restored, template, limits, seed_of(student, master.lesson, secret=master.secret), beside) as run:
        run.go_on()
        judged = [_mark(run, exercise, student, master.secret) for exercise in exercises.values()]
        # Right earlier functions come last: what a submission learns from them, it can tell nobody any more.
        both = zip(exercises.values(), judged, strict=True)
        marks = tuple(_again(run, exercise, student, mark, master.secret) for exercise, mark in both)
    marks = tuple(_plain(_explained(mark, run, master)) for mark in marks)
    notebook = _with_verdicts(restored.notebook, {item.name: item for item in marks})
    flags = _told([*beside.left_out, *restored.flags, *run.flags])
    return Graded(student, master.lesson, "graded", time.monotonic() - start, flags, marks, notebook)


def failed(student: str, lesson: str, exercises: Mapping[str, Exercise], reason: str, seconds: float) -> Graded:
    """A submission that could not be graded: nothing for every exercise, with the reason."""
    marks = tuple(Mark(e.name, 0.0, e.points, False, None, f"Not graded: {reason}.", ()) for e in exercises.values())
    return Graded(student, lesson, "failed", seconds, (reason,), marks, None)


@dataclass
class _Run:
    """A submission being run. When its process has to be ended, a new one runs the other cells again and goes on."""

    restored: Restored
    template: Template
    limits: Limits
    seed: int
    beside: Beside = NONE
    flags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clock = Clock(self.limits.submission)
        self._room = Room()
        self._todo = [index for index, runs in enumerate(self.restored.runs) if runs]
        self._done: list[int] = []
        self._process: Submission | None = None
        self._restarts = 0
        self.stops: dict[int, Stop] = {}  # by a cell's index: what stopped it

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; `go_on` starts another."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None

    def go_on(self) -> Submission | None:
        """The process with every cell run that can be, started again where needed; None when nothing more may be
        tried.
        """
        while self._process is None or self._todo:
            if self._restarts > MAX_RESTARTS or self._clock.left() <= 0:
                late = self._clock.left() <= 0
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
            again, self._done = self._done, []
            self._todo = again + self._todo
        while self._todo:
            self._keep(self._todo[0], *self._run(self._process, self._todo[0]))
            self._done.append(self._todo.pop(0))

    def _run(self, process: Submission, index: int) -> tuple[list[dict[str, Any]], float]:
        """A cell's outputs, and the seconds it might take. A given cell that was edited and fails runs as it was
        released, too; so it does beforehand where the edited one no longer defines all that it did.
        """
        cell, released = self.restored.notebook.cells[index], self.restored.released.get(index)
        seconds = self._seconds()
        lacks = released is not None and bool(defined(released) - defined(cell.source))
        if released is not None and lacks:
            process.run_cell(released, seconds)
        outputs = process.run_cell(cell.source, seconds, answer=open_to_students(cell))
        stop = Stop.of(cell.source, outputs, seconds if process.interrupted else None)
        if released is not None and stop and not lacks:
            process.run_cell(released, self._seconds())
        if stop:
            self.stops[index] = stop
            if released is not None:
                self.flags.append(
                    f"{_label(cell)}, a given cell, was edited; the released one ran as well: {stop.told()}"
                )
        return outputs, seconds

    def fresh(self) -> Submission:
        """A new process, in which nothing has run."""
        process = Submission(self.template, self.limits, self.seed, self._clock)
        try:
            process.put(self.beside.files)
        except BaseException:
            process.__exit__(None, None, None)
            raise
        return process

    def again(self, process: Submission) -> None:
        """Run in `process` what has run in the submission's own, without keeping outputs."""
        for index in self._done:
            self._run(process, index)

    def reasons(self) -> Reasons:
        """Why names may not be there."""
        cells = self.restored.notebook.cells
        answers = {
            nbgrader(cell).get("grade_id", ""): index for index, cell in enumerate(cells) if open_to_students(cell)
        }
        sources = {index: cells[index].source for index in self._done}
        return Reasons(sources, answers, self.stops, self.beside.left_out)

    def _seconds(self) -> float:
        return max(min(self.limits.cell, self._clock.left()), 0.1)

    def _keep(self, index: int, outputs: list[dict[str, Any]], seconds: float) -> None:
        """Store what a cell gave, and tell the instructor when it ran into a limit."""
        cell = self.restored.notebook.cells[index]
        full = self._room.left <= 0
        cell.outputs = safe_outputs(outputs, self._room)
        if self._process is not None and self._process.interrupted:
            self.flags.append(f"{_label(cell)} did not finish in {seconds:.3g} s and was stopped")
        if hit := _limit_hit(cell.outputs):
            self.flags.append(f"{_label(cell)} wanted {hit}")
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
        self.flags.append(f"{_label(cell)}: {reason}; it was left out")
        error = {"output_type": "error", "ename": "Stopped", "evalue": reason, "traceback": [f"Stopped: {reason}"]}
        cell.outputs = safe_outputs([error])


def _mark(run: _Run, exercise: Exercise, student: str, secret: str) -> Mark:
    """Mark one exercise; if that ends the process, the next exercise gets a new one. Gives a mark whatever happens."""
    process = run.go_on()
    link = Recorder(process.calls() if process else _Gone(), exercise.after)
    try:
        result = judge(exercise, link, student, secret)
        if process is not None and link.said and result.followed and not _stands(run, link):
            run.flags.append(f"{exercise.name}: earlier functions answer differently when asked alone; not followed")
            result = judge(exercise, Recorder(process.calls(), exercise.after, silent=True), student, secret)
    except Exception as error:  # an answer of a form that the marking did not foresee
        text = f"the answer cannot be marked ({type(error).__name__})"
        run.flags.append(f"{exercise.name}: {text}: {error}")
        result = Mark(exercise.name, 0.0, exercise.points, False, None, f"{text.capitalize()}.", ())
    _look_after(run, process, exercise)
    return result


def _again(run: _Run, exercise: Exercise, student: str, judged: Mark, secret: str) -> Mark:
    """The mark with right earlier functions in place, where they could earn something."""
    if not to_reconsider(exercise, judged) or (process := run.go_on()) is None:
        return judged
    try:
        result = reconsider(exercise, process.calls(), student, judged, secret)
    except Exception as error:  # as above; the mark stands
        run.flags.append(f"{exercise.name} cannot be judged with right earlier functions: {error}")
        result = judged
    _look_after(run, process, exercise)
    return result


def _look_after(run: _Run, process: Submission | None, exercise: Exercise) -> None:
    """Note a process that did not survive an exercise's checks, so that the next exercise gets a new one."""
    if process is not None and not process.alive:
        run.flags.append(f"{exercise.name} brought the process down ({process.reason})")
        run.stop()


def _explained(mark: Mark, run: _Run, master: Master) -> Mark:
    """The mark with the reason why a name is not there, and without a word of "not written" where somebody wrote."""
    if mark.passed:
        return mark
    reasons = run.reasons()
    outcomes = tuple(replace(outcome, message=reasons.explained(outcome.message)) for outcome in mark.outcomes)
    message = reasons.explained(mark.message)
    if message.lower().startswith("not written yet") and _written(mark.name, run.restored, master):
        message = (
            "A line `raise NotImplementedError(…)` still stands in the answer: write what is missing in its place, or "
            "delete it where nothing is."
        )
    return replace(mark, message=message, outcomes=outcomes)


def _written(name: str, restored: Restored, master: Master) -> bool:
    """Whether the answer of this name differs from its stub by more than comments."""
    both = (
        next((cell.source for cell in cells if nbgrader(cell).get("grade_id") == name), "")
        for cells in (restored.notebook.cells, master.released.cells)
    )
    return len({bare(source) for source in both}) == 2


def _plain(mark: Mark) -> Mark:
    """The mark with texts that may go anywhere."""
    outcomes = tuple(replace(outcome, message=readable(outcome.message)) for outcome in mark.outcomes)
    return replace(mark, message=readable(mark.message), outcomes=outcomes)


def _stands(run: _Run, link: Recorder) -> bool:
    """Whether the earlier functions say the same in a process that is asked nothing else."""
    with run.fresh() as process:
        try:
            run.again(process)
        except LinkBroken:
            return False
        return confirmed(link.said, process.calls())


class _Gone:
    """A link to nobody: the submission had used up its time or its restarts."""

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        raise LinkBroken("the submission had used up its time")


def _label(cell: NotebookNode) -> str:
    name = cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id")
    return f"cell {name}"


def _told(flags: list[str]) -> tuple[str, ...]:
    """What the instructor is told: each thing once, in words that no terminal obeys, and not without end."""
    kept = [readable(flag, 300) for flag in dict.fromkeys(flags)]
    more = [f"and {len(kept) - MAX_FLAGS} more remarks"] if len(kept) > MAX_FLAGS else []
    return (*kept[:MAX_FLAGS], *more)


def _limit_hit(outputs: list[NotebookNode]) -> str:
    texts = [f"{o.ename}: {o.evalue}" if o.output_type == "error" else o.get("text", "")[-200:] for o in outputs]
    return next((words for sign, words in LIMITS_HIT.items() if any(re.search(sign, text) for text in texts)), "")


def _with_verdicts(notebook: NotebookNode, marks: Mapping[str, Mark]) -> NotebookNode:
    """The notebook with each graded cell holding its verdict and points, as if its hidden line had been run there."""
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        result = marks.get(name.removesuffix("-graded"))
        if name.endswith("-graded") and result is not None:
            points = repr(score(result))
            cell.outputs = [
                nbformat.v4.new_output("stream", name="stdout", text=render(result) + "\n"),
                nbformat.v4.new_output("execute_result", data={"text/plain": points}, execution_count=None),
            ]
    return notebook
