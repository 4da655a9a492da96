# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 04 · The forward process
#
# To build a machine that makes pictures out of noise, first build one that makes noise out of pictures.
#
# A variational autoencoder learns two things at once: an encoder that turns a picture into a code, and a decoder that turns the
# code back. A diffusion model learns only the way back. Its encoder is fixed before any training: **add a little Gaussian noise, and
# again, and again, until nothing but noise is left.** This lesson is about that encoder, the *forward process*. Nothing is trained
# here. Everything is exact, and all of it returns in lessons 05 and 06.
#
# **What you can do afterwards**
#
# 1. Say by how much one step must shrink the picture before it adds noise, and show what happens otherwise.
# 2. Jump from a clean picture to any noise level at once, and prove that the jump is exact.
# 3. Build a noise schedule, read it by its signal-to-noise ratio, and say what is left of the picture at the end.
# 4. Translate other papers' symbols into these, and name what a diffusion model gives up compared with a VAE.
#
# **What you need.** Lesson 01 (likelihood and the ELBO) and lesson 02 (the VAE, the KL divergence between Gaussians). Of
# probability: variances of independent variables add.
#
# **How to work.** Replace the line that raises `NotImplementedError`, run the cell, then the check below it. Three hints are folded
# under each exercise; take them one at a time. Before an experiment you commit to a guess in a variable, and the figure or the printout
# puts it beside the outcome.
#
# ### Contents, two hours and three quarters
#
# The end of section 2 is a good place for a break. On the shorter path, about 147 minutes, you skip what is headed *Further*: nothing
# later needs it.
#
# | | section | minutes |
# |--:|---|--:|
# | 1 | One leap cannot be undone | 4 |
# | 2 | One small step | 52 |
# | 3 | The jump to any time | 48 |
# | 4 | Schedules and the signal-to-noise ratio | 25 |
# | 5 | What must hold at the end | 15 |
# | 6 | Further: the same thing in other words | 10 |
# | 7 | A VAE with three restrictions | 6 |

# %% [markdown]
# ### Notation
#
# | symbol | in code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t`, `T` | time step; $t = 0$ is clean data. `t` is a LongTensor `(B,)`, one time per example |
# | $x_0$ | `x0` | clean data, `(B, *event)`: the event is an image `(1, 8, 8)`, a point `(2,)`, a number `(1,)` |
# | $x_t$ | `xt` | the data after $t$ steps, same shape |
# | $\epsilon$, $\epsilon_t$ | `eps` | standard normal noise, $\mathcal N(0, I)$, same shape |
# | $\beta_t$ | `beta[t]` | variance of the noise that step $t$ adds; `beta[0] = 0` |
# | $\alpha_t = 1 - \beta_t$ | `alpha[t]` | share of the variance that step $t$ keeps |
# | $\bar\alpha_t = \alpha_1 \alpha_2 \cdots \alpha_t$ | `alpha_bar[t]` | share of the signal's variance left after $t$ steps; `alpha_bar[0] = 1` |
# | $q(x_t \mid x_{t-1})$ | | the forward step: a fixed distribution with no parameter to learn |
# | $k_t$, $v_t$ | `keep[t]` | in section 2: any factor before $x_{t-1}$, and the variance of a pixel at time $t$ |
# | $\lambda_t$ | `log_snr` | logarithm of the signal-to-noise ratio |
#
# Every table has $T + 1$ entries and is indexed by $t$ itself, so no formula needs a "$t - 1$, because arrays start at
# zero". Logarithms are natural, and divergences are in nats. Pixels run from $-1$ (black) to $1$ (white).
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, and what this lesson keeps at hand
import math
from itertools import pairwise

import sympy
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_lib import data, exact, expect, expect_same, plots, schematic, verify_equation, widgets

# Everything in this lesson is small, so it stays on the CPU; your functions work on whatever device their inputs are.
digit = data.companion_digit(flat=False, range=(-1, 1), device="cpu")  # (1, 1, 8, 8)
digits = data.digits("train", flat=False, range=(-1, 1), device="cpu")  # (1437, 1, 8, 8)


def double(values):
    """Numbers as a tensor in double precision, for checks that must be exact to many digits."""
    return torch.tensor(values, dtype=torch.float64)


def normal(mean, std):
    """N(mean, std^2) in double precision; mean and std may be numbers or tensors."""
    return Normal(
        torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(std, dtype=torch.float64)
    )


# %% [markdown]
# ## 1 · One leap cannot be undone
#
# If destroying is easy, why not destroy in one go? Take our digit and add noise of standard deviation $\sigma$. Then
# ask for the best possible repair. If the 1437 training digits were all the digits in the world, that is a plain
# application of Bayes' rule: weigh each of them by how well it explains the noisy picture, and average.

# %% tags=["experiment"]
# Experiment: one leap, undone as well as possible
sigmas = torch.tensor([0.3, 1.0, 2.0, 4.0, 16.0])
noise = torch.randn(5, 64, generator=torch.Generator().manual_seed(4))
noisy = digit.flatten(1) + sigmas[:, None] * noise
train = digits.flatten(1)
weights = torch.softmax(
    -(torch.cdist(noisy, train) ** 2) / (2 * sigmas[:, None] ** 2), dim=1
)  # Bayes' rule
repaired = weights @ train

plots.show(
    plots.image_grid(
        torch.cat([digit.flatten(1), noisy, train.mean(0, keepdim=True), repaired]), 6, range=(-1, 1), zoom=11,
        labels=["noisy", "best repair"], column_labels=["digit, mean", *(f"σ = {sigma:g}" for sigma in sigmas.tolist())],
        title="Left: the digit, and the mean of all; right: each leap, and its best repair",
    ),
    alt="A digit under five noise levels, and the best repair of each.",
)  # fmt: skip

for sigma, w in zip(sigmas.tolist(), weights, strict=True):
    print(f"sigma = {sigma:4g}: the heaviest of the 1437 digits has weight {w.max():.3f}")

# %% [markdown]
# A little noise is undone by one confident guess. Under much noise hundreds of digits explain the picture equally
# well, and the best single answer, their average, is a smudge. So a leap back cannot make a sharp picture, but a small
# step back asks for little. That is the plan of a diffusion model: a long chain of small steps, each easy to undo.
#
# The chain must satisfy three wishes. They are the next sections:
#
# * **A. It must end in a known distribution,** so that we can start the way back there. We want $\mathcal N(0, I)$.
# * **B. It must allow jumps.** Training looks at millions of noisy pictures at random times; walking to each is too slow.
# * **C. It must spend its steps well,** neither destroying all at once nor dawdling.

# %% tags=["experiment"]
# The story on one page: a chain there, and the way back
fig, ax = schematic.canvas(6.4, 2.0)
chain = [
    schematic.node(ax, (0.7 + 1.25 * i, 1.0), text, role)
    for i, (text, role) in enumerate(
        [
            ("$x_0$", "data"),
            ("$x_1$", "noise"),
            ("…", None),
            ("$x_{T-1}$", "noise"),
            ("$x_T$", "prior"),
        ]
    )
]
for before, after in pairwise(chain):
    schematic.arrow(ax, before, after, role="noise", bend=0.25)
    schematic.arrow(ax, after, before, role="model", bend=0.25, dashed=True)
schematic.label(ax, (3.2, 1.75), "$q(x_t\\mid x_{t-1})$: a little noise at each step, this lesson")
schematic.label(ax, (3.2, 0.25), "the way back: what a network learns, lessons 05 and 06")
plots.show(
    fig,
    alt="A chain from the data x_0 to noise x_T: solid arrows add noise, dashed ones lead back.",
)

# %% [markdown]
# ## 2 · One small step
#
# Each step multiplies the picture by some number and adds noise of variance $\beta_t$. The list $\beta_1, \dots,
# \beta_T$ is the *noise schedule*. The classic one is a straight line (Ho, Jain and Abbeel, 2020).
#
# ### Exercise: `linear_beta` · ●○○ · 5 minutes · 1 point


# %% exercise="linear_beta"
def linear_beta(T, first=1e-4, last=0.02):
    """The linear noise schedule as a table of T + 1 entries.

    beta[0] = 0 (time 0 is clean data), beta[1] = first, beta[T] = last, equally spaced between
    t = 1 and t = T.

    Args:
        T: number of steps, an int >= 2.
        first, last: floats.
    Returns:
        beta: float32 tensor (T + 1,).
    """
    ### BEGIN SOLUTION
    return torch.cat([torch.zeros(1), torch.linspace(first, last, T)])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# The line has T points, the table T + 1 entries. What is the extra one for?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `torch.linspace` gives equally spaced points, both ends included. Join it to the entry of t = 0.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.cat([one zero, the T points from first to last])`.
# </details>

# %% checks="linear_beta"
# Checks of linear_beta
beta = linear_beta(5, first=0.1, last=0.5)
expect(
    beta,
    torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
    "linear_beta: five steps from 0.1 to 0.5",
    hint="beta[0] = 0 comes extra",
)
beta = linear_beta(1000)
expect(
    tuple(beta.shape),
    (1001,),
    "linear_beta: 1000 steps make a table of 1001 entries",
    hint="one entry for each time from 0 to T",
)
expect(
    beta[[0, 1, 1000]],
    torch.tensor([0.0, 1e-4, 0.02]),
    "linear_beta: beta[0], beta[1] and beta[T] are as asked",
    hint="beta[0] is 0, and the line begins at beta[1]",
)
expect(
    beta.sum().item(),
    10.05,
    "linear_beta: their sum is T times the mean of the ends",
    hint="equal steps from the first to the last",
)

# %% [markdown]
# ### How much should the picture shrink?
#
# Three sets of lecture slides describe the same forward step, and they do not agree. All add noise of variance
# $\beta_t$; they differ in the number $k_t$ in front of the picture, in $x_t = k_t\, x_{t-1} + \sqrt{\beta_t}\,
# \epsilon_t$:
#
# | slide | $q(x_t \mid x_{t-1})$ | $k_t$ |
# |---|---|---|
# | P | $\mathcal N(x_{t-1},\ \beta_t I)$ | $1$ |
# | Q | $\mathcal N((1-\beta_t)\,x_{t-1},\ \beta_t I)$ | $1 - \beta_t$ |
# | R | $\mathcal N(\sqrt{1-\beta_t}\;x_{t-1},\ \beta_t I)$ | $\sqrt{1-\beta_t}$ |
#
# At $\beta_t = 0.01$ the three numbers are 1, 0.99 and 0.995, and no eye sees a difference in one step. But there will
# be a thousand. To find the error, follow one number through the chain: the variance of a pixel, if the data have
# variance 1. One rule is enough. For independent $x$ and $e$ and fixed numbers $c$, $d$,
#
# $$\operatorname{Var}[c\,x + d\,e] = c^2 \operatorname{Var}[x] + d^2 \operatorname{Var}[e]. \tag{1}$$
#
# Constants come out of a variance squared, and because $x$ and $e$ are independent there is no mixed term.

# %%
# Equation (1) on a small exact case
# x and e take three values each, all nine pairs are summed.
x_values, x_probs = double([-1.0, 0.5, 2.0]), double([0.2, 0.5, 0.3])
e_values, e_probs = double([-2.0, 0.0, 1.0]), double([0.3, 0.1, 0.6])
c, d = 0.7, -1.3


def variance(values, probs):
    """Of a table of values and their probabilities."""
    return (probs * values**2).sum() - (probs * values).sum() ** 2


both_values = (c * x_values[:, None] + d * e_values[None, :]).flatten()
both_probs = (x_probs[:, None] * e_probs[None, :]).flatten()  # independence: probabilities multiply
verify_equation(
    1,
    variance(both_values, both_probs),
    c**2 * variance(x_values, x_probs) + d**2 * variance(e_values, e_probs),
)

# %% [markdown]
# ### Exercise: `variance_after` · ●●○ · 12 minutes · 2 points


