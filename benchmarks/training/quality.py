"""What equal steps give: held-out loss, and samples beside held-out digits, over several seeds."""

import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

from benchmarks.training.clock import spent
from benchmarks.training.diffusion import Plan, held_out_loss
from benchmarks.training.loops import Loop
from benchmarks.training.network import new_network
from benchmarks.training.results import Part
from benchmarks.training.samplers import Chain
from course_lib import metrics

TARGET = 0.095  # held-out loss that is reached about half way through a run of 1,000 steps
LEFT_OUT = ("tutorial",)  # trains like "plain", step for step
Run = dict[str, Any]


def measure(
    part: Part,
    loops: dict[str, Loop],
    images: Tensor,
    held_out: Tensor,
    plan: Callable[[int], Plan],
    steps: int,
    seeds: int,
    say: Callable,
) -> None:
    """Train every contender for a quarter, half and all of `steps` with every seed; judge the longest runs' samples.

    The learning rate falls to 0 in each of them, so each is a whole run, as somebody with that much time would do it.
    A contender's network starts from the same weights as the others' with that seed, and all are sampled with the
    same chain from the same noise.
    """
    runs = part.data.setdefault("runs", [])
    done = {(run["contender"], run["seed"], run["steps"]) for run in runs}
    loops = {name: loop for name, loop in loops.items() if name not in LEFT_OUT}
    if "reference" not in part.data:
        part.data["reference"] = judge(images[: len(held_out)], held_out)
        part.save()
    for name, loop in loops.items():
        say(f"quality: warming up {name}")
        loop(new_network(0, images.device), images, plan(3), 0)
    for seed in range(seeds):
        for count in (steps // 4, steps // 2, steps):
            for name, loop in loops.items():
                if (name, seed, count) in done:
                    continue
                network, task = new_network(seed, images.device), plan(count)
                took = spent(partial(loop, network, images, task, seed), images.device)
                loss = held_out_loss(network, task.diffusion, held_out)
                run = {"contender": name, "seed": seed, "steps": count, "held_out": loss, **took._asdict()}
                if count == steps:
                    run |= judge(draw(network, task, held_out, seed), held_out)
                runs.append(run)
                part.save()
                say(f"quality: seed {seed}, {name}, {count} steps: held-out loss {loss:.4f} after {took.wall:.1f} s")


def draw(network: nn.Module, plan: Plan, like: Tensor, seed: int) -> Tensor:
    """As many samples as `like` has images, by the chain of all T steps."""
    torch.manual_seed(1000 + seed)
    return Chain.ddpm(plan.diffusion).plain(network, torch.randn_like(like))


def judge(samples: Tensor, held_out: Tensor) -> dict[str, float]:
    """Kernel distance to the held-out digits and accuracy of the two-sample test; 0 and 0.5 are perfect.

    The bandwidth is a third of the median distance between held-out digits: one for all samples.
    """
    bandwidth = torch.pdist(held_out.flatten(1).double()).median().item() / 3
    distance = metrics.kernel_distance(samples, held_out, bandwidth)
    accuracy = metrics.two_sample_accuracy(held_out, samples)
    return {"kernel": distance.value, "kernel_null95": distance.null95, "two_sample": accuracy.value}


def seconds_to(target: float, runs: list[Run]) -> float | None:
    """Seconds of the shortest run that would reach `target`, from one seed's runs of different lengths.

    Between two lengths the loss is taken to be straight in the logarithm of the time. None if no run reaches it; the
    shortest run's own time if that one does.
    """
    before: Run | None = None
    for run in sorted(runs, key=lambda r: r["steps"]):
        if run["held_out"] <= target:
            if before is None:
                return run["wall"]
            share = (before["held_out"] - target) / (before["held_out"] - run["held_out"])
            return math.exp(math.log(before["wall"]) * (1 - share) + math.log(run["wall"]) * share)
        before = run
    return None


def summarise(data: dict[str, Any], target: float = TARGET) -> dict[str, dict[str, Any]]:
    """Per contender: mean and standard error over the seeds, and ours minus its value, seed by seed."""
    runs = data["runs"]
    most = max(run["steps"] for run in runs)
    names = list(dict.fromkeys(run["contender"] for run in runs))
    last = {name: {r["seed"]: r for r in runs if r["contender"] == name and r["steps"] == most} for name in names}
    result: dict[str, dict[str, Any]] = {}
    for name in names:
        seeds = sorted(set(last[name]) & set(last["ours"]))
        row: dict[str, Any] = {"seeds": len(seeds), "steps": most}
        for what in ("held_out", "kernel", "two_sample"):
            row[what] = mean_and_error([last[name][seed][what] for seed in seeds])
            row[f"{what}_ours_minus"] = mean_and_error([last["ours"][s][what] - last[name][s][what] for s in seeds])
        mine = [run for run in runs if run["contender"] == name]
        times = [seconds_to(target, [run for run in mine if run["seed"] == seed]) for seed in seeds]
        reached = [seconds for seconds in times if seconds is not None]
        row["target_reached"] = len(reached)
        row["seconds_to_target"] = mean_and_error(reached) if len(reached) == len(times) else None
        row["curve"] = []
        for count in sorted({run["steps"] for run in mine}):
            here = [run for run in mine if run["steps"] == count]
            seconds = statistics.median(run["wall"] for run in here)
            row["curve"].append([count, seconds, *mean_and_error([run["held_out"] for run in here])])
        result[name] = row
    return result


def worse(difference: tuple[float, float], seeds: int) -> bool:
    """Whether a difference is positive beyond chance: Student's t, one-sided, 1% (there are many comparisons)."""
    mean, error = difference
    if seeds < 2:
        return False
    return mean > float(stats.t.ppf(0.99, seeds - 1)) * error


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error; nan for the error of one value."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.mean(values), error
