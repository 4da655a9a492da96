"""A lesson's source, cell after cell, on the pretended GPU and with short training.

    python -P tests/lesson_there.py solutions/06-sampling/sampling.py

Exit status 1 and a line for each cell that fails.
"""

import os
import sys

import jupytext
from IPython.core.interactiveshell import InteractiveShell

from autograder.sandbox.pretend_gpu import NAME, OnGpu, pretend_gpu


def run_lesson(path: str) -> list[str]:
    """One line for each cell that fails."""
    shell, failures = InteractiveShell.instance(), []
    with pretend_gpu():
        for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells):
            if cell.cell_type == "code":
                done = shell.run_cell(cell.source, store_history=False)
                error = done.error_before_exec or done.error_in_exec
                if error is not None:
                    failures.append(f"cell {number}: {type(error).__name__}: {str(error)[:300]}")
    moved = [name for name, value in shell.user_ns.items() if isinstance(value, OnGpu)]
    print(f"{len(moved)} names stand for tensors there", file=sys.stderr)
    return failures if moved else [*failures, "nothing was computed there"]


if __name__ == "__main__":
    os.environ |= {
        "COURSE_DEVICE": NAME,
        "COURSE_BUDGET": "short",
        "COURSE_PROGRESS": "off",
        "COURSE_WIDGETS": "static",
    }
    found = run_lesson(sys.argv[1])
    print(*found, sep="\n", file=sys.stderr)
    sys.exit(bool(found))
