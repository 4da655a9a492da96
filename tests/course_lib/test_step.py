"""The step against a loop written by hand, and its promise to a CUDA graph: nothing of it depends on the host."""

import copy
import math

import pytest
import torch
from tape import record
from torch import nn

from course_lib import data, networks
from course_lib.training.checkpoint import TrainingState
from course_lib.training.rates import average_gains, blend_, make_optimizer, rate_factors
from course_lib.training.step import LossOf, Step

STEPS, SIZE, LR = 40, 32, 0.01


def noisy_error(model, x):
    return ((model(x + 0.3 * torch.randn_like(x)) - x) ** 2).mean()


def by_hand(model, x, *, kind, ema):
    """PyTorch as in its tutorials: numbers for learning rate and decay, one epoch's order at a time."""
    optimizer = kind(model.parameters(), lr=LR)
    average, losses = copy.deepcopy(model), []
    for step in range(STEPS):
        place = step % (len(x) // SIZE)
        if place == 0:
            order = torch.randperm(len(x))
        optimizer.param_groups[0]["lr"] = LR * (1 + math.cos(math.pi * step / STEPS)) / 2
        loss = noisy_error(model, x[order[place * SIZE : (place + 1) * SIZE]])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        decay = min(ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, now in zip(average.parameters(), model.parameters(), strict=True):
                kept.copy_(decay * kept + (1 - decay) * now)
    return losses, [*model.parameters()], [*average.parameters()]


def parts(model, x, *, kind, ema, recordable):
    weights = list(model.parameters())
    optimizer = make_optimizer(kind, weights, LR, recordable)
    if recordable:  # float32 on CUDA; here the comparison deserves all digits
        optimizer.param_groups[0]["lr"] = torch.full((), LR, dtype=torch.float64)
    state = TrainingState(
        model,
        optimizer,
        losses=torch.full((STEPS,), math.nan, dtype=x.dtype),
        order=torch.arange(len(x)),
        clock=torch.zeros(1, dtype=torch.long),
        average=[w.detach().clone() for w in weights],
    )
    batches = len(x) // SIZE
    rows = state.order[: batches * SIZE].view(batches, SIZE)
    lrs = [LR * factor for factor in rate_factors("cosine", STEPS)]
    return state, Step(state, LossOf(model, noisy_error), [x], rows, lrs=lrs, gains=average_gains(ema, STEPS))


def run(state, call):
    for step in range(STEPS):
        if step % (len(state.order) // SIZE) == 0:
            torch.randperm(len(state.order), out=state.order)
        call(step)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_step_recorded_once_and_repeated_is_the_loop_written_by_hand(kind):
    """No number of the host changes from step to step: else the repetition of the third step would differ."""
    x = data.two_moons(200).double()
    torch.manual_seed(0)
    plain = networks.mlp([2, 16, 2]).double()
    model = copy.deepcopy(plain)
    torch.manual_seed(1)
    losses, weights, average = by_hand(plain, x, kind=kind, ema=0.8)

    torch.manual_seed(1)
    state, step = parts(model, x, kind=kind, ema=0.8, recordable=True)
    repeat = None

    def call(number):
        nonlocal repeat
        if number < 2:  # the optimiser's memory must be there first, as in a graph's warm-up
            step()
        elif repeat is None:
            _, repeat = record(step)
        else:
            repeat()

    run(state, call)
    assert state.clock.item() == STEPS
    assert torch.allclose(state.losses, torch.tensor(losses, dtype=torch.float64), rtol=1e-10, atol=0)
    for got, truth in zip([*model.parameters(), *state.average], [*weights, *average], strict=True):
        assert torch.allclose(got, truth, rtol=0, atol=1e-10)


def test_the_tape_catches_a_number_that_the_host_changes():
    """The test above can fail: a learning rate that is a number stays what it was when it was recorded."""
    x, model = data.two_moons(200).double(), networks.mlp([2, 16, 2]).double()
    state, step = parts(model, x, kind=torch.optim.Adam, ema=0.8, recordable=False)
    for rate in (0.1, 0.2):
        state.optimizer.param_groups[0]["lr"] = rate
        step()
    before = [w.detach().clone() for w in model.parameters()]
    _, repeat = record(step)
    state.optimizer.param_groups[0]["lr"] = 0.0
    moved = [w.detach().clone() for w in model.parameters()]
    repeat()
    assert not torch.equal(before[0], moved[0])
    assert not torch.equal(moved[0], model[0].weight)


def test_the_average_in_three_launches_is_the_one_in_one():
    """On CUDA the blend goes another way than on the CPU; both are the recursion."""
    torch.manual_seed(0)
    weights = [torch.randn(4, 3), torch.randn(2)]
    average = [torch.randn(4, 3), torch.randn(2)]
    expected = [a + 0.3 * (w - a) for a, w in zip(average, weights, strict=True)]
    one = [a.clone() for a in average]
    blend_(one, weights, torch.tensor(0.3))
    three = [a.clone() for a in average]
    on_cuda = torch.tensor(0.3).as_subclass(type("OnCuda", (torch.Tensor,), {"is_cuda": True}))
    blend_(three, weights, on_cuda)
    for got in (one, three):
        assert all(torch.allclose(g, e, atol=1e-6) for g, e in zip(got, expected, strict=True))


@pytest.mark.parametrize("kind", [None, torch.optim.Adam, torch.optim.AdamW])
def test_the_optimizer_is_fused_unless_told_otherwise(kind):
    weights = [nn.Parameter(torch.ones(3))]
    assert make_optimizer(kind, weights, 0.1, recordable=False).param_groups[0]["fused"]
    plain = make_optimizer(lambda p, lr: torch.optim.Adam(p, lr=lr, foreach=False), weights, 0.1, recordable=True)
    assert not plain.param_groups[0]["fused"] and plain.param_groups[0]["lr"] == 0.1
    ready = torch.optim.SGD(weights, lr=0.5)
    assert make_optimizer(ready, weights, 0.1, recordable=False) is ready
