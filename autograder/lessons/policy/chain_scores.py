"""A long plan's score from those of skills that overlap: `chain_scores`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("chain_scores", points=2)
def chain_scores(student, case):
    """(B, K (L - O) + O, D): the skills' scores summed where they lie, less weight times those of the junctions."""
    truth = chain_scores.oracle

    def given(batch, skills, length, overlap, dims, *weight):
        return case.normal(batch, skills, length, dims), case.normal(batch, skills - 1, overlap, dims), *weight

    batch, dims = case.sizes(2, low=2, high=3)
    share = case.number(0.3, 0.7)
    usual = given(batch, 3, 5, 2, dims, share)
    case.expect(
        student(*usual), truth(*usual), "three skills, a part of the junctions taken away", points=0.5, dtype=True
    )
    whole, none = given(batch, 3, 4, 1, dims), given(batch, 3, 4, 1, dims, 0.0)
    case.expect(
        [student(*whole), student(*none)],
        [truth(*whole), truth(*none)],
        "one shared state: the usual weight, and weight 0",
        points=0.25,
    )
    alone = given(batch, 3, 5, 0, dims), given(batch, 1, 5, 2, dims, share), given(batch, 1, 4, 0, dims)
    case.expect(
        [student(*one) for one in alone],
        [truth(*one) for one in alone],
        "skills end to end, and a single skill",
        points=0.25,
    )
    many, four = given(batch, 4, 5, 4, dims, share), given(batch, 4, 5, 3, dims)
    case.expect(
        [student(*many), student(*four)],
        [truth(*many), truth(*four)],
        "states in which three skills meet, and more",
        points=0.5,
    )
    slight = *usual[:2], 2.0**-20
    case.conventions(student, usual, truth, points=0.5, also=[slight, given(1, 2, 2, 1, 1), given(1, 1, 1, 0, 1)])


@chain_scores.truth
def truth(segments, shared, weight=1.0):
    """What it is the score of: the slope of sum_k <segments_k, window k of x> - weight sum_k <shared_k, junction k>."""
    batch, skills, length, dims = segments.shape
    overlap = shared.shape[2]
    stride = length - overlap
    with torch.enable_grad():
        x = torch.zeros(batch, skills * stride + overlap, dims, dtype=torch.float64, requires_grad=True)
        windows = x.unfold(1, length, stride).mT  # (B, K, L, D)
        total = (windows * segments.double()).sum()
        if shared.numel():
            inner = x.narrow(1, stride, (skills - 2) * stride + overlap)  # from the first junction to the last
            total = total - weight * (inner.unfold(1, overlap, stride).mT * shared.double()).sum()
        return torch.autograd.grad(total, x)[0].to(segments.dtype)


def laid(segments, overlap):
    """The windows' scores summed where they lie."""
    batch, skills, length, dims = segments.shape
    stride = length - overlap
    out = segments.new_zeros(batch, skills * stride + overlap, dims)
    for k in range(skills):
        out[:, k * stride : k * stride + length] += segments[:, k]
    return out


def taken(out, shared, stride, weight, first=1):
    """Less weight times the junctions' scores, the first of which lies at first * stride."""
    out, overlap = out.clone(), shared.shape[2]
    for k in range(shared.shape[1]):
        out[:, (k + first) * stride : (k + first) * stride + overlap] -= weight * shared[:, k]
    return out


