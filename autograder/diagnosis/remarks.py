"""What can be said of wrong values whose mistake has no name: a plain relation, or which inputs matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..sandbox.wire import decode
from .makers import is_times
from .search import Call, Questions, Raised, Scene, differs, finite

NICE = {2.0: "twice", 0.5: "half", 3.0: "three times", 4.0: "four times", 0.25: "a quarter of", -1.0: "minus"}
CLOSE = 1e-6


def remark(questions: Questions) -> str:
    """One or two sentences; "" where nothing plain can be said. No expected value is told."""
    calls = [(question, truth) for question, truth in questions.wrong if isinstance(question, Call)]
    if not calls:
        return ""
    said = _degenerate(calls) or _relation(calls) or _kept(calls)
    where = [text for text in (_by_time(questions), _by_size(questions), _by_precision(questions)) if text]
    return " ".join([*([said] if said else []), *where[:1]])


def certain(questions: Questions) -> tuple[str, str] | None:
    """(name, hint) of what is plain from the form of the answers alone: all that is wrong is of one such kind."""
    scenes = [question for question, _ in questions.wrong]
    if not scenes or not all(isinstance(question, Scene) for question in scenes):
        return None
    if all(_overwritten(question) for question in scenes if isinstance(question, Scene)):
        return (
            "an input is overwritten",
            "The caller still needs what it handed over: work on a new tensor, without += and without functions that "
            "end in an underscore.",
        )
    if all(_cut(question) for question in scenes if isinstance(question, Scene)):
        return (
            "no gradient flows",
            "The values are right, but training needs their slope: no detach, no item, no numpy and no no_grad between "
            "inputs and result.",
        )
    return None


def nearly(questions: Questions) -> tuple[str, str] | None:
    """(name, hint) of values that are off by next to nothing: too much for rounding, too little for a wrong formula."""
    pairs = [_pair(question.got, truth) for question, truth in questions.wrong]
    if not pairs or any(pair is None for pair in pairs):
        return None
    found = [pair for pair in pairs if pair]
    if sum(len(a) for a, _ in found) < 3 or any(_apart(a, b) > 1e-3 for a, b in found):
        return None
    if all(bool((a == a.float().double()).all()) for a, _ in found):
        return "computed in single precision", "Keep the dtype of the inputs throughout."
    return (
        "off by next to nothing: a small constant, a clamp or an approximation",
        "The formula holds as it stands: nothing is added to a sum, a root or a divisor to keep it from zero.",
    )


def _apart(got: torch.Tensor, truth: torch.Tensor) -> float:
    return float((got - truth).abs().max() / truth.abs().max().clamp(min=1e-300))


def _overwritten(scene: Scene) -> bool:
    request = decode(scene.exchanges[0].request, lambda reference: None)
    return bool(request.get("inputs")) and not isinstance(scene.got[0], Raised)


def _cut(scene: Scene) -> bool:
    request, got = decode(scene.exchanges[0].request, lambda reference: None), scene.got[0]
    if len(scene.exchanges) > 1 or request["op"] not in ("gradient", "slopes"):
        return False
    if isinstance(got, Raised):
        return "does not require grad" in got.cause
    return all(item is None for item in (got.values() if isinstance(got, dict) else got or [0]))


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


def _kept(calls: Wrong) -> str:
    """An argument that came back as it was."""
    for name in ("args",):
        for question, _ in calls:
            given = getattr(question, name)
            same = [
                i
                for i, value in enumerate(given)
                if isinstance(value, torch.Tensor) and not differs(question.got, value)
            ]
            if not same:
                return ""
    return "The function returns one of its arguments unchanged."


def _by_time(questions: Questions) -> str:
    """Which times come out right."""
    right: set[int] = set()
    wrong: set[int] = set()
    for question in questions.all:
        truth = question.put(questions.right) if isinstance(question, Call) else None
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
