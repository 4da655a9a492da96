"""Which names a cell defines and which it needs from the cells above, read from its syntax tree alone.

Exact for straight code; where a name is bound on one branch only, it counts as bound. Attributes count as their root
(`model.weight` needs `model`), and what a function's body needs is needed by the cell that defines the function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_Compound = ast.For | ast.AsyncFor | ast.While | ast.If | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match


@dataclass(frozen=True)
class Names:
    """`bound`: names the cell defines. `needed`: names it reads that it has not defined before reading them."""

    bound: frozenset[str]
    needed: frozenset[str]


def cell_names(tree: ast.Module) -> Names:
    """The names of a cell, statement by statement."""
    everything = bound_names(tree.body)
    return Names(frozenset(everything), frozenset(_needed(tree.body, set(), everything)))


def _needed(body: Iterable[ast.AST], so_far: set[str], everything: set[str]) -> set[str]:
    """What these statements read before they, or those above them (`so_far`, extended here), have bound it."""
    needed: set[str] = set()
    for part in body:
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            needed |= free_names(part) - so_far - everything  # a body runs when called: by then the cell has run
        elif isinstance(part, _Compound | ast.ExceptHandler | ast.match_case):
            bodies = [value for _, value in ast.iter_fields(part) if _is_body(value)]
            inside = {id(node) for nodes in bodies for node in nodes}
            header = [node for node in ast.iter_child_nodes(part) if id(node) not in inside]
            needed |= _union(header) - so_far
            so_far |= bound_names(header)
            if isinstance(part, ast.ExceptHandler) and part.name:
                so_far.add(part.name)
            for nodes in bodies:
                needed |= _needed(nodes, so_far, everything)
        else:
            needed |= free_names(part) - so_far
        so_far |= bound_names([part])
    return needed


def _is_body(value: object) -> bool:
    return isinstance(value, list) and any(
        isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case) for node in value
    )


def bound_names(body: Iterable[ast.AST]) -> set[str]:
    """Names that these statements bind in their own scope."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, _Comprehension):  # its variables are its own, but := inside binds outside
            names |= {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(alias_name(node))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        names |= bound_names(ast.iter_child_nodes(node))
    return names


def alias_name(alias: ast.alias) -> str:
    """The name that one item of an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def free_names(node: ast.AST) -> set[str]:
    """Names that a node reads from outside itself."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return {node.target.id} | free_names(node.value)
    if isinstance(node, _Function):
        return _free_in_function(node)
    if isinstance(node, ast.ClassDef):
        return _free_in_class(node)
    free = _union(ast.iter_child_nodes(node))
    if isinstance(node, _Comprehension):
        free -= _union_bound([generator.target for generator in node.generators])
    return free


def _free_in_function(node: _Function) -> set[str]:
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    body: Sequence[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else node.body
    shared = {name for part in _walk_scope(body) if isinstance(part, ast.Global) for name in part.names}
    local = ({argument.arg for argument in every} | bound_names(body)) - shared
    outside = _union([*arguments.defaults, *(default for default in arguments.kw_defaults if default)])
    outside |= _union([argument.annotation for argument in every if argument.annotation])
    if not isinstance(node, ast.Lambda):
        outside |= _union([*node.decorator_list, *([node.returns] if node.returns else [])])
    return outside | (_union(body) - local)


def _free_in_class(node: ast.ClassDef) -> set[str]:
    local = bound_names(node.body)
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    others = [part for part in node.body if part not in methods]
    outside = _union([*node.bases, *node.keywords, *node.decorator_list])
    return outside | (_union(others) - local) | _union(methods)  # a method does not see the class's own names


def _walk_scope(body: Iterable[ast.AST]) -> Iterable[ast.AST]:
    for node in body:
        yield node
        if not isinstance(node, _Function | ast.ClassDef):
            yield from _walk_scope(ast.iter_child_nodes(node))


def _union(nodes: Iterable[ast.AST]) -> set[str]:
    return set().union(*(free_names(node) for node in nodes))


def _union_bound(nodes: Iterable[ast.AST]) -> set[str]:
    return set().union(*(bound_names([node]) for node in nodes))
