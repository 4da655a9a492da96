"""What a recording depends on is noticed when it changes, and what cannot be noticed is recorded anew.

On the CPU, with a tape for the graph: used after a number has changed, or a parameter's place, it gives another result
than the plain chain. That is what is looked for here.
"""

import collections
import functools
import sys
import types

import numpy as np
import pytest
import torch
import walked
from torch import nn
from walked import Scaled, Shared, small, walk

from course_lib import chains
from course_lib.training.kept import KEPT
from course_lib.training.reads import reads

CPU = torch.device("cpu")
strengths = types.ModuleType("strengths")
strengths.common = 1.0


def by_module(x, t):
    return x * strengths.common + 0.01


def test_a_plain_recording_would_be_wrong(recordings, monkeypatch):
    """The tape does freeze: with one key for everything the result is another."""
    monkeypatch.setattr(chains, "_key", lambda step, x, table: ("always",))
    model = Scaled()
    walk(model)
    model.factor = 0.4
    with pytest.raises(AssertionError):
        walk(model)


def replace_a_weight(model):
    model.net[0].weight = nn.Parameter(model.net[0].weight.detach() * 2)


def move_a_weight(model):
    model.net[0].weight.data = model.net[0].weight.data * 2


def replace_a_layer(model):
    model.net[1] = nn.Tanh()


def set_a_number(model):
    model.factor = 0.4


def set_a_number_within(model):
    model.table["a"][0] = 0.9


def replace_a_tensor_within(model):
    model.table["a"][1] = torch.linspace(1, 0, 26)


def add_a_hook(model):
    model.net.register_forward_hook(lambda module, args, output: 2 * output)


def set_the_classes(model):
    Shared.share = 0.7


def set_a_global(model):
    walked.strength = 2.0


def set_the_precision_of_products(model):
    torch.backends.cuda.matmul.fp32_precision = "tf32"


@pytest.fixture
def as_before():
    precision = torch.backends.cuda.matmul.fp32_precision
    yield
    torch.backends.cuda.matmul.fp32_precision = precision
    Shared.share, walked.strength, strengths.common = 0.3, 1.0, 1.0


@pytest.mark.parametrize(
    "change",
    [
        replace_a_weight,
        move_a_weight,
        replace_a_layer,
        set_a_number,
        set_a_number_within,
        replace_a_tensor_within,
        add_a_hook,
        set_the_classes,
        set_a_global,
        set_the_precision_of_products,
    ],
)
def test_what_changes_in_a_module_is_noticed(recordings, as_before, change):
    model = Scaled()
    before = walk(model)
    assert torch.equal(walk(model), before) and sum(recordings) == 1
    change(model)
    walk(model)
    assert sum(recordings) == 2


def test_the_mode_is_noticed(recordings):
    """Of a network that `chain` is not told of, so that it stays as it is."""
    net = nn.Sequential(small(), nn.Dropout(0.5))

    def step(x, t):
        return x + 0.1 * net(x)

    for training, count in ((True, 1), (False, 2), (True, 2)):
        net.train(training)
        walk(step)
        assert sum(recordings) == count
    walk(step, model=net)
    assert sum(recordings) == 2 and net.training


SCALES = {"numpy": np.array([0.5, 0.25]), "list": [0.5]}


def helper(x):
    return 0.5 * x


def default(x, t, w=0.5):
    return w * x


@pytest.mark.parametrize(
    "kind", ["array", "list", "helper", "default", "partial", "module", "autocast", "dtype", "shape"]
)
def test_what_changes_around_a_function_is_noticed(recordings, as_before, monkeypatch, kind):
    steps = {
        "array": lambda x, t: x * float(SCALES["numpy"][0]),
        "list": lambda x, t: x * SCALES["list"][0],
        "helper": lambda x, t: helper(x),
        "default": default,
        "partial": functools.partial(default, w=0.25),
        "module": by_module,
    }
    step, x = steps.get(kind, lambda x, t: x @ torch.eye(2, dtype=x.dtype) * 0.5), torch.ones(3, 2)
    walk(step, x), walk(step, x)
    assert sum(recordings) == 1
    if kind == "array":
        SCALES["numpy"] *= 0.5
    elif kind == "list":
        SCALES["list"][0] *= 0.5
    elif kind == "helper":
        monkeypatch.setattr(sys.modules[__name__], "helper", lambda x: 0.25 * x)
    elif kind == "default":
        monkeypatch.setattr(default, "__defaults__", (0.75,))
    elif kind == "partial":
        step = functools.partial(default, w=0.75)
    elif kind == "module":
        strengths.common = 0.5
    elif kind in ("dtype", "shape"):
        x = x.double() if kind == "dtype" else torch.ones(4, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        walk(step, x)
    assert sum(recordings) == 2


half = 0.5


class Slots:
    __slots__ = ("__dict__", "w")


class Queue(collections.deque):
    """What it holds is in no `__dict__`."""


class Numbers(list):
    pass


def unseen_steps():
    slots, noise, large = Slots(), torch.Generator(), np.ones(5000)
    slots.w = 0.5
    queue, numbers = Queue([0.5]), Numbers([0.5])

    def imports(x, t):
        import math

        return math.cos(0.5) * x

    return {
        "slots": lambda x, t: slots.w * x,
        "deque": lambda x, t: queue[0] * x,
        "list's child": lambda x, t: numbers[0] * x,
        "lookup": lambda x, t: globals()["half"] * x,
        "import": imports,
        "generator": lambda x, t: x + 0 * noise.initial_seed(),
        "large table": lambda x, t: x * float(large[0]) / 2,
    }


@pytest.mark.parametrize("kind", unseen_steps())
def test_what_cannot_be_seen_is_recorded_each_time(recordings, kind):
    step = unseen_steps()[kind]
    assert reads(step, CPU) is None
    walk(step), walk(step)
    assert sum(recordings) == 2 and len(KEPT) == 0
