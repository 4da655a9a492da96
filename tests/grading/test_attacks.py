"""Does every attack earn what it honestly did, and change nothing for anybody else?"""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from attacks import ATTACKS

from autograder.checkout import course_root
from autograder.grading.runner import grade_submission
from autograder.guard.accounts import tree
from autograder.guard.guest import GuestProcess
from autograder.guard.limits import Limits
from autograder.guard.supervisor import Totals
from autograder.sandbox.jail import Rlimits
from autograder.sandbox.wire import Callback, Source, encode
from autograder.student import Failure, LinkBroken, Remote

MB = 2**20
EACH = Rlimits(memory=256 * MB, processes=24, files=64, file_size=MB, disk=8 * MB)
TIGHT = Limits(
    cell=0.8, call=1.0, submission=6.0, grace=0.2, each=EACH, all=Totals(memory=400 * MB, cpu=4.0, period=0.02)
)
MAX_SECONDS = 120.0  # what never ends is seen; a busy machine is not
MIN_ATTACKS = 80


@pytest.fixture(scope="module")
def outside():
    """What an attack might reach: a port and a socket of this machine, a secret in the grader's environment."""
    abstract = f"canary-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{abstract}")
        named.listen()
        places = {"{port}": str(server.getsockname()[1]), "{abstract}": abstract}
        yield {**places, "{root!r}": repr(str(course_root())), "{home!r}": repr(str(Path.home()))}


@pytest.fixture
def grade(hand_in, master, exercises, template, tmp_path):
    def graded(attack, student, limits, places):
        def filled(code):
            for name, value in places.items():
                code = code.replace(name, value)
            return code

        folder = tmp_path / student / master.lesson
        folder.mkdir(parents=True, exist_ok=True)
        answers = {} if attack is None else {"tiny_double": filled(attack.double), "tiny_apply": filled(attack.apply)}
        made = deepcopy(master.released)
        for cell in made.cells:
            cell.source = {**RIGHT, **answers}.get(cell["id"], cell.source)
        if attack is not None:
            attack.change(made)
        content = nbformat.writes(made).encode()
        path = folder / f"{master.name}.ipynb"
        path.write_bytes(content if attack is None else attack.file(content))
        return grade_submission(path, student, master, exercises, template, limits)

    return graded


RIGHT = {
    "tiny_double": "def tiny_double(x):\n    return 2 * x",
    "tiny_apply": "def tiny_apply(f, x):\n    return f(tiny_double(x))",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=[f"{attack.family}: {attack.name}" for attack in ATTACKS])
