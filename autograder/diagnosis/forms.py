"""What is plain from the form of the answers alone: everything that is wrong is wrong in one such way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..sandbox.wire import decode
from .asked import Call, Heard, Scene
from .comparing import Raised, apart, differs, finite
from .makers import is_times
from .questions import ENOUGH, Questions

Told = tuple[str, str]  # name, hint
Wrong = list[tuple[Any, Any]]

_TENSOR_FLOW = (
    "The values are right, but training needs their slope: no detach, no item, no numpy and no no_grad between inputs "
    "and result."
)
_ALL_AXES = "Ask of every axis whether it is summed, averaged or kept, and compare the shape with the one asked for."
REDUCED: tuple[tuple[str, Callable[[torch.Tensor], torch.Tensor]], ...] = (
    ("a mean over the batch is missing: one value for each example in place of one", lambda v: v.mean(0)),
    ("a sum over the batch is missing: one value for each example in place of one", lambda v: v.sum(0)),
    ("a mean over all entries is missing", lambda v: v.mean()),
    ("a sum over all entries is missing", lambda v: v.sum()),
    ("a sum over the event is missing", lambda v: v.flatten(min(1, v.ndim - 1)).sum(-1)),
    ("a mean over the event is missing", lambda v: v.flatten(min(1, v.ndim - 1)).mean(-1)),
    ("only the last of many values is asked for", lambda v: v[-1]),
    ("only the first of many values is asked for", lambda v: v[0]),
)


def certain(questions: Questions) -> Told | None:
    """(name, hint) of what is plain from the form; None where nothing is."""
    wrong = questions.wrong
    if not wrong:
        return None
    tellers = (_overwritten, _gradients, _recorded, _refusals, _shapes, _asking)
    found = next((told for told in (tell(questions, wrong) for tell in tellers) if told), None)
    return found or _axes(questions) or _not_finite(questions)


def _overwritten(questions: Questions, wrong: Wrong) -> Told | None:
    for question, _ in wrong:
        if not isinstance(question, Scene) or isinstance(question.got[0], Raised) or not _request(question, "inputs"):
            return None
    return (
        "an input is overwritten",
        "The caller still needs what it handed over: work on a new tensor, without += and without functions that end "
        "in an underscore.",
    )


def _gradients(questions: Questions, wrong: Wrong) -> Told | None:
    """Slopes that are not there. Where some are, the arguments that have none are told."""
    without: dict[str, None] = {}
    for question, _ in wrong:
        if not isinstance(question, Scene) or len(question.exchanges) > 1:
            return None
        got, op = question.got[0], _request(question, "op")
        if op == "carries" and got is False:
            continue
        if op not in ("gradient", "slopes"):
            return None
        if isinstance(got, Raised):
            if "does not require grad" not in got.cause:
                return None
            continue
        if not isinstance(got, list):
            return None
        if op == "slopes":
            if any(item is not None for item in got):
                return None
            continue
        missing = [i for i, item in zip(_request(question, "wrt"), got, strict=False) if item is None]
        if not missing:
            return None
        if len(missing) < len(got):
            without |= dict.fromkeys(questions.names[i] for i in missing if i < len(questions.names))
    if without:
        return f"no gradient reaches {' and '.join(without)}", _TENSOR_FLOW
    return "no gradient flows", _TENSOR_FLOW


def _recorded(questions: Questions, wrong: Wrong) -> Told | None:
    for question, truth in wrong:
        if not isinstance(question, Scene) or _request(question, "op") != "carries":
            return None
        if question.got[0] is not True or truth[0] is not False:
            return None
    return (
        "gradients are recorded",
        "Nothing is learned here: under torch.no_grad() no graph grows, and the memory of every step is free again.",
    )


def _refusals(questions: Questions, wrong: Wrong) -> Told | None:
    """What should have been refused, and was not, or by another exception."""
    others = 0
    for question, truth in wrong:
        if not isinstance(truth, Raised) or not truth.cause.startswith(("ValueError", "TypeError", "IndexError")):
            return None
        others += isinstance(question.got, Raised)
    if others == len(wrong):
        return "refused by another exception", "Raise the exception that the text asks for, before anything else fails."
    if others:
        return None
    return (
        "what has to be refused is accepted",
        "A misspelt or impossible argument must not silently mean something: raise the exception that the text asks "
        "for.",
    )


def _shapes(questions: Questions, wrong: Wrong) -> Told | None:
    """The right numbers in a wrong form, or those that still have to be put together."""
    pairs = [(q.got, truth) for q, truth in wrong if isinstance(q, Call) and not isinstance(q.got, Raised)]
    if not pairs or not all(_tensors(*pair) for pair in pairs):
        return None
    if all(got.dtype != truth.dtype and _same(got, truth) for got, truth in pairs):
        return "the dtype is another", "Compare the dtype with the one asked for, or keep that of the inputs."
    if (
        not all(got.shape != truth.shape for got, truth in pairs)
        or sum(len(finite(truth)) for _, truth in pairs) < ENOUGH
    ):
        return None
    if all(_same(got.reshape(-1), truth.reshape(-1)) for got, truth in pairs):
        return "right values in a wrong form", "Compare the shape with the one asked for."
    for name, reduce in REDUCED:
        if all(_put_together(reduce, got, truth) for got, truth in pairs):
            return name, _ALL_AXES
    return None


def _put_together(reduce: Callable[[torch.Tensor], torch.Tensor], got: torch.Tensor, truth: torch.Tensor) -> bool:
    return got.ndim > truth.ndim and got.numel() > 0 and _same(reduce(got), truth)


def _asking(questions: Questions, wrong: Wrong) -> Told | None:
    """A function of the check's that is asked too often, not often enough, or with something of another form, whichever
    right formula is taken.
    """
    calls = [question for question, _ in wrong if isinstance(question, Call) and question.length]
    found = {
        _askings(questions, call, call.put(right, whole=True)) for call in calls for right, _ in questions.formulas
    }
    return found.pop() if len(found) == 1 else None


def _askings(questions: Questions, call: Call, truth: Any) -> Told | None:
    names = [name for name, value in questions.named(call).items() if isinstance(value, Heard)]
    if not isinstance(call.got, list) or not isinstance(truth, list):
        return None
    for name, asked, rightly in zip(names, call.got, truth, strict=False):
        for one, other in zip(asked, rightly, strict=False):
            if len(one) == len(other) and differs(one, other):
                return next((_handed(name, *pair) for pair in zip(one, other, strict=True) if differs(*pair)), None)
        if len(asked) != len(rightly):
            often = "too often" if len(asked) > len(rightly) else "not often enough"
            return (
                f"{name} is asked {often}",
                "Write down for the first and the last step when it is asked, and count.",
            )
    return None


def _handed(name: str, got: Any, truth: Any) -> Told | None:
    """What is wrong with the form of what a function of the check's was asked."""
    hint = "Compare what it is handed with what the text says: shape, dtype and unit."
    if not isinstance(truth, torch.Tensor):
        return None
    if not isinstance(got, torch.Tensor):
        return (f"{name} gets a plain number in place of a tensor", hint) if isinstance(got, int | float) else None
    one, other = got.detach().double(), truth.detach().double()
    if got.dtype != truth.dtype and got.shape == truth.shape and torch.equal(one, other):
        return f"{name} gets a tensor of another dtype", hint
    if (
        got.shape != truth.shape
        and bool((other == other.flatten()[0]).all())
        and bool((one == other.flatten()[0]).all())
    ):
        return f"{name} gets one number in a form other than one for each example", hint
    if is_times(truth) and got.is_floating_point() and got.shape == truth.shape and bool((one != 0).all()):
        ratio = other / one
        if bool((ratio == ratio[0]).all()):
            return f"{name} gets times in another unit", hint
    return None


