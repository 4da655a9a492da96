"""What a planner learns with start and goal in sight: `planning_loss`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import AXIS, EARLY, ONE_TIME, along, first_of, schedule, times_among
from .shared import FRESH, NO_GRADIENT, ROOTS, TRAINED, Coupled, exactly_noised, noised, squared_error, trained


@exercise("planning_loss", points=2)
def planning_loss(student, case):
    """The mean of (eps - model(x, t))^2 over the free entries; in x the given ones are clean, the free ones noised."""
    truth, steps = planning_loss.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def given(mask, *shape):
        return case.normal(*shape), mask, times_among(case, steps, shape[0], 1, 2), case.normal(*shape), alpha_bar

    def ends(length, entries=None):
        """Start and goal, alone or of the last entry only."""
        mask = torch.zeros(length, entries or 1, dtype=torch.bool)
        mask[[0, -1], -1] = True
        return mask

    own = torch.zeros(4, 5, 3, dtype=torch.bool)  # each plan with a mask of its own
    own[0, :3], own[1, 4], own[2, :, 0], own[3, 0, 0] = True, True, True, True
    rows = given(own, 4, 5, 3)
    seen, right = Coupled(), Coupled()
    got, true = student(seen, *rows), truth(right, *rows)
    case.expect(
        seen.asked(got),
        right.asked(true),
        "the model is asked once: given entries clean, the others noised, and t",
        points=0.5,
        dtype=True,
    )
    case.expect(got, true, "the loss, where each plan has a mask of its own", points=0.25)
    shared = [given(ends(6), 5, 6, 2), given(ends(4, 4), 4, 4, 4), given(torch.tensor([True, False]), 4, 3, 2)]
    case.expect(
        [student(seen, *one) for one in shared],
        [truth(right, *one) for one in shared],
        "one mask for all: start and goal, one entry of them, one entry of every state",
        points=0.5,
    )
    free = given(torch.zeros(5, 1, dtype=torch.bool), 4, 5, 2)
    case.expect(student(seen, *free), truth(right, *free), "nothing given: lesson 06's loss", points=0.25)
    weights = [case.number(low, low + 0.5) for low in (0.3, 0.2, 0.4)]
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(truth(trained(*leaf), *rows), leaf)
    model = Source(TRAINED.format(weights=weights), "model")
    case.expect(
        student.gradient(model, *rows, weights=[torch.ones((), dtype=torch.float64)], wrt=[0]),
        [*slope],
        "its gradient reaches the model's weights",
        points=0.25,
        hint="the loss must stay connected to the model's answer: no detach, no no_grad, no .item()",
    )
    lone = rows[0][:1], own[:1], rows[2][:1], rows[3][:1], alpha_bar
    point = given(torch.tensor([[[False]]] * 4), 4, 1, 1)
    case.conventions(student, (model, *rows), truth, points=0.25, also=[(seen, *lone), (seen, *point)])


@planning_loss.truth
def truth(model, x0, mask, t, eps, alpha_bar):
    """The plans noised example by example, the given entries written over them; then the others' errors alone."""
    there = mask.expand(x0.shape)
    shown = exactly_noised(x0, t, eps, alpha_bar).to(x0.dtype)
    shown[there] = x0[there]
    guess = model(shown, t)
    free = there.logical_not().flatten().nonzero()[:, 0]
    return squared_error(guess.reshape(-1).index_select(0, free), eps.reshape(-1).index_select(0, free))


def shown(x0, mask, t, eps, alpha_bar):
    """What the network is to see."""
    return torch.where(mask, x0, noised(x0, t, eps, alpha_bar))


def over_free(error, mask):
    """The mean over the entries that are not given."""
    return error[~mask.expand_as(error)].mean()