# %% exercise="variance_after"
def variance_after(keep, beta):
    """The exact variance at every time t of a chain that starts with data of variance 1.

    The chain: x_t = keep[t] x_{t-1} + sqrt(beta[t]) eps_t.

    Args:
        keep: (T + 1,), the factor in front of x_{t-1}; keep[0] = 1.
        beta: (T + 1,), the variance of the noise that each step adds; beta[0] = 0. eps_t is
            standard normal and independent of all that came before.
    Returns:
        (T + 1,), like beta: entry t is Var[x_t], entry 0 is 1.
    """
    ### BEGIN SOLUTION
    variances = [torch.ones_like(beta[0])]
    for t in range(1, len(beta)):
        variances.append(keep[t] ** 2 * variances[-1] + beta[t])
    return torch.stack(variances)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Do not sample anything. If you know the variance before a step, which rule gives the variance after it?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Use (1) on one step, with c = keep[t] and a noise of variance 1 times d = sqrt(beta[t]). Then walk from t = 1 to T and
# write each result down.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Start a list with 1. In a loop over t, append: last entry times (keep[t] squared), plus beta[t] (already a variance, so
# neither squared nor rooted). `torch.stack` makes a tensor of it.
# </details>

# %% checks="variance_after"
# Checks of variance_after
keep, beta = torch.tensor([1.0, 0.5, 0.5]), torch.tensor([0.0, 0.5, 1.0])
expect(
    variance_after(keep, beta),
    torch.tensor([1.0, 0.75, 1.1875]),
    "variance_after: two steps, by hand",
    hint="rule (1) for one step: what happens to a factor, and what is beta already?",
)
expect(
    variance_after(keep, torch.zeros(3)),
    torch.tensor([1.0, 0.25, 0.0625]),
    "variance_after: no noise: only the shrinking is left",
    hint="one step multiplies the variance by keep squared",
)
keep, beta = double([1.0, 0.9, 0.3, 1.2]), double([0.0, 0.2, 0.6, 0.1])
x = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
for t in (1, 2, 3):  # the same chain, sampled
    eps = torch.randn(400_000, generator=torch.Generator().manual_seed(t), dtype=torch.float64)
    x = keep[t] * x + beta[t].sqrt() * eps
expect(
    variance_after(keep, beta)[-1],
    x.var(),
    "variance_after: three steps agree with 400,000 sampled chains",
    rtol=0.01,
    hint="the noise's variance is added after the picture has been shrunk",
)

# %% [markdown]
# ### Experiment: find the error
#
# **Predict first.** The schedule is `linear_beta(1000)`. For each of the three slides, what is the variance of a pixel
# at $t = 1000$? Put your three numbers into the next cell, then run it and the one below.

# %% predict="my_variances"
my_variances = {"P": 2.0, "Q": 2.0, "R": 2.0}  # your predictions

# %% tags=["experiment"]
# Experiment: the variance of three chains
beta = linear_beta(1000).double()
keeps = {"P": torch.ones_like(beta), "Q": 1 - beta, "R": (1 - beta).sqrt()}
looks = {"P": ":", "Q": "-.", "R": "-"}
fig, ax = plots.figure(width=6.4, height=3.8)
for slide, keep in keeps.items():
    result = variance_after(keep, beta)
    role = "model" if slide == "R" else "noise"
    label = f"slide {slide}: ends at {result[-1]:.3g}"
    plots.curve(range(1001), result, role, label=label, ax=ax, linestyle=looks[slide])
    ax.plot(
        1000,
        my_variances[slide],
        "x",
        color=plots.COLOR["guess"],
        markersize=9,
        markeredgewidth=2,
        clip_on=False,
    )
    print(
        f"slide {slide}: predicted {my_variances[slide]:g}, variance at t = 1000 is {result[-1]:.3f}"
    )
ax.set(
    xlabel="time step t",
    ylabel="variance of a pixel (log scale)",
    yscale="log",
    yticks=[0.5, 1, 2, 5, 10],
)
ax.set_yticklabels(["0.5", "1", "2", "5", "10"])
ax.minorticks_off()
kept = [slide for slide, keep in keeps.items() if abs(variance_after(keep, beta)[-1] - 1) < 0.01]
ax.set_title(f"Variance 1 at the end: {', '.join(kept) or 'none'} (× your prediction)")
plots.show(
    fig,
    alt="Variance against time for the chains of three slides.",
)

# %% [markdown]
# Slide P's pictures grow without bound; adding is all it does, and the variance ends at $1 + \sum_t \beta_t$. Slide Q
# shrinks too fast, and ends near one half. Only slide R ends where wish A wants it. (P and Q come from real lectures.
# One corrects itself two slides later; the other stands beside a closed form that holds for R alone.)
#
# ### Why the square root
#
# Write $v_t$ for the variance of a pixel at time $t$.
#
# $$v_t = k_t^2\, v_{t-1} + \beta_t \tag{2}$$
#
# by rule (1), with $c = k_t$ and $d = \sqrt{\beta_t}$. Ask that variance 1 stays variance 1: put $v_{t-1} = v_t = 1$.
#
# $$1 = k_t^2 + \beta_t \tag{3}$$
#
# Solve for $k_t$; the sign is ours to choose, and we do not want negatives of pictures.
#
# $$k_t = \sqrt{1 - \beta_t} \tag{4}$$
#
# The root is there because noise is measured by its *variance* $\beta_t$, while the factor multiplies the picture
# itself. And if the data's variance is not 1? Put (4) into (2), and subtract 1 on both sides:
#
# $$v_t - 1 = (1-\beta_t)\,v_{t-1} + \beta_t - 1 = (1-\beta_t)\,(v_{t-1} - 1). \tag{5}$$
#
# Each step removes the share $\beta_t$ of whatever the variance is off by. So *every* variance is drawn towards 1.
#
# ### Further: where slide Q comes to rest
#
# Why does slide Q end near one half? Look for the value $v^*$ at which its step changes nothing:
#
# $$v^* = (1-\beta)^2\, v^* + \beta. \tag{6}$$
#
# Collect $v^*$ on the left, divide, and multiply out $1 - (1-\beta)^2 = 2\beta - \beta^2 = \beta\,(2-\beta)$:
#
# $$v^* = \frac{\beta}{1 - (1-\beta)^2} = \frac{\beta}{\beta\,(2 - \beta)} = \frac{1}{2-\beta}. \tag{7}$$
#
# To first order $(1-\beta)^2 = 1 - 2\beta$: squared, slide Q's factor removes variance twice as fast as the noise brings
# it back.

# %%
# Equations (2) to (7) on numbers
# Each line on numbers: one pixel that takes the values -1 and 3 (variance 4), one step with beta = 0.36.
b = 0.36
pixel, eps_values = double([-1.0, 3.0]), double([-1.0, 1.0])  # eps = +-1: variance 1
half = double([0.5, 0.5])


def variance_of_step(keep, values):
    """Of keep x + sqrt(b) eps, over all pairs of a value of x and a value of eps."""
    pairs = (keep * values[:, None] + b**0.5 * eps_values[None, :]).flatten()
    return variance(pairs, double([0.25, 0.25, 0.25, 0.25]))


v_before = variance(pixel, half)
verify_equation(2, variance_of_step(0.5, pixel), 0.5**2 * v_before + b)
k = sympy.symbols("k", positive=True)
(root,) = sympy.solve(sympy.Eq(1, k**2 + sympy.Rational(36, 100)), k)  # SymPy solves (3)
verify_equation(
    3, 1.0, float(root) ** 2 + b, variance_of_step(float(root), pixel / 2)
)  # pixel / 2 has variance 1
verify_equation(4, float(root), math.sqrt(1 - b))
verify_equation(
    5, variance_of_step(0.8, pixel) - 1, (1 - b) * v_before + b - 1, (1 - b) * (v_before - 1)
)
v_star = 1.0
for _ in range(200):  # slide Q's step again and again, until nothing changes
    v_star = (1 - b) ** 2 * v_star + b
verify_equation(6, v_star, (1 - b) ** 2 * v_star + b)
verify_equation(7, v_star, b / (1 - (1 - b) ** 2), b / (b * (2 - b)), 1 / (2 - b))
print(f"slide Q at beta = 0.02 rests at {1 / (2 - 0.02):.4f}")

# %% [markdown] written="why_sqrt" points=2
# ### Question: `why_sqrt` · ●●○ · 8 minutes · 2 points
#
# A friend reads slide Q and says: "Whether it is $1-\beta_t$ or $\sqrt{1-\beta_t}$, after a thousand steps the picture
# is gone and noise is left. It makes no difference." Answer in four to eight sentences. Say why the mean carries
# $\sqrt{1-\beta_t}$ when the noise has variance $\beta_t$, and what goes wrong with slide Q and with slide P at $t = T$.
# Use your own numbers. Then judge: could one repair slide Q or P by starting the way back from something other than
# $\mathcal N(0, I)$?
#
# ### BEGIN MARK SCHEME
# **1 point: the reason.** Variances of independent terms add, and a factor enters squared, so the step takes variance
# $v$ to $k^2 v + \beta_t$; variance 1 is kept exactly when $k^2 = 1 - \beta_t$. (Half a point for "so that the variance stays 1"
# without the squared factor.)
#
# **1 point: the consequence.** With $1 - \beta_t$ the variance sinks to about one half (0.505 at $T = 1000$), with
# factor 1 it grows to $1 + \sum_t \beta_t$ (11.05). In neither case is $x_T$ distributed as the prior $\mathcal N(0, I)$
# from which sampling starts. (Half a point for the consequence without numbers.)
#
# On the last question accept either judgement that is argued consistently: one can start from
# $\mathcal N(0, v_T I)$ instead, if *every* later formula uses the same chain; the closed form with
# $\sqrt{\bar\alpha_t}$ and $1 - \bar\alpha_t$ does not belong to slide Q's step. No deduction if it is only touched.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# Picture and noise are independent, so their variances add, and a factor $k$ multiplies a variance by $k^2$. A step
# therefore takes variance $v$ to $k^2 v + \beta_t$. If variance 1 is to stay 1, then $k^2 = 1 - \beta_t$: the root appears
# because $\beta_t$ is a variance and $k$ multiplies the picture itself. Slide Q's factor squared is about $1 - 2\beta_t$;
# it takes away twice what the noise gives back, and the variance falls to 0.505 at $T = 1000$. Slide P takes nothing away, and the
# variance grows to $1 + \sum_t \beta_t = 11.05$. In both cases the information about $x_0$ does fade relative to the
# noise, as the friend says, but $x_T$ is not $\mathcal N(0, I)$, so a sampler that starts there starts in the wrong
# place, with inputs the network has never seen. One could repair either by starting from $\mathcal N(0, v_T I)$ and
# deriving every later formula anew from the chain that is really used; slide P is then another known convention
# ("variance exploding"). What one cannot do is to combine slide Q's step with the closed form on the same slide, which
# belongs to slide R's.
# ### END SOLUTION

# %% [markdown]
# ### The step we use
#
# $$q(x_t \mid x_{t-1}) = \mathcal N\big(\sqrt{1-\beta_t}\;x_{t-1},\ \beta_t I\big)$$
#
# To draw from it, use the reparameterisation of lesson 02: mean plus standard deviation times $\epsilon$. In code the
# formula is the smaller part of the work. `t` holds one time per example, and each example must get its own $\beta_t$
# on all its pixels, whatever the shape of an event is.
#
# ### Exercise: `q_step` · ●●○ · 10 minutes · 2 points


