"""The nearest code: `quantize`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import codes_apart, flows, near


@exercise("quantize", points=2)
def quantize(student, case):
    """(indices, codes): the nearest row of the codebook for each z (..., D), ties to the lowest index."""
    truth = quantize.oracle
    dim = case.integer(3, 4)
    codebook = case.normal(case.integer(6, 9), dim)
    z = case.normal(*case.sizes(2, low=4), dim)
    z, codebook = _askew(z, codebook)
    case.expect(student(z, codebook), truth(z, codebook), "two axes of positions", points=0.5, dtype=True)
    line = case.normal(5, 1)
    forms = [
        (z[0, 0], codebook),
        (z[0], codebook),
        (z[:2, :3, None], codebook),
        (z, codebook[:1]),
        (case.normal(6, 1), line),
    ]
    case.expect(
        [student(*given) for given in forms],
        [truth(*given) for given in forms],
        "no axes of positions, one, three; one code; codes on a line",
        points=0.25,
    )
    book = codes_apart(case, 7, dim)
    points = near(case, book, 5, 6)
    doubled = _doubled(case, book, points[0])
    case.expect(
        [student(*given) for given in (doubled, _halfway(case))],
        [truth(*given) for given in (doubled, _halfway(case))],
        "ties and doubled codes: the lowest index",
        points=0.25,
    )
    far, codes = (1e6 + 1e-3 * part for part in _askew(case.normal(24, dim), case.normal(25, dim)))
    got = case.unpack(student(far, codes), "indices", "codes")
    case.expect(
        got[0],
        truth(far, codes)[0],
        "indices far from the origin, 1e6 + noise of 1e-3",
        points=0.5,
        hint="|z|^2 - 2 z.e + |e|^2 cancels there: square the differences themselves",
    )
    weights = case.normal(*z.shape)
    onto = torch.zeros_like(codebook).index_add(0, truth(z, codebook)[0].flatten(), weights.flatten(0, 1))
    case.expect(
        flows(student.gradient(z, codebook, weights=[None, weights], wrt=[0, 1]), z, codebook),
        [torch.zeros_like(z), onto],
        "gradients reach the chosen rows of the codebook, and none reaches z",
        points=0.25,
    )
    slight = 2.0**-40 * points, 2.0**-40 * book
    also = [slight, (points[:1, :1, :1], book[:, :1]), (points[:1, :1], book[:1]), _askew(points, book)]
    case.conventions(student, (points, book), truth, points=0.25, also=also)


def _askew(z, codebook):
    """Another first point, and two codes more: the nearest one loses by its product, its angle and |z - e|."""
    point = torch.zeros_like(codebook[0])
    point[0], point[1] = 6.0, 3.0
    z, near, other = z.clone(), point.clone(), point.clone()
    z.view(-1, len(point))[0], near[0], near[1], other[0] = point, 5.3, 3.7, 7.1
    return z, torch.cat([codebook, torch.stack([other, near])])


def _doubled(case, codebook, z):
    """Every code twice, in an order in which the second one does not follow the first."""
    order = torch.randperm(len(codebook), generator=torch.Generator().manual_seed(1))
    return z, torch.cat([codebook, codebook[order]])


def _halfway(case):
    """Points that lie exactly between two codes, with whole numbers, so that nothing is rounded."""
    codes = torch.tensor([[3.0, 0.0], [5.0, 0.0], [0.0, 1.0], [0.0, -1.0], [4.0, 4.0]], dtype=torch.float64)
    return torch.tensor([[4.0, 0.0], [0.0, 0.0], [4.0, 2.0], [6.0, 0.0]], dtype=torch.float64), codes.flip(0)


@quantize.truth
def truth(z, codebook):
    """The first code that loses no comparison: z lies on its side of the plane halfway to each other code."""
    flat = z.reshape(-1, z.shape[-1]).double()
    away = flat[:, None] - codebook.double()  # (N, K, D)
    middle = (away[:, :, None] + away[:, None]) / 2  # z minus the middle of e_k and e_j
    across = codebook.double()[:, None] - codebook.double()  # e_k - e_j
    loses = ((middle * across).sum(-1) < 0).any(-1)  # (N, K)
    indices = torch.tensor([row.tolist().index(False) for row in loses], dtype=torch.long).reshape(z.shape[:-1])
    return indices, codebook[indices]


@quantize.alternative("torch.cdist without the expanded square")
def cdist_without_expanded_square(z, codebook):
    flat = z.reshape(-1, z.shape[-1])
    apart = torch.cdist(flat.detach(), codebook.detach(), compute_mode="donot_use_mm_for_euclid_dist")
    indices = apart.argmin(1).reshape(z.shape[:-1])
    return indices, codebook[indices]


@quantize.alternative("one code after the other")
def one_code_after_other(z, codebook):
    best = z.new_full(z.shape[:-1], torch.inf)
    indices = torch.zeros_like(best, dtype=torch.long)
    for k, code in enumerate(codebook.detach()):
        distance = (z.detach() - code).pow(2).sum(-1)
        nearer = distance < best
        best, indices = torch.where(nearer, distance, best), torch.where(nearer, k, indices)
    return indices, torch.nn.functional.embedding(indices, codebook)


@quantize.alternative("norms of the differences, index_select")
def norms_of_differences(z, codebook):
    with torch.no_grad():
        indices = torch.linalg.vector_norm(z.unsqueeze(-2) - codebook, dim=-1).min(-1).indices
    return indices, codebook.index_select(0, indices.flatten()).reshape(z.shape)


def _squares(z, codebook):
    return ((z[..., None, :] - codebook) ** 2).sum(-1)


@quantize.misconception(
    "the expanded square",
    hint="|z|^2 - 2 z.e + |e|^2 subtracts huge numbers far from the origin and loses the small difference. Subtract "
    "first, then square.",
)
def expanded_square(z, codebook):
    flat = z.reshape(-1, z.shape[-1])
    squares = flat.square().sum(1, keepdim=True) - 2 * flat @ codebook.T + codebook.square().sum(1)
    indices = squares.argmin(1).reshape(z.shape[:-1])
    return indices, codebook[indices]


@quantize.misconception("the farthest code", hint="The nearest code has the smallest distance: argmin, not argmax.")
def farthest_code(z, codebook):
    indices = _squares(z, codebook).argmax(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "the largest product in place of the nearest code",
    hint="A long code has large products with everything. Distance is asked for, not z.e.",
)
def largest_product(z, codebook):
    indices = (z @ codebook.T).argmax(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "the angle in place of the distance",
    hint="Cosine similarity forgets lengths. The Euclidean distance is asked for.",
)
def angle_in_place_of_distance(z, codebook):
    indices = torch.cosine_similarity(z[..., None, :], codebook, dim=-1).argmax(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "absolute differences in place of squares",
    hint="The Euclidean distance sums squares over the last axis; a sum of |z - e| names another code now and then.",
)
def absolute_differences(z, codebook):
    indices = (z[..., None, :] - codebook).abs().sum(-1).argmin(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "of equal codes the last one", hint="Where several codes are equally near, the lowest index wins."
)
def last_of_equal_codes(z, codebook):
    indices = len(codebook) - 1 - _squares(z, codebook).flip(-1).argmin(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "indices and codes are exchanged", hint="The indices come first, then the codes: return indices, codes."
)
def indices_and_codes_exchanged(z, codebook):
    indices = _squares(z, codebook).argmin(-1)
    return codebook[indices], indices


@quantize.misconception(
    "the straight-through trick is built in",
    hint="The codes come plain, so that their own gradients reach the codebook and nothing reaches z. The trick is an "
    "exercise of its own.",
)
def straight_through_built_in(z, codebook):
    indices = _squares(z, codebook).argmin(-1)
    return indices, z + (codebook[indices] - z).detach()


@quantize.misconception(
    "no gradient reaches the codebook",
    hint="codes = codebook[indices] stays connected to the codebook: no detach and no no_grad around that line.",
)
def no_gradient_reaches_codebook(z, codebook):
    with torch.no_grad():
        indices = _squares(z, codebook).argmin(-1)
        return indices, codebook[indices]


@quantize.misconception(
    "the positions are flattened",
    hint="The indices have the shape of z without its last axis, whatever axes there are; the codes have z's shape.",
)
def positions_flattened(z, codebook):
    indices = _squares(z.reshape(-1, z.shape[-1]), codebook).argmin(-1)
    return indices, codebook[indices]


@quantize.misconception(
    "the indices are no whole numbers", hint="Indices count codes: a LongTensor, as argmin returns it."
)
def indices_no_whole_numbers(z, codebook):
    indices = _squares(z, codebook).argmin(-1)
    return indices.to(z.dtype), codebook[indices]
