# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 11 · Shapes, meshes and films
#
# Pictures are not all there is to generate. There are objects that one can walk around, clouds of points, meshes for a game, films. For most of these there is little to learn from: photographs number in the billions, 3-D scans in the thousands. So how far does a model of *pictures* carry you? In this lesson you build four systems
# that answer, each small enough that its claim can be held against an exact value: an object from its shadows (DreamFusion), sets of points (the point networks of LION), meshes corner by corner (PolyGen), and films out of a model of single frames (Make-A-Video).
#
# **At the end you can**
#
# 1. derive score distillation as the slope of a KL divergence, and say which of its famous shortcuts cost something;
# 2. compute where it comes to rest: a mode, the mean, or neither; and say why an object can get the same face on every side;
# 3. build the most general linear layer that does not care about the order of points, and prove that it is;
# 4. write meshes as sequences in which nothing illegal can be said;
# 5. turn a network for frames into one for films without spoiling what it knows.
#
# **You need** lessons 04 to 06 ($q(x_t \mid x_0)$, the noise predictor, the Gaussian where everything is exact), from 07 that a noise predictor is a score in other units, from 08 what guidance is, and from 01 the KL divergence and the conditional of a Gaussian. Lesson 03's canonical mesh is shown again.
#
# **Time** about 165 minutes, best in two sittings (1 to 3, then 4 to 8). On the shorter path, about 143 minutes, you skip what is headed *Further* and the lines to compare with your own; nothing later needs them. There are 18 points. The notebook itself computes for about a minute on two processor cores, most of it in section 4.
#
# | section | minutes |
# |---|---|
# | 1 An object from its shadows | 34 |
# | 2 What was dropped | 10 |
# | 3 Where it comes to rest | 17 |
# | 4 Points that see each other | 24 |
# | 5 Further: how far apart are two sets? | 13 |
# | 6 A mesh, corner by corner | 26 |
# | 7 From pictures to films | 26 |
# | 8 In your own words | 10 |

# %% [markdown]
# **Notation.** As in lessons 04 to 08; the new symbols stand below the line of dots.
#
# | symbol | code | meaning |
# |---|---|---|
# | $x$, $x_t$ | `x`, `xt` | a picture, and the same with noise: $x_t = \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \epsilon$ |
# | $\bar\alpha_t$, also $a$ | `alpha_bar[t]` | share of the variance of $x$ that is left; tables have $T + 1$ entries |
# | $q_t$ | | the density of noisy *data* at time $t$ |
# | $\hat\epsilon$, $\epsilon^*$ | `eps_hat` | a prediction of the noise, and the best one, $\mathbb E[\epsilon \mid x_t]$ |
# | $w$ | `w` | how strongly you guide: $(1 + w)\, \hat\epsilon_c - w\, \hat\epsilon_u$ |
# | ··· | | |
# | $\theta$, $g_v$ | `theta`, `render` | a scene, and what it looks like from view $v = 1..V$: $x = g_v(\theta)$ |
# | $\omega_t$ | `weight[t]` | how much time $t$ counts in score distillation |
# | $\lambda$ | | variance of the data along an axis |
# | $B$, $N$, $D$ | | sets in a batch, points of a set, coordinates of a point |
# | $\tau^2$, $\sigma^2$ | `tau2`, `sigma2` | variance that the points of a set share, and that each has alone |
# | $V$, $F$ | `num_vertices`, `faces` | in section 6: vertices and triangles of a mesh |
# | $F$, $\rho$, $k$ | `frames`, `rho`, `kernel_size` | in section 7: frames of a film, the correlation of neighbouring frames, the width of a kernel |
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, the device, and draws of noise
import itertools
import math
from functools import cache

import numpy
import sympy
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_lib import (
    budget,
    chain,
    data,
    exact,
    expect,
    expect_same,
    film,
    fit,
    get_device,
    plots,
    schematic,
    seed_everything,
    shapes,
    verify_equation,
    widgets,
)

device = get_device()
f64 = torch.float64  # exact things are in double precision, on the CPU
MIXTURE = exact.MIXTURE_1D  # a companion since lesson 01: bumps at -2 and 1.5
findings = {}  # your own numbers, for the end


def double(values):
    """Numbers as a tensor in double precision."""
    return torch.tensor(values, dtype=f64)


def normal(*shape, seed=0):
    """Standard normal draws in double precision, the same for a seed on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=f64)


def alpha_bar_of(T, first, last):
    """The table alpha_bar (T + 1,) of lesson 04's linear schedule."""
    beta = torch.linspace(first, last, T, dtype=f64)
    return torch.cat([torch.ones(1, dtype=f64), torch.cumprod(1 - beta, 0)])


SHORT = alpha_bar_of(6, 0.05, 0.5)  # every mistake is large here
TABLE = alpha_bar_of(100, 1e-3, 0.2)  # for what runs and trains in this lesson
FINE = alpha_bar_of(1000, 1e-4, 0.02)  # for integrals over all levels

# %% [markdown]
# **The lesson on one page.** Four ways to get more than a picture out of what lessons 03 to 08 built.


# %% tags=["experiment"]
# Schematic: four stories
def story():
    """The lesson on one page."""
    fig, ax = schematic.canvas(6.4, 4.3)
    digit = data.companion_digit(device="cpu")[0].numpy()
    rows = (3.75, 2.7, 1.65, 0.6)
    names = ("1 to 3", "4, 5", "6", "7")
    for y, name in zip(rows, names, strict=True):
        schematic.label(ax, (0.05, y), name, align="left")
    scene = schematic.picture(ax, (1.1, rows[0]), digit, 0.7)
    shadow = schematic.node(ax, (2.75, rows[0]), "shadow", "data", shape="box", size=(1.0, 0.5))
    judge = schematic.node(
        ax,
        (5.3, rows[0]),
        "noise predictor\nof shadows",
        "model",
        shape="box",
        size=(1.7, 0.65),
        fontsize=11,
    )
    schematic.arrow(ax, scene, shadow, "$g_v$")
    schematic.arrow(ax, shadow, judge, "noise", "noise")
    schematic.arrow(ax, judge, scene, role="model", bend=0.42, dashed=True)
    schematic.label(ax, (3.35, rows[0] - 0.71), "what should change")
    points = schematic.node(ax, (1.1, rows[1] - 0.1), "points", "data", size=(0.9, 0.5))
    mean = schematic.node(
        ax, (2.75, rows[1] - 0.1), "their mean", "prior", size=(1.1, 0.5), fontsize=11
    )
    each = schematic.node(
        ax,
        (5.3, rows[1] - 0.1),
        "each point's answer",
        "model",
        shape="box",
        size=(1.7, 0.5),
        fontsize=11,
    )
    schematic.arrow(ax, points, mean)
    schematic.arrow(ax, mean, each, role="prior")
    schematic.arrow(ax, points, each, bend=-0.36)
    corners = schematic.node(
        ax, (1.35, rows[2]), "corners so far", "data", shape="box", size=(1.4, 0.5), fontsize=11
    )
    grammar = schematic.node(
        ax, (3.4, rows[2]), "legal next ones", "prior", shape="box", size=(1.4, 0.5), fontsize=11
    )
    pointer = schematic.node(
        ax, (5.3, rows[2]), "pointer", "model", shape="box", size=(1.0, 0.5), fontsize=11
    )
    schematic.arrow(ax, corners, grammar)
    schematic.arrow(ax, grammar, pointer, role="prior")
    schematic.arrow(ax, pointer, corners, role="model", bend=0.3, dashed=True)
    film_in = schematic.node(ax, (1.2, rows[3] - 0.1), "film", "data", shape="box", size=(0.9, 0.5))
    space = schematic.node(
        ax,
        (3.1, rows[3] - 0.1),
        "over each frame",
        "model",
        shape="box",
        size=(1.5, 0.5),
        fontsize=11,
    )
    time = schematic.node(
        ax,
        (5.3, rows[3] - 0.1),
        "along time: at first\nnothing",
        "posterior",
        shape="box",
        size=(1.7, 0.65),
        fontsize=11,
    )
    schematic.arrow(ax, film_in, space)
    schematic.arrow(ax, space, time)
    return fig


plots.show(
    story(),
    alt="Four rows. A scene casts a shadow, noise comes in, a predictor of shadows says what should change in the scene. "
    "Points meet through their mean. The corners written so far decide which are legal next, and a pointer picks one. "
    "A film goes through a layer over each frame and one along time that does nothing at first.",
)

# %% [markdown]
# ## 1 · An object from its shadows
#
# You have a good generator of *pictures* and want an *object*. DreamFusion's idea (2022): keep an object $\theta$ in memory, render it from a random view, ask the generator what it would change about the picture, and change the object so. Repeat until every view looks right. No 3-D data at all; the slides of these years put it as "create 3D models that look like good images when rendered".
#
# You will do the same one dimension lower, where nothing has to be believed. In flatland the world is a flat thing: a digit of 8 by 8 cells, $\theta \in \mathbb R^{64}$. A picture of it is a *shadow* on a line of 12 pixels, cast under some angle, $g_v(\theta) = A_v \theta$. A flatlander knows many such shadows and has never seen a digit from above.
#
# Here are the training threes, their mean, and how it looks from some sides.


# %%
# Given: the flat world, 32 views all around it
VIEWS = 32
ANGLES = torch.arange(VIEWS, dtype=f64) * (2 * math.pi / VIEWS)
RENDER = shapes.shadow_matrix(ANGLES) / 4  # (32, 12, 64); shadows between 0 and 2

flat, labels = data.digits("train", labels=True, device="cpu")
threes = flat[labels == 3].double()  # (147, 64)
mean_three = threes.mean(0)
shadows = torch.einsum("vpd,nd->nvp", RENDER, threes)  # (147, 32, 12)


def cast(theta):
    """The shadows of a scene (64,) from all views, (32, 12)."""
    return RENDER @ theta


# %% tags=["experiment"]
# Figure: threes, and four shadows of their mean
fig, axes = plots.figure(1, 2, width=6.4, height=2.6, width_ratios=(1.25, 1))
plots.image_grid(torch.cat([threes[:7], mean_three[None]]), 4, ax=axes[0])
axes[0].set_title("seven of the threes, and their mean")
for place, role in zip((0, 4, 8, 20), ("data", "prior", "posterior", "bound"), strict=True):
    degrees = f"{math.degrees(ANGLES[place]):.0f}°"
    plots.curve(range(12), cast(mean_three)[place], role, label=degrees, ax=axes[1])
axes[1].set(xlabel="pixel of the line", ylabel="shadow", ylim=(-0.1, 2.1))
axes[1].set_title("shadows of the mean")
axes[1].legend(ncols=2, fontsize=9)
plots.show(
    fig, alt="Seven flat threes and their mean; beside them the mean's shadows from four sides."
)

# %% [markdown]
# ### What shall be small?
#
# A picture $x = g_v(\theta)$ is good if it would be found among the data. One noise level after the other: put noise on $x$, and compare what you get, $\mathcal N(\sqrt{\bar\alpha_t}\, x, (1 - \bar\alpha_t) I)$, with the noisy data $q_t$.
#
# $$\mathcal L(\theta) = \frac 1V \sum_v \mathbb E_t\; \omega_t \sqrt{\frac{1 - \bar\alpha_t}{\bar\alpha_t}}\; \mathrm{KL}\big( \mathcal N(\sqrt{\bar\alpha_t}\, g_v(\theta),\, (1 - \bar\alpha_t) I)\, \big\Vert\, q_t \big) \tag{1}$$
#
# *a weighted mean over views and times. The root stands there for convenience: you will see in a moment what it cancels.* A KL divergence has two parts:
#
# $$\mathrm{KL} = \underbrace{-\tfrac D2 \log\big(2\pi e\, (1 - \bar\alpha_t)\big)}_{\text{minus the entropy of the noise}}\; -\; \mathbb E_\epsilon \log q_t\big( \sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \epsilon \big) \tag{2}$$
#
# *the entropy of a Gaussian with $D$ coordinates, which does not know where its centre is; and the cross-entropy.* So only the second part has a slope in $x$: the noisy picture should lie where noisy data are dense.

# %%
# Equations (1) and (2): Gaussian data in closed form, the mixture by quadrature
NODES, SHARES = (torch.from_numpy(v) for v in numpy.polynomial.hermite_e.hermegauss(40))
SHARES = SHARES / SHARES.sum()  # the mean of f(eps) over N(0, 1) is f(NODES) @ SHARES


def on_nodes(x, a):
    """x_t at the 40 nodes, for pictures of one pixel: (..., ) -> (..., 40)."""
    return a.sqrt() * x[..., None] + (1 - a).sqrt() * NODES


def cross_entropy(law, x, a):
    """-E log q_t(x_t) on the line, x (N,)."""
    return -(law.noised(a).log_prob(on_nodes(x, a).reshape(-1, 1)).reshape(len(x), -1) @ SHARES)


a, places = SHORT[3], double([-1.2, 0.3, 2.0])
bump = exact.GaussianData([0.5], double([[0.7]]))
minus_entropy = -0.5 * (2 * math.pi * math.e * (1 - a)).log()
divergence = kl_divergence(
    Normal(a.sqrt() * places, (1 - a).sqrt()), Normal(a.sqrt() * 0.5, (a * 0.7 + 1 - a).sqrt())
)
verify_equation(2, divergence, minus_entropy + cross_entropy(bump, places, a))
weights_of = double([0.0, 0.3, 0.9, 0.4])  # (1), for one view that shows theta itself
by_hand = sum(
    weights_of[t]
    * ((1 - SHORT[t]) / SHORT[t]).sqrt()
    * kl_divergence(
        MultivariateNormal(
            SHORT[t].sqrt() * double([0.3]), (1 - SHORT[t]) * torch.eye(1, dtype=f64)
        ),
        MultivariateNormal(SHORT[t].sqrt() * bump.mean, bump.noised(SHORT[t]).cov),
    )
    for t in (1, 2, 3)
)
by_parts = sum(
    weights_of[t]
    * ((1 - SHORT[t]) / SHORT[t]).sqrt()
    * (
        cross_entropy(bump, double([0.3]), SHORT[t])[0]
        - 0.5 * (2 * math.pi * math.e * (1 - SHORT[t])).log()
    )
    for t in (1, 2, 3)
)
verify_equation(1, by_hand, by_parts)

# %% [markdown]
# ### Step: `kl_slope` · ●●○ · 7 minutes
#
# How does a noise predictor come into this? Try it with a picture of one pixel, and data $\mathcal N(m, \lambda)$. Write down the KL divergence of (1) and its slope in $x$. Then the best noise predictor at $x_t$, averaged over $\epsilon$. Both turn out to be multiples of $x - m$. Note their ratio: it holds for any data, and the next exercise needs it.


# %% step="kl_slope"
def kl_slope(x, m, v, a):
    """The slope of one pixel's KL, and what the best noise predictor says on average.

    Args:
        x, m, v, a: SymPy symbols: the pixel, mean and variance of the data, alpha_bar_t.

    Returns:
        (slope, guess): d/dx KL(N(sqrt(a) x, 1 - a) || N(sqrt(a) m, a v + 1 - a)); and the
        mean of E[eps | x_t] over x_t = sqrt(a) x + sqrt(1 - a) eps, x fixed.
    """
    ### BEGIN SOLUTION
    apart, spread = x - m, a * v + 1 - a
    return a * apart / spread, sympy.sqrt(a * (1 - a)) * apart / spread
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Of lesson 01's KL of two Gaussians only one term contains their means: the squared distance of the means over twice the second variance.</details>
# <details><summary>Hint 2: the idea</summary>For the guess: eps and x_t are jointly Gaussian under the data's law, so E[eps | x_t] is a regression, covariance over variance times (x_t less its mean). It is linear in x_t, so averaging it over the noise puts the average of x_t there.</details>
# <details><summary>Hint 3: nearly the line</summary>The covariance of eps and x_t is sqrt(1 - a), the variance of x_t is a v + 1 - a. The average x_t lies sqrt(a) (x - m) away from the data's mean. For the slope, differentiate the square of that distance.</details>

