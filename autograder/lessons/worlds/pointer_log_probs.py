"""A choice among things instead of numbers: `pointer_log_probs`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("pointer_log_probs", points=2)
def pointer_log_probs(student, case):
    """(B, V): log-softmax over the valid vertices of query . vertex, -inf at the others."""
    truth = pointer_log_probs.oracle
    batch, count, width = case.sizes(3, low=4, high=7)
    given = inputs(case, batch, count, width)
    query, vertices, valid = given
    full = query, vertices, torch.ones_like(valid)
    case.expect(
        [student(*full), student(*given)],
        [truth(*full), truth(*given)],
        "every vertex valid, and some of them",
        points=0.5,
        dtype=True,
    )
    loud = query, torch.where(valid[..., None], vertices, 9 * query[:, None]), valid
    single = query, vertices, torch.arange(count) == torch.arange(batch)[:, None] % count
    side = case.integer(4, 5)
    alike = inputs(case, side, side, side)
    case.expect(
        [student(*loud), student(*single), student(*alike)],
        [truth(*loud), truth(*single), truth(*alike)],
        "loud vertices that are not valid, a single valid one, as many examples as vertices and entries",
        points=0.5,
        atol=1e-9,  # a single one has log 1 = 0
    )
    ahead = torch.cat([-query[:, None], vertices[:, 1:-1], query[:, None]], 1)  # the last vertex is valid everywhere
    far = 60 * query, 60 * ahead, valid
    shut = far[0], torch.where(valid[..., None], far[1], 9 * far[0][:, None]), valid
    case.expect(
        [student(*far), student(*shut)],
        [truth(*far), truth(*shut)],
        "scores of thousands",
        points=0.5,
        hint="far below the largest score the probability is 0 in floating point, and its logarithm is not: stay in "
        "logarithms",
    )
    towards = torch.where(valid, case.normal(batch, count), 0.0)
    case.expect(
        student.gradient(*given, weights=[towards], wrt=[0, 1]),
        slopes(query, vertices, valid, towards),
        "gradients reach query and vertices, without a NaN",
        points=0.25,
    )
    two = query[:1, :1], vertices[:1, :2, :1], torch.ones(1, 2, dtype=torch.bool)
    case.conventions(student, given, truth, points=0.25, also=[two])


def inputs(case, batch, count, width):
    """query, vertices, and a mask with gaps whose first row has none."""
    valid = case.uniform(batch, count) < 0.6
    valid[0], valid[1:, 0], valid[1:, -1] = True, False, True
    return case.normal(batch, width), case.normal(batch, count, width), valid


@pointer_log_probs.truth
def truth(query, vertices, valid):
    """Pair by pair: -log of the sum over the valid u of exp(score_u - score_v)."""
    answers = []
    for q, points, there in zip(query.double(), vertices.double(), valid, strict=True):
        ahead = (points[there][None] - points[:, None]) @ q  # (V, valid)
        answers.append(torch.where(there, -ahead.logsumexp(1), -torch.inf))
    return torch.stack(answers).to(query.dtype)


def slopes(query, vertices, valid, towards):
    """The gradients of <towards, answer> in query and vertices, from the derivative of a softmax."""
    p = truth(query, vertices, valid).exp()
    score = towards - p * towards.sum(1, keepdim=True)
    return [torch.einsum("bv,bvd->bd", score, vertices), score[..., None] * query[:, None]]


def scores(query, vertices):
    return torch.einsum("bd,bvd->bv", query, vertices)


@pointer_log_probs.alternative("masked_fill and log_softmax")
def masked_fill(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices).masked_fill(~valid, float("-inf")), dim=-1)


@pointer_log_probs.alternative("the logsumexp of the valid scores taken off")
def logsumexp_off(query, vertices, valid):
    s = (vertices @ query[:, :, None]).squeeze(2)
    s = torch.where(valid, s, torch.full_like(s, -torch.inf))
    return s - s.logsumexp(1, keepdim=True)


@pointer_log_probs.alternative("row by row")
def row_by_row(query, vertices, valid):
    rows = []
    for q, v, there in zip(query, vertices, valid, strict=True):
        row = torch.full((len(v),), -torch.inf, dtype=query.dtype, device=query.device)
        row = row.masked_scatter(there, torch.nn.functional.log_softmax(v[there] @ q, dim=0))
        rows.append(row)
    return torch.stack(rows)


@pointer_log_probs.alternative("a categorical distribution")
def categorical(query, vertices, valid):
    logits = (query.unsqueeze(1) * vertices).sum(-1)
    lowest = torch.finfo(logits.dtype).min
    made = torch.distributions.Categorical(logits=torch.where(valid, logits, lowest), validate_args=False)
    return torch.where(valid, made.logits, -torch.inf)


@pointer_log_probs.misconception(
    "divided by sqrt(D)",
    hint="Attention divides by the root of D. A pointer, as defined here, takes the scalar product as it is.",
)
def scaled(query, vertices, valid):
    return masked_fill(query / query.shape[-1] ** 0.5, vertices, valid)


@pointer_log_probs.misconception(
    "the mask is turned round", hint="True marks a vertex that may be chosen: fill where valid is False."
)
def turned_round(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices).masked_fill(valid, -torch.inf), -1)


@pointer_log_probs.misconception(
    "masked after the softmax",
    hint="Then the valid probabilities no longer sum to 1: what the others had is lost. Mask the scores, before.",
)
def masked_after(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices), -1).masked_fill(~valid, -torch.inf)


@pointer_log_probs.misconception(
    "the mask is ignored", hint="A vertex that is not valid has probability 0: log 0 is -inf."
)
def mask_ignored(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices), -1)


@pointer_log_probs.misconception(
    "a masked score is 0",
    hint="exp(0) is 1, a good deal of weight. A score of -inf has weight 0.",
)
def score_0(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices) * valid, -1).masked_fill(~valid, -torch.inf)


@pointer_log_probs.misconception(
    "the scores are multiplied by the mask",
    hint="0 times a score is a score of 0, and exp(0) is 1: a vertex that is not valid gets weight all the same. Its "
    "score has to be -inf.",
)
def multiplied(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices) * valid, -1)


@pointer_log_probs.misconception(
    "a large negative number in place of -inf",
    hint="Asked for is -inf where a vertex is not valid. A finite number, however low, says that it may come.",
)
def finite(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices).masked_fill(~valid, -1e9), -1)


@pointer_log_probs.misconception(
    "the logarithm of a probability that has become 0",
    hint="Far below the largest score the softmax is exactly 0 in floating point, and its logarithm -inf where the "
    "true value is -1000. log_softmax takes the logarithm first.",
)
def log_of_softmax(query, vertices, valid):
    return torch.softmax(scores(query, vertices).masked_fill(~valid, -torch.inf), -1).log()


@pointer_log_probs.misconception(
    "exp of the scores as they are",
    hint="exp overflows beyond 700 (88 in float32). log_softmax takes the largest score off first.",
)
def bare_exp(query, vertices, valid):
    s = scores(query, vertices)
    total = (s.exp() * valid).sum(-1, keepdim=True)
    return torch.where(valid, s - total.log(), -torch.inf)


@pointer_log_probs.misconception(
    "the largest score is one that is not valid",
    hint="The score that is taken off for safety must be the largest of the VALID ones, or all of them may underflow.",
)
def largest_of_all(query, vertices, valid):
    s = scores(query, vertices)
    s = s - s.amax(-1, keepdim=True)
    return torch.where(valid, s - (s.exp() * valid).sum(-1, keepdim=True).log(), -torch.inf)


@pointer_log_probs.misconception(
    "normalised over the batch", hint="The probabilities of one example's vertices sum to 1: softmax along axis 1."
)
def over_batch(query, vertices, valid):
    return torch.log_softmax(scores(query, vertices).masked_fill(~valid, -torch.inf), 0)


@pointer_log_probs.misconception(
    "probabilities in place of their logarithms", hint="Log-probabilities are asked for: nats, none of them positive."
)
def probabilities(query, vertices, valid):
    return masked_fill(query, vertices, valid).exp()


@pointer_log_probs.misconception(
    "the angle in place of the scalar product",
    hint="Cosine similarity forgets lengths, and a pointer could never become sure. The scalar product is asked for.",
)
def angle(query, vertices, valid):
    s = torch.cosine_similarity(query[:, None], vertices, dim=-1)
    return torch.log_softmax(s.masked_fill(~valid, -torch.inf), -1)


@pointer_log_probs.misconception(
    "every query meets every example's vertices",
    hint="Row b of the query points among the vertices of example b alone: a batched product, (B, V, D) with (B, D).",
)
def other_examples(query, vertices, valid):
    s = torch.einsum("bd,avd->bv", query, vertices)
    return torch.log_softmax(s.masked_fill(~valid, -torch.inf), -1)


@pointer_log_probs.misconception(
    "a NaN in the gradient",
    hint="The values are right, but 0 times -inf stands in the sum, and was mended afterwards: its gradient stays NaN. "
    "Fill with -inf, and multiply nothing by it.",
)
def nan_in_gradient(query, vertices, valid):
    p = torch.softmax(scores(query, vertices).masked_fill(~valid, -torch.inf), -1)
    value = masked_fill(query, vertices, valid)
    return torch.where(valid, value + (0 * p.log()).nan_to_num(0.0), -torch.inf)
