"""A perfect conditional network: `mixture_eps`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from course_lib.exact import GaussianData, GaussianMixture

from ...exercise import exercise
from ...student import Failure
from ..diffusion import EARLY, ONE_TIME, edges, first_of, schedule
from .shared import away, mixture, noise_size, places, silenced, spread


@exercise("mixture_eps", points=2, after=("class_log_probs",))
def mixture_eps(student, case):
    """E[eps given x_t, y] of a labelled mixture; y = K means no label."""
    log_probs, steps = case.upstream("class_log_probs"), case.integer(6, 9)

    def truth(*given):
        return averaged(log_probs, *given)

    alpha_bar = schedule(case, steps)
    dims, classes = case.sizes(2, low=3, high=5)
    given, count = mixture(case, classes, dims), 7
    x, t = places(case, steps, count, dims)
    labels = torch.tensor([classes - 1, 0, 1, classes - 1, 0, 2, 1])
    mixed = torch.tensor([classes, classes - 1, classes, 0, classes, 1, classes])
    case.expect(
        student(x, t, labels, *given, alpha_bar),
        truth(x, t, labels, *given, alpha_bar),
        "labels alone, the last class among them",
        points=0.5,
        dtype=True,
    )
    case.expect(
        student(x, t, mixed, *given, alpha_bar),
        truth(x, t, mixed, *given, alpha_bar),
        "labels and no labels in one batch",
        points=0.5,
        dtype=True,
    )
    gone = case.integer(0, classes - 1)
    asked = torch.tensor([gone, classes, gone, classes, classes, gone, classes])
    missing = x, t, asked, *silenced(given, gone), alpha_bar
    case.expect(
        student(*missing), truth(*missing), "a class of weight 0 is asked for, and adds nothing elsewhere", points=0.25
    )
    direction = case.normal(count, dims)
    far = 300 * direction / direction.norm(dim=1, keepdim=True)
    widths = torch.linspace(1.5, 0.1, classes, dtype=x.dtype)[:, None].expand(-1, dims)  # the first class has all there
    remote = far, t, mixed, *given[:2], widths, alpha_bar
    case.expect(student(*remote), truth(*remote), "300 away from all classes", points=0.25)
    single = x[:, :1].contiguous(), t, torch.tensor([0, 1] * 3 + [1]), torch.ones(1).double(), given[1][:1, :1]
    pointlike = x, t, mixed, given[0], given[1], 0 * given[2], alpha_bar

    def extreme(times, table):
        return x[:3], times, mixed[:3], *given, table

    also = [pointlike, (*single, given[2][:1, :1], alpha_bar), (x[:1], t[:1], mixed[:1], *given, alpha_bar)]
    case.conventions(student, (x, t, mixed, *given, alpha_bar), truth, points=0.5, also=[*also, *edges(case, extreme)])


def averaged(log_probs, xt, t, y, weights, means, variances, alpha_bar):
    """Each class's regression of eps on x_t, and their average by what `log_probs` says."""
    levels = alpha_bar.double()[t]
    classes = [GaussianData(mu, torch.diag(v.double())) for mu, v in zip(means, variances, strict=True)]
    each = torch.stack([one.best_eps(xt.double(), levels) for one in classes], 1)
    own = log_probs(xt.double(), t, weights.double(), means.double(), variances.double(), alpha_bar.double())
    if isinstance(own, Failure):
        return own
    free = torch.einsum("bk,bkd->bd", own.double().exp(), each)
    rows = [free[b] if label == len(weights) else each[b, label] for b, label in enumerate(y.tolist())]
    return torch.stack(rows).to(xt.dtype)


@mixture_eps.truth
def truth(xt, t, y, weights, means, variances, alpha_bar):
    """The library's own regression of eps on x_t, by eigenvectors; classes of weight 0 stay out of the mixture."""
    levels, x = alpha_bar.double()[t], xt.double()
    covs = torch.diag_embed(variances.double())
    seen = weights > 0
    free = GaussianMixture(weights[seen].double() / weights[seen].double().sum(), means[seen], covs[seen])
    rows = []
    for b, label in enumerate(y.tolist()):
        model = free if label == len(weights) else GaussianData(means[label], covs[label])
        rows.append(model.best_eps(x[b : b + 1], levels[b : b + 1])[0])
    return torch.stack(rows).to(xt.dtype)


