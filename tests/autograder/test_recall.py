"""Is an answer that was heard before known again, and is nobody's mark another for it?"""

import pytest
import torch

from autograder import marking
from autograder.exercise import exercise
from autograder.marking import judge
from autograder.recall import BRANCHES, Recall
from autograder.sandbox.responder import Responder
from autograder.sandbox.wire import encode
from autograder.seeds import VARIANTS, Seeds, variant_of
from autograder.student import LinkBroken, LocalLink

LESSON = "98-recall"


@exercise("rc_square", points=3)
def rc_square(student, case):
    """x^2, near and far, and with its dtype."""
    x = case.normal(4)
    case.expect(student(x), rc_square.oracle(x), "value", points=1)
    case.expect(student(100 * x), rc_square.oracle(100 * x), "far out", points=1)
    case.conventions(student, (x,), rc_square.oracle, points=1)


@rc_square.truth
def truth(x):
    return x**2


@exercise("rc_apply", points=1)
def rc_apply(student, case):
    """f(x), of a function that the student's side calls."""
    x, asked = case.normal(4), []
    got = student(lambda y: asked.append(y) or 2 * y, x)
    case.check(len(asked) == 1 and torch.equal(got, 2 * x), "f(x), asked once", points=1)


class Link(LocalLink):
    """Keeps what was asked, and breaks at one of the requests."""

    def __init__(self, function, name="rc_square", breaks=None):
        super().__init__(Responder({name: function}))
        self.asked, self.breaks = [], breaks

    def ask(self, frame, serve):
        self.asked.append(frame)
        if len(self.asked) - 1 == self.breaks:
            raise LinkBroken("it ended")
        return super().ask(frame, serve)


@pytest.fixture
def ran(monkeypatch):
    """The exercises whose checks have been run, with a memory of its own."""
    names = []

    def run_checks(exercise, *args, real=marking.run_checks):
        names.append(exercise.name)
        return real(exercise, *args)

    monkeypatch.setattr(marking, "_recall", Recall())
    monkeypatch.setattr(marking, "run_checks", run_checks)
    return names


def square(x):
    return x * x


def told(mark):
    return mark.points, mark.message, [(o.what, o.points, o.message) for o in mark.outcomes]


def alike(exercise, secret=""):
    """Two students who get the same inputs."""
    names = [f"student-{number}" for number in range(VARIANTS + 1)]
    drawn = {}
    for name in names:
        other = drawn.setdefault(variant_of(exercise, name, secret), name)
        if other != name:
            return other, name
    raise AssertionError


def test_the_same_answers_to_the_same_questions_are_known_again(ran):
    first, second = alike(rc_square)
    links = [Link(square), Link(lambda x: x * x)]
    marks = [judge(rc_square, link, name) for link, name in zip(links, (first, second), strict=True)]
    assert ran == ["rc_square"] and told(marks[0]) == told(marks[1]) and marks[1].passed
    assert links[0].asked == links[1].asked and len(links[0].asked) == 3


def test_other_inputs_and_another_secret_are_other_questions(ran):
    first, second = alike(rc_square)
    third = next(f"s{n}" for n in range(99) if Seeds.of(rc_square, f"s{n}", "") != Seeds.of(rc_square, first, ""))
    judge(rc_square, Link(square), first)
    assert judge(rc_square, Link(square), third).passed and len(ran) == 2
    assert judge(rc_square, Link(square), second, "a secret").passed and len(ran) == 3


def cut(x):
    return (x * x).clamp(max=1e3)


def narrow(x):
    return x.double() * x.double()


def stops(x):
    if bool((x.abs() > 5).any()):
        raise ValueError("too far")
    return x * x


@pytest.mark.parametrize("wrong", [cut, narrow, stops, lambda x: x, lambda x: None, lambda x: x * x + 1e-4])
def test_another_answer_is_marked_as_ever_and_asked_nothing_twice(ran, wrong):
    first, second = alike(rc_square)
    alone, link = judge(rc_square, Link(wrong), second), Link(wrong)
    judge(rc_square, Link(square), first)
    mark = judge(rc_square, link, second)
    assert told(mark) == told(alone) and not mark.passed
    assert len(link.asked) == len(set(link.asked)) == 3
    after = judge(rc_square, Link(wrong), second)  # nor is a wrong answer kept
    assert told(after) == told(alone) and len(ran) == 4


def test_a_right_answer_that_differs_in_its_last_bits_is_kept_beside_the_first(ran):
    first, second = alike(rc_square)
    for function in (square, lambda x: x * x * (1 + 1e-12)) * 2:
        assert judge(rc_square, Link(function), first).passed and judge(rc_square, Link(function), second).passed
    assert len(ran) == 2


@pytest.mark.parametrize("breaks", range(3))
def test_a_process_that_ends_on_the_way_is_marked_as_ever(ran, breaks):
    first, second = alike(rc_square)
    alone, link = judge(rc_square, Link(square, breaks=breaks), second), Link(square, breaks=breaks)
    judge(rc_square, Link(square), first)
    assert told(judge(rc_square, link, second)) == told(alone) and not alone.passed


def test_an_answer_that_asks_a_function_of_the_checks_is_never_answered_from_memory(ran):
    first, second = alike(rc_apply)
    assert judge(rc_apply, Link(lambda f, x: f(x), "rc_apply"), first).passed
    assert judge(rc_apply, Link(lambda f, x: f(x), "rc_apply"), second).passed and len(ran) == 2
    assert not judge(rc_apply, Link(lambda f, x: f(f(x)) / 2, "rc_apply"), second).passed


def test_a_hostile_process_that_calls_back_where_it_was_handed_nothing_hears_no_more_than_that(ran):
    heard = []

    class Hostile(Link):
        def ask(self, frame, serve):
            heard.append(serve(encode({"callback": 0, "args": [], "kwargs": {}})))
            return super().ask(frame, serve)

    for name in alike(rc_square):
        judge(rc_square, Hostile(square), name)
    assert len(ran) == 1 and len(set(heard)) == 1 and b"no function was handed over" in heard[0]


def test_what_is_kept_is_bounded(ran, monkeypatch):
    few = Recall(room=1_000)
    monkeypatch.setattr(marking, "_recall", few)
    for number in range(3 * VARIANTS):
        assert judge(rc_square, Link(square), f"student-{number}").passed
    assert few._size <= 1_000 and len(few._runs) < VARIANTS
    many = Recall()
    monkeypatch.setattr(marking, "_recall", many)
    for number in range(2 * BRANCHES):
        assert judge(rc_square, Link(lambda x, n=number: x * x * (1 + n * 1e-13)), "ada").passed
    (run,) = many._runs.values()
    assert run.branches == BRANCHES and many._size == run.size


def test_an_oracle_of_an_earlier_exercise_is_part_of_what_is_remembered():
    from autograder.exercise import lesson_exercises

    later = lesson_exercises("02-vae")["train_step"]
    assert marking._key(later, Seeds(1, 2))[-1] is lesson_exercises("02-vae")["negative_elbo"].oracle
