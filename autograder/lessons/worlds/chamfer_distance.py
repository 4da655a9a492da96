"""How far each point is from the other set: `chamfer_distance`."""

from __future__ import annotations

import torch
from scipy.spatial import KDTree

from ...exercise import exercise


@exercise("chamfer_distance", points=1)
def chamfer_distance(student, case):
    """mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2, (B,)."""
    truth = chamfer_distance.oracle
    batch, dims, few, many = case.sizes(4, low=2, high=8)
    x, y = case.normal(batch, few, dims), 0.5 + 1.5 * case.normal(batch, many, dims)
    case.expect(student(x, y), truth(x, y), "sets of different sizes", points=0.5, dtype=True)
    pairs = [(y, x), (x, x + 1), doubled(case), (x[:, :1], y), (x[:1, :, :1], y[:1, :1, :1])]
    case.expect(
        [student(*pair) for pair in pairs],
        [truth(*pair) for pair in pairs],
        "the sets exchanged, equally many points, points that occur several times, one point, one axis",
        points=0.25,
    )
    one = x[:1, :1, :1], y[:1, :1, :1]
    case.conventions(student, (x, y), truth, points=0.25, also=[one, (2.0**-40 * x, 2.0**-40 * y)])


def doubled(case):
    """Nine points at one place and one at another, against one and nine: as they are, and the second set moved."""
    places = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], dtype=torch.float64)
    x, y = (places[torch.tensor([first] * 9 + [1 - first])] for first in (0, 1))
    return torch.stack([x, x]), torch.stack([y, y + case.number(0.5, 1.5)])


@chamfer_distance.truth
def truth(x, y):
    """By the nearest neighbours that a k-d tree finds."""
    values = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):
        values.append((KDTree(b).query(a)[0] ** 2).mean() + (KDTree(a).query(b)[0] ** 2).mean())
    return torch.tensor(values, dtype=torch.float64).to(x.dtype)


def squares(x, y):
    """|x_i - y_j|^2, (B, N, M)."""
    return ((x[:, :, None] - y[:, None]) ** 2).sum(-1)


@chamfer_distance.alternative("all pairs of differences")
def all_pairs(x, y):
    d = squares(x, y)
    return d.amin(2).mean(1) + d.amin(1).mean(1)


@chamfer_distance.alternative("torch.cdist, squared")
def by_cdist(x, y):
    d = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    return d.min(dim=-1).values.mean(-1) + d.min(dim=-2)[0].mean(-1)


@chamfer_distance.alternative("set by set and point by point")
def point_by_point(x, y):
    def one_way(a, b):
        return torch.stack([torch.linalg.vector_norm(b - p, dim=1).pow(2).min() for p in a]).mean()

    return torch.stack([one_way(a, b) + one_way(b, a) for a, b in zip(x, y, strict=True)])


@chamfer_distance.alternative("the expanded square")
def expanded(x, y):
    d = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None] - 2 * torch.bmm(x, y.mT)
    return d.clamp(min=0).min(2).values.mean(1) + d.clamp(min=0).min(1).values.mean(1)


@chamfer_distance.misconception(
    "the distances are not squared", hint="Each nearest distance is squared before the mean is taken."
)
def not_squared(x, y):
    d = squares(x, y).sqrt()
    return d.amin(2).mean(1) + d.amin(1).mean(1)


@chamfer_distance.misconception(
    "one direction only",
    hint="From x to y, and from y to x: a set of one point that lies in the other one is near in one direction alone.",
)
def one_direction(x, y):
    return squares(x, y).amin(2).mean(1)


@chamfer_distance.misconception(
    "halved", hint="The two means are added as they are; some programs halve them, this definition does not."
)
def halved(x, y):
    d = squares(x, y)
    return (d.amin(2).mean(1) + d.amin(1).mean(1)) / 2


@chamfer_distance.misconception(
    "sums in place of means", hint="Means over the points, so that a set may have any number of them."
)
def sums(x, y):
    d = squares(x, y)
    return d.amin(2).sum(1) + d.amin(1).sum(1)


@chamfer_distance.misconception(
    "the farthest of the nearest points", hint="A maximum gives the Hausdorff distance. The mean over points is asked."
)
def hausdorff(x, y):
    d = squares(x, y)
    return d.amin(2).amax(1) + d.amin(1).amax(1)


@chamfer_distance.misconception(
    "all pairs count", hint="Each point looks at its nearest partner alone: a minimum comes before the mean."
)
def every_pair(x, y):
    return 2 * squares(x, y).mean((1, 2))


@chamfer_distance.misconception(
    "averaged over the batch", hint="Every pair of sets has a distance of its own: the answer has shape (B,)."
)
def over_batch(x, y):
    d = squares(x, y)
    return d.amin(2).mean() + d.amin(1).mean()


@chamfer_distance.misconception(
    "averaged over the coordinates", hint="The squared distance sums over the D coordinates: no mean there."
)
def over_coordinates(x, y):
    d = squares(x, y) / x.shape[-1]
    return d.amin(2).mean(1) + d.amin(1).mean(1)


@chamfer_distance.misconception(
    "absolute differences in place of squares",
    hint="The Euclidean distance squared is the sum of squared differences, not of absolute ones.",
)
def absolute(x, y):
    d = (x[:, :, None] - y[:, None]).abs().sum(-1)
    return d.amin(2).mean(1) + d.amin(1).mean(1)


@chamfer_distance.misconception(
    "the mean distance is squared", hint="Square first, then average: the mean of squares is not the square of a mean."
)
def squared_late(x, y):
    d = squares(x, y).sqrt()
    return d.amin(2).mean(1) ** 2 + d.amin(1).mean(1) ** 2


@chamfer_distance.misconception(
    "the root of the sum", hint="The two means of squares are added, and no root is taken of them."
)
def rooted(x, y):
    return all_pairs(x, y).sqrt()


@chamfer_distance.misconception(
    "added before the means are taken",
    hint="The two minima have N and M entries, and these differ in general: a mean for each, then the sum.",
)
def added_early(x, y):
    d = squares(x, y)
    return (d.amin(2) + d.amin(1)).mean(1)


@chamfer_distance.misconception(
    "one mean over both sets together",
    hint="A mean over the N + M points together lets the larger set count more. Each set has a mean of its own, and "
    "the two are added.",
)
def one_mean(x, y):
    d = squares(x, y)
    return torch.cat([d.amin(2), d.amin(1)], 1).mean(1)


@chamfer_distance.misconception(
    "the larger of the two directions", hint="Both directions count: their means are added, not compared."
)
def larger_direction(x, y):
    d = squares(x, y)
    return torch.maximum(d.amin(2).mean(1), d.amin(1).mean(1))
