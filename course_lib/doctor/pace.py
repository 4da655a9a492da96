"""What each lesson costs, and how long it takes on a machine whose pace is known (`timing` measures it).

What a lesson costs is recorded in `pace.json`, in steps of `timing`'s training run, timed on one thread of the machine
that recorded it. So each lesson's entry stands for itself, whichever machine it comes from. Here

    seconds = other * (seconds per step, CPU, one thread) + training * (seconds per step, the lessons' device)

where `training` is what `fit` takes of a lesson, and `other` the rest: imports, exact computations, figures. On a GPU
this is an upper bound, since larger networks than this one gain more from it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = Path(__file__).with_name("pace.json")


@dataclass(frozen=True)
class Cost:
    """What a lesson takes from top to bottom.

    Attributes:
        other: everything outside `fit`, in calibration steps.
        training: what is spent in `fit`, in calibration steps.
        memory: the most its process ever held, in MiB.
    """

    other: int
    training: int
    memory: int


@dataclass(frozen=True)
class Pace:
    """Seconds per calibration step: on one thread of the CPU, and on the device that lessons train on."""

    single: float
    device: float

    def seconds(self, cost: Cost) -> float:
        """About how long a lesson of that cost takes here."""
        return cost.other * self.single + cost.training * self.device


def read_costs(path: Path = RECORD) -> dict[str, Cost]:
    """What was recorded, by lesson. Raises OSError or ValueError where the record cannot be read."""
    try:
        return {lesson: Cost(**cost) for lesson, cost in json.loads(path.read_text(encoding="utf-8")).items()}
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no record of lessons' costs: {error}") from None


def write_costs(costs: dict[str, Cost], path: Path = RECORD) -> None:
    """Record the costs, one lesson a line."""
    lines = [f"  {json.dumps(lesson)}: {json.dumps(asdict(costs[lesson]))}" for lesson in sorted(costs)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
