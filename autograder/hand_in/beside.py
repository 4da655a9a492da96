"""Files handed in beside the notebook: small plain ones travel into the sandbox, everything else is named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitlets.config import Config

from ..feedback.markup import readable
from .notebook_file import SubmissionError, plain_bytes

MAX_ENTRIES = 200  # of a folder that are looked at
TIMESTAMP, SECRET = EXCHANGE = "timestamp.txt", "submission_secret.txt"  # what nbgrader's exchange lays beside
OF_SYSTEMS = frozenset(("__pycache__", "__MACOSX", "Thumbs.db", "desktop.ini", *EXCHANGE))


@dataclass(frozen=True)
class Allowance:
    """What may travel; sizes in bytes. `nbgrader_config.py` sets it as `c.Beside.suffixes` and so on."""

    suffixes: tuple[str, ...] = (".py", ".csv", ".json", ".txt")
    file_size: int = 2**20
    all_size: int = 4 * 2**20
    files: int = 20

    @classmethod
    def of(cls, config: Config) -> Allowance:
        """The settings of a config, with defaults for what it does not set."""
        held: Mapping[str, Any] = config.get("Beside", {})
        given = {name: held[name] for name in cls.__dataclass_fields__ if name in held}
        return cls(**{**given, "suffixes": tuple(given.get("suffixes", cls.suffixes))})


@dataclass(frozen=True)
class Beside:
    """The files that travel, by name, and a remark on each that does not."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path, notebook: str, allowance: Allowance) -> Beside:
        """What lies in a hand-in's folder beside the file `notebook`."""
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry, _ in zip(entries, range(MAX_ENTRIES + 1), strict=False))
        except OSError:  # whoever reads the notebook will say so
            return cls()
        files: dict[str, bytes] = {}
        left_out: list[str] = []
        room = allowance.all_size
        for name in names[:MAX_ENTRIES]:
            if name == notebook or name in OF_SYSTEMS or name.startswith((".", "~$")):
                continue
            reason = _refused(folder / name, allowance, len(files))
            if not reason:
                try:
                    content = plain_bytes(folder / name, allowance.file_size)
                except SubmissionError as error:
                    reason = str(error).removeprefix(f"{name} ")
                else:
                    if len(content) > min(allowance.file_size, room):
                        reason = f"it is larger than {min(allowance.file_size, room) // 1024} kB"
                    else:
                        files[name], room = content, room - len(content)
            if reason:
                left_out.append(f"{readable(name, 80)} was handed in beside the notebook and not taken: {reason}")
        if len(names) > MAX_ENTRIES:
            left_out.append(f"more than {MAX_ENTRIES} files were handed in beside the notebook; the rest was not taken")
        return cls(files, tuple(left_out))

    @property
    def digest(self) -> str:
        """Of the files and remarks, for the ledger."""
        made = hashlib.sha256(repr(self.left_out).encode())
        for name, content in sorted(self.files.items()):
            made.update(f"{name!r}:{len(content)}:".encode() + content)
        return made.hexdigest()


def _refused(path: Path, allowance: Allowance, taken: int) -> str:
    """Why a file does not travel, as far as its name and kind say; "" if it may."""
    if path.is_symlink():
        return "it is a link"
    if path.is_dir():
        return "it is a folder"
    if path.suffix.lower() == ".ipynb":
        return "one notebook is graded"
    if path.suffix.lower() not in allowance.suffixes:
        return f"only {', '.join(allowance.suffixes)} travel"
    if readable(path.name) != path.name:
        return "its name is no plain text"
    return f"{allowance.files} files are as many as travel" if taken >= allowance.files else ""


NONE = Beside()
