"""How a notebook becomes a page: nbgrader's templates with filters whose time and length are bounded.

`exporter` makes our feedback page; `nbgrader_config.py` puts `markdown2html` and `Bounded` into formgrader's exporter
as well. Nothing here remembers anything of a page but texts rendered alone, and what they came to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_output
from traitlets.config import Config

from .markup import BOX, BOXED, Room
from .mathematics import rendered

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
# Bootstrap, which nbgrader's template brings along, hides the triangle of what unfolds and packs tables tight.
STYLE = "summary { display: list-item; cursor: pointer } .rendered_html td { padding: .1em .6em }"
BOXES = f".rendered_html, .output_subarea, .input_area {{ {BOX} }}"
HEAD_END = "</head>"
SCRIPT = re.compile(r"<script\b.*?</script>\s*", re.S)  # of nbconvert's: MathJax, which would come from the network
CHARSET = re.compile(r'<meta charset="utf-8"\s*/?>')
NO_ALT = re.compile(r"<img(?=\s)(?![^>]*\salt=)")
# Characters that are coloured of a cell, and the longest line among them: a highlighter's time is quadratic in it.
MAX_CODE, MAX_LINE = 5_000, 500
# Characters of a page that are parsed at all, of code and of Markdown each, and those of its attached pictures.
MAX_PARSED, MAX_PICTURES = 200_000, 24 * 2**20
BELOW = "[shown without colours, since it is long:]\n"


class _Exporter(HTMLExporter):
    """nbconvert's exporter to HTML without its second pass through the finished page, nine tenths of its time: it
    gives pictures an alternative text and JupyterLab's cells a tabindex; pages of nbgrader's have none of the latter.
    """

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        resources = self._init_resources(resources)
        types = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", types)
        page, resources = TemplateExporter.from_notebook_node(self, nb, resources, **options)
        self._nb_metadata.clear()
        return NO_ALT.sub('<img alt="a picture without a description"', page), resources


def exporter(config: Config) -> HTMLExporter:
    """nbgrader's exporter without preprocessors but ours; what comes out of it has still to be `guarded`."""
    made = _Exporter(config=config)
    made._preprocessors = []  # as nbgrader's converter does: its list and no other
    # The trait takes strings as well; functions are what is registered in the end.
    made.filters = {"markdown2html": markdown2html, "highlight_code": highlight_code}
    return made


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """A jinja filter: a cell's or an output's Markdown as harmless HTML in a box of its own, while the page has room
    for it.
    """
    resources = context.get("resources", {})
    text = resources.setdefault("room_for_text", Room(MAX_PARSED))
    pictures = resources.setdefault("room_for_pictures", Room(MAX_PICTURES))
    if not text.whole(source):
        return f"{BOXED[0]}<pre>{escape(source)}</pre>{BOXED[1]}"
    attachments = context.get("cell", {}).get("attachments")
    html = rendered(source, attachments, pictures) if attachments else _rendered(source)
    return f"{BOXED[0]}{html}{BOXED[1]}"


@lru_cache(maxsize=2048)  # most cells are the course's, and the same for everybody
def _rendered(source: str) -> str:
    return rendered(source)


def highlight_code(source: str, language: str | None = None, metadata: Any = None) -> str:
    """A jinja filter: Python in colours."""
    return _highlighted(source)


@lru_cache(maxsize=2048)
def _highlighted(source: str) -> str:
    return Highlight2HTML(pygments_lexer="ipython3")(source)


class Bounded(Preprocessor):
    """Before a notebook is shown: code that would take a highlighter long is moved below the rest of its cell, as
    plain text; formulas that are displayed go the way of a cell's mathematics, not to MathJax; boxes get their style.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """`nb` with less to parse."""
        room = Room(MAX_PARSED)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.source, rest = _coloured(cell.source, room)
                cell.outputs = [*_plain(rest), *cell.outputs]
            for output in cell.get("outputs", []):
                if "text/latex" in output.get("data", {}):
                    output.data["text/markdown"] = output.data.pop("text/latex")
        resources.setdefault("inlining", {}).setdefault("css", []).append(BOXES)
        return nb, resources


def _coloured(source: str, room: Room) -> tuple[str, str]:
    """What is coloured of a cell's code, in whole lines, and the rest."""
    lines = [line if line.strip() else "" for line in source.split("\n")]
    length = 0
    for number, line in enumerate(lines):
        length += len(line) + 1
        if len(line) > MAX_LINE or length > MAX_CODE or not room.whole(f"{line}\n"):
            return "\n".join(lines[:number]), "\n".join(lines[number:])
    return "\n".join(lines), ""


def _plain(code: str) -> list[NotebookNode]:
    return [new_output("stream", name="stdout", text=BELOW + code.replace("\x1b", "?"))] if code else []


def guarded(page: str) -> str:
    """The page without scripts, and with its content security policy."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    page = SCRIPT.sub("", page).replace(HEAD_END, f"<style>{STYLE}</style>\n{HEAD_END}", 1)
    return CHARSET.sub(lambda found: f"{found[0]}\n{policy}", page, count=1)
