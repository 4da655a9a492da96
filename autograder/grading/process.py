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
from ..sandbox.wire import WireError, decode, encode
from ..student import LinkBroken

# What a guest replies when it was interrupted.
INTERRUPTED = encode({"error": {"type": "KeyboardInterrupt", "message": "", "line": ""}})


@dataclass(frozen=True)
class Limits:
    """Seconds a submission may take. A cell or call that reaches its limit is interrupted, and `grace` later ended."""

    cell: float = 30.0
    call: float = 10.0
    submission: float = 300.0
    grace: float = 2.0


class Template:
    """The warm process that submissions are forked from; a context manager, usable from several threads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "autograder.sandbox.template", str(theirs.fileno())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self._control, self._lock, self._warm = ours, threading.Lock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()

    def fork(self, connection: socket.socket, home: str) -> int:
        """Fork a guest that serves `connection` with `home` as its folder; its pid. Raises `LinkBroken`."""
        with self._lock:
            if not self._warm and self._control.recv(4) != b"warm":
                remedy = "run `python -m autograder.sandbox.template 0` to see why"
                raise LinkBroken(f"the grading process did not start: {remedy}")
            self._warm = True
            socket.send_fds(self._control, [home.encode()], [connection.fileno()])
            reply = self._control.recv(8)
        if len(reply) != 8:
            raise LinkBroken("the grading process ended")
        return struct.unpack(">Q", reply)[0]


class Submission:
    """A process for one submission: a `Link` whose every request has a deadline. A context manager; leaving it ends
    the process.
    """

    def __init__(self, template: Template, limits: Limits, seed: int) -> None:
        self.limits = limits
        self._home = tempfile.mkdtemp(prefix="submission-")
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._pid = template.fork(theirs, self._home)
        self.alive = True
        self._request({"op": "seed", "seed": seed}, limits.call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._connection.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def run_cell(self, source: str, seconds: float) -> list[dict[str, Any]]:
        """Run one cell; its outputs in nbformat's form. Raises `LinkBroken` when the process had to be ended, or
        ended itself.
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
            raise LinkBroken("the process ended by itself (exit, crash or out of memory)") from None
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
                os.kill(self._pid, signal.SIGINT)
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
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)


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
