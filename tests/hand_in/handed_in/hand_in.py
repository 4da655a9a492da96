"""One hand-in of the made-up lesson, and what is expected of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

DOUBLE = "def tiny_double(x):\n    return 2 * x"
APPLY = "def tiny_apply(f, x):\n    return f(tiny_double(x))"
ANSWER = "Because twice one is two."
END = "Hence the variance stays one."
FULL = 3.0
ALONE = "def tiny_apply(f, x):\n    return f(x + x)"  # needs nothing of the other answer

Change = Callable[[NotebookNode], None]
Raw = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class HandIn:
    """One hand-in. `change` edits the notebook, `raw` its JSON, `file` its bytes; `beside` lies in the same folder.

    Expected are `points`, words in the messages of exercises (`says`), in the flags (`flagged`; empty: no flag at all,
    None: whatever), on the feedback page (`shown`), and never anywhere `unsaid`.
    """

    kind: str
    name: str
    double: str | None = DOUBLE  # None: the stub, as it was released
    apply: str = APPLY
    answer: str = ANSWER
    change: Change = lambda notebook: None
    raw: Raw = lambda held: None
    file: Callable[[bytes], bytes] = lambda content: content
    beside: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    filename: str = "tiny.ipynb"
    folder: str = "99-tiny"
    points: float = FULL
    says: str = ""
    flagged: str | None = None
    shown: tuple[str, ...] = ()
    unsaid: str = "not written yet"
    status: str = "graded"


def cell_of(notebook: NotebookNode, identity: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell["id"] == identity)


def raw_of(held: dict[str, Any], identity: str) -> dict[str, Any]:
    return next(cell for cell in held["cells"] if cell.get("id") == identity)


def own(code: str, place: int = 2) -> Change:
    return lambda notebook: notebook.cells.insert(place, new_code_cell(code))


CODE = {"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}


def content(hand_in: HandIn, released: NotebookNode) -> bytes:
    """The file of a hand-in of this lesson."""
    made = deepcopy(released)
    answers = {"tiny_double": hand_in.double, "tiny_apply": hand_in.apply, "why-answer": hand_in.answer}
    for cell in made.cells:
        cell.source = answers.get(cell["id"]) or cell.source
    hand_in.change(made)
    held = json.loads(nbformat.writes(made))
    hand_in.raw(held)
    return hand_in.file(json.dumps(held, ensure_ascii=False).encode())
