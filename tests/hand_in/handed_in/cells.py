"""Cells that lost what names them, are odd, or were edited although they are given."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from .hand_in import ANSWER, CODE, DOUBLE, Change, HandIn, Raw, cell_of, own, raw_of

# ---- metadata-lost


def _stripped(ids: Callable[[int], str | None], metadata: Callable[[int], Any] = lambda number: {}) -> Raw:
    def raw(held: dict[str, Any]) -> None:
        for number, cell in enumerate(held["cells"]):
            cell["metadata"] = metadata(number)
            cell.pop("id", None)
            if (identity := ids(number)) is not None:
                cell["id"] = identity

    return raw


BARE = _stripped(lambda number: None)


def _both(first: Raw, second: Raw) -> Raw:
    def raw(held: dict[str, Any]) -> None:
        first(held)
        second(held)

    return raw


def _merged(held: dict[str, Any]) -> None:
    """Both answers in one cell, as Shift-M leaves them; the other cell is gone."""
    first, second = raw_of(held, "tiny_double"), raw_of(held, "tiny_apply")
    first["source"] = [*first["source"], "\n\n", *second["source"]]
    held["cells"].remove(second)


def _split(at: str, metadata: bool, identity: str = "tiny_double") -> Raw:
    """The cell cut in two before the line `at`, as Ctrl-Shift-Minus does; the second half may lose its metadata."""

    def raw(held: dict[str, Any]) -> None:
        cell = raw_of(held, identity)
        lines = "".join(cell["source"]).split("\n")
        place = next(number for number, line in enumerate(lines) if line.startswith(at))
        half = deepcopy(cell)
        cell["source"], half["source"] = "\n".join(lines[:place]), "\n".join(lines[place:])
        half["id"] = "half"
        if not metadata:
            half["metadata"] = {}
        held["cells"].insert(held["cells"].index(cell) + 1, half)

    return raw


def _twin(source: str, place: int) -> Change:
    """Another cell with the metadata of tiny_double's."""

    def change(notebook: NotebookNode) -> None:
        twin = deepcopy(cell_of(notebook, "tiny_double"))
        twin["id"], twin["source"] = "twin", source
        at = next(number for number, cell in enumerate(notebook.cells) if cell["id"] == "tiny_double")
        notebook.cells.insert(at + place, twin)

    return change


def _stub_below(notebook: NotebookNode) -> None:
    """The answer, and below it the stub again, with one id: a cell that was copied before it was filled in."""
    _twin(cell_of(notebook, "tiny_double").source, 1)(notebook)
    cell_of(notebook, "tiny_double").source = DOUBLE


def _above_the_stub(notebook: NotebookNode) -> None:
    notebook.cells.insert(2, new_code_cell("# my answer\n" + DOUBLE))


def _turned(kind: str) -> Raw:
    def raw(held: dict[str, Any]) -> None:
        cell = raw_of(held, "tiny_double")
        cell["cell_type"] = kind
        cell.pop("outputs", None), cell.pop("execution_count", None)

    return raw


def _id_reused(held: dict[str, Any]) -> None:
    """A scratch cell of the student's bears the id of an answer, and the answer's cell has another."""
    raw_of(held, "tiny_double").update(id="other", metadata={})
    scratch = {"cell_type": "code", "id": "tiny_double", "metadata": {}, "source": "scratch = 1", "outputs": []}
    held["cells"].insert(1, {**scratch, "execution_count": None})


def _moved(held: dict[str, Any]) -> None:
    """The answers stand at the very end, without metadata."""
    for identity in ("tiny_double", "tiny_apply"):
        cell = raw_of(held, identity)
        cell.update(metadata={}, id="")
        held["cells"].remove(cell)
        held["cells"].append(cell)


