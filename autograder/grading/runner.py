"""Grading one submission: restore it, run its cells in a process of its own, mark its exercises, note what happened.

A pure function of (notebook, lesson, student): nothing here touches the grade book or another submission. Whatever a
submission does, and whatever mistake of ours it brings to light, a `Graded` comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nbformat import NotebookNode

from ..cells import exercise_graded_in, grade_id, note_verdict
from ..exercise import Exercise
from ..feedback.markup import readable
from ..guard.guest import GuestProcess
from ..guard.limits import Clock, Limits
from ..guard.template import GraderBroken, Template
from ..hand_in.beside import NONE, Beside
from ..hand_in.definitions import bare
from ..hand_in.notebook_file import SubmissionError, Unreadable, read
from ..hand_in.restoring import Master, Restored, restore
from ..marking import judge, reconsider, to_reconsider
from ..marks import Mark, score
from ..nodes import new_output
from ..notebook import render
from ..seeds import seed_of
from ..student import LinkBroken
from .below import helping
from .courtesy import Courtesy
from .graded import GRADED, Graded, failed, not_graded
from .run import Run
from .witness import Recorder, confirmed

MAX_FLAGS = 40


def grade_submission(
    path: Path,
    student: str,
    master: Master,
    exercises: Mapping[str, Exercise],
    template: Template,
    limits: Limits,
    beside: Beside = NONE,
    courtesy: Courtesy | None = None,
) -> Graded:
    """Grade the notebook at `path` as handed in by `student`. Raises `GraderBroken` alone."""
    start, clock = time.monotonic(), limits.clock()
    try:
        about = student, master, exercises, template, limits, beside, clock
        graded = grade_notebook(read(path), *about, courtesy=courtesy)
    except Unreadable as error:
        graded = not_graded(student, master.lesson, str(error))
    except SubmissionError as error:
        graded = failed(student, master.lesson, exercises, str(error), 0.0)
    except GraderBroken:  # the keeper has another template
        raise
    except Exception as error:
        graded = not_graded(student, master.lesson, error)
    return replace(graded, seconds=time.monotonic() - start)


def grade_notebook(
    submitted: NotebookNode,
    student: str,
    master: Master,
    exercises: Mapping[str, Exercise],
    template: Template,
    limits: Limits,
    beside: Beside = NONE,
    clock: Clock | None = None,
    lacking: frozenset[str] | None = None,
    courtesy: Courtesy | None = None,
) -> Graded:
    """Grade a notebook that has been read (`notebook_file.read`), since when its `clock` may run; `lacking`, as
    `restore` takes it. What it raises is no fault of the submission's.
    """
    start, clock = time.monotonic(), clock or limits.clock()
    restored = restore(submitted, master, lacking)
    exercises = {name: exercise for name, exercise in exercises.items() if name not in restored.lacking}
    seed = seed_of(student, master.lesson, secret=master.secret)
    with Run(restored, master, template, limits, seed, clock, beside) as run:
        run.go_on()
        judged = [_mark(run, exercise, student, master.secret) for exercise in exercises.values()]
        both = zip(exercises.values(), judged, strict=True)
        judged = [_above(run, exercise, student, mark, master.secret) for exercise, mark in both]
        # Right earlier functions come last: what a submission learns from them, it can tell nobody any more.
        both = zip(exercises.values(), judged, strict=True)
        marks = tuple(_again(run, exercise, student, mark, master.secret) for exercise, mark in both)
    left = max(limits.page + clock.left(), 0.0)
    if courtesy is not None:
        marks, failed = courtesy.remarked(run, exercises, marks, student)
        run.flags += [failed] if failed else []
    marks = tuple(_plain(_written_over(mark, run, master)) for mark in marks)
    notebook = with_verdicts(restored.notebook, {item.name: item for item in marks})
    flags = _told([*beside.left_out, *restored.flags, *run.flags])
    return Graded(student, master.lesson, GRADED, time.monotonic() - start, flags, marks, notebook, left)


def _mark(run: Run, exercise: Exercise, student: str, secret: str) -> Mark:
    """Mark one exercise; if that ends the process, the next exercise gets a new one."""
    process = run.go_on()
    result = _judged(run, process, exercise, student, secret)
    _look_after(run, process, exercise)
    return result


def _judged(
    run: Run, process: GuestProcess | None, exercise: Exercise, student: str, secret: str, before: int | None = None
) -> Mark:
    """The mark by the functions that stand in `process`, which has run the cells above `before`."""
    link = Recorder(process.calls() if process else _Gone(), exercise.after)
    result = judge(exercise, link, student, secret, run.tell)
    if process is not None and link.said and result.followed and not _stands(run, link, before):
        run.flags.append(f"{exercise.name}: earlier functions answer differently when asked alone; not followed")
        alone = Recorder(process.calls(), exercise.after, silent=True)
        return judge(exercise, alone, student, secret, run.tell)
    return result


def _above(run: Run, exercise: Exercise, student: str, judged: Mark, secret: str) -> Mark:
    """The mark, or a better one by the cells above the graded cell alone: what stands below may help, but not harm.

    Those cells run in a process of their own, which ends with the exercise and of which no output is kept: what is
    asked there is heard by nobody who can still speak.
    """
    place, around = run.around(exercise.name)
    if judged.points and (helper := helping(exercise.name, around)):
        run.flags.append(f"{exercise.name}: counts with {helper} as it is defined below the graded cell")
    if judged.passed or not run.has_time() or not around.costly():
        return judged
    try:
        with run.fresh() as process:
            run.again(process, place)
            alone = _judged(run, process, exercise, student, secret, place)
            harmed = alone.points > judged.points  # what stand-ins add below, they would add to the other mark as well
            if to_reconsider(exercise, alone) and process.alive:
                alone = reconsider(exercise, process.calls(), student, alone, secret)
    except LinkBroken:
        return judged
    if alone.points <= judged.points:
        return judged
    if harmed:
        run.flags.append(f"{exercise.name}: something below its graded cell costs points; marked without what is below")
    return alone


def _again(run: Run, exercise: Exercise, student: str, judged: Mark, secret: str) -> Mark:
    """The mark with right earlier functions in place, where they could earn something."""
    if not to_reconsider(exercise, judged) or (process := run.go_on()) is None:
        return judged
    result = reconsider(exercise, process.calls(), student, judged, secret)
    _look_after(run, process, exercise)
    return result


def _look_after(run: Run, process: GuestProcess | None, exercise: Exercise) -> None:
    """Note a process that did not survive an exercise's checks, so that the next exercise gets a new one."""
    if process is not None and not process.alive:
        run.flags.append(f"{exercise.name} brought the process down ({process.reason})")
        run.stop()


