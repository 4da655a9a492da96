# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 01 · Likelihood, latent variables and the ELBO
#
# Welcome. In this course you build generative models: programs that have seen handwritten digits and then write digits
# of their own. By lesson 6 you will have trained a diffusion model from a formula that you derived yourself, line by
# line. This first lesson holds the idea that all the others stand on.
#
# The question is one line long: **how probable is this image under my model?** For a model that invents images from
# hidden causes, nobody can compute the answer by brute force, and you will see exactly how brute force fails. Then you
# derive a number that you *can* compute and that never exceeds the answer: the *evidence lower bound*, the ELBO.
#
# **What you will be able to do**
#
# 1. say why fitting a model by maximum likelihood and minimising a KL divergence are the same thing;
# 2. explain, with numbers, why averaging over the prior cannot estimate the likelihood of an image;
# 3. derive the ELBO in three ways, and say what separates it from the log-likelihood;
# 4. compute posteriors, KL divergences and ELBOs for tables and for Gaussians, safely where `exp` underflows;
# 5. (further) derive the EM algorithm as climbing the ELBO one coordinate at a time, and run it.
#
# **What you need.** Probability (density, expectation, Gaussian) and the basics of PyTorch tensors. Nothing about
# latent variables. No GPU: this lesson compares with exact values, so it computes on the CPU, mostly in double
# precision.
#
# | section | what happens there | minutes |
# |---|---|---|
# | 0 | the companions of the course, and how to work with it | 4 |
# | 1 | fitting a distribution: likelihood and KL | 20 |
# | 2 | latent variables, and why $p(x)$ is out of reach | 34 |
# | 3 | the posterior: where the useful $z$ live | 35 |
# | 4 | the ELBO, three ways | 53 |
# | 5 | further: the best q of a family | 4 |
# | 6 | further: the same bound for a whole data set | 11 |
# | 7 | further: EM, climbing the ELBO | 38 |
# | 8 | what you have shown | 4 |
#
# That is a little over three hours at an even pace (150 words a minute, 1.5 minutes for each numbered equation and each
# experiment, and what the exercises take), and two hours and a half without the three sections headed "Further", which can be
# skipped: nothing later needs them. (The last two exercises, 4 of the points, are in section 7.) The end of section 3 is a good
# place for a break.

# %%
# Imports, and what this lesson keeps at hand
import itertools
import math

import sympy
import torch
from torch.distributions import Binomial, Categorical, MultivariateNormal, Normal, kl_divergence

from course_lib import data, exact, expect, plots, schematic, verify_equation, widgets

f64 = torch.float64  # double precision, for everything that is compared with an exact value
findings = {}  # your own numbers, collected for the end of the lesson
naive_miss = {}  # by how much brute force misses, for each J


def random_table(*shape, sharpness=1.0):
    """Random positive tables; each sums to 1 over its last axis."""
    return (sharpness * torch.randn(*shape, dtype=f64, generator=generator)).softmax(-1)


# %% [markdown]
# ## 0 · The companions, and how to work with the course
#
# Four data sets accompany you through all lessons. They are small, so that everything runs on a laptop, and two of them
# are so simple that the right answer is known exactly.

# %% tags=["experiment"]
# The four companions of the course
fig, axes = plots.figure(1, 4, width=9.6, height=2.7)
plots.image_grid(data.companion_digit(device="cpu"), 1, ax=axes[0], title="one digit: 64 numbers")
line = torch.linspace(-4, 4, 400, dtype=f64)
axes[1].hist(
    data.mixture_1d(500, device="cpu").flatten().numpy(),
    40,
    density=True,
    color=plots.COLOR["data"],
    alpha=0.4,
)
plots.curve(
    line,
    exact.MIXTURE_1D.log_prob(line[:, None]).exp(),
    "exact",
    ax=axes[1],
    title="two bumps on a line",
)
plots.scatter(
    data.correlated_gaussian(500, device="cpu"),
    "data",
    ax=axes[2],
    size=4,
    title="a tilted Gaussian",
)
plots.scatter(data.two_moons(500, device="cpu"), "data", ax=axes[3], size=4, title="two moons")
axes[1].set(xlabel="x", ylabel="density")
for ax in axes[2:]:
    ax.set(xlabel="first coordinate", ylabel="second")
plots.show(
    fig,
    alt="The four companions: a handwritten 3 of 8 by 8 pixels; a histogram with a small bump at -2 and a larger one at "
    "1.5 under its exact density; a cloud of points along the diagonal; two interleaved half circles of points.",
)

# %% [markdown]
# * **The digit**, a 3. It stands for real data: 64 pixels, no formula.
# * **The mixture**, $0.3\,\mathcal N(-2,\,0.3^2) + 0.7\,\mathcal N(1.5,\,0.6^2)$. Two bumps, exact density (dashed).
# * **The tilted Gaussian**, two coordinates with correlation 0.8. Everything about it is known.
# * **The moons.** Curved, so that no Gaussian fits. You meet them again when networks come in.
#
# In this lesson you work with the digit and the mixture; the other two join from lesson 2 on.
#
# **Exercises** carry dots for difficulty (●○○ to ●●●), minutes and points. Each is one function. Its docstring is the
# whole specification: equation, shapes, units, special cases. Replace the line `raise NotImplementedError(...)` by
# your code, then run the *visible checks* below it. They print a ✓, or one line that says what was expected, what
# came, and where it differs most. Stuck? Three folded hints stand below each function; the third is nearly the line. *Hidden
# checks* grade the same function on other numbers: other shapes, single precision, far tails. The 11 functions of
# this lesson bring 19 points, the one written question 4.
#
# **Until you have solved an exercise**, the cells that need it stop with the exercise's name. That is no fault.
#
# **Numbered equations** such as (1) are derivations. Each line says what was done to the line above, and the cell after
# it evaluates every line on a small case. You need not believe any line: look at the numbers.
#
# **Predict, then run.** Before an experiment you write down a number. It is drawn next to the outcome. Nobody grades
# it; it makes you notice when you are surprised.
#
# **Notation.** Logarithms are natural, and so are the units: log-probabilities are in *nats* (1 nat = 1.44 bits).
#
# | symbol | meaning | in code |
# |---|---|---|
# | $x$ | what is observed: a level, a number, an image of $D$ pixels | `x`, (B, D) |
# | $z$ | the latent (hidden) variable: one of $Z$ values, or a vector of $J$ numbers | `z`, (B, J) |
# | $\theta$ | the parameters of the model | |
# | $p_\text{data}(x)$ | the distribution of the data; for $N$ examples, each has share $1/N$ | `p_data` |
# | $p(z)$ | the prior: how $z$ is drawn before anything is seen | `log_pz` |
# | $p_\theta(x\mid z)$ | the decoder: how $x$ arises from $z$; as a function of $z$, the likelihood | `log_px_given_z` |
# | $p_\theta(x)$ | the evidence, or marginal likelihood: the answer to "how probable is $x$?" | `log_px` |
# | $p_\theta(z\mid x)$ | the posterior: which $z$ may have made this $x$ | |
# | $q(z)$, $q(z\mid x)$ | any distribution over $z$ of our choice, for one $x$ or for every $x$ | `log_qz` |
# | $\mathbb E_q[f(z)]$ | the mean of $f(z)$ when $z$ is drawn from $q$ | |
# | $\mathrm{KL}(p\,\Vert\,q)$, $H(p)$ | Kullback–Leibler divergence; entropy, $-\mathbb E_p[\log p]$ | |
# | $\mathcal N(x;\mu,\Sigma)$ | Gaussian density at $x$ with mean $\mu$ and covariance $\Sigma$ | |
# | $\sigma$, $\sigma^2$ | a standard deviation, a variance; never one name for both | `logvar` is $\log\sigma^2$ |
# | $B$, $K$ | batch size (examples at once); number of samples of $z$, or of mixture components | |
#
# The index $\theta$ is left out where the parameters do not change.
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %% [markdown]
# ## 1 · Fitting a distribution
#
# Take one pixel of the digits, the fifth in the fourth row. Over the 1437 training images it shows each of the 17
# grey levels $x = 0, \dots, 16$ with some frequency; these shares are the table $p_\text{data}(x)$. A model is
# another table, $p_\theta(x)$, that depends on a parameter. As a first model, let the level be the number of heads in
# 16 tosses of a coin that shows heads with probability $\theta$: the binomial distribution.
#
# How far is the model from the data? The usual answer is the **Kullback–Leibler divergence**, the mean log-ratio of the
# two, taken where the first distribution lives:
#
# $$\mathrm{KL}(p\,\Vert\,q) = \sum_x p(x)\,\log\frac{p(x)}{q(x)} \tag{1}$$
#
# The logarithm of a quotient is a difference:
#
# $$= \sum_x p(x)\log p(x) - \sum_x p(x)\log q(x) \tag{2}$$
#
# The first sum is minus the entropy of $p$; the second is a mean under $p$:
#
# $$= -H(p) - \mathbb E_{p}[\log q(x)] \tag{3}$$
#
# Put in the data for $p$ and the model for $q$. A mean under the table of shares is the average over the $N$ examples
# $x_1,\dots,x_N$ that the table was counted from:
#
# $$\mathbb E_{p_\text{data}}[\log p_\theta(x)] = \frac1N\sum_{n=1}^N \log p_\theta(x_n) \tag{4}$$
#
# This average is the **log-likelihood** per example. The entropy $H(p_\text{data})$ does not contain $\theta$. So (3)
# says: *the $\theta$ that makes the KL least is the $\theta$ that makes the likelihood greatest.* Maximum likelihood
# is KL minimisation.

# %%
# Equations (1) to (4): one pixel of the digits, and a coin for it
# (1437, 64), whole numbers from 0 to 16.
levels = (16 * data.digits("train", device="cpu")).round().long()
pixel = levels[:, 28]  # row 3, column 4, counted from 0
p_data = torch.bincount(pixel, minlength=17).to(f64) / len(pixel)


def coin_model(theta):
    """Binomial(16, theta) as a table over the 17 levels; theta (...) gives (..., 17)."""
    theta = torch.as_tensor(theta, dtype=f64)
    return Binomial(16, probs=theta[..., None]).log_prob(torch.arange(17, dtype=f64)).exp()


log_p, log_q = p_data.log(), coin_model(0.5).log()
kl = kl_divergence(Categorical(p_data), Categorical(coin_model(0.5)))
# The average over the images is the sum over the table.
verify_equation(1, kl, (log_p - log_q)[pixel].mean())
verify_equation(2, kl, log_p[pixel].mean() - log_q[pixel].mean())
verify_equation(3, kl, -Categorical(p_data).entropy() - log_q[pixel].mean())
verify_equation(4, p_data @ log_q, log_q[pixel].mean())

# %% [markdown]
# **A KL is never negative.** The logarithm stays below its tangent at 1: for every $u>0$
#
# $$\log u \le u - 1, \quad\text{with equality only at } u = 1 \tag{5}$$
#
# (At $u=0$ the left side is $-\infty$, and the inequality holds as well.) Use it with $u = q(x)/p(x)$, wherever
# $p(x) > 0$, and weigh by $p(x)$:
#
# $$-\mathrm{KL}(p\,\Vert\,q) = \sum_{x:\,p(x)>0} p(x)\log\frac{q(x)}{p(x)} \;\le \sum_{x:\,p(x)>0} p(x)\Bigl(\frac{q(x)}{p(x)} - 1\Bigr) \tag{6}$$
#
# Multiply out. What $q$ puts where $p$ is zero is missing from the sum, so the first term is at most 1:
#
# $$= \sum_{x:\,p(x)>0} q(x) \;-\; 1 \;\le\; 0 \tag{7}$$
#
# Equality throughout needs $u = 1$ wherever $p(x)>0$, that is $q = p$. Keep this three-line argument in mind: the whole
# lesson rests on it.

# %%
# Equations (5) to (7): a KL is never negative
u = torch.linspace(0.01, 5, 500, dtype=f64)
verify_equation(5, u.log(), u - 1, relation="<=")

p_holes, q_full = (
    torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=f64),
    torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=f64),
)
inside = p_holes > 0
ratio = q_full[inside] / p_holes[inside]
after_tangent = p_holes[inside] @ (ratio - 1)
verify_equation(
    6, -kl_divergence(Categorical(p_holes), Categorical(q_full)), after_tangent, relation="<="
)
verify_equation(7, after_tangent, q_full[inside].sum() - 1)
verify_equation(7, q_full[inside].sum() - 1, 0.0, relation="<=")

# %% [markdown]
# ### Exercise: `kl_discrete` · ●○○ · 5 minutes · 1 point
#
# The KL of two tables. Zeros are what makes this more than one line: a value that never occurs under $p$ costs nothing,
# whatever $q$ says of it; a value that does occur and that $q$ calls impossible costs infinitely much.


# %% exercise="kl_discrete"
def kl_discrete(p, q):
    """KL(p || q) = sum_x p(x) log(p(x) / q(x)), in nats.

    Args:
        p, q: tables (Z,), each summing to 1, of one floating dtype.

    Returns:
        a scalar (a tensor without axes) of that dtype. Entries with p = 0 count 0, also where
        q = 0; one entry with p > 0 and q = 0 makes the result +inf. Nothing is clipped: an entry
        q = 1e-40 counts as such.
    """
    ### BEGIN SOLUTION
    terms = p * (p.log() - q.log())
    return torch.where(p > 0, terms, torch.zeros_like(p)).sum()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# In floating point, `0 * log(0)` is `nan`. Decide what each entry contributes before you add them up.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Write the term for every entry, replace it by 0 where `p` is 0, then sum. Where `p > 0` and `q = 0` the formula gives
# `+inf` by itself. Do not add a small number inside the logarithm: it would turn this infinity into a finite lie.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.where(condition, a, b)` takes `a` where the condition holds and `b` elsewhere. With the condition `p > 0`,
# the term of (2) as `a`, and `torch.zeros_like(p)` as `b`, only `.sum()` is missing.
#
# </details>

# %% checks="kl_discrete"
# Checks of kl_discrete
half, skew = torch.tensor([0.5, 0.5], dtype=f64), torch.tensor([0.25, 0.75], dtype=f64)
expect(
    kl_discrete(half, skew),
    math.log(2) - math.log(3) / 2,
    "kl_discrete: KL((1/2, 1/2) || (1/4, 3/4)) is log 2 - (log 3)/2",
    hint="which table weighs the logarithms, and which is divided by which; a sum, and natural logarithms",
)
expect(
    kl_discrete(skew, skew),
    0.0,
    "kl_discrete: a table has KL 0 from itself",
    hint="the two logarithms cancel when the tables are the same",
)
expect(
    kl_discrete(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])),
    math.log(2),
    "kl_discrete: an entry with p = 0 counts 0",
    hint="0 * log 0 is nan: what does such an entry contribute?",
)
expect(
    kl_discrete(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])),
    math.inf,
    "kl_discrete: p > 0 where q = 0 gives +inf",
    hint="nothing is clipped or added inside the logarithm",
)
expect(
    kl_discrete(p_data, coin_model(0.5)),
    kl,
    "kl_discrete: the pixel against a fair coin, as torch.distributions has it",
    hint="the sum runs over all 17 levels, in nats",
)
tiny = torch.tensor([1e-40, 1.0], dtype=f64)
expect(
    kl_discrete(half, tiny),
    20 * math.log(10) - math.log(2),
    "kl_discrete: an entry q = 1e-40 counts as such",
    hint="nothing is clipped or added inside the logarithm",
)

# %% [markdown]
# **Predict, then run.** Which $\theta$ will maximum likelihood choose for the pixel? Picture its histogram: the pixel
# is in the middle of the image, so it is often white (level 16), and at times black (level 0).

# %% predict="my_theta"
my_theta = 0.5  # your prediction

