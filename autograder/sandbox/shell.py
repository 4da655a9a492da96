"""Runs notebook cells without a kernel: an IPython shell whose outputs are collected as nbformat has them.

A kernel adds sockets, threads and a second of start-up, none of which survives a fork. What notebooks use of one is
kept: magics, `display`, the last expression's value, top-level await, error outputs.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

MAX_OUTPUT = 2**20  # characters kept of one cell; the rest is counted and dropped


class Outputs:
    """The outputs of the cell that runs now, in order, up to `MAX_OUTPUT` characters."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.room = MAX_OUTPUT
        self.dropped = 0

    def stream(self, name: str, text: str) -> None:
        """Append to the stream `name`, as one output while nothing comes between."""
        kept, self.room = text[: self.room], max(0, self.room - len(text))
        self.dropped += len(text) - len(kept)
        last = self.items[-1] if self.items else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"] += kept
        elif kept:
            self.items.append({"output_type": "stream", "name": name, "text": kept})

    def add(self, **output: Any) -> None:
        """Append an output that is not a stream."""
        size = len(json.dumps(output, default=str))
        if size > self.room:
            self.dropped += size
            return
        self.room -= size
        self.items.append(json.loads(json.dumps(output, default=str)))

    def take(self) -> list[dict[str, Any]]:
        """Everything so far; the next cell starts empty."""
        if self.dropped:
            self.room = 200
            self.stream("stderr", f"\n[output cut: {self.dropped} more characters]\n")
        items = self.items
        self.__init__()  # type: ignore[misc]
        return items


class _Stream(io.TextIOBase):
    def __init__(self, outputs: Outputs, name: str) -> None:
        self.outputs, self._name = outputs, name

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.outputs.stream(self._name, str(text))
        return len(text)


class _Publisher(DisplayPublisher):
    shell: Shell

    def publish(self, data: Any, metadata: Any = None, source: Any = None, **_: Any) -> None:
        self.shell.outputs.add(output_type="display_data", data=dict(data), metadata=dict(metadata or {}))

    def clear_output(self, wait: bool = False) -> None:
        self.shell.outputs.items.clear()


class _Hook(DisplayHook):
    shell: Shell

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        self.shell.outputs.add(
            output_type="execute_result",
            data=dict(format_dict),
            metadata=dict(md_dict or {}),
            execution_count=self.shell.execution_count,
        )

    def finish_displayhook(self) -> None:
        pass


class Shell(InteractiveShell):
    """An IPython shell for one submission."""

    def __init__(self, **kwargs: Any) -> None:
        self.outputs = Outputs()
        config = Config()
        config.HistoryManager.enabled = False  # no database, and no thread to lose in a fork
        # Python's own form of a traceback. IPython's, with the neighbouring lines in colours, takes 40 ms each, and an
        # unfinished notebook has a dozen.
        config.InteractiveShell.xmode = "Plain"
        super().__init__(displayhook_class=_Hook, display_pub_class=_Publisher, config=config, **kwargs)
        self.kernel = SimpleNamespace(shell=self, do_shutdown=lambda *_: None)

    def enable_gui(self, gui: Any = None) -> None:
        """`%matplotlib inline` asks for this; there is no event loop to join."""

    def ask_exit(self) -> None:
        """`exit()` in a notebook ends the cell, not the grading of the others."""
        raise SystemExit("exit")

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        self.outputs.add(
            output_type="error", ename=getattr(etype, "__name__", str(etype)), evalue=str(evalue), traceback=list(stb)
        )

    def execute(self, source: str) -> list[dict[str, Any]]:
        """Run one cell and return its outputs; an exception is an output of type "error", never raised."""
        kept = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Stream(self.outputs, name) for name in ("stdout", "stderr"))
        try:
            self.run_cell(source, store_history=True)
        except BaseException as error:  # an interrupt between the cell's last line and here
            self._showtraceback(type(error), error, [f"{type(error).__name__}: {error}"])
        finally:
            sys.stdout, sys.stderr = kept
        return self.outputs.take()