# %% checks="kl_slope"
# Checks of kl_slope
x_, m_ = sympy.symbols("x m", real=True)
v_, a_, u_ = sympy.symbols("v a u", positive=True)
answers = kl_slope(x_, m_, v_, a_)
spread_ = a_ * v_ + 1 - a_
kl_ = (sympy.log(spread_ / (1 - a_)) + (1 - a_ + a_ * (x_ - m_) ** 2) / spread_ - 1) / 2
expect_same(
    answers[0],
    sympy.diff(kl_, x_),
    "kl_slope: the slope of the KL",
    hint="only one term of the KL contains x: the squared distance of the means",
)
log_q = -((u_ - sympy.sqrt(a_) * m_) ** 2) / (2 * spread_)  # of x_t = u, up to a constant
expect_same(
    answers[1],
    (-sympy.sqrt(1 - a_) * sympy.diff(log_q, u_)).subs(u_, sympy.sqrt(a_) * x_),
    "kl_slope: the predictor's mean is minus sqrt(1 - a) times the score, at the mean of x_t",
    hint="a regression of eps on x_t; x_t is sqrt(a) x on average, not x",
)

# %% [markdown]
# ### Exercise: `sds_gradient` · ●●● · 12 minutes · 3 points
#
# Now the real thing: scenes of any shape, a renderer, several views, a network. You want the slope of (1) in $\theta$, estimated from *one* noise and one call of the network. Your step says by which factor a mean noise and a slope of the KL differ, and (1) carries a root already. One more wish: where the predictor names the noise exactly, nothing should happen.


# %% exercise="sds_gradient"
def sds_gradient(render, model, theta, t, eps, alpha_bar, weight):
    """Score distillation: an estimate of the slope of (1) in theta, from one noise a view.

    It is the mean over the views. View v shows the picture x = render(theta)[v], and x_t is x with
    the noise eps[v] at time t[v]. Its term is a direction d in the space of pictures, times the
    slope of the picture: the sum over all entries p of the picture of d_p dx_p/dtheta. Three
    things fix d:
      - it is linear in what the predictor says at x_t, and the predictor is never differentiated;
      - it is 0 where the predictor says eps;
      - for the best predictor its mean over eps is the slope in x of
        omega_t sqrt((1 - abar_t)/abar_t) KL(N(sqrt(abar_t) x, (1 - abar_t) I) || q_t).

    Args:
        render: theta -> pictures (V, *event), differentiable; called exactly once.
        model: (x_t, t) -> eps_hat, like the pictures; called exactly once, with all views.
        theta: a tensor of any shape, the scene. It is left as it is, with its `grad` and its
            `requires_grad`.
        t: LongTensor (V,), a time for each view.
        eps: (V, *event), the noise.
        alpha_bar: a table (T + 1,).
        weight: a table (T + 1,); omega_t is weight[t].

    Returns:
        A tensor like theta, without a gradient of its own.

    Source: Poole and others (2022), equation 3.
    """
    ### BEGIN SOLUTION
    scene = theta.detach().clone().requires_grad_()
    pictures = render(scene)
    level, omega = (table[t].reshape(-1, *[1] * (eps.ndim - 1)) for table in (alpha_bar, weight))
    with torch.no_grad():
        xt = level.sqrt() * pictures + (1 - level).sqrt() * eps
        direction = omega * (model(xt, t) - eps) / len(t)
    return torch.autograd.grad(pictures, scene, direction)[0]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two questions: what is d? And how do you multiply d with the slopes of all pixels without writing down the slopes? For the first: the mean of eps is 0, so you may take it away without changing a mean.</details>
# <details><summary>Hint 2: the idea</summary>The root in (1) is one over the ratio that your step found, so no factor but the weight is left: d compares the predictor's answer with the noise. For the second, <code>torch.autograd.grad(pictures, scene, d)</code> is exactly sum_p d_p dx_p/dtheta. Anything that d depends on is computed under <code>torch.no_grad()</code>.</details>
# <details><summary>Hint 3: nearly the line</summary><code>scene = theta.detach().clone().requires_grad_()</code>; render once; x_t and the network under no_grad; tables at t in the shape (V, 1, ..., 1); a mean over views is a division by <code>len(t)</code>; then the one line with <code>torch.autograd.grad</code>.</details>

# %% checks="sds_gradient"
# Checks of sds_gradient
A = normal(4, 3, 5, seed=1)  # four views of a scene of 5 numbers, bent, in pictures of 3 pixels
t, scene = torch.tensor([1, 6, 3, 4]), normal(5, seed=2)
omega = double([9.0, 0.5, 2.0, 1.1, 0.7, 3.0, 1.6])
B_, shift = normal(3, 3, seed=3), normal(3, seed=4)
law = exact.GaussianData(shift, B_ @ B_.T + 0.2 * torch.eye(3, dtype=f64))
calls = {"render": 0, "model": 0}


def bent(theta):
    calls["render"] += 1
    return torch.tanh(A @ theta)


def knowing(xt, t):
    calls["model"] += 1
    return law.best_eps(xt, SHORT[t])


def objective(theta):
    """(1) in closed form, at the times t and with their weights."""
    total = 0.0
    for v, picture in enumerate(torch.tanh(A @ theta)):
        a = SHORT[t[v]]
        noisy = MultivariateNormal(a.sqrt() * picture, (1 - a) * torch.eye(3, dtype=f64))
        there = MultivariateNormal(a.sqrt() * law.mean, law.noised(a).cov)
        total = total + omega[t[v]] * ((1 - a) / a).sqrt() * kl_divergence(noisy, there)
    return total / len(t)


leaf = scene.clone().requires_grad_()
(slope,) = torch.autograd.grad(objective(leaf), leaf)
noise = normal(4, 3, seed=5)
both = [sds_gradient(bent, knowing, scene, t, s * noise, SHORT, omega) for s in (1.0, -1.0)]
expect(
    (both[0] + both[1]) / 2,
    slope,
    "sds_gradient: over eps and -eps the mean is the slope of (1), for Gaussian data",
    hint="which factor is left after the root in (1)? A mean over the views; no slope of x_t or of the predictor; "
    "each view has the weight of its own t",
)
expect(
    calls,
    {"render": 2, "model": 2},
    "sds_gradient: one call of the renderer and one of the predictor",
    hint="all views go through each of them together, once",
)
expect(
    sds_gradient(bent, lambda xt, t: noise, scene, t, noise, SHORT, omega),
    torch.zeros(5, dtype=f64),
    "sds_gradient: nothing changes where the predictor names the noise",
    hint="take from the predictor's answer what is zero on average",
)
expect(
    (both[0] - both[1]) / 2,
    torch.autograd.grad(
        torch.tanh(A @ leaf),
        leaf,
        omega[t][:, None]
        * (
            knowing((1 - SHORT[t]).sqrt()[:, None] * noise + SHORT[t].sqrt()[:, None] * shift, t)
            - noise
        )
        / 4,
    )[0],
    "sds_gradient: what one noise adds to that mean",
    hint="the same weight on the answer and on the noise",
)
pictures = normal(2, 1, 3, 4, seed=6)
leaf = normal(3, 4, seed=7).requires_grad_()
expect(
    sds_gradient(
        lambda theta: torch.stack([theta[None], theta[None] ** 2]),
        lambda xt, t: xt.flip(-1),
        leaf,
        t[:2],
        pictures,
        SHORT,
        omega,
    ).shape,
    leaf.shape,
    "sds_gradient: pictures of any shape, and a scene that wants a gradient itself",
    hint="tables at t have the shape (V, 1, ..., 1), with as many ones as a picture has axes",
)
expect(
    [
        leaf.grad is None,
        leaf.requires_grad,
        torch.equal(scene, normal(5, seed=2)),
        both[0].requires_grad,
    ],
    [True, True, True, False],
    "sds_gradient: the scene is left as it was, and no graph hangs on the answer",
    hint="work on theta.detach().clone(), and use torch.autograd.grad in place of backward(); no create_graph",
)

# %% [markdown]
# <details><summary>Lines (3) to (5), to compare with yours</summary>
#
# $$\nabla_x \mathrm{KL} = -\sqrt{\bar\alpha_t}\; \mathbb E_\epsilon\, \nabla \log q_t(x_t) \tag{3}$$
#
# *of (2) only the second part depends on $x$; $x_t$ moves with $x$ by the factor $\sqrt{\bar\alpha_t}$ (lesson 02's reparameterisation).*
#
# $$\phantom{\nabla_x \mathrm{KL}} = \sqrt{\frac{\bar\alpha_t}{1 - \bar\alpha_t}}\; \mathbb E_\epsilon\, \epsilon^*(x_t, t) \tag{4}$$
#
# *a score is a noise over $-\sqrt{1 - \bar\alpha_t}$ (lesson 06). This is the ratio of your step.*
#
# $$\phantom{\nabla_x \mathrm{KL}} = \sqrt{\frac{\bar\alpha_t}{1 - \bar\alpha_t}}\; \mathbb E_\epsilon \big[ \epsilon^*(x_t, t) - \epsilon \big] \tag{5}$$
#
# *$\mathbb E\, \epsilon = 0$. With (1)'s root the factor is gone: $\nabla_\theta \mathcal L = \frac 1V \sum_v \mathbb E\, \omega_t\, (\epsilon^* - \epsilon)\, \partial g_v / \partial \theta$.*
#
# </details>


# %%
# Equations (3) to (5): a Gaussian in closed form, the mixture by quadrature
def mean_guess(law, x, a):
    """E[eps*(x_t)] on the line, x (N,)."""
    return law.best_eps(on_nodes(x, a).reshape(-1, 1), a).reshape(len(x), -1) @ SHARES


leaf = places.clone().requires_grad_()
divergence = kl_divergence(
    Normal(a.sqrt() * leaf, (1 - a).sqrt()), Normal(a.sqrt() * 0.5, (a * 0.7 + 1 - a).sqrt())
)
(slope,) = torch.autograd.grad(divergence.sum(), leaf)
for law in (bump, MIXTURE):
    if law is MIXTURE:  # the slope of (2), by autograd through the quadrature
        (slope,) = torch.autograd.grad(cross_entropy(MIXTURE, leaf, a).sum(), leaf)
    mean_score = law.score(on_nodes(places, a).reshape(-1, 1), a).reshape(3, -1) @ SHARES
    verify_equation(3, slope, -a.sqrt() * mean_score)
    verify_equation(4, slope, (a / (1 - a)).sqrt() * mean_guess(law, places, a))
    off = law.best_eps(on_nodes(places, a).reshape(-1, 1), a).reshape(3, -1) - NODES
    verify_equation(5, slope, (a / (1 - a)).sqrt() * (off @ SHARES))

# %% [markdown]
# Time to try it. What do the flatlanders know? Shadows of threes: from each view the 147 shadows are summarised by a Gaussian, whose best noise predictor is exact. You start from a grey fog with a little noise, and follow your gradient with Adam, all 32 views at each of 1,000 steps.
#
# Two priors compete. One knows *which view* it is asked about: 32 Gaussians. The other knows only "a shadow of a three", one Gaussian for the shadows of all views thrown together. That is what a prompt without "seen from the side" gives.
#
# With Gaussians the place where all of (1) is at rest is exact as well: a linear system in $\theta$. **Predict** for the second prior: turn its object by 90 degrees and compare it with itself. How large is the root mean square difference? (For the mean three it is 0.49.)


# %%
# Given: two priors for shadows, the exact place of rest, and the descent
def gaussian_prior(mean, cov):
    """Mean, and eigenvalues and -vectors of the covariance (+ 0.001), for each of the 32 views."""
    values, vectors = torch.linalg.eigh(cov + 1e-3 * torch.eye(12, dtype=f64))
    return mean.expand(VIEWS, 12), values.expand(VIEWS, 12), vectors.expand(VIEWS, 12, 12)


def covariance(points):
    """With 1/N, of points (N, ..., D): (..., D, D)."""
    away = points - points.mean(0)
    return torch.einsum("n...i,n...j->...ij", away, away) / len(points)


pooled = shadows.reshape(-1, 12)
PRIORS = {
    "knows the view": gaussian_prior(shadows.mean(0), covariance(shadows)),
    "does not": gaussian_prior(pooled.mean(0), covariance(pooled)),
}
TIMES = range(2, 99)
OMEGA = 1 - TABLE  # DreamFusion's choice


def predictor(prior):
    """The best noise predictor of a prior, for the 32 views in their order."""
    mean, values, vectors = prior

    def model(xt, t):
        a = TABLE[t][:, None]
        along = torch.einsum("vp,vpq->vq", xt - a.sqrt() * mean, vectors)
        return torch.einsum("vq,vpq->vp", along * (1 - a).sqrt() / (a * values + 1 - a), vectors)

    return model


def place_of_rest(prior):
    """Where the expected slope of (1) vanishes, (64,): sum of A' P (A theta - mean) over views and times."""
    mean, values, vectors = prior
    a = TABLE[TIMES.start : TIMES.stop, None, None]
    pull = (
        OMEGA[TIMES.start : TIMES.stop, None, None] * (a * (1 - a)).sqrt() / (a * values + 1 - a)
    ).sum(0)
    P = (vectors * pull[:, None]) @ vectors.mT  # (32, 12, 12)
    matrix = torch.einsum("vpd,vpq,vqe->de", RENDER, P, RENDER)
    return torch.linalg.solve(matrix, torch.einsum("vpd,vpq,vq->d", RENDER, P, mean))


@cache
def distil(name, seed=0):
    """Scenes at 21 moments, more of them early: after (i / 20)^3 of the steps, (21, 64)."""
    model, generator = predictor(PRIORS[name]), torch.Generator().manual_seed(seed)
    theta = (0.2 + 0.1 * torch.randn(64, generator=generator)).double()
    steps = budget(1000)
    optimizer = torch.optim.Adam([theta], 0.05, betas=(0.9, 0.99))
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    moments = [round((i / 20) ** 3 * steps) for i in range(21)]
    scenes = []
    for step in range(steps + 1):
        scenes += [theta.clone()] * moments.count(step)
        t = torch.randint(TIMES.start, TIMES.stop, (VIEWS,), generator=generator)
        eps = torch.randn(VIEWS, 12, generator=generator).double()
        theta.grad = sds_gradient(cast, model, theta, t, eps, TABLE, OMEGA)
        optimizer.step()
        slower.step()
    return torch.stack(scenes)


def rms(difference):
    return difference.square().mean().sqrt().item()


def turned(theta):
    """A scene turned by 90 degrees."""
    return theta.reshape(8, 8).rot90().flatten()


# %% predict="my_turned"
my_turned = 0.25  # your prediction: difference of the object and itself turned by 90 degrees

