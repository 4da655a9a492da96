"""What the tests cost: processor time per exercise, here and at another commit, one after the other on one machine.

    python -m benchmarks.tests b983290                    the whole of both, an hour
    python -m benchmarks.tests b983290 --kept             the other commit's as last measured
    python -m benchmarks.tests b983290 --beside           `make test` here, and the other's tests at the same time
    python -m benchmarks.tests b983290 --only "gaussian_kl or p_step" tests/autograder

Processor time of all processes counts, notebooks' kernels and sandboxes among them (that of a file's tests leaves out
what nobody waits for); how long it takes does not, so that other programs on the machine and tests in parallel change
little. Written to benchmarks/results/tests.{json,md}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .spent import Group, used

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# Loaded into pytest by name: adds up the processor time of each file of tests.
PLUGIN = """
import collections, json, os, pytest
spent = collections.Counter()
folder = os.environ.pop("SPENT_IN_TESTS", "")  # not for the sessions that tests start
def total():
    return sum(os.times()[:4])
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    before = total()
    yield
    spent[item.nodeid.partition("::")[0].rpartition("/")[2]] += total() - before
def pytest_sessionfinish(session, exitstatus):
    found = {"files": spent, "tests": session.testscollected, "failed": session.testsfailed}
    if folder:
        with open(os.path.join(folder, f"{os.getpid()}.json"), "w") as file:
            json.dump(found, file)
"""


@dataclass(frozen=True)
class Cost:
    """One run of the tests: seconds of processor time in all and by file, and what was run."""

    commit: str
    exercises: int
    tests: int
    failed: int
    seconds: float
    files: dict[str, float]

    @property
    def each(self) -> float:
        """Seconds of processor time for each exercise."""
        return self.seconds / self.exercises


def measure(root: Path, command: list[str]) -> Cost:
    """Run the tests of the checkout `root` by its own code."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "processor_time.py").write_text(PLUGIN, encoding="utf-8")
        spent = Path(folder) / "spent"
        spent.mkdir()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(root), folder]),
            "PYTEST_ADDOPTS": "-p processor_time -p no:cacheprovider",
            "SPENT_IN_TESTS": str(spent),
            "OMP_NUM_THREADS": "1",
        }
        with Group() as group:
            subprocess.run(command, cwd=root, env=environment, check=False, preexec_fn=group.enter)
            seconds = used(group.usage)
        sessions = [json.loads(path.read_text(encoding="utf-8")) for path in spent.iterdir()]
    files: Counter[str] = Counter()
    for session in sessions:
        files.update(session["files"])
    cells = sum(
        len(re.findall(r'^# %% exercise="', path.read_text(encoding="utf-8"), re.M))
        for path in root.glob("solutions/*/*.py")
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    )
    tests, failed = (sum(session[name] for session in sessions) for name in ("tests", "failed"))
    rounded = {name: round(value, 2) for name, value in files.most_common()}
    return Cost(commit.stdout.strip(), cells, tests, failed, round(seconds, 1), rounded)


def pytest_on(root: Path, places: list[str], only: str) -> list[str]:
    """The command that runs some of a checkout's tests; all without places."""
    there = [place for place in places if (root / place).exists()]
    if places and not there:
        raise SystemExit(f"none of {', '.join(places)} is in {root}")
    return [sys.executable, "-m", "pytest", "-q", *(["-k", only] if only else []), *there]


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A worktree of `commit`, removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "course"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(place), commit], cwd=ROOT, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)


def keep(found: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "tests.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def kept(commit: str, selection: str) -> Cost:
    """What was measured of the same tests at `commit`, on this machine. Raises SystemExit where it was other ones."""
    found = json.loads((RESULTS / "tests.json").read_text(encoding="utf-8"))
    there = Cost(**found["there"])
    if not commit.startswith(there.commit) or found["selection"] != selection:
        raise SystemExit(f"kept are those of {there.commit}: {found['selection'] or 'all tests'}")
    return there


def as_text(there: Cost, here: Cost, selection: str) -> str:
    """Both costs side by side, and their ratio."""
    lines = [
        "# What the tests cost",
        "",
        f"Processor time of {selection}, of {there.commit} and {here.commit} on one machine. Made by "
        "`python -m benchmarks.tests`.",
        "",
        "| | exercises in the course | tests | failed | seconds | seconds per exercise |",
        "|---|---|---|---|---|---|",
        *(
            f"| {c.commit} | {c.exercises} | {c.tests} | {c.failed} | {c.seconds:.1f} | {c.each:.3f} |"
            for c in (there, here)
        ),
        "",
        f"Ratio per exercise: {here.each / there.each:.2f}.",
        "",
        "| file | then | now | ratio |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys([*there.files, *here.files]):
        then, now = there.files.get(name), here.files.get(name)
        ratio = f"{now / then:.2f}" if then and now is not None else ""
        lines.append(f"| `{name}` | {'' if then is None else then} | {'' if now is None else now} | {ratio} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """`python -m benchmarks.tests COMMIT [--only EXPRESSION] [PLACE…]`."""
    parser = argparse.ArgumentParser(description="Processor time of the tests, here and at another commit.")
    parser.add_argument("commit")
    parser.add_argument("places", nargs="*", help="files or folders of tests; those that a checkout lacks are left out")
    parser.add_argument("--only", default="", metavar="EXPRESSION", help="pytest's -k")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--kept", action="store_true", help="run them here alone: the other commit's are in the results")
    how.add_argument("--beside", action="store_true", help="run `make tests` here and all of the other's meanwhile")
    options = parser.parse_args()
    chosen = " ".join([*options.places, *([f"-k {options.only!r}"] if options.only else [])])
    if options.beside and chosen:
        parser.error("--beside runs all tests")
    if options.kept:
        there = kept(options.commit, chosen)
        here = measure(ROOT, pytest_on(ROOT, options.places, options.only))
    else:
        with checkout(options.commit) as place, ThreadPoolExecutor() as pool:
            ours = pool.submit(measure, ROOT, ["make", "tests"]) if options.beside else None
            there = measure(place, pytest_on(place, options.places, options.only))
            keep({"selection": chosen, "there": asdict(there)})  # it took long, and what follows may be cut off
            here = ours.result() if ours else measure(ROOT, pytest_on(ROOT, options.places, options.only))
    selection = f"`pytest {chosen}`" if chosen else "all tests"
    keep({"selection": chosen, "there": asdict(there), "here": asdict(here)})
    text = as_text(there, here, selection)
    (RESULTS / "tests.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
