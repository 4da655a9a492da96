"""From what is left to the steps that took it: `beta_from_alpha_bar`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import uneven_alpha_bar, uneven_beta


@exercise("beta_from_alpha_bar", points=1)
def beta_from_alpha_bar(student, case):
    """(T + 1,) -> (T + 1,): 1 - alpha_bar[t] / alpha_bar[t-1], beta[0] = 0, clipped above."""
    truth = beta_from_alpha_bar.oracle
    table = uneven_alpha_bar(case, case.integer(4, 7))
    last = table[-1:] * case.uniform(1, low=1e-4, high=5e-4)  # a step that has to be clipped
    table = torch.cat([table, last])
    slow = torch.cat([table[:1], table * (1 - 3e-5)])  # beta[1] = 3e-5, below every lower clip in use
    case.expect(student(slow), truth(slow), "steps from tiny to clipped", points=0.5)
    bound = case.number(0.25, 0.35)
    below, above = uneven_beta(case, 3, low=0.1, high=0.2), case.uniform(1, low=0.4, high=0.6)
    some = torch.exp(torch.log1p(-torch.cat([below, above])).cumsum(0))
    case.expect(student(some, bound), truth(some, bound), "another upper bound", points=0.25)
    slight = torch.exp(-1e-5 * torch.arange(5, dtype=torch.float64))  # no floor under the steps: all of them 1e-5
    case.conventions(student, (table,), truth, points=0.25, also=[(slight,), (table[:2],)])


@beta_from_alpha_bar.truth
def truth(alpha_bar, max_beta=0.999):
    # In the logarithm a step is a difference.
    steps = [0.0, *(-torch.expm1(alpha_bar.log().diff())).tolist()]
    return torch.tensor([min(b, max_beta) for b in steps], dtype=alpha_bar.dtype)


def _with_zero(steps):
    return torch.cat([torch.zeros_like(steps[:1]), steps])


@beta_from_alpha_bar.misconception(
    "1 - alpha_bar in place of one step",
    hint="That is the noise of all steps together. One step is the ratio of neighbours: alpha_t = alpha_bar[t] / "
    "alpha_bar[t-1].",
)
def one_minus_alpha_bar_in_place_of_one_step(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "alpha_bar[t-1] wraps around at t = 0",
    hint="At t = 0 the index -1 (or torch.roll) reaches the END of the table. There is no step 0: put beta[0] = 0 in "
    "front of the others.",
)
def alpha_bar_t_minus_1_wraps_around_at_t_0(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar / alpha_bar.roll(1)).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "nothing is clipped",
    hint="A step that wipes out (nearly) everything must not exceed max_beta: clamp from above.",
)
def nothing_is_clipped(alpha_bar, max_beta=0.999):
    return _with_zero(1 - alpha_bar[1:] / alpha_bar[:-1])


@beta_from_alpha_bar.misconception(
    "clipped from below as well",
    hint="Small steps are legal and stay as they are; only max_beta bounds them, from above.",
)
def clipped_from_below_as_well(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(1e-4, max_beta))


@beta_from_alpha_bar.misconception(
    "the argument max_beta is not used",
    hint="You clip at 0.999 whatever the caller asks for. Put max_beta in its place.",
)
def argument_max_beta_is_not_used(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999))


@beta_from_alpha_bar.misconception(
    "the entry of t = 0 is missing",
    hint="The result has T + 1 entries like alpha_bar: beta[0] = 0 in front of beta_1 to beta_T.",
)
def entry_of_t_0_is_missing(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "the zero stands at the end",
    hint="beta[0] = 0 belongs to the clean data, at the front. At the end it moves every step one place early.",
)
def zero_stands_at_end(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)).roll(-1)


@beta_from_alpha_bar.misconception(
    "the ratio is upside down",
    hint="alpha_t = alpha_bar[t] / alpha_bar[t-1], later over earlier, which is below 1. Yours gives negative betas.",
)
def ratio_is_upside_down(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[:-1] / alpha_bar[1:]).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "a difference in place of a ratio",
    hint="alpha_bar[t-1] - alpha_bar[t] is what a step takes of the ORIGINAL signal. beta_t is its share of what was "
    "left: divide by alpha_bar[t-1].",
)
def difference_in_place_of_ratio(alpha_bar, max_beta=0.999):
    return _with_zero((alpha_bar[:-1] - alpha_bar[1:]).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "a root too many",
    hint="alpha_bar is a product of alphas, not of their roots: the ratio of neighbours is alpha_t itself.",
)
def one_root_too_many(alpha_bar, max_beta=0.999):
    return _with_zero((1 - (alpha_bar[1:] / alpha_bar[:-1]).sqrt()).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "alpha in place of beta",
    hint="You returned what each step keeps. beta is what it takes: 1 minus that.",
)
def alpha_in_place_of_beta(alpha_bar, max_beta=0.999):
    return _with_zero((alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta))


@beta_from_alpha_bar.alternative("a table of predecessors")
def table_of_predecessors(alpha_bar, max_beta=0.999):
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    return torch.minimum(1 - alpha_bar / before, alpha_bar.new_tensor(max_beta))


@beta_from_alpha_bar.alternative("a loop")
def in_a_loop(alpha_bar, max_beta=0.999):
    beta = torch.zeros_like(alpha_bar)
    for t in range(1, len(alpha_bar)):
        beta[t] = min(1 - alpha_bar[t].item() / alpha_bar[t - 1].item(), max_beta)
    return beta


@beta_from_alpha_bar.alternative("differences over what was left")
def differences_over_what_was_left(alpha_bar, max_beta=0.999):
    lost = -alpha_bar.diff() / alpha_bar[:-1]
    return torch.nn.functional.pad(lost.clip(max=max_beta), (1, 0))
