"""Every lesson keeps the rules: equations checked, exercises graded, nothing leaning on an experiment; and every place
that names lessons names all of them.
"""

import re
from pathlib import Path

import pytest

from autograder.authoring import structure
from autograder.builder.minutes import announced_shorter, minutes, stretches
from autograder.builder.rules import validate
from autograder.builder.source import LessonError, find_lessons, read_lesson
from autograder.checkout import course_root
from autograder.exercise import lesson_exercises, lesson_names
from course_lib.doctor.pace import read_costs

ROOT = Path(__file__).resolve().parents[1]
LESSONS = [pytest.param(path, id=path.parent.name) for path in find_lessons(course_root(), [])]


@pytest.mark.parametrize("source", LESSONS)
def test_a_lesson_keeps_the_rules(source):
    lesson = read_lesson(source, course_root())
    assert validate(lesson, lesson_exercises(source.parent.name)) == []


@pytest.mark.parametrize("source", LESSONS)
def test_an_equation_without_its_check_is_noticed(source, tmp_path):
    text = source.read_text(encoding="utf-8")
    found = re.search(r"\\tag\{(\d+)\}", text)
    assert found, "no equation carries a number"
    number = found.group(1)
    broken, count = re.subn(rf"verify_equation\((\s*){number},", r"verify_equation(\g<1>9999,", text)
    assert count
    copy = tmp_path / "solutions" / source.parent.name / source.name
    copy.parent.mkdir(parents=True)
    copy.write_text(broken, encoding="utf-8")
    with pytest.raises(LessonError, match=re.escape(f"\\tag{{{number}}}")):
        validate(read_lesson(copy, tmp_path), lesson_exercises(source.parent.name))


@pytest.mark.parametrize("source", LESSONS)
def test_every_exercise_has_three_folded_hints(source):
    text = source.read_text(encoding="utf-8")
    exercises = len(re.findall(r'^# %% (?:exercise|step)="', text, re.M))
    assert len(re.findall(r"<summary>Hint \d", text)) == 3 * exercises


def test_every_place_that_names_lessons_names_them_all():
    """The list in CONTRIBUTING.md, "A new lesson", by which somebody adds one."""
    lessons = sorted(source.parent.name for source in find_lessons(ROOT))
    assert lesson_names() == lessons
    assert sorted(read_costs()) == lessons
    tables = {path.parent.name for path in (ROOT / "tests/autograder/lessons").glob("*/points.toml")}
    assert tables == {lesson.partition("-")[2] for lesson in lessons}
    rows = re.findall(r"^\| \[`(.*?)`\]\((.*?)\)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert rows == [(lesson, f"notebooks/{lesson}/{lesson.partition('-')[2]}.ipynb") for lesson in lessons]


@pytest.mark.parametrize("promise", [structure.announced, structure.shorter, structure.further, structure.ends])
@pytest.mark.parametrize("source", LESSONS)
def test_a_lesson_keeps_what_it_promises(source, promise):
    assert list(promise(read_lesson(source, course_root()))) == []


@pytest.mark.parametrize("source", LESSONS)
def test_stretches_are_the_shorter_path(source):
    lesson = read_lesson(source, course_root())
    said, (led, rest) = announced_shorter(lesson), stretches(lesson)
    assert said == pytest.approx(sum(minutes(lesson, shorter=True).values()), rel=0.1)
    assert sum(led.values()) + rest == pytest.approx(said, abs=1)
