"""A student's expression: equal in whatever dress, and what is said where it is not."""

import pytest
import sympy

from course_lib import CheckFailed, expect_same

a, b, x = sympy.symbols("alpha beta x", positive=True)


@pytest.mark.parametrize(
    ("got", "truth", "options"),
    [
        ((a + b) ** 2, a**2 + 2 * a * b + b**2, {}),
        (sympy.sqrt(a) / a, 1 / sympy.sqrt(a), {}),
        (a / b, (1 - b) / b, {"given": {a: 1 - b}}),
        (-((x - a) ** 2), 2 * a * x - x**2, {"constant_in": x}),
        (0.5, sympy.Rational(1, 2), {}),
        (2, 2, {}),
    ],
)
def test_equal_expressions_pass(got, truth, options, capsys):
    expect_same(got, truth, "step: the same", **options)
    assert capsys.readouterr().out == "✓ step: the same\n"


@pytest.mark.parametrize(
    ("got", "truth", "options", "said"),
    [
        (a + b, a - b, {}, r"^✗ step: the same: expected -?[\d.]+, got [\d.]+, at alpha = [\d.]+, beta = [\d.]+\."),
        (a, 1 - b, {}, "expected"),
        (sympy.sqrt(a - 1), a, {}, "j, at alpha"),
        (x**2, 2 * x**2, {"constant_in": x}, "expected"),
        (None, a, {}, "is the return statement missing"),
        (lambda: a, a, {}, "expected an expression of the symbols, got a function"),
        ((a, b), a, {}, "expected an expression of the symbols, got a tuple"),
        (2, 3, {}, "expected 3, got 2, at all places"),
    ],
)
def test_a_difference_is_told_with_its_place_and_the_hint(got, truth, options, said):
    with pytest.raises(CheckFailed, match=said) as caught:
        expect_same(got, truth, "step: the same", hint="the signs", **options)
    assert str(caught.value).endswith("Look at: the signs.")


def test_what_numbers_alone_can_show_is_said_so(monkeypatch, capsys):
    monkeypatch.setattr(sympy, "simplify", lambda expression: expression)
    expect_same((a + b) ** 2, a**2 + 2 * a * b + b**2, "step: the same")
    assert capsys.readouterr().out == "✓ step: the same (at 5 drawn places)\n"
