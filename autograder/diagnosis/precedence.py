"""What an expression becomes where one sign of operation stands in the place of another, as Python reads it.

`a + b * c` with a division in the place of the sum is `a / b * c`, in which no product b c is left: whoever writes the
wrong sign, or forgets parentheses, changes more than one operation.
"""

from __future__ import annotations

import ast

from ..syntax import parse

SIGNS = {"Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "Pow": "**", "FloorDiv": "//", "Mod": "%"}


def reread(expression: ast.BinOp) -> list[ast.expr]:
    """The expression with each of its signs replaced by each other one, where that changes how the rest is read."""
    if any(isinstance(node, ast.NamedExpr | ast.Yield | ast.Await | ast.Starred) for node in ast.walk(expression)):
        return []
    text = ast.unparse(expression)
    tree = _parsed(text)
    found: list[ast.expr] = []
    if tree is None:
        return []
    for node in operations(tree):
        own = type(node.op).__name__
        for name in SIGNS if own in SIGNS else ():
            other = _parsed(_replaced(text, node, SIGNS[own], SIGNS[name])) if name != own else None
            if other is not None and ast.dump(other) != _in_place(text, node, name):
                found.append(other)
    return found


def operations(tree: ast.AST) -> list[ast.BinOp]:
    """The operations that an expression is made of, but for those within calls and indices."""
    if isinstance(tree, ast.UnaryOp):
        return operations(tree.operand)
    if not isinstance(tree, ast.BinOp):
        return []
    return [tree, *operations(tree.left), *operations(tree.right)]


def _parsed(text: str) -> ast.expr | None:
    try:
        statement = parse(text).body[0]
    except SyntaxError:
        return None
    return statement.value if isinstance(statement, ast.Expr) else None


def _replaced(text: str, node: ast.BinOp, own: str, other: str) -> str:
    whole = text.encode()
    start, end = node.left.end_col_offset or 0, node.right.col_offset
    between = whole[start:end].decode().replace(own, other, 1)
    return (whole[:start] + between.encode() + whole[end:]).decode()


def _in_place(text: str, node: ast.BinOp, name: str) -> str:
    """The tree with one operation replaced and nothing read anew."""
    tree = _parsed(text)
    assert tree is not None
    for other in operations(tree):
        if (other.col_offset, other.end_col_offset) == (node.col_offset, node.end_col_offset):
            other.op = getattr(ast, name)()
    return ast.dump(tree)
