"""Does a kept template serve the next command, one at a time, nobody else, and not for ever?"""

import os
import socket
import threading

import psutil
import pytest

from autograder.guard import kept
from autograder.guard.guest import GuestProcess
from autograder.guard.limits import Limits
from autograder.guard.template import GraderBroken, Template


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / f"course-grader-{os.getuid()}"


def two(template):
    with GuestProcess(template, Limits(), seed=1) as process:
        return process.run_cell("1 + 1", 10.0)[0]["data"]["text/plain"]


def test_the_next_command_finds_it_warm_and_a_second_one_makes_its_own(place, monkeypatch):
    monkeypatch.setenv("COURSE_SECRET", "hidden")
    with kept.kept("test", []) as first:
        lender = psutil.Process(first._lender.pid)
        assert two(first) == "2" and not first.ended()
        assert "COURSE_SECRET" not in lender.environ() and lender.cwd() == "/"
        with kept.kept("test", []) as other:
            assert type(other) is Template
    (name,) = place.iterdir()
    with kept.kept("test", []) as second:
        assert second._lender is None and two(second) == "2"
        (template,) = lender.children()
        lender.suspend()  # it is not asked whether the template has ended
        template.kill()
        try:
            assert second.ended(20.0)
        finally:
            lender.resume()
        with pytest.raises(GraderBroken):
            two(second)
    lender.wait(20.0)
    assert not name.exists()


def test_one_that_was_killed_is_no_obstacle(place, monkeypatch):
    made = kept.folder() / "dead"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made))
    started = []
    monkeypatch.setattr(kept.subprocess, "Popen", lambda line, **_: started.append(line))
    kept._Borrowed(made, ["math"], 5.0)
    assert not made.exists() and started[0][-3:] == [str(made), "5.0", "math"]


@pytest.mark.parametrize("wrong", ["open", "link", "file"])
def test_a_folder_that_others_may_enter_is_refused(place, tmp_path, wrong):
    if wrong == "open":
        place.mkdir(mode=0o755)
        place.chmod(0o755)
    elif wrong == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.write_text("")
    with pytest.raises(kept.NotOurs, match="no template can be kept warm"):
        kept.folder()


class Lent:
    """A template as a lender sees it."""

    over = False

    def ended(self):
        return self.over

    def lend(self, connection, word):
        connection.sendall(word)


@pytest.fixture
def lending(tmp_path):
    """A lender in a thread, of `Lent`, that waits for half a second."""
    template, place = Lent(), tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        thread = threading.Thread(target=kept._serve, args=(listener, template, 0.5))
        thread.start()
        yield template, place, thread
        template.over = True
        thread.join(20.0)
        assert not thread.is_alive()


def test_it_is_lent_to_one_at_a_time(lending):
    _, place, _ = lending
    for _ in range(2):
        with kept._connected(place) as first, kept._connected(place) as second:
            assert first.recv(4) == kept.LENT and second.recv(4) == kept.BUSY


def test_it_ends_when_nobody_wants_it_and_not_while_somebody_has_it(lending):
    _, place, thread = lending
    with kept._connected(place) as holder:
        assert holder.recv(4) == kept.LENT
        thread.join(1.5)
        assert thread.is_alive()
    thread.join(20.0)
    assert not thread.is_alive()


def test_nobody_else_gets_it(lending, monkeypatch):
    _, place, _ = lending
    with socket.socket(socket.AF_UNIX) as other:
        monkeypatch.setattr(kept, "_user", lambda _: os.getuid() + 1)
        other.connect(str(place))
        assert other.recv(4) == b""
        with pytest.raises(PermissionError):
            kept._connected(place)


def test_whatever_it_is_made_of_tells_it_apart(place, monkeypatch):
    names = []

    class Named:
        busy = False

        def __init__(self, place, modules, idle):
            names.append(place)

    monkeypatch.setattr(kept, "_Borrowed", Named)
    for made_of, modules in (("one", []), ("two", []), ("one", ["math"]), ("one", [])):
        kept.kept(made_of, modules)
    assert len(set(names)) == 3 and names[0] == names[3] and {name.parent for name in names} == {place}
