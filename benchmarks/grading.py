"""One class graded twice on one machine: stock `nbgrader autograde` and `generate_feedback`, and `course grade`.

    python -m benchmarks.grading [--students 60] [--stock 60] [--scale 10,100,1000]

The class is varied: right answers, missing answers, and answers with one mistake each. Stock nbgrader runs its own
Execute with the hidden line in the kernel; because it takes seconds each, it may be given the first so many students
only (`--stock`), and the rate is taken from those. Prints rates, the seconds of one submission by phase, peak memory,
the ratio, how near the limit it comes, and what larger classes cost; writes results/grading.{json,md,png} beside this
file. Takes a quarter of an hour, nearly all of it stock nbgrader's.
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
import torch

from autograder.builder.release import release
from autograder.checkout import course_config, course_root, database_url
from autograder.exercise import lesson_exercises
from autograder.feedback import writer as feedback
from autograder.grading import gradebook, runner
from autograder.grading.demo import LESSON, answer, solve
from autograder.guard import accounts as proc
from autograder.guard import guest
from autograder.guard.limits import Limits
from autograder.guard.template import Template
from autograder.hand_in import finding as hand_ins
from autograder.hand_in.restoring import Master
from course_lib import plots

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
    peak_mib: float


def measured(command: list[str], folder: Path) -> Run:
    """Run a command to its end; wall seconds, and the largest proportional memory of its processes."""
    start = time.perf_counter()
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1.0):  # adding up a process's memory takes the kernel some milliseconds
            peak[0] = max(peak[0], _memory(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, said = process.communicate()
    done.set()
    watcher.join()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} failed: {said[-2000:]}")
    return Run(time.perf_counter() - start, peak[0])


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

    def counted(self: Any, *args: Any, run: Any = guest.GuestProcess.run_cell, **kwargs: Any) -> Any:
        before = proc.processor_time(self.pid)
        try:
            return run(self, *args, **kwargs)
        finally:
            used = proc.processor_time(self.pid) - before
            spent["cells, processor"] = spent.get("cells, processor", 0.0) + max(used, 0.0)

    guest.GuestProcess.run_cell = counted  # type: ignore[method-assign]
    timed(runner, "restore", "restore")
    timed(guest.GuestProcess, "__init__", "start")
    timed(guest.GuestProcess, "run_cell", "cells")
    timed(runner, "_mark", "calls")
    timed(guest.GuestProcess, "__exit__", "end")
    timed(gradebook.GradebookWriter, "write", "grade book")
    timed(feedback.FeedbackWriter, "write", "feedback")
    entries = hand_ins.find_submissions(submitted, [LESSON])
    config, master, exercises = course_config(root), Master.load(root, LESSON), lesson_exercises(LESSON)
    out.mkdir()
    torch.set_num_threads(1)  # as `workers.Grading` does
    release(LESSON, root, root / "solutions", database_url(out, config))
    with Template() as template, gradebook.GradebookWriter(out, config) as book:
        pages = feedback.FeedbackWriter(out, config, book.gradebook)
        for number, entry in enumerate(entries):
            if number == 1:  # the first one pays for what happens once: imports, templates, what is kept of pages
                spent.clear()
            graded = runner.grade_submission(entry.notebook, entry.student, master, exercises, template, Limits())
            book.write(graded, master.name, entry.notebook.parent)
            pages.write(graded, master.name)
    return {name: seconds / (len(entries) - 1) for name, seconds in spent.items()}


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
    parser.add_argument("--scale", default="10,100,1000", help="class sizes for `course grade` alone (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    options = parser.parse_args()
    root, few = course_root(), options.stock or options.students
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_class(root, work / "class", options.students)
        say("course grade")
        mine = ours(root, work / "class", work / "ours")
        say("phases")
        each = phases(root, subset(work / "class", min(options.students, 30), work / "some"), work / "phases")
        scale = {}
        for size in [int(word) for word in options.scale.split(",") if word]:
            say(f"a class of {size}")
            shutil.rmtree(work / "more", ignore_errors=True)
            write_class(root, work / "more", size)
            scale[size] = asdict(ours(root, work / "more", work / f"out-{size}"))
            shutil.rmtree(work / f"out-{size}")
        say(f"stock nbgrader, {few} submissions")
        theirs, pages = stock(root, subset(work / "class", few, work / "few"), work / "stock")
    result = {
        "machine": {"cores": os.cpu_count() or 1, "processor": processor(), "system": platform.system()},
        "versions": {name: version(name) for name in ("nbgrader", "torch", "distributed", "ipython")},
        "students": options.students,
        "stock": {"students": few, "autograde": asdict(theirs), "feedback": asdict(pages)},
        "course grade": {**asdict(mine), "phases_each": each},
        "scale": scale,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "grading.json").write_text(json.dumps(result, indent=2) + "\n")
    text = report(result)
    (options.results / "grading.md").write_text(text)
    if scale:
        figure(scale, options.results / "grading.png")
    print(text)


def say(what: str) -> None:
    """What is being measured now, for whoever waits."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def report(result: dict[str, Any]) -> str:
    """Rates, phases, limit, ratio and larger classes, in Markdown."""
    cores, count, few = result["machine"]["cores"], result["students"], result["stock"]["students"]
    theirs, pages, mine = result["stock"]["autograde"], result["stock"]["feedback"], result["course grade"]
    each = dict(mine["phases_each"])
    per_stock, per_ours = (theirs["seconds"] + pages["seconds"]) / few, mine["seconds"] / count
    limit = each.pop("cells, processor") / cores
    overhead = sum(each.values()) - each["cells"] - each["feedback"]
    lines = [
        "# Grading one class: stock nbgrader and `course grade`",
        "",
        f"{count} submissions of {LESSON} ({few} of them given to stock nbgrader), {cores} cores "
        f"({result['machine']['processor']}). Versions: "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + ". Made by `python -m benchmarks.grading`.",
        "",
        "| | stock nbgrader | course grade |",
        "|---|--:|--:|",
        f"| seconds per submission, feedback page and start included | {per_stock:.2f} | {per_ours:.3f} |",
        f"| submissions per minute | {60 / per_stock:.1f} | {60 / per_ours:.0f} |",
        f"| peak memory, MiB | {max(theirs['peak_mib'], pages['peak_mib']):.0f} | {mine['peak_mib']:.0f} |",
        "| student's code enclosed | no | yes |",
        "",
        f"`course grade` is **{per_stock / per_ours:.0f} times** as fast. Its limit is the processor time of the "
        f"students' own cells divided by the cores, {limit:.3f} s each; it reaches {limit / per_ours:.0%} of that.",
        "",
        "| phase of one submission, one at a time, once warm | seconds |",
        "|---|--:|",
        *(f"| {name} | {seconds:.3f} |" for name, seconds in each.items()),
        "",
        f"Beside its own cells and its feedback page a submission costs {overhead:.3f} s: marking its exercises "
        f"{each['calls'] / overhead:.0%} (some 170 calls across the sandbox's wall, and recognising mistakes), the "
        f"fork into namespaces of its own {each['start'] / overhead:.0%}, the grade book "
        f"{each['grade book'] / overhead:.0%}.",
        "",
    ]
    return "\n".join(lines + (larger(result, each) if result["scale"] else []))


