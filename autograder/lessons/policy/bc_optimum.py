"""What regression does to an expert with several ways: `bc_optimum`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("bc_optimum", points=2)
def bc_optimum(student, case):
    """(action, floor): the conditional mean, and the variance within and between the modes, summed over the action."""
    truth = bc_optimum.oracle

    def given(rows, modes, actions):
        shares = case.uniform(rows, modes, low=0.2, high=1.5)
        means, variances = case.normal(rows, modes, actions), case.uniform(rows, modes, low=0.1, high=1.5)
        return shares / shares.sum(1, keepdim=True), means, variances

    rows = given(*case.sizes(3, low=3, high=6))
    action, floor = case.unpack(student(*rows), "action", "floor")
    true_action, true_floor = truth(*rows)
    case.expect(action, true_action, "the action", points=0.5, dtype=True)
    case.expect(floor, true_floor, "the floor", points=0.5, dtype=True)
    square, gone = given(4, 4, 4), given(4, 3, 2)
    gone[0][0] = torch.tensor([0.0, 1.0, 0.0])
    gone[0][1] = torch.tensor([0.75, 0.0, 0.25])
    case.expect(
        [student(*square), student(*gone)],
        [truth(*square), truth(*gone)],
        "as many rows as modes as entries; weights of 0 and of 1",
        points=0.5,
    )
    sure = given(3, 4, 2)
    sure[2][0], sure[2][1, 1:] = 0.0, 0.0  # an expert without noise
    even = torch.full((2, 5), 0.2, dtype=torch.float64), *given(2, 5, 3)[1:]
    slight = (*given(2, 3, 2)[:2], case.uniform(2, 3, low=1e-9, high=3e-9))
    slight = slight[0], 1e-4 * slight[1], slight[2]
    also = [sure, even, slight, given(4, 1, 3), given(1, 1, 1), given(1, 3, 1)]
    case.conventions(student, rows, truth, points=0.5, also=also)


@bc_optimum.truth
def truth(weights, means, variances):
    """A table of points in the Gaussians' place, 2 A for each mode, of its mean and variance: their centre, and how far
    they lie from it.
    """
    actions = means.shape[-1]
    found, left = [], []
    for w, m, v in zip(weights.double(), means.double(), variances.double(), strict=True):
        away = (actions * v).sqrt()[:, None, None] * torch.eye(actions, dtype=torch.float64)
        points = torch.cat([m[:, None] + away, m[:, None] - away], 1).reshape(-1, actions)
        share = (w / (2 * actions)).repeat_interleave(2 * actions)[:, None]
        centre = (share * points).sum(0)
        found.append(centre)
        left.append(torch.dist(share.sqrt() * points, share.sqrt() * centre) ** 2)
    return torch.stack(found).to(means.dtype), torch.stack(left).to(means.dtype)


def mean_action(weights, means):
    return (weights[..., None] * means).sum(1)


def between(weights, means, about):
    """The weighted squared distance of the means from a place, summed over the entries."""
    return (weights * (means - about[:, None]).square().sum(-1)).sum(1)


def within(weights, means, variances):
    return means.shape[-1] * (weights * variances).sum(1)


@bc_optimum.alternative("within and between")
def within_and_between(weights, means, variances):
    action = mean_action(weights, means)
    return action, within(weights, means, variances) + between(weights, means, action)


@bc_optimum.alternative("einsum, pairs of modes")
def pairs_of_modes(weights, means, variances):
    action = torch.einsum("bk,bka->ba", weights, means)
    apart = (means[:, :, None] - means[:, None]).square().sum(-1)
    spread = torch.einsum("bk,bl,bkl->b", weights, weights, apart) / 2
    return action, spread + torch.einsum("bk,bk->b", weights, variances) * means.size(2)


@bc_optimum.alternative("row by row, matrix products")
def row_by_row(weights, means, variances):
    actions, floors = [], []
    for w, m, v in zip(weights, means, variances, strict=True):
        best = w @ m
        actions.append(best)
        floors.append(w @ (((m - best) ** 2).sum(1) + m.shape[1] * v))
    return [torch.stack(actions), torch.stack(floors)]


@bc_optimum.misconception(
    "the likeliest mode",
    hint="Squared error does not choose. Which action has the smallest average of squared distances to all that the "
    "expert does?",
)
def likeliest_mode(weights, means, variances):
    best = weights.argmax(1)
    action = means[torch.arange(len(means)), best]
    return action, within(weights, means, variances) + between(weights, means, action)


@bc_optimum.misconception(
    "the likeliest mode, and its own variance",
    hint="Squared error does not choose. Which action has the smallest average of squared distances to all that the "
    "expert does, and how large is that average?",
)
def likeliest_mode_alone(weights, means, variances):
    best = weights.argmax(1)
    rows = torch.arange(len(means))
    return means[rows, best], means.shape[-1] * variances[rows, best]


@bc_optimum.misconception(
    "the weights are put through a softmax",
    hint="weights are probabilities already: each row sums to 1, and a weight of 0 means never.",
)
def through_softmax(weights, means, variances):
    return within_and_between(weights.softmax(1), means, variances)


@bc_optimum.misconception(
    "the weights are not used for the action",
    hint="An expert who goes above more often pulls the average up: weigh each mode's mean.",
)
def plain_average(weights, means, variances):
    action = means.mean(1)
    return action, within(weights, means, variances) + between(weights, means, action)


@bc_optimum.misconception(
    "means weighed by their precision",
    hint="How sharp a mode is does not matter for the average of what it does, only how often it is taken.",
)
def by_precision(weights, means, variances):
    shares = weights / (variances + 1e-12)
    action = mean_action(shares / shares.sum(1, keepdim=True), means)
    return action, within(weights, means, variances) + between(weights, means, action)


@bc_optimum.misconception(
    "the spread between the modes is missing",
    hint="Even an expert without noise in each mode leaves a loss if there are two modes. Which part of the law of "
    "total variance is that?",
)
def only_within(weights, means, variances):
    return mean_action(weights, means), within(weights, means, variances)


@bc_optimum.misconception(
    "the variance within the modes is missing",
    hint="A single mode leaves a loss too: its own noise, which nobody can predict.",
)
def only_between(weights, means, variances):
    action = mean_action(weights, means)
    return action, between(weights, means, action)


@bc_optimum.misconception(
    "a mode's variance is counted once",
    hint="variances_k belongs to each of the A entries of an action, and the loss sums over the entries.",
)
def counted_once(weights, means, variances):
    action = mean_action(weights, means)
    return action, (weights * variances).sum(1) + between(weights, means, action)


@bc_optimum.misconception(
    "the floor is the average of the modes' variances alone",
    hint="Two things are missing: the loss sums over the A entries of an action, and the modes lie apart, which costs "
    "something even without noise.",
)
def average_of_variances(weights, means, variances):
    return mean_action(weights, means), (weights * variances).sum(1)


@bc_optimum.misconception(
    "the floor is a mean over the entries of an action",
    hint="The squared length of a - action is a sum over the entries of an action: nothing is divided by A.",
)
def mean_over_entries(weights, means, variances):
    action, floor = within_and_between(weights, means, variances)
    return action, floor / means.shape[-1]


@bc_optimum.misconception(
    "variances are taken for standard deviations",
    hint="variances_k is already squared: it adds to other squares as it is.",
)
def squared_again(weights, means, variances):
    return within_and_between(weights, means, variances.square())


@bc_optimum.misconception(
    "the modes' squared distances are not weighed",
    hint="A mode that is rarely taken adds little to the loss: its squared distance is weighed like everything else.",
)
def distances_not_weighed(weights, means, variances):
    action = mean_action(weights, means)
    return action, within(weights, means, variances) + between(torch.ones_like(weights), means, action)


@bc_optimum.misconception(
    "distances from 0, not from the action",
    hint="The loss at the best action measures from that action. E |a|^2 is what doing nothing costs.",
)
def from_zero(weights, means, variances):
    action = mean_action(weights, means)
    return action, within(weights, means, variances) + between(weights, means, 0 * action)


@bc_optimum.misconception(
    "the floor is averaged over the rows",
    hint="Every row is a situation of its own, with its own floor: (B,).",
)
def averaged_over_rows(weights, means, variances):
    action, floor = within_and_between(weights, means, variances)
    return action, floor.mean()


@bc_optimum.misconception(
    "a root of the floor is returned",
    hint="The floor is an average of squares, in squared units of an action: no root is taken.",
)
def root_of_floor(weights, means, variances):
    action, floor = within_and_between(weights, means, variances)
    return action, floor.sqrt()


bc_optimum.derived(
    "parts exchanged",
    name="action and floor are exchanged",
    hint="The action comes first, then the loss that it leaves: return action, floor.",
)
