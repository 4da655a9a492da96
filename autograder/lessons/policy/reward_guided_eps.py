"""A noise predictor led by the reward of the guessed plan: `reward_guided_eps`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import AXIS, EARLY, along, edges, first_of, ranks, schedule, times_among

# Both are far from linear, each row answers for itself, and entries hear their neighbours; the model changes with t.
MODEL = """
class Model:
    def __init__(self):
        self.weight = torch.tensor({weight}, dtype=torch.float64, requires_grad=True)

    def __call__(self, x, t):
        if not isinstance(t, torch.Tensor) or t.shape != x.shape[:1] or t.dtype != torch.long:
            raise ValueError("model takes one time per example, a LongTensor (B,)")
        flat = x.reshape(len(x), -1)
        when = t[:, None].to(x.dtype) / 6
        made = (self.weight.to(x.dtype) * flat * (1 + when)).sin() + 0.3 * flat.roll(1, 1) + 0.2 * when
        return made.reshape(x.shape)

    def touched(self):
        return self.weight.grad is not None

model = Model()
"""
REWARD = """
def reward(x0):
    flat = x0.reshape(len(x0), -1)
    place = torch.arange(flat.shape[1], dtype=x0.dtype)
    return ((flat * (1 + place / 3)).sin() * {height} - 0.05 * flat * flat.roll(1, 1)).sum(1)
"""


@exercise("reward_guided_eps", points=2)
def reward_guided_eps(student, case):
    """eps_hat - scale sqrt(1 - alpha_bar_t) grad_{x_t} reward(x0_hat(x_t)), through the model as well."""
    steps = case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    model = Source(MODEL.format(weight=case.number(0.5, 0.9)), "model")
    reward = Source(REWARD.format(height=case.number(0.5, 0.9)), "reward")

    def truth(model, reward, *more):
        here = (part.run() if isinstance(part, Source) else part for part in (model, reward))
        return reward_guided_eps.oracle(*here, *more)

    def given(*shape, scale):
        return model, reward, case.normal(*shape), times_among(case, steps, shape[0], 1, 2), alpha_bar, scale

    usual = case.number(1.5, 3.0)
    rows = given(5, 3, scale=usual)
    none = *rows[:5], 0.0
    case.expect(
        [student(*rows), student(*none)],
        [truth(*rows), truth(*none)],
        "points, each with its own gradient, and scale 0",
        points=0.5,
        dtype=True,
    )
    plans, square = given(4, 3, 2, scale=usual), given(4, 4, scale=0.5)
    case.expect(
        [student(*plans), student(*square)],
        [truth(*plans), truth(*square)],
        "plans, and a batch as long as its last axis",
        points=0.25,
    )
    inside = given(4, 3, scale=usual)
    case.expect(
        student.without_grad(*inside),
        truth(*inside),
        "under torch.no_grad(), as inside a sampler",
        points=0.5,
        hint="a sampler switches gradients off around its loop: switch them on again where you need one",
    )
    held, alone = student.make(model), given(4, 3, scale=usual)
    value = student(held, *alone[1:])
    case.expect(
        [value, value if isinstance(value, Failure) else held.touched()],
        [truth(*alone), False],
        "the model's weights keep no gradient",
        points=0.25,
        hint="torch.autograd.grad returns a gradient, and leaves nothing in anybody's .grad",
    )
    case.expect(
        [student(*alone), student.gradient(*alone, weights=[case.normal(4, 3)], wrt=[2])],
        [truth(*alone), [None]],
        "no gradient comes back through x_t",
        points=0.25,
        hint="the guided noise is a number for the sampler: nothing is to be trained through it",
    )

    def extreme(times, table):
        return model, reward, rows[2][:3], times, table, usual

    films = [given(*shape, scale=usual) for shape in ranks(4)]
    lone = model, reward, rows[2][:1, :1], rows[3][:1], alpha_bar, usual
    case.conventions(student, rows, truth, points=0.25, also=[*films, lone, *edges(case, extreme)])


@reward_guided_eps.truth
def truth(model, reward, xt, t, alpha_bar, scale):
    """The denoiser's Jacobian as a matrix, transposed and applied to the gradient that the reward has at the guess."""
    level = alpha_bar.double()[t][:, None]
    size = (1 - level).sqrt()
    with torch.enable_grad():
        x = xt.detach().double().requires_grad_()
        answer = model(x, t).flatten(1)
        entries = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1) for column in answer.T]
        eps_hat, jacobian = answer.detach(), torch.stack(entries, 1)  # (B, n), (B, n, n)
        x0_hat = x.detach().flatten(1) / level.sqrt() - (1 / level - 1).sqrt() * eps_hat
        x0 = x0_hat.reshape(xt.shape).requires_grad_()
        uphill = torch.autograd.grad(reward(x0).sum(), x0)[0].flatten(1)
    slope = (uphill - size * torch.einsum("bij,bi->bj", jacobian, uphill)) / level.sqrt()
    return (eps_hat - scale * size * slope).reshape(xt.shape).to(xt.dtype)


