"""`course check` says in words what is missing, and where: each proof fails on what it is there to find."""

from dataclasses import replace
from pathlib import Path

import pytest

from autograder.authoring import check, places, proofs, spoilers, structure
from autograder.builder.source import Cell, read_lesson
from autograder.checkout import course_root
from autograder.cli import main
from autograder.exercise import Misconception, lesson_exercises
from course_lib.doctor.pace import Cost

LESSON = "04-forward"
ROOT = course_root()
SOURCE = ROOT / "solutions" / LESSON / "forward.py"
EXERCISES = lesson_exercises(LESSON)
STEP = EXERCISES["q_step"]
RIGHT = next(iter(STEP.alternatives.values()))
WRONG = STEP.misconceptions[0]
HINT = "A hint of a sentence that says what to look at."


@pytest.fixture(scope="module")
def lesson():
    return read_lesson(SOURCE, ROOT)


def said(problems):
    return [str(problem) for problem in problems]


# ---- exercises


def test_too_few_mistakes_and_alternatives_are_told():
    few = replace(STEP, misconceptions=STEP.misconceptions[:4], alternatives={})
    first, second = said(proofs.enough(few))
    assert (
        first
        == "autograder/lessons/forward/q_step.py:1: q_step: 4 misconceptions: an exercise of 2 points has 5 or more"
    )
    assert "0 right answers in other styles" in second
    assert said(proofs.enough(replace(STEP, points=1, misconceptions=STEP.misconceptions[:3]))) == []


def test_a_short_hint_and_a_full_stop_are_told_at_their_line():
    odd = replace(STEP, misconceptions=[*STEP.misconceptions, Misconception("a sentence.", "No.", WRONG.function)])
    line = (
        Path(ROOT / "autograder/lessons/forward/q_step.py")
        .read_text()
        .split("\n")
        .index(f"def {WRONG.function.__name__}(x_prev, t, beta, eps):")
    )
    found = said(proofs.enough(odd))
    assert len(found) == 2 and all("“a sentence.”" in text for text in found)
    assert abs(int(found[0].split(":")[1]) - line) < 6


def test_an_alternative_that_is_wrong_is_told():
    (found,) = said(proofs.right(replace(STEP, alternatives={"by heart": WRONG.function})))
    assert "the alternative “by heart” gets" in found and "of 2 points: “" in found


def test_checks_that_fail_by_themselves_are_told_with_the_line():
    def broken(student, case):
        case.expect(student(1), 2, unknown=3)

    (found,) = said(proofs.right(replace(STEP, check=broken)))
    assert "its checks fail by themselves" in found and "unknown" in found


def test_points_that_do_not_add_up_are_told():
    assert any(
        "its checks are worth 2 points in all, the exercise 1.5" in text
        for text in said(proofs.right(replace(STEP, points=1.5)))
    )


def test_a_mistake_that_no_check_finds_is_told():
    (found,) = said(proofs.wrong(replace(STEP, misconceptions=[Misconception("in another style", HINT, RIGHT)])))
    assert "the mistake “in another style” gets full marks: no hidden check" in found


def test_a_mistake_that_is_taken_for_another_is_told():
    twin = Misconception("its twin", HINT, WRONG.function)
    (found,) = said(proofs.wrong(replace(STEP, misconceptions=[WRONG, twin])))
    assert f"the mistake “its twin” is taken for “{WRONG.name}”" in found


def test_visible_checks_that_are_weaker_or_stricter_are_told(lesson):
    odd = replace(STEP, misconceptions=[Misconception("unseen", HINT, RIGHT)], alternatives={"refused": WRONG.function})
    upto = [cell.kind == "checks" and cell.name == "q_step" for cell in lesson.cells].index(True)
    found = said(proofs.seen(replace(lesson, cells=lesson.cells[: upto + 1]), {"q_step": odd}))
    assert len(found) == 2
    assert "the visible checks of q_step let “unseen” pass" in found[0]
    assert "the visible checks of q_step refuse the right answer “refused”" in found[1]
    assert all(text.startswith(f"solutions/{LESSON}/forward.py:{lesson.cells[upto].line}:") for text in found)


# ---- the lesson


def changed(lesson, old, new):
    text = lesson.text.replace(old, new)
    assert text != lesson.text
    cells = tuple(
        replace(cell, source=cell.source.replace(old.removeprefix("# "), new.removeprefix("# ")))
        for cell in lesson.cells
    )
    return replace(lesson, text=text, cells=cells)


