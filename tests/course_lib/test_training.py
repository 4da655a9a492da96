"""The loop against least squares in closed form, and against its promises."""

import copy
import math
import warnings

import pytest
import torch
from small_run import fitted, noisy_error, small_net, weights
from torch import nn

from course_lib import budget, data, fit


def squared_error(model, x, y):
    return ((model(x) - y) ** 2).mean()


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
@pytest.mark.parametrize("kind", [None, torch.optim.AdamW, torch.optim.SGD])
def test_reaches_the_least_squares_solution(schedule, kind):
    torch.manual_seed(0)
    x = torch.randn(256, 3)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.7 + 0.1 * torch.randn(256, 1)
    design = torch.cat([x, torch.ones(256, 1)], 1)
    truth = torch.linalg.lstsq(design, y).solution.flatten()
    decay = (
        {"optimizer": kind}
        if kind is not torch.optim.AdamW
        else {"optimizer": lambda p, lr: kind(p, lr=lr, weight_decay=0)}
    )
    model = nn.Linear(3, 1)
    fit(
        model,
        squared_error,
        (x, y),
        steps=600,
        batch_size=256,
        lr=0.05,
        schedule=schedule,
        progress=False,
        **decay,
    )
    assert torch.allclose(weights(model), truth, atol=2e-3)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
def test_the_learning_rate_follows_pytorchs_own_schedule(schedule):
    steps, model, used = 200, small_net(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def loss(model, x):
        used.append(optimizer.param_groups[0]["lr"])
        return noisy_error(model, x)

    fit(model, loss, data.two_moons(64), steps=steps, optimizer=optimizer, schedule=schedule, progress=False)
    other = torch.optim.SGD(small_net().parameters(), lr=0.01)
    reference = {
        "onecycle": lambda: torch.optim.lr_scheduler.OneCycleLR(other, 0.01, steps),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(other, steps),
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(other, factor=1.0),
    }[schedule]()
    expected = []
    for _ in range(steps):
        expected.append(other.param_groups[0]["lr"])
        other.step()
        reference.step()
    # PyTorch's cycle has its top one step earlier than ours, which ends at 0 after the last step.
    room = 0.02 * 0.01 if schedule == "onecycle" else 1e-9
    assert used == pytest.approx(expected, abs=room)


def test_a_ready_optimizer_keeps_its_own_learning_rates():
    model, used = small_net(), []
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters(), "lr": 0.02}]
    optimizer = torch.optim.SGD(groups)

    def loss(model, x):
        used.append([group["lr"] for group in optimizer.param_groups])
        return noisy_error(model, x)

    for _ in range(2):  # a second run starts as the first one did
        fit(model, loss, data.two_moons(64), steps=4, optimizer=optimizer, schedule="cosine", progress=False)
    factors = [(1 + math.cos(math.pi * step / 4)) / 2 for step in (*range(4), *range(4))]
    for (first, second), factor in zip(used, factors, strict=True):
        assert first == pytest.approx(0.1 * factor) and second == pytest.approx(0.02 * factor)


