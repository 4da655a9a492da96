"""Where pages are made: a process of its own, with a clock and a memory limit for each page.

The process that makes them is forked from one that has made the course's own texts and nothing else. It ends with the
first page that takes too much, and nothing is left of that when the next is made; else after some pages, so that what
these leave behind ends, too. A page that takes too much is refused; whoever waits for it goes on with the next.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import resource
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from nbformat import NotebookNode

from ..sandbox import channel

Make = Callable[[NotebookNode, dict[str, Any]], str]
Job = tuple[NotebookNode, dict[str, Any]]
SECONDS = 10.0  # of processor time for one page, whatever a submission has left; honest ones take some 0.3 s
PATIENCE = 6.0  # times as long by the clock on the wall, while others have the processor
REFUSED, FAILED = b"X", b"F"  # frames with an error's text: of a page that takes too much, or of whatever else
MEMORY = 512 * 2**20  # bytes on top of what the process has
TURNS, LITTER = 32, 64 * 2**20  # pages, and bytes left behind by them, after which the process is a new one


class PageRefused(Exception):
    """A page that takes more time or memory than one may, or is nested without end; the message says which."""


class Pages:
    """Makes pages by `make(notebook, resources)`, one at a time; `first` are made beforehand and forgotten, so that
    texts that all pages share are known.
    """

    def __init__(self, make: Make, first: Iterable[Job] = (), seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._make, self._first, self._seconds, self._memory = make, tuple(first), seconds, memory
        self._connection: socket.socket | None = None
        self._pid = 0

    def start(self) -> None:
        """Start the process, unless there is one: best before this one has other threads."""
        if self._connection is not None:
            return
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: nothing of theirs is used
            self._pid = os.fork()
        if self._pid == 0:
            self._serve(theirs)
        theirs.close()
        self._connection = ours

    def page(self, notebook: NotebookNode, resources: dict[str, Any], seconds: float = SECONDS) -> str:
        """The page, in `seconds` of processor time at most. Raises `PageRefused`, and RuntimeError for whatever else
        went wrong there.
        """
        seconds = min(seconds, self._seconds)
        refused = PageRefused(f"more than {seconds:.2g} s or {self._memory / 2**20:g} MiB")
        if seconds <= 0:
            raise refused
        self.start()
        assert self._connection is not None
        try:
            channel.send(self._connection, channel.REQUEST, pickle.dumps((seconds, notebook, resources)))
            kind, answer = channel.receive(self._connection, time.monotonic() + PATIENCE * seconds + 10.0)
        except (channel.Closed, TimeoutError):
            self.close()
            raise refused from None
        text = answer.decode()
        if kind == channel.REPLY:
            return text
        if kind == REFUSED:
            raise PageRefused(text)
        raise RuntimeError(text)

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)  # it may be stuck: a fork keeps the locks of threads it has not
                os.waitpid(self._pid, 0)

    def __del__(self) -> None:
        self.close()

    def _serve(self, connection: socket.socket) -> NoReturn:
        try:
            gc.disable()  # whatever else this process has open is closed below, and must not be closed again
            gc.freeze()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to handle
            os.closerange(3, connection.fileno())
            os.closerange(connection.fileno() + 1, 65_536)
            with contextlib.suppress(Exception):  # a request will say what is wrong
                for job in self._first:
                    self._make(*job)
            while True:
                if (pid := os.fork()) == 0:
                    self._some(connection)
                if os.waitpid(pid, 0)[1] != 0:
                    break  # half an answer may be on its way: nothing more comes from here
        finally:
            os._exit(0)

    def _some(self, connection: socket.socket) -> NoReturn:
        """Make pages until one is not made, or enough are."""
        status = 1
        try:
            begun = _held()
            for _ in range(TURNS):
                _, request = channel.receive(connection)
                kind, text = self._one(request)
                channel.send(connection, kind, text)
                if kind != channel.REPLY or _held() > begun + LITTER:
                    break
            status = 0
        finally:
            os._exit(status)

    def _one(self, request: bytes) -> tuple[bytes, bytes]:
        """A frame's kind and content: the page that was asked for, or why there is none."""
        resource.setrlimit(resource.RLIMIT_DATA, (_held() + self._memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        seconds, *job = pickle.loads(request)
        clocks = {signal.ITIMER_PROF: seconds, signal.ITIMER_REAL: PATIENCE * seconds}  # each ends the process
        for clock, most in clocks.items():
            signal.setitimer(clock, most)
        try:
            return channel.REPLY, self._make(*job).encode("utf-8", "replace")
        except (RecursionError, MemoryError) as error:
            return REFUSED, _said(error)
        except Exception as error:
            return FAILED, _said(error)
        finally:
            for clock in clocks:
                signal.setitimer(clock, 0)


def _held() -> int:
    """Bytes of data that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _said(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace")
