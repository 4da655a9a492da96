"""What is true of the simulated class is seen on its page, and nothing that is not."""

import re

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated_class import (
    AT_RANDOM,
    BACKWARDS,
    COMMONEST,
    COPIES,
    FLAGGED,
    IN_PART,
    LATE,
    LESSON,
    NOTHING,
    PASSES_ALL,
    QUESTION,
    TWICE,
    UNGRADED,
    name_of,
    report,
    simulate,
)

from autograder.checkout import course_root
from autograder.exercise import lesson_exercises
from autograder.report.alike import Likeness
from autograder.report.record import HandIn, Item, Record
from autograder.report.summary import called, summary

EXERCISES = list(lesson_exercises(LESSON))


def part(page, what, exercise=None):
    """The part of the page that says `what`."""
    about = {"data-what": what} if exercise is None else {"data-what": what, "data-exercise": exercise}
    (found,) = page.find_all(attrs=about)
    return found


def rows(found):
    return [
        [cell.get_text(" ", strip=True) for cell in row.find_all("td")] for row in found.find("tbody").find_all("tr")
    ]


def estimate(text):
    """(value, low, high) of `0.41 (0.30 to 0.52)` or `41% (30 to 52)`."""
    return tuple(float(number) for number in re.findall(r"-?[\d.]+", text.replace("−", "-")))


def remarks(page):
    found: dict[str, str] = {}
    for line in page.select("[data-what=remarks] li"):
        found[line["data-exercise"]] = found.get(line["data-exercise"], "") + line.get_text(" ", strip=True)
    return found


# ---- ability


def test_ability_is_seen_in_the_marks(reported):
    shown = {reported.student[row[0]]: float(row[1]) for row in rows(part(reported.page, "students"))}
    points = [shown[name] for name in reported.made.names]
    assert len(points) == 200 and spearmanr(points, reported.made.ability).statistic > 0.8


def test_the_reliability_is_how_well_marks_tell_ability(reported):
    """Alpha is about the squared correlation of marks with what they measure, which is known here."""
    told = estimate(part(reported.page, "reliability").get_text())
    points = [sum(mark.points for mark in one.values()) for one in reported.made.marks]
    true = np.corrcoef(points, reported.made.ability)[0, 1] ** 2
    assert told[1] < told[0] < told[2] and abs(told[0] - true) < 0.1


def test_harder_exercises_are_seen_as_harder(reported):
    shown = {row[0]: estimate(row[2]) for row in rows(part(reported.page, "exercises")) if row[0] != QUESTION}
    assert list(shown) == EXERCISES
    for name, (value, low, high) in shown.items():
        true = 100 * np.mean([one[name].passed for one in reported.made.marks])
        assert low <= true <= high and value == pytest.approx(true, abs=0.5)
    well_made = [name for name in EXERCISES if name not in (BACKWARDS, AT_RANDOM, PASSES_ALL)]
    assert spearmanr(range(len(well_made)), [shown[name][0] for name in well_made]).statistic < -0.8


# ---- wrong checks


def test_wrong_checks_are_seen_and_no_other_is_accused(reported):
    said = remarks(reported.page)
    assert said.keys() == {BACKWARDS, AT_RANDOM, PASSES_ALL}
    assert "“extremes” may be wrong: who does well elsewhere fails it" in said[BACKWARDS]
    assert "mistakes have no name" in said[BACKWARDS]
    assert "“conventions” may be wrong: who does well elsewhere passes it hardly more often" in said[AT_RANDOM]
    assert "Everybody has full marks" in said[PASSES_ALL]


def test_a_wrong_checks_correlation_stands_with_its_interval(reported):
    checks = {row[0]: estimate(row[2]) for row in rows(part(reported.page, "mistakes", BACKWARDS).find("table"))}
    assert checks["extremes"][2] < 0 < checks["value on random inputs"][1]


def summed(made):
    """The summary of a class that lies in no grade book."""
    items = tuple(Item(name, exercise.points) for name, exercise in lesson_exercises(LESSON).items())
    hand_ins = {
        name: HandIn(name, {mark.name: mark.points for mark in marks.values()}, marks=marks)
        for name, marks in zip(made.names, made.marks, strict=True)
    }
    record = Record(LESSON, items, tuple(made.names), hand_ins)
    return summary(record, Likeness.none(), [], called(made.names, True, ""))


def test_where_all_checks_are_right_none_is_accused():
    for seed in range(2):
        assert summed(simulate(course_root(), seed, wrong_checks=False, notebooks=False)).remarks == ()


# ---- copies


