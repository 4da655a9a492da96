"""A mistake in words: what the search found, or, where nothing agrees, what can still be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..exercise import Exercise
from .makers import Unfit
from .questions import Questions
from .remarks import certain, nearly, remark
from .search import Candidate, search
from .transcript import Exchange


@dataclass(frozen=True)
class Explanation:
    """`name` is the mistake where one was found, else None; `text` is what the student reads of it, "" for nothing."""

    name: str | None
    text: str


NOTHING = Explanation(None, "")


def explain(exercise: Exercise, exchanges: Sequence[Exchange]) -> Explanation:
    """What is wrong with the answers that a student gave to one exercise's checks, by those answers alone.

    The same answers get the same words on every machine: candidates, their order and the work spent are fixed.
    """
    state = torch.get_rng_state()
    try:
        questions = Questions(exercise, exchanges)
        if plain := certain(questions):
            return Explanation(*plain)
        found = search(questions)
        if found:
            return _told(found)
        if close := nearly(questions):
            return Explanation(*close)
        return Explanation(None, remark(questions))
    except Unfit:  # no right function to begin from
        return NOTHING
    finally:
        torch.set_rng_state(state)


def _told(found: Sequence[Candidate]) -> Explanation:
    """The clearest of the candidates, and a second one where another kind of mistake gives the same numbers."""
    least = min(candidate.vagueness for candidate in found)
    clear = [candidate for candidate in found if candidate.vagueness == least]
    first = clear[0]
    if len(first.findings) > 1:
        names = " and ".join(finding.name for finding in first.findings)
        return Explanation(f"two things at once: {names}", " ".join(_hints(first)))
    other = next((c for c in clear if c.families != first.families), None)
    if other is None:
        return Explanation(first.findings[0].name, first.findings[0].hint)
    name = f"either {first.findings[0].name}, or {other.findings[0].name}: both give your values"
    return Explanation(name, " ".join(dict.fromkeys([*_hints(first), *_hints(other)])))


def _hints(candidate: Candidate) -> list[str]:
    return list(dict.fromkeys(finding.hint for finding in candidate.findings))