# %% tags=["experiment"]
# Experiment: the best coin
theta = torch.linspace(0.3, 0.9, 121, dtype=f64)
divergence = torch.stack([kl_discrete(p_data, coin_model(t)) for t in theta])
# (121,), the average over the 1437 images.
log_likelihood = coin_model(theta).log()[:, pixel].mean(-1)
best = theta[divergence.argmin()]
expect(theta[log_likelihood.argmax()], best, "the likelihood is greatest where the KL is least")
expect(
    divergence + log_likelihood,
    torch.full_like(theta, -Categorical(p_data).entropy()),
    "their sum is the same for all theta",
)

fig, axes = plots.figure(1, 2, width=9.6, height=3.4)
axes[0].bar(range(17), p_data, color=plots.COLOR["data"], alpha=0.5, label="data")
plots.curve(
    range(17), coin_model(best), "model", ax=axes[0], label="best coin", marker="o", markersize=4
)
axes[0].set(
    xlabel="grey level x",
    ylabel="probability",
    xticks=range(0, 17, 4),
    title=f"The best coin: a KL of {divergence.min():.2f} nats",
)
plots.curve(theta, divergence, "model", ax=axes[1], label="KL from the data")
plots.curve(theta, -log_likelihood, "data", ax=axes[1], label="minus log-likelihood")
axes[1].axvline(best, ymax=0.6, color=plots.COLOR["exact"], linewidth=1)
axes[1].set_ylim(top=float(-log_likelihood.min()) + 4)  # room for the legend
axes[1].set(xlabel="theta", ylabel="nats per image", title=f"Both are least at theta = {best:.2f}")
plots.guess(axes[1], x=my_theta)
plots.show(
    fig,
    alt="Left: the pixel's grey levels and the best coin. Right: KL and minus log-likelihood against theta.",
)
findings["KL of the best coin from the pixel"] = divergence.min().item()
print(
    f"best theta {best:.3f}, KL {divergence.min():.2f} nats; entropy of the data {Categorical(p_data).entropy():.2f} nats"
)

# %% [markdown]
# The two curves are parallel, a distance $H(p_\text{data})$ apart, as (3) promised. And the best coin is a bad model:
# one bump, in the middle, where the data are rare. What is missing is a *reason*. In some images the pen passes
# through this pixel, in others it does not. That reason is not in the data; nobody wrote it down. It is hidden, and
# giving the model a variable for it is the step from here to everything else in this course.

# %% [markdown]
# ## 2 · Latent variables, and why p(x) is out of reach
#
# A **latent variable model** tells a story in two steps: first draw a hidden $z$ from the prior $p(z)$, then draw $x$
# from $p_\theta(x\mid z)$. Both together have the probability $p_\theta(x,z) = p(z)\,p_\theta(x\mid z)$, the *joint*.
# Somebody who sees only $x$ must add up all the ways in which it can have come about:
#
# $$p_\theta(x) = \int p(z)\,p_\theta(x\mid z)\,dz \qquad\text{(a sum when } z \text{ takes discrete values)} \tag{8}$$
#
# Do not confuse the two: $p(z)\,p_\theta(x\mid z)$ depends on $z$ and is the joint; $p_\theta(x)$ has $z$ integrated
# out.
#
# Does one hidden bit help our pixel? Let $z$ say whether the pen passes, and use one coin for each case.

# %% tags=["experiment"]
# The story on one page
fig, ax = schematic.canvas(6.2, 2.5)
hidden = schematic.node(ax, (0.8, 1.05), "$z$", "prior", dashed=True)
seen = schematic.picture(ax, (5.2, 1.05), data.companion_digit(device="cpu")[0], 1.0)
decoder = schematic.node(
    ax, (2.9, 1.05), "$p_\\theta(x\\mid z)$", "model", shape="box", size=(1.3, 0.6)
)
schematic.arrow(ax, hidden, decoder, role="prior")
schematic.arrow(ax, decoder, seen, role="model")
schematic.arrow(
    ax,
    seen,
    hidden,
    "which $z$ was it? posterior, or some $q(z)$",
    "posterior",
    bend=-0.85,
    dashed=True,
)
schematic.label(ax, (0.8, 0.45), "drawn from $p(z)$,\nnever seen")
schematic.label(ax, (2.9, 0.5), "decoder")
schematic.label(ax, (5.2, 0.3), "seen: $x$")
plots.show(
    fig,
    alt="The generative story: a hidden z is drawn from the prior, a decoder makes the image x of it; "
    "a dashed arrow back asks which z it was.",
)

# %% tags=["experiment"]
# Experiment: one hidden bit
# p(z = 1), and the coin for z = 0 and for z = 1.
share, dark, bright = torch.meshgrid(
    *[torch.linspace(0.02, 0.98, 49, dtype=f64)] * 3, indexing="ij"
)
# Equation (8), as a sum.
two_coins = (1 - share[..., None]) * coin_model(dark) + share[..., None] * coin_model(bright)
score = (two_coins.log() * p_data).sum(-1)
at = score.where(dark < bright, -math.inf).argmax()  # z = 1 has the bright coin: no tie
# The best single coin has the mean of the data.
kl_one = kl_discrete(p_data, coin_model(pixel.double().mean() / 16))
kl_two = kl_discrete(p_data, two_coins.reshape(-1, 17)[at])
findings["KL of two coins with a hidden bit"] = kl_two.item()
print(
    f"pen passes with probability {share.flatten()[at]:.2f}; coins {dark.flatten()[at]:.2f} and {bright.flatten()[at]:.2f}"
)
print(f"KL from the data: {kl_one:.2f} nats with one coin, {kl_two:.2f} with a hidden bit")

# %% [markdown]
# One hidden bit removes most of the misfit. An image has 64 pixels, so it deserves more than a bit: from now on $z$
# is a vector of $J$ real numbers with prior $\mathcal N(0, I)$. What the numbers mean, nobody tells the model. It has
# to find out.
#
# The simplest decoder for images is linear with Gaussian noise, with a matrix $W$ of shape $(D, J)$, a mean image $b$
# and a noise variance $\sigma^2$:
#
# $$z \sim \mathcal N(0, I),\qquad x = Wz + b + \sigma\epsilon,\quad \epsilon\sim\mathcal N(0, I).$$
#
# It is called *probabilistic PCA* (Tipping and Bishop, 1999), here pPCA for short; in the code `LinearVAE`, for a
# reason that lesson 2 gives. You will use it as a touchstone, because it is an image model whose $p_\theta(x)$ is
# known exactly. Even the $W$, $b$ and $\sigma^2$ of greatest likelihood have a closed form (`LinearVAE.fit`): $b$ is
# the mean image, the columns of $W$ point along the $J$ directions in which the images vary most, and $\sigma^2$ is
# the mean variance in the other directions.
#
# What is $p_\theta(x)$? The mean of $x$: expectation is linear, $z$ and $\epsilon$ have mean 0:
#
# $$\mathbb E[x] = W\,\mathbb E[z] + b + \sigma\,\mathbb E[\epsilon] = b \tag{9}$$
#
# The covariance: $z$ and $\epsilon$ are independent, so the cross terms vanish, and both have covariance $I$:
#
# $$\mathrm{Cov}[x] = W\,\mathbb E[zz^\top]\,W^\top + \sigma^2\,\mathbb E[\epsilon\epsilon^\top] = WW^\top + \sigma^2 I \tag{10}$$
#
# A linear function of Gaussians is Gaussian, and a Gaussian is known by its mean and covariance:
#
# $$\log p_\theta(x) = \log \mathcal N\bigl(x;\, b,\; WW^\top + \sigma^2 I\bigr) \tag{11}$$

# %%
# Equations (8) to (11): the evidence of the linear model
train = data.digits("train", device="cpu").double()
digit = data.companion_digit(device="cpu").double()  # (1, 64)

verify_equation(  # (8) on the mixture: z is the number of the bump
    8,
    exact.MIXTURE_1D.log_prob(torch.tensor([[0.7]], dtype=f64)).exp(),
    sum(
        w * Normal(m, s).log_prob(torch.tensor([0.7], dtype=f64)).exp()
        for w, m, s in torch.tensor([(0.3, -2.0, 0.3), (0.7, 1.5, 0.6)], dtype=f64)
    ),
)

# Three pixels and two latents, to look closely.
small = exact.LinearVAE.fit(train[:, [27, 28, 36]], 2)
generator = torch.Generator().manual_seed(0)
z, eps = (torch.randn(400_000, n, dtype=f64, generator=generator) for n in (2, 3))
made = z @ small.W.T + small.b + small.sigma2**0.5 * eps
verify_equation(9, made.mean(0), small.b, standard_error=(made.std(0).max() / 400_000**0.5).item())
cov_error = (2 / 400_000) ** 0.5 * made.var(
    0
).max().item()  # of a variance; a covariance's is smaller
verify_equation(
    10, made.T.cov(), small.W @ small.W.T + small.sigma2 * torch.eye(3), standard_error=cov_error
)

model = exact.LinearVAE.fit(train, 2)  # all 64 pixels and two latents
ticks = torch.linspace(-6, 6, 241, dtype=f64)
grid_z = torch.cartesian_prod(ticks, ticks)  # (58081, 2), a grid in the latent plane
log_joint = Normal(grid_z @ model.W.T + model.b, model.sigma2**0.5).log_prob(digit).sum(-1)
log_joint += Normal(0.0, 1.0).log_prob(grid_z).sum(-1)
by_grid = log_joint.logsumexp(0) + 2 * (ticks[1] - ticks[0]).log()  # (8), as a Riemann sum
verify_equation(
    11,
    by_grid,
    MultivariateNormal(model.b, model.W @ model.W.T + model.sigma2 * torch.eye(64)).log_prob(digit),
)

# %% [markdown]
# The last line answers the question for $J=2$: the logarithm of the companion's density. It comes out the same from the
# formula and from 58 081 grid points. (A density may exceed 1, so its logarithm may be positive; only *differences* of
# such numbers mean something.)
#
# Grids die quickly. With 241 points an axis, $J = 8$ needs $241^8 \approx 10^{19}$ points. And with a neural network
# as decoder there is no formula (11) either. Before you see what can be done, write the function that every model
# here needs.
#
# ### Exercise: `log_normal` · ●○○ · 8 minutes · 2 points
#
# The log-density of a Gaussian with independent coordinates. You will call it with 250 samples of $z$ against 10
# images at once, so it must *broadcast*: PyTorch stretches axes of length 1 (or missing ones) to fit.


# %% exercise="log_normal"
def log_normal(x, mean, logvar):
    """log N(x; mean, diag(exp(logvar))), summed over the last axis, in nats.

    For each coordinate,
    log N(x; mu, sigma^2) = -1/2 [log(2 pi) + log sigma^2 + (x - mu)^2 / sigma^2].

    Args:
        x, mean, logvar: tensors of one floating dtype that broadcast against each other, the last
            axis too: (B, 1, D) with (K, D) and (1,) gives (B, K). Any of the three may have length
            1 there, and mean or logvar may have no axes at all. logvar is log sigma^2.

    Returns:
        the broadcast shape without its last axis, same dtype; differentiable in all three. Finite
        also where x lies 10 000 units from the mean, and exact for variances of 1e-26 or 1e11.
    """
    ### BEGIN SOLUTION
    per_coordinate = math.log(2 * math.pi) + logvar + (x - mean) ** 2 * torch.exp(-logvar)
    return -0.5 * per_coordinate.sum(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Take the logarithm on paper first. A density computed as such and logged afterwards is 0 far from the mean, and its
# log is `-inf`.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# For one coordinate,
# $\log\mathcal N(x;\mu,\sigma^2) = -\tfrac12\bigl[\log 2\pi + \log\sigma^2 + (x-\mu)^2/\sigma^2\bigr]$. Keep the
# three terms together until the end, so that all are stretched to the same shape *before* the sum over the last axis.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# $1/\sigma^2$ is `torch.exp(-logvar)`. Sum `math.log(2 * math.pi) + logvar + ...` over the last axis, then multiply
# by $-\tfrac12$. If you sum `logvar` on its own, a `logvar` of length 1 is counted once instead of $D$ times.
#
# </details>

# %% checks="log_normal"
# Checks of log_normal
generator = torch.Generator().manual_seed(1)
x, mean, logvar = (
    torch.randn(shape, dtype=f64, generator=generator) for shape in [(4, 1, 3), (5, 3), (3,)]
)
independent = Normal(mean, (logvar / 2).exp()).log_prob(x).sum(-1)
expect(
    log_normal(x, mean, logvar),
    independent,
    "log_normal: five means against four points, as torch.distributions has it",
    hint="each coordinate brings its own log 2 pi and log sigma^2 = logvar, and a square over exp(logvar)",
)
expect(
    log_normal(x, mean, logvar[:1]),
    log_normal(x, mean, logvar[:1].expand(3)),
    "log_normal: a logvar of length 1 holds for all coordinates",
    hint="a logvar of length 1 broadcasts: it counts for every coordinate",
)
far = log_normal(torch.full((1, 3), 1e3, dtype=f64), mean[0], logvar)
expect(
    far.isfinite().all(),
    True,
    "log_normal: finite a thousand units from the mean",
    hint="work with logarithms throughout: the density itself underflows",
)
line = torch.linspace(-12, 12, 4001, dtype=f64)[:, None]
area = torch.trapezoid(
    log_normal(line, torch.tensor(0.5, dtype=f64), torch.tensor(0.3, dtype=f64)).exp(), line[:, 0]
)
expect(area, 1.0, "log_normal: the density integrates to 1", hint="the constants")
expect(
    log_normal(torch.zeros(1, dtype=f64), torch.zeros(3, dtype=f64), logvar),
    log_normal(torch.zeros(3, dtype=f64), torch.zeros(3, dtype=f64), logvar),
    "log_normal: a point of length 1 holds for all coordinates",
    hint="D is the length of what the three broadcast to: let log 2 pi broadcast with the rest",
)

# %% [markdown]
# ### Brute force
#
# The integral (8) is a mean over the prior, and means can be estimated by drawing (*naive Monte Carlo*):
#
# $$p_\theta(x) = \mathbb E_{z\sim p(z)}\bigl[p_\theta(x\mid z)\bigr] \approx \frac1K\sum_{k=1}^K p_\theta(x\mid z_k),\qquad z_k\sim p(z) \tag{12}$$
#
# The estimate is right on average, for any $K$. In practice two things go wrong. The first is harmless:
# $p_\theta(x\mid z)$ is a product of 64 densities, and for a $z$ that misses the image it is far too small for a
# floating-point number.

# %%
# Equation (12): the same evidence by brute force
generator = torch.Generator().manual_seed(2)
z = torch.randn(50_000, 2, dtype=f64, generator=generator)
# (50000,)
log_px_given_z = Normal(z @ model.W.T + model.b, model.sigma2**0.5).log_prob(digit).sum(-1)
densities = log_px_given_z.exp()
error = densities.std() / len(z) ** 0.5
verify_equation(12, model.log_evidence(digit).exp(), densities.mean(), standard_error=error.item())

wide = exact.LinearVAE.fit(train, 32)
z = torch.randn(50_000, 32, dtype=f64, generator=generator)
log_px_given_z = Normal(z @ wide.W.T + wide.b, wide.sigma2**0.5).log_prob(digit).sum(-1)
print(
    f"J = 32: log p(x | z) between {log_px_given_z.min():.0f} and {log_px_given_z.max():.0f} nats"
)
print(
    f"exp gives exactly 0 for {(log_px_given_z.exp() == 0).double().mean():.0%} of the samples, in double precision"
)

# %% [markdown]
# ### Exercise: `log_mean_exp` · ●●○ · 6 minutes · 1 point
#
# The cure for the first trouble: never leave the logarithm. You are given logarithms of $K$ numbers and want the
# logarithm of their mean, even where each of the numbers is too small (or too large) to exist as a `float`.


# %% exercise="log_mean_exp"
def log_mean_exp(values, dim):
    """log (1/K) sum_k exp(values_k), the sum along axis `dim`, K the length of that axis.

    Args:
        values: a tensor with at least one axis; entries may be -inf, which stands for the number 0.
        dim: the axis, an int, negative ones counted from the end.

    Returns:
        the shape of values without axis dim, same dtype. Exact where exp over- or underflows; -inf
        entries count as zeros in the mean; where all entries are -inf the result is -inf.
    """
    ### BEGIN SOLUTION
    return torch.logsumexp(values, dim) - math.log(values.shape[dim])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Multiplying all numbers by $e^{-c}$ divides their mean by $e^{c}$. Which $c$ brings the largest of them to 1?
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# PyTorch has the stable log of a *sum* of exponentials, with all `-inf` cases right. A mean is a sum divided by a
# count, and in the logarithm a division is a difference. The count is the length of the axis `dim`, zeros included.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# The function is `torch.logsumexp`, and the count `values.shape[dim]`. Which of the two is a logarithm already?
#
# </details>

# %% checks="log_mean_exp"
# Checks of log_mean_exp
values = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.5, 3.0]], dtype=f64)
expect(
    log_mean_exp(values, 0),
    values.exp().mean(0).log(),
    "log_mean_exp: harmless numbers, first axis",
    hint="the mean of the exponentials along dim, and then its logarithm",
)
expect(
    log_mean_exp(values, -1),
    values.exp().mean(-1).log(),
    "log_mean_exp: harmless numbers, last axis",
    hint="dim may be any axis: nothing is hard-wired to the first",
)
expect(
    log_mean_exp(values - 5000, 1),
    values.exp().mean(1).log() - 5000,
    "log_mean_exp: numbers far too small for exp",
    hint="take the largest entry out before exp, add it afterwards",
)
expect(
    log_mean_exp(values + 5000, 1),
    values.exp().mean(1).log() + 5000,
    "log_mean_exp: numbers far too large for exp",
    hint="take the largest entry out before exp, add it afterwards",
)
zeros = torch.tensor([[-math.inf, 0.0], [-math.inf, -math.inf]], dtype=f64)
expect(
    log_mean_exp(zeros, 1),
    torch.tensor([math.log(0.5), -math.inf], dtype=f64),
    "log_mean_exp: -inf stands for the number 0",
    hint="exp(-inf) is 0 and counts in the mean; beware of -inf minus -inf, which is nan",
)
far_apart = torch.tensor([[0.0, 0.0], [-2000.0, -2000.0]], dtype=f64)
expect(
    log_mean_exp(far_apart, 1),
    torch.tensor([0.0, -2000.0], dtype=f64),
    "log_mean_exp: rows that are 2000 nats apart",
    hint="each row has a largest entry of its own",
)

