"""A lesson's source, cell after cell, on the pretended GPU, with runs of two steps, chains of three, and no drawing.

Each step asks the device for the same operations as the one before, and a picture is drawn of numbers that have left
it: `plots` and matplotlib took them over when the figure was made.
"""

import os
from functools import wraps
from itertools import islice

import jupytext
import torch
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt
from torch.utils._python_dispatch import _disable_current_modes

import course_lib
from autograder.sandbox.pretend_gpu import NAME, OnGpu, pretend_gpu
from course_lib import chains, exact, film, picture, training

STEPS = 2  # of a run
WALKED = [0, 1, -1]  # the steps of a chain that are taken


def run_lesson(path: str) -> list[str]:
    """One line for each cell that fails. Whoever calls it keeps the process for nothing else."""
    os.environ |= {"COURSE_DEVICE": NAME, "COURSE_BUDGET": "short", "COURSE_PROGRESS": "off"}
    os.environ |= {"COURSE_WIDGETS": "static"}
    hurry()
    InteractiveShell.clear_instance()
    shell, failures = InteractiveShell.instance(), []
    with pretend_gpu():
        for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells):
            if cell.cell_type == "code":
                done = shell.run_cell(cell.source, store_history=False)
                error = done.error_before_exec or done.error_in_exec
                if error is not None:
                    failures.append(f"cell {number}: {type(error).__name__}: {str(error)[:300]}")
    moved = [name for name, value in shell.user_ns.items() if isinstance(value, OnGpu)]
    return failures if moved else [*failures, "nothing was computed there"]


def hurry() -> None:
    """From here on runs and chains are short, and figures are closed where they would be drawn."""
    course_lib.chain = chains.chain = hurried(chains.chain)
    course_lib.fit = training.fit = briefly(training.fit)
    empty, size = picture.render(plt.figure(figsize=(1, 1)))

    def render(fig, **options):
        plt.close(fig)
        return empty, size

    film.render = picture.render = render
    play = film.play
    film.play = wraps(play)(lambda frames, alt, **options: play(islice(frames, 2), alt, **options))
    exact.sampled_law = outside(exact.sampled_law)


def outside(function):
    """`function`, for numbers of the CPU alone, without the mode that looks at each operation; tensors of the device
    look at their operations by themselves, and nothing can be made there meanwhile.
    """

    @wraps(function)
    def called(*args, **options):
        with _disable_current_modes():
            return function(*args, **options)

    return called


def briefly(fit):
    """`fit` for `STEPS` steps."""

    @wraps(fit)
    def run(*args, steps, **options):
        return fit(*args, steps=min(steps, STEPS), **options)

    return run


def hurried(chain):
    """`chain` along `WALKED` of its times."""

    @wraps(chain)
    def walk(step, x, times, *, keep=(), **options):
        times = torch.as_tensor(times)
        if len(times) > len(WALKED):
            times, keep = times[WALKED], [min(place, len(WALKED)) for place in keep]
        return chain(step, x, times, keep=keep, **options)

    return walk
