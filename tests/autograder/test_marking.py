"""From answers to marks on two small exercises: follow-through, recognition, messages."""

import json
import warnings
from collections import Counter
from dataclasses import replace

import pytest
import torch
from lesson_answers import mark_here

from autograder.case import Case
from autograder.exercise import exercise, find_exercise, lesson_exercises
from autograder.lineup import Remembering
from autograder.marking import UNSAID, judge, mark
from autograder.marks import score
from autograder.notebook import grade_in_notebook, render, student_here
from autograder.sandbox.responder import Responder
from autograder.sandbox.wire import decode
from autograder.seeds import VARIANTS, Seeds, seed_of, variant_of
from autograder.student import LinkBroken, LocalLink, Remote

LESSON = "98-marking"


@exercise("mk_square", points=2)
def mk_square(student, case):
    """x^2, then the same far out."""
    x = case.normal(4)
    case.expect(student(x), mk_square.oracle(x), "value", points=1)
    case.expect(student(1e6 * x), mk_square.oracle(1e6 * x), "far out", points=0.5)
    case.conventions(student, (x,), mk_square.oracle, points=0.5)


@mk_square.truth
def _(x):
    return x.abs() ** 2


@mk_square.misconception("doubled", hint="The square of x is x times x.")
def _(x):
    return 2 * x


@mk_square.misconception("clamped", hint="Nothing is clamped.")
def _(x):
    return (x * x).clamp(max=1e3)


@mk_square.misconception("in double precision", hint="Keep the dtype.")
def _(x):
    return x.double() ** 2


@exercise("mk_cube", points=1, after=("mk_square",))
def mk_cube(student, case):
    """x times x^2."""
    x = case.normal(4)
    case.expect(student(x), x * case.upstream("mk_square")(x), "value", points=1)


@mk_cube.truth
def _(x):
    return x**3


@mk_cube.misconception("squared", hint="One more factor x.")
def _(x):
    return x**2


@exercise("mk_both", points=1, after=("mk_square", "mk_cube"))
def mk_both(student, case):
    """x^2 + x^3."""
    x = case.normal(4)
    case.expect(student(x), case.upstream("mk_square")(x) + case.upstream("mk_cube")(x), "value", points=1)


@mk_both.truth
def _(x):
    return x**2 + x**3


@exercise("mk_scaled", points=2)
def mk_scaled(student, case):
    """Something linear, whatever its slope, and never negative for positive x: truths that depend on the student."""
    x = case.uniform(3) + 1
    slope = student(torch.ones(1, dtype=x.dtype))
    case.expect(student(x), slope * x, "linear", points=1, suspects={"squared": lambda: slope * x**2})
    case.check((slope > 0).all(), "positive", points=1, hint="it must be positive")


@mk_scaled.misconception("the square", hint="A straight line was asked for.")
def _(x):
    return 5 * x**2


@mk_scaled.misconception("negative", hint="The slope is positive.")
def _(x):
    return -2 * x


def square(x):
    return x * x


def marked(exercise, **names):
    return mark_here(exercise, names, "ada")


def test_a_right_answer():
    result = marked(mk_square, mk_square=square)
    assert (result.points, result.passed, result.diagnosis) == (2, True, None)
    assert result.message == "All 3 checks passed."
    assert marked(mk_cube, mk_cube=lambda x: x**3).message == "The check passed."


def test_part_of_the_points_and_the_misconception_behind_the_rest():
    result = marked(mk_square, mk_square=lambda x: torch.minimum(x * x, torch.tensor(1e3, dtype=x.dtype)))
    assert (result.points, result.diagnosis) == (1.5, "clamped")
    assert result.message == "Clamped. Nothing is clamped."


def test_what_is_tried_for_a_name_warns_nobody(recwarn):
    def doubled(x):
        warnings.warn("tried", stacklevel=1)
        return 2 * x

    known = mk_square.misconceptions
    kept = known.copy()
    known[:] = [replace(kept[0], function=doubled)]
    try:
        assert marked(mk_square, mk_square=lambda x: 2 * x).diagnosis == "doubled"
    finally:
        known[:] = kept
    assert not recwarn.list


