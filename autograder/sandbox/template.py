"""The process every submission is forked from: imports done, one training step taken, then it only forks.

    python -m sandbox.template FD            behind bubblewrap: each guest gets namespaces of its own
    python -m sandbox.template sympy … FD    with modules that the lessons import
    python -m sandbox.template --open FD     without a sandbox
    python -m sandbox.template --gpu FD      on a pretended GPU, see `abroad`; --open --gpu FD

FD is a Unix socket. Each message on it is `home;limits` together with a socket; the template forks a guest that serves
that socket. A guest's first three frames are empty: from the process that will wait outside, from process 1 of its
namespaces, and from the same when it is ready. The sender's process id comes along, so that the grader can put both
into a control group. When the control socket closes the template ends.

Importing alone is not enough to be warm: a first training step costs more than those after it. Everything runs on one
thread, since threads do not survive a fork and a big operation would hang in the child.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.random  # which NumPy would leave to the first guest
import torch

from . import channel, memory
from .jail import HOME, Rlimits, enclose
from .responder import Responder
from .settings import Settings
from .shell import Shell
from .uncompiled import compile_nothing
from .wire import decode, encode


def warm(gpu: bool = False, modules: Iterable[str] = ()) -> None:
    """Import these modules and what all lessons import, and take one training step, single-threaded and never on a GPU
    proper.

    On a pretended one nothing goes backward: autograd would start a thread for it, which no fork has.
    """
    torch.set_num_threads(1)
    memory.keep_what_is_freed()
    os.environ["MPLBACKEND"] = "agg"
    import matplotlib.pyplot  # noqa: F401

    import course_lib

    course_lib.load()
    course_lib.data.digits("test")  # read once for all
    for module in modules:
        with suppress(Exception):  # a guest that needs it will say what is wrong
            import_module(module)
    compile_nothing()
    torch.broadcast_shapes((1,), (2,))  # imports SymPy: distributions ask for it
    layer = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(layer.parameters())
    loss = layer(torch.randn(3, 4)).square().mean()
    if gpu:
        for parameter in layer.parameters():
            parameter.grad = torch.zeros_like(parameter)
    else:
        loss.backward()
    optimizer.step()
    torch.manual_seed(0)
    shell = Shell.instance()
    shell.run_cell("0", store_history=False, silent=True)
    assert shell.display_formatter is not None
    shell.display_formatter.format(0)
    # The guests share this process's memory as long as nobody writes to it, which the collector does by looking.
    gc.collect()
    gc.freeze()


class Guest:
    """One submission's process: runs cells and answers calls until its socket closes."""

    def __init__(self, connection: socket.socket, responder: type[Responder]) -> None:
        self.connection = connection
        self.shell = Shell.instance()
        self.host = responder(self.shell.user_ns)
        self.settings = Settings()
        self.busy = self.asking = self.late = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: Any) -> None:
        # Too late is as good as never: only what still runs is interrupted. Half a frame would be worse than late.
        if self.asking:
            self.late = True
        elif self.busy:
            raise KeyboardInterrupt

    def serve(self) -> None:
        """Answer requests, one after the other."""
        while True:
            kind, frame = channel.receive(self.connection)
            if kind != channel.REQUEST:
                raise channel.Closed(f"unexpected frame {kind!r}")
            try:
                self.busy = True
                reply = self._answer(frame)
            except KeyboardInterrupt:
                reply = encode({"error": {"type": "KeyboardInterrupt", "message": "", "line": ""}})
            finally:
                self.busy = False
            channel.send(self.connection, channel.REPLY, reply)

    def _answer(self, frame: bytes) -> bytes:
        request = decode(frame, lambda reference: reference)
        match request.get("op"):
            case "cell":
                source = request["source"]
                with self.settings.put_back(source) if request.get("given") else nullcontext():
                    outputs = self.shell.execute(source, answer=bool(request.get("answer")))
                return encode({"value": json.dumps(outputs)})
            case "files":
                for name, content in request["files"].items():
                    Path(name).write_bytes(base64.b64decode(content))
                return encode({"value": None})
            case "seed":
                seed = request["seed"]
                random.seed(seed)
                numpy.random.seed(seed % 2**32)
                torch.manual_seed(seed)
                return encode({"value": None})
        with self.settings.put_back():
            return self.host.answer(frame, self._ask)

    def _ask(self, frame: bytes) -> bytes:
        self.asking = True
        try:
            channel.send(self.connection, channel.CALLBACK, frame)
            kind, answer = channel.receive(self.connection)
        finally:
            self.asking = False
        if self.late:
            self.late = False
            raise KeyboardInterrupt
        if kind != channel.ANSWER:
            raise channel.Closed(f"unexpected frame {kind!r}")
        return answer


def _become_guest(
    connection: socket.socket, home: str, limits: Rlimits | None, responder: type[Responder] = Responder
) -> None:
    def here() -> None:
        channel.send(connection, channel.REPLY, b"")

    here()
    if limits is None:
        os.setsid()  # without namespaces, what the submission starts can only be ended as a group
        here()
    else:
        home = HOME
        enclose(limits, here)
    with Path(os.devnull).open("r+b") as null:
        for stream in (0, 1, 2):
            os.dup2(null.fileno(), stream)
    os.chdir(home)
    os.environ.update(HOME=home, TMPDIR=home)
    sys.path.insert(0, home)  # where `%%writefile helper.py` puts its file, as beside a notebook
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody could wait for what they start
    guest = Guest(connection, responder)
    channel.send(connection, channel.REPLY, b"")
    guest.serve()


def main() -> None:
    """Warm up, say so, then fork one guest per message until the control socket closes."""
    *given, number = sys.argv[1:]
    modes, modules = ([word for word in given if word.startswith("--") is mode] for mode in (True, False))
    control = socket.socket(fileno=int(number))
    os.environ.update(NBGRADER_EXECUTION="autograde", COURSE_PROGRESS="off", COURSE_WIDGETS="static")
    responder = Responder
    if "--gpu" in modes:
        from . import abroad

        responder, os.environ["COURSE_DEVICE"] = abroad.Abroad, abroad.settle()
    warm("--gpu" in modes, modules)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; nobody waits here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to handle
    control.sendall(b"warm")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            return
        home, _, limits = message.decode().partition(";")
        try:
            pid = os.fork()
        except OSError:  # no memory or no process to be had just now: the grader sees the connection close
            os.close(descriptors[0])
            continue
        if pid == 0:
            status = 1
            try:
                control.close()
                connection = socket.socket(fileno=descriptors[0])
                _become_guest(connection, home, None if "--open" in modes else Rlimits.unpack(limits), responder)
            except channel.Closed:
                status = 0
            finally:
                os._exit(status)
        os.close(descriptors[0])


if __name__ == "__main__":
    main()