# %% tags=["experiment"]
# Experiment: two priors, two objects
told, untold = PRIORS
found = [distil(told)[-1], distil(told, 1)[-1], distil(untold)[-1]]
rest = {name: place_of_rest(prior) for name, prior in PRIORS.items()}
fig, axes = plots.figure(1, 2, width=6.4, height=2.9, width_ratios=(1.35, 1))
grid = torch.stack([mean_three, rest[told], rest[untold], *found])
names = ["mean three", "rest, told", "rest, untold", "run, told", "another", "run, untold"]
plots.image_grid(grid, 3, ax=axes[0], labels=names)
for place in (0, 4, 8, 20):
    first = place == 0
    plots.curve(
        range(12),
        cast(mean_three)[place],
        "data",
        ax=axes[1],
        linewidth=1.2,
        label="mean three" if first else None,
    )
    plots.curve(
        range(12), cast(rest[untold])[place], "model", ax=axes[1], label="untold" if first else None
    )
axes[1].set(xlabel="pixel of the line", ylabel="shadow from 4 sides", ylim=(-0.1, 2.1))
unlike = {
    name: cast(scene).std(0, correction=0).square().mean().sqrt().item()
    for name, scene in rest.items()
}
axes[1].set_title(f"sides differ by {unlike[told]:.2f} and {unlike[untold]:.3f}", fontsize=11)
plots.show(
    fig,
    alt="Objects: the mean three, both exact places of rest, three runs. Beside them shadows from four sides of the mean "
    "three (blue) and of the object whose prior does not know the view (orange).",
)
print(f"told:   place of rest {rms(rest[told] - mean_three):.0e} from the mean three", end="")
print(f", two runs {rms(found[0] - mean_three):.3f} and {rms(found[1] - mean_three):.3f};")
print(
    f"        from each other {rms(found[0] - found[1]):.3f}; the threes spread by {rms(threes - mean_three):.3f}"
)
print(f"untold: place of rest {rms(rest[untold] - mean_three):.3f} from the mean three")
print("turned by 90 degrees, difference from itself: ", end="")
print(
    f"mean three {rms(turned(mean_three) - mean_three):.2f}, untold {rms(turned(rest[untold]) - rest[untold]):.0e}"
)
print(f"you predicted {my_turned:g}")
findings["shadows told by view: distance of place of rest and mean three"] = (
    f"{rms(rest[told] - mean_three):.0e}"
)
findings["shadows not told: object turned by 90 degrees, difference"] = (
    f"{rms(turned(rest[untold]) - rest[untold]):.0e}"
)

# %% [markdown]
# It works, and beautifully: from shadows alone, an object stands there that no flatlander has ever seen. But look which. Both runs find *the mean* three, and nothing like the variety of threes. And the prior that does not know the view makes something that casts nearly the same shadow on every side. It cannot do otherwise: its question is the same under every angle, so the answer is as well.
#
# This is the cause of the **Janus problem**: DreamFusion's squirrels with a face on the back of the head too. The face is the most likely picture, for all views alike, unless the prompt says "from behind". (Your single Gaussian has one mode, so its object has no two faces; it is turned into itself.) So "create 3D models that look like good images when rendered" holds from the views that the 2-D model is told about.
#
# **Which way is each shadow pushed?** Drag the view and the moment, from the fog to the end. The band is what the prior expects of this view, twice its standard deviation; the arrows are the expected step, magnified.


# %%
# Drag: a view, a step, and what the prior wants
def draw_view(degrees, moment, prior):
    """The scene so far, its shadow, the prior's band, and where the shadow is pushed."""
    v = round(degrees / 360 * VIEWS) % VIEWS
    scene = distil(prior)[moment]
    mean, values, vectors = (part[v] for part in PRIORS[prior])
    a = TABLE[TIMES.start : TIMES.stop, None]
    gain = (
        OMEGA[TIMES.start : TIMES.stop, None] * (a * (1 - a)).sqrt() / (a * values + 1 - a)
    ).mean(0)
    shadow = RENDER[v] @ scene
    push = -6 * (vectors * gain) @ vectors.T @ (shadow - mean)
    spread = ((vectors * values) @ vectors.T).diagonal().sqrt()
    fig, axes = plots.figure(1, 2, width=6.2, height=2.7, width_ratios=(1, 2))
    plots.image_grid(scene[None], 1, ax=axes[0])
    pixels = numpy.arange(12)
    plots.curve(pixels, mean, "prior", error=spread, label="prior", ax=axes[1])
    plots.curve(pixels, shadow, "model", label="shadow", ax=axes[1])
    color, seen = plots.COLOR["model"], push.abs() > 0.03
    look = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006, "color": color}
    axes[1].quiver(pixels[seen], shadow[seen], 0 * push[seen], push[seen], **look)
    axes[1].set(xlabel="pixel of the line", ylabel="shadow", ylim=(-0.5, 2.3))
    axes[1].set_title(f"{rms(shadow - mean):.2f} from the prior's mean")
    return fig, axes


widgets.explore(
    draw_view,
    alt="The scene; its shadow under one view with the prior's band, and arrows where the shadow is pushed.",
    degrees=(0, 350, 45),
    moment=(0, 20, 3),
    prior=["knows the view", "does not"],
)

# %% [markdown]
# ## 2 · What was dropped
#
# There is a more obvious thing to do. A picture is good if the network can tell its noise: take the training loss itself and follow its slope in $x$. It is
#
# $$\nabla_x\, \tfrac 12\, \mathbb E\, \Vert \hat\epsilon(x_t, t) - \epsilon \Vert^2 = \sqrt{\bar\alpha_t}\;\, \mathbb E \Big[ \Big( \frac{\partial \hat\epsilon}{\partial x_t} \Big)^{\!\top} \big( \hat\epsilon(x_t, t) - \epsilon \big) \Big] \tag{6}$$
#
# *the chain rule, through the network.* The paper drops the Jacobian of the network, as "expensive to compute" and "poorly conditioned", and it is often said that score distillation is the loss's gradient with a term left out. As a gradient of *that* it would simply be wrong: no rule of calculus lets one leave out a factor. But you have seen that it needs no such excuse. It is the exact gradient of another function, (1).
#
# How do they differ? For data $\mathcal N(m, C)$, with $C_t = \bar\alpha_t C + (1 - \bar\alpha_t) I$,
#
# $$\mathbb E[\epsilon^* - \epsilon] = \sqrt{\bar\alpha_t (1 - \bar\alpha_t)}\; C_t^{-1} (x - m), \qquad \nabla_x\, \tfrac 12\, \mathbb E \Vert \epsilon^* - \epsilon \Vert^2 = \bar\alpha_t (1 - \bar\alpha_t)\; C_t^{-2} (x - m) \tag{7}$$
#
# *$\epsilon^*$ is linear, with the Jacobian $\sqrt{1 - \bar\alpha_t}\, C_t^{-1}$; put the first formula into (6).* The same place of rest, and the matrix squared. A matrix's *condition number*, its largest over its smallest eigenvalue, says how many times slower gradient descent is in its slowest direction than in its fastest. **Predict** it for the second, at $\bar\alpha_t = 0.99$, for data with variances 1.8, 0.2 and 0.01. With the Jacobian dropped it is 90.

# %%
# Equations (6) and (7): autograd through a Gaussian's best predictor, 400,000 noises
B3, shift = normal(3, 3, seed=3), normal(3, seed=4)
cov3 = B3 @ B3.T + 0.2 * torch.eye(3, dtype=f64)
a, x3 = SHORT[4], normal(3, seed=8)
eps = normal(400_000, 3, seed=9)
C_t = a * cov3 + (1 - a) * torch.eye(3, dtype=f64)
jacobian = (1 - a).sqrt() * torch.linalg.inv(C_t)  # of the linear predictor
leaf = x3.clone().requires_grad_()
xt = a.sqrt() * leaf + (1 - a).sqrt() * eps
off = (xt - a.sqrt() * shift) @ jacobian - eps
(slope,) = torch.autograd.grad(off.square().sum(1).mean() / 2, leaf)
verify_equation(6, slope, a.sqrt() * (off.detach() @ jacobian).mean(0))
error = off.detach().std(0).max().item() / len(eps) ** 0.5
verify_equation(
    7,
    off.detach().mean(0),
    (a * (1 - a)).sqrt() * torch.linalg.solve(C_t, x3 - shift),
    standard_error=error,
)
verify_equation(
    7,
    slope,
    a * (1 - a) * torch.linalg.solve(C_t, torch.linalg.solve(C_t, x3 - shift)),
    standard_error=error,
)

# %% predict="my_condition"
my_condition = 200  # your prediction: condition number with the Jacobian kept

# %% tags=["experiment"]
# Experiment: condition numbers
variances = double([1.8, 0.2, 0.01])
print("abar_t   Jacobian dropped   kept")
for a in (0.999, 0.99, 0.9, 0.5, 0.1):
    along = 1 / (a * variances + 1 - a)
    number = (along.max() / along.min()).item()
    print(f"{a:<9g}{number:>16.1f}{number**2:>10,.1f}")
    if a == 0.99:
        findings["condition number at abar 0.99, Jacobian dropped and kept"] = (
            f"{number:.0f}, {number**2:,.0f}"
        )
print(f"you predicted {my_condition:,} at 0.99")

# %% [markdown]
# At high noise it hardly matters, at low noise it decides. On Gaussian data it is a matter of speed alone. On other data the two end at different places, as section 3 shows.
#
# ### Further: is it good to subtract the noise?
#
# $-\epsilon$ in (5) changes no mean. It is there, people say, to reduce the variance of the estimate; such a term is called a *control variate*. Along an axis with variance $\lambda$, with $c = (1 - \bar\alpha_t) / (\bar\alpha_t \lambda + 1 - \bar\alpha_t)$,
#
# $$\operatorname{Var}[\epsilon^*] = c^2, \qquad \operatorname{Var}[\epsilon^* - \epsilon] = (1 - c)^2 \tag{8}$$
#
# *$x$ is fixed, so by (7) all that varies in $\epsilon^*$ is $\sqrt{1 - \bar\alpha_t}\, \epsilon$ times the Jacobian, which is $c\, \epsilon$.* **Predict**: at $\lambda = 0.2$, from which $\bar\alpha_t$ on does subtracting make it *worse*?

# %% predict="my_turn"
my_turn = 0.95  # your prediction: the abar_t at which both variances are equal

# %% tags=["experiment"]
# Experiment: variances with and without the noise subtracted, equation (8)
fig, axes = plots.figure(1, 3, width=6.4, height=2.5, sharey=True)
levels = torch.linspace(0.001, 0.999, 400, dtype=f64)
for ax, variance in zip(axes, (1.8, 0.2, 0.01), strict=True):
    c = (1 - levels) / (levels * variance + 1 - levels)
    plots.curve(levels, c**2, "noise", label="$\\epsilon^*$", ax=ax)
    plots.curve(levels, (1 - c) ** 2, "model", label="$\\epsilon^* - \\epsilon$", ax=ax)
    ax.set(xlabel="$\\bar\\alpha_t$", title=f"$\\lambda$ = {variance:g}")
    equal = levels[(c - 0.5).abs().argmin()].item()
    print(f"lambda = {variance:<5g} equal at abar_t = {equal:.3f}")
    if variance == 0.2:
        plots.guess(ax, x=my_turn, label="you")
        findings["subtracting the noise hurts above abar (variance 0.2)"] = f"{equal:.2f}"
axes[0].set_ylabel("variance")
plots.show(
    fig,
    alt="Variance of the estimate against the level, with and without the noise subtracted, for three axes.",
)
gauss = exact.GaussianData([0.3], double([[0.2]]))
noise = normal(400_000, 1, seed=10)
for a in (0.1, 0.5, 0.9):
    guess = gauss.best_eps(a**0.5 * 1.1 + (1 - a) ** 0.5 * noise, a)
    c = (1 - a) / (a * 0.2 + 1 - a)
    for drawn, exactly in ((guess, c**2), (guess - noise, (1 - c) ** 2)):
        verify_equation(8, drawn.var(), exactly, standard_error=exactly * (2 / 400_000) ** 0.5)
print(f"you predicted {my_turn:g} for lambda = 0.2")

# %% [markdown]
# Equal where $\bar\alpha_t \lambda = 1 - \bar\alpha_t$, signal and noise alike. So subtracting helps along axes where noise prevails and *hurts* where the signal does. At low noise a picture has both kinds: a few wide axes that lose, and many narrow ones that gain.
#
# ## 3 · Where it comes to rest
#
# Two runs gave the same three. Is that so for any data? Take the simplest picture there is: one pixel, $\theta = x$, and data from the mixture with bumps at $-2$ (share 0.3) and $1.5$ (share 0.7), mean 0.45. Nothing is random: quadrature gives the expected gradient at every $x$ for each of 193 noise levels. Then weigh and add.
#
# DreamFusion draws $t$ between $0.02\, T$ and $0.98\, T$ with the weight $\omega_t = 1 - \bar\alpha_t$. **Predict**: where does the pixel come to rest?


# %%
# Given: the expected gradient on the mixture, level by level
FINE_TIMES = torch.linspace(20, 980, 193).round().long()
LEVELS = FINE[FINE_TIMES]
PIXEL = torch.linspace(-4, 4, 401, dtype=f64)


@cache
def force_table():
    """For each level and place: E[eps* - eps], and E[(eps* - eps)^2]: (193, 401) each."""
    pull, loss = [], []
    for a in LEVELS:
        off = MIXTURE.best_eps(on_nodes(PIXEL, a).reshape(-1, 1), a).reshape(401, -1) - NODES
        pull.append(off @ SHARES)
        loss.append(off.square() @ SHARES)
    return torch.stack(pull), torch.stack(loss)


def zeros_of(force):
    """Places where a force on PIXEL vanishes, with True where descent is drawn there."""
    at = (force[:-1] * force[1:] <= 0).nonzero()[:, 0]
    step, rise = PIXEL[at + 1] - PIXEL[at], force[at + 1] - force[at]
    return [
        (x.item(), bool(up))
        for x, up in zip(PIXEL[at] - force[at] * step / rise, rise > 0, strict=True)
    ]


# %% predict="my_rest"
my_rest = 1.5  # your prediction: where score distillation comes to rest

# %% tags=["experiment"]
# Experiment: where score distillation ends on the mixture
pull, loss = force_table()
fig, axes = plots.figure(1, 2, width=6.4, height=3.2, width_ratios=(1, 1.15))
rests = [
    (a.item(), *zero) for a, force in zip(LEVELS, pull, strict=True) for zero in zeros_of(force)
]
for kind, role, name in ((True, "model", "attracts"), (False, "noise", "repels")):
    where = [(a, place) for a, place, attracts in rests if attracts == kind]
    axes[0].plot(*zip(*where, strict=True), ".", markersize=3, color=plots.COLOR[role], label=name)
axes[0].legend(loc="center left", markerscale=3)
axes[0].set(
    xlabel="one level only, $\\bar\\alpha_t$", ylabel="place of rest", title="level by level"
)
plots.curve(PIXEL, MIXTURE.log_prob(PIXEL[:, None]).exp(), "data", label="data", ax=axes[1])
ends = {}
for name, role, omega in (
    ("$1 - \\bar\\alpha_t$", "model", 1 - LEVELS),
    ("1", "posterior", 0 * LEVELS + 1),
):
    ends[name] = zeros_of(omega @ pull)
    for place, attracts in ends[name]:
        if attracts:
            axes[1].axvline(place, color=plots.COLOR[role], label=f"rest, $\\omega_t$ = {name}")
