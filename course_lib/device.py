"""Where tensors live, and where chance comes from."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def get_device() -> torch.device:
    """The device a notebook computes on: CUDA if there is one, else Apple's MPS, else the CPU.

    The environment variable COURSE_DEVICE ("cpu", "cuda", "cuda:1", "mps") overrides the choice. While
    nbgrader executes a notebook the answer is the CPU, so that marks do not depend on the machine. Of several
    processes that `torchrun` started, each has a GPU of its own, "cuda:LOCAL_RANK".

    Raises:
        ValueError: COURSE_DEVICE names no device, or one that is not there; fewer GPUs than processes.
    """
    wanted = os.environ.get("COURSE_DEVICE")
    if wanted:
        device = _named_device(wanted)
        return _own_gpu() if device == torch.device("cuda") else device
    if os.environ.get("NBGRADER_EXECUTION"):
        return torch.device("cpu")
    if torch.cuda.is_available():
        return _own_gpu()
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed_everything(seed: int = 0) -> torch.Generator:
    """Seed Python, NumPy and PyTorch; return a generator with the same seed on `get_device()`."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator(get_device()).manual_seed(seed)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of PyTorch's global generators that a computation on `device` draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put back what `random_state` returned. A state of another kind of device is left out."""
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def private_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block PyTorch's chance starts from `seed`; afterwards it goes on as if the block had not
    been.

    So a training run gives the same result wherever its cell stands, and the cells after it do not depend on
    it.
    """
    before = random_state(device)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_random_state(before, device)


def _own_gpu() -> torch.device:
    """ "cuda", or under torchrun this process's own."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None:
        return torch.device("cuda")
    if int(rank) >= (count := torch.cuda.device_count()):
        remedy = f"start torchrun with --nproc-per-node={count}, or set COURSE_DEVICE=cpu"
        raise ValueError(f"process {rank} of this machine finds {count} GPU(s), none of its own; {remedy}")
    return torch.device("cuda", int(rank))


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        names = '"cpu", "cuda", "cuda:0" or "mps"'
        raise ValueError(f"COURSE_DEVICE={name!r} is no device; use {names}") from None
    missing = (device.type == "cuda" and not torch.cuda.is_available()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ValueError(f"COURSE_DEVICE={name!r}, but this PyTorch finds none; unset it or use cpu")
    return device
