"""What can be said of wrong values whose mistake has no name: a plain relation, or which inputs matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from .asked import Call
from .comparing import differs, finite
from .forms import INFINITE, NAN
from .makers import is_times
from .questions import Questions

NICE = {2.0: "twice", 0.5: "half", 3.0: "three times", 4.0: "four times", 0.25: "a quarter of", -1.0: "minus"}
CLOSE = 1e-6
NEAR = 1e-3  # as a share of the largest right value


def remark(questions: Questions) -> str:
    """One or two sentences; "" where nothing plain can be said. No expected value is told."""
    calls = [(question, truth) for question, truth in questions.wrong if isinstance(question, Call)]
    if not calls:
        return ""
    said = unchanged(questions) or _degenerate(calls) or _relation(calls)
    where = [text for text in (_by_time(questions), _by_size(questions), _by_precision(questions)) if text]
    return " ".join([*([said] if said else []), *where[:1]])


def nearly(questions: Questions) -> tuple[str, str] | None:
    """(name, hint) of values that are right but for what is not finite, or off by next to nothing: too much for
    rounding, too little for a wrong formula.
    """
    pairs = [_entries(question.got, truth) for question, truth in questions.wrong]
    close = [pair for pair in pairs if pair and not bool((pair[2][torch.isfinite(pair[2])] > NEAR).any())]
    if any(pair is None for pair in pairs) or 2 * len(close) <= len(pairs):
        return None  # at an extreme input next to nothing may become much, but not at most inputs
    got, truth, apart = (torch.cat(column) for column in zip(*close, strict=True))
    finite_truth, finite_got = torch.isfinite(truth), torch.isfinite(got)
    both = finite_truth & finite_got
    if bool((finite_truth & ~finite_got).all()):
        return None
    exact = not bool((apart[both] > 1e-7).any())
    if exact and bool((torch.isnan(got) & ~torch.isnan(truth)).any()):
        return NAN
    if exact and bool((finite_truth & ~finite_got).any()):
        return INFINITE
    if bool((torch.isinf(truth) & (got != truth)).any()):
        return (
            "finite where infinity belongs",
            "What is impossible has an infinite logarithm: it is neither left out nor clamped.",
        )
    if int(both.sum()) < 3 or exact:
        return None
    if bool((got[both] == got[both].float().double()).all()):
        return "computed in single precision", "Keep the dtype of the inputs throughout."
    return (
        "off by next to nothing: a small constant, a clamp or an approximation",
        "The formula holds as it stands: nothing is added to a sum, a root or a divisor to keep it from zero.",
    )


def _entries(got: Any, truth: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """All entries of two answers of one form, and how far apart they are as a share of the largest right one; None
    where the forms differ.
    """
    if isinstance(got, list | tuple) and isinstance(truth, list | tuple) and len(got) == len(truth):
        parts = [_entries(a, b) for a, b in zip(got, truth, strict=True)]
        kept = [part for part in parts if part]
        if len(kept) < len(parts) or not parts:
            return None
        one, two, three = zip(*kept, strict=True)
        return torch.cat(one), torch.cat(two), torch.cat(three)
    number = torch.Tensor | float | int
    if not isinstance(got, number) or not isinstance(truth, number):
        return None
    a, b = (torch.as_tensor(value).detach().double() for value in (got, truth))
    if a.shape != b.shape:
        return None
    largest = b[torch.isfinite(b)].abs().max().clamp(min=1e-300) if bool(torch.isfinite(b).any()) else torch.ones(())
    return a.flatten(), b.flatten(), ((a - b).abs() / largest).flatten()


Wrong = list[tuple[Call, Any]]


def _degenerate(calls: Wrong) -> str:
    """Answers that hold no information."""
    answers = [question.got for question, _ in calls if isinstance(question.got, torch.Tensor | float | tuple | list)]
    if len(answers) < len(calls):
        return ""
    flat = [number for answer in answers for number in _numbers(answer)]
    if not flat:
        return ""
    values = torch.cat(flat)
    if bool(torch.isnan(values).all()):
        return "Every value is NaN: look for a logarithm or a root of a negative number, or a division of zero by zero."
    if bool(torch.isinf(values).all()):
        return "Every value is infinite: look for a logarithm of zero or a division by zero."
    if bool((values == 0).all()):
        return "Every value is zero."
    if len(values) > 2 and bool((values == values[0]).all()):
        return "Every value is the same, whatever the inputs."
    return ""


def _numbers(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, torch.Tensor | float | int) and not isinstance(value, bool):
        yield torch.as_tensor(value).detach().double().flatten()


def _relation(calls: Wrong) -> str:
    """One factor or one offset for all values."""
    pairs = [_pair(question.got, truth) for question, truth in calls]
    if any(pair is None for pair in pairs):
        return ""
    got = torch.cat([pair[0] for pair in pairs if pair])
    truth = torch.cat([pair[1] for pair in pairs if pair])
    if len(got) < 3 or bool((truth.abs() < 1e-12).any()) or float((truth - truth[0]).abs().max()) < 1e-9:
        return ""
    if torch.allclose(got, truth, rtol=CLOSE, atol=0.0):  # the form is wrong, not the values
        return ""
    ratio = got / truth
    factor = float(ratio.median())
    if bool(((ratio - factor).abs() <= CLOSE * abs(factor)).all()):
        word = next((word for value, word in NICE.items() if abs(factor - value) < 1e-5 * abs(value)), None)
        if word:
            return f"Every value is {word} the expected one."
        return "All values are off by one and the same factor."
    gap = got - truth
    if bool(((gap - gap[0]).abs() <= CLOSE * gap[0].abs()).all()):
        return f"All values are too {'large' if float(gap[0]) > 0 else 'small'} by the same amount."
    if bool((got > truth).all()) or bool((got < truth).all()):
        return f"Every value is too {'large' if bool((got > truth).all()) else 'small'}."
    return ""


def _pair(got: Any, truth: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Two answers of one form as rows of finite numbers; None where they have none."""
    a, b = finite(got), finite(truth)
    return (a, b) if len(a) == len(b) and len(a) > 0 else None