# %% [markdown]
# ### Exercise: `evidence_monte_carlo` · ●○○ · 3 minutes · 1 point
#
# The estimate (12), in logarithms, for a whole batch of images. The samples of $z$ lie along the first axis.


# %% exercise="evidence_monte_carlo"
def evidence_monte_carlo(log_px_given_z):
    """Naive Monte Carlo estimate of log p(x), in nats: log (1/K) sum_k p(x given z_k).

    Args:
        log_px_given_z: (K, B), entry [k, i] is log p(x_i given z_k), with z_k drawn from the prior.

    Returns:
        (B,), same dtype. Stable where exp underflows; -inf where all entries are -inf.
    """
    ### BEGIN SOLUTION
    return log_mean_exp(log_px_given_z, 0)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# The mean in (12) is a mean of densities, not of log-densities.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# You have just written the function that does this. What remains is the choice of the axis.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `log_mean_exp` along the axis of the $K$ samples, which is axis 0.
#
# </details>

# %% checks="evidence_monte_carlo"
# Checks of evidence_monte_carlo
table = torch.tensor([[0.2, 0.5], [0.4, 0.1], [0.6, 0.9]], dtype=f64)  # three samples, two images
expect(
    evidence_monte_carlo(table.log()),
    torch.tensor([0.4, 0.5], dtype=f64).log(),
    "evidence_monte_carlo: means 0.4 and 0.5 over three samples",
    hint="the logarithm of a mean of likelihoods; the mean runs over the samples, the first axis",
)
expect(
    evidence_monte_carlo(table.log() - 2000) + 2000,
    torch.tensor([0.4, 0.5], dtype=f64).log(),
    "evidence_monte_carlo: the same 2000 nats lower",
    hint="use your log_mean_exp: exp of these numbers underflows",
)
z = torch.randn(50_000, 2, dtype=f64, generator=torch.Generator().manual_seed(3))
log_px_given_z = (
    Normal(z @ model.W.T + model.b, model.sigma2**0.5).log_prob(digit).sum(-1, keepdim=True)
)
expect(
    evidence_monte_carlo(log_px_given_z),
    model.log_evidence(digit),
    "evidence_monte_carlo: near the exact evidence at J = 2",
    atol=0.1,
    hint="which axis holds the samples?",
)

# %% [markdown]
# **Predict, then run.** Now the second trouble, with your own functions: one digit of each class, $K = 100\,000$
# samples of $z$, and pPCA models with $J = 2, 8, 16, 32$ latents, whose exact evidence you know from (11). By how
# many nats will the estimate miss at $J = 32$? (The estimate is right on average, remember.)

# %% predict="my_miss"
my_miss = 2.0  # your prediction, in nats

# %% [markdown]
# The next cell takes about 5 seconds and prints a line for each $J$.

# %% tags=["experiment"]
# Experiment: how far the estimate misses
test, classes = data.digits("test", labels=True, device="cpu")
ten = test[
    torch.stack([torch.nonzero(classes == c)[0, 0] for c in range(10)])
]  # float32, precise enough here
latents, num_samples = (2, 8, 16, 32), 100_000
missing, marks = {}, (10, 100, 1000, 10_000, 100_000)
for J in latents:
    linear = exact.LinearVAE.fit(train, J)
    W, b, logvar = linear.W.float(), linear.b.float(), torch.tensor(math.log(linear.sigma2))
    generator = torch.Generator().manual_seed(J)
    rows = []
    for _ in range(num_samples // 250):  # in pieces that fit into the processor's cache
        z = torch.randn(250, 1, J, generator=generator)
        rows.append(log_normal(ten, z @ W.T + b, logvar))  # (250, 10)
    log_px_given_z = torch.cat(rows)  # (K, 10)
    truth = linear.log_evidence(ten)
    # (5, 10)
    missing[J] = torch.stack([truth - evidence_monte_carlo(log_px_given_z[:K]) for K in marks])
    heaviest = log_px_given_z.softmax(0).max(0).values.mean()
    error = missing[J][-1].std() / 10**0.5
    print(
        f"J = {J:2d}: exact {truth.mean():5.1f} nats, estimate too low by {missing[J][-1].mean().round(decimals=1) + 0.0:5.1f} +- "
        f"{error:.1f}; one of {num_samples:,} samples carries {heaviest:.0%} of the sum"
    )

fig, ax = plots.figure(width=6.6, height=3.8)
for J, shade in zip(latents, (0.35, 0.55, 0.75, 1.0), strict=True):
    error = missing[J].std(-1) / 10**0.5
    plots.curve(
        marks,
        missing[J].mean(-1),
        "model",
        error=error,
        ax=ax,
        alpha=shade,
        marker="o",
        markersize=4,
    )
    ax.annotate(
        f"J = {J}", (1.3e5, missing[J][-1].mean() + {2: -0.45, 8: 0.25}.get(J, 0)), va="center"
    )
ax.axhline(0, color=plots.COLOR["exact"], linestyle="--", linewidth=1.6)
ax.set_xscale("log")
ax.set_yscale("symlog", linthresh=1)
ax.set(xlim=(8, 5e5), ylim=(-1.9, 900))
ax.set(xlabel="number of samples K", ylabel="exact minus estimate (nats)")
ax.set_title(f"At J = 32, {num_samples:,} samples miss by {missing[32][-1].mean():.0f} nats")
plots.guess(ax, y=my_miss, label="your prediction for J = 32")
ax.legend(loc="lower left")
plots.show(
    fig,
    alt="Exact minus estimated log-evidence against the number of samples, one line for each J.",
)
naive_miss |= {J: missing[J][-1].mean().item() for J in latents}
findings["naive estimate misses at J = 32 by"] = missing[32][-1].mean().item()

# %% [markdown]
# "Right on average" did not help. The mean over $z$ is carried by a region so small that 100 000 draws never enter
# it, and the estimate is what the best of the misses happens to give: at $J=32$ a single sample makes up nearly the
# whole sum. Ten times as many samples leave most of the error where it was. And $J = 32$ is small; lesson 4 has a
# latent for every pixel and every step.
#
# So the trouble is not the average but *where we look*. Where, then, are the $z$ that matter?

# %% [markdown]
# ## 3 · The posterior: where the useful z live
#
# Having seen $x$, which $z$ may have made it? Bayes' rule divides the joint by the evidence; in logarithms
#
# $$\log p_\theta(z\mid x) = \log p(z) + \log p_\theta(x\mid z) - \log p_\theta(x) \tag{13}$$
#
# This is the **posterior**. Its normaliser is the very number that we cannot compute. For pPCA it can be had all the
# same. Insert the two Gaussians, and collect in $c$ whatever is free of $z$:
#
# $$\log p_\theta(z\mid x) = -\tfrac12 z^\top z - \tfrac{1}{2\sigma^2}\lVert x - b - Wz\rVert^2 + c \tag{14}$$
#
# Multiply out the square. The part quadratic in $z$ joins the first term, the part free of $z$ joins $c$, which
# becomes $c'$:
#
# $$= -\tfrac12\, z^\top\!\Bigl(I + \tfrac{1}{\sigma^2}W^\top W\Bigr) z + \tfrac{1}{\sigma^2}\, z^\top W^\top (x-b) + c' \tag{15}$$
#
# Every exponent of this form is that of a Gaussian. For a symmetric, invertible matrix $A$ and a vector $h$,
# completing the square gives (multiply out the right side to see it)
#
# $$-\tfrac12 z^\top A z + z^\top h = -\tfrac12 (z - A^{-1}h)^\top A\,(z - A^{-1}h) + \tfrac12 h^\top A^{-1} h \tag{16}$$
#
# The right side is, up to a constant, the log-density of a Gaussian. Its mean is what $z$ is compared with, and its
# covariance the inverse of the matrix in the middle (the *precision*). Reading both off (15) is the next exercise.
#
# The cell checks (13) by numbers and (14) to (16) symbolically, with two pixels and one latent.

# %%
# Equations (13) to (16): the posterior, line by line
z_any = torch.tensor([[0.3, -1.1]], dtype=f64)  # any z of the grid will do
cell_area = (ticks[1] - ticks[0]) ** 2
posterior_on_grid = (
    log_joint - log_joint.logsumexp(0)
).exp() / cell_area  # normalised numerically, (58081,)
here = (grid_z - z_any).square().sum(-1).argmin()  # its place on the grid
likelihood_there = Normal(z_any @ model.W.T + model.b, model.sigma2**0.5).log_prob(digit).sum()
bayes = Normal(0.0, 1.0).log_prob(z_any).sum() + likelihood_there - model.log_evidence(digit)
verify_equation(13, posterior_on_grid[here].log(), bayes)

s_z, w1, w2, d1, d2, var, A, h = sympy.symbols("z w1 w2 d1 d2 var A h", positive=True)  # d = x - b
log_density = -sympy.log(2 * sympy.pi) / 2
joint = (log_density - s_z**2 / 2) + sum(
    log_density - sympy.log(var) / 2 - (d - w * s_z) ** 2 / (2 * var)
    for d, w in [(d1, w1), (d2, w2)]
)
exponent = -(s_z**2) / 2 - ((d1 - w1 * s_z) ** 2 + (d2 - w2 * s_z) ** 2) / (2 * var)
collected = -(s_z**2) / 2 * (1 + (w1**2 + w2**2) / var) + s_z * (w1 * d1 + w2 * d2) / var
completed = -A / 2 * (s_z - h / A) ** 2 + h**2 / (2 * A)
# What is left over is free of z.
verify_equation(14, float(sympy.simplify((joint - exponent).diff(s_z))), 0.0)
verify_equation(15, float(sympy.simplify((exponent - collected).diff(s_z))), 0.0)
verify_equation(16, float(sympy.simplify(-A / 2 * s_z**2 + s_z * h - completed)), 0.0)

# %% [markdown]
# ### Exercise: `ppca_posterior` · ●●● · 10 minutes · 3 points
#
# Compare (15) with (16), read off mean and covariance of the posterior, and return them for a whole batch of images.


# %% exercise="ppca_posterior"
def ppca_posterior(x, W, b, sigma2):
    """The exact posterior p(z given x) of probabilistic PCA, a Gaussian.

    The model: z ~ N(0, I), x given z ~ N(W z + b, sigma2 I) (Tipping and Bishop, 1999).

    Args:
        x: (B, D). W: (D, J), of any rank, J may exceed D. b: (D,).
        sigma2: the noise variance sigma^2, a positive float.

    Returns:
        mean (B, J), one for each x, and cov (J, J), the same for all x. Dtype of x.
    """
    ### BEGIN SOLUTION
    precision = torch.eye(W.shape[1], dtype=x.dtype, device=x.device) + W.T @ W / sigma2
    cov = torch.linalg.inv(precision)
    mean = (x - b) @ W @ cov / sigma2
    return mean, cov
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Lay (15) and the left side of (16) side by side. What is $A$, and what is $h$? Both contain $\sigma^2$.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The covariance is $A^{-1}$, one matrix for all images: it does not contain $x$. The mean is $A^{-1}h$, one vector
# per image. With images as rows, $W^\top(x-b)$ for a whole batch is `(x - b) @ W`.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.linalg.inv` of the matrix that stands in the middle of (15), with `torch.eye(J, dtype=..., device=...)`, is the
# covariance. For the means multiply $h$ by it; with images as rows it stands on the right, which it may, being symmetric.
#
# </details>

# %% checks="ppca_posterior"
# Checks of ppca_posterior
mean, cov = ppca_posterior(digit, model.W, model.b, model.sigma2)
grid_mean = (posterior_on_grid[:, None] * grid_z).sum(0, keepdim=True) * cell_area
centred = grid_z - grid_mean
expect(
    cov,
    (posterior_on_grid[:, None] * centred).T @ centred * cell_area,
    "ppca_posterior: covariance as found on the grid, J = 2",
    hint="the precision is the identity plus what the data add; the covariance is its inverse",
)
expect(
    mean,
    grid_mean,
    "ppca_posterior: mean as found on the grid, J = 2",
    hint="the mean is the covariance times h: which vector does W^T act on there, and what divides it?",
)
turn = torch.linalg.qr(torch.randn(32, 32, dtype=f64, generator=torch.Generator().manual_seed(8)))[
    0
]
leaning = wide.rotated(turn)  # the same evidence, and a posterior that leans
mean, cov = ppca_posterior(train[:5], leaning.W, leaning.b, leaning.sigma2)
for seed in (0, 1):  # (13) solved for log p(x): every z must give the exact evidence
    z = torch.randn(1, 32, dtype=f64, generator=torch.Generator().manual_seed(seed))
    joint_there = (
        Normal(z @ leaning.W.T + leaning.b, leaning.sigma2**0.5).log_prob(train[:5]).sum(-1)
        + Normal(0.0, 1.0).log_prob(z).sum()
    )
    log_px = joint_there - MultivariateNormal(mean, cov).log_prob(z)
    expect(
        log_px,
        wide.log_evidence(train[:5]),
        f"ppca_posterior: Bayes' rule at z number {seed + 1} gives the exact evidence, J = 32",
        hint="mean and covariance must fit together: p(z) p(x|z) / p(z|x) is the same at every z",
    )

# %% [markdown]
# Look at it for $J = 2$. Green is the prior, where naive Monte Carlo draws; purple is the posterior of the companion
# digit.

# %% tags=["experiment"]
# Experiment: prior draws and the posterior
mean, cov = ppca_posterior(digit, model.W, model.b, model.sigma2)
generator = torch.Generator().manual_seed(4)
angle = torch.linspace(0, 2 * math.pi, 200, dtype=f64)
ellipse = mean + 2 * torch.stack([angle.cos(), angle.sin()], 1) @ torch.linalg.cholesky(cov).T
prior_draws = torch.randn(1000, 2, dtype=f64, generator=generator)
whitened = torch.linalg.solve_triangular(
    torch.linalg.cholesky(cov), (prior_draws - mean).T, upper=False
)
hits = (whitened.square().sum(0) < 4).sum().item()
fig, ax = plots.figure(width=4.6, height=4.8)
plots.scatter(prior_draws, "prior", ax=ax, size=5, label="1000 draws from the prior")
plots.curve(
    ellipse[:, 0], ellipse[:, 1], "posterior", ax=ax, label="posterior, two standard deviations"
)
ax.set(
    xlabel="first latent",
    ylabel="second latent",
    title=f"{hits} of 1000 prior draws fall where the 3 is",
)
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13))
plots.show(
    fig,
    alt="Latent plane: draws from the prior, and the posterior's ellipse.",
)

