"""A line that students shall find is nowhere above its exercise: not in prose, hints, docstrings, code or checks.

What an exercise or a step returns is looked for in all that stands above it or beside it, in LaTeX, in code and in
plain words, by value (`likeness`). A cell headed "Lines (17) to (19), to compare with yours" unfolds what the exercises
and steps since the last such cell asked for: its formulas are looked for letter by letter too, and so are the longer
parts of their solutions in code.

Where the formula is what the exercise is told, and something else is to be found, its cell says so: `given="…"`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..builder.source import Cell, Lesson, Problem, find_regions, region_text, stubbed
from . import likeness

UNFOLDED = re.compile(r"<summary>Lines? \(\d+\).*?, to compare with yours</summary>(.*?)</details>", re.S)
LONG = 22  # characters of a formula, without spaces: shorter ones are words of the field


def blank(text: str) -> str:
    """Without spaces, LaTeX's thin ones included, and without a sentence's last stop."""
    return re.sub(r"\\[,;!]|\s|\\left|\\right|\\big", "", text).rstrip(".;")


def formulas(unfolded: str) -> Iterator[str]:
    """The right sides of the displayed equations."""
    for display in re.findall(r"\$\$(.*?)\$\$", unfolded, re.S):
        display = re.sub(r"\\(tag|underbrace|qquad)\b(\{[^}]*\})?", " = " if "qquad" in display else " ", display)
        for side in re.split(r"(?<![{^_])=", display)[1:]:
            if len(blank(side)) >= LONG:
                yield blank(side)


def expressions(cell: Cell) -> Iterator[str]:
    """The longer arithmetic of a solution, as code without spaces."""
    region = "\n".join(region_text(cell.source, found) for found in find_regions(cell.source, "SOLUTION"))
    body = "\n".join(line[4:] for line in region.split("\n"))
    for node in ast.walk(ast.parse("def _():\n" + "\n".join("    " + line for line in body.split("\n")))):
        if isinstance(node, ast.BinOp) and sum(isinstance(part, ast.BinOp) for part in ast.walk(node)) >= 4:
            yield blank(ast.unparse(node))


def given_away(cells: tuple[Cell, ...]) -> Iterator[tuple[Cell, str, Cell]]:
    """Every formula of an unfolded line that a student sees above its exercise, or in its docstring, hints or checks:
    what asks for it, the formula, and the cell that has it.
    """
    yield from _answers_above(cells)
    waiting: list[int] = []
    for position, cell in enumerate(cells):
        if cell.kind in ("solution", "step"):
            waiting.append(position)
        found = UNFOLDED.search(cell.source) if not cell.is_code else None
        if found is None:
            continue
        for place in waiting:
            asked = cells[place]
            seen = [(other, blank(_shown(other))) for other in cells[: place + 3]]
            for formula in [*formulas(found[1]), *expressions(asked)]:
                if (teller := next((other for other, text in seen if formula in text), None)) is not None:
                    yield asked, formula, teller
        waiting = []


def _answers_above(cells: tuple[Cell, ...]) -> Iterator[tuple[Cell, str, Cell]]:
    """The first cell that says what an exercise or a step returns, in its own letters or in others."""
    asked = [(position, cell) for position, cell in enumerate(cells) if cell.kind in ("solution", "step")]
    letters = frozenset(
        part.id if isinstance(part, ast.Name) else part.arg
        for _, cell in asked
        for part in ast.walk(cell.tree)
        if isinstance(part, ast.Name | ast.arg)
    )
    told = [(cell, formula) for cell in cells for formula in _told(cell, letters)]
    for position, cell in asked:
        above = [(other, formula) for other, formula in told if other in cells[: position + 3]]
        for answer in () if cell.given else likeness.answers(cell.source):
            if (leak := next(((other, formula) for other, formula in above if formula.like(answer)), None)) is not None:
                yield cell, str(leak[1]), leak[0]


def _told(cell: Cell, letters: frozenset[str]) -> Iterator[likeness.Formula]:
    """All formulas that a cell shows to students."""
    if not cell.is_code:
        yield from likeness.of_text(cell.source, letters)
        return
    shown = _shown(cell)
    yield from likeness.of_code(shown)
    yield from likeness.of_text(likeness.comments_and_strings(shown), letters)


def _shown(cell: Cell) -> str:
    """A cell as students get it: what they are to write is not there yet."""
    return stubbed(cell.name, cell.source) if cell.kind in ("solution", "step") else cell.source


def problems(lesson: Lesson) -> Iterator[Problem]:
    """Each formula that is given away, at the cell that has it."""
    for asked, formula, teller in given_away(lesson.cells):
        text = f"this cell gives away the answer to {asked.name}, which stands at line {asked.line}: {formula}"
        yield lesson.problem(teller.line, text)
