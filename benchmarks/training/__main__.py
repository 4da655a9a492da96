"""Measure training and sampling beside other libraries; see `--help`."""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from benchmarks.training import figure, quality, report, results, sampling, speed
from benchmarks.training.clock import machine, versions
from benchmarks.training.diffusion import Diffusion, Plan
from benchmarks.training.peers import available
from course_lib import data, get_device

PARTS = ("speed", "sampling", "quality")
RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Measure the parts asked for, then write the page and the figure of all parts there are."""
    options = _options()
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - started:6.0f} s] {text}", file=sys.stderr, flush=True)

    torch.set_num_threads(options.threads)
    device = torch.device(options.device) if options.device else get_device()
    os.environ["COURSE_DEVICE"] = str(device)
    if device.type == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"  # lucidrains' Trainer asks accelerate, which would take a GPU
    loops, missing = available()
    for name, why in missing.items():
        say(f"{name} is left out: {why}")
    diffusion = Diffusion.linear(200, 5e-4, 0.1, device)
    plan = partial(Plan, diffusion, batch_size=sampling.BATCH[options.quick])
    images, held_out = _digits("train", device), _digits("test", device)
    whole = 4 if options.quick else len(images) // plan(1).batch_size
    images = images[: whole * plan(1).batch_size]  # whole batches, so that all see the same
    path = options.out / "training.json"

    def part(name: str, **settings: object) -> results.Part:
        identity = {"machine": machine(device), "versions": versions(), "missing": missing}
        settings = {**plan(1).describe(), "examples": len(images), "dtype": str(images.dtype), **settings}
        return results.Part.open(path, name, {**identity, "settings": settings}, options.again)

    quick = options.quick
    if "speed" in options.only:
        speed.measure(part("speed", quick=quick), loops, images, plan, quick, options.rounds, say)
    if "sampling" in options.only:
        here = part("sampling", quick=quick, schedule="beta 0.0001 to 0.02")
        sampling.measure(here, images, "diffusers" in loops, quick, options.rounds, say)
    if "quality" in options.only:
        here = part("quality", steps=options.steps)
        quality.measure(here, loops, images, held_out, plan, options.steps, options.seeds, say)
    content = results.read(path)
    page = report.page(content)
    (options.out / "training.md").write_text(page)
    figure.draw(content, options.out / "training.png")
    say(f"written to {options.out}")
    print(page)


def _digits(split: str, device: torch.device) -> torch.Tensor:
    """(N, 1, 8, 8) from -1 to 1."""
    images = data.digits(split, flat=False, range=(-1, 1), device=device)
    assert isinstance(images, torch.Tensor)  # as no labels were asked for
    return images


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure (default: all)")
    parser.add_argument("--quick", action="store_true", help="a try-out in a temporary folder, with useless numbers")
    parser.add_argument("--seeds", type=int, help="for quality (default 5; quick: 2)")
    parser.add_argument("--steps", type=int, help="of the longest runs for quality (default 1000; quick: 40)")
    parser.add_argument("--rounds", type=int, help="for speed and sampling (default 6 and 8; quick: 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch's (default: one per core)")
    parser.add_argument("--device", help="default: the course's choice")
    parser.add_argument("--out", type=Path, help="folder for training.json, .md and .png (default: benchmarks/results)")
    parser.add_argument("--again", action="store_true", help="measure anew; otherwise an interrupted part is continued")
    options = parser.parse_args()
    options.seeds = options.seeds or (2 if options.quick else 5)
    options.steps = options.steps or (40 if options.quick else 1000)
    if options.out is None:
        options.out = Path(tempfile.mkdtemp(prefix="benchmark-")) if options.quick else RESULTS
    if options.steps < 4 or options.seeds < 1:
        parser.error("--steps must be at least 4 and --seeds at least 1")
    return options


if __name__ == "__main__":
    main()
