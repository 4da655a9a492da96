"""What limited contexts cost at least: `context_entropy`."""

from __future__ import annotations

import torch
from torch.distributions import Categorical

from ...exercise import exercise
from .shared import joint_table


@exercise("context_entropy", points=2)
def context_entropy(student, case):
    """sum_i H(x_i given x_contexts[i]) in nats, a tensor without axes."""
    truth, shape = context_entropy.oracle, case.sizes(3, low=3, high=5)
    table, holed = joint_table(case, *shape), joint_table(case, *shape, holes=True)
    # A likely past that leaves little open, and an unlikely one that leaves much: it matters how likely a past is.
    sharp = joint_table(case, 1, 3, 2, 4, 2) ** 6
    five = torch.cat([0.9 * sharp / sharp.sum(), 0.1 * joint_table(case, 1, 3, 2, 4, 2)])
    earlier = [[], [0], [1]], [[], [], [0]]
    anywhere = [[3], [4, 0], [], [2, 0, 1], [3, 1]]
    others = [[1, 2], [2, 0], [0, 1]]

    def both(*pairs):
        return [student(*pair) for pair in pairs], [truth(*pair) for pair in pairs]

    case.expect(*both(*((table, contexts) for contexts in earlier)), "some of the earlier variables", points=0.5)
    case.expect(*both((five, anywhere)), "contexts before and after, in any order", points=0.5)
    case.expect(*both((holed, earlier[0]), (holed, [[], [0], [0, 1]])), "entries that are 0", points=0.25)
    case.expect(*both((table, others)), "all other variables in the context", points=0.25)
    case.expect(*both((table, [[], [], []])), "no context at all", points=0.25)
    sure = 2.0**-20 * table
    sure[-1, -1, -1] += 1 - 2.0**-20
    also = [(sure, earlier[0]), (table[:1] / table[:1].sum(), [[], [], [1]])]
    case.conventions(student, (five, anywhere), truth, points=0.25, also=also)


@context_entropy.truth
def truth(joint, contexts):
    """Row by row: the context's axes in front, each row's entropy by torch, averaged with the row's weight."""
    wide, total = joint.double(), torch.zeros((), dtype=torch.float64)
    for i, context in enumerate(contexts):
        rest = [axis for axis in range(joint.ndim) if axis != i and axis not in context]
        pasts = torch.Size(joint.shape[axis] for axis in context).numel()
        rows = wide.permute(*context, i, *rest).reshape(pasts, joint.shape[i], -1)
        rows = rows @ torch.ones(rows.shape[-1], dtype=torch.float64)
        weight = rows @ torch.ones(rows.shape[1], dtype=torch.float64)
        happens = weight > 0
        total = total + weight[happens] @ Categorical(probs=rows[happens]).entropy()
    return total.to(joint.dtype)


def summed(joint, axes):
    """The joint table of the variables in `axes`, their order kept."""
    others = [axis for axis in range(joint.ndim) if axis not in axes]
    return joint.sum(others) if others else joint


def cost(joint, i, context, rate=torch.special.entr):
    """H(x_i given x_context) as a difference of two entropies."""
    return rate(summed(joint, [i, *context])).sum() - rate(summed(joint, context)).sum()


def together(joint, contexts, rate=torch.special.entr):
    return torch.stack([cost(joint, i, context, rate) for i, context in enumerate(contexts)]).sum()


@context_entropy.alternative("a difference of two entropies")
def difference_of_two_entropies(joint, contexts):
    return together(joint, contexts)


@context_entropy.alternative("expected surprise, with xlogy")
def expected_surprise_with_xlogy(joint, contexts):
    total = joint.new_zeros(())
    for i, seen in enumerate(contexts):
        away = tuple(a for a in range(joint.ndim) if a not in seen and a != i)
        pair = joint.sum(away, keepdim=True) if away else joint
        past = pair.sum(i, keepdim=True)
        total = total - torch.xlogy(pair, pair / past.where(past > 0, torch.ones_like(past))).sum()
    return total


