"""Does a page that takes too much end alone, and is the next one made as if it had not been?"""

import os
import signal
from contextlib import closing

import pytest

from autograder.feedback import making
from autograder.feedback.making import PageRefused, Pages

MB = 2**20


def make(notebook, resources):
    match notebook:
        case "endless":
            while True:
                pass
        case "asleep":
            import time

            time.sleep(600)
        case "large":
            return str(len(bytearray(400 * MB)))
        case "nested":
            return make_nested(notebook)
        case "timed":
            return repr(signal.getitimer(signal.ITIMER_PROF)[0])
        case "litter":
            LITTER.append(bytearray(100 * MB))
        case "wrong":
            raise KeyError("ours")
        case "gone":
            os._exit(1)
    resources["seen"] = resources.get("seen", 0) + 1
    HELD.append(notebook)
    return f"{notebook} {resources['seen']} {len(HELD)}"


def make_nested(notebook):
    return make_nested([notebook])


HELD: list[str] = []
LITTER: list[bytearray] = []


@pytest.fixture
def pages():
    with closing(Pages(make, seconds=0.3, memory=200 * MB)) as made:
        yield made


@pytest.mark.parametrize("hostile", ["endless", "asleep", "large", "nested", "gone"])
def test_a_page_that_takes_too_much_is_refused_and_the_next_is_made(pages, hostile):
    honest = pages.page("a", {})
    with pytest.raises(PageRefused):
        pages.page(hostile, {})
    assert pages.page("a", {}) == honest == "a 1 1", "nothing is left of it when the next is made"


def test_what_pages_leave_behind_ends_after_some(pages, monkeypatch):
    monkeypatch.setattr(making, "TURNS", 3)
    assert [pages.page("a", {}) for _ in range(7)] == ["a 1 1", "a 1 2", "a 1 3"] * 2 + ["a 1 1"]


def test_what_leaves_much_behind_ends_at_once(pages, monkeypatch):
    monkeypatch.setattr(making, "LITTER", 50 * MB)
    assert [pages.page(name, {}) for name in ("a", "litter", "a", "a")] == ["a 1 1", "litter 1 2", "a 1 1", "a 1 2"]


def test_a_page_has_the_time_that_its_submission_has_left_and_no_more_than_any(pages):
    ticks = 0.02  # the kernel rounds up
    assert 0 < float(pages.page("timed", {}, seconds=0.1)) <= 0.1 + ticks
    assert 0.1 + ticks < float(pages.page("timed", {}, seconds=200.0)) <= 0.3 + ticks
    with pytest.raises(PageRefused):
        pages.page("endless", {}, seconds=0.05)
    for over in (0.0, -1.0):
        with pytest.raises(PageRefused):
            pages.page("a", {}, seconds=over)


def test_what_may_be_our_own_fault_is_no_refusal(pages):
    with pytest.raises(RuntimeError, match="KeyError: 'ours'"):
        pages.page("wrong", {})
    assert pages.page("a", {}) == "a 1 1"


def test_what_is_made_first_is_known_to_all():
    with closing(Pages(make, [("lesson", {})])) as made:
        assert made.page("a", {}) == "a 1 2"


@pytest.mark.timeout(60)
def test_a_process_that_is_stuck_ends_with_it_too():
    """It is forked where there may be other threads, whose locks it then waits for without end."""
    with closing(Pages(make, [("asleep", {})])) as made:
        made.start()


def test_its_process_ends_with_it(pages):
    pages.start()
    pid = pages._pid
    pages.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