# %% exercise="q_step"
def q_step(x_prev, t, beta, eps):
    """One forward step, from x_{t-1} to x_t: a draw from q(x_t | x_{t-1}) above, made with eps.

    Args:
        x_prev: (B, *event), any number of event axes, at least one.
        t: LongTensor (B,), the time that each example steps to, 1 <= t <= T; the examples' times
            may differ.
        beta: (T + 1,), indexed by t.
        eps: like x_prev, standard normal noise; the function draws none of its own.
    Returns:
        x_t, like x_prev, differentiable in x_prev and eps. Nothing is clipped, no input is modified.
    """
    ### BEGIN SOLUTION
    beta_t = beta[t].reshape(-1, *[1] * (x_prev.ndim - 1))  # (B, 1, ..., 1) meets the batch axis
    return (1 - beta_t).sqrt() * x_prev + beta_t.sqrt() * eps
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# `beta[t]` has shape (B,). PyTorch lines up shapes from the right: what would (B,) meet in (B, 1, 8, 8)?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Give beta[t] as many trailing axes of length 1 as an event has axes; then it meets the batch axis. The number of axes
# is `x_prev.ndim`.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `b = beta[t].reshape(-1, *[1] * (x_prev.ndim - 1))`; then the mean, plus eps times the standard deviation. Is b a
# variance or a standard deviation?
# </details>

# %% checks="q_step"
# Checks of q_step
beta = torch.tensor([0.0, 0.36, 0.64])  # roots: 0.8 and 0.6, then 0.6 and 0.8
t, one, zero = torch.tensor([2, 1]), torch.ones(2, 3), torch.zeros(2, 3)
given = one.clone(), one.clone()
q_step(given[0], t, beta, given[1])
expect(
    given,
    (one, one),
    "q_step: x_prev and eps are left as they were",
    hint="no *= and no operation that ends in an underscore",
)
expect(
    q_step(one, t, beta, zero)[:, 0],
    torch.tensor([0.6, 0.8]),
    "q_step: factor of the picture, each example at its own t",
    hint="the root of 1 - beta at each example's own t",
)
expect(
    q_step(zero, t, beta, one)[:, 0],
    torch.tensor([0.8, 0.6]),
    "q_step: factor of the noise",
    hint="beta_t is a variance",
)
generator = torch.Generator().manual_seed(1)
x, eps = torch.randn(4, 1, 8, 8, generator=generator), torch.randn(4, 1, 8, 8, generator=generator)
t, beta = torch.tensor([3, 1, 2, 3]), torch.tensor([0.0, 0.1, 0.3, 0.7])
alone = [q_step(x[i : i + 1], t[i : i + 1], beta, eps[i : i + 1]) for i in range(4)]
expect(
    q_step(x, t, beta, eps),
    torch.cat(alone),
    "q_step: a batch of images gives what its images give one by one",
    hint="the table is indexed by t and reshaped to the axes of the picture",
)
many = torch.randn(200_000, 1, generator=generator), torch.randn(200_000, 1, generator=generator)
var = q_step(many[0], torch.full((200_000,), 3), beta, many[1]).var()
expect(
    var.item(),
    1.0,
    "q_step: variance 1 stays variance 1 (200,000 samples)",
    atol=0.015,
    hint="the squares of the two factors add up to 1",
)

# %% [markdown]
# Drop the digit into all three chains and look at where they end. The pictures below use the same noise three times.

# %% tags=["experiment"]
# Experiment: three chains on the digit
beta = linear_beta(1000)
stops = (0, 100, 200, 400, 700, 1000)
chains = {"P": torch.ones(1001), "Q": 1 - beta, "R": None}  # R by your function
rows, spread = [], {}
for name, keep in chains.items():
    generator, x, row = torch.Generator().manual_seed(7), digit, [digit]
    for t in range(1, 1001):
        eps = torch.randn(digit.shape, generator=generator)
        x = (
            q_step(x, torch.tensor([t]), beta, eps)
            if keep is None
            else keep[t] * x + beta[t].sqrt() * eps
        )
        if t in stops:
            row.append(x)
    rows += row
    spread[name] = f"{x.std():.2f}"
    print(f"slide {name}: the 64 pixels at t = 1000 have standard deviation {spread[name]}")
plots.show(
    plots.image_grid(
        torch.cat(rows), 6, range=(-2.5, 2.5), zoom=9, labels=list(chains),
        column_labels=[f"t = {t}" for t in stops],
        title="At the end the pixels spread by " + ", ".join(spread.values()),
    ),
    alt="The digit under three forward chains at six times.",
)  # fmt: skip

# %% [markdown]
# ## 3 · The jump to any time
#
# To see $x_{700}$ you just walked 700 steps. Training a denoiser needs millions of such pictures. Wish B asks for a
# formula for $q(x_t \mid x_0)$, with the steps between averaged out.
#
# The key is that **the sum of two independent Gaussians is again a Gaussian, and the variances add.** That the
# variances add is rule (1). That the sum is Gaussian needs a line of algebra. Let $u \sim \mathcal N(0, a)$ and $w \sim
# \mathcal N(0, b)$ be independent. The density of $s = u + w$ collects all ways to reach $s$:
#
# $$p(s) = \int \mathcal N(u; 0, a)\; \mathcal N(s - u; 0, b)\; du. \tag{8}$$
#
# Complete the square in $u$ inside the exponent.
#
# $$\frac{u^2}{a} + \frac{(s-u)^2}{b} = \frac{a+b}{ab}\Big(u - \frac{a\,s}{a+b}\Big)^2 + \frac{s^2}{a+b} \tag{9}$$
#
# <details><summary>The same, multiplied out</summary>
#
# Expand the right-hand side and sort by powers of $u$. The factor of $u^2$ is $\frac{a+b}{ab} = \frac1a + \frac1b$. The factor of $u$ is
# $-2\,\frac{a+b}{ab}\cdot\frac{as}{a+b} = -\frac{2s}{b}$. Without $u$ remains $\frac{a+b}{ab}\cdot\frac{a^2s^2}{(a+b)^2} + \frac{s^2}{a+b}
# = \frac{a\,s^2}{b\,(a+b)} + \frac{b\,s^2}{b\,(a+b)} = \frac{s^2}{b}$. The left-hand side has the same three.
# </details>
#
# The square is now the exponent of a Gaussian in $u$ with variance $ab/(a+b)$, whose integral is known:
# $\int e^{-\frac12\frac{a+b}{ab}(u-\dots)^2}du = \sqrt{2\pi\,ab/(a+b)}$. What is left,
#
# $$p(s) = \frac{1}{2\pi\sqrt{ab}}\,\sqrt{\frac{2\pi\,ab}{a+b}}\;e^{-\frac{s^2}{2(a+b)}} = \mathcal N(s; 0, a + b), \tag{10}$$
#
# is a Gaussian with the variances added. Two independent noises may be **merged** into one.

# %%
# Equations (8) to (10): the sum of two Gaussians
# Lines (8) to (10) at a = 0.5, b = 1.1, s = 0.9: the integral as a sum on a fine grid.
a, b, s = 0.5, 1.1, 0.9
u = torch.linspace(-12, 12, 16001, dtype=torch.float64)
du = float(u[1] - u[0])
by_sum = (
    normal(0.0, a**0.5).log_prob(u).exp() * normal(0.0, b**0.5).log_prob(s - u).exp()
).sum() * du
verify_equation(8, by_sum, normal(0.0, (a + b) ** 0.5).log_prob(double(s)).exp())
verify_equation(
    9, u**2 / a + (s - u) ** 2 / b, (a + b) / (a * b) * (u - a * s / (a + b)) ** 2 + s**2 / (a + b)
)
constant = 1 / (2 * math.pi * math.sqrt(a * b)) * math.sqrt(2 * math.pi * a * b / (a + b))
verify_equation(10, by_sum, constant * math.exp(-(s**2) / (2 * (a + b))))

# %% [markdown]
# ### Two steps in one
#
# Write $\alpha_t = 1 - \beta_t$; then the step reads
#
# $$x_t = \sqrt{\alpha_t}\,x_{t-1} + \sqrt{1-\alpha_t}\,\epsilon_t. \tag{11}$$
#
# Insert the same formula for $x_{t-1}$:
#
# $$x_t = \sqrt{\alpha_t}\,\big(\sqrt{\alpha_{t-1}}\,x_{t-2} + \sqrt{1-\alpha_{t-1}}\,\epsilon_{t-1}\big) + \sqrt{1-\alpha_t}\,\epsilon_t. \tag{12}$$
#
# How much of $x_{t-2}$ is left, and how much noise has come to it? You find the line.
#
# ### Step: `two_steps` · ●●○ · 5 minutes
#
# Multiply (12) out and merge the two noises.


# %% step="two_steps"
def two_steps(alpha, alpha_before):
    """What (12) is after it has been multiplied out and its two noises merged into one.

    Args:
        alpha, alpha_before: SymPy symbols for alpha_t and alpha_{t-1}.

    Returns:
        (factor, variance): the factor in front of x_{t-2}, and the variance of the merged noise.
        Write both as short as they get.
    """
    ### BEGIN SOLUTION
    return sympy.sqrt(alpha * alpha_before), 1 - alpha * alpha_before
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Which three terms does (12) have without brackets? One holds the picture, two hold noises that know nothing of each other.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Rule (1) squares the factor of each noise; noises that are merged add their variances.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# In the sum of the two variances one symbol stands twice, with opposite signs. What is left when it has cancelled?
# </details>

# %% checks="two_steps"
# Checks of two_steps
a_now, a_before, x_old, e_old, e_new = sympy.symbols(
    "alpha_t alpha_before x_old e_old e_new", positive=True
)
x_mid = sympy.sqrt(a_before) * x_old + sympy.sqrt(1 - a_before) * e_old
line_12 = sympy.expand(sympy.sqrt(a_now) * x_mid + sympy.sqrt(1 - a_now) * e_new)
factor, merged_variance = two_steps(a_now, a_before)
expect_same(
    factor,
    line_12.coeff(x_old),
    "two_steps: the factor of x_{t-2} in line (12)",
    hint="each step multiplies the picture once more",
)
expect_same(
    merged_variance,
    line_12.coeff(e_old) ** 2 + line_12.coeff(e_new) ** 2,
    "two_steps: the two noises' variances together",
    hint="the older noise has been shrunk by the later step too; and a variance is asked for, no deviation",
)

# %% [markdown]
# ### All steps in one
#
# Compare with (11): two steps have exactly the form of one. Go on like this, and what stands in the place of $\alpha_t$ grows by
# one factor a step. Its name is $\bar\alpha_t$, as in the notation above.
#
# ### Exercise: `alpha_bar_from_beta` · ●○○ · 4 minutes · 1 point


