"""Tables as CSV, as spreadsheets read them: quoted where needed, and nothing in them is a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FORMULA = "=+-@\t\r"


def plain(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA and value else value


def write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write a table anew, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.tmp")
    with half.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([plain(value) for value in row] for row in rows)
    half.replace(path)


def append(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Add rows to a table, which begins with its head."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([plain(value) for value in row] for row in [*([head] if is_new else []), *rows])
