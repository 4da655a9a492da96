"""A joint table taken apart: `chain_rule_tables`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import joint_table


@exercise("chain_rule_tables", points=1)
def chain_rule_tables(student, case):
    """[p(x_1), p(x_2 given x_1), ...] of a joint table, uniform rows after a past that never happens."""
    truth, shape = chain_rule_tables.oracle, case.sizes(3, low=2, high=5)
    whole, holed = joint_table(case, *shape), joint_table(case, *shape, holes=True)
    single = joint_table(case, case.integer(3, 6))
    four = joint_table(case, *case.sizes(4, low=2, high=5))
    case.expect(
        [student(whole), student(four)], [truth(whole), truth(four)], "tables of three and four variables", points=0.4
    )
    case.expect(student(single), truth(single), "a single variable", points=0.15)
    case.expect(student(holed), truth(holed), "a past that never happens has a uniform row", points=0.25)
    rare = whole.clone()
    rare[0] *= 1e-14  # a past that hardly ever happens has a row of its own all the same
    also = [(rare / rare.sum(),), (torch.ones(1, 1, 1, dtype=torch.float64),), (joint_table(case, 1, 3, 1),)]
    case.conventions(student, (whole,), truth, points=0.2, also=also)


@chain_rule_tables.truth
def truth(joint):
    """The probability of a beginning is a stretch of the listed states: differences of one running sum."""
    wide = joint.double()
    ends = torch.cat([torch.zeros(1, dtype=torch.float64), wide.flatten().cumsum(0)])
    found, past = [], wide.sum().reshape(1)
    for i, size in enumerate(joint.shape):
        stretch = joint.shape[i + 1 :].numel()
        upto = ends[::stretch].diff().reshape(-1, size)
        rows = [row / p if p > 0 else torch.full_like(row, 1 / size) for row, p in zip(upto, past, strict=True)]
        found.append(torch.stack(rows).reshape(joint.shape[: i + 1]).to(joint.dtype))
        past = upto.flatten()
    return found


def beginnings(joint):
    """Joint tables of the first 1, 2, ..., n variables."""
    tables = [joint]
    while tables[0].ndim > 1:
        tables.insert(0, tables[0].sum(-1))
    return tables


@chain_rule_tables.alternative("the last variable summed away, again and again")
def last_variable_summed_away(joint):
    out, table = [], joint
    while table.ndim:
        past = table.sum(-1, keepdim=True)
        uniform = torch.full_like(table, 1 / table.shape[-1])
        out.append(torch.where(past == 0, uniform, table / past))
        table = past[..., 0]
    return out[::-1]


@chain_rule_tables.alternative("flat tables")
def flat_tables(joint):
    out = []
    for i in range(joint.dim()):
        rows = joint.reshape(*joint.shape[: i + 1], -1).sum(-1).reshape(-1, joint.shape[i])
        total = rows.sum(1, keepdim=True)
        rows = (rows / total).nan_to_num(nan=1 / joint.shape[i])
        out.append(rows.reshape(joint.shape[: i + 1]))
    return out


@chain_rule_tables.alternative("einsum over letters")
def einsum_over_letters(joint):
    letters = "abcdefghij"[: joint.ndim]
    out = []
    for i in range(joint.ndim):
        upto = torch.einsum(f"{letters}->{letters[: i + 1]}", joint)
        past = torch.einsum(f"{letters}->{letters[:i]}", joint).unsqueeze(-1)
        out.append(torch.where(past > 0, upto / past, torch.ones_like(upto) / joint.shape[i]))
    return out


@chain_rule_tables.misconception(
    "the last table is summed over everything",
    hint="joint.sum([]) and joint.sum(()) sum over EVERY axis in torch. For the last variable nothing is later, so "
    "there is nothing to sum: use the joint itself.",
)
def last_table_is_summed_over_everything(joint):
    out = []
    for i in range(joint.ndim):
        upto = joint.sum(tuple(range(i + 1, joint.ndim)))
        past = upto.sum(-1, keepdim=True)
        out.append(torch.where(past > 0, upto / past, 1 / joint.shape[i]))
    return out


@chain_rule_tables.misconception(
    "a past that never happens gives NaN",
    hint="Where the past has probability 0 you divide 0 by 0. The row is to be uniform there, 1 / K.",
)
def past_that_never_happens_gives_nan(joint):
    return [upto / upto.sum(-1, keepdim=True) for upto in beginnings(joint)]


@chain_rule_tables.misconception(
    "a past that never happens gives zeros",
    hint="Keeping 0 / 0 at 0 leaves rows that do not sum to 1. After a past of probability 0 the row is uniform, 1 / "
    "K.",
)
def past_that_never_happens_gives_zeros(joint):
    return [upto / upto.sum(-1, keepdim=True).clamp(min=1e-30) for upto in beginnings(joint)]


@chain_rule_tables.misconception(
    "joint tables instead of conditionals",
    hint="You return p(x_1, ..., x_i). Divide by the probability of the past, so that every row along the last axis "
    "sums to 1.",
)
def joint_tables_instead_of_conditionals(joint):
    return beginnings(joint)


@chain_rule_tables.misconception(
    "divided by the variable's own probability",
    hint="p(past given x_i) has p(x_i) below the line. Asked is p(x_i given past): below stands the probability of the "
    "past, a sum over the LAST axis.",
)
def divided_by_variables_own_probability(joint):
    out = []
    for i, upto in enumerate(beginnings(joint)):
        own = upto.reshape(-1, upto.shape[-1]).sum(0) if i else upto.sum(-1, keepdim=True)
        out.append(torch.where(own > 0, upto / own, 1 / joint.shape[i]))
    return out


@chain_rule_tables.misconception(
    "only the variable just before is seen",
    hint="Your rows depend on the last earlier variable alone (a Markov chain). In the chain rule the past is ALL "
    "earlier variables.",
)
def only_variable_just_before_is_seen(joint):
    out = []
    for upto in beginnings(joint):
        pair = upto.reshape(-1, *upto.shape[-2:]).sum(0) if upto.ndim > 2 else upto
        past = pair.sum(-1, keepdim=True)
        rows = torch.where(past > 0, pair / past, 1 / pair.shape[-1])
        out.append(rows.expand(upto.shape))
    return out


@chain_rule_tables.misconception(
    "from the last variable to the first",
    hint="Your first table is that of the last variable. The order is x_1, then x_2 given x_1, and so on.",
)
def from_last_variable_to_first(joint):
    return last_variable_summed_away(joint.permute(*reversed(range(joint.ndim))).contiguous())


@chain_rule_tables.misconception(
    "uniform over the wrong number of levels",
    hint="A uniform row of variable i has the entries 1 / K_i: the length of its own axis, not of another one.",
)
def uniform_over_wrong_number_of_levels(joint):
    out = []
    for upto in beginnings(joint):
        past = upto.sum(-1, keepdim=True)
        out.append(torch.where(past > 0, upto / past, 1 / joint.shape[0]))
    return out