def _written_over(mark: Mark, run: Run, master: Master) -> Mark:
    """The mark, without a word of "not written" where somebody wrote."""
    if not mark.unwritten or not _written(mark.name, run.restored, master):
        return mark
    message = (
        "A line `raise NotImplementedError(…)` still stands in the answer: write what is missing in its place, or "
        "delete it where nothing is."
    )
    return replace(mark, message=message, unwritten=False)


def _written(name: str, restored: Restored, master: Master) -> bool:
    """Whether the answer of this name differs from its stub by more than comments."""
    both = (
        next((cell.source for cell in cells if grade_id(cell) == name), "")
        for cells in (restored.notebook.cells, master.released.cells)
    )
    return len({bare(source) for source in both}) == 2


def _plain(mark: Mark) -> Mark:
    """The mark with texts that may go anywhere."""
    outcomes = tuple(replace(outcome, message=readable(outcome.message)) for outcome in mark.outcomes)
    return replace(mark, message=readable(mark.message), outcomes=outcomes, remark=readable(mark.remark))


def _stands(run: Run, link: Recorder, before: int | None) -> bool:
    """Whether the earlier functions say the same in a process that is asked nothing else."""
    with run.fresh() as process:
        try:
            run.again(process, before)
        except LinkBroken:
            return False
        return confirmed(link.said, process.calls())


class _Gone:
    """A link to nobody: the submission had used up its time or its restarts."""

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        raise LinkBroken("the submission had used up its time")


def _told(flags: list[str]) -> tuple[str, ...]:
    """What the instructor is told: each thing once, in words that no terminal obeys, and not without end."""
    kept = [readable(flag, 300) for flag in dict.fromkeys(flags)]
    more = [f"and {len(kept) - MAX_FLAGS} more remarks"] if len(kept) > MAX_FLAGS else []
    return (*kept[:MAX_FLAGS], *more)


def with_verdicts(notebook: NotebookNode, marks: Mapping[str, Mark]) -> NotebookNode:
    """The notebook with each graded cell holding its verdict and points, as if its hidden line had been run there."""
    for cell in notebook.cells:
        if result := marks.get(exercise_graded_in(cell)):
            points = repr(score(result))
            note_verdict(cell, result.passed, result.told)
            cell.outputs = [
                new_output("stream", name="stdout", text=render(result) + "\n"),
                new_output("execute_result", data={"text/plain": points}, metadata={}, execution_count=None),
            ]
    return notebook
