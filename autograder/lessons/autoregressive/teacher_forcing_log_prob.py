"""The likelihood of a sequence in one pass: `teacher_forcing_log_prob`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ...conventions import Manner
from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from .shared import Reader

# A causal model that is its own weights: a tensor that can be called. So the answer can be differentiated by it.
TRAINABLE = """
class Weights(torch.Tensor):
    def __call__(self, tokens):
        weights = self.as_subclass(torch.Tensor)
        rows = weights[tokens]
        return rows + 0.5 * rows.cumsum(1).sin()

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


@exercise("teacher_forcing_log_prob", points=2)
def teacher_forcing_log_prob(student, case):
    """log p(x) = sum_n log softmax(l_n)[x_n] in one call, with start, x_1, ..., x_{N-1} going in, (B,)."""
    truth = teacher_forcing_log_prob.oracle
    batch, length, levels = case.sizes(3, low=3, high=7)

    def sequences(count, size):
        return torch.randint(levels, (count, size), generator=case.generator)

    x = sequences(batch, length)
    model = Reader(case, levels + 1, levels, length)
    got, right = student(model, x, levels), truth(model.again(), x, levels)
    case.expect(
        asked(model, got), [shifted(x, levels)], "one call, of the start and all tokens but the last", points=0.5
    )
    case.expect(got, right, "a start token of its own", points=0.5, dtype=True)
    single = sequences(batch, 1)
    case.expect(
        [student(model.again(), x, 0), student(model.again(), single, 1)],
        [truth(model.again(), x, 0), truth(model.again(), single, 1)],
        "a level as the start token, and sequences of length 1",
        points=0.25,
    )
    steep, impossible = Steep(case, levels), x.clone()
    impossible[0, :2] = torch.tensor([1, levels - 1])
    case.expect(student(steep, impossible, 0), truth(steep, impossible, 0), "logits of 400, and of -inf", points=0.25)

    weights = case.normal(levels + 1, levels)
    trained = Source(TRAINABLE.format(weights=weights.tolist()), "model")
    leaf, each = weights.clone().requires_grad_(), case.normal(batch)
    whole = F.cross_entropy(smooth(leaf)(shifted(x, levels)).flatten(0, 1), x.flatten(), reduction="none")
    (slope,) = torch.autograd.grad(-(each * whole.reshape(x.shape).sum(1)).sum(), leaf)
    case.expect(
        student.gradient(trained, x, levels, weights=[each], wrt=[0]),
        [slope],
        "its gradient with respect to the model's weights",
        points=0.25,
        hint="the answer must stay connected to the model's: no detach, no no_grad, no .item()",
    )

    def by_weights(weights, x, start):
        return truth(smooth(weights), x, start)

    also = [(weights, x[:1, :1], levels), (1e-9 * weights, x, 0)]
    case.conventions(student, (weights, x, levels), by_weights, points=0.25, also=also, manner=Weighed())


def asked(model, answer):
    """The tokens of all calls, or the Failure in which they ended."""
    return answer if isinstance(answer, Failure) else model.calls


def shifted(x, start):
    return F.pad(x[:, :-1], (1, 0), value=start)


def smooth(weights):
    """The model of `TRAINABLE` with these weights."""

    def model(tokens):
        rows = weights[tokens]
        return rows + 0.5 * rows.cumsum(1).sin()

    return model


class Weighed(Manner):
    """A model with these weights, whose logits have their dtype."""

    def calls(self, args):
        weights, *rest = args
        return [[smooth(weights), *rest]]


class Steep:
    """Logits of +-400 that no probability survives when taken by itself; after level 1 the last level is impossible."""

    def __init__(self, case, levels):
        signs = torch.where(case.uniform(levels + 1, levels) < 0.5, -400.0, 400.0).double()
        self.rows = signs + case.normal(levels + 1, levels)
        self.rows[1, -1] = -math.inf

    def __call__(self, tokens):
        return self.rows[tokens]


@teacher_forcing_log_prob.truth
def truth(model, x, start):
    """N calls on growing beginnings; in each, the last row's odds against the level that came."""
    beginning, total = x.new_full((len(x), 1), start), torch.zeros(len(x), dtype=torch.float64)
    for n in range(x.shape[1]):
        logits = model(beginning)[:, -1]
        wide = logits.double()
        total = total + wide[torch.arange(len(x)), x[:, n]] - wide.logsumexp(1)
        beginning = torch.cat([beginning, x[:, n : n + 1]], 1)
    return total.to(logits.dtype)


@teacher_forcing_log_prob.alternative("minus the cross-entropy")
def minus_cross_entropy(model, x, start):
    tokens = torch.cat([torch.full((x.shape[0], 1), start, dtype=x.dtype, device=x.device), x], dim=1)[:, :-1]
    return -F.cross_entropy(model(tokens).movedim(-1, 1), x, reduction="none").sum(-1)


@teacher_forcing_log_prob.alternative("torch.distributions")
def torch_distributions(model, x, start):
    tokens = torch.roll(x, 1, dims=1)
    tokens[:, 0] = start
    rows = torch.distributions.Categorical(logits=model(tokens), validate_args=False)
    return rows.log_prob(x).sum(dim=1)


