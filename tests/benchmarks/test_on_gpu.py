"""The script for a machine with a card, rehearsed on the CPU: every part starts, ends, and leaves its result."""

import json
import subprocess
import sys

import pytest

from autograder.checkout import course_root
from benchmarks.gpu import parts


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
    assert list(record["data"]) == ["tests", "02-vae", "speed", "sampling"]
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
    found = parts.run(row, tmp_path / "log.txt", {})
    assert found["bad"]["exit"] == 1 and found["bad"]["last"] == ["no such card"]
    assert found["slow"]["ended by its limit"] and found["slow"]["result"] == [1]
    assert found["good"]["exit"] == 0 and found["good"]["last"] == ["fine"]


def test_on_a_card_each_lesson_that_computes_there_runs_within_ten_minutes(tmp_path):
    rows = parts.plan(tmp_path, rehearse=False)
    names = [part.name for row in rows for part in row]
    assert {"tests", "02-vae", "06-sampling", "03-autoregressive", "07-score", "speed", "sampling"} <= set(names)
    assert sum(max(part.limit for part in row) for row in rows) <= 600
