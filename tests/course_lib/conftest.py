"""Every test starts without the course's environment variables, on the CPU, draws without a screen, and closes its
figures.
"""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch

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
