"""Files and folders that take the places of others together: all of them, or none."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Self


class Exchange:
    """A context manager. What is written `aside` goes to its place by `swap`, and stays there when the block ends well;
    left by an exception, every place holds what it held before.
    """

    def __init__(self) -> None:
        self._waiting: list[Path] = []
        self._swapped: list[Path] = []

    def aside(self, place: Path) -> Path:
        """Where to write the file, or make the folder, that shall stand at `place`."""
        new = _beside(place, "new")
        _remove(new)
        new.parent.mkdir(parents=True, exist_ok=True)
        self._waiting.append(place)
        return new

    def swap(self) -> None:
        """Put all that has been written aside in its place."""
        while self._waiting:
            place = self._waiting.pop(0)
            old = _beside(place, "old")
            _remove(old)
            self._swapped.append(place)
            if place.exists():
                place.replace(old)
            _beside(place, "new").replace(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in reversed(self._swapped):
            old = _beside(place, "old")
            if kind is None:
                _remove(old)
            elif old.exists():
                if not _beside(place, "new").exists():  # it stands in its place already
                    _remove(place)
                old.replace(place)
            elif not _beside(place, "new").exists():
                _remove(place)
        for place in (*self._waiting, *self._swapped):
            _remove(_beside(place, "new"))


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{what}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