plots.guess(axes[1], x=my_rest, label="you")
(usual, _), *others = ends["$1 - \\bar\\alpha_t$"]
axes[1].set(xlabel="pixel", ylabel="density", ylim=(-0.02, 0.64), title=f"at rest at {usual:.2f}")
axes[1].legend(fontsize=8, loc="upper left")
plots.show(
    fig,
    alt=f"Left: places of rest against the level, attracting ones in orange. Right: the data's density, and the places of "
    f"rest over all levels, at {usual:.2f} for the usual weight.",
)
for name, omega in (("1 - abar", 1 - LEVELS), ("1", 0 * LEVELS + 1)):
    kept = zeros_of(torch.gradient(omega @ loss, spacing=(PIXEL,))[0])
    dropped = zeros_of(omega @ pull)
    print(f"weight {name:8}: at rest at", *[f"{place:.2f}" for place, up in dropped if up], end="")
    print("; the Jacobian kept:", *[f"{place:.2f}" for place, up in kept if up])
alone = [a.item() for a, force in zip(LEVELS, pull, strict=True) if len(zeros_of(force)) == 1]
several = [a.item() for a, force in zip(LEVELS, pull, strict=True) if len(zeros_of(force)) == 3]
print(
    f"one level only: one place up to abar = {max(alone):.2f}, two that attract from {min(several):.2f} on"
)
low = (PIXEL > -1.5) & (PIXEL < -0.5)
nearly = (pull.mean(0)[low]).abs().min().item()
print(f"weight 1 near -1.1: the force is {nearly:.3f}, all but zero")
print(f"the data's bumps are at -2 and 1.5, their mean is 0.45; you predicted {my_rest:g}")
findings["pixel at rest, weights 1 - abar and 1"] = f"{usual:.2f}, {ends['1'][0][0]:.2f}"

# %% [markdown]
# Neither a mode nor the mean, and *only one place*, wherever you start: whoever wants a second object gets the first again. At a level where much noise remains, $q_t$ is one broad bump, and there the picture goes towards its top, near the mean. Only at low noise do the two bumps stand apart, and there are two answers. The weighted sum is a compromise that suits neither. With $\omega_t = 1$ low noise counts a little more, and the place moves towards the larger bump; near $-1.1$ the force all but vanishes, and whoever sums over fewer levels may find a second place there that is none.
#
# The loss itself, Jacobian kept, has two minima, near the bumps. So the Jacobian was not only expense: it decides *where* you go. What do people do? They lower the noise as the object takes shape. **Which range of levels finds a mode?** Drag.


# %%
# Drag: levels and weight
def draw_force(first, last, weight):
    """The expected force with the zeros, for times between two shares of T."""
    low, high = min(first, last), max(first, last)
    times = FINE_TIMES / 1000
    inside = (times >= low) & (times <= max(high, low + 0.005))
    omega = inside * (1 - LEVELS if weight == "1 - abar" else torch.ones(193, dtype=f64))
    force = omega @ force_table()[0] / omega.sum()
    fig, ax = plots.figure(width=6, height=2.9)
    plots.curve(PIXEL, -force, "model", label="force", ax=ax)
    plots.curve(PIXEL, MIXTURE.log_prob(PIXEL[:, None]).exp(), "data", label="data", ax=ax)
    ax.axhline(0, color=plots.COLOR["noise"], linewidth=0.8)
    found = zeros_of(force)
    for place, attracts in found:
        ax.plot(place, 0, "o", color=plots.COLOR["model"], fillstyle="full" if attracts else "none")
    ax.set(xlabel="pixel", ylabel="force, density", ylim=(-0.7, 0.7))
    ax.set_title("at rest at " + ", ".join(f"{place:.2f}" for place, attracts in found if attracts))
    return fig, ax


widgets.explore(
    draw_force,
    alt="The expected force on a pixel and the data's density; full circles attract, empty ones repel.",
    first=(0.02, 0.98, 0.02),
    last=(0.02, 0.98, 0.98),
    weight=["1 - abar", "1"],
)

# %% [markdown]
# ### Exercise: `sds_fixed_point` · ●●○ · 10 minutes · 2 points
#
# One more habit: DreamFusion *guides*, and strongly, with $w$ around 100, where pictures are drawn with 5 to 10. What does that do to the place of rest? Take Gaussians for the conditional and for all data, and one level. Then (7) tells you both expected answers, and the place is where their guided combination vanishes. Collect what multiplies $x$.


# %% exercise="sds_fixed_point"
def sds_fixed_point(mean_c, cov_c, mean_u, cov_u, level, w):
    """Where guided score distillation is at rest: Gaussian data, one noise level.

    The scene is the picture itself. eps_c(x_t) and eps_u(x_t) are the best noise predictors of the
    data N(mean_c, cov_c) and N(mean_u, cov_u), with the condition and without. The place is the x
    with
        E[(1 + w) eps_c(x_t) - w eps_u(x_t) - eps] = 0,
    the mean over eps ~ N(0, I), and x_t = sqrt(level) x + sqrt(1 - level) eps. It is asked for
    whether or not descent leads there.

    Args:
        mean_c, mean_u: (D,).
        cov_c, cov_u: (D, D), symmetric, positive semi-definite; they may be singular.
        level: abar_t, a float in (0, 1).
        w: a float >= 0, for which the place is unique.

    Returns:
        (D,), like mean_c.
    """
    ### BEGIN SOLUTION
    one = torch.eye(len(mean_c), dtype=mean_c.dtype, device=mean_c.device)
    pull_c = (1 + w) * torch.linalg.inv(level * cov_c + (1 - level) * one)
    pull_u = w * torch.linalg.inv(level * cov_u + (1 - level) * one)
    return torch.linalg.solve(pull_c - pull_u, pull_c @ mean_c - pull_u @ mean_u)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The mean of eps is 0. Each of the two predictors has a mean by (7), with its own m and its own C_t. The common factor in front drops out.</details>
# <details><summary>Hint 2: the idea</summary>Call the two inverses P_c and P_u. The condition is (1 + w) P_c (x - mean_c) = w P_u (x - mean_u): bring everything with x to one side, the rest to the other, and solve the linear system.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.linalg.inv(level * cov + (1 - level) * torch.eye(D, dtype=...))</code> for each, then <code>torch.linalg.solve(matrix, right_side)</code>. The dtype is that of the means.</details>

# %% checks="sds_fixed_point"
# Checks of sds_fixed_point
G_, H_ = normal(3, 3, seed=11), normal(3, 3, seed=12)
condition = exact.GaussianData(normal(3, seed=13), G_ @ G_.T + 0.1 * torch.eye(3, dtype=f64))
everything = exact.GaussianData(normal(3, seed=14), H_ @ H_.T + torch.eye(3, dtype=f64))
expect(
    sds_fixed_point(condition.mean, condition.cov, everything.mean, everything.cov, 0.4, 0.0),
    condition.mean,
    "sds_fixed_point: without guidance it is the mean of the condition",
    hint="w = 0 leaves one term, and that vanishes at its mean",
)
expect(
    sds_fixed_point(condition.mean, condition.cov, everything.mean, condition.cov, 0.4, 7.0),
    condition.mean + 7 * (condition.mean - everything.mean),
    "sds_fixed_point: with equal covariances, w times the way from one mean to the other, beyond the first",
    hint="the condition's predictor counts 1 + w, the other -w; mind both signs",
)
for level, w in ((0.4, 0.5), (0.85, 2.0)):
    at = sds_fixed_point(condition.mean, condition.cov, everything.mean, everything.cov, level, w)
    noises = torch.cat([normal(2, 3, seed=15), -normal(2, 3, seed=15)])  # their mean is 0
    xt = level**0.5 * at + (1 - level) ** 0.5 * noises
    guided = (1 + w) * condition.best_eps(xt, level) - w * everything.best_eps(xt, level) - noises
    expect(
        guided.mean(0),
        torch.zeros(3, dtype=f64),
        f"sds_fixed_point: the guided answer less the noise is 0 on average (abar {level}, w = {w:g})",
        atol=1e-9,
        hint="C_t = level C + (1 - level) I, one for each of the two, and its inverse",
    )
flat_cov = torch.diag(double([0.5, 0.0, 0.0]))
expect(
    sds_fixed_point(condition.mean, flat_cov, everything.mean, 0 * flat_cov, 0.4, 0.5)
    .isfinite()
    .all(),
    torch.tensor(True),
    "sds_fixed_point: a singular covariance is no obstacle",
    hint="invert C_t, not C",
)

# %% [markdown]
# <details><summary>Line (9), to compare with yours</summary>
#
# $$x = \big( (1 + w) P_c - w P_u \big)^{-1} \big( (1 + w) P_c\, m_c - w P_u\, m_u \big), \qquad P = \big( \bar\alpha_t C + (1 - \bar\alpha_t) I \big)^{-1} \tag{9}$$
#
# *(7) for each of the two, the common factor dropped, what multiplies $x$ collected. Descent is drawn there only if all eigenvalues of the first matrix are positive.*
#
# </details>
#
# Threes among all digits, grey levels from $-1$ to $1$, each with the Gaussian of its pixels, at $\bar\alpha_t = 0.5$. **Predict** the share of pixels that lie outside $[-1, 1]$, blacker than black or whiter than white, at $w = 7$.

# %%
# Equation (9), in one dimension by bisection on the expected guided answer
narrow, wide = (
    exact.GaussianData([1.0], double([[0.3]])),
    exact.GaussianData([-0.4], double([[1.2]])),
)
level, w = double(0.6), 1.5


def guided_mean(x):
    return ((1 + w) * mean_guess(narrow, x, level) - w * mean_guess(wide, x, level)).item()


low, high = -10.0, 30.0
for _ in range(60):
    middle = (low + high) / 2
    low, high = (middle, high) if guided_mean(double([middle])) < 0 else (low, middle)
verify_equation(9, sds_fixed_point(narrow.mean, narrow.cov, wide.mean, wide.cov, 0.6, w), low)

# %% predict="my_outside"
my_outside = 0.1  # your prediction: share of pixels outside [-1, 1] at w = 7

# %% tags=["experiment"]
# Experiment: guidance moves the place of rest
signed = data.digits("train", range=(-1, 1), device="cpu").double()
ridge = 1e-3 * torch.eye(64, dtype=f64)
three, anything = exact.GaussianData.fit(signed[labels == 3]), exact.GaussianData.fit(signed)
strengths, scenes, outside, least = (0.0, 1.0, 3.0, 7.0), [], [], []
for w in strengths:
    scene = sds_fixed_point(
        three.mean, three.cov + ridge, anything.mean, anything.cov + ridge, 0.5, w
    )
    scenes.append(scene)
    outside.append((scene.abs() > 1 + 1e-9).double().mean().item())
    P_c, P_u = (
        torch.linalg.inv(0.5 * law.cov + 0.5 * ridge + 0.5 * torch.eye(64, dtype=f64))
        for law in (three, anything)
    )
    least.append(torch.linalg.eigvalsh((1 + w) * P_c - w * P_u)[0].item())
grid = torch.cat([torch.stack(scenes), (torch.stack(scenes).abs() > 1 + 1e-9) * 2.0 - 1])
fig, _ = plots.image_grid(
    grid,
    4,
    range=(-1, 1),
    zoom=12,
    labels=["at rest", "outside"],
    column_labels=[f"w = {w:g}" for w in strengths],
    title=f"Outside [-1, 1]: {outside[0]:.0%} without guidance, {outside[-1]:.0%} at w = {strengths[-1]:g}",
)
plots.show(
    fig,
    alt="Places of rest for four strengths of guidance, and below them which pixels are outside the range.",
)
for w, share, value, scene in zip(strengths, outside, least, scenes, strict=True):
    word = "attracts" if value > 0 else "repels"
    print(
        f"w = {w:g}: outside {share:4.0%}, farthest {scene.abs().max():.1f}, least eigenvalue {value:5.2f}: {word}"
    )
print(f"you predicted {my_outside:.0%} at w = 7")
findings["guided place of rest: pixels outside the range at w = 0, 1, 3, 7"] = ", ".join(
    f"{s:.0%}" for s in outside
)

# %% [markdown]
# Over-saturated: the colours that DreamFusion's objects are known for. And from $w = 3$ on this place does not even attract; it sits on a ridge, and descent runs away from it along some direction until something else, a clamp or other data, stops it.
#
# What would keep the variety? Not a point, but *many* objects that are pushed apart, or a second network that learns what your object's own pictures look like and takes the place of $\epsilon$ (ProlificDreamer, 2023).

# %% [markdown]
# ## 4 · Points that see each other
#
# The second kind of shape needs no renderer. A scanner gives a *cloud of points*, a set $\{x_1, \dots, x_N\}$ in space, and diffusion can treat it as any data: put noise on every coordinate and learn to tell it. LION (2022) does so, inside the latent space of an autoencoder as in lesson 09: one latent for the whole shape, and latent points given it. Here you meet what is new about it, the network.
#
# A set has no order. Whatever the network says about a point must not change when the others are listed differently: permuted points in, permuted answers out. This is called permutation **equivariance**. What does it leave of a linear layer? For points with one coordinate, a matrix $W$ that maps $\mathbb R^N$ to itself must commute with every permutation matrix $\Pi$:
#
# $$W\, \Pi = \Pi\, W \;\text{ for all } \Pi \quad \iff \quad W = b\, I + \tfrac cN\, \mathbf 1 \mathbf 1^\top \tag{10}$$
#
# *exchanging $i$ and $j$ leaves $W$ as it is, so all its diagonal entries are equal; and any pair of different places can be moved to any other, so all other entries are equal too. The other direction: $I$ and $\mathbf 1 \mathbf 1^\top$ commute with every $\Pi$.* Two numbers in place of $N^2$, and the same two for every $N$: one for the point itself, one for the mean of all.

# %%
# Equation (10): all 24 permutations of four points; what commutes has dimension 2
rows = []
for order in itertools.permutations(range(4)):
    P = torch.eye(4, dtype=f64)[list(order)]
    rows.append(
        torch.kron(P, torch.eye(4, dtype=f64))
        - torch.kron(torch.eye(4, dtype=f64), P.T.contiguous())
    )
constraints = torch.cat(rows)  # W, flattened, commutes where constraints @ W = 0
singular = torch.linalg.svdvals(constraints)
verify_equation(10, (singular < 1e-9).sum().double(), 2.0)
verify_equation(10, constraints @ (0.7 * torch.eye(4, dtype=f64) - 0.3).flatten(), 0.0)

# %% [markdown]
# ### Exercise: `SetLinear` · ●○○ · 5 minutes · 2 points
#
# With several coordinates, the two numbers become two matrices, and a bias that is the same for every point. For two or more points this is the most general affine layer that commutes with permutations.


# %% exercise="SetLinear"
class SetLinear(nn.Module):
    """A linear layer for sets of points: y_i = own(x_i) + pooled(mean_j x_j).

    The mean is over all N points of the set, x_i included. N may differ from call to call.

    Args:
        in_dim, out_dim: coordinates of a point before and after.

    Attributes:
        own: nn.Linear(in_dim, out_dim), with a bias. pooled: nn.Linear(in_dim, out_dim),
        without one. Both start as PyTorch starts them, and nothing else is learned.
    """

    def __init__(self, in_dim, out_dim):
        super().__init__()
        ### BEGIN SOLUTION
        self.own = nn.Linear(in_dim, out_dim)
        self.pooled = nn.Linear(in_dim, out_dim, bias=False)
        ### END SOLUTION

    def forward(self, x):
        """x (B, N, in_dim), N >= 1 -> (B, N, out_dim)."""
        ### BEGIN SOLUTION
        return self.own(x) + self.pooled(x.mean(1, keepdim=True))
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>nn.Linear works on the last axis and leaves the others alone. Which axis counts the points?</details>
# <details><summary>Hint 2: the idea</summary>The mean over the points keeps an axis of length 1, so that it meets every point when added.</details>
# <details><summary>Hint 3: nearly the line</summary><code>nn.Linear(in_dim, out_dim, bias=False)</code> for the mean, and <code>x.mean(1, keepdim=True)</code>.</details>

