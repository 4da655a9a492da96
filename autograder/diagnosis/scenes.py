"""What is plain at the first reply that differs: an input overwritten, a gradient too many or too few, another type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..sandbox.wire import decode
from .asked import Call, Scene
from .comparing import Raised, differs
from .modules import form_of, parameters_of
from .questions import Questions

Told = tuple[str, str]  # name, hint
Step = tuple[dict[str, Any], Any, Any]  # a request, its reply, and the right reply; None where that is not known

OVERWRITTEN = (
    "an input is overwritten",
    "The caller still needs what it handed over: work on a new tensor, without += and without functions that end in an "
    "underscore.",
)
RECORDED = (
    "gradients are recorded",
    "Nothing is learned here: under torch.no_grad() no graph grows, and the memory of every step is free again.",
)
NO_FLOW = (
    "no gradient flows",
    "The values are right, but training needs their slope: no detach, no item, no numpy and no no_grad between inputs "
    "and result.",
)
SIZES = ("The size of tensor", "must match", "shape")  # in what PyTorch says of axes that do not fit
WRONG_AXIS = (
    "the coefficients meet the wrong axis",
    "A number for each example has to meet the first axis of the data: give it trailing axes of length 1.",
)
PARAMETERS = "Go through the layers that the text asks for: which have a weight, which a bias, and of which shapes."
START = (
    "a layer starts from other values",
    "Read once more what the layer does at first, and write the weight and the bias that do it.",
)
LEAKS = "Cut it off where the text says so: by detach(), or under torch.no_grad()."
ANOTHER_SLOPE = (
    "the values are right, their gradient is not: it is cut off where it should flow, or flows where it should be cut",
    "Go through every quantity that the value is made of, and ask whether the gradient may pass it.",
)
TYPES = "Compare the type with the one asked for: a plain number, a tensor, and of which dtype."


def by_reply(questions: Questions) -> Told | None:
    """(name, hint) where every question that went wrong did so in one such way; None otherwise."""
    found = {_told(questions, question, truth) for question, truth in questions.wrong}
    told = found.pop() if len(found) == 1 else None
    return told or _meeting(questions)


def _meeting(questions: Questions) -> Told | None:
    """Right for a single example, and where there are more either refused by PyTorch or wrong, as when a number for
    each example meets another axis.
    """
    sizes: dict[bool, set[int]] = {True: set(), False: set()}
    refused = 0
    wrong = {id(question) for question, _ in questions.wrong}
    for question in questions.all:
        data = [value for value in question.args if isinstance(value, torch.Tensor) and value.ndim > 1]
        if isinstance(question, Call) and data:
            astray = id(question) in wrong
            sizes[astray].add(len(max(data, key=lambda value: value.ndim)))
            refused += astray and isinstance(question.got, Raised) and any(word in question.got.cause for word in SIZES)
    return WRONG_AXIS if refused and sizes[False] == {1} and 1 not in sizes[True] else None


def by_slopes(questions: Questions) -> Told | None:
    """Where values are right and slopes alone are wrong."""
    for question, truth in questions.wrong:
        step = _first(question, truth) if isinstance(question, Scene) else None
        if step is None or step[0].get("op") not in ("gradient", "slopes") or not isinstance(step[1], list):
            return None
    told = questions.wrong and any(isinstance(question, Call) for question in questions.all)
    return ANOTHER_SLOPE if told else None


def _told(questions: Questions, question: Call | Scene, truth: Any) -> Told | None:
    if isinstance(question, Call):
        return _type(question.got, truth)
    if any(_overwritten(*step[:2]) for step in _steps(question, truth)):
        return OVERWRITTEN
    step = _first(question, truth)
    if step is None:
        return None
    request, got, right = step
    if request.get("op") == "parameters":
        return _parameters(questions, question, got)
    if request.get("op") == "carries" and isinstance(got, bool) and isinstance(right, bool):
        return RECORDED if got else NO_FLOW
    if request.get("op") == "gradient" and isinstance(got, list) and isinstance(right, list):
        known = questions.names if isinstance(request.get("target"), str) else ()  # else a module's method
        return _flow([known[i] if i < len(known) else "an input" for i in request["wrt"]], got, right)
    return _type(got, right) if request.get("op") == "call" else None


def _parameters(questions: Questions, scene: Scene, got: Any) -> Told | None:
    """Other parameters than asked for, or others at the start where that does not hang on chance."""
    made = []
    for seed in (0, 1):
        torch.default_generator.manual_seed(seed)
        module = form_of(questions.right, scene.args, scene.kwargs)
        made.append(parameters_of(module) if module is not None else [])
    if not isinstance(got, list) or not made[0]:
        return None
    if len(got) != len(made[0]):
        few = len(got) < len(made[0])
        return "a parameter is missing" if few else "a parameter too many", PARAMETERS
    if any(one.shape != other.shape for one, other in zip(got, made[0], strict=True)):
        return "a parameter has another shape", PARAMETERS
    triples = zip(got, *made, strict=True)
    return START if any(not differs(one, again) and differs(value, one) for value, one, again in triples) else None


def _steps(scene: Scene, truth: Any) -> Iterator[Step]:
    """The requests of a scene one by one, with what came back and what is right, up to the first difference."""
    rights = truth if isinstance(truth, list) else []
    for i, (exchange, got) in enumerate(zip(scene.exchanges, scene.got, strict=False)):
        request = decode(exchange.request, lambda reference: None)
        right = rights[i] if i < len(rights) else None
        if request.get("op") != "several" or not isinstance(got, list):
            yield request, got, right
            continue
        asked = [one for one in request["asked"] if one.get("op") != "elsewhere"]
        others: Sequence[Any] = right if isinstance(right, list) else [None] * len(got)
        for one, reply, other in zip(asked, got, others, strict=False):
            yield one, reply.get("value"), other.get("value") if isinstance(other, dict) else None


def _first(scene: Scene, truth: Any) -> Step | None:
    """The first request whose reply is another than the right one."""
    for request, got, right in _steps(scene, truth):
        if right is None and request.get("op") != "gradient":
            continue
        if differs(got, right):
            return request, got, right
    return None


def _overwritten(request: dict[str, Any], got: Any) -> bool:
    """Whether the arguments after a call are others than before."""
    asked = request.get("inputs")
    if not asked or not isinstance(got, list) or (asked == "too" and len(got) != 2):
        return False
    after = got[1] if asked == "too" else got
    pairs = zip(request["args"], after, strict=False) if isinstance(after, list) else ()
    return any(isinstance(one, torch.Tensor) and differs(other, one) for one, other in pairs)


def _flow(names: Sequence[str], got: list[Any], right: list[Any]) -> Told | None:
    """The arguments that a gradient reaches and should not, or does not reach and should."""
    if len(got) != len(right):
        return None
    told = [(name, _none(one), _none(other)) for name, one, other in zip(names, got, right, strict=False)]
    more = [name for name, nothing, belongs in told if not nothing and belongs]
    less = [name for name, nothing, belongs in told if nothing and not belongs]
    if more and not less:
        return f"a gradient reaches {' and '.join(dict.fromkeys(more))}, where none belongs", LEAKS
    if less and not more:
        return f"no gradient reaches {' and '.join(dict.fromkeys(less))}", NO_FLOW[1]
    return None


def _none(slope: Any) -> bool:
    return slope is None or (isinstance(slope, torch.Tensor) and not bool(slope.any()))


def _type(got: Any, truth: Any) -> Told | None:
    """The right numbers in another type."""
    if isinstance(got, list | tuple) and isinstance(truth, list | tuple) and len(got) == len(truth):
        parts = {_type(*pair) for pair in zip(got, truth, strict=True) if differs(*pair)}
        return parts.pop() if len(parts) == 1 else None
    if isinstance(got, Raised) or isinstance(truth, Raised) or not _alike(got, truth):
        return None
    if isinstance(got, torch.Tensor) and isinstance(truth, torch.Tensor):
        return ("the dtype is another", TYPES) if got.dtype != truth.dtype else None
    if isinstance(got, torch.Tensor) and isinstance(truth, int | float):
        return "a tensor in place of a plain number", TYPES
    if isinstance(got, int | float) and isinstance(truth, torch.Tensor):
        return "a plain number in place of a tensor", TYPES
    return None


def _alike(got: Any, truth: Any) -> bool:
    number = torch.Tensor | int | float
    if not isinstance(got, number) or not isinstance(truth, number):
        return False
    one, other = (torch.as_tensor(value).detach().double() for value in (got, truth))
    return one.shape == other.shape and one.numel() > 0 and torch.allclose(one, other, rtol=1e-5, equal_nan=True)