# %% exercise="alpha_bar_from_beta"
def alpha_bar_from_beta(beta):
    """The table of alpha_bar, the share of the signal's variance that is left after t steps.

    Args:
        beta: (T + 1,), beta[0] = 0, float32 or float64.
    Returns:
        alpha_bar: (T + 1,), like beta, indexed by t; alpha_bar[0] = 1, before the first step.
    """
    ### BEGIN SOLUTION
    return torch.cumprod(1 - beta, dim=0)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Each entry is the one before, times one more factor.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# PyTorch has a running product. Does the entry of t = 0 need any special treatment, when beta[0] = 0?
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.cumprod(…, dim=0)`, of what each step keeps of the variance.
# </details>

# %% checks="alpha_bar_from_beta"
# Checks of alpha_bar_from_beta
got = alpha_bar_from_beta(torch.tensor([0.0, 0.1, 0.2, 0.5]))
expect(
    got,
    torch.tensor([1.0, 0.9, 0.72, 0.36]),
    "alpha_bar_from_beta: three uneven steps, by hand",
    hint="what does each step keep? The shares multiply, from the first entry on",
)
got = alpha_bar_from_beta(double([0.0] + 20 * [0.3]))
expect(
    got,
    0.7 ** torch.arange(21).double(),
    "alpha_bar_from_beta: twenty equal steps: a power of 0.7",
    hint="a running product, not a running sum",
)
given = torch.tensor([0.0, 0.1, 0.2])
alpha_bar_from_beta(given)
expect(
    given,
    torch.tensor([0.0, 0.1, 0.2]),
    "alpha_bar_from_beta: beta is left as it was",
    hint="no operation that ends in an underscore",
)

# %% [markdown]
# ### Exercise: `q_sample` · ●●○ · 8 minutes · 2 points
#
# What two steps do, $t$ steps do as well: write the jump from $x_0$ to $x_t$.


# %% exercise="q_sample"
def q_sample(x0, t, alpha_bar, eps):
    """From clean data to time t at once: a draw from q(x_t | x_0), made with eps, all t noises merged.

    Args:
        x0: (B, *event), any number of event axes, at least one.
        t: LongTensor (B,), 1 <= t <= T; the examples' times may differ.
        alpha_bar: (T + 1,), indexed by t.
        eps: like x0, standard normal noise; the function draws none of its own.
    Returns:
        x_t, like x0, differentiable in x0 and eps. Nothing is clipped, no input is modified.
    """
    ### BEGIN SOLUTION
    ab = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# You solved the indexing in `q_step`. What takes the place of $\alpha_t$ when one step becomes $t$ steps?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Your `two_steps` has a factor and a variance. The factor goes with x0; eps wants a standard deviation.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# With `ab = alpha_bar[t]` in shape (B, 1, ..., 1): what `two_steps` returned, with ab in the place of the product of the two
# alphas, and the root of the variance.
# </details>

# %% checks="q_sample"
# Checks of q_sample
table = torch.tensor([1.0, 0.64, 0.0784])  # roots 0.8 and 0.28; of 1 - alpha_bar 0.6 and 0.96
t, one, zero = torch.tensor([2, 1]), torch.ones(2, 3), torch.zeros(2, 3)
given = one.clone(), one.clone()
q_sample(given[0], t, table, given[1])
expect(
    given,
    (one, one),
    "q_sample: x0 and eps are left as they were",
    hint="no *= and no operation that ends in an underscore",
)
expect(
    q_sample(one, t, table, zero)[:, 2],
    torch.tensor([0.28, 0.8]),
    "q_sample: what is left of the picture at each t",
    hint="the factor of two_steps with alpha_bar in the product's place, at each example's own t",
)
expect(
    q_sample(zero, t, table, one)[:, 2],
    torch.tensor([0.96, 0.6]),
    "q_sample: the standard deviation of the noise at each t",
    hint="all noises up to t together, not the last step's alone; eps wants a standard deviation",
)
generator = torch.Generator().manual_seed(2)
x, eps = torch.randn(3, 1, 8, 8, generator=generator), torch.randn(3, 1, 8, 8, generator=generator)
alone = [q_sample(x[i : i + 1], torch.tensor([i % 2 + 1]), table, eps[i : i + 1]) for i in range(3)]
expect(
    q_sample(x, torch.tensor([1, 2, 1]), table, eps),
    torch.cat(alone),
    "q_sample: a batch gives what its images give alone",
    hint="reshape the level to (B, 1, ..., 1), with as many axes as x0",
)
x0 = exact.MIXTURE_1D.sample(100_000, torch.Generator().manual_seed(3))
xt = q_sample(
    x0,
    torch.full((100_000,), 1),
    table.double(),
    torch.randn(x0.shape, generator=generator).double(),
)
truth = torch.quantile(
    exact.MIXTURE_1D.noised(0.64).sample(100_000, torch.Generator().manual_seed(4)),
    double([0.2, 0.8]),
)
expect(
    torch.quantile(xt, double([0.2, 0.8])),
    truth,
    "q_sample: quantiles of the noised 1-D mixture",
    atol=0.03,
    hint="both factors at once: mean and width of the noised mixture",
)

# %% [markdown]
# ### Why this holds for every $t$
#
# <details><summary>Lines (13) to (15), to compare with yours</summary>
#
# Multiply out:
#
# $$x_t = \sqrt{\alpha_t\alpha_{t-1}}\,x_{t-2} + \underbrace{\sqrt{\alpha_t(1-\alpha_{t-1})}\,\epsilon_{t-1} + \sqrt{1-\alpha_t}\,\epsilon_t}_{\text{two independent Gaussian noises}}. \tag{13}$$
#
# Merge the two noises; their variances add:
#
# $$\alpha_t(1-\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_t\alpha_{t-1}. \tag{14}$$
#
# The two $\alpha_t$ cancelled. With one new noise $\epsilon'$ in place of the two old ones,
#
# $$x_t = \sqrt{\alpha_t\alpha_{t-1}}\,x_{t-2} + \sqrt{1-\alpha_t\alpha_{t-1}}\;\epsilon'. \tag{15}$$
#
# Compare with (11): two steps have exactly the form of one, with $\alpha_t\alpha_{t-1}$ in the place of $\alpha_t$.
# (The "$=$" in (15) means *has the same distribution as*. For given $\epsilon_{t-1}$ and $\epsilon_t$ it fixes which
# $\epsilon'$ is meant: the bracket of (13), divided by its standard deviation.)
# </details>
#
# You went on from two steps to $t$ of them. Is that allowed? The claim, for every $t \ge 1$, is
#
# $$q(x_t \mid x_0) = \mathcal N\big(\sqrt{\bar\alpha_t}\;x_0,\ (1-\bar\alpha_t)\,I\big). \tag{16}$$
#
# *Start.* At $t = 1$ the claim is the step itself, because $\bar\alpha_1 = \alpha_1$:
#
# $$\mathcal N\big(\sqrt{\alpha_1}\;x_0,\ (1-\alpha_1) I\big) = \mathcal N\big(\sqrt{\bar\alpha_1}\;x_0,\ (1-\bar\alpha_1) I\big). \tag{17}$$
#
# *Step.* Suppose (16) holds at $t-1$. Average over everything $x_{t-1}$ may have been; by the Markov property the step
# looks at $x_{t-1}$ alone.
#
# $$q(x_t \mid x_0) = \int q(x_t \mid x_{t-1})\; q(x_{t-1} \mid x_0)\; dx_{t-1} \tag{18}$$
#
# In words: $x_t = \sqrt{\alpha_t}\,x_{t-1} + \sqrt{1-\alpha_t}\,\epsilon_t$ with a Gaussian $x_{t-1}$, so by merging $x_t$
# is Gaussian. Its mean: the noise has mean 0, and the factor comes out,
#
# $$\sqrt{\alpha_t}\,\sqrt{\bar\alpha_{t-1}}\;x_0 = \sqrt{\alpha_t\bar\alpha_{t-1}}\;x_0 = \sqrt{\bar\alpha_t}\;x_0. \tag{19}$$
#
# Its variance, by rule (1):
#
# $$\alpha_t\,(1-\bar\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_t\bar\alpha_{t-1} = 1-\bar\alpha_t. \tag{20}$$
#
# That is (16) at $t$. Every $t$ is reached from $t = 1$, so the claim holds for all. As a sampling rule,
#
# $$x_t = \sqrt{\bar\alpha_t}\;x_0 + \sqrt{1-\bar\alpha_t}\;\epsilon. \tag{21}$$

# %%
# Equations (11) to (15): two steps in one
# Lines (11) to (15) in SymPy, then at alpha_t = 1/2, alpha_{t-1} = 4/5, x_{t-2} = 3, eps_{t-1} = -1, eps_t = 2.
at, ap, x_old, e_old, e_new = sympy.symbols("alpha_t alpha_p x_old e_old e_new", positive=True)
point = {at: sympy.Rational(1, 2), ap: sympy.Rational(4, 5), x_old: 3, e_old: -1, e_new: 2}
x_mid = sympy.sqrt(ap) * x_old + sympy.sqrt(1 - ap) * e_old
line_11 = sympy.sqrt(at) * sympy.Symbol("x_mid") + sympy.sqrt(1 - at) * e_new
line_12 = line_11.subs("x_mid", x_mid)
bracket = sympy.sqrt(at * (1 - ap)) * e_old + sympy.sqrt(1 - at) * e_new
line_13 = sympy.sqrt(at * ap) * x_old + bracket
merged = 1 - at * ap
line_15 = sympy.sqrt(at * ap) * x_old + sympy.sqrt(merged) * (bracket / sympy.sqrt(merged))
values = [float(line.subs(point)) for line in (line_12, line_13, line_15)]
mid = float(x_mid.subs(point))
step = normal(
    0.5**0.5 * mid, 0.5**0.5
)  # q(x_t given x_{t-1}); eps_t = 2 sits two standard deviations above its mean
verify_equation(
    11,
    step.icdf(normal(0.0, 1.0).cdf(double(2.0))),
    float(line_11.subs("x_mid", x_mid).subs(point)),
)
verify_equation(12, values[0], values[1])
verify_equation(13, values[1], values[2])
squares = sympy.Poly(
    sympy.expand(bracket**2), e_old, e_new
)  # coefficients of e^2 are the variances
variance_sum = squares.coeff_monomial(e_old**2) + squares.coeff_monomial(e_new**2)
verify_equation(14, float(variance_sum.subs(point)), float(merged.subs(point)))
verify_equation(15, values[0], values[2])
print("the sum of the two variances, simplified by SymPy:", sympy.expand(variance_sum))

# %%
# Equations (16) to (21): all steps in one
# Lines (16) to (21) for x_0 = 0.7 and four uneven steps; each integral (18) is a sum on a grid of x_{t-1}.
x_start, alphas = 0.7, [0.9, 0.6, 0.8, 0.3]
grid = torch.linspace(-9, 9, 1801, dtype=torch.float64)
cell, near = (
    float(grid[1] - grid[0]),
    slice(700, 1101, 25),
)  # the values compared lie between -2 and 2
signal, density = 1.0, None  # product of the alphas so far; q(x_t given x_0) on the grid
for al in alphas:
    before, signal = signal, signal * al
    claim = normal(signal**0.5 * x_start, (1 - signal) ** 0.5)
    if density is None:
        density = normal(al**0.5 * x_start, (1 - al) ** 0.5).log_prob(grid).exp()
        verify_equation(17, density[near], claim.log_prob(grid).exp()[near])
        continue
    transition = (
        normal(al**0.5 * grid[None, :], (1 - al) ** 0.5).log_prob(grid[:, None]).exp()
    )  # (x_t, x_{t-1})
    density = transition @ density * cell
    mean = (grid * density).sum() * cell
    spread = ((grid - mean) ** 2 * density).sum() * cell
    if al == alphas[1]:  # one step of the induction, from t = 1 to t = 2
        verify_equation(18, density[near], claim.log_prob(grid).exp()[near])
verify_equation(16, density[near], claim.log_prob(grid).exp()[near])  # after all four steps
verify_equation(
    19, mean, al**0.5 * before**0.5 * x_start, (al * before) ** 0.5 * x_start, signal**0.5 * x_start
)
verify_equation(20, spread, al * (1 - before) + (1 - al), 1 - al * before, 1 - signal)
quantiles = double([0.1, 0.5, 0.9])
verify_equation(
    21, claim.icdf(quantiles), claim.mean + claim.stddev * normal(0.0, 1.0).icdf(quantiles)
)

# %% [markdown]
# ### Experiment: a thousand noises become one
#
# Where did all the noises of the walk go? The chain is linear, so you can follow each of them alone. Send $T$ examples
# through your `q_step` at once, all starting at 0. Example $s$ gets noise 1 at step $s$, and none at any other step.
# What arrives at the end is the weight $w_s$ with which $\epsilon_s$ enters $x_t$. On paper, noise $s$ enters with
# $\sqrt{\beta_s}$, and from then on it is shrunk like everything else, by $\sqrt{\alpha_{s+1}\cdots\alpha_t} = \sqrt{\bar\alpha_t /
# \bar\alpha_s}$:
#
# $$x_t = \sqrt{\bar\alpha_t}\;x_0 + \sum_{s=1}^{t} w_s\,\epsilon_s, \qquad w_s^2 = \beta_s\,\frac{\bar\alpha_t}{\bar\alpha_s}. \tag{22}$$
#
# The squares must add up to the closed form's variance. Since $\alpha_s/\bar\alpha_s = 1/\bar\alpha_{s-1}$, each term is a difference,
# $\beta_s/\bar\alpha_s = (1-\alpha_s)/\bar\alpha_s = 1/\bar\alpha_s - 1/\bar\alpha_{s-1}$. So the sum telescopes, each term cancelling half of
# the next:
#
# $$\sum_{s=1}^{t} \beta_s\,\frac{\bar\alpha_t}{\bar\alpha_s} = \bar\alpha_t \sum_{s=1}^{t} \Big(\frac{1}{\bar\alpha_s} - \frac{1}{\bar\alpha_{s-1}}\Big) = \bar\alpha_t\,\Big(\frac{1}{\bar\alpha_t} - 1\Big) = 1 - \bar\alpha_t. \tag{23}$$
#
# **Predict first, and find another error.** A lecture slide says of the noise that the network will learn to predict,
# the $\epsilon$ of (21): it is "the noise that brought $x_{t-1}$ to $x_t$". If so, the last noise $\epsilon_t$ would
# make up all of the variance $1 - \bar\alpha_t$. What share do you expect at $t = 300$ of `linear_beta(1000)`?

# %% predict="my_share"
my_share = 0.5  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: whose noise is in x_T, and equations (22) and (23)
beta = linear_beta(1000).double()
alpha_bar = alpha_bar_from_beta(beta)
fig, ax = plots.figure(width=6.4, height=3.6)
shares = {}
for t_end, look in ((100, ":"), (300, "-."), (1000, "-")):
    x = torch.zeros(t_end + 1, 1).double()
    x[0] = 1.0  # example 0 is the picture: it starts at 1 and gets no noise
    for t in range(1, t_end + 1):
        impulse = torch.zeros(t_end + 1, 1).double()
        impulse[t] = 1.0  # only example t is hit at step t
        x = q_step(x, torch.full((t_end + 1,), t), beta, impulse)
    weights = x[1:, 0]
    shares[t_end] = weights**2 / (weights**2).sum()
    plots.curve(
        range(1, t_end + 1),
        100 * shares[t_end],
        "noise",
        label=f"in x at t = {t_end}",
        ax=ax,
        linestyle=look,
    )
    verify_equation(22, weights**2, (beta * alpha_bar[t_end] / alpha_bar)[1 : t_end + 1])
    telescope = alpha_bar[t_end] * (1 / alpha_bar[1 : t_end + 1] - 1 / alpha_bar[:t_end]).sum()
    verify_equation(23, (weights**2).sum(), telescope, 1 - alpha_bar[t_end])
    one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    expect(
        x[0],
        q_sample(one, torch.tensor([t_end]), alpha_bar, zero)[0],
        f"picture at t = {t_end}: {t_end} steps equal one jump",
    )
    jump = q_sample(zero, torch.tensor([t_end]), alpha_bar, one)
    expect(
        (weights**2).sum().sqrt(),
        jump.squeeze(),
        f"noise at t = {t_end}: the merged steps equal one jump",
    )
late = shares[1000][-100:].sum()
ax.set(xlabel="step s that brought the noise", ylabel="share of the variance at the end (%)")
ax.set_title(f"Old noise fades too: the last 100 of 1000 steps bring {100 * late:.0f}%")
plots.show(
    fig,
    alt="Share of each step in the noise at the end.",
)
print(f"the last step's share at t = 300: predicted {my_share:.3f}, it is {shares[300][-1]:.4f}")
print(f"correlation of the last noise with the whole noise: {shares[300][-1].sqrt():.3f}")

# %% [markdown]
# The last step brings one per cent of the noise at $t = 300$. So the $\epsilon$ that belongs to $x_t$ and $x_0$ in (21) is
# the *total* noise, the merger of all of them, and a network that predicts it undoes far more than one step. Remember
# this in lesson 05, where the way back uses it for a single step.
#
# Merging is a statement about distributions, and needs independent noises. What it gives is worth a lot: the noisy
# picture of any time in one line. Here are two of the course's companions on their way down.

# %% tags=["experiment"]
# Experiment: two kinds of data drown
beta = linear_beta(1000)
alpha_bar = alpha_bar_from_beta(beta)
generator = torch.Generator().manual_seed(0)
mixture, moons = data.mixture_1d(20_000, device="cpu"), data.two_moons(600, device="cpu")
fig, axes = plots.figure(2, 5, width=9, height=4.4, sharey="row")
grid_x = torch.linspace(-4, 4, 400)[:, None]
for ax_top, ax_bottom, time in zip(axes[0], axes[1], (1, 100, 250, 500, 1000), strict=True):
    noised = [
        q_sample(
            x, torch.full((len(x),), time), alpha_bar, torch.randn(x.shape, generator=generator)
        )
        for x in (mixture, moons)
    ]
    ax_top.hist(
        noised[0][:, 0].numpy(),
        bins=60,
        range=(-4, 4),
        density=True,
        color=plots.COLOR["data"],
        alpha=0.5,
    )
    truth = exact.MIXTURE_1D.noised(alpha_bar[time].item()).log_prob(grid_x).exp()
    plots.curve(grid_x[:, 0], truth, "exact", ax=ax_top, title=f"t = {time}")
    ax_bottom.scatter(*noised[1].T.numpy(), s=4, color=plots.COLOR["data"], alpha=0.6, linewidths=0)
    ax_top.set(xlim=(-4, 4), xlabel="x")
    ax_bottom.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal")
axes[0, 0].set_ylabel("density of the mixture")
axes[1, 0].set_ylabel("second coordinate")
axes[1, 2].set_xlabel("first coordinate")
fig.suptitle(
    "Different data, one end: at t = 1000 both are N(0, I) (dashed: exact density)",
    x=0.01,
    ha="left",
)
plots.show(
    fig,
    alt="Histograms of the 1-D mixture and scatter plots of the two moons at five times, ending as normals.",
)

# %% [markdown]
# ## 4 · Schedules and the signal-to-noise ratio
#
# Look at the row of moons again. At $t = 250$ the shape is almost lost, and from $t = 500$ on the pictures look alike.
# Half of the steps are spent on what is nearly noise already. Wish C asks for a better plan.
#
# Nichol and Dhariwal (2021) turn the question round. They choose the curve $\bar\alpha_t$ itself, a quarter of a
# cosine wave squared, and compute the steps from it:
#
# $$\bar\alpha_t = \frac{f(t)}{f(0)}, \qquad f(t) = \cos^2\Big(\frac{t/T + s}{1+s}\cdot\frac{\pi}{2}\Big).$$
#
# The small offset $s = 0.008$ keeps the first steps from being too tiny.
#
# ### Exercise: `cosine_alpha_bar` · ●●○ · 7 minutes · 2 points


# %% exercise="cosine_alpha_bar"
def cosine_alpha_bar(T, s=0.008):
    """The cosine schedule (Nichol and Dhariwal, 2021, equation 17), as a table of T + 1 entries.

    alpha_bar[t] = f(t) / f(0) with f(t) = cos^2( (t/T + s) / (1 + s) * pi/2 ). Nothing is clipped.

    Args:
        T: number of steps, an int >= 1.
        s: offset, a float >= 0.
    Returns:
        alpha_bar: float32 tensor (T + 1,), alpha_bar[0] = 1.
    """
    ### BEGIN SOLUTION
    time = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos((time + s) / (1 + s) * math.pi / 2) ** 2
    return (f / f[0]).float()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Two constants are easily lost: the division by (1 + s), and the division by f(0).
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Make the times 0, 1, ..., T as a floating tensor, compute f for all of them at once, divide by its first entry.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `time = torch.arange(T + 1) / T` are the times as shares of T. `f` of all of them at once, with `torch.cos(…) ** 2`, then `f / f[0]`.
# </details>

# %% checks="cosine_alpha_bar"
# Checks of cosine_alpha_bar
expect(
    cosine_alpha_bar(3, s=0.0),
    torch.tensor([1.0, 0.75, 0.25, 0.0]),
    "cosine_alpha_bar: at s = 0: cos² of 0°, 30°, 60°, 90°",
    hint="the square of a cosine, with t / T as a share of a right angle",
)
got = cosine_alpha_bar(50, s=0.0)
expect(
    got + got.flip(0),
    torch.ones(51),
    "cosine_alpha_bar: at s = 0: what one end has lost, the other still has",
    hint="cos² and sin² add up to 1",
)
got = cosine_alpha_bar(50)
expect(got[0].item(), 1.0, "cosine_alpha_bar: clean data at t = 0", hint="divide by f(0)")
expect(
    bool((got.diff() < 0).all()),
    True,
    "cosine_alpha_bar: the signal only falls",
    hint="t / T grows from 0 to 1 over the table",
)
expect(
    got[25].item(),
    cosine_alpha_bar(50, s=0.0)[25].item(),
    "cosine_alpha_bar: s = 0.008 changes the middle by less than 0.02",
    atol=0.02,
    hint="the offset s moves both t / T and what it is divided by",
)
expect(
    got[25].item() < 0.499,
    True,
    "cosine_alpha_bar: but it does change it",
    hint="s stands in two places",
)
expect(
    cosine_alpha_bar(2, s=1.0),
    torch.tensor([1.0, 1 - 0.5**0.5, 0.0]),
    "cosine_alpha_bar: at s = 1 only the angles from 45° to 90° are used",
    hint="t / T + s is divided by 1 + s, so that the last angle is 90° whatever s",
)

# %% [markdown]
# A sampler needs $\beta_t$, so we must get from $\bar\alpha$ back to the steps. One thing needs care. The cosine
# reaches 0 at $t = T$, so the last step would have $\beta_T = 1$: it would wipe out everything at once, and no step
# back can bring that back. Nichol and Dhariwal clip $\beta_t$ at 0.999.
#
# ### Exercise: `beta_from_alpha_bar` · ●●○ · 5 minutes · 1 point


# %% exercise="beta_from_alpha_bar"
def beta_from_alpha_bar(alpha_bar, max_beta=0.999):
    """The noise schedule whose running product is alpha_bar, clipped above.

    Apart from the clipping it is the inverse of `alpha_bar_from_beta`.

    Args:
        alpha_bar: (T + 1,), positive, strictly decreasing, alpha_bar[0] = 1; float32 or float64.
        max_beta: entries larger than this become this; nothing is clipped from below.
    Returns:
        beta: (T + 1,), like alpha_bar, beta[0] = 0.
    """
    ### BEGIN SOLUTION
    steps = 1 - alpha_bar[1:] / alpha_bar[:-1]
    return torch.cat([torch.zeros_like(alpha_bar[:1]), steps.clamp(max=max_beta)])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Which factor takes alpha_bar[t-1] to alpha_bar[t]?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Divide the table without its first entry by the table without its last one. That gives alpha_1 to alpha_T. Mind what an
# index of -1 means in Python.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# From that ratio to beta is one subtraction. Clamp beta from above with `.clamp(max=…)`, and put the entry of t = 0 in front
# with `torch.cat`.
# </details>

# %% checks="beta_from_alpha_bar"
# Checks of beta_from_alpha_bar
got = beta_from_alpha_bar(torch.tensor([1.0, 0.9, 0.72, 0.36]))
expect(
    got,
    torch.tensor([0.0, 0.1, 0.2, 0.5]),
    "beta_from_alpha_bar: three uneven steps, by hand",
    hint="which factor leads from alpha_bar[t - 1] to alpha_bar[t]? And t = 0 has no step: beta[0] is 0",
)
got = beta_from_alpha_bar(torch.tensor([1.0, 0.5, 1e-6]))
expect(
    got,
    torch.tensor([0.0, 0.5, 0.999]),
    "beta_from_alpha_bar: a last step that wipes out everything is clipped at 0.999",
    hint="the clip is from above, after the ratio has been taken",
)
expect(
    beta_from_alpha_bar(torch.tensor([1.0, 0.5, 1e-6]), max_beta=0.2)[1:],
    torch.tensor([0.2, 0.2]),
    "beta_from_alpha_bar: or where you say",
    hint="max_beta is an argument",
)
expect(
    beta_from_alpha_bar(double([1.0, 1.0, 1 - 1e-6])),
    double([0.0, 0.0, 1e-6]),
    "beta_from_alpha_bar: small steps stay as small as they are",
    hint="the clip is from above only",
)

# %% [markdown]
# ### Measuring a schedule
#
# How much of the picture is left at time $t$? Not the size of the signal counts but its size *against the noise*:
# multiply $x_t$ by any number and nothing is lost. The **signal-to-noise ratio** $\mathrm{SNR}_t$ is the variance of the signal's part of
# $x_t$ over the variance of the noise's part, for data of variance 1, and $\lambda_t$ is its logarithm. $\lambda = 0$ means equal parts;
# each step of $\log 10 \approx 2.3$ is a factor of ten.
#
# ### Exercise: `log_snr` · ●○○ · 3 minutes · 1 point


# %% exercise="log_snr"
def log_snr(alpha_bar):
    """The logarithm of the signal-to-noise ratio at every t, natural, for data of variance 1.

    Args:
        alpha_bar: (T + 1,), entries in (0, 1], float32 or float64.
    Returns:
        (T + 1,), like alpha_bar; +inf where alpha_bar = 1 (clean data), no value clipped.
    """
    ### BEGIN SOLUTION
    return torch.log(alpha_bar / (1 - alpha_bar))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# What does PyTorch say to 1 / 0, and to the logarithm of that?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Which part of the variance of $x_t$ is signal, which is noise? A small number added "for safety" would make the clean
# picture noisy.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.log(signal / noise)`, where signal and noise add up to 1, and one of them is the table that comes in.
# </details>

