"""The cheapest way to carry one set onto the other: `earth_movers_distance`."""

from __future__ import annotations

import itertools

import torch
from scipy.optimize import linear_sum_assignment

from ...exercise import exercise


@exercise("earth_movers_distance", points=1)
def earth_movers_distance(student, case):
    """The least mean distance over one-to-one matchings of x with y, (B,)."""
    truth = earth_movers_distance.oracle
    batch, count, dims = case.sizes(3, low=4, high=6)
    x, y = case.normal(batch, count, dims), case.normal(batch, count, dims)
    snares = snare(case)
    case.expect(
        [student(x, y), student(*snares)],
        [truth(x, y), truth(*snares)],
        "drawn sets, and sets in which the nearest point is not the partner",
        points=0.5,
        dtype=True,
    )
    pairs = [(snares[0][:, :3], snares[1][:, :3]), again(case, 7), (x[:1, :2, :1], y[:1, :2, :1])]
    case.expect(
        [student(*pair) for pair in pairs],
        [truth(*pair) for pair in pairs],
        "three points, a set that comes back in another order, two points on a line",
        points=0.25,
    )
    one = x[:1, :1, :1], y[:1, :1, :1]
    case.conventions(student, snares, truth, points=0.25, also=[one, tuple(2.0**-40 * part for part in snares)])


def snare(case):
    """Sets (3, 4, 2) in which greedy matchings lose, and squared distances match otherwise than distances do.

    Two points at 0 and 1 of a line, and partners at 1 and near 2: distances let the first go to the far one, squares do
    not; and two points further on whose nearest partner is the same. Turned, moved and shuffled, each pair its own
    way.
    """
    bend = case.number(0.4, 0.6)
    left = torch.tensor([[0.0, 0.0], [1.0, 0.0], [21.0, 0.0], [20.0, 0.0]], dtype=torch.float64)
    right = torch.tensor([[1.0, 0.0], [2.0, bend], [20.75, 0.25], [22.0, 0.0]], dtype=torch.float64)
    angles = case.uniform(3, low=0.1, high=1.4)
    turns = torch.stack([torch.stack([a.cos(), -a.sin(), a.sin(), a.cos()]).reshape(2, 2) for a in angles])
    away = case.normal(3, 1, 2)
    orders = torch.tensor([[3, 1, 0, 2], [1, 3, 2, 0], [2, 0, 3, 1]])
    return left @ turns + away, (right @ turns + away).gather(1, orders[..., None].expand(-1, -1, 2))


def again(case, count):
    """Two sets whose points come back in another order, each its own, and those of the second moved besides."""
    x = case.normal(2, count, 3)
    order = torch.randperm(count - 1, generator=case.generator) + 1
    first = torch.cat([order, torch.zeros(1, dtype=torch.long)])
    return x, torch.stack([x[0, first], x[1, first.roll(1)] + 1])


@earth_movers_distance.truth
def truth(x, y):
    """Point after point, by what each set of taken partners costs at least."""
    return torch.tensor([least(a, b) / len(a) for a, b in zip(x, y, strict=True)], dtype=x.dtype)


def least(a, b):
    """The least sum of distances: `best[taken]` for the first points, matched with the partners in `taken`."""
    distances = [[float((p - q).double().norm()) for q in b] for p in a]
    best = {frozenset[int](): 0.0}
    for row in distances:
        reached: dict[frozenset[int], float] = {}
        for taken, cost in best.items():
            for j in set(range(len(row))) - taken:
                now = taken | {j}
                reached[now] = min(reached.get(now, float("inf")), cost + row[j])
        best = reached
    (answer,) = best.values()
    return answer


def between(x, y):
    """|x_i - y_j|, (B, N, M)."""
    return torch.linalg.vector_norm(x[:, :, None] - y[:, None], dim=-1)


def assigned(costs, by=None):
    """The mean cost of the best matching by `by` (by the costs themselves), (B,)."""
    means = []
    for own, judged in zip(costs, costs if by is None else by, strict=True):
        rows, columns = linear_sum_assignment(judged.detach().cpu().numpy())
        means.append(own[rows, columns].mean())
    return torch.stack(means)


@earth_movers_distance.alternative("scipy's assignment")
def scipys_assignment(x, y):
    return assigned(between(x, y))


@earth_movers_distance.alternative("all orders, in one tensor")
def all_orders(x, y):
    orders = torch.tensor(list(itertools.permutations(range(x.shape[1]))), device=x.device)
    costs = (x[:, None] - y[:, orders]).square().sum(-1).sqrt()  # (B, N!, N)
    return costs.mean(-1).min(-1).values


