"""Feedback pages, filled from the grade book, without hidden checks, rubrics or answers.

Nothing on a page may act. What the student wrote has been made harmless when it was taken in (`markup`); here the
rendered HTML is cleaned once more, mathematics becomes MathML, and the page's content security policy lets the browser
run no script and load nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

from ..grading.exchange import Exchange
from ..grading.finished import Finished, digest
from ..grading.gradebook import for_release, resources_for
from ..grading.graded import Graded
from ..grading.ledger import place_of
from ..grading.sources import digest_of, page_sources
from ..hand_in.restoring import Master
from .filling import Body, Said, filled, in_bytes
from .making import SECONDS, PageRefused, Pages
from .page import Bounded, exporter, refusal, without_scripts

Pieces = tuple[bytes, ...]  # of a file


def page_maker(config: Config, masters: Iterable[Master] = ()) -> Pages:
    """What makes the pages' bodies; those of the lessons as released are made first."""
    converter = GenerateFeedback(config=config)
    made = exporter(converter.config)
    for preprocessor in converter.preprocessors:
        made.register_preprocessor(preprocessor, enabled=True)
    made.register_preprocessor(Bounded(), enabled=True)

    def make(notebook: NotebookNode, resources: dict[str, Any]) -> str:
        return without_scripts(made.from_notebook_node(notebook, resources=resources)[0])

    return Pages(make, [(one.released, resources_for("", one.lesson, one.name, "")) for one in masters])


def body_of(pages: Pages, notebook: NotebookNode, name: str, seconds: float = SECONDS) -> Body:
    """The body of the page of a notebook with verdicts, in so many seconds; one that says why where it takes more.
    Raises RuntimeError for whatever may be our own fault.
    """

    def render(notebook: NotebookNode, token: str) -> str:
        return pages.page(notebook, {**resources_for("", "", name, ""), "gap": token}, seconds)

    try:
        return Body.of(notebook, render)
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

    def write(self, graded: Graded, name: str) -> Path:
        """The page of one submission, in its place at once."""
        return self.write_all([Finished(graded, name, Path(), {})])[0]

    def write_all(self, finished: Sequence[Finished], files: Exchange | None = None) -> list[Path]:
        """The pages of submissions, in their places when `files` are swapped, or at once; beside each what its
        `release` holds, by name.
        """
        pages = []
        said: dict[tuple[str, str], dict[str, Said]] = {}
        shown = [one for one in finished if one.sheet is not None]
        for key in dict.fromkeys((one.graded.lesson, one.name) for one in shown):
            students = [one.graded.student for one in shown if (one.graded.lesson, one.name) == key]
            said[key] = Said.by(self._gradebook, *key, students)
        for one in finished:
            graded, sheet = one.graded, one.sheet
            page = self.out / "feedback" / graded.student / graded.lesson / f"{one.name}.html"
            new = _beside(page, one.release or {})
            if sheet is None:
                new[page] = (in_bytes(refusal(f"{graded.lesson}: not graded", "; ".join(graded.flags))),)
            else:
                body = graded.body or self._body(sheet.content, one.name, graded.left)
                new[page] = self._filled(body, graded.lesson, one.name, said[graded.lesson, one.name][graded.student])
                place = place_of(self.out, graded.student, graded.lesson, ".page")
                new[place] = (self._key(sheet.digest), *body.written())
            _write(new, files)
            pages.append(page)
        return pages

    def refresh(self, notebook: Path, page: Path, student: str, lesson: str, release: Mapping[str, str]) -> bool:
        """Bring the page of a stored notebook, and what lies beside it, to what the grade book says now; whether the
        page had to be written. Raises OSError, `MissingEntry`, and RuntimeError as `body_of`.
        """
        content, place = notebook.read_bytes(), place_of(self.out, student, lesson, ".page")
        key, new = self._key(digest(content)), _beside(page, release)
        if (body := _found(place, key)) is None:
            body = self._body(content, notebook.stem)
            new[place] = (key, *body.written())
        new[page] = self._filled(
            body, lesson, notebook.stem, Said.by(self._gradebook, lesson, notebook.stem, [student])[student]
        )
        new = {place: pieces for place, pieces in new.items() if _content(place) != b"".join(pieces)}
        with Exchange() as files:
            _write(new, files)
            files.swap()
        return page in new

    def _body(self, content: bytes, name: str, seconds: float = SECONDS) -> Body:
        """Of a notebook as it is stored."""
        return body_of(self._pages, nbformat.reads(content.decode("utf-8"), as_version=4), name, seconds)

    def _filled(self, body: Body, lesson: str, name: str, said: Said) -> Pieces:
        if body.refused:
            reason = f"This notebook cannot be shown ({body.refused}); its marks stand"
            return (in_bytes(refusal(f"{lesson}: no page", reason)),)
        return filled(body, name, said)

    def _key(self, notebook: str) -> bytes:
        """The line above a body that is kept, of a notebook with this digest."""
        return f"{self._made_by} {notebook}\n".encode()


def refreshed(writer: FeedbackWriter, out: Path, student: str, lesson: str, name: str, secret: str) -> bool:
    """As `FeedbackWriter.refresh`, of a submission in its usual places below `out`."""
    notebook, page = (
        out / place / student / lesson / file
        for place, file in (("autograded", f"{name}.ipynb"), ("feedback", f"{name}.html"))
    )
    release = for_release(notebook.parent, student, lesson, secret)
    return writer.refresh(notebook, page, student, lesson, release)


def _beside(page: Path, release: Mapping[str, str]) -> dict[Path, Pieces]:
    return {page.with_name(name): (in_bytes(text),) for name, text in release.items()}


def _write(new: Mapping[Path, Pieces], files: Exchange | None) -> None:
    for place, pieces in new.items():
        if files is None:
            place.parent.mkdir(parents=True, exist_ok=True)
        with (files.aside(place) if files else place).open("wb") as file:
            file.writelines(pieces)


def _found(place: Path, key: bytes) -> Body | None:
    """The body that was kept with this key."""
    try:
        held = place.read_bytes()
        return Body.read(held.removeprefix(key)) if held.startswith(key) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except OSError:
        return None
