"""Is every limit held, and does whoever hits it read so?"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell

from autograder.checkout import course_root
from autograder.grading.run import RESERVE
from autograder.grading.runner import grade_submission
from autograder.guard import enclosure
from autograder.guard.enclosure import SandboxMissing
from autograder.guard.guest import GuestProcess
from autograder.guard.limits import Clock, Limits
from autograder.guard.supervisor import Totals
from autograder.guard.template import Template
from autograder.sandbox.jail import Rlimits
from autograder.student import LinkBroken

MB = 2**20
EACH = Rlimits(memory=256 * MB, processes=16, files=64, file_size=MB, disk=8 * MB)
ALL = Totals(memory=300 * MB, cpu=1.5, period=0.02)
SMALL = Limits(cell=1.0, call=1.0, submission=12.0, grace=0.3, each=EACH, all=ALL)
RIGHT = "\ndef tiny_double(x):\n    return 2 * x"

# name: (what the cell of tiny_double does, which limits, what the instructor reads)
HIT = {
    "a cell's seconds": ("import time\ntime.sleep(60)", {}, "did not finish in 1 s"),
    "a cell's seconds, stubborn": (
        "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        n = 1",
        {},
        "could not be interrupted",
    ),
    "all processor time": ("while True:\n    pass", {"cell": 20.0}, "more than 1.5 s of processor time"),
    "processor time of children": (
        "import os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        while True:\n            n = 1\n"
        "time.sleep(60)",
        {"cell": 20.0},
        "more than 1.5 s of processor time",
    ),
    "a process's memory": ("held = bytearray(2**30)", {}, "more memory than one process may have"),
    "all memory": (
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        held = bytearray(b'x') * (120 * 2**20)\n"
        "        time.sleep(60)\ntime.sleep(60)",
        {"cell": 20.0},
        "0.29 GiB of memory in all",
    ),
    "processes": (
        "import subprocess\nrunning = [subprocess.Popen(['sleep', '60']) for _ in range(40)]",
        {},
        "more processes than it may start",
    ),
    "threads": (
        "import threading, time\nfor _ in range(40):\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        {},
        "more processes than it may start",
    ),
    "open files": ("held = [open('/dev/null') for _ in range(99)]", {}, "more open files than it may have"),
    "a file's size": ("open('big', 'wb').write(bytes(2**21))", {}, "a larger file than it may write"),
    "disk": (
        "for n in range(20):\n    open(f'{n}', 'wb').write(bytes(2**19))",
        {},
        "more disk than it may have",
    ),
    "shared memory": (
        "for n in range(20):\n    open(f'/dev/shm/{n}', 'wb').write(bytes(2**19))",
        {},
        "more disk than it may have",
    ),
    "output": ("for _ in range(30):\n    print('x' * 100_000)", {"cell": 5.0}, "more output than is kept"),
}


@pytest.fixture
def meter(request, template, monkeypatch):
    """Who counts: the kernel where it may be asked, or the supervisor by itself."""
    if request.param == "kernel" and template.groups is None:
        pytest.skip("no control groups are delegated here")
    if request.param == "supervisor":
        monkeypatch.setattr(template, "groups", None)
    return request.param


BOTH = pytest.mark.parametrize("meter", ["kernel", "supervisor"], indirect=True)


@BOTH
@pytest.mark.parametrize(("code", "limits", "told"), HIT.values(), ids=HIT.keys())
def test_a_cell_that_hits_a_limit_is_reported(code, limits, told, meter, hand_in, master, exercises, template):
    path = hand_in(tiny_double=code, tiny_apply="def tiny_apply(f, x):\n    return f(x + x)")
    graded = grade_submission(path, "ada", master, exercises, template, replace(SMALL, **limits))
    assert any(told in flag and "tiny_double" in flag for flag in graded.flags), graded.flags
    assert [mark.points for mark in graded.marks] == [0, 1]


def test_no_cell_begins_when_the_submissions_time_is_over(hand_in, master, exercises, template):
    def many(notebook):
        notebook.cells += [new_code_cell("import time\ntime.sleep(60)") for _ in range(20)]

    graded = grade_submission(hand_in(many), "ada", master, exercises, template, replace(SMALL, cell=9, submission=2))
    begun = [cell for cell in graded.notebook.cells if any(o.output_type == "error" for o in cell.get("outputs", []))]
    assert len(begun) <= 2 and any("time" in flag or "used up its 2 s" in flag for flag in graded.flags), graded.flags


def test_time_in_which_others_run_is_nobodys(monkeypatch):
    """The checker may be kept waiting as well as the submission: its own part is counted by the processor."""
    now = {"monotonic": 1000.0, "thread_time": 5.0}
    for name in now:
        monkeypatch.setattr(time, name, lambda name=name: now[name])

    def passes(seconds, ours):
        now["monotonic"] += seconds
        now["thread_time"] += ours

    clock = Clock(100.0)
    passes(40.0, ours=3.0)  # reading, on a busy machine
    assert clock.left() == pytest.approx(97.0)
    with clock.waiting():
        passes(20.0, ours=1.0)
        assert clock.left() == pytest.approx(77.0)
        clock.extend(15.0)  # others had the processor
        assert clock.left() == pytest.approx(92.0)
        with clock.waiting():  # a call while another is answered: counted once, and on
            passes(5.0, ours=0.0)
        passes(5.0, ours=0.0)
        clock.extend(10.0)
    assert clock.left() == pytest.approx(92.0)
    passes(10.0, ours=0.0)
    assert clock.left() == pytest.approx(92.0)
    passes(1000.0, ours=0.0)
    assert clock.left() < 0, "but not for ever"


def test_a_page_may_take_what_is_left_of_the_submissions_time(hand_in, master, exercises, template):
    def many(notebook):
        notebook.cells += [new_code_cell("import time\ntime.sleep(60)") for _ in range(20)]

    limits = replace(SMALL, cell=9, submission=3)
    quick = grade_submission(hand_in(), "ada", master, exercises, template, replace(limits, submission=300))
    slow = grade_submission(hand_in(many), "eve", master, exercises, template, limits)
    assert replace(limits, submission=300).page < quick.left < 300
    assert 0 <= slow.left <= RESERVE * 3 + limits.page == pytest.approx(0.9)


BUSY = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        while time.process_time() < 0.3:
            pass
        os._exit(0)
for _ in range(4):
    os.wait()"""


