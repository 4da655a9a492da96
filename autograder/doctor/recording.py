"""What a lesson costs: its notebook is run as a student sees it solved, on one thread, and nothing of it is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from nbformat.v4 import new_code_cell

from course_lib.doctor.pace import Cost
from course_lib.doctor.timing import CPU, seconds_per_step

from ..builder.assemble import Assembled, assemble
from ..builder.execution import execute
from ..builder.source import Lesson, read_lesson

# The first cell of the run: `fit` adds up the processor time it takes.
OPENING = """
import functools, time
import course_lib, course_lib.training
spent_in_fit = [0.0]
def _timed(fit):
    @functools.wraps(fit)
    def timed(*args, **kwargs):
        started = time.process_time()
        try:
            return fit(*args, **kwargs)
        finally:
            spent_in_fit[0] += time.process_time() - started
    return timed
course_lib.fit = course_lib.training.fit = _timed(course_lib.training.fit)
course_lib.spent_in_fit = spent_in_fit
"""
# The last one: seconds in all, from the start of the process; seconds in `fit`; the most memory, in KiB on Linux.
CLOSING = """
import json, resource, time, course_lib
print(json.dumps([time.process_time(), course_lib.spent_in_fit[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def record(source: Path, root: Path, on_cell: Callable[[int, int], None] = lambda position, line: None) -> Cost:
    """The cost of the lesson at `source`, with every step of its training and on the CPU alone.

    Raises LessonError where a cell fails.
    """
    lesson = read_lesson(source, root)
    made = timed(lesson)
    before = calibrate()
    execute(lesson, made, on_cell)
    step = (before + calibrate()) / 2
    total, training, memory = json.loads(made.notebook.cells[-1].outputs[-1].text)
    return Cost(round((total - training) / step), round(training / step), round(memory / 1024))


def timed(lesson: Lesson) -> Assembled:
    """The notebook without the hidden checks, which no student runs, between the two cells that measure."""
    made = assemble(lesson, {})
    cells = [new_code_cell(OPENING), *made.notebook.cells, new_code_cell(CLOSING)]
    made.notebook.cells = cells
    return replace(made, lines=(1, *made.lines, 1))


def calibrate() -> float:
    """Seconds of processor time per calibration step, on one thread: other programs do not count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return seconds_per_step(CPU, clock=time.process_time)
    finally:
        torch.set_num_threads(threads)