# %% [markdown]
# With two latents a few draws in a hundred hit. To say how this worsens with $J$ we measure the distance from
# posterior to prior, again with a KL, now for densities: an integral takes the place of the sum in (1), and the three
# lines (5) to (7) hold as they are. For two Gaussians it has a closed form. By definition
#
# $$\mathrm{KL}(q\,\Vert\,p) = \mathbb E_q\bigl[\log q(z) - \log p(z)\bigr] \tag{17}$$
#
# The log-density of a Gaussian with mean $m$ and covariance $C$, for $z$ with $J$ coordinates, is
#
# $$\log\mathcal N(z; m, C) = -\tfrac12\bigl[J\log 2\pi + \log\det C + (z-m)^\top C^{-1}(z-m)\bigr] \tag{18}$$
#
# Only the last term is random. Write $z - m = (z - m_q) + (m_q - m)$, where $m_q$ and $C_q$ are mean and covariance
# of $q$, and multiply out. The cross terms have mean zero. In the first square use
# $v^\top Bv = \mathrm{tr}(B\,vv^\top)$ and the covariance $\mathbb E_q[(z-m_q)(z-m_q)^\top] = C_q$:
#
# $$\mathbb E_q\bigl[(z-m)^\top C^{-1}(z-m)\bigr] = \mathrm{tr}\bigl(C^{-1}C_q\bigr) + (m_q-m)^\top C^{-1}(m_q-m) \tag{19}$$
#
# What remains is to insert (18) into (17) for $q$ and for $p$, and to take the means by (19). Once $m = m_q$ and
# $C = C_q$, and (19) becomes very short. That is your next exercise.

# %%
# Equations (17) to (19): the KL of two Gaussians
generator = torch.Generator().manual_seed(5)
mix = torch.randn(2, 3, 3, dtype=f64, generator=generator)
covariances = mix @ mix.mT + 0.5 * torch.eye(3, dtype=f64)
centres = torch.randn(2, 3, dtype=f64, generator=generator)
q, p = (MultivariateNormal(m, c) for m, c in zip(centres, covariances, strict=True))
z = (
    q.mean
    + torch.randn(200_000, 3, dtype=f64, generator=generator)
    @ torch.linalg.cholesky(covariances[0]).T
)
log_ratio = q.log_prob(z) - p.log_prob(z)
verify_equation(
    17,
    kl_divergence(q, p),
    log_ratio.mean(),
    standard_error=(log_ratio.std() / len(z) ** 0.5).item(),
)


def quadratic_form(z, m, C):
    """(z - m)^T C^-1 (z - m), for rows z (N, J) -> (N,)."""
    return ((z - m) * torch.linalg.solve(C, (z - m).T).T).sum(-1)


peak = ((2 * math.pi) ** 3 * torch.linalg.det(covariances[1])) ** -0.5
density = peak * (-quadratic_form(z[:5], centres[1], covariances[1]) / 2).exp()
verify_equation(18, density.log(), p.log_prob(z[:5]))
few = z[
    :50
]  # fifty points are a distribution of their own, with their own mean and covariance: (19) is exact for it
m_q, C_q = few.mean(0), few.T.cov(correction=0)
shift = m_q - centres[1]
verify_equation(
    19,
    quadratic_form(few, centres[1], covariances[1]).mean(),
    torch.linalg.solve(covariances[1], C_q).trace()
    + quadratic_form(m_q[None], centres[1], covariances[1]).squeeze(),
)

# %% [markdown]
# ### Exercise: `gaussian_kl_full` · ●●○ · 8 minutes · 2 points
#
# Finish the derivation on paper, then write down what you found. Several means share the two covariances.


# %% exercise="gaussian_kl_full"
def gaussian_kl_full(mean_q, cov_q, mean_p, cov_p):
    """KL(N(mean_q, cov_q) || N(mean_p, cov_p)) for every row of the means, in nats, in closed form.

    Args:
        mean_q, mean_p: (B, J).
        cov_q, cov_p: (J, J), symmetric positive definite, shared by all rows. All of one dtype.

    Returns:
        (B,), same dtype. Safe where a determinant under- or overflows.
    """
    ### BEGIN SOLUTION
    shift = mean_q - mean_p
    quadratic = (shift * torch.linalg.solve(cov_p, shift.T).T).sum(-1)
    trace = torch.linalg.solve(cov_p, cov_q).trace()
    log_ratio = torch.linalg.slogdet(cov_p).logabsdet - torch.linalg.slogdet(cov_q).logabsdet
    return 0.5 * (log_ratio + trace + quadratic - mean_q.shape[-1])
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# (19) for $q$ against itself: $\mathrm{tr}(C_q^{-1}C_q)$ is the trace of a $J\times J$ identity, and $m_q - m_q = 0$.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# You should arrive at one half of four terms: a difference of log-determinants, a trace, a quadratic form in the
# means, and minus $J$. Only the quadratic form differs from one row of the batch to the next.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.linalg.slogdet(C).logabsdet` is $\log\det C$, safe where the determinant itself underflows.
# `torch.linalg.solve(cov_p, cov_q).trace()` is the trace. For the quadratic form with means as rows:
# `(d * torch.linalg.solve(cov_p, d.T).T).sum(-1)` with `d = mean_q - mean_p`.
#
# </details>

# %% checks="gaussian_kl_full"
# Checks of gaussian_kl_full
rows = torch.randn(4, 3, dtype=f64, generator=torch.Generator().manual_seed(6))
expect(
    gaussian_kl_full(rows, covariances[0], rows, covariances[0]),
    torch.zeros(4, dtype=f64),
    "gaussian_kl_full: a Gaussian has KL 0 from itself, one value for each of four rows",
    hint="what is left of each term when both Gaussians are the same? And how many coordinates has z?",
)
one = torch.eye(1, dtype=f64)
expect(
    gaussian_kl_full(3 * one, one, 0 * one, one),
    torch.tensor([4.5], dtype=f64),
    "gaussian_kl_full: moving a unit Gaussian by 3 costs 9/2 nats",
    hint="everything is halved, the quadratic form in the means as well",
)
expect(
    gaussian_kl_full(0 * one, 4 * one, 0 * one, one),
    torch.tensor([1.5 - math.log(2)], dtype=f64),
    "gaussian_kl_full: N(0, 4) from N(0, 1): 3/2 - log 2",
    hint="which of the two log-determinants comes with a minus, and which covariance is inverted in the trace?",
)
expect(
    gaussian_kl_full(3 * one, one, 0 * one, 4 * one),
    torch.tensor([0.75 + math.log(2)], dtype=f64),
    "gaussian_kl_full: N(3, 1) from N(0, 4): 3/4 + log 2",
    hint="by which of the two covariances is the distance of the means measured?",
)
library = kl_divergence(
    MultivariateNormal(centres[0], covariances[0]), MultivariateNormal(rows, covariances[1])
)
expect(
    gaussian_kl_full(centres[:1].expand(4, 3), covariances[0], rows, covariances[1]),
    library,
    "gaussian_kl_full: four rows, as torch.distributions has it",
    hint="inverses and determinants of whole matrices; one quadratic form for each row",
)
tiny = 1e-12 * torch.eye(40, dtype=f64)
still = gaussian_kl_full(
    torch.zeros(1, 40, dtype=f64), tiny, torch.zeros(1, 40, dtype=f64), 2 * tiny
)
expect(
    still,
    torch.tensor([20 * math.log(2) - 10], dtype=f64),
    "gaussian_kl_full: determinants of 1e-480 do no harm",
    hint="use logdet or slogdet: the determinant itself underflows",
)

# %% [markdown]
# **How many samples would have been enough?** To find a region that is $e^{\mathrm{KL}}$ times smaller than the
# prior, one needs about $e^{\mathrm{KL}}$ draws (Chatterjee and Diaconis, 2018, make this precise). With $K = 10^5$
# the budget is $\log K = 11.5$ nats. Compare with the KL from posterior to prior, computed by your two functions for
# the same ten digits.

# %% tags=["experiment"]
# Experiment: how many samples the prior would need
test, classes = data.digits("test", labels=True, device="cpu")
ten = test[torch.stack([torch.nonzero(classes == c)[0, 0] for c in range(10)])].double()
print(f"log K = {math.log(1e5):.1f} nats for K = 100,000")
print(" J   KL(posterior || prior)   samples needed, about   your estimate missed by")
distance = {}
for J in (2, 8, 16, 32):
    linear = exact.LinearVAE.fit(train, J)
    mean, cov = ppca_posterior(ten, linear.W, linear.b, linear.sigma2)
    distance[J] = (
        gaussian_kl_full(mean, cov, torch.zeros_like(mean), torch.eye(J, dtype=f64)).mean().item()
    )
    missed = naive_miss.get(J, math.nan) + 0.0
    print(
        f"{J:2d}   {distance[J]:22.1f}   {math.exp(distance[J]):21.0e}   {abs(round(missed, 1)):23.1f}"
    )
findings["KL from posterior to prior at J = 32"] = distance[32]

# %% [markdown]
# At $J=2$ and $8$ the budget covers the distance, and the estimate was good. At $16$ and $32$ it does not, and the
# estimate was off by what you saw. Sampling from the posterior itself would need no luck at all; but the posterior of
# a neural decoder is out of reach, for the same integral. What can be done with a distribution that is only *close*
# to it?
#
# **A good place for a break.**

# %% [markdown]
# ## 4 · The ELBO, three ways
#
# Choose any distribution $q(z)$ that you can draw from and whose density you know. Three derivations follow, each
# with another idea, and all arrive at the same bound. First a small model to test them on, one where $z$ is a single
# number and every integral is a sum over a fine grid:
#
# $$z\sim\mathcal N(0,1),\qquad x\mid z \sim\mathcal N(z^2,\ 0.5^2),\qquad \text{observed: } x = 1.5.$$
#
# A square forgets the sign, so two values of $z$ explain $x$ equally well: the posterior has two bumps. No Gaussian
# $q$ can equal it. That is on purpose: the derivations must hold for a $q$ that is wrong.

# %%
# A small model whose posterior is known on a grid
z_grid = torch.linspace(-8, 8, 4001, dtype=f64)
x_seen = torch.tensor(1.5, dtype=f64)
prior = Normal(torch.tensor(0.0, dtype=f64), torch.tensor(1.0, dtype=f64))
# Some q, chosen without thought.
q = Normal(torch.tensor(0.8, dtype=f64), torch.tensor(0.4, dtype=f64))

log_pz, log_qz = prior.log_prob(z_grid), q.log_prob(z_grid)
log_likelihood_z = Normal(z_grid**2, 0.5).log_prob(x_seen)  # log p(x | z) at every z of the grid
log_px = torch.trapezoid((log_pz + log_likelihood_z).exp(), z_grid).log()  # equation (8)
log_posterior = log_pz + log_likelihood_z - log_px  # equation (13)


def under_q(values):
    """E_q of a function given by its values on z_grid, by the trapezoidal rule."""
    return torch.trapezoid(log_qz.exp() * values, z_grid)


print(f"log p(x) = {log_px:.4f}, exact to all digits shown")

# %% [markdown]
# **First way: Bayes' rule, and q inserted.** $\log p(x)$ does not depend on $z$, and $q$ integrates to 1, so the mean
# of $\log p(x)$ under $q$ is $\log p(x)$:
#
# $$\log p(x) = \mathbb E_q\bigl[\log p(x)\bigr] \tag{20}$$
#
# Bayes' rule, (13) solved for $\log p(x)$:
#
# $$= \mathbb E_q\Bigl[\log\frac{p(x\mid z)\,p(z)}{p(z\mid x)}\Bigr] \tag{21}$$
#
# Multiply by one, in the form $q(z)/q(z)$:
#
# $$= \mathbb E_q\Bigl[\log\frac{p(x\mid z)\,p(z)}{p(z\mid x)}\,\frac{q(z)}{q(z)}\Bigr] \tag{22}$$
#
# Logarithm of a product, the factors sorted into three groups:
#
# $$= \mathbb E_q[\log p(x\mid z)] - \mathbb E_q\Bigl[\log\frac{q(z)}{p(z)}\Bigr] + \mathbb E_q\Bigl[\log\frac{q(z)}{p(z\mid x)}\Bigr] \tag{23}$$
#
# The last two means are KL divergences, by definition:
#
# $$= \mathbb E_q[\log p(x\mid z)] - \mathrm{KL}\bigl(q(z)\,\Vert\,p(z)\bigr) + \mathrm{KL}\bigl(q(z)\,\Vert\,p(z\mid x)\bigr) \tag{24}$$
#
# The last term contains the posterior, which we do not have. But it is a KL, so it is never negative. Leave it out, and
# what remains can only be smaller:
#
# $$\log p(x) \;\ge\; \underbrace{\mathbb E_q[\log p(x\mid z)]}_{\text{reconstruction}} - \underbrace{\mathrm{KL}\bigl(q(z)\,\Vert\,p(z)\bigr)}_{\text{distance from the prior}} \;=:\; \mathrm{ELBO}(q) \tag{25}$$
#
# Everything in (25) is known: the decoder, the prior, $q$. It is the **evidence lower bound**, also called the
# variational lower bound. The reconstruction term asks that the $z$ drawn from $q$ explain $x$; the KL asks that $q$
# stay near the prior.

# %%
# Equations (20) to (25): the first way to the ELBO
verify_equation(20, log_px, under_q(log_px.expand(4001)))
verify_equation(21, log_px, under_q(log_likelihood_z + log_pz - log_posterior))
verify_equation(22, log_px, under_q(log_likelihood_z + log_pz - log_posterior + log_qz - log_qz))
three_terms = under_q(log_likelihood_z), under_q(log_qz - log_pz), under_q(log_qz - log_posterior)
verify_equation(23, log_px, three_terms[0] - three_terms[1] + three_terms[2])
gap = under_q(log_qz - log_posterior)
verify_equation(24, log_px, under_q(log_likelihood_z) - kl_divergence(q, prior) + gap)
toy_elbo = under_q(log_likelihood_z) - kl_divergence(q, prior)
verify_equation(25, toy_elbo, log_px, relation="<=")