def guess(x, eps_hat, level):
    return (x - (1 - level).sqrt() * eps_hat) / level.sqrt()


def uphill(model, reward, xt, t, alpha_bar, through=lambda eps_hat: eps_hat, of=torch.sum):
    """(eps_hat, the gradient of the reward at the guessed plan); `through` is done to eps_hat on its way into it."""
    level = along(alpha_bar[t], xt)
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        eps_hat = model(x, t)
        slope = torch.autograd.grad(of(reward(guess(x, through(eps_hat), level))), x)[0]
    return eps_hat.detach(), slope


def lowered(found, t, alpha_bar, scale):
    eps_hat, slope = found
    return eps_hat - scale * along((1 - alpha_bar[t]).sqrt(), eps_hat) * slope


@reward_guided_eps.alternative("grad of the sum")
def grad_of_sum(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar), t, alpha_bar, scale)


@reward_guided_eps.alternative("plan by plan")
@torch.enable_grad()
def plan_by_plan(model, reward, xt, t, alpha_bar, scale):
    rows = []
    for b in range(len(xt)):
        x, level = xt[b : b + 1].detach().requires_grad_(True), alpha_bar[t[b]]
        eps_hat = model(x, t[b : b + 1])
        (slope,) = torch.autograd.grad(reward((x - (1 - level) ** 0.5 * eps_hat) / level**0.5)[0], [x])
        rows.append(eps_hat.detach() - scale * (1 - level) ** 0.5 * slope)
    return torch.cat(rows)


@reward_guided_eps.alternative("two pulls, one through the model")
def two_pulls(model, reward, xt, t, alpha_bar, scale):
    level = alpha_bar[t].view(-1, *[1] * (xt.dim() - 1))
    keep, size = level.sqrt(), (1 - level).sqrt()
    with torch.set_grad_enabled(True):
        x = torch.clone(xt.detach()).requires_grad_()
        eps_hat = model(x, t)
        x0 = ((x - size * eps_hat) / keep).detach().requires_grad_()
        pull = torch.autograd.grad(reward(x0).sum(), x0)[0] / keep
        back = torch.autograd.grad(eps_hat, x, grad_outputs=size * pull)[0]
    return torch.sub(eps_hat.detach(), scale * size * (pull - back))


