# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 07 · The slope of a density: scores, Langevin dynamics, and diffusion in continuous time
#
# In lesson 06 you walked from noise to digits in two hundred steps, and one line there said that the network had learned a slope: the score. This lesson takes that line seriously. What can be done
# with a slope alone? How is it learned, what goes wrong, and what becomes of a thousand small steps when there are infinitely many of them?
#
# **At the end you can**
#
# 1. say what a score is, learn one from samples in three ways, and prove that they ask for the same thing;
# 2. sample with Langevin dynamics, compute where it ends, and name the three ways in which it fails;
# 3. repair it with noise levels (NCSN), and say why each level gets the step that it gets;
# 4. derive the limit of small steps (the VP SDE), turn it around, and leave out its noise;
# 5. show that DDIM and flow matching are Euler's method on one and the same curve, and beat both with a second-order step;
# 6. compute exact log-likelihoods along the flow, and say what a well-known bound does *not* say about them.
#
# **You need** lessons 04 to 06: $\bar\alpha_t$, the posterior, `ddpm_loss`, `ddim_step`; KL divergence from 01. From calculus the derivative, integration by parts, and Taylor's formula; no stochastic calculus.
#
# **Time** a little under four hours, best in three sittings (1 to 3: 65 minutes, 4 and 5: 45, 6 to 9: 120). Parts headed *Further*, another half hour, may be skipped: nothing later needs them.
# The notebook itself computes for about two minutes on two processor cores.
#
# | section | minutes |
# |---|---|
# | 1 A slope instead of a density | 8 |
# | 2 Learning a score | 42 |
# | 3 You have had it since lesson 05 | 13 |
# | 4 Walking uphill with noise | 30 |
# | 5 Annealing | 14 |
# | 6 A thousand steps become one equation | 47 |
# | 7 No noise at all: the flow | 35 |
# | 8 Exact likelihoods, and what a bound does not say | 27 |
# | 9 In your own words | 14 |

# %% [markdown]
# **Notation.** As in lessons 04 to 06; the new symbols stand below the line of dots.
#
# | symbol | code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t` | the time of a chain with $T$ steps; a LongTensor `(B,)` |
# | $\bar\alpha_t$ | `alpha_bar[t]` | share of the variance of $x_0$ that $t$ steps keep; tables have $T + 1$ entries |
# | $\epsilon$, $\hat\epsilon$ | `eps`, `model(xt, t)` | the noise in $x_t$, and a network's guess of it |
# | $z$ | `z`, `noise[k]` | fresh standard normal noise, drawn while sampling |
# | $\lambda$ | `variance`, `eigenvalues` | variance of the data along one of its principal axes |
# | ··· | | |
# | $s(x) = \nabla \log p(x)$ | `score`, `score_fn(x, ...)` | the score of a density $p$; $s_\theta$ is a model of it |
# | $D$ | | how many numbers one data point has |
# | $\operatorname{div} f = \sum_i \partial f_i / \partial x_i$ | `divergence` | how much a field $f$ spreads at a point: the trace of its Jacobian $J$ |
# | $\sigma$ | `sigma` | size of the noise in $y = x_0 + \sigma \epsilon$, where nothing is shrunk; lesson 06 called it $r$, and $y$ was $\bar x$ |
# | $q_\sigma$, $I(p)$ | | the law of $y$; and $I(p) = \mathbb E_p \Vert s \Vert^2$, the Fisher information |
# | $a$ | `step_size` | variance of the noise in one Langevin step |
# | $\tau \in [0, 1]$ | `tau`, `taus` | continuous time, $\tau = t / T$ in the limit; a floating tensor |
# | $\beta(\tau)$ | `rate` | noise added per unit of $\tau$: $\beta_t = \beta(\tau) / T$. $\bar\alpha(\tau)$ is the limit of $\bar\alpha_t$ |
# | $w$, $\bar w$ | | Brownian motion: independent normal increments, of variance $d\tau$ in a time $d\tau$; $\bar w$ for one that runs backwards |
# | $\eta$ | `eta` | how much fresh noise the way back uses: 0 none, 1 as much as the way there |
# | $p_\tau$, $v(\tau)$ | | the law of $x_\tau$; for Gaussian data, its variance along one axis |
# | $\ell$ | `log_snr` | $\log \frac{\bar\alpha}{1 - \bar\alpha}$, the log-SNR of lesson 04; used under *Further* alone |
#
# **VP** ("variance preserving") is the noising you know, $x = \sqrt{\bar\alpha}\, x_0 + \sqrt{1 - \bar\alpha}\, \epsilon$. **VE** ("variance exploding") only adds: $y = x_0 + \sigma \epsilon$. Divide the first by $\sqrt{\bar\alpha}$ and you have the second, with $\sigma = \sqrt{(1 - \bar\alpha) / \bar\alpha}$.
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, the companions, and draws of noise
import math
from functools import cache
from itertools import pairwise

import numpy
import sympy
import torch
from torch.distributions import Normal

