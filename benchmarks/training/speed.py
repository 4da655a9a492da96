"""Steps per second: every contender in every round, so that a slow minute of the machine meets all of them."""

import random
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.training import limit
from benchmarks.training.clock import quartiles, spent
from benchmarks.training.diffusion import Plan
from benchmarks.training.loops import Loop
from benchmarks.training.network import new_network
from benchmarks.training.results import Part

EPOCHS = {False: (1, 16), True: (1, 2)}  # of the short and of the long call; the key says whether it is a quick run
ROUNDS = {False: 6, True: 1}
ON_CARD = (3, 8)  # both long enough for `fit` to record its step, and short, as the slowest peer is 30 times slower


def measure(
    part: Part,
    loops: dict[str, Loop],
    images: Tensor,
    plan: Callable[[int], Plan],
    quick: bool,
    rounds_asked: int | None,
    say: Callable,
) -> None:
    """Call each loop for a few epochs and for many, round after round.

    A step costs (time of the long call - time of the short call) / (difference in steps): what a library does once,
    such as starting worker processes or capturing a graph, is reported on its own and is no part of a step.
    """
    batches = len(images) // plan(1).batch_size
    few, many = (epochs * batches for epochs in (ON_CARD if images.is_cuda and not quick else EPOCHS[quick]))
    contenders = {**loops, **limit.limits(images.device)}
    if "limit" not in part.data:
        say("speed: limits of the machine")
        part.data["limit"] = limit.describe(images, plan(1), 5 if quick else 30)
        part.data["operators"] = {
            name: limit.operators_per_step(loop, images[: plan(4).batch_size * 4], plan, 4, 8)  # an epoch, and two
            for name, loop in contenders.items()
            if not name.startswith("graph")
        }
        part.data["steps"], part.data["rounds"] = [few, many], []
        part.save()
    for name, loop in contenders.items():
        say(f"speed: warming up {name}")
        loop(new_network(0, images.device), images, plan(3), 0)
    rounds = part.data["rounds"]
    total = rounds_asked or ROUNDS[quick]
    for number in range(len(rounds), total):
        names = list(contenders)
        random.Random(number).shuffle(names)
        taken = {}
        for name in names:
            calls = []
            for steps in (few, many):
                work = partial(contenders[name], new_network(0, images.device), images, plan(steps), 0)
                calls.append(spent(work, images.device))
            taken[name] = [call._asdict() for call in calls]
            say(f"speed: round {number + 1} of {total}, {name}: {many / calls[1].wall:.1f} steps/s")
        rounds.append(taken)
        part.save()


def summarise(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per contender, medians over the rounds with their quartiles, and the ratio to the plain loop in each round."""
    few, many = data["steps"]
    result = {}

    def step_ms(taken: dict[str, Any], name: str, kind: str) -> float:
        short, long = taken[name]
        return 1e3 * (long[kind] - short[kind]) / (many - few)

    for name in data["rounds"][0]:
        rounds = data["rounds"]
        wall = [step_ms(taken, name, "wall") for taken in rounds]
        ratio = [step_ms(taken, name, "wall") / step_ms(taken, "plain", "wall") for taken in rounds]
        first, last = quartiles(wall)
        low, high = quartiles(ratio)
        middle = statistics.median(wall)
        result[name] = {
            "step_ms": middle,
            "step_ms_quartiles": [first, last],
            "step_cpu_ms": statistics.median(step_ms(taken, name, "cpu") for taken in rounds),
            "steps_per_second": 1e3 / middle,
            "start_seconds": statistics.median(taken[name][0]["wall"] for taken in rounds) - few * middle / 1e3,
            "time_over_plain": statistics.median(ratio),
            "time_over_plain_quartiles": [low, high],
            "operators": data["operators"].get(name),
        }
    return result
