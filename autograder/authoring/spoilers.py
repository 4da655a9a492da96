"""A line that students shall find is nowhere above its exercise: not in prose, hints, docstrings, code or checks.

What an exercise or a step returns is looked for in all that stands above it or beside it, in LaTeX, in code and in
plain words, by value (`likeness`). A cell headed "Lines (17) to (19), to compare with yours" unfolds what the exercises
and steps since the last such cell asked for: its formulas are looked for too, as they are read aloud (`spoken`), so
that sums over draws and a docstring's plain text count; and every longer expression of a solution, a library's name
for the answer among them, is looked for in the code above, folded or not.

Where the formula is what the exercise is told, and something else is to be found, its cell says so: `given="…"`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..builder.source import Cell, Lesson, Problem, find_regions, stubbed
from . import likeness
from .spoken import spoken

UNFOLDED = re.compile(r"<summary>Lines? \(\d+\).*?, to compare with yours</summary>(.*?)</details>", re.S)
LONG = 12  # characters of a formula as it is spoken: shorter ones are words of the field
LONG_CODE = 30  # characters of an expression without spaces: shorter ones are idioms


def formulas(unfolded: str) -> Iterator[str]:
    """The right sides of the displayed equations, spoken."""
    for display in re.findall(r"\$\$(.*?)\$\$", unfolded, re.S):
        display = re.sub(r"\\(tag|underbrace|qquad)\b(\{[^}]*\})?", " = " if "qquad" in display else " ", display)
        display = re.sub(r"_\{(\w+)=[^}]*\}", r"_{\1}", display)  # the sign below a sum is no equation's
        for side in re.split(r"=|\\[lg]e\b|\\Longrightarrow", display)[1:]:
            if len(spoken(side)) >= LONG:
                yield spoken(side)


def expressions(cell: Cell) -> Iterator[str]:
    """The longer expressions of a solution, as code without spaces. To call a function by its name is none."""
    within = {line for begin, end in find_regions(cell.source, "SOLUTION") for line in range(begin + 1, end + 2)}
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.expr) and node.lineno in within and not _is_plain_call(node):
            text = _blank(node)
            arithmetic = isinstance(node, ast.BinOp) and sum(isinstance(p, ast.BinOp) for p in ast.walk(node)) >= 4
            if len(text) >= LONG_CODE or arithmetic:
                yield text


def _is_plain_call(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and all(isinstance(value, ast.Name) for value in [*node.args, *(word.value for word in node.keywords)])
    )


def _blank(tree: ast.AST) -> str:
    return re.sub(r"\s", "", ast.unparse(tree))


def given_away(cells: tuple[Cell, ...]) -> Iterator[tuple[Cell, str, Cell]]:
    """What a student sees above an exercise, or in its docstring, hints or checks, of the answer to it: what asks for
    it, the formula, and the cell that has it.
    """
    yield from _answers_above(cells)
    codes = [_blank(ast.parse(_shown(cell))) if cell.is_code else "" for cell in cells]
    aloud = [spoken(_shown(cell)) for cell in cells]
    waiting: list[int] = []
    for position, cell in enumerate(cells):
        if cell.kind in ("solution", "step"):
            waiting.append(position)
            yield from _first_that_has(cells, codes, position, position, expressions(cell))
        found = UNFOLDED.search(cell.source) if not cell.is_code else None
        if found is not None:
            for place in waiting:
                yield from _first_that_has(cells, aloud, place, place + 3, formulas(found[1]))
            waiting = []


def _first_that_has(
    cells: tuple[Cell, ...], texts: list[str], asked: int, end: int, wanted: Iterator[str]
) -> Iterator[tuple[Cell, str, Cell]]:
    """Each wanted formula that stands in one of the first `end` texts, with the first cell that has it."""
    for formula in dict.fromkeys(wanted):
        teller = next((cell for cell, text in zip(cells[:end], texts, strict=False) if formula in text), None)
        if teller is not None:
            yield cells[asked], formula, teller


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