def log_classes(xt, t, weights, means, variances, alpha_bar):
    """log p(y = k given x_t), (B, K)."""
    v = spread(t, alpha_bar, variances)
    exponent = -(away(xt, t, alpha_bar, means) ** 2 / v + v.log()).sum(-1) / 2
    return torch.log_softmax(weights.log() + exponent, 1)


def each_eps(xt, t, means, variances, alpha_bar):
    """E[eps given x_t, y = k] of all classes, (B, K, D)."""
    return noise_size(t, alpha_bar, means[None]) * away(xt, t, alpha_bar, means) / spread(t, alpha_bar, variances)


def chosen(shares, y, each):
    """The class asked for, or the average by `shares` (B, K) where y = K."""
    K = each.shape[1]
    own = F.one_hot(y, K + 1)[:, :K].to(each)
    return torch.einsum("bk,bkd->bd", torch.where((y == K)[:, None], shares, own), each)


@mixture_eps.alternative("one row of shares for each example")
def row_of_shares(xt, t, y, weights, means, variances, alpha_bar):
    shares = log_classes(xt, t, weights, means, variances, alpha_bar).exp()
    return chosen(shares, y, each_eps(xt, t, means, variances, alpha_bar))


@mixture_eps.alternative("the average as one more class")
def one_more_class(xt, t, y, weights, means, variances, alpha_bar):
    each = each_eps(xt, t, means, variances, alpha_bar)
    free = (log_classes(xt, t, weights, means, variances, alpha_bar).exp()[:, :, None] * each).sum(dim=1)
    return torch.cat([each, free[:, None]], 1)[torch.arange(len(xt)), y]


@mixture_eps.alternative("example by example")
def example_by_example(xt, t, y, weights, means, variances, alpha_bar):
    rows = []
    for b in range(len(xt)):
        a = alpha_bar[t[b]]
        v = a * variances + 1 - a
        eps = (1 - a).sqrt() * (xt[b] - a.sqrt() * means) / v
        if int(y[b]) < len(weights):
            rows.append(eps[y[b]])
        else:
            logits = weights.log() - 0.5 * ((xt[b] - a.sqrt() * means) ** 2 / v + v.log()).sum(1)
            rows.append(logits.softmax(0) @ eps)
    return torch.stack(rows)


@mixture_eps.alternative("both, and where chooses")
def where_chooses(xt, t, y, weights, means, variances, alpha_bar):
    each, K = each_eps(xt, t, means, variances, alpha_bar), len(weights)
    shares = log_classes(xt, t, weights, means, variances, alpha_bar).exp()
    own = each[torch.arange(len(xt)), y.clamp(max=K - 1)]
    return torch.where((y == K)[:, None], torch.einsum("bk,bkd->bd", shares, each), own)


def wrong(given, shares=None, each=None):
    """The right answer but for the shares of the unlabelled, or for the classes' eps."""
    xt, t, y, weights, means, variances, alpha_bar = given
    if shares is None:
        shares = log_classes(xt, t, weights, means, variances, alpha_bar).exp()
    return chosen(shares, y, each_eps(xt, t, means, variances, alpha_bar) if each is None else each)


@mixture_eps.misconception(
    "averaged with the weights, not with p(y given x_t)",
    hint="Where x_t is, some classes are more likely than others: average with the classifier's probabilities at x_t, "
    "not with how frequent the classes are.",
)
def averaged_by_weights(xt, t, y, weights, means, variances, alpha_bar):
    shares = weights.expand(len(xt), -1)
    return wrong((xt, t, y, weights, means, variances, alpha_bar), shares)


@mixture_eps.misconception(
    "the most likely class answers for no label",
    hint="Without a label every class has its say, as much as it is likely at x_t: a sum, not a choice.",
)
def most_likely(xt, t, y, weights, means, variances, alpha_bar):
    logs = log_classes(xt, t, weights, means, variances, alpha_bar)
    return wrong((xt, t, y, weights, means, variances, alpha_bar), F.one_hot(logs.argmax(1), len(weights)).to(xt))


