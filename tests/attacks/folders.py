"""Hand-ins whose folder is hostile, not its notebook alone: its name, what lies beside, what lies in the notebook's
place, its time; and what formgrader and the stock route would read of a notebook.

All answers in them are right, so whoever is graded earns 3 points. `PACKED` is quicker to grade: what lies beside lies
in one folder, and what a notebook holds in one notebook.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

SECRET = "what only the instructor may read"
NOTEBOOK = "tiny.ipynb"
Write = Callable[[Path, Path], object]  # (the hand-in's folder, the course's)


@dataclass(frozen=True)
class Folder:
    """One hand-in. `status` is what `course grade` says of it; nbgrader's route grades it or leaves it out alike."""

    name: str
    family: str
    student: str
    write: Write = lambda place, course: None
    status: str = "graded"


NAMES = {
    "markup": "<img src=x onerror=alert(1)>",
    "the end of a script's text": '";alert(1);"',
    "the end of an attribute": "x' onclick=alert(1) \\",
    "a formula": "=1+1",
    "a formula with a plus": "+1+1",
    "a formula with a minus": "-1+1",
    "a formula with an at": "@SUM(1,1)",
    "a pattern for everybody": "*",
    "a pattern for a neighbour": "[az][de]*",
    "a question mark": "ad?",
    "a line's end": "a\nada",
    "a tab": "a\tada",
}
LEGAL = {
    "a template": "{{ student_id }}",
    "a comma and an apostrophe": "O'Brien, Conor",
    "an address": "a.b+c@example.org",
    "a percent sign": "a%2e%2e%2fada",
    "250 letters": "x" * 250,
    "a neighbour's name and a blank": "ada ",
    "a neighbour's name in capitals": "ADA",
    "a neighbour's name in other letters": "ad\u0430",
}


def _text(name: str, text: str = "x") -> Write:
    return lambda place, course: (place / name).write_text(text)


def _deep(place: Path, course: Path) -> None:
    inner = place.joinpath(*"d" * 60)
    inner.mkdir(parents=True)
    (inner / "a.txt").write_text("x")


def _folder(name: str) -> Write:
    def write(place: Path, course: Path) -> None:
        (place / name).mkdir()
        (place / name / "a.html").write_text("<script>alert(1)</script>")

    return write


def _many(place: Path, course: Path) -> None:
    for number in range(100):
        (place / f"n{number}.txt").write_text("x")


def _socket(place: Path, course: Path) -> None:
    with chdir(place), socket.socket(socket.AF_UNIX) as made:  # addresses are short
        made.bind("s.txt")


