"""How fast this machine trains: the pace at which lessons run on it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from course_lib.device import get_device, private_randomness
from course_lib.doctor.pace import Pace

CPU = torch.device("cpu")


def measure() -> Pace:
    """Time this machine, in two to three seconds at most."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = seconds_per_step(CPU)
    finally:
        torch.set_num_threads(threads)
    device = get_device()
    return Pace(single, single if device == CPU and threads == 1 else seconds_per_step(device))


def seconds_per_step(
    device: torch.device,
    *,
    blocks: int = 30,
    block: int = 10,
    limit: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The seconds that one Adam step of a 64-256-256-64 network on 128 examples takes.

    The fastest of `blocks` blocks of `block` steps counts, since whatever else the machine does can only slow a
    block down; after `limit` seconds no new block is begun.
    """
    with private_randomness(0, device):
        model = nn.Sequential(nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64))
        model.to(device)
        optimizer = torch.optim.Adam(model.parameters())
        x = torch.rand(128, 64, device=device)

        def run() -> float:
            started = clock()
            for _ in range(block):
                optimizer.zero_grad()
                loss = (model(x) - x).square().mean()
                loss.backward()
                optimizer.step()
            loss.item()  # waits for the device: queueing alone takes no time
            return clock() - started

        run()  # imports, first allocations, kernels compiled
        end = time.perf_counter() + limit
        fastest = run()
        for _ in range(blocks - 1):
            if time.perf_counter() > end:
                break
            fastest = min(fastest, run())
    return fastest / block
