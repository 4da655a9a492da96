"""Why a name is not there when it is called: what stopped the cell that should have defined it, in one line."""

from __future__ import annotations

import difflib
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..student import Failure
from .definitions import defined, syntax_error

MAX_LINE = 80  # characters quoted of the student's line
ODD = re.compile(r"U\+([0-9A-F]{4,6})")
# Syntax that newer Pythons read: since when, how it looks, and what it is.
NEWER = (
    ((3, 14), re.compile(r"^\s*except\s+\w[\w.]*\s*,"), "several exceptions without brackets"),
    ((3, 14), re.compile(r"(?<!\w)(?:[tT][rR]?|[rR][tT])[\"']"), "a t-string"),
    ((3, 13), re.compile(r"^\s*(?:def|class|type)\s+\w+\s*\[[^\]]*="), "a type parameter with a default"),
    ((3, 12), re.compile(r"^\s*(?:async\s+def|def|class)\s+\w+\s*\["), "type parameters in brackets"),
    ((3, 12), re.compile(r"^\s*type\s+\w+.*="), "a type statement"),
    (
        (3, 12),
        re.compile(r"(?<!\w)(?:[fF][rR]?|[rR][fF])(\"|')[^{]*\{.*(?:\1|\\|#)"),
        "quotes, a backslash or a comment inside an f-string's braces",
    ),
)


@dataclass(frozen=True)
class Stop:
    """What stopped a cell: its source, the error, the line (0: unknown), the name that was not there (a module's, or
    one in the code), and the seconds it may take if it ran out of them.
    """

    source: str
    kind: str
    text: str
    line: int = 0
    name: str = ""
    seconds: float | None = None

    @classmethod
    def of(cls, source: str, outputs: Sequence[Mapping[str, Any]], seconds: float | None) -> Stop | None:
        """The last error among a cell's outputs as they came, None if there is none."""
        errors = [output for output in outputs if output.get("output_type") == "error"]
        if not errors:
            return None
        stops = [cls._one(source, error, seconds) for error in errors]
        unknown = stops[-1].name if stops[-1].kind == "NameError" else ""
        for earlier in stops[:-1]:  # an import that was passed over, whose name is what is missing now
            imported = earlier.kind in ("ImportError", "ModuleNotFoundError")
            if unknown and imported and re.search(rf"\b{re.escape(unknown)}\b", earlier.quoted):
                return earlier
        return stops[-1]

    @classmethod
    def _one(cls, source: str, error: Mapping[str, Any], seconds: float | None) -> Stop:
        where = error.get("where")
        where = where if isinstance(where, dict) else {}
        line, name = where.get("line"), str(where.get("name", ""))[:100]
        kind, text = str(error.get("ename"))[:100], str(error.get("evalue"))[:600]
        return cls(source, kind, text, line if isinstance(line, int) else 0, name, seconds)

    @property
    def quoted(self) -> str:
        """The line it stopped at, as far as it is quoted; "" where that is not known."""
        lines = self.source.split("\n")
        return lines[self.line - 1].strip()[:MAX_LINE] if 0 < self.line <= len(lines) else ""

    def told(self, left_out: Sequence[str] = ()) -> str:
        """Where it stopped and why; `left_out` are files beside the notebook that were not taken."""
        if self.text.startswith("incomplete input") and (parsed := syntax_error(self.source)) is not None:
            return replace(self, text=parsed[0], line=parsed[1]).told(left_out)
        quoted = self.quoted
        place = f"line {self.line}, `{quoted}`" if quoted else f"line {self.line}" if self.line else "an unknown line"
        if self.kind == "Stopped":
            return f"its cell brought the process down ({self.text})"
        if self.seconds is not None and self.kind in ("KeyboardInterrupt", "Error"):
            return f"its cell did not end in {self.seconds:.3g} s and was stopped at {place}"
        if self.kind in ("SyntaxError", "IndentationError", "TabError"):
            return f"its cell did not run, {place}: {self._syntax()}"
        return f"its cell stopped at {place}: {self._cause(left_out)}"

    def _syntax(self) -> str:
        lines, number = self.source.split("\n"), self.line
        found = ODD.search(self.text)
        if found:
            letter = chr(int(found[1], 16))
            at = (lines[number - 1].find(letter) if 0 < number <= len(lines) else -1) + 1
            where = f", character {at} of the line," if at else ""
            name = unicodedata.name(letter, "a character").lower()
            return f"{name} (U+{found[1]}){where} is no part of Python; type it on the keyboard anew"
        near = lines[max(0, number - 2) : number + 1]
        for version, looks, what in NEWER:
            if sys.version_info < version and any(looks.search(line) for line in near):
                newer, ours = (".".join(map(str, v)) for v in (version, sys.version_info[:2]))
                return f"{what} is for Python {newer} and later, and grading runs Python {ours}; write it the older way"
        return re.sub(r"\s*\((?:<[^>]*>|[^()]*), line \d+\)$", "", self.text)

    def _cause(self, left_out: Sequence[str]) -> str:
        match self.kind:
            case "ModuleNotFoundError":
                module = self.name or self.text
                root = module.partition(".")[0]
                near = [text for text in left_out if re.match(rf"{re.escape(root)}(?:\W|$)", text)]
                if near:
                    return f"there is no module {module}: {near[0]}"
                if root != module:
                    return f"there is no module {module} where grading runs"
                beside = f"no {module}.py was handed in beside the notebook"
                return f"the package {module} is not installed where grading runs, and {beside}"
            case "ImportError":
                return re.sub(r"\s*\([^()]*\)$", "", self.text)
            case "NameError" if self.name:
                return f"the name {self.name} is not known there; import or define it above"
            case "SystemExit":
                return "it ended there with exit"
        return f"{self.kind}: {self.text}".splitlines()[0] if self.text else self.kind


class Reasons:
    """What is known of a submission's cells: by their index, the source of those that ran, and what stopped some."""

    def __init__(
        self, sources: Mapping[int, str], answers: Mapping[str, int], stops: Mapping[int, Stop], left_out: Sequence[str]
    ) -> None:
        self._sources, self._answers, self._stops, self._left_out = sources, answers, stops, left_out

    def why(self, name: str) -> str:
        """Why `name` is not defined; "" if nothing is known."""
        stopped = [stop for index, stop in sorted(self._stops.items()) if name in defined(stop.source)]
        own = self._answers.get(name, -1)
        if not stopped and own in self._stops:
            stopped = [self._stops[own]]
        if stopped:
            return stopped[-1].told(self._left_out)
        if own not in self._sources:
            return ""
        names = defined(self._sources[own])
        near = difflib.get_close_matches(name, names, 1, 0.8)
        near = near or [other for other in names if other.casefold() == name.casefold()]
        return f"its cell ran, and defines {near[0]} instead" if near else "its cell ran, and does not define it"

    def tell(self, failure: Failure) -> str:
        """What is said of a failed call, with the reason where it failed for a name that is not there."""
        name, message = failure.unknown, failure.message
        if failure.kind == "missing":
            why = self.why(name)
            return f"{name} is not defined: {why}" if why else message
        stops = [stop for stop in self._stops.values() if name in defined(stop.source)] if name else []
        if not stops or name in self._answers:
            return message
        return f"{message.rstrip('.')} (of {name}: {stops[-1].told(self._left_out)})"
