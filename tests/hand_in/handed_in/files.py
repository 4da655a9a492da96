"""Notebooks under other names, files beside them, and large ones."""

from __future__ import annotations

import re
from typing import Any

from .hand_in import ALONE, CODE, DOUBLE, HandIn, Raw, own

# ---- renamed


def _named(filename: str, **more: Any) -> HandIn:
    return HandIn("renamed", filename, filename=filename, flagged=re.escape(filename), **more)


RENAMED = (
    _named("Copy of tiny.ipynb"),
    _named("tiny(2).ipynb"),
    _named("TINY.IPYNB"),
    _named("99-tiny.ipynb"),
    _named("Untitled3.ipynb"),
    _named("Hausübung_ädä.ipynb"),
    _named("tiny.ipynb.json"),
    _named("tiny.ipynb.txt"),
    *(
        HandIn("renamed", f"folder {folder}", folder=folder, flagged=folder.split("/")[0].split("(")[0].strip())
        for folder in ("99_tiny", "99-Tiny", "99 - tiny", "99-tiny-copy", "Lesson 99-tiny", "99-tiny (3)", "tiny", "99")
    ),
    HandIn("renamed", "nested folder", folder="99-tiny/99-tiny", flagged="99-tiny/tiny.ipynb was taken"),
    HandIn("renamed", "both renamed", folder="99-TINY_final", filename="tiny_final.ipynb", flagged="tiny_final"),
)

# ---- beside
BY_FACTOR = "def tiny_double(x):\n    return factor * x"
HELPER = b"def spread(x):\n    return x + x\n"
BESIDE = (
    HandIn(
        "beside",
        "a module",
        double="from my_helpers import spread as tiny_double",
        beside={"my_helpers.py": HELPER},
        flagged="",
    ),
    HandIn(
        "beside",
        "a module of a module",
        double="import one\ndef tiny_double(x):\n    return one.spread(x)",
        beside={"one.py": b"from two import spread\n", "two.py": HELPER},
        flagged="",
    ),
    HandIn("beside", "%run", double="%run helpers.py\ntiny_double = spread", beside={"helpers.py": HELPER}),
    HandIn(
        "beside",
        "a table",
        double="import csv\nfactor = float(list(csv.reader(open('table.csv')))[1][0])\n" + BY_FACTOR,
        beside={"table.csv": b"factor\n2.0\n"},
    ),
    HandIn(
        "beside",
        "JSON and text",
        double="import json\nfactor = json.load(open('a.json'))['a'] + len(open('b.txt').read())\n" + BY_FACTOR,
        beside={"a.json": b'{"a": 1}', "b.txt": b"x"},
    ),
    HandIn("beside", "a time that is none", beside={"timestamp.txt": b"soon"}, flagged="timestamp.txt cannot be read"),
    HandIn("beside", "a time of half a day", beside={"timestamp.txt": b"2026-11-01 11:30 PM"}, flagged=""),
    HandIn("beside", "a file too many", beside={"weights.pt": b"x"}, flagged="weights.pt"),
    HandIn("beside", "a folder", beside={"data/a.csv": b"1"}, flagged="data"),
    HandIn("beside", "too large", beside={"big.csv": b"1," * 2_000_000}, flagged="big.csv"),
    HandIn("beside", "a link", links={"passwd.txt": "/etc/passwd"}, flagged="passwd.txt.*link"),
    HandIn(
        "beside",
        "what a system leaves",
        beside={".DS_Store": b"x", "__pycache__/a.pyc": b"x", ".ipynb_checkpoints/t.py": b""},
        flagged="",
    ),
    HandIn(
        "beside",
        "needs what was not taken",
        double=f"import fast_double\n{DOUBLE}",
        apply=ALONE,
        beside={"fast_double.so": b"\x7fELF"},
        points=1,
        says="fast_double.so",
    ),
)

# ---- large


def _outputs(*outputs: dict[str, Any]) -> Raw:
    cell = {**CODE, "outputs": list(outputs)}
    return lambda held: held["cells"].append(cell)


PNG = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 23_000_000}}
LINES = {"output_type": "stream", "name": "stdout", "text": ['a "b" [c] {d} \\\n'] * 1_300_000}


def _widgets(held: dict[str, Any]) -> None:
    held["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": "x" * 21_000_000}}}


LARGE = (
    HandIn("large", "a picture of 23 MB", raw=_outputs(PNG), flagged=""),
    HandIn("large", "lines of 26 MB", raw=_outputs(LINES), flagged=""),
    HandIn("large", "widgets of 21 MB", raw=_widgets, flagged=""),
    HandIn(
        "large",
        "data in a cell",
        raw=lambda held: held["cells"].append({**CODE, "source": "x = '" + "y" * 2_000_000 + "'"}),
        points=0,
        status="failed",
        says="move",
    ),
    HandIn("large", "text about outputs", change=own("note = '\"outputs\": [[['\nprint(note)"), flagged=""),
)
