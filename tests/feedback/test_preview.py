"""Does `course page` show the page that students get, with every exercise, and does a change of the template show?"""

import re

import pytest

from autograder.cli import main
from autograder.exercise import lesson_exercises
from autograder.feedback import page
from autograder.feedback.page import POLICY, TEMPLATES
from autograder.feedback.preview import EVERY, made_up

LESSON = "04-forward"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    assert main(["page", LESSON, "--to", str(folder)]) == 0
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_page_has_a_line_for_every_exercise_and_its_verdict_below(shown):
    exercises = lesson_exercises(LESSON)
    text = shown["page.html"]
    linked = re.findall(r'<tr><td><a href="#(\w+)-graded"><code>(\w+)</code></a></td>', text)
    assert linked == [(name, name) for name in exercises]
    assert all(f'<a name="{name}-graded"></a>' in text for name in exercises)
    wrong = [name for number, name in enumerate(exercises) if number % EVERY == 1]
    marks = made_up(LESSON)
    assert [name for name, mark in marks.items() if not mark.passed] == wrong
    earned = round(sum(mark.points for mark in marks.values()), 2)
    assert f"<h4>forward (Score: {earned} / {float(sum(one.points for one in exercises.values()))})</h4>" in text
    for name in wrong:
        assert marks[name].diagnosis == exercises[name].misconceptions[0].name
        assert f"{name}: {marks[name].points:g} of {marks[name].max_points:g} points" in text


def test_a_page_has_its_policy_and_no_script(shown):
    assert shown.keys() == {"page.html", "refusal.html"}
    for text in shown.values():
        assert text.count(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />') == 1
        assert "<script" not in text and "mathjax" not in text.lower()
        assert text.index(POLICY) < text.index("<style"), "in force before anything else is read"


def test_what_is_said_of_a_mark_or_a_refusal_is_no_markup():
    assert "&lt;b&gt;" in page.refusal("<b>", "<b>") and "<b>" not in page.refusal("<b>", "<b>")


def test_a_lesson_that_is_not_there_is_named(capsys, tmp_path):
    assert main(["page", "99-none", "--to", str(tmp_path)]) == 1
    assert "99-none" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_templates_travel_with_the_package():
    assert {path.name for path in TEMPLATES} == {"page.html.j2", "refusal.html.j2"}