def _axes(questions: Questions) -> Told | None:
    """Right for events of some numbers of axes, and of a wrong form for all others."""
    for question, truth in questions.wrong:
        got = question.got if isinstance(question, Call) else question.got[0]
        if isinstance(truth, Raised):
            return None
        if isinstance(got, Raised):
            if not any(word in got.cause for word in ("size", "shape", "dim")):
                return None
        elif isinstance(question, Scene) or not _tensors(got, truth) or _one_shape(got, truth):
            return None
    calls = [q for q in _right(questions) if isinstance(q.got, torch.Tensor) and q.got.numel() > 1]
    found = [_rank(question.args) for question, _ in questions.wrong], [_rank(question.args) for question in calls]
    if not found[1] or set(found[0]) & set(found[1]) or not _enough(calls):
        return None
    return (
        "the number of axes is taken for granted",
        "An event may have any number of axes: make the trailing axes of a coefficient by those of the data.",
    )


def _not_finite(questions: Questions) -> Told | None:
    """All that is wrong is NaN or infinite, and there is enough beside it that is right."""
    right = _right(questions)
    numbers: list[torch.Tensor] = []
    for question, truth in questions.wrong:
        for got, expected in _parts(question.got, truth):
            if not _tensors(got, expected) or not _one_shape(got, expected):
                return None
            off = apart(got, expected)
            if not bool(torch.isfinite(expected[off]).all()) or bool(torch.isfinite(got[off]).any()):
                return None
            numbers.append(got[off].double())
    if not _enough(right) or not numbers or not sum(map(len, numbers)):
        return None
    return NAN if bool(torch.cat(numbers).isnan().any()) else INFINITE


