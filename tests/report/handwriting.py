"""One's own way of writing Python: an answer said again by somebody else, or copied and disguised.

Nothing of this is run: it is read by what looks for answers that are alike.
"""

from __future__ import annotations

import ast
import inspect
import random
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

WORDS = [
    letter + word
    for letter in ("", "my_", "the_")
    for word in ("aux", "base", "diff", "inner", "norm", "part", "res", "tmp", "val", "w", "z_")
]


@cache
def source_of(function: Callable[..., Any], name: str) -> str:
    """The text of a right or wrong answer, as the answer to exercise `name`."""
    function = getattr(function, "__wrapped__", function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    made = tree.body[0]
    assert isinstance(made, ast.FunctionDef | ast.ClassDef)
    made.decorator_list, made.name = [], name
    return ast.unparse(tree)


def own_words(source: str, draw: random.Random) -> str:
    """The same answer as another person would write it: other names, other order of operands, other intermediate steps
    and spellings of a square, an exponential, a sum.
    """
    tree = _Spelling(draw).visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [line for statement in node.body for line in _in_steps(statement, draw)]
    return renamed(ast.unparse(ast.fix_missing_locations(tree)), draw)


def renamed(source: str, draw: random.Random) -> str:
    """Every name that is the writer's to choose is another one; attributes and imported names stay."""
    tree = ast.parse(source)
    chosen = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} - {"self"}
    chosen |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    words = draw.sample(WORDS, len(WORDS))
    new = {name: words[place % len(words)] + "1" * (place // len(words)) for place, name in enumerate(sorted(chosen))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = new.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = new.get(node.arg, node.arg)
    return ast.unparse(tree)


def reordered(source: str, draw: random.Random) -> str:
    """The lines of each function but its last one in another order."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and len(node.body) > 2:
            node.body = [*draw.sample(node.body[:-1], len(node.body) - 1), node.body[-1]]
    return ast.unparse(tree)


def disguised(source: str, draw: random.Random) -> str:
    """Renamed, reordered, with comments, blank lines and a docstring of one's own."""
    lines = renamed(reordered(source, draw), draw).split("\n")
    for place in range(len(lines) - 1, 0, -1):
        if draw.random() < 0.4 and not lines[place - 1].rstrip().endswith((",", "(", "[")):
            blank = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
            lines.insert(place, f"{blank}# {draw.choice(WORDS)} {draw.choice(WORDS)}\n")
    return "\n".join(lines)


class _Spelling(ast.NodeTransformer):
    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Mult) and self._draw.random() < 0.4:
            node.left, node.right = node.right, node.left
        if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) and node.right.value == 2:
            spelled = self._draw.choice(["{0} ** 2", "{0} * {0}", "{0}.pow(2)", "torch.square({0})", "{0}.square()"])
            return ast.parse(spelled.format(f"({ast.unparse(node.left)})"), mode="eval").body
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and self._draw.random() < 0.5:
            name, of = node.func.attr, ast.unparse(node.func.value)
            if name in ("exp", "log", "sqrt") and not node.args:
                return ast.parse(f"torch.{name}({of})", mode="eval").body
            if name in ("exp", "log", "sqrt") and of == "torch" and len(node.args) == 1:
                return ast.parse(f"({ast.unparse(node.args[0])}).{name}()", mode="eval").body
            if name in ("sum", "mean") and len(node.args) == 1 and not node.keywords and of != "torch":
                word = self._draw.choice(["dim", "axis"])
                return ast.parse(f"({of}).{name}({word}={ast.unparse(node.args[0])})", mode="eval").body
        return node


def _in_steps(statement: ast.stmt, draw: random.Random) -> list[ast.stmt]:
    """A statement with some of its parts computed before it."""
    before: list[ast.stmt] = []
    if not isinstance(statement, ast.Return | ast.Assign) or statement.value is None:
        return [statement]
    taken: set[int] = set()
    for node in list(ast.walk(statement.value)):
        if node is statement.value or id(node) in taken or not isinstance(node, ast.BinOp | ast.Call):
            continue
        if draw.random() < 0.35:
            name = f"{draw.choice(WORDS)}{len(before)}"
            before.insert(0, ast.parse(f"{name} = {ast.unparse(node)}").body[0])
            taken |= {id(part) for part in ast.walk(node)}
            _replace(statement, node, ast.Name(name, ast.Load()))
    return [*before, statement]


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            if value is old:
                setattr(node, field, new)
            elif isinstance(value, list):
                setattr(node, field, [new if item is old else item for item in value])
