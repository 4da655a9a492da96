"""Are times measured and scaled as the formula says?"""

import itertools
import time

import pytest
import torch

from course_lib.doctor import timing
from course_lib.doctor.pace import Cost, Pace, read_costs, write_costs
from course_lib.doctor.timing import CPU, seconds_per_step


def test_a_lesson_takes_its_training_on_the_device_and_the_rest_on_one_core():
    cost = Cost(other=10_000, training=50_000, memory=600)
    assert Pace(single=1e-3, device=1e-3).seconds(cost) == pytest.approx(60)
    assert Pace(single=1e-3, device=1e-4).seconds(cost) == pytest.approx(15)  # ten times as fast in training alone
    assert Pace(single=2e-3, device=2e-3).seconds(cost) == pytest.approx(120)


def test_the_fastest_block_counts():
    # Two readings a block, 9, 8, …, 4 s apart: the first block only warms up.
    lengths = itertools.chain.from_iterable((0.0, length) for length in (1, 9, 8, 4, 7))
    readings = itertools.accumulate(lengths)
    assert seconds_per_step(CPU, blocks=4, block=2, clock=lambda: next(readings)) == pytest.approx(4 / 2)


def test_no_block_is_begun_after_the_limit():
    calls = []
    seconds_per_step(CPU, blocks=1000, block=1, limit=0.0, clock=lambda: calls.append(1) or 0.0)
    assert len(calls) == 4  # warming up, and the one block there must be


def test_the_measurement_is_short_and_leaves_chance_and_threads_alone():
    torch.manual_seed(3)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    started = time.process_time()
    here = timing.measure()
    assert time.process_time() - started < 20
    assert 0 < here.single == here.device  # one thread, no GPU: conftest says so
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_the_record_comes_back_and_a_broken_one_is_one_line(tmp_path):
    path = tmp_path / "pace.json"
    costs = {"02-vae": Cost(1, 2, 3), "01-elbo": Cost(4, 5, 6)}
    write_costs(costs, path)
    assert read_costs(path) == costs
    assert path.read_text().splitlines()[1].startswith('  "01-elbo"')
    for text in ("[]", '{"01-elbo": 3}', '{"01-elbo": {"other": 1}}', "{"):
        path.write_text(text)
        with pytest.raises(ValueError):
            read_costs(path)


def test_what_is_recorded_makes_sense():
    for lesson, cost in read_costs().items():
        assert cost.other > 0 and cost.training >= 0 and 100 < cost.memory < 4000, lesson
