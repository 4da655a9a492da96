"""A codebook by running averages: `ema_codebook`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import every_code_but


@exercise("ema_codebook", points=2)
def ema_codebook(student, case):
    """(counts, sums, codebook) after one batch: decayed counts and sums, codebook = sums / Laplace-smoothed counts."""
    truth = ema_codebook.oracle
    count, dim = case.integer(5, 7), case.integer(2, 4)
    counts, sums = case.uniform(count, low=0.5, high=6.0), case.normal(count, dim)
    indices = every_code_but(case, count, case.integer(20, 30), case.integer(0, count - 1))
    z = case.normal(len(indices), dim)
    decay, eps = case.number(0.3, 0.9), case.number(0.2, 0.9)
    got = case.unpack(student(counts, sums, z, indices, decay, eps), "counts", "sums", "codebook")
    true = truth(counts, sums, z, indices, decay, eps)
    case.expect(got[:2], true[:2], "the new counts and sums, one code without points", points=0.5, dtype=True)
    case.expect(got[2], true[2], "the codebook, with a visible eps", points=0.5, dtype=True)
    small = 0.01 * counts * torch.where(torch.arange(count) == indices[0], 1e-3, 1.0)
    usual = small, sums, z, indices, case.number(0.9, 0.99)
    case.expect(student(*usual), truth(*usual), "the usual eps", points=0.25)
    fresh = counts, sums, z, indices, 0.0, case.number(0.001, 0.01)
    thin = counts[:1], sums[:1, :1], z[:1, :1], torch.zeros(1, dtype=torch.long)
    lone = counts[:1], sums[:1], z[:1], torch.zeros(1, dtype=torch.long), decay, eps
    case.expect(
        [student(*fresh), student(*lone)],
        [truth(*fresh), truth(*lone)],
        "decay = 0, where unused codes have nothing left; one code and one point",
        points=0.25,
    )
    faint = 1e-9 * counts, 1e-9 * sums, z, indices, 1 - 2.0**-23, 1e-12
    given = counts, sums, z, indices, decay, eps
    case.conventions(student, given, truth, points=0.5, also=[faint, (*thin, decay, eps)], detached=(0, 1, 2))


@ema_codebook.truth
def truth(counts, sums, z, indices, decay, eps=1e-5):
    """Point by point; the smoothed shares are a softmax of log(n + eps), and the total is the new one."""
    counts, sums = counts.double() * decay, sums.double() * decay
    for point, k in zip(z.double(), indices.tolist(), strict=True):
        counts[k] += 1 - decay
        sums[k] += (1 - decay) * point
    smoothed = torch.softmax((counts + eps).log(), 0) * counts.sum()
    made = counts, sums, torch.stack([part / n for part, n in zip(sums, smoothed, strict=True)])
    return tuple(part.to(z.dtype) for part in made)


def _new(counts, sums, z, indices, decay):
    """The new counts and sums."""
    chosen = torch.nn.functional.one_hot(indices, len(counts)).to(z.dtype)
    return decay * counts + (1 - decay) * chosen.sum(0), decay * sums + (1 - decay) * chosen.T @ z


def _smoothed(n, eps):
    return (n + eps) / (n.sum() + len(n) * eps) * n.sum()


@ema_codebook.alternative("one_hot and matrix products")
@torch.no_grad()
def one_hot_and_products(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.alternative("index_add and bincount")
def index_add_and_bincount(counts, sums, z, indices, decay, eps=1e-5):
    z = z.detach()
    found = torch.bincount(indices, minlength=len(counts)).to(z.dtype)
    n = torch.lerp(found, counts.detach(), decay)
    s = torch.lerp(torch.zeros_like(sums).index_add(0, indices, z), sums.detach(), decay)
    total = n.sum()
    return n, s, s * ((total + len(n) * eps) / (total * (n + eps))).unsqueeze(1)


@ema_codebook.alternative("code by code")
@torch.no_grad()
def code_by_code(counts, sums, z, indices, decay, eps=1e-5):
    n, s = counts.clone(), sums.clone()
    for k in range(len(n)):
        mine = z[indices == k]
        n[k] = decay * n[k] + (1 - decay) * len(mine)
        s[k] = decay * s[k] + (1 - decay) * mine.sum(0)
    return n, s, torch.stack([s[k] / _smoothed(n, eps)[k] for k in range(len(n))])


@ema_codebook.misconception(
    "decay and 1 - decay are exchanged",
    hint="decay is what the old counts keep, close to 1; the batch enters with 1 - decay.",
)
@torch.no_grad()
def decay_exchanged(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, 1 - decay)
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "the smoothing is left out",
    hint="The codebook divides by the smoothed counts n', not by n: a code with few points would fly about.",
)
@torch.no_grad()
def smoothing_left_out(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    return n, s, s / n[:, None]


@ema_codebook.misconception(
    "eps is added, and the total is not kept",
    hint="After adding eps the counts are scaled back, so that their total is the sum of n again.",
)
@torch.no_grad()
def total_not_kept(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    return n, s, s / (n + eps)[:, None]


@ema_codebook.misconception(
    "the smoothed counts are kept",
    hint="n' is used for this one division and forgotten; what is returned as counts is n.",
)
@torch.no_grad()
def smoothed_counts_kept(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    n = _smoothed(n, eps)
    return n, s, s / n[:, None]


@ema_codebook.misconception(
    "codes without points do not decay",
    hint="Nobody chose them, so the batch adds nothing, but what they had is multiplied by decay like everyone's.",
)
@torch.no_grad()
def unused_do_not_decay(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    used = torch.bincount(indices, minlength=len(counts)) > 0
    n, s = torch.where(used, n, counts), torch.where(used[:, None], s, sums)
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "means in place of sums",
    hint="S gathers the SUM of the points of each code; a mean comes only from dividing S by the count.",
)
@torch.no_grad()
def means_in_place_of_sums(counts, sums, z, indices, decay, eps=1e-5):
    chosen = torch.nn.functional.one_hot(indices, len(counts)).to(z.dtype)
    n = decay * counts + (1 - decay) * chosen.sum(0)
    s = decay * sums + (1 - decay) * chosen.T @ z / chosen.sum(0).clamp(min=1)[:, None]
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "the batch is not scaled",
    hint="The batch's counts and sums enter with the factor 1 - decay; without it both grow without end.",
)
@torch.no_grad()
def batch_not_scaled(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    found, gathered = _new(counts * 0, sums * 0, z, indices, 0.0)
    n, s = n + decay * found, s + decay * gathered
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "the smoothing takes the old total",
    hint="The total in n' is the sum of the NEW counts: smooth after the update.",
)
@torch.no_grad()
def old_total(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    smoothed = (n + eps) / (counts.sum() + len(n) * eps) * counts.sum()
    return n, s, s / smoothed[:, None]


@ema_codebook.misconception(
    "eps is counted once, not once for each code",
    hint="Every code gets eps, K of them: the total grows by K eps before it is scaled back.",
)
@torch.no_grad()
def eps_counted_once(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    return n, s, s / ((n + eps) / (n.sum() + eps) * n.sum())[:, None]


@ema_codebook.misconception(
    "an input is overwritten",
    hint="mul_ and add_ write into the tensors that you were given. All three results are new tensors.",
)
@torch.no_grad()
def input_overwritten(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    counts.copy_(n)
    sums.copy_(s)
    return counts, sums, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "a graph stands behind the result",
    hint="Averages are no training step: work under torch.no_grad(), or on z.detach().",
)
def graph_behind_result(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    return n, s, s / _smoothed(n, eps)[:, None]


@ema_codebook.misconception(
    "the codebook forgets the past",
    hint="The codebook is the running sums over the running counts, not the mean of this batch.",
)
@torch.no_grad()
def codebook_of_batch_alone(counts, sums, z, indices, decay, eps=1e-5):
    n, s = _new(counts, sums, z, indices, decay)
    found, gathered = _new(counts * 0, sums * 0, z, indices, 0.0)
    return n, s, gathered / _smoothed(found, eps)[:, None]