@BOTH
def test_time_that_its_own_children_take_is_a_submissions_own(meter, template):
    with GuestProcess(template, replace(SMALL, all=replace(ALL, cpu=60.0)), 1) as process:
        process.run_cell("sum(range(10**6))", 20)
        alone = process._own_demand()
        process.run_cell(BUSY, 60)
        assert process._own_demand() - alone > 0.6 > alone


CALLS = {
    "a call's seconds": ("import time\n    time.sleep(60)", "did not finish in time"),
    "a process's memory": ("return bytearray(2**30)", "allocate memory|MemoryError"),
    "a file's size": ("open('big', 'wb').write(bytes(2**21))", "File too large"),
    "disk": ("[open(f'{n}', 'wb').write(bytes(2**19)) for n in range(20)]", "No space left"),
    "all memory": ("held = [bytearray(b'x') * 2**20 for _ in range(10**4)]", "memory|MemoryError"),
}


@BOTH
@pytest.mark.parametrize(("code", "told"), CALLS.values(), ids=CALLS.keys())
def test_a_call_that_hits_a_limit_says_so(code, told, meter, hand_in, master, exercises, template):
    path = hand_in(
        tiny_double=f"def tiny_double(x):\n    {code}", tiny_apply="def tiny_apply(f, x):\n    return f(x + x)"
    )
    graded = grade_submission(path, "ada", master, exercises, template, SMALL)
    assert [mark.points for mark in graded.marks] == [0, 1]
    assert any(word in graded.marks[0].message for word in told.split("|")), graded.marks[0].message


def test_a_submissions_seconds_hold_for_all_its_cells_and_calls(hand_in, master, exercises, template):
    short = replace(SMALL, submission=1.2, cell=5.0, call=5.0)
    path = hand_in(
        tiny_double="import time\ntime.sleep(0.9)\ndef tiny_double(x):\n    time.sleep(0.9)\n    return 2 * x"
    )
    graded = grade_submission(path, "ada", master, exercises, template, short)
    assert graded.points == 0
    assert any("used up its 1.2 s" in flag for flag in graded.flags) or "time" in graded.marks[0].message


@pytest.mark.parametrize("tool", ["bwrap", "setpriv"])
def test_a_missing_tool_is_named_in_one_line(monkeypatch, tool):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")
    enclosure.require.cache_clear()
    with pytest.raises(SandboxMissing) as caught:
        Template()
    enclosure.require.cache_clear()
    assert tool in str(caught.value) and "\n" not in str(caught.value)


