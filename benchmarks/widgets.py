"""What a drag costs: processor time from a slider's new value to the new picture, for every widget of every lesson.

    python -m benchmarks.widgets            all lessons, some minutes of processor time
    python -m benchmarks.widgets 07-score   some; the others keep their rows

Each lesson's solution notebook runs in a process of its own, on one thread and with short training: a widget draws the
same network, trained or not. Where it shows a widget, that is redrawn by what a drag calls, `widgets.Drawing`, at
values all over its controls: first each at its ends, then all at random. Processor time counts, so that other programs
on the machine count little, though not for nothing: the load stands beside the figures, which go to
benchmarks/results/widgets.{json,md}.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

from course_lib import widgets

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
GOAL = 100.0  # milliseconds from drag to picture
RANDOM_PLACES, TIMES = 8, 2


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time of one widget's redraws: the middle one and the dearest, and what was dearest."""

    lesson: str
    widget: str
    redraws: int
    middle: float
    dearest: float
    at: str


def places(sliders: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Values for the controls: the defaults, each control at its ends, and all of them at random."""
    options = {name: _options(spec) for name, spec in sliders.items()}
    default = {name: few[0] for name, (few, _) in options.items()}
    yield default
    for name, (few, _) in options.items():
        for value in few[1:]:
            yield default | {name: value}
    chance = random.Random(0)
    for _ in range(RANDOM_PLACES):
        yield {name: draw(chance) for name, (_, draw) in options.items()}


def _options(spec: Any) -> tuple[list[Any], Callable[[random.Random], Any]]:
    """A control's default and its ends, and a random value of it."""
    if isinstance(spec, bool):
        return [spec, not spec], lambda chance: chance.random() < 0.5
    if isinstance(spec, list):
        return list(dict.fromkeys([spec[0], spec[-1]])), lambda chance: chance.choice(spec)
    if isinstance(spec, tuple):
        low, high, default = spec
        whole = all(isinstance(value, int) for value in spec)
        few = list(dict.fromkeys([default, low, high]))
        return few, lambda chance: chance.randint(low, high) if whole else chance.uniform(low, high)
    return [spec.value], lambda chance: spec.value  # a ready control


def costs_of(lesson: str) -> list[Cost]:
    """Run the lesson's solution notebook here and redraw every widget that it shows."""
    found: list[Cost] = []

    def explore(draw: Callable[..., Any], *, alt: str = "", **sliders: Any) -> None:
        everywhere = list(places(sliders))
        drawing = widgets.Drawing(draw, everywhere[0])  # what stands there before anybody drags
        spent: list[tuple[float, dict[str, Any]]] = []
        for values in TIMES * everywhere:
            before = time.process_time()
            drawing(values)
            gc.collect(0)  # of what the figure leaves behind: the collector waits while it is drawn
            spent.append((1e3 * (time.process_time() - before), values))
        dearest, values = max(spent, key=lambda pair: pair[0])
        at = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
        )
        name = getattr(draw, "__name__", "draw")
        found.append(Cost(lesson, name, len(spent), statistics.median(pair[0] for pair in spent), dearest, at))

    widgets.explore = explore  # type: ignore[assignment]
    (path,) = (ROOT / "solutions" / lesson).glob("*.ipynb")
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not cell.source.startswith("from autograder import grade"):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(ast.parse(cell.source), f"{path.name}, {cell.id}", "exec"), scope)
    return found


def measured(lesson: str) -> list[Cost]:
    """`costs_of` in a process of its own."""
    environment = os.environ | {"COURSE_BUDGET": "short", "COURSE_PROGRESS": "off", "MPLBACKEND": "agg"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = "1"
    command = [sys.executable, "-m", "benchmarks.widgets", "--here", lesson]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [Cost(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def processor() -> str:
    """The processor's name, where Linux tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def as_text(costs: list[Cost], machine: str, load: float) -> str:
    """The table, and how many widgets meet the goal."""
    within = sum(cost.middle <= GOAL for cost in costs)
    lines = [
        "# What a drag costs",
        "",
        f"Milliseconds of processor time from a control's new value to the new picture, one thread, {machine}. "
        f"{load:.0f} processes wanted {os.cpu_count()} cores meanwhile, which makes even processor time longer. "
        f"{within} of {len(costs)} widgets meet the goal of {GOAL:.0f} in the middle of their redraws. Made by "
        "`python -m benchmarks.widgets`.",
        "",
        "| lesson | widget | redraws | middle | dearest | where |",
        "|---|---|---|---|---|---|",
        *(f"| {c.lesson} | `{c.widget}` | {c.redraws} | {c.middle:.0f} | {c.dearest:.0f} | {c.at} |" for c in costs),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """`python -m benchmarks.widgets [LESSON…]`."""
    parser = argparse.ArgumentParser(description="Processor time of every widget's redraw.")
    parser.add_argument("lessons", nargs="*", help="such as 07-score; all by default")
    parser.add_argument("--here", metavar="LESSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps([asdict(cost) for cost in costs_of(options.here)]))
        return
    path = RESULTS / "widgets.json"
    every = sorted(notebook.parent.name for notebook in (ROOT / "solutions").glob("*/*.ipynb"))
    chosen = options.lessons or every
    kept = json.loads(path.read_text(encoding="utf-8"))["costs"] if options.lessons and path.exists() else []
    costs = [Cost(**row) for row in kept if row["lesson"] not in chosen]
    for lesson in chosen:
        costs += measured(lesson)
    costs.sort(key=lambda cost: cost.lesson)
    machine, load = processor(), os.getloadavg()[2]  # over a quarter of an hour
    RESULTS.mkdir(exist_ok=True)
    written = {"processor": machine, "load": load, "costs": [asdict(cost) for cost in costs]}
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    text = as_text(costs, machine, load)
    (RESULTS / "widgets.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
