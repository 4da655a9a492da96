"""One class graded twice on one machine: stock `nbgrader autograde` and `generate_feedback`, and `course grade`.

    python benchmarks/grading.py [--students 60] [--stock 12] [--scale 10,100]

The class is varied: right answers, missing answers, and answers with one mistake each. Stock nbgrader runs its own
Execute with the hidden line in the kernel; because it takes seconds each, it may be given the first so many students
only (`--stock`), and the rate is taken from those. Prints rates, the seconds of one submission by phase, peak memory,
the ratio and how near the limit it comes; writes results/grading.json and results/grading.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import psutil

from autograder.build.release import release
from autograder.checkout import course_config, course_root, database_url
from autograder.exercise import lesson_exercises
from autograder.grading import classroom, feedback, gradebook, process, runner, supervisor
from autograder.grading.demo import LESSON, answer, solve
from autograder.grading.submission import Master

RESULTS = Path(__file__).parent / "results"
TOOLS = Path(sys.executable).parent
# Slips of the pen, put into one answer of a perfect notebook where they fit.
SLIPS = [
    (".sum(", ".mean("),
    ("0.5", "1.0"),
    (".exp()", ""),
    ("logvar", "(2 * logvar)"),
    (" + ", " - "),
    ("-1)", "0)"),
    ("mu", "0 * mu"),
    ("math.log", "math.log10"),
    ("eps", "eps.abs()"),
    ("sigma**2", "sigma"),
]


def write_class(root: Path, submitted: Path, students: int) -> None:
    """`students` submissions below `submitted`, the same ones every time."""
    master = Master.load(root, LESSON)
    solved = solve(root, master)
    names = [c.metadata.nbgrader.grade_id for c in solved.cells if c.metadata.get("nbgrader", {}).get("solution")]
    stubs = {c.metadata.nbgrader.grade_id: c.source for c in master.released.cells if c.metadata.get("nbgrader")}
    chance = random.Random(0)
    for number in range(students):
        kind, name, slip = number % 3, chance.choice(names), chance.choice(SLIPS)

        def write(here: str, text: str, kind: int = kind, name: str = name, slip: tuple[str, str] = slip) -> str:
            if kind == 1 and names.index(here) > names.index(name):
                return stubs[here]  # came as far as `name`
            return text.replace(*slip) if kind == 2 and here == name else text

        path = submitted / f"student-{number:04d}" / LESSON / f"{master.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(answer(solved, write), path)


@dataclass
class Run:
    """What one command took."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def measured(command: list[str], folder: Path) -> Run:
    """Run a command to its end; wall and processor seconds, and the largest proportional memory of its processes."""
    before, start = os.times(), time.perf_counter()
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            peak[0] = max(peak[0], _memory(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, said = process.communicate()
    done.set()
    watcher.join()
    after = os.times()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} failed: {said[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(time.perf_counter() - start, cpu, peak[0])


def _memory(process: psutil.Popen) -> float:
    total = 0.0
    try:
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss / 2**20
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def stock(root: Path, submitted: Path, folder: Path) -> tuple[Run, Run]:
    """nbgrader's own commands with nbgrader's own Execute; autograde and feedback."""
    folder.mkdir()
    (folder / "solutions").symlink_to(root / "solutions")
    (folder / "submitted").symlink_to(submitted)
    config = (root / "nbgrader_config.py").read_text()
    config += """
steps = c.Autograde.autograde_preprocessors
steps[[step.endswith("GradeOutside") for step in steps].index(True)] = "nbgrader.preprocessors.Execute"
"""
    (folder / "nbgrader_config.py").write_text(config)
    nbgrader = str(TOOLS / "nbgrader")
    measured([nbgrader, "generate_assignment", LESSON, "--force"], folder)
    graded = measured([nbgrader, "autograde", LESSON], folder)
    return graded, measured([nbgrader, "generate_feedback", LESSON], folder)


def ours(root: Path, submitted: Path, out: Path) -> Run:
    """`course grade`, feedback pages included."""
    return measured([str(TOOLS / "course"), "grade", LESSON, "--submitted", str(submitted), "--out", str(out)], root)


def phases(root: Path, submitted: Path, out: Path) -> dict[str, float]:
    """Seconds of each phase, summed over the class, when submissions are graded one by one in this process.

    The last entry is the processor time that the students' own cells took.
    """
    spent: dict[str, float] = {}

    def timed(owner: Any, name: str, phase: str) -> None:
        function = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[phase] = spent.get(phase, 0.0) + time.perf_counter() - start

        setattr(owner, name, wrapper)

    def counted(self: Any, source: str, seconds: float, run: Any = process.Submission.run_cell) -> Any:
        before = supervisor._cpu(self.pid)
        try:
            return run(self, source, seconds)
        finally:
            used = supervisor._cpu(self.pid) - before
            spent["cells, processor"] = spent.get("cells, processor", 0.0) + max(used, 0.0)

    process.Submission.run_cell = counted  # type: ignore[method-assign]
    timed(runner, "restore", "restore")
    timed(process.Submission, "__init__", "start")
    timed(process.Submission, "run_cell", "cells")
    timed(runner, "_mark", "calls")
    timed(process.Submission, "__exit__", "end")
    timed(gradebook.GradebookWriter, "write", "grade book")
    timed(feedback.FeedbackWriter, "write", "feedback")
    entries = classroom.find_submissions(submitted, [LESSON])
    config, master, exercises = course_config(root), Master.load(root, LESSON), lesson_exercises(LESSON)
    out.mkdir()
    release(LESSON, root, root / "solutions", database_url(out, config))
    with process.Template() as template, gradebook.GradebookWriter(out, config) as book:
        pages = feedback.FeedbackWriter(out, config, book.gradebook)
        for entry in entries:
            graded = runner.grade_submission(
                entry.notebook, entry.student, master, exercises, template, process.Limits()
            )
            book.write(graded, master.name, entry.notebook.parent)
            pages.write(graded, master.name)
    return {name: seconds / len(entries) for name, seconds in spent.items()}


def subset(submitted: Path, count: int, folder: Path) -> Path:
    """The first `count` students of a class."""
    for path in sorted(submitted.iterdir())[:count]:
        shutil.copytree(path, folder / path.name)
    return folder


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--stock", type=int, help="how many of them stock nbgrader grades (default: all)")
    parser.add_argument("--scale", default="", help="further class sizes for `course grade` alone, such as 10,100,1000")
    options = parser.parse_args()
    root = course_root()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_class(root, work / "class", options.students)
        few = subset(work / "class", options.stock or options.students, work / "few")
        theirs, pages = stock(root, few, work / "stock")
        mine = ours(root, work / "class", work / "ours")
        each = phases(root, few, work / "phases")
        scale = {}
        for size in [int(word) for word in options.scale.split(",") if word]:
            shutil.rmtree(work / "more", ignore_errors=True)
            write_class(root, work / "more", size)
            scale[size] = asdict(ours(root, work / "more", work / f"out-{size}"))
    report(options, theirs, pages, mine, each, scale)


def report(
    options: argparse.Namespace, theirs: Run, pages: Run, mine: Run, each: dict[str, float], scale: dict
) -> None:
    """Rates, phases, limit and ratio, to the terminal and to results/."""
    cores, count = os.cpu_count() or 1, options.students
    few = options.stock or count
    per_stock, per_ours = (theirs.seconds + pages.seconds) / few, mine.seconds / count
    cells = each.pop("cells, processor")
    limit = cells / cores
    overhead = sum(each.values()) - each["cells"] - each["feedback"]
    result = {
        "machine": {
            "cores": cores,
            "processor": platform.processor() or platform.machine(),
            "system": platform.system(),
        },
        "versions": {name: version(name) for name in ("nbgrader", "torch", "distributed", "ipython")},
        "students": count,
        "stock": {"students": few, "autograde": asdict(theirs), "feedback": asdict(pages), "seconds_each": per_stock},
        "course grade": {**asdict(mine), "seconds_each": per_ours, "phases_each": each},
        "ratio": per_stock / per_ours,
        "limit_seconds_each": limit,
        "share_of_limit": limit / per_ours,
        "overhead_seconds_each": overhead,
        "scale": scale,
    }
    lines = [
        "# Grading one class, stock nbgrader and `course grade`",
        "",
        f"{count} submissions of {LESSON} ({few} of them for stock nbgrader and for the phases), {cores} cores.",
        "",
        "| | stock nbgrader | course grade |",
        "|---|--:|--:|",
        f"| seconds per submission, feedback page included | {per_stock:.2f} | {per_ours:.3f} |",
        f"| submissions per minute | {60 / per_stock:.1f} | {60 / per_ours:.0f} |",
        f"| peak memory, MiB | {max(theirs.peak_mib, pages.peak_mib):.0f} | {mine.peak_mib:.0f} |",
        "",
        f"Ratio: **{per_stock / per_ours:.1f}**. The limit, the students' own cells on all cores,",
        f"is {limit:.3f} s each; `course grade` reaches {limit / per_ours:.0%} of it.",
        "",
        "| phase of one submission, one at a time | seconds |",
        "|---|--:|",
        *(f"| {name} | {seconds:.3f} |" for name, seconds in each.items()),
        "",
        f"Beside its own cells and its feedback page a submission costs {overhead:.3f} s.",
    ]
    if scale:
        lines += ["", "| class | seconds | peak MiB |", "|--:|--:|--:|"]
        lines += [f"| {size} | {run['seconds']:.1f} | {run['peak_mib']:.0f} |" for size, run in scale.items()]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "grading.json").write_text(json.dumps(result, indent=2) + "\n")
    (RESULTS / "grading.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