def test_two_mistakes_at_once_are_named_by_the_one_that_is_certain():
    result = marked(mk_square, mk_square=lambda x: (x * x).clamp(max=1e3).double())
    assert result.points == 1 and result.diagnosis == "clamped"


def test_a_mistake_unknown_so_far_gets_no_name_and_says_what_is_wrong():
    result = marked(mk_square, mk_square=lambda x: x.cos() + 0.37)
    assert result.diagnosis is None and result.points == 0
    assert result.message.startswith("value: 4 of 4 values are wrong; far out: ")


def test_a_mistake_that_only_fails_the_same_checks_is_not_taken_for_a_known_one():
    result = marked(mk_square, mk_square=lambda x: (x * x).clamp(max=2e3))
    assert result.points == 1.5 and result.diagnosis is None


def test_where_the_truth_depends_on_the_student_only_a_suspect_proves_a_mistake():
    assert marked(mk_scaled, mk_scaled=lambda x: 3 * x).passed
    assert marked(mk_scaled, mk_scaled=lambda x: 3 * x**2).diagnosis == "the square"
    assert marked(mk_scaled, mk_scaled=lambda x: 3 * x**3).diagnosis is None
    assert marked(mk_scaled, mk_scaled=lambda x: -7 * x).diagnosis is None  # nothing but the verdict agrees


def test_an_earlier_mistake_is_not_paid_for_twice():
    double = {"mk_square": lambda x: 2 * x}
    assert marked(mk_square, **double).points == 0
    result = marked(mk_cube, mk_cube=lambda x: x * double["mk_square"](x), **double)
    assert result.passed and result.message == "The check passed (judged with your own earlier functions)."


def test_two_earlier_mistakes_of_which_one_is_built_on():
    names = {"mk_square": lambda x: 2 * x, "mk_cube": lambda x: x**2}
    assert marked(mk_both, mk_both=lambda x: 2 * x + x**2, **names).passed
    assert marked(mk_both, mk_both=lambda x: 2 * x + x**3, **names).passed
    assert marked(mk_both, mk_both=lambda x: x**2 + x**2, **names).passed
    assert not marked(mk_both, mk_both=lambda x: 3 * x + x**2, **names).passed


def test_an_earlier_function_that_is_missing_takes_nothing_from_a_later_right_one():
    assert marked(mk_cube, mk_cube=lambda x: x**3).passed
    assert marked(mk_cube, mk_cube=lambda x: x**2).diagnosis == "squared"


@pytest.mark.parametrize("constant", [0.0, 1.0, float("nan")])
def test_an_earlier_constant_is_nothing_to_build_on(constant):
    names = {"mk_square": lambda x: constant + 0 * x}
    result = marked(mk_cube, mk_cube=lambda x: x * (constant + 0 * x), **names)
    assert result.points == 0


def test_a_name_is_not_capitalised_and_a_sentence_is():
    assert marked(mk_square).message.startswith("mk_square is not defined: the cell")

    def unwritten(x):
        raise NotImplementedError("mk_square: write this function, then run the cell again")

    assert marked(mk_square, mk_square=unwritten).message == (
        "Not written yet (mk_square: write this function, then run the cell again)."
    )


def test_an_error_is_said_once():
    message = marked(mk_square, mk_square=lambda x: x.nonsense()).message
    assert message.count("AttributeError") == 1 and message.startswith("mk_square raised AttributeError")


def test_a_student_who_is_gone_gets_nothing_with_the_reason():
    class Gone:
        asked = 0

        def ask(self, frame, serve):
            Gone.asked += 1
            raise LinkBroken("the process ended")

    result = mark(mk_both, Gone(), "ada")
    assert result.points == 0 and result.message == "The process ended." and Gone.asked <= 2


