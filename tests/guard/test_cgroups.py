"""Does the kernel keep a submission's totals where it may be asked to, and is nothing of that left behind?"""

import errno
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.guard import cgroups, delegation
from autograder.guard.cgroups import ControlGroup
from autograder.guard.delegation import LEAF, Delegation
from autograder.guard.guest import GuestProcess
from autograder.guard.supervisor import Totals, Tree
from autograder.student import LinkBroken

MB = 2**20
SLEEPY = 3600.0  # seconds between the supervisor's looks: what ends a submission meanwhile is the kernel

needs_groups = pytest.mark.skipif(cgroups.place() is None, reason="no control groups are delegated here")


@pytest.fixture
def place(template):
    assert template.groups == cgroups.place()
    return template.groups


def place_of(place):
    return place.memory, place.pids, place.cpu


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
        "import socket\nheld = []\nfor _ in range(1500):\n    a, b = socket.socketpair()\n    a.setblocking(False)\n"
        "    held += [a, b]\n    try:\n        while True:\n            a.send(bytes(4096))\n"
        "    except BlockingIOError:\n        pass",
    ],
    ids=["of a process", "in files", "in sockets"],
)
def test_the_kernel_itself_ends_what_takes_too_much_memory(code, template, place, limits):
    """Nobody looks within the test's time."""
    small = replace(limits, each=replace(limits.each, files=4000), all=Totals(memory=100 * MB, period=SLEEPY))
    with (
        GuestProcess(template, small, 1) as process,
        pytest.raises(LinkBroken, match=r"than 0\.098 GiB of memory in all"),
    ):
        process.run_cell(code, 20)
    assert not left(place)


@needs_groups
def test_what_waits_in_sockets_counts_though_no_group_has_it(template, place, limits):
    """Sockets whose messages are on nobody's account are not to be had, and the others count by the piece."""
    small = replace(limits, each=replace(limits.each, files=4000), all=Totals(memory=100 * MB, period=0.02))
    with GuestProcess(template, small, 1) as process:
        netlink = process.run_cell("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2)", 5)
        assert "PermissionError" in str(netlink)
        with pytest.raises(LinkBroken, match="of memory in all"):
            process.run_cell("import time\nheld = [socket.socket() for _ in range(600)]\ntime.sleep(60)", 20)
    assert not left(place)


@needs_groups
def test_who_is_ended_for_others_want_of_memory_is_not_blamed(template, place, limits, monkeypatch):
    """The limit above is reached, as by several submissions in a container; the submission's own is far away."""
    above = Delegation(place.version, *[folder / f"course-{os.getpid()}-above" for folder in place_of(place)])
    for folder in above.folders():
        folder.mkdir()
    limit = "memory.max" if place.version == 2 else "memory.limit_in_bytes"
    (above.memory / limit).write_text(str(100 * MB))
    if place.version == 2:
        assert delegation.take_over(above)
    monkeypatch.setattr(template, "groups", above)
    with GuestProcess(template, limits, 1) as process, pytest.raises(LinkBroken, match="ended by itself"):
        process.run_cell("held = bytearray(b'x') * (200 * 2**20)", 20)
    assert not left(above)
    for folder in above.folders():
        folder.rmdir()


@needs_groups
def test_processes_that_ended_unseen_have_used_their_time(template, place, limits):
    """Twenty processes of 0.1 s each, and each has ended before anybody looks."""
    code = "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        end = time.process_time() + 0.1\n" + (
        "        while time.process_time() < end:\n            pass\n        os._exit(0)\n    os.wait()"
    )
    with GuestProcess(template, replace(limits, all=Totals(period=SLEEPY)), 1) as process:
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
        said = shell.communicate("go\n", timeout=120)[1]
    group.close()
    assert "fork" in said and shell.returncode != 0
    assert not left(place)


