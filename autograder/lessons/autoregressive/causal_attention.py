"""Attention to what came before: `causal_attention`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise


@exercise("causal_attention", points=2)
def causal_attention(student, case):
    """The last M of N positions attend to keys 0 .. N - M + i, scores over sqrt(d), (B, heads, M, e)."""
    truth = causal_attention.oracle
    batch, heads, count, width, values = case.sizes(5, low=2, high=7)
    count += 2

    def given(last, scale=1.0):
        q, k = (scale * case.normal(batch, heads, n, width) for n in (last, count))
        return q, k, case.normal(batch, heads, count, values)

    whole = given(count)
    case.expect(student(*whole), truth(*whole), "as many queries as keys", points=0.6)
    few = [given(1), given(2), given(count - 1)]
    case.expect(
        [student(*one) for one in few], [truth(*one) for one in few], "the last 1, 2 and N - 1 positions", points=0.7
    )
    steep = given(count, 60.0)
    steep[1][:, :, 1] = steep[1][:, :, 0] + case.normal(batch, heads, width) / 60  # scores that are large, and close
    case.expect(student(*steep), truth(*steep), "large scores", points=0.3)
    case.conventions(student, given(3), truth, points=0.4)


@causal_attention.truth
def truth(q, k, v):
    """Key after key, as one would read them: largest score so far, sum of weights, weighted sum of values."""
    q, k, wide = (part.double() for part in (q, k, v))
    M, N = q.shape[-2], k.shape[-2]
    top = torch.full((*q.shape[:-1], 1), -math.inf, dtype=torch.float64)
    total, mean = torch.zeros_like(top), torch.zeros(*q.shape[:-1], v.shape[-1], dtype=torch.float64)
    stands = torch.arange(N - M, N)[:, None]  # where each query stands
    for j in range(N):
        score = torch.einsum("bhmd,bhd->bhm", q, k[..., j, :])[..., None] / q.shape[-1] ** 0.5
        sees = stands >= j
        new = torch.where(sees, torch.maximum(top, score), top)
        kept, weight = (top - new).exp(), (score - new).exp()
        total = torch.where(sees, total * kept + weight, total)
        mean = torch.where(sees, mean * kept + weight * wide[..., j : j + 1, :], mean)
        top = new
    return (mean / total).to(v.dtype)


def scores(q, k):
    return q @ k.mT / math.sqrt(q.shape[-1])


def past(q, k):
    """(M, N): does the last-but-(M - 1 - i) position see key j?"""
    M, N = q.shape[-2], k.shape[-2]
    return torch.arange(N, device=q.device) <= torch.arange(N - M, N, device=q.device)[:, None]


def attended(scores, seen, v):
    return scores.masked_fill(~seen, -math.inf).softmax(-1) @ v


@causal_attention.alternative("scores, mask, softmax")
def scores_mask_softmax(q, k, v):
    return attended(scores(q, k), past(q, k), v)


@causal_attention.alternative("torch's own, with a mask")
def torchs_own_with_mask(q, k, v):
    mask = q.new_ones(q.shape[2], k.shape[2]).tril(k.shape[2] - q.shape[2]).bool()
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@causal_attention.alternative("query by query")
def query_by_query(q, k, v):
    out, ahead = [], k.size(-2) - q.size(-2)
    for i in range(q.size(-2)):
        upto = ahead + i + 1
        weights = torch.softmax(torch.einsum("bhd,bhnd->bhn", q[:, :, i], k[:, :, :upto]) * q.size(-1) ** -0.5, -1)
        out.append(torch.einsum("bhn,bhne->bhe", weights, v[:, :, :upto]))
    return torch.stack(out, 2)


@causal_attention.misconception(
    "the queries stand at the first positions",
    hint="PyTorch's is_causal=True, and tril without an offset, let query i see keys 0 to i. Here the queries are the"
    " LAST M positions: query i sees keys 0 to N - M + i.",
)
def queries_stand_at_first_positions(q, k, v):
    M, N = q.shape[-2], k.shape[-2]
    return attended(scores(q, k), torch.ones(M, N).tril().bool(), v)


@causal_attention.misconception(
    "every position sees every other one",
    hint="Without a causal mask a position sees what comes after it.",
)
def every_position_sees_every_other_one(q, k, v):
    return scores(q, k).softmax(-1) @ v


@causal_attention.misconception(
    "one position too many is seen",
    hint="Query i stands at position N - M + i and sees up to there. Your triangle begins one column too far to the "
    "right.",
)
def one_position_too_many_is_seen(q, k, v):
    M, N = q.shape[-2], k.shape[-2]
    return attended(scores(q, k), torch.ones(M, N).tril(N - M + 1).bool(), v)


@causal_attention.misconception(
    "a position does not see itself",
    hint="Query i sees its own key too: the first position would have nothing to look at otherwise, and NaN comes out.",
)
def position_does_not_see_itself(q, k, v):
    M, N = q.shape[-2], k.shape[-2]
    return attended(scores(q, k), torch.ones(M, N).tril(N - M - 1).bool(), v)


@causal_attention.misconception(
    "the mask is transposed",
    hint="Rows are queries, columns keys: you hide the past and show the future.",
)
def mask_is_transposed(q, k, v):
    M, N = q.shape[-2], k.shape[-2]
    return attended(scores(q, k), torch.ones(M, N).triu(N - M).bool(), v)


@causal_attention.misconception(
    "hidden scores are 0",
    hint="exp(0) is 1: a score of 0 still gets a weight. Before the softmax a hidden score is -inf.",
)
def hidden_scores_are_0(q, k, v):
    return (scores(q, k) * past(q, k)).softmax(-1) @ v


@causal_attention.misconception(
    "hidden weights are set to 0 after the softmax",
    hint="The weights that are left sum to less than 1 then. Hide the scores before the softmax, with -inf.",
)
def hidden_weights_are_set_to_0_after_softmax(q, k, v):
    return (scores(q, k).softmax(-1) * past(q, k)) @ v


@causal_attention.misconception(
    "scores are not divided",
    hint="The scores of long queries are large ones: divide them by sqrt(d).",
)
def scores_are_not_divided(q, k, v):
    return attended(q @ k.mT, past(q, k), v)


@causal_attention.misconception(
    "divided by d instead of its root",
    hint="Scores of independent entries have variance d, and so a standard deviation of sqrt(d): divide by the root.",
)
def divided_by_d_instead_of_its_root(q, k, v):
    return attended(q @ k.mT / q.shape[-1], past(q, k), v)


@causal_attention.misconception(
    "multiplied by sqrt(d)",
    hint="The scores are DIVIDED by sqrt(d).",
)
def multiplied_by_sqrt_d(q, k, v):
    return attended(q @ k.mT * q.shape[-1] ** 0.5, past(q, k), v)


@causal_attention.misconception(
    "the root of the wrong length",
    hint="d is the length of a query, not of a value, nor the number of positions or heads.",
)
def root_of_wrong_length(q, k, v):
    return attended(q @ k.mT / v.shape[-1] ** 0.5, past(q, k), v)


@causal_attention.misconception(
    "the softmax is over the queries",
    hint="Each query shares itself out among the keys: the softmax runs along the last axis of the scores.",
)
def softmax_is_over_queries(q, k, v):
    masked = scores(q, k).masked_fill(~past(q, k), -math.inf)
    return masked.softmax(-2) @ v


@causal_attention.misconception(
    "exponentials that overflow",
    hint="exp of a large score is infinite. torch.softmax takes the largest one off first.",
)
def exponentials_that_overflow(q, k, v):
    weights = scores(q, k).exp() * past(q, k)
    return weights / weights.sum(-1, keepdim=True) @ v
