"""Notebooks edited: metadata, order, cells, and the file itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from .attack import Attack


def cell(notebook: NotebookNode, identity: str) -> NotebookNode:
    """The cell of this id."""
    return next(one for one in notebook.cells if one["id"] == identity)


def _set(identity: str, **metadata: Any) -> Callable[[NotebookNode], None]:
    return lambda notebook: cell(notebook, identity).metadata.nbgrader.update(metadata)


def _tag(*tags: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        for one in notebook.cells:
            one.metadata["tags"] = list(tags)

    return change


def _source(identity: str, source: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: cell(notebook, identity).update(source=source)


def _as_markdown(identity: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        one = cell(notebook, identity)
        one.update(cell_type="markdown")
        del one["outputs"], one["execution_count"]

    return change


def _without(*identities: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        notebook.cells = [one for one in notebook.cells if one["id"] not in identities]

    return change


def _twice(notebook: NotebookNode) -> None:
    twin = deepcopy(cell(notebook, "tiny_double-graded"))
    twin.update(id="twin", source="2.0")
    notebook.cells.append(twin)


def _unknown(notebook: NotebookNode) -> None:
    extra = new_code_cell("2.0", metadata=deepcopy(cell(notebook, "tiny_double-graded").metadata))
    extra.metadata.nbgrader.update(grade_id="bonus" * 1000, points=1000)
    notebook.cells.append(extra)


def _reverse(notebook: NotebookNode) -> None:
    notebook.cells.reverse()


def _kernel(notebook: NotebookNode) -> None:
    notebook.metadata = {"kernelspec": {"name": "bash", "display_name": "Bash", "language": "bash"}}


def _many_cells(count: int) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        held = json.loads(content)
        held["cells"] += [{"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}] * count
        return json.dumps(held).encode()

    return edit


def _edit(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **fields}).encode()


def _everywhere(**fields: Any) -> Callable[[bytes], bytes]:
    """Set these fields in every cell."""

    def edit(content: bytes) -> bytes:
        held = json.loads(content)
        held["cells"] = [{**one, **fields} for one in held["cells"]]
        return json.dumps(held).encode()

    return edit


def _lone_surrogates(notebook: NotebookNode) -> None:
    cell(notebook, "title").source = "HALF"
    notebook.cells.append(new_markdown_cell("HALF"))
    notebook.cells.append(new_code_cell("print('HALF')"))


ATTACKS = (
    Attack("all cells tagged skip-execution", "notebook", change=_tag("skip-execution"), flagged=True),
    Attack("all cells tagged raises-exception", "notebook", change=_tag("raises-exception"), flagged=True),
    Attack("points raised", "notebook", change=_set("tiny_double-graded", points=200), flagged=True),
    Attack("points not a number", "notebook", change=_set("tiny_double-graded", points="2e9"), flagged=True),
    Attack("unlocked", "notebook", change=_set("tiny_double-graded", locked=False), flagged=True),
    Attack("graded cell made a solution", "notebook", change=_set("tiny_double-graded", solution=True), flagged=True),
    Attack("graded cell not graded", "notebook", change=_set("tiny_double-graded", grade=False), flagged=True),
    Attack("schema of the future", "notebook", change=_set("tiny_double-graded", schema_version=99), flagged=True),
    Attack("schema that is a list", "notebook", change=_set("tiny_double-graded", schema_version=[[]]), flagged=True),
    Attack("locked source replaced", "notebook", change=_source("tiny_double-graded", "2.0"), flagged=True),
    Attack("check replaced", "notebook", change=_source("tiny_double-checks", "pass"), flagged=True),
    Attack("graded cell made text", "notebook", change=_as_markdown("tiny_double-graded"), flagged=True),
    Attack("graded cell deleted", "notebook", change=_without("tiny_double-graded"), flagged=True),
    Attack("answer deleted", "notebook", change=_without("tiny_double"), flagged=True),
    Attack("everything deleted", "notebook", change=lambda n: n.update(cells=[]), earns=0, flagged=True),
    Attack("graded cell twice", "notebook", change=_twice, flagged=True),
    Attack("graded cell of one's own", "notebook", change=_unknown, flagged=True),
    Attack("cells in reverse", "notebook", change=_reverse),
    Attack("another kernel", "notebook", change=_kernel),
    Attack("half characters", "notebook", change=_lone_surrogates, file=lambda c: c.replace(b"HALF", b"\\ud800")),
    Attack("ids that are markup", "notebook", file=_everywhere(id="<script>alert(1)</script>")),
    Attack("metadata that is a list", "notebook", file=_everywhere(metadata=[]), flagged=True),
    Attack("attachments of every kind", "notebook", file=_everywhere(attachments={"a": [1], "b": {"text/html": "x"}})),
    Attack("10,000 cells", "notebook", file=_many_cells(10_000), earns=0, status="failed", flagged=True),
    Attack("1,000 cells of one's own", "notebook", file=_many_cells(1_000)),
    Attack("25 MB", "notebook", file=lambda c: c + b" " * (25 * 2**20), earns=0, status="failed", flagged=True),
    Attack(
        "objects by the million",
        "notebook",
        file=lambda content: b'{"nbformat": 4, "cells": [' + b"{}," * 1_000_000 + b"{}]}",
        earns=0,
        status="failed",
        flagged=True,
    ),
    Attack("outputs by the million", "notebook", file=_everywhere(outputs=[{}] * 50_000)),
    Attack("deep metadata", "notebook", file=_edit(metadata=json.loads('{"a":' * 800 + "1" + "}" * 800))),
    Attack("nbformat 99", "notebook", file=_edit(nbformat=99), earns=0, status="failed", flagged=True),
    Attack("nbformat that is a list", "notebook", file=_edit(nbformat=[]), earns=0, status="failed", flagged=True),
    Attack("not JSON", "notebook", file=lambda content: content[:-9], earns=0, status="failed", flagged=True),
    Attack("JSON nested deeply", "notebook", file=lambda c: b"[" * 10**6, earns=0, status="failed", flagged=True),
)