def test_promises_that_are_not_kept_are_told(lesson):
    found = said(structure.problems(changed(lesson, "# | 2 | One small step | 52 |", "# | 2 | One small step | 5 |")))
    assert any("section 2 takes about" in text and "minutes, not 5" in text for text in found)
    found = said(structure.problems(changed(lesson, "# | 2 | One small step | 52 |\n", "")))
    assert any("the contents lack a row for section 2" in text for text in found)
    found = said(structure.problems(changed(lesson, "about 147 minutes", "about 14 minutes")))
    assert any("the shorter path takes about" in text for text in found)
    found = said(structure.problems(changed(lesson, "# ### References", "# ### Literature")))
    assert any("a lesson ends with the headings" in text for text in found)
    found = said(structure.problems(changed(lesson, "schematic.canvas(", "schematic.canvas_(")))
    assert any("this one has none" in text for text in found)
    found = said(structure.further(changed(lesson, "# ## 2 · One small step", "# ## 2 · Further: One small step")))
    assert any("headed Further, is needed at line" in text for text in found)


def test_an_answer_above_its_exercise_is_told():
    posterior = read_lesson(ROOT / "solutions/05-posterior/posterior.py", ROOT)
    leak = Cell("code", "k = (1 - now / before) * (1 - before) / (1 - now)", 1)
    found = said(spoilers.problems(replace(posterior, cells=(leak, *posterior.cells))))
    assert any("posterior.py:1: this cell gives away the answer to posterior_variance" in text for text in found)


# ---- the places


def test_points_are_held_against_their_table(tmp_path):
    place = tmp_path / places.table_of(LESSON)
    some = {name: EXERCISES[name] for name in ("linear_beta", "q_step")}
    assert (
        "is missing: write by hand what each exercise is worth, a line each: linear_beta = 1; q_step = 2"
        in said(places.points(tmp_path, LESSON, some))[0]
    )
    place.parent.mkdir(parents=True)
    for text, wrong in (
        ("linear_beta = 1\nq_step = 2\n", []),
        ("linear_beta = 1\nq_step = 3\n", ["q_step is worth 3 here, and 2 by its hidden checks"]),
        ("linear_beta = 1\n", ["q_step is worth nothing here, and 2 by its hidden checks"]),
        ("q_step = 2\nlinear_beta = 1\n", ["another order than the lesson's: linear_beta, q_step"]),
    ):
        place.write_text(text)
        assert [one.text for one in places.points(tmp_path, LESSON, some)] == wrong


def test_a_lesson_that_README_does_not_have_is_told():
    assert said(places.named(ROOT, LESSON)) == []
    (found,) = said(places.named(ROOT, "98-flows"))
    assert found.startswith("README.md:") and "lacks a row: | [`98-flows`](notebooks/98-flows/flows.ipynb)" in found


def test_a_lesson_that_takes_too_long_is_told(lesson, monkeypatch):
    monkeypatch.setattr(places, "read_costs", lambda: {LESSON: Cost(70_000, 80_000, 100)})
    seconds, (found,) = places.budget(lesson)
    assert seconds == pytest.approx(199.5) and "about 200 s from top to bottom, and may take 180" in str(found)
    monkeypatch.setattr(places, "read_costs", dict)
    assert "its cost is not recorded: run `course doctor --record 04-forward`" in str(places.budget(lesson)[1][0])


# ---- the command


def test_the_command_tells_each_proof_and_ends_with_1_where_one_fails(capsys, monkeypatch):
    proofs_ = [
        check.Proof("cells", "all", ()),
        check.Proof("places", "points", (read_lesson(SOURCE, ROOT).problem(7, "what is wrong"),)),
    ]
    monkeypatch.setattr("autograder.authoring.commands.check", lambda source, root: iter(proofs_))
    assert main(["check", LESSON]) == 1
    out = capsys.readouterr().out
    assert "✓ cells: all" in out and "✗ places: points\n  solutions/04-forward/forward.py:7: what is wrong" in out
    assert "one thing to mend" in out


def test_a_lesson_that_cannot_be_read_is_told(tmp_path):
    source = tmp_path / "solutions" / LESSON / "forward.py"
    source.parent.mkdir(parents=True)
    source.write_text('# %% excercise="q_step"\nx = 1\n')
    (proof,) = check.check(source, tmp_path)
    assert "unknown cell option 'excercise'" in str(proof.problems[0])
