"""`python -m benchmarks.samplers`: walk everything; write benchmarks/results/samplers.json, docs/samplers.md, figures.

In the environment that benchmarks/samplers/requirements.txt describes; some minutes on one core, no GPU, no downloads.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from . import cases, figure, report, table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("diffusers", "azula", "k-diffusion", "torch", "numpy", "scipy")


def main() -> None:
    """Everything, from nothing."""
    argparse.ArgumentParser(prog="python -m benchmarks.samplers", description=__doc__).parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    import diffusers

    diffusers.logging.set_verbosity_error()
    results = table.everything()
    found = {
        "last step": cases.last_step(),
        "no last step": cases.no_last_step(),
        "fifteenth step": cases.fifteenth_step(),
        "first time": cases.first_time(),
        "one time too many": cases.twice_at_the_end(),
        "clipped": cases.clipped(),
        "exponential end": cases.exponential_end(),
        "calls": cases.calls(),
    }
    versions = {name: version(name) for name in PACKAGES}
    written = {
        "versions": versions,
        "variances": table.VARIANCES,
        "grid": table.GRID,
        "samplers": [
            {"library": library, "name": name, "runs": [_written(run, runs) for run in runs]}
            for (library, name), runs in results.items()
        ],
        "cases": found,
    }
    path = ROOT / "benchmarks" / "results" / "samplers.json"
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs" / "samplers.md").write_text(report.as_text(results, found, versions), encoding="utf-8")
    figure.save(results, ROOT / "docs")


def _written(run: table.Run, runs: list[table.Run]) -> dict[str, Any]:
    """A run for the results file; with the fine grid where the page speaks of it."""
    row = asdict(run)
    if run not in [table.within(runs, budget) for budget in table.BUDGETS]:
        del row["grid"]
    return row


if __name__ == "__main__":
    main()
