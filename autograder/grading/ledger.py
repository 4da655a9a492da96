"""What has been graded already, so that a run that was stopped goes on where it stopped.

One small JSON file per submission below `<out>/.graded/`, written after grade book and feedback are. It holds the
public result and a key made of everything that the result depends on; another key means: grade it again. A record is
believed only as far as the grade book agrees.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..guard.limits import Limits
from ..hand_in.restoring import Master
from .graded import Graded

FOLDER = ".graded"
SECRET = "secret"  # the file that tells whether the secret is still the same
MAX_BYTES, MAX_FILES = 32 * 2**20, 200  # of a hand-in, read whole; of a larger file the time of its last change counts
CHECK = "check "  # and an exercise's name: the part that is the files of its checks
GPU = "GPU courtesy"
SHORT = 32  # characters of a digest: enough that nobody finds another text of the same
Parts = Mapping[str, str]  # what a result depends on, by a word that an instructor is told
OTHERS = (".ipynb_checkpoints", "__pycache__")


class Ledger:
    """The records below `out`."""

    def __init__(self, out: Path) -> None:
        self._out, self._folder = out, out / FOLDER

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

    def knows_other_secret(self, secret: str) -> bool:
        """Whether there are records, and of marks whose inputs were drawn with another secret of the course."""
        try:
            return (self._folder / SECRET).read_text(encoding="ascii") != _mark_of(secret) and any(
                self._folder.glob("*/*.json")
            )
        except (OSError, ValueError):
            return False  # the records are of a version that did not note it, or there are none

    def note_secret(self, secret: str) -> None:
        """Note the secret with which this run draws, by a mark from which it cannot be found."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / SECRET).write_text(_mark_of(secret), encoding="ascii")

    def _path(self, student: str, lesson: str) -> Path:
        return place_of(self._out, student, lesson, ".json")


def place_of(out: Path, student: str, lesson: str, suffix: str) -> Path:
    """Where something is kept of a submission that is nobody's but the grader's."""
    return out / FOLDER / student / f"{lesson}{suffix}"


def _mark_of(secret: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), b"course", 100_000).hex()


def course_parts(
    master: Master,
    limits: Limits,
    sandbox: bool,
    checks: Mapping[str, Mapping[str, Path]],
    code: Mapping[str, Path],
    installed: Sequence[str],
    gpu_courtesy: bool = False,
) -> dict[str, str]:
    """All that a lesson's results depend on besides the submissions, each part by a digest: `checks`, the files of each
    exercise's checks, and `code`, those of the grader and `course_lib`, by their names in any checkout.
    """
    lesson = (sorted(master.full.items()), json.dumps(master.released, sort_keys=True), master.earlier)
    library = {name: path for name, path in code.items() if name.startswith("course_lib/")}
    grader = {name: path for name, path in code.items() if name not in library}
    return {
        **{CHECK + name: of_files(files) for name, files in checks.items()},
        "lesson": _of((*lesson, master.added_counts)),
        "course_lib": of_files(library),
        "grader": of_files(grader),
        "limits": _of((asdict(limits), sandbox, *([GPU] if gpu_courtesy else []))),
        "packages": _of(tuple(installed)),
        "secret": _of(master.secret),
    }


def with_hand_in(course: Parts, folder: Path, *about: Any) -> dict[str, str]:
    """The parts of the submission in `folder`: all that was handed in counts. Raises OSError."""
    digest = hashlib.sha256(repr(about).encode(errors="surrogateescape"))
    for name, content in _handed_in(folder):
        _add(digest, name.encode(errors="surrogateescape"), content)
    return {**course, "submission": digest.hexdigest()[:SHORT]}


def key_of(parts: Parts) -> str:
    """One digest of all parts."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def changed(before: Parts, after: Parts) -> list[str]:
    """The parts that differ, by name; none where either is not known."""
    if not before or not after:
        return []
    return [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]


def _of(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:SHORT]


def of_files(files: Mapping[str, Path]) -> str:
    """The digest of a part that is files."""
    digest = hashlib.sha256()
    for name in sorted(files):
        _add(digest, name.encode(), files[name].read_bytes())
    return digest.hexdigest()[:SHORT]


def _handed_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What lies in a hand-in's folder, by name: bytes of files; of the rest that there is something, and which."""
    with os.scandir(folder) as held:
        found = sorted(held, key=lambda one: one.name)
    for count, one in enumerate(found):
        about = one.stat(follow_symlinks=False)
        if one.is_symlink():
            yield one.name, b"link"
        elif one.is_dir() and one.name not in OTHERS:
            yield from ((f"{one.name}/{name}", content) for name, content in _handed_in(Path(one.path)))
        else:
            content = repr((about.st_mode, about.st_size, about.st_mtime_ns)).encode()
            if stat.S_ISREG(about.st_mode) and about.st_size <= MAX_BYTES and count < MAX_FILES:
                with suppress(OSError):  # one that nobody may read is not taken either
                    content = Path(one.path).read_bytes()
            yield one.name, content


def _add(digest: hashlib._Hash, name: bytes, content: bytes) -> None:
    digest.update(b"%d:%s%d:" % (len(name), name, len(content)))
    digest.update(content)
