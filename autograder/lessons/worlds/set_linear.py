"""A layer for points without an order: `SetLinear`, judged with weights of the checker's choice."""

from __future__ import annotations

import torch
from torch import nn

from ...conventions import InDtype
from ...exercise import exercise
from .shared import CLOSE, Bench


@exercise("SetLinear", points=2)
def set_linear(student, case):
    """SetLinear(in_dim, out_dim): own(x_i) + pooled(mean_j x_j), `own` with a bias, `pooled` without."""
    batch, count, inner, out = case.sizes(4, low=3, high=7)
    bench = Bench(case, student(inner, out), shapes(inner, out))
    bench.check_parameters(case, points=0.25)
    x = 0.5 + case.normal(batch, count, inner, dtype=torch.float32)
    model = bench.load()
    case.expect(model(x), bench_truth(bench, x), "sets of points", points=0.75, rtol=CLOSE)
    others = [x[:, :1], x[:1, :2], case.normal(2, 20, inner, dtype=torch.float32)]
    square, line = (Bench(case, student(size, size), shapes(size, size)) for size in (count, 1))
    alike, thin = (case.normal(count, count, width, dtype=torch.float32) - 0.5 for width in (count, 1))
    case.expect(
        [*map(model, others), square.load()(alike), line.load()(thin)],
        [*(bench_truth(bench, points) for points in others), bench_truth(square, alike), bench_truth(line, thin)],
        "one point, two, twenty; as many sets as points and entries; a single entry",
        points=0.5,
        rtol=CLOSE,
    )
    bench.check_gradients(case, x, summed, points=0.25)
    case.conventions(model, (x,), lambda x: bench_truth(bench, x), points=0.25, manner=InDtype())


def shapes(inner, out):
    """The parameters asked for."""
    return {"own.weight": (out, inner), "own.bias": (out,), "pooled.weight": (out, inner)}


def bench_truth(bench, x):
    """The layer with the bench's weights, in the dtype of x."""
    return summed(x, **{name: value.to(x.dtype) for name, value in bench.weights.items()})


def summed(x, **weights):
    """One matrix for the whole set, (N out, N in): `pooled` / N everywhere, and `own` besides on the diagonal."""
    own, bias, pooled = (weights[name] for name in ("own.weight", "own.bias", "pooled.weight"))
    count = x.shape[1]
    eye, full = torch.eye(count, dtype=x.dtype), torch.full((count, count), 1 / count, dtype=x.dtype)
    whole = torch.kron(eye, own) + torch.kron(full, pooled)
    flat = x.reshape(len(x), -1) @ whole.T + bias.repeat(count)
    return flat.reshape(len(x), count, -1)


class _Base(nn.Module):
    """The usual answer; a wrong one changes one thing."""

    own_bias, pooled_bias = True, False

    def __init__(self, in_dim, out_dim):
        super().__init__()
        self.own = nn.Linear(in_dim, out_dim, bias=self.own_bias)
        self.pooled = nn.Linear(in_dim, out_dim, bias=self.pooled_bias)

    def pool(self, x):
        return x.mean(1, keepdim=True)

    def forward(self, x):
        return self.own(x) + self.pooled(self.pool(x))


@set_linear.truth
class Truth(_Base):
    """By one matrix for the whole set."""

    def forward(self, x):
        return summed(x, **dict(self.named_parameters()))


@set_linear.alternative("the mean, then both layers")
class MeanThenBothLayers(_Base):
    pass


@set_linear.alternative("the mean of what pooled says of each point")
class MeanOfPooled(_Base):
    def forward(self, x):
        return self.own(x) + torch.einsum("bno->bo", self.pooled(x)).unsqueeze(1) / x.size(1)


@set_linear.alternative("one product with both weights side by side")
class SideBySide(_Base):
    def forward(self, x):
        both = torch.cat([x, x.sum(-2, keepdim=True).div(x.shape[-2]).expand_as(x)], -1)
        weight = torch.cat([self.own.weight, self.pooled.weight], 1)
        return both @ weight.mT + self.own.bias


@set_linear.alternative("set by set")
class SetBySet(nn.Module):
    def __init__(self, in_dim, out_dim):
        super().__init__()
        self.pooled = nn.Linear(in_dim, out_dim, bias=False)
        self.own = nn.Linear(in_dim, out_dim)

    def forward(self, x):
        return torch.stack([torch.stack([self.own(p) + self.pooled(points.mean(0)) for p in points]) for points in x])


@set_linear.misconception(
    "the points do not see each other",
    hint="own(x_i) alone is one layer for each point by itself. The second term, made from the mean of the set, is "
    "what lets a point know of the others.",
)
class PointsAlone(_Base):
    def forward(self, x):
        return self.own(x) + 0 * self.pooled(x)


