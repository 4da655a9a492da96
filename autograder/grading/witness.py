"""Follow-through that cannot be talked into: earlier functions must answer alone as they answered during the checks.

Where an exercise is judged with the student's own earlier functions, the truth is made of the student's answers. In one
process the two could agree by arrangement: the later function leaves its answer somewhere, the earlier one returns what
makes it right. So what the earlier ones said is put to them again in a fresh process that is asked nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..difference import difference
from ..sandbox.wire import Handle, WireError, decode, encode
from ..student import Link, LinkBroken

REFUSED = encode({"error": {"type": "LookupError", "message": "not asked", "line": ""}})


@dataclass(frozen=True)
class Said:
    """One question to an earlier function: the request, the callbacks it asked meanwhile, and its reply."""

    request: bytes
    callbacks: tuple[tuple[bytes, bytes], ...]
    reply: bytes


class Recorder:
    """A link that keeps what `earlier` functions were asked and what they said; with `silent` they are not asked."""

    def __init__(self, link: Link, earlier: Collection[str], silent: bool = False) -> None:
        self._link, self._earlier, self._silent = link, earlier, silent
        self.said: list[Said] = []

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        """One request of a check."""
        if not self._earlier or _target(frame) not in self._earlier:
            return self._link.ask(frame, serve)
        if self._silent:
            return REFUSED
        callbacks: list[tuple[bytes, bytes]] = []

        def noted(question: bytes) -> bytes:
            callbacks.append((question, serve(question)))
            return callbacks[-1][1]

        reply = self._link.ask(frame, noted)
        self.said.append(Said(frame, tuple(callbacks), reply))
        return reply


def confirmed(said: Sequence[Said], link: Link) -> bool:
    """Whether the functions behind `link` say the same again."""
    return all(_same(_again(one, link), one.reply) for one in said)


def _again(one: Said, link: Link) -> bytes:
    answers = iter(one.callbacks)

    def serve(question: bytes) -> bytes:
        asked, answer = next(answers, (b"", b""))
        return answer if question == asked else encode({"error": "asked something else before"})

    try:
        return link.ask(one.request, serve)
    except LinkBroken:
        return REFUSED


def _same(a: bytes, b: bytes) -> bool:
    if a == b:
        return True
    try:
        first, second = decode(a), decode(b)
    except WireError:
        return False
    if not (isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys()):
        return False
    if "error" in first:
        return True  # messages may hold addresses; no truth is made of an error
    values = (first.get("value"), second.get("value"))
    if any(isinstance(value, Handle) for value in values):
        return False  # an object, which cannot be compared
    try:
        return not difference(*values)
    except Exception:  # values of a form that nothing can be done with
        return False


def _target(frame: bytes) -> str | None:
    """The name of the function that a request is for; None for an object."""
    end = 4 + int.from_bytes(frame[:4], "big")
    target = json.loads(frame[4:end])["d"].get("target")
    return target if isinstance(target, str) else None
