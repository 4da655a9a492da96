"""Python's parser, for one thread at a time.

CPython 3.11 counts the depth of the tree being made in one place for all threads, and another thread may get its turn
while the garbage collector runs finalizers: "SystemError: AST constructor recursion depth mismatch".
"""

from __future__ import annotations

import ast
import threading

_alone = threading.Lock()


def parse(source: str | bytes, *, top_level_await: bool = False) -> ast.Module:
    """The tree of a module, in which a cell may also await something at its top level.

    Raises SyntaxError or ValueError where it is not Python, and RecursionError or MemoryError where it is too deep.
    """
    flags = ast.PyCF_ONLY_AST | (ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if top_level_await else 0)
    with _alone:
        tree: ast.Module = compile(source, "<cell>", "exec", flags)
    return tree
