"""One order and one wording in every lesson: heading, stub, hints, checks; and a first line for all that is folded.

    ### Exercise: `kl_discrete` · ●○○ · 5 minutes · 1 point      a heading, with what the exercise asks for below it
    (the stub)
    Hint 1: a nudge, Hint 2: the idea, Hint 3: nearly the line   three folded hints, in a cell of their own
    # Checks of kl_discrete                                      the visible checks

Neighbours that are one operation share a heading: ### Exercise: `predict_x0` and `predict_eps` · … · 1 + 1 points.
A step is headed ### Step: `collected` · ●●○ · 8 minutes; a written question, in its cell, ### Question: `blurry` · …
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from .source import Cell, Lesson, Problem

HINTS = ("Hint 1: a nudge", "Hint 2: the idea", "Hint 3: nearly the line")
WORDS = {"solution": "Exercise", "step": "Step", "written": "Question"}
_HEADING = re.compile(
    r"### (?P<word>Exercise|Step|Question): (?P<names>`\w+`(?:(?:, | and )`\w+`)*) · (?:●○○|●●○|●●●) · \d+ minutes"
    r"(?: · (?P<points>[\d.]+(?: \+ [\d.]+)*) (?P<unit>points?))?"
)
_ANY_HEADING = re.compile(r"#+ (?!BEGIN|END)")
_SUMMARY = re.compile(r"<summary>(Hint[^<]*)</summary>")
_FIRST_LINE = re.compile(r"# \S+ \S.*")
_LONGEST = 88  # characters of a first line: what a folded cell shows beside its bar
_HTML = re.compile(r"</?(?:details|summary|div|p|table|ul|ol)\b")
_MARKUP = re.compile(r"`|\*\*?[^\W\d]|(?<!\w)\[[^\]]+\]\(")
_FORMULA = re.compile(r"\$[^$]*\$|<code>.*?</code>")
_EPSILON = re.compile(r"\\varepsilon\b|ε")


class HasPoints(Protocol):
    """What is asked of an exercise's hidden checks."""

    @property
    def points(self) -> float: ...


@dataclass(frozen=True)
class Heading:
    """A parsed heading: what it is of, and what each of its exercises is said to be worth."""

    word: str
    names: tuple[str, ...]
    points: tuple[float, ...]


def problems(lesson: Lesson, exercises: Mapping[str, HasPoints]) -> Iterator[Problem]:
    """All that breaks the order or the wording."""
    heading: Heading | None = None
    for position, cell in enumerate(lesson.cells):
        if not cell.is_code:
            heading = _last_heading(cell.source, heading)
            if _EPSILON.search(cell.source):
                yield lesson.problem(cell.line, "epsilon is written \\epsilon in every lesson")
            yield from _raw_markup(lesson, cell)
        if cell.kind in WORDS:
            yield from _headed(lesson, cell, heading, exercises)
        if cell.kind in ("solution", "step"):
            yield from _hinted(lesson, position)
        if cell.kind == "predict":
            yield from _prediction(lesson, cell)
        if cell.is_folded:
            yield from _first_line(lesson, cell)
        if cell.kind == "checks":
            yield from _named(lesson, cell)


def read_heading(line: str) -> Heading | None:
    """The heading that a line is, or None."""
    found = _HEADING.fullmatch(line.strip())
    if found is None:
        return None
    points = tuple(float(part) for part in (found["points"] or "").split(" + ") if part)
    if points and (found["unit"] == "point") != (points == (1,)):
        return None
    return Heading(found["word"], tuple(re.findall(r"`(\w+)`", found["names"])), points)


def _raw_markup(lesson: Lesson, cell: Cell) -> Iterator[Problem]:
    """Markdown within HTML is shown as it stands, up to the next empty line."""
    in_html = False
    for number, line in enumerate(cell.source.split("\n")):
        in_html = bool(line.strip()) and (in_html or _HTML.match(line) is not None)
        if in_html and (found := _MARKUP.search(_FORMULA.sub("", line))):
            text = (
                f"{found[0]} within HTML is shown as it stands: write <code> or <em>, or leave an empty line before it"
            )
            yield lesson.problem(cell.line_of(number), text)


def _last_heading(source: str, before: Heading | None) -> Heading | None:
    lines = [line for line in source.split("\n") if _ANY_HEADING.match(line)]
    return read_heading(lines[-1]) if lines else before