# %% [markdown]
# **Second way: fit q to the posterior.** Suppose you never thought of a bound. You only want $q$ close to the
# posterior, so you write down the KL between them:
#
# $$\mathrm{KL}\bigl(q(z)\,\Vert\,p(z\mid x)\bigr) = \mathbb E_q\bigl[\log q(z) - \log p(z\mid x)\bigr] \tag{26}$$
#
# Definition of conditional probability, $p(z\mid x) = p(x,z)/p(x)$:
#
# $$= \mathbb E_q\bigl[\log q(z) - \log p(x,z) + \log p(x)\bigr] \tag{27}$$
#
# $\log p(x)$ does not depend on $z$, take it out of the mean:
#
# $$= \log p(x) - \mathbb E_q\bigl[\log p(x,z) - \log q(z)\bigr] \tag{28}$$
#
# The second term is the ELBO: write $p(x,z) = p(x\mid z)\,p(z)$ and you have (25). Sort:
#
# $$\log p(x) = \mathrm{ELBO}(q) + \mathrm{KL}\bigl(q(z)\,\Vert\,p(z\mid x)\bigr),\qquad \mathrm{ELBO}(q) = \mathbb E_q\bigl[\log p(x,z) - \log q(z)\bigr] \tag{29}$$
#
# This way tells you the most. The left side does not contain $q$. So *making the ELBO larger and bringing $q$ closer
# to the posterior are the same thing*, and the **gap** between bound and truth is exactly that KL.

# %%
# Equations (26) to (29): the second way
log_joint_z = log_pz + log_likelihood_z  # log p(x, z)
verify_equation(26, gap, under_q(log_qz) - under_q(log_posterior))
verify_equation(27, gap, under_q(log_qz - log_joint_z + log_px))
verify_equation(28, gap, log_px - under_q(log_joint_z - log_qz))
verify_equation(29, log_px, toy_elbo + gap)
verify_equation(29, toy_elbo, under_q(log_joint_z - log_qz))

# %% [markdown]
# **Third way: Jensen's inequality.** The shortest, and the one you will see in papers. The evidence is an integral:
#
# $$\log p(x) = \log\int p(x,z)\,dz \tag{30}$$
#
# Multiply by one inside ($q$ must be positive wherever $p(x,z)$ is; if it is not, "$=$" becomes "$\ge$" here, and the
# bound still holds):
#
# $$= \log\int q(z)\,\frac{p(x,z)}{q(z)}\,dz \tag{31}$$
#
# An integral weighted by $q$ is a mean under $q$:
#
# $$= \log\,\mathbb E_q\Bigl[\frac{p(x,z)}{q(z)}\Bigr] \tag{32}$$
#
# The logarithm is concave, strictly so: the log of a mean is at least the mean of the logs (Jensen's inequality):
#
# $$\ge \mathbb E_q\Bigl[\log\frac{p(x,z)}{q(z)}\Bigr] = \mathrm{ELBO}(q) \tag{33}$$
#
# Where is the loss? Log of mean and mean of log agree only if the ratio $p(x,z)/q(z)$ is one and the same number for
# all $z$ that $q$ draws. Then $q(z)\propto p(x,z)$, so $q$ is the posterior. The three ways agree on that, too.
#
# Three ways to write one number; you need each of them later:
#
# $$\mathrm{ELBO}(q) = \mathbb E_q[\log p(x\mid z)] - \mathrm{KL}(q\,\Vert\,p(z)) = \mathbb E_q[\log p(x,z)] + H(q) = \log p(x) - \mathrm{KL}(q\,\Vert\,p(z\mid x)) \tag{34}$$

# %%
# Equations (30) to (34): the third way
verify_equation(30, log_px, torch.trapezoid(log_joint_z.exp(), z_grid).log())
ratio = (log_joint_z - log_qz).exp()
verify_equation(31, log_px, torch.trapezoid(log_qz.exp() * ratio, z_grid).log())
verify_equation(32, log_px, under_q(ratio).log())
verify_equation(33, under_q(log_joint_z - log_qz), under_q(ratio).log(), relation="<=")
verify_equation(34, toy_elbo, under_q(log_joint_z) + q.entropy(), log_px - gap)

# %% [markdown]
# ### Exercise: `elbo_discrete` · ●○○ · 4 minutes · 1 point
#
# The ELBO where $z$ takes $Z$ values and $x$ is fixed. The joint is then a table over $z$. It does not sum to 1: its
# sum is $p(x)$.


# %% exercise="elbo_discrete"
def elbo_discrete(p_xz, q):
    """ELBO(q) = sum_z q(z) [log p(x, z) - log q(z)] for one observed x, in nats.

    Args:
        p_xz: (Z,), the joint p(x, z) at the observed x, for every z; non-negative, sums to p(x),
            not to 1.
        q: (Z,), a distribution over z, sums to 1. Same dtype.

    Returns:
        a scalar of that dtype. Entries with q = 0 count 0, also where p_xz = 0; one entry with
        q > 0 and p_xz = 0 makes the result -inf. Nothing is clipped.
    """
    ### BEGIN SOLUTION
    terms = q * (p_xz.log() - q.log())
    return torch.where(q > 0, terms, torch.zeros_like(q)).sum()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Second form in (29). A mean under a table is a weighted sum.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The zeros are those of `kl_discrete`: a $z$ that $q$ never draws contributes nothing. A $z$ that $q$ draws although it
# cannot have made $x$ sends the ELBO to $-\infty$.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Write the term of (29) for every z at once; guard it with `torch.where` as in `kl_discrete`. Do not normalise `p_xz`.
#
# </details>

# %% checks="elbo_discrete"
# Checks of elbo_discrete
p_xz = torch.tensor([0.10, 0.05, 0.25], dtype=f64)  # p(x) = 0.4
expect(
    elbo_discrete(p_xz, p_xz / p_xz.sum()),
    math.log(0.4),
    "elbo_discrete: at the posterior the ELBO is log p(x)",
    hint="the mean under q of log p(x, z) - log q(z)",
)
uniform = torch.full((3,), 1 / 3, dtype=f64)
expect(
    elbo_discrete(p_xz, uniform),
    p_xz.log().mean() + math.log(3),
    "elbo_discrete: uniform q: mean log joint plus the entropy log 3",
    hint="the entropy enters with a plus sign",
)
expect(
    elbo_discrete(p_xz, torch.tensor([0.0, 1.0, 0.0], dtype=f64)),
    math.log(0.05),
    "elbo_discrete: q on one z: the log joint there",
    hint="0 * log 0: guard the entries where q is 0",
)
impossible = torch.tensor([0.4, 0.0, 0.0], dtype=f64)
expect(
    elbo_discrete(impossible, uniform),
    -math.inf,
    "elbo_discrete: q draws a z that cannot have made x: -inf",
    hint="q > 0 where p is 0 gives -inf: only entries with q = 0 are guarded",
)

# %% [markdown]
# ### Exercise: `elbo_gap_discrete` · ●●○ · 4 minutes · 2 points
#
# What is missing from the ELBO to $\log p(x)$.


# %% exercise="elbo_gap_discrete"
def elbo_gap_discrete(p_xz, q):
    """log p(x) - ELBO(q) = KL(q || p(z given x)), in nats.

    Args:
        p_xz, q: (Z,), as for elbo_discrete; p_xz has a positive sum.

    Returns:
        a scalar, >= 0 up to rounding; 0 where q is the posterior, +inf where the ELBO is -inf.
    """
    ### BEGIN SOLUTION
    return kl_discrete(q, p_xz / p_xz.sum())
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# (29) names the gap. You have a function for it.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The gap is a KL to the posterior, and the posterior is the joint divided by its sum. Mind the order of the two
# arguments: the mean is taken under $q$.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# One call of `kl_discrete`. The sum of the joint is $p(x)$, and the joint divided by it is the posterior.
#
# </details>

# %% checks="elbo_gap_discrete"
# Checks of elbo_gap_discrete
expect(
    elbo_gap_discrete(p_xz, p_xz / p_xz.sum()),
    0.0,
    "elbo_gap_discrete: no gap at the posterior",
    hint="the gap is a KL: from q to the posterior, which sums to 1",
)
for share in ([0.2, 0.3, 0.5], [0.9, 0.1, 0.0]):
    q_any = torch.tensor(share, dtype=f64)
    expect(
        elbo_discrete(p_xz, q_any) + elbo_gap_discrete(p_xz, q_any),
        math.log(0.4),
        f"elbo_gap_discrete: ELBO + gap = log p(x) for q = {share}",
        hint="under which of the two distributions is the mean taken?",
    )
expect(
    elbo_gap_discrete(impossible, uniform),
    math.inf,
    "elbo_gap_discrete: the gap is infinite where the ELBO is -inf",
    hint="a KL is infinite where q puts mass and the posterior does not",
)

# %% [markdown]
# ### Find the error: five lines of a slide
#
# A lecture deck derives the ELBO as in the first way. These are its steps, with its own reasons:
#
# * (a) $\log p(x) = \mathbb E_q[\log p(x)]$ — "does not depend on $z$"
# * (b) $= \mathbb E_q\bigl[\log\frac{p(x\mid z)p(z)}{p(z\mid x)}\bigr]$ — "Bayes' rule"
# * (c) $= \mathbb E_q\bigl[\log\frac{p(x\mid z)p(z)}{p(z\mid x)}\frac{q(z\mid x)}{q(z\mid x)}\bigr]$ — "multiply by
#   constant"
# * (d)
#   $= \mathbb E_q[\log p(x\mid z)] - \mathbb E_q\bigl[\log\frac{q(z\mid x)}{p(z)}\bigr] + \mathbb E_q\bigl[\log\frac{q(z\mid x)}{p(z\mid x)}\bigr]$
#   — "logarithms"
# * (e) $= \mathbb E_q[\log p(x\mid z)] - \mathrm{KL}(q(z\mid x)\,\Vert\,p(z))$
#
# One of the five "=" is wrong. Which? And for which $q$ would it be right after all? Let your functions decide, on the
# one-dimensional mixture: $x = -0.9$ lies between the bumps, $z$ says which bump it came from, and $q = (1 - r,\ r)$.

# %% predict="my_suspect"
my_suspect = "c"  # your prediction: a, b, c, d or e

# %% tags=["experiment"]
# Experiment: each line of the slide, on numbers
point = torch.tensor(-0.9, dtype=f64)
bump = Normal(torch.tensor([-2.0, 1.5], dtype=f64), torch.tensor([0.3, 0.6], dtype=f64))
p_bumps = torch.tensor([0.3, 0.7], dtype=f64) * bump.log_prob(point).exp()
truth = exact.MIXTURE_1D.log_prob(point.reshape(1, 1)).item()  # log p(x), it does not know of any q
r = torch.linspace(0, 1, 201, dtype=f64)
candidates = torch.stack([1 - r, r], 1)
line_e = torch.stack([elbo_discrete(p_bumps, c) for c in candidates])
line_d = line_e + torch.stack([elbo_gap_discrete(p_bumps, c) for c in candidates])
print(f"log p(x) = {truth:.4f}")
for i in (20, 49, 100, 180):
    print(f"q = ({1 - r[i]:.3f}, {r[i]:.3f}): line (d) {line_d[i]:.4f}, line (e) {line_e[i]:.4f}")
wrong = (
    "e"
    if (line_e - truth).abs().max() > 1e-6 and (line_d - truth).abs().max() < 1e-6
    else "another"
)
print(f"you suspected line ({my_suspect}); the line that moves with q is ({wrong})")

at_top = r[line_e.argmax()]
fig, ax = plots.figure(width=6.4, height=3.6)
plots.curve(r, line_e, "bound", ax=ax, label="line (e), the ELBO")
ax.axhline(
    truth,
    color=plots.COLOR["exact"],
    linestyle="--",
    linewidth=1.6,
    label="log p(x)" + (", and line (d)" if wrong == "e" else ""),
)
ax.fill_between(
    r,
    line_e,
    truth,
    color=plots.COLOR["posterior"],
    alpha=0.15,
    label="gap: KL from q to the posterior",
)
ax.set(xlabel="q's probability r of the right-hand bump", ylabel="nats")
ax.set_title(f"Line (e) peaks at r = {at_top:.3f}, {truth - line_e.max():.4f} nats below log p(x)")
ax.legend(loc="lower left")
plots.show(
    fig,
    alt="Line (e) against r, beside the constant log p(x).",
)

# %% [markdown]
# $\log p(x)$ is one number; a right side that moves with $q$ cannot equal it. The error is (e): from (d) to (e) the
# slide drops the third term, $\mathrm{KL}(q\,\Vert\,p(z\mid x))$, and keeps the "=". It must read $\ge$. The one $q$
# for which "=" is right is the posterior, where your curve touches the dashed line.

# %% [markdown]
# ### Exercise: `elbo_monte_carlo` · ●○○ · 5 minutes · 2 points
#
# For images, the mean under $q$ is estimated from $K$ draws, as (12) was. There is one difference that makes all the
# difference: now the $z_k$ come from $q$, where they matter.


# %% exercise="elbo_monte_carlo"
def elbo_monte_carlo(log_px_given_z, log_pz, log_qz):
    """Monte Carlo estimate of the ELBO, in nats.

    (1/K) sum_k [log p(x given z_k) + log p(z_k) - log q(z_k)], with z_k drawn from q.

    Args:
        log_px_given_z, log_pz, log_qz: (K, B) each: K samples for each of B examples, which have
            their own q and so their own samples.

    Returns:
        (B,), same dtype; -inf where a sample has log_px_given_z = -inf. Differentiable in all three.
    """
    ### BEGIN SOLUTION
    return (log_px_given_z + log_pz - log_qz).mean(0)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Second form in (29), with $\log p(x,z) = \log p(x\mid z) + \log p(z)$.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The samples come from $q$ already, so $\mathbb E_q$ is the plain average over them: no further weights. And it is a
# mean of logarithms, not the logarithm of a mean.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Add the first two tensors, subtract the third, take `.mean(...)` along the axis of the samples.
#
# </details>

# %% checks="elbo_monte_carlo"
# Checks of elbo_monte_carlo
tables = [
    torch.tensor(rows, dtype=f64)
    for rows in (
        [[-3.0, -2.0], [-5.0, 0.0]],
        [[-1.0, -1.0], [-2.0, -1.0]],
        [[0.5, 0.0], [-0.5, 1.0]],
    )
]
expect(
    elbo_monte_carlo(*tables),
    torch.tensor([-5.5, -2.5], dtype=f64),
    "elbo_monte_carlo: two samples, two examples, by hand",
    hint="log p(x|z) + log p(z) - log q(z) for each sample, then a plain mean over the samples alone",
)
generator = torch.Generator().manual_seed(7)
z = q.mean + q.stddev * torch.randn(40_000, 1, dtype=f64, generator=generator)
terms = Normal(z**2, 0.5).log_prob(x_seen), prior.log_prob(z), q.log_prob(z)
expect(
    elbo_monte_carlo(*terms),
    toy_elbo.reshape(1),
    "elbo_monte_carlo: near the ELBO of the small model, as integrated on the grid",
    atol=0.05,
    hint="the samples come from q: no further weights, and no logarithm of a mean",
)

# %% [markdown]
# **Predict, then run.** Back to the companion digit under pPCA with $J = 8$. There we know $\log p(x)$ and the
# posterior, so we can start from the best $q$ and leave it on purpose: push the mean away by $d$ posterior standard
# deviations, or make all widths $s$ times as large. How many nats does the ELBO lose at $d = 2$? And how much does
# its estimate fluctuate at $d=0$?

# %% predict="my_loss"
my_loss = 1.0  # your prediction: nats lost at d = 2

# %% tags=["experiment"]
# Experiment: what a wrong q costs
linear = exact.LinearVAE.fit(train, 8)
mean, cov = ppca_posterior(digit, linear.W, linear.b, linear.sigma2)
root = torch.linalg.cholesky(cov)
truth = linear.log_evidence(digit).item()
# A unit vector: d times it is d posterior standard deviations.
direction = torch.full((8,), 8**-0.5, dtype=f64)
logvar = torch.tensor(math.log(linear.sigma2), dtype=f64)
zero = torch.zeros((), dtype=f64)


