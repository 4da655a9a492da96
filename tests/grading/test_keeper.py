"""A template that ends costs nobody anything: another takes its place, and the submission is graded once more."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from autograder.grading.keeper import Keeper
from autograder.grading.runner import grade_submission
from autograder.grading.workers import Grading, Task, graded_as_they_come, workers
from autograder.guard.accounts import tree
from autograder.guard.limits import Limits
from autograder.guard.template import GraderBroken, Template

SLOW = "import time\ntime.sleep(1)\ndef tiny_double(x):\n    return 2 * x"


def kill(template):
    """End the warm process itself, as the kernel does when memory runs out."""
    for pid in tree(template._process.pid):
        with suppress(FileNotFoundError):
            if b"python" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)
                return
    raise LookupError("no template")


@pytest.fixture
def limits():
    """Those of a class: no test here is about them, and a busy machine needs them."""
    return Limits()


@pytest.fixture
def keeper():
    made = Keeper(Template)
    yield made
    made.close()


@pytest.mark.parametrize("when", ["before", "in the midst"])
def test_a_submission_is_graded_in_spite_of_it(keeper, when, hand_in, master, exercises, limits):
    path, tries = hand_in(tiny_double=SLOW), []

    def job(template):
        tries.append(template)
        if len(tries) == 1 and when == "before":
            keeper.grade(lambda template: grade_submission(path, "ben", master, exercises, template, limits))
            kill(template)
        elif len(tries) == 1:
            threading.Thread(target=lambda: (wait_for_guest(template), kill(template))).start()
        return grade_submission(path, "ada", master, exercises, template, limits)

    graded = keeper.grade(job)
    assert len(tries) == 2 and tries[0] is not tries[1]
    assert graded.points == graded.max_points and not graded.flags


def wait_for_guest(template):
    """Until a submission's cells run."""
    deadline = time.monotonic() + 300
    while not template._warm and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.4)


def test_what_ends_every_template_is_given_up(keeper):
    tries = []

    def job(template):
        tries.append(template)
        raise GraderBroken("the grading process ended")

    with pytest.raises(GraderBroken, match="took its place"):
        keeper.grade(job)
    assert len(tries) == 2


def test_a_worker_goes_on_with_a_new_template(hand_in, master, exercises, limits, monkeypatch):
    monkeypatch.setattr("autograder.grading.workers.lesson_exercises", lambda lesson: exercises)
    content = hand_in(tiny_double=SLOW).read_bytes()
    plugin = Grading({master.lesson: master}, limits, sandbox=True)
    with workers(plugin, 2, None) as client:
        first = plugin.keeper._template
        threading.Thread(target=lambda: (wait_for_guest(first), kill(first))).start()
        tasks = [Task(number, f"student-{number}", master.lesson, content) for number in range(4)]
        results = [graded for together in graded_as_they_come(client, tasks) for _, graded in together]
        assert plugin.keeper._template is not first
    assert [(graded.points, graded.flags) for graded in results] == [(3.0, ())] * 4
