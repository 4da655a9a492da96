"""What a diffusion policy is trained on: `policy_loss`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import AXIS, EARLY, ONE_TIME, along, first_of, schedule, times_among
from .shared import FRESH, NO_GRADIENT, ROOTS, TRAINED, Coupled, exactly_noised, noised, squared_error, trained


@exercise("policy_loss", points=2)
def policy_loss(student, case):
    """The mean of (eps - model(x_t, t, obs))^2 over the entries of the valid steps; padding is noised all the same."""
    truth, steps = policy_loss.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def given(batch, horizon, actions, seen, padded):
        valid = torch.arange(horizon) < torch.tensor(padded)[:, None]
        chunk, eps = case.normal(batch, horizon, actions), case.normal(batch, horizon, actions)
        chunk = torch.where(valid[..., None], chunk, chunk[:, -1:])
        return case.normal(batch, seen), chunk, valid, times_among(case, steps, batch, 1, 2), eps, alpha_bar

    rows = given(5, 4, 2, 3, [4, 1, 2, 3, 1])
    seen, right = Coupled(), Coupled()
    got, true = student(seen, *rows), truth(right, *rows)
    case.expect(
        seen.asked(got),
        right.asked(true),
        "the model is asked once: the whole chunk noised, t, and the observation as it is",
        points=0.5,
        dtype=True,
    )
    square, sparse = given(4, 4, 4, 4, [4, 2, 1, 3]), given(4, 3, 2, 1, [3, 0, 1, 0])
    case.expect(
        [got, student(seen, *square), student(seen, *sparse)],
        [true, truth(right, *square), truth(right, *sparse)],
        "the loss of the valid steps: chunks of unequal length, of equal sizes, some without a valid step",
        points=0.5,
    )
    whole, one = given(4, 5, 3, 2, [5] * 4), given(4, 1, 2, 2, [1] * 4)
    case.expect(
        [student(seen, *whole), student(seen, *one)],
        [truth(right, *whole), truth(right, *one)],
        "nothing padded; chunks of one action",
        points=0.25,
    )
    weights = [case.number(low, low + 0.5) for low in (0.3, 0.2, 0.4)]
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(truth(trained(*leaf), *rows), leaf)
    model = Source(TRAINED.format(weights=weights), "model")
    case.expect(
        student.gradient(model, *rows, weights=[torch.ones((), dtype=torch.float64)], wrt=[0]),
        [*slope],
        "its gradient reaches the model's weights",
        points=0.5,
        hint="the loss must stay connected to the model's answer: no detach, no no_grad, no .item()",
    )
    single = given(4, 2, 1, 1, [2, 1, 1, 2])
    lone = *(value[:1] for value in single[:5]), alpha_bar
    case.conventions(student, (model, *rows), truth, points=0.25, also=[(seen, *single), (seen, *lone)])


@policy_loss.truth
def truth(model, obs, chunk, valid, t, eps, alpha_bar):
    """The chunks noised example by example; then the valid steps' errors alone, one after another, by log-densities."""
    xt = exactly_noised(chunk, t, eps, alpha_bar).to(chunk.dtype)
    guess = model(xt, t, obs)
    kept = [(b, j) for b, row in enumerate(valid.tolist()) for j, there in enumerate(row) if there]
    return squared_error(torch.stack([guess[place] for place in kept]), torch.stack([eps[place] for place in kept]))


def errors(model, obs, chunk, t, eps, alpha_bar, x=None):
    """The squared errors (B, H, A); `x` is what the model is shown in place of the noised chunk."""
    x = noised(chunk, t, eps, alpha_bar) if x is None else x
    return (model(x, t, obs) - eps).square()


@policy_loss.alternative("errors indexed by the mask")
def indexed_by_mask(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk, t, eps, alpha_bar)[valid].mean()


