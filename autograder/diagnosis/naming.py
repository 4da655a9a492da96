"""A mistake in words: what the search found, or, where nothing agrees, what can still be said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

import torch

from ..exercise import Exercise
from .forms import certain
from .kinds import Finding
from .questions import Questions
from .remarks import nearly, remark, unchanged
from .scenes import by_reply, by_slopes
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

    The same answers get the same words on every machine: candidates, their order and the work spent are fixed. So
    they are looked for once where a mistake is made by many who were given the same inputs.
    """
    by = exercise.check, *exercise.alternatives.values(), *exercise.words.items()
    key = exercise.name, by, _digest(exchanges)
    with _alone:
        if key not in _found:
            _found[key] = _explain(exercise, exchanges)
            if len(_found) > REMEMBERED:
                _found.popitem(last=False)
        return _found[key]


_found: OrderedDict[Hashable, Explanation] = OrderedDict()
REMEMBERED = 2_000
_alone = Lock()  # a formula's switches are the same for all threads


def _digest(exchanges: Sequence[Exchange]) -> bytes:
    said = blake2b(digest_size=32)
    for exchange in exchanges:
        texts = [exchange.request, *(text for both in exchange.callbacks for text in both), exchange.reply]
        for length in (len(texts), *map(len, texts)):
            said.update(length.to_bytes(8, "big"))
        said.update(b"".join(texts))
    return said.digest()


def _explain(exercise: Exercise, exchanges: Sequence[Exchange]) -> Explanation:
    state = torch.get_rng_state()
    try:
        questions = Questions(exercise, exchanges)
        if questions.right_elsewhere():
            return NOTHING
        if plain := certain(questions) or by_reply(questions):
            return Explanation(*plain)
        found = [] if unchanged(questions) else search(questions)
        if found:
            return _told(exercise, found)
        if close := nearly(questions) or by_slopes(questions):
            return Explanation(*close)
        return Explanation(None, remark(questions))
    except Exception:  # a courtesy: whatever goes wrong here, the mark stands as it is
        return NOTHING
    finally:
        torch.set_rng_state(state)


def _told(exercise: Exercise, found: Sequence[Candidate]) -> Explanation:
    """The clearest of the candidates, and a second one where another kind of mistake gives the same numbers."""
    least = min(candidate.vagueness for candidate in found)
    clear = [candidate for candidate in found if candidate.vagueness == least]
    first = clear[0]
    if len(first.findings) > 1:
        said = [_words(exercise, finding) for finding in first.findings]
        return Explanation(f"two things at once: {said[0][0]} and {said[1][0]}", _hints(said))
    said = [_words(exercise, first.findings[0])]
    other = next((c for c in clear if c.families != first.families), None)
    if other is None:
        return Explanation(*said[0])
    said.append(_words(exercise, other.findings[0]))
    return Explanation(f"either {said[0][0]}, or {said[1][0]}: both give your values", _hints(said))


def _words(exercise: Exercise, finding: Finding) -> tuple[str, str]:
    """(name, hint): the exercise's own words where it has some."""
    return exercise.words.get((finding.kind, *finding.about), (finding.name, finding.hint))


def _hints(said: Sequence[tuple[str, str]]) -> str:
    return " ".join(dict.fromkeys(hint for _, hint in said))
