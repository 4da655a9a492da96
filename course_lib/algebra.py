"""Checks of an expression that a student found on paper: by numbers at drawn places first, then for all values."""

import random
from collections.abc import Mapping
from typing import Any

from course_lib.checking import CheckFailed, tick, told

DRAWS, SEED = 5, 11


def expect_same(
    got: Any, truth: Any, what: str, *, given: Mapping[Any, Any] | None = None, hint: str = "", constant_in: Any = None
) -> None:
    """Print "✓ what" if two SymPy expressions are equal for all values of their symbols, else stop with a place where
    they differ.

    Numbers from 0.1 to 0.9 are put in for the symbols, the same on every run; where all agree, SymPy is asked for
    certainty.

    Args:
        got: the student's expression, or a number.
        truth: what it should equal.
        what: the claim, after the exercise's name: "collected: the same parabola".
        given: what is known of symbols, such as {alpha: 1 - beta}: put in before anything else.
        hint: what to look at when it fails.
        constant_in: a symbol; the expressions may then differ by anything that does not contain it.

    Raises:
        CheckFailed: with the place and both values there.
    """
    import sympy

    if got is None:
        raise CheckFailed(told(f"{what}: expected an expression, got None (is the return statement missing?)", hint))
    if not isinstance(got, sympy.Expr | int | float):
        text = f"{what}: expected an expression of the symbols, got a {type(got).__name__}"
        raise CheckFailed(told(text, hint))
    sides = [sympy.sympify(side).subs(dict(given or {})) for side in (got, truth)]
    if constant_in is not None:
        sides = [side - side.subs(constant_in, 0) for side in sides]
    symbols = sorted(sides[0].free_symbols | sides[1].free_symbols, key=str)
    draw = random.Random(SEED)
    for _ in range(DRAWS):
        place = {symbol: round(draw.uniform(0.1, 0.9), 3) for symbol in symbols}
        mine, true = (complex(side.subs(place).evalf()) for side in sides)
        if abs(mine - true) > 1e-9 * max(1.0, abs(true)):
            where = ", ".join(f"{symbol} = {value}" for symbol, value in place.items())
            text = f"{what}: expected {_plain(true)}, got {_plain(mine)}, at {where or 'all places'}"
            raise CheckFailed(told(text, hint))
    certain = sympy.simplify(sides[0] - sides[1]) == 0
    tick(what if certain else f"{what} (at {DRAWS} drawn places)")


def _plain(value: complex) -> str:
    return f"{value.real:.6g}" if abs(value.imag) < 1e-12 else f"{value:.6g}"