NAN = (
    "NaN where a number belongs",
    "The formula is right where it can be computed as it stands. Look for 0 times infinity, infinity minus infinity, "
    "or the logarithm or root of a negative number, and treat that case by itself.",
)
INFINITE = (
    "infinite where a number belongs",
    "Something leaves the range of the numbers on the way: an exponential under- or overflows, or a logarithm meets "
    "zero. Stay with logarithms until the end.",
)


def _right(questions: Questions) -> list[Call]:
    """The calls that came out right, by numbers."""
    wrong = {id(question) for question, _ in questions.wrong}
    return [q for q in questions.all if isinstance(q, Call) and id(q) not in wrong and not isinstance(q.got, Raised)]


def _parts(got: Any, truth: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(got, list | tuple) and isinstance(truth, list | tuple) and len(got) == len(truth):
        for pair in zip(got, truth, strict=True):
            yield from _parts(*pair)
    elif isinstance(got, float) and isinstance(truth, float):
        yield torch.tensor(got, dtype=torch.float64), torch.tensor(truth, dtype=torch.float64)
    else:
        yield got, truth


def _tensors(got: Any, truth: Any) -> bool:
    both = isinstance(got, torch.Tensor) and isinstance(truth, torch.Tensor)
    return both and got.is_floating_point() and truth.is_floating_point()


def _one_shape(got: Any, truth: Any) -> bool:
    return bool(got.shape == truth.shape)


def _same(got: torch.Tensor, truth: torch.Tensor) -> bool:
    return got.shape == truth.shape and not bool(apart(got.to(truth.dtype), truth).any())


def _enough(questions: list[Call]) -> bool:
    """Whether answers hold numbers enough, which vary."""
    found = torch.cat([torch.zeros(0, dtype=torch.float64), *(finite(question.got) for question in questions)])
    return len(found) >= ENOUGH and bool((found != found[0]).any())


def _rank(args: list[Any]) -> int:
    return max((value.ndim for value in args if isinstance(value, torch.Tensor)), default=0)


def _request(scene: Scene, key: str) -> Any:
    return decode(scene.exchanges[0].request, lambda reference: None).get(key)