@teacher_forcing_log_prob.alternative("token by token from one answer")
def token_by_token_from_one_answer(model, x, start):
    tokens = torch.empty_like(x)
    tokens[:, 0], tokens[:, 1:] = start, x[:, :-1]
    logits = model(tokens)
    rows = torch.arange(len(x), device=x.device)
    nats = [logits[rows, n, x[:, n]] - torch.logsumexp(logits[:, n], -1) for n in range(x.shape[1])]
    return torch.stack(nats).sum(0)


def picked(logits, x):
    """The log-probabilities of the levels of x, (B, N)."""
    return logits.log_softmax(-1).gather(-1, x[..., None])[..., 0]


@teacher_forcing_log_prob.misconception(
    "the sequence goes in as it is",
    hint="Entry n of the answer has seen token n, so with x itself going in every place is asked for what it has just "
    "read. Put the start in front and leave the last token out.",
)
def sequence_goes_in_as_it_is(model, x, start):
    return picked(model(x), x).sum(1)


@teacher_forcing_log_prob.misconception(
    "the next token is scored, the first one never",
    hint="As language models are often trained: x goes in and x_2 ... x_N are scored. Then p(x_1) is missing. With the "
    "start in front every token is scored.",
)
def next_token_is_scored_first_never(model, x, start):
    if x.shape[1] == 1:
        return model(x).sum((1, 2)) * 0
    return picked(model(x)[:, :-1], x[:, 1:]).sum(1)


@teacher_forcing_log_prob.misconception(
    "a token too many goes in",
    hint="Start and ALL of x are N + 1 tokens; the last answer is not about any token of x. N go in: leave the last "
    "one out.",
)
def token_too_many_goes_in(model, x, start):
    logits = model(F.pad(x, (1, 0), value=start))
    return picked(logits[:, :-1], x).sum(1)


@teacher_forcing_log_prob.misconception(
    "one call for each token",
    hint="The value is right. But a causal model answers all places in a single call, and that is why training is "
    "fast.",
)
def one_call_for_each_token(model, x, start):
    tokens = shifted(x, start)
    return torch.stack(
        [picked(model(tokens[:, : n + 1])[:, -1:], x[:, n : n + 1])[:, 0] for n in range(x.shape[1])]
    ).sum(0)


@teacher_forcing_log_prob.misconception(
    "the mean over the sequence",
    hint="log p(x) is a sum over all N tokens. Their mean is the logarithm of no probability.",
)
def mean_over_sequence(model, x, start):
    return picked(model(shifted(x, start)), x).mean(1)


@teacher_forcing_log_prob.misconception(
    "the mean over the batch",
    hint="Each sequence has a likelihood of its own: the answer has shape (B,).",
)
def mean_over_batch(model, x, start):
    return picked(model(shifted(x, start)), x).sum(1).mean()


@teacher_forcing_log_prob.misconception(
    "the sign is reversed",
    hint="That is the loss, -log p(x). Asked is log p(x), which is never above 0.",
)
def sign_is_reversed(model, x, start):
    return -picked(model(shifted(x, start)), x).sum(1)


@teacher_forcing_log_prob.misconception(
    "logits without a softmax",
    hint="A logit is no log-probability: subtract the logarithm of the sum of all exponentials, as log_softmax does.",
)
def logits_without_softmax(model, x, start):
    return model(shifted(x, start)).gather(-1, x[..., None])[..., 0].sum(1)


@teacher_forcing_log_prob.misconception(
    "the softmax is over the sequence",
    hint="Each place has a row of its own over the K levels: the softmax runs along the last axis.",
)
def softmax_is_over_sequence(model, x, start):
    return model(shifted(x, start)).log_softmax(1).gather(-1, x[..., None])[..., 0].sum(1)


@teacher_forcing_log_prob.misconception(
    "the logarithm of a softmax",
    hint="A softmax underflows to 0 for logits far below the largest one, and its logarithm is -inf then. log_softmax "
    "does not pass through the probability.",
)
def logarithm_of_softmax(model, x, start):
    p = model(shifted(x, start)).softmax(-1)
    return p.gather(-1, x[..., None])[..., 0].log().sum(1)


@teacher_forcing_log_prob.misconception(
    "0 as the start, whatever is given",
    hint="The start token is an argument, and often one that no level uses.",
)
def zero_as_start(model, x, start):
    return picked(model(shifted(x, 0)), x).sum(1)


@teacher_forcing_log_prob.misconception(
    "no gradient reaches the model",
    hint="The value is right, but nothing can be trained with it: no torch.no_grad(), no detach().",
)
def no_gradient_reaches_model(model, x, start):
    return picked(model(shifted(x, start)).detach(), x).sum(1)


@teacher_forcing_log_prob.misconception(
    "impossible levels are given a floor",
    hint="A level whose logit is -inf has probability 0, and its logarithm is -inf. No small number is added.",
)
def impossible_levels_are_given_floor(model, x, start):
    logits = model(shifted(x, start)).clamp(min=-1e4)
    return picked(logits, x).sum(1)
