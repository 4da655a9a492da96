"""Answers that are more alike than the class's are: a place to look, never a verdict.

What is compared is each student's code as plain Python, exercise by exercise, by scikit-learn's text features: runs of
tokens within a statement, each weighted by how few students have it, and the cosine of the angle between two students.

- Names that a student can choose are one name, layout, comments, docstrings and types are gone: renaming changes
  nothing. Runs end where a statement ends, and their order is forgotten: neither does reordering.
- Whatever stands in the lesson as it was released does not count, neither do answers of one statement, which many
  people write alike, nor what a fifth of the class has.

Detectors of copied programs compare runs of text across statements, which reordering breaks, and weigh what everybody
writes as much as what two students share: in a simulated class the disguised copies got 0.75 from copydetect 0.5.0, and
independent answers up to 0.57; here it is 1 and 0.50.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from ..cells import grade_id, open_to_students
from ..syntax import parse
from .numbers import LEVEL, Estimate

ELSEWHERE = "elsewhere"  # code of a student's that belongs to no exercise
RUN = 6  # tokens that are compared at a time
COMMON = 0.2  # of the class: what more of it share says nothing about two
ALIKE = 0.6  # from here on two students are listed; so are they with the same answers to
SAME = 3  # exercises, statement by statement, where at most
FEW = 4  # students have these answers, or in a large class one of
ONE_OF = 150
LONGEST = 30_000  # characters of an answer that are looked at
MOST = 100  # pairs that are listed
SEEN = 6  # statements of a pair that are shown
_SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
# From Python 3.12 on an f-string is several tokens.
_F_STRING = {number for number, name in tokenize.tok_name.items() if name.startswith("FSTRING")}
_KEPT = frozenset(keyword.kwlist) | frozenset(dir(builtins))


class Statement(NamedTuple):
    """One logical line: its tokens with chosen names made one, and the line itself."""

    shape: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Pair:
    """Two students whose answers are alike, by their places in the class.

    `similarity`: from 0, nothing rare is shared, to 1, everything is; its interval from resampling exercises.
    `exercises`: those that are alike, most alike first. `shared`: statements that hardly anybody else has, as the one
    and as the other wrote them.
    """

    one: int
    other: int
    similarity: Estimate
    exercises: tuple[str, ...]
    shared: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Likeness:
    """A class's pairs: every similarity, and those pairs that stand out, most alike first."""

    similarities: np.ndarray
    pairs: tuple[Pair, ...]

    @classmethod
    def none(cls) -> Likeness:
        """Where there is nothing to compare."""
        return cls(np.zeros(0), ())


def likeness(answers: Sequence[Mapping[str, str]], released: Sequence[str]) -> Likeness:
    """Compare every two students.

    Args:
        answers: code by exercise, of each student.
        released: all code cells of the lesson as students got it.
    """
    known = frozenset(_bound(released))
    given = {run for source in released for statement in statements(source, known) for run in _runs(statement.shape)}
    written = [{name: _counted(source, known) for name, source in one.items()} for one in answers]
    runs = [
        {name: sorted({run for s in told for run in _runs(s.shape)} - given) for name, told in one.items()}
        for one in written
    ]
    documents = [[(name, run) for name, found in one.items() for run in found] for one in runs]
    if len(documents) < 2 or not any(documents):
        return Likeness.none()
    most = max(2, int(COMMON * len(documents)))
    try:
        features = TfidfVectorizer(analyzer=lambda document: document, max_df=most, binary=True)
        rows = features.fit_transform(documents)
    except ValueError:  # nothing is rare
        return Likeness.none()
    found = cosine_similarity(rows, dense_output=False).tocoo()
    upper = found.row < found.col
    close = upper & (found.data >= ALIKE)
    values = dict(
        zip(zip(found.row[close].tolist(), found.col[close].tolist(), strict=True), found.data[close], strict=True)
    )
    for pair in _the_same(written):
        values.setdefault(pair, (rows[pair[0]] @ rows[pair[1]].T).sum())
    order = sorted(values, key=lambda pair: (-values[pair], pair))[:MOST]
    names = np.array([name for name, _ in features.get_feature_names_out()])
    count = len(documents) * (len(documents) - 1) // 2
    similarities = np.zeros(count)
    similarities[: upper.sum()] = found.data[upper]
    held = Counter(statement.shape for one in written for shapes in one.values() for statement in {*shapes})
    pairs = tuple(_pair(one, other, float(values[one, other]), rows, names, written, held) for one, other in order)
    return Likeness(np.sort(similarities), pairs)


def answers_of(notebook: Mapping[str, Any], released: Mapping[str, Any]) -> dict[str, str]:
    """The code that a student wrote, by exercise; given cells are left out where they are as they were released."""
    given = {_text(cell) for cell in released["cells"]}
    found: dict[str, list[str]] = defaultdict(list)
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code" and _text(cell) not in given:
            answers = open_to_students(cell)
            if answers or not grade_id(cell):
                found[grade_id(cell) if answers else ELSEWHERE].append(_text(cell))
    return {name: "\n".join(sources)[:LONGEST] for name, sources in found.items()}