def unchanged(questions: Questions) -> str:
    """Whether an argument came back as it was: there is no formula in that whose mistake could be searched."""
    calls = [question for question, _ in questions.wrong if isinstance(question, Call)]
    if not calls or not all(_among(question.got, question.args) for question in calls):
        return ""
    return "The function returns one of its arguments unchanged."


def _among(value: Any, given: list[Any]) -> bool:
    return any(isinstance(item, torch.Tensor) and not differs(value, item) for item in given)


def _by_time(questions: Questions) -> str:
    """Which times come out right."""
    right: set[int] = set()
    wrong: set[int] = set()
    for question, truth in questions.wrong:
        if not isinstance(question, Call) or not isinstance(question.got, torch.Tensor):
            continue
        times = next((value for value in question.args if is_times(value) and value.ndim == 1), None)
        if times is None or not isinstance(truth, torch.Tensor) or truth.shape != question.got.shape:
            continue
        if truth.ndim == 0 or len(truth) != len(times):
            continue
        for row, t in enumerate(times.tolist()):
            (wrong if differs(question.got[row], truth[row]) else right).add(int(t))
    if not right or not wrong or right & wrong:
        return ""
    if max(right) < min(wrong):
        return f"Right {_until(max(right))}, wrong from t = {min(wrong)} on."
    if max(wrong) < min(right):
        return f"Wrong {_until(max(wrong))}, right from t = {min(right)} on."
    return ""


def _until(t: int) -> str:
    return "for t = 1" if t == 1 else f"up to t = {t}"


def _by_size(questions: Questions) -> str:
    """Whether one example comes out right and a batch does not."""
    sizes: dict[bool, set[int]] = {True: set(), False: set()}
    wrong = [question for question, _ in questions.wrong]
    for question in questions.all:
        first = next((v for v in question.args if isinstance(v, torch.Tensor) and v.ndim > 1), None)
        if first is not None:
            sizes[question not in wrong].add(len(first))
    if sizes[True] == {1} and sizes[False] and 1 not in sizes[False]:
        return "Right for one example, wrong for a batch."
    return ""


def _by_precision(questions: Questions) -> str:
    """Whether double precision comes out right and single does not."""
    kinds: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    wrong = [question for question, _ in questions.wrong]
    for question in questions.all:
        kinds[question not in wrong] |= {
            v.dtype for v in question.args if isinstance(v, torch.Tensor) and v.is_floating_point()
        }
    if kinds[False] == {torch.float32} and torch.float64 in kinds[True]:
        return "Right in float64, wrong in float32."
    return ""
