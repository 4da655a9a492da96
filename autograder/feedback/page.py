"""How a notebook becomes a page: `page.html.j2` on nbgrader's template, with filters whose time and length are bounded.

`exporter` makes our feedback page; `nbgrader_config.py` puts `markdown2html` and `Bounded` into formgrader's exporter
as well. Nothing here remembers anything of a page but texts rendered alone, and what they came to.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters import strip_files_prefix
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets.config import Config

from ..nodes import new_output
from .markup import BOX, BOXED, Room
from .mathematics import rendered

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
TEMPLATES = tuple(sorted(Path(__file__).parent.glob("*.html.j2")))
BOXES = f".rendered_html, .output_subarea, .input_area {{ {BOX} }}"
SCRIPT = re.compile(r"<script\b.*?</script>\s*", re.S)  # none is ours; a template of nbconvert's could bring one along
NO_ALT = re.compile(r"<img(?=\s)(?![^>]*\salt=)")
# Characters that are coloured of a cell, and the longest line among them: a highlighter's time is quadratic in it.
MAX_CODE, MAX_LINE = 5_000, 500
# Characters of a page that are parsed at all, of code and of Markdown each, and those of its attached pictures.
MAX_PARSED, MAX_PICTURES = 200_000, 24 * 2**20
BELOW = "[shown without colours, since it is long:]\n"

_LOADER = FileSystemLoader(Path(__file__).parent)
_PLAIN = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


class _Given(NotebookNode):
    """A notebook for one page alone: nbconvert copies what it is handed, deeply, before anything else."""

    def __deepcopy__(self, _: Any) -> NotebookNode:
        return self


class _Exporter(HTMLExporter):
    """nbconvert's exporter to HTML without its second pass through the finished page, nine tenths of its time: it
    gives pictures an alternative text and JupyterLab's cells a tabindex; pages of nbgrader's have none of the latter.
    """

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        resources = self._init_resources({"policy": POLICY, "gap": "", **(resources or {})})
        types = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", types)
        page, resources = TemplateExporter.from_notebook_node(self, _Given(nb), resources, **options)
        self._nb_metadata.clear()
        return NO_ALT.sub('<img alt="a picture without a description"', page), resources

    def _preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """The preprocessors one after the other. nbconvert copies `nb` twice more, and validates it after each."""
        for preprocessor in self._preprocessors:
            nb, resources = preprocessor(nb, resources)
        return nb, resources


def exporter(config: Config) -> HTMLExporter:
    """The exporter of `page.html.j2`, with no preprocessors but ours; what it gives goes through `without_scripts`."""
    made = _Exporter(config=config, extra_loaders=[_LOADER], template_file="page.html.j2")
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
    html = strip_files_prefix(rendered(source, attachments, pictures)) if attachments else _rendered(source)
    return f"{BOXED[0]}{html}{BOXED[1]}"


@lru_cache(maxsize=2048)  # most cells are the course's, and the same for everybody
def _rendered(source: str) -> str:
    return strip_files_prefix(rendered(source))


def in_box(source: str) -> str:
    """A comment's Markdown as harmless HTML in a box of its own."""
    return f"{BOXED[0]}{_rendered(source)}{BOXED[1]}"


def highlight_code(source: str, language: str | None = None, metadata: Any = None) -> str:
    """A jinja filter: Python in colours."""
    return _highlighted(source)


@lru_cache(maxsize=2048)
def _highlighted(source: str) -> str:
    return Highlight2HTML(pygments_lexer="ipython3")(source)


class Bounded(Preprocessor):
    """Before a notebook is shown: code that would take a highlighter long is moved below the rest of its cell, as
    plain text; formulas that are displayed go the way of a cell's mathematics, not to MathJax; raw cells, which
    nbconvert puts on a page as HTML and outside every box, become outputs; boxes get their style.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """`nb` with less to parse."""
        room = Room(MAX_PARSED)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.source, rest = _coloured(cell.source, room)
                cell.outputs = [*_plain(rest), *cell.outputs]
            elif cell.cell_type == "raw":
                cell.update(cell_type="code", source="", outputs=[_stream(cell.source)], execution_count=None)
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
    return [_stream(BELOW + code)] if code else []


def _stream(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text.replace("\x1b", "?"))


def without_scripts(page: str) -> str:
    """The page without any `<script>`; its policy, in the template, lets none run either."""
    return SCRIPT.sub("", page) if "<script" in page else page


@lru_cache(maxsize=1)
def marks_template() -> Any:
    """The macros of `marks.html.j2`, which fill a page's gaps."""
    return _PLAIN.get_template("marks.html.j2").module


def refusal(title: str, reason: str) -> str:
    """The page that stands in the place of one that cannot be shown, with the reason and a remedy."""
    return _PLAIN.get_template("refusal.html.j2").render(policy=POLICY, title=title, reason=reason)