@policy_loss.alternative("a weighted sum over a count")
def weighted_sum(model, obs, chunk, valid, t, eps, alpha_bar):
    weight = valid[..., None].to(chunk.dtype)
    keep, add = alpha_bar[t].sqrt()[:, None, None], (1 - alpha_bar[t]).sqrt()[:, None, None]
    error = weight * (eps - model(keep * chunk + add * eps, t, obs)) ** 2
    return error.sum() / (weight.sum() * chunk.shape[-1])


@policy_loss.alternative("mse_loss of the selected entries")
def mse_of_selected(model, obs, chunk, valid, t, eps, alpha_bar):
    with torch.no_grad():
        xt = torch.einsum("b,bha->bha", alpha_bar[t] ** 0.5, chunk)
        xt = xt + torch.einsum("b,bha->bha", (1 - alpha_bar[t]) ** 0.5, eps)
    guess, there = model(xt, t, obs), valid.unsqueeze(2).expand_as(chunk)
    return torch.nn.functional.mse_loss(guess.masked_select(there), eps.masked_select(there))


@policy_loss.alternative("example by example, one sum and one count")
def one_sum_one_count(model, obs, chunk, valid, t, eps, alpha_bar):
    error = errors(model, obs, chunk, t, eps, alpha_bar)
    total, count = error.new_zeros(()), 0
    for row, there in zip(error, valid, strict=True):
        total = total + row[there].sum()
        count += row[there].numel()
    return total / count


def masked(error, valid):
    """The sum over the valid steps, and how many entries they have."""
    there = valid[..., None].expand_as(error)
    return torch.where(there, error, torch.zeros_like(error)).sum(), there.sum()


@policy_loss.misconception(
    "padding is in the loss",
    hint="Nobody took the actions behind an episode's end. Their errors are to be left out, of the sum and of the "
    "count.",
)
def padding_in_loss(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk, t, eps, alpha_bar).mean()


@policy_loss.misconception(
    "padding is in the count",
    hint="The padding's errors are out of the sum, but you divide by the number of all entries, so that much padding "
    "makes a small loss. Divide by what was summed.",
)
def padding_in_count(model, obs, chunk, valid, t, eps, alpha_bar):
    error = errors(model, obs, chunk, t, eps, alpha_bar)
    return masked(error, valid)[0] / error.numel()


@policy_loss.misconception(
    "steps are counted, not entries",
    hint="The mean is over the A entries of every valid step: valid counts steps.",
)
def steps_counted(model, obs, chunk, valid, t, eps, alpha_bar):
    return masked(errors(model, obs, chunk, t, eps, alpha_bar), valid)[0] / valid.sum()


@policy_loss.misconception(
    "a mean of means",
    hint="You average each chunk first, then the chunks, so that a chunk with one valid step counts as much as a whole "
    "one. One sum over one count is asked for.",
)
def mean_of_means(model, obs, chunk, valid, t, eps, alpha_bar):
    error = errors(model, obs, chunk, t, eps, alpha_bar).mean(2)
    weight = valid.to(error.dtype)
    return ((error * weight).sum(1) / weight.sum(1)).mean()


@policy_loss.misconception(
    "the sum in place of the mean", hint="Divide by the number of entries that were summed: those of the valid steps."
)
def sum_for_mean(model, obs, chunk, valid, t, eps, alpha_bar):
    return masked(errors(model, obs, chunk, t, eps, alpha_bar), valid)[0]


@policy_loss.misconception(
    "the padding is left without noise",
    hint="When it plans, the policy starts from pure noise in every place: it never sees a clean padding. The whole "
    "chunk is noised.",
)
def padding_clean(model, obs, chunk, valid, t, eps, alpha_bar):
    shown = torch.where(valid[..., None], noised(chunk, t, eps, alpha_bar), chunk)
    return errors(model, obs, chunk, t, eps, alpha_bar, shown)[valid].mean()


@policy_loss.misconception(
    "the padding is wiped out of the input",
    hint="The network's input is the whole noised chunk; only the loss leaves the padding out.",
)
def padding_wiped_out(model, obs, chunk, valid, t, eps, alpha_bar):
    shown = noised(chunk, t, eps, alpha_bar) * valid[..., None]
    return errors(model, obs, chunk, t, eps, alpha_bar, shown)[valid].mean()


