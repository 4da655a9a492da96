"""A chain with a recording beside the one without; for tests with the fixture `recordings`."""

import torch
from torch import nn

from course_lib import chain, networks

TIMES = range(25, 0, -1)
strength = 1.0  # a global of `Scaled`


def walk(step, x=None, times=TIMES, **options):
    """What `chain` gives, and that it is what it gives without a recording."""
    x = torch.linspace(-1, 1, 6).view(3, 2) if x is None else x
    torch.manual_seed(3)
    truth = chain(step, x, times, graph=False, progress=False, **options)[0]
    torch.manual_seed(3)
    end = chain(step, x, times, progress=False, **options)[0]
    torch.testing.assert_close(end, truth, rtol=1e-5, atol=1e-6)
    return end


def small():
    torch.manual_seed(0)
    return networks.mlp([2, 8, 2])


class Shared:
    share = 0.3


class Scaled(nn.Module, Shared):
    """Numbers and a tensor in every place that a module has."""

    def __init__(self):
        super().__init__()
        self.net, self.factor, self.table = small(), 0.1, {"a": [0.5, torch.linspace(0, 1, 26)]}

    def forward(self, x, t):
        number, tensor = self.table["a"]
        return x + self.factor * (self.share + number) * tensor[t][:, None] * self.net(x) * strength
