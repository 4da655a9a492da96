"""Feedback pages: nbgrader's own template filled from the grade book, without hidden checks, rubrics or answers.

Nothing on a page may act. What the student wrote has been made harmless when it was taken in (`markup`); here the
rendered HTML is cleaned once more, mathematics becomes MathML, and the page's content security policy lets the browser
run no script and load nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.preprocessors import GetGrades
from traitlets.config import Config
from traitlets.utils.importstring import import_item

from .gradebook import resources_for
from .mathematics import rendered
from .runner import Graded

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
# Bootstrap, which nbgrader's template brings along, hides the triangle of what unfolds and packs tables tight.
STYLE = "<style>summary { display: list-item; cursor: pointer } .rendered_html td { padding: .1em .6em }</style>"
HEAD_END = "</head>"
SCRIPT = re.compile(r"<script\b.*?</script>\s*", re.S)  # of nbconvert's: MathJax, which would come from the network
CHARSET = re.compile(r'<meta charset="utf-8"\s*/?>')
MAX_CODE, MAX_LINE = 20_000, 500  # longer cells and lines are shown without colours: a highlighter's time is quadratic
KEPT = 500
NO_ALT = re.compile(r"<img(?=\s)(?![^>]*\salt=)")
CONTENTS = re.compile(r'<div id="toc">.*?</div>', re.S)  # nbgrader's: a line for every test cell, none with a name


class FeedbackWriter:
    """Writes `feedback/<student>/<lesson>/<name>.html` below `out`, with the scores and comments of `gradebook`."""

    def __init__(self, out: Path, config: Config, gradebook: Gradebook) -> None:
        self.out = out
        converter = GenerateFeedback(config=config)
        self._exporter = exporter(converter.config)
        for preprocessor in converter.preprocessors:
            ours = _Scores(gradebook) if import_item(preprocessor) is GetGrades else preprocessor
            self._exporter.register_preprocessor(ours, enabled=True)
        self._exporter.register_preprocessor(_formulas_as_markdown, enabled=True)

    def write(self, graded: Graded, name: str) -> Path:
        """The page of one submission; for one that could not be graded, a page that says why."""
        folder = self.out / "feedback" / graded.student / graded.lesson
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{name}.html"
        if graded.notebook is None:
            text = _refusal(graded)
        else:
            resources = resources_for(graded.student, graded.lesson, name, "")
            try:
                text = guarded(self._exporter.from_notebook_node(graded.notebook, resources=resources)[0])
                text = CONTENTS.sub(lambda found: _summary(graded), text, count=1)
            except (RecursionError, ValueError, TypeError, LookupError) as error:  # nobody else's page is in danger
                text = _refusal(graded, f"This notebook cannot be shown ({type(error).__name__}); its marks stand")
        page.write_text(text, encoding="utf-8", errors="replace")
        return page


class _Scores:
    """What nbgrader's GetGrades does, in three queries of a grade book that is open instead of two for every cell of
    one that is opened anew: the time of a large class is the time of its one writer.
    """

    def __init__(self, gradebook: Gradebook) -> None:
        self._gradebook = gradebook

    def __call__(self, notebook: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        about = resources["nbgrader"]
        held = self._gradebook.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
        scores = self._rows(held.id, Grade, Grade.score, Grade.max_score)
        comments = self._rows(held.id, Comment, Comment.comment)
        for cell in notebook.cells:
            meta = cell.metadata.get("nbgrader", {})
            if found := comments.get(meta.get("grade_id")):
                (meta["comment"],) = found
            if found := scores.get(meta.get("grade_id")):
                meta["score"], meta["points"] = found
        penalty = held.late_submission_penalty or 0
        about.update(score=held.score - penalty, max_score=held.max_score, late_penalty=penalty)
        return notebook, resources

    def _rows(self, notebook: str, kind: Any, *columns: Any) -> dict[str, tuple[Any, ...]]:
        """These columns of every graded or commented cell of a submission, by the cell's name."""
        query = self._gradebook.db.query(BaseCell.name, *columns)
        rows = query.filter(kind.cell_id == BaseCell.id, kind.notebook_id == notebook)
        return {name: tuple(values) for name, *values in rows}


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
        return NO_ALT.sub('<img alt="a picture without a description"', page), resources


def _formulas_as_markdown(notebook: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
    """`display(Math(...))`, which a page hands to MathJax otherwise, goes the way of a cell's mathematics."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if "text/latex" in output.get("data", {}):
            output.data["text/markdown"] = output.data.pop("text/latex")
    return notebook, resources


def exporter(config: Config) -> HTMLExporter:
    """nbgrader's exporter without preprocessors, whose Markdown is cleaned and whose highlighting takes no longer than
    it should. Most cells are the course's and the same for everybody: each text is rendered once.
    """
    made = _Exporter(config=config)
    made._preprocessors = []  # as nbgrader's converter does: its list and no other
    markdown: dict[str, str] = {}

    @pass_context
    def html(context: Any, source: str) -> str:
        if attachments := context.get("cell", {}).get("attachments"):
            return rendered(source, attachments)
        return _once(markdown, source, rendered)

    # The trait takes strings as well; functions are what is registered in the end.
    made.filters = {"markdown2html": html, "highlight_code": _Highlight()}
    return made


class _Highlight:
    """Python in colours, each text once."""

    def __init__(self) -> None:
        self._highlight = Highlight2HTML(pygments_lexer="ipython3")
        self._kept: dict[str, str] = {}

    def __call__(self, source: str, language: str | None = None, metadata: Any = None) -> str:
        if len(source) > MAX_CODE or any(len(line) > MAX_LINE for line in source.split("\n")):
            return f'<div class="highlight"><pre>{escape(source)}</pre></div>'
        return _once(self._kept, source, self._highlight)


def _once(kept: dict[str, str], source: str, render: Callable[[str], str]) -> str:
    if source not in kept:
        if len(kept) >= KEPT:
            kept.clear()
        kept[source] = render(source)
    return kept[source]


def guarded(page: str) -> str:
    """The page without scripts, and with its content security policy."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    page = SCRIPT.sub("", page).replace(HEAD_END, f"{STYLE}\n{HEAD_END}", 1)
    return CHARSET.sub(lambda found: f"{found[0]}\n{policy}", page, count=1)


def _summary(graded: Graded) -> str:
    """A table of the exercises: what each earned, and what the student should know about it first."""
    rows = "".join(
        f'<tr><td><a href="#{escape(mark.name)}-graded"><code>{escape(mark.name)}</code></a></td>'
        f"<td>{mark.points:g}&nbsp;/&nbsp;{mark.max_points:g}</td><td>{escape(mark.message)}</td></tr>"
        for mark in graded.marks
    )
    heads = "<tr><th>exercise</th><th>points</th><th>in short</th></tr>"
    return f'<div id="toc"><table class="table table-condensed">{heads}{rows}</table></div>'


def _refusal(graded: Graded, reason: str = "") -> str:
    remedy = (
        "Open the notebook in JupyterLab, save it again and hand it in once more; if it does not open, "
        "take a fresh copy of the lesson and move your answers over."
    )
    title = f"{graded.lesson}: no page" if reason else f"{graded.lesson}: not graded"
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" /><title>{escape(title)}</title>'
        "<style>body{font:16px/1.5 sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(reason or '; '.join(graded.flags))}.</p><p>{remedy}</p></body></html>\n"
    )
