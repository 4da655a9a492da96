"""Pictures that a lesson keeps beside its source, named `*.kept.png`: making them takes longer than a build may.

    ![Eighty digits that nobody wrote](page28.kept.png)

in a Markdown cell becomes an attachment of that cell, so that the built notebook is one file and shows the picture in
JupyterLab, on exported pages and on feedback pages alike.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from nbformat import NotebookNode

_SHOWN = re.compile(r"(!\[[^\]]+\]\()([\w-]+\.kept\.png)(?=\))")


def kept_names(text: str) -> list[str]:
    """The picture files that `text` shows, in order."""
    return [name for _, name in _SHOWN.findall(text)]


def kept_pictures(text: str, folder: Path) -> dict[str, bytes]:
    """The same with their content. Raises FileNotFoundError, naming one that `folder` lacks."""
    return {name: (folder / name).read_bytes() for name in kept_names(text)}


def attach(cell: NotebookNode, folder: Path) -> None:
    """Put the pictures that a Markdown cell shows into it."""
    if pictures := kept_pictures(cell.source, folder):
        cell.attachments = {name: {"image/png": base64.b64encode(data).decode()} for name, data in pictures.items()}
        cell.source = _SHOWN.sub(r"\1attachment:\2", cell.source)