@context_entropy.alternative("state by state, in plain Python")
def state_by_state_in_plain_python(joint, contexts):
    import itertools
    import math

    total = 0.0
    states = list(itertools.product(*map(range, joint.shape)))
    for i, context in enumerate(contexts):
        pair: dict[tuple, float] = {}
        past: dict[tuple, float] = {}
        for state in states:
            p, key = float(joint[state]), tuple(state[j] for j in context)
            pair[key, state[i]] = pair.get((key, state[i]), 0.0) + p
            past[key] = past.get(key, 0.0) + p
        total -= sum(p * math.log(p / past[key]) for (key, _), p in pair.items() if p > 0)
    return torch.tensor(total, dtype=joint.dtype)


@context_entropy.misconception(
    "an empty list of axes is summed over everything",
    hint="joint.sum([]) sums over EVERY axis in torch. Where nothing is left to sum away, use the joint itself.",
)
def empty_list_of_axes_is_summed_over_everything(joint, contexts):
    def table(axes):
        return torch.special.entr(joint.sum([a for a in range(joint.ndim) if a not in axes])).sum()

    return torch.stack([table([i, *context]) - table(context) for i, context in enumerate(contexts)]).sum()


@context_entropy.misconception(
    "entries that are 0 give NaN",
    hint="0 log 0 counts 0. In floating-point numbers it is NaN, unless you use torch.special.entr or xlogy.",
)
def entries_that_are_0_give_nan(joint, contexts):
    return together(joint, contexts, lambda table: -table * table.log())


@context_entropy.misconception(
    "bits instead of nats",
    hint="You use the logarithm to base 2. Entropies of this lesson are in nats: the natural logarithm.",
)
def bits_instead_of_nats(joint, contexts):
    return together(joint, contexts) / torch.tensor(2.0).log().to(joint)


@context_entropy.misconception(
    "a number instead of a tensor",
    hint="The value is right, but it is a Python number: no .item(), no float(...). A tensor without axes is asked "
    "for.",
)
def number_instead_of_tensor(joint, contexts):
    return together(joint, contexts).item()


@context_entropy.misconception(
    "the mean over the variables",
    hint="An image costs what its pixels cost together: sum over i, do not average.",
)
def mean_over_variables(joint, contexts):
    return together(joint, contexts) / joint.ndim


@context_entropy.misconception(
    "one number for each variable",
    hint="The costs of the variables are added up: the answer is a tensor without axes.",
)
def one_number_for_each_variable(joint, contexts):
    return torch.stack([cost(joint, i, context) for i, context in enumerate(contexts)])


@context_entropy.misconception(
    "the context's own entropy is not taken off",
    hint="H(x_i, x_C) is the entropy of both together. What x_i costs when x_C is known is that less H(x_C).",
)
def contexts_own_entropy_is_not_taken_off(joint, contexts):
    return torch.stack([torch.special.entr(summed(joint, [i, *c])).sum() for i, c in enumerate(contexts)]).sum()


@context_entropy.misconception(
    "the contexts are not used",
    hint="You add the entropies of the variables by themselves, as if none saw any other.",
)
def contexts_are_not_used(joint, contexts):
    return together(joint, [[] for _ in contexts])


@context_entropy.misconception(
    "every earlier variable is seen",
    hint="You compute H(x). Variable i sees the variables in contexts[i], no more.",
)
def every_earlier_variable_is_seen(joint, contexts):
    return together(joint, [list(range(i)) for i in range(joint.ndim)])


@context_entropy.misconception(
    "later variables are dropped from a context",
    hint="A context may name variables that come later. Then the sum can be below H(x), and is no code length.",
)
def later_variables_are_dropped_from_context(joint, contexts):
    return together(joint, [[j for j in context if j < i] for i, context in enumerate(contexts)])


@context_entropy.misconception(
    "all pasts count alike",
    hint="The entropies of the rows are averaged with the probability of each past, not with equal weights.",
)
def all_pasts_count_alike(joint, contexts):
    total = joint.new_zeros(())
    for i, context in enumerate(contexts):
        pair = summed(joint, [i, *context])
        place = sorted([i, *context]).index(i)
        past = pair.sum(place, keepdim=True)
        rows = torch.where(past > 0, pair / past, 1 / joint.shape[i])
        total = total + torch.special.entr(rows).sum(place).mean()
    return total


@context_entropy.misconception(
    "the sign is reversed",
    hint="Probabilities are below 1 and their logarithms below 0: a cost is MINUS the expected logarithm.",
)
def sign_is_reversed(joint, contexts):
    return -together(joint, contexts)
