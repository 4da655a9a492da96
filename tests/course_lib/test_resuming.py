"""A run that was interrupted, killed or spoilt, against itself from beginning to end."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_run import fitted, noisy_error, small_net, weights

from course_lib import budget, data, fit


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"optimizer": torch.optim.AdamW, "lr": 0.01}])
@pytest.mark.parametrize("break_at", [7, 23, 41])  # in an epoch, and at the start of one
def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, options, break_at):
    options = {"batch_size": 32, "checkpoint_every": 5, "checkpoint": tmp_path / "run.pt", **options}
    straight, run = fitted(**{**options, "checkpoint": None})
    calls = 0

    def breaking(model, x):
        nonlocal calls
        calls += 1
        if calls == break_at:
            raise KeyboardInterrupt
        return noisy_error(model, x)

    with pytest.raises(KeyboardInterrupt):
        fitted(loss=breaking, **options)
    resumed, rerun = fitted(**options)
    assert rerun.resumed_at == (break_at - 1) // 5 * 5
    assert torch.equal(weights(resumed), weights(straight))
    assert torch.equal(rerun.losses, run.losses)


KILLED = """
import os, signal, sys
import torch
from small_run import fitted, noisy_error, weights
torch.set_num_threads(1)
calls, kill_at = 0, int(sys.argv[2])
def killing(model, x):
    global calls
    calls += 1
    if calls == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return noisy_error(model, x)
model, run = fitted(loss=killing, steps=60, ema=0.9, checkpoint=sys.argv[1], checkpoint_every=7)
torch.save([weights(model), run.losses, run.resumed_at], sys.argv[1] + ".result")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_run_killed_without_warning_goes_on_bit_for_bit_in_another_process(tmp_path):
    path, script = tmp_path / "run.pt", tmp_path / "killed.py"
    script.write_text(KILLED)
    here = str(Path(__file__).parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([here, *sys.path])}

    def start(kill_at):
        command = [sys.executable, script, path, str(kill_at)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    assert start(30).returncode == -signal.SIGKILL  # after step 28 is saved, in an epoch
    assert torch.load(path, weights_only=True)["done"] == 28
    answer = start(0)
    assert answer.returncode == 0, answer.stderr[-2000:]
    resumed, losses, resumed_at = torch.load(f"{path}.result", weights_only=True)
    straight, run = fitted(ema=0.9)
    assert resumed_at == 28
    assert torch.equal(resumed, weights(straight)) and torch.equal(losses, run.losses)


def test_a_finished_run_is_taken_from_disk(tmp_path):
    path = tmp_path / "deep" / "run.pt"
    model, run = fitted(checkpoint=path, ema=0.9)

    def never(model, x):
        raise AssertionError("no step should be taken")

    again, rerun = fitted(loss=never, checkpoint=path, ema=0.9)
    assert torch.equal(weights(again), weights(model)) and torch.equal(rerun.losses, run.losses)


def test_a_checkpoint_of_another_run_is_refused_in_one_line(tmp_path):
    path = tmp_path / "run.pt"
    fitted(checkpoint=path)
    with pytest.raises(ValueError, match=r"made with steps=60, this run has steps=61.*delete") as caught:
        fitted(checkpoint=path, steps=61)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="made with optimizer=Adam, this run has optimizer=AdamW"):
        fitted(checkpoint=path, optimizer=torch.optim.AdamW)
    with pytest.raises(ValueError, match="made with examples=200, this run has examples=150"):
        fitted(checkpoint=path, points=data.two_moons(150))
    with pytest.raises(ValueError, match="another model"):
        fit(
            small_net(size=3),
            noisy_error,
            torch.randn(200, 3),
            steps=60,
            batch_size=32,
            checkpoint=path,
            progress=False,
        )


def test_a_short_run_neither_finds_nor_leaves_a_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    fitted(checkpoint=path, steps=budget(60))
    assert not path.exists()
    path.write_bytes(b"left by somebody else")
    fitted(checkpoint=path, steps=budget(60))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    calls = 0

    def diverging(model, x):
        nonlocal calls
        calls += 1
        return noisy_error(model, x) * (math.nan if calls == 38 else 1.0)

    with pytest.raises(FloatingPointError, match="nan at step 38 of 60; lower lr") as caught:
        fitted(loss=diverging, checkpoint=path, checkpoint_every=10)
    assert "\n" not in str(caught.value)
    stored = torch.load(path, weights_only=True)
    assert stored["done"] == 30 and all(w.isfinite().all() for w in stored["model"].values())


def test_weights_spoilt_by_a_gradient_are_not_saved(tmp_path):
    """The loss sqrt(0) is finite, its gradient is not: the next loss would be the first to show it."""
    path = tmp_path / "run.pt"

    def loss(model, x):
        return model(x).square().mean() + (model[0].weight * 0).sum().abs().sqrt()

    with pytest.raises(FloatingPointError, match="weight became nan or inf"):
        fitted(loss=loss, checkpoint=path, steps=1)
    assert not path.exists()
