# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 08 · A seven, please: conditional diffusion, guidance, inpainting
#
# The digits of lesson 06 came as they liked. Now you say what you want: a class, a few words, a layout, a half-finished picture. At the end you order "a heavy, leaning seven" and watch it come out of the noise.
# On the way a surprise waits. The trick behind nearly every picture generator of our days, guidance, does not do what its formula seems to promise, and here you can see by exactly how much.
#
# **At the end you can**
#
# 1. train one network with and without labels, and say what it then knows;
# 2. derive classifier guidance from Bayes' rule, and classifier-free guidance from classifier guidance, in both conventions;
# 3. say which law a guided sampler really follows, compute it exactly for Gaussians, and repair it where that can be done;
# 4. put words into a picture by cross-attention, and a layout by concatenation;
# 5. fill a hole in a picture, and say why the obvious way is biased.
#
# **You need** lessons 04 to 06: $q(x_t \mid x_0)$, `ddim_step`, `p_step`, the U-Net; from 07 that a noise predictor is a score in other units. Bayes' rule and softmax from 01.
#
# **Time** a little over three hours, best in three sittings (1 to 4: 57 minutes; 5: 36; 7, 9, 12 and 13: 54). On the shorter path, about 140 minutes, you skip what is headed *Further*, since nothing later needs it, and leave the lines "to compare with yours" folded where your checks are green. Two small exercises, `dynamic_threshold` and `renoise`, a point each, stand in *Further* sections.
# The notebook itself computes for about two and a half minutes on two processor cores, most of it in one cell of section 7.
#
# | section | minutes |
# |---|---|
# | 1 A label comes in | 11 |
# | 2 Everything known: a mixture with labels | 20 |
# | 3 A classifier leads | 16 |
# | 4 Without a classifier | 10 |
# | 5 What guidance really samples | 36 |
# | 6 Further: small print | 11 |
# | 7 Words and layouts | 21 |
# | 8 Further: range, a classifier, a layout | 6 |
# | 9 Filling a hole | 20 |
# | 10 Further: resampling | 14 |
# | 11 Further: two stages | 4 |
# | 12 Order a digit | 2 |
# | 13 In your own words | 11 |

# %% [markdown]
# **Notation.** As in lessons 04 to 07; the new symbols stand below the line of dots.
#
# | symbol | code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t` | time; a LongTensor `(B,)`, one per example |
# | $\bar\alpha_t$, also $a$ | `alpha_bar[t]` | share of the variance of $x_0$ that is left; $\bar\alpha_0 = 1$, tables have $T + 1$ entries |
# | $\epsilon$, $\hat\epsilon$, $\epsilon^*$ | `eps`, `eps_hat` | the noise in $x_t$, a guess of it, and the best guess $\mathbb E[\epsilon \mid x_t]$ |
# | $\hat x_0$ | `x0_hat` | the guess of $x_0$ that belongs to $\hat\epsilon$ |
# | $\eta$ | `eta` | how much fresh noise a step uses: 0 is DDIM, 1 is DDPM |
# | $\beta_t$, $\tilde\beta_t$ | | variance that step $t$ adds; posterior variance of the step back |
# | ··· | | |
# | $y \in \{0, \dots, K - 1\}$ | `y` | a label; a LongTensor `(B,)` |
# | $\varnothing$ | `null` | the label that says nothing; here the number $K$ |
# | $w_k, \mu_k, v_k$ | `weights, means, variances` | class $k$ of a labelled mixture: $x_0 \sim \mathcal N(\mu_k, \operatorname{diag} v_k)$ with probability $w_k$ |
# | $p(y \mid x_t)$ | `log_probs(xt, t)` | a classifier of noisy data; log-probabilities `(B, K)` |
# | $w$, $s$ | `w`, `scale` | how strongly you guide, in two conventions |
# | $q_w$, $\tilde p$ | | the density that guidance seems to aim at; the tilted data |
# | $v_c, v_u$ | `var_c`, `var_u` | variance of one class and of all the data, along one axis |
# | $c$, $Q, K, V$ | | words of a caption; what places ask, what words offer, what they say |
# | $x_k$, $x_u$ | `known`, `mask` | the known and the unknown part of a picture; the mask is `True` where something is known |
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, the device, and draws of noise
import math
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy
import sympy
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal

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
    verify_equation,
    widgets,
)

device = get_device()
findings = {}  # your own numbers, for the end


def double(values):
    """Numbers as a tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    """Standard normal draws in double precision, the same for a seed on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# %% [markdown]
# **The lesson on one page.** Noise does not know what a picture shows: the way there is the old one. On the way back a label can come in at three doors: as an input of the network, as a gradient added to its answer, or as pixels that are already there.


# %% tags=["experiment"]
# Schematic: three doors for a label
def story():
    """The lesson on one page."""
    fig, ax = schematic.canvas(6.4, 3.3)
    clean = schematic.node(ax, (0.8, 2.6), "$x_0$", "data", shape="box", size=(0.9, 0.6))
    noisy = schematic.node(ax, (5.6, 2.6), "$x_t$", "noise", shape="box", size=(0.9, 0.6))
    net = schematic.node(ax, (3.9, 1.35), "network", "model", shape="box", size=(1.3, 0.6))
    step = schematic.node(
        ax, (1.6, 1.35), "one step back", "posterior", shape="box", size=(1.6, 0.6)
    )
    label = schematic.node(ax, (3.9, 0.35), "label $y$", "prior", size=(1.1, 0.5))
    schematic.arrow(ax, clean, noisy, "noise comes in, whatever the label", "noise")
    schematic.arrow(ax, noisy, net, role="model")
    schematic.arrow(ax, net, step, "$\\hat\\epsilon$", "model", offset=-0.2)
    schematic.arrow(ax, step, clean, role="posterior")
    schematic.arrow(ax, label, net, "1", "prior", offset=-0.18)
    schematic.arrow(ax, label, (2.8, 1.22), role="prior", bend=0.12)
    schematic.label(ax, (2.98, 0.72), "2")
    schematic.arrow(ax, label, step, role="prior", bend=0.35)
    schematic.label(ax, (2.1, 0.45), "3")
    schematic.label(
        ax, (4.75, 0.32), "1 as an input\n2 as a gradient\n3 as known pixels", align="left"
    )
    return fig


plots.show(
    story(),
    alt="Above, data become noise without any label. Below, from noise through the network and one step back to data; "
    "the label has three ways in: into the network, as a gradient added to its answer, into the step as known pixels.",
)

# %% [markdown]
# **From lessons 04 to 06.** Schedules, the forward sample, the steps of Algorithm 2 and of DDIM.


# %%
# From lessons 04 to 06: schedules, and the steps of two samplers
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