def leave(d, s, K=1000):
    """Estimated ELBO, its standard error, and the exact ELBO, for q = N(mean + d root direction, s^2 cov)."""
    eps = torch.randn(K, 1, 8, dtype=f64, generator=torch.Generator().manual_seed(8))
    away, spread = mean + d * root @ direction, s**2 * cov
    z = away + s * eps @ root.T  # (K, 1, 8)
    log_ratio = (
        log_normal(digit, z @ linear.W.T + linear.b, logvar), log_normal(z, zero, zero),
        MultivariateNormal(away, spread).log_prob(z),
    )  # fmt: skip
    error = (log_ratio[0] + log_ratio[1] - log_ratio[2]).std() / K**0.5
    return (
        elbo_monte_carlo(*log_ratio).item(),
        error.item(),
        truth - gaussian_kl_full(away, spread, mean, cov).item(),
    )


moves, widths = torch.linspace(0, 4, 17).tolist(), torch.logspace(-0.7, 0.5, 19, base=10).tolist()
fig, axes = plots.figure(1, 2, width=9.6, height=3.5)
for ax, values, runs in [
    (axes[0], moves, [leave(d, 1.0) for d in moves]),
    (axes[1], widths, [leave(0.0, s) for s in widths]),
]:
    estimate, error, closed = (
        torch.tensor(column, dtype=f64) for column in zip(*runs, strict=True)
    )
    plots.curve(
        values,
        estimate,
        "bound",
        error=error,
        ax=ax,
        label="your ELBO, 1000 samples",
        marker="o",
        markersize=3.5,
    )
    plots.curve(values, closed, "exact", ax=ax, label="log p(x) - KL, exact")
    ax.axhline(truth, color=plots.COLOR["data"], linewidth=1.2, label="log p(x)")
    ax.set_ylabel("nats")
    expect(
        ((estimate - closed).abs() <= 5 * error + 1e-9).all(),
        True,
        "estimate and closed form agree within their errors",
    )
plots.guess(axes[0], y=truth - my_loss, label="your prediction for d = 2")
lost = truth - leave(2.0, 1.0)[2]
axes[0].set(
    xlabel="mean off by d standard deviations",
    title=f"d = 2 costs {lost:.2f} nats" + (": half of d squared" if abs(lost - 2) < 0.01 else ""),
)
axes[0].plot(2, truth - lost, "o", color=plots.COLOR["exact"], markersize=7, fillstyle="none")
axes[0].legend(loc="lower left")
axes[1].set(
    xlabel="widths s times too large",
    xscale="log",
    title=" and ".join(f"s = {s:g} costs {truth - leave(0.0, s)[2]:.2f}" for s in (0.5, 2.0)),
)
axes[1].set_xticks([0.2, 0.5, 1, 2, 3], ["0.2", "0.5", "1", "2", "3"])
axes[1].minorticks_off()
axes[1].get_legend().remove()
plots.show(
    fig,
    alt="ELBO of the digit as q leaves the posterior. Left: its mean is shifted. Right: its width is changed.",
)
at_posterior = leave(0.0, 1.0)
findings["ELBO lost when q is 2 standard deviations off"] = lost
print(
    f"at the posterior: ELBO {at_posterior[0]:.4f}, log p(x) {truth:.4f}, standard error {at_posterior[1]:.6f}"
)

# %% [markdown]
# Two things to take home. The loss is exactly the KL, $d^2/2$ for a shift. And at the posterior the estimate does not
# fluctuate at all: every sample gives the same number, $\log p(x)$, because the ratio in (33) is constant there.
# (On the left your curve may run a little beside the exact one: all its points share the same 1000 draws, so they err
# together.) Compare this with naive Monte Carlo: one well-placed sample against 100 000 badly placed ones.

# %% [markdown] written="elbo_proof" points=4
# ### Question: `elbo_proof` · ●●○ · 8 minutes · 4 points
#
# Close your eyes to the three derivations of section 4 and write down a proof that uses nothing but the inequality (5),
# $\log u\le u-1$ with equality only at $u=1$: neither Jensen's inequality nor "a KL is never negative".
#
# 1. Prove that $\mathrm{ELBO}(q)\le\log p(x)$ for every density $q(z)$ (one step per line, with a reason for each;
#    $q$ may be zero where the posterior is not).
# 2. Say exactly when equality holds, and prove that it does not hold otherwise.
# 3. In the small model with $x\mid z\sim\mathcal N(z^2, 0.5^2)$, $q$ runs over all Gaussians. Does the largest ELBO
#    over this family equal $\log p(x)$? Explain in one or two sentences.
#
# (LaTeX between dollar signs is typeset; plain text is fine.)
#
# ### BEGIN MARK SCHEME
# * **1 point**: sets up the difference $\mathrm{ELBO}(q)-\log p(x)$ as a single mean under $q$, e.g.
#   $\mathbb E_q\bigl[\log\frac{p(x,z)}{q(z)\,p(x)}\bigr] = \mathbb E_q\bigl[\log\frac{p(z\mid x)}{q(z)}\bigr]$,
#   saying that $\log p(x)$ is free of $z$ and $q$ integrates to 1.
# * **1 point**: applies $\log u\le u-1$ with $u=p(z\mid x)/q(z)$ where $q>0$, and bounds
#   $\int_{q>0}p(z\mid x)\,dz - 1\le 0$. Half a point if the region $q=0$ is overlooked ("$=1-1=0$" for every $q$).
# * **1 point**: equality iff $q(z)=p(z\mid x)$ (almost everywhere, or on all $z$ in the discrete case), with both
#   directions: the posterior gives equality, and equality forces $u=1$ wherever $q>0$ and no posterior mass where
#   $q=0$. Half a point for stating it with one direction only.
# * **1 point**: no, strictly smaller: the posterior has two bumps, so it is no Gaussian, no member of the family gives
#   equality, and the gap stays positive (about 0.74 nats; the number is not required).
# * Using Jensen or KL $\ge 0$ as a given, correctly, in place of (5): at most 2 of the first 3 points.
# ### END MARK SCHEME
# ### BEGIN SOLUTION
# **1.** All means are taken where $q(z)>0$.
#
# $\mathrm{ELBO}(q)-\log p(x) = \mathbb E_q\bigl[\log p(x,z)-\log q(z)\bigr]-\log p(x)$, by definition.
#
# $=\mathbb E_q\bigl[\log p(x,z)-\log q(z)-\log p(x)\bigr]$, because $\log p(x)$ does not depend on $z$ and $q$
# integrates to 1.
#
# $=\mathbb E_q\bigl[\log\frac{p(z\mid x)}{q(z)}\bigr]$, because $p(x,z)=p(z\mid x)\,p(x)$.
#
# $\le\mathbb E_q\bigl[\frac{p(z\mid x)}{q(z)}-1\bigr]$, by (5) with $u=p(z\mid x)/q(z)$ at every $z$ with $q(z)>0$.
#
# $=\int_{q>0}p(z\mid x)\,dz-1$, because the factor $q$ of the mean cancels.
#
# $\le 0$, because the posterior integrates to 1 over all $z$, and so to at most 1 over a part of them.
#
# **2.** If $q$ is the posterior then $u=1$ everywhere and both inequalities are equalities. Conversely, equality in
# the first needs $u=1$, that is $q(z)=p(z\mid x)$, for almost every $z$ with $q(z)>0$; equality in the second needs
# that the posterior has no mass where $q=0$. Together: $q(z)=p(z\mid x)$ for almost every $z$. (If $p(z\mid x)=0$ on
# a set with $q>0$, the ELBO is $-\infty$.)
#
# **3.** No. The posterior has two bumps, at about $\pm1.2$, so no Gaussian equals it; by 2. every Gaussian $q$ leaves
# a positive gap, and the best one leaves 0.74 nats: it settles on one bump and pays about $\log 2$ for the other.
# ### END SOLUTION

# %% [markdown]
# ## 5 · Further: the best q of a family
#
# The small model again, with its two-bump posterior. Drag $q$'s mean and width and watch the three terms. Questions
# to answer with the sliders: (1) What is the smallest gap you can reach, and why is it not zero? (2) Why is it worse
# to cover both bumps? (3) Switch the decoder to "z": can you close the gap now?


# %% tags=["experiment"]
# Drag: reconstruction, KL, ELBO and gap
def draw_terms(mean, width, decoder):
    """The posterior with q on the left; on the right how reconstruction, KL and gap add up."""
    f64 = torch.float64
    z = torch.linspace(-8, 8, 801, dtype=f64)
    prior = Normal(torch.zeros((), dtype=f64), torch.ones((), dtype=f64))
    q = Normal(torch.tensor(mean, dtype=f64), torch.tensor(width, dtype=f64))
    log_likelihood = Normal(z**2 if decoder == "z squared" else z, 0.5).log_prob(
        torch.tensor(1.5, dtype=f64)
    )
    log_joint = log_likelihood + prior.log_prob(z)
    log_px = torch.trapezoid(log_joint.exp(), z).log().item()
    weight = q.log_prob(z).exp()
    reconstruction = torch.trapezoid(weight * log_likelihood, z).item()
    kl = kl_divergence(q, prior).item()
    elbo = reconstruction - kl

    # A fixed layout is drawn in half the time.
    fig, axes = plots.figure(1, 2, width=8.0, height=3.0, layout="none")
    fig.subplots_adjust(left=0.07, right=0.98, bottom=0.17, top=0.89, wspace=0.48)
    shown = z.abs() <= 3
    axes[0].fill_between(
        z[shown],
        (log_joint[shown] - log_px).exp(),
        color=plots.COLOR["posterior"],
        alpha=0.3,
        label="posterior",
    )
    plots.curve(z[shown], prior.log_prob(z[shown]).exp(), "prior", ax=axes[0], label="prior")
    plots.curve(z[shown], weight[shown], "bound", ax=axes[0], label="q")
    axes[0].set(
        xlabel="z",
        ylabel="density",
        ylim=(0, 2),
        xticks=[-2, 0, 2],
        yticks=[0, 1, 2],
        title=f"decoder mean: {decoder}",
    )
    floor = -8.0
    bars = [
        ("reconstruction", 0.0, reconstruction, "data"), ("minus KL to prior", reconstruction, elbo, "prior"),
        ("gap", elbo, log_px, "posterior"),
    ]  # fmt: skip
    for row, (_, start, end, role) in enumerate(bars):
        low, high = max(min(start, end), floor), max(start, end, floor)
        axes[1].barh(row, high - low, left=low, height=0.6, color=plots.COLOR[role], alpha=0.75)
    axes[1].set_yticks(range(3), [f"{name}\n{end - start:+.2f}" for name, start, end, _ in bars])
    axes[1].axvline(
        log_px, color=plots.COLOR["exact"], linestyle="--", linewidth=1.6, label="log p(x)"
    )
    axes[1].axvline(max(elbo, floor), color=plots.COLOR["bound"], linewidth=2, label="ELBO")
    axes[1].legend(loc="lower left")
    axes[1].set(
        xlim=(floor, max(0.6, reconstruction + 0.2)),
        ylim=(2.6, -0.6),
        xticks=[-8, -6, -4, -2, 0],
        xlabel="nats",
    )
    axes[1].set_title(f"ELBO {elbo:.2f} + gap {log_px - elbo:.2f} = {log_px:.2f}")
    return fig, axes


widgets.explore(
    draw_terms,
    alt="Left: prior, two-bump posterior and a q that covers the right-hand bump. Right: bars for reconstruction, minus KL, "
    "and gap, which add up to log p(x).",
    mean=(-2.0, 2.0, 0.8),
    width=(0.05, 1.5, 0.4),
    decoder=["z squared", "z"],
)

# %% tags=["experiment"]
# Experiment: the best Gaussian q
means_q, widths_q = torch.linspace(-2, 2, 161, dtype=f64), torch.linspace(0.05, 1.5, 146, dtype=f64)
# (161, 146, 501), every eighth grid point.
log_w = Normal(means_q[:, None, None], widths_q[:, None]).log_prob(z_grid[::8])
gaps = torch.trapezoid(log_w.exp() * (log_w - log_posterior[::8]), z_grid[::8])
best = gaps[81:].argmin() + 81 * 146  # over the right bump: the left one is its mirror image
print(
    f"smallest gap of a Gaussian q: {gaps.min():.3f} nats, at mean {means_q[best // 146]:+.2f} and width {widths_q[best % 146]:.2f} "
    f"(and at minus that mean); log 2 = {math.log(2):.3f}"
)
print(f"covering both bumps, mean 0 and the best width for it: gap {gaps[80].min():.3f} nats")
findings["smallest gap of a Gaussian q with two bumps"] = gaps.min().item()

# %% [markdown]
# A Gaussian $q$ does best on *one* of the bumps. It then misses half of the posterior, which costs $\log 2$, plus a
# little because a bump is not quite Gaussian. Covering both bumps puts probability in the valley between them, where
# the posterior is almost zero, and the KL from $q$ punishes just that. A bound is only as good as the family that $q$
# is chosen from.

# %% [markdown]
# ## 6 · Further: the same bound for a whole data set
#
# So far $x$ was one image. Fitting means many, each with its own $q(z\mid x)$. Section 1 says: make
# $\mathrm{KL}(p_\text{data}\Vert p_\theta)$ small. (Where $x$ is continuous, read $p_\text{data}$ as the density that
# the examples were drawn from; means under it are estimated by averages over them.) We cannot, because $p_\theta(x)$ is out of reach. But the KL
# between *joints* is within reach.
#
# The model has a joint, $p_\theta(x,z)$. The data have only $x$, so **define** a joint for them: draw $x$ from the
# data, then $z$ from $q(z\mid x)$. Its density is $p_\text{data}(x)\,q(z\mid x)$. Compare the two joints, and split
# the model's as $p_\theta(x,z) = p_\theta(x)\,p_\theta(z\mid x)$:
#
# $$\mathrm{KL}\bigl(p_\text{data}(x)\,q(z\mid x)\,\Vert\,p_\theta(x,z)\bigr) = \mathbb E_{p_\text{data}}\mathbb E_{q}\Bigl[\log\frac{p_\text{data}(x)\;q(z\mid x)}{p_\theta(x)\;p_\theta(z\mid x)}\Bigr] \tag{35}$$
#
# Logarithm of a product; the first ratio does not contain $z$, so its mean under $q$ is itself:
#
# $$= \mathbb E_{p_\text{data}}\Bigl[\log\frac{p_\text{data}(x)}{p_\theta(x)}\Bigr] + \mathbb E_{p_\text{data}}\mathbb E_q\Bigl[\log\frac{q(z\mid x)}{p_\theta(z\mid x)}\Bigr] \tag{36}$$
#
# Both are KLs, by definition (this is the *chain rule* of the KL):
#
# $$= \mathrm{KL}\bigl(p_\text{data}(x)\,\Vert\,p_\theta(x)\bigr) + \mathbb E_{p_\text{data}}\bigl[\mathrm{KL}\bigl(q(z\mid x)\,\Vert\,p_\theta(z\mid x)\bigr)\bigr] \tag{37}$$
#
# The second is the mean gap, never negative. So the KL of the joints is an upper bound:
#
# $$\ge \mathrm{KL}\bigl(p_\text{data}(x)\,\Vert\,p_\theta(x)\bigr) \tag{38}$$
#
# And it can be computed up to a constant. In its definition, take $\log p_\text{data}(x)$ out; what is left of the
# ratio is the ELBO with its sign turned:
#
# $$\mathrm{KL}\bigl(p_\text{data}(x)\,q(z\mid x)\,\Vert\,p_\theta(x,z)\bigr) = -H(p_\text{data}) - \mathbb E_{p_\text{data}}\bigl[\mathrm{ELBO}(x)\bigr] \tag{39}$$
#
# Maximising the mean ELBO is minimising the KL of the joints: the picture of section 1, one storey higher.

