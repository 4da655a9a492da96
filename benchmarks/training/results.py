"""The results file: one entry per part, kept when another part is measured, continued when it was interrupted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Part:
    """One part of the measurement on disk; `data` is saved by `save`.

    Attributes:
        identity: settings, machine and versions; a run with others starts the part afresh.
    """

    path: Path
    name: str
    identity: dict[str, Any]
    data: dict[str, Any]

    @classmethod
    def open(cls, path: Path, name: str, identity: dict[str, Any], again: bool = False) -> "Part":
        """What is there of the part, or an empty one."""
        identity = json.loads(json.dumps(identity))
        found = read(path).get(name, {})
        same = not again and all(found.get(key) == value for key, value in identity.items())
        return cls(path, name, identity, found.get("data", {}) if same else {})

    def save(self) -> None:
        """Write the file as a whole or not at all."""
        content = read(self.path)
        content[self.name] = {**self.identity, "data": self.data}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self.path)


def read(path: Path) -> dict[str, Any]:
    """All parts, or none."""
    return json.loads(path.read_text()) if path.exists() else {}
