"""Runs notebook cells without a kernel: an IPython shell whose outputs are collected as nbformat has them.

A kernel adds sockets, threads and a second of start-up, none of which survives a fork. What notebooks use of one is
kept: magics, `display`, the last expression's value, top-level await, error outputs.
"""

from __future__ import annotations

import ast
import io
import json
import sys
import traceback
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import IPython.core.logger  # noqa: F401  (which IPython would import with the first cell)
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
            self.items[-1]["cut"] = True
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


class _Unharmed(ast.NodeTransformer):
    """Lets a cell go on after a statement about plots that fails: what draws is not what is graded.

    Statements about plots are magics, commands for the system, imports of what draws and calls of it. With
    `answer=False` an import of anything is passed over as well: what needs it fails by itself, with its name.
    """

    DRAWS = frozenset(
        (
            "matplotlib",
            "mpl",
            "plt",
            "pylab",
            "seaborn",
            "sns",
            "plotly",
            "px",
            "go",
            "altair",
            "alt",
            "bokeh",
            "ipympl",
        )
    )
    CALLED = frozenset(("run_line_magic", "run_cell_magic", "system", "getoutput"))
    SHOWN = ast.parse("__import__('IPython').get_ipython().showtraceback()").body

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Each statement but the last, after which there is nothing to save."""
        node.body = [*(self._wrapped(statement) for statement in node.body[:-1]), *node.body[-1:]]
        return node

    def _wrapped(self, statement: ast.stmt) -> ast.stmt:
        caught = "Exception" if self._about_plots(statement) else ""
        if not self.answer and isinstance(statement, ast.Import | ast.ImportFrom):
            caught = caught or "ImportError"
        if not caught or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            return statement
        handler = ast.ExceptHandler(ast.Name(caught, ast.Load()), None, self.SHOWN)
        made = ast.Try([statement], [handler], [], [])
        return ast.fix_missing_locations(ast.copy_location(made, statement))

    def _about_plots(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.Import):
            return all(alias.name.partition(".")[0] in self.DRAWS for alias in statement.names)
        if isinstance(statement, ast.ImportFrom):
            return (statement.module or "").partition(".")[0] in self.DRAWS
        value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
        if not isinstance(value, ast.Call):
            return isinstance(statement, ast.Assign) and _root(statement.targets[0]) in self.DRAWS
        magic = isinstance(value.func, ast.Attribute) and value.func.attr in self.CALLED
        return (magic and _root(value.func) == "get_ipython") or _root(value.func) in self.DRAWS


def _root(node: ast.expr) -> str:
    """`a` of `a.b[0].c(d)`."""
    while not isinstance(node, ast.Name):
        below = getattr(node, "value", None) or getattr(node, "func", None)
        if not isinstance(below, ast.expr):
            return ""
        node = below
    return node.id


def _line(error: Any) -> int:
    """The line of the cell that an error came from, 0 where it came from elsewhere."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno if str(error.filename).startswith("<ipython-input") else 0
    frames = traceback.extract_tb(getattr(error, "__traceback__", None))
    return next((f.lineno or 0 for f in frames if f.filename.startswith("<ipython-input")), 0)


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
        name = getattr(etype, "__name__", str(etype))
        where = {"line": _line(evalue), "name": str(getattr(evalue, "name", None) or "")[:200]}
        self.outputs.add(output_type="error", ename=name, evalue=str(evalue), traceback=list(stb), where=where)

    def show_usage_error(self, exc: Any) -> None:
        """A magic that is not known, or not like this; IPython would only print it."""
        self._showtraceback(type(exc), exc, [f"UsageError: {exc}"])

    def execute(self, source: str, answer: bool = False) -> list[dict[str, Any]]:
        """Run one cell and return its outputs; an exception is an output of type "error", never raised. In an
        error "where" holds the line of the cell that raised it, and the name that was not there (of a module, or in the
        code).

        A statement about plots stops no cell; outside of an `answer` no import does.
        """
        self.ast_transformers = [_Unharmed(answer)]
        kept = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (_Stream(self.outputs, name) for name in ("stdout", "stderr"))
        try:
            self.run_cell(source, store_history=True)
        except BaseException as error:  # an interrupt between the cell's last line and here
            self._showtraceback(type(error), error, [f"{type(error).__name__}: {error}"])
        finally:
            sys.stdout, sys.stderr = kept
        return self.outputs.take()
