"""Notebooks as trees: copied, written and put together at the speed of plain dictionaries.

nbformat's own ways validate what they are handed and copy it several times; of a large class that is most of the time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from nbformat import NotebookNode

Tree = TypeVar("Tree")
# Metadata of a notebook that nbformat never writes.
TRANSIENT = ("orig_nbformat", "orig_nbformat_minor", "signature")


def copied(value: Tree) -> Tree:
    """A tree of dictionaries, lists, texts and numbers with nothing in common with `value` that could change."""
    if isinstance(value, dict):
        made = type(value)()
        dict.update(made, {k: copied(v) if isinstance(v, dict | list) else v for k, v in value.items()})
        return made
    return [copied(item) for item in value] if isinstance(value, list) else value  # type: ignore[return-value]


def node(fields: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> NotebookNode:
    """A node of these fields; tables among their values are nodes already, which nbformat would look for."""
    made = NotebookNode()
    dict.update(made, fields, **more)
    return made


def new_output(kind: str, **fields: Any) -> NotebookNode:
    """An output of a code cell, of fields that nbformat has for its kind."""
    return node(output_type=kind, **{name: _nodes(value) for name, value in fields.items()})


def _nodes(value: Any) -> Any:
    return node({key: _nodes(item) for key, item in value.items()}) if isinstance(value, dict) else value


def written(notebook: NotebookNode) -> str:
    """A notebook as JSON, a cell on a line: what `nbformat.read` reads."""
    about = {key: value for key, value in notebook.metadata.items() if key not in TRANSIENT}
    rest = {key: value for key, value in notebook.items() if key not in ("cells", "metadata")}
    cells = ",\n".join(_text(_lasting(cell)) for cell in notebook.cells)
    return f'{{"cells": [\n{cells}\n],\n"metadata": {_text(about)},\n{_text(rest)[1:]}\n'


def _lasting(cell: NotebookNode) -> dict[str, Any]:
    metadata = {key: value for key, value in cell.metadata.items() if key != "trusted"}
    return {**cell, "metadata": metadata}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
