"""What only a card can show: the whole of `fit` there, beside the CPU and beside itself.

Recordings have their tests in `test_graphs.py` and `test_chains.py`, waiting in `test_training.py`, the order in memory
in `test_layout.py`. All of them are run by `benchmarks/on_gpu.sh`.
"""

import copy
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from course_lib import chain, data, fit, networks, seed_everything
from course_lib.device import get_device

pytestmark = pytest.mark.cuda
CUDA = torch.device("cuda")
ALONE = """
import sys, torch
from test_cuda import noisy, plain_error, trained
from course_lib import get_device
loss = {"noisy": noisy, "plain": plain_error}[sys.argv[2]]
weights = trained(get_device(), steps=60, loss=loss, ema=0.9).parameters()
torch.save([w.detach().cpu() for w in weights], sys.argv[1])
"""


def noisy(model, x):
    return ((model(x + 0.3 * torch.randn_like(x)) - x) ** 2).mean()


def plain_error(model, x):
    return ((model(x) - x) ** 2).mean()


def small_net(seed=0):
    torch.manual_seed(seed)
    return networks.mlp([2, 32, 2])


def trained(device="cuda", steps=200, loss=noisy, **options):
    model = small_net().to(device)
    fit(model, loss, data.two_moons(1000, device=torch.device(device)), steps=steps, progress=False, **options)
    return model


def assert_near(first, second, atol):
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(a.cpu(), b.cpu(), atol=atol), (a.cpu() - b.cpu()).abs().max()


def test_the_device_is_found(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE")
    assert get_device() == CUDA
    first = torch.randn(3, device=CUDA, generator=seed_everything(3))
    assert torch.equal(first, torch.randn(3, device=CUDA, generator=seed_everything(3)))


def test_the_card_learns_what_the_cpu_learns():
    """The order of the data is drawn on the device, so this is one batch, seen again and again, without noise."""
    options = dict(steps=100, loss=plain_error, batch_size=1000, lr=1e-3)
    assert_near(trained("cpu", **options), trained("cuda", **options), atol=2e-3)


def test_the_same_seed_gives_the_same_run_and_another_another():
    first, second = trained(seed=1, ema=0.9), trained(seed=1, ema=0.9)
    assert_near(first, second, atol=1e-3)
    with pytest.raises(AssertionError):
        assert_near(first, trained(seed=2, ema=0.9), atol=5e-3)


def test_chance_outside_goes_on_as_if_nothing_had_been():
    model, points = small_net().cuda(), data.two_moons(1000, device=CUDA)
    torch.manual_seed(5)
    expected = torch.randn(3, device=CUDA)
    torch.manual_seed(5)
    fit(model, noisy, points, steps=120, progress=False)
    assert torch.equal(torch.randn(3, device=CUDA), expected)


@pytest.mark.parametrize("graph", [False, True])
def test_a_run_goes_on_from_its_checkpoint(tmp_path, graph):
    """Broken off in the middle, then continued: the weights, average and losses of the run that was not."""
    options = dict(steps=200, ema=0.9, progress=False, graph=graph)
    points = data.two_moons(1000, device=CUDA)
    straight, broken, resumed = (small_net().cuda() for _ in range(3))
    whole = fit(straight, noisy, points, **options)

    calls = 0

    def breaking(model, x):  # a recording would freeze the counter, so this run is a plain one
        nonlocal calls
        calls += 1
        if calls == 130:
            raise KeyboardInterrupt
        return noisy(model, x)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(broken, breaking, points, checkpoint=path, checkpoint_every=50, **{**options, "graph": False})
    rest = fit(resumed, noisy, points, checkpoint=path, checkpoint_every=50, **options)
    assert rest.resumed_at == 100
    assert torch.allclose(rest.losses, whole.losses, rtol=1e-3)
    assert_near(straight, resumed, atol=1e-3)


def test_a_checkpoint_of_the_card_is_read_on_the_cpu(tmp_path):
    """Written on a machine with a card, continued on a laptop."""
    path = tmp_path / "run.pt"
    there = trained(checkpoint=path)
    assert_near(there, trained("cpu", checkpoint=path), atol=1e-6)  # done already: nothing is left to train


@pytest.mark.parametrize("kind", ["noisy", "plain"])
def test_one_process_under_torchrun_is_one_process(tmp_path, monkeypatch, kind):
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    script, path = tmp_path / "alone.py", tmp_path / "weights.pt"
    script.write_text(ALONE)
    command = ["-m", "torch.distributed.run", "--nproc-per-node=1", str(script), str(path), kind]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    # Kernels that add up in no fixed order part two processes: by 1e-3 after 200 steps, seen on one card.
    model = trained(steps=60, loss=noisy if kind == "noisy" else plain_error, ema=0.9)
    for mine, theirs in zip(model.parameters(), torch.load(path), strict=True):
        assert torch.allclose(mine.cpu(), theirs, atol=1e-3)
    if kind == "noisy":
        with pytest.raises(AssertionError):
            assert_near(model, trained(steps=60, seed=1, ema=0.9), atol=1e-3)


class Images(nn.Module):
    """A small convolutional network with a group norm, told the time."""

    def __init__(self):
        super().__init__()
        self.inlet, self.norm, self.outlet = (
            nn.Conv2d(1, 16, 3, padding=1),
            nn.GroupNorm(4, 16),
            nn.Conv2d(16, 1, 3, padding=1),
        )
        self.time = nn.Linear(1, 16)

    def forward(self, x, t):
        h = self.norm(self.inlet(x)) + self.time(t.to(x.dtype)[:, None] / 100)[..., None, None]
        return self.outlet(torch.nn.functional.silu(h))


def diffusion_loss(table):
    def loss(model, x0):
        t, eps = torch.randint(1, len(table), (len(x0),), device=x0.device), torch.randn_like(x0)
        kept = table[t][:, None, None, None]
        return ((model(kept.sqrt() * x0 + (1 - kept).sqrt() * eps, t) - eps) ** 2).mean()

    return loss


@pytest.mark.parametrize("channels_last", [False, True, "auto"])
def test_diffusion_on_images_recorded_and_plain(channels_last):
    """Training and a whole chain of 100 steps, replayed and by single calls."""
    table = torch.linspace(1, 0.01, 101, device=CUDA)
    images = data.digits("train", flat=False, range=(-1, 1), device=CUDA)
    torch.manual_seed(0)
    first = Images().cuda()
    second = copy.deepcopy(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model, graph in ((first, False), (second, True)):
            fit(
                model,
                diffusion_loss(table),
                images,
                steps=200,
                graph=graph,
                channels_last=channels_last,
                progress=False,
            )
    assert_near(first, second, atol=5e-3)  # convolutions add up in another order

    def step(x, t):
        return x - 0.02 * first(x, t) + 0.1 * table[t][:, None, None, None] * torch.randn_like(x)

    x, results = torch.randn(32, 1, 8, 8, device=CUDA), []
    for graph in (False, True):
        torch.manual_seed(1)
        results.append(chain(step, x, range(100, 0, -1), model=first, graph=graph)[0])
    assert torch.allclose(*results, atol=1e-3)