def test_every_example_once_an_epoch_in_a_new_order_in_equal_batches():
    seen = []

    def loss(model, x):
        seen.append(x[:, 0].tolist())
        return model(x).square().mean()

    points = torch.arange(70.0)[:, None]
    # 3 full batches an epoch, and 10 examples wait
    fit(nn.Linear(1, 1), loss, points, steps=9, batch_size=20, progress=False)
    assert {len(batch) for batch in seen} == {20}
    epochs = [[*seen[i], *seen[i + 1], *seen[i + 2]] for i in (0, 3, 6)]
    assert all(len(set(epoch)) == 60 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert set(epochs[0]) | set(epochs[1]) | set(epochs[2]) == set(range(70))


def test_data_smaller_than_a_batch_is_one_batch():
    sizes = []

    def loss(model, x):
        sizes.append(len(x))
        return model(x).square().mean()

    run = fit(nn.Linear(1, 1), loss, torch.randn(5, 1), steps=3, progress=False)
    assert sizes == [5, 5, 5] and run.losses.shape == (3,)


def test_the_result_depends_on_the_seed_and_on_nothing_outside():
    torch.manual_seed(123)
    first, _ = fitted()
    torch.manual_seed(321)
    again, _ = fitted()
    other, _ = fitted(seed=1)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_chance_outside_goes_on_as_if_fit_had_not_been():
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = small_net()
    torch.manual_seed(5)
    fit(model, noisy_error, data.two_moons(50), steps=3, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_the_average_of_weights_is_the_recursion_of_its_docstring():
    trail = []

    def loss(model, x):
        trail.append(weights(model))
        return noisy_error(model, x)

    model, _ = fitted(loss=loss, ema=0.8, steps=30)
    plain, _ = fitted(steps=30)
    trail.append(weights(plain))  # the raw weights after the last step
    average = trail[0]
    for step, now in enumerate(trail[1:]):
        decay = min(0.8, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * now
    off, lag = ((given - average).abs().max() for given in (weights(model), weights(plain)))
    assert off < 1e-5 < 0.1 * lag  # the raw weights are somewhere else


def test_bfloat16_only_where_asked_on_the_cpu():
    seen = []

    def loss(model, x):
        seen.append(model(x).dtype)
        return noisy_error(model, x).float()

    fitted(loss=loss, steps=1)
    fitted(loss=loss, steps=1, amp=True)
    assert seen == [torch.float32, torch.bfloat16]


def test_budget(monkeypatch):
    assert budget(2000) == 2000
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert budget(2000) == 20 and budget(7) == 7
    monkeypatch.setenv("COURSE_BUDGET", "full")
    assert budget(2000) == 2000
    monkeypatch.delenv("NBGRADER_EXECUTION")
    monkeypatch.setenv("COURSE_BUDGET", "short")
    assert budget(2000) == 20
    monkeypatch.setenv("COURSE_BUDGET", "tiny")
    with pytest.raises(ValueError, match='expected "short", "full"'):
        budget(2000)


@pytest.mark.parametrize("name, value", [("COURSE_PROGRESS", "off"), ("NBGRADER_EXECUTION", "autograde")])
def test_no_bar_where_nobody_watches(monkeypatch, capfd, name, value):
    monkeypatch.setenv(name, value)
    fitted(progress=True, steps=5)
    assert capfd.readouterr() == ("", "")


def test_a_bar_where_somebody_does(capfd):
    fitted(progress=True, steps=40, label="error")
    assert "minimising error" in capfd.readouterr().err


def test_history():
    _, run = fitted(steps=50, label="squared error")
    assert run.steps.tolist() == list(range(1, 51))
    assert run.final == pytest.approx(run.losses[-5:].mean().item())
    expected = torch.stack([run.losses[max(0, i - 9) : i + 1].mean() for i in range(50)])
    assert torch.allclose(run.smoothed(10), expected, atol=1e-5)
    assert repr(run).startswith("History(50 steps, squared error ")


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"steps": 0}, ValueError, "steps=0; expected at least 1"),
        ({"schedule": "linear"}, ValueError, "expected one of 'onecycle', 'cosine', 'constant'"),
        ({"ema": 1.0}, ValueError, r"expected a decay in \[0, 1\)"),
        ({"amp": "maybe"}, ValueError, 'expected True, False or "auto"'),
        (
            {"loss": lambda model, x: None},
            TypeError,
            "expected a scalar tensor, got NoneType; is a return missing",
        ),
        ({"loss": lambda model, x: model(x).sum(1)}, ValueError, r"got shape \(32,\); end it with .mean\(\)"),
        ({"loss": lambda model, x: x.mean()}, ValueError, "does not depend on the model's parameters"),
        ({"points": (torch.randn(3, 2), torch.randn(4, 2))}, ValueError, r"lengths \[3, 4\]"),
        ({"points": [[1.0, 2.0]]}, TypeError, "expected data as one tensor"),
    ],
)
def test_errors_say_what_to_change_in_one_line(options, error, message):
    with pytest.raises(error, match=message) as caught:
        fitted(**options)
    assert "\n" not in str(caught.value)


def test_the_model_is_left_ready_for_use():
    model, _ = fitted(steps=2)
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert torch.equal(weights(copy.deepcopy(model)), weights(model))


@pytest.mark.cuda
@pytest.mark.parametrize("graph", [False, True])
def test_no_synchronisation_between_two_looks(graph):
    """A run looks at the device twenty times, however long it is; the debug mode counts every wait."""
    device = torch.device("cuda")
    model, points = small_net().to(device), data.two_moons(4000, device=device)
    fit(model, noisy_error, points, steps=60, graph=graph, progress=False)  # warm up

    def waits(steps):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                fit(model, noisy_error, points, steps=steps, graph=graph, progress=False)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return len([w for w in caught if "synchroniz" in str(w.message).lower()])

    assert waits(1000) == waits(4000) < 120