@planning_loss.alternative("where, then indexed")
def where_then_indexed(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    return over_free(error, mask)


@planning_loss.alternative("masks as factors")
def masks_as_factors(model, x0, mask, t, eps, alpha_bar):
    fixed = mask.to(x0.dtype).expand(x0.shape)
    keep, add = ((value.reshape(-1, 1, 1)) for value in (alpha_bar[t].sqrt(), (1 - alpha_bar[t]).sqrt()))
    x = fixed * x0 + (1 - fixed) * (keep * x0 + add * eps)
    return ((1 - fixed) * (eps - model(x, t)) ** 2).sum() / (1 - fixed).sum()


@planning_loss.alternative("each entry with its own level, 1 where it is given")
def level_of_each_entry(model, x0, mask, t, eps, alpha_bar):
    level = torch.where(mask, torch.ones_like(x0), alpha_bar[t][:, None, None].expand_as(x0))
    guess = model(level.sqrt() * x0 + (1 - level).sqrt() * eps, t)
    free = torch.logical_not(torch.broadcast_to(mask, x0.shape))
    return torch.nn.functional.mse_loss(guess.masked_select(free), eps.masked_select(free))


@planning_loss.misconception(
    "the given entries are noised like the others",
    hint="In planning they are known, and stand clean in the network's input. It must have seen that in training.",
)
def all_noised(model, x0, mask, t, eps, alpha_bar):
    return over_free((model(noised(x0, t, eps, alpha_bar), t) - eps).square(), mask)


@planning_loss.misconception(
    "the mask is not used",
    hint="This is lesson 06's loss. What is given goes in clean, and nothing has to be predicted there.",
)
def mask_unused(model, x0, mask, t, eps, alpha_bar):
    return (model(noised(x0, t, eps, alpha_bar), t) - eps).square().mean()


@planning_loss.misconception(
    "the given entries are in the loss",
    hint="No noise went into the given entries, so none can be found there. Their errors are to be left out.",
)
def given_in_loss(model, x0, mask, t, eps, alpha_bar):
    return (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square().mean()


@planning_loss.misconception(
    "the given entries are in the count",
    hint="Their errors are out of the sum, but you divide by the number of all entries: divide by what was summed.",
)
def given_in_count(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    return torch.where(mask, torch.zeros_like(error), error).mean()


@planning_loss.misconception(
    "the mask's own entries are counted",
    hint="A mask of shape (L, 1) stands for B x L x S entries. Expand it to the shape of the plans before counting.",
)
def counted_unexpanded(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    return torch.where(mask, torch.zeros_like(error), error).sum() / (~mask).sum()


@planning_loss.misconception(
    "a mean of means",
    hint="You average each plan first, then the plans, so that a plan with one free entry counts as much as a free "
    "one. One sum over one count is asked for.",
)
def mean_of_means(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    free = (~mask.expand_as(error)).to(error.dtype)
    return ((error * free).flatten(1).sum(1) / free.flatten(1).sum(1)).mean()


@planning_loss.misconception(
    "the sum in place of the mean", hint="Divide by the number of entries that were summed: the free ones."
)
def sum_for_mean(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    return error[~mask.expand_as(error)].sum()


@planning_loss.misconception(
    "the mask is turned round",
    hint="True marks what is given: clean in the input, and out of the loss.",
)
def mask_turned(model, x0, mask, t, eps, alpha_bar):
    turned = ~mask.expand_as(x0)
    error = (model(shown(x0, turned, t, eps, alpha_bar), t) - eps).square()
    return torch.where(turned, torch.zeros_like(error), error).sum() / (~turned).sum()


@planning_loss.misconception(
    "in the input the mask is turned round",
    hint="The loss is right. In the input the given entries are clean, where mask is True, and the others are noised.",
)
def input_turned(model, x0, mask, t, eps, alpha_bar):
    x = torch.where(mask, noised(x0, t, eps, alpha_bar), x0)
    return over_free((model(x, t) - eps).square(), mask)


@planning_loss.misconception(
    "the loss is taken where entries are given",
    hint="The input is right. In the loss ~mask is wanted: there is noise to be found in the free entries only.",
)
def loss_of_given(model, x0, mask, t, eps, alpha_bar):
    error = (model(shown(x0, mask, t, eps, alpha_bar), t) - eps).square()
    return error[mask.expand_as(error)].mean()


@planning_loss.misconception(
    "the given entries are wiped out of the input",
    hint="Then the network cannot know where start and goal are. They stand in its input, clean.",
)
def wiped_out(model, x0, mask, t, eps, alpha_bar):
    x = torch.where(mask, torch.zeros_like(x0), noised(x0, t, eps, alpha_bar))
    return over_free((model(x, t) - eps).square(), mask)


@planning_loss.misconception(
    "the given entries are shrunk",
    hint="Clean means x_0 as it is: no noise, and no factor sqrt(alpha_bar_t) either.",
)
def shrunk(model, x0, mask, t, eps, alpha_bar):
    x = torch.where(mask, along(alpha_bar[t], x0).sqrt() * x0, noised(x0, t, eps, alpha_bar))
    return over_free((model(x, t) - eps).square(), mask)


@planning_loss.misconception(
    "the target is the plan", hint="The model predicts the noise that went in: compare its answer with eps."
)
def target_is_plan(model, x0, mask, t, eps, alpha_bar):
    return over_free((model(shown(x0, mask, t, eps, alpha_bar), t) - x0).square(), mask)


@planning_loss.misconception(*NO_GRADIENT)
@torch.no_grad()
def no_gradient(model, x0, mask, t, eps, alpha_bar):
    return where_then_indexed(model, x0, mask, t, eps, alpha_bar)


@planning_loss.misconception(*ROOTS)
def roots_missing(model, x0, mask, t, eps, alpha_bar):
    level = along(alpha_bar[t], x0)
    x = torch.where(mask, x0, level * x0 + (1 - level) * eps)
    return over_free((model(x, t) - eps).square(), mask)


@planning_loss.misconception(*FRESH)
def fresh_noise(model, x0, mask, t, eps, alpha_bar):
    return where_then_indexed(model, x0, mask, t, torch.randn_like(eps), alpha_bar)


@planning_loss.misconception(*EARLY)
def one_step_early(model, x0, mask, t, eps, alpha_bar):
    return over_free((model(shown(x0, mask, t - 1, eps, alpha_bar), t) - eps).square(), mask)


@planning_loss.misconception(*ONE_TIME)
def one_time(model, x0, mask, t, eps, alpha_bar):
    return over_free((model(shown(x0, mask, first_of(t), eps, alpha_bar), t) - eps).square(), mask)


@planning_loss.misconception(*AXIS)
def wrong_axis(model, x0, mask, t, eps, alpha_bar):
    level = alpha_bar[t]
    x = torch.where(mask, x0, level.sqrt() * x0 + (1 - level).sqrt() * eps)
    return over_free((model(x, t) - eps).square(), mask)


@planning_loss.misconception(
    "the plans are overwritten",
    hint="The value is right, but the noisy entries were written into x0, and whoever called you still needs the clean "
    "plans. Make a new tensor.",
)
def overwritten(model, x0, mask, t, eps, alpha_bar):
    clean = x0.clone()
    x0.copy_(shown(clean, mask, t, eps, alpha_bar))
    return over_free((model(x0, t) - eps).square(), mask)
