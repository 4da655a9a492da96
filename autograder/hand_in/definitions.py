"""What a cell's source defines, read without running it: by Python's own parser, or line by line where that fails."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import lru_cache

from ..syntax import parse

SHORT = 5_000  # characters of a cell of which is remembered what it is without comments
MAX_PARSED = 100_000  # characters: parsing takes a second for each million, and a cell has some thousand
# IPython's own lines, which Python does not know; `x = !ls` and `x = %pwd` are values.
MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.]+\?{1,2}[ \t]*)$", re.M)
MAGIC_VALUE = re.compile(r"^([ \t]*[\w, ]+=[ \t]*)[%!].*$", re.M)
CELL_MAGIC = re.compile(r"\s*%%")
BINDING = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.M)
Nested = ast.If | ast.Try | ast.With | ast.For | ast.While


def tree_of(source: str) -> ast.Module | None:
    """The parsed source; None where it is not Python, or too long to be looked at."""
    if len(source) > MAX_PARSED or CELL_MAGIC.match(source):
        return None
    source = MAGIC_VALUE.sub(r"\1None", MAGIC.sub(r"\1pass", source))
    try:
        return parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def syntax_error(source: str) -> tuple[str, int] | None:
    """Python's own words about source that it cannot parse, and the line; None where it can."""
    try:
        parse(source[:MAX_PARSED])
    except SyntaxError as error:
        return f"{error.msg}", error.lineno or 0
    except (ValueError, MemoryError, RecursionError):
        pass
    return None


def defined(source: str) -> set[str]:
    """The names that a cell binds at its top level; a star import counts as "*" and its module."""
    tree = tree_of(source)
    if tree is None:
        return {name for found in BINDING.finditer(source) for name in found.groups() if name}
    return set(_bound(tree.body))


def _bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import):
            yield from ((alias.asname or alias.name.partition(".")[0]) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from (f"*{statement.module}" if a.name == "*" else a.asname or a.name for a in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
        elif isinstance(statement, Nested):
            for part in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from _bound(handler.body)


def imported(source: str) -> set[str]:
    """The full names of the modules that a cell imports when it runs: what its functions import apart."""
    found: set[str] = set()
    for node in (tree_of(source) or ast.Module([], [])).body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def joined(sources: Iterable[str]) -> str | None:
    """Halves of a cell put together again; None where that is not Python."""
    whole = "\n".join(sources)
    return whole if tree_of(whole) is not None else None


def half(source: str) -> bool:
    """Whether a cell cannot stand alone: it begins in the middle of a block, or does not parse."""
    first = next((line for line in source.split("\n") if line.strip()), "")
    return bool(first) and (first[0] in " \t" or tree_of(source) is None)


def bare(source: str) -> str:
    """The source without comments and blanks: equal for two cells that do the same, line by line."""
    return (_bare_before if len(source) <= SHORT else _bare)(source)


def _bare(source: str) -> str:
    try:
        if len(source) > MAX_PARSED:
            raise SyntaxError
        kept = [
            token.string
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE) and token.string.strip()
        ]
    except (tokenize.TokenError, SyntaxError):
        kept = source.split()
    return " ".join(kept)


_bare_before = lru_cache(maxsize=1_000)(_bare)  # of stubs, and of answers that many have