def test_an_attack_earns_what_it_honestly_did(attack, grade, template, limits, outside, monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", "secret")
    before, start = set(tree(template._process.pid)), time.monotonic()
    used = replace(limits, grace=0.3, cell=1.5, call=1.5)
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(grade, None, "ada", limits, outside)
        graded = grade(attack, "eve", TIGHT if attack.tight else used, outside)
        assert beside.result().points == 3, "an honest submission beside it"
    assert time.monotonic() - start < MAX_SECONDS
    assert graded.status == attack.status
    got = sum(mark.points for mark in graded.marks)
    assert got <= attack.earns if attack.family == "resources" else got == attack.earns, graded.flags
    assert graded.points <= attack.earns
    if attack.flagged is not None:
        assert bool(graded.flags) == attack.flagged
    assert all(mark.passed or mark.message for mark in graded.marks)
    assert len(repr((graded.flags, graded.public()))) < 30_000
    if graded.notebook is not None:
        nbformat.validate(graded.notebook)
        assert len(nbformat.writes(graded.notebook).encode()) < 12 * MB
    assert _settled(template, before), "a process is left"


def _settled(template, before):
    """Whether all processes that were not there before have gone; their end takes the kernel a moment."""
    for _ in range(500):
        if set(tree(template._process.pid)) <= before:
            return True
        time.sleep(0.01)
    return False


class Forged:
    """A link whose every reply is this value."""

    def __init__(self, value):
        self.value = value

    def ask(self, frame, serve):
        return encode({"value": self.value})


@pytest.mark.parametrize("value", [Source("raise SystemExit", "f"), Callback(0), [Source("raise SystemExit", "f")]])
def test_code_and_callbacks_in_a_reply_are_refused(value):
    """A right function would run the one and call the other when a check hands it the student's answer."""
    assert isinstance(Remote(Forged(value), "f")(1.0), Failure)


def test_a_failure_can_be_unpacked_without_end():
    """`[*student.gradient(x)]` of a call that failed is one failure, not endless memory in the grader."""
    failure = Failure("raised", "so")
    assert [*failure] == [failure]


def test_the_supervisors_view_needs_no_help_from_the_submission(template, limits):
    """Sockets filled and given away, and processes that nobody waits for, still count."""
    small = replace(limits, all=Totals(memory=100 * MB, cpu=60.0, period=0.02))
    code = "import os, socket, time\nkept = []\nfor _ in range(8):\n    if os.fork() == 0:\n" + (
        "        kept += [socket.socketpair() for _ in range(60)]\n        time.sleep(60)\ntime.sleep(60)"
    )
    with GuestProcess(template, small, 1) as process, pytest.raises(LinkBroken, match="of memory in all"):
        process.run_cell(code, 20)


def test_a_link_to_another_file_is_not_graded(hand_in, master, exercises, template, limits, tmp_path):
    path = hand_in()
    stolen = tmp_path / "eve" / "99-tiny" / "tiny.ipynb"
    stolen.parent.mkdir(parents=True)
    stolen.symlink_to(path)
    (tmp_path / "mallory").symlink_to(tmp_path / "eve")
    pipe = tmp_path / "pipe.ipynb"
    os.mkfifo(pipe)
    for place in (stolen, tmp_path / "mallory" / "99-tiny" / "tiny.ipynb", pipe):
        graded = grade_submission(place, "eve", master, exercises, template, limits)
        assert graded.status == "failed" and graded.points == 0 and graded.flags


def test_submissions_cannot_meet(template, limits):
    """Files, shared memory, sockets and ports of one are not there for another, during its life or after it."""
    leave = """
import socket
from pathlib import Path
for place in ('/tmp/note', '/dev/shm/note', '/tmp/home/note'):
    Path(place).write_text('2x')
server = socket.create_server(('127.0.0.1', 4321))
named = socket.socket(socket.AF_UNIX)
named.bind('\\0note')
named.listen()"""
    look = """
import os, socket
found = [place for place in ('/tmp/note', '/dev/shm/note', '/tmp/home/note') if os.path.exists(place)]
for family, address in ((socket.AF_INET, ('127.0.0.1', 4321)), (socket.AF_UNIX, '\\0note')):
    try:
        socket.socket(family).connect(address)
        found.append(address)
    except OSError:
        pass
found += [pid for pid in os.listdir('/proc') if pid.isdigit() and pid not in ('1', str(os.getpid()))]
found"""
    with GuestProcess(template, limits, 1) as first, GuestProcess(template, limits, 1) as second:
        assert first.run_cell(leave, 5) == []
        assert second.run_cell(look, 5)[-1]["data"] == {"text/plain": "[]"}
    with GuestProcess(template, limits, 1) as third:
        assert third.run_cell(look, 5)[-1]["data"] == {"text/plain": "[]"}


def test_submissions_cannot_signal_by_what_they_share(template, limits):
    """Locks, leases, hints and watches on files and devices that all see; pipes and descriptors are one's own."""
    look = """
import ctypes, fcntl, os
import torch
done = []
def tries(name, act):
    try:
        act()
        done.append(name)
    except OSError:
        pass
shared, null, own = open(torch.__file__), open('/dev/null', 'r+b', buffering=0), open('/tmp/own', 'w+')
for name, file in (('shared', shared), ('null', null)):
    tries(f'flock {name}', lambda: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB))
    tries(f'lockf {name}', lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB))
    for command in (5, 36, 37, 1024, 1025, 1026, 1035, 1036, 1038):
        tries(f'{command} {name}', lambda: fcntl.fcntl(file, command, bytes(32)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.inotify_init1(0) >= 0:
    done.append('inotify')
tries('flags', lambda: fcntl.fcntl(shared, fcntl.F_SETFL, fcntl.fcntl(shared, fcntl.F_GETFL)))
tries('copy', lambda: os.dup(fcntl.fcntl(own, fcntl.F_DUPFD_CLOEXEC, 10)))
tries('pipe', lambda: fcntl.fcntl(os.pipe()[0], 1031, 65536))
done"""
    with GuestProcess(template, limits, 1) as first:
        assert first.run_cell(look, 20)[-1]["data"] == {"text/plain": "['flags', 'copy', 'pipe']"}


def test_there_are_attacks_of_every_family():
    families = {attack.family for attack in ATTACKS}
    assert len(ATTACKS) >= MIN_ATTACKS and len({(a.family, a.name) for a in ATTACKS}) == len(ATTACKS)
    assert {
        "kernel",
        "reading",
        "files",
        "notebook",
        "resources",
        "network",
        "protocol",
        "markup",
        "showing",
    } <= families
