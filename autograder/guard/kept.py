"""A template that outlives the command that asked for it, so that the next command finds it warm.

    python -m autograder.guard.kept SOCKET SECONDS MODULE …    lends one at SOCKET, till it is unwanted for SECONDS

It is lent to one command at a time, over a Unix socket in a folder that is this user's alone; each side asks the kernel
who the other is. The socket is named by all that the template is made of, so that a change of code or of a package
leads to another one.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import cgroups, enclosure
from .template import CREDENTIALS, GraderBroken, Template

IDLE = 600.0  # seconds for which nobody wants it, after which it ends
PATIENCE = 60.0  # seconds for one to become warm
GLANCE = 0.2  # seconds in which a lender that has lent it says so
LENT, BUSY = b"lent", b"busy"
SECRETS = ("COURSE_SECRET",)  # of the environment, which a lender has no use for


class NotOurs(RuntimeError):
    """The folder of sockets belongs to somebody else, or others may enter it."""


def folder() -> Path:
    """Where this user's sockets are, made where it is missing. Raises `NotOurs`."""
    place = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"course-grader-{os.getuid()}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        about = place.lstat()
    except OSError as error:
        raise NotOurs(f"no template can be kept warm: {place} cannot be made ({error.strerror})") from None
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise NotOurs(f"no template can be kept warm: {place} is not a folder that is yours alone; remove it")
    return place


def kept(made_of: str, modules: Sequence[str], idle: float = IDLE) -> Template:
    """One that is kept, or becomes so; one of the command's own where another command has it now. `made_of` tells
    apart what must not be taken for one another. Raises `NotOurs`.
    """
    enclosure.require()
    name = hashlib.sha256(repr((made_of, sys.executable, *modules)).encode()).hexdigest()[:16]
    place = folder() / name
    borrowed = _Borrowed(place, modules, idle)
    return Template(modules=modules) if borrowed.busy else borrowed


class _Borrowed(Template):
    """A template that a lender has made, for as long as this process holds the connection to it, its lease."""

    def __init__(self, place: Path, modules: Sequence[str], idle: float) -> None:
        self.sandbox, self.groups = True, cgroups.place()
        self._place, self._handed, self._gone = place, False, False
        self._lease: socket.socket | None = None
        self._lender: subprocess.Popen[bytes] | None = None
        self._begin()
        try:
            self._lease = _connected(place)
        except OSError:
            place.unlink(missing_ok=True)  # of a lender that was killed
            line = [sys.executable, "-m", __name__, str(place), str(idle), *modules]
            environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
            streams = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
            self._lender = subprocess.Popen(line, cwd="/", env=environment, start_new_session=True, **streams)  # type: ignore[call-overload]
        self.busy = self._lease is not None and _told([self._lease], GLANCE) and not self._taken(self._lease)

    def __exit__(self, *_: object) -> None:
        if self._handed:
            self._control.close()
        if self._lease is not None:
            self._lease.close()

    def ended(self, within: float = 0.0) -> bool:
        """Whether it has ended, or does so within these seconds."""
        if self._lease is None:
            return self._gone or (self._lender is not None and self._lender.poll() is not None)
        # A warm template says nothing more: what its socket has to tell is its end, before its lender knows.
        return self._gone or (self._handed and _told([self._lease, self._control], within))

    def _get_warm(self) -> None:
        until = time.monotonic() + PATIENCE
        try:
            while self._lease is None:
                try:
                    self._lease = _connected(self._place)
                except OSError:
                    if self.ended() or time.monotonic() > until:
                        raise GraderBroken("the process that keeps a template did not start") from None
                    time.sleep(0.02)
            if not self._handed and not (_told([self._lease], until - time.monotonic()) and self._taken(self._lease)):
                raise GraderBroken("another command has the template that is kept")
        except GraderBroken:
            self._gone = True
            raise

    def _taken(self, lease: socket.socket) -> bool:
        """Whether the lender, which has said something, hands the template's socket over."""
        said, descriptors, _, _ = socket.recv_fds(lease, len(LENT), 1)
        self._handed = said == LENT and len(descriptors) == 1
        if self._handed:
            self._control = socket.socket(fileno=descriptors[0])
        return self._handed


def _connected(place: Path) -> socket.socket:
    """A connection to the lender at `place`. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(place))
        if _user(connection) != os.getuid():
            raise PermissionError(f"{place} is somebody else's")
    except OSError:
        connection.close()
        raise
    return connection


def _user(connection: socket.socket) -> int:
    """Whose process is at the other end."""
    return CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]


def _told(connections: Sequence[socket.socket], within: float) -> bool:
    """Whether one of them has something to read, or its end, within these seconds."""
    return bool(select.select(connections, [], [], max(within, 0.0))[0])


def lend(place: Path, idle: float, modules: Sequence[str]) -> None:
    """Make a template and lend it at `place`, until it ends or nobody has wanted it for `idle` seconds."""
    with socket.socket(socket.AF_UNIX) as listener:
        own = place.with_name(f"{place.name}.{os.getpid()}")
        listener.bind(str(own))
        listener.listen()
        try:
            os.link(own, place)
        except FileExistsError:  # another command was as quick
            return
        finally:
            own.unlink()
        try:
            with Template(modules=modules) as template:
                template.get_warm()
                _serve(listener, template, idle)
        finally:
            place.unlink(missing_ok=True)


def _serve(listener: socket.socket, template: Template, idle: float) -> None:
    lease: socket.socket | None = None
    while not template.ended():
        waiting = [listener] if lease is None else [listener, lease]
        ready = select.select(waiting, [], [], idle if lease is None else 0.05)[0]
        if lease is None and not ready:
            return
        if lease in ready and lease is not None:  # its command has ended: it has nothing to say
            lease.close()
            lease = None
        if listener in ready:
            connection, _ = listener.accept()
            if _user(connection) != os.getuid():
                connection.close()
            elif lease is not None:
                connection.sendall(BUSY)
                connection.close()
            else:
                lease = connection
                template.lend(lease, LENT)


if __name__ == "__main__":
    lend(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
