"""How many wrong answers are caught, named, and named rightly: `python -m benchmarks.diagnosis [--seconds S]`.

As somebody would judge it who did not write the list. Every right implementation is taken in turn. It and its changes
are kept out of the diagnoser, which has the others left; then it is changed once by the operators of cosmic-ray, or
twice by two makers, and marked like a submission. What gives the right values on drawn inputs, or ends in an exception
(which the student reads anyway), is left out. An answer that is all NaN, infinite, zero or one number says nothing of a
mistake, and is told as that: it is counted by itself.

A name is *false* when another one is given on another student's inputs: a mistake is in the code, not in the draw. One
that is a part of the other, as where one of two mistakes does not show in a draw, is not. It is *right* when the kind
told is the kind made; what has no kind of its own (one number replaced) is not counted there.

Below the table stand the hand-written lists of the same exercises, switched off: how many of their mistakes the makers
name by themselves; and the processor time of a diagnosis. Exercises come in an order drawn once and for all, so that a
run that ends after some time (`--seconds`) is a random sample of them.

Needs cosmic-ray (`benchmarks/requirements.txt`) in the instructor's environment. Writes diagnosis.json and diagnosis.md
below benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from autograder import marking
from autograder.diagnosis.kinds import KINDS
from autograder.diagnosis.makers import Unfit
from autograder.diagnosis.naming import explain
from autograder.diagnosis.questions import Questions
from autograder.exercise import Exercise, lesson_exercises, lesson_modules
from autograder.marking import judge
from autograder.marks import Mark
from autograder.sandbox.responder import Responder
from autograder.student import LocalLink

from .wrong_answers import ROWS, Wrong, changes, exchanges, names, students

HERE = Path(__file__).parent
FORKS = multiprocessing.get_context("fork")
ENDLESS = 120.0  # seconds after which nothing more is waited for
UNTELLING = ("Every value is NaN", "Every value is infinite", "Every value is zero", "Every value is the same")


@dataclass
class Found:
    """What became of some wrong answers."""

    rows: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in ROWS})
    listed: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what another one holds."""
        for kind in ROWS:
            self.rows[kind].update(other.rows[kind])
        self.listed.update(other.listed)
        self.missed += other.missed
        self.costs += other.costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exercises", nargs="*", help="names of exercises; all when none is given")
    parser.add_argument("--each", type=int, default=4, help="changes of each kind, of each right implementation")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of processor time, after which to end")
    parser.add_argument("--jobs", type=int, default=1, help="exercises at a time")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [item for item in _exercises() if not asked.exercises or item.name in asked.exercises]
    random.Random("exercises").shuffle(wanted)
    found, taken = Found(), []

    def measure(exercise: Exercise) -> tuple[Exercise, Found | None]:
        return exercise, None if _spent() > asked.seconds else _watched(exercise, asked.each)

    with ThreadPoolExecutor(asked.jobs) as pool:
        for exercise, of_one in track(pool.map(measure, wanted), "changing right answers", total=len(wanted)):
            if of_one is not None:
                taken.append(exercise.name)
                found.add(of_one)
    _write(found, taken, len(wanted), _spent(), bool(asked.exercises))


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watched(exercise: Exercise, each: int) -> Found:
    """What is found of an exercise, in a process of its own: a change may make a loop endless, and is passed over."""
    found, after = Found(), 0
    for _ in range(20):
        ours, theirs = FORKS.Pipe(duplex=False)
        child = FORKS.Process(target=_measured, args=(exercise, each, after, theirs))
        child.start()
        theirs.close()
        try:
            while ours.poll(ENDLESS):
                after, what = ours.recv()
                found.add(what)
            child.kill()
        except EOFError:
            if child.join() or child.exitcode == 0:
                return found
        child.join()
        found.missed.append(f"{exercise.name}: answer {after + 1} does not end")
        after += 1
    return found


def _measured(exercise: Exercise, each: int, after: int, answer: Connection) -> None:
    """Send what becomes of each wrong answer of an exercise, and at the end of its list, but for the first `after`."""
    number = 0
    with _timed() as costs:
        for name in list(exercise.alternatives):
            with _held_out(exercise, name) as function:
                for kind, wrong in changes(exercise, name, function, each):
                    number += 1
                    if number > after:
                        found = Found()
                        _count(found.rows[kind], wrong, function, found.missed)
                        found.costs[:] = costs
                        costs.clear()
                        answer.send((number, found))
        found = Found()
        _count_listed(exercise, found.listed)
        answer.send((number, found))
    os._exit(0)  # threads of the process that this is a fork of are waited for otherwise


@contextmanager
def _timed() -> Iterator[list[float]]:
    """The processor time of every diagnosis within the block."""
    costs: list[float] = []

    def timed(*args: Any) -> Any:
        start = time.process_time()
        try:
            return explain(*args)
        finally:
            costs.append(time.process_time() - start)

    marking.explain = timed  # type: ignore[assignment]
    try:
        yield costs
    finally:
        marking.explain = explain


def _exercises() -> Iterator[Exercise]:
    for module in lesson_modules():
        lesson = __import__(f"autograder.lessons.{module}", fromlist=["LESSON"]).LESSON
        yield from lesson_exercises(lesson).values()


@contextmanager
def _held_out(exercise: Exercise, name: str) -> Iterator[Callable[..., Any]]:
    """The exercise without one of its right answers."""
    kept = dict(exercise.alternatives)
    function = exercise.alternatives.pop(name)
    try:
        yield function
    finally:
        exercise.alternatives.clear()
        exercise.alternatives.update(kept)


