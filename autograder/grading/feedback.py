"""Feedback pages: nbgrader's own template filled from the grade book, without hidden checks, rubrics or answers."""

from __future__ import annotations

from pathlib import Path

from nbconvert.exporters import HTMLExporter
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

from .gradebook import resources_for
from .runner import Graded


class FeedbackWriter:
    """Writes `feedback/<student>/<lesson>/<name>.html` below `out`."""

    def __init__(self, out: Path, config: Config, db_url: str) -> None:
        self.out, self.db_url = out, db_url
        converter = GenerateFeedback(config=config)
        self._exporter = HTMLExporter(config=converter.config)
        self._exporter._preprocessors = []  # as nbgrader's converter does: its list and no other
        for preprocessor in converter.preprocessors:
            self._exporter.register_preprocessor(preprocessor, enabled=True)

    def write(self, graded: Graded, name: str) -> Path:
        """The page of one submission; for one that could not be graded, a page that says why."""
        folder = self.out / "feedback" / graded.student / graded.lesson
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{name}.html"
        if graded.notebook is None:
            text = _refusal(graded)
        else:
            resources = resources_for(graded.student, graded.lesson, name, self.db_url)
            text, _ = self._exporter.from_notebook_node(graded.notebook, resources=resources)
        page.write_text(text, encoding="utf-8")
        return page


def _refusal(graded: Graded) -> str:
    from html import escape

    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Not graded</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}</style></head><body>"
        f"<h1>{escape(graded.lesson)}: not graded</h1><p>{escape('; '.join(graded.flags))}.</p>"
        "<p>Open the notebook in JupyterLab, save it again and hand it in once more; if it does not open, "
        "take a fresh copy of the lesson and move your answers over.</p></body></html>\n"
    )