# %% checks="log_snr"
# Checks of log_snr
got = log_snr(torch.tensor([1.0, 0.8, 0.5, 0.2]))
expect(
    got,
    torch.tensor([math.inf, math.log(4), 0.0, -math.log(4)]),
    "log_snr: clean, four to one, equal, one to four",
    hint="the natural logarithm of signal over noise, nothing added to either",
)
table = torch.linspace(0.9, 0.01, 30, dtype=torch.float64)
expect(
    torch.sigmoid(log_snr(table)),
    table,
    "log_snr: the logistic function leads back to alpha_bar",
    hint="sigmoid of lambda is alpha_bar again",
)

# %% [markdown]
# <details><summary>Line (24), to compare with yours</summary>
#
# In (21) the signal has variance $\bar\alpha_t$ and the noise $1-\bar\alpha_t$, so
#
# $$\mathrm{SNR}_t = \frac{\operatorname{Var}[\sqrt{\bar\alpha_t}\,x_0]}{\operatorname{Var}[\sqrt{1-\bar\alpha_t}\,\epsilon]} = \frac{\bar\alpha_t}{1-\bar\alpha_t}, \qquad \lambda_t = \log \mathrm{SNR}_t. \tag{24}$$
# </details>
#
# Nothing is lost by speaking of $\lambda$ instead of $\bar\alpha$. Exponentiate and solve:
#
# $$e^{\lambda} = \frac{\bar\alpha}{1-\bar\alpha} \;\Rightarrow\; e^{\lambda} = \bar\alpha\,(1 + e^{\lambda}) \;\Rightarrow\; \bar\alpha = \frac{1}{1+e^{-\lambda}}, \tag{25}$$
#
# the logistic function. For the cosine schedule with $s = 0$ write $u = \frac{\pi}{2}\frac{t}{T}$; then $\bar\alpha_t = \cos^2 u$, and
#
# $$\lambda_t = \log\frac{\cos^2 u}{1 - \cos^2 u} = \log\frac{\cos^2 u}{\sin^2 u} = -2\,\log\tan u, \tag{26}$$
#
# nearly a straight line through its middle.