@earth_movers_distance.alternative("all orders, one after the other")
def orders_one_by_one(x, y):
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    out = []
    for d in distances:
        n = len(d)
        out.append(min(sum(d[i, j].item() for i, j in enumerate(p)) / n for p in itertools.permutations(range(n))))
    return x.new_tensor(out)


@earth_movers_distance.misconception(
    "the distances are squared",
    hint="The distance itself is the cost of carrying a point; squaring it changes the value, and the matching too.",
)
def squared(x, y):
    return assigned(between(x, y).square())


@earth_movers_distance.misconception(
    "matched by squared distances",
    hint="The value is a mean of distances, but the matching was chosen by their squares, which avoid one long way at "
    "the price of two middling ones.",
)
def matched_by_squares(x, y):
    costs = between(x, y)
    return assigned(costs, by=costs.square())


@earth_movers_distance.misconception(
    "the root of a mean of squares",
    hint="The mean of the distances is asked for. The root of the mean of their squares is another distance, W_2.",
)
def rooted(x, y):
    return assigned(between(x, y).square()).sqrt()


@earth_movers_distance.misconception(
    "a sum in place of the mean", hint="The mean over the N pairs, so that sets of different sizes can be compared."
)
def summed(x, y):
    return assigned(between(x, y)) * x.shape[1]


@earth_movers_distance.misconception(
    "matched in the order in which they came",
    hint="The order of the points means nothing. Among all one-to-one matchings the cheapest is looked for.",
)
def in_given_order(x, y):
    return torch.linalg.vector_norm(x - y, dim=-1).mean(-1)


@earth_movers_distance.misconception(
    "each point takes its nearest partner",
    hint="Then several points may share one partner. A matching is one to one: every y is used once.",
)
def nearest(x, y):
    return between(x, y).amin(2).mean(1)


@earth_movers_distance.misconception(
    "point after point takes the nearest that is left",
    hint="What the first points take is missing for the last ones. The matching has to be chosen as a whole.",
)
def greedy(x, y):
    out = []
    for d in between(x, y):
        d, total = d.clone(), d.new_zeros(())
        for i in range(len(d)):
            j = int(d[i].argmin())
            total = total + d[i, j].clone()
            d[:, j] = torch.inf
        out.append(total / len(d))
    return torch.stack(out)


@earth_movers_distance.misconception(
    "the nearest pair first",
    hint="Taking the shortest way first may leave a very long one for the end. The matching has to be chosen as a "
    "whole.",
)
def nearest_pair_first(x, y):
    out = []
    for d in between(x, y):
        d, total = d.clone(), d.new_zeros(())
        for _ in range(len(d)):
            i, j = divmod(int(d.argmin()), len(d))
            total = total + d[i, j].clone()
            d[i], d[:, j] = torch.inf, torch.inf
        out.append(total / len(d))
    return torch.stack(out)


@earth_movers_distance.misconception(
    "sorted along each coordinate",
    hint="Sorting matches points on a line. In more dimensions it tears the coordinates of a point apart.",
)
def coordinates_sorted(x, y):
    return torch.linalg.vector_norm(x.sort(1).values - y.sort(1).values, dim=-1).mean(-1)


@earth_movers_distance.misconception(
    "the dearest matching", hint="The least cost is asked for: minimise, do not maximise."
)
def dearest(x, y):
    costs = between(x, y)
    return assigned(costs, by=-costs)


@earth_movers_distance.misconception(
    "one matching for the whole batch", hint="Every pair of sets of the batch has its own best matching."
)
def one_matching(x, y):
    costs = between(x, y)
    return assigned(costs, by=costs.mean(0, keepdim=True).expand_as(costs))


@earth_movers_distance.misconception(
    "the dtype is lost",
    hint="NumPy and torch.tensor(list) have dtypes of their own. The answer has that of x: say dtype=x.dtype.",
)
def dtype_lost(x, y):
    return scipys_assignment(x, y).float()


@earth_movers_distance.misconception(
    "averaged over the batch", hint="Every pair of sets has a distance of its own: the answer has shape (B,)."
)
def over_batch(x, y):
    return scipys_assignment(x, y).mean()


@earth_movers_distance.misconception(
    "the matching is read the wrong way round",
    hint="linear_sum_assignment gives rows and columns: x at rows meets y at columns. In the table of distances that "
    "is the entry [rows, columns].",
)
def wrong_way_round(x, y):
    means = []
    for d in between(x, y):
        rows, columns = linear_sum_assignment(d.detach().cpu().numpy())
        means.append(d[columns, rows].mean())
    return torch.stack(means)
