"""Does `course page` show the page that students get, with every exercise, and does a change of the template show?"""

import json
import re

import pytest

from autograder.checkout import course_root
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
    assert sorted(linked) == sorted((name, name) for name in exercises)
    heads = re.findall(r'<a name="(\w+)-graded"></a>', text)
    assert [name for name, _ in linked] == heads, "in the notebook's order"
    wrong = [name for number, name in enumerate(exercises) if number % EVERY == 1]
    marks = made_up(LESSON)
    assert [name for name, mark in marks.items() if not mark.passed] == wrong
    for name in wrong:
        assert marks[name].diagnosis == exercises[name].misconceptions[0].name
        assert f"{name}: {marks[name].points:g} of {marks[name].max_points:g} points" in text


def test_the_page_says_what_is_still_to_be_marked(shown):
    text, marks = shown["page.html"], made_up(LESSON).values()
    earned, by_machine = (round(sum(m.points for m in marks), 2), sum(m.max_points for m in marks))
    released = json.loads((course_root() / "notebooks" / LESSON / "forward.ipynb").read_text(encoding="utf-8"))
    about = [cell["metadata"].get("nbgrader", {}) for cell in released["cells"]]
    (by_hand,) = [one["points"] for one in about if one.get("task")]
    (said,) = re.findall(r"<h4>(.*?)</h4>", text, re.S)
    assert " ".join(said.split()) == (
        f"forward: {earned:g} of {by_machine + by_hand:g} points, and {by_hand:g} of these still to be marked"
    )
    (question,) = re.findall(r'<tr><td><a href="#comment-(\w+)">', text)
    assert f'<a name="comment-{question}"></a>' in text and text.count("Still to be marked by a person.") == 1


def test_what_lost_points_leads_to_its_hints(shown):
    text = shown["page.html"]
    lost = {name for name, mark in made_up(LESSON).items() if not mark.passed}
    assert set(re.findall(r'<a href="#hints-(\w+)">Hints</a>', text)) == lost
    for name in lost:
        _, below = text.split(f'<a name="hints-{name}"></a>')
        assert below.index("Hint 1") < below.index(f"# Checks of {name}")


def test_given_code_is_folded_and_an_answer_is_not(shown):
    text = shown["page.html"]
    folded = re.findall(r'<details class="given"><summary>(.*?)</summary>(.*?)</details>', text, re.S)
    assert len(folded) > 20 and all(summary.startswith("#") for summary, _ in folded)
    assert {f"# Checks of {name}" for name in lesson_exercises(LESSON)} <= {summary for summary, _ in folded}
    hidden = "".join(code for _, code in folded)
    assert not any(f'def</span> <span class="nf">{name}</span>' in hidden for name in lesson_exercises(LESSON))


def test_no_bare_number_stands_below_a_graded_cell(shown):
    assert not re.search(r"Out\[\d*\]:</div>\s*<div[^>]*>\s*<pre>[\d.]+</pre>", shown["page.html"])


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
    assert {path.name for path in TEMPLATES} == {"look.html.j2", "page.html.j2", "marks.html.j2", "refusal.html.j2"}