@chain_scores.alternative("slices added up")
def slices_added(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    return taken(laid(segments, overlap), shared, segments.shape[2] - overlap, weight)


@chain_scores.alternative("padded and summed")
def padded_and_summed(segments, shared, weight=1.0):
    (_, K, L, _), overlap = segments.shape, shared.size(2)
    total = K * (L - overlap) + overlap
    pad = torch.nn.functional.pad
    parts = [pad(segments[:, k], (0, 0, k * (L - overlap), total - L - k * (L - overlap))) for k in range(K)]
    for k in range(K - 1):
        start = (k + 1) * (L - overlap)
        parts.append(-weight * pad(shared[:, k], (0, 0, start, total - overlap - start)))
    return torch.stack(parts).sum(0)


@chain_scores.alternative("index_add")
def index_added(segments, shared, weight=1.0):
    K, L = segments.shape[1:3]
    overlap = shared.shape[2]
    start = (L - overlap) * torch.arange(K, device=segments.device)[:, None]
    out = segments.new_zeros(len(segments), K * (L - overlap) + overlap, segments.shape[3])
    out = out.index_add(1, (start + torch.arange(L, device=start.device)).flatten(), segments.flatten(1, 2))
    junctions = (start[1:] + torch.arange(overlap, device=start.device)).flatten()
    return out.index_add(1, junctions, shared.flatten(1, 2), alpha=-weight)


@chain_scores.alternative("the chain grows at its end")
def grown(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    chain = segments[:, 0]
    for skill, junction in zip(segments[:, 1:].unbind(1), shared.unbind(1), strict=True):
        keep = chain.shape[1] - overlap
        meeting = chain[:, keep:] + skill[:, :overlap] - weight * junction
        chain = torch.cat([chain[:, :keep], meeting, skill[:, overlap:]], dim=1)
    return chain


@chain_scores.misconception(
    "the junctions are not taken away",
    hint="Both neighbours know the shared states, so their marginal is counted twice. Once has to go.",
)
def not_taken(segments, shared, weight=1.0):
    return laid(segments, shared.shape[2])


@chain_scores.misconception(
    "the junctions are added",
    hint="A density that is divided by has its score subtracted.",
)
def junctions_added(segments, shared, weight=1.0):
    return slices_added(segments, shared, -weight)


@chain_scores.misconception(
    "the weight is left out",
    hint="The junctions' scores are multiplied by `weight`: 1 is its usual value, not its only one.",
)
def weight_left_out(segments, shared, weight=1.0):
    return slices_added(segments, shared, 1.0)


@chain_scores.misconception(
    "the weight is on the skills",
    hint="The skills' scores are summed as they are; `weight` belongs to what is taken away.",
)
def weight_on_skills(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    return taken(weight * laid(segments, overlap), shared, segments.shape[2] - overlap, 1.0)


@chain_scores.misconception(
    "one minus the weight",
    hint="`weight` is the share that is taken away, not the share that stays: at 0 the sum of the skills is left.",
)
def one_minus_weight(segments, shared, weight=1.0):
    return slices_added(segments, shared, 1 - weight)


@chain_scores.misconception(
    "the skills are averaged where they meet",
    hint="Densities multiply, so their scores add: no division by how many skills meet.",
)
def averaged(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    made = laid(segments, overlap) / laid(torch.ones_like(segments), overlap)
    return taken(made, shared, segments.shape[2] - overlap, weight)


@chain_scores.misconception(
    "the later skill overwrites the earlier one",
    hint="Where two skills lie both speak: add the later one's score to what is there, do not replace it.",
)
def later_overwrites(segments, shared, weight=1.0):
    batch, skills, length, dims = segments.shape
    stride = length - shared.shape[2]
    out = segments.new_zeros(batch, skills * stride + shared.shape[2], dims)
    for k in range(skills):
        out[:, k * stride : k * stride + length] = segments[:, k]
    return taken(out, shared, stride, weight)


@chain_scores.misconception(
    "the junctions lie one skill too early",
    hint="The first junction is where the second skill begins, not at the first state of all.",
)
def one_too_early(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    return taken(laid(segments, overlap), shared, segments.shape[2] - overlap, weight, first=0)


@chain_scores.misconception(
    "the skills are laid end to end",
    hint="Neighbours share O states: the next skill begins L - O states after the one before, and the plan is shorter "
    "than K L.",
)
def end_to_end(segments, shared, weight=1.0):
    return segments.flatten(1, 2).clone()


@chain_scores.misconception(
    "every skill begins O states after the one before",
    hint="They share O states, so they are L - O apart. With O = L / 2 nothing shows.",
)
def apart_by_overlap(segments, shared, weight=1.0):
    batch, skills, length, dims = segments.shape
    overlap = shared.shape[2]
    out = segments.new_zeros(batch, skills * (length - overlap) + overlap, dims)
    for k in range(skills):
        place = out[:, k * overlap : k * overlap + length]
        place += segments[:, k, : place.shape[1]]
    for k in range(skills - 1):
        place = out[:, (k + 1) * overlap : (k + 1) * overlap + overlap]
        place -= weight * shared[:, k, : place.shape[1]]
    return out


@chain_scores.misconception(
    "[:-O] with O = 0",
    hint="x[:, :-0] is empty, and x[:, -0:] is everything. With O = 0 nothing is shared: count from the front, with "
    "the length less O.",
)
def minus_zero(segments, shared, weight=1.0):
    overlap = shared.shape[2]
    chain = segments[:, 0]
    for k in range(segments.shape[1] - 1):
        tail = chain[:, -overlap:]
        meeting = tail + segments[:, k + 1, :overlap] - weight * shared[:, k]
        chain = torch.cat([chain[:, :-overlap], meeting, segments[:, k + 1, overlap:]], 1)
    return chain


@chain_scores.misconception(
    "only two skills meet anywhere",
    hint="With O > L / 2 the states of one junction belong to the next one too: a third skill speaks there.",
)
def only_two_meet(segments, shared, weight=1.0):
    batch, skills, length, dims = segments.shape
    overlap = shared.shape[2]
    stride = length - overlap
    out = segments.new_zeros(batch, skills * stride + overlap, dims)
    for k in range(skills):
        out[:, k * stride : k * stride + length] = segments[:, k]
    for k in range(skills - 1):
        here = slice((k + 1) * stride, (k + 1) * stride + overlap)
        out[:, here] = segments[:, k, stride:] + segments[:, k + 1, :overlap] - weight * shared[:, k]
    return out


@chain_scores.misconception(
    "the skills are overwritten",
    hint="The value is right, but += on a part of `segments` writes into what you were given. Make a new tensor.",
)
def overwritten(segments, shared, weight=1.0):
    made = slices_added(segments, shared, weight)
    segments[:, 0] += 1.0
    return made
