"""What decides whether a computation is recorded. The recording itself needs CUDA; here a stand-in takes its place."""

import copy
import functools
import random
import warnings

import numpy as np
import pytest
import torch
from tape import record
from torch import nn

from course_lib import chain, data, fit, networks
from course_lib.training import graphs, loop
from course_lib.training.graphs import Recorded, recorded, repeats_itself

CPU = torch.device("cpu")


@pytest.fixture
def trail(monkeypatch):
    """Stand-ins that say what was done; "recording" counts nothing, as a real one executes nothing."""
    done = []

    def capture(call, device):
        done.append("record")
        return lambda: (done.append("replay"), call())[1]

    def on_side_stream(call, device):
        done.append("warm up")
        call()

    def without_waiting(call):
        done.append("check")
        call()

    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(graphs, "on_side_stream", on_side_stream)
    monkeypatch.setattr(graphs, "without_waiting", without_waiting)
    return done


@pytest.fixture
def emulated(monkeypatch):
    """`fit` on the CPU as it goes on CUDA, with a tape of the step's operations for the graph."""
    taken = []

    def capture(call, device):
        replay = None

        def again():
            nonlocal replay
            if replay is None:
                _, replay = record(call)
                taken.append(call)
            else:
                replay()

        return again

    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(graphs, "on_side_stream", lambda call, device: call())
    monkeypatch.setattr(graphs, "without_waiting", lambda call: call())
    monkeypatch.setattr(loop, "_recording", lambda graph, *rest: bool(graph))
    return taken


