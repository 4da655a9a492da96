"""A noise predictor led by a classifier's gradient: `classifier_guided_eps`."""

from __future__ import annotations

import torch
from torch.func import jacrev

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import AXIS, EARLY, along, edges, first_of, ranks, schedule, times_among

# A classifier of noisy data that is far from linear, changes with t, and remembers when it was asked. Each row's answer
# comes from that row alone.
CLASSIFIER = """
class Classifier:
    def __init__(self):
        self.weight = torch.tensor({weight}, dtype=torch.float64, requires_grad=True)
        self.asked = []

    def __call__(self, x, t):
        if not isinstance(t, torch.Tensor) or t.shape != x.shape[:1] or t.dtype != torch.long:
            raise ValueError("log_probs takes one time per example, a LongTensor (B,)")
        self.asked += t.tolist()
        flat = x.reshape(len(x), -1)
        bent = (flat * (1 + t[:, None].to(x.dtype) / 5)).sin() + flat.roll(1, 1) * flat / 3
        return (bent @ self.weight.to(x.dtype)).log_softmax(1)

    def touched(self):
        return self.weight.grad is not None

    def times(self):
        return sorted(set(self.asked))

classifier = Classifier()
"""


@exercise("classifier_guided_eps", points=2)
def classifier_guided_eps(student, case):
    """eps_hat - scale sqrt(1 - alpha_bar_t) grad log p(y given x_t), each example with its own gradient."""
    steps, classes = case.integer(6, 9), case.integer(3, 5)
    alpha_bar = schedule(case, steps)

    def truth(eps_hat, log_probs, *more):
        classifier = log_probs.run() if isinstance(log_probs, Source) else log_probs
        return classifier_guided_eps.oracle(eps_hat, classifier, *more)

    def given(*shape, scale):
        entries = case.normal(*shape).flatten(1).shape[1]
        source = Source(CLASSIFIER.format(weight=case.normal(entries, classes).tolist()), "classifier")
        y = torch.arange(shape[0]).flip(0) % classes
        t = times_among(case, steps, shape[0], 1, 2)
        return case.normal(*shape), source, case.normal(*shape), t, y, scale, alpha_bar

    rows, image = (case.number(1.5, 3.0) for _ in range(2))
    points = given(classes + 3, classes + 1, scale=rows)
    none = *points[:5], 0.0, alpha_bar
    case.expect(
        [student(*points), student(*none)],
        [truth(*points), truth(*none)],
        "points, each with its own gradient, and scale 0",
        points=0.5,
        dtype=True,
    )
    images, square = given(5, 1, 2, 3, scale=image), given(5, 5, scale=0.5)
    case.expect(
        [student(*images), student(*square)],
        [truth(*images), truth(*square)],
        "images, and a batch as long as its last axis",
        points=0.25,
    )
    inside = given(classes + 2, 3, scale=rows)
    case.expect(
        student.without_grad(*inside),
        truth(*inside),
        "under torch.no_grad(), as inside a sampler",
        points=0.5,
        hint="a sampler switches gradients off around its loop: switch them on again where you need one",
    )
    eps_hat, source, *more = given(classes + 2, 4, scale=rows)
    held = student.make(source)
    value = student(eps_hat, held, *more)
    case.expect(
        [value, left(value, held.touched()), left(value, held.times())],
        [truth(eps_hat, source, *more), False, sorted(set(more[1].tolist()))],
        "the classifier's weights keep no gradient, and it was asked at the times of the examples",
        points=0.25,
        hint="torch.autograd.grad returns a gradient, and leaves nothing in anybody's .grad",
    )
    alone = given(4, 3, scale=rows)
    pull = case.normal(4, 3)
    case.expect(
        [student(*alone), student.gradient(*alone, weights=[pull], wrt=[2])],
        [truth(*alone), [None]],
        "no gradient comes back through x_t",
        points=0.25,
        hint="the guided noise is a number for the sampler: nothing is to be trained through it",
    )
    first, source = points[0], points[1]

    def extreme(times, table):
        return first[:3], source, points[2][:3], times, points[4][:3], rows, table

    films = [given(*shape, scale=rows) for shape in ranks(4)]
    one = first[:1], source, points[2][:1], points[3][:1], points[4][:1], rows, alpha_bar
    case.conventions(student, points, truth, points=0.25, also=[*films, one, *edges(case, extreme)])


def left(value, found):
    """What a call left behind, or the Failure in which it ended."""
    return value if isinstance(value, Failure) else found


@classifier_guided_eps.truth
def truth(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    """Example by example: the classifier's whole Jacobian, of which the row of y is taken."""
    rows = []
    for b in range(len(xt)):
        x, time = xt[b].double(), t[b : b + 1]
        jacobian = jacrev(lambda x, time=time: log_probs(x[None], time)[0])(x)
        size = (1 - alpha_bar.double()[time]).sqrt()
        rows.append(eps_hat[b].double() - scale * size * jacobian[y[b]].detach())
    return torch.stack(rows).to(eps_hat.dtype)


def uphill(log_probs, xt, t, y, of=None):
    """The gradient of log p(y given x_t) of each example; `of` picks another number to differentiate."""
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        logs = log_probs(x, t)
        total = logs.gather(1, y[:, None]).sum() if of is None else of(logs, y)
        return torch.autograd.grad(total, x)[0]


def lowered(eps_hat, gradient, t, scale, alpha_bar):
    return eps_hat - scale * along((1 - alpha_bar[t]).sqrt(), eps_hat) * gradient


@classifier_guided_eps.alternative("grad of the sum")
def grad_of_sum(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, t, y), t, scale, alpha_bar)