def test_a_check_that_trips_over_an_answer_costs_what_is_left():
    result = marked(mk_cube, mk_cube=lambda x: x**3, mk_square=lambda x: "a string")
    assert result.passed
    result = marked(mk_both, mk_both=lambda x: 0 * x, mk_square=lambda x: "text", mk_cube=lambda x: [])
    assert result.points == 0 and result.max_points == 1


@exercise("mk_halves", points=2, after=("mk_square",))
def mk_halves(student, case):
    """x^2 / 2, and at zero."""
    x = case.normal(4)
    case.expect(student(x), case.upstream("mk_square")(x) / 2, "value", points=1)
    case.expect(student(0 * x), case.upstream("mk_square")(0 * x) / 2, "at zero", points=1)


@mk_halves.truth
def _(x):
    return x**2 / 2


def test_that_earlier_functions_took_part_is_known_without_reading_the_message():
    """An error said once leaves no room for the remark, which a student's own words could also imitate."""

    def halves(x):
        return x if x.any() else 1 / 0

    result = marked(mk_halves, mk_halves=halves, mk_square=lambda x: 2 * x)
    assert result.points == 1 and "your own earlier functions" not in result.message and result.followed

    def quoting(x):
        raise ValueError("judged with your own earlier functions")

    assert not marked(mk_halves, mk_halves=quoting, mk_square=square).followed
    assert not marked(mk_halves, mk_halves=lambda x: square(x) / 2, mk_square=square).followed


def test_what_fails_with_a_right_earlier_function_in_place_is_told_without_a_word_of_the_students():
    names: dict = {}

    def halves(x):
        right = names["mk_square"](x)
        if x.any():
            return right / 2
        raise ValueError(f"heard {float(right.sum())!r}")

    names["mk_halves"] = halves
    result = mark_here(mk_halves, names, "ada")
    assert result.points == 1 and result.outcomes[1].message == UNSAID
    assert "heard" not in json.dumps(result.public()) and "judged with right earlier functions" in result.message


def test_judging_alone_puts_no_right_function_under_the_students_code():
    asked = []

    def cube(x):
        asked.append("mk_square" in names)
        return names["mk_square"](x) * x

    names: dict = {"mk_cube": cube}
    link = LocalLink(Responder(names))
    assert judge(mk_cube, link, "ada").points == 0 and not any(asked)
    assert mark(mk_cube, link, "ada").passed and True in asked and names.keys() == {"mk_cube"}


def test_public_is_json_and_keeps_the_graders_evidence_back():
    result = marked(mk_square, mk_square=lambda x: 2 * x)
    text = json.dumps(result.public(), allow_nan=False)
    assert set(result.public()["outcomes"][0]) == {"what", "points", "max_points", "passed", "message"}
    assert "tensor(" not in text
    assert any(outcome.got is not None for outcome in result.outcomes)
    assert all(outcome.got is None and outcome.truth is None for outcome in result.bare().outcomes)


def test_seeds_differ_between_students_lessons_and_exercises():
    seeds = {seed_of(*words) for words in [("a", "b"), ("a", "c"), ("b", "a"), ("a",), ("",)]}
    assert len(seeds) == 5 and all(0 <= seed < 2**56 for seed in seeds)
    assert seed_of("ada", "02-vae") == seed_of("ada", "02-vae")


def test_a_student_gets_one_of_a_few_variants_and_a_class_gets_all_of_them():
    names = [f"student-{number}" for number in range(400)]
    for secret in ("", "the course's"):
        variants = Seeds.variants(mk_square, secret)
        given = Counter(Seeds.of(mk_square, name, secret) for name in names)
        assert set(given) == set(variants) and len(set(variants)) == VARIANTS
        assert min(given.values()) > len(names) / VARIANTS / 2
    assert not set(Seeds.variants(mk_square, "")) & set(Seeds.variants(mk_square, "the course's"))
    together = [[variant_of(one, name, "") for name in names] for one in (mk_square, mk_cube)]
    assert together[0] != together[1], "who shares inputs in one exercise does not in another"