from course_lib import (
    budget,
    data,
    exact,
    expect,
    film,
    fit,
    get_device,
    metrics,
    networks,
    plots,
    schematic,
    seed_everything,
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


def normal(*shape, seed=0):
    """Standard normal draws in double precision, the same for a seed on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# %% [markdown]
# **The lesson on one page.** Above, noise is added until nothing is left. Below, two ways lead back: a shaky one, with fresh noise at every step, and a smooth one, with none. Whoever knows the score can walk both.


# %% tags=["experiment"]
# Schematic: the way there, and two ways back
def story():
    """The lesson on one page."""
    fig, ax = schematic.canvas(6.2, 3.0)
    schematic.node(ax, (0.75, 1.6), "data\n$p_0$", "data", shape="box", size=(1.0, 0.9))
    schematic.node(ax, (5.45, 1.6), "noise\n$N(0, I)$", "prior", shape="box", size=(1.1, 0.9))
    score_node = schematic.node(
        ax,
        (3.1, 1.6),
        "score\n$\\nabla \\log p_\\tau(x)$",
        shape="box",
        size=(1.6, 0.72),
        fontsize=12,
    )

    def shaky(start, end, bend, role, seed):
        """A path that trembles, with an arrow's head at its end."""
        share = torch.linspace(0, 1, 60)
        steps = torch.randn(60, generator=torch.Generator().manual_seed(seed)).cumsum(0)
        tremble = 0.028 * (steps - steps[0] - share * (steps[-1] - steps[0]))
        x = start[0] + share * (end[0] - start[0])
        y = start[1] + share * (end[1] - start[1]) + 4 * bend * share * (1 - share) + tremble
        ax.plot(x[:-4], y[:-4], color=plots.COLOR[role], linewidth=1.6)
        schematic.arrow(ax, (x[-5].item(), y[-5].item()), end, role=role)

    shaky((1.0, 2.15), (5.15, 2.15), 0.3, "noise", 3)
    schematic.label(ax, (3.1, 2.78), "forward SDE: noise comes in")
    schematic.arrow(ax, (4.85, 1.25), (1.3, 1.25), role="posterior", bend=0.32)
    schematic.arrow(ax, score_node, (3.1, 0.97), dashed=True)
    schematic.label(ax, (3.1, 0.74), "probability flow: no noise")
    shaky((5.2, 1.05), (0.95, 1.05), -0.6, "model", 5)
    schematic.label(ax, (3.1, 0.14), "reverse SDE: fresh noise at every step")
    return fig


plots.show(
    story(),
    alt="Data on the left, noise on the right. Above, a trembling arrow from data to noise, the forward SDE; below, "
    "from noise to data, a smooth arrow, the probability flow, and a trembling one, the reverse SDE. The score, in "
    "the middle, tells both ways back.",
)

# %% [markdown]
# **From lessons 04 to 06.** Schedules, the forward sample, Algorithm 1's loss, the step of DDIM without fresh noise, and the weight that the bound gives an error in the noise.


# %%
# From lessons 04 to 06, and a grid for integrals
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


def ddpm_loss(model, x0, t, eps, alpha_bar):
    return ((eps - model(q_sample(x0, t, alpha_bar, eps), t)) ** 2).mean()


def ddim_step(xt, eps_hat, t, s, alpha_bar):
    """From t to any earlier s with eta = 0, line (20) of lesson 06."""
    now, then = alpha_bar[t], alpha_bar[s]
    x0_hat = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    return then.sqrt() * x0_hat + (1 - then).sqrt() * eps_hat


def loss_weight_eps(t, alpha_bar):
    alpha = alpha_bar[t] / alpha_bar[t - 1]
    return (1 - alpha) / (2 * alpha * (1 - alpha_bar[t - 1]))


SHORT = alpha_bar_from_beta(linear_beta(6, 0.05, 0.5))  # every mistake is large here
LONG = alpha_bar_from_beta(linear_beta(1000))  # the usual thousand steps

# A fine grid on the line, for integrals: (8001, 1), and the distance of two neighbours.
LINE = torch.linspace(-14, 14, 8001, dtype=torch.float64)[:, None]
SPACING = (LINE[1] - LINE[0]).item()


def integral(values):
    """Of a function given on LINE."""
    return values.sum() * SPACING


def same(first, second):
    """Whether two SymPy expressions are equal for all values of their symbols."""
    return sympy.simplify(first - second) == 0


def named_ticks(ax, values):
    """Ticks of a logarithmic x axis at these values, and at no others."""
    ax.set_xticks(values, [str(value) for value in values])
    ax.minorticks_off()


def slope_of(log_density, x):
    """Its gradient at every row of x, by automatic differentiation."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(log_density(x).sum(), x)[0]


# %% [markdown]
# ## 1 · A slope instead of a density
#
# A network can be any function, so let it be a density: compute a number $E(x)$, the *energy*, and say $p(x) = e^{-E(x)} / Z$. Nothing is ever negative, and the better $x$ fits, the lower its energy. There is one catch, and it is $Z = \int e^{-E(x)} dx$, which makes the density integrate to one.
# How much work is that? On a line a grid of a hundred points does it. Count the points of such a grid in the plane, and for a digit of 64 pixels.

# %% tags=["experiment"]
# Experiment: two energies of one density, and the price of Z
shown = LINE.abs()[:, 0] < 4
fig, (left, right) = plots.figure(1, 2, width=9, height=3.2)
curves = {}
for factor, role in ((1.0, "data"), (7.0, "model")):
    unnormalised = factor * MIXTURE.log_prob(LINE).exp()
    curves[factor] = torch.gradient(unnormalised.log(), spacing=SPACING)[0][shown]
    name = f"$e^{{-E}}$ with $Z = {factor:g}$"
    style = {"linestyle": "-" if factor == 1 else (0, (4, 3)), "linewidth": 3 if factor == 1 else 2}
    plots.curve(LINE[shown, 0], unnormalised[shown], role, label=name, ax=left, **style)
    plots.curve(LINE[shown, 0], curves[factor], role, label=name, ax=right, **style)
apart = (curves[1.0] - curves[7.0]).abs().max().item()
left.set(
    xlabel="$x$", ylabel="$e^{-E(x)}$", title="Two curves; only one is a density", ylim=(-0.2, 4.4)
)
right.set(xlabel="$x$", ylabel="slope of the logarithm")
one_slope = "One slope" if apart < 1e-6 else f"Slopes that differ by up to {apart:.2g}"
right.set_title(one_slope)
plots.show(
    fig,
    alt="Left: the mixture's density and seven times it. Right: the slope of the logarithm of each. "
    f"{one_slope}.",
)
for name, dims in (("the line", 1), ("the plane", 2), ("a digit of 8 x 8", 64)):
    print(f"grid points for Z on {name:17} 10^{2 * dims}")

# %% [markdown]
# $10^{128}$ points for the smallest picture. But look at the right panel: whatever $Z$ is, the *slope of the logarithm* does not contain it. Call that slope the **score**.
#
# $$s(x) = \nabla \log p(x) = \nabla \big( -E(x) - \log Z \big) = -\nabla E(x) \tag{1}$$
#
# *$\log Z$ is one number for all $x$, and the gradient of a constant is zero.* The score is a vector like $x$. It points where the density rises fastest, and its length says how fast the logarithm does. (Statisticians use the same word for the slope in a *parameter*; here it is always the slope in $x$.) For the mixture,
#
# $$s(x) = \frac{\sum_k w_k \nabla p_k(x)}{p(x)} = \sum_k \frac{w_k\, p_k(x)}{p(x)}\, \nabla \log p_k(x) = \sum_k r_k(x)\, s_k(x) \tag{2}$$
#
# *differentiate $\log \sum_k w_k p_k$; write $\nabla p_k = p_k \nabla \log p_k$; and recognise the responsibilities $r_k$ of lesson 01's E step.* Each component pulls towards its own centre, as strongly as it is responsible for the place.

# %%
# Equations (1) and (2)
# (1) and (2) at five places: with the factor 7 for 1/Z, by finite differences of log p, by both pulls.
x, h = double([[-3.0], [-1.9], [-0.4], [0.9], [2.5]]), 1e-5
by_energy = slope_of(lambda x: (7 * MIXTURE.log_prob(x).exp()).log(), x)[:, 0]
difference = (MIXTURE.log_prob(x + h) - MIXTURE.log_prob(x - h)) / (2 * h)
verify_equation(1, by_energy, difference, rtol=1e-6)
means, variances = MIXTURE.means[:, 0], MIXTURE.covs[:, 0, 0]
joint = MIXTURE.weights * Normal(means, variances.sqrt()).log_prob(x).exp()  # (5, 2)
pulls = -(x - means) / variances  # s_1 and s_2
verify_equation(2, difference, (joint / joint.sum(1, keepdim=True) * pulls).sum(1), rtol=1e-6)

# %% [markdown]
# Does a slope know everything about its density? Yes: integrate it, and normalise. No two densities share a score (on connected ground, remember this word). So learn $s$, and let a network $s_\theta(x)$ be any function that gives a vector like $x$; there is no $Z$ to be afraid of. But from what is it to be learned? Nobody hands you slopes. You have samples.
#
# ## 2 · Learning a score
#
# ### The loss one would like, and Hyvärinen's way to it
#
# The distance between a model's score and the true one, averaged over the data (half of the *Fisher divergence*):
#
# $$J_F(\theta) = \frac12\, \mathbb E_p \Vert s_\theta - s \Vert^2 = \frac12\, \mathbb E_p \Vert s_\theta \Vert^2 - \mathbb E_p\, s_\theta \cdot s + \frac12\, \mathbb E_p \Vert s \Vert^2 \tag{3}$$
#
# *open the square.* The first term is an average over samples of something the model computes. The last, $\frac12 I(p)$, does not contain $\theta$. The middle one is the trouble, since it contains the unknown $s$. Hyvärinen's trick of 2005 removes it:
#
# $$\mathbb E_p\, s_\theta \cdot s = \int p\, s_\theta \cdot \frac{\nabla p}{p}\, dx = \int s_\theta \cdot \nabla p\, dx = -\int p\, \operatorname{div} s_\theta\, dx = -\mathbb E_p \operatorname{div} s_\theta \tag{4}$$
#
# *$s = \nabla p / p$, so $p$ cancels; then integrate by parts, in every coordinate. The boundary term $p\, s_\theta$ vanishes if the density falls faster than the model's score can grow;*
#
# $$J_F(\theta) = \mathbb E_p \left[ \frac12 \Vert s_\theta \Vert^2 + \operatorname{div} s_\theta \right] + \frac12 I(p) \tag{5}$$
#
# *(4) in (3).* The bracket needs samples and the model, nothing else. What does it ask for? The divergence is to be negative at the data (the field flows together there), but the field must not be long. Without the first term a network would make the divergence $-\infty$.

# %%
# Equations (3) to (5), by quadrature
# The model is clearly wrong: -0.7 x + 0.3 sin x.
p, s, x = MIXTURE.log_prob(LINE).exp(), MIXTURE.score(LINE, 1.0)[:, 0], LINE[:, 0]
wrong, its_slope = -0.7 * x + 0.3 * x.sin(), -0.7 + 0.3 * x.cos()
fisher, information = integral(p * (wrong - s) ** 2) / 2, integral(p * s**2)
cross = integral(p * wrong * s)
verify_equation(3, fisher, integral(p * wrong**2) / 2 - cross + information / 2)
verify_equation(4, cross, -integral(p * its_slope), rtol=1e-6)
bracket = integral(p * (wrong**2 / 2 + its_slope))
verify_equation(5, fisher, bracket + information / 2, rtol=1e-6)

# %% [markdown]
# ### Exercise: `divergence` · ●●● · 12 minutes · 3 points
#
# The divergence of any field, by automatic differentiation: for each row of $x$ the trace of the Jacobian $J_{ij} = \partial f_i / \partial x_j$ there. The exact trace costs one backward pass per dimension. With `probes` $v_1, \dots, v_N$ it costs one per probe, and is an average of $v \cdot J v$ (line (6), below the exercise, says of what it is an estimate).


# %% exercise="divergence"
def divergence(f, x, probes=None):
    """The divergence of the field f at every row of x, exact or by probes.

    Without probes: sum_i df_i/dx_i, the trace of each row's own Jacobian J.
    With probes: (1/N) sum_n v_n . J v_n, where v_n is probes[n], row by row. (Hutchinson, 1989)

    Args:
        f: (M, D) -> (M, D), acts on every row by itself, for any number of rows M.
        x: (B, D).
        probes: None, or (N, B, D): any real numbers, not only signs.

    Returns:
        (B,). It can be differentiated with respect to the parameters inside f, with and without
        probes, so that a loss may contain it. Whether it can be differentiated with respect to x is
        up to you. It is called with gradients switched on. x is unchanged.
    """
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    y = f(x)

    def pulled(v):
        """v^T J for every row: one backward pass."""
        return torch.autograd.grad((y * v).sum(), x, create_graph=True)[0]

    if probes is None:
        axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return sum((pulled(axis) * axis).sum(1) for axis in axes)
    return sum((pulled(v) * v).sum(1) for v in probes) / len(probes)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Rows do not influence each other. So the gradient of the <em>sum over all rows</em> of output $i$ holds, in each row, that row's own $\partial f_i / \partial x_j$ for all $j$.</details>
# <details><summary>Hint 2: the idea</summary>Make x a leaf that wants gradients (<code>x.detach().requires_grad_()</code>), compute y = f(x) once, and ask <code>torch.autograd.grad(y[:, i].sum(), x, create_graph=True)</code>. Which of its entries belongs to the trace? For a probe, differentiate <code>(y * v).sum()</code> instead, which is $v^\top J$.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>row = torch.autograd.grad(y[:, i].sum(), x, create_graph=True)[0]</code> of shape (B, D), add up <code>row[:, i]</code> over i. For a probe, <code>row</code> times <code>v</code>, summed over the last axis; then the mean over the probes. Without <code>create_graph=True</code> no loss can be differentiated through it.</details>

# %% checks="divergence"
# Checks of divergence
matrix = normal(3, 3, seed=1)
places = normal(5, 3, seed=2)


def field(x):
    """Its Jacobian depends on x, off the diagonal too."""
    return x @ matrix.T + 0.3 * x.roll(1, 1) * x


h, by_differences = 1e-5, torch.zeros(5, dtype=torch.float64)
for i in range(3):
    nudge = h * torch.eye(3, dtype=torch.float64)[i]
    by_differences += (field(places + nudge) - field(places - nudge))[:, i] / (2 * h)
expect(
    divergence(lambda x: x @ matrix.T, places),
    matrix.trace().expand(5),
    "divergence: a linear field gives its trace, in every row",
    hint="only the entries with i = j count, not the whole Jacobian; one number per row",
)
expect(
    divergence(field, places),
    by_differences,
    "divergence: a curved field, by finite differences",
    rtol=1e-6,
    hint="each row has its own Jacobian; d f_i / d x_i alone counts",
)
expect(
    divergence(field, places[:1, :]),
    by_differences[:1],
    "divergence: one row",
    rtol=1e-6,
    hint="B = 1 is a batch as well: the answer is (1,)",
)
signs = torch.cartesian_prod(*[double([-1.0, 1.0])] * 3)[:, None].expand(8, 5, 3)
expect(
    divergence(field, places, signs),
    by_differences,
    "divergence: all eight sign probes together give the trace",
    rtol=1e-6,
    hint="v . J v, summed over the dimensions, averaged over the probes",
)
one_probe = normal(1, 5, 3, seed=3)
expect(
    divergence(lambda x: x @ matrix.T, places, one_probe),
    torch.einsum("bi,ij,bj->b", one_probe[0], matrix, one_probe[0]),
    "divergence: a probe that is no sign is used as it comes",
    hint="probes may be any numbers: do not take their sign, do not normalise them",
)
weight = double(0.7).requires_grad_()
for probes in (None, one_probe):
    spread = divergence(lambda x: (weight * x).sin(), 0 * places, probes).sum()
    size = 15.0 if probes is None else (one_probe**2).sum()
    expect(
        torch.autograd.grad(spread, weight)[0] if spread.requires_grad else "no gradient",
        0.0 + size,
        f"divergence: differentiable in what f contains, {'with' if probes is not None else 'no'} probes",
        hint="create_graph=True, and no detach or .item() on the way",
    )

# %% [markdown]
# With the probes it is **Hutchinson's estimate**. For any random $v$ with $\mathbb E\, v v^\top = I$, such as random signs or standard normal numbers,
#
# $$\mathbb E\, v \cdot J v = \operatorname{tr} J, \qquad \operatorname{Var}(v \cdot J v) = \begin{cases} 2 \sum_{i \ne j} S_{ij}^2 & \text{signs} \\ 2 \sum_{i, j} S_{ij}^2 & \text{normal} \end{cases} \qquad S = \tfrac12 (J + J^\top) \tag{6}$$
#
# *$v \cdot J v = \sum_{ij} J_{ij} v_i v_j$, and $\mathbb E\, v_i v_j$ is 1 for $i = j$ and else 0. $J$ and $S$ give the same sum; terms with $i < j$ come twice, are uncorrelated and have variance 1; with signs $v_i^2 = 1$ has no variance, while a squared normal number has 2.* Signs are never worse. Hyvärinen's loss with probes is called **sliced score matching**. It is a line on top of your function:


# %%
# Score matching, on top of your divergence
def score_matching_loss(score_fn, x, probes=None):
    """The bracket of (5), averaged over samples x (B, D)."""
    return (score_fn(x).square().sum(1) / 2 + divergence(score_fn, x, probes)).mean()


# %%
# Equation (6), exactly
# (6): all 32 sign vectors in five dimensions, so nothing is left to chance; normal probes through the
# eigenvalues, where v . S v is a sum of independent squares.
J = normal(5, 5, seed=4)
S = (J + J.T) / 2
signs = torch.cartesian_prod(*[double([-1.0, 1.0])] * 5)
values = (signs @ J * signs).sum(1)
verify_equation(6, values.mean(), J.trace())
verify_equation(6, values.var(correction=0), 2 * ((S**2).sum() - (S.diagonal() ** 2).sum()))
verify_equation(6, 2 * (torch.linalg.eigvalsh(S) ** 2).sum(), 2 * (S**2).sum())

# %% [markdown]
# ### Learning from noise instead
#
# Hyvärinen's loss has a flaw of its own. With few data a network makes the slope of its score very negative *exactly at the samples*, and the loss falls without bound. And it costs derivatives of derivatives. Vincent found another way in 2011: spoil the data a little, on purpose. Let $q_\sigma(y) = \int q(y \mid x_0)\, p(x_0)\, dx_0$. Then
#
# $$\nabla \log q_\sigma(y) = \frac{1}{q_\sigma(y)} \int p(x_0)\, \nabla q(y \mid x_0)\, dx_0 = \mathbb E \big[ \nabla \log q(y \mid x_0) \,\big|\, y \big] \tag{7}$$
#
# *differentiate under the integral; write $\nabla q = q\, \nabla \log q$; and $p(x_0)\, q(y \mid x_0) / q_\sigma(y)$ is the posterior of $x_0$, by Bayes' rule.* All gradients are in $y$. You saw this in lesson 06 for one kind of noise, but look: nothing was used about the noise. **The score of spoiled data is the average of the slopes of their spoiling.** And an average is what a squared error learns.

# %%
# Equation (7)
# (7) at four places: q_sigma is again a mixture, and its score is exact; the posterior of x_0 is taken on the grid.
sigma, y = 0.5, double([-2.2, -0.8, 0.3, 1.9])
spoiling = Normal(LINE, sigma).log_prob(y)  # (8001, 4)
posterior = (spoiling + MIXTURE.log_prob(LINE)[:, None]).softmax(0)
slopes = slope_of(Normal(LINE, sigma).log_prob, y.expand(8001, 4))  # of log q(y | x_0), in y
verify_equation(7, MIXTURE.blurred(sigma).score(y[:, None], 1.0)[:, 0], (posterior * slopes).sum(0))

# %% [markdown]
# ### Step: `kernel_score` · ●○○ · 3 minutes
#
# So what is the slope of the spoiling? With $y = x_0 + \sigma \epsilon$ the law of $y$ given $x_0$ is $\mathcal N(x_0, \sigma^2)$. Find $\frac{\partial}{\partial y} \log q(y \mid x_0)$, in SymPy's symbols.


# %% step="kernel_score"
def kernel_score(y, x0, sigma):
    """d/dy log N(y; x0, sigma^2), an expression in the symbols y, x0 and sigma."""
    ### BEGIN SOLUTION
    return -(y - x0) / sigma**2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Write down the logarithm of a Gaussian density. Which parts contain $y$?</details>
# <details><summary>Hint 2: the idea</summary>One square, over twice the variance, with a minus sign. Differentiate it.</details>
# <details><summary>Hint 3: nearly the line</summary>It is linear in $y$, zero at $y = x_0$, and falls: a spring that pulls back to $x_0$, the stiffer the smaller the variance.</details>

# %% checks="kernel_score"
# Checks of kernel_score
y_, x0_, sigma_ = sympy.symbols("y x_0 sigma", positive=True)
log_kernel = -((y_ - x0_) ** 2) / (2 * sigma_**2) - sympy.log(sigma_) - sympy.log(2 * sympy.pi) / 2
places = [{y_: 0.3, x0_: 1.1, sigma_: 0.5}, {y_: 2.0, x0_: 0.4, sigma_: 1.7}]
for place in places:
    step = {**place, y_: place[y_] + 1e-6}
    numeric = float(log_kernel.subs(step) - log_kernel.subs(place)) / 1e-6
    expect(
        float(kernel_score(y_, x0_, sigma_).subs(place)),
        numeric,
        "kernel_score: by finite differences",
        rtol=1e-4,
        hint="the derivative in y of the square over twice the variance, with its sign",
    )
expect(
    same(kernel_score(y_, x0_, sigma_), sympy.diff(log_kernel, y_)),
    True,
    "kernel_score: for all values",
    hint="two numbers agree and not all do: is a symbol missing?",
)

# %% [markdown]
# ### Exercise: `dsm_loss` · ●●○ · 8 minutes · 2 points
#
# **Denoising score matching.** For one batch, each example with a noise level of its own: spoil the data, and compare the model's answer with the slope that you have just found. You know the noise, so you can write that slope without $x_0$ and $y$.


# %% exercise="dsm_loss"
def dsm_loss(score_fn, x0, sigma, eps, weight):
    """Denoising score matching for one batch.

    Example b is spoiled to y = x_0 + sigma_b eps. Its loss is weight_b times HALF of the SUM over
    the event of the squared difference between score_fn's answer at y and grad_y log q(y | x_0),
    the score of N(x_0, sigma_b^2 I) at y. The result is the MEAN of these losses over the batch.

    Args:
        score_fn: called once, as score_fn(y, sigma) with sigma (B,) as it came; answers like y.
        x0, eps: (B, *event), with at least one event axis.
        sigma: (B,), > 0. weight: (B,).

    Returns:
        A scalar tensor, differentiable in what score_fn contains.

    Source: Vincent (2011), equation 9; with a weight per level, Song and Ermon (2019), equation 6.
    """
    ### BEGIN SOLUTION
    size = column(sigma, x0)
    error = score_fn(x0 + size * eps, sigma) + eps / size
    return (weight * error.square().flatten(1).sum(1)).mean() / 2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Put $y = x_0 + \sigma \epsilon$ into your <code>kernel_score</code>. What is left?</details>
# <details><summary>Hint 2: the idea</summary>The noise over its size, turned around. <code>column(sigma, x0)</code> gives sigma the axes that meet the batch; score_fn itself gets sigma without them.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>error</code> the difference of answer and target, <code>error.square().flatten(1).sum(1)</code> is (B,). Then the weight, the half, the mean.</details>

# %% checks="dsm_loss"
# Checks of dsm_loss
points, eps = 0 * normal(6, 2, 3, seed=5) + 0.4, normal(6, 2, 3, seed=6)
sigma = double([0.2, 0.5, 1.0, 1.5, 2.0, 3.0])
weight = double([1.0, 2.0, 0.5, 1.0, 3.0, 0.7])
asked = []


def one_point(y, sigma):
    """The exact score of spoiled data that are a single point, 0.4 in every entry; it takes notes."""
    asked.append(sigma)
    return (0.4 - y) / column(sigma, y) ** 2


expect(
    dsm_loss(one_point, points, sigma, eps, weight),
    double(0.0),
    "dsm_loss: on data of one point the exact score costs nothing",
    hint="which target, with which sign and which power of sigma? And y has the noise in it",
)
expect(
    [len(asked), asked[0]],
    [1, sigma],
    "dsm_loss: score_fn is asked once, with sigma as it came",
    hint="sigma (B,) goes to score_fn without extra axes",
)
expect(
    dsm_loss(lambda y, sigma: one_point(y, sigma) / 2, points, sigma, eps, weight),
    sum(w / 8 * (e**2).sum() / s**2 for w, e, s in zip(weight, eps, sigma, strict=True)) / 6,
    "dsm_loss: half of it costs a quarter of what nothing costs",
    hint="half of the SUM over the event, the MEAN over the batch, each example with its own weight",
)
factor = double(0.5).requires_grad_()
dsm_loss(lambda y, sigma: factor * one_point(y, sigma), points, sigma, eps, weight).backward()
expect(
    factor.grad is not None and factor.grad.item() < 0,
    True,
    "dsm_loss: the gradient reaches the model, and points the right way",
    hint="nothing may cut the model's answer off: no detach, no no_grad",
)

# %% [markdown]
# In your step, $y - x_0 = \sigma \epsilon$, so
#
# $$\nabla_y \log q(y \mid x_0) = -\frac{y - x_0}{\sigma^2} = -\frac{\epsilon}{\sigma}. \tag{8}$$
#
# How far is this loss from the one we would like?
#
# $$J_{\mathrm{DSM}} = \frac12\, \mathbb E \left\Vert s_\theta(y) + \frac{\epsilon}{\sigma} \right\Vert^2 = J_F(q_\sigma) + \frac12 \left( \frac{D}{\sigma^2} - I(q_\sigma) \right) \tag{9}$$
#
# *add and subtract the true score of $q_\sigma$; by (7) the cross term vanishes, exactly as in lesson 06's (3); what is left is the spread of $-\epsilon / \sigma$ around its mean given $y$: its whole second moment $D / \sigma^2$ less that of its mean, $I(q_\sigma)$.* The bracket does not contain $\theta$. So **all three losses have the same minimiser**, if they are asked about the same density. But the bracket is where the noise of the estimate lives.

# %%
# Equations (8) and (9), by quadrature
# (8) by automatic differentiation; (9) with Gauss-Hermite quadrature over x_0 and eps on the left, the grid on the right.
y, x0, sigma = double(0.9), double(0.2), double(0.35)
verify_equation(8, slope_of(lambda y: Normal(x0, sigma).log_prob(y), y), -(y - x0) / sigma**2)
nodes, masses = (torch.from_numpy(part) for part in numpy.polynomial.hermite_e.hermegauss(80))
masses = masses / masses.sum()


def dsm_exactly(score_fn, sigma):
    """E of 1/2 (score_fn(x_0 + sigma eps) + eps / sigma)^2 over the mixture and the noise."""
    total = 0.0
    for weight, mean, variance in zip(MIXTURE.weights, means, variances, strict=True):
        y = mean + variance.sqrt() * nodes[:, None] + sigma * nodes
        errors = (score_fn(y) + nodes / sigma) ** 2 / 2
        total += weight * (masses[:, None] * masses * errors).sum()
    return total


dsm_constants = {}
for sigma in (0.1, 0.5, 1.0):
    q, s = (
        MIXTURE.blurred(sigma).log_prob(LINE).exp(),
        MIXTURE.blurred(sigma).score(LINE, 1.0)[:, 0],
    )
    fisher = integral(q * (wrong - s) ** 2) / 2
    dsm_constants[sigma] = ((1 / sigma**2 - integral(q * s**2)) / 2).item()
    dsm = dsm_exactly(lambda y: -0.7 * y + 0.3 * y.sin(), sigma)
    verify_equation(9, dsm, fisher + dsm_constants[sigma])

# %% [markdown]
# Now let all three losses judge the same models: the lines $s_k(x) = k x$, for $k$ between $-0.7$ and 0, on the mixture spoiled with $\sigma = 0.5$ and with $\sigma = 0.1$. The true Fisher divergence comes from quadrature, the other two from 4,000 samples, with your own functions; their constants are subtracted.
#
# **Predict** the constant that denoising score matching carries at $\sigma = 0.1$, where the losses themselves are about 2.

# %% predict="my_constant"
my_constant = 5.0  # your prediction: the constant of (9) at sigma = 0.1

# %% tags=["experiment"]
# Experiment: three losses over a family of lines
# Three losses over a family of lines, at two noise levels: exact, Hyvarinen's by samples, denoising by samples.
slopes = torch.linspace(-0.7, 0.0, 15, dtype=torch.float64)
count = 4000
fig, axes = plots.figure(1, 2, width=9, height=3.5)
apart = {}
for ax, sigma in zip(axes, (0.5, 0.1), strict=True):
    q, s = (
        MIXTURE.blurred(sigma).log_prob(LINE).exp(),
        MIXTURE.blurred(sigma).score(LINE, 1.0)[:, 0],
    )
    information = integral(q * s**2)
    x0, eps = MIXTURE.sample(count, torch.Generator().manual_seed(3)), normal(count, 1, seed=4)
    y, level, ones = x0 + sigma * eps, double(sigma).expand(count), torch.ones(count).double()
    fisher = torch.stack([integral(q * (k * LINE[:, 0] - s) ** 2) / 2 for k in slopes])
    hyvarinen = [score_matching_loss(lambda x, k=k: k * x, y) + information / 2 for k in slopes]
    denoising = [
        dsm_loss(lambda y, sigma, k=k: k * y, x0, level, eps, ones) - dsm_constants[sigma]
        for k in slopes
    ]
    plots.curve(slopes, fisher, "exact", label="Fisher divergence / 2, exact", ax=ax)
    plots.curve(slopes, hyvarinen, "posterior", marker="o", label="Hyvärinen + I/2", ax=ax)
    plots.curve(slopes, denoising, "model", marker=".", label="denoising $-$ constant", ax=ax)
    apart[sigma] = (torch.stack(denoising) - fisher).abs().max().item()
    best = -1 / integral(q * LINE[:, 0] ** 2).item()
    findings[f"slope of the best line at sigma = {sigma:g}"] = f"{best:.3f}"
    ax.set(
        xlabel="slope $k$ of the model",
        title=f"$\\sigma = {sigma:g}$: denoising off by {apart[sigma]:.2g}",
    )
axes[0].set_ylabel("loss, constants removed")
axes[1].legend().remove()
plots.show(
    fig,
    alt="Two panels, sigma 0.5 and 0.1: three losses against the slope of a line. "
    f"Denoising score matching is off by up to {apart[0.5]:.2g} and {apart[0.1]:.2g}.",
)
constant = dsm_constants[0.1]
print(f"constant at sigma = 0.1: {constant:.3f}; you predicted {my_constant:g}")
print("sigma   constant   sd of one sample's loss at k = -0.3")
for sigma, constant in dsm_constants.items():
    x0, eps = MIXTURE.sample(20_000, torch.Generator().manual_seed(5)), normal(20_000, 1, seed=6)
    spread = ((-0.3 * (x0 + sigma * eps) + eps / sigma) ** 2 / 2).std().item()
    print(f"{sigma:5.1f}{constant:11.3f}{spread:13.3g}")
findings["what denoising adds to the loss at sigma = 0.1"] = f"{dsm_constants[0.1]:.1f}"

# %% [markdown]
# One valley, three ways to measure its depth. But at $\sigma = 0.1$ the constant is more than twenty times the loss itself, and so is the chance in it: the target $-\epsilon / \sigma$ explodes while what it teaches stays the same. Small $\sigma$ learns slowly, and $\sigma = 0$ is out of reach. Large $\sigma$ learns easily, but something else: the best line has another slope, because $q_\sigma$ is another density.
#
# If one network is to serve many levels, a last question is how to weigh them. With weight 1 the faint noises shout down all others. With $\sigma^2$ the loss becomes
#
# $$\frac{\sigma^2}{2}\, \mathbb E \left\Vert s_\theta + \frac{\epsilon}{\sigma} \right\Vert^2 = \frac12\, \mathbb E \Vert \sigma s_\theta + \epsilon \Vert^2, \qquad \text{and for } s_\theta = 0: \quad \frac D2 \text{ at every level} \tag{10}$$
#
# *take one $\sigma$ into the square.* Do you recognise $\sigma s_\theta + \epsilon$?

# %%
# Equation (10), through your dsm_loss
# (10) on a batch, through your dsm_loss; and what a model that says nothing pays, on the correlated Gaussian.
x0, eps, sigma = (
    GAUSSIAN.sample(50, torch.Generator().manual_seed(7)),
    normal(50, 2, seed=8),
    normal(50, seed=9).exp(),
)


def pull(y, sigma):
    return -y / (1 + column(sigma, y) ** 2)


inside = (sigma[:, None] * pull(x0 + sigma[:, None] * eps, sigma) + eps).square().sum(1).mean() / 2
verify_equation(10, dsm_loss(pull, x0, sigma, eps, sigma**2), inside)
silent = dsm_loss(lambda y, sigma: 0 * y, x0, sigma, eps, sigma**2)
verify_equation(10, silent, (eps**2).sum(1).mean() / 2)

# %% tags=["experiment"]
# Experiment: what silence costs at four levels
# What a silent model and the exact score pay at four levels, with weight 1 and with weight sigma^2.
print("         weight 1             weight sigma^2")
print("sigma    silent     exact     silent   exact")
for sigma in (10.0, 1.0, 0.1, 0.01):
    per_axis = GAUSSIAN.eigenvalues / (sigma**2 * (GAUSSIAN.eigenvalues + sigma**2))  # 1/s^2 - info
    silent, floor = 2 / (2 * sigma**2), per_axis.sum().item() / 2
    print(f"{sigma:5g}{silent:10.3g}{floor:10.3g}{silent * sigma**2:10.3g}{floor * sigma**2:9.3f}")

# %% [markdown]
# From 0.01 to 10,000 with weight 1; the same number at every level with weight $\sigma^2$.
#
# ## 3 · You have had it since lesson 05: $\hat\epsilon$ is a score
#
# In (10) the model that pays least has $\sigma s_\theta = -\mathbb E[\epsilon \mid y]$. So a network that predicts noise *is* a score model, in other units. With the noising of lessons 04 to 06, $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$, the size of the noise is $\sqrt{1 - \bar\alpha_t}$, and
#
# $$\nabla \log q(x_t) = \mathbb E \big[ \nabla \log q(x_t \mid x_0) \,\big|\, x_t \big] = -\frac{\mathbb E[\epsilon \mid x_t]}{\sqrt{1 - \bar\alpha_t}} \tag{11}$$
#
# *(7), which holds for any noise, and (8) with $\sqrt{1 - \bar\alpha_t}$ for $\sigma$.* A well-known slide has $\hat\epsilon \approx -\nabla \log q(x_t)$. You found its missing root in lesson 06; at $t = 1$ of the usual thousand steps it is a factor of one hundred.


# %%
# From lesson 06: a noise prediction as a score
def score_from_eps(eps, t, alpha_bar):
    """The score of q(x_t) that a noise prediction stands for, line (11)."""
    return -eps / column(1 - alpha_bar[t], eps).sqrt()


# %%
# Equation (11), by the posterior on the grid
# (11) at three places and alpha_bar = 0.37: the exact score, and the mean of eps under the posterior of x_0 on the grid.
level, xt = double(0.37), double([-1.3, 0.2, 2.0])
posterior = (
    Normal(level.sqrt() * LINE, (1 - level).sqrt()).log_prob(xt) + MIXTURE.log_prob(LINE)[:, None]
).softmax(0)
noise = (xt - level.sqrt() * LINE) / (1 - level).sqrt()  # the eps that belongs to each x_0
exact_score = MIXTURE.score(xt[:, None], level)[:, 0]
verify_equation(11, exact_score, -(posterior * noise).sum(0) / (1 - level).sqrt())
posterior_mean, posterior_square = (posterior * LINE).sum(0), (posterior * LINE**2).sum(0)
print(f"the missing root at t = 1 of 1000: a factor of {(1 - LONG[1]) ** -0.5:.0f}")

# %% [markdown]
# ### Exercise: `tweedie` · ●●○ · 5 minutes · 1 point
#
# A score says in which direction data are denser. It says more: it tells the *clean picture*. Solve the forward sample for $x_0$, take the expectation given $x_t$, and use (11). The result is named after Tweedie, who told it to Robbins, who published it in 1956.


# %% exercise="tweedie"
def tweedie(xt, score, t, alpha_bar):
    """E[x_0 given x_t] from the score of q(x_t).

    Args:
        xt, score: (B, *event), with at least one event axis; score is grad log q(x_t) at xt.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt. Nothing is clipped.

    Source: Robbins (1956); Efron (2011), equation 1.4.
    """
    ### BEGIN SOLUTION
    level = column(alpha_bar[t], xt)
    return (xt + (1 - level) * score) / level.sqrt()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>$x_0$ is $x_t$ less its noise, scaled up again. Which noise does (11) tell you?</details>
# <details><summary>Hint 2: the idea</summary>The expected noise is the score times a negative root. In the forward sample the noise has that same root in front of it, so two roots meet.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>level = column(alpha_bar[t], xt)</code>: add to xt the score times the <em>variance</em> of the noise, then undo the shrinking by one root.</details>

# %% checks="tweedie"
# Checks of tweedie
t = torch.tensor([6, 1, 3])
places = double([[-1.3], [0.2], [2.0]])
expect(
    tweedie(places, MIXTURE.score(places, SHORT[t]), t, SHORT),
    MIXTURE.best_x0(places, SHORT[t]),
    "tweedie: the best guess of x_0 on the mixture, each place at its own t",
    hint="x_t plus the score times the variance of the noise, over which root?",
)
picture = normal(2, 1, 2, 3, seed=10)
noised, when = (
    q_sample(picture, torch.tensor([2, 5]), SHORT, normal(2, 1, 2, 3, seed=11)),
    torch.tensor([2, 5]),
)
score = -(noised - column(SHORT[when], noised).sqrt() * picture) / column(1 - SHORT[when], noised)
expect(
    tweedie(noised, score, when, SHORT),
    picture,
    "tweedie: data of one picture: the answer is that picture",
    hint="the level (B,) wants the axes that meet the batch: column(alpha_bar[t], xt)",
)

# %% [markdown]
# Line by line:
#
# $$\mathbb E[x_0 \mid x_t] = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \mathbb E[\epsilon \mid x_t]}{\sqrt{\bar\alpha_t}} = \frac{x_t + (1 - \bar\alpha_t)\, \nabla \log q(x_t)}{\sqrt{\bar\alpha_t}} \tag{12}$$
#
# *the forward sample solved for $x_0$, its expectation, then (11).* Nothing was assumed about the data. Two more lines tie the two worlds together, (14) and (15); (13) stands below them, under *Further*.
#
# $$\frac12\, \mathbb E \big[ (1 - \bar\alpha_t) \Vert s_\theta - \nabla \log q(x_t \mid x_0) \Vert^2 \big] = \frac12\, \mathbb E \Vert \epsilon - \hat\epsilon \Vert^2 = \frac D2\, L_{\text{simple}} \tag{14}$$
#
# *put $s_\theta = -\hat\epsilon / \sqrt{1 - \bar\alpha_t}$ in: the weight eats both roots. (Lesson 06 took the mean over all entries, hence the $D$.)* **You have trained score models since lesson 06**, with the weight that makes all levels count alike. And the two kinds of noising are one:
#
# $$\nabla \log q_\sigma(y) = \sqrt{\bar\alpha}\; \nabla \log q(x), \qquad x = \sqrt{\bar\alpha}\, y, \quad \bar\alpha = \frac{1}{1 + \sigma^2} \tag{15}$$
#
# *$x$ and $y$ differ by a constant factor, so their log-densities differ by a constant, and the chain rule brings the factor.*
#
# ### Further: how sure is the guess?
#
# Differentiate (12) once more. The covariance of $x_0$ given $x_t$ comes from the slope of the score:
#
# $$\operatorname{Cov}[x_0 \mid x_t] = \frac{1 - \bar\alpha_t}{\bar\alpha_t} \Big( I + (1 - \bar\alpha_t)\, \nabla \nabla^\top \log q(x_t) \Big) \tag{13}$$
#
# *the derivative of a posterior mean in $x_t$ is the covariance of $x_0$ with the slope of the log-likelihood, $\sqrt{\bar\alpha_t}\, x_0 / (1 - \bar\alpha_t)$ and a part without $x_0$; solve for the covariance.* (Lesson 05's best reverse variance is $\tilde\beta_t$ plus $c_0^2$ times this.)

# %%
# Equations (12) to (15)
mine = tweedie(xt[:, None], exact_score[:, None], torch.tensor([1, 1, 1]), double([1.0, 0.37]))
verify_equation(12, mine[:, 0], posterior_mean)
bend = divergence(lambda x: MIXTURE.score(x, level), xt[:, None]).detach()
spread = (1 - level) / level * (1 + (1 - level) * bend)
verify_equation(13, posterior_square - posterior_mean**2, spread)
t = torch.tensor([1, 2, 4, 6])
x0, eps = GAUSSIAN.sample(4, torch.Generator().manual_seed(12)), normal(4, 2, seed=13)


def some_model(x, t):
    """A poor noise predictor will do."""
    return 0.3 * x - 0.1 * t[:, None]


sigma = ((1 - SHORT) / SHORT).sqrt()[t]


def as_score(y, sigma):
    """The same model, asked about y = x / sqrt(alpha_bar), answering with a score: (11) and (15)."""
    level = column(SHORT[t], y)
    return level.sqrt() * score_from_eps(some_model(level.sqrt() * y, t), t, SHORT)


verify_equation(
    14,
    dsm_loss(as_score, x0, sigma, eps, sigma**2),
    2 / 2 * ddpm_loss(some_model, x0, t, eps, SHORT),
)
y, level = double([[-1.0], [0.4], [2.2]]), 1 / (1 + 0.8**2)
verify_equation(
    15, MIXTURE.blurred(0.8).score(y, 1.0), level**0.5 * MIXTURE.score(level**0.5 * y, level)
)

# %% [markdown]
# ## 4 · Walking uphill with noise: Langevin dynamics
#
# You have a score. How do you get a sample? Follow it uphill, and every walk ends on the nearest top: the score vanishes there, and all samples are the same few points. That is a search, not a draw. A sample must also be found in the less likely places, as often as they deserve. So shake the walker: climb a little, get pushed about a little, and again.
#
# How much of each? The two belong together, and the right proportion is this: for a **step size** $a$, go $\frac a2$ times the score, and add noise of *variance* $a$. It is called (unadjusted) **Langevin dynamics**. Why one half? You will see it in a moment for Gaussians, and in section 6 for all densities.
#
# ### Exercise: `langevin_step` · ●○○ · 3 minutes · 1 point


# %% exercise="langevin_step"
def langevin_step(x, score, step_size, z):
    """One step of Langevin dynamics: half of step_size times the score, and noise of variance step_size.

    Args:
        x, score, z: (B, *event), all alike: where the walker is, the score there, standard normal
            noise.
        step_size: > 0, a float or a tensor without axes.

    Returns:
        Like x, which is unchanged.

    Source: Song and Ermon (2019), equation 4. (Another convention goes e times the score and adds
    noise of variance 2e; it is this one with step_size = 2e.)
    """
    ### BEGIN SOLUTION
    return x + step_size / 2 * score + step_size**0.5 * z
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Three summands: where you are, the climb, the push.</details>
# <details><summary>Hint 2: the idea</summary>z has variance 1. What must it be multiplied by to have variance step_size?</details>
# <details><summary>Hint 3: nearly the line</summary>A number times z has that number's <em>square</em> as its variance. <code>step_size**0.5</code> works for a float and for a tensor.</details>

# %% checks="langevin_step"
# Checks of langevin_step
x, z = normal(4, 2, 3, seed=20), normal(4, 2, 3, seed=21)
start = x.clone()
langevin_step(x, z, 0.36, z)
expect(x, start, "langevin_step: x itself is unchanged", hint="make a new tensor, no += on x")
expect(
    langevin_step(x, 0 * x, 0.36, z).sub(x).square(),
    0.36 * z**2,
    "langevin_step: without a score only noise of variance step_size is added",
    hint="the noise's standard deviation is the root of its variance",
)
uphill = langevin_step(x, z, 0.36, 0 * z) - x
expect(
    langevin_step(x, z, double(0.72), 0 * z) - x,
    2 * uphill,
    "langevin_step: twice the step size, twice the climb; a tensor will do",
    hint="the climb is proportional to step_size itself, not to its root",
)
# On N(0, v) a tiny step out of the data must leave their variance v as it is: what the climb takes, the push gives.
one, small, v = torch.ones(1).double(), 1e-5, 0.4
climb = langevin_step(one, -one / v, small, 0 * one) - one
push = langevin_step(0 * one, 0 * one, small, one)
expect(
    -2 * climb * v,
    push**2,
    "langevin_step: a tiny step leaves the variance of the data as it is",
    rtol=1e-4,
    hint="the proportion of climb and noise: half of step_size, and variance step_size",
)

# %% [markdown]
# ### Step: `variance_after` · ●○○ · 3 minutes
#
# Where does the walk end when the steps are not tiny? Take data $\mathcal N(0, v)$, whose score is $-x / v$. Somebody's chains have variance $V$ now. What is it after one step with step size $a$?


# %% step="variance_after"
def variance_after(V, v, a):
    """The variance of x after one Langevin step, if it was V: an expression in the symbols V, v, a."""
    ### BEGIN SOLUTION
    return (1 - a / (2 * v)) ** 2 * V + a
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Put the score into the step and collect what stands in front of $x$.</details>
# <details><summary>Hint 2: the idea</summary>The step makes $g\, x$ of $x$, and adds independent noise. What happens to a variance when the variable is multiplied by $g$?</details>
# <details><summary>Hint 3: nearly the line</summary>$g^2 V$ plus the variance of the noise; $g$ is one less half of $a / v$.</details>

# %% checks="variance_after"
# Checks of variance_after
V_, v_, a_ = sympy.symbols("V v a", positive=True)
for V, v, a in ((0.3, 1.0, 0.5), (2.0, 0.4, 1.1)):
    one = torch.ones(1).double()
    gain = langevin_step(one, -one / v, a, 0 * one).item()
    push = langevin_step(0 * one, 0 * one, a, one).item()
    expect(
        float(variance_after(V_, v_, a_).subs({V_: V, v_: v, a_: a})),
        gain**2 * V + push**2,
        "variance_after: through your langevin_step",
        hint="the square of the factor in front of x, times V, and the noise's variance",
    )
gain_ = sympy.diff(V_ - a_ / (2 * v_) * V_, V_)  # the factor that one step gives x
expect(
    same(sympy.expand(variance_after(V_, v_, a_) - a_), sympy.expand(gain_**2 * V_)),
    True,
    "variance_after: for all values",
    hint="two numbers agree and not all do: is a symbol missing?",
)

# %% [markdown]
# ### Exercise: `langevin_variance` · ●●○ · 8 minutes · 2 points
#
# The recursion stops changing where $V' = V$. Solve for $V$, and find out for which step sizes it ever gets there.


# %% exercise="langevin_variance"
def langevin_variance(variance, step_size):
    """The variance at which langevin_step settles on data N(0, v), per entry, whatever the start.

    Args:
        variance: (N,), v > 0, the data's variances.
        step_size: a float > 0.

    Returns:
        (N,); +inf where the walk never settles. Where the factor in front of x is exactly minus
        one the variance grows with every step for ever: that is +inf too.
    """
    ### BEGIN SOLUTION
    settled = variance / (1 - step_size / (4 * variance))
    return torch.where(step_size < 4 * variance, settled, torch.full_like(variance, math.inf))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>$V' = g^2 V + a$ with $g = 1 - a / (2v)$: solve $V = g^2 V + a$. It settles only if $g^2 < 1$.</details>
# <details><summary>Hint 2: the idea</summary>$1 - g^2 = (1 - g)(1 + g)$, and $1 - g$ is short. A factor $a$ cancels. The walk may overshoot ($g < 0$) and still settle, as long as it overshoots by less than it was away.</details>
# <details><summary>Hint 3: nearly the line</summary>In $V = g^2 V + a$ bring $g^2 V$ to the left: $1 - g^2$ has a factor $a / v$, and the $a$ cancels. <code>torch.where(condition, settled, torch.full_like(variance, math.inf))</code> puts infinities where they belong.</details>

# %% checks="langevin_variance"
# Checks of langevin_variance
v, a = (
    double([0.3, 0.26, 1.0, 4.0]),
    1.0,
)  # 2 v < a < 4 v for the first two: it overshoots, and settles
one, V = torch.ones(4).double(), double([0.1, 5.0, 3.0, 0.1])
gain, push = langevin_step(one, -one / v, a, 0 * one), langevin_step(0 * one, 0 * one, a, one)
for _ in range(4000):
    V = gain**2 * V + push**2
expect(
    langevin_variance(v, a),
    V,
    "langevin_variance: 4,000 steps of your own from any start",
    hint="solve V = g^2 V + a for V; overshooting is allowed",
)
expect(
    langevin_variance(double([0.25, 0.1, 0.2]), 1.0),
    double([math.inf] * 3),
    "langevin_variance: at v = 0.25 and a = 1 the factor is -1, and below it is worse: infinite",
    hint="where g^2 >= 1 nothing settles; the case of equality belongs there",
)
expect(
    langevin_variance(double([2.0, 0.5]).float(), 0.5).dtype,
    torch.float32,
    "langevin_variance: float32 in, float32 out",
    hint="torch.full_like(variance, math.inf) keeps the dtype",
)

# %% [markdown]
# Here are the two lines:
#
# $$x' = x + \frac a2\, s(x) + \sqrt a\, z, \qquad \text{on } \mathcal N(0, v): \quad V' = \Big( 1 - \frac{a}{2v} \Big)^2 V + a \tag{16}$$
#
# *the variance of a sum of independent parts;*
#
# $$V = \frac{a}{1 - (1 - a / 2v)^2} = \frac{a}{\frac av - \frac{a^2}{4 v^2}} = \frac{v}{1 - a / 4v} \qquad (a < 4v) \tag{17}$$
#
# *solve for the fixed point, open the square, divide by $a / v$.* For small $a$ it is $v$: here is the reason for the one half. For larger $a$ it is too wide, and from $a = 4v$ on each step overshoots by more than it was away.
#
# **Predict** the variance of many chains on $\mathcal N(0, 1)$ with $a = 2$. Would you see in their histogram that something is wrong?

# %%
# Equations (16) and (17)
# (16): 20,000 chains, one step out of a known variance; (17): the recursion, iterated to its end.
start, v, a = 0.7 * normal(20_000, seed=22), 0.4, 0.3
stepped = langevin_step(start, -start / v, a, normal(20_000, seed=23))
V = (1 - a / (2 * v)) ** 2 * start.var() + a
verify_equation(16, V, stepped.var(), standard_error=(V * (2 / 20_000) ** 0.5).item())
for _ in range(4000):
    V = (1 - a / (2 * v)) ** 2 * V + a
verify_equation(17, V, a / (1 - (1 - a / (2 * v)) ** 2), langevin_variance(double([v]), a))

# %% predict="my_variance"
my_variance = 1.0  # your prediction: the chains' variance at a = 2

# %% tags=["experiment"]
# Experiment: failure one, the steps; 20,000 chains on N(0, 1)
sizes, count = [0.1, 1.0, 2.0, 3.0], 20_000
found = []
for a in sizes:
    generator = torch.Generator().manual_seed(24)
    x = torch.zeros(count)
    for _ in range(budget(300)):
        x = langevin_step(x, -x, a, torch.randn(count, generator=generator))
    found.append(round(x.var().item(), 4))
settled = [langevin_variance(double([1.0]), a).item() for a in sizes]
line = torch.linspace(0.02, 3.6, 100, dtype=torch.float64)
curve = torch.stack([langevin_variance(double([1.0]), a.item())[0] for a in line])
fig, ax = plots.curve(
    line, curve, "exact", label="(17)", xlabel="step size $a$", ylabel="variance of the chains"
)
error = 4 * torch.tensor(found) * (2 / count) ** 0.5
ax.errorbar(sizes, found, error, fmt="o", color=plots.COLOR["model"], label="20,000 chains")
plots.guess(ax, y=my_variance)
ax.set_title(f"The data's variance is 1; at a = 2 the chains have {found[2]:.2f}")
ax.legend()
seen = ", ".join(f"{value:.2f} at {a:g}" for a, value in zip(sizes, found, strict=True))
plots.show(fig, alt=f"Variance of Langevin chains against step size: {seen}; data 1.")
for a, value, exact_value in zip(sizes, found, settled, strict=True):
    spread = 2 * value * (2 / count) ** 0.5
    print(f"a = {a:3g}: {value:.3f} +- {spread:.3f}, exact {exact_value:.4f}")
findings["variance of Langevin chains on N(0, 1) at a = 2"] = f"{found[2]:.2f}"

# %% [markdown]
# A perfect bell, of the wrong width. **Failure one: the steps.** It is the harmless one, since smaller steps cure it. (A Metropolis test after each step would remove the bias altogether, but it needs the density.)
#
# ### Failure two
#
# Now the mixture, 0.3 at $-2$ and 0.7 at 1.5. All chains start in the right bump. No simulation is needed: on a grid one step is a matrix, row $i$ the law of a step out of point $i$, and so the law of the chain after any number of steps is a matrix power. **Predict** the share of chains left of $-0.5$ after 200 steps with $a = 0.05$. (Of the data, 0.3003 lie there.)


# %%
# One Langevin step as a matrix on a grid
def langevin_kernel(score, step_size, grid):
    """Row i: the law of one step out of grid[i], as masses on the grid. `score` at its points."""
    centre = langevin_step(grid, score, step_size, 0 * grid)
    return Normal(centre[:, None], step_size**0.5).log_prob(grid).exp() * (grid[1] - grid[0])


def masses_of(density, grid):
    """A density given on the grid, as masses that sum to one."""
    return density / density.sum()


# %% predict="my_share"
my_share = 0.1  # your prediction: the share on the left after 200 steps

# %% tags=["experiment"]
# Experiment: failure two, who crosses
# Failure two: the law of the chain on a grid, exactly. Left: who has arrived, right: where it settles.
grid = torch.linspace(-6, 6, 401, dtype=torch.float64)
truth = masses_of(MIXTURE.log_prob(grid[:, None]).exp(), grid)
score = MIXTURE.score(grid[:, None], 1.0)[:, 0]
left_side, start = grid < -0.5, masses_of(Normal(1.5, 0.6).log_prob(grid).exp(), grid)
kernel = langevin_kernel(score, 0.05, grid)
law, after_200 = start, start
for _ in range(200):
    after_200 = after_200 @ kernel
counts, shares, power = [], [], kernel
for doubling in range(18):
    counts.append(2**doubling)
    shares.append((start @ power)[left_side].sum().item())
    power = power @ power
share_200, share_true = after_200[left_side].sum().item(), truth[left_side].sum().item()
fig, (one, two) = plots.figure(1, 2, width=9, height=3.4)
plots.curve(counts, shares, "model", marker="o", label="chains, $a = 0.05$", ax=one)
one.axhline(share_true, color=plots.COLOR["exact"], linestyle=(0, (5, 2.5)), label="data")
one.axvline(200, color=plots.COLOR["noise"], linestyle="-.", label="200 steps")
plots.guess(one, y=my_share)
one.set(xscale="log", xlabel="number of steps", ylabel="share on the left", ylim=(-0.02, 0.54))
one.set_title(f"After 200 steps {share_200:.1%} have crossed")
plots.curve(grid, truth / 0.03, "exact", label="data", ax=two)
stationary = {}
for a, role in ((0.02, "data"), (0.05, "model"), (0.1, "posterior"), (0.2, "bound")):
    power = langevin_kernel(score, a, grid)
    power = power / power.sum(1, keepdim=True)
    for _ in range(20):
        power = power @ power
    end = start @ power
    stationary[a] = end[left_side].sum().item()
    plots.curve(grid, end / 0.03, role, label=f"$a = {a:g}$", ax=two)
two.set(xlim=(-4, 6), xlabel="$x$", ylabel="density after a million steps")
two.set_title(f"Left share at the end: {stationary[0.02]:.2f} to {stationary[0.2]:.2f}")
two.legend(loc="upper right")
plots.show(
    fig,
    alt=f"Share of chains on the left against steps: {share_200:.4f} after 200, {shares[-1]:.3f} at last; data "
    f"{share_true:.3f}. Right: where the chain settles for four step sizes.",
)
print(f"after 200 steps {share_200:.4f}, data {share_true:.4f}; you predicted {my_share:g}")
settled_shares = ", ".join(f"{share:.3f} at a = {a:g}" for a, share in stationary.items())
print(f"share on the left when settled: {settled_shares}")
findings["share that crossed in 200 Langevin steps (data: 0.300)"] = f"{share_200:.4f}"

# %% [markdown]
# Less than one in a hundred has crossed, and it takes tens of thousands of steps until the share moves no more. Between the bumps lies a plain where hardly any data are; the walk must cross it against the slope, and that takes exponentially long in the height of the wall. Worse, the walk that is allowed to settle settles *elsewhere*: the narrow bump has $v = 0.09$, so steps with $a = 0.2$ are rough for it, and it leaks.
#
# But the deeper reason can be read off the score itself. (2) says that near a bump only this bump's own pull is felt, $r_k \approx 1$; the weights $w_k$ enter through the plain between, and there is nobody. *A score on nearly unconnected ground hardly knows the weights.* How wide must the spoiling be before it does? Two mixtures, 0.3/0.7 and 0.7/0.3; drag $\sigma$.

# %% tags=["experiment"]
# Widget: how much noise does the score need before it sees the other mode?
# Widget: the scores of two mixtures that differ in their weights alone, spoiled with sigma.
TURNED = exact.GaussianMixture(MIXTURE.weights.flip(0), MIXTURE.means, MIXTURE.covs)


EVERY_TENTH = LINE[::10]  # fine enough for curves as smooth as these, and quick under a slider


def told_apart(sigma):
    """E_q of the squared difference of both scores: what matching at this sigma tells about the weights."""
    one, other = MIXTURE.blurred(sigma), TURNED.blurred(sigma)
    gap = one.score(EVERY_TENTH, 1.0)[:, 0] - other.score(EVERY_TENTH, 1.0)[:, 0]
    return 10 * integral(one.log_prob(EVERY_TENTH).exp() * gap**2).item()


SIGMAS = [tenth / 10 for tenth in range(41)]
TOLD = [told_apart(sigma) for sigma in SIGMAS]
COARSE = torch.linspace(-6, 6, 241, dtype=torch.float64)[:, None]


def draw_scores(sigma):
    one, other = MIXTURE.blurred(sigma), TURNED.blurred(sigma)
    fig, (left, right) = plots.figure(1, 2, width=9, height=3.2)
    left.fill_between(
        COARSE[:, 0], 6 * one.log_prob(COARSE).exp(), color=plots.COLOR["noise"], alpha=0.4
    )
    plots.curve(COARSE[:, 0], one.score(COARSE, 1.0), "data", label="weights 0.3, 0.7", ax=left)
    plots.curve(
        COARSE[:, 0], other.score(COARSE, 1.0), "model", label="0.7, 0.3", linestyle="--", ax=left
    )
    left.set(ylim=(-6, 6), xlabel="$y$", ylabel="score (grey: data)")
    left.set_title(f"Two scores at sigma = {sigma:.1f}")
    plots.curve(SIGMAS, TOLD, "exact", ax=right, xlabel="$\\sigma$", ylabel="$E (s_A - s_B)^2$")
    plots.guess(right, x=sigma, label="here")
    right.set_title(f"Difference seen by matching: {told_apart(sigma):.3g}")
    left.set(xticks=[-4, 0, 4], yticks=[-4, 0, 4])  # few ticks: each is drawn anew at every move
    right.set(xticks=[0, 1, 2, 3, 4], yticks=[0, 0.05, 0.1, 0.15])
    return fig


widgets.explore(
    draw_scores,
    alt="Left the scores of two mixtures with exchanged weights, right how far apart they are on average.",
    sigma=(0.0, 4.0, 0.3),
)
print(f"without noise {TOLD[0]:.4f}, at sigma = 1 {TOLD[10]:.3f}, at sigma = 4 {TOLD[-1]:.4f}")
findings["what matching sees of exchanged weights, sigma 0 and 1"] = (
    f"{TOLD[0]:.4f} and {TOLD[10]:.3f}"
)

# %% [markdown]
# Without noise the two are nearly the same curve: they differ in the plain alone, where no data look. At $\sigma$ about 1 the bumps overlap, the plain is full of data, and matching sees the difference more than thirty times as well. At $\sigma = 4$ both are nearly one wide bump. **Failure two: separate modes.** More data cannot cure it, and more steps only slowly.
#
# ### Failure three
#
# So far the score was exact. A learned one is learned where data are. Two small networks learn the score of the mixture from 2,000 samples, with your `dsm_loss`, one at $\sigma = 0.1$ (almost clean), one at $\sigma = 1$. **Predict** the place between $-5$ and 4 where the first one is worst.


# %%
# Training a score at one noise level
@cache
def train_on_line(sigma):
    """A network for the score of the mixture spoiled with one sigma: y (B, 1) -> (B, 1)."""
    points = data.mixture_1d(2000)
    seed_everything(0)
    net = networks.mlp([1, 64, 64, 1]).to(device)

    def loss(net, x0):
        level = torch.full((len(x0),), sigma, device=x0.device)
        return dsm_loss(
            lambda y, sigma: net(y) / sigma[:, None], x0, level, torch.randn_like(x0), level**2
        )

    fit(
        net,
        loss,
        points,
        steps=budget(2000),
        batch_size=256,
        ema=0.995,
        label=f"loss at sigma = {sigma:g}",
    )
    return lambda y: net(y.float().to(device)).cpu().double() / sigma


# %% predict="my_worst_place"
my_worst_place = -2.0  # your prediction: where the network of sigma = 0.1 is worst

# %% tags=["experiment"]
# Experiment: failure three, learned scores; it trains for about 5 seconds
# Failure three: two learned scores against the exact ones. Training takes about 5 seconds.
line = torch.linspace(-5, 4, 181, dtype=torch.float64)[:, None]
fig, axes = plots.figure(1, 2, width=9, height=3.4)
worst, in_gap = {}, {}
for ax, sigma in zip(axes, (0.1, 1.0), strict=True):
    learned = train_on_line(sigma)(line).detach()
    true_score, density = (
        MIXTURE.blurred(sigma).score(line, 1.0),
        MIXTURE.blurred(sigma).log_prob(line).exp(),
    )
    error = (learned - true_score).abs()[:, 0]
    worst[sigma], in_gap[sigma] = (
        round(line[error.argmax(), 0].item(), 2),
        error[84].item(),
    )  # line[84] = -0.8
    ax.fill_between(line[:, 0], 10 * density - 15, -15, color=plots.COLOR["noise"], alpha=0.4)
    plots.curve(line[:, 0], true_score, "exact", label="exact score", ax=ax)
    plots.curve(line[:, 0], learned, "model", label="network", ax=ax)
    ax.set(ylim=(-15, 25), xlabel="$y$", title=f"sigma = {sigma:g}: worst at {worst[sigma]:.1f}")
plots.guess(axes[0], x=my_worst_place)
axes[0].set_ylabel("score (grey: where data are)")
plots.show(
    fig,
    alt="Learned and exact scores at two noise levels; the errors are largest at "
    + ", ".join(f"{place:.1f} for sigma = {sigma:g}" for sigma, place in worst.items()),
)
for sigma in (0.1, 1.0):
    print(
        f"sigma = {sigma:3g}: error {in_gap[sigma]:.2f} in the gap, largest at x = {worst[sigma]:.1f}"
    )
findings["error of a learned score in the gap, sigma 0.1 and 1"] = (
    f"{in_gap[0.1]:.1f} and {in_gap[1.0]:.2f}"
)

# %% [markdown]
# **Failure three: nobody taught it there.** The loss is an average over the data, so what a network says in the gap and outside costs nothing; and a walk that starts from noise begins just there. More data help slowly, since the gap stays nearly empty. Now try to make a chain work on the exact score, with nothing but step size and patience.

# %% tags=["experiment"]
# Widget: where does the chain end, and when does it arrive?
# Widget: the exact law of Langevin chains on the mixture, all started in the right bump.
SMALL = torch.linspace(-5, 5, 241, dtype=torch.float64)
SMALL_SCORE = MIXTURE.score(SMALL[:, None], 1.0)[:, 0]
SMALL_TRUTH = masses_of(MIXTURE.log_prob(SMALL[:, None]).exp(), SMALL)
WIDTH = (SMALL[1] - SMALL[0]).item()


def draw_chain(step_size, steps):
    kernel = langevin_kernel(SMALL_SCORE, step_size, SMALL)
    law = masses_of(Normal(1.5, 0.6).log_prob(SMALL).exp(), SMALL)
    for _ in range(steps):
        law = law @ kernel
    fig, ax = plots.curve(SMALL, SMALL_TRUTH / WIDTH, "exact", label="data")
    plots.curve(SMALL, law / WIDTH, "model", label="chains", ax=ax, xlabel="$x$", ylabel="density")
    ax.set_ylim(0, 0.7)
    share = law[SMALL < -0.5].sum().item()
    ax.set_title(f"{steps} steps of {step_size:.2f}: {share:.3f} on the left, data 0.300")
    return fig, ax


widgets.explore(
    draw_chain,
    alt="The law of Langevin chains after some steps, beside the mixture.",
    step_size=(0.02, 0.4, 0.05),
    steps=(1, 1000, 100),
)

# %% [markdown]
# Small steps do not arrive in a thousand steps; large steps arrive at the wrong law. You need something else.
#
# ## 5 · Annealing: noise as a guide
#
# All three failures shrink when the data are spoiled widely. The holes fill up with data, the modes overlap so the score knows the weights, and wide targets allow large steps. Only the result is wrong: a sample of $q_\sigma$. So do both, one after the other. Start with a large $\sigma$, where walking is easy; when settled, lower $\sigma$ a little. Each level hands its walkers over, already in nearly the right places, to the next. Song and Ermon called the network that knows all levels a *noise conditional score network*, **NCSN**, and the walk *annealed Langevin dynamics*.
#
# How large a step at each level? By (17) the bias depends on $a / v$ alone, and so does the number of steps until the start is forgotten. While the noise is wider than the data, $v \approx \sigma^2$. So let $a$ be proportional to $\sigma^2$.
#
# ### Exercise: `annealed_langevin` · ●●○ · 10 minutes · 2 points


# %% exercise="annealed_langevin"
def annealed_langevin(score_fn, x, sigmas, step_size, noise, denoise=True):
    """Langevin dynamics at falling noise levels (NCSN's Algorithm 1).

    At each level sigma_i, K Langevin steps with your langevin_step, of size
    step_size * sigma_i^2 / sigma_L^2: step_size is the step at the LAST level, sigma_L = sigmas[-1].
    With `denoise`, once at the very end, x is replaced by x + sigma_L^2 score_fn(x, sigma_L),
    the best guess of the clean data.

    Args:
        score_fn: score_fn(x, sigma) -> like x, with sigma a tensor (B,) of x's dtype and device.
            Called exactly L K times, and once more with `denoise`.
        x: (B, *event), where the walkers start. It is unchanged.
        sigmas: (L,), falling, L >= 1; noise[0] belongs to sigmas[0], the largest.
        step_size: a float > 0.
        noise: (L, K, B, *event), K >= 1; noise[i, k] is the z of step k at level i.

    Returns:
        Like x.

    Source: Song and Ermon (2019), Algorithm 1; the last denoising: Jolicoeur-Martineau et al. (2021).
    """
    ### BEGIN SOLUTION
    for sigma, of_level in zip(sigmas, noise, strict=True):
        level = sigma.to(x).expand(len(x))
        size = (step_size * sigma**2 / sigmas[-1] ** 2).to(x)
        for z in of_level:
            x = langevin_step(x, score_fn(x, level), size, z)
    if denoise:
        last = sigmas[-1].to(x)
        x = x + last**2 * score_fn(x, last.expand(len(x)))
    return x
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two loops: over the levels, and over the K steps of a level. The inner line is <code>langevin_step</code>.</details>
# <details><summary>Hint 2: the idea</summary>score_fn wants one sigma per example: <code>sigma.expand(len(x))</code> for a tensor without axes. Compute the level's step size outside the inner loop.</details>
# <details><summary>Hint 3: nearly the line</summary><code>for sigma, of_level in zip(sigmas, noise):</code>, then <code>for z in of_level:</code>. At the end, outside both loops, one more call at sigmas[-1].</details>

# %% checks="annealed_langevin"
# Checks of annealed_langevin
x, noise = normal(5, 2, seed=30), normal(2, 3, 5, 2, seed=31)
levels, asked = double([2.0, 0.5]), []


def pull_to_zero(x, sigma):
    """The score of N(0, 1 + sigma^2); takes notes."""
    asked.append((x, sigma))
    return -x / (1 + sigma.reshape(-1, 1) ** 2)


start = x.clone()
annealed_langevin(pull_to_zero, x, levels, 0.1, noise)
expect(
    [sigma.tolist() for _, sigma in asked],
    [[2.0] * 5] * 3 + [[0.5] * 5] * 4,
    "annealed_langevin: asked three times at 2, three times at 0.5, once more at the end",
    hint="sigma is a tensor (B,), sigmas[i] for every row; denoise asks once at the last level, after all steps",
)
expect(x, start, "annealed_langevin: x itself is unchanged", hint="make new tensors, no += on x")
plain = x
for z in noise[0]:
    plain = langevin_step(plain, pull_to_zero(plain, double(2.0).expand(5)), 0.1, z)
expect(
    annealed_langevin(pull_to_zero, x, levels[:1], 0.1, noise[:1], denoise=False),
    plain,
    "annealed_langevin: one level is plain Langevin dynamics",
    hint="with L = 1 the step size is step_size itself; step k takes noise[0, k]; no last denoising here",
)
by_hand = langevin_step(x, pull_to_zero(x, double(2.0).expand(5)), 1.6, noise[0, 0])
by_hand = langevin_step(by_hand, pull_to_zero(by_hand, double(0.5).expand(5)), 0.1, noise[1, 0])
expect(
    annealed_langevin(pull_to_zero, x, levels, 0.1, noise[:, :1], denoise=False),
    by_hand,
    "annealed_langevin: two levels with one step each, by hand",
    hint="16 times the step size where sigma is 4 times as large; noise[i] belongs to sigmas[i]",
)
expect(
    annealed_langevin(lambda x, sigma: (0.3 - x) / sigma[:, None] ** 2, x, levels, 0.1, noise),
    0.3 + 0 * x,
    "annealed_langevin: data of one point: the last denoising ends there",
    hint="sigma squared times the score, once, without noise",
)

# %% [markdown]
# ### Two hundred steps, spent in six ways
#
# Everyone gets 200 steps in all, from $\sigma = 3$ down to 0.1 in even ratios, and starts in the right bump. One walker spends them all at $\sigma = 0.1$, others spread them over 2 to 40 levels. The law of each comes exactly from products of step matrices. The error is measured as **W1**, the mean distance that mass must be moved to make the data of it. **Predict** the number of levels from which the share on the left is right to 0.02.

# %% predict="my_levels"
my_levels = 20  # your prediction: levels

# %% tags=["experiment"]
# Experiment: 200 steps over L levels, exactly
wide = torch.linspace(-15, 15, 1001, dtype=torch.float64)


def distance_w1(points, masses):
    """W1 between masses at increasing points and the mixture: the integral of |F - F_data|."""
    below = masses.cumsum(0) - masses / 2
    ours = numpy.interp(LINE[:, 0].numpy(), points.numpy(), below.numpy(), left=0.0, right=1.0)
    return integral((torch.from_numpy(ours) - MIXTURE.cdf(LINE)).abs()).item()


rows, elsewhere = {}, {}
for L in track([1, 2, 4, 8, 20, 40], "spreading 200 steps"):
    levels = [0.1] if L == 1 else torch.logspace(math.log10(3), -1, L).tolist()
    starts = Normal(1.5, 0.6), Normal(0.0, 3.0)  # in the right bump, and all over the place
    laws = torch.stack([masses_of(start.log_prob(wide).exp(), wide) for start in starts])
    for sigma in levels:
        score = MIXTURE.blurred(sigma).score(wide[:, None], 1.0)[:, 0]
        kernel = langevin_kernel(score, 0.5 * sigma**2, wide)
        for _ in range(200 // L):
            laws = laws @ kernel
    law, other = laws / laws.sum(1, keepdim=True)
    denoised = wide + levels[-1] ** 2 * score  # increasing, so it stays a grid
    rows[L] = (law[wide < -0.5].sum().item(), distance_w1(wide, law), distance_w1(denoised, law))
    elsewhere[L] = distance_w1(wide, other)
first_right = next((L for L, row in rows.items() if abs(row[0] - 0.3003) < 0.02), 0)
fig, ax = plots.curve(
    list(rows), [row[1] for row in rows.values()], "model", marker="o", label="as it ends"
)
plots.curve(
    list(rows), [row[2] for row in rows.values()], "posterior", marker=".", label="denoised", ax=ax
)
plots.guess(ax, x=my_levels)
ax.set(xscale="log", yscale="log", xlabel="number of levels $L$", ylabel="W1 from the data")
named_ticks(ax, list(rows))
ax.set_title(f"Weights right from {first_right} levels on")
plots.show(
    fig,
    alt=f"W1 against the number of levels, with and without denoising; right from {first_right}.",
)
print("   L   share left   W1     denoised   W1 from N(0, 9)     (data: share 0.3003)")
for L, (share, plain, cleaned) in rows.items():
    print(f"{L:4d}{share:12.4f}{plain:9.3f}{cleaned:11.3f}{elsewhere[L]:14.3f}")
print(f"you predicted {my_levels} levels")
findings["W1 from the data after 200 steps, 1 and 40 levels"] = (
    f"{rows[1][1]:.2f} and {rows[40][1]:.3f}"
)
# Your own sampler, with 20,000 walkers: 20 levels, 10 steps each.
seed_everything(0)
generator = torch.Generator().manual_seed(32)
walkers = 1.5 + 0.6 * torch.randn(budget(20_000), 1, generator=generator).double()
levels = torch.logspace(math.log10(3), -1, 20, dtype=torch.float64)
noise = torch.randn(20, 10, *walkers.shape, generator=generator).double()
ends = annealed_langevin(
    lambda x, sigma: MIXTURE.blurred(sigma[0].item()).score(x, 1.0),
    walkers,
    levels,
    0.005,
    noise,
    denoise=False,
)
share = (ends < -0.5).double().mean().item()
print(
    f"your annealed_langevin, 20 levels: share {share:.4f} +- {2 * (0.21 / len(ends)) ** 0.5:.4f}",
    end=", ",
)
print(f"exact {rows[20][0]:.4f}")

# %% [markdown]
# One level: nobody has crossed. Two levels with a hole between them: better than one, and still wrong. From a handful of levels on the weights are right with the same 200 steps, and more levels bring little. Annealing cures the three failures at once, and the one that remains, a bias of the step size, is small and known.
#
# The last column is for walks that begin at $\mathcal N(0, 9)$ instead. Only the walk at one level remembers its start; the others have lost it in the steps at $\sigma = 3$. So the well-known slide with this algorithm may leave open where $\tilde x_0$ comes from, as it does. What it should not leave open is the end: its last $\tilde x_T$ has the law of $q_{\sigma_L}$, with a bias, and not that of the data.
#
# ### Further: the bias of a level, and the last denoising
#
# With $a_i = e\, \sigma_i^2 / \sigma_L^2$ and data of variance $\lambda$ along an axis, level $i$ has the target $\lambda + \sigma_i^2$, and settles at that times
#
# $$\frac{1}{1 - \dfrac{e\, \sigma_i^2}{4 \sigma_L^2 (\lambda + \sigma_i^2)}} \;\le\; \frac{1}{1 - e / 4 \sigma_L^2} \tag{18}$$
#
# *(17) with $v = \lambda + \sigma_i^2$; then $\sigma_i^2 / (\lambda + \sigma_i^2) \le 1$.* The bias is at most the same at every level. Below the data's own width it is smaller, and mixing slower, which does no harm: the levels above have done it. The last denoising, by (12) with $y$ for $x_t / \sqrt{\bar\alpha_t}$, multiplies by $\lambda / (\lambda + \sigma_L^2)$:
#
# $$\text{standard deviation} \quad \sqrt{\lambda + \sigma_L^2} \;\longrightarrow\; \frac{\lambda}{\sqrt{\lambda + \sigma_L^2}}, \qquad \text{wanted:} \quad \sqrt\lambda \tag{19}$$
#
# *a linear map multiplies a standard deviation.* Where $\lambda \gg \sigma_L^2$ it is now as much too narrow as it was too wide; no gain. Where $\lambda \ll \sigma_L^2$, as across the thin sheet on which images lie, it takes nearly all noise away. And the eye sees noise first.

# %%
# Equations (18) and (19)
# (18): the recursion at each of three levels; (19) through the exact denoiser, for a wide and a thin direction.
e, lam, levels = 0.004, 0.5, double([2.0, 0.6, 0.1])
target, sizes = lam + levels**2, e * levels**2 / levels[-1] ** 2
V = torch.ones(3).double()
for _ in range(4000):
    V = (1 - sizes / (2 * target)) ** 2 * V + sizes
factor = 1 / (1 - e * levels**2 / (4 * levels[-1] ** 2 * target))
verify_equation(18, V / target, factor, rtol=1e-6)
verify_equation(18, factor, 1 / (1 - e / (4 * levels[-1] ** 2)), relation="<=")
for lam in (1.0, 1e-4):
    one, s2 = double([[1.0]]), 0.05**2
    axis = exact.GaussianData(double([0.0]), double([[lam]]))
    gain = (one + s2 * axis.blurred(0.05).score(one, 1.0)).item()
    verify_equation(19, gain * (lam + s2) ** 0.5, lam / (lam + s2) ** 0.5)
    print(
        f"lambda = {lam:g}: off by {(lam + s2) ** 0.5 - lam**0.5:+.5f} before, {gain * (lam + s2) ** 0.5 - lam**0.5:+.5f} after"
    )

# %% [markdown]
# ## 6 · A thousand steps become one equation
#
# Back to the chains of lesson 04, with their thousand small steps. Why a thousand? Nobody needs the number itself; so let it go to infinity. Write $\tau = t / T$, and let every step add less noise the more steps there are: $\beta_t = \beta(\tau) / T$. The function $\beta(\tau)$ is the noise *per unit of time*, in code the `rate`. The usual table is $\beta(\tau) = 0.1 + 19.9\, \tau$ with $T = 1000$: from $10^{-4}$ to $0.02$.
#
# $$\sqrt{1 - \beta_t} = 1 - \frac{\beta(\tau)}{2T} + O(T^{-2}) \tag{20}$$
#
# *Taylor's formula for the root.* So one forward step, with $d\tau = 1 / T$, is $x_t - x_{t-1} \approx -\frac12 \beta\, x\, d\tau + \sqrt{\beta}\, \sqrt{d\tau}\, z$. In the limit one writes
#
# $$dx = -\tfrac12 \beta(\tau)\, x\, d\tau + \sqrt{\beta(\tau)}\; dw \tag{21}$$
#
# *where $dw$ stands for $\sqrt{d\tau}\, z$ with fresh $z$ at every moment.* This is a **stochastic differential equation** (SDE): a *drift*, the coefficient of $d\tau$, and a *diffusion*, that of $dw$. Read it as a recipe for a computer and there is nothing mysterious in it. Notice the two powers of $d\tau$. In $1 / d\tau$ small steps the drifts add up to something like $\frac{1}{d\tau} \cdot d\tau$, and so do the *variances* of the noises, $\frac{1}{d\tau} \cdot \big( \sqrt{d\tau} \big)^2$: both stay finite.
#
# ### Exercise: `vp_alpha_bar` · ●●○ · 6 minutes · 1 point
#
# How much of the signal is left at time $\tau$? In the chain it is the product $\prod_{i \le t} (1 - \beta_i)$. Find its limit, for a rate that rises linearly.


# %% exercise="vp_alpha_bar"
def vp_alpha_bar(tau, beta_min=0.1, beta_max=20.0):
    """The limit of alpha_bar_t at t = tau T as T grows, for beta_t = rate(t / T) / T.

    rate(tau) = beta_min + (beta_max - beta_min) tau.

    Args:
        tau: a floating tensor of any shape, entries in [0, 1].
        beta_min, beta_max: floats, 0 < beta_min <= beta_max; they may be equal.

    Returns:
        Like tau. Exactly 1 at tau = 0.
    """
    ### BEGIN SOLUTION
    return torch.exp(-(beta_min * tau + (beta_max - beta_min) * tau**2 / 2))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The logarithm turns the product into a sum, and $\log(1 - u) \approx -u$ for small $u$.</details>
# <details><summary>Hint 2: the idea</summary>$\sum_i \beta(i / T) / T$ is a Riemann sum. Of which integral, from where to where?</details>
# <details><summary>Hint 3: nearly the line</summary>Integrate the straight line from 0 to $\tau$: one term with $\tau$, one with half of $\tau^2$. Then undo the logarithm, and mind the sign.</details>


# %% checks="vp_alpha_bar"
# Checks of vp_alpha_bar
def long_product(tau, first, last, T):
    """alpha_bar of a chain with T steps of equal length from 0 to tau, the rate taken in their middles."""
    middle = (torch.arange(T, dtype=torch.float64) + 0.5) / T * tau
    return torch.log1p(-(first + (last - first) * middle) * tau / T).sum().exp()


moments = double([0.1, 0.5, 0.9])
for first, last in ((0.1, 20.0), (0.5, 3.0), (2.0, 2.0)):
    # two long products, combined so that the error of order 1/T cancels
    limit = torch.stack(
        [
            2 * long_product(u, first, last, 40_000) - long_product(u, first, last, 20_000)
            for u in moments
        ]
    )
    expect(
        vp_alpha_bar(moments, first, last),
        limit,
        f"vp_alpha_bar: the product of a very long table, rate from {first:g} to {last:g}",
        rtol=1e-5,
        hint="the integral of the rate from 0 to tau, in an exponential with a minus sign",
    )
expect(
    moments,
    double([0.1, 0.5, 0.9]),
    "vp_alpha_bar: tau itself is unchanged",
    hint="work on a new tensor: no mul_ or exp_ on tau",
)
expect(
    vp_alpha_bar(torch.zeros(2, 3)),
    torch.ones(2, 3),
    "vp_alpha_bar: nothing is lost at tau = 0, in any shape",
    hint="an integral from 0 to 0 is zero",
)

# %% [markdown]
# So
#
# $$\bar\alpha(\tau) = \lim_{T \to \infty} \prod_{i \le \tau T} \Big( 1 - \frac{\beta(i/T)}{T} \Big) = \exp\Big( -\int_0^\tau \beta(u)\, du \Big) \tag{22}$$
#
# *the logarithm of the product is $-\sum \beta(i/T)/T + O(1/T)$, a Riemann sum.* For data of variance $\lambda$ the variance moves by
#
# $$\frac{dv}{d\tau} = \beta\, (1 - v), \qquad v(\tau) = \bar\alpha(\tau)\, \lambda + 1 - \bar\alpha(\tau) \tag{23}$$
#
# *one step makes $(1 - \beta\, d\tau)\, v + \beta\, d\tau$ of $v$; and with (22) $\bar\alpha' = -\beta \bar\alpha$.* Whatever it was, $v$ goes to 1. The other noising, the one that only adds, is the same equation in other coordinates:
#
# $$dy = \sqrt{\frac{d \sigma^2}{d\tau}}\; dw, \qquad x = \sqrt{\bar\alpha}\; y, \quad \sigma^2 = \frac{1 - \bar\alpha}{\bar\alpha} \tag{24}$$
#
# *independent noises add their variances, so $\sigma^2$ grows by $\frac{d\sigma^2}{d\tau} d\tau$; the product rule for $\sqrt{\bar\alpha}\, y$ gives the drift $-\frac12 \beta x$ of (21), and $\bar\alpha\, \frac{d \sigma^2}{d\tau} = \beta$ its noise.*


# %%
# The rate, the variance of (23), the inverse of (22), and a distance
def vp_rate(tau, beta_min=0.1, beta_max=20.0):
    """beta(tau), the noise per unit of time."""
    return beta_min + (beta_max - beta_min) * tau


def vp_time(log_snr, beta_min=0.1, beta_max=20.0):
    """The tau at which log(alpha_bar / (1 - alpha_bar)) has this value: the inverse of (22)."""
    spent = torch.nn.functional.softplus(-log_snr)  # the integral of the rate
    root = (beta_min**2 + 2 * (beta_max - beta_min) * spent).sqrt()
    return 2 * spent / (beta_min + root)


def variance_at(tau, lam):
    """v(tau) of (23) for data of variance lam."""
    level = vp_alpha_bar(tau)
    return level * lam + 1 - level


def w2(deviations, lam):
    """The 2-Wasserstein distance of centred Gaussians with common axes, by standard deviations and variances."""
    return (deviations - lam.sqrt()).square().sum().sqrt().item()


# %%
# Equations (20) to (24)
# (20): the error of the expansion falls by four when T doubles. (21): its steps, mean and variance. (22) to (24).
tau, h = double(0.6), 1e-5
miss = [
    ((1 - vp_rate(tau) / T).sqrt() - (1 - vp_rate(tau) / (2 * T))).item() for T in (10_000, 20_000)
]
verify_equation(20, miss[0] / miss[1], 4.0, rtol=1e-2)
steps = 20_000
rates = vp_rate((torch.arange(steps, dtype=torch.float64) + 0.5) / steps * tau) * tau / steps
kept = ((1 - rates / 2) ** 2).flip(0).cumprod(0).flip(0)  # by all steps from this one on
mean, later = (1 - rates / 2).prod(), torch.cat([kept[1:], torch.ones(1).double()])
variance = (
    rates * later
).sum()  # of x_tau, for data that are the point 1: noise of each step, as it is left
verify_equation(
    21,
    torch.stack([mean**2, variance]),
    torch.stack([vp_alpha_bar(tau), 1 - vp_alpha_bar(tau)]),
    rtol=1e-3,
)
verify_equation(22, vp_alpha_bar(tau), torch.exp(-rates.sum()))
change = (variance_at(tau + h, 0.2) - variance_at(tau - h, 0.2)) / (2 * h)
verify_equation(23, change, vp_rate(tau) * (1 - variance_at(tau, 0.2)), rtol=1e-6)


def sigma2(tau):
    return 1 / vp_alpha_bar(tau) - 1


growth = (sigma2(tau + h) - sigma2(tau - h)) / (2 * h)
verify_equation(24, vp_alpha_bar(tau) * growth, vp_rate(tau), rtol=1e-6)

# %% [markdown]
# ### Find the error: a factor that is not there
#
# A well-known slide writes the chain with $\sqrt{1 - \beta_i}$ and then, as "the corresponding SDE" for $t$ from 0 to 1, equation (21) with "$\beta(t)$", and the reader puts the table's $\beta_i$, from $10^{-4}$ to $0.02$, in its place. **Predict** $\bar\alpha(1)$ of *that* SDE, and how the error of the limit falls as $T$ doubles.

# %% predict="my_signal"
my_signal = 0.1  # your prediction: alpha_bar at the end of the slide's SDE

# %% tags=["experiment"]
# Experiment: tables against their limit
print("   T    largest difference   order")
last = None
for T in (50, 100, 200, 400, 800, 1600):
    table = alpha_bar_from_beta(linear_beta(T, 0.1 / T, 20 / T))
    limit = vp_alpha_bar(torch.arange(T + 1, dtype=torch.float64) / T)
    gap = (table - limit).abs().max().item()
    print(f"{T:5d}{gap:17.1e}" + (f"{math.log2(last / gap):14.2f}" if last else ""))
    last = gap
slide = vp_alpha_bar(double(1.0), 1e-4, 0.02).item()
right = vp_alpha_bar(double(1.0)).item()
print(
    f"alpha_bar(1): table with T = 1000 {LONG[1000]:.3e}, limit {right:.3e}, slide {slide:.3f}",
    end="; ",
)
print(f"you predicted {my_signal:g}")
findings["signal left at the end: limit, and without the factor T"] = f"{right:.1e} and {slide:.3f}"

# %% [markdown]
# The slide's SDE hardly adds noise. Its $\beta(t)$ has to be $T$ times $\beta_i$: a quantity *per unit of time*. And the limit is no mere idea, a table of a thousand steps is within a thousandth of it.
#
# ### Turning it around
#
# Every sample path of (21) runs into noise. You want another equation, one that runs from noise to data. It need not undo a single path, only pass through the same *densities* $p_\tau$ in reverse. How do densities move? For an SDE with drift $f$ and diffusion $g(\tau)$,
#
# $$\frac{\partial p}{\partial \tau} = -\operatorname{div}(f p) + \frac{g^2}{2} \Delta p \qquad \text{(Fokker and Planck)} \tag{25}$$
#
# *Take any smooth function $h$ that vanishes far out. In $d\tau$, $x$ moves by something of mean $f d\tau$ and variance $g^2 d\tau$, so by Taylor $\frac{d}{d\tau} \mathbb E\, h = \mathbb E \big[ \nabla h \cdot f + \frac{g^2}{2} \Delta h \big]$. Write the averages as integrals over $p$, and integrate by parts once and twice to free $h$. This holds for all $h$, so the factors of $h$ agree.* Here $\Delta = \operatorname{div} \nabla$ is the Laplacian: noise lets densities run like ink, from hills to valleys. And now the score comes in:
#
# $$\Delta p = \operatorname{div}(\nabla p) = \operatorname{div}(p\, s) \tag{26}$$
#
# *$\nabla p = p\, \nabla \log p$.* **Running like ink is the same as flowing along $-s$.** A drift and a noise can be traded for one another. (So Langevin dynamics is no accident: with $f = \frac12 s$ and $g = 1$ the two terms of (25) cancel, and $p$ stands still. There is the one half, for every density.)
#
# ### Step: `traded_drift` · ●●○ · 5 minutes
#
# To run backwards with noise of size $\eta g$, you need an equation in which the noise has the *other* sign, because time will be turned:
#
# $$\frac{\partial p}{\partial \tau} = -\operatorname{div} \big[ (f - c\, g^2 s)\, p \big] - \frac{\eta^2}{2} g^2 \Delta p.$$
#
# Which $c$, depending on $\eta$, makes this the same as (25)?


# %% step="traded_drift"
def traded_drift(eta):
    """c as an expression in the symbol eta."""
    ### BEGIN SOLUTION
    return (1 + eta**2) / 2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Set both right sides equal. $-\operatorname{div}(fp)$ cancels. What is left is about $\Delta p$ and $\operatorname{div}(s p)$, and (26) says that these are one thing.</details>
# <details><summary>Hint 2: the idea</summary>Count the multiples of $g^2 \Delta p$ on each side.</details>
# <details><summary>Hint 3: nearly the line</summary>One half on the left side; $c$ less half of $\eta^2$ on the right.</details>

# %% checks="traded_drift"
# Checks of traded_drift
x_, tau_, lam_, eta_, b_ = sympy.symbols("x tau lambda eta beta", positive=True)
v_of_tau = lam_ * sympy.exp(-b_ * tau_) + 1 - sympy.exp(-b_ * tau_)  # (23), at a constant rate
p_ = sympy.exp(-(x_**2) / (2 * v_of_tau)) / sympy.sqrt(2 * sympy.pi * v_of_tau)
s_ = sympy.diff(sympy.log(p_), x_)
flux = (-b_ * x_ / 2 - traded_drift(eta_) * b_ * s_) * p_
residual = sympy.diff(p_, tau_) + sympy.diff(flux, x_) + eta_**2 / 2 * b_ * sympy.diff(p_, x_, 2)
for eta in (0.5, 2.0):
    at = {x_: 0.7, tau_: 0.2, lam_: 0.3, b_: 3.0, eta_: eta}
    expect(
        float(residual.subs(at)),
        0.0,
        f"traded_drift: the equation holds for a Gaussian, eta = {eta:g}",
        atol=1e-9,
        hint="the multiples of the Laplacian on both sides must be equal",
    )
expect(
    sympy.simplify(residual) == 0,
    True,
    "traded_drift: at all places, times and eta",
    hint="two numbers agree and not all do",
)

# %% [markdown]
# ### Exercise: `reverse_drift` · ●●○ · 6 minutes · 2 points
#
# Put the VP noising's own $f$ and $g$ in. The drift is what stands in the bracket, the coefficient of $d\tau$; that time will run downwards is the sampler's business, not the drift's.


# %% exercise="reverse_drift"
def reverse_drift(x, score, rate, eta=1.0):
    """The drift of the SDE that runs from tau = 1 down to 0 through the VP marginals p_tau.

    dx = drift dtau + eta sqrt(rate) dw-bar with dtau < 0: the sampler's steps are negative, and
    the drift is the coefficient of dtau.

    Args:
        x, score: (B, *event): places, and grad log p_tau there.
        rate: (B,), beta(tau) of each example.
        eta: a float >= 0: how much noise the way back uses.

    Returns:
        Like x.

    Source: eta = 1 is Anderson's reverse SDE (1982), eta = 0 the probability flow of Song et al.
    (2021), equations 6 and 13.
    """
    ### BEGIN SOLUTION
    b = column(rate, x)
    return -b / 2 * x - (1 + eta**2) / 2 * b * score
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Which $f$ and $g^2$ does (21) have? Your step says how much score goes with which eta.</details>
# <details><summary>Hint 2: the idea</summary>$f - c\, g^2 s$ with $f = -\frac12 \beta x$ and $g^2 = \beta$. No sign changes because time runs backwards.</details>
# <details><summary>Hint 3: nearly the line</summary><code>b = column(rate, x)</code> meets the batch. Both summands are negative multiples of it; for eta = 1 the second is the whole <code>b * score</code>.</details>

# %% checks="reverse_drift"
# Checks of reverse_drift
x, rates = normal(5, 2, seed=40), double([0.5, 3.0, 7.0, 12.0, 20.0])
expect(
    reverse_drift(x, -x, rates, 0.0),
    0 * x,
    "reverse_drift: on data N(0, 1) the flow (eta = 0) stands still",
    hint="for eta = 0 one half of the rate times x + score, with a minus sign",
)
one = torch.ones(5).double()[:, None]
for eta in (0.0, 0.5, 1.0, 2.0):
    v = double([0.2, 0.5, 0.9, 1.3, 1.8])
    pull = reverse_drift(one, -one / v[:, None], rates, eta)[:, 0]
    # on a Gaussian d v / d tau = 2 pull v, less the noise that a walk backwards adds
    expect(
        2 * pull * v - eta**2 * rates,
        rates * (1 - v),
        f"reverse_drift: the variance moves as in (23), eta = {eta:g}",
        hint="how the factor of the score depends on eta, and each example's own rate",
    )
picture = normal(2, 1, 2, 2, seed=41)
expect(
    reverse_drift(picture, 2 * picture, double([1.0, 4.0]))[1],
    4 * reverse_drift(picture, 2 * picture, double([1.0, 1.0]))[1],
    "reverse_drift: pictures, each at its own rate; eta = 1 when it is not given",
    hint="rate (B,) meets the first axis: column(rate, x)",
)

# %% [markdown]
# Here is what you used, and what you have:
#
# $$\frac{\partial p}{\partial \tau} = -\operatorname{div} \Big[ \Big( f - \frac{1 + \eta^2}{2} g^2 s \Big) p \Big] - \frac{\eta^2}{2} g^2 \Delta p \tag{27}$$
#
# *add and subtract $\frac{\eta^2}{2} g^2 \Delta p$ in (25); then (26) turns $\frac{1 + \eta^2}{2} g^2 \Delta p$ into a flow along the score.* Now let time run down, $\tau' = 1 - \tau$. The sign of the left side turns, and with it all others: the noise term becomes positive, as a noise term must be. Read backwards it is the Fokker-Planck equation of
#
# $$dx = \Big[ f - \frac{1 + \eta^2}{2} g^2 s \Big] d\tau + \eta\, g\; d\bar w, \qquad d\tau < 0 \tag{28}$$
#
# *a whole family with the same densities. $\eta = 1$ is Anderson's reverse SDE of 1982; $\eta = 0$ has no noise at all, and is called the **probability flow**.* The slide that shows it does not say that $d\tau$ is negative. In a moment you will see what happens to those who overlook it.

# %%
# Equations (25) to (28), on the mixture
# (25) to (27) on the mixture by finite differences, at tau = 0.3; (28) by the variance of a Gaussian.
fine, tau, h = torch.linspace(-5, 5, 2001, dtype=torch.float64), double(0.3), 1e-4


def d(values):
    return torch.gradient(values, spacing=(fine[1] - fine[0]).item())[0]


def density_at(tau):
    return MIXTURE.noised(vp_alpha_bar(tau)).log_prob(fine[:, None]).exp()


p, b = density_at(tau), vp_rate(tau)
s = MIXTURE.score(fine[:, None], vp_alpha_bar(tau))[:, 0]
inner = torch.arange(5, 1996).roll(-700)  # all but the ends, beginning among the data
moved = (density_at(tau + h) - density_at(tau - h)) / (2 * h)
verify_equation(25, moved[inner], (-d(-b / 2 * fine * p) + b / 2 * d(d(p)))[inner], atol=1e-4)
verify_equation(26, d(d(p))[inner], d(p * s)[inner], atol=1e-4)
for eta in (0.0, 0.5, 1.0):
    bracket = -b / 2 * fine - (1 + eta**2) / 2 * b * s
    verify_equation(
        27, moved[inner], (-d(bracket * p) - eta**2 / 2 * b * d(d(p)))[inner], atol=1e-4
    )
eta, v = double([0.0, 0.3, 1.0, 1.7]), variance_at(tau, 0.2)
pull = torch.stack(
    [reverse_drift(double([[1.0]]), double([[-1.0]]) / v, b[None], e.item())[0, 0] for e in eta]
)
verify_equation(28, b * (1 - v), 2 * pull * v - eta**2 * b)

# %% [markdown]
# ### Exercise: `euler_maruyama` · ●●○ · 7 minutes · 2 points
#
# The recipe of (21), for any SDE and in either direction of time. It is called Euler-Maruyama: Euler's method, with noise.


# %% exercise="euler_maruyama"
def euler_maruyama(drift, diffusion, x, taus, noise):
    """Follow dx = drift dtau + diffusion dw along a grid of times, up or down.

    Step k goes from taus[k] to taus[k + 1], by h = taus[k + 1] - taus[k], which is negative on a
    falling grid: x moves by h times the drift, and by the diffusion times noise[k], whose
    variance over a time of length abs(h) is abs(h).

    Args:
        drift: drift(x, tau) -> like x. diffusion: diffusion(tau) -> (B,). tau is a tensor (B,) of
            x's dtype and device. Both are asked once a step, at the step's start.
        x: (B, *event). It is unchanged.
        taus: (S + 1,), strictly rising or strictly falling, S >= 1; the steps may be uneven.
        noise: (S, B, *event), standard normal.

    Returns:
        x at taus[-1], like x.

    Source: Kloeden and Platen (1992), section 9.1.
    """
    ### BEGIN SOLUTION
    for (start, end), z in zip(pairwise(taus), noise, strict=True):
        tau, h = start.to(x).expand(len(x)), (end - start).to(x)
        x = x + h * drift(x, tau) + column(diffusion(tau), x) * h.abs().sqrt() * z
    return x
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>One loop over the S steps. What is the standard deviation of the noise in a step of length $|h|$?</details>
# <details><summary>Hint 2: the idea</summary>h keeps its sign with the drift, and loses it under the root. Each of drift and diffusion gets <code>taus[k].expand(len(x))</code>.</details>
# <details><summary>Hint 3: nearly the line</summary><code>x = x + h * drift(x, tau) + column(diffusion(tau), x) * ... * noise[k]</code>, where the dots are the root of <code>h.abs()</code>.</details>

# %% checks="euler_maruyama"
# Checks of euler_maruyama
x, asked = normal(4, 2, seed=42), []


def decay(x, tau):
    asked.append(tau.tolist())
    return -2 * x


quiet, quarter = torch.zeros(2, 4, 2).double(), double([0.5, 0.25])
up = euler_maruyama(decay, lambda tau: 0 * tau, x, double([0.0, 0.1, 0.3]), quiet)
expect(
    asked,
    [[0.0] * 4, [0.1] * 4],
    "euler_maruyama: the drift is asked once a step, at its start",
    hint="step k asks at taus[k], one tau for each row: a tensor (B,)",
)
expect(
    up,
    (1 - 2 * 0.1) * (1 - 2 * 0.2) * x,
    "euler_maruyama: a drift alone, uneven steps",
    hint="each step is as long as its own h",
)
down = euler_maruyama(decay, lambda tau: 0 * tau, x, double([0.3, 0.0]), quiet[:1])
expect(
    down,
    (1 + 2 * 0.3) * x,
    "euler_maruyama: on a falling grid the drift acts the other way round",
    hint="h is negative there: no abs() around it",
)
pushed = euler_maruyama(
    lambda x, tau: 0 * x, lambda tau: double([1.0, 2.0, 3.0, 4.0]), x, quarter, 0 * x[None] + 1
)
expect(
    (pushed - x).square(),
    0.25 * double([1.0, 4.0, 9.0, 16.0])[:, None].expand(4, 2),
    "euler_maruyama: noise of variance diffusion^2 |h|, each example with its own",
    hint="the root of |h|, not h itself; diffusion (B,) meets the first axis",
)
both_ways = torch.stack([0 * x + 1, 0 * x - 2])
pushed = euler_maruyama(
    lambda x, tau: 0 * x, lambda tau: 0 * tau + 1, x, double([0.0, 0.25, 0.5]), both_ways
)
expect(
    pushed - x,
    0 * x - 0.5,
    "euler_maruyama: each step with noise of its own",
    hint="step k takes noise[k]",
)
# 400 steps down through the exact marginals of N(0, 0.2) data: the variance at the end, by its recursion.
lam, taus, V = (
    double([0.2]),
    torch.linspace(1, 0, 401, dtype=torch.float64),
    variance_at(double([1.0]), 0.2),
)
start = V
for k in range(400):
    two = taus[k : k + 2]

    def score(x, tau):
        return -x / variance_at(tau, 0.2)[:, None]

    def back(x, tau):
        return reverse_drift(x, score(x, tau), vp_rate(tau))

    gain = euler_maruyama(
        back, lambda tau: vp_rate(tau).sqrt(), double([[1.0]]), two, double([[[0.0]]])
    )
    push = euler_maruyama(
        back, lambda tau: vp_rate(tau).sqrt(), double([[0.0]]), two, double([[[1.0]]])
    )
    V = (gain**2 * V + push**2)[0]
expect(
    V,
    lam,
    "euler_maruyama: 400 steps of the reverse SDE end near the data's variance",
    rtol=0.02,
    hint="see above",
)

# %% [markdown]
# ### Find the error: which way does time run?
#
# Somebody has read the slide's reverse SDE and walks it with $d\tau > 0$: from $\tau = 1$ to 0, but the drift added where it should be subtracted. The data are $\mathcal N(0, 1)$, so nothing at all should happen. **Predict** the standard deviation at the end.

# %% predict="my_deviation"
my_deviation = 2.0  # your prediction: standard deviation, where 1 is right

# %% tags=["experiment"]
# Experiment: the reverse SDE walked the wrong way
# The reverse SDE with h > 0, exactly: the variance of a linear recursion, in small steps on N(0, 1) data.
steps = 2000
wrong_way, right_way = 1.0, 1.0
path = []
for k in range(steps):
    b, h = vp_rate(1 - (k + 0.5) / steps), 1 / steps
    pull = reverse_drift(double([[1.0]]), double([[-1.0]]), double([b]))[0, 0].item()  # of x = 1
    wrong_way = (1 + h * pull) ** 2 * wrong_way + b * h
    right_way = (1 - h * pull) ** 2 * right_way + b * h
    path.append((wrong_way**0.5, right_way**0.5))
fig, ax = plots.curve(
    torch.linspace(1, 0, steps), [a for a, _ in path], "model", label="$d\\tau > 0$"
)
plots.curve(torch.linspace(1, 0, steps), [b for _, b in path], "exact", label="$d\\tau < 0$", ax=ax)
plots.guess(ax, y=my_deviation)
ax.set(
    xlim=(1, 0),
    yscale="log",
    xlabel="time $\\tau$, walking to the right",
    ylabel="standard deviation",
)
ax.set_title(f"At the end: {path[-1][1]:.2f} the right way, {path[-1][0]:.0f} the wrong way")
plots.show(
    fig,
    alt=f"Standard deviations along both walks, ending at {path[-1][0]:.0f} and {path[-1][1]:.2f}.",
)
print(
    f"wrong way {path[-1][0]:.1f}; sqrt(2 e^10.05 - 1) = {(2 * math.exp(10.05) - 1) ** 0.5:.1f}; you predicted {my_deviation:g}"
)
findings["sd on N(0, 1) data when time runs the wrong way"] = f"{path[-1][0]:.0f}"

# %% [markdown]
# ### Further: is Algorithm 2 Euler-Maruyama?
#
# Nearly. With (11), lesson 06's step with variance $\beta_t$ has the mean on the left; Euler-Maruyama for (28), $\eta = 1$, takes $(1 + \frac{\beta_t}{2})\, x + \beta_t s$:
#
# $$\frac{x + \beta_t s}{\sqrt{1 - \beta_t}} = \Big( 1 + \frac{\beta_t}{2} \Big) x + \beta_t s + \frac38 \beta_t^2\, x + \frac12 \beta_t^2\, s + O(\beta_t^3) \tag{29}$$
#
# *$1 / \sqrt{1 - u} = 1 + \frac u2 + \frac38 u^2 + \dots$* Both are right to first order, and so is "DDPM is a discretisation of the SDE"; but it is another one. Is it a better one?

# %%
# Equation (29): what is left, over beta_t^2
for b in (1e-3, 1e-4):
    root = (1 - double(b)).sqrt()
    left = torch.stack([1 / root - (1 + b / 2), b / root - b]) / b**2
verify_equation(29, left, double([3 / 8, 1 / 2]), rtol=1e-3)

# %% [markdown]
# Here they are on the correlated Gaussian, exactly: along each axis a step multiplies the variance and adds some, so no sample is drawn. All start from $\mathcal N(0, I)$, and take no fresh noise in the last step; the error is **W2**, the root of the sum over the axes of the squared errors of the standard deviation. Euler-Maruyama comes twice: with the table's own $\beta_t$ and $\bar\alpha_t$, as in (29), and as your `euler_maruyama` walks the SDE, with $\beta(\tau) / T$ and the limit (22). **Predict** by what factor the first of them is worse than lesson 06's step at $T = 100$.


# %%
# The exact end of a random walk on Gaussian data
def table_w2(lam, T, rule):
    """W2 at the end of T steps of a table: "ancestral" or "posterior", lesson 06's step, or "Euler-Maruyama"."""
    beta = linear_beta(T, 0.1 / T, 20 / T)
    table, V = alpha_bar_from_beta(beta), torch.ones_like(lam)
    for t in range(T, 0, -1):
        b, v = beta[t], table[t] * lam + 1 - table[t]
        gain = 1 + b / 2 - b / v if rule == "Euler-Maruyama" else (1 - b / v) / (1 - b).sqrt()
        share = (1 - table[t - 1]) / (1 - table[t]) if rule == "posterior" else float(t > 1)
        V = gain**2 * V + share * b
    return w2(V.sqrt(), lam)


def sde_w2(lam, S):
    """W2 at the end of S even steps of your euler_maruyama with your reverse_drift."""
    count = len(lam)

    def drift(x, tau):
        return reverse_drift(x, -x / variance_at(tau, lam.repeat(2))[:, None], vp_rate(tau))

    V, taus = torch.ones_like(lam), torch.linspace(1, 0, S + 1).double()
    start = torch.tensor(
        [[1.0]] * count + [[0.0]] * count
    ).double()  # x without noise, and noise without x
    for k in range(S):
        noise = (1 - start[None]) * (k < S - 1)
        ends = euler_maruyama(drift, lambda tau: vp_rate(tau).sqrt(), start, taus[k : k + 2], noise)
        V = ends[:count, 0] ** 2 * V + ends[count:, 0] ** 2
    return w2(V.sqrt(), lam)


# %% predict="my_ratio"
my_ratio = 2.0  # your prediction: W2 of Euler-Maruyama on the table, over that of lesson 06's step

# %% tags=["experiment"]
# Experiment: lesson 06's step or Euler-Maruyama, exactly
lam, Ts = GAUSSIAN.eigenvalues, (50, 100, 200, 1000)
rows = {
    "lesson 06, variance beta_t": [table_w2(lam, T, "ancestral") for T in Ts],
    "Euler-Maruyama, same table": [table_w2(lam, T, "Euler-Maruyama") for T in Ts],
    "Euler-Maruyama on the SDE": [sde_w2(lam, T) for T in Ts],
    "lesson 06, posterior variance": [table_w2(lam, T, "posterior") for T in Ts],
}
print(f"{'W2 from the data at T =':30}" + "".join(f"{T:9d}" for T in Ts))
for name, row in rows.items():
    print(f"{name:30}" + "".join(f"{value:9.4f}" for value in row))
ours, same_table, on_sde, _ = (row[1] for row in rows.values())
print(f"same table over lesson 06 at T = 100: {same_table / ours:.2f}; you predicted {my_ratio:g}")
findings["W2 at T = 100: lesson 06, Euler-Maruyama there, on the SDE"] = (
    f"{ours:.4f}, {same_table:.4f}, {on_sde:.4f}"
)

# %% [markdown]
# All errors halve when $T$ doubles: every one of these is a first-order method. On the same table Euler-Maruyama is a little behind, but on the SDE's own numbers it is ahead, so "a better discretisation" depends on things as small as where in a step $\beta$ is read off. The choice of the variance weighs more than all that: with the posterior's $\tilde\beta_t$, which is right for data that are a single point, these wide data come out too narrow.
#
# ### Further: how fast does a random method converge?
#
# A random method has two orders. Its **strong order** is the power of $h$ with which single paths err, its **weak order** that for averages, such as the variance at the end. Everyone learns that Euler-Maruyama has strong order one half and weak order one. **Predict** its strong order on the VP SDE and its reverse.

# %% predict="my_order"
my_order = 0.5  # your prediction: the strong order on the reverse SDE

# %% tags=["experiment"]
# Experiment: strong and weak orders
# Strong: 1,000 paths, the same Brownian motion for all grids, against the finest. Weak: second moments at the end, exactly.
paths, finest = 1000, (4096 if budget(4096) == 4096 else 512)
fine_noise = normal(finest, paths, 1, seed=43)
lam = 0.2
problems = {
    "VP, forward": (
        0.0,
        1.0,
        lambda x, tau: -vp_rate(tau)[:, None] / 2 * x,
        lambda tau, x: vp_rate(tau).sqrt(),
    ),
    "VP, reverse": (
        1.0,
        0.0,
        lambda x, tau: reverse_drift(x, -x / variance_at(tau, lam)[:, None], vp_rate(tau)),
        lambda tau, x: vp_rate(tau).sqrt(),
    ),
    "noise grows with x": (0.0, 1.0, lambda x, tau: 0.5 * x, lambda tau, x: 0.8 * x[:, 0]),
}
limits = {"VP, forward": 1.0, "VP, reverse": lam, "noise grows with x": math.exp(2 * 0.5 + 0.8**2)}
fig, (left, right) = plots.figure(1, 2, width=9.4, height=3.6)
order, weak = {}, {}


def fitted_order(S_values, errors):
    """The slope of the straight line through the logarithms, with its sign turned."""
    xs, ys = double(S_values).log(), double(errors).log()
    return -((xs - xs.mean()) * ys).sum().item() / ((xs - xs.mean()) ** 2).sum().item()


for (name, (first, last, drift, spread)), role in zip(
    problems.items(), ("data", "model", "noise"), strict=True
):
    begin = (
        normal(paths, 1, seed=44)
        if first == 0.0
        else variance_at(double(1.0), lam).sqrt() * normal(paths, 1, seed=44)
    )
    begin = 1 + 0 * begin if name.startswith("noise") else begin

    def follow(S, first=first, last=last, drift=drift, spread=spread, begin=begin):
        coarse = fine_noise.reshape(S, finest // S, paths, 1).sum(1) / (finest / S) ** 0.5
        here = [begin]  # diffusion(tau) may look at where the walk is

        def noted(x, tau):
            here[0] = x
            return drift(x, tau)

        taus = torch.linspace(first, last, S + 1, dtype=torch.float64)
        return euler_maruyama(noted, lambda tau: spread(tau, here[0]), begin, taus, coarse)

    def second_moment(S, first=first, last=last, drift=drift, spread=spread, begin=begin):
        """E x^2 at the end, exactly: a step makes g^2 E x^2 of it, and adds the noise's share."""
        grows = bool((begin == 1).all())  # then the noise is proportional to x
        M = double(1.0) if grows or first == 0.0 else variance_at(double(1.0), lam)
        taus, one = torch.linspace(first, last, S + 1, dtype=torch.float64), double([[1.0]])
        for start, end in pairwise(taus):
            h, tau = end - start, start[None]
            push = spread(tau, one)[0] ** 2 * h.abs()
            M = (1 + h * drift(one, tau)[0, 0]) ** 2 * M + push * (M if grows else 1)
        return M.item()

    reference, S_values = follow(finest), [16, 32, 64, 128, 256]
    paths_err = [(follow(S) - reference).square().mean().sqrt().item() for S in S_values]
    order[name] = round(fitted_order(S_values, paths_err), 2)
    label = f"{name}: order {order[name]:.2f}"
    plots.curve(S_values, paths_err, role, marker="o", label=label, ax=left)
    moments_err = [abs(second_moment(S) - limits[name]) for S in S_values]
    weak[name] = round(math.log2(moments_err[-2] / moments_err[-1]), 2)  # of the last doubling
    label = f"{name}: order {weak[name]:.2f}"
    plots.curve(S_values, moments_err, role, marker="o", label=label, ax=right)
for ax, what in ((left, "error of single paths"), (right, "error of the mean square")):
    ax.set(xscale="log", yscale="log", xlabel="number of steps", ylabel=what)
    named_ticks(ax, S_values)
    ax.legend(fontsize=9)
left.set_title(f"Strong order {order['VP, reverse']:.2f} on the reverse SDE")
right.set_title(f"Weak order {weak['VP, reverse']:.2f} there")
plots.show(
    fig,
    alt="Left the error of single paths, right that of the mean square at the end, against steps, for three equations; "
    + "; ".join(f"{name}: strong {order[name]:.2f}, weak {weak[name]:.2f}" for name in order),
)
print(f"strong order {order['VP, reverse']:.2f}; you predicted {my_order:g}")
findings["strong and weak order of Euler-Maruyama on the reverse SDE"] = (
    f"{order['VP, reverse']:.2f} and {weak['VP, reverse']:.2f}"
)

# %% [markdown]
# One, not one half: in (21) and (28) the noise does not depend on $x$, and then the term that costs half an order is zero. The grey line on the left has noise proportional to $x$ and shows the textbook's order. For averages, on the right, it does not matter: the last doubling of the steps halves the error in all three, a weak order of one. (These errors are exact, so two of them tell the order; those of the paths are drawn, and a line is fitted through all five.)
#
# ## 7 · No noise at all: the flow
#
# In (28) put $\eta = 0$. What is left is an ordinary differential equation: a smooth curve through every point, the same every time, from noise to data and back again. You have met its steps. Lesson 06's (26) wrote DDIM as position plus a small change of $r$ times $\hat\epsilon$, and asked you to remember it.
#
# ### Step: `flow_slope` · ●●● · 6 minutes
#
# Along the flow, $\frac{dx}{d\tau} = -\frac\beta2 (x + s)$ with $s = -\epsilon / \sqrt{1 - \bar\alpha}$. Look at it in the coordinates $y = x / \sqrt{\bar\alpha}$ and $\sigma = \sqrt{(1 - \bar\alpha) / \bar\alpha}$. What is $\frac{dy}{d\sigma}$?


# %% step="flow_slope"
def flow_slope(x, eps, alpha_bar, rate):
    """dy/dsigma along the probability flow, an expression in some of the four symbols."""
    ### BEGIN SOLUTION
    return eps
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>$\frac{dy}{d\sigma} = \frac{dy/d\tau}{d\sigma/d\tau}$. Everything depends on $\tau$ through $x$ and $\bar\alpha$, and $\bar\alpha' = -\beta \bar\alpha$.</details>
# <details><summary>Hint 2: the idea</summary>In $dy/d\tau$ the two terms with $x$ cancel. For $d\sigma/d\tau$ differentiate $\sigma^2 = 1/\bar\alpha - 1$.</details>
# <details><summary>Hint 3: nearly the line</summary>$dy/d\tau = \frac{\beta}{2} \frac{\epsilon}{\sqrt{\bar\alpha} \sqrt{1 - \bar\alpha}}$ and $d\sigma/d\tau = \frac{\beta}{2 \bar\alpha \sigma}$. Divide.</details>

# %% checks="flow_slope"
# Checks of flow_slope
x_, e_, A_, b_ = sympy.symbols("x epsilon alphabar beta", positive=True)
velocity = -b_ / 2 * (x_ - e_ / sympy.sqrt(1 - A_))
y_speed = velocity * sympy.diff(x_ / sympy.sqrt(A_), x_) - b_ * A_ * sympy.diff(
    x_ / sympy.sqrt(A_), A_
)
sigma_speed = -b_ * A_ * sympy.diff(sympy.sqrt((1 - A_) / A_), A_)
for place in ({x_: 0.3, e_: 1.2, A_: 0.4, b_: 3.0}, {x_: 2.0, e_: 0.5, A_: 0.9, b_: 0.7}):
    expect(
        float(sympy.sympify(flow_slope(x_, e_, A_, b_)).subs(place)),
        float((y_speed / sigma_speed).subs(place)),
        "flow_slope: by the chain rule, at a place",
        hint="divide dy/dtau by dsigma/dtau; nearly everything cancels",
    )
expect(
    same(flow_slope(x_, e_, A_, b_), y_speed / sigma_speed),
    True,
    "flow_slope: for all values",
    hint="two numbers agree and not all do",
)

# %% [markdown]
# $$\frac{dy}{d\sigma} = \hat\epsilon(x, \tau) \tag{30}$$
#
# *the chain rule; the shrinking drops out.* That is the whole flow: **move in the direction of the predicted noise, as far as $\sigma$ moves.** Schedules have disappeared from it; they only say which values of $\sigma$ are visited.
#
# Euler's method takes the slope at the start of a step for the whole step; twice as many steps halve its error. **Heun's** method looks twice: it makes the Euler step on trial, asks for the slope *there* too, and goes with the mean of both. Twice as many steps leave a quarter of its error.
#
# ### Exercise: `heun_step` · ●●● · 10 minutes · 2 points


# %% exercise="heun_step"
def heun_step(model, xt, t, s, alpha_bar):
    """One step of the probability flow from t to s by Heun's rule, in y and sigma.

    In y = x / sqrt(alpha_bar) and sigma = sqrt((1 - alpha_bar) / alpha_bar) the flow is
    dy/dsigma = eps. Heun's rule follows the mean of two slopes: at (xt, t), and at time s at the
    place where an Euler step with the first slope arrives. At s = 0 the model has nothing to say,
    so there the Euler step is the answer. The Euler step is ddim_step.

    Args:
        model: model(x, t) -> eps, like x, with t a LongTensor (B,). Called exactly twice, the
            first time at t, the second at s; at s = 0 once.
        xt: (B, *event). t, s: integers, t > s >= 0.
        alpha_bar: (T + 1,), alpha_bar[0] = 1, alpha_bar[t] > 0.

    Returns:
        x_s, like xt.

    Source: Karras et al. (2022), Algorithm 1 without its scaling of the time.
    """
    ### BEGIN SOLUTION
    first = model(xt, torch.full((len(xt),), t, device=xt.device))
    trial = ddim_step(xt, first, t, s, alpha_bar)
    if s == 0:
        return trial
    second = model(trial, torch.full((len(xt),), s, device=xt.device))
    return ddim_step(xt, (first + second) / 2, t, s, alpha_bar)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>An Euler step in $y$ and $\sigma$ is a <code>ddim_step</code> with that slope. Which slope should the real step use?</details>
# <details><summary>Hint 2: the idea</summary>Ask at (xt, t); make the trial step; ask at (trial, s); start again <em>from xt</em>, with the mean of the two answers.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.full((len(xt),), t, device=xt.device)</code> is a time for each example. After the second question: <code>ddim_step(xt, (first + second) / 2, t, s, alpha_bar)</code>.</details>

# %% checks="heun_step"
# Checks of heun_step
x, asked = normal(3, 2, seed=50), []


def curious(x, t):
    asked.append((x, torch.as_tensor(t)))
    return (0.7 * x).sin() + 0.1 * torch.as_tensor(t).reshape(-1, 1)


end, at_zero = heun_step(curious, x, 5, 2, SHORT), heun_step(curious, x, 3, 0, SHORT)
times = [t.tolist() for _, t in asked]
expect(
    times,
    [[5] * 3, [2] * 3, [3] * 3],
    "heun_step: asked at t and at s, at s = 0 only at t",
    hint="first at t, then at s, one whole number for each row: a LongTensor (B,); at s = 0 no second time",
)
expect(
    asked[1][0],
    ddim_step(x, curious(x, torch.full((3,), 5)), 5, 2, SHORT),
    "heun_step: the second question is asked where the Euler step arrives",
    hint="the trial step is ddim_step with the first answer",
)
expect(
    at_zero,
    ddim_step(x, curious(x, torch.full((3,), 3)), 3, 0, SHORT),
    "heun_step: at s = 0 it is the DDIM step",
    hint="if s == 0, return the trial step",
)
steady = heun_step(lambda x, t: 0 * x + 1.3, x, 5, 2, SHORT)
expect(
    steady,
    ddim_step(x, 0 * x + 1.3, 5, 2, SHORT),
    "heun_step: a slope that does not change needs no second look",
    hint="start the real step at xt again, and divide the sum of the slopes by two",
)
axis = exact.GaussianData(double([0.0]), double([[0.2]]))
begin, perfect = double([[1.0]]), axis.eps_model(LONG)
spread = LONG * 0.2 + 1 - LONG  # v_t
errors = []
for steps in (20, 40):
    y = begin
    for t, s in pairwise(torch.linspace(1000, 200, steps + 1).round().long().tolist()):
        y = heun_step(perfect, y, t, s, LONG)
    errors.append(abs(y.item() - (spread[200] / spread[1000]).sqrt().item()))
expect(
    3.3 < errors[0] / errors[1] < 5,
    True,
    "heun_step: twice as many steps, a quarter of the error",
    hint="an error that only halves: is the second slope asked at the trial point, at s, and averaged?",
)

# %% [markdown]
# $$\frac{x_s}{\sqrt{\bar\alpha_s}} = \frac{x_t}{\sqrt{\bar\alpha_t}} + (\sigma_s - \sigma_t)\, \hat\epsilon(x_t, t) \tag{31}$$
#
# *Euler's method on (30), and lesson 06's (26), letter for letter.* So **DDIM with $\eta = 0$ is Euler's method in $y$ and $\sigma$**. For Gaussian data the curve itself is known, and on a line for any data:
#
# $$x(\tau') = \sqrt{\frac{v(\tau')}{v(\tau)}}\; x(\tau), \qquad F_{\tau'}\big( x(\tau') \big) = F_\tau\big( x(\tau) \big) \tag{32}$$
#
# *on a Gaussian the velocity $-\frac\beta2 (1 - \frac1v)\, x$ equals $\frac{v'}{2v}\, x$ by (23), and $\log x$ grows by half of what $\log v$ does. On a line, curves of a flow cannot cross, so the share $F$ of mass to the left of a moving point never changes: it is the map of quantiles.*


# %%
# A walk along the flow, by DDIM or by your heun_step
def walk(model, x, table, times, heun=False):
    """The flow along falling times of a table, with DDIM or with your heun_step."""
    for t, s in pairwise(times):
        if heun:
            x = heun_step(model, x, t, s, table)
        else:
            x = ddim_step(x, model(x, torch.full((len(x),), t, device=x.device)), t, s, table)
    return x


# %%
# Equations (30) to (32)
# (30) by finite differences on the exact curves of a Gaussian; (31) at once; (32) by many Heun steps.
tau, h, lam = double(0.4), 1e-5, 1.8
level, x = vp_alpha_bar(tau), variance_at(tau, lam).sqrt()  # the curve that starts at sqrt(lambda)


def y_of(u):
    return (variance_at(u, lam) / vp_alpha_bar(u)).sqrt()


def sigma_of(u):
    return (1 / vp_alpha_bar(u) - 1).sqrt()


slope = (y_of(tau + h) - y_of(tau - h)) / (sigma_of(tau + h) - sigma_of(tau - h))
along = exact.GaussianData(double([0.0]), double([[lam]]))
verify_equation(30, slope, along.best_eps(x[None, None], level)[0, 0], rtol=1e-6)
x, guessed, sizes = normal(3, 2, seed=51), normal(3, 2, seed=52), ((1 - SHORT) / SHORT).sqrt()
euler = SHORT[2].sqrt() * (x / SHORT[5].sqrt() + (sizes[2] - sizes[5]) * guessed)
verify_equation(31, ddim_step(x, guessed, 5, 2, SHORT), euler)
times = list(range(1000, 99, -4))
v = LONG * lam + 1 - LONG
ended = walk(along.eps_model(LONG), double([[0.8]]), LONG, times, heun=True)[0, 0]
verify_equation(32, ended, (v[100] / v[1000]).sqrt() * 0.8, rtol=1e-4)
starts = double([[-1.5], [-0.2], [0.4], [1.9]])
ends = walk(MIXTURE.eps_model(LONG), starts, LONG, times, heun=True)
verify_equation(32, MIXTURE.cdf(ends, LONG[100]), MIXTURE.cdf(starts, LONG[1000]), atol=2e-3)

# %% [markdown]
# ### Exercise: `flow_matching_loss` · ●●○ · 5 minutes · 1 point
#
# A newer recipe looks quite different. No score, no schedule: join each data point with a noise by a *straight line*, $x_\tau = (1 - \tau)\, x_0 + \tau \epsilon$, and let a network learn the velocity with which the point runs along it.


# %% exercise="flow_matching_loss"
def flow_matching_loss(model, x0, tau, eps):
    """Flow matching on straight paths from data (tau = 0) to noise (tau = 1), for one batch.

    The mean over all entries of the squared difference between the model's answer and the
    velocity of this pair's path, the derivative of x_tau = (1 - tau) x_0 + tau eps in tau.

    Args:
        model: called once, as model(x_tau, tau) with tau (B,); answers like x0.
        x0, eps: (B, *event), with at least one event axis.
        tau: (B,), in [0, 1], both ends included.

    Returns:
        A scalar tensor, differentiable in what the model contains.

    Source: Lipman et al. (2023), equation 23 with sigma_min = 0 and time turned round;
    Liu et al. (2023), equation 1.
    """
    ### BEGIN SOLUTION
    share = column(tau, x0)
    return (model((1 - share) * x0 + share * eps, tau) - (eps - x0)).square().mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>How fast, and where to, does the point move when tau grows? It does not depend on tau.</details>
# <details><summary>Hint 2: the idea</summary>Differentiate the line: one term from each end. At tau = 0 the point is a data point, and it is on its way to the noise.</details>
# <details><summary>Hint 3: nearly the line</summary>Build x_tau with <code>column(tau, x0)</code>, ask the model once, subtract the difference of the two ends, and take the mean of the squares.</details>

# %% checks="flow_matching_loss"
# Checks of flow_matching_loss
x0, eps, tau = (
    0 * normal(4, 1, 3, seed=53) + 0.4,
    normal(4, 1, 3, seed=54),
    double([1.0, 0.3, 0.8, 0.0]),
)
places, times = [], []


def watching(x, tau):
    places.append(x)
    times.append(tau)
    return 0 * x


expect(
    flow_matching_loss(watching, x0, tau, eps),
    (eps - 0.4).square().mean(),
    "flow_matching_loss: a model that stands still pays the mean square of all velocities",
    hint="the mean over ALL entries; the velocity points from data to noise",
)
expect(
    [places[0][0], places[0][3]],
    [eps[0], x0[3]],
    "flow_matching_loss: noise at tau = 1, data at tau = 0",
    hint="tau belongs to the noise, 1 - tau to the data; tau (B,) meets the first axis",
)
expect(
    times,
    [tau],
    "flow_matching_loss: the model is asked once, with tau as it came",
    hint="tau (B,) goes to the model without extra axes",
)
some = slice(0, 3)
expect(
    flow_matching_loss(lambda x, tau: (x - 0.4) / column(tau, x), x0[some], tau[some], eps[some]),
    double(0.0),
    "flow_matching_loss: on data of one point the exact velocity costs nothing",
    hint="the velocity's sign and size: end less beginning",
)
factor = double(0.5).requires_grad_()
flow_matching_loss(lambda x, tau: factor * x, x0, tau, eps).backward()
expect(
    factor.grad is not None,
    True,
    "flow_matching_loss: gradients reach the model",
    hint="no detach, no no_grad",
)

# %% [markdown]
# ### Further: flow matching is the same flow
#
# Divide $x_\tau$ by $1 - \tau$ and you have $y = x_0 + \sigma \epsilon$ with $\sigma = \tau / (1 - \tau)$. So the marginals are those of VE at that $\sigma$, and the best velocity is $\mathbb E[\epsilon - x_0 \mid x_\tau]$, which $\mathbb E[\epsilon \mid y]$ determines:
#
# $$u = \hat\epsilon - \hat x_0, \qquad \frac{x_\tau + (\tau' - \tau)\, u}{1 - \tau'} = \frac{x_\tau}{1 - \tau} + \Big( \frac{\tau'}{1 - \tau'} - \frac{\tau}{1 - \tau} \Big) \hat\epsilon \tag{33}$$
#
# *insert $\hat x_0 = (x_\tau - \tau \hat\epsilon) / (1 - \tau)$ and collect.* Its Euler step is (31), the DDIM step, exactly. There is no third kind of flow; **VP, VE and flow matching are one curve $y(\sigma)$**, walked with different $\sigma$ in between and learned with different weights.

# %%
# Equation (33): one step, and the whole curve in three coordinates
x, guessed, then, now = normal(5, seed=55), normal(5, seed=56), 0.6, 0.8
straight = (x + (then - now) * (guessed - (x - now * guessed) / (1 - now))) / (1 - then)
verify_equation(33, straight, x / (1 - now) + (then / (1 - then) - now / (1 - now)) * guessed)


def integrated(slope, x, first, last, steps=100):
    """The curve dx = slope(x, u) du, by the classical Runge-Kutta method."""
    h = (last - first) / steps
    for u in first + h * torch.arange(steps):
        k1 = slope(x, u)
        k2 = slope(x + h / 2 * k1, u + h / 2)
        k3 = slope(x + h / 2 * k2, u + h / 2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3, u + h))
    return x


def noise_given_y(y, sigma):
    """E[eps given y = x_0 + sigma eps] on the mixture."""
    level = 1 / (1 + sigma**2)
    return MIXTURE.best_eps(level.sqrt() * y, level)


def straight_velocity(x, tau):
    """E[eps - x_0 given x_tau] on a straight path."""
    guessed = noise_given_y(x / (1 - tau), tau / (1 - tau))
    return guessed - (x - tau * guessed) / (1 - tau)


def vp_velocity(x, tau):
    level = vp_alpha_bar(tau)
    return reverse_drift(x, MIXTURE.score(x, level), vp_rate(tau).expand(len(x)), 0.0)


start, high, low = double([[-6.0], [-2.0], [1.0], [4.0], [9.0]]), double(4.0), double(0.2)
moment = [vp_time(-2 * sigma.log()) for sigma in (high, low)]
by_ve = integrated(noise_given_y, start, high, low)
share = [sigma / (1 + sigma) for sigma in (high, low)]
by_line = integrated(straight_velocity, start * (1 - share[0]), *share) / (1 - share[1])
by_vp = integrated(vp_velocity, start * vp_alpha_bar(moment[0]).sqrt(), *moment)
verify_equation(33, by_ve, by_line, by_vp / vp_alpha_bar(moment[1]).sqrt(), rtol=1e-6)

# %% [markdown]
# ### Which coordinates, which grid?
#
# Three first-order rules and one second-order rule follow the same curve. On Gaussian data with the exact score all are linear, so the error is known without sampling: the standard deviation at the end, against the data's variance $\lambda$. (**W2** is the root of the sum of these errors' squares over the axes.)
#
# * **Euler in $x$**: your `euler_maruyama` with your `reverse_drift`, $\eta = 0$; uniform $\tau$;
# * **DDIM** (Euler in $y$ and $\sigma$), uniform $\tau$; and **on flow matching's grid**, $\sigma = \tau / (1 - \tau)$;
# * **Heun**, on a grid for second-order methods (Karras and others): even in $\sigma^{1/7}$, down to $\sigma = 0.01$, then 0.
#
# **Predict** which first-order rule wins on the correlated Gaussian, whose eigenvalues are 1.8 and 0.2, and **at how many calls of the network** Heun overtakes DDIM, both on Heun's grid. (A Heun step costs two calls.)


# %%
# Grids, and the exact end of every rule on Gaussian data
def sigma_table(sigmas):
    """alpha_bar (S + 1,) of rising noise sizes, with the clean data in front."""
    return torch.cat([torch.ones(1).double(), 1 / (1 + sigmas**2)])


def even_tau(S):
    return torch.cat(
        [torch.ones(1).double(), vp_alpha_bar(torch.linspace(0, 1, S + 1).double()[1:])]
    )


def sigma_end():
    """The noise size at tau = 1, where all walks begin."""
    return (1 / vp_alpha_bar(double(1.0)) - 1).sqrt()


def even_root(S, lowest=0.01, power=7):
    low, high = lowest ** (1 / power), sigma_end() ** (1 / power)
    return sigma_table((low + torch.linspace(0, 1, S).double() * (high - low)) ** power)


def straight_tau(S):
    tau = torch.linspace(0, 1, S + 1).double()[1:] * sigma_end() / (1 + sigma_end())
    return sigma_table(tau / (1 - tau))


def end_deviation(lam, table, rule):
    """Standard deviations at the end, (N,), for data variances lam (N,): row i is an axis of its own."""
    steps = len(table) - 1
    x = variance_at(double(1.0), lam).sqrt()[:, None]
    if rule == "Euler in x":
        taus = torch.linspace(1, 0, steps + 1, dtype=torch.float64)

        def drift(x, tau):
            return reverse_drift(x, -x / variance_at(tau, lam)[:, None], vp_rate(tau), 0.0)

        return euler_maruyama(
            drift, lambda tau: 0 * tau, x, taus, torch.zeros(steps, *x.shape).double()
        )[:, 0]

    def model(x, t):
        return ((1 - table[t]).sqrt() / (table[t] * lam + 1 - table[t]))[:, None] * x

    return walk(model, x, table, list(range(steps, -1, -1)), heun=rule == "Heun")[:, 0]


RULES = {
    "Euler in x": ("Euler in x", even_tau, "data"),
    "DDIM": ("DDIM", even_tau, "model"),
    "DDIM, flow matching's grid": ("DDIM", straight_tau, "prior"),
    "DDIM, Heun's grid": ("DDIM", even_root, "bound"),
    "Heun": ("Heun", even_root, "posterior"),
}


# %% predict="my_calls"
my_calls = 10  # your prediction: network calls at which Heun overtakes DDIM

# %% tags=["experiment"]
# Experiment: which coordinates, which grid?
# Left: error of the standard deviation against the data's variance, 10 steps. Right: W2 against network calls.
lams = torch.logspace(-4, math.log10(2.0), 60, dtype=torch.float64)
fig, (left, right) = plots.figure(1, 2, width=9.4, height=3.8)
for name, (rule, grid_of, role) in RULES.items():
    if name != "DDIM, Heun's grid":
        steps = 5 if rule == "Heun" else 10  # about ten calls each
        error = end_deviation(lams, grid_of(steps), rule) - lams.sqrt()
        plots.curve(lams, error, role, label=name, ax=left)
left.axhline(0, color=plots.COLOR["noise"], linewidth=1)
left.axvline(1.0, color=plots.COLOR["noise"], linestyle=":")
left.set(xscale="log", xlabel="variance $\\lambda$ of the data", ylabel="error of the sd, 10 calls")
left.set_ylim(-0.3, 0.3)
at_one = {
    name: end_deviation(double([1.0]), grid_of(5 if rule == "Heun" else 10), rule).item() - 1
    for name, (rule, grid_of, _) in RULES.items()
}
closest = min(at_one, key=lambda name: abs(at_one[name]))
left.set_title(f"{closest} is off by {abs(at_one[closest]):.1g} at $\\lambda = 1$")
lam = GAUSSIAN.eigenvalues
by_calls = {}
for name, (rule, grid_of, role) in RULES.items():
    by_calls[name] = {
        calls: w2(
            end_deviation(lam, grid_of((calls + 1) // 2 if rule == "Heun" else calls), rule), lam
        )
        for calls in range(5, 82, 2)
    }
    if name != "DDIM, flow matching's grid":
        plots.curve(list(by_calls[name]), list(by_calls[name].values()), role, label=name, ax=right)
overtakes = next(
    c for c in by_calls["Heun"] if by_calls["Heun"][c] < by_calls["DDIM, Heun's grid"][c]
)
plots.guess(right, x=my_calls, label="your prediction")
right.set(
    xscale="log", yscale="log", xlabel="network calls", ylabel="W2 on the correlated Gaussian"
)
named_ticks(right, [5, 10, 20, 40, 80])
right.set_title(f"Heun overtakes DDIM at {overtakes} calls")
left.legend(fontsize=9)
right.legend(fontsize=9)
firsts = {name: row[11] for name, row in by_calls.items() if name != "Heun"}
winner = min(firsts, key=firsts.__getitem__)
plots.show(
    fig,
    alt=f"Errors of five rules; of the first-order ones {winner} wins at 11 calls, Heun overtakes at {overtakes}.",
)
for name, row in by_calls.items():
    print(
        f"{name:28} W2 at 11, 21, 41, 81 calls: "
        + ", ".join(f"{row[c]:.4f}" for c in (11, 21, 41, 81))
    )
print(f"first-order winner: {winner}; Heun overtakes at {overtakes}; you predicted {my_calls}")
# Until when does Euler in x stay ahead of Heun? Here, and on the 64 variances of the digits.
pixels = data.digits("train", range=(-1, 1)).cpu().double()
sixty_four = torch.linalg.eigvalsh(torch.cov(pixels.T)).clamp(min=1e-4)
for name, lams in (("here", lam), ("on the digits", sixty_four)):
    calls = next(
        calls
        for calls in (2**k * 10 for k in range(9))
        if w2(end_deviation(lams, even_root(calls // 2), "Heun"), lams)
        < w2(end_deviation(lams, even_tau(calls), "Euler in x"), lams)
    )
    print(f"Heun passes Euler in x between {calls // 2} and {calls} calls {name}")
findings["network calls at which Heun overtakes DDIM"] = f"{overtakes}"

# %% [markdown]
# The rules are exact in different places. Euler in $x$ makes no error at $\lambda = 1$, where the flow stands still; DDIM none at $\lambda = 0$, where $\hat\epsilon$ is constant along the curve. So which of them is better depends on the data: our Gaussian lies around 1, and Euler in $x$ wins by a factor of about ten; images lie on thin sheets with $\lambda$ near 0, and that is DDIM's country. Flow matching is DDIM with a kinder grid.
#
# And "second order" is a promise about many steps, not about few. With a handful of calls Heun loses to the rule it improves; then it overtakes. The constant in front matters, and here Euler in $x$, helped by its lucky data, stays ahead for a hundred calls and more; on the variances of the digits, for some forty. The same measurement of some forty published samplers, with the reasons why they are not what their papers promise, stands in [docs/samplers.md](../../docs/samplers.md).
#
# Play with it: same start, same noise, any $\eta$ and any number of steps, on the mixture with its exact score.

# %% tags=["experiment"]
# Widget: what do noise and steps change?
# Widget: paths and end of the family (28) on the mixture, for any eta and number of steps.
WALKERS = normal(1500, 1, seed=57)
WALK_NOISE = normal(100, 1500, 1, seed=58)


def walked(eta, steps):
    """Ends of all walks (1500, 1), and the paths of the first sixty, (steps + 1, 60)."""
    taus, places = torch.linspace(1, 0, steps + 1).double(), []

    def drift(x, tau):
        places.append(x[:60, 0])
        return reverse_drift(x, MIXTURE.score(x, vp_alpha_bar(tau[0])), vp_rate(tau), eta)

    ends = euler_maruyama(
        drift, lambda tau: eta * vp_rate(tau).sqrt(), WALKERS, taus, WALK_NOISE[:steps]
    )
    return ends, torch.stack([*places, ends[:60, 0]])


def draw_family(eta, steps):
    ends, paths = walked(eta, steps)
    fig, (left, right) = plots.figure(1, 2, width=9, height=3.2, sharey=True, width_ratios=(3, 1))
    # All paths are one line with gaps, all bars one staircase: sixty of each would take longer than the walk.
    gap = torch.full((1, 60), math.nan)
    times = torch.linspace(1, 0, steps + 1)[:, None].expand(steps + 1, 60)
    left.plot(
        torch.cat([times, gap]).T.flatten(),
        torch.cat([paths, gap]).T.flatten(),
        color=plots.COLOR["model"],
        alpha=0.5,
        linewidth=0.6,
    )
    left.set(xlim=(1, 0), ylim=(-4, 4), xlabel="time $\\tau$, walking to the right", ylabel="$x$")
    left.set(xticks=[1, 0.5, 0], yticks=[-4, -2, 0, 2, 4])  # few: each is drawn at every move
    counts, edges = torch.histogram(ends[:, 0], 61, range=(-4.0, 4.0), density=True)
    right.stairs(
        counts, edges, orientation="horizontal", fill=True, color=plots.COLOR["model"], alpha=0.6
    )
    plots.curve(MIXTURE.log_prob(COARSE).exp(), COARSE[:, 0], "exact", ax=right, xlabel="density")
    share = (ends < -0.5).double().mean().item()
    left.set_title(f"eta = {eta:g}, {steps} steps: {share:.3f} below -0.5, data 0.300")
    return fig


widgets.explore(
    draw_family,
    alt="Paths from noise to the mixture for the chosen eta and number of steps, and the histogram of their ends.",
    eta=(0.0, 1.5, 0.0),
    steps=(5, 100, 30),
)

# %% [markdown]
# ### One network, six samplers
#
# Enough of exact scores. A network learns the two moons with *your* `dsm_loss`, at all noise levels at once. It has one output, a noise prediction; Langevin, annealed Langevin, the reverse SDE, the flow with Euler in $x$, with DDIM and with Heun all draw from it. The distance from fresh moons is measured as in lesson 06, as a multiple of what chance would give. **Predict** which of them loses by far.


# %%
# Training one network at all noise levels
def noise_size(tau):
    """sigma at time tau."""
    return (1 / vp_alpha_bar(tau) - 1).sqrt()


def ve_score(net):
    """The network's score of q_sigma, for y (B, D) and sigma (B,): lines (11) and (15)."""

    def score_fn(y, sigma):
        tau = vp_time(-2 * sigma.log())
        return -net(y / (1 + sigma**2).sqrt()[:, None], tau) / sigma[:, None]

    return score_fn


def all_levels_loss(net, x0):
    """Your dsm_loss at a random time for each example, with weight sigma^2."""
    count = len(x0)
    tau = (torch.arange(count, device=x0.device) + torch.rand(count, device=x0.device)) / count
    sigma = noise_size(1e-3 + (1 - 1e-3) * tau)
    return dsm_loss(ve_score(net), x0, sigma, torch.randn_like(x0), sigma**2)


@cache
def train_moons():
    """A noise predictor for the moons, (x, tau) -> eps."""
    seed_everything(0)
    net = networks.ResidualMLP(2, max_time=1.0).to(device)
    points = data.two_moons(20_000)
    fit(
        net,
        all_levels_loss,
        points,
        steps=budget(1500),
        batch_size=256,
        ema=0.99,
        label="denoising loss",
    )
    return net


# %%
# Six samplers for one network
def learned_drift(net, eta):
    """The drift of (28) with the network's score."""

    def drift(x, tau):
        score = -net(x, tau) / (1 - vp_alpha_bar(tau)).sqrt()[:, None]
        return reverse_drift(x, score, vp_rate(tau), eta)

    return drift


def on_table(net, S):
    """Heun's grid with S steps, and the network as a model of its integer times."""
    table = even_root(S, lowest=0.02).float().to(device)
    taus = vp_time((table / (1 - table)).log())
    return table, lambda x, t: net(x, taus[t])


@torch.no_grad()
def moon_samples(count=1000, seed=60):
    """Points of the moons by six samplers; name -> (calls of the network, points)."""
    net, generator = train_moons(), torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(device)

    start, found = draw(count, 2), {}
    sigma = torch.tensor([0.03], device=device)
    plain = annealed_langevin(
        ve_score(net), start, sigma, 0.5 * 0.03**2, draw(1, 240, count, 2), denoise=False
    )
    found["Langevin"] = (240, plain)
    levels = torch.logspace(math.log10(3), math.log10(0.03), 12).to(device)
    noise = draw(12, 20, count, 2)
    found["annealed"] = (
        240,
        annealed_langevin(ve_score(net), 3 * start, levels, 0.5 * 0.03**2, noise, denoise=False),
    )
    grid = torch.linspace(1, 1e-3**0.5, 41).to(device) ** 2
    noise, spread = draw(40, count, 2), lambda tau: vp_rate(tau).sqrt()
    found["reverse SDE"] = (40, euler_maruyama(learned_drift(net, 1.0), spread, start, grid, noise))
    found["flow, Euler"] = (
        40,
        euler_maruyama(learned_drift(net, 0.0), lambda tau: 0 * tau, start, grid, noise),
    )
    for name, steps in (("DDIM", 39), ("Heun", 20)):
        table, model = on_table(net, steps)
        times = list(range(steps, -1, -1))
        found[name] = (39, walk(model, start, table, times, heun=name == "Heun"))
    return found


# %% predict="my_loser"
my_loser = "Heun"  # your prediction: the sampler with the largest distance

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: one network, six samplers; it trains for about 10 seconds
train_moons()
fresh = data.two_moons(1000, seed=61)
samples = moon_samples(budget(1000))
half = math.pi * (torch.arange(400) + 0.5) / 400
upper = torch.stack([half.cos() - 0.5, half.sin() - 0.25], 1)
moons = torch.cat([upper, -upper])  # the two half circles without their noise


def quarters(points):
    """Shares of the points in the four quarters of each moon, (8,); 12.5% each is right."""
    nearest = torch.cdist(points.cpu(), moons).argmin(1)
    return torch.bincount(nearest // 100, minlength=8) / len(points)


fig, axes = plots.figure(2, 3, width=9, height=5.6, sharex=True, sharey=True)
ratios = {}
for ax, (name, (calls, points)) in zip(axes.flat, samples.items(), strict=True):
    ax.scatter(*points.T.cpu().numpy(), s=5, color=plots.COLOR["model"], alpha=0.7, linewidths=0)
    for half_circle in (upper, -upper):
        plots.curve(*half_circle.T, "exact", ax=ax, linewidth=1.0)
    ratios[name] = round(metrics.kernel_distance(fresh, points).ratio, 1)
    ax.set(xlim=(-2.2, 2.2), ylim=(-1.6, 1.6), aspect="equal")
    ax.set_title(f"{name}, {calls} calls:\n{ratios[name]:.1f} times chance")
for ax in axes[-1]:
    ax.set_xlabel("first coordinate")
for ax in axes[:, 0]:
    ax.set_ylabel("second coordinate")
plots.show(
    fig,
    alt="Six samplers' points over the two half circles of the moons; kernel distance over the 95% of chance: "
    + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()),
)
for name, ratio in ratios.items():
    shares = quarters(samples[name][1])
    print(f"{name:12} kernel distance {ratio:5.1f} times the 95% of chance", end="; ")
    print(f"quarters of a moon hold {shares.min():.1%} to {shares.max():.1%}")
    findings[f"moons by {name}, times the 95% of chance"] = f"{ratio:.1f}"
print(f"worst: {max(ratios, key=ratios.__getitem__)}; you predicted {my_loser}")

# %% [markdown]
# The plain walk at one small noise level loses by far, although nobody calls the network more often: its points lie on the moons, but they stay about where they came in, and some quarters of a moon hold more than twice as many as others. Annealing repairs most of the distance with the same number of calls. The two ways of (28) need forty. Of the three walks along the flow DDIM is the one that can be told from data: moons are as wide as our Gaussian, which is not DDIM's country. The reverse SDE, Euler in $x$ and Heun are about as far from fresh moons as fresh moons are from one another. What the flow can do, and nothing else here: it is a map.
#
# ## 8 · Exact likelihoods, and what a bound does not say
#
# In lesson 06 you could only bound the likelihood. A smooth flow changes that. Follow one point along the flow and watch the density *at the point*:
#
# $$\frac{d}{d\tau} \log p_\tau\big( x(\tau) \big) = \frac{1}{p_\tau} \Big( \frac{\partial p_\tau}{\partial \tau} + u \cdot \nabla p_\tau \Big) = \frac{1}{p_\tau} \big( -\operatorname{div}(u\, p_\tau) + u \cdot \nabla p_\tau \big) = -\operatorname{div} u \tag{34}$$
#
# *the total derivative, with the velocity $u = dx/d\tau$; (27) with $\eta = 0$; and the product rule, $\operatorname{div}(u p) = p \operatorname{div} u + u \cdot \nabla p$.* Where the flow spreads, the density thins. Nothing else changes it. So run a data point to the noise, where the density is known, and keep an account of the divergence on the way.
#
# ### Exercise: `ode_log_likelihood` · ●●● · 12 minutes · 2 points
#
# Point and account are carried together, both by Heun's rule. The `field` gives velocity and divergence at once.


# %% exercise="ode_log_likelihood"
def ode_log_likelihood(field, x0, taus):
    """The log-density that a flow gives to data points, in nats, by Heun's rule on (x, change).

    Each step of length h asks field at (x_k, taus[k]) and at the PREDICTED point, where an Euler
    step arrives, at taus[k + 1]. x moves by h times the mean of both velocities. `change`, 0 at
    first, is the integral of the divergence: it moves by h times the mean of both divergences (the
    second one at the predicted point as well). At the end the law of x is taken to be N(0, I),
    whatever the last time is; with (34), that and `change` give the log-density at x0.

    Args:
        field: field(x, tau) -> (velocity (B, D), divergence (B,)), with tau a tensor (B,) of x's
            dtype and device. Called exactly 2 S times.
        x0: (B, D).
        taus: (S + 1,), rising from data to noise; the steps may be uneven.

    Returns:
        (log-density at x0 (B,), x at taus[-1] (B, D)).

    Source: Chen et al. (2018), equation 8; Song et al. (2021), equation 39.
    """
    ### BEGIN SOLUTION
    x, change = x0, x0.new_zeros(len(x0))
    for start, end in pairwise(taus.to(x0)):
        h = end - start
        velocity, spread = field(x, start.expand(len(x)))
        velocity_there, spread_there = field(x + h * velocity, end.expand(len(x)))
        x = x + h / 2 * (velocity + velocity_there)
        change = change + h / 2 * (spread + spread_there)
    log_normal = -(x.square().sum(1) + x.shape[1] * math.log(2 * math.pi)) / 2
    return log_normal + change, x
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>From (34), is the density at the data larger or smaller than at the noise, if the flow spreads on the way there?</details>
# <details><summary>Hint 2: the idea</summary>One loop. In each step two questions: at the start, and at <code>x + h * velocity</code>. Then both x and the account move by h times a mean.</details>
# <details><summary>Hint 3: nearly the line</summary><code>velocity, spread = field(x, taus[k].expand(len(x)))</code>, the same at the predicted point and taus[k + 1]. For the normal density sum over the D dimensions: the $2\pi$ comes D times.</details>

# %% checks="ode_log_likelihood"
# Checks of ode_log_likelihood
x, uneven, asked = normal(5, 3, seed=70), double([0.0, 0.1, 0.4, 1.0]), []


def shrinking(x, tau):
    asked.append((x, tau.tolist()))
    return -0.5 * x, torch.full((len(x),), -1.5).double()


_, end = ode_log_likelihood(shrinking, x, uneven)
expect(
    [tau for _, tau in asked],
    [[u] * 5 for u in (0.0, 0.1, 0.1, 0.4, 0.4, 1.0)],
    "ode_log_likelihood: field is asked at both ends of every step",
    hint="tau (B,): at taus[k], and at taus[k + 1] for the predicted point",
)
expect(
    asked[3][0],
    asked[2][0] + 0.3 * (-0.5 * asked[2][0]),
    "ode_log_likelihood: the second question at the predicted point",
    hint="an Euler step from the step's start, with its whole length",
)
finely = torch.linspace(0, 1, 201, dtype=torch.float64)
value, end = ode_log_likelihood(shrinking, x, finely)
wide = Normal(double(0.0), math.exp(0.5)).log_prob(x).sum(1)  # what shrinks by exp(-1/2) to N(0, 1)
expect(
    end,
    math.exp(-0.5) * x,
    "ode_log_likelihood: where the points arrive",
    rtol=1e-4,
    hint="h times the mean of both velocities; the points come second in the answer",
)
expect(
    value,
    wide,
    "ode_log_likelihood: a flow that shrinks everything: the density of a wider Gaussian",
    rtol=1e-4,
    hint="the sign of the change, the sum over all D dimensions, the 2 pi",
)


def bending(x, tau):
    return -x + 0.5 * x.sin(), (-1 + 0.5 * x.cos()).sum(1)


halved = [
    ode_log_likelihood(bending, x, torch.linspace(0, 1, S + 1).double())[0] for S in (20, 40, 640)
]
ratio = (halved[0] - halved[2]).abs().max() / (halved[1] - halved[2]).abs().max()
expect(
    3.4 < ratio.item() < 4.7,
    True,
    "ode_log_likelihood: twice the steps, a quarter of the error",
    hint="both slopes averaged, for x and for change",
)

# %% [markdown]
# Integrated,
#
# $$\log p_0\big( x(0) \big) = \log p_1\big( x(1) \big) + \int_0^1 \operatorname{div} u\; d\tau \tag{35}$$
#
# *(34) from 0 to 1.* The `field` of any velocity is made with your `divergence`:


# %%
# A field from any velocity, by your divergence
def field_of(velocity, probes=None):
    """The field that ode_log_likelihood asks, from velocity(x, tau); no graph is kept."""

    def field(x, tau):
        with torch.enable_grad():
            spread = divergence(lambda y: velocity(y, tau[:1].expand(len(y))), x, probes)
        with torch.no_grad():
            return velocity(x, tau), spread.detach()

    return field


def exact_velocity(x, tau):
    """The probability flow of the mixture."""
    return reverse_drift(x, MIXTURE.score(x, vp_alpha_bar(tau)), vp_rate(tau), 0.0)


# %%
# Equations (34) and (35), on the mixture
x, tau, h = double([[-1.5], [0.3], [1.7]]), double(0.3), 1e-5
velocity, spread = field_of(exact_velocity)(x, tau.expand(3))


def log_p(x, tau):
    return MIXTURE.noised(vp_alpha_bar(tau)).log_prob(x)


total_change = (log_p(x + h * velocity, tau + h) - log_p(x - h * velocity, tau - h)) / (2 * h)
verify_equation(34, total_change, -spread, rtol=1e-5)
value, _ = ode_log_likelihood(field_of(exact_velocity), x, torch.linspace(0, 1, 201).double())
verify_equation(35, value, MIXTURE.log_prob(x), atol=2e-2)

# %% [markdown]
# ### The floor
#
# Fourteen points from $-3$ to 3.5, the exact score of the mixture, more and more steps. The error must fall by four with each doubling. But $p_1$ is not exactly $\mathcal N(0, I)$: a remnant of $\bar\alpha(1) = 4 \cdot 10^{-5}$ of the signal is still there, and $\mathrm{KL}(p_1 \Vert \mathcal N)$ is $4 \cdot 10^{-6}$ nats. **Predict** the error, in nats, that remains however many steps you take.

# %% predict="my_floor"
my_floor = 1e-5  # your prediction: nats

# %% tags=["experiment"]
# Experiment: the floor; it takes about 5 seconds
# Error of the flow's log-likelihood against steps, with the true law at the end and with N(0, 1). 5 seconds.
points = torch.linspace(-3, 3.5, 14, dtype=torch.float64)[:, None]
truth, level_end = MIXTURE.log_prob(points), vp_alpha_bar(double(1.0))
with_true_end, with_normal = {}, {}
for S in track([25, 50, 100, 200, 400], "following 14 points"):
    value, end = ode_log_likelihood(
        field_of(exact_velocity), points, torch.linspace(0, 1, S + 1).double()
    )
    normal_end = Normal(double(0.0), 1.0).log_prob(end[:, 0])
    with_normal[S] = (value - truth).abs().max().item()
    true_value = value - normal_end + MIXTURE.noised(level_end).log_prob(end)
    with_true_end[S] = (true_value - truth).abs().max().item()
floor = (normal_end - MIXTURE.noised(level_end).log_prob(end)).abs().max().item()
slope = math.log2(with_true_end[200] / with_true_end[400])
fig, ax = plots.curve(
    list(with_true_end), list(with_true_end.values()), "data", marker="o", label="true $p_1$"
)
plots.curve(
    list(with_normal),
    list(with_normal.values()),
    "model",
    marker="o",
    label="$N(0, 1)$ for $p_1$",
    ax=ax,
)
plots.guess(ax, y=my_floor)
ax.set(xscale="log", yscale="log", xlabel="number of steps", ylabel="largest error, nats")
named_ticks(ax, list(with_normal))
ax.set_title(f"Order {slope:.2f}, down to a floor of {floor:.4f} nats")
plots.show(
    fig,
    alt=f"Error against steps: order {slope:.2f} with the true end law; a floor of {floor:.4f} with N(0, 1).",
)
print(f"floor {floor:.4f} nats; you predicted {my_floor:g}")
findings["floor of the log-likelihood from N(0, I) at the end, nats"] = f"{floor:.4f}"

# %% [markdown]
# A hundredth of a nat, thousands of times the KL. Both are right: the KL is an average of $\log p_1 - \log \mathcal N$, in which plus and minus nearly cancel, and single points see the difference itself.
#
# ### What the bound says, and about whom
#
# Now the score is not exact, it is $s_\theta$. What likelihood does the model have? *Which* model: the reverse SDE started from $\mathcal N(0, I)$, or the flow started there? For the SDE there is a beautiful answer. Cut it into steps; then there are two Markov chains with the same noise and different drifts, so
#
# $$\mathrm{KL}(\text{paths} \,\Vert\, \text{paths}_\theta) = \mathrm{KL}(p_1 \Vert \mathcal N) + \sum_k h\, \frac{\beta}{2}\, \mathbb E \Vert s - s_\theta \Vert^2 \tag{36}$$
#
# *the chain rule of KL from lesson 01, from noise to data; each step compares two Gaussians of variance $\beta h$ whose means are $\beta h\, (s - s_\theta)$ apart, lesson 05's KL.* Small steps make an integral of the sum, and a KL can only shrink when part of the variables is ignored:
#
# $$\mathrm{KL}(p_0 \Vert p_\theta^{\mathrm{SDE}}) \le \frac12 \int_0^1 \beta\; \mathbb E \Vert s - s_\theta \Vert^2\, d\tau + \mathrm{KL}(p_1 \Vert \mathcal N) \tag{37}$$
#
# *marginal at most joint, lesson 01 again.* On the right stands denoising score matching with weight $\beta$. "So we can train models to achieve very high likelihoods", a well-known slide concludes.

# %%
# Equations (36) and (37), for a chain of five steps
# (36): five steps on Gaussian data; both paths are Gaussian vectors of six numbers, and their KL has a closed form.
lam, k, steps = 0.2, 0.2, 5
taus = torch.linspace(1, 0.5, steps + 1).double()
h, rates, v = (taus[0] - taus[1]).item(), vp_rate(taus[:-1]), variance_at(taus[:-1], lam)


def path_covariance(gains, noises, start):
    """Covariance of (x_1, ..., x_S+1) when each is gain times the one before, plus noise."""
    mix = torch.eye(steps + 1).double()
    for i in range(steps):
        mix[i + 1] = mix[i + 1] + gains[i] * mix[i]
    return mix @ torch.cat([start[None], noises]).diag() @ mix.T


def gaussian_kl(ours, theirs):
    """Of centred Gaussians, by their covariances."""
    made = [
        torch.distributions.MultivariateNormal(torch.zeros(len(c)).double(), c)
        for c in (ours, theirs)
    ]
    return torch.distributions.kl_divergence(*made)


true_gains = 1 - h * reverse_drift(torch.ones(5, 1).double(), -1 / v[:, None], rates)[:, 0]
model_gains = 1 - h * reverse_drift(torch.ones(5, 1).double(), -(1 + k) / v[:, None], rates)[:, 0]
ours = path_covariance(true_gains, rates * h, v[0])
theirs = path_covariance(model_gains, rates * h, double(1.0))
square_error = k**2 / v**2 * ours.diagonal()[:-1]  # E |s - s_theta|^2 along the true chain
start_kl = gaussian_kl(v[:1, None], double([[1.0]]))
path_kl = gaussian_kl(ours, theirs)
verify_equation(36, path_kl, start_kl + (h * rates / 2 * square_error).sum())
verify_equation(37, gaussian_kl(ours[-1:, -1:], theirs[-1:, -1:]), path_kl, relation="<=")

# %% [markdown]
# Put it to the test, exactly. The data are $\mathcal N(0, 0.2)$ and the model's score is twenty per cent too large, $s_\theta = 1.2\, s$. Everything stays Gaussian. There are three numbers: the KL of the SDE's samples, the KL of the flow's samples, and the bound. **Predict** the largest.


# %%
# Both models and the bound, for Gaussian data
def end_variance(k, lam, eta, steps=1500):
    """Variance at tau = 0 of (28) with the score (1 + k) s, started from N(0, 1); k (N,)."""
    V, h = torch.ones_like(k), 1 / steps

    def growth(V, tau):
        b, v = vp_rate(tau), variance_at(tau, lam)
        return (
            b * V - (1 + eta**2) * (1 + k) * b / v * V + eta**2 * b
        )  # per unit of time walked back

    for i in range(steps):
        now, then = double(1 - i * h), double(1 - (i + 1) * h)
        first = growth(V, now)
        V = V + h / 2 * (first + growth(V + h * first, then))
    return V


def kl_normal(variance, other):
    return (variance / other - 1 - (variance / other).log()) / 2


def bound_of(k, lam, steps=20_000):
    """The right side of (37)."""
    tau = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    integral_of = (vp_rate(tau) / variance_at(tau, lam)).mean()  # E s^2 = 1 / v
    return k**2 / 2 * integral_of + kl_normal(variance_at(double(1.0), lam), double(1.0))


# %% predict="my_largest"
my_largest = "bound"  # your prediction: "SDE", "flow" or "bound"

# %% tags=["experiment"]
# Experiment: who keeps the bound?
lam, ks = double(0.2), torch.linspace(-0.3, 0.3, 25, dtype=torch.float64)
kls = {
    "SDE": kl_normal(lam, end_variance(ks, lam, 1.0)),
    "flow": kl_normal(lam, end_variance(ks, lam, 0.0)),
}
kls["bound"] = bound_of(ks, lam)
at_20 = {name: round(values[20].item(), 4) for name, values in kls.items()}  # ks[20] = 0.2
largest = max(at_20, key=at_20.__getitem__)
fig, ax = plots.figure()
for name, role in (("SDE", "model"), ("flow", "posterior"), ("bound", "bound")):
    plots.curve(ks, kls[name].clamp(min=1e-5), role, label=name, ax=ax)
ax.set(yscale="log", ylim=(1e-5, 10), xlabel="relative error $k$ of the score", ylabel="nats")
ax.set_title(f"At k = 0.2 the largest is the {largest}, {at_20[largest]:.2f} nats")
plots.show(
    fig,
    alt="KL of SDE and flow and the bound, against the score's error; at k = 0.2: "
    + ", ".join(f"{name} {value:.3f}" for name, value in at_20.items()),
)
for name, value in at_20.items():
    print(f"k = 0.2, {name:6}{value:9.4f} nats")
    findings[f"score 20% too large, {name}, nats"] = f"{value:.4f}"
print(f"you predicted {my_largest}")
# The flow again, with one Langevin step of the same wrong score after each step: size 0.1 v.
S, V = 1000, torch.ones(()).double()
for i in range(S):
    now, then = double(1 - i / S), double(1 - (i + 1) / S)
    pull = reverse_drift(
        double([[1.0]]), double([[-1.2]]) / variance_at(now, lam), vp_rate(now)[None], 0.0
    )
    V = (1 - pull[0, 0] / S) ** 2 * V  # Euler in x, backwards
    v = variance_at(then, lam)
    size = 0.1 * v
    V = (1 - 1.2 * size / (2 * v)) ** 2 * V + size
corrected = kl_normal(lam, V).item()
print(f"flow with one Langevin step after each of {S} steps: {corrected:.4f} nats")
findings["the flow with a corrector, nats"] = f"{corrected:.4f}"

# %% [markdown]
# The SDE keeps the bound with room to spare. **The flow breaks it by a factor of more than ten.** And it must: nothing in (36) and (37) was about the flow. Its likelihood is the one you can *compute*, with `ode_log_likelihood`; the SDE's is the one you can *bound*. Two models, one network.
#
# Why is the flow so much worse? It carries every error to the end, undiminished. The SDE's fresh noise forgets: what was too narrow at $\tau = 0.5$ is shaken up and drawn in again, by the score. The last line above shows it from the other side. One Langevin step after each step of the flow, a *corrector*, with the very same wrong score, and the KL is hundreds of times smaller. (With an exact score a corrector only costs calls.)
#
# ### Further: three closer looks at the bound
#
# Is (37) new? At a fixed $\tau$, lesson 05's weight of an error in the noise tends to that of (37):
#
# $$T \cdot \frac{\beta_t^2}{2 \tilde\beta_t \alpha_t (1 - \bar\alpha_t)} \;\longrightarrow\; \frac{\beta(\tau)}{2\, (1 - \bar\alpha(\tau))} \qquad (T \to \infty,\; \tau = t / T \text{ fixed}) \tag{38}$$
#
# *$\beta_t = \beta(\tau)/T$, while $\alpha_t$ and $\tilde\beta_t / \beta_t$ tend to 1; the right side is (37)'s $\frac\beta2$ in the units of $\hat\epsilon$.* So **(37) is the diffusion ELBO**, in continuous time. (Not so at a fixed *step*: at $t = 2$ the two weights differ by a factor of two for ever. That is where lesson 05 found $\tilde\beta_2$ to be dear.) With the exact score, the average of (35) becomes an identity about entropies:
#
# $$H(p_0) = H(p_1) + \frac12 \int_0^1 \beta \big( D - I(p_\tau) \big)\, d\tau \tag{39}$$
#
# *$-\mathbb E$ of (35): $\mathbb E \operatorname{div} u = -\frac\beta2 (D + \mathbb E \operatorname{div} s)$, and $\mathbb E \operatorname{div} s = -I$ by (4) with $s_\theta = s$.* It is de Bruijn's identity. And the experiment has a closed form. With $R = \sigma(1)^2$ and $v_1 = v(1)$,
#
# $$V_{\text{flow}} = \frac{\lambda}{v_1} \Big( \frac{\lambda}{\lambda + R} \Big)^k, \qquad V_{\text{SDE}} = \frac{\lambda}{1 + 2k} + C\, \lambda^{2 + 2k}, \quad C = \frac{1 + R - \frac{\lambda + R}{1 + 2k}}{(\lambda + R)^{2 + 2k}} \tag{40}$$
#
# *both variances obey linear equations in $\tau$, with $\int_0^1 \frac\beta v d\tau = \log \frac{\lambda + R}{\lambda}$.* $R$ is about 23,000, and $R / \lambda$ above 100,000: the flow's variance is off by that ratio to the power $k$, the SDE's by $1 + 2k$ and next to nothing else.

# %%
# Equations (38) to (40)
# (38) at tau = 1/2 with a million steps; (39) by quadrature; (40) against the equations solved in steps.
T = 1_000_000
table = alpha_bar_from_beta(linear_beta(T, 0.1 / T, 20 / T))
t = torch.tensor([T // 2])
half = double([0.5])
verify_equation(
    38, T * loss_weight_eps(t, table), vp_rate(half) / (2 * (1 - vp_alpha_bar(half))), rtol=1e-3
)
grid = torch.linspace(0, 1, 401, dtype=torch.float64) ** 2  # denser near the data
levels = vp_alpha_bar(grid)
densities = [MIXTURE.noised(level).log_prob(LINE) for level in levels]
informations = torch.stack(
    [
        integral(d.exp() * MIXTURE.score(LINE, level)[:, 0] ** 2)
        for d, level in zip(densities, levels, strict=True)
    ]
)
entropy = [-integral(densities[i].exp() * densities[i]) for i in (0, -1)]
verify_equation(
    39,
    entropy[0],
    entropy[1] + torch.trapezoid(vp_rate(grid) * (1 - informations), grid) / 2,
    rtol=1e-3,
)
lam, R, v1 = 0.2, sigma_end() ** 2, variance_at(double(1.0), 0.2)
k = double([0.2, -0.2])
C = (1 + R - (lam + R) / (1 + 2 * k)) / (lam + R) ** (2 + 2 * k)
flow = lam / v1 * (lam / (lam + R)) ** k
verify_equation(40, end_variance(k, lam, 0.0), flow, rtol=1e-3)
sde = lam / (1 + 2 * k) + C * lam ** (2 + 2 * k)
verify_equation(40, end_variance(k, lam, 1.0), sde, rtol=1e-3)

# %% [markdown]
# ### Further: at which times to learn
#
# Whoever *trains* by (37) draws a time for each picture, at every step, and pays $\frac{\beta}{2 (1 - \bar\alpha)} \Vert \epsilon - \hat\epsilon \Vert^2$. The weight is above 500 at $\tau = 0.001$ and 5 in the middle: hardly any draw falls where most is paid, and when one does, it shouts. Measure time by lesson 04's log-SNR instead, $\ell = \log \frac{\bar\alpha}{1 - \bar\alpha}$. By (22)
#
# $$\frac{d\ell}{d\tau} = \frac{\bar\alpha'}{\bar\alpha} + \frac{\bar\alpha'}{1 - \bar\alpha} = -\frac{\beta}{1 - \bar\alpha}, \qquad \text{so} \qquad \int \frac{\beta}{2 (1 - \bar\alpha)}\, \mathbb E \Vert \epsilon - \hat\epsilon \Vert^2\, d\tau = \frac12 \int \mathbb E \Vert \epsilon - \hat\epsilon \Vert^2\, d\ell \tag{41}$$
#
# *the change of variable eats the weight; the schedule is gone, as it was from (30).* Draw $\ell$ evenly, let the given `vp_time` say which $\tau$ that is, and all draws weigh the same. **Predict** how many times fewer of them give the same certainty. (The mixture, with its exact predictor.)

# %%
# Equation (41): the weight by finite differences; both integrals
tau, h = double([0.01, 0.3, 0.9]), 1e-6


def log_snr(tau):
    level = vp_alpha_bar(tau)
    return (level / (1 - level)).log()


weight = vp_rate(tau) / (2 * (1 - vp_alpha_bar(tau)))
verify_equation(41, -(log_snr(tau + h) - log_snr(tau - h)) / (2 * h) / 2, weight, rtol=1e-6)
by_tau, first, last = (
    torch.linspace(0.02, 1, 101).double(),
    log_snr(double(0.02)),
    log_snr(double(1.0)),
)
by_snr = torch.linspace(last.item(), first.item(), 101).double()


def least_error(level):
    """E |eps - E[eps given x]|^2 on the mixture: one less the mean square of the best guess."""
    density = MIXTURE.noised(level).log_prob(LINE).exp()
    return 1 - integral(density * MIXTURE.best_eps(LINE, level)[:, 0] ** 2)


whole = []
for grid, times in ((by_tau, by_tau), (by_snr, vp_time(by_snr))):
    errors = torch.stack([least_error(vp_alpha_bar(tau)) for tau in times])
    weight = vp_rate(times) / (2 * (1 - vp_alpha_bar(times))) if grid is by_tau else 0.5
    whole.append(torch.trapezoid(weight * errors, grid))
verify_equation(41, *whole, rtol=1e-2)

# %% predict="my_saving"
my_saving = 2.0  # your prediction: times fewer draws

# %% tags=["experiment"]
# Experiment: times even in tau, times even in the log-SNR
count, earliest = 100_000, double(1e-3)
ends = [log_snr(tau) for tau in (double(1.0), earliest)]
share = torch.rand(count, generator=torch.Generator().manual_seed(78)).double()
drawn = {
    "even in tau": earliest + (1 - earliest) * share,
    "even in the log-SNR": vp_time(ends[0] + (ends[1] - ends[0]) * share),
}
scatter = {}
for name, tau in drawn.items():
    level = vp_alpha_bar(tau)
    x0, eps = MIXTURE.sample(count, torch.Generator().manual_seed(79)), normal(count, 1, seed=80)
    xt = level.sqrt()[:, None] * x0 + (1 - level).sqrt()[:, None] * eps
    paid = (eps - MIXTURE.best_eps(xt, level)).square()[:, 0]
    if name == "even in tau":
        paid = vp_rate(tau) / (2 * (1 - level)) * (1 - earliest) * paid
    else:
        paid = (ends[1] - ends[0]) / 2 * paid
    scatter[name] = (paid.std() / paid.mean()).item()
    print(
        f"{name:20} {paid.mean():.3f} +- {paid.std() / count**0.5:.3f} nats; one draw scatters by {scatter[name]:.1f} times the mean"
    )
saving = (scatter["even in tau"] / scatter["even in the log-SNR"]) ** 2
print(f"{saving:.0f} times fewer draws; you predicted {my_saving:g}")
findings["how many times fewer draws with times even in the log-SNR"] = f"{saving:.0f}"

# %% [markdown]
# The same integral, and a tenth of the work. (Both means hold what no network can learn, the constant of (9).) The $\sigma^2$ of (10) answers another question, how to make pictures that look good; this one is for whoever counts nats.
#
# ### Further: a learned density on the line
#
# Train a network on the mixture and ask the flow for its density everywhere. If the account is right, it integrates to one, at any quality of the network. And is the KL below the bound, or above? **Predict.**


# %%
# Training on the mixture
@cache
def train_mixture():
    """A noise predictor for the mixture, (x, tau) -> eps."""
    seed_everything(0)
    net = networks.ResidualMLP(1, max_time=1.0, hidden_dim=64, depth=2).to(device)
    points = data.mixture_1d(20_000)
    fit(
        net,
        all_levels_loss,
        points,
        steps=budget(2000),
        batch_size=512,
        ema=0.999,
        label="denoising loss",
    )
    return net


def early_grid(S, first=1e-3):
    """Times from `first` to 1, denser near the data."""
    return torch.linspace(first**0.5, 1, S + 1) ** 2


# %% predict="my_side"
my_side = "above"  # your prediction: the flow's KL, compared with the bound

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: a learned density on the line; it trains for about 6 seconds
net = train_mixture()
line = torch.linspace(-6, 6, 601, device=device)[:, None]
step, early = (line[1] - line[0]).item(), MIXTURE.noised(vp_alpha_bar(double(1e-3)))
true_log = early.log_prob(line.cpu().double())
print("steps   integral of the density   KL(p || flow)")
for S in (25, 50, 100):
    value, _ = ode_log_likelihood(field_of(learned_drift(net, 0.0)), line, early_grid(S).to(device))
    value = value.cpu().double()
    kl = (true_log.exp() * (true_log - value)).sum().item() * step
    print(f"{S:5d}{value.exp().sum().item() * step:22.5f}{kl:20.4f}")
generator, tau_bins = torch.Generator().manual_seed(71), 40_000
tau = 1e-3 + (1 - 1e-3) * (torch.arange(tau_bins, dtype=torch.float64) + 0.5) / tau_bins
level, x0 = vp_alpha_bar(tau), MIXTURE.sample(tau_bins, generator)
xt = level.sqrt()[:, None] * x0 + (1 - level).sqrt()[:, None] * torch.randn(
    tau_bins, 1, generator=generator
)
with torch.no_grad():
    guessed = net(xt.float().to(device), tau.float().to(device)).cpu()
miss = (guessed - MIXTURE.best_eps(xt, level)).square()[:, 0]
terms = vp_rate(tau) / (2 * (1 - level)) * miss
print(
    f"the bound (37): {terms.mean():.4f} +- {terms.std() / tau_bins**0.5:.4f} nats; the flow's KL {kl:.4f}",
    end="; ",
)
print(f"you predicted {my_side}")
findings["learned score on the line: flow's KL, and the SDE's bound"] = (
    f"{kl:.4f} and {terms.mean():.4f}"
)

# %% [markdown]
# One, and closer to it the more steps you take: the flow's likelihood is a genuine density, whatever the network. This time its KL lies where you may have guessed, but no theorem put it there. A network's errors are not all on one side, like our twenty per cent.
#
# ### Further: real digits, in bits per dimension
#
# The digits have 17 grey levels, and a density wants continuous data. *Dequantise*: add uniform noise of one level's width, $\frac18$. The probability of an image is then the mean of the density $p$ over its little cube, times the cube's volume $8^{-64}$, and the mean of a logarithm is at most the logarithm of the mean (Jensen). So $-\log_2 p / 64 + 3$ is on average at least what the levels themselves cost: an honest number of bits. For comparison a Gaussian fitted to the same data, which has an exact value, and the code that knows nothing, 4.09 bits. In 64 dimensions the exact trace costs 64 backward passes; one probe of signs costs one.
#
# **Predict** the bits per dimension, and, with (6), by how many nats one sign probe scatters $\log p$ of an image. (For the flow of a Gaussian the integral of $J$ is $U \operatorname{diag}\big( \frac12 \log \frac{v_1}{\lambda} \big) U^\top$.)


# %%
# Dequantised digits, and a network for them
def dequantised(split, seed):
    """Digits in [-1, 1] with uniform noise of a level's width, (N, 64)."""
    levels = data.digits(split, range=(-1, 1))
    noise = torch.rand(levels.shape, generator=torch.Generator().manual_seed(seed)).to(
        levels.device
    )
    return levels + (noise - 0.5) / 8


@cache
def train_digits():
    """A noise predictor for dequantised digits, (x, tau) -> eps."""
    seed_everything(0)
    net = networks.ResidualMLP(64, max_time=1.0, hidden_dim=256, depth=3).to(device)

    def loss(net, levels):
        return all_levels_loss(net, levels + (torch.rand_like(levels) - 0.5) / 8)

    levels = data.digits("train", range=(-1, 1))
    fit(
        net,
        loss,
        levels,
        steps=budget(3000),
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        label="denoising loss",
    )
    return net


def signs(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randint(0, 2, shape, generator=generator) - 1).float().to(device)


# %% predict="my_bits"
my_bits = 3.0  # your prediction: bits per dimension

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: bits per dimension; training and adding up take about 25 seconds
# Bits per dimension of test digits by the flow. Training and adding up take about 25 seconds.
net, x = train_digits(), dequantised("test", 72)[: budget(360)]
field = field_of(learned_drift(net, 0.0), signs(1, *x.shape, seed=73))
nats, _ = ode_log_likelihood(field, x, early_grid(50).to(device))
train = dequantised("train", 74).cpu().double()
mean, spread = train.mean(0), torch.cov(train.T) + 1e-4 * torch.eye(64).double()
fitted = torch.distributions.MultivariateNormal(mean, spread).log_prob(x.cpu().double())
rows = {"flow of the network": nats.cpu().double(), "Gaussian": fitted}
for name, values in rows.items():
    bits = 3 - values / 64 / math.log(2)
    error = bits.std().item() / len(bits) ** 0.5
    print(f"{name:22}{bits.mean():7.3f} +- {error:.3f} bits per dimension")
    findings[f"bits per dimension of test digits, {name}"] = f"{bits.mean():.2f} ± {error:.2f}"
print(f"{'17 equal levels':22}{math.log2(17):7.3f}; you predicted {my_bits:g}")
# The price of one probe, predicted by (6) and measured, for the flow of the fitted Gaussian.
values, axes = torch.linalg.eigh(spread)
whole = (axes * (variance_at(double(1.0), values) / values).log() / 2) @ axes.T
off = whole - whole.diag().diag()
predicted = {
    "signs": (2 * off.square().sum()).sqrt().item(),
    "normal": (2 * whole.square().sum()).sqrt().item(),
}
probes = {"signs": signs(4000, 64, seed=75).cpu().double(), "normal": normal(4000, 64, seed=76)}
for kind, v in probes.items():
    measured = (v @ whole * v).sum(1).std().item()
    print(
        f"one probe of {kind:6}: sd of log p predicted {predicted[kind]:.2f} nats, measured {measured:.2f}"
    )

# %% [markdown]
# Put the number beside those of your lists in lessons 03 and 06. In 03 it is an exact value for the grey levels themselves, in 06 a bound for them, here a value for dequantised levels, and dequantising can only cost. Three kinds of model, one scale. One probe scatters the log-density of a *single* image by several nats; the mean over 360 images hardly feels it.
#
# ### The prize
#
# The flow and the reverse SDE of section 7's network, from the same 800 points of noise. Watch the same picture arise in two ways.


# %% tags=["experiment"]
# The prize: noise becomes moons in two ways
# A short film: noise becomes moons, along the flow (left) and along the reverse SDE (right).
def film_of(count=800, frames=16):
    """Places of both walks at `frames` + 1 moments: two tensors (frames + 1, count, 2)."""
    net, generator = train_moons(), torch.Generator().manual_seed(77)
    start = torch.randn(count, 2, generator=generator).to(device)
    grid, films = torch.linspace(1, 1e-3**0.5, 4 * frames + 1).to(device) ** 2, []
    for eta in (0.0, 1.0):
        x, places = start, [start.cpu()]
        for k in range(frames):
            part = grid[4 * k : 4 * k + 5]
            noise = torch.randn(4, count, 2, generator=generator).to(device)
            with torch.no_grad():
                x = euler_maruyama(
                    learned_drift(net, eta),
                    lambda tau, e=eta: e * vp_rate(tau).sqrt(),
                    x,
                    part,
                    noise,
                )
            places.append(x.cpu())
        films.append(torch.stack(places))
    return films


def frame(places):
    """One moment of both walks."""
    fig, axes = plots.figure(1, 2, width=5.8, height=2.4, sharey=True)
    for ax, cloud, name in zip(
        axes, places, ("the flow: no noise", "the reverse SDE"), strict=True
    ):
        ax.scatter(*cloud.T.numpy(), s=5, color=plots.COLOR["model"], linewidths=0)
        ax.set(xlim=(-2.8, 2.8), ylim=(-2, 2), aspect="equal", title=name)
    return fig


seed_everything(0)
flow_film, sde_film = film_of(budget(800))
film.play(
    (frame(places) for places in zip(flow_film, sde_film, strict=True)),
    "Noise becomes two moons: along the flow the points glide, along the reverse SDE they tremble.",
)

# %% [markdown]
# ## 9 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="why_noise" points=3
# ### Question: `why_noise` · ●●○ · 10 minutes · 3 points
#
# You train a score on clean data and run Langevin dynamics from $\mathcal N(0, 9 I)$. Answer in at most fifteen sentences, with numbers from this notebook where you have them.
#
# 1. Name three different reasons why the samples are wrong, and say for each whether more training data, more steps or smaller steps would cure it.
# 2. Why do noise levels cure them, why from large to small, and why does each level get a step proportional to $\sigma^2$?
# 3. Why not stop at one large $\sigma$, or go to $\sigma = 0$?
#
# ### BEGIN MARK SCHEME
# 1 point, a third for each reason with its cure: (a) there are no data in the gaps, so the Fisher divergence does not weigh errors there and the network is untaught where the walk begins; more data help, but slowly. (b) The score hardly knows the weights of separated modes, since they enter only where the modes overlap,
# and crossing the gap takes exponentially many steps; more steps help slowly, more data do not. (c) The discretisation: with step size $a$ the variance settles at $v / (1 - a / 4v)$; smaller steps cure it, at the price of (b).
#
# 1 point: noise fills the gaps with data and lets the modes overlap, so the score is learned everywhere and knows the weights; beginning wide makes the start irrelevant, and each level hands its walkers over nearly in place. While the noise is wider than the data $v \approx \sigma^2$, so a step proportional to $\sigma^2$ keeps $a / v$, and with it
# the bias and the number of steps, the same from level to level. (Below the data's own width $a / v$ falls: less bias, slower mixing, which the levels above have already done. Saying so is right too.) Half a point if the reason for $\sigma^2$ is missing.
#
# 1 point: at one large $\sigma$ one samples $q_\sigma$, the blurred data; at $\sigma = 0$ the target $-\epsilon / \sigma$ has infinite variance, and the step goes to zero. Half a point for one of the two.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. *The holes.* The loss averages over the data, and between and outside the modes there are none, so nobody corrects the network there: at $\sigma = 0.1$ mine was off by more than 2 in the gap, and the walk begins in such places. More data help slowly, because the gap stays nearly empty. *The weights.* Near a mode the score is that of the mode alone; the weights
# show only where modes overlap. Exchanging 0.3 and 0.7 changes the mean square of the score by 0.0045 without noise. And a walk must climb through the gap: 0.8% had crossed after 200 steps, where 30% belong. More steps help, exponentially slowly; more data do not. *The steps.* With step size $a$ a Gaussian of variance $v$ settles at $v / (1 - a/4v)$: twice
# too wide at $a = 2v$. Smaller steps cure it, but then the walk is slower still.
# 2. Noise puts data into the gaps and makes the modes overlap, so the score is learned there and contains the weights (thirty times as visible at $\sigma = 1$). At the largest level any start is soon forgotten; every smaller level gets walkers that are already distributed nearly as they should be, and has only details to repair. By (17) bias and forgetting depend on $a / v$; with
# wide noise $v \approx \sigma^2$, so $a \propto \sigma^2$ treats all levels alike.
# 3. At one large $\sigma$ the walk is right for $q_\sigma$, and that is the data with noise of size $\sigma$. At $\sigma = 0$ the target of denoising score matching has infinite variance, so nothing can be learned, and the step proportional to $\sigma^2$ is zero.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:64} {value}")

# %% [markdown]
# * A score needs no normaliser (1, 2). Three losses measure the same distance from it (3 to 10), and denoising is the one that scales; its target is noise over $\sigma$, which is why small $\sigma$ is hard.
# * A noise predictor is a score in other units (11, 15), tells the clean picture (12), and has been trained by denoising score matching all along (14).
# * Langevin dynamics climbs by half a step size and shakes by its root. It ends too wide (17), loses the weights of separated modes, and walks where nobody taught the score. Falling noise levels repair all three.
# * Small steps have a limit, the SDE (20 to 24). Noise and flow along the score can be traded (25 to 28): one family, from Anderson's reverse SDE to the probability flow.
# * The flow is $dy / d\sigma = \hat\epsilon$ (30); DDIM is its Euler step (31), flow matching the same curve (33). Second order wins from some number of calls on, and not before.
# * Along the flow likelihoods are exact (34, 35). The bound (37) is about the SDE, and the flow can break it by far.
# * Four slides, four faults: a factor $T$, a direction of time, a missing root, and a bound for the wrong model. Each showed in a number.
#
# ## Test yourself
#
# <details><summary>1. A friend adds noise of size $a$ instead of $\sqrt a$ in each Langevin step. With a = 0.01, what does the histogram of the chains look like?</summary>
#
# The noise's variance is $a^2$ instead of $a$, a hundredth. By (16) with $a^2$ as the last term, the variance settles near $a v$: a hundredth of the data's, and ten times too narrow. It looks like a search for the top, not like a draw.
# </details>
#
# <details><summary>2. Why can the flow invert a picture into noise and back, and the reverse SDE cannot?</summary>
#
# The flow is an ordinary differential equation: one curve through each point, walked either way. The SDE's path depends on the noise on the way, and the same picture comes from many starts.
# </details>
#
# <details><summary>3. Your model's flow has a better likelihood than its SDE's bound. May you say that its samples are better?</summary>
#
# No. The two are different models with one network. The bound limits the SDE's likelihood from one side only; the flow's is exact but about the flow. And lesson 06 showed that likelihood and beauty are two things.
# </details>
#
# ## What comes next
#
# A score can be *added to*: the slope of $\log p(x \mid y)$ is the slope of $\log p(x)$ and one more term. Lesson 08 steers the walk with it, towards a digit of your choice.
#
# ## References
#
# * A. Hyvärinen, *Estimation of non-normalized statistical models by score matching*, JMLR 2005: (5) is its Theorem 1. Y. Song, S. Garg, J. Shi, S. Ermon, *Sliced score matching*, UAI 2019. M. Hutchinson, *A stochastic estimator of the trace of the influence matrix*, 1989: (6).
# * P. Vincent, *A connection between score matching and denoising autoencoders*, Neural Computation 2011: (8), (9).
# * H. Robbins, *An empirical Bayes approach to statistics*, 1956; B. Efron, *Tweedie's formula and selection bias*, JASA 2011: (12).
# * Y. Song, S. Ermon, *Generative modeling by estimating gradients of the data distribution*, NeurIPS 2019: NCSN, Algorithm 1. A. Jolicoeur-Martineau and others, *Adversarial score matching and improved sampling for image generation*, ICLR 2021: the last denoising.
# * B. Anderson, *Reverse-time diffusion equation models*, 1982: (28). Y. Song and others, *Score-based generative modeling through stochastic differential equations*, ICLR 2021: (21), (24), the probability flow, correctors.
# * T. Karras, M. Aittala, T. Aila, S. Laine, *Elucidating the design space of diffusion-based generative models*, NeurIPS 2022: Heun's rule in $\sigma$ and its grid. P. Kloeden, E. Platen, *Numerical solution of stochastic differential equations*, 1992: strong and weak order.
# * Y. Lipman, R. Chen, H. Ben-Hamu, M. Nickel, M. Le, *Flow matching for generative modeling*, and X. Liu, C. Gong, Q. Liu, *Flow straight and fast*, both ICLR 2023.
# * R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, *Neural ordinary differential equations*, NeurIPS 2018: (34).
# * Y. Song, C. Durkan, I. Murray, S. Ermon, *Maximum likelihood training of score-based diffusion models*, NeurIPS 2021: (37) is its Theorem 1. C. Lu and others, *Maximum likelihood training for score-based diffusion ODEs by high-order denoising score matching*, ICML 2022: why the flow has no such bound.
