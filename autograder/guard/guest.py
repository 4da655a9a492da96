"""The checker's end of a submission's process: forked from a warm template, asked within time limits, ended for
certain.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from ..sandbox import channel
from ..sandbox.wire import WireError, decode, encode
from ..student import LinkBroken
from . import cgroups
from .delegation import Delegation
from .limits import MAX_PATIENCE, Clock, Limits
from .supervisor import Meter, Supervisor, Tree
from .template import CREDENTIALS, GraderBroken, Template

# What a guest replies when it was interrupted.
INTERRUPTED = encode({"error": {"type": "KeyboardInterrupt", "message": "", "line": ""}})
TOO_LARGE = encode({"error": {"type": "WireError", "message": "more than can be taken over", "line": ""}})
# Bytes of JSON that are parsed of one message: parsed, a hostile one takes thirty times as much.
MAX_CELL, MAX_REPLY, MAX_CALLBACK = 8 * 2**20, 2 * 2**20, 2**18
MAX_ASKED = 16 * 2**20  # bytes of one callback's arguments: what the checker computes with them may be larger
MAX_CALLBACKS = 50_000  # of one call
GLANCE = 0.05  # seconds for which a reply is waited for before anybody asks what keeps it
LEAST = 0.2  # seconds of grace that a submission has when its clock is over


class GuestProcess:
    """A process for one submission; every request has a deadline, and all of them together have `clock`'s. A context
    manager: leaving it ends the process. Raises `GraderBroken` where none can be had.
    """

    def __init__(self, template: Template, limits: Limits, seed: int, clock: Clock | None = None) -> None:
        self.limits, self.clock = limits, clock or limits.clock()
        self._sandbox = template.sandbox
        self._home = "" if template.sandbox else tempfile.mkdtemp(prefix="submission-")
        self._connection, theirs = socket.socketpair()
        self._meter: Meter | None = None
        try:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with theirs:
                template.fork(theirs, self._home, limits.each)
            self.pid = self._meet_in_group(template.groups)
            self._meet()
            self._pidfd = os.pidfd_open(self.pid)
        except BaseException:
            if self._meter:
                self._meter.close()
            self._connection.close()
            raise
        self.alive, self.reason, self.interrupted = True, "", False  # interrupted: was the last request?
        self._schedule = _schedule(self.pid)
        if template.sandbox and not self._meter:
            self._meter = Tree(self.pid, limits.all)
        self._supervisor = Supervisor(self._meter, limits.all.period, self._kill) if self._meter else None
        self._request({"op": "seed", "seed": seed}, limits.call)

    def _meet_in_group(self, place: Delegation | None) -> int:
        """Process 1 of the guest, in a control group if one can be had.

        A first move takes the kernel some 10 ms. That of the process outside is under way while process 1 is made; that
        of process 1, right after it, then takes none.
        """
        outside, group = self._meet(), None
        if place is not None:
            with contextlib.suppress(OSError):  # no more groups to be had, say
                group = cgroups.ControlGroup(place, self.limits.all, self.limits.each.processes + 1)
        if group is None:
            return self._meet()
        self._meter = group
        first = threading.Thread(target=_quietly, args=(group.take, outside))
        first.start()
        try:
            pid = self._meet()
        finally:
            first.join()
        try:
            group.take(pid)
        except OSError:
            group.close()
            self._meter = None
        return pid

    def _meet(self) -> int:
        """The guest's process id as seen from here, whatever namespace it lives in: the kernel sends it along."""
        self._connection.settimeout(60.0)
        try:
            frame, ancillary, _, _ = self._connection.recvmsg(channel.HEAD.size, socket.CMSG_SPACE(CREDENTIALS.size))
        except OSError:
            frame, ancillary = b"", []
        if len(frame) != channel.HEAD.size or not ancillary:
            raise GraderBroken("a submission's process did not start")
        return CREDENTIALS.unpack(ancillary[0][2])[0]

    def _kill(self, reason: str) -> None:
        self.reason = reason
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._connection.close()
        os.close(self._pidfd)
        if self._schedule is not None:
            os.close(self._schedule)
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files into its HOME, where its cells run. Raises `LinkBroken`."""
        if files:
            held = {name: base64.b64encode(content).decode() for name, content in files.items()}
            self._request({"op": "files", "files": held}, self.limits.call)

    def run_cell(self, source: str, seconds: float, answer: bool = False, given: bool = False) -> list[dict[str, Any]]:
        """Run one cell, an `answer` or another; its outputs in nbformat's form. A `given` one runs with the course's
        settings of torch, NumPy and warnings. Raises `LinkBroken` when the process ended or had to be ended.
        """
        reply = self._request({"op": "cell", "source": source, "answer": answer, "given": given}, seconds)
        if "value" not in reply:
            error = reply.get("error")
            name = str(error.get("type", "Error"))[:100] if isinstance(error, dict) else "Error"
            return [{"output_type": "error", "ename": name, "evalue": "", "traceback": [name]}]
        try:
            outputs = json.loads(reply["value"])
        except (TypeError, ValueError, RecursionError):
            raise self._nonsense("a cell's outputs") from None
        return [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []

    def calls(self) -> Calls:
        """A link for the checks of one exercise."""
        return Calls(self)

    def exchange(
        self, frame: bytes, serve: Callable[[bytes], bytes] | None, seconds: float, most: int = MAX_REPLY
    ) -> tuple[bytes, bool]:
        """The reply to one request, and whether it had to be interrupted. Raises `LinkBroken`."""
        if not self.alive:
            raise LinkBroken("the process has ended")
        try:
            with self.clock.waiting():
                reply, interrupted = self._exchange(frame, serve, seconds)
        except (channel.Closed, ProcessLookupError):
            excess = self._meter.excess() if self._meter else ""
            self._end()
            self.reason = self.reason or excess or "the process ended by itself (exit, crash or out of memory)"
            raise LinkBroken(self.reason) from None
        except LinkBroken as error:
            self._end()
            self.reason = str(error)
            raise
        self.interrupted = interrupted
        return reply if _header(reply) <= most else TOO_LARGE, interrupted

    def _request(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            reply = decode(self.exchange(encode(request), None, seconds, MAX_CELL)[0])
        except WireError as error:
            raise self._nonsense(str(error)) from None
        if not isinstance(reply, dict):
            raise self._nonsense("no reply")
        return reply

    def _nonsense(self, what: str) -> LinkBroken:
        self._end()
        return LinkBroken(f"the process answered nonsense ({what[:160]})")

    def _exchange(self, frame: bytes, serve: Callable[[bytes], bytes] | None, seconds: float) -> tuple[bytes, bool]:
        start, interrupted, asked = time.monotonic(), False, 0
        deadline = start + seconds
        kept: float | None = None  # what `_kept_waiting` said before
        channel.send(self._connection, channel.REQUEST, frame, deadline + self.limits.grace)
        while True:
            if kept is None and not (channel.waits(self._connection, GLANCE) and time.monotonic() < start + GLANCE):
                kept = self._kept_waiting()
            try:
                kind, payload = channel.receive(self._connection, deadline)
            except TimeoutError:
                before, kept = kept, self._kept_waiting()
                waited = 0.0 if before is None else kept - before
                if waited > 0.05 * seconds and time.monotonic() < start + MAX_PATIENCE * seconds:
                    self.clock.extend(waited)
                    deadline = time.monotonic() + waited
                elif interrupted:
                    raise LinkBroken(f"it ran longer than {seconds:g} s and could not be interrupted") from None
                else:
                    grace = min(self.limits.grace, max(self.clock.left(), LEAST))
                    interrupted, deadline = True, time.monotonic() + grace
                    signal.pidfd_send_signal(self._pidfd, signal.SIGINT)
                continue
            if kind == channel.CALLBACK and serve is not None:
                asked += 1
                if asked > MAX_CALLBACKS or _header(payload) > MAX_CALLBACK or len(payload) > MAX_ASKED:
                    raise LinkBroken("it called a function of the check too often, or with too much")
                channel.send(self._connection, channel.ANSWER, serve(payload), deadline + self.limits.grace)
            elif kind == channel.REPLY:
                return payload, interrupted
            else:
                raise LinkBroken("the process answered out of turn")

    def _kept_waiting(self) -> float:
        """Seconds for which others have kept its first thread from running: its own other processes and threads do so
        at its own expense.
        """
        return _starved(self._schedule) - self._own_demand()

    def _own_demand(self) -> float:
        """Seconds of processor time that the submission has used or asked for beside its first thread."""
        return max(self._meter.demand() - _ran(self._schedule), 0.0) if self._meter else 0.0

    def _end(self) -> None:
        """Kill the process and all it started; safe to call again."""
        self.alive = False
        if self._supervisor is not None:
            self._supervisor.stop()
        self._kill(self.reason)  # in a sandbox it is process 1 of its namespace, and takes all others along
        if not self._sandbox:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if self._meter:
            self._meter.close()


class Calls:
    """The calls of one exercise's checks. Once one has run into its limit, the others are not waited for."""

    def __init__(self, submission: GuestProcess) -> None:
        self._submission, self._stopped = submission, False

    def ask(self, frame: bytes, serve: Callable[[bytes], bytes]) -> bytes:
        """One request of a check, within the limit of a call and what is left of the submission's."""
        seconds = min(self._submission.limits.call, self._submission.clock.left())
        if self._stopped or seconds <= 0:
            return INTERRUPTED
        reply, self._stopped = self._submission.exchange(frame, serve, seconds)
        return reply


def _quietly(call: Callable[[int], None], pid: int) -> None:
    with contextlib.suppress(OSError):
        call(pid)


def _header(frame: bytes) -> int:
    """Bytes of JSON in a message of `wire`."""
    return int.from_bytes(frame[:4], "big")


def _schedule(pid: int) -> int | None:
    """The kernel's account of a process's waiting, open; None where it keeps none."""
    try:
        return os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)
    except OSError:
        return None


def _starved(schedule: int | None) -> float:
    """Seconds for which a process could have run, had others not had the processor; 0 where nobody counts them."""
    return _account(schedule, 1)


def _ran(schedule: int | None) -> float:
    """Seconds for which a process's first thread has run; 0 where nobody counts them."""
    return _account(schedule, 0)


def _account(schedule: int | None, place: int) -> float:
    try:
        return 0.0 if schedule is None else int(os.pread(schedule, 100, 0).split()[place]) / 1e9
    except (OSError, IndexError, ValueError):  # the process has ended
        return 0.0
