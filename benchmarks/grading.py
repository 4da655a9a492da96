"""A class graded by the build of commit b983290, by this one, and by stock nbgrader, side by side on one machine.

    python -m benchmarks.grading [--then CHECKOUT] [--students 60] [--alone 20] [--stock 3]

Of 02-vae, each build in a checkout of its own: in `CHECKOUT`, with the environment in its `.venv`, or else in a
worktree made for the run, with this environment's packages. Builds take turns. Processor time of all processes counts
first, since it changes little with what else the machine does; seconds by the wall stand beside it. Two classes: one
with slips of the pen, and one of which a third holds a mistake that no list has. Stock nbgrader, which takes seconds
for each, gets the first few students of the first. Writes results/grading.{json,md,png} beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from course_lib import plots

from .spent import Spent, run

COMMIT = "b983290"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
INSIDE = Path(__file__).with_name("inside.py")
LESSON = "02-vae"
CLASSES = {"slips of the pen": [], "mistakes that no list has": ["--unlisted"]}
COURSE = "import sys; from autograder.cli import main; sys.exit(main())"
GOALS = {
    "overhead": ("beside its own cells and its page, each", 0.4),
    "class": ("a class, pages and start included, each", 1 / 1.6),
    "more": ("the same without what one alone takes from a cold start, each one more", 1 / 1.6),
    "cold": ("one submission from a cold start", 0.4),
    "kept": ("one submission where an earlier command was told to `--keep-warm`; then: from a cold start", 0.4),
    "help": ("`course --help`", 0.2),
    "memory": ("peak memory", 0.7),
}


@dataclass(frozen=True)
class Build:
    """A checkout of the course with an interpreter."""

    name: str
    root: Path
    python: str

    def run(self, *arguments: str, memory: bool = False) -> Spent:
        """`python ARGUMENTS` in the checkout, with its own packages before all others."""
        return run([self.python, *arguments], self.root, {"PYTHONPATH": str(self.root)}, memory)

    def grade(self, submitted: Path, out: Path, *options: str, memory: bool = False) -> Spent:
        """`course grade`, feedback pages included, into a fresh grade book."""
        shutil.rmtree(out, ignore_errors=True)
        return self.run(*_grading(submitted, out), *options, memory=memory)

    def grade_with_a_kept_template(self, submitted: Path, work: Path) -> Spent:
        """The second of two commands that are told to keep a template warm."""
        place = work / "runtime"
        place.mkdir()
        with patch.dict(os.environ, XDG_RUNTIME_DIR=str(place)):
            environment = {**os.environ, "PYTHONPATH": str(self.root)}
            first = [self.python, *_grading(submitted, work / "out"), "--keep-warm"]
            shutil.rmtree(work / "out", ignore_errors=True)
            subprocess.run(first, cwd=self.root, env=environment, check=True, stdout=subprocess.DEVNULL)
            try:
                return self.grade(submitted, work / "out", "--keep-warm")
            finally:
                for process in psutil.process_iter(["cmdline"]):
                    if any(word.startswith(str(place)) for word in process.info["cmdline"] or ()):
                        process.kill()


def _grading(submitted: Path, out: Path) -> list[str]:
    return ["-c", COURSE, "grade", LESSON, "--submitted", str(submitted), "--out", str(out)]


@contextlib.contextmanager
def build_of_then(checkout: Path | None) -> Iterator[Build]:
    """The build of `COMMIT`, in a checkout that is there or in a worktree that is removed afterwards."""
    if checkout is not None:
        own = checkout.resolve() / ".venv" / "bin" / "python"
        yield Build("then", checkout.resolve(), str(own) if own.exists() else sys.executable)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "course"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(place), COMMIT], cwd=ROOT, check=True)
        try:
            yield Build("then", place, sys.executable)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)


def measure(builds: list[Build], work: Path, students: int, alone: int) -> dict[str, Any]:
    """By build what each measure took; the builds take turns at each."""
    found: dict[str, Any] = {build.name: {"class": {}, "phases": {}} for build in builds}
    for kind, options in CLASSES.items():
        for build in builds:
            folder = work / build.name / kind
            build.run(str(INSIDE), "class", str(folder / "all"), str(students), *options)
            for name, count in (("one", 1), ("alone", alone)):
                for path in sorted((folder / "all").iterdir())[:count]:
                    shutil.copytree(path, folder / name / path.name)
    first = next(iter(CLASSES))
    for build in builds:
        say(f"{build.name}: help and a cold start")
        build.run("-c", COURSE, "--help")  # compiles what has changed
        found[build.name]["help"] = asdict(build.run("-c", COURSE, "--help"))
        found[build.name]["cold"] = asdict(build.grade(work / build.name / first / "one", work / "out"))
    now = builds[-1]
    found[now.name]["kept"] = asdict(now.grade_with_a_kept_template(work / now.name / first / "one", work))
    for kind in CLASSES:
        for build in builds:
            say(f"{build.name}: {kind}, one by one")
            file = work / "phases.json"
            folder = work / build.name / kind
            shutil.rmtree(work / "out", ignore_errors=True)
            build.run(str(INSIDE), "phases", str(folder / "alone"), str(work / "out"), str(file))
            found[build.name]["phases"][kind] = json.loads(file.read_text())
        for build in builds:
            say(f"{build.name}: {kind}, the class")
            spent = build.grade(work / build.name / kind / "all", work / "out", memory=True)
            found[build.name]["class"][kind] = asdict(spent)
    return found


def stock(build: Build, submitted: Path, folder: Path) -> dict[str, Any]:
    """nbgrader's own commands with nbgrader's own Execute; autograde and feedback."""
    folder.mkdir()
    (folder / "solutions").symlink_to(build.root / "solutions")
    (folder / "submitted").symlink_to(submitted)
    config = (build.root / "nbgrader_config.py").read_text()
    config += """