METADATA_LOST = (
    HandIn("metadata-lost", "no ids, no metadata", raw=BARE, flagged="metadata"),
    HandIn("metadata-lost", "ids made anew", raw=_stripped(lambda number: f"b{number:07d}")),
    HandIn("metadata-lost", "metadata null", raw=_stripped(lambda number: None, lambda number: None)),
    HandIn("metadata-lost", "another front end's ids", raw=_stripped(lambda n: None, lambda n: {"id": f"x{n}"})),
    HandIn("metadata-lost", "with cells of one's own", change=own("scratch = 3\nprint(scratch)"), raw=BARE),
    HandIn("metadata-lost", "an answer by a lambda", double="tiny_double = lambda x: x + x", raw=BARE),
    HandIn("metadata-lost", "a helper first", double=f"def half(x):\n    return x / 2\n\n\n{DOUBLE}", raw=BARE),
    HandIn(
        "metadata-lost",
        "a mistake of syntax",
        double="def tiny_double(x)\n    return 2 * x",
        apply="def tiny_apply(f, x):\n    return f(x + x)",
        raw=BARE,
        points=1,
        says="expected ':'",
    ),
    HandIn("metadata-lost", "answers at the end", raw=_moved),
    HandIn("metadata-lost", "both answers in one cell", raw=_merged),
    HandIn("metadata-lost", "both answers in one cell, bare", raw=_both(_merged, BARE)),
    HandIn("metadata-lost", "halves with one id", raw=_split("    return", metadata=True)),
    HandIn("metadata-lost", "halves, one without metadata", raw=_split("    return", metadata=False)),
    HandIn("metadata-lost", "halves, bare", raw=_both(_split("    return", metadata=False), BARE)),
    HandIn(
        "metadata-lost",
        "imports split from the answer",
        double="import math\ndef tiny_double(x):\n    return math.floor(2.0) * x",
        raw=_split("def", metadata=True),
    ),
    HandIn("metadata-lost", "an old copy below", change=_twin("def tiny_double(x):\n    return 3", -1)),
    HandIn("metadata-lost", "the stub copied below", double=None, change=_stub_below),
    HandIn("metadata-lost", "a test copied below", change=_twin("tiny_double(torch.ones(1))", 1)),
    HandIn("metadata-lost", "the answer above the stub", double=None, change=_above_the_stub),
    HandIn("metadata-lost", "the answer above the stub, bare", double=None, change=_above_the_stub, raw=BARE),
    HandIn("metadata-lost", "turned into Markdown", raw=_turned("markdown"), flagged="tiny_double"),
    HandIn("metadata-lost", "turned into raw, bare", raw=_both(_turned("raw"), BARE)),
    HandIn("metadata-lost", "an id used twice", raw=_id_reused),
    HandIn("metadata-lost", "a written answer, bare", raw=BARE, shown=(ANSWER,)),
    HandIn(
        "metadata-lost",
        "the line of the stub left in",
        double='def tiny_double(x):\n    raise NotImplementedError("tiny_double: write it")\n    return 2 * x',
        apply="def tiny_apply(f, x):\n    return f(x + x)",
        points=1,
        says="NotImplementedError",
    ),
)

# ---- odd-cells


def _odd(cell: Any, place: int = 1) -> Raw:
    return lambda held: held["cells"].insert(place, cell)


def _sources(held: dict[str, Any]) -> None:
    for cell in held["cells"]:
        cell["source"] = "".join(cell["source"])
        cell.pop("outputs", None), cell.pop("execution_count", None)


def _noted(held: dict[str, Any]) -> None:
    for number, cell in enumerate(held["cells"]):
        if cell["cell_type"] == "code":
            cell["execution_count"], cell["outputs"] = str(number), "none"


ODD_CELLS = (
    HandIn("odd-cells", "metadata null", raw=_odd({**CODE, "metadata": None}), flagged="metadata"),
    HandIn("odd-cells", "metadata a text", raw=_odd({**CODE, "metadata": "x"}), flagged="metadata"),
    HandIn("odd-cells", "metadata missing", raw=_odd({k: v for k, v in CODE.items() if k != "metadata"})),
    HandIn("odd-cells", "an unknown kind", raw=_odd({**CODE, "cell_type": "sql", "source": "SELECT 1"}), flagged="sql"),
    HandIn("odd-cells", "no kind", raw=_odd({"metadata": {}, "source": "notes"}), flagged="kind"),
    HandIn("odd-cells", "kind a list", raw=_odd({**CODE, "cell_type": ["code"]}), flagged="kind"),
    HandIn("odd-cells", "source null", raw=_odd({**CODE, "source": None}), flagged="source"),
    HandIn("odd-cells", "source a number", raw=_odd({**CODE, "source": 3}), flagged="source"),
    HandIn("odd-cells", "source with a null", raw=_odd({**CODE, "source": ["x = 1\n", None]}), flagged="source"),
    HandIn("odd-cells", "a text", raw=_odd("x = 1"), flagged="left out"),
    HandIn("odd-cells", "null", raw=_odd(None), flagged="left out"),
    HandIn("odd-cells", "heading without source", raw=_odd({"cell_type": "heading", "level": 9, "metadata": {}})),
    HandIn("odd-cells", "id a number", raw=_odd({**CODE, "id": 7}), flagged=None),
    HandIn("odd-cells", "id with a blank", raw=_odd({**CODE, "id": "é a"}), flagged=None),
    HandIn("odd-cells", "attachments a list", raw=_odd({"cell_type": "markdown", "source": "x", "attachments": [1]})),
    HandIn("odd-cells", "attachments null", raw=_odd({"cell_type": "markdown", "source": "x", "attachments": None})),
    HandIn("odd-cells", "no outputs, sources as text", raw=_sources, flagged=""),
    HandIn("odd-cells", "counts that are texts", raw=_noted, flagged=""),
    HandIn("odd-cells", "nbgrader's metadata a list", raw=_odd({**CODE, "metadata": {"nbgrader": [1]}})),
    HandIn("odd-cells", "no minor version", raw=lambda held: held.pop("nbformat_minor")),
    HandIn("odd-cells", "the version a text", raw=lambda held: held.update(nbformat="4", nbformat_minor="5")),
    HandIn("odd-cells", "no metadata of the notebook", raw=lambda held: held.update(metadata=None)),
    HandIn("odd-cells", "ids with minor version 2", raw=lambda held: held.update(nbformat_minor=2), flagged=""),
    HandIn("odd-cells", "UTF-16", file=lambda content: content.decode().encode("utf-16")),
    HandIn("odd-cells", "BOM and blank lines", file=lambda content: b"\xef\xbb\xbf\n\n" + content + b"\n\n"),
)

