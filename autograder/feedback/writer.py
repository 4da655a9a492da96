"""Feedback pages, filled from the grade book, without hidden checks, rubrics or answers.

Nothing on a page may act. What the student wrote has been made harmless when it was taken in (`markup`); here the
rendered HTML is cleaned once more, mathematics becomes MathML, and the page's content security policy lets the browser
run no script and load nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

from ..grading.exchange import Exchange
from ..grading.gradebook import for_release, resources_for
from ..grading.graded import Graded
from ..grading.ledger import place_of
from ..grading.sources import digest_of, page_sources
from ..hand_in.restoring import Master
from ..nodes import copied
from .filling import Body, Said, filled
from .making import SECONDS, PageRefused, Pages
from .page import Bounded, exporter, refusal, without_scripts


def page_maker(config: Config, masters: Iterable[Master] = ()) -> Pages:
    """What makes the pages' bodies; those of the lessons as released are made first."""
    converter = GenerateFeedback(config=config)
    made = exporter(converter.config)
    for preprocessor in converter.preprocessors:
        made.register_preprocessor(preprocessor, enabled=True)
    made.register_preprocessor(Bounded(), enabled=True)

    def make(notebook: NotebookNode, resources: dict[str, Any]) -> str:
        return without_scripts(made.from_notebook_node(notebook, resources=resources)[0])

    return Pages(make, [(master.released, resources_for("", master.lesson, master.name, "")) for master in masters])


def body_of(pages: Pages, notebook: NotebookNode, name: str, seconds: float = SECONDS) -> Body:
    """The body of the page of a notebook with verdicts, in so many seconds; one that says why where it takes more.
    Raises RuntimeError for whatever may be our own fault.
    """

    def render(notebook: NotebookNode, token: str) -> str:
        return pages.page(notebook, {**resources_for("", "", name, ""), "gap": token}, seconds)

    try:
        return Body.of(copied(notebook), render)
    except PageRefused as error:
        return Body(refused=str(error))


class FeedbackWriter:
    """Writes `feedback/<student>/<lesson>/<name>.html` below `out`, with what `gradebook` says. The bodies of pages are
    kept beside the ledger's records, so that a page is filled again without being rendered.
    """

    def __init__(self, out: Path, config: Config, gradebook: Gradebook, pages: Pages | None = None) -> None:
        self.out = out
        self._gradebook, self._pages = gradebook, pages or page_maker(config)
        self._made_by = digest_of(page_sources(map(str, config.GenerateFeedback.get("preprocessors", []))))

    def write(
        self, graded: Graded, name: str, files: Exchange | None = None, release: Mapping[str, str] | None = None
    ) -> Path:
        """The page of one submission, in its place when `files` are swapped, or at once; beside it what `release`
        holds, by name.
        """
        page = self.out / "feedback" / graded.student / graded.lesson / f"{name}.html"
        texts = {page.with_name(beside): text for beside, text in (release or {}).items()}
        if graded.notebook is None:
            texts[page] = refusal(f"{graded.lesson}: not graded", "; ".join(graded.flags))
        else:
            body = self._body(graded, graded.notebook, name)
            texts[page] = self._filled(body, graded.student, graded.lesson, name)
            key = self._key(graded.text.encode("utf-8", "replace"))
            texts[place_of(self.out, graded.student, graded.lesson, ".page")] = _kept(key, body)
        _write(texts, files)
        return page

    def refresh(self, notebook: Path, page: Path, student: str, lesson: str, release: Mapping[str, str]) -> bool:
        """Bring the page of a stored notebook, and what lies beside it, to what the grade book says now; whether the
        page had to be written. Raises OSError, `MissingEntry`, and RuntimeError as `body_of`.
        """
        content = notebook.read_bytes()
        key, place = self._key(content), place_of(self.out, student, lesson, ".page")
        texts = {page.with_name(beside): text for beside, text in release.items()}
        if (body := _found(place, key)) is None:
            body = body_of(self._pages, nbformat.reads(content.decode("utf-8"), as_version=4), notebook.stem)
            texts[place] = _kept(key, body)
        texts[page] = self._filled(body, student, lesson, notebook.stem)
        texts = {place: text for place, text in texts.items() if _text(place) != text}
        with Exchange() as files:
            _write(texts, files)
            files.swap()
        return page in texts

    def _body(self, graded: Graded, notebook: NotebookNode, name: str) -> Body:
        """As a worker has rendered it, or else rendered here."""
        return graded.body or body_of(self._pages, notebook, name, graded.left)

    def _filled(self, body: Body, student: str, lesson: str, name: str) -> str:
        if body.refused:
            return refusal(f"{lesson}: no page", f"This notebook cannot be shown ({body.refused}); its marks stand")
        return filled(body, name, Said.by(self._gradebook, student, lesson, name))

    def _key(self, content: bytes) -> str:
        return hashlib.sha256(self._made_by.encode() + content).hexdigest()


def refreshed(writer: FeedbackWriter, out: Path, student: str, lesson: str, name: str, secret: str) -> bool:
    """As `FeedbackWriter.refresh`, of a submission in its usual places below `out`."""
    notebook, page = (
        out / place / student / lesson / file
        for place, file in (("autograded", f"{name}.ipynb"), ("feedback", f"{name}.html"))
    )
    release = for_release(notebook.parent, student, lesson, secret)
    return writer.refresh(notebook, page, student, lesson, release)


def _write(texts: Mapping[Path, str], files: Exchange | None) -> None:
    for place, text in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        (files.aside(place) if files else place).write_text(text, encoding="utf-8", errors="replace")


def _text(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None


def _kept(key: str, body: Body) -> str:
    return f'{{"key": "{key}", "body": {body.text()}}}'


def _found(place: Path, key: str) -> Body | None:
    """The body that was kept with this key."""
    try:
        held = json.loads(place.read_text(encoding="utf-8"))
        return Body.from_json(held["body"]) if held["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
