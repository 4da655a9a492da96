"""Visible checks: what a student sees when a result is right, and when it is not."""

import itertools
import math
import textwrap
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

# (rtol, atol) that every correct formula meets, by the coarser dtype of the two. Python numbers count as
# float32, since they often come out of one with .item().
TOLERANCE: dict[torch.dtype, tuple[float, float]] = {
    torch.float64: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-5),
    torch.float16: (1e-2, 1e-2),
    torch.bfloat16: (3e-2, 3e-2),
}

LINE = 80  # characters that fit beside each other in a notebook's output


class CheckFailed(AssertionError):
    """A result differs from the truth. A notebook shows the message alone, without a stack of frames."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for this
        return [part for line in str(self).splitlines() for part in _broken(line)]


def _broken(line: str) -> list[str]:
    """A line in pieces that fit, broken at spaces: JupyterLab would break it within a word."""
    return textwrap.wrap(line, LINE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]


def expect(
    got: Any, truth: Any, what: str, *, rtol: float | None = None, atol: float | None = None, hint: str = ""
) -> None:
    """Print "✓ what" if `got` equals `truth`, else stop with what was expected, what came, and what to look
    at.

    Tensors must agree in shape, in dtype, and in every entry within |got - truth| <= atol + rtol |truth|; nan
    equals nan. A tensor without axes and a Python number are compared by value, tuples and lists part by
    part, anything else with ==.

    Args:
        got: the student's result.
        truth: a tensor, array, number, bool, string, or a tuple or list of these.
        what: the claim, as a short sentence after the exercise's name: "gaussian_kl: as torch.distributions".
        rtol, atol: tolerances; the defaults depend on the dtype.
        hint: what to look at when it fails.

    Raises:
        CheckFailed: with one or two lines that say all this.
    """
    problem = _difference(got, truth, rtol, atol)
    if problem:
        raise CheckFailed(told(f"{what}: {problem}", hint))
    tick(what)


passed = 0  # checks that have passed in this process


def tick(what: str) -> None:
    """Print "✓ what" and count it."""
    global passed
    passed += 1
    print(f"✓ {what}")


def told(what: str, hint: str) -> str:
    """What went wrong and what to look at, in one line where they fit."""
    line, remedy = f"✗ {what}.", f"Look at: {hint}{'' if hint.endswith(('.', '?')) else '.'}" if hint else ""
    fits = len(line) + len(remedy) < LINE
    return (f"{line} {remedy}" if fits else f"{line}\n  {remedy}").rstrip()


def verify_equation(
    number: int | str,
    *values: Any,
    atol: float | None = None,
    rtol: float | None = None,
    relation: str = "=",
    standard_error: float | None = None,
    of: str = "",
    hint: str = "",
) -> None:
    """Check equation (`number`) of a derivation on numbers: print "✓ (3) 0.36315 = 0.36315", or stop.

    Args:
        number: the tag of the displayed equation.
        values: two or more sides, numbers or tensors that broadcast; each is compared with the next one.
        relation: "=", "<=", or "≈" for "=" where the derivation leaves something out: say with `rtol` how much.
        standard_error: of a side that was sampled; neighbours may then differ by four of them.
        of: the exercise whose value the first side is; a failure then says what was expected and what came, as
            `expect` does.
        hint: what to look at when it fails.

    Raises:
        CheckFailed: a neighbouring pair does not stand in the relation.
    """
    if relation not in ("=", "≈", "<="):
        raise ValueError(f'verify_equation({number}): relation={relation!r}; expected "=", "≈" or "<="')
    if len(values) < 2:
        raise ValueError(f"verify_equation({number}): expected at least two sides, got {len(values)}")
    sides, coarse = [_tensor(v) for v in values], max(_tolerance(v) for v in values)
    rtol = coarse[0] if rtol is None else rtol
    atol = (coarse[1] if atol is None else atol) + 4 * (standard_error or 0.0)
    for left, right in itertools.pairwise(side.double() for side in sides):
        left, right = torch.broadcast_tensors(left, right)
        excess = left - right if relation == "<=" else (left - right).abs()
        room = atol + rtol * right.abs().nan_to_num(posinf=0.0)  # an infinite side leaves no room
        holds = (left == right) | (excess <= room)
        if not holds.all():
            worst = _largest(excess, ~holds)
            if of and relation != "<=":
                raise CheckFailed(told(f"{of}: ({number}) {_apart(left, right, holds, worst, rtol)}", hint))
            pair = f"{left.flatten()[worst]:.8g} {relation} {right.flatten()[worst]:.8g}"
            within = f"to within {room.flatten()[worst]:.1g}"
            said = f"({number}) {pair} does not hold{_at(worst, left)}, {within}"
            raise CheckFailed(told(f"{of}: {said}" if of else said, hint))
    tick(f"{f'{of}: ' if of else ''}({number}) {_equation(sides, relation, standard_error, coarse[1])}")


def _equation(sides: list[Tensor], relation: str, standard_error: float | None, rounding: float) -> str:
    """The first entries beside each other. Where they differ, what is below `rounding` is 0: its digits are those of
    this machine's rounding errors, and another prints others.
    """
    count, first = max(side.numel() for side in sides), [side.flatten()[0].item() for side in sides]
    if len({f"{value:.5g}" for value in first}) > 1:
        first = [0.0 if abs(value) < rounding else value for value in first]
    text = f" {relation} ".join(f"{value:.5g}" for value in first)
    text += f", and so in all {count} entries" if count > 1 else ""
    return text + (f" (standard error {standard_error:.1g})" if standard_error else "")


def _difference(got: Any, truth: Any, rtol: float | None, atol: float | None) -> str:
    """What is wrong with `got`, without a full stop, or an empty string."""
    if got is None and truth is not None:
        return f"expected {_brief(truth)}, got None (is the return statement missing?)"
    if isinstance(truth, torch.Size):
        came = tuple(got) if isinstance(got, tuple | list) else _brief(got)
        return "" if came == tuple(truth) else f"expected shape {tuple(truth)}, got {came}"
    if isinstance(truth, tuple | list) and not _is_numbers(truth):
        return _parts_differ(got, truth, rtol, atol)
    if isinstance(truth, bool):
        if isinstance(got, Tensor) and got.dtype == torch.bool and got.numel() == 1:
            got = got.item()
        if not isinstance(got, bool | np.bool_):
            return f"expected {truth}, got {_brief(got)}"
        wrong = "this does not hold" if truth else "this holds, but should not"
        return "" if got == truth else wrong
    if not isinstance(truth, Tensor | np.ndarray | Number | tuple | list):
        same = type(got) is type(truth) and bool(got == truth)
        return "" if same else f"expected {_brief(truth)}, got {_brief(got)}"
    numeric = isinstance(got, Tensor | np.ndarray | Number) or _is_numbers(got)
    if not numeric or (isinstance(truth, Tensor) and truth.ndim and not isinstance(got, Tensor)):
        return f"expected {_brief(truth)}, got {_brief(got)}"
    return _values_differ(got, truth, rtol, atol)


def _parts_differ(got: Any, truth: Any, rtol: float | None, atol: float | None) -> str:
    if not isinstance(got, tuple | list):
        return f"expected {len(truth)} results, got {_brief(got)}"
    if len(got) != len(truth):
        return f"expected {len(truth)} results, got {len(got)}"
    for i, (one, other) in enumerate(zip(got, truth, strict=True), start=1):
        problem = _difference(one, other, rtol, atol)
        if problem:
            return f"result {i} of {len(truth)}: {problem}"
    return ""


def _values_differ(got: Any, truth: Any, rtol: float | None, atol: float | None) -> str:
    mine, true = _tensor(got), _tensor(truth)
    if mine.shape != true.shape:
        scalar = " (a scalar)" if true.ndim == 0 else ""
        return f"expected shape {tuple(true.shape)}{scalar}, got {tuple(mine.shape)}"
    if isinstance(got, Tensor) and isinstance(truth, Tensor) and mine.dtype != true.dtype:
        return f"expected dtype {_dtype(true)}, got {_dtype(mine)}"
    coarse = max(_tolerance(got), _tolerance(truth))
    rtol, atol = (coarse[0] if rtol is None else rtol), (coarse[1] if atol is None else atol)
    a, b = mine.double(), true.double()
    gap = (a - b).abs()
    equal = (a == b) | (a.isnan() & b.isnan()) | ((gap <= atol + rtol * b.abs()) & b.isfinite())
    if equal.all():
        return ""
    wild = ~equal & ~a.isfinite()
    if wild.any():
        first = int(wild.flatten().int().argmax())
        share = f" ({int(wild.sum())} of {a.numel()} entries are nan or inf)" if a.numel() > 1 else ""
        return f"expected {_number(b, first)}, got {_number(a, first)}{_at(first, a)}{share}"
    return _apart(a, b, equal, _largest(gap, ~equal), rtol)


def _apart(a: Tensor, b: Tensor, equal: Tensor, worst: int, rtol: float) -> str:
    """Where `a` is farthest from the expected `b`, and a plain relation between the two."""
    text = f"expected {_number(b, worst)}, got {_number(a, worst)}{_at(worst, a)}"
    if a.numel() == 1:
        return text + _pattern_of_one(float(a), float(b), rtol)
    share = f"{int((~equal).sum())} of {a.numel()} entries differ"
    return f"{text}, where it differs most ({share}){_pattern(a, b, rtol)}"


def _pattern_of_one(a: float, b: float, rtol: float) -> str:
    """A relation of two numbers that is too plain to be chance: opposite sign, inverse, small whole factor."""
    room = max(rtol, 1e-6)
    if not (math.isfinite(a) and math.isfinite(b) and a * b):
        return ""
    if math.isclose(a, -b, rel_tol=room):
        return "; the sign is the opposite"
    if math.isclose(a * b, 1, rel_tol=room):
        return "; it is one over the expected"
    for factor in (2, 3, 4):
        for name, value in ((f"{factor}", factor), (f"1/{factor}", 1 / factor)):
            if math.isclose(a, value * b, rel_tol=room):
                return f"; it is {name} times the expected"
    return ""


def _pattern(a: Tensor, b: Tensor, rtol: float) -> str:
    """A plain relation between tensors that differ, if there is one: a common factor or offset, or the inverse."""
    a, b = a.flatten(), b.flatten()
    used = b.abs() > 1e-3 * b.abs().max()
    if not b.isfinite().all() or used.sum() < 2 or (b.max() - b.min()) < 1e-3 * b.abs().max():
        return ""
    if bool(((a * b - 1).abs() <= max(rtol, 1e-6)).all()):
        return "; all are one over the expected"
    room = max(rtol, 1e-6) * float(b.abs().max())
    factor, offset = float((a[used] / b[used]).median()), float((a - b).median())
    if abs(factor) > 1e-3 and bool(((a - factor * b).abs() <= room * max(1, abs(factor))).all()):
        opposite = abs(factor + 1) < 1e-3
        return "; the sign is the opposite" if opposite else f"; all are {factor:.4g} times the expected"
    if bool(((a - b - offset).abs() <= room).all()):
        return f"; all are too {'large' if offset > 0 else 'small'} by {abs(offset):.5g}"
    return ""


def _tensor(value: Any) -> Tensor:
    """On the CPU and detached; Python numbers in float64, so that nothing is lost."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray | np.generic):
        return torch.from_numpy(np.array(value))
    return torch.tensor(value, dtype=torch.float64)