steps = c.Autograde.autograde_preprocessors
steps[[step.endswith("GradeOutside") for step in steps].index(True)] = "nbgrader.preprocessors.Execute"
"""
    (folder / "nbgrader_config.py").write_text(config)
    nbgrader = [build.python, "-m", "nbgrader"]
    environment = {"PYTHONPATH": str(build.root)}
    run([*nbgrader, "generate_assignment", LESSON, "--force"], folder, environment)
    graded = run([*nbgrader, "autograde", LESSON], folder, environment)
    return {"autograde": asdict(graded), "feedback": asdict(run([*nbgrader, "generate_feedback", LESSON], folder, {}))}


def overhead(phases: dict[str, list[float]]) -> float:
    """Processor time of a submission beside its own cells and its page."""
    return phases["run and mark"][1] - phases["own cells"][1] + phases["grade book"][1]


def ratios(result: dict[str, Any]) -> dict[str, tuple[float, float, float | None, str]]:
    """By measure (processor time then and now, ratio by the wall, the goal's name)."""
    then, now, count = result["then"], result["now"], result["students"]
    rows: dict[str, tuple[float, float, float | None, str]] = {}
    for kind in CLASSES:
        before, after = then["class"][kind], now["class"][kind]
        both = overhead(then["phases"][kind]), overhead(now["phases"][kind])
        rows[f"overhead; {kind}"] = (*both, None, "overhead")
        wall = after["seconds"] / before["seconds"]
        rows[f"class; {kind}"] = (before["processor"] / count, after["processor"] / count, wall, "class")
        more = [(b["class"][kind]["processor"] - b["cold"]["processor"]) / max(count - 1, 1) for b in (then, now)]
        rows[f"more; {kind}"] = (more[0], more[1], None, "more")
        rows[f"memory; {kind}"] = (before["peak_mib"], after["peak_mib"], None, "memory")
    for name in ("cold", "help"):
        wall = now[name]["seconds"] / then[name]["seconds"]
        rows[name] = (then[name]["processor"], now[name]["processor"], wall, name)
    wall = now["kept"]["seconds"] / then["cold"]["seconds"]
    rows["kept"] = (then["cold"]["processor"], now["kept"]["processor"], wall, "kept")
    return rows


def report(result: dict[str, Any]) -> str:
    """The ratios, the phases and the rate against stock nbgrader, in Markdown."""
    cores, count, few = result["machine"]["cores"], result["students"], result["stock"]["students"]
    lines = [
        "# Grading: the build of b983290, this one, and stock nbgrader",
        "",
        f"{count} submissions of {LESSON}, {cores} cores ({result['machine']['processor']}), load "
        f"{result['machine']['load']:.1f} at the start. Versions: "
        + ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        + ". Processor time of all processes; each build grades its own lesson, which has grown since then. Made by "
        "`python -m benchmarks.grading`.",
        "",
        *([result["note"], ""] if result["note"] else []),
        "| | then | now | ratio | goal | ratio by the wall |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, (then, now, wall, goal) in ratios(result).items():
        kind = name.partition("; ")[2]
        told, most = GOALS[goal]
        unit = "MiB" if goal == "memory" else "s"
        width = 0 if goal == "memory" else 3
        beside = "" if wall is None else f"{wall:.2f}"
        lines.append(
            f"| {told}{f' ({kind})' if kind else ''} | {then:.{width}f} {unit} | {now:.{width}f} {unit} "
            f"| {now / then:.2f} | {most:.2f} | {beside} |"
        )
    lines += [
        "",
        "| phase of one submission, one at a time: processor time, s | then | now | ratio |",
        "|---|--:|--:|--:|",
    ]
    for kind in CLASSES:
        phases = [result[build]["phases"][kind] for build in ("then", "now")]
        for phase in ("own cells", "run and mark", "grade book", "page"):
            then, now = (each[phase][1] for each in phases)
            lines.append(f"| {phase} ({kind}) | {then:.3f} | {now:.3f} | {now / then:.2f} |")
    first = next(iter(CLASSES))
    mine = result["now"]["class"][first]
    parts = [result["stock"][part] for part in ("autograde", "feedback")]
    lines += [
        "",
        f"Stock nbgrader took {sum(part['processor'] for part in parts) / few:.2f} s of processor time for each of the "
        f"first {few} ({sum(part['seconds'] for part in parts) / few:.1f} s by the wall), its start included: "
        f"`course grade` is **{against_stock(result, 'processor'):.0f} times** as fast by processor time, "
        f"{against_stock(result, 'seconds'):.0f} times by the wall ({mine['seconds'] / count:.3f} s each).",
        "",
        "![Processor time and memory as ratios to then, with the goals](grading.png)",
        "",
    ]
    return "\n".join(lines)


def against_stock(result: dict[str, Any], what: str) -> float:
    """How many times stock nbgrader's processor time ("processor") or seconds this build's are, for one submission."""
    theirs = sum(result["stock"][part][what] for part in ("autograde", "feedback")) / result["stock"]["students"]
    return float(theirs / (result["now"]["class"][next(iter(CLASSES))][what] / result["students"]))


def figure(result: dict[str, Any], path: Path) -> None:
    """The ratios as bars, each with its goal."""
    rows = list(ratios(result).items())[::-1]
    fig, axes = plots.figure(1, 1, width=8, height=3.6)
    axes.barh([name for name, _ in rows], [now / then for _, (then, now, *_) in rows], color=plots.COLOR["model"])
    goals = [GOALS[goal][1] for _, (*_, goal) in rows]
    axes.plot(goals, range(len(rows)), "|", color=plots.COLOR["exact"], markersize=18, label="goal")
    axes.set(xlabel="now / then", title="Processor time (memory) against the build of b983290")
    axes.legend()
    fig.savefig(path, dpi=130)


def say(what: str) -> None:
    """What is being measured now, for whoever waits."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--then", type=Path, help=f"a checkout of {COMMIT} with its environment in .venv")
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--alone", type=int, default=20, help="of them, graded one by one for the phases (%(default)s)")
    parser.add_argument("--stock", type=int, default=3, help="of them, given to stock nbgrader (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--note", default="", help="what else is to be known of this run")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name, build_of_then(options.then) as then:
        work, now = Path(name), Build("now", ROOT, sys.executable)
        result = measure([then, now], work, options.students, options.alone)
        say(f"stock nbgrader, {options.stock} submissions")
        for path in sorted((work / "now" / next(iter(CLASSES)) / "all").iterdir())[: options.stock]:
            shutil.copytree(path, work / "few" / path.name)
        result["stock"] = {"students": options.stock, **stock(now, work / "few", work / "stock")}
    result |= {
        "machine": {"cores": os.cpu_count() or 1, "processor": processor(), "load": load},
        "versions": {name: version(name) for name in ("nbgrader", "torch", "distributed", "ipython")},
        "students": options.students,
        "note": options.note,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "grading.json").write_text(json.dumps(result, indent=2) + "\n")
    text = report(result)
    (options.results / "grading.md").write_text(text)
    figure(result, options.results / "grading.png")
    print(text)


if __name__ == "__main__":
    main()