def stop_after(step):
    """In place of the look at the device: Ctrl-C at the first one after `step`."""

    def look(state, weights, window):
        if state.done > step:
            raise KeyboardInterrupt
        return 0.0

    return look


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ema": 0.9},
        {"optimizer": functools.partial(torch.optim.AdamW, weight_decay=0.1), "schedule": "cosine"},
        {"batch_size": 1000, "schedule": "constant"},
    ],
)
def test_a_recorded_run_is_the_plain_one(emulated, monkeypatch, tmp_path, options):
    """The whole way of a run: learning rate, average, new orders of the data, and going on from a checkpoint."""
    torch.manual_seed(0)
    first = networks.mlp([2, 16, 2])
    second, third = copy.deepcopy(first), copy.deepcopy(first)
    options = {"steps": 70, "batch_size": 32, "progress": False, **options}
    points = data.two_moons(200)
    plain = fit(first, noisy_error, points, graph=False, **options)
    replayed = fit(second, noisy_error, points, **options)
    assert len(emulated) == 1
    assert torch.allclose(plain.losses, replayed.losses, rtol=1e-4)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)  # the learning rate is a float32 tensor

    saving = {**options, "checkpoint": tmp_path / "run.pt", "checkpoint_every": 20}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_finite_mean", stop_after(40))
        fit(copy.deepcopy(third), noisy_error, points, **saving)
    again = fit(third, noisy_error, points, **saving)
    assert again.resumed_at == 40
    assert torch.equal(again.losses, replayed.losses)
    for a, b in zip(third.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_call_counts_whether_warm_up_or_replay(trail):
    count = []
    counted = Recorded(lambda: count.append(1), CPU)
    for calls in range(1, 8):
        counted()
        assert len(count) == calls
    warm_up = ["warm up", *["warm up", "check"] * (graphs.WARM_UP - 1)]
    assert trail == [*warm_up, "record", *["replay"] * 4]


@pytest.mark.parametrize("at", ["check", "capture"])
def test_what_cannot_be_recorded_goes_on_as_it_is_with_one_warning(trail, monkeypatch, at):
    """The failing call is repeated plainly, with the chance it would have had."""

    def fails(call, *device):
        call() if at == "check" else None
        raise RuntimeError("called a synchronizing CUDA operation\nand more lines")

    monkeypatch.setattr(graphs, "without_waiting" if at == "check" else "capture", fails)
    sum_of_noise = torch.zeros(())
    wrote = []

    def call():
        value = torch.rand(())
        if len(wrote) < 20:  # as an optimiser's step, which comes after what fails
            wrote.append(value)
        sum_of_noise.add_(value)

    failing = Recorded(call, CPU)
    torch.manual_seed(0)
    with pytest.warns(RuntimeWarning, match="not recorded as a CUDA graph, so slower: called a synch") as caught:
        for _ in range(8):
            failing()
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    torch.manual_seed(0)
    truth = [torch.rand(()) for _ in range(8)]
    repeated = wrote if at == "capture" else [*wrote[:1], *wrote[2:]]  # the one that failed drew its noise again
    assert repeated == truth


def test_an_error_that_is_the_callers_own_is_not_hidden(trail):
    def call():
        raise ValueError("loss has shape (3,)")

    with pytest.raises(ValueError, match="loss has shape"):
        Recorded(call, CPU)()


def test_a_value_that_changes_with_the_host_does_not_repeat_itself():
    count = 0

    def counting():
        nonlocal count
        count += 1
        return torch.tensor(1.0 + count / 1000)

    x = torch.ones(3)
    assert repeats_itself(lambda: torch.randn(3).sum(), CPU)
    assert repeats_itself(lambda: torch.tensor(float("nan")), CPU)
    assert not repeats_itself(counting, CPU)
    assert not repeats_itself(lambda: x.sum() * random.random(), CPU)
    assert not repeats_itself(lambda: x.sum() * np.random.rand(), CPU)


def test_what_changes_with_the_host_is_left_unrecorded_with_one_warning(trail):
    calls = []
    with pytest.warns(RuntimeWarning, match="not recorded as a CUDA graph, so slower: it changes with") as caught:
        taken = recorded(lambda: calls.append(1), lambda: torch.tensor(random.random()), CPU)
    for _ in range(6):
        taken()
    assert len(calls) == 6 and len(caught) == 1 and trail == []
    assert isinstance(recorded(lambda: None, lambda: torch.rand(2).sum(), CPU), Recorded)


def test_the_question_leaves_chance_as_it_was():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    repeats_itself(lambda: torch.rand(5).sum(), CPU)
    assert torch.equal(torch.rand(2), expected)


def test_a_graph_that_cannot_be_is_refused_in_one_line():
    model, points = networks.mlp([2, 4, 2]), data.two_moons(50)
    for graph, message in ((True, "graph=True needs a model on CUDA"), ("yes", 'expected True, False or "auto"')):
        with pytest.raises(ValueError, match=message):
            fit(model, lambda m, x: m(x).square().mean(), points, steps=3, graph=graph, progress=False)


def noisy_error(model, x):
    return ((model(x + 0.3 * torch.randn_like(x)) - x) ** 2).mean()


@pytest.mark.cuda
@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"optimizer": torch.optim.AdamW}, {"schedule": "cosine"}])
def test_on_cuda_a_recorded_run_is_the_plain_one(options):
    points = data.two_moons(1000, device=torch.device("cuda"))
    torch.manual_seed(0)
    first = networks.mlp([2, 32, 2]).cuda()
    second = copy.deepcopy(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = fit(first, noisy_error, points, steps=300, graph=False, progress=False, **options)
        replayed = fit(second, noisy_error, points, steps=300, graph=True, progress=False, **options)
    assert torch.allclose(plain.losses, replayed.losses, rtol=1e-3)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.cuda
@pytest.mark.parametrize("kind", ["item", "mask", "counter"])
def test_on_cuda_a_loss_that_cannot_be_recorded_trains_all_the_same(kind):
    points = data.two_moons(1000, device=torch.device("cuda"))
    calls = 0

    def loss(model, x):
        nonlocal calls
        calls += 1
        error = (model(x) - x) ** 2
        if kind == "item":
            return error.mean() / max(error.mean().item(), 0.1)
        return error[x > 0].mean() if kind == "mask" else error.mean() * (1 + calls / 1000)

    model = networks.mlp([2, 32, 2]).cuda()
    with pytest.warns(RuntimeWarning, match="not recorded as a CUDA graph"):
        run = fit(model, loss, points, steps=200, progress=False)
    assert run.losses.isfinite().all() and run.losses[-20:].mean() < run.losses[:5].mean()
    assert torch.randn(3, device="cuda").isfinite().all()  # chance is still in order


@pytest.mark.cuda
def test_on_cuda_chance_survives_a_recording_that_breaks_off():
    x = torch.zeros(3, device="cuda")

    def call():
        torch.randn(3, device="cuda")
        x.sum().item()

    before = torch.cuda.current_stream()
    with pytest.raises(RuntimeError):
        graphs.capture(call, x.device)
    assert torch.cuda.current_stream() == before
    assert torch.randn(3, device="cuda").isfinite().all()
    assert chain(lambda x, t: x + torch.randn_like(x), x, range(30))[0].isfinite().all()
    assert nn.Linear(3, 1).cuda()(x).isfinite().all()
