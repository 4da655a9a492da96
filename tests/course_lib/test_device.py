import random

import numpy as np
import pytest
import torch

from course_lib import device
from course_lib.device import get_device, private_randomness, seed_everything


def test_the_environment_overrides_the_choice(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert get_device() == torch.device("cpu")
    monkeypatch.setenv("COURSE_DEVICE", "cuda:1")
    assert get_device() == torch.device("cuda:1")


def test_cuda_then_mps_then_cpu(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE")
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert get_device().type == expected


def test_grading_stays_on_the_cpu(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert get_device().type == "cpu"


@pytest.mark.parametrize("name", ["gpu9", "cuda"])
def test_a_device_that_is_not_there_is_one_clear_line(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("COURSE_DEVICE", name)
    with pytest.raises(ValueError, match=f"COURSE_DEVICE='{name}'.*use") as caught:
        get_device()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wish", [None, "cuda"])
def test_each_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch, wish):
    monkeypatch.delenv("COURSE_DEVICE")
    if wish:
        monkeypatch.setenv("COURSE_DEVICE", wish)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert get_device() == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert get_device() == torch.device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match=r"process 2 .* finds 2 GPU.*--nproc-per-node=2") as caught:
        get_device()
    assert "\n" not in str(caught.value)


def test_one_seed_fixes_all_three_generators():
    def draw():
        generator = seed_everything(7)
        return (
            random.random(),
            np.random.rand(),
            torch.rand(()).item(),
            torch.rand((), generator=generator).item(),
        )

    first = draw()
    assert draw() == first
    assert first[2] == first[3]  # the returned generator starts from the same seed


def test_private_randomness_neither_sees_nor_disturbs_what_is_outside():
    cpu = torch.device("cpu")
    torch.manual_seed(1)
    expected = torch.rand(2)
    for seed_outside in (1, 2):
        torch.manual_seed(seed_outside)
        first = torch.rand(1)
        with private_randomness(5, cpu):
            inside = torch.rand(3)
        assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(5)))
        if seed_outside == 1:
            assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_random_state_round_trip():
    cpu = torch.device("cpu")
    state = device.random_state(cpu)
    first = torch.rand(3)
    device.set_random_state(state, cpu)
    assert torch.equal(torch.rand(3), first)
