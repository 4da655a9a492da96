"""What passes every tick earns full marks: each listed mistake is put through the visible checks of its lesson, which
stop it, and each right answer in another style, which passes.
"""

import matplotlib.pyplot as plt
import pytest
from lesson_answers import all_exercises, lesson_source

from autograder.authoring.visible import Page, stops
from autograder.exercise import Exercise, lesson_names


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
    passed = [m.name for m in exercise.misconceptions if not stops(page, code, exercise, m.function)]
    assert passed == []
    refused = [name for name, answer in exercise.alternatives.items() if stops(page, code, exercise, answer)]
    assert refused == []
    page.run(code)