def larger(result: dict[str, Any], each: dict[str, float]) -> list[str]:
    """What larger classes cost, and the estimate for 100,000."""
    scale = {int(size): run for size, run in result["scale"].items()}
    writer = each["grade book"] + each["feedback"]
    worker = sum(each.values()) - writer
    once, slope = straight(scale)
    rows = [f"| {count} | {1e5 * max(worker / count, writer) / 3600:.1f} |" for count in (2, 8, 16, 64)]
    return [
        "## Larger classes",
        "",
        "| class | seconds | seconds each | peak MiB |",
        "|--:|--:|--:|--:|",
        *(
            f"| {size} | {run['seconds']:.1f} | {run['seconds'] / size:.3f} | {run['peak_mib']:.0f} |"
            for size, run in sorted(scale.items())
        ),
        "",
        f"To start takes {once:.1f} s (imports, a warm template, the grade book), each submission {slope:.3f} s more.",
        "",
        "![Seconds and peak memory against the size of the class](grading.png)",
        "",
        f"By the phases above a submission takes a worker {worker:.3f} s, and {writer:.3f} s of the one process that "
        "writes the grade book and the pages. So a class of 100,000 would take, on workers of one core each:",
        "",
        "| workers | hours |",
        "|--:|--:|",
        *rows,
        "",
        f"More than {worker / writer:.0f} workers wait for the writer: {1e5 * writer / 3600:.1f} hours are the least.",
        "",
    ]


def straight(scale: dict[int, dict[str, float]]) -> tuple[float, float]:
    """(seconds to start, seconds each): the line through the smallest and the largest class."""
    least, most = min(scale), max(scale)
    each = (scale[most]["seconds"] - scale[least]["seconds"]) / max(most - least, 1)
    return scale[least]["seconds"] - each * least, each


def figure(scale: dict[int, dict[str, float]], path: Path) -> None:
    """Seconds and peak memory against the size of the class."""
    sizes, (once, each) = sorted(scale), straight(scale)
    fig, (left, right) = plots.figure(1, 2, width=9, height=3.4)
    left.plot(sizes, [scale[size]["seconds"] for size in sizes], "o-", color=plots.COLOR["model"], label="measured")
    line = [once + each * size for size in sizes]
    left.plot(sizes, line, "--", color=plots.COLOR["exact"], label=f"{once:.0f} s and {each:.2f} s each")
    left.set(xscale="log", yscale="log", xlabel="submissions", ylabel="seconds", title="Time: a line")
    left.legend()
    peaks = [scale[size]["peak_mib"] for size in sizes]
    right.plot(sizes, peaks, "o-", color=plots.COLOR["model"])
    right.set(xscale="log", xlabel="submissions", ylabel="peak memory (MiB)", ylim=(0, 1.2 * max(peaks)))
    right.set_title(f"Memory: {min(peaks):.0f} to {max(peaks):.0f} MiB")
    fig.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
