"""An expression with another sign in it, as Python reads that."""

import ast
import re

import pytest

from autograder.diagnosis.precedence import SIGNS, operations, reread
from autograder.diagnosis.schemata import switched

GIVEN = {"a": 1.7, "b": 0.6, "c": 2.3, "d": 1.1, "t": 3}


def value(text):
    try:
        return repr(eval(text, dict(GIVEN)))
    except ArithmeticError:
        return "nothing"


def in_place(text):
    """The values with each operation replaced by each other one, whatever Python would read."""
    for place, node in enumerate(operations(ast.parse(text, mode="eval").body)):
        for name in SIGNS.keys() - {type(node.op).__name__}:
            tree = ast.parse(text, mode="eval")
            operations(tree.body)[place].op = getattr(ast, name)()
            yield value(compile(ast.fix_missing_locations(tree), "<in place>", "eval"))


@pytest.mark.parametrize("text", ["a + b * c", "a * b - c / d", "a ** 2 * b", "a - b - c", "-a * b + c", "t - 1"])
def test_other_signs_are_read_as_python_reads_them(text):
    written = set()
    for sign in re.finditer(r" (\*\*|//|[-+*/%]) ", text):
        for other in SIGNS.values():
            if other != sign[1]:
                written.add(value(f"{text[: sign.start()]} {other} {text[sign.end() :]}"))
    read = {value(ast.unparse(tree)) for tree in reread(ast.parse(text, mode="eval").body)}
    assert read <= written
    assert written <= read | set(in_place(text))


def test_parentheses_stay_and_what_stands_in_calls_is_left():
    found = [ast.unparse(tree) for tree in reread(ast.parse("(a - b * c) / max(a + b * c, 1)", mode="eval").body)]
    assert "a / b * c / max(a + b * c, 1)" in found
    assert all("max(a + b * c, 1)" in text for text in found)
    assert not any("(a - b * c)" in text and "/" in text for text in found)


def mixed(a, b, c):
    return a + b * c


def test_a_board_turns_one_expression_into_another():
    function, board = switched(mixed)
    rest = [switch for switch in board.switches if switch.kind == "operation"]
    assert function(a=2.0, b=3.0, c=5.0) == 17.0
    values = []
    for switch in rest:
        board.on = {switch.site: switch.change}
        values.append(function(a=2.0, b=3.0, c=5.0))
    assert 2.0 / 3.0 * 5.0 in values
    assert 2.0 + 3.0 - 5.0 in values
