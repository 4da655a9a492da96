"""The script for a machine with a card, rehearsed on the CPU: every part starts, ends, and leaves its result."""

import json
import re
import subprocess
import sys

import pytest

from autograder.checkout import course_root
from benchmarks.gpu import calls, parts


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    out = tmp_path_factory.mktemp("gpu")
    script = course_root() / "benchmarks" / "on_gpu.sh"
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "HOME": str(out)}
    done = subprocess.run([script, "rehearse", out], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out, json.loads((out / "gpu.json").read_text())["gpu"]


def test_every_part_is_rehearsed(rehearsal):
    _, record = rehearsal
    assert list(record["data"]) == ["calls", "tests", "02-vae", "speed", "sampling"]
    assert record["rehearsal"] and record["machine"]["device"] == "cpu"
    lesson = record["data"]["02-vae"]["result"]
    assert not lesson["failures"] and lesson["there"] > 20 and all(run["steps"] <= 20 for run in lesson["runs"])


def test_the_page_says_what_came_of_it(rehearsal):
    out, _ = rehearsal
    page = (out / "gpu.md").read_text()
    for text in ("A rehearsal on the CPU", "| 02-vae |", "## Steps per second", "## Samples per second"):
        assert text in page
    assert (out / "training.png").stat().st_size > 10_000
    assert not (out / "parts").exists()


def test_a_part_that_fails_or_takes_too_long_loses_itself_alone(tmp_path):
    """One that raises, one that hangs after its first result, one that is well."""
    (tmp_path / "parts").mkdir()
    slow = "import pathlib, time; pathlib.Path('%s').write_text('[1]'); time.sleep(600)" % (tmp_path / "slow.json")
    row = [
        parts.Part("bad", ["-c", "raise SystemExit('no such card')"], 60),
        parts.Part("slow", ["-c", slow], 5, tmp_path / "slow.json"),
        parts.Part("good", ["-c", "print('fine')"], 60),
    ]
    found = dict(parts.run(row, tmp_path / "log.txt", {}))
    assert list(found)[-1] == "slow"  # the others are told of before it ends
    assert found["bad"]["exit"] == 1 and found["bad"]["last"] == ["no such card"]
    assert found["slow"]["ended by its limit"] and found["slow"]["result"] == [1]
    assert found["good"]["exit"] == 0 and found["good"]["last"] == ["fine"]


def test_on_a_card_each_lesson_that_trains_runs_within_ten_minutes(tmp_path):
    rows = parts.plan(tmp_path, rehearse=False)
    names = [part.name for row in rows for part in row]
    train = {
        source.parent.name
        for source in (course_root() / "solutions").glob("*/*.py")
        if re.search(r"(?<![.\w])fit\(", source.read_text(encoding="utf-8"))
    }
    assert {"02-vae", "06-sampling", "11-worlds"} <= train
    assert names[:4] == ["calls", "tests", "02-vae", "06-sampling"] and names[4:6] == ["speed", "sampling"]
    assert train <= set(names)
    assert sum(max(part.limit for part in row) for row in rows) <= 560  # and the wheels have to be installed


def test_what_this_pytorch_lacks_is_found():
    source = """
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils import no_such_module, checkpoint
torch.randn(3).no_method_is_looked_at()
torch.no_such_call(3)
nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bent=True)
F.silu(torch.ones(3)), F.no_such_slope(torch.ones(3))
optim.AdamW([], lr=torch.tensor(0.1), fused=True), optim.AdamW([], lr=0.1, melted=True)
torch.cuda.graph_of_nothing
"""
    assert sorted(text for _, text in calls.missing(source)) == [
        "nn.Linear(bent=)",
        "optim.AdamW(melted=)",
        "torch.cuda.graph_of_nothing",
        "torch.nn.functional.no_such_slope",
        "torch.no_such_call",
        "torch.utils.no_such_module",
    ]