@policy_loss.misconception(
    "the padding is set to 0 before it is noised",
    hint="The chunk is padded already, with the last action: it goes into the noise as it is.",
)
def padding_set_to_0(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk * valid[..., None], t, eps, alpha_bar)[valid].mean()


@policy_loss.misconception(
    "the mask is turned round",
    hint="valid is True where the expert acted: those steps are in the loss, the others are not.",
)
def mask_turned(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk, t, eps, alpha_bar)[~valid].mean()


@policy_loss.misconception(
    "the observation is noised",
    hint="The observation is a condition, not a thing to be generated: the network sees it clean, whatever t is.",
)
def observation_noised(model, obs, chunk, valid, t, eps, alpha_bar):
    seen = noised(obs, t, torch.randn_like(obs), alpha_bar)
    return errors(model, seen, chunk, t, eps, alpha_bar)[valid].mean()


@policy_loss.misconception(
    "the observation is shrunk",
    hint="sqrt(alpha_bar_t) belongs to the chunk alone. The observation goes in as it is.",
)
def observation_shrunk(model, obs, chunk, valid, t, eps, alpha_bar):
    seen = along(alpha_bar[t], obs).sqrt() * obs
    return errors(model, seen, chunk, t, eps, alpha_bar)[valid].mean()


@policy_loss.misconception(
    "the model is not told the observation",
    hint="A policy that does not see where it is gives the same plans everywhere: model(x_t, t, obs).",
)
def not_told(model, obs, chunk, valid, t, eps, alpha_bar):
    return (model(noised(chunk, t, eps, alpha_bar), t) - eps).square()[valid].mean()


@policy_loss.misconception(
    "observation and time change places", hint="The model takes the noisy chunk, then t, then the observation."
)
def time_last(model, obs, chunk, valid, t, eps, alpha_bar):
    return (model(noised(chunk, t, eps, alpha_bar), obs, t) - eps).square()[valid].mean()


@policy_loss.misconception(
    "the target is the chunk", hint="The model predicts the noise that went in: compare its answer with eps."
)
def target_is_chunk(model, obs, chunk, valid, t, eps, alpha_bar):
    return (model(noised(chunk, t, eps, alpha_bar), t, obs) - chunk).square()[valid].mean()


@policy_loss.misconception(*NO_GRADIENT)
@torch.no_grad()
def no_gradient(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk, t, eps, alpha_bar)[valid].mean()


@policy_loss.misconception(*ROOTS)
def roots_missing(model, obs, chunk, valid, t, eps, alpha_bar):
    level = along(alpha_bar[t], chunk)
    return errors(model, obs, chunk, t, eps, alpha_bar, level * chunk + (1 - level) * eps)[valid].mean()


@policy_loss.misconception(*FRESH)
def fresh_noise(model, obs, chunk, valid, t, eps, alpha_bar):
    return errors(model, obs, chunk, t, torch.randn_like(eps), alpha_bar)[valid].mean()


@policy_loss.misconception(*EARLY)
def one_step_early(model, obs, chunk, valid, t, eps, alpha_bar):
    shown = noised(chunk, t - 1, eps, alpha_bar)
    return errors(model, obs, chunk, t, eps, alpha_bar, shown)[valid].mean()


@policy_loss.misconception(*ONE_TIME)
def one_time(model, obs, chunk, valid, t, eps, alpha_bar):
    shown = noised(chunk, first_of(t), eps, alpha_bar)
    return errors(model, obs, chunk, t, eps, alpha_bar, shown)[valid].mean()


@policy_loss.misconception(*AXIS)
def wrong_axis(model, obs, chunk, valid, t, eps, alpha_bar):
    level = alpha_bar[t]
    shown = level.sqrt() * chunk + (1 - level).sqrt() * eps
    return errors(model, obs, chunk, t, eps, alpha_bar, shown)[valid].mean()
