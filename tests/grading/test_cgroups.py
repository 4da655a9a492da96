"""Does the kernel keep a submission's totals where it may be asked to, and is nothing of that left behind?"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.grading import cgroups
from autograder.grading.cgroups import ControlGroup, delegation
from autograder.grading.process import Submission
from autograder.grading.supervisor import Totals, Tree
from autograder.student import LinkBroken

MB = 2**20
SLEEPY = 3600.0  # seconds between the supervisor's looks: what ends a submission meanwhile is the kernel

needs_groups = pytest.mark.skipif(delegation() is None, reason="no control groups are delegated here")


@pytest.fixture
def place(template):
    assert template.groups == delegation()
    return template.groups


def left(place):
    """This process's groups that still are there, once the kernel has had time to end them."""
    for _ in range(200):
        cgroups._sweep()
        found = [group for folder in place.folders() for group in folder.glob(f"course-{os.getpid()}-*")]
        if not found:
            break
        time.sleep(0.01)
    return found


@needs_groups
@pytest.mark.parametrize(
    "code",
    [
        "held = bytearray(b'x') * (200 * 2**20)",
        "for n in range(4):\n    open(f'/dev/shm/{n}', 'wb').write(bytes(50 * 2**20))",
        "import socket\nheld = []\nfor _ in range(3000):\n    a, b = socket.socketpair()\n    a.setblocking(False)\n"
        "    held += [a, b]\n    try:\n        while True:\n            a.send(bytes(4096))\n"
        "    except BlockingIOError:\n        pass",
    ],
    ids=["of a process", "in files", "in sockets"],
)
def test_the_kernel_itself_ends_what_takes_too_much_memory(code, template, place, limits):
    """Nobody looks within the test's time."""
    small = replace(limits, each=replace(limits.each, files=8000), all=Totals(memory=100 * MB, period=SLEEPY))
    with (
        Submission(template, small, 1) as process,
        pytest.raises(LinkBroken, match=r"than 0\.098 GiB of memory in all"),
    ):
        process.run_cell(code, 20)
    assert not left(place)


@needs_groups
def test_processes_that_ended_unseen_have_used_their_time(template, place, limits):
    """Twenty processes of 0.1 s each, and each has ended before anybody looks."""
    code = "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        end = time.process_time() + 0.1\n" + (
        "        while time.process_time() < end:\n            pass\n        os._exit(0)\n    os.wait()"
    )
    with Submission(template, replace(limits, all=Totals(period=SLEEPY)), 1) as process:
        process.run_cell(code, 20)
        assert 2.0 < process._meter._cpu() < 4.0
        process._meter.totals = Totals(cpu=1.9)
        assert process._meter.excess() == "it used more than 1.9 s of processor time in all"
    assert not left(place)


@needs_groups
def test_a_group_holds_so_many_processes(place):
    """A shell in a group of three cannot have three children beside itself."""
    group = ControlGroup(place, Totals(), processes=3)
    line = "read go; sleep 1 & sleep 1 & sleep 1 & wait"
    with subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shell:
        group.take(shell.pid)
        said = shell.communicate("go\n", timeout=20)[1]
    group.close()
    assert "fork" in said and shell.returncode != 0
    assert not left(place)


@needs_groups
def test_groups_of_a_grader_that_was_killed_are_removed(place):
    program = (
        "import os, signal\nfrom autograder.grading.cgroups import ControlGroup, Totals, delegation\n"
        "ControlGroup(delegation(), Totals(), 9)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    killed.wait(60)
    orphans = [group for folder in place.folders() for group in folder.glob(f"course-{killed.pid}-*")]
    assert len(orphans) == len(place.folders())
    own = ControlGroup(place, Totals(), 9)
    cgroups._sweep_orphans(place)
    assert not any(group.exists() for group in orphans)
    assert all((folder / own._name).exists() for folder in place.folders()), "those of the living stay"
    own.close()


def test_where_no_group_can_be_made_the_tree_is_watched(template, limits, monkeypatch, tmp_path):
    gone = cgroups.Delegation(2, *[tmp_path / "gone"] * 3)
    monkeypatch.setattr(template, "groups", gone)
    with Submission(template, limits, 1) as process:
        assert isinstance(process._meter, Tree)


V2 = "30 23 0:26 {root} {point} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "3{n} 32 0:2{n} / {point}/{name} rw,nosuid - cgroup cgroup rw,{name}"
DISK = "23 1 254:0 / / rw - ext4 /dev/vda rw"


def made(folder, controllers="cpu memory pids", handed_down="memory pids"):
    """A folder that looks like a group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").write_text(handed_down)
    (folder / "cgroup.procs").write_text("")
    return folder


def mark(folder):
    try:
        os.setxattr(folder, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")


def found(mounts, own):
    return cgroups._version_2(mounts, own) or cgroups._version_1(mounts, own)


def test_a_container_with_a_hierarchy_of_its_own(tmp_path):
    made(tmp_path)
    assert found([DISK, V2.format(root="/", point=tmp_path)], ["0::/"]) == cgroups.Delegation(2, *[tmp_path] * 3)


def test_a_scope_that_systemd_has_delegated(tmp_path):
    scope = made(tmp_path / "user.slice" / "run-1.scope")
    mounts = [DISK, V2.format(root="/", point=tmp_path)]
    assert found(mounts, ["0::/user.slice/run-1.scope"]) is None, "not the grader's to arrange"
    mark(scope)
    for own in ("run-1.scope", f"run-1.scope/{cgroups.LEAF}"):
        made(scope / cgroups.LEAF)
        assert found(mounts, [f"0::/user.slice/{own}"]).memory == scope


@pytest.mark.parametrize("lacking", ["memory", "pids"])
def test_a_hierarchy_without_a_controller_is_of_no_use(tmp_path, lacking):
    made(tmp_path, controllers="cpu memory pids".replace(lacking, ""))
    assert found([V2.format(root="/", point=tmp_path)], ["0::/"]) is None


def test_version_1_in_a_container(tmp_path):
    """Seen from inside, the container's group is the mount's root; version 2 is there too, without controllers."""
    names = ("memory", "pids", "cpuacct")
    for name in names:
        (tmp_path / name / "mine").mkdir(parents=True)
    mounts = [V1.format(n=n, name=name, point=tmp_path) for n, name in enumerate(names)]
    own = ["9:name=systemd:/", *[f"{n}:{name}:/mine" for n, name in enumerate(names)], "0::/"]
    assert found(mounts, own) == cgroups.Delegation(1, *[tmp_path / name / "mine" for name in names])
    assert found(mounts, own[:-2]) is None, "one is missing"


def test_nothing_mounted_nothing_found():
    assert found([DISK], ["0::/"]) is None