# %% checks="SetLinear"
# Checks of SetLinear
seed_everything(0)
layer = SetLinear(3, 5).double()
expect(
    {name: tuple(value.shape) for name, value in layer.named_parameters()},
    {"own.weight": (5, 3), "own.bias": (5,), "pooled.weight": (5, 3)},
    "SetLinear: what is learned",
    hint="two nn.Linear by the names own and pooled; the second without a bias",
)
points = normal(2, 4, 3, seed=16)
order = torch.tensor([2, 0, 3, 1])
expect(
    layer(points[:, order]),
    layer(points)[:, order],
    "SetLinear: permuted points, permuted answers",
    hint="the mean is over axis 1, the points",
)
with torch.no_grad():
    layer.own.weight.zero_()
    layer.own.bias.zero_()
    layer.pooled.weight.copy_(normal(5, 3, seed=17))
expect(
    layer(points)[0, 2],
    layer.pooled.weight @ (points[0, 0] + points[0, 1] + points[0, 2] + points[0, 3]) / 4,
    "SetLinear: the mean of one set, the point itself included",
    hint="each set of the batch has its own mean; the mean, not the sum, and over all N points",
)
expect(
    layer(points[:, :1])[:, 0],
    points[:, 0] @ layer.pooled.weight.T,
    "SetLinear: a set of one point is its own mean",
    hint="nothing is divided by N - 1",
)
leaf = points.clone().requires_grad_()
(slope,) = torch.autograd.grad(layer(leaf)[:, 0].sum(), leaf)
expect(
    slope[:, 2],
    (layer.pooled.weight.sum(0) / 4).expand(2, 3),
    "SetLinear: the answer at point 0 has a slope in point 2",
    hint="the mean is trained through: no detach, no torch.no_grad",
)
square = SetLinear(3, 3).double()
expect(
    square(points),
    points @ square.own.weight.T
    + square.own.bias
    + points.mean(1, keepdim=True) @ square.pooled.weight.T,
    "SetLinear: the same number of coordinates before and after",
    hint="two terms and nothing else: no residual, no activation",
)

# %% [markdown]
# ### Step: `own_and_pooled` · ●●○ · 8 minutes
#
# Is one such layer good for anything? Take points that have something in common: $x_i = z + \sigma \xi_i$, with a common $z \sim \mathcal N(0, \tau^2)$ and $\xi_i$ of their own, one coordinate. Noise comes in, so the $N$ noisy points have the covariance $s\, I + k\, \mathbf 1 \mathbf 1^\top$, and the best noise predictor is $\sqrt{1 - \bar\alpha_t}$ times its inverse, lesson 06's regression. By (10) that inverse is own $x_i$ + pooled $\bar x$, with $\bar x$ the mean. Find the two numbers.


# %% step="own_and_pooled"
def own_and_pooled(s, k, N):
    """The inverse of s I + k 11' (N x N), applied to x: own x_i + pooled mean(x).

    Args:
        s, k: SymPy symbols, positive. N: a symbol or a number, how many points there are.

    Returns:
        (own, pooled).
    """
    ### BEGIN SOLUTION
    return 1 / s, -N * k / (s * (s + N * k))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Multiply the matrix with (own x_i + pooled mean) and demand that x_i comes back. What does 11' do to a vector? It replaces each entry by N times the mean.</details>
# <details><summary>Hint 2: the idea</summary>Look at two kinds of vectors: those with mean 0, where the second part is silent, and the vector of ones, where the matrix is s + N k.</details>
# <details><summary>Hint 3: nearly the line</summary>On vectors of mean 0 the inverse is 1/s, that is own. On ones it is 1/(s + N k), and that must be own + pooled.</details>

# %% checks="own_and_pooled"
# Checks of own_and_pooled
s_, k_ = sympy.symbols("s k", positive=True)
for count in (1, 2, 4):
    one_ = sympy.ones(count, count)
    inverse = (s_ * sympy.eye(count) + k_ * one_).inv()
    own_, pooled_ = own_and_pooled(s_, k_, count)
    whole = own_ * sympy.eye(count) + pooled_ * one_ / count
    expect_same(
        whole[0, 0],
        inverse[0, 0],
        f"own_and_pooled: the diagonal of the inverse, N = {count}",
        hint="the mean contains x_i itself, with the share 1/N",
    )
    expect_same(
        whole[0, -1],
        inverse[0, -1],
        f"own_and_pooled: the last entry of its first row, N = {count}",
        hint="pooled is negative, and grows with N k",
    )

# %% [markdown]
# <details><summary>Line (11), to compare with yours</summary>
#
# $$\epsilon^*_i = \sqrt{1 - \bar\alpha_t}\, \Big( \frac 1s\, x_{t,i} - \frac{N k}{s\, (s + N k)}\, \bar x_t \Big), \qquad s = \bar\alpha_t \sigma^2 + 1 - \bar\alpha_t, \quad k = \bar\alpha_t \tau^2 \tag{11}$$
#
# *known as Woodbury's identity. One `SetLinear` is the best predictor, exactly; and no network that looks at the points one by one can be.*
#
# </details>
#
# How much is it worth? The least mean squared error of a prediction of $\epsilon$, lesson 06's floor, with and without the other points, where $s = \bar\alpha_t \sigma^2 + 1 - \bar\alpha_t$ and $k = \bar\alpha_t \tau^2$:
#
# $$\underbrace{\frac 1N \Big( (N - 1)\, \frac{\bar\alpha_t \sigma^2}{s} + \frac{\bar\alpha_t (\sigma^2 + N \tau^2)}{s + N k} \Big)}_{\text{points see each other}} \qquad \text{against} \qquad \underbrace{\frac{\bar\alpha_t (\tau^2 + \sigma^2)}{s + k}}_{\text{each point alone}} \tag{12}$$
#
# *the floor is the mean of $\bar\alpha_t \lambda / (\bar\alpha_t \lambda + 1 - \bar\alpha_t)$ over the eigenvalues: $\sigma^2$ for the $N - 1$ directions of mean 0, $\sigma^2 + N \tau^2$ for the common one; and a point alone has the variance $\tau^2 + \sigma^2$.*

# %%
# Equations (11) and (12): a SetLinear against the exact predictor and its floor
tau2, sigma2, a, N = 0.8, 0.3, double(0.6), 5
s, k = a * sigma2 + 1 - a, a * tau2
cloud = exact.GaussianData(torch.zeros(N), sigma2 * torch.eye(N, dtype=f64) + tau2)
layer = SetLinear(1, 1).double()
with torch.no_grad():
    layer.own.weight.fill_((1 - a).sqrt() / s)
    layer.own.bias.zero_()
    layer.pooled.weight.fill_(-(1 - a).sqrt() * N * k / (s * (s + N * k)))
    some = normal(7, N, seed=18)
    verify_equation(11, layer(some[..., None])[..., 0], cloud.best_eps(some, a))
together = ((N - 1) * a * sigma2 / s + a * (sigma2 + N * tau2) / (s + N * k)) / N
verify_equation(12, together, cloud.eps_floor(a))
single = exact.GaussianData(torch.zeros(1), double([[tau2 + sigma2]]))
verify_equation(12, a * (tau2 + sigma2) / (s + k), single.eps_floor(a))
print("tau^2 = 1, sigma^2 = 0.1, abar = 0.5:")
for N in (2, 4, 16, 64):
    floor = exact.GaussianData(torch.zeros(N), 0.1 * torch.eye(N, dtype=f64) + 1).eps_floor(0.5)
    alone = exact.GaussianData(torch.zeros(1), double([[1.1]])).eps_floor(0.5)
    print(f"N = {N:2d}: floor {floor:.3f} together, {alone:.3f} alone")

# %% [markdown]
# Now shapes: rings of 16 points, each ring with a centre and a radius of its own. Two networks of the same width, trained for the same number of steps, differ in one thing: the one is built of your `SetLinear`, the other of plain linear layers that see one point at a time. To score a set, fit a circle to its 16 points and take the mean distance of the points from it; for the data that is 0.014, the noise on the rings. **Predict** the median of the second network's sets. (Radii go from 0.3 to 1.)


