"""What drawing costs in lesson 03: processor time and arithmetic of 64 digits, by each of its samplers.

    python -m benchmarks.drawing    a minute

The networks are the lesson's own, with the sizes that it trains, untrained: a draw costs the same either way. One
thread; processor time is the least of three runs, since whatever else runs on the machine can only add to it. The
arithmetic is torch's count of multiplications and additions, the same on every machine. Results:
benchmarks/results/drawing.md.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from autograder.builder.source import read_lesson
from benchmarks.widgets import processor

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "drawing.md"
DIGITS, SIDE, LEVELS, RUNS = 64, 8, 17, 3
GOAL = 3.0  # seconds for 64 digits


def lesson() -> dict[str, Any]:
    """What lesson 03 defines, its experiments left out."""
    source = read_lesson(ROOT / "solutions" / "03-autoregressive" / "autoregressive.py", ROOT)
    scope: dict[str, Any] = {"__name__": "__notebook__"}
    for cell in source.cells:
        if cell.is_code and not cell.is_experiment and cell.kind != "checks":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, f"<lesson 03, line {cell.line}>", "exec"), scope)
    return scope


def samplers(names: dict[str, Any]) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """By name, what makes digits (B, 8, 8) of uniform numbers of that shape."""
    torch.manual_seed(0)
    stacks = names["TwoStacks"](LEVELS, SIDE, SIDE, channels=24, depth=3).eval()
    plain = names["PixelCNN"](LEVELS, SIDE, SIDE, channels=32, blocks=3).eval()
    transformer = names["Transformer"](LEVELS + 1, LEVELS, SIDE * SIDE).eval()
    everything, changes, write = names["ancestral_sample"], names["draw"], names["write"]
    return {
        "two stacks, everything again": lambda u: everything(stacks, u),
        "two stacks, what changes": lambda u: changes(stacks, u),
        "PixelCNN, everything again": lambda u: everything(plain, u),
        "PixelCNN, what changes": lambda u: changes(plain, u),
        "transformer, with its cache": lambda u: write(transformer, u.flatten(1)).reshape(u.shape),
    }


def measure(sample: Callable[[torch.Tensor], torch.Tensor], u: torch.Tensor) -> tuple[float, float]:
    """Seconds of processor time, and billions of multiplications and additions."""
    with FlopCounterMode(display=False) as counter:
        sample(u)
    spent = []
    for _ in range(RUNS):
        before = time.process_time()
        sample(u)
        spent.append(time.process_time() - before)
    return min(spent), counter.get_total_flops() / 1e9


def main() -> None:
    """`python -m benchmarks.drawing`."""
    torch.set_num_threads(1)
    u = torch.rand(DIGITS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows = {name: measure(sample, u) for name, sample in samplers(lesson()).items()}
    lines = [
        "# What drawing costs in lesson 03",
        "",
        f"{DIGITS} digits of {SIDE}x{SIDE} pixels, one thread, {processor()}, {os.getloadavg()[0]:.0f} processes for "
        f"{os.cpu_count()} cores meanwhile. The lesson uses the samplers that compute what changes, and the cache; "
        f"each is to take at most {GOAL:g} seconds of processor time. Made by `python -m benchmarks.drawing`.",
        "",
        "| sampler | processor time, seconds | arithmetic, billions |",
        "|---|---|---|",
        *(f"| {name} | {seconds:.2f} | {flops:.2f} |" for name, (seconds, flops) in rows.items()),
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
