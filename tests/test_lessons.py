"""Every lesson keeps the rules: equations checked, exercises graded, nothing leaning on an experiment; and every place
that names lessons names all of them.
"""

import re
from pathlib import Path

import pytest
from minutes import minutes

from autograder.builder.names import cell_names
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


@pytest.mark.parametrize("source", LESSONS)
def test_announced_minutes_are_honest(source):
    """Within a tenth in all and a third in each section: what is counted by rule, an author may know better."""
    lesson = read_lesson(source, course_root())
    ruled = {match[1]: value for name, value in minutes(lesson).items() if (match := re.match(r"(\d+) · ", name))}
    rows = re.findall(r"^\# \| (\d+)(?: \|)? [^|\n]*\| (\d+) \|$", lesson.text, re.M)
    assert {number for number, _ in rows} == ruled.keys()
    assert sum(int(announced) for _, announced in rows) == pytest.approx(sum(ruled.values()), rel=0.1)
    far = [n for n, announced in rows if abs(int(announced) - ruled[n]) > max(4, ruled[n] / 3)]
    assert far == [], ruled


@pytest.mark.parametrize("source", LESSONS)
def test_a_shorter_path_is_as_short_as_it_says(source):
    """Without what is headed Further and without the lines to compare with one's own; a tenth is an author's."""
    lesson = read_lesson(source, course_root())
    said = re.search(r"On the shorter path, about (\d+) minutes", lesson.text)
    if said is not None:
        assert int(said[1]) == pytest.approx(sum(minutes(lesson, shorter=True).values()), rel=0.1)


@pytest.mark.parametrize("source", LESSONS)
def test_nothing_needs_a_section_or_part_headed_further(source):
    section, part, last, needed = False, False, {}, set()
    for cell in read_lesson(source, course_root()).cells:
        if not cell.is_code:
            for level, heading in re.findall(r"^(###?) (?!BEGIN|END)(.*)$", cell.source, re.M):
                section, part = ("Further" in heading, False) if level == "##" else (section, "Further" in heading)
            continue
        further = section or (part and cell.kind in ("solution", "step"))  # a part's given code runs, read or not
        names = cell_names(cell.tree)
        if not further:
            needed |= {name for name in names.needed if last.get(name)}
        last |= dict.fromkeys(names.bound, further)
    assert needed == set()


@pytest.mark.parametrize("source", LESSONS)
def test_a_lesson_has_one_schematic_and_ends_as_all_do(source):
    lesson = read_lesson(source, course_root())
    assert len([cell for cell in lesson.cells if "schematic.canvas(" in cell.source]) == 1
    headings = re.findall(r"^#{2,3} (.*)$", "\n".join(c.source for c in lesson.cells if not c.is_code), re.M)
    assert headings[-3:] == ["Test yourself", "What comes next", "References"]
