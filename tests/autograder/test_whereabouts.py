"""What a GPU refuses is refused without one: held against the pretended GPU, which looks at every operation below
autograd, where `Whereabouts` looks at calls from Python.
"""

import numpy
import pytest
import torch

from autograder.sandbox.pretend_gpu import POSSIBLE, OnGpu, pretend_gpu
from autograder.sandbox.whereabouts import THERE, Here, Whereabouts


def refusal(function, args):
    return Whereabouts().refusal(function, args)


X, T = torch.tensor([0.5, 2.0, 1.5], dtype=torch.float64), torch.tensor([1, 0, 2])


def filled(x, t):
    out = torch.zeros(3, dtype=x.dtype)
    for i in range(3):
        out[i] = x[i]
    return out


def written(x, t):
    out = torch.zeros_like(x)
    out[1] = 3.0
    out[T] = x
    return out


FORGOTTEN = {
    "zeros": lambda x, t: x + torch.zeros(3),
    "arange in the middle": lambda x, t: (x[:, None] * torch.arange(4).double().exp()).sum(1),
    "full for the times": lambda x, t: x[torch.full((3,), 1)] * torch.full((3,), 2.0),
    "eye": lambda x, t: torch.eye(3, dtype=x.dtype) @ x,
    "linspace returned": lambda x, t: torch.linspace(0, 1, len(x)),
    "a list of numbers": lambda x, t: torch.tensor([float(v) for v in x]),
    "filled on the CPU": filled,
    "cat": lambda x, t: torch.cat([torch.ones(1, dtype=x.dtype), x]),
    "where": lambda x, t: torch.where(torch.arange(3) == 1, x, 0.0),
    "a table of the CPU, indexed": lambda x, t: torch.arange(9)[t] * x,
    "brought to the CPU": lambda x, t: x.cpu() + 1,
    "to the CPU by name": lambda x, t: x.to("cpu").exp() * x,
    "a generator's numbers": lambda x, t: x + torch.randn(3, generator=torch.Generator().manual_seed(0)),
    "a number of the GPU with a tensor of the CPU": lambda x, t: torch.arange(3) * x.max(),
    "in place": lambda x, t: x.clone().mul_(torch.full((3,), 2.0)),
    "searchsorted": lambda x, t: torch.searchsorted(torch.linspace(0, 3, 4, dtype=x.dtype), x),
}
RIGHT = {
    "zeros_like": lambda x, t: x + torch.zeros_like(x),
    "device=": lambda x, t: x + torch.arange(3, device=x.device),
    "new_tensor": lambda x, t: torch.cat([x.new_ones(1), x]),
    "a number": lambda x, t: x * torch.tensor(2.0).sqrt(),
    "written into its own": written,
    "moved to the other's device": lambda x, t: torch.arange(3).to(x) + x,
    "moved to the device": lambda x, t: torch.arange(3).to(x.device) + x,
    "moved with a dtype": lambda x, t: torch.eye(3).to(device=x.device, dtype=x.dtype) @ x,
    "the device's own context": lambda x, t: x + torch.tensor([1.0, 2.0, 3.0], device=x.device),
    "indices of the CPU": lambda x, t: x[torch.tensor([2, 1])],
    "indices of its own": lambda x, t: x[t] + x.gather(0, t),
    "a shape alone": lambda x, t: torch.ones(3).expand_as(x).to(x.device) * x,
    "a norm's two parts": lambda x, t: x.max(0).values + x.sort().values,
    "a list of its own": lambda x, t: torch.stack([v for v in x]),
    "gradients": lambda x, t: torch.autograd.grad((y := x.detach().requires_grad_()).exp().sum(), y)[0],
    "a scalar that is made": lambda x, t: x.sum() + torch.zeros(()),
}


@pytest.mark.parametrize("function", FORGOTTEN.values(), ids=FORGOTTEN.keys())
def test_a_forgotten_device_is_refused(function):
    assert refusal(function, [X.clone(), T.clone()])


@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT.keys())
def test_what_a_gpu_would_do_is_not_refused(function):
    assert refusal(function, [X.clone(), T.clone()]) == ""


@pytest.mark.skipif(not POSSIBLE, reason="there is a real GPU")
@pytest.mark.parametrize(
    ("function", "refused"),
    [*((f, True) for f in FORGOTTEN.values()), *((f, False) for f in RIGHT.values())],
    ids=[*FORGOTTEN, *RIGHT],
)
def test_the_pretended_gpu_refuses_the_same(function, refused):
    with pretend_gpu() as device:
        x, t = X.to(device), T.to(device)
        try:
            there = isinstance(value := function(x, t), OnGpu) or not value.ndim
        except RuntimeError:
            there = False
    assert there != refused


def test_whoever_is_handed_a_tensor_of_the_cpu_refuses_it_and_answers_there():
    def model(x, t):
        return torch.ones(3, dtype=torch.float64)

    assert refusal(lambda f, x: x * f(x, torch.full((3,), 1)), [model, X])
    assert refusal(lambda f, x: x * f(x, torch.full((3,), 1, device=x.device)), [model, X]) == ""


def test_the_message_names_the_operation_and_another_error_is_nobodys():
    assert refusal(lambda x: x + torch.zeros(3), [X]) == "add"
    assert refusal(lambda x: torch.zeros(3), [X]) == "return"
    assert refusal(lambda x: x @ torch.zeros(4, 4, device=x.device), [X]) is None
    assert refusal(lambda x: torch.from_numpy(numpy.sin(x.numpy())).to(x.device), [X]) == ""


def test_a_block_leaves_nothing_behind():
    with Whereabouts():
        assert X.device == THERE and X.is_cuda
        made = torch.zeros(2)
        assert type(made) is Here and made.device.type == "cpu"
        assert type(made.to(X.device)) is torch.Tensor
    assert X.device.type == "cpu" and type(torch.zeros(2)) is torch.Tensor


def test_values_are_what_they_are_without_it():
    plain = [function(X, T) for function in RIGHT.values()]
    with Whereabouts():
        watched = [function(X, T) for function in RIGHT.values()]
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
