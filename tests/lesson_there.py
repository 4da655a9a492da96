"""A lesson's source, cell after cell, on the pretended GPU, with runs of two steps, chains and loops of three, and no
drawing.

Each step asks the device for the same operations as the one before, and a picture is drawn of numbers that have left
it: `plots` and matplotlib took them over when the figure was made.
"""

import ast
import os
from collections.abc import Iterable
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
WALKED = [0, 1, -1]  # the steps of a chain, and the rounds of a loop in an experiment, that are taken
MANY = 8  # rounds: loops with fewer go over cases, of which each may be another
MOST = 100_000  # rounds of a loop that would never end by itself


def run_lesson(path: str, whole: bool = False) -> list[str]:
    """One line for each cell that fails. Whoever calls it keeps the process for nothing else."""
    os.environ |= {"COURSE_DEVICE": NAME, "COURSE_BUDGET": "short", "COURSE_PROGRESS": "off"}
    os.environ |= {"COURSE_WIDGETS": "static"}
    hurry()
    InteractiveShell.clear_instance()
    shell, failures, loops = InteractiveShell.instance(), [], Loops()
    shell.ast_transformers.append(loops)
    shell.user_ns[Loops.NAME] = loops.rounds
    with pretend_gpu():
        for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells):
            if cell.cell_type == "code":
                loops.short = not whole and "experiment" in cell.metadata.get("tags", [])
                error = error_of(shell, cell.source)
                if error and loops.short:
                    loops.short = False
                    forget(shell.user_ns)
                    error = error_of(shell, cell.source)
                if error:
                    failures.append(f"cell {number}: {type(error).__name__}: {str(error)[:300]}")
    moved = [name for name, value in shell.user_ns.items() if isinstance(value, OnGpu)]
    return failures if moved else [*failures, "nothing was computed there"]


def error_of(shell: InteractiveShell, source: str) -> BaseException | None:
    done = shell.run_cell(source, store_history=False)
    return done.error_before_exec or done.error_in_exec


def forget(names: dict) -> None:
    """Empty the caches of a lesson's functions: what short loops have left there is no result."""
    for value in names.values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


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


class Loops(ast.NodeTransformer):
    """Shortens a lesson's loops, in whichever cell they were written, while an experiment runs; checks are left whole.

    A loop that fills a list or a table is left whole, too. Where an experiment needs all rounds of another, it fails,
    and is run again with whole loops.
    """

    NAME = "rounds_there"

    def __init__(self) -> None:
        self.short = False

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        if not any(map(fills, ast.walk(node))):
            node.iter = ast.Call(ast.Name(self.NAME, ast.Load()), [node.iter], [])
        return ast.fix_missing_locations(node)

    def rounds(self, values: Iterable) -> Iterable:
        if not self.short:
            return values
        values = list(islice(values, MOST))
        return values if len(values) <= MANY else [values[place] for place in WALKED]


def fills(part: ast.AST) -> bool:
    """Whether this part of a loop adds to a list, or stores under a name, as under a key."""
    if isinstance(part, ast.Attribute):
        return part.attr == "append"
    return isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store) and isinstance(part.slice, ast.Name)
