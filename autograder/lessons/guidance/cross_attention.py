"""A picture asks the words: `cross_attention`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...exercise import exercise


@exercise("cross_attention", points=2)
def cross_attention(student, case):
    """softmax over the words of <q, k> / sqrt(D), applied to the values, (B, N, E)."""
    truth = cross_attention.oracle

    def inputs(batch, places, words, width, out):
        key, value = case.normal(batch, words, width), case.normal(batch, words, out)
        return case.normal(batch, places, width), key, value

    batch, places, words, width, out = case.sizes(5, low=3, high=7)
    given = inputs(batch, places, words, width, out)
    gaps = torch.ones(batch, words, dtype=torch.bool)
    gaps[0, 1] = gaps[1, 0] = gaps[2, -1] = gaps[2, 0] = False
    query, key, value = given
    loud_key, loud_value = (torch.where(gaps[..., None], part, 30.0) for part in (key, value))
    case.expect(
        [student(*given, gaps), student(query, loud_key, loud_value, gaps)],
        [truth(*given, gaps), truth(query, loud_key, loud_value, gaps)],
        "masks with gaps, whatever stands in them",
        points=0.5,
        dtype=True,
    )
    empty = gaps.clone()
    empty[1] = False
    case.expect(
        student(*given, empty),
        truth(*given, empty),
        "a caption without words beside others",
        points=0.25,
        hint="where there is no word, nothing is told: 0, and no NaN",
    )
    first = torch.arange(width) == 0  # the same large number in all logits
    large = torch.where(first, 60.0, query), torch.where(first, 60.0, key), value
    case.expect(student(*large, gaps), truth(*large, gaps), "logits of a thousand", points=0.25)
    side = case.integer(3, 4)
    alike = inputs(side, side, side, side, side)
    corner = torch.ones(side, side, dtype=torch.bool)
    corner[0, -1] = corner[1, 0] = False
    full = torch.ones(batch, words, dtype=torch.bool)
    case.expect(
        [student(*alike, corner), student(*given, full)],
        [truth(*alike, corner), truth(*given, full)],
        "as many places as words and dimensions, and a full caption",
        points=0.5,
    )
    one = (*(part[:1] for part in given), gaps[:1])
    single = (*inputs(2, 1, 1, 1, 1), torch.tensor([[True], [False]]))
    case.conventions(student, (*given, empty), truth, points=0.5, also=[one, single], gradient=[0, 1, 2])


@cross_attention.truth
def truth(query, key, value, mask):
    """Each example with its own words alone, by the library's attention."""
    rows = []
    for q, k, v, there in zip(query, key, value, mask, strict=True):
        if not bool(there.any()):
            rows.append(q.new_zeros(len(q), v.shape[-1]))
            continue
        rows.append(F.scaled_dot_product_attention(q[None], k[there][None], v[there][None])[0])
    return torch.stack(rows)


def logits(query, key):
    return query @ key.transpose(1, 2) / query.shape[-1] ** 0.5


@cross_attention.alternative("a very low logit, the empty captions taken out")
def very_low_logit(query, key, value, mask):
    scores = logits(query, key).masked_fill(~mask[:, None], torch.finfo(query.dtype).min)
    weights = torch.softmax(scores, -1) * mask[:, None]
    return weights @ value


@cross_attention.alternative("minus infinity where there is a word at all")
def minus_infinity(query, key, value, mask):
    some = mask.any(1)
    scores = torch.einsum("bnd,bld->bnl", query, key) / query.size(-1) ** 0.5
    hidden = (~mask & some[:, None])[:, None, :]
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=2)
    return torch.where(some[:, None, None], torch.einsum("bnl,ble->bne", weights, value), 0.0)


@cross_attention.alternative("one silent word more, whose value is 0")
def silent_word(query, key, value, mask):
    none = ~mask.any(1, keepdim=True)
    scores = torch.cat([logits(query, key), torch.zeros_like(query[..., :1])], 2)
    there = torch.cat([mask, none], 1)[:, None]
    weights = scores.masked_fill(~there, -torch.inf).softmax(-1)
    return weights @ torch.cat([value, torch.zeros_like(value[:, :1])], 1)


@cross_attention.misconception(
    "the mask is turned round",
    hint="True marks a word here. (PyTorch's key_padding_mask is the opposite: there True is padding.)",
)
def mask_turned(query, key, value, mask):
    return very_low_logit(query, key, value, ~mask)


@cross_attention.misconception(
    "not divided by sqrt(D)",
    hint="A scalar product of D numbers grows like sqrt(D): divide by it, or the softmax becomes a choice.",
)
def not_scaled(query, key, value, mask):
    return very_low_logit(query * query.shape[-1] ** 0.5, key, value, mask)


@cross_attention.misconception(
    "divided by D",
    hint="Divide by the root of D: that is how far a scalar product of D numbers scatters.",
)
def scaled_twice(query, key, value, mask):
    return very_low_logit(query / query.shape[-1] ** 0.5, key, value, mask)


@cross_attention.misconception(
    "softmax over the places",
    hint="Each place of the picture spreads its attention over the words, and its weights sum to 1: softmax along the "
    "axis of the words.",
)
def over_places(query, key, value, mask):
    weights = torch.softmax(logits(query, key).masked_fill(~mask[:, None], -1e9), 1) * mask[:, None]
    return weights @ value


@cross_attention.misconception(
    "the mask is ignored",
    hint="What stands where the mask is False is no word, only padding: its weight must be exactly 0.",
)
def mask_ignored(query, key, value, mask):
    return torch.softmax(logits(query, key), -1) @ value


@cross_attention.misconception(
    "the weights of padding are cut off after the softmax",
    hint="Cut off afterwards, the weights of the words no longer sum to 1. Mask the logits, before the softmax.",
)
def cut_afterwards(query, key, value, mask):
    return (torch.softmax(logits(query, key), -1) * mask[:, None]) @ value


@cross_attention.misconception(
    "a masked logit is 0",
    hint="exp(0) is 1, a good deal of weight. A logit of -inf, or the lowest number there is, gives weight 0.",
)
def logit_0(query, key, value, mask):
    some = mask.any(1)[:, None, None]
    return torch.softmax(logits(query, key) * mask[:, None], -1) @ value * some


@cross_attention.misconception(
    "a caption without words gives NaN",
    hint="softmax of nothing but -inf is 0 / 0. Treat the captions without words apart, and mind their gradients too: "
    "a NaN that is replaced afterwards comes back in the gradient.",
)
def nan_when_empty(query, key, value, mask):
    return torch.softmax(logits(query, key).masked_fill(~mask[:, None], -torch.inf), -1) @ value


@cross_attention.misconception(
    "NaN comes back in the gradient",
    hint="The values are right, but a NaN that is replaced after the softmax is multiplied by 0 on the way back, and "
    "stays NaN. Do not let it arise.",
)
def nan_in_gradient(query, key, value, mask):
    hidden = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -torch.inf)
    weights = torch.softmax(logits(query, key) + hidden[:, None], -1)
    return weights.nan_to_num(0.0) @ value


@cross_attention.misconception(
    "a caption without words hears the mean of its padding",
    hint="With every logit equally low softmax is uniform. Where no word is, the answer is 0.",
)
def mean_when_empty(query, key, value, mask):
    scores = logits(query, key).masked_fill(~mask[:, None], torch.finfo(query.dtype).min)
    return torch.softmax(scores, -1) @ value