# ---- imports-cell


def _on_top(lines: str) -> Change:
    def change(notebook: NotebookNode) -> None:
        cell = cell_of(notebook, "imports")
        cell.source = f"{lines}\n{cell.source}"

    return change


def _given(source: str, identity: str = "imports") -> Change:
    return lambda notebook: cell_of(notebook, identity).update(source=source)


IMPORTS_CELL = (
    HandIn("imports-cell", "%matplotlib notebook", change=_on_top("%matplotlib notebook")),
    HandIn("imports-cell", "%matplotlib qt", change=_on_top("%matplotlib qt")),
    HandIn("imports-cell", "a theme", change=_on_top("import plotly_of_2031 as px\npx.defaults.template = 'x'")),
    HandIn(
        "imports-cell", "seaborn's theme", change=_on_top("import seaborn as sns\nsns.set_theme()"), flagged="seaborn"
    ),
    HandIn(
        "imports-cell", "a style that is gone", change=_on_top("import matplotlib.pyplot as plt\nplt.style.use('no')")
    ),
    HandIn("imports-cell", "%load_ext", change=_on_top("%load_ext jupyter_black_of_2031")),
    HandIn("imports-cell", "!pip install", change=_on_top("!pip install -q einops")),
    HandIn("imports-cell", "%pip install", change=_on_top("%pip install einops")),
    HandIn("imports-cell", "curly quotes", change=_on_top("print(“ready”)"), flagged="U\\+201C"),
    HandIn("imports-cell", "the import taken out", change=_given("print('no imports needed')")),
    HandIn("imports-cell", "the import turned into a comment", change=_given("# import torch")),
    HandIn(
        "imports-cell",
        "the import below its mistake",
        change=_given("assert False, 'stop'\nimport torch"),
        flagged="stop",
    ),
    HandIn(
        "imports-cell",
        "an import of one's own below",
        double="def tiny_double(x):\n    return np.multiply(2, x)",
        change=_given("import seaborn as sns\nimport torch\nimport numpy as np"),
    ),
    HandIn(
        "imports-cell",
        "a helper broken",
        change=_given("def twice(f, x)\n    return f(x)", "helper"),
        apply="def tiny_apply(f, x):\n    return twice(f, tiny_double(x))",
        flagged="line 1",
    ),
    HandIn(
        "imports-cell",
        "a helper renamed",
        change=_given("def twice_mine(f, x):\n    return f(x)", "helper"),
        apply="def tiny_apply(f, x):\n    return twice(f, tiny_double(x))",
    ),
    HandIn(
        "imports-cell",
        "a helper deleted",
        change=lambda n: n.cells.remove(cell_of(n, "helper")),
        apply="def tiny_apply(f, x):\n    return twice(f, tiny_double(x))",
    ),
    HandIn(
        "imports-cell",
        "plots in an own cell",
        change=own("import seaborn as sns\nimport numpy as np"),
        double="def tiny_double(x):\n    return x * np.float64(2)",
    ),
    HandIn("imports-cell", "plots in an answer", double=f"%matplotlib widget\nimport seaborn as sns\n{DOUBLE}"),
    HandIn(
        "imports-cell",
        "a helper of one's own kept",
        change=_on_top("factor = 2"),
        double="def tiny_double(x):\n    return factor * x",
        flagged="",
    ),
)