# %%
# Equations (24) to (26): the signal-to-noise ratio
# Lines (24) to (26), at alpha_bar = 0.3 and at t/T = 0.4.
a = 0.3
two_values = double([-1.0, 1.0])  # variance 1
halves = double([0.5, 0.5])
snr = variance(a**0.5 * two_values, halves) / variance((1 - a) ** 0.5 * two_values, halves)
verify_equation(24, snr, a / (1 - a))
verify_equation(25, snr, a * (1 + snr), a / (1 - a))
verify_equation(25, torch.sigmoid(snr.log()), 1 / (1 + math.exp(-math.log(snr))), a)
angle = math.pi / 2 * 0.4
squares = math.cos(angle) ** 2, math.sin(angle) ** 2
verify_equation(
    26,
    math.log(squares[0] / (1 - squares[0])),
    math.log(squares[0] / squares[1]),
    -2 * math.log(math.tan(angle)),
)

# %% [markdown]
# ### Experiment: two schedules compared
#
# **Predict first.** With `linear_beta(1000)`, at which $t$ are signal and noise equally strong? And with the cosine?

# %% predict="my_linear"
my_linear, my_cosine = 700, 700  # your predictions

# %% tags=["experiment"]
# Experiment: two schedules compared
T = 1000
tables = {
    "linear": alpha_bar_from_beta(linear_beta(T).double()),
    "cosine": alpha_bar_from_beta(beta_from_alpha_bar(cosine_alpha_bar(T).double())),
}
fig, axes = plots.figure(1, 2, width=9, height=3.7)
crossing, useful = {}, {}
for (name, table), role, look in zip(tables.items(), ("data", "model"), ("-", "-."), strict=True):
    level = log_snr(table)
    crossing[name] = int((level >= 0).sum())  # the first t at which the noise is stronger
    useful[name] = int(((level < 5) & (level > -5)).sum()) / T
    plots.curve(range(T + 1), table, role, label=name, ax=axes[0], linestyle=look)
    plots.curve(range(1, T + 1), level[1:], role, label=name, ax=axes[1], linestyle=look)
axes[0].set(xlabel="time step t", ylabel="share of signal variance, alpha_bar")
axes[0].set_title(
    f"At t = 600: {1 - tables['linear'][600]:.0%} and {1 - tables['cosine'][600]:.0%} are lost"
)
axes[1].axhspan(-5, 5, color=plots.COLOR["noise"], alpha=0.12)
guesses = [my_linear, my_cosine], [0, 0]
axes[1].plot(*guesses, "x", ms=9, mew=2, color=plots.COLOR["guess"], label="your predictions")
axes[1].legend()
axes[1].set(xlabel="time step t", ylabel="log-SNR (nats)", ylim=(-16, 11))
axes[1].set_title(
    f"In the grey band: {useful['linear']:.0%} and {useful['cosine']:.0%} of the steps"
)
plots.show(
    fig,
    alt="Signal share and log-SNR of the linear and the cosine schedule.",
)
print(
    f"noise overtakes the signal: linear at t = {crossing['linear']} (predicted {my_linear}),",
    end=" ",
)
print(f"cosine at t = {crossing['cosine']} (predicted {my_cosine})")
print(
    f"signal left at t = 600, alpha_bar: linear {tables['linear'][600]:.3f}, cosine {tables['cosine'][600]:.3f}"
)

# %% [markdown]
# The grey band marks $-5 < \lambda < 5$, from a picture with barely visible grain to one with barely visible picture:
# this is where a denoiser has something to learn. The linear schedule crosses it early and then spends its last steps
# on near-noise. The cosine spends most of its steps inside.
#
# That is a comparison of *plans*, not a proof that one gives better samples; none are made before lesson 06. It
# also depends on the data. In large images neighbouring pixels agree, so the same noise hides less, and the
# schedule must reach lower $\lambda$.
#
# ### Play: scrub through time
#
# Drag `percent` through the chain, and change the number of steps $T$. Both schedules show the same digit under the same
# noise. The bars are its 64 pixels, the lines their exact density (a mixture of 64 Gaussians, one for each pixel), and
# the dotted line is $\mathcal N(0, 1)$. Find out:
#
# * At which percentage do *you* stop recognising the digit, for either schedule? Which $\lambda$ is that? Are the two
#   nearer to each other in time, or in $\lambda$?
# * Set $T = 50$. What is wrong with the linear schedule at 100%?


# %% tags=["experiment"]
# Scrub through time
def draw_scrub(percent, steps):
    """The digit and its pixels under both schedules at one relative time, and where that is on the log-SNR curves."""
    t = torch.tensor([max(1, round(percent / 100 * steps))])
    eps = torch.randn(digit.shape, generator=torch.Generator().manual_seed(7))
    cosine = beta_from_alpha_bar(cosine_alpha_bar(steps))
    # A fixed layout: finding one anew at every drag would take longer than drawing.
    fig, axes = plots.figure(
        1, 3, width=8, height=2.5, width_ratios=[1.5, 1.35, 1.35], layout="none"
    )
    fig.subplots_adjust(left=0.01, right=0.985, bottom=0.2, top=0.87, wspace=0.24)
    pixel, images, labels = torch.linspace(-4, 4, 121), [], []
    axes[1].plot(pixel, normal(0.0, 1.0).log_prob(pixel).exp(), ":", color=plots.COLOR["prior"])
    for name, beta, role, look in (
        ("linear", linear_beta(steps), "data", "-"),
        ("cosine", cosine, "model", "-."),
    ):
        table, color = alpha_bar_from_beta(beta), plots.COLOR[role]
        images.append(q_sample(digit, t, table, eps))
        means = q_sample(digit, t, table, torch.zeros_like(digit)).flatten()
        std = q_sample(torch.zeros_like(digit), t, table, torch.ones_like(digit)).mean()
        level = log_snr(table)
        labels.append(f"{name}: λ = {level[t].item():.1f}")
        bars, edges = torch.histogram(images[-1].flatten(), 16, range=(-4.0, 4.0), density=True)
        axes[1].stairs(bars, edges, fill=True, color=color, alpha=0.3)
        axes[1].plot(
            pixel, normal(means[:, None], std).log_prob(pixel).exp().mean(0), look, color=color
        )
        axes[2].plot(
            torch.linspace(0, 100, steps + 1)[1:], level[1:], look, color=color, label=name
        )
        axes[2].plot(100 * t.item() / steps, level[t].item(), "o", color=color)
    plots.image_grid(torch.cat(images), 2, ax=axes[0], range=(-1.5, 1.5), labels=labels)
    # Few numbers on the axes: each is drawn at every move.
    axes[1].set(xlabel="pixel value", ylim=(0, 1.2), title="density of the pixels")
    axes[1].set(xticks=[-4, 0, 4], yticks=[0, 0.5, 1])
    axes[2].set(
        xlabel="time, % of T", ylim=(-14, 10), title=f"log-SNR λ, t = {t.item()} of {steps}"
    )
    axes[2].set(xticks=[0, 50, 100], yticks=[-10, 0, 10])
    axes[2].legend()
    return fig


widgets.explore(
    draw_scrub,
    alt="A noised digit, its pixel histogram and the log-SNR curves of the linear and cosine schedules at one time.",
    percent=(0, 100, 30),
    steps=[1000, 250, 50],
)

# %% [markdown]
# ## 5 · What must hold at the end
#
# Sampling will start from pure noise, $p(x_T) = \mathcal N(0, I)$. But the chain ends in $q(x_T \mid x_0)$, which still
# carries $\sqrt{\bar\alpha_T}\,x_0$. In the widget at $T = 50$ you could *see* it: the linear schedule was not finished.
# How different the two are is measured by a KL divergence. It is the first term of the diffusion ELBO in lesson 05, the
# **prior matching term**, and the only one in which there is nothing to learn.
#
# Per pixel both are Gaussians. Write $m$ and $s^2$ for the mean and the variance of $q$, and $p = \mathcal N(0, 1)$. It is the
# divergence of your `gaussian_kl` in lesson 02, for one coordinate, from the variance:
#
# $$\mathrm{KL}\big(\mathcal N(m, s^2)\,\|\,\mathcal N(0, 1)\big) = \tfrac12\,\big(m^2 + s^2 - 1 - \log s^2\big). \tag{27}$$
#
# Pixels are independent given $x_0$, so their divergences add.

