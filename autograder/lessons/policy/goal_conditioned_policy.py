"""How those acted who stood at the goal in the end: `goal_conditioned_policy`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("goal_conditioned_policy", points=2)
def goal_conditioned_policy(student, case):
    """(H, S, A): p(a_i given s_i, s_H = goal); the row of the policy where the goal is out of reach under it."""
    truth = goal_conditioned_policy.oracle

    def shares(*shape):
        raw = case.uniform(*shape, low=0.2, high=1.5)
        return raw / raw.sum(-1, keepdim=True)

    def given(states, actions, goal, horizon):
        return shares(states, actions), shares(states, actions, states), goal, horizon

    usual = given(4, 3, case.integer(1, 2), 4)
    case.expect(student(*usual), truth(*usual), "every state, every step of four", points=0.75, dtype=True)
    once, first, last, square = given(4, 2, 2, 1), given(4, 3, 0, 2), given(5, 2, 4, 2), given(3, 3, 1, 3)
    case.expect(
        [student(*one) for one in (once, first, last, square)],
        [truth(*one) for one in (once, first, last, square)],
        "one step, two steps, as many actions as states",
        points=0.25,
    )
    # 0 goes on to 1, 1 to 2 or back, 2 is the goal and is left again, 3 is a sink, nobody gets to 4; action 0 is sure.
    policy, dynamics = shares(5, 2), torch.zeros(5, 2, 5, dtype=torch.float64)
    for state, action, to in ((0, 0, 1), (1, 0, 2), (2, 0, 0), (3, 0, 3), (3, 1, 3), (4, 0, 2)):
        dynamics[state, action, to] = 1.0
    odds = case.number(0.3, 0.7)
    for state, to, other in ((0, 0, 3), (1, 0, 3), (2, 2, 3), (4, 3, 0)):
        dynamics[state, 1, to], dynamics[state, 1, other] = odds, 1 - odds
    never = policy.clone()
    never[1] = torch.tensor([0.0, 1.0])  # the action that leads on is never taken
    worlds = [(policy, dynamics, 2, 3), (policy, dynamics, 4, 2), (never, dynamics, 2, 3)]
    case.expect(
        [student(*world) for world in worlds],
        [truth(*world) for world in worlds],
        "a goal out of reach: from a sink, too few steps, a way that is never taken",
        points=0.5,
        hint="where the goal has probability 0 there is nothing to condition on: the policy's own row stands there",
    )
    rare = torch.stack([torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)], 1)
    for state, action, chance in ((0, 0, 2.0**-40), (0, 1, 2.0**-39), (1, 0, 2.0**-38), (1, 1, 2.0**-40)):
        rare[state, action, state], rare[state, action, state + 1] = 1 - chance, chance
    lone = torch.ones(1, 1).double(), torch.ones(1, 1, 1).double(), 0, 2
    also = [(shares(3, 2), rare, 2, 2), lone, given(2, 1, 0, 1)]
    case.conventions(student, usual, truth, points=0.5, also=also)


@goal_conditioned_policy.truth
def truth(policy, dynamics, goal, horizon):
    """Forwards: where somebody gets to who takes an action now and follows the policy from the next step on."""
    given, policy, dynamics = policy.dtype, policy.double(), dynamics.double()
    onward = torch.einsum("sa,sat->st", policy, dynamics)
    rows, place = [], dynamics  # where one is after this action and 0, 1, ... further steps
    for _ in range(horizon):
        joint = policy * place[..., goal]
        total = joint.sum(1, keepdim=True)
        rows.append(torch.where(total > 0, joint / total, policy))
        place = place @ onward
    return torch.stack(rows[::-1]).to(given)


def backwards(policy, dynamics, goal, horizon, chance=None, value=None, choose=None, absorb=False):
    """The recursion from the goal; the chance of the goal after an action, what a state is worth and the answer's row
    may be had otherwise.
    """
    reach = torch.zeros_like(policy[:, 0])
    reach[goal] = 1
    rows = []
    for _ in range(horizon):
        after = chance(reach) if chance else dynamics @ reach
        joint = policy * after
        total = joint.sum(1, keepdim=True)
        share = torch.where(total > 0, joint / torch.where(total > 0, total, 1.0), policy)
        rows.append(choose(joint, total, share, after) if choose else share)
        reach = value(joint, rows[-1], after) if value else total[:, 0]
        if absorb:
            reach = torch.where(torch.arange(len(reach)) == goal, 1.0, reach)
    return torch.stack(rows[::-1])


@goal_conditioned_policy.alternative("a recursion from the goal")
def from_the_goal(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon)


@goal_conditioned_policy.alternative("a table filled in place, NaN replaced")
def table_in_place(policy, dynamics, goal, horizon):
    S, A = policy.shape
    out = policy.new_empty(horizon, S, A)
    reach = torch.nn.functional.one_hot(torch.tensor(goal), S).to(policy)
    for i in range(horizon - 1, -1, -1):
        joint = policy * torch.einsum("sat,t->sa", dynamics, reach)
        reach = joint.sum(dim=1)
        ratio = joint / reach.unsqueeze(1)
        out[i] = torch.where(torch.isnan(ratio), policy, ratio)
    return out


@goal_conditioned_policy.alternative("powers of the chain's matrix")
def powers_of_chain(policy, dynamics, goal, horizon):
    chain = (policy[..., None] * dynamics).sum(1)
    out = []
    for i in range(horizon):
        reach = torch.linalg.matrix_power(chain, horizon - i - 1)[:, goal]
        row = policy.clone()
        for s in range(len(policy)):
            joint = policy[s] * (dynamics[s] @ reach)
            if joint.sum() > 0:
                row[s] = joint / joint.sum()
        out.append(row)
    return torch.stack(out, 0)


@goal_conditioned_policy.misconception(
    "the goal counts whenever it is reached",
    hint="Only s_H counts: whoever stands at the goal earlier may have left it again by then.",
)
def reached_ever(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon, absorb=True)


@goal_conditioned_policy.misconception(
    "the steps are in the wrong order",
    hint="You begin at the end, so the first row that you make belongs to the last step, i = H - 1.",
)
def wrong_order(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon).flip(0)


@goal_conditioned_policy.misconception(
    "one table for all steps",
    hint="With one step left something else helps than with three: every i has a table of its own.",
)
def one_table(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon)[:1].expand(horizon, -1, -1)


@goal_conditioned_policy.misconception(
    "the policy's own probabilities are left out",
    hint="By Bayes an action's share is its prior times the chance that it leads to the goal. The prior is `policy`.",
)
def without_prior(policy, dynamics, goal, horizon):
    def choose(joint, total, share, after):
        whole = after.sum(1, keepdim=True)
        return torch.where(whole > 0, after / torch.where(whole > 0, whole, 1.0), policy)

    return backwards(policy, dynamics, goal, horizon, choose=choose, value=lambda joint, row, after: joint.sum(1))


@goal_conditioned_policy.misconception(
    "later steps are taken by the conditioned policy",
    hint="p(s_H = goal given s, a) is a chance under `policy`, at later steps too. With the conditioned one in its "
    "place luck is counted twice.",
)
def conditioned_onward(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon, value=lambda joint, row, after: (row * after).sum(1))


@goal_conditioned_policy.misconception(
    "the best action's chance in place of the average",
    hint="This asks how those acted who got there, not how to act best: a state is worth the policy's average over "
    "the actions, not the maximum.",
)
def best_chance(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon, value=lambda joint, row, after: after.max(1).values)


@goal_conditioned_policy.misconception(
    "the best action alone",
    hint="Conditioning gives every action a probability. No argmax.",
)
def best_alone(policy, dynamics, goal, horizon):
    shares = backwards(policy, dynamics, goal, horizon)
    return torch.nn.functional.one_hot(shares.argmax(-1), policy.shape[1]).to(policy.dtype)


@goal_conditioned_policy.misconception(
    "the joint probability is not divided",
    hint="Given the goal, the actions' probabilities sum to 1: divide by the chance of the goal from that state.",
)
def not_divided(policy, dynamics, goal, horizon):
    def choose(joint, total, share, after):
        return torch.where(total > 0, joint, policy)

    return backwards(policy, dynamics, goal, horizon, choose=choose, value=lambda joint, row, after: joint.sum(1))


@goal_conditioned_policy.misconception(
    "normalised over the states",
    hint="In every state the actions' probabilities sum to 1, not for every action the states'.",
)
def over_states(policy, dynamics, goal, horizon):
    def choose(joint, total, share, after):
        return torch.where(total > 0, joint / joint.sum(0), policy)

    return backwards(policy, dynamics, goal, horizon, choose=choose, value=lambda joint, row, after: joint.sum(1))


@goal_conditioned_policy.misconception(
    "NaN where the goal is out of reach",
    hint="0 / 0 is no number. Where the goal has probability 0 there is nothing to learn from it: which table is left?",
)
def no_number(policy, dynamics, goal, horizon):
    return backwards(
        policy,
        dynamics,
        goal,
        horizon,
        choose=lambda joint, total, share, after: joint / total,
        value=lambda joint, row, after: joint.sum(1),
    )


@goal_conditioned_policy.misconception(
    "zeros where the goal is out of reach",
    hint="Zeros are no probabilities. Where nothing leads to the goal, everybody acts as before: the policy's row.",
)
def zeros_out_of_reach(policy, dynamics, goal, horizon):
    there, share = _within_reach(policy, dynamics, goal, horizon), from_the_goal(policy, dynamics, goal, horizon)
    return torch.where(there, share, 0.0)


@goal_conditioned_policy.misconception(
    "all actions alike where the goal is out of reach",
    hint="Where nothing leads to the goal, nothing is learned from it, and the policy's own row stays.",
)
def alike_out_of_reach(policy, dynamics, goal, horizon):
    there, share = _within_reach(policy, dynamics, goal, horizon), from_the_goal(policy, dynamics, goal, horizon)
    return torch.where(there, share, 1 / policy.shape[1])


def _within_reach(policy, dynamics, goal, horizon):
    """(H, S, 1): whether the goal has any chance."""
    chain = (policy[..., None] * dynamics).sum(1)
    left = [torch.linalg.matrix_power(chain, horizon - i)[:, goal] for i in range(horizon)]
    return torch.stack(left)[..., None] > 0


@goal_conditioned_policy.misconception(
    "a small constant in the denominator",
    hint="It hides 0 / 0 and leaves zeros, which are no probabilities; and the goal may be a million times less likely "
    "than your constant, and still be reached. Tell the two cases apart.",
)
def constant_below(policy, dynamics, goal, horizon):
    def choose(joint, total, share, after):
        return joint / (total + 1e-10)

    return backwards(policy, dynamics, goal, horizon, choose=choose, value=lambda joint, row, after: joint.sum(1))


@goal_conditioned_policy.misconception(
    "a bound in place of 0",
    hint="The goal may be far less likely than your bound, and still be reached: ask whether its chance is 0.",
)
def bound_for_0(policy, dynamics, goal, horizon):
    def choose(joint, total, share, after):
        return torch.where(total > 1e-12, share, policy)

    return backwards(policy, dynamics, goal, horizon, choose=choose, value=lambda joint, row, after: joint.sum(1))


@goal_conditioned_policy.misconception(
    "one step too few",
    hint="At i = H - 1 one action is still to come: whether it leads to the goal is asked before anything else.",
)
def one_too_few(policy, dynamics, goal, horizon):
    longer = backwards(policy, dynamics, goal, horizon)
    return torch.cat([longer[1:], policy[None]])


@goal_conditioned_policy.misconception(
    "one step too many",
    hint="From step i there are H - i actions left, that of step i among them. Count yours at i = H - 1.",
)
def one_too_many(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon + 1)[:-1]


@goal_conditioned_policy.misconception(
    "the dynamics are read backwards",
    hint="dynamics[s, a, s'] is the chance of going FROM s TO s': the last axis is summed with what is known of s'.",
)
def read_backwards(policy, dynamics, goal, horizon):
    return backwards(policy, dynamics, goal, horizon, chance=lambda reach: dynamics.permute(2, 1, 0) @ reach)
