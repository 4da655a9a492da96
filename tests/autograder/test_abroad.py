"""What an answer finds on the pretended GPU, and what is noted of it."""

import numpy as np
import pytest
import torch
from there import ThereLink
from torch import nn

from autograder.sandbox.abroad import Abroad, there
from autograder.sandbox.pretend_gpu import NAME, POSSIBLE, NoArray
from autograder.sandbox.wire import Source
from autograder.student import Failure, Remote, is_module

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="this PyTorch knows no devices made in Python")
X = torch.arange(6.0).reshape(3, 2)


class Plain(nn.Module):
    """2x + shift, the shift in a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), 2.0))
        self.listed = [self.weight]
        self.register_buffer("shift", torch.ones(2))

    def forward(self, x):
        return x * self.listed[0] + self.shift


class Forgetful(Plain):
    def __init__(self):
        super().__init__()
        self.table = torch.ones(2)

    def forward(self, x):
        return super().forward(x) + self.table


def train(model, x):
    optimizer = torch.optim.Adam(model.parameters())
    loss = model(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def caught(x):
    try:
        return x + torch.ones(2)
    except RuntimeError:
        return x + 1


TABLE = torch.ones(2)
NOTED = {
    "made in the call": (lambda x: x + torch.ones(2), {"kind": "met", "maker": "ones", "before": False, "like": "x"}),
    "made of what was made": (lambda x: x @ torch.eye(2).flip(0), {"kind": "met", "maker": "eye"}),
    "made before": (lambda x: x + TABLE, {"kind": "met", "maker": ""}),
    "left behind": (lambda x: torch.tensor(x.tolist()), {"kind": "left", "maker": "tensor"}),
    "NumPy": (lambda x: torch.as_tensor(np.sqrt(x)), {"kind": "array"}),
    "another generator": (
        lambda x: torch.randn(2, generator=torch.Generator(), device=x.device),
        {"kind": "generator"},
    ),
    "a layer of the CPU": (lambda x: nn.Linear(2, 2)(x), {"kind": "met"}),
}
RIGHT = {
    "on its device": lambda x: x + torch.ones(2, device=x.device),
    "like it": lambda x: x + torch.ones_like(x),
    "numbers": lambda x: x * torch.tensor(2.0) + torch.zeros(()),
    "an index of the CPU": lambda x: x[torch.tensor([0, 2])],
    "a row times a matrix": lambda x: x[0] @ x.T,
    "inference mode": torch.inference_mode()(lambda x: x[:, 0].clone().add_(1)[torch.argmax(x[:, 0])]),
    "a layer brought along": lambda x: nn.Linear(2, 2).to(x.device)(x),
    "the error caught": caught,
    "another error": lambda x: x + torch.ones(2, device=x.device)[5],
}


def remote(function):
    return Remote(ThereLink(Abroad({"answer": function})), "answer")


@pytest.mark.parametrize(("function", "expected"), NOTED.values(), ids=NOTED)
def test_what_a_gpu_would_refuse_is_noted_once(function, expected):
    answer = remote(function)
    answer(X)
    found = answer.refused()
    assert expected.items() <= found.items()
    assert answer.refused() is None


@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT)
def test_what_a_gpu_would_do_is_not(function):
    answer = remote(function)
    answer(X)
    assert answer.refused() is None


def test_values_are_the_cpus():
    assert torch.equal(remote(lambda x: x @ x.T)(X), X @ X.T)
    assert torch.equal(remote(lambda f, x: f(x) + 1)(lambda x: x.sin(), X), X.sin() + 1)
    (slope,) = remote(lambda x: (x**3).sum()).gradient(X, weights=[torch.ones(())], wrt=[0])
    assert torch.allclose(slope, 3 * X**2)


def test_a_module_moves_once_it_is_made_with_all_that_is_registered():
    model = remote(Plain)
    made = model()
    assert is_module(made) and torch.equal(made(X), 2 * X + 1) and model.refused() is None
    assert torch.equal(made.double()(X.double()), 2 * X.double() + 1)


def test_what_a_module_keeps_without_registering_it_is_left_behind():
    model = remote(Forgetful)
    assert model()(X).is_a("RuntimeError")
    assert {"kind": "met", "maker": "ones", "before": True}.items() <= model.refused().items()


def test_a_training_step_runs_there():
    link = ThereLink(Abroad({"Plain": Plain, "train": train}))
    model, step = Remote(link, "Plain")(), Remote(link, "train")
    assert step(model, X) == pytest.approx((2 * X + 1).square().mean().item())
    assert step(model, X) < (2 * X + 1).square().mean().item()
    assert step.refused() is None


def test_what_the_course_hands_over_computes_where_its_constants_are_and_refuses_the_cpu():
    given = Source("w = torch.tensor([1.0, 2.0])\ndef f(x):\n    return x @ w", "f")
    right, wrong = (remote(f) for f in (lambda f, x: f(x), lambda f, x: f(torch.ones(3, 2))))
    assert torch.equal(right(given, X), X @ torch.tensor([1.0, 2.0])) and right.refused() is None
    for function in (given, lambda x: x):
        assert isinstance(wrong(function, X), Failure)
        assert {"kind": "met", "maker": "ones"}.items() <= wrong.refused().items()


def test_parameters_that_change_in_place_change_there():
    with there():
        x = torch.zeros(1, 2, device=NAME)
        x.squeeze_(0)
        assert x.shape == (2,) and (x @ torch.ones(2, 2, device=NAME)).shape == (2,)
        x.data = torch.ones(2, device=NAME)
        assert x.tolist() == [1.0, 1.0]
        with pytest.raises(NoArray):
            x.numpy()