@classifier_guided_eps.alternative("example by example")
@torch.enable_grad()
def example_by_example(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    rows = []
    for b in range(len(xt)):
        x = xt[b : b + 1].detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(log_probs(x, t[b : b + 1])[0, y[b]], [x])
        rows.append(eps_hat[b : b + 1] - scale * (1 - alpha_bar[t[b]]) ** 0.5 * slope)
    return torch.cat(rows)


@classifier_guided_eps.alternative("a backward pass with a one-hot vector")
def one_hot_pull(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    with torch.set_grad_enabled(True):
        x = torch.clone(xt.detach())
        x.requires_grad = True
        logs = log_probs(x, t)
        pull = torch.zeros_like(logs).scatter_(1, y[:, None], 1.0)
        slope = torch.autograd.grad(logs, x, grad_outputs=pull)[0]
    size = torch.sqrt(1 - alpha_bar.index_select(0, t)).view(-1, *[1] * (xt.dim() - 1))
    return torch.sub(eps_hat, scale * (size * slope))


@classifier_guided_eps.misconception(
    "gradients are not switched on",
    hint="It works here and fails inside a sampler, whose loop runs under torch.no_grad(). Put `with "
    "torch.enable_grad():` around the lines that need a gradient.",
)
def not_switched_on(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    x = xt.detach().clone().requires_grad_()
    slope = torch.autograd.grad(log_probs(x, t).gather(1, y[:, None]).sum(), x)[0]
    return lowered(eps_hat, slope, t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "the sign is turned",
    hint="The gradient points to where the class is more likely; the noise is what is taken away. To go uphill, take "
    "less noise in that direction.",
)
def sign_turned(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, -uphill(log_probs, xt, t, y), t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="Noise is -sqrt(1 - alpha_bar_t) times a score, and the classifier's gradient is a part of a score: the same "
    "root belongs to it.",
)
def root_missing(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    size = along((1 - alpha_bar[t]).sqrt(), xt)
    return lowered(eps_hat, size * uphill(log_probs, xt, t, y), t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "the gradient is taken for noise as it is",
    hint="The gradient is a piece of a score, and eps_hat is a noise. Which factor turns one into the other?",
)
def no_factor(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return eps_hat - scale * uphill(log_probs, xt, t, y)


@classifier_guided_eps.misconception(
    "the gradient of a mean over the batch",
    hint="Each example gets its own gradient. A mean over the batch divides it by B: differentiate the sum.",
)
def mean_over_batch(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    slope = uphill(log_probs, xt, t, y, of=lambda logs, y: logs.gather(1, y[:, None]).mean())
    return lowered(eps_hat, slope, t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "all classes are differentiated, not the one asked for",
    hint="Only the entry of y, one per row, is to grow: gather it before you sum.",
)
def all_classes(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, t, y, of=lambda logs, y: logs.sum()), t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "the gradient of p in place of log p",
    hint="A score is the gradient of a logarithm. Differentiate log p(y given x_t), not p.",
)
def gradient_of_p(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    slope = uphill(log_probs, xt, t, y, of=lambda logs, y: logs.exp().gather(1, y[:, None]).sum())
    return lowered(eps_hat, slope, t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "every column y for every row",
    hint="log_probs(x, t)[:, y] takes all columns of y for each row. One entry per row: gather, or index with "
    "arange(B) and y.",
)
def every_column(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, t, y, of=lambda logs, y: logs[:, y].sum()), t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "backward() leaves its gradient in the classifier",
    hint="The value is right, but .backward() adds a gradient to every parameter on its way, where the next training "
    "step finds it. Use torch.autograd.grad.",
)
def backward(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        log_probs(x, t).gather(1, y[:, None]).sum().backward()
    return lowered(eps_hat, x.grad, t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "the graph is kept",
    hint="The value is right, but gradients come back through x_t: a sampler would keep the graph of its whole walk. "
    "Detach x_t, and leave create_graph off.",
)
def graph_kept(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    with torch.enable_grad():
        x = xt if xt.requires_grad else xt.detach().clone().requires_grad_()
        chosen = log_probs(x, t).gather(1, y[:, None]).sum()
        slope = torch.autograd.grad(chosen, x, create_graph=True)[0]
    return lowered(eps_hat, slope if xt.requires_grad else slope.detach(), t, scale, alpha_bar)


@classifier_guided_eps.misconception(
    "s taken for 1 + w",
    hint="scale is the s of the derivation and multiplies the gradient as it is: 0 guides nothing.",
)
def one_added(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, t, y), t, 1 + scale, alpha_bar)


@classifier_guided_eps.misconception(
    "one t for the whole batch",
    hint="Every example has its own t: the classifier is asked with the whole tensor, and each gradient gets its own "
    "factor.",
)
def one_time(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, first_of(t), y), first_of(t), scale, alpha_bar)


@classifier_guided_eps.misconception(*EARLY)
def one_step_early(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return lowered(eps_hat, uphill(log_probs, xt, t, y), t - 1, scale, alpha_bar)


@classifier_guided_eps.misconception(*AXIS)
def wrong_axis(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    return eps_hat - scale * (1 - alpha_bar[t]).sqrt() * uphill(log_probs, xt, t, y)