def code_of(released: Mapping[str, Any]) -> list[str]:
    """All code cells of a notebook."""
    return [_text(cell) for cell in released["cells"] if cell.get("cell_type") == "code"]


def _text(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


@lru_cache(maxsize=50_000)  # many answers are the same
def statements(source: str, known: frozenset[str] = frozenset()) -> tuple[Statement, ...]:
    """The logical lines of a piece of Python; of one that is no Python, those up to where it ends to be.

    Names out of `known`, Python's own and attributes stay; all others are `V`.
    """
    found: list[Statement] = []
    shape: list[str] = []
    parts: list[str] = []
    known, before, end = known - set(_named(source)), "", (0, 0)
    for kind, text, start, stop in _tokens(source):
        if kind == tokenize.NEWLINE or text == ";":
            if shape and shape != ["S"]:  # a docstring
                found.append(Statement(tuple(shape), "".join(parts).strip()))
            shape, parts = [], []
        elif kind not in _SKIPPED:
            blank = " " * (start != end)
            string = kind == tokenize.STRING or kind in _F_STRING
            chosen = kind == tokenize.NAME and not (before == "." or text in _KEPT or text in known)
            if not (string and shape[-1:] == ["S"]):
                shape.append("S" if string else "V" if chosen else text)
                parts.append(blank + ("'…'" if string else text))
        before, end = text, stop
    return tuple(found)


def _tokens(source: str) -> Iterator[tuple[int, str, tuple[int, int], tuple[int, int]]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            yield token.type, token.string, token.start, token.end
    except (tokenize.TokenError, SyntaxError, ValueError):  # the rest is no Python
        yield tokenize.NEWLINE, "", (0, 0), (0, 0)


def _counted(source: str, known: frozenset[str]) -> tuple[Statement, ...]:
    """An answer's statements; none where it is a single one, as short exercises have it."""
    told = tuple(s for s in statements(source, known) if s.shape[0] not in ("def", "class", "import", "from", "@"))
    return told if len(told) > 1 else ()


def _the_same(written: Sequence[Mapping[str, tuple[Statement, ...]]]) -> list[tuple[int, int]]:
    """Pairs who share rare answers whole, whatever they wrote elsewhere: copies in part."""
    holders: dict[tuple[str, frozenset[tuple[str, ...]]], list[int]] = defaultdict(list)
    for place, one in enumerate(written):
        for name, told in one.items():
            if told:
                holders[name, frozenset(statement.shape for statement in told)].append(place)
    few = max(FEW, len(written) // ONE_OF)
    together = Counter(pair for group in holders.values() if len(group) <= few for pair in combinations(group, 2))
    return [pair for pair, count in together.items() if count >= SAME]


def _runs(shape: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every `RUN` tokens in a row; a shorter statement is one run."""
    for start in range(max(1, len(shape) - RUN + 1)):
        yield shape[start : start + RUN]


def _named(source: str) -> Iterator[str]:
    """The names that a piece of Python gives to values and arguments, when it is Python."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _bound(released: Sequence[str]) -> Iterator[str]:
    """The names that the lesson's own code imports or defines, arguments apart."""
    for source in released:
        try:
            tree = parse(source)
        except SyntaxError:  # a magic of IPython's
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _pair(
    one: int,
    other: int,
    value: float,
    rows: Any,
    names: np.ndarray,
    written: Sequence[Mapping[str, tuple[Statement, ...]]],
    held: Counter[tuple[str, ...]],
) -> Pair:
    mine, theirs = (np.asarray(rows[place].todense()).ravel() for place in (one, other))
    exercises = sorted(set(names[(mine > 0) | (theirs > 0)]))
    # Of each exercise: what is shared, and what either has of its own.
    parts = np.array(
        [[np.sum((u * v)[names == e]) for u, v in ((mine, theirs), (mine, mine), (theirs, theirs))] for e in exercises]
    )
    alike = parts[:, 0] / np.sqrt(np.maximum(parts[:, 1] * parts[:, 2], 1e-12))
    order = [i for i in np.argsort(-parts[:, 0]) if alike[i] >= ALIKE]
    interval = _interval(parts) if len(exercises) > 2 else (None, None)
    shared: list[tuple[int, str, str]] = []
    for name in exercises:
        ours = {s.shape: s.text for s in written[one].get(name, ())}
        for s in written[other].get(name, ()):
            if s.shape in ours:
                shared.append((held[s.shape], ours.pop(s.shape), s.text))
    shared.sort(key=lambda found: (found[0], -len(found[1])))
    shown = tuple((first, second) for _, first, second in shared[:SEEN])
    return Pair(one, other, Estimate(value, *interval), tuple(exercises[i] for i in order), shown)


def _interval(parts: np.ndarray) -> tuple[float, float]:
    drawn = parts[np.random.default_rng(0).integers(len(parts), size=(1000, len(parts)))].sum(1)
    found = drawn[:, 0] / np.sqrt(np.maximum(drawn[:, 1] * drawn[:, 2], 1e-12))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(min(high, 1.0))
