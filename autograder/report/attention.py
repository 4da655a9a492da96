"""Which exercises and checks to look at first, and why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .numbers import Estimate, percent, proportion, shown

if TYPE_CHECKING:
    from .summary import Check, Exercise

POOR = 0.2  # item-rest correlation below which an exercise hardly tells students apart (Ebel and Frisbie 1991)
ALONE = 0.1  # the same of a single check, of which there are many, and which says less than a whole exercise
FEWEST = 20  # hand-ins before anything is said


@dataclass(frozen=True)
class Remark:
    """What is odd about an exercise: a sentence, said only where a whole 95% interval says it."""

    exercise: str
    text: str


def remarks(exercises: Sequence[Exercise]) -> Iterator[Remark]:
    """The oddest first within each exercise."""
    for exercise in exercises:
        if exercise.count >= FEWEST:
            yield from (Remark(exercise.name, text) for text in _of(exercise))


def _of(exercise: Exercise) -> Iterator[str]:
    said = shown(exercise.discrimination)
    odd = [check for check in exercise.checks if _is_poor(check, ALONE)]
    if _is_poor(exercise, POOR):
        how = "fails" if _below(exercise.discrimination, 0.0) else "does hardly better"
        yield f"Who does well elsewhere {how} here ({said}): a check may be wrong."
    for check in odd:
        how = "fails it" if _below(check.discrimination, 0.0) else "passes it hardly more often"
        yield (
            f"The check “{check.what}” may be wrong: who does well elsewhere {how} ({shown(check.discrimination)}); "
            f"{percent(check.passed)} pass."
        )
    wrong = exercise.named + exercise.unnamed
    unnamed = proportion(exercise.unnamed, wrong)
    if unnamed.low is not None and unnamed.low > 0.5:
        yield (
            f"{exercise.unnamed} of {wrong} mistakes have no name: read a few, for a mistake worth a name or a right "
            "answer that is refused."
        )
    if exercise.passed.value == 1:
        yield "Everybody has full marks: it tells nobody apart, and its checks may let wrong answers pass."
    elif exercise.passed.high is not None and exercise.passed.high < 0.2:
        yield f"Hardly anybody has full marks ({100 * (exercise.passed.value or 0):.0f}%)."


def _is_poor(about: Exercise | Check, bound: float) -> bool:
    """Whether it hardly tells students apart; where nearly all pass, or nearly none, there is little to go by."""
    passed = about.passed
    extreme = passed.low is None or passed.high is None or passed.low > 0.9 or passed.high < 0.1
    return not extreme and _below(about.discrimination, bound)


def _below(estimate: Estimate, bound: float) -> bool:
    return estimate.high is not None and estimate.high < bound
