"""Every test starts without the course's environment variables, on the CPU, draws without a screen, and closes its
figures.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from tape import record

from course_lib import chains
from course_lib.training import graphs
from course_lib.training.kept import KEPT

mpl.use("Agg")
# The networks are tiny, and threads that wait for a busy core make them 20 times slower.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NBGRADER_EXECUTION", "COURSE_BUDGET", "COURSE_PROGRESS", "COURSE_WIDGETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    yield
    plt.close("all")


@pytest.fixture
def recordings(monkeypatch):
    """`chain` on the CPU as it goes on CUDA; one entry for each recording."""
    made = []

    def capture(call, device):
        made.append(1)
        calls, tapes = [call], []  # as a graph, a tape knows tensors and no functions

        def again():
            if calls:
                tapes.append(record(calls.pop())[1])
            else:
                tapes[0]()

        return again

    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(graphs, "on_side_stream", lambda call, device: call())
    monkeypatch.setattr(graphs, "without_waiting", lambda call: call())
    monkeypatch.setattr(chains, "_on_card", lambda x: True)
    KEPT.clear()
    yield made
    KEPT.clear()
