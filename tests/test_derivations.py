"""What students shall find stands nowhere above: `autograder.authoring.spoilers` of every lesson, and what it finds."""

import pytest

from autograder.authoring.spoilers import UNFOLDED, given_away, problems
from autograder.builder.source import Cell, find_lessons, read_lesson
from autograder.checkout import course_root


def derivations() -> list:
    found = []
    for path in find_lessons(course_root(), []):
        lesson = read_lesson(path, course_root())
        if any(not cell.is_code and UNFOLDED.search(cell.source) for cell in lesson.cells):
            found.append(pytest.param(lesson, id=path.parent.name))
    return found


@pytest.mark.parametrize("lesson", derivations())
def test_no_line_that_a_student_shall_find_stands_above(lesson):
    assert list(problems(lesson)) == []


def test_a_formula_above_is_found():
    lesson = next(path for path in find_lessons(course_root(), []) if path.parent.name == "05-posterior")
    cells = read_lesson(lesson, course_root()).cells
    leaks = [
        Cell("markdown", r"$$\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\,\beta_t$$", 1),
        Cell("code", "k = (1 - now / before) * (1 - before) / (1 - now)", 1),
    ]
    for leak in leaks:
        assert any(
            asked.name == "posterior_variance" and teller is leak for asked, _, teller in given_away((leak, *cells))
        )