# %%
# Given: a network of SetLinear layers, its training and its samples
class SetNet(nn.Module):
    """(x, t) -> noise, for sets x (B, N, 2); residual blocks as in ResidualMLP, `layer` where points may meet."""

    def __init__(self, layer, width=64, depth=3):
        super().__init__()
        self.inlet, self.outlet = nn.Linear(2, width), nn.Linear(width, 2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.firsts = nn.ModuleList(layer(width, width) for _ in range(depth))
        self.times = nn.ModuleList(nn.Linear(16, width) for _ in range(depth))
        self.seconds = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        nn.init.zeros_(self.outlet.weight)
        self.register_buffer("frequency", torch.arange(16) * (math.pi / 100))

    def forward(self, x, t):
        waves = torch.cos(t[:, None] * self.frequency)
        h = self.inlet(x)
        for norm, first, time, second in zip(
            self.norms, self.firsts, self.times, self.seconds, strict=True
        ):
            h = h + second(F.silu(first(norm(h)) + time(waves)[:, None]))
        return self.outlet(h)


LEVEL = TABLE.float().to(device)  # alpha_bar where networks live


@cache
def train_rings(layer):
    """A SetNet of this layer on 8,000 rings; about 12 seconds."""
    rings = shapes.rings(8000, 16, torch.Generator().manual_seed(0)).to(device)
    seed_everything(0)
    model = SetNet(layer).to(device)

    def loss(model, x):
        t = torch.randint(1, 101, (len(x),), device=x.device)
        eps, level = torch.randn_like(x), LEVEL[t][:, None, None]
        return (model(level.sqrt() * x + (1 - level).sqrt() * eps, t) - eps).square().mean()

    fit(
        model,
        loss,
        rings,
        steps=budget(1500),
        batch_size=64,
        lr=3e-3,
        ema=0.99,
        label="squared error",
    )
    return model


def draw_sets(model, count, points, keep=(100,), seed=1):
    """Sets by lesson 06's ancestral sampling, kept after some of the 100 steps: (len(keep), count, points, 2)."""
    seed_everything(seed)
    start = torch.randn(count, points, 2).to(device)

    def step(x, t):
        now, before = LEVEL[t][:, None, None], LEVEL[t - 1][:, None, None]
        beta = 1 - now / before
        mean = (x - beta / (1 - now).sqrt() * model(x, t)) / (1 - beta).sqrt()
        return mean + (beta * (1 - before) / (1 - now)).sqrt() * torch.randn_like(x)

    return chain(step, start, list(range(100, 0, -1)), model=model, keep=keep)[1].cpu()


def circles(sets):
    """Least-squares circles of sets (B, N, 2): radius (B,), mean distance of the points from it (B,)."""
    sets = sets.double()
    system = torch.cat(
        [2 * sets, torch.ones_like(sets[..., :1])], 2
    )  # 2 x.c + (r^2 - |c|^2) = |x|^2
    found = torch.linalg.lstsq(system, sets.square().sum(-1, keepdim=True)).solution[..., 0]
    centre = found[:, :2]
    radius = (found[:, 2] + centre.square().sum(1)).sqrt()
    return radius, ((sets - centre[:, None]).norm(dim=2) - radius[:, None]).abs().mean(1)


# %% predict="my_alone"
my_alone = 0.1  # your prediction: median distance from the fitted circle, points alone

# %% tags=["experiment"]
# Experiment: rings, by two networks; it takes about 30 seconds
real = shapes.rings(500, 16, torch.Generator().manual_seed(2))
drawn = {"data": real}
for name, layer in (("together", SetLinear), ("alone", nn.Linear)):
    drawn[name] = draw_sets(train_rings(layer), 500, 16)[0]
medians = {name: circles(sets)[1].median().item() for name, sets in drawn.items()}
fig, axes = plots.figure(1, 3, width=6.4, height=1.9)
for ax, (name, sets), role in zip(axes, drawn.items(), ("data", "model", "noise"), strict=True):
    for i in range(6):
        place = sets[i] - sets[i].mean(0) + torch.tensor([2.6 * (i % 3), 2.6 * (i // 3)])
        ax.plot(*place.T, ".", color=plots.COLOR[role], markersize=4)
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.5, 6.7), ylim=(-1.5, 4.1))
    ax.spines[:].set_visible(False)
    ax.grid(False)
    ax.set_title(f"{name}: {medians[name]:.3f}", fontsize=11)
plots.show(
    fig,
    alt="Six sets of points each: data, a network whose points see each other, one whose points do not.",
)
for name, sets in drawn.items():
    radius, away = circles(sets)
    print(f"{name:9} distance from the circle {away.median():.3f}, radius {radius.median():.2f}")
print(f"you predicted {my_alone:g} for points alone")
more = circles(draw_sets(train_rings(SetLinear), 200, 64)[0])[1].median().item()
print(f"64 points from the network that was trained on 16: {more:.3f}")
findings["rings: distance from the circle, data / together / alone"] = " / ".join(
    f"{value:.3f}" for value in medians.values()
)

# %% [markdown]
# Alone, a point can only learn where points of rings are in general, so the sets are clouds. Together they agree on a centre and a radius that nobody told them; the rest of the distance is what three small layers and 1,500 steps leave. And the network does not know how many points there are: trained on 16, asked for 64.
#
# Watch them agree: nine sets of 64 points walk out of the noise.


# %% tags=["experiment"]
# The prize: nine rings out of noise
moments = [0, *range(20, 60, 8), *range(60, 101, 4)]
walk = draw_sets(train_rings(SetLinear), 9, 64, keep=moments, seed=6)


def frame_of(sets):
    """Nine sets side by side."""
    fig, ax = plots.figure(width=5.6, height=5.6)
    for i, points in enumerate(sets):
        place = points + 3.4 * torch.tensor([i % 3, i // 3])
        ax.plot(*place.T, ".", color=plots.COLOR["model"], markersize=4)
    ax.set(xlim=(-1.9, 8.7), ylim=(-1.9, 8.7), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return fig, ax


film.play(
    (frame_of(sets) for sets in walk), "Nine clouds of 64 points contract into rings.", seconds=4
)

# %% [markdown]
# ## 5 · Further: how far apart are two sets?
#
# Pictures are compared pixel by pixel. For sets the question comes first: which point is to be compared with which? Two answers are in use. The **Chamfer distance** lets each point choose its nearest one on the other side, and the **earth mover's distance** demands a matching, one to one.
#
# ### Exercise: `chamfer_distance` and `earth_movers_distance` · ●●○ · 10 minutes · 1 + 1 points
#
# `scipy.optimize.linear_sum_assignment` finds the best matching of a table of costs, and is imported above. Mind which of the two squares its distances.


# %% exercise="chamfer_distance"
def chamfer_distance(x, y):
    """The Chamfer distance: each point to its nearest one in the other set, both ways.

    mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2: squared Euclidean distances; the
    two means are added, not averaged.

    Args:
        x: (B, N, D), N >= 1. y: (B, M, D), M >= 1.

    Returns:
        (B,).
    """
    ### BEGIN SOLUTION
    squared = (x[:, :, None] - y[:, None]).square().sum(-1)  # (B, N, M)
    return squared.amin(2).mean(1) + squared.amin(1).mean(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Make the table of all squared distances first, (B, N, M).</details>
# <details><summary>Hint 2: the idea</summary>One axis more for each, so that every x meets every y. Then a minimum along one axis and a mean along the other, and the same the other way round.</details>
# <details><summary>Hint 3: nearly the line</summary><code>x[:, :, None] - y[:, None]</code> is (B, N, M, D). <code>amin(2)</code> is each x's nearest y.</details>

# %% checks="chamfer_distance"
# Checks of chamfer_distance
x, y = normal(2, 5, 3, seed=19), normal(2, 4, 3, seed=20)
one_by_one = torch.stack(
    [
        sum(min((p - q).square().sum() for q in ys) for p in xs) / 5
        + sum(min((p - q).square().sum() for p in xs) for q in ys) / 4
        for xs, ys in zip(x, y, strict=True)
    ]
)
expect(
    chamfer_distance(x, y),
    one_by_one,
    "chamfer_distance: point by point, by hand",
    hint="squared distances; a mean over each set by itself; the two added",
)
expect(
    chamfer_distance(double([[[0.0], [4.0]]]), double([[[0.0]]])),
    double([8.0]),
    "chamfer_distance: 0 and 4 against 0, where only one of the two ways sees the 4",
    hint="both directions count, and each has a mean of its own",
)


# %% exercise="earth_movers_distance"
def earth_movers_distance(x, y):
    """The earth mover's distance of two sets of equally many points.

    The least mean distance over all one-to-one matchings: min over permutations s of 1/N
    sum_i |x_i - y_s(i)|, with plain Euclidean distances, not squared ones.

    Args:
        x, y: (B, N, D) each, N >= 1.

    Returns:
        (B,).
    """
    ### BEGIN SOLUTION
    distance = (x[:, :, None] - y[:, None]).norm(dim=-1)  # (B, N, N)
    means = []
    for table in distance:
        rows, columns = linear_sum_assignment(table.detach().cpu().numpy())
        means.append(table[rows, columns].mean())
    return torch.stack(means)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>One table of distances for each pair of sets; scipy knows the rest. It wants an array, not a tensor.</details>
# <details><summary>Hint 2: the idea</summary><code>linear_sum_assignment(table)</code> gives two lists, rows and their columns: the pairs of the best matching. Take these entries of the table.</details>
# <details><summary>Hint 3: nearly the line</summary><code>rows, columns = linear_sum_assignment(table.detach().cpu().numpy())</code>, then <code>table[rows, columns].mean()</code>, for each table of the batch; <code>torch.stack</code>. For few points <code>itertools.permutations</code> is right too.</details>

# %% checks="earth_movers_distance"
# Checks of earth_movers_distance
x, y = normal(30, 4, 2, seed=21), normal(30, 4, 2, seed=22)
every = torch.stack(
    [(x - y[:, list(s)]).norm(dim=2).mean(1) for s in itertools.permutations(range(4))]
)
expect(
    earth_movers_distance(x, y),
    every.amin(0),
    "earth_movers_distance: the least of all 24 matchings, for 30 pairs of sets",
    hint="one to one, and chosen as a whole: no y is used twice; distances are not squared, and the mean is over N pairs",
)
expect(
    earth_movers_distance(x[:3].float(), y[:3].float()),
    every.amin(0)[:3].float(),
    "earth_movers_distance: float32 stays float32",
    hint="take the entries from the tensor of distances, not from scipy's array",
)
line_x, line_y = normal(3, 6, 1, seed=23), normal(3, 6, 1, seed=24)
expect(
    earth_movers_distance(line_x, line_y),
    (line_x.sort(1).values - line_y.sort(1).values).abs().mean((1, 2)),
    "earth_movers_distance: on the line the sorted points are matched",
    hint="each pair of sets by itself",
)

# %% [markdown]
# Ten points, nine of them in one place and one a distance $d = 1$ away; against ten points, one and nine. **Predict** both distances.

# %% predict="my_chamfer"
my_chamfer = 0.5  # your prediction: Chamfer distance
my_movers = 0.5  # your prediction: earth mover's distance

# %% tags=["experiment"]
# Experiment: nine and one against one and nine
nine_one = torch.cat([torch.zeros(1, 9, 2, dtype=f64), double([[[1.0, 0.0]]])], 1)
one_nine = double([[[1.0, 0.0]]]) - nine_one
values = [
    distance(nine_one, one_nine).item() for distance in (chamfer_distance, earth_movers_distance)
]
print(
    f"Chamfer {values[0]:.3f}, earth mover's {values[1]:.3f}; you predicted {my_chamfer:g} and {my_movers:g}"
)
findings["nine and one against one and nine: Chamfer, earth mover's"] = (
    f"{values[0]:g}, {values[1]:g}"
)

# %% [markdown]
# For Chamfer the two are the same: every point finds a neighbour at distance zero, and nobody counts how many share it. As a loss it lets points pile up where some suffice. The matching has to carry eight of ten points over, and says so; but it costs $N^3$ operations, and for sets of unequal size it must be defined anew.

# %% [markdown]
# ## 6 · A mesh, corner by corner
#
# A game wants neither points nor a renderer but a **mesh**: vertices, and triangles that name their corners. PolyGen (2020) writes it down as a sequence and does what lesson 03 did, one item after the other, first all vertices, then all faces. Which sequence? A mesh is a set of faces, and sets can be written in many orders:
#
# $$p(\text{mesh}) = \sum_{\text{writings of it}} p(\text{writing}) \tag{13}$$
#
# *different writings are different outcomes, and their probabilities add.* A model that may use any of them has to spread its probability, and pays for saying what no one wants to know: $\log V!$ nats for the order of $V$ vertices, if all are equally likely. With one agreed, *canonical* form the sum has a single term.
#
# **From lesson 03**: vertices sorted by $z$, then $y$, then $x$; each triangle turned until its lowest number stands first; triangles sorted. (A slide says "ordered by lowest to highest z-coordinate". In a mesh ties are the rule: of a box's eight vertices four share each $z$, and without $y$ and $x$ there would be $4! \cdot 4! = 576$ canonical forms. And "faces conditioned on previous faces" needs all three rules.)


# %%
# From lesson 03: the canonical form of a mesh; and a drawing of one
def mesh_to_sequence(vertices, faces):
    """Vertices sorted by z, y, x; faces renumbered, each turned to begin with its lowest number, then sorted."""
    order = torch.arange(len(vertices))
    for column in (0, 1, 2):  # stable sorts, the most important column last
        order = order[vertices[order, column].argsort(stable=True)]
    faces = order.argsort()[faces]
    faces = faces.gather(1, (faces.argmin(1, keepdim=True) + torch.arange(3)) % 3)
    for column in (2, 1, 0):
        faces = faces[faces[:, column].argsort(stable=True)]
    return vertices[order], faces


BOX = mesh_to_sequence(*shapes.box_mesh())
ICOSAHEDRON = mesh_to_sequence(*shapes.icosahedron())


def flattened(vertices):
    """Vertices seen from a corner, (V, 2), for a drawing."""
    turn, tilt = 0.5, 0.35
    x, y, z = (vertices.double() - vertices.double().mean(0)).T
    along, depth = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    return torch.stack([along, math.cos(tilt) * z + math.sin(tilt) * depth], 1)


def draw_mesh(ax, vertices, faces, title, role="data"):
    """Edges of a mesh, and the numbers of its vertices."""
    at = flattened(vertices)
    for face in faces.tolist():
        ax.fill(*at[face].T, facecolor=plots.COLOR[role], alpha=0.08)
        ax.plot(*at[[*face, face[0]]].T, color=plots.COLOR[role], linewidth=1)
    for number, place in enumerate(at.tolist()):
        ax.annotate(f"{number}", place, textcoords="offset points", xytext=(5, 4), fontsize=9)
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.margins(0.15)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    ax.set_title(title, fontsize=11)


# %%
# Equation (13): all 4,096 sequences of six corners over four vertices, equally likely
def canonical(corners):
    """The canonical form of a list of corners as a tuple of triangles, or None where it is no mesh of two triangles."""
    faces = [corners[i : i + 3] for i in range(0, len(corners), 3)]
    if any(len(set(face)) < 3 for face in faces):
        return None
    turned_faces = {min(face[i:] + face[:i] for i in range(3)) for face in faces}
    return tuple(sorted(turned_faces)) if len(turned_faces) == len(faces) else None


counted = {}
for corners in itertools.product(range(4), repeat=6):
    counted[canonical(corners)] = counted.get(canonical(corners), 0) + 1
counted.pop(None)
verify_equation(
    13, double([number / 4**6 for number in counted.values()]), math.factorial(2) * 3**2 / 4**6
)
print(
    f"{len(counted)} meshes of two triangles; each has {counted[((0, 1, 2), (0, 2, 1))]} writings"
)
print(f"order of 8 vertices: log 8! = {math.log(math.factorial(8)):.2f} nats")

# %% tags=["experiment"]
# Figure: two meshes with their canonical numbers
fig, axes = plots.figure(1, 2, width=6.2, height=3.0)
draw_mesh(axes[0], *BOX, f"box: {len(BOX[1])} triangles")
draw_mesh(axes[1], *ICOSAHEDRON, f"icosahedron: {len(ICOSAHEDRON[1])} triangles")
plots.show(
    fig, alt="A box and an icosahedron as triangles, the vertices numbered from bottom to top."
)
print("the box's sequence begins", *BOX[1][:4].flatten().tolist())

# %% [markdown]
# ### Exercise: `next_corner_mask` · ●●● · 14 minutes · 2 points
#
# A network that writes corners one by one can write nonsense: a triangle with two equal corners, one that does not begin with its lowest number, one that stands before its predecessor. It need not: the corners so far decide which vertices may come next. All others get the probability zero, and what is left is divided anew.


# %% exercise="next_corner_mask"
def next_corner_mask(corners, num_vertices):
    """The vertices with which a canonical list of triangles may go on.

    A canonical triangle has three different vertices, the lowest number first; (0, 1, 2) and
    (0, 2, 1) are two triangles, one surface seen from its two sides. A canonical list is
    sorted: each triangle stands strictly after the one before it, by first corner, then
    second, then third.

    Args:
        corners: LongTensor (n,), n >= 0: the corners so far, one triangle after the other,
            the beginning of a canonical list. The last triangle may be unfinished, with one
            corner or two.
        num_vertices: an int, how many vertices there are; they are numbered from 0.

    Returns:
        bool (num_vertices,), on the device of `corners`: True at v where v can be the next
        corner, that is, where some canonical triangle begins with the unfinished corners and
        then v, and stands after the last finished triangle. All False where there is none.
    """
    ### BEGIN SOLUTION
    done = len(corners) - len(corners) % 3
    last, begun = corners[:done][-3:].tolist(), corners[done:].tolist()
    allowed = []
    for v in range(num_vertices):
        face = [*begun, v]
        rest = [u for u in reversed(range(face[0] + 1, num_vertices)) if u not in face]
        largest = face + rest[: 3 - len(face)]  # of all triangles that begin so, the last one
        different = len(set(face)) == len(face)
        allowed.append(different and len(largest) == 3 and min(face) == face[0] and largest > last)
    return torch.tensor(allowed, dtype=torch.bool, device=corners.device)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>It is not enough that v itself is fine: a triangle must be able to follow from it. With 8 vertices, can a triangle begin with 6?</details>
# <details><summary>Hint 2: the idea</summary>Either list all canonical triangles (three loops, or <code>itertools.permutations</code>), keep those after the last finished one that begin with the unfinished corners, and collect what comes next. Or ask for each v: of all triangles that begin so, does the last one stand after the last finished one? Python compares lists in exactly this order.</details>
# <details><summary>Hint 3: nearly the line</summary><code>done = len(corners) // 3 * 3</code>; the last triangle is <code>corners[done - 3 : done]</code> (none if done is 0), the unfinished one <code>corners[done:]</code>. Then <code>[f for f in itertools.permutations(range(num_vertices), 3) if f[0] == min(f) and f &gt; last and f[: len(begun)] == begun]</code>, all of them tuples.</details>


# %% checks="next_corner_mask"
# Checks of next_corner_mask
def allowed_after(*corners, vertices=5):
    return next_corner_mask(torch.tensor(corners, dtype=torch.long), vertices)


def flags(*which, vertices=5):
    return torch.tensor([v in which for v in range(vertices)])


expect(
    allowed_after(),
    flags(0, 1, 2),
    "next_corner_mask: how a list of triangles over 5 vertices may begin",
    hint="the first corner is the lowest, so two higher vertices must be left",
)
expect(
    [allowed_after(1), allowed_after(1, 3)],
    [flags(2, 3, 4), flags(2, 4)],
    "next_corner_mask: inside the first triangle",
    hint="all three differ, the first is the lowest, and both orientations are triangles",
)
expect(
    [allowed_after(1, 2, 3), allowed_after(1, 2, 3, 1), allowed_after(1, 2, 3, 1, 2)],
    [flags(1, 2), flags(2, 3, 4), flags(4)],
    "next_corner_mask: a second triangle stands strictly after the first",
    hint="compare whole triangles: an equal first corner is fine as long as a later triangle can still begin so",
)
expect(
    [allowed_after(1, 4, 3), allowed_after(1, 4, 2, 1), allowed_after(2, 4, 3)],
    [flags(2), flags(4), flags()],
    "next_corner_mask: where the first corner, or everything, is used up",
    hint="(1, 4, 3) is the last triangle that begins with 1, and (2, 4, 3) the last one of all",
)


def count_lists(corners, triangles):
    """How many canonical lists of so many triangles over four vertices the mask admits."""
    if len(corners) == 3 * triangles:
        return 1
    mask = next_corner_mask(torch.tensor(corners, dtype=torch.long), 4)
    return sum(count_lists([*corners, v], triangles) for v in mask.nonzero()[:, 0].tolist())


expect(
    [count_lists([], 1), count_lists([], 2), count_lists([], 3)],
    [math.comb(8, n) for n in (1, 2, 3)],
    "next_corner_mask: every set of the 8 triangles over four vertices is written in exactly one way",
    hint="count by hand what may follow (0, 1, 2)",
)

# %% [markdown]
# ### Exercise: `pointer_log_probs` · ●●○ · 5 minutes · 2 points
#
# And which of the legal ones? A softmax over classes will not do, for each mesh has another number of vertices. PolyGen *points*: the network gives an embedding of every vertex and one query, and the logits are their dot products (Vinyals and others, 2015).


# %% exercise="pointer_log_probs"
def pointer_log_probs(query, vertices, valid):
    """A pointer: log-probabilities over the vertices of a mesh, whatever their number.

    The logit of a vertex is the dot product of the query and its embedding, without any
    scaling; the log-softmax is over the valid vertices alone.

    Args:
        query: (B, D), what the network says about the next corner.
        vertices: (B, V, D), an embedding of each vertex.
        valid: bool (B, V), which vertices may be chosen; at least one in each row.

    Returns:
        (B, V): log-probabilities, -inf where not valid, and NaN nowhere. Exact for large
        logits too, in size or in distance (a thousand, say), and whatever the logits of
        vertices that are not valid. Gradients of the valid entries reach `query` and
        `vertices`, and NaN is nowhere in them.
    """
    ### BEGIN SOLUTION
    logits = torch.einsum("bd,bvd->bv", query, vertices)
    return logits.masked_fill(~valid, -torch.inf).log_softmax(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Dot products first; then take the others out <em>before</em> anything is normalised.</details>
# <details><summary>Hint 2: the idea</summary>A logit of minus infinity is a probability of zero, and log_softmax can live with it.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.einsum("bd,bvd->bv", query, vertices)</code>, <code>masked_fill(~valid, -torch.inf)</code>, <code>log_softmax(-1)</code>.</details>

# %% checks="pointer_log_probs"
# Checks of pointer_log_probs
query, corners_ = normal(3, 4, seed=25), normal(3, 6, 4, seed=26)
valid = torch.tensor([[1, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
logs = pointer_log_probs(query, corners_, valid)
for row in range(3):
    of_them = torch.stack([query[row] @ corners_[row, v] for v in range(6) if valid[row, v]])
    expect(
        logs[row][valid[row]],
        torch.distributions.Categorical(logits=of_them).logits,
        f"pointer_log_probs: row {row + 1} of 3, over its {len(of_them)} valid vertices",
        hint="dot products as they are, no root of D; normalised over the valid ones only",
    )
expect(
    logs.exp().sum(1),
    torch.ones(3, dtype=f64),
    "pointer_log_probs: probabilities sum to 1, with zeros at the others",
    hint="minus infinity at what is not valid",
)
expect(
    logs[~valid],
    torch.full((7,), -torch.inf, dtype=f64),
    "pointer_log_probs: minus infinity, and nothing less, where not valid",
    hint="fill with -torch.inf, not with a large negative number",
)
large = pointer_log_probs(1e3 * query, corners_, valid)
expect(
    (large[0, 1] - large[0, 3], bool(large.isnan().any())),
    ((1e3 * query[0]) @ (corners_[0, 1] - corners_[0, 3]), False),
    "pointer_log_probs: large logits",
    hint="log_softmax of the logits, not the log of a softmax",
)
shouting = torch.where(valid[..., None], corners_, 1e4 * query[:, None])
expect(
    pointer_log_probs(query, shouting, valid)[valid],
    logs[valid],
    "pointer_log_probs: large logits of vertices that are not valid change nothing",
    hint="mask before anything is normalised or subtracted",
)
leaf = query.clone().requires_grad_()
(slope,) = torch.autograd.grad(pointer_log_probs(leaf, corners_, valid)[valid].sum(), leaf)
expect(
    bool(slope.isfinite().all()),
    True,
    "pointer_log_probs: gradients are finite",
    hint="fill with -inf, and multiply nothing by it",
)

# %% [markdown]
# What does the grammar save? A pointer that knows nothing, its query zero, writes the box and the icosahedron: once among all vertices at every corner, once among the legal ones. **Predict** first: if each corner is one of 8 vertices with equal chance, how likely are three in a row a canonical triangle?


# %% predict="my_canonical"
my_canonical = 0.5  # your prediction: probability of a canonical triangle


# %% tags=["experiment"]
# Experiment: what the grammar saves
def nats(mesh, masked):
    """-log probability of a canonical list of triangles under a pointer with the query zero."""
    vertices, faces = mesh
    corners, count, total = faces.flatten(), len(vertices), 0.0
    for i in range(len(corners)):
        valid = (
            next_corner_mask(corners[:i], count) if masked else torch.ones(count, dtype=torch.bool)
        )
        logs = pointer_log_probs(torch.zeros(1, 3), torch.ones(1, count, 3), valid[None])
        total -= logs[0, corners[i]].item()
    return total


legal = sum(
    bool(next_corner_mask(torch.tensor([]).long(), 8)[a])
    and bool(next_corner_mask(torch.tensor([a]), 8)[b])
    and bool(next_corner_mask(torch.tensor([a, b]), 8)[c])
    for a, b, c in itertools.product(range(8), repeat=3)
)
print(
    f"three fair corners of 8 vertices: a canonical triangle with probability {legal}/512 = {legal / 512:.3f}"
)
print(f"you predicted {my_canonical:g}; with the mask it is certain")
print("             corners  nats, any vertex  nats, legal ones  disorder of faces, log F! 3^F")
for name, mesh in (("box", BOX), ("icosahedron", ICOSAHEDRON)):
    count = len(mesh[1])
    disorder = math.lgamma(count + 1) + count * math.log(3)
    print(
        f"{name:12}{3 * count:8d}{nats(mesh, False):18.2f}{nats(mesh, True):18.2f}{disorder:18.2f}"
    )
findings["box: nats of a fair pointer, any vertex and legal ones"] = (
    f"{nats(BOX, False):.1f}, {nats(BOX, True):.1f}"
)


def write_triangles(count, seed):
    """Triangles over the box's vertices by a fair pointer among the legal corners, until `count` or a dead end."""
    generator, corners = torch.Generator().manual_seed(seed), torch.tensor([]).long()
    while len(corners) < 3 * count and (valid := next_corner_mask(corners, 8)).any():
        corner = torch.multinomial(valid.float(), 1, generator=generator)
        corners = torch.cat([corners, corner])
    return corners.reshape(-1, 3)


written = [len(write_triangles(12, seed)) for seed in range(100)]
fig, axes = plots.figure(1, 3, width=6.4, height=2.4)
for ax, seed in zip(axes, (0, 1, 2), strict=True):
    faces = write_triangles(12, seed)
    draw_mesh(ax, BOX[0], faces, f"{len(faces)} legal triangles", "model")
plots.show(
    fig,
    alt="Three lists of legal triangles over the corners of a box, written by a pointer that knows nothing.",
)
print(
    f"of 100 such lists, {sum(n < 12 for n in written)} end before 12 triangles because nothing legal is left"
)

# %% [markdown]
# The grammar says what is legal, not what is likely: these are canonical lists of triangles, and no boxes. And it looks ahead to the end of the triangle only. A list that jumps to a late triangle has little left to say, so a fair choice among legal corners is *not* a fair choice among meshes, and the mask saves less than order alone is worth (the last column). What is likely is left to the network, and when to stop as well: PolyGen has a token for it.
#
# ## 7 · From pictures to films
#
# Films have pictures in them, so a good generator of pictures should be a good beginning. Make-A-Video (2022) takes the network for single frames as it is, and puts a layer *along time* behind each of its layers. Two things make this work.
#
# The first is thrift. A convolution over space and time needs a kernel of $k \times k \times k$ numbers for each pair of channels. In two parts, over the frame and then along time at each pixel, the pair of layers is one convolution with a special kernel:
#
# $$K_{o,i}[f, h, w] = \sum_m \text{temporal}_{o,m}[f]\;\, \text{spatial}_{m,i}[h, w], \qquad \underbrace{C_{\text{in}} C_{\text{out}}\, k^2 + C_{\text{out}}^2\, k}_{\text{two parts}} \;\text{ against }\; \underbrace{C_{\text{in}} C_{\text{out}}\, k^3}_{\text{one}} \tag{14}$$
#
# *two sums, one after the other; $m$ counts the channels in between.* The second is the start:
#
# $$\text{temporal}_{o,m}[f] = \begin{cases} 1 & o = m \text{ and } f \text{ the centre} \\ 0 & \text{else} \end{cases} \quad \Longrightarrow \quad \text{layer}(\text{film})_f = \text{spatial}(\text{film}_f) \tag{15}$$
#
# *for every frame: the sum over channels and taps has one term left.* At step 0 the network for films *is* the network for frames, frame by frame, and training has only to find out what time is good for.
#
# ### Exercise: `Pseudo3DConv` · ●●○ · 10 minutes · 3 points


# %% exercise="Pseudo3DConv"
class Pseudo3DConv(nn.Module):
    """A convolution of films in two parts: over each frame, then along time at each pixel.

    Both are padded with zeros, so that the numbers of frames, rows and columns stay. The
    part along time begins as the identity, equation (15).

    Args:
        in_channels, out_channels: channels before and after.
        kernel_size: k, an odd int, the same in height, width and time.

    Attributes:
        spatial: nn.Conv2d(in_channels, out_channels, k), with a bias, as PyTorch starts it.
        temporal: nn.Conv1d(out_channels, out_channels, k), with a bias. At the start the
        centre tap from each channel to itself is 1, and all other weights and the bias are
        0; from then on everything is learned.
    """

    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        ### BEGIN SOLUTION
        around = kernel_size // 2
        self.spatial = nn.Conv2d(in_channels, out_channels, kernel_size, padding=around)
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, padding=around)
        nn.init.dirac_(self.temporal.weight)
        nn.init.zeros_(self.temporal.bias)
        ### END SOLUTION

    def forward(self, film):
        """film (B, in_channels, F, H, W) -> (B, out_channels, F, H, W)."""
        ### BEGIN SOLUTION
        B, _, frames, height, width = film.shape
        pictures = self.spatial(film.transpose(1, 2).flatten(0, 1))  # (B F, out, H, W)
        lines = pictures.unflatten(0, (B, frames)).permute(0, 3, 4, 2, 1)  # (B, H, W, out, F)
        lines = self.temporal(lines.flatten(0, 2)).unflatten(0, (B, height, width))
        return lines.permute(0, 3, 4, 1, 2)
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A Conv2d knows batches of frames, a Conv1d batches of lines. So first every frame of every film is an example of its own, then every pixel of every film.</details>
# <details><summary>Hint 2: the idea</summary>Move axes before you join them: to (B, F, C, H, W) and then (B F, C, H, W) for the first; to (B, H, W, C, F) and then (B H W, C, F) for the second; back again at the end. A reshape that skips the permutation mixes frames with channels.</details>
# <details><summary>Hint 3: nearly the line</summary><code>film.transpose(1, 2).flatten(0, 1)</code>, <code>.unflatten(0, (B, frames)).permute(0, 3, 4, 2, 1)</code>, <code>.flatten(0, 2)</code>, and the way back. Padding is k // 2. <code>nn.init.dirac_</code> makes the identity, <code>nn.init.zeros_</code> empties the bias.</details>

# %% checks="Pseudo3DConv"
# Checks of Pseudo3DConv
seed_everything(1)
layer = Pseudo3DConv(2, 3, kernel_size=3).double()
expect(
    {name: tuple(value.shape) for name, value in layer.named_parameters()},
    {
        "spatial.weight": (3, 2, 3, 3),
        "spatial.bias": (3,),
        "temporal.weight": (3, 3, 3),
        "temporal.bias": (3,),
    },
    "Pseudo3DConv: what is learned",
    hint="nn.Conv2d by the name spatial, nn.Conv1d from out to out channels by the name temporal, biases in both",
)
movie = normal(2, 2, 5, 4, 6, seed=27)
with torch.no_grad():
    framewise = torch.stack([layer.spatial(movie[:, :, f]) for f in range(5)], 2)
    verify_equation(
        15,
        layer(movie),
        framewise,
        of="Pseudo3DConv",
        hint="at the start each frame comes out as `spatial` makes it; film is (B, C, F, H, W): permute before you join axes",
    )
    layer.temporal.weight.copy_(normal(3, 3, 3, seed=28))
    layer.temporal.bias.copy_(normal(3, seed=29))
    padded = F.pad(framewise, (0, 0, 0, 0, 1, 1))
    by_taps = sum(
        torch.einsum(
            "om,bmfhw->bofhw", layer.temporal.weight[:, :, tap], padded[:, :, tap : tap + 5]
        )
        for tap in range(3)
    )
    expect(
        layer(movie),
        by_taps + layer.temporal.bias[:, None, None, None],
        "Pseudo3DConv: along time, tap by tap, zeros around the film",
        hint="every pixel of every film is a line of frames; its neighbours are the frames before and after",
    )
    expect(
        Pseudo3DConv(1, 2, kernel_size=5)(torch.zeros(1, 1, 1, 2, 3)).shape,
        torch.Size([1, 2, 1, 2, 3]),
        "Pseudo3DConv: a film of one frame, a wide kernel",
        hint="padding is half the kernel, rounded down, in all three directions",
    )

# %%
# Equation (14): the same by one convolution over space and time; and the parameters
layer, movie = Pseudo3DConv(2, 3).double(), normal(2, 2, 5, 4, 6, seed=27)
with torch.no_grad():
    layer.temporal.weight.copy_(normal(3, 3, 3, seed=30))
    layer.spatial.bias.zero_()  # with a bias, (14) fails in the first and the last frame: zeros come after it
    kernel = torch.einsum("omf,mihw->oifhw", layer.temporal.weight, layer.spatial.weight)
    verify_equation(14, layer(movie), F.conv3d(movie, kernel, layer.temporal.bias, padding=1))
    layer.spatial.bias.copy_(normal(3, seed=31))
    lifted = layer.temporal.weight.sum(2) @ layer.spatial.bias  # what all taps make of the bias
    gap = (
        (layer(movie) - F.conv3d(movie, kernel, layer.temporal.bias + lifted, padding=1))
        .abs()
        .amax((0, 1, 3, 4))
    )
print(
    "with a bias of the frames' part, largest gap in each of the 5 frames:",
    *[f"{value:.2f}" for value in gap],
)
many = Pseudo3DConv(64, 64)
weights = sum(part.weight.numel() for part in (many.spatial, many.temporal))
verify_equation(14, weights, 64 * 64 * 3**2 + 64**2 * 3)
print(f"64 channels, k = 3: {weights:,} weights against {64 * 64 * 27:,}")

# %% [markdown]
# ### What is time worth?
#
# Give every pixel a memory: frame $f$ is $\rho$ times the frame before plus fresh noise, each pixel of variance 1. Such a pixel is *autoregressive of order one*, AR(1), and its frames have the covariance $R_{ij} = \rho^{|i - j|}$. What can a noise predictor reach at best, frame by frame, and with the whole film before it?
#
# $$\underbrace{\bar\alpha_t}_{\text{each frame alone}} \qquad \text{against} \qquad \underbrace{\frac 1F \sum_{i=1}^F \frac{\bar\alpha_t \lambda_i}{\bar\alpha_t \lambda_i + 1 - \bar\alpha_t}}_{\text{the whole film}}, \qquad \lambda_i \text{ the eigenvalues of } R \tag{16}$$
#
# *lesson 06's floor, for variance 1 and for the covariance $R$.*
#
# Now train as Make-A-Video does, with one small layer, on films of 8 frames with $\rho = 0.9$ at $\bar\alpha_t = 0.5$. First the part over frames, on single frames. Then put it into your `Pseudo3DConv` and go on with films. A second copy keeps PyTorch's own start of the part along time. **Predict** the second copy's loss before its first step. A network that answers 0 has 1, the trained frame network about 0.5.

# %%
# Equation (16): the floors from the covariance itself
R = exact.ar1(8, 0.9)
level = double(0.5)
lam = torch.linalg.eigvalsh(R.cov)
best = (1 - level).sqrt() * torch.linalg.inv(
    level * R.cov + (1 - level) * torch.eye(8, dtype=f64)
)  # eps* = best @ xt
left = 1 - (1 - level).sqrt() * best.diagonal().mean()  # E eps^2 - E eps*^2, a mean over the frames
verify_equation(16, (level * lam / (level * lam + 1 - level)).mean(), left)
verify_equation(16, level, exact.GaussianData([0.0], double([[1.0]])).eps_floor(level))
for rho in (0.0, 0.5, 0.9, 0.99):
    print(
        f"rho = {rho:<5g} floor alone {level:.3f}, the whole film {exact.ar1(8, rho).eps_floor(level):.3f}"
    )


# %%
# Given: films whose pixels are AR(1), and the training of one layer
def make_films(count, rho, seed):
    """(count, 1, 8, 8, 8), every pixel AR(1) with variance 1."""
    noise = torch.randn(count, 1, 8, 8, 8, generator=torch.Generator().manual_seed(seed))
    root = torch.linalg.cholesky(exact.ar1(8, rho).cov).float()
    return torch.einsum("fg,bcghw->bcfhw", root, noise).to(device)


def film_loss(model, x):
    """Squared error of the predicted noise at abar = 1/2."""
    eps = torch.randn_like(x)
    return (model((x + eps) / 2**0.5) - eps).square().mean()


@cache
def test_films():
    """500 films with their noise."""
    clean = make_films(500, 0.9, 2)
    return (
        clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(3)).to(device)
    ) / 2**0.5, clean


@torch.no_grad()
def test_loss(model):
    """On 500 films, (mean, standard error)."""
    noisy, clean = test_films()
    eps = 2**0.5 * noisy - clean
    each = (model(noisy) - eps).square().flatten(1).mean(1)
    return each.mean().item(), each.std().item() / len(each) ** 0.5


@cache
def frame_layer():
    """A Conv2d that tells the noise of single frames."""
    seed_everything(0)
    layer = nn.Conv2d(1, 1, 3, padding=1).to(device)
    frames = make_films(1200, 0.9, 0)[:, :, 0]
    fit(layer, film_loss, frames, steps=budget(300), batch_size=64, lr=0.02, label="frames")
    return layer


def inflated(identity=True):
    """A layer for films around the trained layer for frames."""
    seed_everything(1)
    layer = Pseudo3DConv(1, 1).to(device)
    layer.spatial.load_state_dict(frame_layer().state_dict())
    if not identity:
        layer.temporal.reset_parameters()
    return layer


@cache
def train_film(identity):
    """Test losses after 0, 10, 30, 100 and 300 steps."""
    layer, films = inflated(identity), make_films(1200, 0.9, 1)
    losses, optimizer = [test_loss(layer)], torch.optim.Adam(layer.parameters(), lr=0.01)
    for stage, steps in enumerate((10, 20, 70, 200)):
        fit(layer, film_loss, films, steps=budget(steps), batch_size=16, schedule="constant", optimizer=optimizer,
            seed=stage, progress=False)  # fmt: skip
        losses.append(test_loss(layer))
    return losses


# %% predict="my_start"
my_start = 0.6  # your prediction: the loss at step 0 with PyTorch's own start along time

# %% tags=["experiment"]
# Experiment: from frames to films
steps = [0, 10, 30, 100, 300]
runs = {"identity": train_film(True), "PyTorch's own": train_film(False)}
shift_by = [
    torch.diag(torch.ones(8 - abs(j), dtype=f64), j) for j in (-1, 0, 1)
]  # zeros come in at the ends
noisy = 0.5 * R.cov + 0.5 * torch.eye(8, dtype=f64)  # covariance of x_t along time
gram = double([[torch.trace(one @ noisy @ two.T) for two in shift_by] for one in shift_by])
known = 0.5**0.5 * double([torch.trace(one) for one in shift_by])
three_taps = 1 - (known @ torch.linalg.solve(gram, known)).item() / 8
fig, ax = plots.figure(width=6, height=3.3)
places = range(len(steps))
for (name, run), role in zip(runs.items(), ("model", "noise"), strict=True):
    means, errors = zip(*run, strict=True)
    plots.curve(places, means, role, error=errors, label=f"along time: {name}", marker="o", ax=ax)
floor = R.eps_floor(0.5).item()
for value, text in (
    (0.5, "floor, frames alone"),
    (three_taps, "floor, three frames"),
    (floor, "floor, whole film"),
):
    look = {"linestyle": (0, (5, 2.5)), "linewidth": 1.2, "color": plots.COLOR["exact"]}
    ax.plot([-0.2, 4.05], [value, value], **look)
    ax.text(4.1, value, text, fontsize=8, va="center")
plots.guess(ax, y=my_start)
ax.set_xticks(places, [f"{step}" for step in steps])
ax.set(xlabel="training step", ylabel="squared error", xlim=(-0.2, 5.1))
ax.set_title(
    f"Step 0: {runs['identity'][0][0]:.3f} and {runs[chr(80) + 'yTorch' + chr(39) + 's own'][0][0]:.3f}"
)
plots.show(
    fig, alt="Test losses of two layers for films against the step, with three exact floors."
)
for name, run in runs.items():
    print(f"{name:14}", *[f"{mean:.3f}" for mean, _ in run], "at steps", *steps)
print(
    f"standard error about {runs['identity'][-1][1]:.3f}; floors 0.500, {three_taps:.3f}, {floor:.3f}"
)
print(f"you predicted {my_start:g} at step 0 for PyTorch's own start")
findings["films: loss at step 0, identity and PyTorch's own start"] = ", ".join(
    f"{run[0][0]:.3f}" for run in runs.values()
)
findings["films: loss after 300 steps, floor of three frames"] = (
    f"{runs['identity'][-1][0]:.3f}, {three_taps:.3f}"
)

# %% [markdown]
# The identity begins where the frames ended and loses nothing on the way. A random part along time *destroys* what the frames knew, and is at first worse than saying nothing. Both reach the same place here, after 100 steps and with one small layer; a network that took weeks to train would not be rebuilt so soon.
#
# Three frames are not the whole film: the gap between the two lower floors is what longer reach, or attention along time, would bring.
#
# ### Further: the frames in between
#
# Make-A-Video draws few frames and fills in others, with a network that sees both ends. What should stand between two known frames?
#
# ### Step: `between` · ●●○ · 5 minutes
#
# Begin with one frame between two known ones, $x_0$ and $x_2$, of an AR(1) pixel.


# %% step="between"
def between(rho):
    """One frame between two known ones, for a pixel that is AR(1) with variance 1.

    Args:
        rho: a SymPy symbol, the correlation of neighbouring frames.

    Returns:
        (weight, variance): E[x_1 | x_0, x_2] = weight (x_0 + x_2), and Var[x_1 | x_0, x_2].
    """
    ### BEGIN SOLUTION
    return rho / (1 + rho**2), (1 - rho**2) / (1 + rho**2)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A regression on two things: covariances of x_1 with each, and the covariance matrix of the two.</details>
# <details><summary>Hint 2: the idea</summary>By symmetry both weights are equal. What is left over, x_1 less its guess, must be uncorrelated with x_0: one equation for the weight.</details>
# <details><summary>Hint 3: nearly the line</summary>cov(x_1, x_0) = rho and cov(x_2, x_0) = rho squared: rho = weight (1 + rho squared). The variance is 1 less weight times the two covariances.</details>

# %% checks="between"
# Checks of between
rho_ = sympy.symbols("rho", positive=True)
answer = between(rho_)
ends_ = sympy.Matrix([[1, rho_**2], [rho_**2, 1]])
to_ends = sympy.Matrix([rho_, rho_])
expect_same(
    answer[0],
    (ends_.inv() * to_ends)[0],
    "between: the weight of each end",
    hint="x_1 - weight (x_0 + x_2) is uncorrelated with x_0",
)
expect_same(
    answer[1],
    1 - (to_ends.T * ends_.inv() * to_ends)[0],
    "between: the variance that is left",
    hint="1 minus what the two ends explain",
)

# %% [markdown]
# For any gap and any frame the same regression, as matrices: with $R$ as in (16), `ends` the two known frames and `mid` those between,
#
# $$K = R_{\text{mid}, \text{ends}}\; R_{\text{ends}, \text{ends}}^{-1}, \qquad \mathbb E[x_{\text{mid}}] = K\, x_{\text{ends}}, \qquad \operatorname{Var} = \operatorname{diag}\big( R_{\text{mid}, \text{mid}} - K R_{\text{ends}, \text{mid}} \big) \tag{17}$$
#
# *lesson 01's Gaussian conditional; in engineering, a Kalman smoother.*


# %%
# Equation (17): the conditional, and the same by the precision matrix
def interpolation(rho, gap):
    """Weights (gap - 1, 2) and variances (gap - 1,) of the frames between two known ones."""
    C = exact.ar1(gap + 1, rho).cov
    ends, mid = [0, gap], list(range(1, gap))
    K = torch.linalg.solve(C[ends][:, ends], C[ends][:, mid]).T
    return K, (C[mid][:, mid] - K @ C[ends][:, mid]).diagonal()


K, left = interpolation(0.9, 4)
precision = torch.linalg.inv(exact.ar1(5, 0.9).cov)
inner = precision[1:4, 1:4]
verify_equation(17, K, -torch.linalg.solve(inner, precision[1:4][:, [0, 4]]))
verify_equation(17, left, torch.linalg.inv(inner).diagonal())
for rho in (0.9, 0.99):
    K, left = interpolation(rho, 4)
    print(f"rho = {rho:<4g} weights at 1/4 and 1/2:", end=" ")
    print(
        *[f"({a:.3f}, {b:.3f})" for a, b in K[:2].tolist()],
        "variance left",
        *[f"{v:.3f}" for v in left[:2]],
    )

# %% [markdown]
# Not a straight line: at $\rho = 0.9$ the weights at a quarter of the way are not 0.75 and 0.25, and they do not sum to 1; at 0.99 it nearly is one. The best single answer shrinks towards the mean of all frames, and the less neighbours have in common, the more. A network trained with squared error shows exactly this, a grey film between two sharp ends; one that *samples* puts the missing variance back. **How far apart may two frames be?** Drag.


# %%
# Drag: correlation, gap, and the frames between two digits
ends_of_film = torch.stack([threes[0], flat[labels == 8][1].double()])
middle_grey, spread_grey = flat.double().mean(0), flat.double().std(0)


def draw_between(rho, gap):
    """The best frames between two digits, and one pixel with the band of two deviations."""
    K, left = interpolation(rho, gap)
    weights = torch.cat([double([[1.0, 0.0]]), K, double([[0.0, 1.0]])])
    left = torch.cat([torch.zeros(1), left, torch.zeros(1)]).clamp(min=0)
    frames = middle_grey + weights @ (ends_of_film - middle_grey)
    fig, axes = plots.figure(2, 1, width=6.2, height=3.4, height_ratios=(1, 1.4))
    plots.image_grid(frames, gap + 1, ax=axes[0])
    pixel = (ends_of_film[0] - ends_of_film[1]).abs().argmax().item()
    plots.curve(
        range(gap + 1),
        frames[:, pixel],
        "model",
        error=left.sqrt() * spread_grey[pixel],
        ax=axes[1],
    )
    plots.curve([0, gap], ends_of_film[:, pixel], "data", marker="o", linestyle="none", ax=axes[1])
    axes[1].axhline(middle_grey[pixel].item(), color=plots.COLOR["noise"], linewidth=0.8)
    axes[1].set(xlabel="frame", ylabel="one pixel", ylim=(-0.6, 1.6))
    axes[1].set_title(f"variance left in the middle: {left[gap // 2]:.2f}")
    return fig, axes


widgets.explore(
    draw_between,
    alt="Frames between two digits; below, one pixel with a band of two standard deviations, both ends known.",
    rho=(0.5, 0.995, 0.9),
    gap=(2, 9, 6),
)

# %% [markdown]
# ## 8 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="mode_seeking" points=2
# ### Question: `mode_seeking` · ●●○ · 10 minutes · 2 points
#
# Ask a text-to-picture model for "a squirrel" a hundred times by *sampling*, and you get a hundred squirrels. Ask a hundred times by score distillation, and you get the same over-saturated one again and again. Why? Answer in at most ten sentences, with numbers from this notebook.
#
# ### BEGIN MARK SCHEME
# 1 point: score distillation minimises $\mathbb E\, \omega_t\, \mathrm{KL}\big( \mathcal N(\sqrt{\bar\alpha_t}\, x, (1 - \bar\alpha_t) I) \Vert q_t \big)$, the KL with the wrong side first, which seeks modes; and of its two parts the entropy of "one picture plus noise" is a constant that cannot grow, so nothing rewards variety and a single best point is left. "It is gradient descent, not sampling" alone earns half of it.
#
# 0.5 points: with many levels weighed together, the minimum is a mode of a *blurred* density, not of the data: 0.81 for bumps at $-2$ and 1.5, one place from wherever one starts.
#
# 0.5 points: large $w$ moves the place of rest beyond the data: half of the pixels out of range at $w = 7$; or, with equal covariances, $m_c + w\,(m_c - m_u)$.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# Sampling draws from the density: its randomness is part of the answer. Score distillation minimises a weighted mean of KL divergences from "this one picture with noise on it" to the noisy data. The first argument is a Gaussian whose entropy is fixed by the noise level, whatever the picture: nothing is gained by being varied, and the best that one point can do is to sit where the noisy data are densest. So it is a search for a mode. With all levels weighed together that is the mode of a blurred density: on the mixture with bumps at -2 and 1.5 every start ended at 0.81, where there are hardly any data; two runs from the shadows found the same mean three. Guidance adds the colours: it moves the place of rest along $m_c - m_u$ beyond the condition's mean, and on digits with $w = 7$ half of the pixels lay outside the range of grey.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:70} {value}")

# %% [markdown]
# * Score distillation is the exact slope of a weighted KL (1 to 5), not of the training loss (6), whose slope squares the condition number (7). Subtracting the noise helps only where noise prevails (8).
# * It comes to rest in one place: neither a mode nor the mean, and under guidance beyond the data (9). A prior that does not know the view makes an object that is the same on every side.
# * A linear layer for sets has two matrices (10), and one of them, the mean's, is what makes a set more than its points (11, 12). Chamfer does not count, a matching does.
# * A mesh in canonical form has one writing (13), and a mask keeps to it; the mask says what is legal, not what is likely.
# * Space and time apart save weights (14), the identity saves what was learned (15), and (16, 17) say what time is worth.
# * Slides corrected: good renders from views that the model is told about; $z$ alone does not order vertices; what SDS leaves out.
#
# ## Test yourself
#
# <details><summary>1. You distil with one fixed level, very little noise. Does your object come out as varied as the data?</summary>
#
# It is a mode of the data, a sharp one, and which mode depends on where you start: for the mixture both bumps attract at $\bar\alpha_t$ above 0.58. But the pull is weak there, by the root in (7), so getting there takes long; and each mode's shape, its spread, is never seen. Variety of starts is not the variety of the density: the shares of the modes would be those of the start.
# </details>
#
# <details><summary>2. Somebody replaces the mean in your set layer by the maximum over the points. Is it still equivariant? Is (10) wrong?</summary>
#
# Still equivariant: the maximum does not know the order either. (10) speaks of linear maps, and the maximum is none. Many networks for points use it.
# </details>
#
# <details><summary>3. You put a bias of 0.1 into the part along time at the start. What happens to the trained network for frames?</summary>
#
# Every answer of the layer moves by 0.1, in each channel, and whatever follows sees inputs that it was never trained on. The start must be the identity in weights and bias.
# </details>
#
# ## What comes next
#
# This is the last lesson. The systems that the course set out to explain have all been built, each at a size where its claim could be checked; the table in the README says where. What is left is size, and you know which of your formulas do not depend on it.
#
# ## References
#
# * B. Poole, A. Jain, J. Barron, B. Mildenhall, *DreamFusion: text-to-3D using 2D diffusion*, ICLR 2023 (arXiv 2209.14988): score distillation, its equations 2 to 5.
# * Z. Wang and others, *ProlificDreamer: high-fidelity and diverse text-to-3D generation with variational score distillation*, NeurIPS 2023.
# * X. Zeng and others, *LION: latent point diffusion models for 3D shape generation*, NeurIPS 2022. M. Zaheer and others, *Deep sets*, NeurIPS 2017: (10).
# * H. Fan, H. Su, L. Guibas, *A point set generation network for 3D object reconstruction from a single image*, CVPR 2017: Chamfer and earth mover's distance.
# * C. Nash, Y. Ganin, S. Eslami, P. Battaglia, *PolyGen: an autoregressive generative model of 3D meshes*, ICML 2020. O. Vinyals, M. Fortunato, N. Jaitly, *Pointer networks*, NeurIPS 2015.
# * U. Singer and others, *Make-A-Video: text-to-video generation without text-video data*, 2022 (arXiv 2209.14792): the factorised convolution and its start.