# %%
# Equation (27): the KL at the end
# (27) at m = 0.4, s = 0.6, against the mean of log q - log p as a sum on a grid.
m, s = 0.4, 0.6
z = torch.linspace(-6, 6, 12001, dtype=torch.float64)
qz = normal(m, s).log_prob(z).exp() * float(z[1] - z[0])
on_grid = (qz * (normal(m, s).log_prob(z) - normal(0.0, 1.0).log_prob(z))).sum()
verify_equation(27, on_grid, 0.5 * (m**2 + s**2 - 1 - math.log(s**2)))

# %% [markdown]
# ### Exercise: `prior_kl` · ●●○ · 7 minutes · 2 points


# %% exercise="prior_kl"
def prior_kl(x0, alpha_bar_T):
    """KL( q(x_T given x_0) || N(0, I) ), for every example.

    q(x_T given x_0) = N(sqrt(alpha_bar_T) x_0, (1 - alpha_bar_T) I).

    Args:
        x0: (B, *event), any number of event axes, at least one.
        alpha_bar_T: a Python float in (0, 1).
    Returns:
        (B,), in nats per example: summed over all event axes. Like x0 in dtype.
    """
    ### BEGIN SOLUTION
    per_pixel = alpha_bar_T * x0**2 - alpha_bar_T - math.log1p(-alpha_bar_T)
    return 0.5 * per_pixel.flatten(1).sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Which mean and which variance does q(x_T given x_0) have in (16)? Mind that (27) wants m squared, and a variance.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Insert both into (27). One part depends on the pixel, the other is the same for every pixel; both are summed over all
# event axes.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `x0.flatten(1)` makes (B, D). Insert m² and s² pixel by pixel: the 1 of s² meets the 1 of (27); then half of the sum,
# `.sum(1)`. `math.log1p(-alpha_bar_T)` is log s², exact for a tiny alpha_bar_T too.
# </details>

# %% checks="prior_kl"
# Checks of prior_kl
x = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(5)).double()
truth = kl_divergence(normal(0.8 * x, 0.6), normal(0.0, 1.0)).sum(
    (1, 2)
)  # the roots of 0.64 and of 0.36
expect(
    prior_kl(x, 0.64),
    truth,
    "prior_kl: equals torch.distributions at alpha_bar_T = 0.64",
    hint="(27) with the mean and the variance of q(x_T | x_0), summed over every event axis",
)
expect(
    prior_kl(x.reshape(3, 10), 0.64),
    truth,
    "prior_kl: the shape of the event does not matter",
    hint="sum over all axes but the first",
)
expect(
    bool((prior_kl(x, 1e-9) < 1e-6).all()),
    True,
    "prior_kl: no signal left: no divergence left",
    hint="at alpha_bar = 0 every term vanishes",
)

# %% [markdown]
# Inserting $m = \sqrt{\bar\alpha_T}\,x_0$ and $s^2 = 1 - \bar\alpha_T$ into (27), pixel by pixel, gives what you just wrote:
#
# $$\mathrm{KL}\big(q(x_T \mid x_0)\,\|\,\mathcal N(0, I)\big) = \tfrac12\sum_{i=1}^{D}\big(\bar\alpha_T\,x_{0,i}^2 - \bar\alpha_T - \log(1-\bar\alpha_T)\big). \tag{28}$$
#
# For a small $\bar\alpha_T$ use $-\log(1-a) = a + \frac12 a^2 + \dots$. The terms of first order without $x_0$ cancel,
# $-\bar\alpha_T - \log(1-\bar\alpha_T) = \frac12\bar\alpha_T^2 + \dots$, once for each of the $D$ pixels, and
#
# $$\mathrm{KL} \approx \tfrac12\,\bar\alpha_T\,\|x_0\|^2 + \tfrac{D}{4}\,\bar\alpha_T^2: \tag{29}$$
#
# what is left of the picture is what counts.
#
# ### Experiment: what is left at $t = T$
#
# **Predict first.** A colleague wants to be fast and uses the linear schedule from $10^{-4}$ to 0.02 with $T = 100$ steps
# instead of 1000. What fraction $\sqrt{\bar\alpha_T}$ of the picture is still in $x_T$?

# %% predict="my_remainder"
my_remainder = 0.05  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: what is left at t = T, and equations (28) and (29)
x, D = digits.double(), 64
a = 0.0784  # (28) and (29) on the digits; the roots of a and of 1 - a are 0.28 and 0.96
by_torch = kl_divergence(normal(0.28 * x, 0.96), normal(0.0, 1.0)).sum((1, 2, 3))
verify_equation(28, by_torch, prior_kl(x, a))
about = 0.5 * a * (x**2).sum((1, 2, 3)) + D / 4 * a**2
verify_equation(29, prior_kl(x, a), about, relation="≈", rtol=0.01)

endings = {
    f"linear, T = {T}": alpha_bar_from_beta(linear_beta(T).double())
    for T in (50, 100, 250, 500, 1000)
}
endings["linear to 0.6, T = 10"] = alpha_bar_from_beta(
    linear_beta(10, first=0.02, last=0.6).double()
)
endings["cosine, T = 100"] = alpha_bar_from_beta(
    beta_from_alpha_bar(cosine_alpha_bar(100).double())
)
print("schedule                 sqrt(alpha_bar_T)   prior KL (nats per digit)")
for name, table in endings.items():
    end = table[-1].item()
    print(f"{name:24s} {end**0.5:12.3g}   {prior_kl(x, end).mean():18.3g}")
print(
    f"\npredicted for linear, T = 100: {my_remainder:g}, it is {endings['linear, T = 100'][-1].sqrt():.2f}"
)

del endings["linear to 0.6, T = 10"]  # six pictures are enough
generator, pictures = torch.Generator().manual_seed(9), []
for table in endings.values():
    ends = torch.full((8,), len(table) - 1)
    noises = torch.randn(8, 1, 8, 8, generator=generator)
    pictures.append(
        q_sample(digit.expand(8, 1, 8, 8), ends, table.float(), noises).mean(0, keepdim=True)
    )
names = [name.removeprefix("linear, ") for name in endings]
plots.show(
    plots.image_grid(
        torch.cat(pictures), len(pictures), range=(-1, 1), zoom=13, column_labels=names,
        title="The mean of eight $x_T$ shows what is left of the digit",
    ),
    alt="The mean of eight noisy ends for each schedule.",
)  # fmt: skip

# %% [markdown]
# With $T = 100$ and the old end points, 60% of the picture is still there. A sampler that starts from $\mathcal N(0, I)$
# then starts where its network has hardly ever been. Fewer steps must be *larger* steps: the end of the line has to move
# up with $1/T$ (but not above 1), or use the cosine, which ends where it should for every $T$.
#
# What must hold at $t = T$ is therefore no more than this: $\bar\alpha_T$ so small that (29) is a negligible number of
# nats. It need not be zero. The unclipped cosine would make it zero, at the price of a last step with $\beta_T = 1$,
# after which nothing of $x_{T-1}$ is left for a small step back to find; that is what the clip at 0.999 is for.

# %% [markdown]
# ## 6 · Further: the same thing in other words
#
# Papers write the same chain with other letters. Before you compare a formula with another source, find its step.
#
# | source | its step or its jump | its symbol is our |
# |---|---|---|
# | Ho et al. (2020), this course | $x_t = \sqrt{\alpha_t}\,x_{t-1} + \sqrt{\beta_t}\,\epsilon$ | |
# | lecture slides with $\alpha_t^2 + \beta_t^2 = 1$ | $x_t = \alpha_t\,x_{t-1} + \beta_t\,\epsilon$ | see the exercise |
# | J. Song et al., DDIM (2021) | $x_t = \sqrt{\alpha_t}\,x_0 + \sqrt{1-\alpha_t}\,\epsilon$ | its $\alpha_t$ is our $\bar\alpha_t$ |
# | Kingma et al. (2021) | $x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon$ | its $\alpha_t$ is our $\sqrt{\bar\alpha_t}$ |
# | "variance exploding" (Y. Song et al., 2021) | $x_t = x_0 + \sigma_t\,\epsilon$ | slide P; its $\sigma_t^2$ is our $1/\mathrm{SNR}_t$ |
#
# One letter, $\alpha_t$, and four meanings. Below, the second row's letters are $a$ and $b$, to keep them apart.
#
# ### Exercise: `to_course_convention` · ●○○ · 4 minutes · 1 point


# %% exercise="to_course_convention"
def to_course_convention(a, b):
    """Translate the tables of x_t = a_t x_{t-1} + b_t eps, with a_t^2 + b_t^2 = 1, into ours.

    Ours is x_t = sqrt(alpha_t) x_{t-1} + sqrt(beta_t) eps: the same chain, with alpha_t and beta_t
    of one step.

    Args:
        a, b: (T + 1,) each, not negative, a[0] = 1, b[0] = 0.
    Returns:
        (alpha, beta): (T + 1,) each, like a and b.
    """
    ### BEGIN SOLUTION
    return a**2, b**2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Put x_t = a x_{t-1} + b eps under equation (11), and compare factor by factor.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Theirs are factors of the picture and of the noise; ours are shares of variance.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# The root of our alpha is their a; the root of our beta is their b. Solve for ours.
# </details>

# %% checks="to_course_convention"
# Checks of to_course_convention
alpha, beta = to_course_convention(torch.tensor([1.0, 0.8, 0.28]), torch.tensor([0.0, 0.6, 0.96]))
expect(
    alpha,
    torch.tensor([1.0, 0.64, 0.0784]),
    "to_course_convention: alpha of two steps, by hand",
    hint="their factors, of one step, are roots: ours are the squares; two tables come back",
)
expect(
    alpha + beta,
    torch.ones(3),
    "to_course_convention: our alpha and beta add up to 1",
    hint="b squared is the variance of the noise",
)
factors = torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.6])
to_course_convention(*factors)
expect(
    factors,
    (torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.6])),
    "to_course_convention: a and b are left as they were",
    hint="no operation that ends in an underscore",
)

# %% [markdown]
# With $\bar a_t = a_1 a_2 \cdots a_t$ and $\bar b_t = \sqrt{1 - \bar a_t^2}$, the other convention's jump is $x_t = \bar
# a_t\,x_0 + \bar b_t\,\epsilon$. A product of roots is the root of the product, so
#
# $$\bar a_t = \prod_{s\le t}\sqrt{\alpha_s} = \sqrt{\bar\alpha_t}, \qquad \bar b_t = \sqrt{1-\bar a_t^2} = \sqrt{1-\bar\alpha_t}. \tag{30}$$
#
# And dividing (21) by $\sqrt{\bar\alpha_t}$ leads to the "variance exploding" picture, in which nothing shrinks:
#
# $$\frac{x_t}{\sqrt{\bar\alpha_t}} = x_0 + \sigma_t\,\epsilon, \qquad \sigma_t^2 = \frac{1-\bar\alpha_t}{\bar\alpha_t} = \frac{1}{\mathrm{SNR}_t}. \tag{31}$$
#
# So slide P was not nonsense. It is a chain of its own, with a wide Gaussian at its end instead of
# $\mathcal N(0, I)$; what was wrong was the promise of where it ends.

