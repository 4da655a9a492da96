"""The warm process that submissions are forked from, seen from outside."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from typing import Self

from ..sandbox.jail import Rlimits
from . import cgroups, enclosure

CREDENTIALS = struct.Struct("3i")  # of who is at the other end of a socket, struct ucred: pid, uid, gid


class GraderBroken(RuntimeError):
    """The grader itself cannot go on; no submission is to blame."""


class Template:
    """The warm process that submissions are forked from; a context manager, usable from several threads.

    With `sandbox` it runs behind bubblewrap; raises `SandboxMissing` where that cannot be had. Make it in the main
    thread: bubblewrap ends with the thread that started it. With `gpu` its submissions find a pretended one. `modules`
    are imported beforehand, so that no submission has to.
    """

    _control: socket.socket  # by which it is asked for forks

    def __init__(self, sandbox: bool = True, gpu: bool = False, modules: Iterable[str] = ()) -> None:
        self.sandbox = sandbox
        if sandbox:
            enclosure.require()
        self.groups = cgroups.place() if sandbox else None
        self._begin()
        self._control, theirs = socket.socketpair()
        arguments = [*(["--gpu"] if gpu else []), *modules, str(theirs.fileno())]
        plain = [sys.executable, "-m", "autograder.sandbox.template", "--open", *arguments]
        line = enclosure.command("sandbox.template", arguments) if sandbox else plain
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the template)
        streams = {"stdin": subprocess.DEVNULL, "stdout": self._said, "stderr": self._said}
        self._process = subprocess.Popen(line, pass_fds=[theirs.fileno()], env=environment, **streams)  # type: ignore
        theirs.close()

    def _begin(self) -> None:
        self._lock, self._warm = threading.Lock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.kill()  # it may still be warming up
        self._process.wait()
        self._said.close()

    def ended(self, within: float = 0.0) -> bool:
        """Whether it has ended, or does so within these seconds."""
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def fork(self, connection: socket.socket, home: str, limits: Rlimits) -> None:
        """Fork a guest that serves `connection`; `home` is its folder where it has no sandbox. Raises
        `GraderBroken`.
        """
        try:
            with self._lock:
                self.get_warm()
                socket.send_fds(self._control, [f"{home};{limits.pack()}".encode()], [connection.fileno()])
        except OSError:
            raise GraderBroken("the grading process ended") from None

    def get_warm(self) -> None:
        """Wait until it is. Raises `GraderBroken`, and OSError."""
        if not self._warm:
            self._get_warm()
            self._warm = True

    def _get_warm(self) -> None:
        if self._control.recv(4) != b"warm":
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip().splitlines() or ["no word"]
            raise GraderBroken(f"the grading process did not start: {said[-1]}")

    def lend(self, connection: socket.socket, word: bytes) -> None:
        """Say a word over `connection`, and hand over what forks are asked for by."""
        socket.send_fds(connection, [word], [self._control.fileno()])