# ---- counting


def _count(row: Counter[str], wrong: Wrong, right: Any, missed: list[str]) -> None:
    try:
        marks = [_marked(wrong.exercise, wrong.function, student) for student in students(wrong.exercise)]
    except Unfit:
        return
    if _same(wrong, right):
        row["equal to the right one"] += 1
        return
    if any("raised" in mark.message for mark in marks):
        row["ended in an exception"] += 1
        return
    if marks[0].diagnosis is None and "Every value is" in marks[0].message:
        row["without information"] += any(word in marks[0].message for word in UNTELLING)
        if any(word in marks[0].message for word in UNTELLING):
            return
    if marks[0].passed and _free(wrong, right):
        row["equal to the right one"] += 1
        return
    row["wrong"] += 1
    caught = not marks[0].passed
    row["caught"] += caught
    if not caught:
        missed.append(f"{wrong.exercise.name} ({wrong.of}): {wrong.change}: full marks")
        return
    if marks[0].diagnosis is None:
        missed.append(f"{wrong.exercise.name} ({wrong.of}): {wrong.change}: {marks[0].message[:100]}")
        return
    row["named"] += 1
    row["false"] += marks[1].diagnosis is not None and not _alike(marks[0].diagnosis, marks[1].diagnosis)
    if wrong.families:
        row["with a kind, named"] += 1
        told = {kind.family for key, kind in KINDS.items() if _says(marks[0].diagnosis, kind.name)}
        row["rightly"] += bool(told & wrong.families) or not told  # without kinds it is one of the list


def _alike(one: str, other: str) -> bool:
    """Whether two names tell of the same mistake: one may be a half of an either-or, or one of two things at once."""
    halves = [
        text.removeprefix("either ").replace(": both give your values", "").split(", or ") for text in (one, other)
    ]
    return any(half in other for half in halves[0]) or any(half in one for half in halves[1])


def _says(text: str, name: str) -> bool:
    """Whether a text holds a kind's name, whatever arguments it is about."""
    parts = re.split(r"\{\d\}", name)
    return "".join(parts).strip() in text or all(part in text for part in parts)


def _same(wrong: Wrong, right: Any) -> bool:
    """Whether a change changes nothing on what is drawn for either student."""
    for student in students(wrong.exercise):
        asked = [exchange.reply for exchange in exchanges(wrong.exercise, wrong.function, student)]
        if asked != [exchange.reply for exchange in exchanges(wrong.exercise, right, student)]:
            questions = Questions(wrong.exercise, exchanges(wrong.exercise, wrong.function, student))
            if questions.wrong:
                return False
    return True


def _free(wrong: Wrong, right: Any) -> bool:
    """Whether right implementations answer otherwise, too: with which weights a network begins is theirs to choose."""
    return any(not _same(replace(wrong, function=other), right) for other in wrong.exercise.alternatives.values())


def _marked(exercise: Exercise, function: Any, student: str) -> Mark:
    return judge(exercise, LocalLink(Responder(names(exercise, function))), student)


def _count_listed(exercise: Exercise, listed: Counter[str]) -> None:
    """The mistakes of the list, by the makers alone."""
    kept = list(exercise.misconceptions)
    exercise.misconceptions.clear()
    try:
        for known in kept:
            mark = _marked(exercise, known.function, students(exercise)[0])
            listed["mistakes"] += 1
            listed["named"] += mark.diagnosis is not None
    finally:
        exercise.misconceptions.extend(kept)


def _write(found: Found, taken: list[str], all_: int, seconds: float, part: bool) -> None:
    lines = ["# Diagnosis", "", "\n\n".join((__doc__ or "").split("\n\n")[1:3]), ""]
    lines += [
        "| what was done | wrong | caught (goal all) | named (goal 90%, 60%) | false names (goal 1%) "
        "| of a kind | named by it | without information |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.rows.items():
        wrong, named, kind = max(row["wrong"], 1), max(row["named"], 1), max(row["with a kind, named"], 1)
        lines.append(
            f"| {name} | {row['wrong']} | {row['caught'] / wrong:.1%} | {row['named'] / wrong:.1%} | "
            f"{row['false'] / named:.1%} | {row['with a kind, named']} | {row['rightly'] / kind:.1%} | "
            f"{row['without information']} |"
        )
    listed, costs = found.listed, sorted(found.costs)
    share = listed["named"] / max(listed["mistakes"], 1)
    lines += [
        "",
        f"The hand-written lists switched off: {listed['named']} of {listed['mistakes']} named "
        f"({share:.0%}; goal 80%).",
        "",
        f"{len(costs)} diagnoses: half of them below {costs[len(costs) // 2]:.2f} s of processor time, nine in ten "
        f"below {costs[9 * len(costs) // 10]:.2f} s, the longest {costs[-1]:.2f} s (goal 0.25 s).",
        "",
        f"{len(taken)} of {all_} exercises, drawn: {', '.join(taken)}.",
        "",
        f"{seconds:.0f} s of processor time, torch {torch.__version__}, Python {sys.version.split()[0]}.",
    ]
    print("\n".join(lines))
    print("\n".join(found.missed[:200]))
    if part:
        return
    results = HERE / "results"
    (results / "diagnosis.md").write_text("\n".join(lines) + "\n")
    held = {"exercises": taken, "rows": found.rows, "listed": listed, "unnamed": found.missed}
    held["seconds"] = round(seconds)
    (results / "diagnosis.json").write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
