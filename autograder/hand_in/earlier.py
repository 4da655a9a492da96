"""Hand-ins of an earlier release of a lesson: what of them is the course's own is brought to the lesson as it is now.

A locked cell, or a stub nobody has written in, that some release said counts as unchanged, and gets today's text.
Given text of an earlier release goes, since today's stands in its place; given code stays and runs before today's,
since an answer may use what it defines.
"""

from __future__ import annotations

from nbformat import NotebookNode

from ..cells import CHECKS, GRADED, grade_id, place
from ..nodes import node
from ..releases import Releases, digest, name_of


def brought_forward(
    cells: list[NotebookNode], given: list[NotebookNode], releases: Releases
) -> tuple[list[NotebookNode], list[str]]:
    """The submitted `cells`, with the course's own as in `given`, the lesson's cells now; and remarks."""
    now = {name_of(cell): cell for cell in given}
    texts = {digest(cell.source) for cell in given}
    kept: list[NotebookNode] = []
    gone: dict[str, None] = {}
    for cell in cells:
        theirs = grade_id(cell)
        name = theirs or releases.whose(cell.source) or ""
        said = bool(name) and releases.said(name, cell.source)
        if name in now:
            kept.append(node(cell, source=now[name].source) if said else cell)
        elif theirs and theirs in releases.names():
            gone[place(theirs)[0]] = None
            if not said and not theirs.endswith((CHECKS, GRADED)):  # an answer: a cell of the student's from now on
                kept.append(node(cell, metadata=node()))
        elif not said or cell.cell_type == "code" or digest(cell.source) in texts:
            kept.append(cell)
    return kept, [f"{name} was taken out of the lesson; what was written there is kept" for name in gone]