def p_step(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    now, before = column(alpha_bar[t], xt), column(alpha_bar[t - 1], xt)
    alpha, beta = now / before, 1 - now / before
    squared = (
        beta * (1 - before) / (1 - now) if variance == "posterior" else beta * (before < 1)
    )  # 0 at t = 1
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt() + squared.sqrt() * z


def ddim_step(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = alpha_bar[t], alpha_bar[s]
    variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    x0_hat = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    xs = then.sqrt() * x0_hat + (1 - then - variance).clamp(min=0).sqrt() * eps_hat
    return xs + variance.sqrt() * z if eta > 0 else xs


SHORT = alpha_bar_from_beta(linear_beta(6, 0.05, 0.5))  # every mistake is large here
T = 200
ALPHA_BAR = alpha_bar_from_beta(linear_beta(T, 5e-4, 0.1))  # lesson 06's, for what is trained
TABLE = ALPHA_BAR.float().to(device)  # the same where networks live
FINE = alpha_bar_from_beta(linear_beta(400, 2.5e-4, 0.05))  # for exact experiments

# A fine grid on the line, for integrals: (8001, 1), and the distance of two neighbours.
LINE = torch.linspace(-14, 14, 8001, dtype=torch.float64)[:, None]
SPACING = (LINE[1] - LINE[0]).item()


def integral(values):
    """Of a function given on LINE."""
    return values.sum() * SPACING


# %% [markdown]
# ## 1 · A label comes in
#
# Ask a model of all digits for a seven. It is a perfect one: four hundred training digits, each a little blurred, and their exact noise predictor, walked down from noise. You order two dozen sevens.


# %% tags=["experiment"]
# Experiment: two dozen sevens, ordered from a model that has no ear
def deaf_model():
    """Two dozen draws from a model of all digits, (24, 1, 8, 8): DDIM with an exact predictor, without a label."""
    generator = torch.Generator().manual_seed(0)
    digits = data.digits("train", range=(-1, 1), device="cpu").double()
    chosen = digits[torch.randperm(len(digits), generator=generator)[:400]]
    blurred = exact.GaussianMixture(
        torch.full((400,), 1 / 400), chosen, 0.02 * torch.eye(64).expand(400, 64, 64)
    )
    x = torch.randn(24, 64, generator=generator, dtype=torch.float64)
    for t in range(T, 0, -10):
        x = ddim_step(x, blurred.best_eps(x, ALPHA_BAR[t]), t, t - 10, ALPHA_BAR)
    return x.float().reshape(24, 1, 8, 8)


came = deaf_model()
sevens = (metrics.recognise(came, range=(-1, 1))[0] == 7).sum().item()
fig, _ = plots.image_grid(
    came, 12, range=(-1, 1), title=f"24 sevens were ordered; sevens that came: {sevens}"
)
plots.show(
    fig, alt=f"24 clear digits of all kinds, drawn without a label; {sevens} of them are sevens."
)

# %% [markdown]
# Clear digits, every one. It cannot hear you: it draws what is frequent, and every tenth time that is a seven by chance. You could throw the others away, but for "a heavy, leaning seven" you would wait long, and for a caption of twenty words for ever.
#
# So learn $p(x_0 \mid y)$. What changes? Begin with the way there.
#
# $$q(x_t \mid y) = \int q(x_t \mid x_0, y)\, p(x_0 \mid y)\, dx_0 = \int q(x_t \mid x_0)\, p(x_0 \mid y)\, dx_0 \tag{1}$$
#
# *average over the clean pictures of class $y$; noise does not know the label, so given $x_0$ it drops out.* The forward process stays as it is. So for each $y$ you have an ordinary diffusion problem, with other data, and all that lessons 05 and 06 found holds for each:
#
# $$\mathbb E \big[ \Vert \epsilon - \hat\epsilon(x_t, t, y) \Vert^2 \big] = \mathbb E \big[ \Vert \epsilon - \epsilon^* \Vert^2 \big] + \mathbb E \big[ \Vert \hat\epsilon - \epsilon^* \Vert^2 \big], \qquad \epsilon^*(x_t, t, y) = \mathbb E[\epsilon \mid x_t, y] \tag{2}$$
#
# *lesson 06's (2) to (4), with "given $x_t$" replaced by "given $x_t$ and $y$".* The network gets $y$ as one more input, the loss is the old one, and the best answer is the average noise among the pictures *of this class* that could have become $x_t$.

# %%
# Equations (1) and (2)
# (1): class 1 of a mixture, at one level: the integral over x_0, and the Gaussian that it must be.
level, one_class = SHORT[3], exact.GaussianData([1.0], double([[0.6]]))
places = double([[-1.0], [0.2], [1.4]])
given = one_class.log_prob(LINE).exp()  # p(x_0 | y) on the grid
forward = Normal(level.sqrt() * LINE[:, 0], (1 - level).sqrt()).log_prob(places).exp()  # (3, 8001)
verify_equation(
    1, one_class.noised(level).log_prob(places).exp(), (forward * given).sum(1) * SPACING
)
# (2) without chance, as in lesson 06: a centred variable c_1 x_0 + c_2 eps is its coefficients.
x0, eps = 0.6**0.5 * double([1.0, 0.0]), double([0.0, 1.0])
xt = level.sqrt() * x0 + (1 - level).sqrt() * eps
best = (eps @ xt) / (xt @ xt) * xt  # the regression within the class
guessed = 0.4 * xt
rest, gap = eps - best, best - guessed
verify_equation(2, (eps - guessed) @ (eps - guessed), rest @ rest + gap @ gap)

# %% [markdown]
# You will also want the network *without* a label: to draw whatever comes, and, from section 4 on, to guide. Train a second one? There is a cheaper way. Now and then, with probability $p$, replace the label by $\varnothing$, "nothing said".
#
# ### Exercise: `drop_labels` · ●○○ · 3 minutes · 1 point
#
# The labels of a batch, some of them dropped. As always the chance comes from outside.


# %% exercise="drop_labels"
def drop_labels(y, u, p, null):
    """Labels with some replaced by the label that says nothing.

    Args:
        y: LongTensor (B,), one label per example.
        u: (B,), uniform on [0, 1): one draw per example.
        p: a float in [0, 1], the probability of dropping.
        null: an int, the label that says nothing; any number.

    Returns:
        LongTensor (B,): null where u < p, else y. So p = 0 drops none (not even where u = 0), and
        p = 1 drops all. y itself stays as it is.
    """
    ### BEGIN SOLUTION
    return torch.where(u < p, torch.full_like(y, null), y)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Each example decides for itself: compare two tensors, do not ask one question for the whole batch.</details>
# <details><summary>Hint 2: the idea</summary><code>u &lt; p</code> is a tensor of True and False. <code>torch.where</code> chooses by it, and makes a new tensor.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.where(condition, torch.full_like(y, null), y)</code></details>

# %% checks="drop_labels"
# Checks of drop_labels
labels = torch.tensor([0, 1, 2, 0, 1, 2, 2, 0])
chance = double([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 0.99])
dropped = drop_labels(labels, chance, 0.25, 7)
expect(
    dropped,
    torch.tensor([7, 7, 2, 0, 1, 2, 2, 0]),
    "drop_labels: null where u is below p, and nowhere else",
    hint="u < p, example by example; null is the number that you are given",
)
expect(
    labels,
    torch.tensor([0, 1, 2, 0, 1, 2, 2, 0]),
    "drop_labels: the labels that were given are still there",
    hint="make a new tensor instead of writing into y",
)
expect(
    [drop_labels(labels, chance, 0.0, 7), drop_labels(labels, chance, 1.0, 7)],
    [torch.tensor([0, 1, 2, 0, 1, 2, 2, 0]), torch.full((8,), 7)],
    "drop_labels: p = 0 drops none and p = 1 all",
    hint="u may be exactly 0, and must not be dropped when p is 0",
)

# %% [markdown]
# What does dropping do to the loss? Each example is labelled with probability $1 - p$, so
#
# $$\mathbb E\, L = (1 - p)\; \mathbb E \Vert \epsilon - \hat\epsilon(x_t, t, y) \Vert^2 + p\; \mathbb E \Vert \epsilon - \hat\epsilon(x_t, t, \varnothing) \Vert^2 \tag{3}$$
#
# *the drop is independent of everything else, so average over it first.* Two separate problems added together. A network free to solve both solves both for *every* $p$ between 0 and 1: $p$ only decides who gets how many examples. At $p = 0$ nobody ever asks about $\varnothing$, and the answer there is whatever the initial weights say.

# %%
# Equation (3): all ways to drop the labels of three examples
told, untold, p = double([0.3, 0.8, 0.5]), double([1.1, 0.9, 1.6]), 0.2  # losses with and without
average = 0.0
for pattern in range(8):
    drop = torch.tensor([pattern >> i & 1 for i in range(3)]).bool()
    u = torch.where(drop, p / 2, (1 + p) / 2)  # draws that lead to this pattern
    labels = drop_labels(torch.tensor([0, 1, 2]), u, p, 3)
    loss = torch.where(labels == 3, untold, told).mean()
    average = average + p ** drop.sum() * (1 - p) ** (~drop).sum() * loss
verify_equation(3, average, (1 - p) * told.mean() + p * untold.mean())

# %% [markdown]
# ## 2 · Everything known: a mixture with labels
#
# Before any network, a place where every answer is known. Take the mixture on the line that you know since lesson 01, and now *tell* which component a point came from: the component is the label. Each class is a Gaussian, so each class's $\epsilon^*$ is a line in $x_t$. Three more mixtures stand beside it: two classes that overlap, one class between two others, three classes in the plane.


# %%
# Labelled mixtures: the companion of lesson 01, and three others
class Labelled(NamedTuple):
    """Class k has the probability weights[k] and is N(means[k], diag(variances[k]))."""

    weights: torch.Tensor
    means: torch.Tensor
    variances: torch.Tensor

    @property
    def whole(self):
        """All the data, without labels."""
        return exact.GaussianMixture(self.weights, self.means, torch.diag_embed(self.variances))

    def one(self, k):
        """The data of class k."""
        return exact.GaussianData(self.means[k], torch.diag(self.variances[k]))


third = double([1.0, 1.0, 1.0]) / 3
angle = double([0.5, 1.1667, 1.8333]) * math.pi
COMPANION = Labelled(double([0.3, 0.7]), double([[-2.0], [1.5]]), double([[0.09], [0.36]]))
OVERLAP = Labelled(double([0.5, 0.5]), double([[-1.0], [1.0]]), double([[1.0], [1.0]]))
BETWEEN = Labelled(double([0.3, 0.4, 0.3]), double([[-2.0], [0.0], [2.0]]), double([[0.5]] * 3))
PLANE = Labelled(third, 1.5 * torch.stack([angle.cos(), angle.sin()], 1), double([[0.5, 0.5]] * 3))
SMALL = Labelled(  # for checks: three sizes, three shapes
    double([0.2, 0.5, 0.3]),
    double([[1.0, -2.0], [0.5, 1.5], [-2.0, 0.3]]),
    double([[0.3, 1.2], [0.8, 0.4], [0.5, 0.9]]),
)

# %% [markdown]
# ### Exercise: `class_log_probs` · ●●○ · 6 minutes · 2 points
#
# First a classifier, and not of clean data: of $x_t$. Given $y = k$, the noisy $x_t$ is a Gaussian whose mean and variance you have known since lesson 04. So how likely is each class, at $x_t$?


# %% exercise="class_log_probs"
def class_log_probs(xt, t, weights, means, variances, alpha_bar):
    """log p(y = k given x_t), the exact classifier of noisy data from a labelled mixture.

    Class k has the probability weights[k]; its x_0 is Gaussian with independent coordinates of means
    means[k] and variances variances[k]; x_t is x_0 at time t.

    Args:
        xt: (B, D).
        t: LongTensor (B,), 0 <= t <= T, one time per example.
        weights: (K,), summing to 1. means, variances: (K, D), variances not negative.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B, K), like xt, in nats, differentiable in xt. Each row's probabilities sum to 1. Exact
        however far away x_t lies (-1e5 is a log-probability like any other); a class of weight 0 has
        -inf, and there is NaN nowhere, in no gradient either.
    """
    ### BEGIN SOLUTION
    level = alpha_bar[t][:, None, None]
    spread = (level * variances + 1 - level).sqrt()  # (B, K, D)
    within = Normal(level.sqrt() * means, spread).log_prob(xt[:, None]).sum(-1)
    return torch.log_softmax(weights.log() + within, dim=1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Bayes' rule: how frequent the class is, times how likely it makes x_t, divided by the sum over the classes. Lesson 01's E step did it for clean data.</details>
# <details><summary>Hint 2: the idea</summary>Given the class, each coordinate of x_t is normal. What is left of the class's mean and variance at time t, and what has the noise brought? Work with logarithms from the first to the last line; <code>Normal</code> wants a standard deviation.</details>
# <details><summary>Hint 3: nearly the line</summary>Give alpha_bar[t] the shape (B, 1, 1) and xt the shape (B, 1, D). <code>Normal(mean, deviation).log_prob(...)</code> is (B, K, D): sum over the last axis, add the log-weights, and let <code>torch.log_softmax</code> divide by the sum.</details>

# %% checks="class_log_probs"
# Checks of class_log_probs
t = torch.tensor([1, 6, 2, 4])
xt = double([[0.4, -1.0], [1.3, 0.2], [-2.0, 2.5], [0.1, 0.3]])


def by_bayes(mixture, xt, t):
    """The same by the library's noised Gaussians, one class and one example after the other."""
    joint = torch.stack(
        [
            torch.cat(
                [
                    mixture.one(k).noised(SHORT[s]).log_prob(x[None])
                    for x, s in zip(xt, t, strict=True)
                ]
            )
            for k in range(len(mixture.weights))
        ],
        1,
    )
    joint = joint + mixture.weights.log()
    return joint - joint.logsumexp(1, keepdim=True)


logs = class_log_probs(xt, t, *SMALL, SHORT)
expect(
    logs.exp().sum(1),
    torch.ones(4).double(),
    "class_log_probs: each example's probabilities sum to 1",
    hint="softmax along the axis of the classes, after the log-weights were added",
)
expect(
    logs,
    by_bayes(SMALL, xt, t),
    "class_log_probs: as Bayes' rule says, with x_t's own mean and variance in each class",
    hint="what is left of mu_k and v_k at time t, and how much noise has come in? Mind roots and the sum over D",
)
far = double([[300.0, 0.0], [-200.0, 220.0], [0.0, -300.0], [180.0, 240.0]])
expect(
    class_log_probs(far, t, *SMALL, SHORT),
    by_bayes(SMALL, far, t),
    "class_log_probs: 300 away the log-probabilities are still right",
    hint="do not take the logarithm of a probability that has become 0: torch.log_softmax",
)
leaf = xt.clone().requires_grad_()
two = class_log_probs(leaf, t, double([0.4, 0.0, 0.6]), *SMALL[1:], SHORT)
(slope,) = torch.autograd.grad(two[:, 0].sum(), leaf)
expect(
    [two[:, 1].isinf().all().item(), bool(two[:, ::2].isfinite().all() and slope.isfinite().all())],
    [True, True],
    "class_log_probs: weight 0 gives -inf, and NaN nowhere",
    hint="log 0 is -inf, and log_softmax can live with it; log(softmax) cannot",
)

# %% [markdown]
# <details><summary>Line (5), to compare with yours</summary>
#
# $$p(y = k \mid x_t) = \frac{w_k\, q(x_t \mid y = k)}{\sum_j w_j\, q(x_t \mid y = j)} = \operatorname{softmax}_k \Big( \log w_k + \log \mathcal N \big( x_t;\; \sqrt{a}\, \mu_k,\; a\, v_k + 1 - a \big) \Big) \tag{5}$$
#
# *Bayes' rule; then (1): a Gaussian with noise on it is a Gaussian. $a = \bar\alpha_t$.*
#
# </details>
#
# How is this classifier related to one of *clean* data, $p(y \mid x_0)$? Not by putting $x_t$ where $x_0$ stood.
#
# $$p(y \mid x_t) = \int p(y \mid x_0)\, q(x_0 \mid x_t)\, dx_0 = \mathbb E \big[ p(y \mid x_0) \mid x_t \big], \qquad \mathbb E_{q(x_t)}\, p(y \mid x_t) = p(y) \tag{6}$$
#
# *given $x_0$, the noise tells nothing more about $y$; so average over the $x_0$ that could have become $x_t$. Averaging once more over $x_t$ leaves the share of the class.* The noisier $x_t$, the closer the answer to $p(y)$: near the start of the walk there is nothing to classify. Keep this average in mind. Section 5 turns on it.

# %%
# Equations (5) and (6)
x, prior = LINE, OVERLAP.whole.log_prob(LINE).exp()
clean = class_log_probs(x, torch.zeros(len(x), dtype=torch.long), *OVERLAP, SHORT)[:, 1].exp()
asked, weights = double([[-2.0], [0.4], [1.5]]), OVERLAP.weights
for t in (1, 4, 6):
    level, times = SHORT[t], torch.full((3,), t)
    got = class_log_probs(asked, times, *OVERLAP, SHORT)[:, 1].exp()
    likelihood = (
        Normal(level.sqrt() * x[:, 0], (1 - level).sqrt()).log_prob(asked).exp()
    )  # (3, 8001)
    own = likelihood * OVERLAP.one(1).log_prob(x).exp() * weights[1]
    verify_equation(5, got, own.sum(1) / (likelihood * prior).sum(1))
    verify_equation(6, got, (likelihood * prior * clean).sum(1) / (likelihood * prior).sum(1))
everywhere = class_log_probs(x, torch.full((len(x),), 4), *OVERLAP, SHORT)[:, 1].exp()
verify_equation(
    6, integral(everywhere * OVERLAP.whole.noised(SHORT[4]).log_prob(x).exp()), weights[1]
)

# %% [markdown]
# ### Exercise: `mixture_eps` · ●●○ · 6 minutes · 2 points
#
# Now a *perfect* conditional network. Where $y$ names a class, the best guess of the noise is that of one Gaussian, a regression that you did in lesson 06. Where nothing is said, any class may have been at work: put together what the classes say.


# %% exercise="mixture_eps"
def mixture_eps(xt, t, y, weights, means, variances, alpha_bar):
    """E[eps given x_t, y] for a labelled mixture: what a perfect conditional network answers.

    Args:
        xt: (B, D).
        t: LongTensor (B,), 1 <= t <= T.
        y: LongTensor (B,): 0..K-1 a class, K no label. Both may stand in one batch. Without a label
            the expectation is over the classes as well, each as likely as it is at x_t.
        weights: (K,), summing to 1; a class of weight 0 can be asked for, and adds nothing to y = K.
        means, variances: (K, D), variances not negative.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt; right however far away x_t lies.
    """
    ### BEGIN SOLUTION
    level = alpha_bar[t][:, None, None]
    away = xt[:, None] - level.sqrt() * means
    each = (1 - level).sqrt() * away / (level * variances + 1 - level)  # (B, K, D)
    likely = class_log_probs(xt, t, weights, means, variances, alpha_bar).exp()
    whole = (likely[..., None] * each).sum(1, keepdim=True)
    return torch.cat([each, whole], dim=1)[torch.arange(len(xt)), y]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two things: the answer of every class, (B, K, D), and how much each class counts, (B, K). You have written the second.</details>
# <details><summary>Hint 2: the idea</summary>Within a class, eps and x_t are jointly Gaussian: the guess is their covariance over the variance of x_t, times how far x_t is from its mean. Without a label, average the classes' answers; conditional expectations average with conditional probabilities.</details>
# <details><summary>Hint 3: nearly the line</summary>The covariance of eps and x_t is the factor that eps has in x_t. Stack the average behind the K classes as number K, and <code>all_of_them[torch.arange(B), y]</code> picks for each example.</details>

# %% checks="mixture_eps"
# Checks of mixture_eps
t = torch.tensor([1, 6, 2, 4, 3])
xt = double([[0.4, -1.0], [1.3, 0.2], [-2.0, 2.5], [0.1, 0.3], [2.0, 1.0]])
labels = torch.tensor([2, 0, 1, 2, 0])
by_class = torch.stack([SMALL.one(k).best_eps(xt, SHORT[t]) for k in range(3)], 1)
right = by_class[torch.arange(5), labels]
expect(
    mixture_eps(xt, t, labels, *SMALL, SHORT),
    right,
    "mixture_eps: with a label, the regression of that class",
    hint="covariance of eps and x_t, over the variance of x_t; which of them is a root?",
)
nothing = torch.full((5,), 3)
leaf = xt.clone().requires_grad_()
log_q = torch.stack(
    [SMALL.whole.noised(SHORT[s]).log_prob(x[None]) for x, s in zip(leaf, t, strict=True)]
)
(score,) = torch.autograd.grad(log_q.sum(), leaf)
verify_equation(
    4,
    mixture_eps(xt, t, nothing, *SMALL, SHORT),
    -(1 - SHORT[t]).sqrt()[:, None] * score,
    of="mixture_eps",
    hint="without a label: the classes' answers, averaged with how likely each is at x_t",
)
mixed = torch.tensor([3, 0, 3, 2, 3])
expect(
    mixture_eps(xt, t, mixed, *SMALL, SHORT),
    torch.where(
        (mixed == 3)[:, None],
        SMALL.whole.best_eps(xt, SHORT[t]),
        by_class[torch.arange(5), mixed % 3],
    ),
    "mixture_eps: labels and no labels in one batch",
    hint="decide for each example by itself",
)
gone = double([0.4, 0.0, 0.6])
without = Labelled(double([0.4, 0.6]), SMALL.means[::2], SMALL.variances[::2]).whole
expect(
    mixture_eps(100 * xt, t, torch.tensor([3, 1, 3, 1, 3]), gone, *SMALL[1:], SHORT)[[0, 2, 4]],
    without.best_eps(100 * xt, SHORT[t])[[0, 2, 4]],
    "mixture_eps: a class of weight 0 adds nothing, far away as well",
    hint="probabilities from log-probabilities, by exp alone",
)

# %% [markdown]
# <details><summary>Line (4), to compare with yours</summary>
#
# $$\epsilon^*(x_t, t) = \mathbb E \big[ \mathbb E[\epsilon \mid x_t, y] \mid x_t \big] = \sum_y p(y \mid x_t)\; \epsilon^*(x_t, t, y) \tag{4}$$
#
# *the tower rule: average within each class, then over the classes, given the same $x_t$.*
#
# </details>
#
# ### Is plain conditioning blurry?
#
# A well-known lecture says so: "condition on $y$; problem: very blurry generation". Try it with the perfect conditional network. Everything is exact here: on the line DDIM is an increasing map, so send the quantiles of $\mathcal N(0, 1)$ down and you have the quantiles of the samples, with no chance at all.
#
# Class 1 of the companion has mean 1.5 and standard deviation 0.6. **Predict** the standard deviation of the samples.


# %%
# Given: walks with any predictor, and the quantiles of a law
def network(mixture, table):
    """The perfect conditional network of a labelled mixture, (x, t, y) -> eps."""
    return lambda x, t, y: mixture_eps(x, t, y, *mixture, table)


def descend(eps_of, x, table, times=None, eta=0.0, seed=0):
    """From x at the first time down to the last, with the predictor eps_of(x, t)."""
    times = list(range(len(table) - 1, -1, -1)) if times is None else times
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for t, s in pairwise(times):
            eps_hat = eps_of(x, torch.full((len(x),), t, device=x.device))
            z = (
                torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
                if eta > 0
                else None
            )
            x = ddim_step(x, eps_hat, t, s, table, eta, z)
    return x


def quantiles(count=400):
    """Quantiles of N(0, 1), (count, 1)."""
    share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return math.sqrt(2) * torch.erfinv(2 * share - 1)[:, None]


def quantiles_of(density, count=400):
    """Quantiles of a density given on LINE, up to a factor."""
    below = density.cumsum(0) / density.sum()
    share = (torch.arange(count) + 0.5) / count
    return torch.from_numpy(numpy.interp(share.numpy(), below.numpy(), LINE[:, 0].numpy()))[:, None]


def apart(one, other):
    """The distance W1 of two laws on the line: the mean distance of their quantiles."""
    return (one.sort(0).values - other.sort(0).values).abs().mean().item()


def shown_density(sample):
    """(places, density) of a law given by its sorted quantiles."""
    values = sample[:, 0].sort().values[::4]
    return (values[1:] + values[:-1]) / 2, 4 / len(sample) / (values[1:] - values[:-1])


# %% predict="my_spread"
my_spread = 0.3  # your prediction: standard deviation of the samples (the class has 0.6)

# %% tags=["experiment"]
# Experiment: plain conditioning with the perfect network
ones = torch.ones(400, dtype=torch.long)
model = network(COMPANION, FINE)
plain = descend(lambda x, t: model(x, t, ones), quantiles(), FINE)
truth = COMPANION.one(1).log_prob(LINE).exp()
fig, ax = plots.figure(height=3.2)
plots.curve(*shown_density(plain), "model", label="samples", ax=ax)
plots.curve(LINE[:, 0], truth, "exact", label="$p(x \\mid y = 1)$", ax=ax)
ax.axvspan(1.5 - my_spread, 1.5 + my_spread, color=plots.COLOR["guess"], alpha=0.15, linewidth=0)
distance = apart(plain, quantiles_of(truth))
ax.set(xlim=(-1.5, 4), xlabel="$x_0$", ylabel="density")
ax.set_title(f"Samples {plain.mean():.2f} ± {plain.std():.2f}; your spread is the band")
plots.show(
    fig, alt="The density of the samples and that of the class, with a band of the predicted width."
)
print(f"distance of the two laws: {distance:.3f}; you predicted a spread of {my_spread:g}")
findings["plain conditioning, distance from p(x | y)"] = f"{distance:.3f}"

# %% [markdown]
# Nothing is blurred. The distance that is left is the step size's own error, and it shrinks with more steps. What *is* true: a weak network makes mistakes, and guidance hides them. Guidance is no cure for a disease of conditioning. It is something else, and you are about to find out what.
#
# ## 3 · A classifier leads
#
# Suppose you have a network without labels, trained at great expense, and somebody brings a classifier $p(y \mid x_t)$ of noisy pictures. Can the two together draw class $y$? Bayes' rule at level $t$, its logarithm, its gradient:
#
# $$\nabla \log q(x_t \mid y) = \nabla \log \frac{q(x_t)\, p(y \mid x_t)}{p(y)} = \nabla \log q(x_t) + \nabla \log p(y \mid x_t) \tag{7}$$
#
# *$p(y)$ is a number without $x_t$, so its gradient is zero.* The score of the class is the score of everything, plus a push towards places where the classifier says $y$. A noise predictor is a score in other units (lesson 06's (8)). So which term must be added to a noise?
#
# ### Exercise: `classifier_guided_eps` · ●●● · 10 minutes · 2 points
#
# What must hold: with all data's exact $\epsilon^*$, the exact classifier and `scale` 1, the answer is exactly class $y$'s $\epsilon^*$. With scale 0 nothing happens. And in between and beyond it is a straight line in the scale. One practical trap: a sampler switches gradients off, and your function needs one.


# %% exercise="classifier_guided_eps"
def classifier_guided_eps(eps_hat, log_probs, xt, t, y, scale, alpha_bar):
    """eps_hat moved by the gradient of log p(y given x_t) in x_t, times the scale, in units of noise.

    Args:
        eps_hat, xt: (B, *event). y: LongTensor (B,), classes.
        log_probs: called as log_probs(xt, t); (B, K) log-probabilities, row b from example b alone.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        scale: a float. 0 leaves eps_hat as it is; 1, with exact eps_hat of all data and exact
            log_probs, gives the exact eps of class y.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt. Each example has its own gradient (nothing is divided by B). Works under
        torch.no_grad() too; leaves nothing in any parameter's .grad; inputs stay as they are; no
        gradient comes back through xt or the classifier.
    """
    ### BEGIN SOLUTION
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        chosen = log_probs(x, t).gather(1, y[:, None]).sum()
        (slope,) = torch.autograd.grad(chosen, x)
    return eps_hat - scale * column((1 - alpha_bar[t]).sqrt(), xt) * slope
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Take (7) and turn each score in it into a noise: with which factor, and which sign?</details>
# <details><summary>Hint 2: the idea</summary>For the gradient: a detached copy of xt that requires gradients, one log-probability per example, their sum, <code>torch.autograd.grad</code>. Rows do not know each other, so the gradient of the sum holds each row's own. All that inside <code>with torch.enable_grad():</code></details>
# <details><summary>Hint 3: nearly the line</summary><code>log_probs(x, t).gather(1, y[:, None]).sum()</code> is what to differentiate; a noise is minus sqrt(1 - alpha_bar_t) times a score, and <code>column</code> gives the factor its axes.</details>

# %% checks="classifier_guided_eps"
# Checks of classifier_guided_eps
t, labels = torch.tensor([1, 6, 2, 4, 3]), torch.tensor([2, 0, 1, 1, 0])
xt = double([[0.4, -1.0], [1.3, 0.2], [-2.0, 2.5], [0.1, 0.3], [2.0, 1.0]])
small_model, whole = network(SMALL, SHORT), torch.full((5,), 3)


def small_classifier(x, t):
    return class_log_probs(x, t, *SMALL, SHORT)


free, told = small_model(xt, t, whole), small_model(xt, t, labels)
verify_equation(
    8,
    classifier_guided_eps(free, small_classifier, xt, t, labels, 1.0, SHORT),
    told,
    of="classifier_guided_eps",
    hint="at scale 1 it is class y's own eps: look at sign, root, and which class is differentiated",
)
none, thrice = (
    classifier_guided_eps(free, small_classifier, xt, t, labels, scale, SHORT)
    for scale in (0.0, 3.0)
)
expect(
    [none, (thrice - none) / 3],
    [free, told - free],
    "classifier_guided_eps: scale 0 changes nothing, and the rest is a straight line",
    hint="the scale multiplies the gradient, and nothing else",
)
with torch.no_grad():
    inside = classifier_guided_eps(free, small_classifier, xt, t, labels, 1.0, SHORT)
expect(
    inside,
    told,
    "classifier_guided_eps: the same under torch.no_grad(), as in a sampler",
    hint="torch.enable_grad() around the lines that need a gradient",
)
weight = (torch.arange(18).double().reshape(6, 3) / 7).cos().requires_grad_()


def toy_classifier(x, t):
    return ((x.flatten(1) * (1 + t[:, None])).sin() @ weight).log_softmax(1)


pictures = normal(4, 1, 2, 3, seed=3).requires_grad_()
times, classes, still = (
    torch.tensor([2, 5, 1, 3]),
    torch.tensor([0, 2, 1, 2]),
    torch.zeros(4, 1, 2, 3).double(),
)
pushed = classifier_guided_eps(still, toy_classifier, pictures, times, classes, 2.0, SHORT)
h, ends = 1e-5, []
for place in torch.eye(6).double().reshape(6, 1, 2, 3):  # by differences, pixel by pixel
    up, down = (
        toy_classifier(pictures.detach() + d * place, times)[torch.arange(4), classes]
        for d in (h, -h)
    )
    ends.append(((up - down) / (2 * h)).detach())
by_differences = torch.stack(ends, 1).reshape(4, 1, 2, 3)
expect(
    pushed.detach() / (1 - SHORT[times]).sqrt().reshape(4, 1, 1, 1) / -2,
    by_differences,
    "classifier_guided_eps: images, a classifier that changes with t, each example's own gradient",
    rtol=1e-5,
    hint="each example has its own t and its own factor, with axes added behind; sum over the batch, no mean",
)
expect(
    [weight.grad is None, pushed.requires_grad],
    [True, False],
    "classifier_guided_eps: nothing is left in .grad, and no graph behind the answer",
    hint="torch.autograd.grad in place of backward, a detached copy of xt, no create_graph",
)

# %% [markdown]
# <details><summary>Lines (8) and (9), to compare with yours</summary>
#
# $$\epsilon^*(x_t, t, y) = \epsilon^*(x_t, t) - \sqrt{1 - \bar\alpha_t}\; \nabla \log p(y \mid x_t) \tag{8}$$
#
# *(7) times $-\sqrt{1 - \bar\alpha_t}$. And, since the probabilities of all classes sum to 1, $\sum_y p(y \mid x_t)\, \nabla \log p(y \mid x_t) = \nabla 1 = 0$, which is (4) again;*
#
# $$\hat\epsilon = \epsilon^*(x_t, t) - s\, \sqrt{1 - \bar\alpha_t}\; \nabla \log p(y \mid x_t) \tag{9}$$
#
# *a definition: the push times a scale $s$. At $s = 0$ nothing is guided, at $s = 1$ this is (8).*
#
# </details>
#
# Two slides of the same lecture can now be corrected. It presents guidance *without a scale* as the better idea, after conditioning had failed. But at $s = 1$, with a right classifier, guidance **is** plain conditioning, to the last digit. Only another $s$ does anything new. And it takes the gradient "from an image captioning model $f(y \mid x_t)$": that model has only ever seen clean pictures. By (6) the classifier of $x_t$ is an average over clean ones, and must be trained on noisy data. (Section 6 shows what happens otherwise.)

# %%
# Equations (7) to (9)
t, y = torch.tensor([2, 5, 3, 6]), torch.tensor([0, 1, 2, 1])
x = normal(4, 2, seed=1).requires_grad_()
log_q = torch.cat(
    [SMALL.whole.noised(SHORT[s]).log_prob(row[None]) for row, s in zip(x, t, strict=True)]
)
log_y = class_log_probs(x, t, *SMALL, SHORT)[torch.arange(4), y]
within = torch.cat(
    [SMALL.one(k).noised(SHORT[s]).log_prob(row[None]) for row, s, k in zip(x, t, y, strict=True)]
)
score, push, own = (
    torch.autograd.grad(f.sum(), x, retain_graph=True)[0] for f in (log_q, log_y, within)
)
verify_equation(7, own, score + push)
x, free = x.detach(), network(SMALL, SHORT)(x.detach(), t, torch.full((4,), 3))
root = (1 - SHORT[t]).sqrt()[:, None]
verify_equation(8, network(SMALL, SHORT)(x, t, y), free - root * push)
guided = classifier_guided_eps(
    free, lambda x, t: class_log_probs(x, t, *SMALL, SHORT), x, t, y, 2.5, SHORT
)
verify_equation(9, guided, -root * (score + 2.5 * push))

# %% [markdown]
# ## 4 · Without a classifier
#
# Training a classifier of noisy pictures is a nuisance, and its gradient is a strange thing: a classifier may be nearly always right and still have a gradient that points nowhere sensible. In 2021 Ho and Salimans saw that nobody needs one. You have a network that answers with *and* without a label. The pair contains a classifier, and (8) says where: solve it for the gradient.
#
# ### Exercise: `cfg_eps` · ●●○ · 5 minutes · 2 points
#
# Eliminate the classifier from the guided $\hat\epsilon$, and count from plain conditioning: $w = 0$ is the conditional network, so $s = 1 + w$. What must hold: $w = 0$ gives the labelled answer, $w = -1$ the unlabelled one, and it is a straight line in $w$.


# %% exercise="cfg_eps"
def cfg_eps(model, xt, t, y, w, null):
    """Classifier-free guidance: the guided noise from one network's labelled and unlabelled answers.

    Args:
        model: model(xt, t, y) -> eps_hat like xt; its third argument is a LongTensor (B,), always.
        xt: (B, *event). t, y: LongTensor (B,); where y is null already, nothing is guided.
        w: how strongly: a float, a tensor without axes, or (B,), one per example. 0 is the labelled
            answer, -1 the unlabelled one, and w = s - 1 what a classifier's scale s would give.
        null: an int, the label that says nothing; any number.

    Returns:
        Like xt. y stays as it is.

    Source: Ho and Salimans (2021), with their w.
    """
    ### BEGIN SOLUTION
    told, free = model(xt, t, y), model(xt, t, torch.full_like(y, null))
    if isinstance(w, torch.Tensor) and w.ndim:
        w = column(w, xt)
    return told + w * (told - free)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A straight line through two known points. You know where it is at w = -1 and at w = 0. Where is it at w = 1?</details>
# <details><summary>Hint 2: the idea</summary>Start at one of the two answers and go on along their difference. The unlabelled answer needs a whole tensor of nulls, and a w (B,) needs axes behind it.</details>
# <details><summary>Hint 3: nearly the line</summary><code>told = model(xt, t, y)</code> and <code>free = model(xt, t, torch.full_like(y, null))</code>; the direction is <code>told - free</code>, and <code>column(w, xt)</code> shapes a w with an axis.</details>


# %% checks="cfg_eps"
# Checks of cfg_eps
def toy_network(x, t, y):
    """Another answer for every label; refuses what is no batch of labels."""
    if not isinstance(y, torch.Tensor) or y.dtype != torch.long or y.shape != x.shape[:1]:
        raise ValueError("the third argument is a LongTensor (B,)")
    return (x * (1 + column(y, x))).sin() + column(y * t, x) / 5


xt, t = normal(4, 4, seed=5), torch.tensor([1, 6, 2, 4])
labels = torch.tensor([2, 0, 1, 0])
told, free = toy_network(xt, t, labels), toy_network(xt, t, torch.full((4,), 7))
expect(
    [cfg_eps(toy_network, xt, t, labels, w, 7) for w in (0.0, -1.0)],
    [told, free],
    "cfg_eps: w = 0 is the labelled answer, w = -1 the unlabelled one",
    hint="which of the two answers is left alone at w = 0? And null is the number that you are given",
)
expect(
    labels,
    torch.tensor([2, 0, 1, 0]),
    "cfg_eps: the labels that were given are still there",
    hint="make a new tensor of nulls instead of writing into y",
)
there = cfg_eps(toy_network, xt, t, labels, 2.0, 7)
expect(
    [there - told, cfg_eps(toy_network, xt, t, labels, torch.tensor(2.0).double(), 7)],
    [2 * (told - free), there],
    "cfg_eps: from there on a straight line",
    hint="the distance between w = -1 and w = 0, taken w times further",
)
each = double([0.5, -1.0, 0.0, 3.0])
one_by_one = torch.cat(
    [
        cfg_eps(toy_network, xt[b : b + 1], t[b : b + 1], labels[b : b + 1], each[b].item(), 7)
        for b in range(4)
    ]
)
expect(
    cfg_eps(toy_network, xt, t, labels, each, 7),
    one_by_one,
    "cfg_eps: one w per example meets its own example",
    hint="w (B,) needs as many axes as xt, with length 1",
)
pictures = xt.reshape(4, 1, 2, 2)
expect(
    cfg_eps(toy_network, pictures, t, labels, each, 7).shape,
    pictures.shape,
    "cfg_eps: images too",
    hint="any number of axes behind the first",
)

# %% [markdown]
# <details><summary>Line (11), to compare with yours</summary>
#
# $$\hat\epsilon = \epsilon(\varnothing) + s\, \big( \epsilon(y) - \epsilon(\varnothing) \big) = (1 + w)\, \epsilon(x_t, t, y) - w\, \epsilon(x_t, t, \varnothing), \qquad s = 1 + w \tag{11}$$
#
# *(8) says $-\sqrt{1 - \bar\alpha_t}\, \nabla \log p(y \mid x_t) = \epsilon(y) - \epsilon(\varnothing)$; insert it in (9).*
#
# </details>
#
# Both conventions are in use, sometimes in one and the same lecture without a word:
#
# | | $w$ (Ho and Salimans) | $s$ (classifier's scale; `guidance_scale` in libraries) |
# |---|---|---|
# | without label | $-1$ | $0$ |
# | plain conditioning | $0$ | $1$ |
# | usual for pictures | $2$ to $7$ | $3$ to $8$ |
#
# A third slide writes the guided noise, with a bar, on *both* sides of its equation: circular. What is subtracted is the plain unlabelled answer.
#
# What does the formula promise? Read as a score, the guided noise belongs to a density. At each $t$,
#
# $$\hat\epsilon = -\sqrt{1 - \bar\alpha_t}\; \nabla \log q_w(x_t), \qquad q_w(x_t) \propto q(x_t \mid y)^{1 + w}\, q(x_t)^{-w} \propto q(x_t)\, p(y \mid x_t)^s \tag{12}$$
#
# *a sum of scores is the score of a product of powers; then Bayes' rule.* So it seems that you sample from the class, sharpened: $p(x_0)\, p(y \mid x_0)^s$, where $s$ turns up the classifier's voice. Nearly every text says so.

# %%
# Equations (11) and (12)
t, y, w = torch.tensor([2, 5, 3, 6]), torch.tensor([0, 1, 2, 1]), 1.5
x, model = normal(4, 2, seed=1), network(SMALL, SHORT)
free = model(x, t, torch.full((4,), 3))
without = cfg_eps(model, x, t, y, w, 3)
by_classifier = classifier_guided_eps(
    free, lambda x, t: class_log_probs(x, t, *SMALL, SHORT), x, t, y, 1 + w, SHORT
)
verify_equation(11, without, by_classifier)
leaf = x.clone().requires_grad_()
parts = [
    (1 + w) * SMALL.one(k).noised(SHORT[s]).log_prob(row[None])
    - w * SMALL.whole.noised(SHORT[s]).log_prob(row[None])
    for row, s, k in zip(leaf, t, y, strict=True)
]
(slope,) = torch.autograd.grad(torch.cat(parts).sum(), leaf)
verify_equation(12, without, -(1 - SHORT[t]).sqrt()[:, None] * slope)

# %% [markdown]
# Where does the label matter? Drag $t$ and $w$. Each arrow is minus a noise, the way that a step will go: grey without label, blue with the label of the class at the top, orange guided. **At which $t$ do they differ most?**


# %%
# Drag: the three answers in the plane
ARROWS = torch.cartesian_prod(*[torch.linspace(-3, 3, 7, dtype=torch.float64)] * 2)


def draw_arrows(t, w):
    """eps(null), eps(y) and the guided answer at places of the plane."""
    model, times = network(PLANE, ALPHA_BAR), torch.full((len(ARROWS),), t)
    zeros = torch.zeros(len(ARROWS), dtype=torch.long)
    fig, ax = plots.figure(width=3.8, height=3.6)
    answers = [
        model(ARROWS, times, zeros + 3),
        model(ARROWS, times, zeros),
        cfg_eps(model, ARROWS, times, zeros, w, 3),
    ]
    for answer, role in zip(answers, ("noise", "data", "model"), strict=True):
        ax.quiver(
            *ARROWS.T.numpy(), *-answer.T.numpy(), color=plots.COLOR[role], scale=30, width=0.006
        )
    for k, mean in enumerate(ALPHA_BAR[t].sqrt() * PLANE.means):
        ax.annotate(str(k), mean.tolist(), ha="center", va="center", fontsize=14, fontweight="bold")
    size = (answers[1] - answers[0]).square().sum(1)
    seen = PLANE.one(0).noised(ALPHA_BAR[t]).log_prob(ARROWS).exp()
    average = ((size * seen).sum() / seen.sum()).item()
    ax.set(
        xlim=(-3.6, 3.6),
        ylim=(-3.6, 3.6),
        aspect="equal",
        xlabel="first coordinate",
        ylabel="second coordinate",
        title=f"t = {t}: mean square difference {average:.2g}",
    )
    return fig, ax


widgets.explore(
    draw_arrows,
    alt="Arrows in the plane: minus the noise without label, with the label of the upper class, and guided.",
    t=(1, T, 60),
    w=(0.0, 6.0, 2.0),
)

# %% [markdown]
# In the middle of the walk. At the end every class has long been decided, and at the beginning there is nothing to classify: the difference, and so all of guidance, lives in between.
#
# %% [markdown]
# ## 5 · What guidance really samples
#
# Let us hold (12) to its word. At $t = 0$ it names the **tilted** data,
#
# $$\tilde p(x_0) \propto p(x_0)\, p(y \mid x_0)^s, \qquad \tilde p(x_t) \propto \int \tilde p(x_0)\, q(x_t \mid x_0)\, dx_0 \propto q(x_t)\; \mathbb E \big[ p(y \mid x_0)^s \mid x_t \big] \tag{13}$$
#
# *the right side is what you get by putting noise on tilted data: pull $q(x_t)$ out, and $p(x_0)\, q(x_t \mid x_0) / q(x_t)$ is the posterior of $x_0$.* A sampler for $\tilde p$ must follow the scores of *these* noised densities. And what does guidance follow?
#
# $$q_w(x_t) \propto q(x_t)\; p(y \mid x_t)^s = q(x_t)\; \Big( \mathbb E \big[ p(y \mid x_0) \mid x_t \big] \Big)^s \tag{14}$$
#
# *(12), and (6) for the classifier.* Look at the two. In one the power is inside the average, in the other outside. They agree for $s = 0$ and $s = 1$, and where $x_t$ already settles what $p(y \mid x_0)$ is. Elsewhere, for $s > 1$, Jensen's inequality says $\mathbb E[p^s] > (\mathbb E\, p)^s$. A constant factor would not hurt. But the ratio depends on $x_t$, so the $q_w$ of different $t$ are *not one density with more and more noise*, and walking along their scores need not end at the $q_w$ of $t = 0$. (One exception: Gaussians of one variance, where $\log p(y \mid x_0)$ is linear in $x_0$ and the ratio constant. But no true class is like that: somewhere $p$ would exceed 1.)

# %%
# Equations (13) and (14)
x, level, s = LINE, SHORT[4], 3
now = torch.zeros(len(x), dtype=torch.long)
prior = OVERLAP.whole.log_prob(x).exp()
clean = class_log_probs(x, now, *OVERLAP, SHORT)[:, 1].exp()
asked = double([[-2.0], [0.0], [2.0]])
likelihood = Normal(level.sqrt() * x[:, 0], (1 - level).sqrt()).log_prob(asked).exp()  # (3, 8001)
noised_tilted = (likelihood * prior * clean**s).sum(1) * SPACING
q = OVERLAP.whole.noised(level).log_prob(asked).exp()
posterior = likelihood * prior / (likelihood * prior).sum(1, keepdim=True)
inside, outside = (posterior * clean**s).sum(1), (posterior * clean).sum(1) ** s
verify_equation(13, noised_tilted, q * inside)
by_classifier = class_log_probs(asked, torch.full((3,), 4), *OVERLAP, SHORT)[:, 1].exp() ** s
verify_equation(14, q * by_classifier, q * outside)
print("E[p^s] / (E p)^s at x_t = -2, 0, 2:", ", ".join(f"{r:.3g}" for r in inside / outside))

# %% [markdown]
# Now the test that cannot be argued with. Take the companion and class $y = 1$. Its two classes lie far apart, so wherever data are, $p(y \mid x_0)$ is 0 or 1, and $1^s = 1$. **Tilting changes nothing**: $\tilde p$ is the class itself, mean 1.5 and standard deviation 0.6, whatever $s$. So if guidance samples the tilted density, turning up $w$ does nothing at all here.
#
# **Predict** the mean of DDIM's samples at $w = 3$, with the perfect network and four hundred exact quantiles.


# %%
# Given: the guided predictor, and the tilted density
def guided(mixture, y, w, table):
    """The guided predictor of class y, (x, t) -> eps."""
    model, K = network(mixture, table), len(mixture.weights)
    return lambda x, t: cfg_eps(model, x, t, torch.full_like(t, y), w, K)


def tilted(mixture, y, s, line=None):
    """p(x_0) p(y | x_0)^s on LINE, or on another, up to a factor."""
    line = LINE if line is None else line
    zeros = torch.zeros(len(line), dtype=torch.long)
    logs = mixture.whole.log_prob(line) + s * class_log_probs(line, zeros, *mixture, FINE)[:, y]
    return (logs - logs.max()).exp()


def law_of(x):
    return f"{round(x.mean().item(), 3) + 0.0:.3f} ± {x.std():.3f}"  # no -0.000


# %% predict="my_guided_mean"
my_guided_mean = 1.5  # your prediction: mean of the samples at w = 3

# %% tags=["experiment"]
# Experiment: guidance against the tilted density
fig, axes = plots.figure(1, 3, width=9, height=3, sharey=True)
print("mixture, class       w    guided DDIM     tilted density    distance")
for name, mixture, y in (
    ("companion, 1", COMPANION, 1),
    ("overlapping, 1", OVERLAP, 1),
    ("in between, 1", BETWEEN, 1),
):
    for ax, w in zip(axes, (0, 1, 3), strict=True):
        walked = descend(guided(mixture, y, w, FINE), quantiles(), FINE)
        target = tilted(mixture, y, 1 + w)
        right = quantiles_of(target)
        print(f"{name:18}{w:4}{law_of(walked):>18}{law_of(right):>18}{apart(walked, right):10.3f}")
        if mixture is COMPANION:
            plots.curve(*shown_density(walked), "model", label="guided", ax=ax)
            plots.curve(LINE[:, 0], target / integral(target), "exact", label="tilted", ax=ax)
            ax.set(xlim=(-0.8, 3.8), xlabel="$x_0$", title=f"w = {w}: mean {walked.mean():.2f}")
            if w == 3:
                plots.guess(ax, x=my_guided_mean, label="your mean")
                findings["companion, w = 3: guided DDIM (tilting leaves 1.500 ± 0.600)"] = law_of(
                    walked
                )
axes[0].set_ylabel("density")
for ax in axes[:2]:
    ax.get_legend().remove()
plots.show(
    fig, alt="For w = 0, 1, 3 the density of the guided samples, and the tilted density, dashed."
)
print(f"you predicted a mean of {my_guided_mean:g}")
starts = normal(4000, 1, seed=4)
for w in (0, 1, 3):
    walks = descend(guided(COMPANION, 1, w, FINE), starts, FINE, eta=1.0, seed=5)
    print(
        f"companion by DDPM, 4,000 walks, w = {w}: {law_of(walks)}, error {walks.std().item() / 4000**0.5:.3f}"
    )

# %% [markdown]
# It moves, and it moves far: away from the other class and into a corner of its own, more and more narrowly. Nothing in $p(y \mid x_0)$ asks for that. At the noise levels in the middle the classes *do* overlap, there $p(y \mid x_t)^s$ pushes, and the walk never takes the push back. And look at the last three lines: the same predictor, walked with fresh noise, gives yet *another* law. What guidance samples depends on the sampler.
#
# Is that a defect? For pictures it is half a blessing: samples far from the other classes are clear cases, easily recognised. But do not call it sampling from $p(x)\, p(y \mid x)^s$.
#
# ### The exact law, for Gaussians
#
# Can one say what it *does* sample? For Gaussians yes. Let the class be $\mathcal N(\mu_c, v_c)$ and all the data $\mathcal N(\mu_u, v_u)$, along one axis. (A share of a wide Gaussian can be a narrower one, so true data may look like that, if rarely; it is a laboratory.) Then both $\epsilon^*$ are straight lines in $x_t$, so is every guided one, and a step of the sampler maps Gaussians to Gaussians.
#
# ### Exercise: `guided_gaussian` · ●●● · 11 minutes · 3 points
#
# Follow mean and variance down the walk. Nothing is drawn.


# %% exercise="guided_gaussian"
def guided_gaussian(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    """Mean and variance of x_0 under a guided sampler, exactly, for a Gaussian class and Gaussian data.

    x_T ~ N(0, I) walks t = T, ..., 1, 0 by single steps of `ddim_step` with this eta and fresh noise;
    eps_hat is the classifier-free guided noise from the exact eps of the class N(mean_c, var_c) and of
    all the data N(mean_u, var_u), axis by axis.

    Args:
        mean_c, var_c, mean_u, var_u: (D,), variances positive.
        w: a float, 0 for plain conditioning, -1 for all the data.
        alpha_bar: (T + 1,), alpha_bar[0] = 1, any T >= 1.
        eta: from 0 (DDIM) to 1 (DDPM).

    Returns:
        (mean, variance) of x_0, (D,) each. With T steps they are not exactly the limit's.
    """
    ### BEGIN SOLUTION
    zero, one = torch.zeros_like(mean_c), torch.ones_like(mean_c)
    mean, variance = zero, one
    for t in range(len(alpha_bar) - 1, 0, -1):
        level = alpha_bar[t]
        gain_c = (1 - level).sqrt() / (level * var_c + 1 - level)
        gain_u = (1 - level).sqrt() / (level * var_u + 1 - level)
        g = (1 + w) * gain_c - w * gain_u  # eps_hat = g x_t + h
        h = -level.sqrt() * ((1 + w) * gain_c * mean_c - w * gain_u * mean_u)
        k = ddim_step(
            one, g, t, t - 1, alpha_bar, eta, zero
        )  # a step is linear in x_t, eps_hat and z
        moved = ddim_step(zero, h, t, t - 1, alpha_bar, eta, zero)
        fresh = ddim_step(zero, zero, t, t - 1, alpha_bar, eta, one)
        mean, variance = k * mean + moved, k**2 * variance + fresh**2
    return mean, variance
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>If x_{t-1} = k x_t + c + noise, what are its mean and variance? Start with those of N(0, I).</details>
# <details><summary>Hint 2: the idea</summary>The exact eps of a Gaussian is proportional to x_t minus its mean at level t. Write the guided one as g x_t + h, put it into <code>ddim_step</code>, and collect what multiplies x_t. Or let <code>ddim_step</code> do it: what does a step make of 0, and what of 1?</details>
# <details><summary>Hint 3: nearly the line</summary><code>ddim_step</code> is linear in x_t, eps_hat and z. What it makes of x_t = 1 with eps_hat = g is k; of x_t = 0 with eps_hat = h what is added to the mean; of z = 1 alone the deviation of the fresh noise. Variances: k squared times the old one, plus that squared.</details>

# %% checks="guided_gaussian"
# Checks of guided_gaussian
mean_c, var_c = double([1.0, -0.5, 0.4]), double([0.3, 0.8, 1.1])
mean_u, var_u = double([0.2, 0.1, 0.4]), double([1.5, 1.1, 1.1])
told = exact.GaussianData(mean_c, torch.diag(var_c))
free = exact.GaussianData(mean_u, torch.diag(var_u))


def walked_law(w, table, eta=0.0):
    """The same by walks: one without any noise, and one with each noise alone, which adds its square."""
    last = len(table) - 1
    x = torch.zeros(last + 2, 3, dtype=torch.float64)
    x[1] = 1  # x_T
    for t in range(last, 0, -1):
        eps = cfg_eps(
            lambda x, t, y: (told if y[0] == 0 else free).best_eps(x, table[t]),
            x,
            torch.full((last + 2,), t),
            torch.zeros(last + 2).long(),
            w,
            1,
        )
        fresh = torch.zeros_like(x)
        fresh[last + 2 - t] = 1
        x = ddim_step(x, eps, t, t - 1, table, eta, fresh)
    return x[0], ((x[1:] - x[0]) ** 2).sum(0)


for w, table, eta, what in (
    (1.5, SHORT, 0.0, "w = 1.5, without fresh noise"),
    (1.5, SHORT, 1.0, "w = 1.5, eta = 1"),
    (0.8, SHORT[:3], 0.5, "two steps, eta = 0.5"),
    (-1.0, SHORT, 0.0, "w = -1: all the data"),
    (0.0, SHORT, 1.0, "w = 0, eta = 1: plain conditioning"),
):
    mean, variance = guided_gaussian(mean_c, var_c, mean_u, var_u, w, table, eta)
    true_mean, true_variance = walked_law(w, table, eta)
    expect(
        mean,
        true_mean,
        f"guided_gaussian: the mean, {what}",
        hint="start at 0; every step, down to x_0, maps the mean like a point without fresh noise",
    )
    expect(
        variance,
        true_variance,
        f"guided_gaussian: the variance, {what}",
        hint="start at 1; multiply by the square of the factor of x_t, and add the variance of the fresh noise, if any",
    )

# %% [markdown]
# <details><summary>Line (16), to compare with yours</summary>
#
# $$\hat\epsilon = g\, x_t + h, \quad g = (1 + w)\, g_c - w\, g_u, \quad g_\cdot = \frac{\sqrt{1 - a}}{a\, v_\cdot + 1 - a}; \qquad m_{t-1} = k\, m_t + \text{const}, \quad V_{t-1} = k^2\, V_t + \sigma_t^2 \tag{16}$$
#
# *each $\epsilon^*$ is a regression on $x_t$; a step is linear in $x_t$ and $\hat\epsilon$, with $k = \sqrt{b / a} + \big( \sqrt{1 - b - \sigma_t^2} - \sqrt{b (1 - a) / a} \big)\, g$ for $a = \bar\alpha_t$, $b = \bar\alpha_{t-1}$.*
#
# </details>
#
# In the limit of small steps, with means 0, the recursion has solutions that one can write down. Write $g = 1 + w$:
#
# $$V_\text{DDIM} = v_c^{1 + w}\, v_u^{-w}, \qquad V_\text{DDPM} = v_c^{2g}\, v_u^{2 - 2g}\; \frac{(v_u / v_c)^{2g - 1} - 1}{(2g - 1)(v_u - v_c)}, \qquad V_\text{tilted} = \frac{1}{(1 + w) / v_c - w / v_u} \tag{17}$$
#
# *section 6 integrates the first two; the third is the product of powers of Gaussians.* Three laws from one formula. **Predict** which variance is the smallest for $w > 0$, DDIM's, DDPM's or the tilted one.


# %%
# The three variances of (17), and that of your sampler
def limits(v_c, v_u, w):
    """The three variances of (17)."""
    g, q = 1 + w, v_u / v_c
    ddpm = (
        v_c ** (2 * g) * v_u ** (2 - 2 * g) * (q ** (2 * g - 1) - 1) / ((2 * g - 1) * (v_u - v_c))
    )
    return v_c**g * v_u**-w, ddpm, 1 / (g / v_c - w / v_u)


def end_variance(v_c, v_u, w, table, eta):
    """That of your sampler, with finitely many steps."""
    zero = double([0.0])
    return guided_gaussian(zero, double([v_c]), zero, double([v_u]), w, table, eta)[1].item()


# %%
# Equations (16) and (17)
# (16): 100,000 walks, in six steps, with fresh noise.
where = exact.GaussianData([1.0], double([[0.3]])), exact.GaussianData([0.2], double([[1.5]]))
answer = guided_gaussian(*(double([v]) for v in (1.0, 0.3, 0.2, 1.5)), 1.5, SHORT, 1.0)
lines = [lambda x, t, p=p: p.best_eps(x, SHORT[t]) for p in where]
walks = descend(
    lambda x, t: 2.5 * lines[0](x, t) - 1.5 * lines[1](x, t),
    normal(100_000, 1),
    SHORT,
    eta=1.0,
    seed=1,
)
verify_equation(16, answer[0], walks.mean(), standard_error=walks.std().item() / 100_000**0.5)
verify_equation(
    16, answer[1], walks.var(), standard_error=walks.var().item() * (2 / 100_000) ** 0.5
)


many = alpha_bar_from_beta(linear_beta(4000, 2.5e-5, 0.005))
sampled = double([end_variance(1.0, 2.0, 2.0, many, eta) for eta in (0.0, 1.0)])
verify_equation(17, sampled, double(limits(1.0, 2.0, 2.0)[:2]), rtol=0.01)
product = 3 * Normal(0.0, 1.0).log_prob(LINE[:, 0]) - 2 * Normal(0.0, 2**0.5).log_prob(LINE[:, 0])
density = product.exp() / integral(product.exp())
verify_equation(17, integral(density * LINE[:, 0] ** 2), limits(1.0, 2.0, 2.0)[2])

# %% predict="my_narrowest"
my_narrowest = "tilted"  # your prediction: "DDIM", "DDPM" or "tilted" has the smallest variance

# %% tags=["experiment"]
# Experiment: three variances
strengths = double([0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8])
laws = {
    name: [limits(1.0, 2.0, w)[i] for w in strengths.tolist()]
    for i, name in enumerate(("DDIM", "DDPM", "tilted"))
}
fig, ax = plots.figure(height=3.4)
for eta, name, role in ((0.0, "DDIM", "model"), (1.0, "DDPM", "posterior")):
    values = [end_variance(1.0, 2.0, w, FINE, eta) for w in strengths.tolist()]
    plots.curve(strengths, values, role, marker="o", label=f"{name}, 400 steps", ax=ax)
    plots.curve(strengths, laws[name], role, linestyle=":", label=f"{name}, limit", ax=ax)
plots.curve(strengths, laws["tilted"], "exact", label="tilted density", ax=ax)
narrowest = {
    name: min(laws, key=lambda n, i=i: laws[n][i])
    for i, name in enumerate(strengths.tolist())
    if name > 0
}
always = len(set(narrowest.values())) == 1
ax.set(yscale="log", xlabel="guidance $w$", ylabel="variance of $x_0$")
ax.set_title(f"{narrowest[8.0]} is the narrowest {'at every w > 0' if always else 'at w = 8'}")
plots.show(
    fig,
    alt="Variance of the samples against w, for DDIM, DDPM and the tilted density, on a logarithmic axis.",
)
print(
    "v_c = 1, v_u = 2, w = 2, limits:",
    ", ".join(f"{name} {values[5]:.4f}" for name, values in laws.items()),
)
print(f"you predicted {my_narrowest}")
findings["class of variance 1 in data of variance 2, w = 2: DDIM, DDPM, tilted"] = ", ".join(
    f"{values[5]:.3f}" for values in laws.values()
)

# %% [markdown]
# At $w = 2$: a quarter, 0.3875, and a half. (This very example stands in a paper of 2024 by Bradley and Nakkiran, in the references.) Guidance narrows far more than tilting would, and a sampler without fresh noise the most.
#
# ### Further: find the error, the difference alone
#
# Another lecture says of classifier-free guidance: "predict instead $\epsilon(x_t, t, c) - \epsilon(x_t, t)$". That is the *direction* only. What happens to somebody who takes it as the whole prediction? A class $\mathcal N(0, 1)$ in data $\mathcal N(0, 2)$, $T = 400$. If no noise at all were removed, $x_0$ would have the standard deviation $1 / \sqrt{\bar\alpha_T}$. **Predict** which share of that is left with the difference.

# %% predict="my_share"
my_share = 0.5  # your prediction: standard deviation of x_0, over 1 / sqrt(alpha_bar_T)

# %% tags=["experiment"]
# Experiment: the difference alone
V = double([1.0])
for t in range(400, 0, -1):  # what ddim_step makes of a point at 1, with eps(y) - eps(null)
    now = FINE[t]
    difference = (1 - now).sqrt() * (1 / (now * 1.0 + 1 - now) - 1 / (now * 2.0 + 1 - now))
    V = ddim_step(double([1.0]), difference, t, t - 1, FINE) ** 2 * V
noise_kept = 1 / FINE[400].sqrt().item()
fig, ax = plots.figure(height=1.9)
bars = {"nothing removed": noise_kept, "the difference alone": V.sqrt().item(), "the class": 1.0}
ax.barh(
    list(bars),
    list(bars.values()),
    color=[plots.COLOR[role] for role in ("noise", "model", "data")],
)
plots.guess(ax, x=my_share * noise_kept)
ax.legend(loc="lower right")
ax.invert_yaxis()
ax.set(
    xlabel="standard deviation of $x_0$",
    title=f"The difference alone leaves {V.sqrt().item() / noise_kept:.2f} of the noise",
)
plots.show(
    fig,
    alt="Bars: the standard deviation of x_0 if nothing is removed, with the difference alone, and of the class.",
)
print(
    f"standard deviation {V.sqrt().item():.1f} of {noise_kept:.1f}; the limit of small steps leaves {0.5**0.5:.3f}"
)
findings["the difference alone, standard deviation of x_0 (class: 1)"] = f"{V.sqrt().item():.0f}"

# %% [markdown]
# A standard deviation above a hundred, for a class of standard deviation 1, and smaller steps change nothing. The difference is to be *added*, to a prediction that removes the noise.
#
# ### The predictor that tilts
#
# (13) also says what a predictor for $\tilde p$ would be: the best guess of the noise when the *data* are tilted. Tilt first, then put noise on. If the data are finitely many points, weighted, that expectation is a finite sum; and any density on the line is nearly a fine grid of weighted points.
#
# ### Exercise: `points_eps` · ●●○ · 7 minutes · 2 points
#
# The perfect predictor for data that sit on points.


# %% exercise="points_eps"
def points_eps(xt, t, points, log_weights, alpha_bar):
    """E[eps given x_t] where x_0 is one of N points, drawn with given probabilities.

    Args:
        xt: (B, D).
        t: LongTensor (B,), 1 <= t <= T.
        points: (N, D).
        log_weights: (N,), logarithms of the probabilities up to a common constant; -inf for a point that
            never occurs (not all of them).
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B, D), like xt: right for log-weights of 1000 and -1000, and for x_t far from every point.
    """
    ### BEGIN SOLUTION
    level = alpha_bar[t][:, None]
    squared = ((xt[:, None] - level.sqrt()[..., None] * points) ** 2).sum(-1)  # (B, N)
    likely = torch.softmax(log_weights - squared / (2 * (1 - level)), dim=1)
    return (xt - level.sqrt() * (likely @ points)) / (1 - level).sqrt()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Which point did x_t come from? Bayes' rule gives each a probability. Then average.</details>
# <details><summary>Hint 2: the idea</summary>The logarithm of a point's probability is its log-weight plus the log-density of x_t given that point, up to a constant: softmax over the points. Average the points, and ask which noise belongs to x_t and that average.</details>
# <details><summary>Hint 3: nearly the line</summary>x_t given a point is normal around sqrt(alpha_bar_t) times it with variance 1 - alpha_bar_t. <code>torch.softmax(log_weights + exponent, dim=1) @ points</code> is E[x_0 given x_t]; solve the forward sample for the noise.</details>

# %% checks="points_eps"
# Checks of points_eps
points, log_weights = normal(4, 2, seed=7), double([0.3, -1.0, 2.0, 0.7])
xt, t = 1.5 * normal(5, 2, seed=8), torch.tensor([1, 6, 2, 4, 3])
needles = exact.GaussianMixture(
    log_weights.softmax(0), points, 1e-30 * torch.eye(2).double().expand(4, 2, 2)
)
expect(
    points_eps(xt, t, points, log_weights, SHORT),
    needles.best_eps(xt, SHORT[t]),
    "points_eps: as a mixture of needles",
    hint="log-weight plus exponent of the Gaussian around the shrunk point, softmax over points; then from x_0 to noise",
)
expect(
    points_eps(xt, t, points, log_weights - 1000, SHORT),
    needles.best_eps(xt, SHORT[t]),
    "points_eps: a constant in the log-weights does not matter, not even -1000",
    hint="no exp before the largest exponent is taken away; softmax does that",
)
steep = double([1000.0, -1000.0, -torch.inf, 999.0])
pair = exact.GaussianMixture(
    double([1.0, 0.0]).softmax(0), points[[0, 3]], 1e-30 * torch.eye(2).double().expand(2, 2, 2)
)
expect(
    points_eps(10 * xt, t, points, steep, SHORT),
    pair.best_eps(10 * xt, SHORT[t]),
    "points_eps: very unequal weights, a point of weight 0, far away",
    hint="add logarithms, and let softmax do the rest",
)

# %% [markdown]
# <details><summary>Line (15), to compare with yours</summary>
#
# $$\mathbb E[x_0 \mid x_t] = \sum_i r_i\, x_i, \qquad r_i = \operatorname{softmax}_i \Big( \log p(x_i) + s \log p(y \mid x_i) - \frac{\Vert x_t - \sqrt{\bar\alpha_t}\, x_i \Vert^2}{2 (1 - \bar\alpha_t)} \Big) \tag{15}$$
#
# *Bayes' rule over the points, here with the tilted weights $p(x_i)\, p(y \mid x_i)^s$; the noise is what is left of $x_t$, $\hat\epsilon = \big( x_t - \sqrt{\bar\alpha_t}\, \mathbb E[x_0 \mid x_t] \big) / \sqrt{1 - \bar\alpha_t}$.*
#
# </details>

# %% tags=["experiment"]
# Experiment: the cure, and equation (15)
grid = torch.linspace(-5, 5, 401, dtype=torch.float64)[:, None]
zeros = torch.zeros(401, dtype=torch.long)
own = class_log_probs(grid, zeros, *OVERLAP, FINE)[:, 1]
base = OVERLAP.whole.log_prob(grid)
# (15) at one place, against an integral
asked, when = double([[0.7]]), torch.tensor([150])
level = FINE[150]
likelihood = Normal(level.sqrt() * LINE[:, 0], (1 - level).sqrt()).log_prob(asked[0]).exp()
mass = likelihood * tilted(OVERLAP, 1, 2)
mean = (mass * LINE[:, 0]).sum() / mass.sum()
verify_equation(
    15,
    points_eps(asked, when, grid, base + 2 * own, FINE),
    (asked - level.sqrt() * mean) / (1 - level).sqrt(),
    rtol=1e-3,
)
fig, axes = plots.figure(1, 2, width=9, height=3, sharey=True)
for ax, w in zip(axes, (1, 3), strict=True):
    target = tilted(OVERLAP, 1, 1 + w)
    right = descend(
        lambda x, t, w=w: points_eps(x, t, grid, base + (1 + w) * own, FINE), quantiles(), FINE
    )
    usual = descend(guided(OVERLAP, 1, w, FINE), quantiles(), FINE)
    for walked, role, name in (
        (usual, "model", "guided"),
        (right, "data", "predictor of tilted data"),
    ):
        distance = apart(walked, quantiles_of(target))
        plots.curve(*shown_density(walked), role, label=f"{name}: off by {distance:.3f}", ax=ax)
        findings[f"overlapping, w = {w}: distance from tilted, {name}"] = f"{distance:.3f}"
    plots.curve(LINE[:, 0], target / integral(target), "exact", label="tilted", ax=ax)
    ax.set(
        xlim=(-2, 5),
        ylim=(0, 1.05),  # room for the legend
        xlabel="$x_0$",
        title=f"w = {w}: guided {usual.mean():.2f}, cured {right.mean():.2f}",
    )
axes[0].set_ylabel("density")
plots.show(
    fig,
    alt="Overlapping classes: the guided density, the density by the predictor of tilted data, and the tilted one.",
)

# %% [markdown]
# So the tilted density *can* be sampled; but its predictor needs $\mathbb E[p(y \mid x_0)^s \mid x_t]$, an average over clean pictures, which no network trained in the usual way has. Guidance is what one can have for two calls of the network.
#
# **Where does the mass go that tilting would leave?** Drag $w$, and change the sampler and the data.


# %%
# Drag: the guided law and the tilted density
MIDDLE_TIMES = list(range(400, -1, -20))  # 20 steps: quick enough for a drag
WALKERS = normal(800, 1, seed=9)


def draw_law(w, sampler, data):
    """The guided law, and the tilted density of the same w."""
    mixture = {"overlapping": OVERLAP, "companion": COMPANION, "one in between": BETWEEN}[data]
    eta = float(sampler == "DDPM")
    start = WALKERS if eta else quantiles(100)
    walked = descend(guided(mixture, 1, w, FINE), start, FINE, MIDDLE_TIMES, eta, seed=10)
    fig, ax = plots.figure(width=6, height=3)
    if eta:
        height, edges = numpy.histogram(walked[:, 0].numpy(), 36, density=True)
        ax.stairs(height, edges, fill=True, color=plots.COLOR["model"], alpha=0.6, label="guided")
    else:
        plots.curve(*shown_density(walked), "model", label="guided", ax=ax)
    target = tilted(mixture, 1, 1 + w, LINE[::20])
    plots.curve(
        LINE[::20, 0], target / target.sum() / (20 * SPACING), "exact", label="tilted", ax=ax
    )
    plots.curve(
        LINE[::20, 0],
        mixture.one(1).log_prob(LINE[::20]).exp(),
        "data",
        label="the class",
        ax=ax,
        linewidth=1.2,
    )
    ax.set(xlim=(-4, 5), ylim=(0, 2), xlabel="$x_0$", ylabel="density")
    ax.set_title(f"{sampler}, w = {w:.1f}: {walked.mean():.2f} ± {walked.std():.2f}")
    return fig, ax


widgets.explore(
    draw_law,
    alt="The density of guided samples beside the class and the tilted density.",
    w=(-1.0, 6.0, 2.0),
    sampler=["DDIM", "DDPM"],
    data=["overlapping", "companion", "one in between"],
)

# %% [markdown]
# ## 6 · Further: small print
#
# ### Where the three laws come from
#
# Undo the shrinking: $z = x / \sqrt{\bar\alpha}$, with noise of variance $u = (1 - \bar\alpha) / \bar\alpha$ on it. In lesson 07's units the guided score is $-\kappa(u)\, z$ with $\kappa(u) = (1 + w) / (v_c + u) - w / (v_u + u)$. Small steps of DDIM follow $dz / du = \frac12 \kappa z$, so $d \log V / du = \kappa$, and DDPM's, with as much fresh noise as came in, $dV / du = 2 \kappa V - 1$. Start at $u = \infty$ with $V = u$ and go down to 0. For DDIM integrate $\kappa$: the logarithms give the powers in (17). For DDPM substitute $r = (v_u + u) / (v_c + u)$. Both solutions look like (17) all the way down, with $v_c + u$ and $v_u + u$ in place of $v_c$ and $v_u$; the cell below puts them into the equations. And the difference alone is $\kappa = 1 / (v_c + u) - 1 / (v_u + u)$: it multiplies the standard deviation by $\sqrt{v_c / v_u}$ and does no more.

# %%
# Equation (17) all the way down: both solutions in their differential equations
u, v_c, v_u = sympy.symbols("u v_c v_u", positive=True)
here = {u: 0.7, v_c: 1.0, v_u: 2.0}
for w in (1, 2, 3):
    ddim, ddpm, _ = limits(v_c + u, v_u + u, w)
    kappa = (1 + w) / (v_c + u) - w / (v_u + u)
    for name, V, rate in (("DDIM", ddim, kappa * ddim), ("DDPM", ddpm, 2 * kappa * ddpm - 1)):
        same = sympy.simplify(sympy.diff(V, u) - rate) == 0
        expect(same, True, f"{name}, w = {w}: a solution, for all values")
        verify_equation(17, float(sympy.diff(V, u).subs(here)), float(rate.subs(here)))

# %% [markdown]
# ### How far a step is pushed
#
# Dhariwal and Nichol's Algorithm 1 does not change the noise. It moves the *mean* of each step, by $s\, \sigma_t^2\, \nabla \log p(y \mid x_t)$. Is that the same?
#
# $$\mu(\hat\epsilon) - \mu(\epsilon^*) = \frac{1}{\sqrt{\alpha_t}} \cdot \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\; s \sqrt{1 - \bar\alpha_t}\; \nabla \log p(y \mid x_t) = s\, \frac{\beta_t}{\sqrt{\alpha_t}}\, \nabla \log p(y \mid x_t) \tag{10}$$
#
# *put (9) into the mean of `p_step`.* Against their $s\, \beta_t$ the ratio is $1 / \sqrt{\alpha_t}$, which is 1 for small steps. Against $s\, \tilde\beta_t$ it is infinite at $t = 1$ (their last step is not guided) and close to 1 only where $t$ is not small.

# %%
# Equation (10): the push on the mean, and its ratios
t = torch.tensor([2, 5, 3, 6])
x, push = normal(4, 2, seed=1), normal(4, 2, seed=2)
eps, none = normal(4, 2, seed=3), torch.zeros(4, 2).double()
led = eps - 2.5 * (1 - SHORT[t]).sqrt()[:, None] * push
alpha = SHORT[t] / SHORT[t - 1]
moved = p_step(x, led, t, SHORT, none) - p_step(x, eps, t, SHORT, none)
verify_equation(10, moved, 2.5 * ((1 - alpha) / alpha.sqrt())[:, None] * push)
usual = alpha_bar_from_beta(linear_beta(1000))
t = torch.tensor([2, 3, 10, 100])
ratio = (1 - usual[t]) / ((usual[t] / usual[t - 1]).sqrt() * (1 - usual[t - 1]))
print(
    "T = 1000, ratio to the posterior variance at t = 2, 3, 10, 100:",
    ", ".join(f"{r:.2f}" for r in ratio),
)

# %% [markdown]
# ### Who gets the examples
#
# (3) says that $p$ changes no optimum, only who gets the examples. Three small networks on the companion, labels dropped with $p = 0$, $0.1$, $0.5$; the error of each against your exact `mixture_eps`. **Predict** the error without a label at $p = 0$, where nobody ever asked for it. (A network that answers 0 everywhere has about 0.8.)

# %% predict="my_error_at_0"
my_error_at_0 = 0.1  # your prediction: mean square error without a label, trained with p = 0


# %% tags=["experiment"]
# Experiment: three shares of dropped labels; training takes about 15 seconds
class Told(nn.Module):
    """A network on the line that gets the label as two more numbers, both 0 where nothing is said."""

    def __init__(self):
        super().__init__()
        self.body = networks.ResidualMLP(3, T, hidden_dim=64)

    def forward(self, x, t, y):
        marks = torch.stack([y == 0, y == 1], 1).to(x)
        return self.body(torch.cat([x, marks], 1), t)[:, :1]


def told_loss(p):
    def loss(net, x, y):
        t = torch.randint(1, T + 1, (len(x),), device=x.device)
        eps = torch.randn_like(x)
        labels = drop_labels(y, torch.rand(len(x), device=x.device), p, 2)
        return ((eps - net(q_sample(x, t, TABLE, eps), t, labels)) ** 2).mean()

    return loss


generator = torch.Generator().manual_seed(11)
kinds = torch.multinomial(COMPANION.weights, 20_000, replacement=True, generator=generator)
points = COMPANION.means[kinds] + COMPANION.variances[kinds].sqrt() * torch.randn(
    20_000, 1, generator=generator
)
t = torch.randint(1, T + 1, (20_000,), generator=generator)
xt = q_sample(points, t, ALPHA_BAR, torch.randn(20_000, 1, generator=generator).double())
print("mean square error against the exact answer\n   p     class 0   class 1   no label")
for p in (0.0, 0.1, 0.5):
    seed_everything(0)
    net = Told().to(device)
    fit(
        net,
        told_loss(p),
        [points.float(), kinds],
        steps=budget(800),
        batch_size=256,
        ema=0.99,
        label=f"loss, p = {p}",
    )
    errors = []
    for y in (0, 1, 2):
        chosen = kinds == y if y < 2 else kinds >= 0
        labels = torch.full((int(chosen.sum()),), y)
        best = mixture_eps(xt[chosen], t[chosen], labels, *COMPANION, ALPHA_BAR)
        with torch.no_grad():
            answer = net(
                xt[chosen].float().to(device), t[chosen].to(device), labels.to(device)
            ).cpu()
        errors.append((answer - best).square().mean().item())
    print(f"{p:5.1f}" + "".join(f"{error:10.4f}" for error in errors))
    if p == 0:
        findings["error of eps(null), never trained (p = 0)"] = f"{errors[2]:.2f}"
print(f"you predicted {my_error_at_0:g} for the last number at p = 0")

# %% [markdown]
# As (3) says. Whoever gets more examples is a little better, and $p = 0$ leaves the unlabelled answer to chance. In practice $p$ is 0.1 or 0.2.
#
# ### A wrong classifier
#
# Scale 1 with the right classifier is exact. What do four mistakes cost? The classifier of clean data asked at $x_t$, the captioning model of that slide (`"clean, at x_t"`); the same asked at the predicted $\hat x_0$, but not differentiated through it (`"clean, at x0_hat"`); the root forgotten (`"root forgotten"`); the sign turned (`"sign turned"`). **Predict** which of them gives the class $y = 0$, mean $-2$, the wrong mean by the most.

# %% predict="my_worst"
my_worst = "root forgotten"  # your prediction: one of the four


# %% tags=["experiment"]
# Experiment: wrong classifiers at scale 1
def led_by(push, y):
    """A predictor that is guided by -push(x, t, eps, y), in units of noise."""
    model = network(COMPANION, ALPHA_BAR)

    def eps_of(x, t):
        free = model(x, t, torch.full_like(t, 2))
        return free - push(x, t, free, torch.full_like(t, y))

    return eps_of


def uphill(x, t, y):
    """grad log p(y given x) by the exact classifier of level t, (B, 1)."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        logs = class_log_probs(leaf, t, *COMPANION, ALPHA_BAR).gather(1, y[:, None])
        return torch.autograd.grad(logs.sum(), leaf)[0]


def noise_scale(t):
    return (1 - ALPHA_BAR[t]).sqrt()[:, None]


def clean_guess(x, t, eps):
    return (x - noise_scale(t) * eps) / ALPHA_BAR[t].sqrt()[:, None]


pushes = {
    "right": lambda x, t, eps, y: noise_scale(t) * uphill(x, t, y),
    "clean, at x_t": lambda x, t, eps, y: noise_scale(t) * uphill(x, 0 * t, y),
    "clean, at x0_hat": lambda x, t, eps, y: (
        noise_scale(t) * uphill(clean_guess(x, t, eps), 0 * t, y)
    ),
    "root forgotten": lambda x, t, eps, y: noise_scale(t) ** 2 * uphill(x, t, y),
    "sign turned": lambda x, t, eps, y: -noise_scale(t) * uphill(x, t, y),
}
ends = {
    name: [descend(led_by(push, y), quantiles(), ALPHA_BAR) for y in (0, 1)]
    for name, push in pushes.items()
}
print(f"{'classifier':20}{'y = 0: -2 ± 0.3':>20}{'y = 1: 1.5 ± 0.6':>20}")
for name, (low, high) in ends.items():
    print(f"{name:20}{law_of(low):>20}{law_of(high):>20}")
worst = max(pushes, key=lambda name: abs(ends[name][0].mean() + 2))
print(f"the worst mean: {worst}; you predicted {my_worst}")
findings["the worst of four wrong classifiers"] = worst

# %% [markdown]
# The clean classifier makes the class far too narrow, because it is much surer at $x_t$ than anybody can be. Forgetting the root is hardly visible in samples. Check values, not pictures.
#
# ### Keeping to the range
#
# Guided far, $\hat x_0$ leaves the range of the data, step after step, and pictures burn out. Clipping $\hat x_0$ to $[-1, 1]$ helps and saturates. The makers of Imagen clip at a quantile instead, and scale back. Section 8 tries it on the digits.
#
# ### Exercise: `dynamic_threshold` · ●○○ · 4 minutes · 1 point
#
# Bring each example back into range by its own measure.


# %% exercise="dynamic_threshold"
def dynamic_threshold(x0_hat, q):
    """Clip each example to a quantile of its own sizes, and scale it to [-1, 1].

    For each example c is the q-quantile of the absolute values of all its entries, but at least 1; the
    example is clipped to [-c, c] and divided by c. Where c is 1 that is plain clipping.

    Args:
        x0_hat: (B, *event), with at least one event axis.
        q: a float, 0 < q <= 1. The quantile is `torch.quantile`'s, by linear interpolation.

    Returns:
        Like x0_hat.

    Source: Saharia et al. (2022), section 2.3.
    """
    ### BEGIN SOLUTION
    c = torch.quantile(x0_hat.abs().flatten(1), q, dim=1).clamp(min=1)
    c = column(c, x0_hat)
    return x0_hat.clamp(-c, c) / c
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>One number c per example. What does it look like for an example that is within the range already?</details>
# <details><summary>Hint 2: the idea</summary><code>flatten(1)</code> keeps the batch and joins the rest. Absolute values first, then the quantile, then at least 1.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.quantile(sizes, q, dim=1).clamp(min=1)</code>, given axes by <code>column</code>; clip, then divide.</details>

# %% checks="dynamic_threshold"
# Checks of dynamic_threshold
beyond, within = double([-4.0, 0.5, 1.0, 2.0, -1.0]), double([-0.9, 0.5, 0.1, 0.2, -0.3])
expect(
    dynamic_threshold(torch.stack([beyond, within]), 0.75),
    torch.stack([double([-1.0, 0.25, 0.5, 1.0, -0.5]), within]),
    "dynamic_threshold: the sizes 0.5, 1, 1, 2, 4 have the 0.75-quantile 2; an example in range stays",
    hint="absolute values, one quantile per example, at least 1; clip, then divide",
)
expect(
    dynamic_threshold(torch.stack([beyond, within]), 1.0),
    torch.stack([beyond / 4, within]),
    "dynamic_threshold: q = 1 is the largest size",
    hint="use q",
)
picture = (
    torch.stack([beyond, within, 2 * within, beyond / 2], 1).reshape(1, 1, 5, 4).expand(2, 1, 5, 4)
)
rows = dynamic_threshold(picture.reshape(2, 20), 0.9)
expect(
    dynamic_threshold(picture, 0.9).reshape(2, 20),
    rows,
    "dynamic_threshold: all axes of a picture together",
    hint="flatten from axis 1 on",
)

# %% [markdown]
# ## 7 · Words and layouts
#
# Now to real digits, and to richer conditions than ten classes. How does a sentence get into a picture? The picture's places *ask*, the words *answer*: cross-attention. Each place has a query, each word a key and a value. Where query and key agree, the word is heard.
#
# $$\operatorname{att}(Q, K, V)_n = \sum_l \frac{\mathbb 1_l\, e^{\langle q_n, k_l \rangle / \sqrt D}}{\sum_{l'} \mathbb 1_{l'}\, e^{\langle q_n, k_{l'} \rangle / \sqrt D}}\; v_l \tag{18}$$
#
# *lesson 03's attention, with queries from the picture and keys and values from the caption; $\mathbb 1_l$ is 1 for a word and 0 for padding.* It is a sum over words, so their order does not matter (if it should, add lesson 06's clocks to the words), and padding changes nothing.
#
# ### Exercise: `cross_attention` · ●●○ · 7 minutes · 2 points
#
# Captions have different lengths, and one may be empty: you will drop captions on purpose.


# %% exercise="cross_attention"
def cross_attention(query, key, value, mask):
    """Every place of a picture attends to the words of its caption, line (18).

    softmax over the words of <query, key> / sqrt(D), applied to the values.

    Args:
        query: (B, N, D), from the N places of each picture.
        key: (B, L, D), value: (B, L, E), from the L words; finite numbers, padding included.
        mask: bool (B, L), True for a word, False for padding, anywhere in the caption. (PyTorch's
            key_padding_mask is the opposite.)

    Returns:
        (B, N, E). Padding has weight exactly 0. A caption without words gives 0, with finite gradients
        to query, key and value. Stable for logits of 1000 and more.
    """
    ### BEGIN SOLUTION
    logits = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5  # (B, N, L)
    there = mask[:, None]
    lowest = torch.finfo(logits.dtype).min
    weights = torch.softmax(logits.masked_fill(~there, lowest), dim=-1)
    return (weights * there) @ value
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The logits are (B, N, L): every place against every word. Padding has to go before the softmax, not after it.</details>
# <details><summary>Hint 2: the idea</summary>A masked logit of -inf has weight 0, but a row of nothing else is 0/0, and its NaN may come back in the gradient even if you replace it. The lowest finite number instead never makes a NaN; what is then left to repair in an empty caption?</details>
# <details><summary>Hint 3: nearly the line</summary><code>masked_fill(~mask[:, None], torch.finfo(dtype).min)</code>, softmax over the last axis, times the mask once more, times the values.</details>

# %% checks="cross_attention"
# Checks of cross_attention
query, key, value = normal(3, 5, 2, seed=1), normal(3, 4, 2, seed=2), normal(3, 4, 6, seed=3)
mask = torch.tensor([[True, False, True, True], [False, True, False, False], [True] * 4])
alone = torch.cat(
    [
        F.scaled_dot_product_attention(
            query[b : b + 1], key[b : b + 1, mask[b]], value[b : b + 1, mask[b]]
        )
        for b in range(3)
    ]
)
expect(
    cross_attention(query, key, value, mask),
    alone,
    "cross_attention: each picture hears its own words alone",
    hint="mask the logits before the softmax over the words; True is a word; divide by sqrt(D)",
)
loud_key, loud_value = (torch.where(mask[..., None], part, 1e3) for part in (key, value))
expect(
    cross_attention(query, loud_key, loud_value, mask),
    alone,
    "cross_attention: what stands in the padding does not matter",
    hint="a masked logit must be so low that its weight is exactly 0",
)
empty = mask.clone()
empty[1] = False
leaves = [part.clone().requires_grad_() for part in (query, key, value)]
heard = cross_attention(*leaves, empty)
gradients = torch.autograd.grad(heard.square().sum(), leaves)
expect(
    heard,
    torch.where(torch.tensor([True, False, True])[:, None, None], alone, 0.0),
    "cross_attention: a caption without words says 0",
    hint="in a row in which everything is equally low, softmax is uniform: multiply by the mask",
)
expect(
    all(g.isfinite().all().item() for g in gradients),
    True,
    "cross_attention: and no NaN comes back in its gradient",
    hint="do not let a NaN arise: the lowest finite number in place of -inf",
)
expect(
    cross_attention(40 * query, 40 * key, value, mask)[1],
    value[1, 1].expand(5, 6),
    "cross_attention: large logits are stable, and a single word is always heard whole",
    hint="softmax takes the largest away by itself",
)

# %%
# Equation (18): the order of the words, and padding
order = torch.tensor([2, 0, 3, 1])
once = cross_attention(query, key, value, mask)
verify_equation(18, once, cross_attention(query, key[:, order], value[:, order], mask[:, order]))
weights = mask[:, None] * (query @ key.transpose(1, 2) / 2**0.5).exp()
verify_equation(18, once, weights / weights.sum(-1, keepdim=True) @ value)

# %% [markdown]
# A **layout** is a condition of the picture's own shape: "ink here, none there, the rest is up to you". It needs no attention. Lay it beside the picture as further channels, and let convolutions read both. (Segmentation maps, sketches, depth: all the same.)
#
# ### Exercise: `concat_layout` · ●○○ · 3 minutes · 1 point
#
# The class numbers of a layout are names, not sizes. Turn them into planes that a convolution can read.


# %% exercise="concat_layout"
def concat_layout(xt, layout, num_classes):
    """A picture and its layout as one tensor: the picture's channels, then one plane per class.

    Plane k is 1 where the layout says k and 0 elsewhere; where it says nothing, all planes are 0.

    Args:
        xt: (B, C, H, W).
        layout: LongTensor (B, H, W): -1 where nothing is said, else 0..num_classes - 1.
        num_classes: how many classes there are, whether or not they occur.

    Returns:
        (B, C + num_classes, H, W), dtype of xt. The layout stays as it is.
    """
    ### BEGIN SOLUTION
    classes = torch.arange(num_classes, device=layout.device)
    planes = layout[:, None] == classes[:, None, None]
    return torch.cat([xt, planes.to(xt)], dim=1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A class is a name and no size. What must a plane for class 2 hold?</details>
# <details><summary>Hint 2: the idea</summary>Compare the layout with each class number; -1 equals none of them.</details>
# <details><summary>Hint 3: nearly the line</summary><code>layout[:, None] == torch.arange(num_classes, device=layout.device)[:, None, None]</code> is (B, K, H, W); turn it into xt's dtype and put it behind xt along axis 1.</details>

# %% checks="concat_layout"
# Checks of concat_layout
picture, layout = (
    normal(2, 1, 2, 3, seed=4).float(),
    torch.tensor([[[-1, 0, 2], [2, -1, 0]], [[-1] * 3, [0, 0, -1]]]),
)
joined = concat_layout(picture, layout, 3)
expect(
    joined.shape,
    torch.Size([2, 4, 2, 3]),
    "concat_layout: one plane for each class, and none for nothing",
    hint="num_classes planes, whether or not all classes occur",
)
expect(
    joined[:, 0],
    picture[:, 0],
    "concat_layout: the picture comes first",
    hint="torch.cat([xt, planes], dim=1)",
)
expect(
    joined[0, 1:],
    torch.tensor([[[0.0, 1, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]]]),
    "concat_layout: plane k is 1 where the layout says k; at -1 all are 0",
    hint="-1 is neither class 0 nor the last class; each class has a plane of 0 and 1",
)

# %% [markdown]
# ### One network for everything
#
# The U-Net of lesson 06, with three things added: an embedding for fifteen words, one layer of your cross-attention behind the self-attention, and an inlet for two more channels from your `concat_layout` ("no ink" and "ink"). One training, with all conditions present and each dropped now and then by your `drop_labels`, serves everything below: no caption, a class, three words, a layout.


# %%
# From lesson 06: embedding, norm, block, self-attention
def timestep_embedding(t, dim, max_period=10000.0):
    half = dim // 2
    frequencies = max_period ** (-torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class AdaptiveNorm(nn.Module):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, affine=False)
        self.linear = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h, emb):
        scale, shift = self.linear(emb)[:, :, None, None].chunk(2, dim=1)
        return self.norm(h) * (1 + scale) + shift


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, embed_dim):
        super().__init__()
        self.norm1 = AdaptiveNorm(inputs, embed_dim)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = AdaptiveNorm(outputs, embed_dim)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h, emb):
        change = self.conv1(F.silu(self.norm1(h, emb)))
        return self.shortcut(h) + self.conv2(F.silu(self.norm2(change, emb)))


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h):
        query, key, value = self.ask(self.norm(h)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(query, key, value)
        return h + self.out(seen.transpose(1, 2).reshape(h.shape))


# %%
# The network: words by your cross_attention, a layout by your concat_layout
class Listening(nn.Module):
    """h plus what each place hears from the words."""

    def __init__(self, channels, word_dim):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.ask = nn.Conv2d(channels, channels, 1)
        self.words = nn.Linear(word_dim, 2 * channels)  # key and value of each word
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, h, words, mask):
        query = self.ask(self.norm(h)).flatten(2).transpose(1, 2)  # (B, H*W, C)
        key, value = self.words(words).chunk(2, dim=-1)
        heard = cross_attention(query, key, value, mask)
        return h + self.out(heard.transpose(1, 2).reshape(h.shape))


class Painter(nn.Module):
    """net(xt, t, captions, layout) -> eps_hat; captions LongTensor (B, 3), 0 = no word; layout (B, 8, 8)."""

    def __init__(self, channels=16, embed_dim=64, words=15):
        super().__init__()
        C, self.embed_dim = channels, embed_dim
        self.clock = nn.Sequential(networks.mlp([embed_dim, embed_dim, embed_dim]), nn.SiLU())
        self.words = nn.Embedding(words, embed_dim)
        self.inlet = nn.Conv2d(1 + 2, C, 3, padding=1)
        self.down = ResidualBlock(C, C, embed_dim)
        self.shrink = nn.Conv2d(C, 2 * C, 3, stride=2, padding=1)
        self.before = ResidualBlock(2 * C, 2 * C, embed_dim)
        self.attention = Attention(2 * C)
        self.listening = Listening(2 * C, embed_dim)
        self.after = ResidualBlock(2 * C, 2 * C, embed_dim)
        self.grow = nn.Conv2d(2 * C, C, 3, padding=1)
        self.up = ResidualBlock(2 * C, C, embed_dim)
        self.norm = nn.GroupNorm(8, C)
        self.outlet = nn.Conv2d(C, 1, 3, padding=1)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, xt, t, captions, layout):
        emb = self.clock(timestep_embedding(t, self.embed_dim))
        fine = self.down(self.inlet(concat_layout(xt, layout, 2)), emb)
        h = self.attention(self.before(self.shrink(fine), emb))
        h = self.listening(h, self.words(captions), captions > 0)
        h = self.grow(F.interpolate(self.after(h, emb), scale_factor=2))
        h = self.up(torch.cat([h, fine], dim=1), emb)
        return self.outlet(F.silu(self.norm(h)))


# %% [markdown]
# And words for the digits. The class gives the first. The other two are measured: a digit is *heavy* if it has more ink than the median of its class, else *light*; *leaning* if it leans to the right more than the median of its class, else *upright*.


# %%
# The digits and their captions
train_x, train_y = data.digits("train", flat=False, range=(-1, 1), labels=True)  # (1437, 1, 8, 8)
test_x, test_y = data.digits("test", flat=False, range=(-1, 1), labels=True)
WORDS = ["", *"0123456789", "light", "heavy", "upright", "leaning"]


def ink_of(x):
    """Share of ink, (B,)."""
    return ((x + 1) / 2).flatten(1).mean(1)


def lean_of(x):
    """How many columns to the right one row up is, (B,), from the ink's moments."""
    ink = ((x[:, 0] + 1) / 2).clamp(min=0) + 1e-6
    rows, columns = (
        (torch.arange(8.0, device=x.device) - 3.5).expand(8, 8).T,
        torch.arange(8.0, device=x.device),
    )
    ink = ink / ink.sum((1, 2), keepdim=True)
    row, col = ((ink * part).sum((1, 2)) for part in (rows, columns))
    covariance = (ink * rows * columns).sum((1, 2)) - row * col
    return -covariance / ((ink * rows**2).sum((1, 2)) - row**2)


def medians(measure):
    """A measure's median in each class of the training digits, (10,)."""
    return torch.stack([measure(train_x[train_y == k]).median() for k in range(10)])


INK, LEAN = medians(ink_of), medians(lean_of)


def captions_of(x, y):
    """The three words of each digit, LongTensor (B, 3)."""
    heavy, leaning = ink_of(x) > INK[y], lean_of(x) > LEAN[y]
    return torch.stack([1 + y, 11 + heavy.long(), 13 + leaning.long()], 1)


train_captions = captions_of(train_x, train_y)
rows = [0, 1, 2, 3, 4, 5]
labels = ["\n".join(WORDS[word] for word in train_captions[i]) for i in rows]
fig, axes = plots.figure(1, 6, width=6.4, height=1.7)
for ax, i, text in zip(axes, rows, labels, strict=True):
    plots.image_grid(train_x[i : i + 1], 1, ax=ax, range=(-1, 1))
    ax.set_xlabel(text)
plots.show(fig, alt="Six training digits with their three words each.")


# %%
# Training with all conditions, each dropped now and then
def conditions(x, captions):
    """Captions and layouts as training sees them: words dropped, layouts unknown, whole or a band."""
    B, chance = len(x), lambda: torch.rand(len(x), device=x.device)
    shares = (0.1, 0.4, 0.4)
    words = torch.stack(
        [drop_labels(captions[:, i], chance(), p, 0) for i, p in enumerate(shares)], 1
    )
    words = words * (chance() >= 0.15)[:, None]  # the whole caption
    ink = (x[:, 0] > 0).long()
    ends = torch.randint(0, 9, (2, B, 1), device=x.device)
    row = torch.arange(8, device=x.device)
    band = (row >= ends.amin(0)) & (row < ends.amax(0)) | (chance() < 0.3)[:, None]  # (B, 8)
    said = band & (chance() >= 0.5)[:, None]
    return words, torch.where(said[:, :, None], ink, -1)


def painter_loss(net, x, captions):
    t = torch.randint(1, T + 1, (len(x),), device=x.device)
    eps = torch.randn_like(x)
    return ((eps - net(q_sample(x, t, TABLE, eps), t, *conditions(x, captions))) ** 2).mean()


@cache
def painter():
    """The network, trained once, then remembered."""
    seed_everything(0)
    net = Painter().to(device)
    options = {"batch_size": 64, "optimizer": torch.optim.AdamW, "ema": 0.995}
    run = fit(
        net,
        painter_loss,
        [train_x, train_captions],
        steps=budget(2000),
        label="loss on digits",
        **options,
    )
    return net, run


# Row k says class k and nothing else; the last row, number 10, is the empty caption.
CAPTIONS = torch.cat([torch.arange(1, 11), torch.zeros(1, dtype=torch.long)])[
    :, None
] * torch.tensor([1, 0, 0])
CAPTIONS = CAPTIONS.to(device)
DDIM_TIMES = list(range(T, -1, -10))  # 20 steps


def saying(table=None, layout=None):
    """The network as model(x, t, y), where y numbers a row of `table` (of CAPTIONS, unless given)."""
    net, _ = painter()
    table = CAPTIONS if table is None else table

    def model(x, t, y):
        nothing = torch.full((len(x), 8, 8), -1, device=x.device)
        given = nothing if layout is None else layout.repeat(len(x) // len(layout), 1, 1)
        return net(x, t, table[y], given)

    return model


def draw(y, w, table=None, layout=None, seed=12, times=None):
    """Digits by guided DDIM, (B, 1, 8, 8) on the CPU; y numbers rows of `table`, whose last row is empty."""
    table, times = CAPTIONS if table is None else table, times or DDIM_TIMES
    noise = torch.randn(len(y), 1, 8, 8, generator=torch.Generator().manual_seed(seed)).to(device)
    model, labels = saying(table, layout), y.to(device)
    return descend(
        lambda x, t: cfg_eps(model, x, t, labels, w, len(table) - 1), noise, TABLE, times
    ).cpu()


def table_of(captions):
    """Captions (N, 3) with the empty one behind them."""
    return torch.cat([captions, torch.zeros(1, 3, dtype=torch.long)]).to(device)


# %% tags=["experiment"]
# Experiment: training, and the first digits on demand; it takes about a minute
_, run = painter()
y = torch.arange(10).repeat(4)
fig, _ = plots.image_grid(draw(y, 0.0), 10, range=(-1, 1), zoom=6, column_labels=list("0123456789"))
plots.show(fig, alt="Forty digits by plain conditioning, one class in each column.")
print(f"training loss, last hundred steps: {run.losses[-100:].mean():.3f}")

# %% [markdown]
# ### Fidelity against diversity
#
# What does $w$ buy? First where everything is exact: three classes in the plane, the same noise for all $w$. Fidelity is the mean of $\log p(x \mid y)$ of the samples, how typical they are of their class; diversity the entropy of a Gaussian fitted to them. **Predict** at which $w$ fidelity is highest.

# %% predict="my_best_w"
my_best_w = 2.0  # your prediction: the w with the most typical samples

# %% tags=["experiment"]
# Experiment: fidelity against diversity in the plane
start, times = normal(2000, 2, seed=13), list(range(T, -1, -4))
strengths = [0, 0.25, 0.5, 1, 2, 4]
fidelity, diversity = [], []
for w in strengths:
    x = descend(guided(PLANE, 0, w, ALPHA_BAR), start, ALPHA_BAR, times)
    fidelity.append(PLANE.one(0).log_prob(x).mean().item())
    diversity.append(exact.GaussianData.fit(x).entropy)
fig, ax = plots.figure(height=3.2)
plots.curve(strengths, fidelity, "model", marker="o", label="fidelity: mean log p(x | y)", ax=ax)
plots.curve(strengths, diversity, "data", marker="s", label="diversity: entropy", ax=ax)
plots.guess(ax, x=my_best_w, label="your w")
best = strengths[max(range(6), key=fidelity.__getitem__)]
ax.set(xlabel="guidance $w$", ylabel="nats", title=f"Fidelity is highest at w = {best:g}")
plots.show(fig, alt="Fidelity and diversity of guided samples in the plane against w.")
print("   w   log p(x | y)   entropy")
for w, typical, spread in zip(strengths, fidelity, diversity, strict=True):
    print(f"{w:5g}{typical:12.3f}{spread:12.2f}")
findings["plane: the w with the most typical samples"] = f"{best:g}"

# %% [markdown]
# A little guidance makes samples more typical; more of it makes them *less* so, while diversity falls all the way. And on the digits? An independent classifier says whether the class is the one you asked for and whether it recognises a digit at all, and the two-sample test of lesson 06 how easily the whole *set* is told from real digits (half is best). **Predict** which of $w = 0, 1, 3$ the two-sample test likes best.

# %% predict="my_favourite"
my_favourite = 1  # your prediction: the w whose samples are hardest to tell from digits

# %% tags=["experiment"]
# Experiment: what w does to digits
y = torch.arange(budget(300)) % 10
sets, rows = {}, []
print(
    "sampling takes about 10 seconds\n   w   right class   recognised   spread within a class   two-sample test"
)
for w in (-1.0, 0.0, 1.0, 3.0, 8.0):
    x = draw(y, w)
    seen, sure = metrics.recognise(x, range=(-1, 1))
    within = torch.stack([x[y == k].flatten(1).var(0).sum() for k in range(10)]).mean().item()
    test = metrics.two_sample_accuracy(test_x.cpu(), x)
    sets[w] = test.value
    print(
        f"{w:5g}{(seen == y).double().mean():12.3f}{(sure > 0.8).double().mean():13.3f}{within:17.1f}{'':12}{test}"
    )
    if w in (0.0, 3.0):
        rows.append(x[:20])
        findings[f"digits at w = {w:g}: right class, two-sample accuracy"] = (
            f"{(seen == y).double().mean():.3f}, {test.value:.2f}"
        )
real = torch.stack([test_x[test_y == k].flatten(1).var(0).sum() for k in range(10)]).mean().item()
favourite = min((0.0, 1.0, 3.0), key=sets.get)
fig, _ = plots.image_grid(
    torch.cat(rows), 10, range=(-1, 1), zoom=6, labels=["w = 0", "", "w = 3", ""]
)
plots.show(
    fig, alt="Two rows of digits without guidance and two rows at w = 3, from the same noise."
)
print(
    f"real digits: spread within a class {real:.1f}; the test likes w = {favourite:g} best, you said {my_favourite:g}"
)

# %% [markdown]
# Each picture gets better, the set gets worse. At $w = 3$ nearly everything is recognised, and a classifier can tell the set from real digits almost always: too clean, too much alike. That is section 5 on real pictures. (At $w = 8$ pixels leave their range; section 8 looks at it.)
#
# ### Captions
#
# Now three words at once. The digit's class is judged by the classifier, *heavy* by the ink and *leaning* by the moments, as in training. **Predict** which share of the digits obeys all three words at $w = 0$. (Guessing weight and lean would give a quarter of the right digits.)

# %% predict="my_obedience"
my_obedience = 0.6  # your prediction: share of digits that obey all three words at w = 0

# %% tags=["experiment"]
# Experiment: who obeys three words?
y = torch.arange(budget(200)) % 10
print(
    f"{len(y)} digits for each of the four pairs of words\n   w    digit   weight     lean   all three"
)
for w in (0.0, 2.0):
    shares = []
    for heavy, leaning in ((0, 0), (0, 1), (1, 0), (1, 1)):
        wanted = torch.stack(
            [1 + y, torch.full_like(y, 11 + heavy), torch.full_like(y, 13 + leaning)], 1
        )
        x = draw(torch.arange(len(y)), w, table_of(wanted), seed=14)
        right = metrics.recognise(x, range=(-1, 1))[0] == y
        weight, lean = (
            ((ink_of(x) > INK.cpu()[y]) == heavy),
            ((lean_of(x) > LEAN.cpu()[y]) == leaning),
        )
        shares.append(torch.stack([right, weight, lean, right & weight & lean]).double().mean(1))
    share = torch.stack(shares).mean(0)
    print(f"{w:5g}" + "".join(f"{value:9.3f}" for value in share))
    findings[f"share of digits that obey all three words, w = {w:g}"] = f"{share[3]:.2f}"
print(f"you predicted {my_obedience:g} for the last number at w = 0")

# %% [markdown]
# The small network mumbles, and guidance makes it speak clearly. That is what guidance is really used for: captions are a weak condition, and most of what a picture generator seems to "understand" it understands at $w > 0$.
#
# %% [markdown]
# ## 8 · Further: range, a classifier, a layout
#
# ### Large guidance burns
#
# At $w = 8$ some four pixels in ten are out of range. Three cures on the way: none, clipping $\hat x_0$ at every step, your `dynamic_threshold`. **Predict** which set of samples is nearest to the data in how black and white it is: the mean size of a pixel, 0.79 for real digits.

# %% predict="my_cure"
my_cure = "dynamic 0.95"  # your prediction: or "none", "clipped", "dynamic 0.995"


# %% tags=["experiment"]
# Experiment: range
def ranged(y, w, bound, seed=12):
    """Guided DDIM whose guess of x_0 passes through `bound` at every step."""
    x = torch.randn(len(y), 1, 8, 8, generator=torch.Generator().manual_seed(seed)).to(device)
    model, labels = saying(), y.to(device)
    with torch.no_grad():
        for t, s in pairwise(DDIM_TIMES):
            eps = cfg_eps(model, x, torch.full((len(x),), t, device=device), labels, w, 10)
            clean = bound((x - (1 - TABLE[t]).sqrt() * eps) / TABLE[t].sqrt())
            eps = (x - TABLE[t].sqrt() * clean) / (1 - TABLE[t]).sqrt()
            x = TABLE[s].sqrt() * clean + (1 - TABLE[s]).sqrt() * eps
    return x.cpu()


y = torch.arange(budget(200)) % 10
bounds = {
    "none": lambda x: x,
    "clipped": lambda x: x.clamp(-1, 1),
    "dynamic 0.95": lambda x: dynamic_threshold(x, 0.95),
    "dynamic 0.995": lambda x: dynamic_threshold(x, 0.995),
}
real, rows, sizes = test_x.abs().mean().item(), [], {}
print("cure            right class   recognised   beyond 1.05   mean size of a pixel")
for name, bound in bounds.items():
    x = ranged(y, 8.0, bound)
    seen, sure = metrics.recognise(x, range=(-1, 1))
    sizes[name] = x.abs().mean().item()
    numbers = (
        (seen == y).double().mean(),
        (sure > 0.8).double().mean(),
        (x.abs() > 1.05).double().mean(),
        sizes[name],
    )
    print(f"{name:15}" + "".join(f"{value:13.3f}" for value in numbers))
    rows.append(x[:10])
fig, _ = plots.image_grid(
    torch.cat(rows), 10, range=(-1, 1), zoom=5, labels=["none", "clipped", "q = 0.95", "q = 0.995"]
)
plots.show(fig, alt="Digits at w = 8 without a cure, clipped, and with two dynamic thresholds.")
nearest = min(sizes, key=lambda name: abs(sizes[name] - real))
print(f"real digits {real:.3f}; nearest: {nearest}; you predicted {my_cure}")
findings["w = 8: the cure nearest to the data's contrast"] = nearest

# %% [markdown]
# Both cures stop the explosion. But on two-tone digits plain clipping is right, since most real pixels *are* exactly black or white, and dynamic thresholding washes them out. Imagen's finding is about photographs. A trick carries over with its reason, not with its fame.
#
# ### A real noisy classifier
#
# Section 3 on digits: a small classifier, trained on noisy ones, guides the network *without* caption. **Predict** the share of right classes at scale 1, where theory says "plain conditioning".

# %% predict="my_led"
my_led = 0.9  # your prediction: share of right classes at s = 1


# %% tags=["experiment"]
# Experiment: a classifier of noisy digits guides
class NoisyClassifier(nn.Module):
    """log p(y given x_t) of digits, (B, 10)."""

    def __init__(self):
        super().__init__()
        self.body = networks.mlp([64 + 16, 128, 128, 10])
        self.register_buffer("waves", torch.arange(16) * math.pi / T)

    def forward(self, x, t):
        return self.body(torch.cat([x.flatten(1), (t[:, None] * self.waves).cos()], 1)).log_softmax(
            1
        )


def classifier_loss(net, x, y):
    t = torch.randint(1, T + 1, (len(x),), device=x.device)
    return F.nll_loss(net(q_sample(x, t, TABLE, torch.randn_like(x)), t), y)


seed_everything(0)
judge = NoisyClassifier().to(device)
fit(
    judge,
    classifier_loss,
    [train_x, train_y],
    steps=budget(1000),
    batch_size=128,
    label="loss of the classifier",
)
accuracies = []
for t in (1, 40, 80, 120, 160):
    times, noise = (
        torch.full((len(test_x),), t, device=device),
        normal(*test_x.shape, seed=15).float().to(device),
    )
    with torch.no_grad():
        accuracies.append(
            (judge(q_sample(test_x, times, TABLE, noise), times).argmax(1) == test_y)
            .double()
            .mean()
            .item()
        )
print("accuracy at t = 1, 40, 80, 120, 160:", ", ".join(f"{value:.2f}" for value in accuracies))
y, model = torch.arange(budget(200)) % 10, saying()
labels, nothing = y.to(device), torch.full_like(y, 10).to(device)
print("   s   right class   recognised")
for s in (0.0, 1.0, 3.0, 10.0):
    noise = normal(len(y), 1, 8, 8, seed=16).float().to(device)
    x = descend(
        lambda x, t, s=s: classifier_guided_eps(
            model(x, t, nothing), judge, x, t, labels, s, TABLE
        ),
        noise,
        TABLE,
        DDIM_TIMES,
    ).cpu()
    seen, sure = metrics.recognise(x, range=(-1, 1))
    print(f"{s:5g}{(seen == y).double().mean():12.3f}{(sure > 0.8).double().mean():13.3f}")
    if s == 1:
        findings["noisy classifier at s = 1: right class"] = f"{(seen == y).double().mean():.2f}"
print(f"you predicted a share of {my_led:g} right classes at s = 1")

# %% [markdown]
# Accuracy fades with $t$, as it must: nothing is left to classify. And $s = 1$ falls short of plain conditioning, because this classifier knows less than the conditional network does. One more reason why nobody trains one any more.
#
# ### A layout
#
# The network also reads layouts. Give it the whole map of ink of a test digit, and see whether the ink comes where it was asked for. **Predict** in which share of the pixels.

# %% predict="my_agreement"
my_agreement = 0.8  # your prediction: share of pixels whose ink agrees with the layout

# %% tags=["experiment"]
# Experiment: ink where it was asked for
wanted = (test_x[:100, 0] > 0).long()
empty = torch.full((100,), 10)
first, second = (draw(empty, 0.0, layout=wanted, seed=seed) for seed in (17, 18))
agree = ((first[:, 0] > 0) == wanted.cpu()).double().mean().item()
stranger = ((first[:, 0] > 0) == wanted.cpu().roll(1, 0)).double().mean().item()
between = (first - second).abs().mean().item() / 2
alike = test_y[:, None] == test_y  # pairs of test digits of one class, itself left out
apart_by = torch.cdist(test_x.flatten(1), test_x.flatten(1), p=1) / 128
in_class = apart_by[alike & ~torch.eye(len(test_y), dtype=torch.bool, device=device)].mean().item()
fig, _ = plots.image_grid(
    torch.cat([2.0 * wanted[:10].cpu() - 1, first[:10, 0], second[:10, 0]]),
    10,
    range=(-1, 1),
    zoom=6,
    labels=["layout", "one", "another"],
    title=f"Ink agrees in {agree:.1%} of the pixels",
)
plots.show(fig, alt="Ten layouts, and below each two digits drawn with it.")
print(f"another digit's layout would agree in {stranger:.1%}; you predicted {my_agreement:.0%}")
print(
    f"two digits of one layout differ by {between:.3f} of the range a pixel, two real ones of a class by {in_class:.3f}"
)
findings["ink agrees with the layout, and with a stranger's"] = f"{agree:.1%} and {stranger:.1%}"

# %% [markdown]
# The map is obeyed, and it leaves the grey levels free: two digits of one layout differ nearly as much as two real digits of a class.
#
# ## 9 · Filling a hole
#
# The third door needs no training at all. You have an unconditional network, and a picture of which a part is missing. Call the known part $x_k$ and the unknown one $x_u$. The obvious idea: walk back as usual, and after every step *replace* the known part by what it should look like at that level. Is that right?
#
# $$q(x_{t,u}, x_{t,k} \mid x_k) = q(x_{t,u} \mid x_k)\; q(x_{t,k} \mid x_k) \tag{19}$$
#
# *given the clean $x_k$, the noise on the known part is independent of everything else.* So the known part at level $t$ may be drawn by itself, from $q(x_t \mid x_0)$. As far as it goes, replacing is right.
#
# ### Exercise: `inpaint_step` · ●●○ · 5 minutes · 2 points
#
# One step of Algorithm 2 where nothing is known, and the known part at its new level elsewhere.


# %% exercise="inpaint_step"
def inpaint_step(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    """x_{t-1} from x_t where a part of x_0 is known.

    Where mask is False: lesson 06's `p_step` (given above) with the posterior variance and noise z.
    Where mask is True: a draw from q(x_{t-1} given x_0 = known), with noise z_known.

    Args:
        xt, eps_hat: (B, *event).
        known: like xt; where mask is False it may hold anything, NaN too.
        mask: bool, True where x_0 is known; broadcasts to xt by the usual rule: (W,),
            (1, 1, 1, W), (B, 1, 1, 1) or like xt.
        t: LongTensor (B,), 1 <= t <= T; its entries may differ.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        z, z_known: like xt, finite.

    Returns:
        Like xt; at t = 1 the known part is exactly `known`. Inputs stay as they are.
    """
    ### BEGIN SOLUTION
    free = p_step(xt, eps_hat, t, alpha_bar, z)
    return torch.where(mask, q_sample(known, t - 1, alpha_bar, z_known), free)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>You have both parts as functions of earlier lessons. At which level is the result?</details>
# <details><summary>Hint 2: the idea</summary>The step ends at t - 1, so the known part is noised to t - 1. And 0 times NaN is NaN: choose, do not multiply.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.where(mask, q_sample(...), p_step(...))</code></details>

# %% checks="inpaint_step"
# Checks of inpaint_step
xt, eps_hat, known, z, z_known = (normal(4, 1, 2, 3, seed=s) for s in range(20, 25))
t = torch.tensor([6, 1, 3, 2])
right_column = torch.tensor([False, False, True])
got = inpaint_step(xt, eps_hat, known, right_column, t, SHORT, z, z_known)
expect(
    got[..., :2],
    p_step(xt, eps_hat, t, SHORT, z)[..., :2],
    "inpaint_step: where nothing is known, a step of Algorithm 2",
    hint="p_step with its default variance and z; True is known",
)
expect(
    got[..., 2],
    q_sample(known, t - 1, SHORT, z_known)[..., 2],
    "inpaint_step: where it is known, q(x_{t-1} | x_0)",
    hint="the level after the step, and z_known",
)
expect(
    got[1, ..., 2],
    known[1, ..., 2],
    "inpaint_step: at t = 1 the known part is clean",
    hint="t - 1 = 0, and alpha_bar[0] = 1",
)
holes = torch.where(right_column, known, torch.nan)
expect(
    inpaint_step(xt, eps_hat, holes, right_column, t, SHORT, z, z_known),
    got,
    "inpaint_step: what is not known may be NaN",
    hint="torch.where chooses; a product with the mask lets NaN in",
)
some = torch.tensor([True, False, False, True]).reshape(4, 1, 1, 1)
pieces = [
    inpaint_step(xt, eps_hat, known, torch.tensor(flag), t, SHORT, z, z_known)
    for flag in (True, False)
]
expect(
    inpaint_step(xt, eps_hat, known, some, t, SHORT, z, z_known),
    torch.where(some, *pieces),
    "inpaint_step: a mask per example broadcasts",
    hint="no reshaping of the mask: torch.where broadcasts by itself",
)
expect(
    [xt, known],
    [normal(4, 1, 2, 3, seed=20), normal(4, 1, 2, 3, seed=22)],
    "inpaint_step: the inputs are still there",
    hint="make a new tensor instead of writing into one",
)

# %% [markdown]
# Judge it where the answer is known: the correlated Gaussian of lesson 01, first coordinate known to be 1.5. The other one, given that, is $\mathcal N(1.2, 0.36)$. With the perfect predictor every step is linear, so the law of the result can be computed without sampling. **Predict** the mean of the completed coordinate.


# %%
# Equation (19), and the exact law of a walk that replaces
level = SHORT[4]
rho = 0.8
# The covariance of (x_t,u, x_t,k, x_0,k), conditioned on its last entry.
joint = double(
    [
        [1.0, level * rho, level.sqrt() * rho],
        [level * rho, 1.0, level.sqrt()],
        [level.sqrt() * rho, level.sqrt(), 1.0],
    ]
)
given = joint[:2, :2] - joint[:2, 2:] @ joint[2:, :2] / joint[2, 2]
verify_equation(19, given, torch.diag(double([1 - level * rho**2, 1 - level])))


def inpaint_law(gaussian, known, mask, table, rounds=1, variance="posterior", fault=None):
    """Mean and covariance of x_0 when the known part is replaced at every level, for Gaussian data.

    Each step is x <- A x + b + noise. With more rounds, each step is undone by noise and repeated.
    Section 10 tries three faults: "level", "beta" and "deviations".
    """
    D = len(known)
    unit = torch.eye(D, dtype=torch.float64)
    keep, free = torch.diag(mask.double()), torch.diag((~mask).double())
    mean, cov = torch.zeros(D, dtype=torch.float64), unit.clone()
    for t in range(len(table) - 1, 0, -1):
        now, then = table[t], table[t - 1]
        alpha, beta = now / then, 1 - now / then
        inverse = torch.linalg.inv(now * gaussian.cov + (1 - now) * unit)
        A = (unit - beta * inverse) / alpha.sqrt()
        b = beta * inverse @ (now.sqrt() * gaussian.mean) / alpha.sqrt()
        noise = beta * (1 - then) / (1 - now) if variance == "posterior" else beta * (t > 1)
        level = now if fault == "level" else then
        A, b = free @ A, free @ b + keep @ (level.sqrt() * known)
        N = noise * free + (1 - level) * keep
        share, fresh = alpha, beta  # of one step forward
        if fault == "beta" and t > 1:
            share, fresh = then / table[t - 2], 1 - then / table[t - 2]
        if fault == "deviations":
            fresh = ((1 - now).sqrt() - ((1 - then) * alpha).sqrt()) ** 2
        root, fresh = share.sqrt(), fresh * unit
        for again in range(rounds - 1, -1, -1):
            mean, cov = A @ mean + b, A @ cov @ A.T + N
            if again == 0 or t == 1:
                break
            mean, cov = root * mean, share * cov + fresh
    return mean, cov


KNOWN, SEEN = double([1.5, 0.0]), torch.tensor([True, False])

# %% predict="my_completion"
my_completion = 1.2  # your prediction: mean of the completed coordinate (right is 1.2)

# %% tags=["experiment"]
# Experiment: a Gaussian completed by replacing
mean, cov = inpaint_law(exact.CORRELATED_GAUSSIAN, KNOWN, SEEN, ALPHA_BAR)
line = torch.linspace(-2, 4, 300, dtype=torch.float64)
fig, ax = plots.figure(height=3)
plots.curve(
    line,
    Normal(mean[1], cov[1, 1].sqrt()).log_prob(line).exp(),
    "model",
    label="by replacing",
    ax=ax,
)
plots.curve(line, Normal(1.2, 0.6).log_prob(line).exp(), "exact", label="given 1.5", ax=ax)
plots.curve(
    line,
    Normal(0.0, 1.0).log_prob(line).exp(),
    "noise",
    label="knowing nothing",
    ax=ax,
    linewidth=1.2,
)
plots.guess(ax, x=my_completion)
ax.set(
    xlabel="the other coordinate",
    ylabel="density",
    title=f"Mean {mean[1]:.3f}, variance {cov[1, 1]:.3f}; right: 1.2, 0.36",
)
plots.show(
    fig,
    alt="The density of the completed coordinate, the conditional one, and the one that knows nothing.",
)
print(f"you predicted a mean of {my_completion:g}")
findings["completed by replacing: mean, variance (right 1.2, 0.36)"] = (
    f"{mean[1]:.3f}, {cov[1, 1]:.3f}"
)

# %% [markdown]
# A perfect network, two hundred steps, and still far off. (19) was right, so where is the mistake? In the *step*. It uses the joint predictor, and that one believes what it sees: the *noisy* known part, as if nobody knew the clean one.
#
# ### Step: `pulls` · ●●● · 6 minutes
#
# Two standard normal coordinates with correlation $\rho$; the known one has the clean value $o$; $a = \bar\alpha_t$. At level $t$ the pair has variances 1 and covariance $a \rho$. Find two numbers. First, the joint score's entry for $x_u$, averaged over the noise of the known part, whose mean is $\sqrt a\, o$. Second, the score of what is right, $q(x_{t,u} \mid x_k = o)$.


# %% step="pulls"
def pulls(x_u, a, rho, o):
    """What pulls the unknown coordinate at level a, by the joint predictor and rightly.

    Args:
        x_u, a, rho, o: SymPy symbols: the unknown coordinate at level t, alpha_bar_t, the correlation
            of the clean pair, and the clean value of the known coordinate.

    Returns:
        (joint, right): the x_u entry of grad log q(x_{t,u}, x_{t,k}), averaged over q(x_{t,k} | o); and
        d/dx_u log q(x_{t,u} | x_k = o).
    """
    ### BEGIN SOLUTION
    joint = -(x_u - a * rho * sympy.sqrt(a) * o) / (1 - a**2 * rho**2)
    right = -(x_u - sympy.sqrt(a) * rho * o) / (1 - a * rho**2)
    return joint, right
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Both are scores of a Gaussian in x_u: minus (x_u less a mean) over a variance. Two means, two variances.</details>
# <details><summary>Hint 2: the idea</summary>The joint score's entry is the score of q(x_{t,u} given x_{t,k}), a regression on the noisy known part with covariance a rho and variance 1. It is linear in x_{t,k}, so averaging puts the mean there. For the second, the regression is on the clean value: covariance sqrt(a) rho.</details>
# <details><summary>Hint 3: nearly the line</summary>A regression on something of variance 1 with covariance c has the mean c times it and leaves the variance 1 - c squared. Use c = a rho once, at sqrt(a) o, and c = sqrt(a) rho once, at o.</details>

# %% checks="pulls"
# Checks of pulls
x_u, x_k, a, rho, o = sympy.symbols("x_u x_k a rho o", positive=True)
answer = pulls(x_u, a, rho, o)
pair = sympy.Matrix([x_u, x_k])
exponent = -(pair.T * sympy.Matrix([[1, a * rho], [a * rho, 1]]).inv() * pair)[0] / 2
expect_same(
    answer[0],
    sympy.diff(exponent, x_u).subs(x_k, sympy.sqrt(a) * o),
    "pulls: the joint score's entry, averaged",
    hint="the inverse of the pair's covariance matrix, and the mean of x_{t,k}",
)
triple = sympy.Matrix([x_u, o])
exponent = (
    -(triple.T * sympy.Matrix([[1, sympy.sqrt(a) * rho], [sympy.sqrt(a) * rho, 1]]).inv() * triple)[
        0
    ]
    / 2
)
expect_same(
    answer[1],
    sympy.diff(exponent, x_u),
    "pulls: the score given the clean value",
    hint="x_{t,u} and the clean x_k have variances 1 and covariance sqrt(a) rho",
)

# %% [markdown]
# <details><summary>Line (20), to compare with yours</summary>
#
# $$\underbrace{-\frac{x_u - a^{3/2} \rho\, o}{1 - a^2 \rho^2}}_{\text{joint, averaged}} \qquad \text{in place of} \qquad \underbrace{-\frac{x_u - a^{1/2} \rho\, o}{1 - a\, \rho^2}}_{\text{right}} \tag{20}$$
#
# *two regressions: on the noisy known part, and on the clean one.*
#
# </details>
#
# They agree at $a = 1$ and $a = 0$ only. In the middle of the walk, where the unknown part is decided, what the known part says arrives weakened by a factor $a$, and in full only when it is too late. The message is there, but it comes in a whisper.

# %%
# Equation (20), at one level
level, x_u, o, rho = double(0.5), 0.3, 1.5, 0.8
noised = exact.CORRELATED_GAUSSIAN.noised(level)
leaf = double([[level.sqrt() * o, x_u]]).requires_grad_()
(score,) = torch.autograd.grad(noised.log_prob(leaf).sum(), leaf)
verify_equation(20, score[0, 1], -(x_u - level**1.5 * rho * o) / (1 - level**2 * rho**2))
place = double(x_u).requires_grad_()
right = Normal(level.sqrt() * rho * o, (1 - level * rho**2).sqrt()).log_prob(place)
verify_equation(
    20, torch.autograd.grad(right, place)[0], -(x_u - level.sqrt() * rho * o) / (1 - level * rho**2)
)

# %% [markdown]
# And on digits? Take the upper half of two hundred test digits and let your network, without caption and layout, draw the lower half. A classifier that sees the upper half *alone* names the right class in about nine of ten. **Predict** how often the completed digit is what that classifier said.

# %% predict="my_agreeing"
my_agreeing = 0.8  # your prediction: share of completed digits that agree with the upper half


# %% tags=["experiment"]
# Experiment: the lower half of a digit
def named_by_halves():
    """The class that a classifier sees in the upper half alone, for 200 test digits."""
    from sklearn.svm import SVC

    def upper(x):
        return x[:, 0, :4].flatten(1).cpu().numpy()

    return torch.from_numpy(
        SVC(gamma=0.05, C=10)
        .fit(upper(train_x), train_y.cpu().numpy())
        .predict(upper(test_x[: budget(200)]))
    )


COARSE = TABLE[::5]  # 40 steps
UPPER = (torch.arange(8) < 4)[:, None].expand(8, 8).to(device)


def complete(x0, seed=20):
    """Digits whose lower half is drawn by replacing, (B, 1, 8, 8) on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    model, nothing = saying(), torch.full((len(x0),), 10, device=device)

    def fresh():
        return torch.randn(x0.shape, generator=generator).to(device)

    x = fresh()
    with torch.no_grad():
        for step in range(len(COARSE) - 1, 0, -1):
            t = torch.full((len(x0),), step, device=device)
            x = inpaint_step(x, model(x, 5 * t, nothing), x0, UPPER, t, COARSE, fresh(), fresh())
    return x.cpu()


halves = named_by_halves()
x0 = test_x[: len(halves)]
filled = complete(x0)
agree = (metrics.recognise(filled, range=(-1, 1))[0] == halves).double().mean().item()
own = (halves == test_y[: len(halves)].cpu()).double().mean().item()
grey = torch.where(UPPER.cpu(), x0.cpu(), 0.0)
fig, _ = plots.image_grid(
    torch.cat([grey[:10], filled[:10], x0[:10].cpu()]),
    10,
    range=(-1, 1),
    zoom=6,
    labels=["known", "filled", "true"],
    title=f"{agree:.0%} are completed as what their upper half says",
)
plots.show(
    fig, alt="Upper halves of ten digits, the digits completed by replacing, and the true digits."
)
print(
    f"agreement {agree:.3f} +- {(agree * (1 - agree) / 200) ** 0.5:.3f}; the upper half alone names {own:.1%} rightly"
)
print(f"you predicted {my_agreeing:g}")
findings["lower halves by replacing: agree with the upper half"] = f"{agree:.2f}"

# %% [markdown]
# The seam is smooth and the digit is often another one: the lower half was decided while the upper one still whispered. What helps is to train for it (a mask among the conditions, as the layout is), or to walk each stretch more than once, which section 10 does.
#
# ## 10 · Further: resampling
#
# RePaint (2022) repairs replacement without training: after each step, go a step *forward* again, and repeat. The two parts get time to agree. You need a forward step between any two levels.
#
# ### Exercise: `renoise` · ●●○ · 4 minutes · 1 point
#
# From $x_s$ to $x_t$ for any $s \le t$. What must hold: $s = t$ changes nothing, $s = 0$ is `q_sample`, $s = t - 1$ one forward step, and two jumps in a row have the law of one.


# %% exercise="renoise"
def renoise(xs, s, t, alpha_bar, eps):
    """A draw from q(x_t given x_s): forward again from time s to time t.

    Args:
        xs, eps: (B, *event); eps standard normal.
        s, t: LongTensor (B,), 0 <= s <= t <= T, a pair for each example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xs. s = t gives xs, s = 0 what `q_sample` gives, s = t - 1 one forward step.
    """
    ### BEGIN SOLUTION
    ratio = column(alpha_bar[t] / alpha_bar[s], xs)
    return ratio.sqrt() * xs + (1 - ratio).sqrt() * eps
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The steps from s to t are a forward process of their own, which begins at x_s. What is its alpha_bar?</details>
# <details><summary>Hint 2: the idea</summary>alpha_bar is a product of alphas. Which of them belong to the steps after s?</details>
# <details><summary>Hint 3: nearly the line</summary>Divide one entry of the table by another, and write <code>q_sample</code> with that number.</details>

# %% checks="renoise"
# Checks of renoise
x, eps = normal(5, 1, 2, 5, seed=30), normal(5, 1, 2, 5, seed=31)
s, t = torch.tensor([0, 3, 2, 5, 1]), torch.tensor([4, 3, 6, 6, 5])
got = renoise(x, s, t, SHORT, eps)
expect(
    got[0],
    q_sample(x, t, SHORT, eps)[0],
    "renoise: from s = 0 it is q_sample",
    hint="at s = 0 the table has 1",
)
expect(
    got[1],
    x[1],
    "renoise: s = t changes nothing",
    hint="no noise comes in where no step is taken; each example has its own pair",
)
beta = 1 - SHORT[6] / SHORT[5]
expect(
    got[3],
    (1 - beta).sqrt() * x[3] + beta.sqrt() * eps[3],
    "renoise: from t - 1 it is one step forward",
    hint="x_s is shrunk by a root, and the noise that comes in is the root of what is left to 1",
)
factor = renoise(torch.ones_like(x), s, t, SHORT, 0 * eps)
fresh = renoise(0 * x, s, t, SHORT, torch.ones_like(eps))
level = SHORT[s].reshape(5, 1, 1, 1)
expect(
    factor**2 * (1 - level) + fresh**2,
    (1 - SHORT[t]).reshape(5, 1, 1, 1).expand_as(x),
    "renoise: the old noise and the new one have together the variance of level t",
    hint="variances of independent noises add up, after the old one has shrunk",
)
verify_equation(
    21,
    factor.flatten(1)[:, 0] ** 2,
    SHORT[t] / SHORT[s],
    of="renoise",
    hint="the signal of x_s must become that of level t",
)
expect(
    x,
    normal(5, 1, 2, 5, seed=30),
    "renoise: the inputs are still there",
    hint="make a new tensor instead of writing into one",
)

# %% [markdown]
# <details><summary>Line (21), to compare with yours</summary>
#
# $$x_t \mid x_s \sim \mathcal N \Big( \sqrt{\bar\alpha_t / \bar\alpha_s}\; x_s,\; \big( 1 - \bar\alpha_t / \bar\alpha_s \big) I \Big) \tag{21}$$
#
# *the steps from $s$ to $t$ are a forward process whose $\bar\alpha$ is the product of their alphas. Variances add, not standard deviations: $1 - \bar\alpha_t = \frac{\bar\alpha_t}{\bar\alpha_s} (1 - \bar\alpha_s) + \big( 1 - \frac{\bar\alpha_t}{\bar\alpha_s} \big)$.*
#
# </details>
#
# For Gaussian data the whole of it, replacing, stepping forward, repeating, is still linear. Mean and covariance follow
#
# $$m \leftarrow A\, m + b, \qquad C \leftarrow A\, C\, A^\top + N \tag{22}$$
#
# *for each step back with its replacement, where $A = \Pi_u (I - \beta_t S_t) / \sqrt{\alpha_t}$ with $S_t = (\bar\alpha_t \Sigma + (1 - \bar\alpha_t) I)^{-1}$ and $\Pi_u$ keeps the unknown part; and for each step forward, where $A = \sqrt{\alpha_t}\, I$ and $N = \beta_t I$.* That is `inpaint_law` above.

# %%
# Equation (22): the recursion against 200,000 walks, two rounds, by your functions
start, count = exact.CORRELATED_GAUSSIAN, 200_000
mean, cov = inpaint_law(start, KNOWN, SEEN, SHORT, rounds=2)
generator = torch.Generator().manual_seed(32)


def fresh_pairs():
    return torch.randn(count, 2, generator=generator, dtype=torch.float64)


x = fresh_pairs()
for step in range(6, 0, -1):
    t = torch.full((count,), step)
    for again in (1, 0):
        eps_hat = start.best_eps(x, SHORT[step])
        x = inpaint_step(
            x, eps_hat, KNOWN.expand(count, 2), SEEN, t, SHORT, fresh_pairs(), fresh_pairs()
        )
        if again == 0 or step == 1:
            break
        x = renoise(x, t - 1, t, SHORT, fresh_pairs())
drawn = x[:, 1]
verify_equation(22, mean[1], drawn.mean(), standard_error=drawn.std().item() / count**0.5)
verify_equation(22, cov[1, 1], drawn.var(), standard_error=drawn.var().item() * (2 / count) ** 0.5)

# %% [markdown]
# More rounds should bring the mean home to 1.2. And the variance, 0.36? **Predict** it after a hundred rounds, with the posterior variance in the step.

# %% predict="my_variance"
my_variance = 0.36  # your prediction: variance of the completed coordinate after 100 rounds

# %% tags=["experiment"]
# Experiment: rounds
counts = [1, 2, 5, 10, 20, 100]
fig, (left, right) = plots.figure(1, 2, width=9, height=3.1)
for variance, role, name, dash in (
    ("posterior", "model", "$\\tilde\\beta_t$", "-"),
    ("beta", "posterior", "$\\beta_t$", ":"),
):
    laws = [
        inpaint_law(exact.CORRELATED_GAUSSIAN, KNOWN, SEEN, ALPHA_BAR, n, variance) for n in counts
    ]
    plots.curve(
        counts,
        [m[1].item() for m, _ in laws],
        role,
        marker="o",
        linestyle=dash,
        label=name,
        ax=left,
    )
    plots.curve(
        counts,
        [c[1, 1].item() for _, c in laws],
        role,
        marker="o",
        linestyle=dash,
        label=name,
        ax=right,
    )
    findings[f"100 rounds, step variance {variance}: mean, variance"] = (
        f"{laws[-1][0][1]:.3f}, {laws[-1][1][1, 1]:.3f}"
    )
    if variance == "posterior":
        left.set_title(f"100 rounds: mean {laws[-1][0][1]:.3f}")
        right.set_title(f"posterior variance: {laws[-1][1][1, 1]:.3f} after 100 rounds")
for ax, truth, what in ((left, 1.2, "mean"), (right, 0.36, "variance")):
    ax.axhline(truth, color=plots.COLOR["exact"], linestyle="--", label="right")
    ax.set(xscale="log", xlabel="rounds", ylabel=what)
    ax.legend()
plots.guess(right, y=my_variance)
plots.show(
    fig,
    alt="Mean and variance of the completed coordinate against the number of rounds, for two variances of the step.",
)
# The digits' own Gaussian, upper half of a digit known: squared Frechet distance to the exact conditional.
digits = exact.GaussianData.fit(train_x.flatten(1).cpu())
digits = exact.GaussianData(digits.mean, digits.cov + 1e-3 * torch.eye(64).double())
picture = data.companion_digit(range=(-1, 1)).flatten().cpu().double()
top = torch.arange(64) < 32
gain = digits.cov[~top][:, top] @ torch.linalg.inv(digits.cov[top][:, top])
truth = exact.GaussianData(
    digits.mean[~top] + gain @ (picture - digits.mean)[top],
    digits.cov[~top][:, ~top] - gain @ digits.cov[top][:, ~top],
)
print("digits' own Gaussian, 40 steps: rounds, and squared distance to the right conditional")
for variance in ("posterior", "beta"):
    row = []
    for n in (1, 2, 5, 10, 20):
        m, C = inpaint_law(digits, picture, top, ALPHA_BAR[::5], n, variance)
        half = C[~top][:, ~top]
        row.append(exact.frechet_distance(exact.GaussianData(m[~top], (half + half.T) / 2), truth))
    print(
        f"{variance:10}"
        + "".join(f"{n:>8} {value:.3f}" for n, value in zip((1, 2, 5, 10, 20), row, strict=True))
    )

# %% [markdown]
# The mean comes home, and with $\tilde\beta_t$ the spread goes *past* its goal: each round repeats a step that is a little too sure of itself, lesson 05's "$\tilde\beta_t$ is dear". With $\beta_t$ it stops where it should.
#
# RePaint as printed, and as two libraries have it, adds mistakes of its own. *Level*: the known part of $x_{t-1}$ is noised to level $t$. *Beta*: the step forward from $t - 1$ takes $\beta_{t-1}$. *Deviations*: the noise that comes in is the difference of standard deviations, where variances subtract. Ten steps and ten rounds show what each costs. **Predict** which of the three leaves the mean of the completed coordinate exactly where the right recursion has it.

# %% predict="my_harmless"
my_harmless = "level"  # your prediction: "level", "beta" or "deviations" does not move the mean

# %% tags=["experiment"]
# Experiment: three faults, on ten steps and on two hundred
TEN = alpha_bar_from_beta(linear_beta(10, 0.02, 0.6))
moved = {}
print("steps  fault        completed: mean, variance   known: mean, variance")
for table in (TEN, ALPHA_BAR):
    for fault in (None, "level", "beta", "deviations"):
        m, C = inpaint_law(exact.CORRELATED_GAUSSIAN, KNOWN, SEEN, table, 10, fault=fault)
        print(
            f"{len(table) - 1:5}  {fault or 'none':11}{m[1]:14.3f}, {C[1, 1]:.3f}{m[0]:20.3f}, {C[0, 0]:.3f}"
        )
        if table is TEN:
            moved[fault] = m[1].item()
still = [f for f in moved if f and abs(moved[f] - moved[None]) < 1e-9]
print(f"mean not moved by: {', '.join(still)}; you predicted {my_harmless}")

# %% [markdown]
# Wrong deviations do not move the mean, because the predictor is linear: means never hear of the noise. Only the variance tells, and it is half of what it should be, on two hundred steps too. *Beta* spoils both. *Level* hardly harms the unknown part, but the known one never becomes clean. With two hundred steps these two nearly vanish: test on short schedules. Your `inpaint_step` and `renoise` have none of these faults.
#
# Five rounds on the digits' lower halves:


# %% tags=["experiment"]
# Experiment: five rounds on digits; it takes about 5 seconds
def complete_in_rounds(x0, rounds, seed=20):
    """Digits whose lower half is drawn by replacing with several rounds, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    model, nothing = saying(), torch.full((len(x0),), 10, device=device)

    def fresh():
        return torch.randn(x0.shape, generator=generator).to(device)

    x = fresh()
    with torch.no_grad():
        for step in range(len(COARSE) - 1, 0, -1):
            t = torch.full((len(x0),), step, device=device)
            for again in range(rounds - 1, -1, -1):
                x = inpaint_step(
                    x, model(x, 5 * t, nothing), x0, UPPER, t, COARSE, fresh(), fresh()
                )
                if again == 0 or step == 1:
                    break
                x = renoise(x, t - 1, t, COARSE, fresh())
    return x.cpu()


halves = named_by_halves()
for rounds in (1, 5):
    filled = complete_in_rounds(test_x[: len(halves)], rounds)
    agree = (metrics.recognise(filled, range=(-1, 1))[0] == halves).double().mean().item()
    print(
        f"rounds {rounds}: agreement {agree:.3f} +- {(agree * (1 - agree) / len(halves)) ** 0.5:.3f}"
    )
findings["lower halves, five rounds: agree with the upper half"] = f"{agree:.2f}"

# %% [markdown]
# Better, and far from what the upper half knows. **How many rounds does it take?** Drag, and change how much the two coordinates have to tell each other.


# %%
# Drag: rounds of resampling
BRIEF = alpha_bar_from_beta(linear_beta(50, 2e-3, 0.4))


def draw_rounds(rounds, correlation, observed):
    """The completed coordinate after some rounds, and the exact conditional."""
    pair = exact.GaussianData([0.0, 0.0], double([[1.0, correlation], [correlation, 1.0]]))
    mean, cov = inpaint_law(pair, double([observed, 0.0]), SEEN, BRIEF, rounds)
    line = torch.linspace(-4, 4, 300, dtype=torch.float64)
    fig, ax = plots.figure(width=6, height=2.9)
    plots.curve(
        line,
        Normal(mean[1], cov[1, 1].sqrt()).log_prob(line).exp(),
        "model",
        label="completed",
        ax=ax,
    )
    right = Normal(correlation * observed, (1 - correlation**2) ** 0.5)
    plots.curve(line, right.log_prob(line).exp(), "exact", label="right", ax=ax)
    ax.plot([observed], [0], "o", color=plots.COLOR["data"], clip_on=False, label="the known value")
    ax.legend()
    ax.set(xlabel="the unknown coordinate", ylabel="density", ylim=(0, None))
    ax.set_title(
        f"mean {mean[1]:.2f} for {correlation * observed:.2f}, variance {cov[1, 1]:.2f} for {1 - correlation**2:.2f}"
    )
    return fig, ax


widgets.explore(
    draw_rounds,
    alt="The density of the completed coordinate and the right one, with the known value as a point.",
    rounds=(1, 10, 1),
    correlation=(0.0, 0.95, 0.8),
    observed=(-2.0, 2.0, 1.5),
)

# %% [markdown]
# ## 11 · Further: two stages
#
# DALL-E 2 draws in two stages: first a *prior* turns the caption $y$ into an image embedding $z$, then a *decoder* turns $z$ into a picture. With the law of total variance, where $y$ acts through $z$ alone,
#
# $$p(x \mid y) = \int p(x \mid z)\, p(z \mid y)\, dz, \qquad \operatorname{Var}(x \mid y) = \mathbb E \operatorname{Var}(x \mid z) + \operatorname{Var}\, \mathbb E[x \mid z] \tag{23}$$
#
# *given $y$ throughout.* The paper reports that guidance on the decoder costs no diversity, unlike guidance on everything. Why? Exactly, with Gaussians: $z \mid y \sim \mathcal N(1, 0.4)$, $x \mid z \sim \mathcal N(z, 0.1)$, all the data $\mathcal N(0, 1.5)$. Guide by $y$ directly, or draw $z$ and guide the decoder by $z$, or feed the decoder with the mean of $z$. **Predict** the variance of the two-stage samples at $w = 3$; without guidance it is 0.5.

# %% predict="my_two_stage"
my_two_stage = 0.02  # your prediction: variance with a guided decoder at w = 3

# %% tags=["experiment"]
# Experiment: two stages, and equation (23)
zero, one = double([0.0]), double([1.0])
V, r, all_data = 0.4, double([0.1]), double([1.5])
print("            by y directly      z drawn, decoder guided   decoder fed with the mean of z")
for w in (0.0, 1.0, 3.0):
    at_0, left = guided_gaussian(zero, r, zero, all_data, w, FINE)  # the decoder at z = 0
    at_1, _ = guided_gaussian(one, r, zero, all_data, w, FINE)  # its mean is affine in z
    gain = at_1 - at_0
    two = gain**2 * V + left
    if w == 1:  # (23) by drawing z
        drawn = (
            at_0
            + gain * (1 + V**0.5 * normal(100_000, 1, seed=40))
            + left.sqrt() * normal(100_000, 1, seed=41)
        )
        by_law = two
    direct = guided_gaussian(one, r + V, zero, all_data, w, FINE)
    numbers = [*direct, at_0 + gain, two, at_0 + gain, left]
    print(
        f"w = {w:g}   "
        + "        ".join(
            f"{a.item():8.3f}, {b.item():.3f}"
            for a, b in zip(numbers[::2], numbers[1::2], strict=True)
        )
    )
    if w == 3:
        findings["two stages at w = 3: variance by y directly, with a guided decoder"] = (
            f"{direct[1].item():.3f}, {two.item():.3f}"
        )
verify_equation(23, by_law, drawn.var(), standard_error=drawn.var().item() * (2 / 100_000) ** 0.5)
print(f"you predicted {my_two_stage:g}")

# %% [markdown]
# Each guided draw of the decoder is narrow, but the variety that $z$ carries passes through. Feed the decoder with the *mean* of $z$, though, and the second term of (23) is gone.
#
# ## 12 · Order a digit
#
# The prize. First a film: ten digits walk out of the same noise, above without guidance, below at $w = 3$. Watch when they make up their minds.


# %% tags=["experiment"]
# The prize: ten digits out of one noise
def films(w, seed=50):
    """The walk of ten digits from one common noise, (21, 10, 8, 8)."""
    x = (
        torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        .expand(10, 1, 8, 8)
        .to(device)
    )
    model, labels, frames = saying(), torch.arange(10, device=device), [x.cpu()]
    with torch.no_grad():
        for t, s in pairwise(DDIM_TIMES):
            eps = cfg_eps(model, x, torch.full((10,), t, device=device), labels, w, 10)
            x = ddim_step(x, eps, t, s, TABLE)
            frames.append(x.cpu())
    return torch.stack(frames)[:, :, 0]


film.show(
    torch.cat([films(0.0), films(3.0)], 1),
    10,
    "Ten digits emerge from one and the same noise, each in its column: above without guidance, below at w = 3.",
    range=(-1, 1),
)

# %% [markdown]
# And now it is your turn. **A heavy, leaning seven?**


# %%
# Drag: your own order
ORDERS = torch.cartesian_prod(torch.arange(1, 11), torch.tensor([12, 11]), torch.tensor([14, 13]))


@cache
def ordered(digit, stroke, lean, w):
    """Eight digits of one caption, (8, 1, 8, 8)."""
    caption = torch.tensor([[1 + digit, WORDS.index(stroke), WORDS.index(lean)]])
    return draw(
        torch.zeros(8, dtype=torch.long),
        w,
        table_of(caption),
        seed=51,
        times=list(range(T, -1, -20)),
    )


def draw_order(digit, stroke, lean, w):
    """A row of digits to order."""
    title = f"a {stroke}, {lean} {digit}, w = {w:g}"
    return plots.image_grid(ordered(digit, stroke, lean, w), 4, range=(-1, 1), zoom=16, title=title)


widgets.explore(
    draw_order,
    alt="Eight digits drawn by your caption.",
    digit=[7, 0, 1, 2, 3, 4, 5, 6, 8, 9],
    stroke=["heavy", "light"],
    lean=["leaning", "upright"],
    w=[2.0, 0.0, 1.0, 4.0],
)

# %% [markdown]
# ## 13 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="what_guidance_samples" points=3
# ### Question: `what_guidance_samples` · ●●○ · 10 minutes · 3 points
#
# Somebody writes: "with classifier-free guidance we sample from $p(x \mid y)^{1 + w}\, p(x)^{-w}$, after all every $\hat\epsilon$ belongs to exactly that density." Answer in at most twelve sentences, with numbers from this notebook.
#
# 1. What is right about the sentence, and where exactly does it go wrong?
# 2. Name one consequence, with a number.
# 3. What would one need to sample the tilted density, and when does the difference not matter?
#
# ### BEGIN MARK SCHEME
# 1 point: at each $t$ the guided $\hat\epsilon$ is the noise of $q_w(x_t) \propto q(x_t)\, (\mathbb E[p(y \mid x_0) \mid x_t])^s$; but data tilted by $p(y \mid x_0)^s$ and then noised have $\mathbb E[p(y \mid x_0)^s \mid x_t]$ there. Power and average do not commute, so the $q_w$ of different $t$ are not one density noised, and the walk need not end in the $q_w$ of $t = 0$. "It is approximate" or "too large a $w$ leaves the data" alone earns nothing.
#
# 1 point: one consequence with a number: the companion at $w = 3$, where DDIM gives about 2.04 ± 0.38 and tilting changes nothing (1.5 ± 0.6); or the three variances 0.25, 0.3875 and 0.5 at $v_c = 1$, $v_u = 2$, $w = 2$: even the sampler matters; or DDPM's 1.67 ± 0.56 beside DDIM's.
#
# 1 point: the remedy or the limit: the predictor of the tilted data themselves, $\mathbb E[\epsilon \mid x_t]$ under $\tilde p$ (`points_eps`); no difference at $s = 0$ and $s = 1$, or where $x_t$ already fixes the label.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. Right is that at each level $t$ by itself the guided noise is the noise of $q_w(x_t) \propto q(x_t \mid y)^{1+w} q(x_t)^{-w} \propto q(x_t)\, p(y \mid x_t)^s$. But $p(y \mid x_t)$ is an average over clean data, so this is $q(x_t) (\mathbb E[p(y \mid x_0) \mid x_t])^s$. Noise put on the tilted data gives $q(x_t)\, \mathbb E[p(y \mid x_0)^s \mid x_t]$. The power of an average is not the average of the power, and the ratio of the two depends on $x_t$. So the densities $q_w$ of the different levels are not one density with more and more noise, and a walk along their scores need not end at the last of them.
# 2. In the companion $p(y \mid x_0)$ is 0 or 1 wherever there are data, so tilting changes nothing, 1.500 ± 0.600. Guided DDIM at $w = 3$ gives 2.038 ± 0.378, and guided DDPM about 1.67 ± 0.56: another law from the same predictor.
# 3. One needs the best predictor for the tilted data, which averages with the weights $p(x_0)\, p(y \mid x_0)^s$; with it the distance fell from 0.8 to below 0.01. Nothing is wrong at $w = -1$ and $w = 0$, nor where $x_t$ already settles the label.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:76} {value}")

# %% [markdown]
# * The way there knows no label (1); the way back is an old problem for each label (2), and dropping labels gives the unlabelled answer for nothing (3). Without a label the classes' answers are averaged by the classifier of $x_t$ (4, 5), which is an average over clean pictures (6).
# * Scale 1 with the right classifier is plain conditioning (7 to 9). The classifier is in the network already (11).
# * Each guided noise belongs to a sharpened density (12), but those of different levels do not fit together (13, 14). For Gaussians the law is exact (16, 17), it depends on the sampler, and it is not the tilted one. The right predictor tilts first (15).
# * Words come in by attention (18), a layout by channels. On digits each picture gets better with $w$ and the set gets worse.
# * Replacing the known part is right for the known part (19) and wrong for the step (20). Going forward again (21, 22) helps, and two stages keep the variety that guidance takes (23).
# * Slides corrected: the difference alone, guidance without a scale, a classifier of clean pictures, "very blurry", one letter for two conventions.
#
# ### Test yourself
#
# <details><summary>1. A library's guidance_scale is 1. What do you get, and how many calls of the network does it need?</summary>
#
# Plain conditioning: $s = 1$ is $w = 0$. One call per step would do; the unlabelled answer is multiplied by 0.
# </details>
#
# <details><summary>2. Your network was trained with p = 0. You guide it with w = 2. What happens?</summary>
#
# The unlabelled answer was never trained, so it is arbitrary, and guidance pushes along (labelled less arbitrary). Your error table says how wrong it is. Train with dropped labels, or take a second, unlabelled network.
# </details>
#
# <details><summary>3. You inpaint with 1,000 steps instead of 200. Does the bias of replacing go away?</summary>
#
# No. (20) is about what the predictor believes at each level, not about the size of the steps. Rounds help, or a network that is told the mask.
# </details>
#
# ### What comes next
#
# Everything here happened on 64 pixels. Pictures of a million pixels are first made small by an autoencoder, and the diffusion happens there.
#
# ### References
#
# * P. Dhariwal, A. Nichol, *Diffusion models beat GANs on image synthesis*, NeurIPS 2021: classifier guidance, Algorithms 1 and 2.
# * J. Ho, T. Salimans, *Classifier-free diffusion guidance*, 2021 (arXiv 2207.12598): (11), with this $w$.
# * A. Bradley, P. Nakkiran, *Classifier-free guidance is a predictor-corrector*, 2024 (arXiv 2408.09000): the Gaussian example, and that DDIM and DDPM sample different laws.
# * A. Nichol and others, *GLIDE*, ICML 2022: words by attention, guidance by captions. A. Ramesh and others, *Hierarchical text-conditional image generation with CLIP latents*, 2022: the prior and the decoder.
# * C. Saharia and others, *Photorealistic text-to-image diffusion models with deep language understanding*, NeurIPS 2022: dynamic thresholding.
# * A. Vaswani and others, *Attention is all you need*, NeurIPS 2017: (18).
# * A. Lugmayr and others, *RePaint: inpainting using denoising diffusion probabilistic models*, CVPR 2022. Y. Song and others, *Score-based generative modeling through stochastic differential equations*, ICLR 2021: replacement.
