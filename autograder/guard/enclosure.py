"""The command that starts the template behind bubblewrap: what a submission may see, and as whom it runs.

Visible, read-only: the system's libraries, this Python and its packages, `course_lib`, and `autograder/sandbox` alone.
Not there: the network, the grader's HOME, the course's `solutions/` and `autograder/`, the grade book, other
submissions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import course_lib

GUEST = Path("/opt/grading")  # where autograder/sandbox lies inside, as the package `sandbox`
USER = 64999  # an unprivileged user that owns nothing, when the grader is root
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin")


class SandboxMissing(RuntimeError):
    """Submissions cannot be enclosed on this machine: what is missing, and what to do."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(f"{text}: {remedy}")
        self.text, self.remedy = text, remedy


def command(module: str, arguments: Iterable[str] = ()) -> list[str]:
    """The full command line that runs `python -m MODULE ARGUMENTS` inside."""
    root = os.geteuid() == 0
    inner = [str(_inside(sys.executable)), "-P", "-m", module, *arguments]
    # Root needs no user namespace, and must not have one: its processes would still be root's to the kernel, which
    # exempts root from the process limit. An ordinary user gets one from bubblewrap.
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"] if root else ["--unshare-all"]
    proc = ["--perms", "0755", "--dir", "/proc", "--cap-add", "ALL"] if root else ["--proc", "/proc"]
    if root:
        # bubblewrap's own /proc is masked in places, which forbids mounting another one in a nested namespace.
        drop = f"--reuid={USER} --regid={USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        inner = ["sh", "-c", f'mount -t proc proc /proc && exec setpriv {drop} "$@"', "sh", *inner]
    return ["bwrap", *namespaces, "--die-with-parent", *_environment(), *_folders(), *proc, *inner]


def _environment() -> Iterator[str]:
    yield "--clearenv"
    settings = {
        "PATH": f"{_inside(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(GUEST),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "HOME": "/tmp",
        "USER": "student",
        "MPLCONFIGDIR": "/tmp/matplotlib",
    }
    for name, value in settings.items():
        yield from ("--setenv", name, value)


def _folders() -> Iterator[str]:
    sandbox = Path(__file__).resolve().parent.parent / "sandbox"
    binds = {Path(path): _inside(path) for path in (sys.prefix, sys.base_prefix)}
    binds |= {Path(path): GUEST / "course_lib" for path in course_lib.__path__}
    binds[sandbox] = GUEST / "sandbox"
    made: set[Path] = set()
    for target in sorted(binds.values()):
        for parent in reversed(target.parents):
            if parent not in made and parent != Path("/") and not str(parent).startswith(SYSTEM):
                # bubblewrap makes missing parents readable for their owner alone.
                yield from ("--perms", "0755", "--dir", str(parent))
                made.add(parent)
    for place in SYSTEM:
        if Path(place).is_symlink():
            yield from ("--symlink", str(Path(place).readlink()), place)
        elif Path(place).is_dir():
            yield from ("--ro-bind", place, place)
    for source, target in sorted(binds.items(), key=lambda pair: pair[1]):
        if not str(target).startswith("/usr/"):
            yield from ("--ro-bind", str(source), str(target))
    for folder in _secret(sandbox.parent, [*binds, *(Path(place) for place in SYSTEM)]):
        yield from ("--tmpfs", str(folder), "--remount-ro", str(folder))
    yield from ("--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp", "--perms", "1777", "--tmpfs", "/dev/shm")


def _inside(path: str) -> Path:
    """Where a folder of this Python's is found inside. Each submission has a /tmp of its own, so what lies below the
    grader's is shown elsewhere.
    """
    return GUEST / path.lstrip("/") if Path(path).is_relative_to("/tmp") else Path(path)


def _secret(package: Path, shown: list[Path]) -> Iterator[Path]:
    """What must not be seen of what `shown` holds: an installed autograder (its checks, its reference answers), or the
    whole checkout where it lies inside one of them.
    """
    for folder in (package, package.parent / "solutions", package.parent / "notebooks", package.parent / "submitted"):
        if folder.is_dir() and any(folder.is_relative_to(place) for place in shown if place != package / "sandbox"):
            yield folder


@cache
def require() -> None:
    """Raise `SandboxMissing` unless a process can be enclosed here; tried once."""
    if not sys.platform.startswith("linux"):
        raise SandboxMissing("sandboxed grading needs Linux", "use WSL2 or a container")
    for tool in ("bwrap", "setpriv"):
        if shutil.which(tool) is None:
            package = {"bwrap": "bubblewrap", "setpriv": "util-linux"}[tool]
            raise SandboxMissing(f"{tool} is missing", f"install the package {package}")
    line = command("sandbox.jail")
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SandboxMissing(f"a process cannot be enclosed here ({reason})", "user namespaces may be switched off")
