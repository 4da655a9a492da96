"""Two processes under torchrun, over gloo on the CPU, against one process on the joined batch."""

import os
import subprocess
import sys

import pytest
import torch

from course_lib import data, fit, networks
from course_lib.training.processes import Team

SCRIPT = """
import math, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from course_lib import data, fit, networks
from test_processes import deterministic_run, net, noisy

folder, rank = Path(sys.argv[1]), int(os.environ.get("RANK", 0))
result = {}

torch.manual_seed(100 + rank)  # each process starts with weights of its own; rank 0's count
result["joined"] = deterministic_run(torch.rand(()).item() if rank else None)

seen = []
def watched(model, x):
    seen.append(torch.randn(3))
    return noisy(model, x)
options = {"steps": 12, "batch_size": 32, "checkpoint_every": 4, "ema": 0.9, "progress": True}
points = data.two_moons(100)
straight = net()
run = fit(straight, watched, points, **options)
result["noise"], result["losses"] = seen[0], run.losses

calls = 0
def breaking(model, x):
    global calls
    calls += 1
    if calls == 7:
        raise KeyboardInterrupt
    return watched(model, x)
try:
    fit(net(), breaking, points, checkpoint=folder / "run.pt", **options)
except KeyboardInterrupt:
    pass
resumed = net()
rerun = fit(resumed, watched, points, checkpoint=folder / "run.pt", **options)
result["resumed_at"] = rerun.resumed_at
result["same"] = all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters()))
result["same"] &= torch.equal(run.losses, rerun.losses)

calls = 0
def diverging(model, x):
    global calls
    calls += 1
    return noisy(model, x) * (math.nan if calls == 6 and rank == 1 else 1)
try:
    fit(net(), diverging, points, checkpoint=folder / "bad.pt", **options)
except FloatingPointError as error:
    result["error"] = str(error)
result["kept"] = torch.load(folder / "bad.pt", weights_only=True)["done"]
torch.save(result, folder / f"{rank}.pt")
"""


def net():
    torch.manual_seed(0)
    return networks.mlp([2, 8, 2])


def noisy(model, x):
    return ((model(x + 0.3 * torch.randn_like(x)) - x) ** 2).mean()


class WithUnused(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.unused = net(), torch.nn.Linear(2, 2)

    def encode(self, x):  # a loss may call any method, not forward alone
        return self.body(x)


def deterministic_run(noise_in_weights=None):
    """A loss that draws nothing, a batch of odd size, a weight that is not used; float64."""
    torch.manual_seed(1)
    model = WithUnused().double()
    if noise_in_weights:
        with torch.no_grad():
            model.body[0].weight += noise_in_weights
    x = data.two_moons(100).double()
    run = fit(
        model,
        lambda model, x: ((model.encode(x) - x.flip(1)) ** 2).mean(),
        x,
        steps=30,
        batch_size=31,
        ema=0.8,
        optimizer=torch.optim.AdamW,
        progress=False,
    )
    return [run.losses, *(p.detach() for p in model.parameters())]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What both processes report, and what they printed."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "script.py").write_text(SCRIPT)
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    environment = {k: v for k, v in os.environ.items() if k not in ("COURSE_BUDGET", "NBGRADER_EXECUTION")}
    environment |= {"COURSE_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    answer = subprocess.run(
        [*start, folder / "script.py", folder], env=environment, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)], answer.stdout, answer.stderr


def test_the_result_is_that_of_one_process_on_the_joined_batch(two):
    reports, _, _ = two
    alone = deterministic_run()
    for report in reports:
        assert torch.allclose(report["joined"][0], alone[0], atol=1e-5)  # losses, kept in float32
        for got, truth in zip(report["joined"][1:], alone[1:], strict=True):
            assert torch.allclose(got, truth, rtol=0, atol=1e-10)


def test_each_process_draws_noise_of_its_own_and_knows_the_joint_loss(two):
    (first, second), _, _ = two
    assert not torch.equal(first["noise"], second["noise"])
    assert torch.equal(first["losses"], second["losses"])


def test_resuming_is_exact_in_every_process(two):
    for report in two[0]:
        assert report["resumed_at"] == 4 and report["same"]


def test_a_loss_that_is_no_number_in_one_process_stops_all(two):
    for report in two[0]:
        assert "nan at step 6 of 12" in report["error"] and report["kept"] == 4


def test_one_process_alone_speaks(two):
    _, out, err = two
    assert out.count("going on from step 4 of 12") == 1
    assert "minimising loss" in err


@pytest.mark.parametrize("size, B", [(1, 7), (2, 7), (3, 7), (4, 8), (5, 5)])
def test_shares_cover_the_batch_once_and_their_weights_give_the_joined_mean(size, B):
    values = torch.randn(B, dtype=torch.float64)
    teams = [Team(rank, size) for rank in range(size)]
    assert torch.equal(torch.cat([values[team.share(B)] for team in teams]), values)
    means = [team.weight(B) * values[team.share(B)].mean() for team in teams]
    assert torch.allclose(torch.stack(means).mean(), values.mean())


def test_a_batch_too_small_to_share():
    with pytest.raises(ValueError, match=r"3 processes cannot share a batch of 2; use fewer"):
        Team(0, 3).share(2)


def test_alone_nothing_is_exchanged():
    team, x = Team(), torch.randn(3)
    before = x.clone()
    team.from_leader_(x), team.mean_(x), team.wait()
    assert torch.equal(x, before) and team.collect(5) == [5] and team.leads
    model = net()
    assert team.joined(model, torch.device("cpu")) is model
