"""What a notebook shows where an exercise is not written yet, or fails inside a check: a line or two, not the frames.

A stub raises `NotImplementedError("gaussian_kl: write this function, then run the cell again")`. Whatever cell meets
it, folded or not, shows that sentence as a failed check does. An error inside the visible checks of an exercise is told
as the student's: the line of their function where it happened. Everything else is shown as IPython shows it.
"""

import linecache
import re
import sys
from types import FrameType, TracebackType
from typing import Any

_STUB = re.compile(r"\w+: write this (function|part of the class), then run the cell again")
_CHECKS = re.compile(r"# Checks of (\w+)\s*")


def install() -> None:
    """See to it in this notebook; outside of one, do nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        shell.set_custom_exc((Exception,), _show)


def _show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> None:
    """IPython's hook: show the error, in short where `told` can."""
    short = told(error, trace, shell.user_ns)
    if short is None:
        shell.showtraceback((kind, error, trace), running_compiled_code=True)
    else:
        shell._showtraceback(kind, error, short.splitlines())


def told(error: BaseException, trace: TracebackType | None, notebook: dict[str, Any]) -> str | None:
    """The error in a line or two; None where its whole stack should be seen. `notebook`: the namespace of its cells."""
    if isinstance(error, NotImplementedError) and _STUB.fullmatch(str(error)):
        return f"✗ {error}"
    if hasattr(error, "_render_traceback_"):  # it knows how
        return None
    frames = _frames(trace, notebook)
    checked = _CHECKS.fullmatch(linecache.getline(frames[0][0].f_code.co_filename, 1)) if frames else None
    if checked is None:
        return None
    name, said = checked[1], f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
    theirs = [(frame, line) for frame, line in frames if _defines(frame, name)] or _others(frames)
    if theirs:
        frame, line = theirs[-1]
        return f"✗ {name}: in line {line} of your cell, {said}\n  {_text(frame, line)}"
    frame, line = frames[-1]
    return f"✗ {name}: the check cannot go on with what came back, {said}\n  {_text(frame, line)}"


def _frames(trace: TracebackType | None, notebook: dict[str, Any]) -> list[tuple[FrameType, int]]:
    """The frames of code that stands in the notebook, outermost first, with their lines."""
    found = []
    while trace is not None:
        if trace.tb_frame.f_globals is notebook:
            found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _defines(frame: FrameType, name: str) -> bool:
    """Is this code of the cell that defines `name`?"""
    lines = linecache.getlines(frame.f_code.co_filename)
    return any(re.match(rf"(def|class) {name}\b", line) for line in lines)


def _others(frames: list[tuple[FrameType, int]]) -> list[tuple[FrameType, int]]:
    """Frames of cells that are not folded, so the student's: given code says in its first line what it is."""
    return [
        (frame, line) for frame, line in frames if not linecache.getline(frame.f_code.co_filename, 1).startswith("# ")
    ]


def _text(frame: FrameType, line: int) -> str:
    return linecache.getline(frame.f_code.co_filename, line).strip()
