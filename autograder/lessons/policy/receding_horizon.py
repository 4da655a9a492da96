"""Plan, carry out the first actions, plan again: `receding_horizon`, its checks and right answers."""

from __future__ import annotations

import torch

from ...difference import difference, failure_in
from ...exercise import exercise
from ...student import Failure


class World:
    """A policy that plans `horizon` actions of `entries` entries, and a world in which they are carried out. Both
    remember what they were asked, and answer whatever is asked, so that nobody ends in an error that is theirs.
    """

    def __init__(self, horizon, entries):
        self.horizon, self.entries = horizon, entries
        self.plans: list[torch.Tensor] = []
        self.moves: list[tuple] = []

    def policy(self, state):
        self.plans.append(state)
        here = _signal(state)[..., None, None]
        later, entry = torch.arange(self.horizon)[:, None], torch.arange(self.entries)
        return (here * (1 + entry) + 0.7 * later).sin().to(torch.as_tensor(state).dtype)

    def step(self, state, action):
        self.moves.append((state, action))
        push = _signal(action).reshape(-1)
        push = push if len(push) == len(state) else push[:1].expand(len(state))
        push = push.reshape(-1, *[1] * (state.ndim - 1))
        place = torch.arange(state.shape[-1])
        return (0.8 * state.double() + (push + place).sin()).to(state.dtype)


def _signal(value):
    """One number of each row, which depends on all of its entries."""
    value = torch.atleast_1d(torch.as_tensor(value)).double()
    return (value * (1 + torch.arange(value.shape[-1]) / 3)).sum(-1)


@exercise("receding_horizon", points=2)
def receding_horizon(student, case):
    """(states (B, steps + 1, S), actions (B, steps, A)) of a policy that is asked again after `execute` actions."""
    truth = receding_horizon.oracle
    batch, dims, entries = case.sizes(3, low=2, high=4)
    state = case.normal(batch, dims)

    def both(steps, execute, horizon=5):
        worlds = World(horizon, entries), World(horizon, entries)
        made = [f(w.policy, w.step, state, steps, execute) for f, w in zip((student, truth), worlds, strict=True)]
        return *made, *worlds

    got, true, seen, right = both(7, 3)
    (states, actions), (true_states, true_actions) = case.unpack(got, "states", "actions"), true
    case.expect(states, true_states, "7 steps, 3 of each plan: the states", points=0.25, dtype=True)
    case.expect(actions, true_actions, "7 steps, 3 of each plan: the actions", points=0.25, dtype=True)
    failed = got if isinstance(got, Failure) else None
    case.expect(
        failed or [seen.plans, [list(move) for move in seen.moves]],
        [right.plans, [list(move) for move in right.moves]],
        "the policy is asked three times, and the world seven times, each where one is",
        points=0.5,
    )
    runs = [both(steps, execute) for steps, execute in ((6, 1), (5, 5), (3, 4), (8, 4))]
    case.expect(
        [[got, count(got, seen)] for got, _, seen, _ in runs],
        [[true, count(true, right)] for _, true, _, right in runs],
        "one action of each plan; a whole plan; a plan that is cut off; no plan too many at the end",
        points=0.25,
    )
    refused = [both_refuse(student, state, entries, *numbers) for numbers in ((12, 6, 5), (3, 6, 5), (1, 2, 1))]
    verdicts, acted = [verdict for verdict, _ in refused], [len(world.moves) for _, world in refused]
    whole = not difference(*runs[1][:2])  # whoever raises ValueError whatever is asked is not right
    case.check(
        failure_in(verdicts) or (whole and verdicts == ["ValueError"] * 3 and acted == [0, 0, 0]),
        "more actions than a plan has are refused, however few steps there are, before the first step",
        points=0.25,
        hint="raise ValueError; how long a plan is shows after the first call of the policy: compare then",
        evidence=[verdicts, acted, whole],
    )
    usual, lone = World(4, entries), World(1, 1)
    also = [
        (usual.policy, usual.step, state, 9, 4),
        (lone.policy, lone.step, state[:1, :1], 3, 1),
        (lone.policy, lone.step, state[:1, :1], 1, 1),
    ]
    case.conventions(student, (usual.policy, usual.step, state, 5, 2), truth, points=0.5, also=also)


def count(value, world):
    """How often the policy and the world were asked, or the Failure in which that ended."""
    return value if isinstance(value, Failure) else [len(world.plans), len(world.moves)]


def both_refuse(student, state, entries, steps, execute, horizon):
    """What came of asking for more actions than a plan has, in a word, and the world afterwards."""
    world = World(horizon, entries)
    value = student(world.policy, world.step, state, steps, execute)
    if not isinstance(value, Failure):
        return "an answer", world
    if value.kind != "raised":
        return value, world
    return "ValueError" if value.is_a("ValueError") else value.cause.partition(":")[0], world


@receding_horizon.truth
def truth(policy, step, state, steps, execute):
    """After the first actions it is the same problem once more, from another state and with fewer steps."""
    plan = policy(state).unbind(1)
    if execute > len(plan):
        raise ValueError("more actions are to be carried out than a plan has")
    states, actions = [state], []
    for action in plan[: min(execute, steps)]:
        states.append(step(states[-1], action))
        actions.append(action)
    walked, taken = torch.stack(states, 1), torch.stack(actions, 1)
    if steps <= execute:
        return walked, taken
    later = truth(policy, step, states[-1], steps - execute, execute)
    return torch.cat([walked[:, :-1], later[0]], 1), torch.cat([taken, later[1]], 1)


def require_enough(chunk, execute):
    if execute > chunk.shape[1]:
        raise ValueError(f"execute={execute}, but a chunk has {chunk.shape[1]} actions")


@receding_horizon.alternative("one loop over the steps")
def one_loop(policy, step, state, steps, execute):
    states, actions = [state], []
    for i in range(steps):
        if i % execute == 0:
            chunk = policy(state)
            require_enough(chunk, execute)
        actions.append(chunk[:, i % execute])
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, dim=1), torch.stack(actions, dim=1)


@receding_horizon.alternative("two loops, the last chunk cut off")
def two_loops(policy, step, state, steps, execute):
    states, actions, left = [state.clone()], [], steps
    while left > 0:
        chunk = policy(states[-1])
        if execute > chunk.size(1):
            raise ValueError("execute exceeds the chunk")
        for action in chunk[:, : min(execute, left)].transpose(0, 1):
            actions.append(action)
            states.append(step(states[-1], action))
        left -= execute
    return [torch.stack(states).transpose(0, 1), torch.stack(actions).transpose(0, 1)]


@receding_horizon.alternative("tables filled in place, a queue of actions")
def tables_and_queue(policy, step, state, steps, execute):
    first = policy(state)
    require_enough(first, execute)
    states = state.new_zeros(len(state), steps + 1, state.shape[1])
    actions = first.new_zeros(len(state), steps, first.shape[2])
    states[:, 0] = state
    queue = [first[:, j] for j in range(execute)]
    for i in range(steps):
        if not queue:
            queue = list(policy(states[:, i]).unbind(1))[:execute]
        actions[:, i] = queue.pop(0)
        states[:, i + 1] = step(states[:, i], actions[:, i])
    return states, actions
