"""What stands for the earlier exercises that one builds on: their oracles, or the student's own functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .difference import failure_in
from .exercise import find_exercise
from .sandbox.responder import Responder
from .student import Failure, Link, LocalLink, Remote, describe


def lineups(after: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The sets of earlier exercises to judge with the student's own function: none, all, then every other set."""
    for size in (0, *range(len(after), 0, -1)):
        yield from itertools.combinations(after, size)


class Own(Remote):
    """The student's own earlier function in an oracle's place, watched: what answers every call with the same number,
    or with none, is no function to build on, and would make a later constant right.
    """

    _seen: set[float]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = super().__call__(*args, **kwargs)
        self._seen.update(_numbers(value))
        return value

    def responds(self) -> bool:
        return len(self._seen) > 1


def _numbers(value: Any) -> set[float]:
    """The finite numbers in an answer; an object that stays with the student counts as more than one."""
    if isinstance(value, list | tuple):
        return set().union(*(_numbers(item) for item in value))
    if isinstance(value, Remote):
        return {0.0, 1.0}
    if not isinstance(value, torch.Tensor | float):
        return set()
    entries = torch.as_tensor(value).detach().flatten()[:1000]
    return set(entries[torch.isfinite(entries)].tolist())


def own(link: Link, name: str, seed: int) -> Own:
    """The student's function `name`, watched."""
    function = Own(link, name, seed=seed)
    function._seen = set()
    return function


class Remembering(LocalLink):
    """Answers a question it was asked before from memory: recognising a mistake repeats the checks many times. What
    came of callbacks is not remembered: another function may stand behind the same number the next time.
    """

    def __init__(self, host: Responder) -> None:
        super().__init__(host)
        self.replies: dict[bytes, bytes] = {}

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        if frame in self.replies:
            return self.replies[frame]
        asked = False

        def noted(question: bytes) -> bytes:
            nonlocal asked
            asked = True
            return serve(question)

        reply = super().ask(frame, noted)
        if not asked:
            self.replies[frame] = reply
        return reply


def truth(name: str) -> Callable[..., Any]:
    """The oracle of exercise `name`."""
    return find_exercise(name).oracle


class Right(Remote):
    """An oracle in the place of an earlier function: by value as well, without the way across."""

    _function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if failed := failure_in([*args, *kwargs.values()]):
            return failed
        try:
            with torch.enable_grad():
                return _copied(self._function(*_copied(args), **{key: _copied(value) for key, value in kwargs.items()}))
        except Exception as error:
            return self._failure(describe(error))

    def inputs_after(self, *args: Any) -> Any:
        given = _copied(args)
        value = self(*given)
        return value if isinstance(value, Failure) else list(given)


def _copied(value: Any) -> Any:
    """A value with tensors of its own, cut off from every graph."""
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def oracle(name: str, seed: int) -> Remote:
    """The oracle, called as the student's function is: by value, with `gradient` and `inputs_after`."""
    function = truth(name)
    host = Responder({name: function})
    if isinstance(function, type):  # which makes objects, and these change: they are not remembered
        return Remote(LocalLink(host), name, seed=seed)
    right = Right(Remembering(host), name, seed=seed)
    right._function = function
    return right
