"""Run a lesson with its solutions from top to bottom, and say how long each cell took and which failed.

python -m benchmarks.gpu.lesson solutions/06-sampling/sampling.ipynb RESULT.json
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from IPython.core.interactiveshell import InteractiveShell

import course_lib


def run(path: Path, result: Path) -> dict[str, Any]:
    """Execute the code cells in one namespace; a failing cell does not stop the others.

    The result is written after each cell: seconds of the cells, failures, steps and seconds of each training run.
    """
    mpl.use("Agg")
    os.environ.setdefault("COURSE_PROGRESS", "off")
    os.environ.setdefault("COURSE_WIDGETS", "static")
    device = course_lib.get_device()
    runs = _watched_runs()
    found: dict[str, Any] = {"device": str(device), "cells": [], "failures": [], "runs": runs, "seconds": 0.0}
    shell = InteractiveShell.instance()
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        started = time.perf_counter()
        done = shell.run_cell("".join(cell["source"]), store_history=False)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
        found["cells"].append([number, round(seconds, 3)])
        found["seconds"] += seconds
        error = done.error_before_exec or done.error_in_exec
        if error is not None:
            found["failures"].append(f"cell {number}: {type(error).__name__}: {str(error)[:500]}")
        found["there"] = sum(
            isinstance(value, torch.Tensor) and value.device.type == device.type for value in shell.user_ns.values()
        )
        result.write_text(json.dumps(found))
    return found


def _watched_runs() -> list[dict[str, Any]]:
    """A list that grows by each call of the course's `fit`: its steps, seconds and label."""
    runs: list[dict[str, Any]] = []
    plain = course_lib.fit

    def fit(*arguments: Any, **options: Any) -> Any:
        history = plain(*arguments, **options)
        steps = len(history.losses)
        runs.append({"label": options.get("label", "loss"), "steps": steps, "seconds": round(history.seconds, 3)})
        return history

    course_lib.fit = fit
    return runs


if __name__ == "__main__":
    outcome = run(Path(sys.argv[1]), Path(sys.argv[2]))
    print(*outcome["failures"], sep="\n", file=sys.stderr)
    sys.exit(bool(outcome["failures"]))
