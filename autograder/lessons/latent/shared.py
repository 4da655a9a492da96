"""What the checks of 09-latent share: gradients that may be absent, well-separated codes, tables of probability."""

from __future__ import annotations

import torch

from ...difference import failure_in

FLOWS_TO_CODES = (
    "a gradient reaches the codes",
    "Through this function nothing may reach the codes: cut them off from the graph (detach).",
)
OTHERS_LOGARITHM = "The course counts in nats: every logarithm is the natural one, without a division by log 2."


def flows(gradients, *like):
    """Gradients as they came, with zeros where none flows: both say the same. A Failure passes."""
    if failure_in(gradients) or not isinstance(gradients, list) or len(gradients) != len(like):
        return gradients
    return [torch.zeros_like(value) if g is None else g for g, value in zip(gradients, like, strict=True)]


def single(*values):
    """The same tensors in float32; whole numbers stay."""
    return [value.float() if value.is_floating_point() else value for value in values]


def codes_apart(case, count, dim):
    """A codebook (count, dim), its codes at least 0.8 apart: places of a grid, moved a little."""
    side = 2
    while side**dim < 2 * count:
        side += 1
    places = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * dim).reshape(-1, dim)
    chosen = torch.randperm(len(places), generator=case.generator)[:count]
    return places[chosen] - (side - 1) / 2 + case.uniform(count, dim, low=-0.1, high=0.1)


def near(case, codebook, *shape):
    """Points (*shape, D), each clearly nearest to a code that was drawn for it."""
    count, dim = codebook.shape
    drawn = torch.randint(count, shape, generator=case.generator)
    return codebook[drawn] + case.uniform(*shape, dim, low=-0.15, high=0.15)


def every_code_but(case, count, length, *unused):
    """`length` indices below `count`, in which each code occurs but those named."""
    used = torch.tensor([k for k in range(count) if k not in unused])
    drawn = torch.cat([used, used[torch.randint(len(used), (length - len(used),), generator=case.generator)]])
    return drawn[torch.randperm(length, generator=case.generator)]


def table(case, count):
    """Probabilities (count,), none of them tiny."""
    weights = case.uniform(count, low=0.1, high=1.0)
    return weights / weights.sum()


def with_holes(case):
    """Two tables of seven: (both zero, p zero, q zero, and four places where neither is), in an order of their own."""
    p, q = (case.uniform(7, low=0.1, high=1.0) for _ in range(2))
    p[[0, 1]], q[[0, 2]] = 0.0, 0.0
    order = torch.randperm(7, generator=case.generator)
    return (p / p.sum())[order], (q / q.sum())[order]