def _headed(
    lesson: Lesson, cell: Cell, heading: Heading | None, exercises: Mapping[str, HasPoints]
) -> Iterator[Problem]:
    """The last heading above is the cell's own, and tells its points."""
    word = WORDS[cell.kind]
    worth = cell.points if cell.kind == "written" else getattr(exercises.get(cell.name), "points", None)
    shown = "" if cell.kind == "step" else f" · {worth or 0:g} {'point' if worth == 1 else 'points'}"
    wanted = f"### {word}: `{cell.name}` · ●●○ · 5 minutes{shown}"
    if heading is None or heading.word != word or cell.name not in heading.names:
        yield lesson.problem(cell.line, f"{cell.name} has no heading of its own, such as {wanted}")
        return
    if cell.kind == "step":
        if heading.points:
            yield lesson.problem(cell.line, f"step {cell.name} is worth no points: head it {wanted}")
    elif len(heading.points) != len(heading.names):
        yield lesson.problem(cell.line, f"the heading of {cell.name} tells no points, or not for each: {wanted}")
    elif worth is not None and heading.points[heading.names.index(cell.name)] != worth:
        yield lesson.problem(cell.line, f"{cell.name} is worth {worth:g}, and its heading says otherwise: {wanted}")


def _hinted(lesson: Lesson, position: int) -> Iterator[Problem]:
    """A cell of three hints follows the stub, and the checks follow the hints."""
    cell, after = lesson.cells[position], [*lesson.cells[position + 1 : position + 3], None, None]
    hints, checks = after[0], after[1]
    if hints is None or hints.kind != "markdown" or tuple(_SUMMARY.findall(hints.source)) != HINTS:
        text = f"below the stub of {cell.name} stands a cell of three folded hints: {', '.join(HINTS)}"
        yield lesson.problem(cell.line, text)
    elif not hints.source.startswith("<details>") or hints.source.count("<details>") != 3:
        yield lesson.problem(hints.line, f"the hints of {cell.name} share their cell with something else")
    elif checks is None or checks.kind != "checks" or checks.name != cell.name:
        yield lesson.problem(hints.line, f"the checks of {cell.name} do not follow its hints")


def _prediction(lesson: Lesson, cell: Cell) -> Iterator[Problem]:
    """Assignments that a student can change at a glance, the named one among them."""
    bound = set()
    for node in cell.tree.body:
        if not isinstance(node, ast.Assign):
            yield lesson.problem(cell.line_of(node.lineno - 1), "a prediction cell holds assignments alone")
            continue
        bound |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        if node.end_lineno != node.lineno and not isinstance(node.value, ast.Dict):
            yield lesson.problem(cell.line_of(node.lineno - 1), "a prediction stands on one line: shorten what it says")
        text = "\n".join(cell.source.split("\n")[node.lineno - 1 : node.end_lineno])
        if "# your prediction" not in text:
            yield lesson.problem(cell.line_of(node.lineno - 1), "say what the number is: # your prediction, in nats")
    if cell.name not in bound:
        yield lesson.problem(cell.line, f"prediction {cell.name}: the cell does not define {cell.name}")


def _first_line(lesson: Lesson, cell: Cell) -> Iterator[Problem]:
    """A folded cell says in its first line what unfolds."""
    first = cell.source.split("\n")[0]
    if cell.kind == "checks":
        if first != f"# Checks of {cell.name}":
            yield lesson.problem(cell.line_of(0), f"the first line of these checks is: # Checks of {cell.name}")
    elif not _FIRST_LINE.fullmatch(first) or len(first) > _LONGEST:
        text = f"a folded cell says in its first line what it is, in at most {_LONGEST} characters: # The three curves"
        yield lesson.problem(cell.line_of(0), text)


def _named(lesson: Lesson, cell: Cell) -> Iterator[Problem]:
    """Each visible check begins with its exercise's name, so that Validate's report can be read, and has a hint."""
    for node in ast.walk(cell.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        line = cell.line_of(node.lineno - 1)
        if node.func.id in ("expect", "expect_same", "verify_equation") and not _begins(given.get("hint")).strip():
            yield lesson.problem(line, f'a check of {cell.name} without a hint: hint="what to look at"')
        if node.func.id in ("expect", "expect_same"):
            what = given.get("what", node.args[2] if len(node.args) > 2 else None)
            if not _begins(what).startswith(f"{cell.name}: "):
                yield lesson.problem(line, f'a check of {cell.name} begins with its name: "{cell.name}: …"')
        elif node.func.id == "verify_equation" and _begins(given.get("of")) != cell.name:
            yield lesson.problem(line, f'verify_equation in the checks of {cell.name} wants of="{cell.name}"')


def _begins(node: ast.AST | None) -> str:
    """The literal text that an argument begins with."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