# %%
# Equations (30) and (31): the other convention
# (30) and (31) for three uneven steps, x_0 = 1.5 and eps = -0.7.
ours = double([0.9, 0.5, 0.8])  # alpha_1, alpha_2, alpha_3
theirs = ours.sqrt()
run_a = theirs[0] * theirs[1] * theirs[2]
verify_equation(30, run_a, (ours[0] * ours[1] * ours[2]).sqrt())
verify_equation(30, (1 - run_a**2).sqrt(), double(1 - 0.9 * 0.5 * 0.8).sqrt())
left = double(0.9 * 0.5 * 0.8)
jumped = run_a * 1.5 + (1 - run_a**2).sqrt() * -0.7
verify_equation(31, jumped / run_a, 1.5 + ((1 - left) / left).sqrt() * -0.7)

# %% [markdown]
# ### Experiment: find the last error
#
# One set of slides in this convention writes its step as $x_t = a_t\,x_{t-1} + b_t$, with no $\epsilon$. A slip of the
# pen? See what that chain does: it is your `q_step` with every noise equal to 1.
#
# **Predict first.** The data are the 1-D mixture, of mean 0.45 and standard deviation 1.69. Where are mean and standard
# deviation after 1000 steps, without and with $\epsilon$?

# %% predict="my_mean"
my_mean, my_std = 0.0, 1.0  # your predictions for the slide's chain

# %% tags=["experiment"]
# Experiment: the slide's chain
a = (1 - linear_beta(1000).double()).sqrt()
b = (1 - a**2).sqrt()
_, beta = to_course_convention(a, b)
chains = {"as on the slide": None, "with the noise": torch.Generator().manual_seed(11)}
start = data.mixture_1d(20_000, device="cpu").double()
print(f"{'data':14s}  mean {start.mean():7.3f}   standard deviation {start.std():.4f}")
for name, generator in chains.items():
    x = start
    for t in range(1, 1001):
        eps = (
            torch.ones_like(x)
            if generator is None
            else torch.randn(x.shape, generator=generator).double()
        )
        x = q_step(x, torch.full((len(x),), t), beta, eps)
    print(f"{name:14s}  mean {x.mean():7.3f}   standard deviation {x.std():.4f}")
print(f"you predicted for the slide: mean {my_mean:g}, standard deviation {my_std:g}")

# %% [markdown]
# Without noise nothing is random. The 20,000 points shrink onto one another and march off to 15 together. What makes a
# diffusion is the $\epsilon_t$, drawn afresh at each step.

# %% [markdown]
# ## 7 · A VAE with three restrictions
#
# Stand back. The chain takes a picture $x_0$ to latent variables $x_1, \dots, x_T$; the way back will take a draw
# from a prior through learned steps to a picture. That is a **hierarchical VAE**: one whose code has a code, which has a
# code, $T$ levels deep. Each level sees only its neighbour (it is *Markovian*), so the whole encoder is a product:
#
# $$q(x_{1:T} \mid x_0) = \prod_{t=1}^{T} q(x_t \mid x_{t-1}). \tag{32}$$
#
# All levels together are one large Gaussian. Jump from $s$ to $t > s$ as from 0 to $t$: $x_t$ is $\sqrt{\bar\alpha_t/\bar\alpha_s}\,
# x_s$ plus noise that knows nothing of $x_s$, so given $x_0$
#
# $$\operatorname{Cov}[x_s, x_t] = \sqrt{\bar\alpha_t/\bar\alpha_s}\;\operatorname{Var}[x_s] = \sqrt{\bar\alpha_t/\bar\alpha_s}\;(1 - \bar\alpha_s), \qquad s \le t. \tag{33}$$
#
# The bound of lesson 01 holds with all of them as the latent variable:
#
# $$\mathbb E_{q(x_{1:T} \mid x_0)}\big[\log p(x_T) + \sum_{t=1}^{T}\log p_\theta(x_{t-1} \mid x_t) - \log q(x_{1:T} \mid x_0)\big] \le \log p_\theta(x_0). \tag{34}$$
#
# Three restrictions make a diffusion model of it.
#
# | | VAE (lesson 02) | diffusion model | what that buys | what it costs |
# |---|---|---|---|---|
# | 1 | the code is as small as you like | every $x_t$ is as large as $x_0$ | no bottleneck, nothing must be squeezed | no compact code to edit or explore |
# | 2 | the encoder is learned | each step is a fixed linear Gaussian, centred on $\sqrt{\alpha_t}$ times what came before | $q$ has closed forms, jumps included; no encoder to train, and none that can collapse | the code does not adapt to the data |
# | 3 | the KL term pulls the codes towards the prior | the schedule makes $q(x_T \mid x_0)$ almost $\mathcal N(0, I)$ | the prior fits by construction | the chain must be long, and sampling walks all of it |
#
# (Slides often put the second as "centred on the output of the previous step". Taken literally, that is slide P.)

# %%
# Equations (32) to (34): the chain as a VAE
# (32) and (33) for three uneven steps from x_0 = 0.7: the product of the steps against one 3-D Gaussian.
alphas, x_start = double([0.9, 0.5, 0.7]), 0.7
signal = torch.stack([alphas[: i + 1].prod() for i in range(3)])
path = double([0.3, -0.8, 1.1])  # one walk (x_1, x_2, x_3)
before = torch.cat([double([x_start]), path[:-1]])
product = normal(alphas.sqrt() * before, (1 - alphas).sqrt()).log_prob(path).sum()
small, large = (
    torch.minimum(signal[:, None], signal[None, :]),
    torch.maximum(signal[:, None], signal[None, :]),
)
covariance = (small / large).sqrt() * (
    1 - large
)  # signal falls, so the earlier time has the larger one
verify_equation(32, product, MultivariateNormal(signal.sqrt() * x_start, covariance).log_prob(path))
response = torch.zeros(3, 3, dtype=torch.float64)  # row t: how x_t depends on eps_1, eps_2, eps_3
row = torch.zeros(3, dtype=torch.float64)
for i in range(3):
    row = alphas[i].sqrt() * row + (1 - alphas[i]).sqrt() * torch.eye(3, dtype=torch.float64)[i]
    response[i] = row
verify_equation(33, response @ response.T, covariance)

# (34) for T = 2 and x_0 = 0.7, with the integral over (x_1, x_2) as a sum on a grid. If the decoder p(x_{t-1} given x_t) is
# N(gain sqrt(alpha_t) x_t, beta_t), all is Gaussian, and log p(x_0) is known. gain = 1 is perfect for data N(0, 1).
axis = torch.linspace(-7, 7, 701, dtype=torch.float64)
x1, x2 = axis[:, None], axis[None, :]
al = alphas[:2].tolist()
log_q = normal(al[0] ** 0.5 * x_start, (1 - al[0]) ** 0.5).log_prob(x1) + normal(
    al[1] ** 0.5 * x1, (1 - al[1]) ** 0.5
).log_prob(x2)
mass = log_q.exp() * float(axis[1] - axis[0]) ** 2
for gain in (1.0, 0.8):
    back = [
        normal(gain * a_t**0.5 * late_x, (1 - a_t) ** 0.5)
        for a_t, late_x in zip(al, (x1, x2), strict=True)
    ]
    log_p = normal(0.0, 1.0).log_prob(x2) + back[1].log_prob(x1) + back[0].log_prob(double(x_start))
    bound = (mass * (log_p - log_q)).sum()
    var_x1 = gain**2 * al[1] + 1 - al[1]
    log_evidence = normal(0.0, (gain**2 * al[0] * var_x1 + 1 - al[0]) ** 0.5).log_prob(
        double(x_start)
    )
    verify_equation(34, bound, log_evidence, relation="<=", atol=1e-6)
    print(
        f"decoder gain {gain}: the bound lies {(log_evidence - bound).abs():.4f} nats below log p(x_0)"
    )

# %% [markdown]
# With the perfect decoder the bound is tight, with another one it is not, exactly as in lesson 01. And all that separates
# us from a generative model is that decoder, $p_\theta(x_{t-1} \mid x_t)$. Which steps back should it take? That
# is lesson 05.

# %% [markdown]
# ## What you have shown
#
# * A leap of noise cannot be undone, small steps can (section 1).
# * With a factor $1$ the variance ends at 11.05, with $1-\beta_t$ at 0.505, with $\sqrt{1-\beta_t}$ at 1.000. Three slides,
#   one truth, and you found it with a loop of one line.
# * A thousand merged steps equal one jump, for picture and noise, to the accuracy of the machine. The last step brings
#   1% of the noise at $t = 300$.
# * The linear schedule's noise overtakes the signal at $t = 260$ of 1000, the cosine's at $t = 497$.
# * At $T = 100$ the usual linear schedule still carries 60% of the picture, 11 nats a digit; at $T = 1000$ 0.6%, 0.0009
#   nats.
#
# The next cell collects these numbers from *your* functions.

# %% tags=["experiment"]
# Your own numbers
beta = linear_beta(1000).double()
endings = [
    variance_after(keep, beta)[-1].item()
    for keep in (torch.ones_like(beta), 1 - beta, (1 - beta).sqrt())
]
linear = alpha_bar_from_beta(beta)
cosine = alpha_bar_from_beta(beta_from_alpha_bar(cosine_alpha_bar(1000).double()))
short = alpha_bar_from_beta(linear_beta(100).double())
one = torch.ones(1, 1).double()
print(
    "variance at T with factor 1, 1 - beta, sqrt(1 - beta): "
    + ", ".join(f"{v:.3f}" for v in endings)
)
print(
    f"noise overtakes signal: linear t = {int((log_snr(linear) >= 0).sum())}, cosine t = {int((log_snr(cosine) >= 0).sum())}"
)
for table in (short, linear):
    left = q_sample(one, torch.tensor([len(table) - 1]), table, 0 * one).item()
    nats = prior_kl(digits.double(), table[-1].item()).mean()
    print(
        f"linear, T = {len(table) - 1}: {left:.2%} of the picture left, prior KL {nats:.4f} nats per digit"
    )

# %% [markdown]
# ### Test yourself
#
# <details><summary>1. Data of variance 4 go through 1000 linear steps. What is the variance of x_T?</summary>
#
# By (5) the excess over 1 shrinks by the factor alpha_t a step, so it is 1 + 3 alpha_bar_T = 1.0001. The chain forgets the
# variance as it forgets the picture.
# </details>
#
# <details><summary>2. You double all pixel values, and keep the schedule. What happens to the signal-to-noise ratio?</summary>
#
# The signal's variance is four times as large at every t, so the log-SNR rises by log 4 = 1.39 everywhere. The scale of
# the data is part of the schedule: this is why data are normalised first.
# </details>
#
# <details><summary>3. A student's code has alpha_bar[t - 1] in q_sample, because "arrays start at zero". Who would notice?</summary>
#
# At T = 1000 almost nobody: neighbouring entries differ by 2% at most. But t = 1 then gives the clean picture,
# and x_T is one step short. With T = 5 it shows at once, which is why the checks of this course use short schedules.
# </details>
#
# ### What comes next
#
# Lesson 05 turns the chain round. The exact step back, $q(x_{t-1} \mid x_t, x_0)$, is again a Gaussian, because
# everything here was; you will find its mean and variance by completing a square as in (9), and out of the bound (34)
# comes the famously simple loss.
#
# ### References
#
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli, *Deep unsupervised learning using nonequilibrium
#   thermodynamics*, ICML 2015. The idea of the chain.
# * J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, NeurIPS 2020. Equations (2) and (4) are our
#   step and our jump; section 4 has the linear schedule.
# * A. Nichol, P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021. Equation (17) is the cosine
#   schedule.
# * J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*, ICLR 2021. Its $\alpha_t$ is our $\bar\alpha_t$.
# * D. Kingma, T. Salimans, B. Poole, J. Ho, *Variational diffusion models*, NeurIPS 2021. Schedules by their
#   signal-to-noise ratio.
# * Y. Song, J. Sohl-Dickstein, D. Kingma, A. Kumar, S. Ermon, B. Poole, *Score-based generative modeling through
#   stochastic differential equations*, ICLR 2021. Variance preserving and variance exploding.
# * C. Luo, *Understanding diffusion models: a unified perspective*, 2022. The view as a hierarchical VAE with three
#   restrictions.