def _tolerance(value: Any) -> tuple[float, float]:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return TOLERANCE.get(_tensor(value).dtype, TOLERANCE[torch.float64])
    return TOLERANCE[torch.float32]


def _largest(gap: Tensor, among: Tensor) -> int:
    """Flat index of the largest gap; nan counts as infinite."""
    return int(torch.where(among, gap.nan_to_num(math.inf), -math.inf).argmax())


def _is_numbers(value: Any) -> bool:
    return isinstance(value, tuple | list) and bool(value) and all(isinstance(v, Number) for v in value)


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _number(x: Tensor, index: int) -> str:
    return f"{x.flatten()[index].item():.6g}"


def _at(index: int, x: Tensor) -> str:
    """The place of a flat index, " at [2, 0]"; nothing for a scalar."""
    place = (str(int(i)) for i in np.unravel_index(index, tuple(x.shape)))
    return f" at [{', '.join(place)}]" if x.ndim else ""


def _brief(value: Any) -> str:
    """A value in a few words: the shape of a tensor, the text of small things, the type of the rest."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return f"a {kind} of shape {tuple(value.shape)}" if value.ndim else f"{value.item():.6g}"
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str | Number | type(None)):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"a {type(value).__name__}" + (" (did you mean to call it?)" if callable(value) else "")
