"""The checker's end of a submission's process: forked from a warm template, asked within time limits, ended for
certain.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from ..sandbox import channel
from ..sandbox.jail import Rlimits
from ..sandbox.wire import WireError, decode, encode
from ..student import LinkBroken
from . import enclosure
from .supervisor import Supervisor, Totals

CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
# What a guest replies when it was interrupted.
INTERRUPTED = encode({"error": {"type": "KeyboardInterrupt", "message": "", "line": ""}})


@dataclass(frozen=True)
class Limits:
    """What a submission may use. A cell or call over its seconds is interrupted, and `grace` seconds later ended."""

    cell: float = 30.0
    call: float = 10.0
    submission: float = 300.0
    grace: float = 2.0
    each: Rlimits = Rlimits()  # noqa: RUF009  (frozen)
    all: Totals = Totals()  # noqa: RUF009  (frozen)


class Template:
    """The warm process that submissions are forked from; a context manager, usable from several threads.

    With `sandbox` it runs behind bubblewrap; raises `SandboxMissing` where that cannot be had. Make it in the main
    thread: bubblewrap ends with the thread that started it.
    """

    def __init__(self, sandbox: bool = True) -> None:
        self.sandbox = sandbox
        if sandbox:
            enclosure.require()
        ours, theirs = socket.socketpair()
        number = str(theirs.fileno())
        plain = [sys.executable, "-m", "autograder.sandbox.template", "--open", number]
        line = enclosure.command([number]) if sandbox else plain
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the template)
        streams = {"stdin": subprocess.DEVNULL, "stdout": self._said, "stderr": self._said}
        self._process = subprocess.Popen(line, pass_fds=[theirs.fileno()], env=environment, **streams)  # type: ignore
        theirs.close()
        self._control, self._lock, self._warm = ours, threading.Lock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.kill()  # it may still be warming up
        self._process.wait()
        self._said.close()

    def fork(self, connection: socket.socket, home: str, limits: Rlimits) -> None:
        """Fork a guest that serves `connection`; `home` is its folder where it has no sandbox. Raises `LinkBroken`."""
        try:
            with self._lock:
                if not self._warm and self._control.recv(4) != b"warm":
                    self._said.seek(0)
                    said = self._said.read().decode(errors="replace").strip().splitlines() or ["no word"]
                    raise LinkBroken(f"the grading process did not start: {said[-1]}")
                self._warm = True
                socket.send_fds(self._control, [f"{home};{limits.pack()}".encode()], [connection.fileno()])
        except OSError:
            raise LinkBroken("the grading process ended") from None


class Submission:
    """A process for one submission; every request has a deadline. A context manager: leaving it ends the process."""

    def __init__(self, template: Template, limits: Limits, seed: int) -> None:
        self.limits = limits
        self._sandbox = template.sandbox
        self._home = "" if template.sandbox else tempfile.mkdtemp(prefix="submission-")
        self._connection, theirs = socket.socketpair()
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with theirs:
            template.fork(theirs, self._home, limits.each)
        self.pid, self._pidfd = self._meet()
        self.alive, self._reason = True, ""
        self._supervisor = Supervisor(self.pid, limits.all, self._kill) if template.sandbox else None
        self._request({"op": "seed", "seed": seed}, limits.call)

    def _meet(self) -> tuple[int, int]:
        """The guest's process id as seen from here, whatever namespace it lives in: the kernel sends it along."""
        self._connection.settimeout(60.0)
        try:
            frame, ancillary, _, _ = self._connection.recvmsg(channel.HEAD.size, socket.CMSG_SPACE(CREDENTIALS.size))
        except OSError:
            frame, ancillary = b"", []
        if len(frame) != channel.HEAD.size or not ancillary:
            raise LinkBroken("the submission's process did not start")
        pid = CREDENTIALS.unpack(ancillary[0][2])[0]
        return pid, os.pidfd_open(pid)

    def _kill(self, reason: str) -> None:
        self._reason = reason
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._connection.close()
        os.close(self._pidfd)
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    def run_cell(self, source: str, seconds: float) -> list[dict[str, Any]]:
        """Run one cell; its outputs in nbformat's form. Raises `LinkBroken` when the process ended or
        had to be ended.
        """
        reply = self._request({"op": "cell", "source": source}, seconds)
        if "value" not in reply:
            name = str(reply.get("error", {}).get("type", "Error"))
            return [{"output_type": "error", "ename": name, "evalue": "", "traceback": [name]}]
        outputs = json.loads(reply["value"])
        return outputs if isinstance(outputs, list) else []

    def calls(self) -> Calls:
        """A link for the checks of one exercise."""
        return Calls(self)

    def exchange(self, frame: bytes, serve: Callable[[bytes], bytes] | None, seconds: float) -> tuple[bytes, bool]:
        """The reply to one request, and whether it had to be interrupted. Raises `LinkBroken`."""
        if not self.alive:
            raise LinkBroken("the process has ended")
        try:
            return self._exchange(frame, serve, seconds)
        except (channel.Closed, ProcessLookupError):
            self._end()
            raise LinkBroken(self._reason or "the process ended by itself (exit, crash or out of memory)") from None
        except LinkBroken:
            self._end()
            raise

    def _request(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            reply = decode(self.exchange(encode(request), None, seconds)[0])
        except WireError as error:
            raise LinkBroken(f"the process answered nonsense ({error})") from None
        return reply if isinstance(reply, dict) else {}

    def _exchange(self, frame: bytes, serve: Callable[[bytes], bytes] | None, seconds: float) -> tuple[bytes, bool]:
        deadline, interrupted = time.monotonic() + seconds, False
        channel.send(self._connection, channel.REQUEST, frame)
        while True:
            try:
                kind, payload = channel.receive(self._connection, deadline)
            except TimeoutError:
                if interrupted:
                    raise LinkBroken(f"it ran longer than {seconds:g} s and could not be interrupted") from None
                interrupted, deadline = True, time.monotonic() + self.limits.grace
                signal.pidfd_send_signal(self._pidfd, signal.SIGINT)
                continue
            if kind == channel.CALLBACK and serve is not None:
                channel.send(self._connection, channel.ANSWER, serve(payload))
            elif kind == channel.REPLY:
                return payload, interrupted
            else:
                raise LinkBroken("the process answered out of turn")

    def _end(self) -> None:
        """Kill the process and all it started; safe to call again."""
        self.alive = False
        if self._supervisor is not None:
            self._supervisor.stop()
        self._kill(self._reason)  # in a sandbox it is process 1 of its namespace, and takes all others along
        if not self._sandbox:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class Calls:
    """The calls of one exercise's checks. Once one has run into its limit, the others are not waited for."""

    def __init__(self, submission: Submission) -> None:
        self._submission, self._stopped = submission, False

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        """One request of a check, within the limit of a call."""
        if self._stopped:
            return INTERRUPTED
        reply, self._stopped = self._submission.exchange(frame, serve, self._submission.limits.call)
        return reply