@mixture_eps.misconception(
    "the labels are ignored",
    hint="Where y names a class, that class alone answers; the average over classes is for y = K.",
)
def labels_ignored(xt, t, y, weights, means, variances, alpha_bar):
    return wrong((xt, t, torch.full_like(y, len(weights)), weights, means, variances, alpha_bar))


@mixture_eps.misconception(
    "one missing label and the whole batch has none",
    hint="Labels and nulls mix in a batch: decide for each example by itself.",
)
def all_or_none(xt, t, y, weights, means, variances, alpha_bar):
    y = torch.full_like(y, len(weights)) if bool((y == len(weights)).any()) else y
    return wrong((xt, t, y, weights, means, variances, alpha_bar))


@mixture_eps.misconception(
    "no label is taken for the last class",
    hint="y = K is no class: there the average over all classes is asked for.",
)
def last_class(xt, t, y, weights, means, variances, alpha_bar):
    return wrong((xt, t, y.clamp(max=len(weights) - 1), weights, means, variances, alpha_bar))


@mixture_eps.misconception(
    "one Gaussian for all the data",
    hint="A mixture is no Gaussian with the mixture's mean and variance. Average the classes' answers, not the "
    "classes.",
)
def one_gaussian(xt, t, y, weights, means, variances, alpha_bar):
    mean = weights @ means
    variance = weights @ (variances + means**2) - mean**2
    each = each_eps(xt, t, means, variances, alpha_bar)
    free = each_eps(xt, t, mean[None], variance[None], alpha_bar)
    return torch.cat([each, free], 1)[torch.arange(len(xt)), y]


@mixture_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="eps and x_t have the covariance sqrt(1 - alpha_bar_t), a root; divide it by the variance of x_t.",
)
def root_missing(xt, t, y, weights, means, variances, alpha_bar):
    each = each_eps(xt, t, means, variances, alpha_bar) * noise_size(t, alpha_bar, means[None])
    return wrong((xt, t, y, weights, means, variances, alpha_bar), each=each)


@mixture_eps.misconception(
    "all that is left of x_t is taken for noise",
    hint="x_t - sqrt(alpha_bar_t) mu_k holds the class's own spread too. The best guess takes only the noise's share.",
)
def spread_forgotten(xt, t, y, weights, means, variances, alpha_bar):
    each = away(xt, t, alpha_bar, means) / noise_size(t, alpha_bar, means[None])
    return wrong((xt, t, y, weights, means, variances, alpha_bar), each=each)


@mixture_eps.misconception(
    "the score in place of the noise",
    hint="The score points uphill. The noise is -sqrt(1 - alpha_bar_t) times it.",
)
def score(xt, t, y, weights, means, variances, alpha_bar):
    each = -away(xt, t, alpha_bar, means) / spread(t, alpha_bar, variances)
    return wrong((xt, t, y, weights, means, variances, alpha_bar), each=each)


@mixture_eps.misconception(
    "divided by a standard deviation",
    hint="A regression divides the covariance of eps and x_t by the variance of x_t, not by its root.",
)
def by_deviation(xt, t, y, weights, means, variances, alpha_bar):
    v = spread(t, alpha_bar, variances)
    each = noise_size(t, alpha_bar, means[None]) * away(xt, t, alpha_bar, means) / v.sqrt()
    return wrong((xt, t, y, weights, means, variances, alpha_bar), each=each)


@mixture_eps.misconception(*EARLY)
def one_step_early(xt, t, y, weights, means, variances, alpha_bar):
    v = spread(t - 1, alpha_bar, variances).clamp(min=1e-12)
    each = noise_size(t - 1, alpha_bar, means[None]) * away(xt, t - 1, alpha_bar, means) / v
    exponent = -(away(xt, t - 1, alpha_bar, means) ** 2 / v + v.log()).sum(-1) / 2
    return chosen(torch.softmax(weights.log() + exponent, 1), y, each)


@mixture_eps.misconception(*ONE_TIME)
def one_time(xt, t, y, weights, means, variances, alpha_bar):
    return wrong((xt, first_of(t), y, weights, means, variances, alpha_bar))