# %%
# Equations (35) to (39): the bound for a whole data set
generator = torch.Generator().manual_seed(9)
# p_data(x) for four x; q(z | x) for three z.
data_table, q_table = (
    random_table(4),
    random_table(4, 3),
)
model_table = random_table(12).reshape(4, 3)  # p_theta(x, z)
model_x = model_table.sum(1)
model_posterior = model_table / model_x[:, None]
data_joint = data_table[:, None] * q_table

whole = kl_divergence(Categorical(data_joint.flatten()), Categorical(model_table.flatten()))
marginal = kl_divergence(Categorical(data_table), Categorical(model_x))
gap_per_x = kl_divergence(Categorical(q_table), Categorical(model_posterior))  # (4,)
mean_log_ratio_x = data_table @ (data_table / model_x).log()
mean_log_ratio_z = torch.einsum("xz,xz->", data_joint, (q_table / model_posterior).log())
split = (data_table[:, None] * q_table).log() - (model_x[:, None] * model_posterior).log()
verify_equation(35, whole, torch.einsum("x,xz,xz->", data_table, q_table, split))
verify_equation(36, whole, mean_log_ratio_x + mean_log_ratio_z)
verify_equation(37, whole, marginal + data_table @ gap_per_x)
verify_equation(38, marginal, whole, relation="<=")
bound_per_x = model_x.log() - gap_per_x  # the ELBO of each x, third form of (34)
verify_equation(39, whole, -Categorical(data_table).entropy() - data_table @ bound_per_x)

# %% [markdown]
# ### Find the error: a way to the same bound
#
# Another deck obtains the bound (38), too, but on the way it argues: *"according to $q_\phi(z\mid x)\to p(z\mid x)$
# we have $p(x,z) = p(z\mid x)\,p(x) \approx q_\phi(z\mid x)\,p(x)$"*. Read literally, (37) and (38) would then hold
# approximately, for a $q$ that is already good, and should break for a bad one.
#
# **Predict, then run.** Draw 500 random models and random, mostly terrible $q$. By how much will (37) be off in the
# worst case? How often will (38) fail?

# %% predict="my_worst"
my_worst, my_failures = 0.1, 100  # your predictions: nats, and a count out of 500

# %% tags=["experiment"]
# Experiment: the approximation on 500 random models
generator = torch.Generator().manual_seed(10)
off, excess, badness = [], [], []
for _ in range(500):
    p_x, q_z = random_table(4), random_table(4, 3, sharpness=3.0)
    joint_model = random_table(12, sharpness=2.0).reshape(4, 3)
    evidence = joint_model.sum(1)
    joint_kl = kl_discrete((p_x[:, None] * q_z).flatten(), joint_model.flatten())
    marginal_kl = kl_discrete(p_x, evidence)
    gaps_x = torch.stack([elbo_gap_discrete(joint_model[i], q_z[i]) for i in range(4)])
    off.append(joint_kl - marginal_kl - p_x @ gaps_x)
    excess.append(joint_kl - marginal_kl)
    badness.append(p_x @ gaps_x)
off, excess, badness = torch.stack(off), torch.stack(excess), torch.stack(badness)
fails = int((excess < -1e-12).sum())
print(
    f"mean gap KL(q || posterior): {badness.mean():.2f} nats on average, {badness.max():.2f} at worst: these q are bad"
)
print(f"you predicted (37) off by {my_worst} nats and {my_failures} failures of (38)")
size = "less" if off.abs().max() < 1e-12 else "more"
print(f"found: (37) off by {size} than 1e-12 nats; (38) fails {fails} times in 500")
expect(
    bool(off.abs().max() < 1e-12) and fails == 0,
    True,
    "(37) and (38) hold for every q, good or bad",
)
findings["failures of the joint-KL bound in 500 bad cases"] = fails

# %% [markdown]
# There is no approximation to be made. The deck's $p(x,z)$ is meant as a true joint of data and latent, but nobody
# ever observes $z$: the data *have* no joint. We choose one, and $p_\text{data}(x)\,q(z\mid x)$ is our choice. From
# then on every line is an equality, for every $q$. What a bad $q$ costs is a loose bound, never a wrong one.

# %% [markdown]
# ## 7 · Further: EM, climbing the ELBO
#
# The ELBO depends on two things, $q$ and $\theta$. So improve one at a time: this is the **EM algorithm** (Dempster,
# Laird and Rubin, 1977), seen as Neal and Hinton (1998) taught to see it. Our model is a mixture of $K$ Gaussians
# with diagonal covariance: $z\in\{1,\dots,K\}$, prior $p(z=k) = \pi_k$ (the *weights*), and
# $x\mid z=k\sim\mathcal N(\mu_k, \mathrm{diag}(v_k))$ with variances $v_{kd}$ for the coordinates $d = 1, \dots, D$.
# For the $n$-th example, write $r_{nk}$ for $q(z=k\mid x_n)$, the *responsibility* of component $k$ for $x_n$. The mean ELBO
# over the data is, by (29),
#
# $$F(r,\theta) = \frac1N\sum_{n=1}^N\sum_{k=1}^K r_{nk}\bigl[\log\pi_k + \log\mathcal N(x_n;\mu_k,\mathrm{diag}(v_k)) - \log r_{nk}\bigr] \tag{40}$$
#
# and, for every example, log-likelihood minus gap:
#
# $$F(r,\theta) = \frac1N\sum_{n=1}^N\log p_\theta(x_n) - \frac1N\sum_{n=1}^N\mathrm{KL}\bigl(r_n\,\Vert\,p_\theta(z\mid x_n)\bigr) \tag{41}$$
#
# **E step: the best $r$ for fixed $\theta$.** In (41) the first term is free of $r$ and the second is at best 0. So
# take the posterior. With $K$ values of $z$, Bayes' rule needs no integral, only a sum over $K$.
#
# **M step: the best $\theta$ for fixed $r$.** In (40) set derivatives to zero. Only the terms with $\theta$ matter:
#
# $$\frac{\partial F}{\partial\mu_{kd}} = \frac1N\sum_n r_{nk}\,\frac{x_{nd}-\mu_{kd}}{v_{kd}} \tag{42}$$
#
# $$\frac{\partial F}{\partial v_{kd}} = \frac1N\sum_n \frac{r_{nk}}{2}\Bigl[\frac{(x_{nd}-\mu_{kd})^2}{v_{kd}^2} - \frac1{v_{kd}}\Bigr] \tag{43}$$
#
# $$\frac{\partial F}{\partial\pi_k} = \frac1N\sum_n\frac{r_{nk}}{\pi_k} \tag{44}$$
#
# The weights must sum to 1. If the derivative (44) were larger for one $k$ than for another, moving a little weight
# from the other to that one would raise $F$; so at the best weights (44) has the same value for all $k$. (That value
# is called a Lagrange multiplier.) Solving the three conditions is yours to do in `m_step`.

# %%
# Equations (40) to (44): one E step and one M step
line_x = data.mixture_1d(500, device="cpu").double()  # (500, 1), the companion


def mixture_elbo(x, r, weights, means, variances):
    """F(r, theta) of equation (40): x (N, D), r (N, K), weights (K,), means and variances (K, D) -> scalar."""
    log_joint = weights.log() + Normal(means, variances.sqrt()).log_prob(x[:, None]).sum(-1)
    return (torch.einsum("nk,nk->n", r, log_joint) + Categorical(r).entropy()).mean()


def mixture_log_prob(x, weights, means, variances):
    """log p(x) of the mixture, exact: (N, D) -> (N,)."""
    return exact.GaussianMixture(weights, means, torch.diag_embed(variances)).log_prob(x)


generator = torch.Generator().manual_seed(11)
theta_any = [
    t.requires_grad_()
    for t in (
        random_table(2),
        torch.randn(2, 1, dtype=f64, generator=generator),
        0.5 + random_table(2, 1),
    )
]
r_any = random_table(500, 2)
F = mixture_elbo(line_x, r_any, *theta_any)
slope_weights, slope_means, slope_variances = torch.autograd.grad(F, theta_any)
weights, means, variances = (t.detach() for t in theta_any)

# (500, 2), p(x, z)
density = weights * Normal(means, variances.sqrt()).log_prob(line_x[:, None]).sum(-1).exp()
verify_equation(40, F, (r_any * (density / r_any).log()).sum() / 500)
log_px_any = mixture_log_prob(line_x, weights, means, variances)
log_likelihood = log_px_any.mean()
# The posterior's log by (13)
gap_any = (r_any * (r_any.log() - density.log() + log_px_any[:, None])).sum(1)
verify_equation(41, F, log_likelihood - gap_any.mean())
apart = line_x[:, None] - means  # (500, 2, 1)
verify_equation(42, slope_means, (r_any[..., None] * apart / variances).mean(0))
verify_equation(
    43, slope_variances, (r_any[..., None] / 2 * (apart**2 / variances**2 - 1 / variances)).mean(0)
)
verify_equation(44, slope_weights, (r_any / weights).mean(0))

# %% [markdown]
# ### Exercise: `e_step` · ●●○ · 8 minutes · 2 points
#
# The posterior of $z$ for every example, by Bayes' rule, safe where all densities underflow.


