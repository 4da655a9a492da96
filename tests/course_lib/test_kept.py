"""A recording is used again by later chains. On the CPU, with a tape for the graph; on CUDA where there is a card."""

import contextlib
import gc
import types
import warnings
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from walked import TIMES, Scaled, small, walk

from autograder.sandbox.pretend_gpu import POSSIBLE, WAITS, pretend_gpu
from course_lib import chain, chains
from course_lib.training import graphs
from course_lib.training.kept import KEPT, Kept


def half(x, t):
    return 0.5 * x


def test_a_later_chain_replays_what_an_earlier_recorded(recordings):
    """With another x, other times, moved weights and other noise; what came before is not written over."""
    net, table = small(), torch.linspace(0.1, 0.9, 26)

    def step(x, t):
        return x + 0.1 * table[t][:, None] * net(x) + 0.1 * torch.randn_like(x)

    first = walk(step)
    held = first.clone()
    walk(step, torch.randn(3, 2))
    walk(step, times=[*range(20), 25, 24, 23, 22, 21])
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(1.5)
        table.neg_()
    walk(step)
    assert torch.equal(first, held)
    assert sum(recordings) == 1


def test_a_step_made_anew_of_the_same_things_is_the_same(recordings):
    """As each call of a student's `sample(net, n)` makes its own."""
    net, table = small(), torch.linspace(0.1, 0.9, 26)

    def sample(w):
        def mean(x, t):
            return x + w * table[t][:, None] * net(x)

        return walk(lambda x, t: mean(x, t))

    sample(0.1), sample(0.1)
    assert sum(recordings) == 1
    sample(0.2), sample(0.2)
    assert sum(recordings) == 2


def test_a_step_that_fills_a_cache_is_not_kept_until_it_is_full(recordings):
    """The first recording may read what the step has put away, and would read it when it is put away anew."""
    cache = {}

    def step(x, t):
        if "table" not in cache:
            cache["table"] = torch.linspace(0.1, 0.9, 26)
        return x * cache["table"][t][:, None]

    chain(step, torch.ones(3, 2), TIMES, progress=False)
    assert len(KEPT) == 0 and sum(recordings) == 1
    walk(step), walk(step)
    assert len(KEPT) == 1 and sum(recordings) == 2
    cache.clear()
    walk(step)
    assert sum(recordings) == 3


def test_a_chain_that_breaks_off_keeps_nothing(recordings, monkeypatch):
    walk(half)
    assert len(KEPT) == 1

    @contextlib.contextmanager
    def interrupted(*_, **__):
        yield types.SimpleNamespace(update=lambda: (_ for _ in ()).throw(KeyboardInterrupt))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(chains, "bar", interrupted)
        chain(half, torch.linspace(-1, 1, 6).view(3, 2), TIMES)
    assert len(KEPT) == 0
    walk(half)


def test_recordings_keep_no_network_alive(recordings):
    def used():
        net = small()
        walk(lambda x, t: x + 0.1 * net(x))
        return weakref.ref(net)

    gone = used()
    assert len(KEPT) == 1
    gc.collect()
    assert gone() is None


def test_the_last_four_are_kept():
    kept = Kept(4)
    for number in range(5):
        kept.put(number, str(number))
    assert [kept.take(number) for number in range(5)] == [None, "1", "2", "3", "4"] and len(kept) == 0
    kept.put(1, "one")
    assert kept.take(1) == "one" and kept.take(1) is None  # whoever has it has it alone


def test_two_evaluations_come_before_a_recording_and_none_before_a_replay(recordings):
    calls = []

    def counted(x, t):
        calls.append(1)
        return 0.5 * x

    chain(counted, torch.ones(3, 2), TIMES, progress=False)
    assert len(calls) == 3 and sum(recordings) == 1  # the third is the recording itself


@pytest.mark.parametrize("fails", ["waits", "changes"])
def test_what_cannot_be_recorded_is_said_once_and_walked_plainly(recordings, monkeypatch, fails):
    def waits(call):
        raise RuntimeError("called a synchronizing CUDA operation\nand more lines")

    if fails == "waits":
        monkeypatch.setattr(graphs, "without_waiting", waits)
    step = half if fails == "waits" else lambda x, t: x * np.random.rand()
    reason = "called a synch" if fails == "waits" else "it changes with"
    x = torch.ones(3, 2)
    with pytest.warns(RuntimeWarning, match=f"not recorded as a CUDA graph, so slower: {reason}") as caught:
        end = chain(step, x, TIMES, progress=False)[0]
    assert len(caught) == 1 and "\n" not in str(caught[0].message) and caught[0].filename == __file__
    assert not recordings and len(KEPT) == 0
    assert fails == "changes" or torch.allclose(end, x * 0.5**25)


def test_an_error_of_the_steps_own_is_not_hidden(recordings):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), warnings.catch_warnings():
        warnings.simplefilter("error")
        chain(lambda x, t: x @ torch.ones(5, 5), torch.ones(3, 2), TIMES, progress=False)


@pytest.mark.skipif(not POSSIBLE, reason="this PyTorch knows no devices made in Python")
def test_the_host_waits_no_more_often_for_a_kept_recording(recordings, monkeypatch):
    """Nothing that `reads` looks at is fetched from the device; on the pretended one nothing is recorded but called."""
    monkeypatch.setattr(graphs, "capture", lambda call, device: recordings.append(1) or call)
    monkeypatch.setattr(graphs, "random_state", lambda device: {device.type: None})
    with pretend_gpu() as device:
        model, x = Scaled().to(device), torch.ones(3, 2, device=device)
        model.table["a"][1] = model.table["a"][1].to(device)
        waits = []
        for _ in range(3):
            WAITS.clear()
            chain(model, x, TIMES, progress=False)
            waits.append(WAITS.total())
        assert sum(recordings) == 1 and waits[1] == waits[2] <= waits[0] and waits[1] <= 2


@pytest.mark.cuda
def test_on_cuda_a_kept_recording_is_the_plain_chain():
    """Weights moved in place, another x, other times, another seed, and after a recording that breaks off."""
    device = torch.device("cuda")
    KEPT.clear()
    net, table = small().to(device), torch.linspace(0.1, 0.9, 26, device=device)

    def step(x, t):
        return x + 0.1 * table[t][:, None] * net(x) + 0.1 * torch.randn_like(x)

    def both(seed, x, times):
        ends = []
        for graph in (False, True):
            torch.manual_seed(seed)
            ends.append(chain(step, x, times, graph=graph, progress=False, model=net)[0])
        torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)

    both(0, torch.randn(64, 2, device=device), TIMES)
    assert len(KEPT) == 1
    both(1, torch.randn(64, 2, device=device), [*range(20), 25, 24, 23, 22, 21])
    with torch.no_grad():
        net[0].weight.mul_(2)
    both(2, torch.randn(64, 2, device=device), TIMES)
    assert len(KEPT) == 1
    net[0].weight = nn.Parameter(net[0].weight.detach() / 2)
    both(3, torch.randn(64, 2, device=device), TIMES)
    assert len(KEPT) == 2
    with pytest.raises(RuntimeError):
        graphs.capture(lambda: table.sum().item(), device)
    assert len(KEPT) == 0
    both(4, torch.randn(64, 2, device=device), TIMES)
