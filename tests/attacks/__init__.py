"""Cheating and hostile submissions of the made-up lesson, as data: each says what it honestly earned.

In most of them `tiny_double` is wrong and `tiny_apply` right, so 1 of 3 points is earned. A probe answers rightly only
if it got at something that it must not reach: full points would show the hole.
"""

from . import inside, markup, notebooks, protocol, reaching, resources, showing
from .attack import Attack

ATTACKS: tuple[Attack, ...] = (
    *inside.ATTACKS,
    *reaching.ATTACKS,
    *protocol.ATTACKS,
    *notebooks.ATTACKS,
    *resources.ATTACKS,
    *markup.ATTACKS,
    *showing.ATTACKS,
)

__all__ = ["ATTACKS", "Attack"]
