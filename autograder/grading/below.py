"""What a cell could do to those around it, as far as its text tells; nothing of it runs.

What stands below an answer must not cost it points. To mark every exercise in a process of its own, with the cells
above it alone, would be the plain way; most cells only define something new, and need no such thing.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..syntax import parse

MAX_SOURCE = 100_000  # characters that are parsed
MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[^#\n'\"]*\?[ \t]*)$", re.M)
ASSIGNED_MAGIC = re.compile(r"=[ \t]*[%!].*$", re.M)
# Called as a statement or in one, these change nothing that a check could see.
HARMLESS = {"abs", "bool", "dict", "display", "float", "int", "len", "list", "max", "min", "print", "range", "round"}
HARMLESS |= {"set", "sorted", "str", "sum", "tuple", "zip"}


@dataclass(frozen=True)
class Effects:
    """The names that a cell binds for all, those it looks up, and whether it could change anything besides."""

    binds: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    acts: bool = False

    def touches(self, names: Iterable[str]) -> bool:
        """Whether it could change what these names stand for, or what they do."""
        return self.acts or not self.binds.isdisjoint(names)


def effects(source: str) -> Effects:
    """The effects of a cell with this source."""
    if len(source) > MAX_SOURCE:
        return Effects(acts=True)
    plain = ASSIGNED_MAGIC.sub("= None", MAGIC.sub(r"\1pass", source))
    try:
        tree = parse(plain, top_level_await=True)
        reader = _Reader()
        reader.visit(tree)
    except (SyntaxError, ValueError):
        return Effects(acts=plain != source)  # no Python at all does nothing
    except (RecursionError, MemoryError):
        return Effects(acts=True)
    return Effects(frozenset(reader.binds), frozenset(reader.uses), reader.acts or plain != source)


class _Reader(ast.NodeVisitor):
    """Goes through a cell and tells what is done when it runs from what is only written down."""

    def __init__(self) -> None:
        self.binds: set[str] = set()
        self.uses: set[str] = set()
        self.acts = False
        self._later = 0  # depth of bodies that do not run now
        self._scopes: list[set[str]] = []  # the names bound in each scope of its own, from the outermost inwards

    def _bind(self, name: str) -> None:
        (self._scopes[-1] if self._scopes else self.binds).add(name)

    def _scope(self, names: Iterable[str], nodes: Iterable[ast.AST]) -> None:
        """Go through a scope of its own, in which `names` are bound: what it looks up further out is used."""
        self._scopes.append(set(names))
        outer, self.uses = self.uses, set()
        for node in nodes:
            self.visit(node)
        self.uses = outer | (self.uses - self._scopes.pop())

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.uses.add(node.id)
        else:
            self._bind(node.id)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._bind(node.name)
        for part in (*node.decorator_list, node.args, *([node.returns] if node.returns else [])):
            self.visit(part)
        self.acts = self.acts or (bool(node.decorator_list) and not self._later)
        self._body(node.args, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self._body(node.args, [node.body])

    def _body(self, parameters: ast.arguments, nodes: Iterable[ast.AST]) -> None:
        self._later += 1
        self._scope((one.arg for one in ast.walk(parameters) if isinstance(one, ast.arg)), nodes)
        self._later -= 1

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self._scope((), node.body)

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation:
            self.visit(node.annotation)

    def _comprehension(self, node: ast.AST) -> None:
        self._scope((), sorted(ast.iter_child_nodes(node), key=lambda part: not isinstance(part, ast.comprehension)))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        (self._scopes[-1] if self._later else self.binds).add(node.target.id)
        self.visit(node.value)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._bind(node.rest)
        self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        self._bind((node.asname or node.name).partition(".")[0])
        self.acts = self.acts or (node.name == "*" and not self._later)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.acts = self.acts or not (isinstance(node.ctx, ast.Load) or self._later)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.acts = self.acts or not (isinstance(node.ctx, ast.Load) or self._later)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.acts = self.acts or not self._later  # a tensor or a list changes in place, under every name it has
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        harmless = isinstance(node.func, ast.Name) and node.func.id in HARMLESS
        self.acts = self.acts or not (harmless or self._later)
        self.generic_visit(node)


BUILTINS = frozenset(dir(builtins))


def costly(above: Iterable[Effects], own_below: Iterable[Effects], given_below: Iterable[Effects] = ()) -> bool:
    """Whether what stands below could take something from what stands above: the student's own cells by anything they
    do, the course's by a name of theirs.
    """
    held = list(above)
    names = frozenset().union(*(one.binds | one.uses for one in held))
    bound = frozenset().union(*(one.binds for one in held))
    return any(one.touches(names) for one in own_below) or any(not one.binds.isdisjoint(bound) for one in given_below)


def helping(name: str, above: Iterable[Effects], below: Iterable[Effects]) -> str:
    """What stands below alone though exercise `name` needs it: its own name, or one that the cell which defines it
    looks up; "" where there is nothing.
    """
    over, under = list(above), frozenset().union(*(one.binds for one in below))
    bound = frozenset().union(*(one.binds for one in over)) | BUILTINS
    if name not in bound:
        return name if name in under else ""
    if name in under:
        return name
    needed = next((one.uses for one in reversed(over) if name in one.binds), frozenset())
    return min((needed - bound) & under, default="")