def test_copies_are_seen_and_nobody_else_is_listed(reported):
    listed = {
        frozenset((reported.student[pair["data-one"]], reported.student[pair["data-other"]]))
        for pair in part(reported.page, "alike").find_all("details")
    }
    assert listed == {frozenset(map(name_of, pair)) for pair in (*COPIES, IN_PART)}


def test_the_copied_half_is_named(held, reported):
    names = {name_of(number) for number in IN_PART}
    (pair,) = (one for one in held["alike"] if {reported.student[one["one"]], reported.student[one["other"]]} == names)
    copied = EXERCISES[: len(EXERCISES) // 2 + 1]
    assert pair["exercises"] and set(pair["exercises"]) <= set(copied)
    assert pair["similarity"]["low"] < pair["similarity"]["value"] < pair["similarity"]["high"]


# ---- mistakes


@pytest.mark.parametrize("name", EXERCISES)
def test_mistakes_are_counted_and_told_with_their_hints(reported, name):
    found = part(reported.page, "mistakes", name)
    shown = {line["data-mistake"]: line.get_text(" ", strip=True) for line in found.select("[data-mistake]")}
    made = reported.made
    for known in lesson_exercises(LESSON)[name].misconceptions:
        count = made.made(name, known.name)
        assert (known.name in shown) == (count > 0)
        if count:
            assert shown[known.name].startswith(f"{count} ·") and known.hint in shown[known.name]
    named = sum(made.made(name, known.name) for known in lesson_exercises(LESSON)[name].misconceptions)
    assert f"{named} with a name, {made.made(name, None)} without" in found.find("summary").get_text()


def test_the_commonest_mistake_stands_first(reported):
    first = part(reported.page, "mistakes", COMMONEST).select("[data-mistake]")[0]
    assert first["data-mistake"] == lesson_exercises(LESSON)[COMMONEST].misconceptions[0].name


# ---- hand-ins


def test_who_handed_in_how_is_seen(reported):
    def named(text):
        return [reported.student[number] for number in re.findall(r"student \d+", text)]

    page = reported.page
    assert set(named(part(page, "nothing").get_text())) == {f"nobody-{number}" for number in range(NOTHING)}
    assert set(named(part(page, "ungraded").get_text())) == {f"new-{number}" for number in range(UNGRADED)}
    late = part(page, "late").get_text()
    assert named(late) == [name_of(n) for n in sorted(LATE, key=LATE.get, reverse=True)] and "by 1 d 5 h" in late
    assert set(named(part(page, "twice").get_text())) == set(map(name_of, TWICE))
    flagged = {named(line.get_text())[0]: line.get_text() for line in part(page, "flagged").find_all("li")}
    assert flagged.keys() == set(map(name_of, FLAGGED)) and FLAGGED[8] in flagged[name_of(8)]
    assert "100 of 200 wait" in part(page, "waiting").get_text()


# ---- the page, and its tables


def test_no_name_is_told_unless_asked_for(reported, stored, tmp_path):
    for path in reported.folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"anna|nobody-|new-\d", text), path.name
    report(stored[1], "--names", "--to", str(tmp_path))
    for name in ("report.html", "report.json", "students.csv"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert name_of(9) in text and f"{name_of(9)}.ipynb was taken" in text


def test_the_page_needs_nothing_from_elsewhere(reported):
    text = (reported.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|@import|url\(", text)
    pictures = reported.page.find_all("img")
    assert len(pictures) == 4 and all(one["src"].startswith("data:image/png") and one["alt"] for one in pictures)


def test_the_tables_say_what_the_page_says(held, table, reported):
    shown = {row[0]: estimate(row[4]) for row in rows(part(reported.page, "exercises"))}
    for line, exercise in zip(table("exercises"), held["exercises"], strict=True):
        assert line["exercise"] == exercise["name"]
        for text, key in ((line["discrimination"], "value"), (line["discrimination_low"], "low")):
            value = exercise["discrimination"][key]
            assert (text == "") == (value is None) and (value is None or float(text) == pytest.approx(value, rel=1e-4))
        if exercise["discrimination"]["value"] is not None and not exercise["by_hand"]:
            assert shown[exercise["name"]][0] == pytest.approx(exercise["discrimination"]["value"], abs=0.006)
    assert len(table("students")) == 200 + NOTHING + UNGRADED
    assert len(table("alike")) == len(COPIES) + 1
    counted = sum(int(line["count"]) for line in table("mistakes"))
    assert counted == sum(
        mark.diagnosis is not None and not mark.passed for one in reported.made.marks for mark in one.values()
    )