@set_linear.misconception(
    "the mean leaves out the point itself",
    hint="The mean runs over all j, x_i among them. So it is the same for every point, and a set of one point has one.",
)
class OthersAlone(_Base):
    def pool(self, x):
        return (x.sum(1, keepdim=True) - x) / max(x.shape[1] - 1, 1)


@set_linear.misconception(
    "a sum in place of the mean",
    hint="A sum grows with the number of points; with a mean the same weights serve for sets of any size.",
)
class SumOfPoints(_Base):
    def pool(self, x):
        return x.sum(1, keepdim=True)


@set_linear.misconception(
    "the largest entries in place of the mean", hint="Pooling by the maximum is not linear. The mean is asked for."
)
class LargestEntries(_Base):
    def pool(self, x):
        return x.amax(1, keepdim=True)


@set_linear.misconception(
    "the mean over the batch",
    hint="Axis 0 holds different sets, which have nothing to tell each other. The points are axis 1.",
)
class MeanOverBatch(_Base):
    def pool(self, x):
        return x.mean(0, keepdim=True)


@set_linear.misconception(
    "the mean over the coordinates",
    hint="Axis 2 holds the entries of one point. The points are axis 1, and it is over them that the mean runs.",
)
class MeanOverCoordinates(_Base):
    def pool(self, x):
        return x.mean(2, keepdim=True).expand_as(x)


@set_linear.misconception(
    "the mean over all sets and points",
    hint="Each set has a mean of its own: average over the points of one set, axis 1, not over the batch.",
)
class MeanOverEverything(_Base):
    def pool(self, x):
        return x.mean((0, 1), keepdim=True)


@set_linear.misconception(
    "the mean loses its axis",
    hint="A mean (B, in) added to (B, N, out) meets the wrong axis. keepdim=True leaves (B, 1, in), which every point "
    "of its own set meets.",
)
class AxisLost(_Base):
    def pool(self, x):
        return x.mean(1)


@set_linear.misconception(
    "pooled has a bias of its own",
    hint="Two biases are added and cannot be told apart: only their sum counts. pooled has none, bias=False.",
)
class TwoBiases(_Base):
    pooled_bias = True


@set_linear.misconception(
    "no bias at all", hint="own is an nn.Linear as it comes, with a bias; only pooled goes without."
)
class NoBias(_Base):
    own_bias = False


@set_linear.misconception(
    "one layer for both terms",
    hint="A point's own entries and the set's mean have different weights: two layers, own and pooled.",
)
class OneLayer(_Base):
    def forward(self, x):
        return self.own(x) + x.mean(1, keepdim=True) @ self.own.weight.T


@set_linear.misconception(
    "own and pooled are exchanged", hint="own sees the point x_i, pooled sees the mean of the set."
)
class Exchanged(_Base):
    def forward(self, x):
        return self.own(self.pool(x)) + self.pooled(x)


@set_linear.misconception(
    "one Linear on both, side by side",
    hint="The function is the same, but the two weights are asked for by name: self.own and self.pooled.",
)
class OneOnBoth(nn.Module):
    def __init__(self, in_dim, out_dim):
        super().__init__()
        self.linear = nn.Linear(2 * in_dim, out_dim)

    def forward(self, x):
        return self.linear(torch.cat([x, x.mean(1, keepdim=True).expand_as(x)], -1))


@set_linear.misconception(
    "pooled sees what own has made",
    hint="pooled is an nn.Linear(in_dim, out_dim): the mean is of the points themselves, not of own's answers.",
)
class PooledAfterOwn(nn.Module):
    def __init__(self, in_dim, out_dim):
        super().__init__()
        self.own = nn.Linear(in_dim, out_dim)
        self.pooled = nn.Linear(out_dim, out_dim, bias=False)

    def forward(self, x):
        y = self.own(x)
        return y + self.pooled(y.mean(1, keepdim=True))


@set_linear.misconception(
    "a nonlinearity is in it", hint="The layer is affine: activations stand between such layers, not inside."
)
class Bent(_Base):
    def forward(self, x):
        return torch.relu(self.own(x) + self.pooled(self.pool(x)))


@set_linear.misconception(
    "x is added", hint="No residual here: what is asked for is the sum of the two terms and nothing else."
)
class XAdded(_Base):
    def forward(self, x):
        y = super().forward(x)
        return x + y if x.shape == y.shape else y


@set_linear.misconception(
    "no gradient goes through the mean",
    hint="The mean belongs to the layer and is trained through: no detach and no torch.no_grad around it.",
)
class MeanCutOff(_Base):
    def pool(self, x):
        return x.mean(1, keepdim=True).detach()
