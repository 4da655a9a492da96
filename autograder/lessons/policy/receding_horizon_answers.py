"""Wrong answers that the checks of `receding_horizon` are tested with."""

from __future__ import annotations

import torch

from .receding_horizon import one_loop, receding_horizon, require_enough


def acted(policy, step, state, steps, execute, choose=lambda chunk, i, execute: chunk[:, i % execute], plan=None):
    """The right loop, but for the action that is chosen at step i, or for the state that a plan is made from."""
    states, actions = [state], []
    for i in range(steps):
        if i % execute == 0:
            chunk = policy(plan(states) if plan else state)
            require_enough(chunk, execute)
        actions.append(choose(chunk, i, execute))
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "every plan is carried out to its end",
    hint="`execute` says how much of a plan is used before the next one is made, and the horizon is longer than that.",
)
def whole_plans(policy, step, state, steps, execute):
    horizon = 0
    states, actions = [state], []
    for i in range(steps):
        if not horizon or i % horizon == 0:
            chunk = policy(state)
            require_enough(chunk, execute)
            horizon = chunk.shape[1]
        actions.append(chunk[:, i % horizon])
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "a new plan at every step",
    hint="Between two plans `execute` actions are carried out, one after the other, and the policy is not asked.",
)
def plan_at_every_step(policy, step, state, steps, execute):
    states, actions = [state], []
    for _ in range(steps):
        chunk = policy(state)
        require_enough(chunk, execute)
        actions.append(chunk[:, 0])
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "a plan's first action is repeated",
    hint="The second step takes the second action of the plan: which index does step i have within its plan?",
)
def first_repeated(policy, step, state, steps, execute):
    return acted(policy, step, state, steps, execute, lambda chunk, i, execute: chunk[:, 0])


@receding_horizon.misconception(
    "a new plan is entered where the old one was left",
    hint="Action 0 of a plan is for the state that the plan was made in: with a new plan the index begins again at 0.",
)
def entered_late(policy, step, state, steps, execute):
    return acted(policy, step, state, steps, execute, lambda chunk, i, execute: chunk[:, i % chunk.shape[1]])


@receding_horizon.misconception(
    "every plan is made from the start",
    hint="Plan again from where you ARE: hand the policy the state that the last step led to.",
)
def from_the_start(policy, step, state, steps, execute):
    return acted(policy, step, state, steps, execute, plan=lambda states: states[0])


@receding_horizon.misconception(
    "plans are made one step behind",
    hint="The state that you hand to the policy is the one before the last action. Step first, then plan from what "
    "comes out.",
)
def one_behind(policy, step, state, steps, execute):
    return acted(policy, step, state, steps, execute, plan=lambda states: states[max(len(states) - 2, 0)])


