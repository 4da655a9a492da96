"""A lesson's one source, `solutions/<NN-name>/<name>.py` in jupytext's py:percent format, read into cells.

Seven cell options are the course's own; anything else on a `# %%` line is an error:

    # %% exercise="gaussian_kl"                  a solution cell, with ### BEGIN SOLUTION / ### END SOLUTION
    # %% exercise="q_posterior" given="why"      one whose formula may stand above it, since it is not what is asked
    # %% step="collected"                        one alike for a line of a derivation: no points, no hidden checks
    # %% checks="gaussian_kl"                    the visible checks of either
    # %% [markdown] written="blurry" points=3    a question graded by hand, with mark scheme and model answer
    # %% predict="my_theta"                      what the student expects, before the experiment below is run
    # %% tags=["experiment"]                     code and figures that no exercise needs
    # %% tags=["open"]                           a line the student is to change, such as a switch: not folded

Every cell keeps its line in the file, so that whatever is wrong with it can be said in one line: `path:line: what`.
`autograder.rules` judges what is read here, `autograder.assemble` makes a notebook of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jupytext
from IPython.core.inputtransformer2 import TransformerManager

from ..cells import stub_line
from ..checkout import WrongCall

Kind = Literal["markdown", "code", "solution", "step", "checks", "written", "predict"]
KINDS: dict[str, Kind] = {
    "exercise": "solution",
    "step": "step",
    "checks": "checks",
    "written": "written",
    "predict": "predict",
}  # the option that makes a cell one of this kind
OPTIONS = (*KINDS, "points", "tags", "given")
TAGS = ("experiment", "nbval-ignore-output", "open")
LESSON_FOLDER = re.compile(r"\d\d-[a-z][a-z0-9_]*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,55}")
_JUPYTEXT = ("lines_to_next_cell", "lines_to_end_of_cell_marker")  # what jupytext itself notes about blank lines
_MARKER = re.compile(r"# ?%%(\s|$)")


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong with a lesson, and where. `pending` problems are those a draft may still have."""

    path: str
    line: int
    text: str
    pending: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class LessonError(Exception):
    """All that is wrong with a lesson, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson. `line` is its marker's line in the file, and its source starts on the next."""

    kind: Kind
    source: str
    line: int
    name: str = ""
    points: float | None = None
    tags: tuple[str, ...] = ()
    given: str = ""

    @property
    def is_code(self) -> bool:
        return self.kind not in ("markdown", "written")

    @property
    def is_experiment(self) -> bool:
        return "experiment" in self.tags or self.kind == "predict"

    @property
    def is_folded(self) -> bool:
        """Given code, which a student unfolds to read it; not what the student writes or changes."""
        return self.kind in ("code", "checks") and "open" not in self.tags

    def line_of(self, offset: int) -> int:
        """The file's line of the source's line `offset`, counted from 0."""
        return self.line + 1 + offset

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree, IPython's magics included. Raises SyntaxError."""
        return parse(self.source)


@dataclass(frozen=True)
class Lesson:
    """A parsed source file. `lesson` is its folder, such as "02-vae"; `name` the notebook, "vae"."""

    lesson: str
    name: str
    path: Path
    shown: str
    text: str
    cells: tuple[Cell, ...]

    def problem(self, line: int, text: str, pending: bool = False) -> Problem:
        """A problem at a line of this file."""
        return Problem(self.shown, line, text, pending)


