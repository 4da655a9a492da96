"""Can several threads parse at once?"""

import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from autograder.syntax import parse

SOURCE = "\n".join(
    f"def f{n}(a, b):\n    return [(a + {n}) * b for x in range(3) if x > 1 and (a or b)]" for n in range(100)
)


class Litter:
    """Refers to itself, so that the garbage collector ends it, in the midst of whatever runs."""

    def __init__(self):
        self.me = self

    def __del__(self):
        for _ in range(100):
            pass


def test_threads_parse_side_by_side():
    switch, threshold = sys.getswitchinterval(), gc.get_threshold()

    def some(_):
        for _ in range(20):
            Litter()
        return ast.dump(parse(SOURCE))

    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(some, range(120)))
    finally:
        sys.setswitchinterval(switch)
        gc.set_threshold(*threshold)
    assert found == {ast.dump(ast.parse(SOURCE))}


def test_a_cell_may_wait_at_its_top_level():
    assert isinstance(parse("await x", top_level_await=True).body[0], ast.Expr)
    assert len(parse(b"x = 1\ny = 2").body) == 2
    with pytest.raises(SyntaxError):
        parse("def")