@receding_horizon.misconception(
    "the last plan is not cut off",
    hint="`steps` counts steps of the environment. Where `execute` does not divide it, the last plan is left early.",
)
def not_cut_off(policy, step, state, steps, execute):
    return one_loop(policy, step, state, -(-steps // execute) * execute, execute)


@receding_horizon.misconception(
    "the last steps are left out",
    hint="steps // execute whole plans do not make `steps` steps where there is a remainder.",
)
def left_out(policy, step, state, steps, execute):
    return one_loop(policy, step, state, max(steps // execute, 1) * execute, execute)


@receding_horizon.misconception(
    "one plan too many",
    hint="After the last step nobody needs a plan: ask the policy when the next action is due, not when the last one "
    "is done.",
)
def one_plan_too_many(policy, step, state, steps, execute):
    made = one_loop(policy, step, state, steps, execute)
    if steps % execute == 0:
        policy(made[0][:, -1])
    return made


@receding_horizon.misconception(
    "a plan is made only to measure it",
    hint="Asking a policy costs something. The first plan that you carry out tells how long plans are.",
)
def made_to_measure(policy, step, state, steps, execute):
    require_enough(policy(state), execute)
    return one_loop(policy, step, state, steps, execute)


@receding_horizon.misconception(
    "the starting state is missing",
    hint="steps + 1 states: the one that everything begins with, and one after every action.",
)
def start_missing(policy, step, state, steps, execute):
    states, actions = one_loop(policy, step, state, steps, execute)
    return states[:, 1:], actions


@receding_horizon.misconception(
    "the last state is missing",
    hint="steps + 1 states: where the last action leads belongs to them.",
)
def end_missing(policy, step, state, steps, execute):
    states, actions = one_loop(policy, step, state, steps, execute)
    return states[:, :-1], actions


@receding_horizon.misconception(
    "the steps are in front of the batch",
    hint="torch.stack puts the new axis in front unless told otherwise: the batch comes first, then the steps.",
)
def steps_in_front(policy, step, state, steps, execute):
    states, actions = one_loop(policy, step, state, steps, execute)
    return states.transpose(0, 1), actions.transpose(0, 1)


@receding_horizon.misconception(
    "too large an `execute` is cut down silently",
    hint="Somebody who asks for more actions than a plan has made a mistake, and should be told: raise ValueError.",
)
def cut_down(policy, step, state, steps, execute):
    states = [state]
    actions: list[torch.Tensor] = []
    while len(actions) < steps:
        chunk = policy(state)
        for j in range(min(execute, chunk.shape[1], steps - len(actions))):
            actions.append(chunk[:, j])
            state = step(state, actions[-1])
            states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "too large an `execute` is noticed only when the plan runs out",
    hint="With few steps it is never noticed, and with many too late: somebody has acted by then. Compare `execute` "
    "with the plan's length before the first step.",
)
def noticed_late(policy, step, state, steps, execute):
    states, actions = [state], []
    for i in range(steps):
        if i % execute == 0:
            chunk = policy(state)
        if i % execute >= chunk.shape[1]:
            raise ValueError("the plan has run out")
        actions.append(chunk[:, i % execute])
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "`execute` is not compared with the plan",
    hint="With many steps it ends in an IndexError, after somebody has acted; with few it is never noticed. Compare "
    "before the first step, and raise ValueError.",
)
def not_compared(policy, step, state, steps, execute):
    states, actions = [state], []
    for i in range(steps):
        if i % execute == 0:
            chunk = policy(state)
        actions.append(chunk[:, i % execute])
        state = step(state, actions[-1])
        states.append(state)
    return torch.stack(states, 1), torch.stack(actions, 1)


@receding_horizon.misconception(
    "too large an `execute` is refused only where there are as many steps",
    hint="How many steps are asked for does not matter: compare `execute` with the length of the plan alone.",
)
def refused_with_steps(policy, step, state, steps, execute):
    return one_loop(policy, step, state, steps, min(execute, steps))


@receding_horizon.misconception(
    "the wrong error is raised",
    hint="An AssertionError or IndexError tells nobody which argument was wrong. Raise ValueError, by name.",
)
def wrong_error(policy, step, state, steps, execute):
    try:
        return one_loop(policy, step, state, steps, execute)
    except ValueError:
        raise AssertionError("execute exceeds the plan") from None


@receding_horizon.misconception(
    "the world moves on from the state that was planned from",
    hint="Within a plan every action starts where the one before it led, not at the state that the plan was made in.",
)
def from_planned(policy, step, state, steps, execute):
    states, actions = [state], []
    for i in range(steps):
        if i % execute == 0:
            planned = states[-1]
            chunk = policy(planned)
            require_enough(chunk, execute)
        actions.append(chunk[:, i % execute])
        states.append(step(planned, actions[-1]))
    return torch.stack(states, 1), torch.stack(actions, 1)


receding_horizon.derived(
    "parts exchanged",
    name="states and actions are exchanged",
    hint="The states come first, then the actions: return states, actions.",
)
