"""What is run, in order of worth, each with a time limit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
THREADS = 3  # of each part that shares the machine; more of them wait for each other
# In a rehearsal the tests must be found without what belongs to instructors alone, as on a machine with a card.
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("distributed", "jupytext", "nbclient", "nbconvert", "nbformat", "nbgrader"))
import pytest
sys.exit(pytest.main())
"""
FIRST = ("02-vae", "06-sampling")
PYTEST = ("-m", "pytest", "-v", "-p", "no:cacheprovider", "--durations=5", "-m", "cuda")


@dataclass(frozen=True)
class Part:
    """A program of its own, so that nothing it does reaches the others.

    Attributes:
        command: arguments for Python.
        limit: seconds after which it is ended.
        result: JSON file that it writes, if any, read also where it was ended.
    """

    name: str
    command: Sequence[str]
    limit: float
    result: Path | None = None


def plan(out: Path, rehearse: bool) -> list[list[Part]]:
    """Rows of parts: those of one row run at once, since what they find does not depend on time; rows one by one."""
    scratch = out / "parts"
    scratch.mkdir(parents=True, exist_ok=True)
    others = []
    for source in sorted((ROOT / "solutions").glob("*/*.py")):
        if source.parent.name not in FIRST and "get_device" in source.read_text(encoding="utf-8"):
            others.append(source.parent.name)

    def lesson(name: str, limit: float) -> Part:
        notebook = next((ROOT / "solutions" / name).glob("*.ipynb"))
        result = scratch / f"{name}.json"
        return Part(name, ["-m", "benchmarks.gpu.lesson", str(notebook), str(result)], limit, result)

    def training(name: str, limit: float) -> Part:
        short = ["--quick", "--threads", "1"] if rehearse else ["--rounds", "3"]
        command = ["-m", "benchmarks.training", "--only", name, "--out", str(out), *short]
        return Part(name, command, limit)

    calls = Part("calls", ["-m", "benchmarks.gpu.calls"], 60)
    if rehearse:
        tests = ["-c", WITHOUT, *PYTEST[2:], "-p", "no:nbval", "--collect-only", "tests/course_lib"]
        return [
            [calls],
            [Part("tests", tests, 120)],
            [lesson("02-vae", 300)],
            [training("speed", 300)],
            [training("sampling", 300)],
        ]
    return [
        [calls, Part("tests", [*PYTEST, "tests/course_lib"], 120), *(lesson(name, 120) for name in FIRST)],
        [training("speed", 160)],
        [training("sampling", 100)],
        [lesson(name, 170) for name in others],
    ]


def run(parts: list[Part], log: Path, environment: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the parts at once; as each ends: exit status, seconds, whether it was ended, its JSON, the end of its output.

    The whole output goes into `log`.
    """
    running = []
    for part in parts:
        output = log.parent / "parts" / f"{part.name}.log"
        with output.open("w") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *part.command],
                cwd=ROOT,
                env=os.environ | environment | ({"OMP_NUM_THREADS": str(THREADS)} if len(parts) > 1 else {}),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running.append((part, process, output, started))
    while running:
        for entry in list(running):
            part, process, output, started = entry
            seconds = time.perf_counter() - started
            ended = process.poll() is None and seconds > part.limit
            if ended:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.poll() is not None:
                running.remove(entry)
                yield part.name, _outcome(part, process.returncode, seconds, ended, output, log)
        time.sleep(0.1)


def _outcome(part: Part, code: int, seconds: float, ended: bool, output: Path, log: Path) -> dict[str, Any]:
    text = output.read_text(errors="replace")
    with log.open("a") as file:
        file.write(f"\n===== {part.name}: exit {code} after {seconds:.0f} s\n{text}")
    last = [line.strip(" =")[:500] for line in text.strip().splitlines()[-12:]]
    found = {"exit": code, "seconds": round(seconds, 1), "ended by its limit": ended, "last": last}
    if part.result and part.result.exists():
        found["result"] = json.loads(part.result.read_text())
    return found
