"""What passes every tick earns full marks: each listed mistake is put through the visible checks of its lesson, which
stop it, and each right answer in another style, which passes. What may pass is listed below, with its reason.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import matplotlib.pyplot as plt
import pytest
from lesson_answers import all_exercises, lesson_source

from autograder.exercise import Exercise, lesson_names

# (exercise, mistake) -> why nobody makes it in good faith, or why no visible check can tell.
LET_PASS: dict[tuple[str, str], str] = {}


class Page:
    """A lesson's cells, run in order as far as they are needed, without the experiments."""

    def __init__(self, lesson: str) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__notebook__"}
        self._cells = iter([cell for cell in lesson_source(lesson).cells if cell.is_code and not cell.is_experiment])

    def run_to_checks(self, name: str) -> CodeType:
        """Run all above the checks of `name`, with the lesson's own answers; returns these checks' code."""
        for cell in self._cells:
            code = compile(cell.source, f"<checks of {cell.name}>", "exec")
            if cell.kind == "checks" and cell.name == name:
                return code
            self.run(code)
        raise LookupError(f"{name} has no checks")

    def run(self, code: CodeType) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, self.namespace)

    @contextlib.contextmanager
    def with_answer(self, name: str, answer: Callable[..., Any]) -> Iterator[None]:
        """`answer` in the place of `name`; afterwards everything is as before."""
        kept = dict(self.namespace)
        self.namespace[name] = answer
        yield
        self.namespace.clear()
        self.namespace.update(kept)


@pytest.fixture(autouse=True)
def short_and_quiet(monkeypatch):
    monkeypatch.setenv("COURSE_BUDGET", "short")
    monkeypatch.setenv("COURSE_PROGRESS", "off")
    monkeypatch.setenv("COURSE_WIDGETS", "static")
    yield
    plt.close("all")


PAGES: dict[str, Page] = {}


def in_the_pages_order() -> list[Exercise]:
    """All exercises, those of a lesson as their checks follow in its source, so that each page is run once."""
    places = {
        (lesson, cell.name): position
        for lesson in lesson_names()
        for position, cell in enumerate(lesson_source(lesson).cells)
        if cell.kind == "checks"
    }
    return sorted(all_exercises(), key=lambda one: (one.lesson, places.get((one.lesson, one.name), 0)))


def stops(page: Page, code: CodeType, exercise: Exercise, answer: Callable[..., Any]) -> bool:
    with page.with_answer(exercise.name, answer):
        try:
            page.run(code)
        except Exception:
            return True
    return False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("exercise", in_the_pages_order(), ids=lambda exercise: exercise.name)
def test_every_listed_mistake_is_seen_and_every_right_answer_passes(exercise):
    page = PAGES.get(exercise.lesson)
    try:
        code = page.run_to_checks(exercise.name) if page else None
    except LookupError:  # asked out of order
        code = None
    if code is None:
        page = PAGES[exercise.lesson] = Page(exercise.lesson)
        code = page.run_to_checks(exercise.name)
    passed = {m.name for m in exercise.misconceptions if not stops(page, code, exercise, m.function)}
    assert passed == {mistake for name, mistake in LET_PASS if name == exercise.name}
    refused = [name for name, answer in exercise.alternatives.items() if stops(page, code, exercise, answer)]
    assert refused == []
    page.run(code)
