"""What has been graded already, so that a run that was stopped goes on where it stopped.

One small JSON file per submission below `<out>/.graded/`, written after grade book and feedback are. It holds the
public result and a key made of everything that the result depends on; another key means: grade it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .process import Limits
from .runner import Graded
from .submission import Master


class Ledger:
    """The records below `out`."""

    def __init__(self, out: Path) -> None:
        self._folder = out / ".graded"

    def find(self, student: str, lesson: str, key: str) -> Graded | None:
        """The result recorded for this student, lesson and key; None if there is none."""
        try:
            held = json.loads(self._path(student, lesson).read_text(encoding="utf-8"))
            return Graded.from_public(held["result"]) if held["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # nothing, half a file, or one of another version

    def record(self, graded: Graded, key: str) -> None:
        """Note a result that has been stored."""
        path = self._path(graded.student, graded.lesson)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".tmp")
        half.write_text(json.dumps({"key": key, "result": graded.public()}), encoding="utf-8")
        half.replace(path)

    def _path(self, student: str, lesson: str) -> Path:
        return self._folder / student / f"{lesson}.json"


def course_key(master: Master, limits: Limits, sandbox: bool, code: Iterable[Path]) -> str:
    """A digest of all that a lesson's results depend on besides the submissions."""
    digest = hashlib.sha256(repr((asdict(limits), sandbox, sorted(master.full.items()), master.secret)).encode())
    digest.update(json.dumps(master.released, sort_keys=True).encode())
    for path in sorted(code):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(course: str, content: bytes | None, *parts: Any) -> str:
    """The key of one submission."""
    digest = hashlib.sha256(f"{course}/{parts}".encode())
    digest.update(b"missing" if content is None else content)
    return digest.hexdigest()