def find_lessons(root: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """The source files under `root/solutions`, in reading order; those of the `wanted` lessons alone if any are named.

    Raises `WrongCall`, naming the lessons there are, for a lesson that has no source.
    """
    folders = sorted(path for path in (root / "solutions").glob("*") if LESSON_FOLDER.fullmatch(path.name))
    sources = {path.name: path / f"{path.name.partition('-')[2]}.py" for path in folders}
    sources = {lesson: path for lesson, path in sources.items() if path.is_file()}
    missing = [lesson for lesson in wanted if lesson not in sources]
    if missing:
        raise WrongCall(f"no lesson {', '.join(missing)}: there is {', '.join(sources) or 'none'}")
    return [path for lesson, path in sources.items() if not wanted or lesson in wanted]


def read_lesson(path: Path, root: Path) -> Lesson:
    """Parse `path`; messages show it relative to `root`. Raises LessonError."""
    text = path.read_text(encoding="utf-8")
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    found = jupytext.reads(text, fmt="py:percent").cells
    lines = _marker_lines(text)
    if len(found) == len(lines) + 1 and not found[0].source:
        del found[0]  # what jupytext makes of blank lines above the first cell
    if lines[:1] != [_first_content(text)]:
        raise LessonError([Problem(shown, _first_content(text), "text before the first cell: start it with `# %%`")])
    if len(lines) != len(found):
        raise LessonError([Problem(shown, 1, "a line starting with `# %%` stands inside a string or a fenced block")])
    cells, problems = [], []
    for cell, line in zip(found, lines, strict=True):
        made = _cell(cell, line)
        if isinstance(made, Cell):
            cells.append(made)
        else:
            problems += [Problem(shown, line, text) for text in made]
    if problems:
        raise LessonError(problems)
    return Lesson(path.parent.name, path.stem, path, shown, text, tuple(cells))


def _marker_lines(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if _MARKER.match(line)]


def _first_content(text: str) -> int:
    """The first line that is neither blank nor of jupytext's header (two `# ---` and what stands between)."""
    lines = text.splitlines()
    start = 0
    if lines and lines[0].rstrip() == "# ---":
        start = next((i + 1 for i, line in enumerate(lines[1:], 1) if line.rstrip() == "# ---"), 0)
    return next((i + 1 for i, line in enumerate(lines) if i >= start and line.strip()), 1)


def _cell(raw: Any, line: int) -> Cell | list[str]:
    """A cell from jupytext's, or what is wrong with its options."""
    options = {key: value for key, value in raw.metadata.items() if key not in _JUPYTEXT}
    problems = [f"unknown cell option {key!r}: known are {', '.join(OPTIONS)}" for key in options if key not in OPTIONS]
    tags = options.get("tags", [])
    if not isinstance(tags, list):
        problems.append('tags is a list, such as tags=["experiment"]')
        tags = []
    problems += [f"unknown tag {tag!r}: known are {', '.join(TAGS)}" for tag in tags if tag not in TAGS]
    roles = [key for key in KINDS if key in options]
    if len(roles) > 1:
        return [*problems, f"a cell is one of {' and '.join(roles)}, not both"]
    markdown = raw.cell_type == "markdown"
    kind: Kind = "markdown" if markdown else "code"
    name = ""
    if roles:
        kind = KINDS[roles[0]]
        name = str(options[roles[0]])
        if not NAME.fullmatch(name):
            problems.append(f"{roles[0]}={name!r} is no name: letters, digits and _, at most 56")
        if (kind == "written") != markdown:
            problems.append(f"a cell with {roles[0]}= is {'Markdown' if kind == 'written' else 'code'}")
        if tags:
            problems.append(f"a cell with {roles[0]}= takes no tags")
    points = options.get("points")
    if points is not None and kind != "written":
        problems.append("points stand with written questions; an exercise's stand with its hidden checks")
    if points is not None and (not isinstance(points, int | float) or isinstance(points, bool) or points <= 0):
        problems.append(f"points={points!r} is no positive number")
        points = None
    given = str(options.get("given", ""))
    if given and kind != "solution":
        problems.append("given= says why an exercise's formula may stand above it: it goes with exercise=")
    return problems or Cell(kind, raw.source, line, name, points, tuple(tags), given)


def parse(source: str) -> ast.Module:
    """Python's tree of a cell, with IPython's magics turned into calls and `await` allowed. Raises SyntaxError."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return compile(source, "<cell>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        plain = re.sub(r"\A\s*%%(time|capture|prun)\b.*", "", source)  # the cell below these is Python as it stands
        try:
            return compile(TransformerManager().transform_cell(plain), "<cell>", "exec", flags, dont_inherit=True)
        except SyntaxError:
            raise error from None


class RegionError(ValueError):
    """A region that is nested or not closed, at a line of its cell (from 0)."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


def find_regions(source: str, what: str) -> list[tuple[int, int]]:
    """Line numbers (from 0) of each `### BEGIN what` and its `### END what`.

    nbgrader looks for the two words anywhere in a line, so this does too. Raises `RegionError`.
    """
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for number, line in enumerate(source.split("\n")):
        if f"BEGIN {what}" in line:
            if begin is not None:
                raise RegionError(f"### BEGIN {what} inside another: the region above is not closed", number)
            begin = number
        elif f"END {what}" in line:
            if begin is None:
                raise RegionError(f"### END {what} without a ### BEGIN {what}", number)
            found.append((begin, number))
            begin = None
    if begin is not None:
        raise RegionError(f"### BEGIN {what} without a ### END {what}", begin)
    return found


def region_text(source: str, region: tuple[int, int]) -> str:
    """The lines between a region's markers."""
    return "\n".join(source.split("\n")[region[0] + 1 : region[1]])


def stubbed(name: str, source: str) -> str:
    """A solution cell as the student gets it: each region is the stub line, with the indentation of its marker."""
    lines, kept, last = source.split("\n"), [], 0
    for begin, end in find_regions(source, "SOLUTION"):
        indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
        kept += [*lines[last:begin], indent + stub_line(name, source)]
        last = end + 1
    return "\n".join(kept + lines[last:])