@needs_groups
def test_groups_of_a_grader_that_was_killed_are_removed(place):
    program = (
        "import os, signal\nfrom autograder.guard.cgroups import ControlGroup, Totals, place\n"
        "ControlGroup(place(), Totals(), 9)\nos.kill(os.getpid(), signal.SIGKILL)"
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
    gone = Delegation(2, *[tmp_path / "gone"] * 3)
    monkeypatch.setattr(template, "groups", gone)
    with GuestProcess(template, limits, 1) as process:
        assert isinstance(process._meter, Tree)


def test_processes_of_ones_own_move_to_a_leaf_where_they_are_in_the_way(monkeypatch, tmp_path):
    """As the kernel has it: no controllers for the children of a group that has processes."""
    scope = made(tmp_path / "run-1.scope", handed_down="cpu")
    (scope / "cgroup.procs").write_text("7\n8\n")
    write_text, there = Path.write_text, {7, 8}

    def as_a_kernel(path, text):
        if path.name == "cgroup.procs":
            assert path == scope / LEAF / "cgroup.procs"
            if int(text) == 8:
                there.clear()
                write_text(scope / "cgroup.procs", "")
                raise ProcessLookupError("it has ended meanwhile")
        elif there:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return write_text(path, text.replace("+", ""))

    monkeypatch.setattr(Path, "write_text", as_a_kernel)
    place = Delegation(2, scope, scope, scope)
    assert delegation.take_over(place)
    assert (scope / "cgroup.subtree_control").read_text() == "memory pids"
    assert (scope / LEAF / "cgroup.procs").read_text() == "7"


def test_nobody_is_moved_where_that_would_not_help(monkeypatch, tmp_path):
    def refused(path, text):
        raise PermissionError(errno.EACCES, "Permission denied")

    scope = made(tmp_path / "run-1.scope", handed_down="")
    monkeypatch.setattr(Path, "write_text", refused)
    assert not delegation.take_over(Delegation(2, scope, scope, scope))
    assert not (scope / LEAF).exists()


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
    return delegation.version_2(mounts, own) or delegation.version_1(mounts, own)


def test_a_container_with_a_hierarchy_of_its_own(tmp_path):
    made(tmp_path)
    assert found([DISK, V2.format(root="/", point=tmp_path)], ["0::/"]) == Delegation(2, *[tmp_path] * 3)


def test_a_scope_that_systemd_has_delegated(tmp_path):
    scope = made(tmp_path / "user.slice" / "run-1.scope")
    mounts = [DISK, V2.format(root="/", point=tmp_path)]
    assert found(mounts, ["0::/user.slice/run-1.scope"]) is None, "not the grader's to arrange"
    mark(scope)
    for own in ("run-1.scope", f"run-1.scope/{LEAF}"):
        made(scope / LEAF)
        assert found(mounts, [f"0::/user.slice/{own}"]).memory == scope


@pytest.mark.parametrize("said, mine", [("yes", True), ("no", False), ("", False)])
def test_a_users_own_systemd_is_asked(monkeypatch, tmp_path, said, mine):
    """It marks nothing that it has delegated."""
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\n[ "$1" = --user ] && [ "$6" = run-1.scope ] && echo {said}\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    made(tmp_path / "app.slice" / "run-1.scope")
    mounts = [V2.format(root="/", point=tmp_path)]
    assert (found(mounts, ["0::/app.slice/run-1.scope"]) is not None) == mine


def test_version_1_is_left_to_systemd_where_it_runs(monkeypatch, tmp_path):
    names = ("memory", "pids", "cpuacct")
    for name in names:
        (tmp_path / name).mkdir()
    mounts = [V1.format(n=n, name=name, point=tmp_path) for n, name in enumerate(names)]
    own = [f"{n}:{name}:/" for n, name in enumerate(names)]
    assert found(mounts, own) is not None
    monkeypatch.setattr(delegation, "SYSTEMD", tmp_path)
    assert found(mounts, own) is None


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
    assert found(mounts, own) == Delegation(1, *[tmp_path / name / "mine" for name in names])
    assert found(mounts, own[:-2]) is None, "one is missing"


def test_nothing_mounted_nothing_found():
    assert found([DISK], ["0::/"]) is None
