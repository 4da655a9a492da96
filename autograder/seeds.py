"""What the checks' inputs are drawn from, and what the student's side is told in its place."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from .exercise import Exercise

VARIANTS = 8  # of an exercise's inputs, among a course's students: few enough to make and to test all of them


def seed_of(*parts: str, secret: str = "") -> int:
    """A seed that depends on these words and the secret alone, the same on every machine; without the secret, seeds of
    other words tell nothing about it.
    """
    return int.from_bytes(hmac.digest(secret.encode(), "/".join(parts).encode(), "sha256")[:7], "big")


@dataclass(frozen=True)
class Seeds:
    """Of one exercise: what the inputs are drawn from, and what the student's side is told, from which `draws` cannot
    be found.
    """

    draws: int
    calls: int

    @classmethod
    def of(cls, exercise: Exercise, student: str, secret: str) -> Seeds:
        """Those of the variant that this student gets: the same every time, and another one of each exercise."""
        return cls.variants(exercise, secret)[variant_of(exercise, student, secret)]

    @classmethod
    def variants(cls, exercise: Exercise, secret: str) -> list[Seeds]:
        """All that a student of the course may get."""
        words = [(exercise.lesson, exercise.name, str(number)) for number in range(VARIANTS)]
        return [cls(seed_of("draws", *w, secret=secret), seed_of("calls", *w, secret=secret)) for w in words]


def variant_of(exercise: Exercise, student: str, secret: str) -> int:
    """Which variant of an exercise's inputs a student gets."""
    return seed_of("variant", exercise.lesson, exercise.name, student, secret=secret) % VARIANTS