class Overheard(LocalLink):
    """Keeps every request: all that the student's side is told."""

    def __init__(self, namespace):
        super().__init__(Responder(namespace))
        self.requests = []

    def ask(self, frame, serve):
        self.requests.append(decode(frame))
        return super().ask(frame, serve)


@pytest.mark.parametrize("secret", ["", "the course's"])
def test_the_inputs_cannot_be_rebuilt_from_the_seed_that_goes_along_with_a_call(secret):
    link = Overheard({"mk_square": square})
    assert mark(mk_square, link, "ada", secret).passed
    told = {request["seed"] for request in link.requests}
    drawn = link.requests[0]["args"][0]
    assert told and not any(torch.equal(Case(seed).normal(4), drawn) for seed in told)


def test_without_the_secret_a_name_does_not_tell_the_inputs_and_with_it_marks_are_repeated():
    def inputs(*secret):
        link = Overheard({"mk_square": square})
        assert mark(mk_square, link, "ada", *secret).passed
        return link.requests[0]["args"][0]

    guessed = Case(Seeds.of(mk_square, "ada", "").draws).normal(4)  # what anybody can compute who has the code
    assert torch.equal(inputs(), guessed) and torch.equal(inputs("one"), inputs("one"))
    assert not torch.equal(inputs("one"), guessed) and not torch.equal(inputs("one"), inputs("two"))


def test_a_remembered_answer_is_not_given_for_another_function():
    link = Remembering(Responder({"f": lambda g, x: g(x), "h": lambda g, x: x}))
    f, h = Remote(link, "f"), Remote(link, "h")
    assert [f(lambda x: x + 1, 1.0), f(lambda x: x + 2, 1.0)] == [2.0, 3.0]
    assert [h(abs, 1.0), h(abs, 1.0)] == [1.0, 1.0] and len(link.replies) == 1


# ---- in the notebook


def test_the_verdict_is_printed_and_the_points_returned(capsys):
    points = grade_in_notebook("mk_square", {"mk_square": lambda x: (x * x).clamp(max=1e3)})
    assert type(points) is float and points == 1.5
    assert capsys.readouterr().out == (
        "mk_square: 1.5 of 2 points\n"
        "Clamped. Nothing is clamped.\n"
        "✓ value (1/1)\n"
        "✗ far out (0/0.5): 4 of 4 values are wrong\n"
        "✓ the dtype that goes in comes out, inputs untouched (0.5/0.5)\n"
    )


def test_a_message_that_says_it_already_is_not_repeated():
    assert render(marked(mk_square)).count("did not run") == 1


def test_a_score_is_a_plain_float_within_the_maximum():
    assert score(marked(mk_square, mk_square=square)) == 2.0 and type(score(marked(mk_square))) is float


def test_the_student_is_read_from_the_folder_that_nbgrader_grades_in(tmp_path):
    assert student_here("02-vae", tmp_path / "autograded" / "ada" / "02-vae") == "ada"
    assert student_here("02-vae", tmp_path / "submitted" / "ada" / "02-vae") == ""
    assert student_here("02-vae", tmp_path / "02-vae") == ""


# ---- the register


def test_exercises_are_found_by_name():
    assert find_exercise("mk_cube") is mk_cube
    with pytest.raises(LookupError, match="no exercise"):
        find_exercise("mk_nothing")
    with pytest.raises(ValueError, match="no hidden checks"):
        lesson_exercises("97-nothing")


def test_a_register_refuses_doubles_and_dangling_references():
    with pytest.raises(ValueError, match="two exercises"):
        exercise("mk_square", points=1)(mk_square.check)
    with pytest.raises(ValueError, match="not an earlier exercise"):
        exercise("mk_new", points=1, after=("mk_later",))(mk_square.check)
    with pytest.raises(ValueError, match="two misconceptions"):
        mk_square.misconception("doubled", hint="…")
    with pytest.raises(ValueError, match="two alternatives"):
        mk_square.alternative("one")(square)
        mk_square.alternative("one")
    with pytest.raises(ValueError, match="two oracles"):
        mk_square.truth(square)
