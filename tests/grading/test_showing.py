"""Does what cells show, or a hand-in's other files say, end no run and reach no score, by either route?"""

import json
import shutil

import pytest
from attacks import ATTACKS
from nbgrader.converters.base import NbGraderException
from tiny import LESSON
from tiny_class import autograde, held, scores, write_hand_in

from autograder.hand_in.beside import EXCHANGE

SHOWING = [attack for attack in ATTACKS if attack.family == "showing"]
TIMES = [
    "99999999999999999999999999",
    "2026-13-45 99:99:99",
    "2026-01-01 10:00:00 +99:99",
    "0000-00-00",
    "9999-12-31 23:59:59 -1200",
    "1 1 1 1 1 1 1",
    "٢٠٢٦-٠١-٠١",
    "infinity",
    "\x00",
    "10:00:00.99999999999999999999999",
    "T" * 90,
]


@pytest.fixture
def shown(course):
    """A class of all these between two honest students; and how it is graded."""
    folder, grade = course
    shutil.rmtree(folder / "submitted")
    for student in ("aaa", "zzz"):
        write_hand_in(folder, student, {})
    for number, attack in enumerate(SHOWING):
        answers = {"tiny_double": attack.double, "tiny_apply": attack.apply}
        write_hand_in(folder, f"e{number:02d}", answers, attack.change)
    for number, text in enumerate(TIMES):
        write_hand_in(folder, f"t{number:02d}", {})
        (folder / "submitted" / f"t{number:02d}" / LESSON / "timestamp.txt").write_text(text)
    return folder, grade


def names():
    earned = {f"e{number:02d}": attack.earns for number, attack in enumerate(SHOWING)}
    return {"aaa": 3.0, "zzz": 3.0, **earned, **{f"t{number:02d}": 3.0 for number in range(len(TIMES))}}


def test_course_grade(shown):
    folder, grade = shown
    results = grade()
    assert {name: g.status for name, g in results.items()} == dict.fromkeys(names(), "graded")
    assert {name: g.points for name, g in results.items()} == names() == scores(folder)
    assert json.dumps([g.public() for g in results.values()])
    stored = held(folder)
    files = {one[0] for one in stored["aaa"][2:]}
    assert files == {"tiny.ipynb", "tiny.html", *EXCHANGE} and len(stored["aaa"][2:]) == 6


def test_nbgraders_own_route(shown):
    """A time that nbgrader itself cannot read keeps that submission out, with its reason, and no other."""
    folder, _ = shown
    try:
        autograde(folder)
    except NbGraderException as error:
        assert "were not graded" in str(error)
    found = scores(folder)
    assert {name: found[name] for name in names() if name[0] != "t"} == {
        name: points for name, points in names().items() if name[0] != "t"
    }
    assert all(points == 3.0 for name, points in found.items() if name[0] == "t")