def test_a_machine_without_user_namespaces_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(enclosure, "command", lambda *_: ["sh", "-c", "echo no permission >&2; exit 1"])
    enclosure.require.cache_clear()
    with pytest.raises(SandboxMissing, match=r"no permission.*user namespaces"):
        Template()
    enclosure.require.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to enclose a process without bubblewrap")
@pytest.mark.parametrize("step", ["_call", "_limit", "_drop_capabilities", "syscalls.refuse"])
def test_the_probe_fails_where_any_step_of_enclosing_does(step):
    program = (
        "from autograder.sandbox import jail\nreal = jail._call\n"
        "def fail(*what):\n    if what[:1] == ('unshare',):\n        return real(*what)\n    raise OSError('no')\n"
        f"jail.{step} = fail\njail.enclose(jail.Rlimits())"
    )
    line = ["unshare", "--mount", sys.executable, "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=course_root(), check=False)
    assert done.returncode != 0 and "OSError: no" in done.stderr


def test_a_machine_that_allows_less_is_believed():
    program = (
        "import resource\nfrom autograder.sandbox import jail\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\njail._limit(jail.Rlimits(files=4000))\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=course_root(), check=False)
    assert done.stdout.strip() == "(300, 300) (0, 0)", done.stderr


def test_an_installed_autograder_is_hidden(tmp_path):
    """Where the package lies in a folder that submissions see, such as site-packages, it is covered."""
    (tmp_path / "autograder" / "lessons").mkdir(parents=True)
    (tmp_path / "solutions").mkdir()
    hidden = set(enclosure._secret(tmp_path / "autograder", [tmp_path]))
    assert {tmp_path / "autograder", tmp_path / "solutions"} <= hidden
    assert not list(enclosure._secret(tmp_path / "autograder", [tmp_path / "elsewhere"]))


ORDINARY = """
from autograder.guard.guest import GuestProcess
from autograder.guard.limits import Limits
from autograder.guard.template import Template
with Template() as template, GuestProcess(template, Limits(), 1) as process:
    print(process.run_cell("import os, torch\\nos.getuid(), os.getpid(), torch.ones(2).sum().item()", 20)[-1]["data"])
    print(process.run_cell("import socket\\nsocket.create_connection(('1.1.1.1', 1), 1)", 5)[-1]["ename"])
    forks = "import os, time\\nwhile True:\\n    if os.fork() == 0:\\n        time.sleep(60)"
    print("refused" if "unavailable" in process.run_cell(forks, 5)[-1]["evalue"] else "not refused")
"""


def as_ordinary_user(program, home):
    """The command line that runs `program` as user 1000; where root's HOME hides this Python, it is shown there in a
    mount namespace of its own.
    """
    drop = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "env", f"HOME={home}", *program]
    base = Path(sys.base_prefix)
    closed = next((place for place in reversed(base.parents) if not place.stat().st_mode & 0o001), None)
    if closed is None:
        return drop
    steps = (
        f"mount --bind {base} /mnt",
        f"mount -t tmpfs -o mode=755 none {closed}",
        f"mkdir -p {base}",
        f"mount --bind /mnt {base}",
        'exec "$@"',
    )
    return ["unshare", "--mount", "sh", "-c", " && ".join(steps), "sh", *drop]


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_it_works_for_an_ordinary_user(tmp_path):
    for place in (tmp_path, *list(tmp_path.parents)[:3]):
        place.chmod(0o755)
    tmp_path.chmod(0o777)
    python = as_ordinary_user([sys.executable, "-c"], tmp_path)
    options = {"capture_output": True, "text": True, "timeout": 120, "cwd": course_root(), "check": False}
    reachable = subprocess.run([*python, "import autograder.guard.guest"], **options)
    if reachable.returncode != 0:
        pytest.skip(f"an ordinary user cannot run this Python: {reachable.stderr.strip()[-200:]}")
    done = subprocess.run([*python, ORDINARY], **options)
    assert done.returncode == 0, done.stderr
    assert "(1000, 1, 2.0)" in done.stdout and "Error" in done.stdout and "refused" in done.stdout


def test_an_ended_process_says_why(template):
    with GuestProcess(template, SMALL, 1) as process, pytest.raises(LinkBroken, match="ended by itself"):
        process.run_cell("import os\nos._exit(0)", 5)
