"""The pictures that lessons end with: 28x28 digits by the lesson's own code, its switch set.

    python -m benchmarks.prizes             of all that have a switch: some minutes on two cores, seconds on a GPU
    python -m benchmarks.prizes 02-vae

Each lesson's solution runs in a process of its own, without its experiments, up to the cell below the switch `LARGE`.
What that cell shows is written beside the lesson's source, under the names of the pictures in the lesson's text, in the
order of both; `course build` puts them into the notebooks. Checkpoints lie in build/prizes, so that a run that was
stopped goes on. Printed at the end: processor time, wall time, and what the cell itself says.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from autograder.builder.kept import kept_names
from autograder.builder.source import Lesson, find_lessons, read_lesson
from course_lib import film, picture

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINTS = ROOT / "build" / "prizes"
SWITCH = "LARGE = False"


def prize_of(lesson: Lesson) -> list[bytes]:
    """Run the lesson here with its switch set; the pictures that the cell below the switch displays."""
    code = [cell for cell in lesson.cells if cell.is_code]
    (switch,) = [position for position, cell in enumerate(code) if cell.source.startswith(SWITCH)]
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in code[:switch]:
        if not cell.is_experiment and cell.kind != "checks":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, lesson.shown, "exec"), scope)
    shown: list[bytes] = []

    def keep(image: bytes, size: tuple[int, int], alt: str) -> None:
        shown.append(image)
        print(alt)

    picture.display_png = film.display_png = keep
    exec(compile(code[switch].source.replace(SWITCH, "LARGE = True"), lesson.shown, "exec"), scope)
    exec(compile(code[switch + 1].source, lesson.shown, "exec"), scope)
    return shown


def write(lesson: Lesson) -> None:
    """Make the lesson's pictures here, in a folder for checkpoints, and write them beside its source."""
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    os.chdir(CHECKPOINTS)
    began, wall = time.process_time(), time.perf_counter()
    pictures = prize_of(lesson)
    spent = f"{time.process_time() - began:.0f} s of processor time, {time.perf_counter() - wall:.0f} s in all"
    names = kept_names("\n".join(cell.source for cell in lesson.cells if not cell.is_code))
    for name, image in zip(names, pictures, strict=True):
        (lesson.path.parent / name).write_bytes(image)
        print(f"{lesson.lesson}/{name}: {len(image) / 1000:.0f} kB")
    print(f"{lesson.lesson}: {spent}")


def main() -> None:
    """`python -m benchmarks.prizes [LESSON…]`."""
    parser = argparse.ArgumentParser(description="The pictures that lessons end with.")
    parser.add_argument("lessons", nargs="*", help="such as 02-vae; all that have a switch if none is named")
    parser.add_argument("--here", metavar="LESSON", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        (source,) = find_lessons(ROOT, [options.here])
        write(read_lesson(source, ROOT))
        return
    switched = [path.parent.name for path in find_lessons(ROOT) if SWITCH in path.read_text(encoding="utf-8")]
    for name in options.lessons or switched:
        environment = os.environ | {"COURSE_WIDGETS": "static", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "benchmarks.prizes", "--here", name]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
