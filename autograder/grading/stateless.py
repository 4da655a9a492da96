"""Whether a cell's text shows that its functions know nothing of what happened before a call.

What such functions answer depends on their arguments and on the names that they look up, so that cells which bind none
of these, whatever they call, cannot make an answer another one. Where the text leaves any doubt it is not shown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

# Ways to names that are not written out, to other functions, to files, and to what is kept from call to call.
ELSEWHERE = frozenset(
    (
        *("backends", "builtins", "cache", "compile", "delattr", "environ", "eval", "exec", "gc", "get_ipython"),
        *("globals", "hub", "importlib", "inspect", "io", "load", "locals", "lru_cache", "open", "os", "pathlib"),
        *("pickle", "save", "setattr", "shutil", "subprocess", "sys", "tempfile", "vars"),
    )
)
CONSTANT = (ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.Tuple, ast.expr_context, ast.unaryop)


def stateless(tree: ast.Module) -> bool:
    """Whether it is shown: a cell of imports, constants, and plain functions and classes."""
    return all(_plain(statement) for statement in tree.body)


def constant(value: ast.AST | None) -> bool:
    """Whether an expression is a name, a number, a word, or a tuple of these."""
    return value is None or all(isinstance(node, CONSTANT) for node in ast.walk(value))


def _plain(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return _keeps_nothing(statement, set())
        case ast.Assign(targets=targets, value=value):
            return constant(value) and all(isinstance(target, ast.Name) for target in targets)
        case ast.AnnAssign(target=target, value=value):
            return constant(value) and isinstance(target, ast.Name)
        case ast.Expr(value=value):
            return constant(value)
        case ast.FunctionDef():
            return not statement.decorator_list and _pure(statement)
        case ast.ClassDef():
            inside = not statement.keywords and all(map(_plain, statement.body))
            return inside and not statement.decorator_list and _pure(statement)
    return isinstance(statement, ast.Pass)


def _pure(definition: ast.FunctionDef | ast.ClassDef) -> bool:
    nodes = list(ast.walk(definition))
    local = {name for node in nodes for name in _bound(node)}
    return all(_keeps_nothing(node, local) for node in nodes)


def _bound(node: ast.AST) -> Iterable[str]:
    """The names that a node inside a function binds there."""
    if isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def _keeps_nothing(node: ast.AST, local: set[str]) -> bool:
    match node:
        case ast.Global() | ast.Nonlocal():
            return False
        case ast.Import() | ast.ImportFrom():
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            return ELSEWHERE.union("*").isdisjoint(word for name in names for word in name.split("."))
        case ast.arguments(defaults=defaults, kw_defaults=named):
            return all(map(constant, [*defaults, *named]))
        case ast.Name(id=name):
            return name not in ELSEWHERE and not _special(name)
        case ast.Attribute(attr=name) if name in ELSEWHERE or _special(name):
            return False
        case ast.Attribute() | ast.Subscript():
            return isinstance(node.ctx, ast.Load) or _root(node) in local
    return True


def _special(name: str) -> bool:
    return name.startswith("__") and name not in ("__init__", "__call__")


def _root(node: ast.expr) -> str:
    """`a` of `a.b[0].c`, "" of what is no such chain."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
