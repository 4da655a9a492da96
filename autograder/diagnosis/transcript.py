"""What the checks of an exercise asked and what came back, kept so that it can be put to other functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..difference import difference
from ..sandbox.wire import WireError, decode, encode
from ..student import Link

NEIGHBOURS = 2  # of the questions to functions of a check's, as many may be asked in another order


@dataclass(frozen=True)
class Exchange:
    """One request, the callbacks that were asked meanwhile with what they answered, and the reply."""

    request: bytes
    callbacks: tuple[tuple[bytes, bytes], ...]
    reply: bytes

    def server(self) -> Callable[[bytes], bytes]:
        """Answers callbacks as they were answered before, as long as the same things are asked in the same order, but
        for neighbours, which may be questions to two functions; values may differ by as little as two right formulas
        do. Raises `Elsewhere` at the first other question.
        """
        left = list(self.callbacks)

        def serve(question: bytes) -> bytes:
            for i, (asked, _) in enumerate(left[:NEIGHBOURS]):
                if question == asked or same(question, asked):
                    return left.pop(i)[1]
            raise Elsewhere

        return serve


class Elsewhere(BaseException):
    """A function wanted an answer that nobody gave while the student's was marked."""


class Transcript:
    """A link that keeps every exchange while `listening`."""

    def __init__(self, link: Link) -> None:
        self._link, self.listening = link, True
        self._crossed: list[Exchange] = []

    @property
    def exchanges(self) -> list[Exchange]:
        """Every request by itself, in order."""
        return [part for exchange in self._crossed for part in _parts(exchange)]

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        """One request of a check."""
        if not self.listening:
            return self._link.ask(frame, serve)
        callbacks: list[tuple[bytes, bytes]] = []

        def noted(question: bytes) -> bytes:
            callbacks.append((question, serve(question)))
            return callbacks[-1][1]

        reply = self._link.ask(frame, noted)
        self._crossed.append(Exchange(frame, tuple(callbacks), reply))
        return reply


def _parts(exchange: Exchange) -> list[Exchange]:
    """Several requests that crossed together, each with its own reply; where callbacks were asked, nobody knows for
    which.
    """
    try:
        request, reply = decode(exchange.request), decode(exchange.reply)
    except WireError:
        return [exchange]
    replies = reply.get("value") if isinstance(reply, dict) else None
    if request.get("op") != "several" or exchange.callbacks or not isinstance(replies, list):
        return [exchange]
    common = {key: value for key, value in request.items() if key not in ("op", "asked")}
    found = []
    for one, answer in zip(request["asked"], replies, strict=False):
        asked = [one]
        if one.get("inputs") == "too":  # the value and the arguments after the call, as two questions
            asked = [{**one, "inputs": inputs} for inputs in (False, True)]
        said = answer.get("value") if isinstance(answer, dict) else None
        answers = [answer] * len(asked)
        if len(asked) == 2 and isinstance(said, list):
            answers = [{"value": part} for part in said]
        found += [
            Exchange(encode({**common, **part}, layouts=True), (), encode(reply))
            for part, reply in zip(asked, answers, strict=False)
        ]
    return found


def same(one: bytes, other: bytes) -> bool:
    """Whether two messages hold the same values, up to rounding."""
    try:
        return not difference(decode(one), decode(other))
    except (WireError, TypeError):  # a reference among them, or nothing
        return False
