"""Answers known again: where a submission answers an exercise's checks bit for bit as another one did that was right,
neither inputs nor truths nor comparisons are made a second time.

What the checks ask and find depends on their seeds and on what comes back, and on nothing else. So a run of them is
kept as what was asked, and, by a digest of each reply, what was asked next. The next submission is asked the same; from
its first other reply on the checks run as ever, with the replies that are there already, and no call is made twice.
Kept are runs that ended with all points, and that handed no function of the checker's over: these are asked in between.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b

from .case import total
from .marks import Outcome
from .student import Link, LinkBroken, nobody

ROOM = 32 * 2**20  # bytes of questions that are kept in all
BRANCHES = 32  # ways of being right, to the last bit, that are kept of one run
BESIDE = 300  # bytes that a question takes besides its own


@dataclass
class _Question:
    """A request, and what follows upon each reply: another one, or the outcomes at the end."""

    frame: bytes
    then: dict[bytes, _Question | tuple[Outcome, ...]] = field(default_factory=dict)


@dataclass
class _Run:
    """All that is kept of one check with one pair of seeds."""

    first: _Question
    size: int = 0
    branches: int = 0


class Following:
    """A link for one run of checks: what has been asked already is answered from memory."""

    def __init__(self, link: Link) -> None:
        self._link, self._place = link, 0
        self.said: list[tuple[bytes, bytes | LinkBroken]] = []
        self.over = self.handed_over = False  # the run is; a function was

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        """One request of a check."""
        if self.over:
            return self._link.ask(frame, serve)
        self._place += 1
        if self._place > len(self.said):
            self.handed_over |= serve is not nobody
            self._ask(frame, serve)
        asked, reply = self.said[self._place - 1]
        if asked != frame:
            raise RuntimeError("these checks ask something else the second time")
        if isinstance(reply, LinkBroken):
            raise reply
        return reply

    def follow(self, question: _Question) -> tuple[Outcome, ...] | None:
        """Ask what was asked before, as long as the replies are the same; the outcomes where they are to the end."""
        while True:
            reply = self._ask(question.frame, nobody)
            then = None if isinstance(reply, LinkBroken) else question.then.get(_digest(reply))
            if not isinstance(then, _Question):
                return then
            question = then

    def _ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes | LinkBroken:
        try:
            reply: bytes | LinkBroken = self._link.ask(frame, serve)
        except LinkBroken as error:
            reply = error
        self.said.append((frame, reply))
        return reply


class Recall:
    """The latest runs of checks that ended with all points."""

    def __init__(self, room: int = ROOM) -> None:
        self._room, self._size, self._lock = room, 0, threading.Lock()
        self._runs: OrderedDict[Hashable, _Run] = OrderedDict()

    def run(self, key: Hashable, link: Following, check: Callable[[], list[Outcome]], points: float) -> list[Outcome]:
        """What `check` finds, which asks over `link` and is worth so many points; `key` holds all else that it depends
        on.
        """
        with self._lock:
            known = self._runs.get(key)
            if known:
                self._runs.move_to_end(key)
        outcomes = link.follow(known.first) if known else None
        if outcomes is None:
            found = check()
            if link.said and not link.handed_over and total(found) >= points:
                self._keep(key, link.said, found)
        link.over = True
        return found if outcomes is None else list(outcomes)

    def _keep(self, key: Hashable, said: list[tuple[bytes, bytes | LinkBroken]], found: list[Outcome]) -> None:
        bare = tuple(Outcome(o.what, o.points, o.max_points, o.passed, o.message) for o in found)
        with self._lock:
            run = self._runs.setdefault(key, _Run(_Question(said[0][0])))
            if run.branches == BRANCHES:
                return
            run.branches += 1
            question, before = run.first, run.size
            for i, (frame, reply) in enumerate(said):
                if question.frame != frame or isinstance(reply, LinkBroken):
                    return
                more = _Question(said[i + 1][0]) if i + 1 < len(said) else bare
                then = question.then.setdefault(_digest(reply), more)
                run.size += (BESIDE + len(frame)) * (then is more)
                if not isinstance(then, _Question):
                    break
                question = then
            self._size += run.size - before
            while self._size > self._room:
                _, gone = self._runs.popitem(last=False)
                self._size -= gone.size


def _digest(reply: bytes) -> bytes:
    return blake2b(reply, digest_size=32).digest()