# %% exercise="e_step"
def e_step(x, weights, means, variances):
    """Responsibilities r[n, k] = p(z = k given x_n) in a mixture of diagonal Gaussians.

    p(z = k) = weights[k], x given z = k ~ N(means[k], diag(variances[k])).

    Args:
        x: (B, D). weights: (K,), sums to 1, entries may be 0.
        means, variances: (K, D), variances positive. All of one dtype.

    Returns:
        (B, K), same dtype, every row sums to 1, also far from every mean and with variances of
        1e-10; 0 where a weight is 0, even for a point that no other component comes near.
    """
    ### BEGIN SOLUTION
    log_joint = weights.log() + log_normal(x[:, None], means, variances.log())
    return log_joint.softmax(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Bayes' rule divides $\pi_k\,\mathcal N(x;\mu_k,\mathrm{diag}(v_k))$ by its sum over $k$. Far from every mean each of
# these numbers is 0 in floating point, and $0/0$ is `nan`. What did `log_mean_exp` teach?
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Work with $\ell_k = \log\pi_k + \log\mathcal N(x;\dots)$. You want $e^{\ell_k}/\sum_j e^{\ell_j}$, and PyTorch has a
# stable function with exactly this definition. The log of a weight 0 is `-inf`, and its responsibility comes out as 0.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `log_normal(x[:, None], means, variances.log())` is (B, K). Add `weights.log()`, then `.softmax(...)` along the
# components.
#
# </details>

# %% checks="e_step"
# Checks of e_step
centre = torch.tensor([[-2.0], [1.5]], dtype=f64)
thirty = torch.tensor([0.3, 0.7], dtype=f64)
unit = torch.ones(2, 1, dtype=f64)
middle = torch.tensor([[-0.25]], dtype=f64)  # as far from one mean as from the other
expect(
    e_step(middle, thirty, centre, unit),
    thirty[None],
    "e_step: half way between equal bumps the prior decides",
    hint="every point meets every component; weight times density, divided by the sum over components",
)
odds = e_step(line_x[:5], thirty, centre, unit)
expect(
    (odds[:, 1] / odds[:, 0]).log(),
    3.5 * line_x[:5, 0] + 0.875 + math.log(7 / 3),
    "e_step: log odds are linear in x for equal variances",
    hint="the weights enter by their logarithms; which argument does log_normal want, variances or their logarithms?",
)
lost_point = torch.tensor([[1e4]], dtype=f64)
expect(
    e_step(lost_point, thirty, centre, unit),
    torch.tensor([[0.0, 1.0]], dtype=f64),
    "e_step: stable ten thousand units away",
    hint="work with logarithms and softmax: the densities underflow",
)
expect(
    e_step(middle, torch.tensor([0.0, 1.0], dtype=f64), centre, unit),
    torch.tensor([[0.0, 1.0]], dtype=f64),
    "e_step: weight 0, responsibility 0",
    hint="log 0 is -inf, and softmax turns it into 0",
)
best_r = e_step(line_x, weights, means, variances)
expect(
    mixture_elbo(line_x, best_r, weights, means, variances),
    log_likelihood,
    "e_step: after the E step the ELBO equals the log-likelihood",
    hint="each row sums to 1, and so the gap is 0",
)
one_mean = torch.zeros(2, 1, dtype=f64)
expect(
    e_step(
        one_mean[:1],
        torch.full((2,), 0.5, dtype=f64),
        one_mean,
        torch.tensor([[1.0], [4.0]], dtype=f64),
    ),
    torch.tensor([[2 / 3, 1 / 3]], dtype=f64),
    "e_step: at a common mean the narrower of two bumps is the higher",
    hint="the normaliser of each Gaussian has its own variance in it",
)

# %% [markdown]
# ### Exercise: `m_step` · ●●○ · 10 minutes · 2 points
#
# Set (42) and (43) to zero, make (44) equal for all $k$, solve, and return the three.


# %% exercise="m_step"
def m_step(x, responsibilities):
    """The parameters of a mixture of diagonal Gaussians that maximise (40), responsibilities fixed.

    Args:
        x: (B, D). responsibilities: (B, K), rows sum to 1, every component has a positive total.

    Returns:
        weights (K,), means (K, D), variances (K, D), the exact maximisers: no floor under the
        variances, no constant beside a total, which may be 1e-12. Dtype of x.
    """
    ### BEGIN SOLUTION
    totals = responsibilities.sum(0)  # (K,)
    weights = totals / len(x)
    means = responsibilities.T @ x / totals[:, None]
    squares = (x[:, None] - means) ** 2  # (B, K, D)
    variances = (responsibilities[..., None] * squares).sum(0) / totals[:, None]
    return weights, means, variances
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Set (42) to zero. $v_{kd}$ and $N$ cancel, and what is left says: $\mu_{kd}$ is a weighted mean. Write
# $N_k=\sum_n r_{nk}$.
#
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# (43): multiply by $2v_{kd}^2$; the variance is the weighted mean of squared distances from the *new* mean. (44):
# $N_k/\pi_k$ is the same for all $k$, and the weights sum to 1. No $N_k - 1$ anywhere: this is maximum likelihood.
#
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `totals = responsibilities.sum(0)` are the $N_k$. A weighted sum over the examples is a product with `responsibilities.T`; for
# the variances make the squared distances (B, K, D), weigh them by `responsibilities[..., None]`, and sum over the examples.
#
# </details>

# %% checks="m_step"
# Checks of m_step
cloud = torch.randn(30, 2, dtype=f64, generator=torch.Generator().manual_seed(12))
hard = torch.zeros(30, 2, dtype=f64)
hard[:10, 0] = hard[10:, 1] = 1
groups = [cloud[:10], cloud[10:]]
found = m_step(cloud, hard)
expect(
    len(found),
    3,
    "m_step: returns weights, means and variances",
    hint="three tensors, in this order",
)
expect(
    found[0],
    torch.tensor([1 / 3, 2 / 3], dtype=f64),
    "m_step: hard assignments: the weights are the shares of the two groups",
    hint="weights are shares of the data: they sum to 1",
)
expect(
    found[1],
    torch.stack([g.mean(0) for g in groups]),
    "m_step: hard assignments: the means of the two groups",
    hint="divide each component's sum by what that component got in all: a total for each row of the means",
)
expect(
    found[2],
    torch.stack([g.var(0, correction=0) for g in groups]),
    "m_step: hard assignments: the variances of the two groups",
    hint="squared distances from the component's own new mean, divided by its total; no square root",
)
new = [t.clone().requires_grad_() for t in m_step(line_x, r_any)]
slope_weights, slope_means, slope_variances = torch.autograd.grad(
    mixture_elbo(line_x, r_any, *new), new
)
expect(
    slope_means,
    torch.zeros(2, 1, dtype=f64),
    "m_step: (42) is zero for soft responsibilities, too",
    hint="the new mean is an average with the responsibilities as weights",
)
expect(
    slope_variances,
    torch.zeros(2, 1, dtype=f64),
    "m_step: (43) is zero",
    hint="the new variance is taken around the new mean",
)
expect(
    slope_weights[0],
    slope_weights[1],
    "m_step: (44) is the same for all components",
    hint="weights are shares of the data: they sum to 1",
)
alone = torch.zeros(30, 2, dtype=f64)
alone[0, 0] = alone[1:, 1] = 1
expect(
    m_step(cloud, alone)[2][0],
    torch.zeros(2, dtype=f64),
    "m_step: a component with one point has variance 0",
    hint="nothing is added and nothing is clipped",
)

# %% [markdown]
# **Why EM cannot go down.** Let $r$ be the responsibilities after the E step at $\theta_\text{old}$. The gap is zero
# there; the M step raises $F$; and at $\theta_\text{new}$ the bound is still a bound:
#
# $$\tfrac1N\textstyle\sum_n\log p_{\theta_\text{old}}(x_n) = F(r,\theta_\text{old}) \;\le\; F(r,\theta_\text{new}) \;\le\; \tfrac1N\sum_n\log p_{\theta_\text{new}}(x_n) \tag{45}$$
#
# **Predict, then run.** Fit two components to the 500 points of the companion, starting badly on purpose. You know
# the true density they were drawn from. Will the fitted model's total log-likelihood on these points end below that
# of the true model, or above, and by how many nats?

# %% predict="my_advantage"
my_advantage = -1.0  # your prediction: fitted minus true, in nats over all 500 points

# %% tags=["experiment"]
# Experiment: EM on the line, and equation (45)
theta = (
    torch.tensor([0.5, 0.5], dtype=f64),
    torch.tensor([[0.0], [0.5]], dtype=f64),
    torch.ones(2, 1, dtype=f64),
)
before, after_e, after_m, likelihood = [], [], [], []
for _ in range(16):
    before.append(mixture_log_prob(line_x, *theta).mean())
    r = e_step(line_x, *theta)
    after_e.append(mixture_elbo(line_x, r, *theta))
    theta = m_step(line_x, r)
    after_m.append(mixture_elbo(line_x, r, *theta))
    likelihood.append(mixture_log_prob(line_x, *theta).mean())
before, after_e, after_m, likelihood = (
    torch.stack(v) for v in (before, after_e, after_m, likelihood)
)
verify_equation(45, before, after_e)
verify_equation(45, after_e, after_m, likelihood, relation="<=")

true_log_likelihood = exact.MIXTURE_1D.log_prob(line_x)
advantage = 500 * (likelihood[-1] - true_log_likelihood.mean()).item()
better = "beats" if advantage > 0 else "falls short of"
stairs = torch.stack([after_e, after_m], 1).flatten()  # E, M, E, M, ...
climbs = bool((stairs.diff() > -1e-9).all())
half_steps = torch.arange(len(stairs)) / 2
fig, axes = plots.figure(1, 2, width=9.6, height=3.5)
plots.curve(half_steps, stairs, "bound", ax=axes[0], drawstyle="steps-post", label="ELBO")
axes[0].plot(
    half_steps[::2],
    after_e,
    "o",
    color=plots.COLOR["posterior"],
    markersize=5,
    label="after an E step: no gap",
)
axes[0].plot(
    half_steps[1::2],
    after_m,
    "s",
    color=plots.COLOR["model"],
    markersize=4,
    label="after an M step",
)
axes[0].axhline(
    true_log_likelihood.mean(),
    color=plots.COLOR["exact"],
    linestyle="--",
    linewidth=1.6,
    label="true density",
)
axes[0].legend(loc="lower right")
axes[0].set(
    xlabel="iteration",
    ylabel="nats per point",
    title="Every half step goes up" if climbs else "Some half steps go down",
)
line = torch.linspace(-4, 4, 400, dtype=f64)[:, None]
axes[1].hist(
    line_x.flatten().numpy(),
    40,
    density=True,
    color=plots.COLOR["data"],
    alpha=0.35,
    label="500 points",
)
plots.curve(line[:, 0], mixture_log_prob(line, *theta).exp(), "model", ax=axes[1], label="EM")
plots.curve(
    line[:, 0], exact.MIXTURE_1D.log_prob(line).exp(), "exact", ax=axes[1], label="true density"
)
axes[1].set(
    xlabel="x",
    ylabel="density",
    title=f"On its own data EM {better} the truth by {abs(advantage):.2f} nats",
)
plots.show(
    fig,
    alt="Left: the ELBO after each E and each M step. Right: the fitted density, the true one and the points.",
)
print(f"weights {theta[0][0]:.3f} {theta[0][1]:.3f}; means {theta[1][0, 0]:.2f} {theta[1][1, 0]:.2f}; "
      f"standard deviations {theta[2][0, 0].sqrt():.2f} {theta[2][1, 0].sqrt():.2f}")  # fmt: skip
print(f"you predicted {my_advantage:+.2f} nats; fitted minus true is {advantage:+.2f}")
findings["EM minus truth on the 500 points"] = advantage

# %% [markdown]
# Above, not below. Among all mixtures of two Gaussians, EM sought the one most likely to have made *these* 500
# points; the true one is merely one candidate. That is overfitting in its mildest form. It is the reason why you
# compare models on test data.
#
# ### Find the error: a slide's M step
#
# A deck closes its section on EM with this M step:
#
# $$\theta \leftarrow \arg\max_\theta\ \mathbb E_{z\sim p_\theta(z\mid x)}\bigl[\log p_\theta(x,z)\bigr]$$
#
# Compare with (40) and (45). What is wrong? (The mean over the data is missing as well, but that is only
# carelessness.) To see what the slide's recipe computes, write
# $\log p_\theta(x,z) = \log p_\theta(x) + \log p_\theta(z\mid x)$ and take the mean under the posterior:
#
# $$\mathbb E_{z\sim p_\theta(z\mid x)}\bigl[\log p_\theta(x,z)\bigr] = \log p_\theta(x) - H\bigl(p_\theta(z\mid x)\bigr) \tag{46}$$
#
# So it is not the likelihood, and no bound in the sense of (45). What will it prefer? Take data from
# $\tfrac12\mathcal N(-1,1) + \tfrac12\mathcal N(1,1)$ and the model
# $\tfrac12\mathcal N(-m,1)+\tfrac12\mathcal N(m,1)$, so that $m=1$ is exactly right. **Predict**: which $m$ does the
# slide's recipe choose?

# %% predict="my_m"
my_m = 1.0  # your prediction

# %% tags=["experiment"]
# Experiment: what the slide picks, and equation (46)
x_line = torch.linspace(-8, 8, 801, dtype=f64)[:, None]
halves, ones = torch.full((2,), 0.5, dtype=f64), torch.ones(2, 1, dtype=f64)


def at(m):
    """weights, means, variances of the symmetric model."""
    return halves, torch.tensor([[-m], [m]], dtype=f64), ones


data_density = mixture_log_prob(x_line, *at(1.0)).exp()


def data_mean(values):
    """The mean of a function of x over the data's density, on a grid: no sampling error."""
    return torch.trapezoid(data_density * values, x_line[:, 0]).item()


def expected_log_joint(r, m):
    """E over the data of sum_k r_k log p(x, k) for the model m."""
    log_joint = math.log(0.5) + Normal(at(m)[1], 1.0).log_prob(x_line[:, None]).sum(-1)
    return data_mean((r * log_joint).sum(-1))


m_values = torch.linspace(0.2, 2.2, 81, dtype=f64).tolist()
log_lik = [data_mean(mixture_log_prob(x_line, *at(m))) for m in m_values]
slide = [expected_log_joint(e_step(x_line, *at(m)), m) for m in m_values]  # the same theta twice
m_slide = m_values[max(range(81), key=lambda i: slide[i])]
m_true = m_values[max(range(81), key=lambda i: log_lik[i])]
# The right M step from there: posterior at theta_old, joint at theta.
r_old = e_step(x_line, *at(m_slide))
entropy_old = data_mean(Categorical(r_old).entropy())
bound = [expected_log_joint(r_old, m) + entropy_old for m in m_values]
m_next = m_values[max(range(81), key=lambda i: bound[i])]
verify_equation(
    46, slide[40], log_lik[40] - data_mean(Categorical(e_step(x_line, *at(m_values[40]))).entropy())
)

fig, ax = plots.figure(width=6.8, height=3.8)
plots.curve(m_values, log_lik, "exact", ax=ax, label="log-likelihood")
plots.curve(m_values, bound, "bound", ax=ax, label=f"ELBO with r from m = {m_slide:.2f}")
plots.curve(m_values, slide, "model", ax=ax, label="the slide's objective")
ax.plot(
    [m_true, m_slide], [max(log_lik), max(slide)], "o", color=plots.COLOR["exact"], markersize=6
)
ax.set_ylim(-3.25, -1.55)
ax.set(
    xlabel="m",
    ylabel="nats per point",
    title=f"The slide picks m = {m_slide:.2f}; the truth is {m_true:.2f}",
)
plots.guess(ax, x=my_m)
ax.legend(loc="lower right")
plots.show(
    fig,
    alt="Three curves against m: the log-likelihood, the slide's objective, and the ELBO with responsibilities fixed.",
)
print(
    f"the slide's recipe stays at m = {m_slide:.2f}; a right M step from there goes to m = {m_next:.2f}, towards {m_true:.2f}"
)
findings["m chosen by the slide's M step (truth 1)"] = m_slide

# %% [markdown]
# The recipe pushes the bumps apart: by (46) it rewards a small entropy of the posterior, components that are told
# apart with certainty. In an M step the posterior stays at $\theta_\text{old}$ while the joint moves:
# $\theta_\text{new} = \arg\max_\theta \frac1N\sum_n\mathbb E_{z\sim p_{\theta_\text{old}}(z\mid x_n)}[\log p_\theta(x_n,z)]$.
# With well separated bumps, as in the companion, the entropy is nearly zero and nobody would have noticed.
#
# ### Your EM on real digits
#
# Your two functions know nothing of dimensions, so give them the digits and $K=10$ components. One obstacle first:
# some pixels are 0 in every image. A component can then shrink its variance there to 0 and its density to infinity,
# and maximum likelihood has no maximum. The remedy is to *dequantise*: grey level 5 of 17 stands for the interval
# from 5/17 to 6/17, so spread it evenly over that. The next cell takes about 2 seconds.

# %% tags=["experiment"]
# Experiment: EM on real digits
constant = (levels == levels[0]).all(0).sum().item()
generator = torch.Generator().manual_seed(13)
spread = (
    levels + torch.rand(levels.shape, generator=generator, dtype=f64)
) / 17  # (1437, 64), dequantised
print(f"{constant} of 64 pixels never change in the {len(levels)} training digits")

theta = (
    torch.full((10,), 0.1, dtype=f64),
    spread[torch.randperm(len(spread), generator=generator)[:10]],
    torch.full((10, 64), 0.1, dtype=f64),
)
climb = []
for _ in range(15):
    r = e_step(spread, *theta)
    theta = m_step(spread, r)
    climb.append(mixture_elbo(spread, r, *theta).item())
expect(
    all(a <= b + 1e-9 for a, b in itertools.pairwise(climb)),
    True,
    "the ELBO rises at every iteration, on the digits too",
)
weights_found, prototypes, _ = theta
plots.show(
    plots.image_grid(
        prototypes,
        10,
        labels=[f"{w:.2f}" for w in weights_found],
        title="Ten prototypes that nobody labelled",
    ),
    alt="The means of the ten components as images, each with its weight above.",
)
print(
    f"ELBO per digit: {climb[0]:.1f} nats after the first iteration, {climb[-1]:.1f} after {len(climb)}"
)
findings["ELBO gained by EM on the digits"] = climb[-1] - climb[0]

# %% [markdown]
# Shapes of digits, found without a single label. But $z$ has only ten values, and each prototype is an average of
# everything it is responsible for, blur included. To describe *this* 3, its slant and its stroke, $z$ should be a
# vector and the decoder a network.
#
# And there EM ends: its E step needs the posterior, and for a network that is the intractable integral of section 2.
# What is left is to *learn* a $q(z\mid x)$, with a network of its own, by climbing the same ELBO. That is the
# variational autoencoder.

# %% [markdown]
# ## 8 · What you have shown
#
# The numbers are your own.

# %% tags=["experiment"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:50s} {value:9.3g}")

# %% [markdown]
# * Maximum likelihood is KL minimisation: (3) and (4), two parallel curves.
# * $p(x)$ is a mean over the prior, and brute force fails when the posterior is more than $\log K$ nats away from the
#   prior.
# * $\log p(x) = \mathrm{ELBO}(q) + \mathrm{KL}(q\,\Vert\,p(z\mid x))$, for every $q$: an equation, not an
#   approximation. The ELBO is all of it that can be computed.
# * And if you went further: the KL of the joints bounds the KL of the marginals (section 6), and EM climbs the ELBO, one
#   argument at a time (section 7).
#
# ### Test yourself
#
# **1.** A friend trains a model and reports an ELBO of $-80$ nats for an image. Another reports $-75$ nats for the
# same image, from another model. Is the second model better?
#
# <details><summary>Answer</summary>
#
# Not necessarily. Both are lower bounds of their own log-likelihoods. The first model may have $\log p(x)=-70$ and a
# poor $q$ (gap 10), the second $\log p(x) = -75$ and no gap. To compare models one needs to know the gaps, or a
# tighter bound (lesson 2).
#
# </details>
#
# **2.** Your code prints an ELBO that is *above* the exact $\log p(x)$, by much more than the standard error. What do
# you conclude?
#
# <details><summary>Answer</summary>
#
# There is a mistake: by (29) the difference would be a negative KL. Favourites: samples drawn from something other
# than the $q$ whose density is subtracted, a missing constant in a log-density, a mean where a sum over coordinates
# belongs.
#
# </details>
#
# **3.** Naive Monte Carlo (12) is unbiased for $p(x)$, yet at $J = 16$ and $32$ your estimates of $\log p(x)$ were far
# too low. How do the two go together?
#
# <details><summary>Answer</summary>
#
# The mean over many repetitions is right because of rare, enormous overestimates that you never see. And in
# expectation, the log of an unbiased estimate is too low by Jensen's inequality, as in (33). It is itself a lower
# bound; lesson 2 makes a better one of it by drawing from $q$.
#
# </details>
#
# ### What comes next
#
# Lesson 2 makes $q(z\mid x)$ a network, the *encoder*, and trains it together with the decoder. That needs one more
# idea: how to differentiate through a random draw. Lessons 4 to 6 stack a thousand latents with a fixed $q$: a
# diffusion model. Its training objective is the ELBO of this lesson.
#
# ### References
#
# * S. Kullback and R. Leibler (1951), *On information and sufficiency*.
# * A. Dempster, N. Laird and D. Rubin (1977), *Maximum likelihood from incomplete data via the EM algorithm*.
# * R. Neal and G. Hinton (1998), *A view of the EM algorithm that justifies incremental, sparse, and other variants*.
#   The view of section 7.
# * M. Jordan, Z. Ghahramani, T. Jaakkola and L. Saul (1999), *An introduction to variational methods for graphical
#   models*.
# * M. Tipping and C. Bishop (1999), *Probabilistic principal component analysis*. The model of sections 2 and 3.
# * D. Kingma and M. Welling (2014), *Auto-encoding variational Bayes*. Where lesson 2 goes.
# * S. Chatterjee and P. Diaconis (2018), *The sample size required in importance sampling*. How many samples
#   section 2 would have needed.
