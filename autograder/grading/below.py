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
from .stateless import constant, stateless

MAX_SOURCE = 100_000  # characters that are parsed
MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[^#\n'\"]*\?[ \t]*)$", re.M)
ASSIGNED_MAGIC = re.compile(r"=[ \t]*[%!].*$", re.M)
# Called as a statement or in one, these change nothing that a check could see.
HARMLESS = {"abs", "bool", "dict", "display", "float", "int", "len", "list", "max", "min", "print", "range", "round"}
HARMLESS |= {"set", "sorted", "str", "sum", "tuple", "zip"}


@dataclass(frozen=True)
class Effects:
    """The names that a cell binds for all, those it looks up, and whether it could change anything besides.

    `loose`: the names it binds to what may change later, not to functions, classes, modules and constants;
    `stateless`: as `stateless.stateless` tells.
    """

    binds: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    acts: bool = False
    loose: frozenset[str] = frozenset()
    stateless: bool = False

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
    names = frozenset(reader.binds), frozenset(reader.uses)
    acts = reader.acts or plain != source
    return Effects(*names, acts, frozenset(reader.loose), not acts and stateless(tree))


class _Reader(ast.NodeVisitor):
    """Goes through a cell and tells what is done when it runs from what is only written down."""

    def __init__(self) -> None:
        self.binds: set[str] = set()
        self.loose: set[str] = set()
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
            self.loose.update([] if self._scopes else [node.id])

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._scopes or not constant(node.value):
            self.generic_visit(node)
            return
        self.visit(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._bind(target.id)
            else:
                self.visit(target)

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


@dataclass(frozen=True)
class Around:
    """What the cells around an exercise's graded cell could do: those above, of these the student's own, the student's
    own below, and the course's below.
    """

    above: list[Effects]
    own_above: list[Effects]
    own_below: list[Effects]
    given_below: list[Effects]

    def costly(self) -> bool:
        """Whether what stands below could take something from what stands above: the student's own cells by anything
        they do, the course's by a name of theirs.
        """
        names = frozenset().union(*(one.binds | one.uses for one in self.above))
        if any(one.touches(names) for one in self.own_below):
            return True
        wanted = self._wanted()
        return any(not one.binds.isdisjoint(wanted) for one in self.given_below)

    def _wanted(self) -> frozenset[str]:
        """The names above that the student's functions may depend on: all of them, unless these are shown to depend on
        nothing but what they look up, and that on nothing that may change.
        """
        bound = frozenset().union(*(one.binds for one in self.above))
        if not all(one.stateless for one in self.own_above):
            return bound
        wanted: frozenset[str] = frozenset().union(*(one.binds | one.uses for one in self.own_above))
        while more := frozenset().union(*(one.uses for one in self.above if one.binds & wanted)) - wanted:
            wanted |= more
        loose = frozenset().union(*(one.loose for one in self.above))
        return bound if loose & wanted else wanted & bound


def helping(name: str, around: Around) -> str:
    """What stands below alone though exercise `name` needs it: its own name, or one that the cell which defines it
    looks up; "" where there is nothing.
    """
    under: frozenset[str] = frozenset().union(*(one.binds for one in around.own_below))
    bound = frozenset().union(*(one.binds for one in around.above)) | BUILTINS
    if name not in bound:
        return name if name in under else ""
    if name in under:
        return name
    needed = next((one.uses for one in reversed(around.above) if name in one.binds), frozenset())
    return min((needed - bound) & under, default="")
