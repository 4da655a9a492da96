"""Samples per second of 1,000-step DDPM and 50-step DDIM, beside diffusers' schedulers on the same network.

On a card "ours" is a first walk, which records its step, and "ours, later" one that finds the recording.
"""

import random
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.training.clock import quartiles, spent
from benchmarks.training.diffusion import Diffusion, Plan
from benchmarks.training.limit import Operators
from benchmarks.training.loops import ours
from benchmarks.training.network import new_network
from benchmarks.training.results import Part
from benchmarks.training.samplers import Chain, diffusers_ddim, diffusers_ddpm, forwards
from course_lib.training.kept import KEPT

# The key says whether it is a quick run.
STEPS = {False: 1000, True: 20}
BATCH = {False: 64, True: 8}
DDIM_STEPS = {False: 50, True: 10}
ROUNDS = {False: 8, True: 1}
LATER = "ours, later"


def measure(part: Part, images: Tensor, peers: bool, quick: bool, rounds_asked: int | None, say: Callable) -> None:
    """Time every sampler in every round, each on the same noise."""
    device, size, ddim_steps = images.device, BATCH[quick], DDIM_STEPS[quick]
    diffusion = Diffusion.linear(STEPS[quick], 1e-4, 0.02, device)
    network = new_network(0, device)
    say("sampling: training the network")
    ours(network, images, Plan(diffusion, 20 if quick else 300, size), 0)  # so that its values are a trained one's
    noise = torch.randn(size, *images.shape[1:], device=device)
    records = device.type == "cuda" or quick  # without a card every walk is like the first
    samplers = _samplers(network, noise, diffusion, ddim_steps, peers, records)
    part.data.setdefault("steps", {"ddpm": diffusion.steps, "ddim": ddim_steps})
    part.data.setdefault("batch", size)
    if "operators" not in part.data:
        part.data["operators"] = {}
        short = Diffusion.linear(ddim_steps, 1e-4, 0.02, device)
        short_samplers = _samplers(network, noise, short, ddim_steps, peers, records)
        for name, sampler in short_samplers.items():  # which also warms them up
            with Operators() as operators:
                sampler()
            part.data["operators"][name] = operators.count / ddim_steps
    rounds = part.data.setdefault("rounds", [])
    total = rounds_asked or ROUNDS[quick]
    for number in range(len(rounds), total):
        names = list(samplers)
        random.Random(number).shuffle(names)
        taken = {}
        for name in names:
            if name.endswith(LATER):
                samplers[name]()  # the walk before the later ones
            taken[name] = _each(samplers[name], diffusion.steps // _steps(part.data, name), device)
        rounds.append(taken)
        part.save()
        rates = ", ".join(f"{name} {size / taken[name]['wall']:.1f}/s" for name in sorted(names))
        say(f"sampling: round {number + 1} of {total}: {rates}")


def _samplers(
    network: nn.Module, noise: Tensor, diffusion: Diffusion, ddim_steps: int, peers: bool, records: bool
) -> dict[str, Callable[[], Tensor]]:
    """Each makes samples of the same noise."""
    samplers: dict[str, Callable[[], Tensor]] = {}
    for kind, steps, chain in (
        ("ddpm", diffusion.steps, Chain.ddpm(diffusion)),
        ("ddim", ddim_steps, Chain.ddim(diffusion, ddim_steps)),
    ):
        ours = chain.ours(network, noise)
        samplers[f"{kind} ours"] = partial(_first, ours, noise)
        if records:
            samplers[f"{kind} {LATER}"] = partial(ours, noise)
        samplers[f"{kind} plain"] = partial(chain.plain, network, noise)
        samplers[f"{kind} network alone"] = partial(forwards, network, noise, steps)
    if peers:
        samplers["ddpm diffusers"] = partial(diffusers_ddpm, network, diffusion, noise)
        samplers["ddim diffusers"] = partial(diffusers_ddim, network, diffusion, noise, ddim_steps)
    return samplers


def _first(walk: Callable[[Tensor], Tensor], noise: Tensor) -> Tensor:
    """A walk that finds no recording."""
    KEPT.clear()
    return walk(noise)


def _each(sampler: Callable[[], Tensor], times: int, device: torch.device) -> dict[str, float]:
    """What one call takes, of so many: all samplers are timed over equally many evaluations of the network."""
    together = spent(lambda: [sampler() for _ in range(times)], device)
    return {"wall": together.wall / times, "cpu": together.cpu / times}


def _steps(data: dict[str, Any], name: str) -> int:
    return data["steps"][name.partition(" ")[0]]


def summarise(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per sampler, the median rate with quartiles, and time per sampler step."""
    result = {}
    for name in sorted(data["rounds"][0]):
        wall = [taken[name]["wall"] for taken in data["rounds"]]
        first, last = quartiles(wall)
        middle = statistics.median(wall)
        steps = _steps(data, name)
        result[name] = {
            "samples_per_second": data["batch"] / middle,
            "samples_per_second_quartiles": [data["batch"] / last, data["batch"] / first],
            "step_ms": 1e3 * middle / steps,
            "step_cpu_ms": 1e3 * statistics.median(taken[name]["cpu"] for taken in data["rounds"]) / steps,
            "operators": data["operators"][name],
        }
    return result