@reward_guided_eps.misconception(
    "not through the model",
    hint="x0_hat hangs on x_t twice: directly, and through eps_hat. You hold eps_hat fast, so one of the two is "
    "missing.",
)
def not_through_model(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar, torch.detach), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the gradient is not switched on",
    hint="It works here and fails inside a sampler, whose loop runs under torch.no_grad(). Put `with "
    "torch.enable_grad():` around the lines that need a gradient.",
)
def not_switched_on(model, reward, xt, t, alpha_bar, scale):
    level = along(alpha_bar[t], xt)
    x = xt.detach().clone().requires_grad_()
    eps_hat = model(x, t)
    slope = torch.autograd.grad(reward(guess(x, eps_hat, level)).sum(), x)[0]
    return lowered((eps_hat.detach(), slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the reward of the noisy plan",
    hint="The reward is for clean plans. Hand it x0_hat, the plan that x_t and the predicted noise point to.",
)
def reward_of_noisy(model, reward, xt, t, alpha_bar, scale):
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        slope = torch.autograd.grad(reward(x).sum(), x)[0]
    with torch.no_grad():
        return lowered((model(xt, t), slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the gradient with respect to x0_hat",
    hint="You ask how the reward changes with the clean plan. Asked is how it changes with x_t, through all that lies "
    "between.",
)
def by_clean_plan(model, reward, xt, t, alpha_bar, scale):
    with torch.no_grad():
        eps_hat = model(xt, t)
    with torch.enable_grad():
        x0 = guess(xt, eps_hat, along(alpha_bar[t], xt)).detach().requires_grad_()
        slope = torch.autograd.grad(reward(x0).sum(), x0)[0]
    return lowered((eps_hat, slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the sign is turned",
    hint="The gradient points to where the reward is larger; the noise is what is taken away. To go uphill, take less "
    "noise in that direction.",
)
def sign_turned(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar), t, alpha_bar, -scale)


@reward_guided_eps.misconception(
    "the gradient is taken for noise as it is",
    hint="The gradient is added to a score, and eps_hat is a noise. Which factor turns one into the other?",
)
def no_factor(model, reward, xt, t, alpha_bar, scale):
    eps_hat, slope = uphill(model, reward, xt, t, alpha_bar)
    return eps_hat - scale * slope


@reward_guided_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="Noise is -sqrt(1 - alpha_bar_t) times a score, and the reward's gradient is added to a score: the same root "
    "belongs to it.",
)
def root_missing(model, reward, xt, t, alpha_bar, scale):
    eps_hat, slope = uphill(model, reward, xt, t, alpha_bar)
    return lowered((eps_hat, along((1 - alpha_bar[t]).sqrt(), xt) * slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the guess is not divided by sqrt(alpha_bar_t)",
    hint="x_t without its noise is sqrt(alpha_bar_t) x_0. Divide before you ask for the reward.",
)
def guess_not_divided(model, reward, xt, t, alpha_bar, scale):
    level = along(alpha_bar[t], xt)
    return grad_of_sum(model, lambda x0: reward(level.sqrt() * x0), xt, t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the guess has no roots",
    hint="alpha_bar_t and 1 - alpha_bar_t are shares of variance: in x_t stand their roots.",
)
def guess_without_roots(model, reward, xt, t, alpha_bar, scale):
    level = along(alpha_bar[t], xt)
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        eps_hat = model(x, t)
        slope = torch.autograd.grad(reward((x - (1 - level) * eps_hat) / level).sum(), x)[0]
    return lowered((eps_hat.detach(), slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the gradient of a mean over the batch",
    hint="Each plan gets its own gradient. A mean over the batch divides it by B: differentiate the sum.",
)
def mean_over_batch(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar, of=torch.mean), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the gradient of exp(reward)",
    hint="The density is multiplied by exp(reward), and a score is the gradient of a logarithm: what is left of it?",
)
def of_exponential(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar, of=lambda r: r.exp().sum()), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the guidance alone",
    hint="The gradient changes a prediction. It does not stand in its place: at scale 0 eps_hat is left.",
)
def guidance_alone(model, reward, xt, t, alpha_bar, scale):
    eps_hat, slope = uphill(model, reward, xt, t, alpha_bar)
    return lowered((0 * eps_hat, slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "1 is added to the scale",
    hint="scale multiplies the gradient as it is: 0 guides nothing.",
)
def one_added(model, reward, xt, t, alpha_bar, scale):
    return lowered(uphill(model, reward, xt, t, alpha_bar), t, alpha_bar, 1 + scale)


@reward_guided_eps.misconception(
    "backward() leaves its gradient in the model",
    hint="The value is right, but .backward() adds a gradient to every parameter on its way, where the next training "
    "step finds it. Use torch.autograd.grad.",
)
def backward(model, reward, xt, t, alpha_bar, scale):
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        eps_hat = model(x, t)
        reward(guess(x, eps_hat, along(alpha_bar[t], xt))).sum().backward()
    return lowered((eps_hat.detach(), x.grad), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "the graph is kept",
    hint="The value is right, but gradients come back through x_t: a sampler would keep the graph of its whole walk. "
    "Detach x_t and the answer, and leave create_graph off.",
)
def graph_kept(model, reward, xt, t, alpha_bar, scale):
    with torch.enable_grad():
        x = xt if xt.requires_grad else xt.detach().clone().requires_grad_()
        eps_hat = model(x, t)
        slope = torch.autograd.grad(reward(guess(x, eps_hat, along(alpha_bar[t], xt))).sum(), x)[0]
    return lowered((eps_hat, slope), t, alpha_bar, scale)


@reward_guided_eps.misconception(
    "one t for the whole batch",
    hint="Every plan has its own t: the model is asked with the whole tensor, and each gradient gets its own factor.",
)
def one_time(model, reward, xt, t, alpha_bar, scale):
    return grad_of_sum(model, reward, xt, first_of(t), alpha_bar, scale)


@reward_guided_eps.misconception(*EARLY)
def one_step_early(model, reward, xt, t, alpha_bar, scale):
    return grad_of_sum(lambda x, time: model(x, t), reward, xt, t - 1, alpha_bar, scale)


@reward_guided_eps.misconception(*AXIS)
def wrong_axis(model, reward, xt, t, alpha_bar, scale):
    eps_hat, slope = uphill(model, reward, xt, t, alpha_bar)
    return eps_hat - scale * (1 - alpha_bar[t]).sqrt() * slope