BESIDE: dict[str, Write] = {
    "a link to a file": lambda place, course: (place / "notes.txt").symlink_to(course / "secret.txt"),
    "a link to a folder": lambda place, course: (place / "more").symlink_to(course / "solutions"),
    "a link as its time": lambda place, course: (place / "timestamp.txt").symlink_to(course / "secret.txt"),
    "a link to a device": lambda place, course: (place / "more.txt").symlink_to("/dev/null"),
    "a page": _text("index.html", "<script>alert(1)</script>"),
    "a page of the page's name": _text("tiny.html", "<script>alert(1)</script>"),
    "a picture that acts": _text("a.svg", '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
    "a folder of the page's name": _folder("tiny.html"),
    "a folder of the pictures' name": _folder("tiny_files"),
    "folders without end": _deep,
    "a pipe": lambda place, course: os.mkfifo(place / "pipe.txt"),
    "a pipe as its time": lambda place, course: os.mkfifo(place / "timestamp.txt"),
    "a socket": _socket,
    "100 files": _many,
    "a large file": _text("data.csv", "1," * 2**20),
    "a second notebook": _text("other.ipynb", "{"),
    "a name that is markup": _text("<img src=x onerror=alert(1)>.txt"),
}


def _in_its_place(write: Write) -> Write:
    def changed(place: Path, course: Path) -> None:
        (place / NOTEBOOK).unlink()
        write(place / NOTEBOOK, course)

    return changed


def _linked(place: Path, course: Path) -> None:
    (place / NOTEBOOK).unlink()
    place.rmdir()
    place.symlink_to(course / "submitted" / "ada" / place.name)


INSTEAD: dict[str, Write] = {
    "a link to a neighbour's notebook": _in_its_place(
        lambda path, course: path.symlink_to(course / "submitted" / "ada" / path.parent.name / NOTEBOOK)
    ),
    "a link to a neighbour's folder": _linked,
    "a pipe": _in_its_place(lambda path, course: os.mkfifo(path)),
    "a folder": _in_its_place(lambda path, course: path.mkdir()),
}


def _edit(change: Callable[[dict[str, Any]], object]) -> Write:
    def write(place: Path, course: Path) -> None:
        held = json.loads((place / NOTEBOOK).read_text())
        change(held)
        (place / NOTEBOOK).write_text(json.dumps(held))

    return write


def _own(*cells: Any) -> Write:
    return _edit(lambda held: held["cells"].extend(cells))


def _shows(code: str) -> Write:
    return _edit(lambda held: held["cells"].insert(2, new_code_cell(code)))


def _nested(depth: int) -> Any:
    held: Any = 1
    for _ in range(depth):
        held = {"a": held}
    return held


MARKED = '"><script>alert(1)</script>'
META = {
    "kernelspec": {"name": MARKED, "display_name": MARKED, "language": MARKED},
    "language_info": {"name": MARKED, "pygments_lexer": MARKED, "codemirror_mode": MARKED},
    "title": MARKED,
    "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"</script><script>alert(1)": 1}}},
}
OF_CELLS = {"collapsed": True, "scrolled": MARKED, "jupyter": {"source_hidden": True}, "format": MARKED, "name": MARKED}
OWN_TASK = {"grade_id": "own", "task": True, "points": 100, "schema_version": 3, "cell_type": "markdown"}
RAW = [{}, {"raw_mimetype": "text/html"}, {"raw_mimetype": ""}, {"format": "text/html"}]
CONTENT: dict[str, Write] = {
    "raw cells": _own(*(new_raw_cell(f"{MARKED}<details><b>12 / 12", metadata=about) for about in RAW)),
    "metadata of a cell nested deeply": _own(
        {**dict(new_code_cell("1")), "metadata": {"nbgrader": {"grade_id": "own", "x": _nested(450)}}}
    ),
    "metadata of the notebook": _edit(lambda held: held.update(metadata=META)),
    "metadata of every cell": _edit(lambda held: [cell["metadata"].update(OF_CELLS) for cell in held["cells"]]),
    "counts that are markup": _edit(lambda held: [cell.update(execution_count=MARKED) for cell in held["cells"]]),
    "code that ends a page": _own(new_code_cell("'</script></pre></div></div></div></body>' # ]]> --> {{ 7 * 7 }}")),
    "ids of formgrader's places": _own(
        *(
            {**new_markdown_cell("x"), "id": name}
            for name in ("tiny_double-comment", "notebook-container", "statusmessage")
        )
    ),
    "a task of one's own": _own(new_markdown_cell("x", metadata={"nbgrader": OWN_TASK})),
    "links to pages of others": _own(
        new_markdown_cell("[a](../../ada/99-tiny/tiny.html) [b](files/x.html) ![c](x.png)")
    ),
    "500 outputs": _shows("for _ in range(500):\n    display({'text/html': '<i>x</i>'}, raw=True)"),
    "a page's end": _shows("display({'text/html': '</div></div></body></html><h1>12 / 12</h1>'}, raw=True)"),
    "commands of a terminal": _shows("print('\\x1b]8;;javascript:alert(1)\\x07x\\x1b[9999999m\\x1b[38;5;999mz')"),
}
TIMES = {
    "the first year": "0001-01-01 00:00:00 +2359",
    "the last year": "9999-12-31 23:59:59 UTC",
    "beyond the last year": "9999-12-31 23:59:59 -2359",
    "a formula": "=1+1",
    "nothing": "\0" * 50,
    "digits": "9" * 90,
}


def _numbered(letter: str, family: str, kinds: dict[str, Write], status: str = "graded") -> list[Folder]:
    return [Folder(name, family, f"{letter}{i:02d}", write, status) for i, (name, write) in enumerate(kinds.items())]


FOLDERS: tuple[Folder, ...] = (
    *(Folder(name, "names", student, status="failed") for name, student in NAMES.items()),
    *(Folder(name, "names that may be", student) for name, student in LEGAL.items()),
    *_numbered("b", "beside", BESIDE),
    *_numbered("i", "instead", INSTEAD, "failed"),
    *_numbered("c", "content", CONTENT),
    *_numbered("t", "times", {name: _text("timestamp.txt", text) for name, text in TIMES.items()}),
)


def _all(writes: dict[str, Write]) -> Write:
    def write(place: Path, course: Path) -> None:
        for one in writes.values():
            one(place, course)

    return write


APART = ("a page of the page's name", "a link as its time")  # something else has their names
ALONE = ("a link as its time", "a page of the page's name", "a comma and an apostrophe", "a percent sign")
PACKED: tuple[Folder, ...] = (
    *(one for one in FOLDERS if one.family in ("names", "instead") or one.name in ALONE),
    Folder(
        "all of it", "beside", "all-beside", _all({name: write for name, write in BESIDE.items() if name not in APART})
    ),
    Folder("all of it", "content", "all-content", _all(CONTENT)),
    Folder("beyond the last year", "times", "all-times", _text("timestamp.txt", TIMES["beyond the last year"])),
)
