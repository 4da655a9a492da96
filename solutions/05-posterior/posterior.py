# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 05 · One step back: the posterior $q(x_{t-1} \mid x_t, x_0)$
#
# In lesson 04 you drowned a digit in noise, one small step at a time. Nothing had to be learned for that. To *generate* a
# digit somebody has to walk the other way, from $x_t$ to $x_{t-1}$, and that is what a diffusion model learns. This lesson
# derives what exactly it learns, and the loss it learns it from, without leaving out a line.
#
# **At the end you can**
#
# 1. derive the diffusion ELBO from the joint, with its two cancellations, and say what each term asks of the model;
# 2. derive mean and variance of $q(x_{t-1} \mid x_t, x_0)$ by Bayes' rule and completing the square, and implement them;
# 3. turn the mean into its noise form, and the KL into a weighted squared error, in $x_0$ or in the noise;
# 4. say where the Markov property helps, and where it is quoted wrongly;
# 5. tell what a Gaussian reverse step costs, in nats, from examples where everything is exact.
#
# **You need** lesson 01 (ELBO, KL divergence) and lesson 04 (forward process, $\bar\alpha_t$); from school $(a+b)^2$; from
# probability Bayes' rule and the density of a normal distribution.
#
# **Time** a little over three hours and a half if you find every line yourself, best in two sittings (1 to 5: 104 minutes, 6 to 10: 106 minutes).
# On the shorter path, about 150 minutes, you skip what is headed *Further*, since nothing later needs it, and leave the lines "to compare with yours" folded where your checks are green.
#
# | section | minutes |
# |---|---|
# | 1 The question | 3 |
# | 2 The bound, line by line | 21 |
# | 3 Bayes with and without $x_0$ | 10 |
# | 4 The exponent and its square | 37 |
# | 5 The posterior | 33 |
# | 6 The noise in $x_0$'s place | 29 |
# | 7 From KL to squared error | 40 |
# | 8 Further: another route to the same loss | 11 |
# | 9 Further: what a Gaussian step costs | 16 |
# | 10 In your own words | 10 |

# %% [markdown]
# **Notation.** The same in every lesson; the last two columns say how it is called in code and in words.
#
# | symbol | code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t` | time; $t = 0$ is clean data |
# | $x_0, x_t$ | `x0`, `xt` | a data point, and what is left of it after $t$ steps |
# | $\beta_t$ | `beta` | variance of the noise that step $t$ adds |
# | $\alpha_t = 1 - \beta_t$ | | what step $t$ keeps of the variance |
# | $\bar\alpha_t = \alpha_1 \cdots \alpha_t$ | `alpha_bar[t]` | what $t$ steps keep; $\bar\alpha_0 = 1$, so tables have $T + 1$ entries |
# | $q$ | | the forward process: $q(x_t \mid x_{t-1}) = \mathcal N(\sqrt{\alpha_t}\, x_{t-1}, \beta_t I)$ |
# | $p_\theta$ | | the model, with parameters $\theta$, that walks back from $p(x_T) = \mathcal N(0, I)$ |
# | $\epsilon$ | `eps` | the noise of all $t$ steps together: $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$ |
# | $\tilde\mu_t, \tilde\beta_t$ | `mean`, `variance` | mean and variance of $q(x_{t-1} \mid x_t, x_0)$ |
# | $\hat x_0, \hat\epsilon$ | | a network's estimates of $x_0$ and $\epsilon$ from $x_t$ and $t$ |
# | $\sigma_t^2$ | | the variance of the model's reverse step |
# | $\mathrm{SNR}_t = \bar\alpha_t / (1 - \bar\alpha_t)$ | | signal-to-noise ratio |
# | $\mathbb E_q$, $\mathrm{KL}(q \,\Vert\, p)$ | | average over $q$; Kullback-Leibler divergence $\mathbb E_q \log (q / p)$, in nats |
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, and the mixture on the line
import math

import sympy
import sympy.stats
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from course_lib import data, exact, expect, expect_same, plots, schematic, verify_equation, widgets

# 0.3 N(-2, 0.3^2) + 0.7 N(1.5, 0.6^2), the one-dimensional companion of the course
MIXTURE = exact.MIXTURE_1D

# %% [markdown]
# **From lesson 04.** The schedules and the forward sample, as you wrote them there. Two schedules serve this lesson: a short
# one with $T = 6$, where mistakes are large enough to see, and the usual one with $T = 1000$.


# %%
# From lesson 04: schedules and the forward sample
def linear_beta(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first, last, T)]).double()


def alpha_bar_from_beta(beta):
    return torch.cumprod(1 - beta, 0)


def cosine_beta(T, s=0.008, max_beta=0.999):
    """beta_from_alpha_bar(cosine_alpha_bar(T)) of lesson 04."""
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=max_beta)
    return torch.cat([torch.zeros(1, dtype=torch.float64), beta])


def q_sample(x0, t, alpha_bar, eps):
    level = alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
    return level.sqrt() * x0 + (1 - level).sqrt() * eps


SHORT_BETA = linear_beta(6, 0.05, 0.5)
SHORT, LONG = alpha_bar_from_beta(SHORT_BETA), alpha_bar_from_beta(linear_beta(1000))
LATER = torch.arange(2, 7)  # t = 2..6 of the short schedule
EVERY = torch.arange(1, 1001)  # t = 1..1000 of the long one
IMAGE = torch.arange(24.0, dtype=torch.float64).reshape(2, 1, 3, 4)  # two tiny images
print("alpha_bar, T = 6:   ", " ".join(f"{value:.3f}" for value in SHORT))
print("alpha_bar, T = 1000:", " ".join(f"{LONG[t]:.5f}" for t in (0, 1, 300, 1000)))

# %% [markdown]
# ## 1 · The question
#
# Take the mixture on the line, and a schedule with only four steps. Somebody hands you $x_t = -0.2$ at $t = 2$. Where was
# the point one step before?
#
# Bayes' rule answers on a grid: multiply the density of $x_{t-1}$ by the density of stepping from there to $x_t$, and normalise. The function below does so
# when $x_0$ is known as well. It pushes $x_0$ through the chain one step after the other and uses nothing but the single steps $q(x_t \mid x_{t-1})$. It knows no
# formula of this lesson, so it will be your judge.

# %%
# Bayes' rule on a grid
LINE = torch.linspace(-8, 8, 801, dtype=torch.float64)
SPACING = LINE[1] - LINE[0]


def step_density(start, end, beta_t):
    """q(x_t = end | x_{t-1} = start)."""
    end = torch.as_tensor(end, dtype=torch.float64)
    return Normal((1 - beta_t).sqrt() * start, beta_t.sqrt()).log_prob(end).exp()


def normalised(density):
    return density / (density.sum() * SPACING)


def numerical_bayes(x0, xt, t, beta):
    """q(x_{t-1} | x_t, x_0) on the grid LINE, for t >= 2: (density, its mean, its variance)."""
    density = step_density(x0, LINE, beta[1])
    for s in range(2, t):
        density = (density[:, None] * step_density(LINE[:, None], LINE, beta[s])).sum(0) * SPACING
    density = normalised(density * step_density(LINE, xt, beta[t]))
    mean = (density * LINE).sum() * SPACING
    return density, mean, (density * (LINE - mean) ** 2).sum() * SPACING


# %% tags=["experiment"]
# Experiment: one step back, with and without x_0
beta = cosine_beta(4)
marginal = MIXTURE.noised(alpha_bar_from_beta(beta)[1]).log_prob(LINE[:, None]).exp()  # q(x_1)
fig, (left, right) = plots.figure(1, 2, width=9, height=3.4, sharey=True)
unknown = normalised(marginal * step_density(LINE, -0.2, beta[2]))
bumps = int(((unknown[1:-1] > unknown[:-2]) & (unknown[1:-1] > unknown[2:])).sum())
plots.curve(LINE, unknown, "exact", ax=left, xlabel="$x_{t-1}$", ylabel="density")
left.set_title(f"Knowing $x_t$ alone: {'one bump' if bumps == 1 else f'{bumps} bumps'}")
apart = 0.0  # of the right curves from the Gaussians with their means and variances
for x0, line in ((-2.0, "-"), (1.5, "-.")):
    known, mean, variance = numerical_bayes(x0, -0.2, 2, beta)
    apart = max(apart, (known - Normal(mean, variance.sqrt()).log_prob(LINE).exp()).abs().max())
    plots.curve(
        LINE,
        known,
        "posterior",
        linestyle=line,
        label=f"$x_0 = {x0:g}$",
        ax=right,
        xlabel="$x_{t-1}$",
    )
left.set_xlim(-4, 4)
right.set_xlim(-4, 4)
right.set_title(f"Knowing $x_0$ too: {'one Gaussian each' if apart < 1e-6 else 'no Gaussians'}")
plots.show(
    fig,
    alt="Left: the density of x_{t-1} given x_t. Right: given x_0 as well, a curve for each of two x_0.",
)

# %% [markdown]
# The left curve is what a generator would need. It has two bumps, no formula, and to compute it you had to know the density
# of the data, which is the very thing that is to be learned.
#
# The right curves are Gaussian and known. But they want to know $x_0$, which a generator does not have.
#
# How can the right side teach a model the left side? The bound on the likelihood answers this, so begin there.

# %% [markdown]
# ## 2 · The bound, line by line
#
# The forward chain adds noise, the model's chain takes it away:
#
# $$q(x_{1:T} \mid x_0) = \prod_{t=1}^T q(x_t \mid x_{t-1}), \qquad p_\theta(x_{0:T}) = p(x_T) \prod_{t=1}^T p_\theta(x_{t-1} \mid x_t).$$
#
# $x_{1:T}$ stands for $x_1, \dots, x_T$: the latent variables. You know the first three lines from lesson 01.
#
# $$\log p_\theta(x_0) = \log \int p_\theta(x_{0:T}) \, dx_{1:T} \tag{1}$$
#
# *sum the joint over every path that ends in $x_0$;*
#
# $$= \log \mathbb E_{q(x_{1:T} \mid x_0)} \left[ \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)} \right] \tag{2}$$
#
# *multiply and divide by $q$, and read the integral as an average over $q$;*
#
# $$\ge \mathbb E_{q(x_{1:T} \mid x_0)} \left[ \log \frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)} \right] \tag{3}$$
#
# *Jensen's inequality: the logarithm of an average is at least the average of the logarithms. This is the ELBO;*
#
# $$= \mathbb E_q \left[ \log \frac{p(x_T) \prod_{t=1}^T p_\theta(x_{t-1} \mid x_t)}{\prod_{t=1}^T q(x_t \mid x_{t-1})} \right] \tag{4}$$
#
# *write both joints as the chains they are;*
#
# $$= \mathbb E_q \left[ \log \frac{p(x_T)\, p_\theta(x_0 \mid x_1)}{q(x_1 \mid x_0)} + \sum_{t=2}^T \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_t \mid x_{t-1})} \right] \tag{5}$$
#
# *take the factors with $t = 1$ out of both products; the logarithm of the rest is a sum.*
#
# To check such lines, use a chain so small that every path can be listed: three states, three steps, $3^3 = 27$ paths. The
# tables are random; nothing about them is Gaussian, and up to line (12) nothing has to be.

# %%
# Equations (1) to (3): the bound, on every path of a small chain
generator = torch.Generator().manual_seed(5)


def random_rows(*shape):
    """Random probabilities, each row summing to 1."""
    weights = torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.05
    return weights / weights.sum(-1, keepdim=True)


Q1, Q2, Q3 = (random_rows(3, 3) for _ in range(3))  # Q2[i, j] = q(x_2 = j | x_1 = i)
P1, P2, P3 = (random_rows(3, 3) for _ in range(3))  # P2[j, i] = p(x_1 = i | x_2 = j)
p_end = random_rows(3)  # p(x_3)
x0 = 2
q_path = torch.einsum("a,ab,bc->abc", Q1[x0], Q2, Q3)  # q(x_1, x_2, x_3 | x_0), one entry per path
p_path = torch.einsum("c,cb,ba,a->abc", p_end, P3, P2, P1[:, x0])  # p(x_0, x_1, x_2, x_3)

# The model's p(x_0), by walking its chain down from x_3.
log_evidence = (p_end @ P3 @ P2 @ P1)[x0].log()
elbo = (q_path * (p_path / q_path).log()).sum()
verify_equation(1, log_evidence, p_path.sum().log())
verify_equation(2, log_evidence, (q_path * (p_path / q_path)).sum().log())
verify_equation(3, elbo, log_evidence, relation="<=")


# %%
# Equations (4) and (5)
def average(*terms):
    """E_q of a sum of tables over (x_1, x_2, x_3), or over some of them with axes of size 1."""
    return (q_path * sum(terms)).sum()


# Each factor as a table over the axes (x_1, x_2, x_3).
q1, q2, q3 = Q1[x0][:, None, None], Q2[:, :, None], Q3[None]
p1, p2, p3, pT = P1[:, x0][:, None, None], P2.T[:, :, None], P3.T[None], p_end[None, None, :]
verify_equation(4, elbo, average((pT * p1 * p2 * p3 / (q1 * q2 * q3)).log()))
verify_equation(5, elbo, average((pT * p1 / q1).log(), (p2 / q2).log(), (p3 / q3).log()))

# %% [markdown]
# Line (5) is correct and useless: $p_\theta(x_{t-1} \mid x_t)$ looks back, $q(x_t \mid x_{t-1})$ looks forward, so each
# fraction compares densities of different variables. Turn the forward step around. Two facts do it.
#
# $$q(x_t \mid x_{t-1}) = q(x_t \mid x_{t-1}, x_0) \tag{6}$$
#
# *the Markov property: once $x_{t-1}$ is known, $x_0$ tells nothing more about $x_t$. So $x_0$ may be written in;*
#
# $$q(x_t \mid x_{t-1}, x_0) = \frac{q(x_{t-1} \mid x_t, x_0)\, q(x_t \mid x_0)}{q(x_{t-1} \mid x_0)} \tag{7}$$
#
# *Bayes' rule, with everything given $x_0$.* Now insert both into (5):
#
# $$\mathrm{ELBO} = \mathbb E_q \left[ \log \frac{p(x_T)\, p_\theta(x_0 \mid x_1)}{q(x_1 \mid x_0)} + \sum_{t=2}^T \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_{t-1} \mid x_t, x_0)} + \sum_{t=2}^T \log \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} \right] \tag{8}$$
#
# *the logarithm of (7) splits in two sums.* The last sum collapses, the **first cancellation**:
#
# $$\sum_{t=2}^T \log \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} = \log \frac{q(x_1 \mid x_0)}{q(x_2 \mid x_0)} + \log \frac{q(x_2 \mid x_0)}{q(x_3 \mid x_0)} + \dots = \log \frac{q(x_1 \mid x_0)}{q(x_T \mid x_0)} \tag{9}$$
#
# *each denominator is the next numerator; only the first numerator and the last denominator stay.* Then the **second
# cancellation**: $q(x_1 \mid x_0)$ stands below in the first term of (8) and above in (9).
#
# $$\mathrm{ELBO} = \mathbb E_q \left[ \log p_\theta(x_0 \mid x_1) + \log \frac{p(x_T)}{q(x_T \mid x_0)} + \sum_{t=2}^T \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_{t-1} \mid x_t, x_0)} \right] \tag{10}$$

# %%
# Equations (6) to (10)
# Every marginal and every conditional is counted out of the 27 paths, not computed by the rule
# that is to be checked.
m1, m2, m3 = (q_path.sum(others, keepdim=True) for others in ((1, 2), (0, 2), (0, 1)))
pair12, pair23 = q_path.sum(2, keepdim=True), q_path.sum(0, keepdim=True)
# q(x_{t-1} | x_t, x_0) for t = 2 and t = 3, and q(x_t | x_{t-1}, x_0)
back12, back23 = pair12 / pair12.sum(0, keepdim=True), pair23 / pair23.sum(1, keepdim=True)
onward2, onward3 = pair12 / pair12.sum(1, keepdim=True), pair23 / pair23.sum(2, keepdim=True)

verify_equation(6, q2, onward2)
verify_equation(6, q3, onward3)
verify_equation(7, onward2, back12 * m2 / m1)
verify_equation(7, onward3, back23 * m3 / m2)
first, turned = (pT * p1 / q1).log(), [(p2 / back12).log(), (p3 / back23).log()]
verify_equation(8, elbo, average(first, *turned, (m1 / m2).log(), (m2 / m3).log()))
verify_equation(9, (m1 / m2).log() + (m2 / m3).log(), (m1 / m3).log())
verify_equation(10, elbo, average(p1.log(), (pT / m3).log(), *turned))

# %% [markdown]
# Two more lines make it readable.
#
# $$\begin{aligned} \mathrm{ELBO} = {} & \mathbb E_{q(x_1 \mid x_0)} \big[ \log p_\theta(x_0 \mid x_1) \big] + \mathbb E_{q(x_T \mid x_0)} \left[ \log \frac{p(x_T)}{q(x_T \mid x_0)} \right] \\ & + \sum_{t=2}^T \mathbb E_{q(x_{t-1}, x_t \mid x_0)} \left[ \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_{t-1} \mid x_t, x_0)} \right] \end{aligned} \tag{11}$$
#
# *the average of a sum is the sum of the averages, and each term needs the average over its own variables only;*
#
# $$\begin{aligned} = {} & \underbrace{\mathbb E_{q(x_1 \mid x_0)} \big[ \log p_\theta(x_0 \mid x_1) \big]}_{-L_0} - \underbrace{\mathrm{KL}\big( q(x_T \mid x_0) \,\Vert\, p(x_T) \big)}_{L_T} \\ & - \sum_{t=2}^T \underbrace{\mathbb E_{q(x_t \mid x_0)} \Big[ \mathrm{KL}\big( q(x_{t-1} \mid x_t, x_0) \,\Vert\, p_\theta(x_{t-1} \mid x_t) \big) \Big]}_{L_{t-1}} \end{aligned} \tag{12}$$
#
# *write $q(x_{t-1}, x_t \mid x_0) = q(x_t \mid x_0)\, q(x_{t-1} \mid x_t, x_0)$ and average over $x_{t-1}$ first: that inner average
# is a KL divergence with a minus sign, and so is the one over $x_T$.*
#
# So $-\mathrm{ELBO} = L_T + L_{T-1} + \dots + L_1 + L_0$:
#
# * $L_0$, the reconstruction: does the last step hit the data point?
# * $L_T$, the prior: is nothing left of $x_0$ at the end? No parameter of the model is in it.
# * $L_{t-1}$ for $t = 2, \dots, T$, the denoising: does the model's step back, which sees $x_t$ alone, agree with the posterior, which
#   knows $x_0$ as well?
#
# The sum begins at $t = 2$ because at $t = 1$ line (7) would speak of $q(x_0 \mid x_1, x_0)$, a single point, and the KL
# of a point from a density is infinite. $L_0$ stands in its place.
#
# Here is the answer to section 1: the *right* side of the figure is the target, and the model cannot match it, because it
# does not see $x_0$. Average $L_{t-1}$ over the data: the one part with $\theta$ in it is
# $-\mathbb E_q \log p_\theta(x_{t-1} \mid x_t)$, and $x_0$ does not occur there. So the best the model can do is to match
# the average over all $x_0$ that could have led to $x_t$, and that average is the *left* side.

# %%
# Equations (11) and (12)
reconstruction = (m1 * p1.log()).sum()
prior_term = (m3 * (pT / m3).log()).sum()
denoising = [(pair12 * turned[0]).sum(), (pair23 * turned[1]).sum()]
verify_equation(11, elbo, reconstruction + prior_term + sum(denoising))

# torch's kl_div takes log p first and then q, and gives KL(q || p).
prior_kl = torch.nn.functional.kl_div(p_end.log(), m3.squeeze(), reduction="sum")
inner2 = (back12 * (back12 / p2).log()).sum(0, keepdim=True)  # one KL for each x_2
inner3 = (back23 * (back23 / p3).log()).sum(1, keepdim=True)  # one KL for each x_3
L1, L2 = (m2 * inner2).sum(), (m3 * inner3).sum()
verify_equation(12, elbo, reconstruction - prior_kl - L2 - L1)
print(f"L_3 {prior_kl:.4f} + L_2 {L2:.4f} + L_1 {L1:.4f} + L_0 {-reconstruction:.4f} = {-elbo:.4f}")
print(f"-log p(x_0) = {-log_evidence:.4f}, smaller than -ELBO as it must be")

# %% [markdown]
# ## 3 · Bayes with and without $x_0$
#
# In (6) the Markov property let $x_0$ in for free. Does it also let $x_0$ out of $q(x_{t-1} \mid x_t, x_0)$? Look at the joint of the
# three variables.
#
# $$q(x_0, x_{t-1}, x_t) = q(x_0)\, q(x_{t-1} \mid x_0)\, q(x_t \mid x_{t-1}) \tag{13}$$
#
# *the chain rule, and then the chain's definition: step $t$ looks at $x_{t-1}$ alone;*
#
# $$q(x_t \mid x_{t-1}, x_0) = \frac{q(x_0, x_{t-1}, x_t)}{q(x_0)\, q(x_{t-1} \mid x_0)} = q(x_t \mid x_{t-1}) \tag{14}$$
#
# *divide (13) by the joint of $x_0$ and $x_{t-1}$: everything with $x_0$ cancels. Forward, $x_0$ is gone;*
#
# $$q(x_{t-1} \mid x_t, x_0) = \frac{q(x_0, x_{t-1}, x_t)}{q(x_0, x_t)} = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} \tag{15}$$
#
# *divide (13) by the joint of $x_0$ and $x_t$ instead: $q(x_0)$ cancels, but $q(x_{t-1} \mid x_0)$ stays. Backward, $x_0$ matters;*
#
# $$q(x_{t-1} \mid x_t) = \int q(x_{t-1} \mid x_t, x_0)\, q(x_0 \mid x_t) \, dx_0 \tag{16}$$
#
# *without $x_0$: average (15) over every $x_0$ that could have led to $x_t$. The weights $q(x_0 \mid x_t) \propto q(x_0)\, q(x_t \mid x_0)$ contain the
# distribution of the data. That is why this density is not available.*

# %%
# Equations (13) to (16)
# The same three-state chain, now with a distribution of the data in front: q(x_0, x_1, x_2), so t = 2.
q_data = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
joint = torch.einsum("o,oa,ab,bc->oabc", q_data, Q1, Q2, Q3).sum(3)  # x_3 summed away
verify_equation(13, joint, q_data[:, None, None] * Q1[:, :, None] * Q2)
verify_equation(14, joint / joint.sum(2, keepdim=True), Q2.expand(3, 3, 3))
given_both = joint / joint.sum(1, keepdim=True)  # q(x_1 | x_2, x_0), axes (x_0, x_1, x_2)
verify_equation(15, given_both, Q2 * Q1[:, :, None] / (Q1 @ Q2)[:, None, :])
weights = joint.sum(1) / joint.sum((0, 1))  # q(x_0 | x_2)
given_xt = joint.sum(0) / joint.sum((0, 1))  # q(x_1 | x_2)
verify_equation(16, given_xt, (given_both * weights[:, None, :]).sum(0))

# %% [markdown]
# ### Find the error: "(Markov assumption)"
#
# A well-known slide begins its Bayes step with $q(x_{t-1} \mid x_t) = q(x_{t-1} \mid x_t, x_0)$ "(Markov assumption)".
#
# A number can judge it. The *conditional mutual information* says how many nats one variable tells about another when a third
# is known already; it is 0 exactly when it tells nothing. Before you run the cell, decide which of these two is zero: what
# $x_0$ tells about $x_2$ when $x_1$ is known, and what $x_0$ tells about $x_1$ when $x_2$ is known.


# %% tags=["experiment"]
# Experiment: what x_0 tells
def told(joint, about):
    """What x_0 tells about axis `about` of a table (x_0, x_1, x_2) when the other is known, in nats."""
    known, pair = joint.sum((0, about), True), joint.sum(about, True)
    return (joint * (joint * known / (pair * joint.sum(0, True))).log()).sum()


print(f"forward,  about x_2 when x_1 is known: {abs(told(joint, 2)):.4f} nats")
print(f"backward, about x_1 when x_2 is known: {told(joint, 1):.4f} nats")
values = " ".join(f"{value:.3f}" for value in given_both[:, 0, 0])
print(f"q(x_1 = 0 | x_2 = 0, x_0) for x_0 = 0, 1, 2: {values}")
print(f"q(x_1 = 0 | x_2 = 0):                        {given_xt[0, 0]:.3f}")

# %% [markdown]
# Forward it is zero: that is the Markov property. Backward it is not: the slide's line is false. The three numbers for $x_0 = 0, 1, 2$
# differ, and (16) is their average. Nothing is lost by this. The bound (12) never asked for $q(x_{t-1} \mid x_t)$.

# %% tags=["experiment"]
# The story on one page: two Gaussians, multiplied
fig, ax = schematic.canvas(6.2, 2.2)
start = schematic.node(ax, (0.7, 1.5), "$x_0$", "data")
middle = schematic.node(ax, (3.1, 1.5), "$x_{t-1}$", "posterior", size=0.72, dashed=True)
end = schematic.node(ax, (5.5, 1.5), "$x_t$", "noise")
schematic.arrow(ax, start, middle, "comes from $x_0$", "prior")
schematic.arrow(ax, middle, end, "leads to $x_t$", "data")
schematic.label(ax, (1.9, 1.15), "$q(x_{t-1}\\mid x_0)$")
schematic.label(ax, (4.3, 1.15), "$q(x_t\\mid x_{t-1})$")
schematic.label(
    ax,
    (3.1, 0.45),
    "both are Gaussians in $x_{t-1}$; their product, normalised,\nis $q(x_{t-1}\\mid x_t, x_0)$: where was it one step before?",
)
plots.show(
    fig,
    alt="x_{t-1} stands between x_0, from which it comes, and x_t, to which it leads; the product of "
    "both densities is the posterior.",
)

# %% [markdown]
# ## 4 · The exponent and its square
#
# From here on everything is Gaussian and one-dimensional: the noise is independent in every coordinate, so each coordinate can be
# treated alone. Take the logarithm of (15) for $t \ge 2$, as a function of $x_{t-1}$. Whatever does not contain $x_{t-1}$ only scales the density, so
# it goes into a constant $C$ (a new one wherever something joins it). Above the fraction bar stand two Gaussians; the one below does not contain $x_{t-1}$.
#
# The rest of this derivation is yours. You find each line, on paper or with SymPy; a check says whether it holds; then the lines unfold, to be compared with yours.
# Your own functions are judged by `numerical_bayes` from section 1, which knows no formula.

# %%
# SymPy's symbols, and the logarithm of (15) as SymPy has it
x, xt_, x0_ = sympy.symbols("x_{t-1} x_t x_0", real=True)
a, b_, ap = sympy.symbols("alpha_t beta_t alphabar_{t-1}", positive=True)
PLACE = {x: 0.35, xt_: -0.4, x0_: 0.7, a: 0.8, b_: 0.2, ap: 0.6}


def at(expression):
    """An expression's value at one place, with beta_t = 1 - alpha_t there."""
    return float(expression.subs(PLACE))


def same(first, second):
    """Whether two expressions are equal for all values of their symbols, with beta_t = 1 - alpha_t."""
    return sympy.simplify((first - second).subs(a, 1 - b_)) == 0


def without_constant(expression):
    """The part that changes with x_{t-1}."""
    return expression - expression.subs(x, 0)


def log_density(mean, variance, where):
    made = sympy.stats.density(sympy.stats.Normal("y", mean, sympy.sqrt(variance)))(where)
    return sympy.expand_log(sympy.log(made), force=True)


exponent = log_density(sympy.sqrt(a) * x, b_, xt_) + log_density(sympy.sqrt(ap) * x0_, 1 - ap, x)


# %% [markdown]
# ### Exercise: `posterior_exponent` · ●○○ · 6 minutes · 2 points
#
# Write the logarithm of the numerator of (15), without constants, for tensors.


# %% exercise="posterior_exponent"
def posterior_exponent(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    """The exponent of q(x_{t-1} | x_t, x_0), entry by entry.

    It is log q(x_t | x_{t-1}) + log q(x_{t-1} | x_0). Terms that do not contain x_{t-1} may be
    left out or kept, as you like.

    Args:
        x_prev: x_{t-1}. xt: x_t. x0: x_0. Three tensors of one shape.
        alpha_t, alpha_bar_prev: alpha_t and alpha_bar_{t-1}, tensors without axes,
            strictly between 0 and 1.

    Returns:
        A tensor like x_prev, in nats: nothing is summed.
    """
    ### BEGIN SOLUTION
    forward = (xt - alpha_t.sqrt() * x_prev) ** 2 / (2 * (1 - alpha_t))
    prior = (x_prev - alpha_bar_prev.sqrt() * x0) ** 2 / (2 * (1 - alpha_bar_prev))
    return -forward - prior
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Which two densities stand above the fraction bar in (15)? What is the logarithm of a Gaussian density, up to a constant?</details>
# <details><summary>Hint 2: the idea</summary>Two squares, each divided by twice the variance of its own Gaussian, both with a minus sign. You get $\alpha_t$ itself; $\beta_t$ is 1 minus it.</details>
# <details><summary>Hint 3: nearly the line</summary>Write mean and variance of either Gaussian beside it (the notation table has both). In the first, $x_{t-1}$ stands inside the mean; in the second it is the variable.</details>

# %% checks="posterior_exponent"
# Checks of posterior_exponent
some = LINE[300:501:50]  # x_{t-1} = -2, -1, 0, 1, 2
density, _, _ = numerical_bayes(0.7, -0.4, 4, SHORT_BETA)
xt, x0 = torch.full_like(some, -0.4), torch.full_like(some, 0.7)
mine = posterior_exponent(some, xt, x0, 1 - SHORT_BETA[4], SHORT[3])
expect(
    mine.shape,
    some.shape,
    "posterior_exponent: one value for each x_{t-1}",
    hint="nothing is summed: one number for each entry",
)
verify_equation(
    17,
    mine - mine[2],
    density.log()[300:501:50] - density.log()[400],
    rtol=1e-6,
    of="posterior_exponent",
    hint="each square over twice its own variance; which root belongs to which?",
)

# %% [markdown]
# <details><summary>Line (17), to compare with yours</summary>
#
# $$\log q(x_{t-1} \mid x_t, x_0) = -\frac12 \left[ \frac{(x_t - \sqrt{\alpha_t}\, x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\, x_0)^2}{1 - \bar\alpha_{t-1}} \right] + C \tag{17}$$
#
# *the logarithms of the two Gaussians above the fraction bar in (15); the one below does not contain $x_{t-1}$.*
#
# </details>
#
# ### Step: `collected` · ●●○ · 10 minutes
#
# Two squares of $x_{t-1}$, added: a parabola. Open them and collect, so that the exponent reads $-\frac A2 x_{t-1}^2 + b\, x_{t-1} + C$. A *step* like this is worth no points, and nothing below needs it; it is the line of the
# derivation that everything else rests on. Your function gets SymPy symbols and returns expressions of them, such as `sympy.sqrt(alpha) * x0`.


# %% step="collected"
def collected(xt, x0, alpha, beta, alpha_bar_prev):
    """A and b of the exponent -A/2 x_{t-1}^2 + b x_{t-1} + C of q(x_{t-1} | x_t, x_0).

    Args:
        xt, x0, alpha, beta, alpha_bar_prev: SymPy symbols for x_t, x_0, alpha_t, beta_t and
            alpha_bar_{t-1}.

    Returns:
        (A, b), two expressions without x_{t-1}.
    """
    ### BEGIN SOLUTION
    A = alpha / beta + 1 / (1 - alpha_bar_prev)
    b = sympy.sqrt(alpha) / beta * xt + sympy.sqrt(alpha_bar_prev) / (1 - alpha_bar_prev) * x0
    return A, b
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Each square gives three terms. Which of them contain $x_{t-1}$ twice, which once?</details>
# <details><summary>Hint 2: the idea</summary>$x_t^2$ and $x_0^2$ join the constant. Mind the sign of the terms with $x_{t-1}$: a minus in front of the bracket meets a minus inside the square.</details>
# <details><summary>Hint 3: nearly the line</summary>$A$ is minus the second derivative of the exponent by $x_{t-1}$, and $b$ its first derivative at $x_{t-1} = 0$: compare with what you have collected.</details>

# %% checks="collected"
# Checks of collected
A, b = collected(xt_, x0_, a, b_, ap)
expect_same(
    -A / 2 * x**2 + b * x,
    exponent,
    "collected: the same parabola as the logarithm of (15)",
    given={a: 1 - b_},
    constant_in=x,
    hint="-1/2 stands in the form already, so not in A; and mind the signs in both squares",
)
expect(
    [x in sympy.sympify(part).free_symbols for part in (A, b)],
    [False, False],
    "collected: A and b do not contain x_{t-1}",
    hint="x_{t-1} stands outside of them",
)

# %% [markdown]
# What does such a parabola say? Complete its square, that is, add and subtract $b^2 / (2A)$, which is free of $x_{t-1}$:
#
# $$-\frac A2\, x_{t-1}^2 + b\, x_{t-1} = -\frac A2 \left( x_{t-1} - \frac bA \right)^2 + C \tag{20}$$
#
# A log-density that is a downward parabola belongs to a Gaussian: its mean is $b/A$ and its variance $1/A$. $A$ is called a *precision*: one over a variance. From now on each example of a batch has its own $t$, and everything comes
# from the table `alpha_bar` alone: $\alpha_t = \bar\alpha_t / \bar\alpha_{t-1}$.
#
# ### Exercise: `posterior_precision` and `posterior_variance` · ●●○ · 10 minutes · 2 + 2 points
#
# First $A$ itself, for $t \ge 2$. Then one over it, for every $t$ from 1 on: tidy the fraction up until nothing is divided by zero at $t = 1$, where $\bar\alpha_0 = 1$.


# %% exercise="posterior_precision"
def posterior_precision(t, alpha_bar):
    """A of the exponent -A/2 x_{t-1}^2 + b x_{t-1} of q(x_{t-1} | x_t, x_0).

    It is one over the variance of q(x_{t-1} | x_t, x_0).

    Args:
        t: LongTensor (B,), 2 <= t <= T.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B,), in the dtype of alpha_bar.
    """
    ### BEGIN SOLUTION
    before = alpha_bar[t - 1]
    alpha = alpha_bar[t] / before
    return alpha / (1 - alpha) + 1 / (1 - before)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Precisions of independent sources add up. Which two sources tell about $x_{t-1}$?</details>
# <details><summary>Hint 2: the idea</summary>Index the table twice: <code>alpha_bar[t]</code> and <code>alpha_bar[t - 1]</code> are tensors (B,). Their ratio is $\alpha_t$, and $\beta_t$ is 1 minus that.</details>
# <details><summary>Hint 3: nearly the line</summary>Your <code>collected</code>, with numbers in the symbols' places.</details>

# %% checks="posterior_precision"
# Checks of posterior_precision
bayes = torch.stack([numerical_bayes(0.7, -0.4, int(t), SHORT_BETA)[2] for t in LATER])
expect(
    posterior_precision(LATER, SHORT),
    1 / bayes,
    "posterior_precision: one over numerical variance",
    rtol=1e-6,
    hint="two precisions add up: one from the jump out of x_0, one from the step, where x_{t-1} stands with a factor",
)
backwards = posterior_precision(LATER.flip(0), SHORT)
expect(
    backwards,
    1 / bayes.flip(0),
    "posterior_precision: each example has its own t",
    rtol=1e-6,
    hint="alpha_bar is indexed with the tensor t and with t - 1",
)
expect(
    posterior_precision(LATER, SHORT.float()).dtype,
    torch.float32,
    "posterior_precision: float32 in, float32 out",
    hint="no tensor of your own with another dtype",
)


# %% exercise="posterior_variance"
def posterior_variance(t, alpha_bar):
    """beta~_t, the variance of q(x_{t-1} | x_t, x_0).

    Args:
        t: LongTensor (B,), 1 <= t <= T.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B,), in the dtype of alpha_bar; exactly 0 at t = 1. Nothing is clipped.
    """
    ### BEGIN SOLUTION
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return (1 - now / before) * (1 - before) / (1 - now)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Bring both fractions of $A$ to one denominator and turn the result over.</details>
# <details><summary>Hint 2: the idea</summary>Now the sum of two products stands below. Multiply out: $\alpha_t \bar\alpha_{t-1}$ is an entry of the table, and $\beta_t = 1 - \alpha_t$. Most of it cancels.</details>
# <details><summary>Hint 3: nearly the line</summary><code>alpha_bar[t - 1]</code> at t = 1 is <code>alpha_bar[0]</code>, which is 1, so no special case is needed: one factor above the bar becomes 0 there.</details>

# %% checks="posterior_variance"
# Checks of posterior_variance
bayes = torch.stack([numerical_bayes(0.7, -0.4, int(t), SHORT_BETA)[2] for t in LATER])
verify_equation(
    23,
    posterior_variance(LATER, SHORT),
    bayes,
    rtol=1e-6,
    of="posterior_variance",
    hint="one over the precision, with both fractions brought together",
)
expect(
    posterior_variance(torch.tensor([1]), SHORT),
    torch.zeros(1).double(),
    "posterior_variance: no doubt at t = 1",
    hint="at t = 1 the level before is alpha_bar[0], which is 1",
)
less = (posterior_variance(EVERY, LONG) < linear_beta(1000)[1:]).all()
expect(
    less,
    True,
    "posterior_variance: knowing x_0 leaves less doubt than beta_t",
    hint="t - 1 in the numerator, t in the denominator",
)

# %% [markdown]
# ### Exercise: `posterior_linear_term` · ●●○ · 6 minutes · 2 points
#
# $b$, for data that come as `(B, D)`, as images `(B, C, H, W)`, or with any other number of axes after the first.


# %% exercise="posterior_linear_term"
def posterior_linear_term(x0, xt, t, alpha_bar):
    """b of the exponent -A/2 x_{t-1}^2 + b x_{t-1} of q(x_{t-1} | x_t, x_0).

    Args:
        x0, xt: (B, *event), with at least one event axis.
        t: LongTensor (B,), 2 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like x0.
    """
    ### BEGIN SOLUTION
    now, before = (alpha_bar[s].reshape(-1, *[1] * (x0.ndim - 1)) for s in (t, t - 1))
    alpha = now / before
    return alpha.sqrt() / (1 - alpha) * xt + before.sqrt() / (1 - before) * x0
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Coefficients of shape (B,) must meet the first axis of the data. Which shape must they have for that?</details>
# <details><summary>Hint 2: the idea</summary>PyTorch lines up shapes from the right. A coefficient of shape (B, 1, ..., 1), with as many axes as x0, meets its own example. <code>reshape</code> gives it to you.</details>
# <details><summary>Hint 3: nearly the line</summary><code>alpha_bar[t - 1].reshape(-1, *[1] * (x0.ndim - 1))</code>, the same for <code>alpha_bar[t]</code>; then write the b of your <code>collected</code> with them.</details>

# %% checks="posterior_linear_term"
# Checks of posterior_linear_term
x0 = torch.tensor([[0.7], [-1.2]], dtype=torch.float64)
xt = torch.tensor([[-0.4], [0.9]], dtype=torch.float64)
t = torch.tensor([4, 2])
found = [numerical_bayes(x0[i, 0], xt[i, 0], int(t[i]), SHORT_BETA) for i in range(2)]
bayes = torch.stack([mean / variance for _, mean, variance in found])[:, None]
b_mine = posterior_linear_term(x0, xt, t, SHORT)
expect(
    b_mine,
    bayes,
    "posterior_linear_term: mean over variance of numerical Bayes",
    rtol=1e-6,
    hint="which source brings x_0, which x_t, and with which factor over which variance? One number for each example",
)
flat = posterior_linear_term(IMAGE.flatten(1), -IMAGE.flatten(1), t, SHORT).reshape(IMAGE.shape)
expect(
    posterior_linear_term(IMAGE, -IMAGE, t, SHORT),
    flat,
    "posterior_linear_term: an image is so many numbers",
    hint="the coefficients need as many axes as x0",
)
# The parabola at x_{t-1} = 0.5, against the logarithm of the density there over that at 0.
values = b_mine[:, 0] * 0.5 - posterior_precision(t, SHORT) / 2 * 0.5**2
log_ratio = torch.stack([(density[425] / density[400]).log() for density, _, _ in found])
verify_equation(
    19,
    values,
    log_ratio,
    rtol=1e-6,
    of="posterior_linear_term",
    hint="b and A must come from the same exponent",
)
kept = IMAGE.clone()
posterior_linear_term(kept, kept, t, SHORT)
expect(
    kept,
    IMAGE,
    "posterior_linear_term: x0 and xt are left as they were",
    hint="no operation that ends in an underscore, no *= or +=",
)

# %% [markdown]
# ## 5 · The posterior
#
# Read off the mean, $b/A$, and sort it by its two sources: $\tilde\mu_t = c_0\, x_0 + c_t\, x_t$.
#
# ### Exercise: `posterior_coefficients` · ●●○ · 8 minutes · 3 points
#
# The two numbers that say how the posterior weighs its two sources. They must hold at $t = 1$, too: with $x_0$ known there is no doubt about $x_0$.


# %% exercise="posterior_coefficients"
def posterior_coefficients(t, alpha_bar):
    """The coefficients of the posterior mean c0 x_0 + ct x_t.

    Args:
        t: LongTensor (B,), 1 <= t <= T.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (c0, ct), each (B,), in the dtype of alpha_bar; (1, 0) at t = 1.
    """
    ### BEGIN SOLUTION
    now, before = alpha_bar[t], alpha_bar[t - 1]
    alpha = now / before
    return before.sqrt() * (1 - alpha) / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The mean is $b$ times the variance. Before you write it, say what both numbers must be at t = 1.</details>
# <details><summary>Hint 2: the idea</summary>In each term one factor cancels. Do it on paper, once for $x_0$ and once for $x_t$.</details>
# <details><summary>Hint 3: nearly the line</summary>One root on each side above the fraction bar, none below. Each source brings the root of its own mean: which alpha belongs to the jump out of $x_0$, which to the step to $x_t$?</details>

# %% checks="posterior_coefficients"
# Checks of posterior_coefficients
c0, ct = posterior_coefficients(LATER, SHORT)
bayes = torch.stack([numerical_bayes(0.7, -0.4, int(t), SHORT_BETA)[1] for t in LATER])
verify_equation(
    25,
    c0 * 0.7 + ct * -0.4,
    bayes,
    rtol=1e-6,
    of="posterior_coefficients",
    hint="the linear term times the variance, split by source: c0 first, then ct",
)
one, zero = torch.ones(1).double(), torch.zeros(1).double()
expect(
    posterior_coefficients(torch.tensor([1]), SHORT),
    (one, zero),
    "posterior_coefficients: x_0 itself at t = 1",
    hint="at t = 1 the level before is alpha_bar[0], which is 1",
)
c0, ct = posterior_coefficients(EVERY, LONG)
expect(
    c0 + ct * LONG[1:].sqrt(),
    LONG[:-1].sqrt(),
    "posterior_coefficients: a path without noise stays without noise",
    hint="which of the two belongs to x_0 and which to x_t, and which root each brings",
)

# %% [markdown]
# <details><summary>Lines (18) to (25), to compare with yours</summary>
#
# $$\log q(x_{t-1} \mid x_t, x_0) = -\frac12 \left[ \frac{x_t^2 - 2 \sqrt{\alpha_t}\, x_t x_{t-1} + \alpha_t x_{t-1}^2}{\beta_t} + \frac{x_{t-1}^2 - 2 \sqrt{\bar\alpha_{t-1}}\, x_0 x_{t-1} + \bar\alpha_{t-1} x_0^2}{1 - \bar\alpha_{t-1}} \right] + C \tag{18}$$
#
# *open both squares;*
#
# $$= -\frac12 \underbrace{\left( \frac{\alpha_t}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}} \right)}_{A} x_{t-1}^2 + \underbrace{\left( \frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{1 - \bar\alpha_{t-1}}\, x_0 \right)}_{b} x_{t-1} + C \tag{19}$$
#
# *collect the terms with $x_{t-1}^2$ and those with $x_{t-1}$; $x_t^2$ and $x_0^2$ join the constant.* (20) completes the square. One over the precision:
#
# $$\tilde\beta_t = \frac1A = \left( \frac{\alpha_t}{\beta_t} + \frac{1}{1 - \bar\alpha_{t-1}} \right)^{-1} = \frac{\beta_t (1 - \bar\alpha_{t-1})}{\alpha_t (1 - \bar\alpha_{t-1}) + \beta_t} \tag{21}$$
#
# *bring both fractions to the denominator $\beta_t (1 - \bar\alpha_{t-1})$ and turn the result over;*
#
# $$\alpha_t (1 - \bar\alpha_{t-1}) + \beta_t = \alpha_t - \bar\alpha_t + 1 - \alpha_t = 1 - \bar\alpha_t \tag{22}$$
#
# *multiply out, with $\alpha_t \bar\alpha_{t-1} = \bar\alpha_t$ and $\beta_t = 1 - \alpha_t$. You will meet this small identity twice more;*
#
# $$\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\, \beta_t \tag{23}$$
#
# *(22) in (21).* And the mean:
#
# $$\tilde\mu_t = \frac bA = \left( \frac{\sqrt{\alpha_t}}{\beta_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{1 - \bar\alpha_{t-1}}\, x_0 \right) \frac{\beta_t (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} \tag{24}$$
#
# *$b$ times the variance;*
#
# $$= \underbrace{\frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t}}_{c_0}\, x_0 + \underbrace{\frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}}_{c_t}\, x_t \tag{25}$$
#
# *in each term one factor cancels: $\beta_t$ with $x_t$, $1 - \bar\alpha_{t-1}$ with $x_0$.*
#
# </details>
#
# At $t = 1$ (19) divides by $1 - \bar\alpha_0 = 0$, but (23) and (25) do not: there $\tilde\beta_1 = 0$, $c_0 = 1$, $c_t = 0$. Here are the lines in between, for all values at once.

# %%
# Equations (18), (20) to (22) and (24), for all values at once
opened = -(xt_**2 - 2 * sympy.sqrt(a) * xt_ * x + a * x**2) / (2 * b_)
opened -= (x**2 - 2 * sympy.sqrt(ap) * x0_ * x + ap * x0_**2) / (2 * (1 - ap))
A = -sympy.diff(exponent, x, 2)  # what (19) calls A and b, found by differentiating
b = sympy.diff(exponent, x).subs(x, 0)
square = -A / 2 * (x - b / A) ** 2
exponent, opened, square = (without_constant(line) for line in (exponent, opened, square))
verify_equation(18, at(exponent), at(opened))
verify_equation(20, at(exponent), at(square))
common = b_ * (1 - ap) / (a * (1 - ap) + b_)
verify_equation(21, at(1 / A), at(common))
verify_equation(22, at(a * (1 - ap) + b_), at(a - a * ap + 1 - a), at(1 - a * ap))
verify_equation(24, at(b / A), at(b * b_ * (1 - ap) / (1 - a * ap)))
expect(same(exponent, opened), True, "(18) holds for all values")
expect(same(exponent, square), True, "(20) holds for all values")
expect(same(1 / A, common), True, "(21) holds for all values")
expect(same(a * (1 - ap) + b_, 1 - a * ap), True, "(22) holds for all values")

# %% [markdown]
# The last check of `posterior_coefficients` is worth a thought. On a path without noise $x_t = \sqrt{\bar\alpha_t}\, x_0$ and $x_{t-1} = \sqrt{\bar\alpha_{t-1}}\, x_0$. Both sources of
# the posterior then point to the same place, so its mean must lie there: $c_0 + c_t \sqrt{\bar\alpha_t} = \sqrt{\bar\alpha_{t-1}}$. You can try this test on
# any formula you find.
#
# ### Further: find the error: a root below the fraction bar
#
# A well-known slide has the numerators of (25), but divides by $1 - \sqrt{\bar\alpha_t}$. Is that a small difference? At
# $t = 300$ of $T = 1000$, with $x_0 = 0.7$ and $x_t = -0.4$, write down what you expect the slide to give if the true mean is $-0.393$.

# %% predict="my_mean"
my_mean = -0.40  # your prediction for the slide's mean

# %% tags=["experiment"]
# Experiment: the slide's mean
t = torch.tensor([300])
c0, ct = posterior_coefficients(t, LONG)
too_large = (1 - LONG[t]) / (1 - LONG[t].sqrt())
right, slide = (c0 * 0.7 - ct * 0.4).item(), ((c0 * 0.7 - ct * 0.4) * too_large).item()
print(f"your mean {right:.6f}, the slide's {slide:.6f}, you guessed {my_mean:.3f}")
t = torch.arange(1, 1001)
c0, ct = posterior_coefficients(t, LONG)
on_path = (c0 + ct * LONG[t].sqrt()) / LONG[t - 1].sqrt()
slide_on_path = on_path * (1 - LONG[t]) / (1 - LONG[t].sqrt())
slide, yours = "over $1 - \\sqrt{\\bar\\alpha_t}$ (slide)", "over $1 - \\bar\\alpha_t$ (yours)"
fig, ax = plots.curve(t, slide_on_path, "model", label=slide)
plots.curve(t, on_path, "exact", label=yours, ax=ax, xlabel="time $t$", ylabel="mean / true place")
ax.set_title(f"The slide's mean is off by a factor of up to {slide_on_path.max():.2f}")
plots.show(
    fig,
    alt="Your mean and the slide's, over the noiseless path, against time.",
)

# %% [markdown]
# The factor is $(1 - \bar\alpha_t) / (1 - \sqrt{\bar\alpha_t}) = 1 + \sqrt{\bar\alpha_t}$, nearly two while there is little noise. A walk back with it would
# nearly double at each of the last steps.
#
# ### Exercise: `q_posterior` · ●○○ · 5 minutes · 2 points
#
# Put variance and coefficients together.


# %% exercise="q_posterior" given="the words of the step before: here each example has its own time"
def q_posterior(x0, xt, t, alpha_bar):
    """Mean c0 x_0 + ct x_t and variance beta~_t of q(x_{t-1} | x_t, x_0).

    Args:
        x0, xt: (B, *event), with at least one event axis.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (mean, variance): the mean like x0; the variance beta~_t in a shape that broadcasts to it,
            such as (B, 1, ..., 1).
    """
    ### BEGIN SOLUTION
    shape = (-1, *[1] * (x0.ndim - 1))
    c0, ct = (c.reshape(shape) for c in posterior_coefficients(t, alpha_bar))
    return c0 * x0 + ct * xt, posterior_variance(t, alpha_bar).reshape(shape)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>You have both parts already. What is missing is only that they meet the right axis.</details>
# <details><summary>Hint 2: the idea</summary>Reshape c0, ct and the variance to (B, 1, ..., 1), with as many axes as x0, as in <code>posterior_linear_term</code>.</details>
# <details><summary>Hint 3: nearly the line</summary><code>c0, ct = posterior_coefficients(t, alpha_bar)</code>, then a reshape of all three, then <code>return c0 * x0 + ct * xt, variance</code>.</details>

# %% checks="q_posterior"
# Checks of q_posterior
one = torch.ones(1, 1, dtype=torch.float64)
mean, variance = q_posterior(0.7 * one, -0.4 * one, torch.tensor([300]), LONG)
expect(
    round(mean.item(), 6),
    -0.392756,
    "q_posterior: the mean that Bayes gives at t = 300 of 1000",
    hint="the coefficients with x0 and xt, in this order",
)
expect(
    round(variance.item(), 8),
    0.00603182,
    "q_posterior: and its variance",
    hint="the variance itself, not its root or logarithm",
)
mean, variance = q_posterior(IMAGE, -IMAGE, torch.tensor([6, 1]), SHORT)
expect(
    mean.shape,
    IMAGE.shape,
    "q_posterior: a mean for every pixel",
    hint="reshape the coefficients to (B, 1, ..., 1)",
)
expect(
    (variance + 0 * IMAGE).shape,
    IMAGE.shape,
    "q_posterior: a variance that broadcasts to the mean",
    hint="reshape the variance to (B, 1, ..., 1), or expand it",
)
expect(
    (mean[1], (variance + 0 * IMAGE)[1]),
    (IMAGE[1], 0 * IMAGE[1]),
    "q_posterior: at t = 1 it is x_0 without doubt, for this example alone",
    hint="each example has its own t, and nothing is replaced at t = 1",
)

# %% [markdown]
# ### The two factors and their product
#
# Drag. The green curve says where $x_{t-1}$ lies when it comes from $x_0$; the blue one how well each $x_{t-1}$ explains $x_t$; the purple one is their
# product, normalised, and its mean and variance are your functions' numbers. Three questions:
#
# 1. Which source wins at small $t$, which at large $t$?
# 2. Does the *width* of the posterior change when you move $x_t$?
# 3. What happens at $t = 1$?

# %% tags=["experiment"]
# Drag: the two factors and their product
TEN = alpha_bar_from_beta(linear_beta(10, 0.02, 0.6))


def draw_factors(x0, xt, t):
    line, times = torch.linspace(-4, 4, 401, dtype=torch.float64), torch.tensor([t])
    one = torch.ones(1, 1, dtype=torch.float64)
    c0, ct = (c.item() for c in posterior_coefficients(times, TEN))
    mean, variance = (value.item() for value in q_posterior(x0 * one, xt * one, times, TEN))
    likelihood = step_density(line, xt, 1 - TEN[t] / TEN[t - 1])
    fig, ax = plots.curve(line, likelihood, "data", label="likelihood: leads to $x_t$")
    if t > 1:
        centre = q_sample(x0 * one, times - 1, TEN, 0 * one)  # lesson 04: no noise
        width = q_sample(0 * one, times - 1, TEN, one)  # and nothing but noise
        prior = Normal(centre, width).log_prob(line)[0].exp()
        posterior = Normal(mean, variance**0.5).log_prob(line).exp()
        plots.curve(line, prior, "prior", label="prior: comes from $x_0$", ax=ax)
        plots.curve(line, posterior, "posterior", label="posterior: both", ax=ax)
    else:
        ax.axvline(mean, color=plots.COLOR["posterior"], label="prior, posterior: the point $x_0$")
    ax.set(xlabel="$x_{t-1}$", ylabel="density", ylim=(0, {1: 4.4, 2: 4.4, 3: 2.2}.get(t, 1.6)))
    ax.set_xlim(-4, 4)
    formula = f"mean {c0:.3f} · ({x0:.2f}) + {ct:.3f} · ({xt:.2f}) = {mean:.3f}"
    ax.set_title(f"{formula}, variance {variance:.4f}", fontsize=11)
    ax.legend(loc="upper left")
    return fig, ax


widgets.explore(
    draw_factors,
    alt="Prior, likelihood and posterior of x_{t-1}, for the values of the sliders.",
    x0=(-2.0, 2.0, -1.0),
    xt=(-2.0, 2.0, 1.2),
    t=(1, 10, 5),
)

# %% [markdown]
# At small $t$ little noise lies between $x_0$ and $x_{t-1}$, so the green curve is narrow and wins; at large $t$ it is wide, and the last step wins. The
# width never moves with $x_t$ or $x_0$: a variance that depends on $t$ alone. At $t = 1$ only the point $x_0$ is left.
#
# ### Further: walking back with the answer in hand
#
# With $x_0$ known you can walk all the way back, drawing each $x_{t-1}$ from your posterior. Predict: where does the walk end, and does it visit the same
# pictures as the forward noise did?

# %% tags=["experiment"]
# Experiment: the walk back, with the answer in hand
digit = data.companion_digit(range=(-1, 1), device="cpu").double()
generator = torch.Generator().manual_seed(3)
forty = alpha_bar_from_beta(linear_beta(40, 0.002, 0.25))
walk = [torch.randn(digit.shape, generator=generator, dtype=torch.float64)]
for s in range(40, 0, -1):
    mean, variance = q_posterior(digit, walk[-1], torch.tensor([s]), forty)
    z = torch.randn(digit.shape, generator=generator, dtype=torch.float64)
    walk.append(mean + variance.sqrt() * z)
shown = [40, 30, 20, 15, 10, 5, 1, 0]
back = torch.cat([walk[40 - s] for s in shown])
eps = torch.randn(len(shown), 64, generator=generator, dtype=torch.float64)
there = q_sample(digit.expand(len(shown), 64), torch.tensor(shown), forty, eps)
gap = (walk[-1] - digit).abs().max()
where = "in the digit, to the last pixel" if gap < 1e-6 else f"{gap:.1g} off the digit"
fig, _ = plots.image_grid(
    torch.cat([back, there]),
    len(shown),
    labels=["posterior walk", "forward sample"],
    column_labels=[f"t = {s}" for s in shown],
    range=(-1.2, 1.2),
    zoom=7,
    title=f"The walk back ends {where}",
)
plots.show(
    fig,
    alt="Two rows of pictures from noise to a digit: the walk by the posterior, and forward samples.",
)
print(f"largest difference between the walk's end and the digit: {gap:.1g}")

# %% [markdown]
# It ends in $x_0$ exactly, because $\tilde\beta_1 = 0$ and $c_0 = 1$ there, and on the way it looks like the forward noise, because (15) is the forward
# chain read backwards. As a generator it is worthless: it needs the digit to make the digit. A model has to guess $x_0$, or something
# that stands for it.

# %% [markdown]
# ### Further: find the error: the right formula with the wrong index
#
# Another well-known slide writes the mean in precision form, but with $\bar\alpha_t$ and $1 - \bar\alpha_t$ where (24) has $\bar\alpha_{t-1}$ and
# $1 - \bar\alpha_{t-1}$: as if the first source were $q(x_t \mid x_0)$ instead of $q(x_{t-1} \mid x_0)$. (It also lets the product $\bar\alpha_t$ run up to $T$.)
#
# Would you notice in a program? Guess by how much the mean is off at $x_0 = 0.7$, $x_t = -0.4$: at $t = 300$ of $T = 1000$, and at $t = 2$ of $T = 6$.

# %% predict="my_errors"
my_errors = {1000: 0.01, 6: 0.01}  # your predictions


# %% tags=["experiment"]
# Experiment: the index one too high
def product_mean(place, alpha_bar_used, alpha):
    """The mean under both sources, weighted by precision, the first at level alpha_bar_used."""
    sources = [
        Normal(alpha_bar_used.sqrt() * 0.7, (1 - alpha_bar_used).sqrt()),
        Normal(place / alpha.sqrt(), (1 / alpha - 1).sqrt()),
    ]
    share = torch.stack([1 / source.variance for source in sources])
    return (share * torch.stack([source.mean for source in sources])).sum() / share.sum()


for name, table, s in (("T = 1000, t = 300", LONG, 300), ("T = 6,    t = 2  ", SHORT, 2)):
    c0, ct = posterior_coefficients(torch.tensor([s]), table)
    mine = (c0 * 0.7 - ct * 0.4).item()
    slide = product_mean(-0.4, table[s], table[s] / table[s - 1]).item()
    guessed = my_errors[len(table) - 1]
    print(
        f"{name}: yours {mine:.5f}, the slide's {slide:.5f}, off by {abs(mine - slide):.5f}",
        end="; ",
    )
    print(f"you guessed {guessed}")

# %% [markdown]
# With a thousand small steps $\bar\alpha_t$ and $\bar\alpha_{t-1}$ are nearly the same, and the fault hides. With six steps it is plain. Remember this when you test
# code of your own: **use a short schedule, and look at $t = 1$ and $t = 2$.**

# %% [markdown]
# ## 6 · The noise in $x_0$'s place
#
# A network that sees $x_t$ may guess $x_0$ or the noise $\epsilon$; with $x_t$ known, either gives the other.
#
# ### Exercise: `predict_x0` and `predict_eps` · ●○○ · 6 minutes · 1 + 1 points
#
# Two inverses of the forward sample.


# %% exercise="predict_x0"
def predict_x0(xt, eps, t, alpha_bar):
    """x_0 from x_t and the noise eps in it.

    The inverse of x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.

    Args:
        xt, eps: (B, *event), with at least one event axis.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt, differentiable in xt and eps. Nothing is clipped.
    """
    ### BEGIN SOLUTION
    level = alpha_bar[t].reshape(-1, *[1] * (xt.ndim - 1))
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Solve the forward sample for $x_0$.</details>
# <details><summary>Hint 2: the idea</summary>Take the noise away first, divide afterwards. Both roots are of the example's own level.</details>
# <details><summary>Hint 3: nearly the line</summary>Reshape <code>alpha_bar[t]</code> to (B, 1, ..., 1), with as many axes as xt, and call it <code>level</code>; the forward sample then reads as in the docstring.</details>

# %% checks="predict_x0"
# Checks of predict_x0
generator = torch.Generator().manual_seed(0)
x0, eps = (torch.randn(3, 1, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
t = torch.tensor([1, 3, 6])
expect(
    predict_x0(q_sample(x0, t, SHORT, eps), eps, t, SHORT),
    x0,
    "predict_x0: there and back again",
    hint="subtract the noise with its factor, then undo the shrinking",
)
verify_equation(
    26,
    predict_x0(q_sample(x0, t, SHORT, eps), eps, t, SHORT),
    x0,
    of="predict_x0",
    hint="both factors are roots at the example's own t",
)
kept, before = x0.clone(), eps.clone()
predict_x0(kept, eps, t, SHORT)
expect(
    (kept, eps),
    (x0, before),
    "predict_x0: what it is given is left as it was",
    hint="no operation that ends in an underscore, no *= or +=",
)


# %% exercise="predict_eps"
def predict_eps(xt, x0, t, alpha_bar):
    """The noise eps in x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, from x_t and x_0.

    Args:
        xt, x0: (B, *event), with at least one event axis.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt, differentiable in xt and x0.
    """
    ### BEGIN SOLUTION
    level = alpha_bar[t].reshape(-1, *[1] * (xt.ndim - 1))
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Solve the forward sample for the noise this time.</details>
# <details><summary>Hint 2: the idea</summary>$x_t$ minus the faded $x_0$ is the scaled noise. Undo the scaling.</details>
# <details><summary>Hint 3: nearly the line</summary>The same <code>level</code> as in <code>predict_x0</code>; the divisor is the noise's standard deviation.</details>

# %% checks="predict_eps"
# Checks of predict_eps
generator = torch.Generator().manual_seed(1)
x0, eps = (torch.randn(3, 1, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2))
t = torch.tensor([1, 3, 6])
expect(
    predict_eps(q_sample(x0, t, SHORT, eps), x0, t, SHORT),
    eps,
    "predict_eps: the noise comes out again",
    hint="subtract the shrunken x_0, then undo the noise's factor",
)
kept, before = x0.clone(), eps.clone()
predict_eps(kept, eps, t, SHORT)
expect(
    (kept, eps),
    (x0, before),
    "predict_eps: what it is given is left as it was",
    hint="no operation that ends in an underscore, no *= or +=",
)

# %% [markdown]
# <details><summary>Line (26), to compare with yours</summary>
#
# $$x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon}{\sqrt{\bar\alpha_t}} \tag{26}$$
#
# *solve the forward sample $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$ for $x_0$.*
#
# </details>
#
# ### Step: `mean_in_noise` · ●●● · 10 minutes
#
# Insert this $x_0$ into your mean $c_0\, x_0 + c_t\, x_t$ and collect $x_t$ and $\epsilon$. The factor of $x_t$ looks long. Bring it to one denominator: a small identity that you have met makes one root of it.


# %% step="mean_in_noise"
def mean_in_noise(alpha, beta, alpha_bar_prev):
    """The factors of x_t and of eps in the posterior's mean, when x_0 is written through them.

    Args:
        alpha, beta, alpha_bar_prev: SymPy symbols for alpha_t, beta_t and alpha_bar_{t-1};
            alpha_bar_t is the product of the first and the last.

    Returns:
        (k_t, k_eps), two expressions: the mean is k_t x_t + k_eps eps.
    """
    ### BEGIN SOLUTION
    k_t = 1 / sympy.sqrt(alpha)
    return k_t, -beta / sympy.sqrt(1 - alpha * alpha_bar_prev) * k_t
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The factor of $\epsilon$ is short at once: $c_0$ times what stands before $\epsilon$ in your $x_0$.</details>
# <details><summary>Hint 2: the idea</summary>The factor of $x_t$ has two terms, one from $c_t$ and one from $c_0$ over a root. $\sqrt{\bar\alpha_{t-1}} / \sqrt{\bar\alpha_t}$ is one over a root of $\alpha_t$.</details>
# <details><summary>Hint 3: nearly the line</summary>On one denominator, the numerator of the factor of $x_t$ is what you multiplied out for <code>posterior_variance</code>; it cancels.</details>

# %% checks="mean_in_noise"
# Checks of mean_in_noise
noise = sympy.symbols("epsilon", real=True)
total = a * ap  # alphabar_t
forward = sympy.Eq(xt_, sympy.sqrt(total) * x0_ + sympy.sqrt(1 - total) * noise)
k_t, k_eps = mean_in_noise(a, b_, ap)
expect_same(
    k_t * xt_ + k_eps * noise,
    (b / A).subs(x0_, sympy.solve(forward, x0_)[0]),
    "mean_in_noise: b / A with the noise in x_0's place",
    given={b_: 1 - a},
    hint="insert x_0 in both terms where it stands, and mind the minus before the noise",
)

# %% [markdown]
# ### Exercise: `posterior_mean_from_eps` · ●●○ · 5 minutes · 2 points
#
# The same for tensors. It is one line of every sampler in lesson 06.


# %% exercise="posterior_mean_from_eps"
def posterior_mean_from_eps(xt, eps, t, alpha_bar):
    """The mean of q(x_{t-1} | x_t, x_0), with x_0 given through its noise eps in x_t.

    Args:
        xt, eps: (B, *event), with at least one event axis.
        t: LongTensor (B,), 1 <= t <= T, one time per example.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        Like xt, differentiable in xt and eps. At t = 1 it is x_0.
    """
    ### BEGIN SOLUTION
    now, before = (alpha_bar[s].reshape(-1, *[1] * (xt.ndim - 1)) for s in (t, t - 1))
    alpha = now / before
    return (xt - (1 - alpha) / (1 - now).sqrt() * eps) / alpha.sqrt()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two ways: write your <code>mean_in_noise</code>, or chain two of your functions. Do one and check it with the other.</details>
# <details><summary>Hint 2: the idea</summary>You need $\alpha_t$, $\beta_t$ and $\bar\alpha_t$, each reshaped to (B, 1, ..., 1).</details>
# <details><summary>Hint 3: nearly the line</summary>Stretch $x_t$ by as much as the step had shrunk it, after taking away a <i>share</i> of the noise.</details>

# %% checks="posterior_mean_from_eps"
# Checks of posterior_mean_from_eps
x0 = torch.tensor([[0.7], [-1.2]], dtype=torch.float64)
eps = torch.tensor([[-0.4], [0.9]], dtype=torch.float64)
t = torch.tensor([4, 2])
xt = q_sample(x0, t, SHORT, eps)
found = [numerical_bayes(x0[i, 0], xt[i, 0], int(t[i]), SHORT_BETA) for i in range(2)]
bayes = torch.stack([mean for _, mean, _ in found])[:, None]
verify_equation(
    30,
    posterior_mean_from_eps(xt, eps, t, SHORT),
    bayes,
    rtol=1e-6,
    of="posterior_mean_from_eps",
    hint="compare with q_posterior of your predict_x0: where do the two part?",
)
start = torch.tensor([1, 1])
x1 = q_sample(x0, start, SHORT, eps)
expect(
    posterior_mean_from_eps(x1, eps, start, SHORT),
    x0,
    "posterior_mean_from_eps: at t = 1 the mean is x_0",
    hint="at t = 1 alpha_t and alpha_bar_t are the same",
)
kept, before = x0.clone(), eps.clone()
posterior_mean_from_eps(kept, eps, t, SHORT)
expect(
    (kept, eps),
    (x0, before),
    "posterior_mean_from_eps: what it is given is left as it was",
    hint="no operation that ends in an underscore, no *= or +=",
)

# %% [markdown]
# <details><summary>Lines (27) to (30), to compare with yours</summary>
#
# $$\tilde\mu_t = \frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}\, x_t + \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t} \cdot \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon}{\sqrt{\bar\alpha_t}} \tag{27}$$
#
# *(26) in (25);*
#
# $$= \left( \frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} + \frac{\beta_t}{\sqrt{\alpha_t}\, (1 - \bar\alpha_t)} \right) x_t - \frac{\beta_t}{\sqrt{\alpha_t} \sqrt{1 - \bar\alpha_t}}\, \epsilon \tag{28}$$
#
# *use $\sqrt{\bar\alpha_{t-1}} / \sqrt{\bar\alpha_t} = 1 / \sqrt{\alpha_t}$, and collect $x_t$;*
#
# $$\frac{\sqrt{\alpha_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} + \frac{\beta_t}{\sqrt{\alpha_t}\, (1 - \bar\alpha_t)} = \frac{\alpha_t (1 - \bar\alpha_{t-1}) + \beta_t}{\sqrt{\alpha_t}\, (1 - \bar\alpha_t)} = \frac{1}{\sqrt{\alpha_t}} \tag{29}$$
#
# *common denominator, then identity (22) for the second time;*
#
# $$\tilde\mu_t = \frac{1}{\sqrt{\alpha_t}} \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \epsilon \right) \tag{30}$$
#
# *(29) in (28).*
#
# </details>

# %%
# Equations (27) to (29), for all values at once
noise = sympy.symbols("epsilon", real=True)
PLACE[noise] = 1.1
total = a * ap  # alphabar_t
forward = sympy.Eq(xt_, sympy.sqrt(total) * x0_ + sympy.sqrt(1 - total) * noise)
x0_from_noise = sympy.solve(forward, x0_)[0]
mean = (b / A).subs(x0_, x0_from_noise)
# The coefficients of (25), found by differentiating the mean.
weight_x0, weight_xt = (sympy.diff(b / A, source) for source in (x0_, xt_))
root = sympy.sqrt(a)
bracket = root * (1 - ap) / (1 - total) + b_ / (root * (1 - total))
last = -b_ / (root * sympy.sqrt(1 - total)) * noise
verify_equation(27, at(mean), at(weight_xt * xt_ + weight_x0 * x0_from_noise))
verify_equation(28, at(mean), at(bracket * xt_ + last))
verify_equation(29, at(bracket), at((a * (1 - ap) + b_) / (root * (1 - total))), at(1 / root))
expect(same(bracket, 1 / root), True, "(29) holds for all values")

# %% [markdown]
# ## 7 · From KL to squared error
#
# Each $L_{t-1}$ in (12) is the KL divergence of two Gaussians, if the model's step is one too. Lesson 01 derived it for vectors and matrices, in its lines (17) to (19), and you wrote it there as `gaussian_kl_full`. Here coordinates are independent, so it is needed for one coordinate only, and independent coordinates add up.
#
# ### Exercise: `normal_kl` · ●●○ · 8 minutes · 2 points
#
# For $q = \mathcal N(\mu_1, \sigma_1^2)$ and $p = \mathcal N(\mu_2, \sigma_2^2)$, find what becomes of lesson 01's determinants, trace and quadratic form, then write the divergence for tensors, from log-variances as always in this course.


# %% exercise="normal_kl"
def normal_kl(mean1, logvar1, mean2, logvar2):
    """KL(N(mean1, exp(logvar1)) || N(mean2, exp(logvar2))), diagonal, in nats.

    Args:
        mean1, logvar1, mean2, logvar2: four tensors that broadcast to (B, *event), with at least
            one event axis; any of them, mean1 too, may have fewer axes, or none. logvar is
            log sigma^2.

    Returns:
        (B,), summed over all axes of the broadcast shape but the first; differentiable in all four.
    """
    ### BEGIN SOLUTION
    terms = 0.5 * (
        logvar2 - logvar1 - 1 + (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar2).exp()
    )
    return terms.reshape(len(terms), -1).sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A covariance matrix of one entry is $\sigma^2$. What is its determinant, what its inverse, and what is $J$?</details>
# <details><summary>Hint 2: the idea</summary>Three terms and a constant, all halved: a logarithm of two variances, a ratio of variances, and a squared distance. The logarithm of a ratio is a difference of logvars.</details>
# <details><summary>Hint 3: nearly the line</summary>Let everything broadcast first, entry by entry; only then sum over all axes but the first. A logvar without axes counts once for <i>every</i> entry.</details>

# %% checks="normal_kl"
# Checks of normal_kl
generator = torch.Generator().manual_seed(2)
means = torch.randn(2, 3, 2, 4, generator=generator, dtype=torch.float64)
narrow, wide = torch.tensor(-1.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
truth = kl_divergence(Normal(means[0], (narrow / 2).exp()), Normal(means[1], (wide / 2).exp()))
expect(
    normal_kl(means[0], narrow, means[1], wide),
    truth.sum((1, 2)),
    "normal_kl: torch.distributions gives the same",
    hint="the 1/2, the sign of the logarithm, which variance stands below, and a sum over all event axes",
)
expect(
    normal_kl(means[0], narrow, means[0], narrow),
    torch.zeros(3).double(),
    "normal_kl: no divergence from itself",
    hint="which constant makes the bracket vanish for equal Gaussians?",
)
one = torch.ones(1, 1, dtype=torch.float64)
first = Normal(torch.tensor(0.3).double(), torch.tensor(0.5).double())
second = Normal(torch.tensor(-0.2).double(), torch.tensor(0.8).double())
verify_equation(
    33,
    normal_kl(0.3 * one, 2 * (0.5 * one).log(), -0.2 * one, 2 * (0.8 * one).log()),
    kl_divergence(first, second),
    of="normal_kl",
    hint="the factor 1/2, and the natural logarithm of the ratio of variances",
)
point = torch.tensor(0.3, dtype=torch.float64)
expect(
    normal_kl(point, narrow, means[1], wide),
    normal_kl(point.expand_as(means[1]), narrow, means[1], wide),
    "normal_kl: one mean for all entries",
    hint="the sum runs over the axes of what all four broadcast to",
)

# %% [markdown]
# <details><summary>Lines (31) to (33), to compare with yours</summary>
#
# $$\mathrm{KL}(q \,\Vert\, p) = \frac12 \left[ \log \frac{\det C_2}{\det C_1} - J + \operatorname{tr}\big( C_2^{-1} C_1 \big) + (m_1 - m_2)^\top C_2^{-1} (m_1 - m_2) \right] \tag{31}$$
#
# *lesson 01: the two log-densities of its (18), their averages by its (19);*
#
# $$J = 1, \qquad \det C_i = \sigma_i^2, \qquad \operatorname{tr}\big( C_2^{-1} C_1 \big) + (m_1 - m_2)^\top C_2^{-1} (m_1 - m_2) = \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{\sigma_2^2} \tag{32}$$
#
# *one coordinate;*
#
# $$\mathrm{KL}(q \,\Vert\, p) = \frac12 \left[ \log \frac{\sigma_2^2}{\sigma_1^2} - 1 + \frac{\sigma_1^2 + (\mu_1 - \mu_2)^2}{\sigma_2^2} \right] \tag{33}$$
#
# *(32) in (31).*
#
# </details>

# %%
# Equations (31) and (32)
broad = MultivariateNormal(
    torch.tensor([0.3, -1.0]).double(), torch.tensor([[0.5, 0.2], [0.2, 0.4]]).double()
)
other = MultivariateNormal(
    torch.tensor([-0.2, 0.1]).double(), torch.tensor([[0.9, -0.3], [-0.3, 0.7]]).double()
)
apart, back = broad.mean - other.mean, other.precision_matrix
by_hand = other.covariance_matrix.logdet() - broad.covariance_matrix.logdet() - 2
by_hand = (by_hand + (back @ broad.covariance_matrix).trace() + apart @ back @ apart) / 2
verify_equation(31, kl_divergence(broad, other), by_hand)

# (32): the average of the quadratic form over q, by a sum on the line
first = Normal(torch.tensor(0.3).double(), torch.tensor(0.5).double())
second = Normal(torch.tensor(-0.2).double(), torch.tensor(0.8).double())
mass = first.log_prob(LINE).exp() * SPACING
square = (mass * (LINE - second.mean) ** 2).sum() / second.variance
verify_equation(32, square, (first.variance + (first.mean - second.mean) ** 2) / second.variance)

# %% [markdown]
# Now choose the model's step. It shall be Gaussian, with the posterior's own variance, $\sigma_t^2 = \tilde\beta_t$, and its mean $\mu_\theta$ shall be the
# posterior's mean with the network's guess $\hat x_0$ in place of $x_0$. What does $L_{t-1}$ charge for a wrong guess? Put your means and your variance into your KL: with equal variances little is left of it.
#
# ### Exercise: `loss_weight_x0` · ●●○ · 7 minutes · 2 points
#
# The number $w$ in $L_{t-1} = w\, \Vert x_0 - \hat x_0 \Vert^2$.


# %% exercise="loss_weight_x0"
def loss_weight_x0(t, alpha_bar):
    """What L_{t-1} charges for an error in x_0, in nats.

    L_{t-1} = weight ||x_0 - x_0_hat||^2, the square summed over the event. The model's step has
    variance sigma_t^2 = beta~_t and the posterior's mean at x_0_hat.

    Args:
        t: LongTensor (B,), 2 <= t <= T.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B,), in the dtype of alpha_bar.
    """
    ### BEGIN SOLUTION
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return 0.5 * (before / (1 - before) - now / (1 - now))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>With equal variances the KL is a squared distance of two means over twice the variance. In which of its two sources do the means differ?</details>
# <details><summary>Hint 2: the idea</summary>The distance of the means is $c_0$ times the error. Square it, divide by twice $\tilde\beta_t$, and cancel what you can.</details>
# <details><summary>Hint 3: nearly the line</summary>A check on paper: the weight is half of the signal-to-noise ratio that is lost between $t - 1$ and $t$. Which of the two ratios is larger?</details>

# %% checks="loss_weight_x0"
# Checks of loss_weight_x0
guess = 0.2  # a wrong x_0; the right one is 0.7
found = [
    [numerical_bayes(value, -0.4, int(t), SHORT_BETA)[1:] for value in (0.7, guess)] for t in LATER
]
truth = torch.stack(
    [kl_divergence(Normal(m, v.sqrt()), Normal(m_, v.sqrt())) for (m, v), (m_, _) in found]
)
verify_equation(
    36,
    loss_weight_x0(LATER, SHORT) * (0.7 - guess) ** 2,
    truth,
    rtol=1e-6,
    of="loss_weight_x0",
    hint="the difference of both means for a unit error, squared, over twice the variance",
)
expect(
    bool((loss_weight_x0(torch.arange(2, 1001), LONG) > 0).all()),
    True,
    "loss_weight_x0: every error costs something",
    hint="the signal-to-noise ratio falls with t: which comes first?",
)
expect(
    (loss_weight_x0(LATER, SHORT).dtype, loss_weight_x0(LATER, SHORT.float()).dtype),
    (torch.float64, torch.float32),
    "loss_weight_x0: what comes out has the dtype of the table",
    hint="no tensor of your own with another dtype",
)

# %% [markdown]
# ### Exercise: `loss_weight_eps` · ●●○ · 6 minutes · 2 points
#
# The same number for an error in the noise, $L_{t-1} = w\, \Vert \epsilon - \hat\epsilon \Vert^2$: two guesses of the noise, two guesses of $x_0$, one $x_t$.


# %% exercise="loss_weight_eps"
def loss_weight_eps(t, alpha_bar):
    """What L_{t-1} charges for an error in the noise, in nats.

    L_{t-1} = weight ||eps - eps_hat||^2, the square summed over the event. The model's step has
    variance sigma_t^2 = beta~_t and the posterior's mean, in its eps form, at eps_hat.

    Args:
        t: LongTensor (B,), 2 <= t <= T.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        (B,), in the dtype of alpha_bar.
    """
    ### BEGIN SOLUTION
    before = alpha_bar[t - 1]
    alpha = alpha_bar[t] / before
    return (1 - alpha) / (2 * alpha * (1 - before))
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Use your <code>predict_x0</code> on paper, twice, with the same $x_t$: how do the two guesses of $x_0$ differ?</details>
# <details><summary>Hint 2: the idea</summary>The squared error in $x_0$ is the squared error in the noise times a ratio of $1 - \bar\alpha_t$ and $\bar\alpha_t$. Multiply your weight by it.</details>
# <details><summary>Hint 3: nearly the line</summary>Most of it cancels, since $\bar\alpha_t = \alpha_t \bar\alpha_{t-1}$: three factors stay below the bar, one of them a 2.</details>

# %% checks="loss_weight_eps"
# Checks of loss_weight_eps
here = torch.full((5, 1), -0.4, dtype=torch.float64)  # x_t, the same at every t
noise_of = [predict_eps(here, 0 * here + value, LATER, SHORT)[:, 0] for value in (0.7, 0.2)]
found = [
    [numerical_bayes(value, -0.4, int(t), SHORT_BETA)[1:] for value in (0.7, 0.2)] for t in LATER
]
truth = torch.stack(
    [kl_divergence(Normal(m, v.sqrt()), Normal(m_, v.sqrt())) for (m, v), (m_, _) in found]
)
verify_equation(
    39,
    loss_weight_eps(LATER, SHORT) * (noise_of[0] - noise_of[1]) ** 2,
    truth,
    rtol=1e-6,
    of="loss_weight_eps",
    hint="how large is the error in x_0 that a unit error in the noise makes? It enters squared",
)

# %% [markdown]
# <details><summary>Lines (34) to (39), to compare with yours</summary>
#
# $$\mathrm{KL}\big( q(x_{t-1} \mid x_t, x_0) \,\Vert\, p_\theta(x_{t-1} \mid x_t) \big) = \frac{1}{2 \tilde\beta_t} \Vert \tilde\mu_t - \mu_\theta \Vert^2 \tag{34}$$
#
# *(33) with equal variances: the logarithm is 0, and $-1$ meets $\sigma_1^2 / \sigma_2^2 = 1$;*
#
# $$\tilde\mu_t - \mu_\theta = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t}\, (x_0 - \hat x_0) \tag{35}$$
#
# *(25) twice: both means hold the same $c_t x_t$, which cancels;*
#
# $$\mathrm{KL} = \frac{1}{2 \tilde\beta_t} \cdot \frac{\bar\alpha_{t-1} \beta_t^2}{(1 - \bar\alpha_t)^2}\, \Vert x_0 - \hat x_0 \Vert^2 = \frac{\bar\alpha_{t-1}\, \beta_t}{2\, (1 - \bar\alpha_{t-1}) (1 - \bar\alpha_t)}\, \Vert x_0 - \hat x_0 \Vert^2 \tag{36}$$
#
# *(35) in (34), then (23) for $\tilde\beta_t$: one $\beta_t$ and one $1 - \bar\alpha_t$ cancel.* The weight has a meaning:
#
# $$\mathrm{SNR}_{t-1} - \mathrm{SNR}_t = \frac{\bar\alpha_{t-1}}{1 - \bar\alpha_{t-1}} - \frac{\bar\alpha_t}{1 - \bar\alpha_t} = \frac{\bar\alpha_{t-1} - \bar\alpha_t}{(1 - \bar\alpha_{t-1})(1 - \bar\alpha_t)} = \frac{\bar\alpha_{t-1}\, \beta_t}{(1 - \bar\alpha_{t-1})(1 - \bar\alpha_t)} \tag{37}$$
#
# *common denominator, where the products $\bar\alpha_{t-1} \bar\alpha_t$ cancel; then $\bar\alpha_t = \bar\alpha_{t-1} (1 - \beta_t)$.* So an error in $x_0$ costs
# half the signal-to-noise ratio that is lost between $t - 1$ and $t$. The same in the noise:
#
# $$x_0 - \hat x_0 = \frac{\sqrt{1 - \bar\alpha_t}}{\sqrt{\bar\alpha_t}}\, (\hat\epsilon - \epsilon) \tag{38}$$
#
# *(26) twice, with the same $x_t$;*
#
# $$\mathrm{KL} = \frac{\bar\alpha_{t-1}\, \beta_t}{2\, (1 - \bar\alpha_{t-1}) (1 - \bar\alpha_t)} \cdot \frac{1 - \bar\alpha_t}{\bar\alpha_t}\, \Vert \epsilon - \hat\epsilon \Vert^2 = \frac{\beta_t}{2\, \alpha_t\, (1 - \bar\alpha_{t-1})}\, \Vert \epsilon - \hat\epsilon \Vert^2 \tag{39}$$
#
# *(38) in (36), and $\bar\alpha_{t-1} / \bar\alpha_t = 1 / \alpha_t$.* (The DDPM paper keeps $\sigma_t^2$ open and writes $\beta_t^2 / (2 \sigma_t^2 \alpha_t (1 - \bar\alpha_t))$; with
# $\sigma_t^2 = \tilde\beta_t$ that is the same.)
#
# </details>
#
# The lines in between, with your own functions, and (37) in SymPy:

# %%
# Equations (34), (35), (37) and (38)
t = torch.arange(2, 7)
right, wrong = (
    torch.full((5, 1), 0.7, dtype=torch.float64),
    torch.full((5, 1), 0.2, dtype=torch.float64),
)
xt = torch.full((5, 1), -0.4, dtype=torch.float64)
(target, variance), (model_mean, _) = (
    q_posterior(right, xt, t, SHORT),
    q_posterior(wrong, xt, t, SHORT),
)
kl = normal_kl(target, variance.log(), model_mean, variance.log())
verify_equation(34, kl, ((target - model_mean) ** 2 / (2 * variance)).squeeze(1))
verify_equation(
    35, target - model_mean, posterior_coefficients(t, SHORT)[0][:, None] * (right - wrong)
)
lost = ap / (1 - ap) - total / (1 - total)
apart = (1 - ap) * (1 - total)
verify_equation(37, at(lost), at((ap - total) / apart), at(ap * b_ / apart))
expect(same(lost, ap * b_ / apart), True, "(37) holds for all values")
errors = predict_eps(xt, wrong, t, SHORT) - predict_eps(xt, right, t, SHORT)
verify_equation(38, right - wrong, (1 / SHORT[t] - 1).sqrt()[:, None] * errors)

# %% [markdown]
# ### The simplified loss
#
# Ho, Jain and Abbeel dropped the weight:
#
# $$L_{\text{simple}} = \frac1T \sum_{t=1}^T \mathbb E \left[ \Vert \epsilon - \hat\epsilon(x_t, t) \Vert^2 \right] = \frac1T \left( \mathbb E \Vert \epsilon - \hat\epsilon(x_1, 1) \Vert^2 + \sum_{t=2}^T \frac{L_{t-1}}{w_t} \right), \qquad w_t = \frac{\beta_t}{2 \alpha_t (1 - \bar\alpha_{t-1})}. \tag{40}$$
#
# *the average over a random $t$ of the unweighted squared error; by (39) each term is $L_{t-1}$ over its weight.* It is no longer a bound on the likelihood. But where a network can
# be right for every $t$ at once, weights do not move the optimum: each term is smallest at the same $\hat\epsilon(x_t, t) = \mathbb E[\epsilon \mid x_t]$. Weights decide where a network of
# *limited* size spends its effort.
#
# Predict: at $T = 1000$, how many times more does the bound weigh an error in the noise at $t = 2$ than at $t = 1000$? And is the weight for $x_0$ steeper or flatter?

# %% predict="my_ratio"
my_ratio = 10  # your prediction for the ratio

# %% tags=["experiment"]
# Experiment: the bound's weights
t = torch.arange(2, 1001)
weights = {"noise": loss_weight_eps(t, LONG), "x_0": loss_weight_x0(t, LONG)}
fig, ax = plots.figure()
for (name, values), role in zip(weights.items(), ("noise", "data"), strict=True):
    label = f"bound's weight, error in {name.replace('x_0', '$x_0$')}"
    plots.curve(t, values / values[-1], role, label=label, ax=ax)
    first, last = values[0].item(), values[-1].item()
    print(f"error in {name + ':':7}weight {first:.3g} at t = 2, {last:.3g} at t = 1000", end=", ")
    print(f"ratio {first / last:.3g}")
plots.curve([2, 1000], [1, 1], "model", label="simplified loss, error in noise", ax=ax)
plots.guess(ax, y=my_ratio, label="your ratio for noise")
ax.set(xscale="log", yscale="log", xlabel="time $t$", ylabel="weight / weight at T")
early = weights["noise"][0] > weights["noise"][-1]
ax.set_title(f"The bound cares more for {'early' if early else 'late'} steps")
plots.show(
    fig,
    alt="Weights of an error in x_0 and in the noise against time, on logarithmic axes.",
)
lowest = int(t[weights["noise"].argmin()])
print(f"the weight for the noise is lowest at t = {lowest}, then it rises a little")

# %% [markdown]
# An error in $x_0$ is charged by powers of ten more at the start, simply because there $x_0$ can be read off $x_t$ almost exactly. In the noise the weight varies far less, which is one reason to predict noise.
#
# The simplified loss takes effort away from the first steps, whose noise nobody can see, and gives it to the steps where the picture takes shape. It gives better pictures and
# a worse likelihood: on CIFAR-10 the paper reports an FID (a distance between samples and data) of 3.17 with it
# and 13.51 with the bound, but at most 3.75 against 3.70 bits per dimension (the negative log-likelihood of one pixel value). In both, lower is better.
#
# Here (40) on data where the best noise predictor is known exactly, the correlated Gaussian in the plane (`eps_floor` is its mean squared error per dimension, `x0_floor` the one of the best guess of $x_0$):

# %%
# Equation (40) where the best predictor is known
table = SHORT
gaussian = exact.CORRELATED_GAUSSIAN
floor = 2 * gaussian.eps_floor(table[1:])  # E ||eps - eps_hat||^2 at t = 1..6, two dimensions
t = torch.arange(2, 7)
generator = torch.Generator().manual_seed(4)
x0 = gaussian.sample(20000, generator)
eps = torch.randn(6, 20000, 2, generator=generator, dtype=torch.float64)
errors = []
for s in range(1, 7):
    level = table[s]
    guessed = gaussian.best_eps(level.sqrt() * x0 + (1 - level).sqrt() * eps[s - 1], level)
    errors.append(((eps[s - 1] - guessed) ** 2).sum(1))
sampled = torch.stack(errors).mean(0)  # one estimate of the average over t per example
terms = loss_weight_x0(t, table) * 2 * gaussian.x0_floor(table[2:])  # L_{t-1}, exact
weighted = (floor[0] + (terms / loss_weight_eps(t, table)).sum()) / 6
verify_equation(40, sampled.mean(), weighted, standard_error=(sampled.std() / 20000**0.5).item())

# %% [markdown]
# ## 8 · Further: another route to the same loss
#
# Some lectures never mention $q(x_{t-1} \mid x_t, x_0)$. They start from the KL of the two joints and keep, for each $t$, $-\mathbb E_q \log p_\theta(x_{t-1} \mid x_t)$: the part that
# contains $\theta$. With a Gaussian step that is $\mathbb E \Vert x_{t-1} - \mu_\theta(x_t) \Vert^2 / (2 \sigma_t^2)$ plus a constant. Follow them, in our notation (theirs writes $\alpha_t, \beta_t, \bar\beta_t$ for our
# $\sqrt{\alpha_t}, \sqrt{\beta_t}, \sqrt{1 - \bar\alpha_t}$). Let $\epsilon_t$ be the noise of step $t$ alone, and $\bar\epsilon$ that of all steps before:
#
# $$x_{t-1} = \sqrt{\bar\alpha_{t-1}}\, x_0 + \sqrt{1 - \bar\alpha_{t-1}}\, \bar\epsilon, \qquad x_t = \sqrt{\alpha_t}\, x_{t-1} + \sqrt{\beta_t}\, \epsilon_t.$$
#
# Solve the second for $x_{t-1}$, and let a network $g(x_t)$ guess $\epsilon_t$, so that $\mu_\theta = (x_t - \sqrt{\beta_t}\, g) / \sqrt{\alpha_t}$. For $d$ coordinates
#
# $$\frac{1}{2 \sigma_t^2}\, \mathbb E \Vert x_{t-1} - \mu_\theta \Vert^2 = \frac{\beta_t}{2 \sigma_t^2 \alpha_t}\, \mathbb E \Vert \epsilon_t - g(x_t) \Vert^2 \tag{41}$$
#
# *both hold $x_t / \sqrt{\alpha_t}$, which cancels.* Two noises make the estimate needlessly rough. Merge them:
#
# $$\sqrt{1 - \bar\alpha_t}\, \epsilon = \sqrt{\alpha_t (1 - \bar\alpha_{t-1})}\, \bar\epsilon + \sqrt{\beta_t}\, \epsilon_t, \qquad \sqrt{1 - \bar\alpha_t}\, \omega = \sqrt{\beta_t}\, \bar\epsilon - \sqrt{\alpha_t (1 - \bar\alpha_{t-1})}\, \epsilon_t \tag{42}$$
#
# *the first is the total noise in $x_t$; the second is the combination at right angles to it.* By identity (22), for the third time, the squares of the coefficients add up to
# $1 - \bar\alpha_t$, so both are standard normal, and
#
# $$\mathbb E[\epsilon\, \omega] = \frac{\sqrt{\alpha_t (1 - \bar\alpha_{t-1})} \sqrt{\beta_t} - \sqrt{\beta_t} \sqrt{\alpha_t (1 - \bar\alpha_{t-1})}}{1 - \bar\alpha_t} = 0 \tag{43}$$
#
# *in each coordinate; jointly Gaussian and uncorrelated, so independent;*
#
# $$\epsilon_t = \frac{\sqrt{\beta_t}\, \epsilon - \sqrt{\alpha_t (1 - \bar\alpha_{t-1})}\, \omega}{\sqrt{1 - \bar\alpha_t}} \tag{44}$$
#
# *solve (42) for $\epsilon_t$: a rotation, turned back;*
#
# $$\mathbb E \Vert \epsilon_t - g(x_t) \Vert^2 = \mathbb E \left\Vert \sqrt{\frac{\beta_t}{1 - \bar\alpha_t}}\, \epsilon - g(x_t) \right\Vert^2 + \frac{\alpha_t (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}\, d \tag{45}$$
#
# *insert (44). $x_t$ is made of $x_0$ and $\epsilon$, and $\omega$ is independent of both, so the mixed term averages to 0, and $\omega$ is eliminated;*
#
# $$\frac{1}{2 \sigma_t^2}\, \mathbb E \Vert x_{t-1} - \mu_\theta \Vert^2 = \underbrace{\frac{\beta_t^2}{2 \sigma_t^2 \alpha_t (1 - \bar\alpha_t)}\, \mathbb E \Vert \epsilon - \hat\epsilon \Vert^2}_{L_{t-1} \text{ at } \sigma_t^2 = \tilde\beta_t} + \underbrace{\frac{\tilde\beta_t}{2 \sigma_t^2}\, d}_{\text{free of } \theta} \tag{46}$$
#
# *name the network $g = \sqrt{\beta_t / (1 - \bar\alpha_t)}\, \hat\epsilon$, insert (45) in (41), and use (23).* The same loss, up to a term free of $\theta$: at $\sigma_t^2 = \tilde\beta_t$ the first part is
# $L_{t-1}$ with the weight (39), averaged over the data, and the second is $d/2$.
#
# On a slide (41) and (46) stand with "=" and without the 1/2. And its network predicts $\sqrt{\beta_t / (1 - \bar\alpha_t)}\, \epsilon$, not $\epsilon$.

# %%
# Equations (41) to (46)
# A random variable c_1 x_0 + c_2 eps_bar + c_3 eps_t with three independent standard normals is its
# coefficients (c_1, c_2, c_3), and its mean square is the sum of their squares: every average below
# is exact. One coordinate (d = 1), unit-variance data, t = 4 of 6.
x0, eps_bar, eps_t = torch.eye(3, dtype=torch.float64)
t = torch.tensor([4])
now, before, step_beta = SHORT[4], SHORT[3], SHORT_BETA[4]
keep = (1 - step_beta) * (1 - before)
x_before = before.sqrt() * x0 + (1 - before).sqrt() * eps_bar
xt = (1 - step_beta).sqrt() * x_before + step_beta.sqrt() * eps_t
eps = (keep.sqrt() * eps_bar + step_beta.sqrt() * eps_t) / (1 - now).sqrt()
omega = (step_beta.sqrt() * eps_bar - keep.sqrt() * eps_t) / (1 - now).sqrt()
guess_eps = 0.6 * xt  # some network, not a good one
g = (step_beta / (1 - now)).sqrt() * guess_eps
mu = posterior_mean_from_eps(xt[None], guess_eps[None], t, SHORT)[
    0
]  # your (30) is the mean with this g


def mean_square(v):
    return v @ v


variance = posterior_variance(t, SHORT)[0]
left = mean_square(x_before - mu) / (2 * variance)
verify_equation(41, left, step_beta / (2 * variance * (1 - step_beta)) * mean_square(eps_t - g))
verify_equation(42, torch.stack([mean_square(eps), mean_square(omega)]), torch.ones(2).double())
verify_equation(43, eps @ omega, 0.0)
turned_back = (step_beta.sqrt() * eps - keep.sqrt() * omega) / (1 - now).sqrt()
verify_equation(44, eps_t.flip(0), turned_back.flip(0))
without_omega = mean_square((step_beta / (1 - now)).sqrt() * eps - g) + keep / (1 - now)
verify_equation(45, mean_square(eps_t - g), without_omega)
verify_equation(46, left, loss_weight_eps(t, SHORT)[0] * mean_square(eps - guess_eps) + 0.5)

# %% [markdown]
# ## 9 · Further: what a Gaussian step costs
#
# The model's step was *chosen* to be Gaussian. The truth, $q(x_{t-1} \mid x_t)$, had two bumps in section 1. When is the choice harmless?
#
# ### Small steps
#
# Measure, for the mixture on the line, how far $q(x_{t-1} \mid x_t)$ is from the Gaussian with the same mean and variance, averaged over $x_t$ and summed over $t = 2, \dots, T$. This sum
# is what any Gaussian model loses at least in these steps, in nats, even with a perfect network. More steps mean more terms in the sum. Predict: from $T = 10$ to $T = 100$, by
# what factor does the *sum* change?


# %%
# How far a step back is from a Gaussian
def gaussian_step_cost(t, alpha_bar):
    """E KL(q(x_{t-1} | x_t) || Gaussian of the same mean and variance), the mixture, in nats."""
    line = torch.linspace(-6, 6, 601, dtype=torch.float64)
    spacing, keep, xt = line[1] - line[0], alpha_bar[t] / alpha_bar[t - 1], line[::12, None]
    step = Normal(keep.sqrt() * line, (1 - keep).sqrt()).log_prob(xt)  # (x_t, x_{t-1})
    joint = MIXTURE.noised(alpha_bar[t - 1]).log_prob(line[:, None]) + step
    log_q = joint - joint.logsumexp(1, keepdim=True) - spacing.log()
    mass = log_q.exp() * spacing
    mean = (mass * line).sum(1, keepdim=True)
    variance = (mass * (line - mean) ** 2).sum(1, keepdim=True)
    kl = (mass * (log_q - Normal(mean, variance.sqrt()).log_prob(line))).sum(1)
    return (joint.logsumexp(1).softmax(0) * kl).sum().item()


cosine = {T: alpha_bar_from_beta(cosine_beta(T)) for T in (4, 10, 30, 100)}
costs = {T: sum(gaussian_step_cost(t, cosine[T]) for t in range(2, T + 1)) for T in cosine}

# %% predict="my_factor"
my_factor = 10  # your prediction: the sum at T = 10 over the sum at T = 100

# %% tags=["experiment"]
# Experiment: small steps
fig, (left, right) = plots.figure(1, 2, width=9, height=3.4)
for T, line in ((4, ":"), (10, "-."), (100, "-")):
    table, t = cosine[T], T // 2
    before = MIXTURE.noised(table[t - 1]).log_prob(LINE[:, None]).exp()
    density = normalised(before * step_density(LINE, 0.0, 1 - table[t] / table[t - 1]))
    mean = (density * LINE).sum() * SPACING
    width = ((density * (LINE - mean) ** 2).sum() * SPACING).sqrt()
    y = density * width
    plots.curve((LINE - mean) / width, y, "posterior", linestyle=line, label=f"T = {T}", ax=left)
plots.curve(LINE, Normal(0.0, 1.0).log_prob(LINE).exp(), "exact", label="Gaussian", ax=left)
left.set(
    xlim=(-3, 3),
    xlabel="$x_{t-1}$ given $x_t = 0$, $t = T/2$, standardised",
    ylabel="density",
    title="One step back, standardised",
)
plots.curve(list(costs), list(costs.values()), "model", marker="o", label="exact", ax=right)
guessed = [costs[10], costs[10] / my_factor]
right.plot([10, 100], guessed, ":", color=plots.COLOR["guess"], label="your prediction")
right.set(
    xscale="log",
    yscale="log",
    xlabel="number of steps T",
    ylabel="summed KL, nats",
    title=f"{'Many small' if costs[100] < costs[4] else 'Few big'} steps cost less",
)
right.legend()
plots.show(
    fig,
    alt="Left: one step back for three numbers of steps, and a Gaussian. Right: the summed KL against T.",
)
print("summed KL:", ", ".join(f"{cost:.2g} nats at T = {T}" for T, cost in costs.items()))
factor = costs[10] / costs[100]
print(
    f"from T = 10 to T = 100 the sum falls by a factor of {factor:.0f}; you guessed {my_factor:g}"
)

# %% [markdown]
# Ten times as many terms, and yet the sum is much smaller: each step's cost falls faster than the steps multiply. The reason is in Bayes' rule, $q(x_{t-1} \mid x_t) \propto q(x_{t-1})\, q(x_t \mid x_{t-1})$. A small step makes the second factor
# a narrow Gaussian, and within its width the logarithm of the first factor is nearly a straight line, which shifts a Gaussian without bending it.
#
# ### Gaussian data: the bound can be exact
#
# For Gaussian data $q(x_{t-1} \mid x_t)$ is Gaussian whatever the step. So a model can be perfect, and you can ask what is left of the bound. Let $p_\theta(x_{t-1} \mid x_t) = q(x_{t-1} \mid x_t)$ for every $t$, and average over the data:
#
# $$\mathbb E_{q(x_0)} [-\mathrm{ELBO}] = \mathbb E_q \left[ \log \frac{q(x_{1:T} \mid x_0)}{p(x_T) \prod_{t=1}^T q(x_{t-1} \mid x_t)} \right] \tag{47}$$
#
# *line (3), turned over, with the perfect model;*
#
# $$q(x_0)\, q(x_{1:T} \mid x_0) = q(x_T) \prod_{t=1}^T q(x_{t-1} \mid x_t) \tag{48}$$
#
# *one joint, by the chain rule from both ends: a Markov chain read backwards is a Markov chain;*
#
# $$\mathbb E_{q(x_0)} [-\mathrm{ELBO}] = \mathbb E_q \left[ \log \frac{q(x_T)}{p(x_T)\, q(x_0)} \right] = \underbrace{\mathbb E[-\log q(x_0)]}_{\text{entropy } H} + \mathrm{KL}\big( q(x_T) \,\Vert\, \mathcal N(0, I) \big) \tag{49}$$
#
# *(48) in (47): the whole chain cancels.* For **any** number of steps, the perfect model pays the entropy of the data, which nobody can avoid, and what $q(x_T)$ still differs from noise. What is its variance?
# Along an eigenvector of the covariance, with eigenvalue $\lambda$,
#
# $$\sigma_t^{*2} = \operatorname{Var}(x_{t-1} \mid x_t) = \tilde\beta_t + c_0^2\, \operatorname{Var}(x_0 \mid x_t), \qquad \operatorname{Var}(x_0 \mid x_t) = \frac{\lambda (1 - \bar\alpha_t)}{\bar\alpha_t \lambda + 1 - \bar\alpha_t} \tag{50}$$
#
# *the law of total variance: the spread of the posterior, plus the spread of its mean $c_0 x_0 + c_t x_t$ when $x_0$ is not known.* A model with another variance $s_t^2$ and the right mean pays in addition, for each $t$ and each direction, the KL
# of two Gaussians with the same mean, (33):
#
# $$\frac12 \left[ \frac{\sigma_t^{*2}}{s_t^2} - 1 - \log \frac{\sigma_t^{*2}}{s_t^2} \right] \tag{51}$$
#
# Compare four choices of $s_t^2$: the optimum per direction; one number for all directions, the best of which is the mean of the $\sigma_t^{*2}$; $\beta_t$; and $\tilde\beta_t$, with $\tilde\beta_2$ also at $t = 1$ as in the code
# published with the DDPM paper, since $\tilde\beta_1 = 0$ would cost infinitely much. Data: the correlated Gaussian, eigenvalues 1.8 and 0.2.


# %%
# Reverse variances, and the bound they give
def reverse_variances(alpha_bar, eigenvalues):
    """The best reverse variance, (T, D), and the usual choices, (T, 1) each; rows are t = 1..T."""
    t = torch.arange(1, len(alpha_bar))
    tilde, (c0, _) = posterior_variance(t, alpha_bar), posterior_coefficients(t, alpha_bar)
    level = alpha_bar[t, None]
    unknown = eigenvalues * (1 - level) / (level * eigenvalues + 1 - level)
    best = tilde[:, None] + c0[:, None] ** 2 * unknown
    clipped = torch.cat([tilde[1:2], tilde[1:]])[:, None]
    return best, {
        "isotropic": best.mean(1, keepdim=True),
        "beta": (1 - alpha_bar[t] / alpha_bar[t - 1])[:, None],
        "beta tilde": clipped,
    }


def negative_elbo(alpha_bar, eigenvalues, variances):
    """L_T + ... + L_0 averaged over zero-mean Gaussian data, with the best mean, in nats."""
    best, _ = reverse_variances(alpha_bar, eigenvalues)
    tilde = posterior_variance(torch.arange(1, len(alpha_bar)), alpha_bar)[:, None]
    end = alpha_bar[-1]
    prior = 0.5 * (end * eigenvalues + 1 - end - 1 - (1 - end).log()).sum()
    # E KL for t = 2..T by (33) and (50), and -E log p(x_0 | x_1)
    steps = 0.5 * ((variances / tilde).log() - 1 + best / variances)[1:].sum()
    last = 0.5 * ((2 * math.pi * variances).log() + best / variances)[0].sum()
    return prior + steps + last


# %% [markdown]
# First (47) to (51) themselves, on a schedule of four steps, where $q(x_T)$ is still far from noise:

# %%
# Equations (47) to (51)
gaussian = exact.CORRELATED_GAUSSIAN
eigenvalues = gaussian.eigenvalues
few = alpha_bar_from_beta(linear_beta(4, 0.05, 0.4))
best, choices = reverse_variances(few, eigenvalues)
marginal = few[:, None] * eigenvalues + 1 - few[:, None]  # variance of x_t per direction, t = 0..4
keep = (few[1:] / few[:-1])[:, None]

# (47): every density is Gaussian, so every average of a logarithm is an entropy or a second moment.
forward = -0.5 * 2 * (2 * math.pi * math.e * (1 - keep)).log().sum()  # two directions
end = -0.5 * (math.log(2 * math.pi) + marginal[-1]).sum()
backward = -0.5 * (2 * math.pi * math.e * best).log().sum()
verify_equation(47, negative_elbo(few, eigenvalues, best), forward - end - backward)

# (48): both sides as log-densities of one path along the first direction, the backward steps by
# regression of x_{t-1} on x_t.
path = torch.tensor([0.9, 1.3, 0.2, -0.7, 0.4], dtype=torch.float64)
v, root = marginal[:, 0], keep[:, 0].sqrt()
gain, regressed = root * v[:-1] / v[1:], v[:-1] - root**2 * v[:-1] ** 2 / v[1:]
ahead = Normal(root * path[:-1], (1 - keep[:, 0]).sqrt()).log_prob(path[1:]).sum()
behind = Normal(gain * path[1:], regressed.sqrt()).log_prob(path[:-1]).sum()
ends = [Normal(0.0, v[t].sqrt()).log_prob(path[t]) for t in (0, -1)]
verify_equation(48, ends[0] + ahead, ends[1] + behind)

zero, identity = torch.zeros(2).double(), torch.eye(2).double()
end_kl = kl_divergence(
    MultivariateNormal(zero, gaussian.noised(few[-1]).cov), MultivariateNormal(zero, identity)
)
verify_equation(49, negative_elbo(few, eigenvalues, best), gaussian.entropy + end_kl)
verify_equation(50, best[:, 0], regressed)
for chosen in choices.values():
    extra = 0.5 * (best / chosen - 1 - (best / chosen).log()).sum()
    cost = negative_elbo(few, eigenvalues, chosen) - negative_elbo(few, eigenvalues, best)
    verify_equation(51, cost, extra)

# %% [markdown]
# Predict: as $T$ grows, which of the three other choices get better, and does $\tilde\beta_t$ end near zero cost like the others? Write down what $\tilde\beta_t$ costs at $T = 1000$, in nats.

# %% predict="my_cost"
my_cost = 0.01  # your prediction for the cost of beta tilde at T = 1000

# %% tags=["experiment"]
# Experiment: what four choices of the variance cost
lengths = [5, 10, 50, 200, 1000]
linear = {T: alpha_bar_from_beta(linear_beta(T)) for T in lengths}
cosine = {T: alpha_bar_from_beta(cosine_beta(T)) for T in lengths}
print(f"entropy of the data {gaussian.entropy:.4f} nats\n")
print("linear, 1e-4 to 0.02     T   -ELBO, optimal   entropy + KL(q(x_T) || N(0, I))")
for T, table in linear.items():
    best, _ = reverse_variances(table, eigenvalues)
    last = table[-1] * eigenvalues + 1 - table[-1]
    bound = gaussian.entropy + 0.5 * (last - 1 - last.log()).sum()
    print(f"{T:26d}{negative_elbo(table, eigenvalues, best):13.6f}{bound:18.6f}")
excess = {}
for T, table in cosine.items():
    best, choices = reverse_variances(table, eigenvalues)
    optimum = negative_elbo(table, eigenvalues, best)
    excess[T] = {
        name: (negative_elbo(table, eigenvalues, chosen) - optimum).item()
        for name, chosen in choices.items()
    }
print("\ncosine schedule, nats above the optimum:")
print("   T   best isotropic     beta   beta tilde")
for T, row in excess.items():
    print(f"{T:4d}{row['isotropic']:17.5f}{row['beta']:9.5f}{row['beta tilde']:13.5f}")
fig, ax = plots.figure(height=3.2)
labels = {"isotropic": "best isotropic", "beta": "$\\beta_t$", "beta tilde": "$\\tilde\\beta_t$"}
for name, role in (("beta tilde", "posterior"), ("beta", "noise"), ("isotropic", "model")):
    y = [excess[T][name] for T in lengths]
    plots.curve(lengths, y, role, marker="o", label=labels[name], ax=ax)
plots.guess(ax, y=my_cost)
ax.set(xscale="log", yscale="log", xlabel="number of steps T")
ax.set_ylabel("cost above the optimum, nats")
dear = [label for name, label in labels.items() if excess[1000][name] > 0.1]
ax.set_title(f"Above 0.1 nats at T = 1000: {', '.join(dear) or 'none'}")
ax.legend(loc="upper right", bbox_to_anchor=(1, 0.86))
plots.show(
    fig,
    alt="Cost of three reverse variances above the optimum against T, on logarithmic axes.",
)

# %% [markdown]
# With one optimal variance per direction the number of steps does not matter: five steps or a thousand pay entropy plus what $q(x_T)$ lacks. The cost of the best single number and of $\beta_t$ falls like $1/T$.
# But $\tilde\beta_t$ stays expensive. Where?

# %% tags=["experiment"]
# Experiment: where beta tilde is expensive
best, choices = reverse_variances(cosine[1000], eigenvalues)
ratio = best / choices["beta tilde"]
per_step = 0.5 * (ratio - 1 - ratio.log()).sum(1)
costs_then = ", ".join(f"{per_step[t - 1]:.3f} at t = {t}" for t in (1, 2, 3, 10, 100))
print(f"beta tilde at T = 1000, nats: {costs_then}")
print(f"the first ten steps cost {per_step[:10].sum():.3f} of {per_step.sum():.3f} nats")
over_beta = (best / choices["beta"])[1]
print(
    f"at t = 2 the best variances are {ratio[1, 0]:.2f}, {ratio[1, 1]:.2f} times beta tilde",
    end=" ",
)
print(f"and {over_beta[0]:.3f}, {over_beta[1]:.3f} times beta")

# %% [markdown]
# In the first steps. The model does not know $x_0$, and its true uncertainty there is close to $\beta_t$. The posterior knows $x_0$, and near $t = 1$ that makes a large difference: $\tilde\beta_2$ is a fraction of $\beta_2$.
# A model that borrows the posterior's variance is too sure of itself by that factor, and finer steps do not change the factor. So why does nobody mind? Because $L_{\text{simple}}$ does not contain
# $\sigma_t^2$ at all: the *mean* is learned all the same, and the variance only matters for likelihoods, and for sampling with few steps (lesson 06).

# %% [markdown]
# ## 10 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="why_condition" points=3
# ### Question: `why_condition` · ●●○ · 10 minutes · 3 points
#
# Explain to a fellow student, in at most twelve sentences and with the equations you need:
#
# 1. why $q(x_{t-1} \mid x_t)$ cannot be computed without the whole distribution of the data;
# 2. what conditioning on $x_0$ removes, and which step of the derivation uses the Markov property and which does not;
# 3. why a model trained to match $q(x_{t-1} \mid x_t, x_0)$ still learns something useful, although it never sees $x_0$ when it generates.
#
# ### BEGIN MARK SCHEME
# 1 point: by Bayes $q(x_{t-1} \mid x_t) = q(x_t \mid x_{t-1})\, q(x_{t-1}) / q(x_t)$, and the marginals $q(x_{t-1})$, $q(x_t)$ are integrals over $q(x_0)$; or equation (16) with its weights $q(x_0 \mid x_t)$.
# Half a point if only "intractable" is said without naming what must be integrated over which distribution.
#
# 1 point: given $x_0$, both marginals are replaced by the known Gaussians $q(x_{t-1} \mid x_0)$ and $q(x_t \mid x_0)$, so the data distribution cancels. The Markov property is used for $q(x_t \mid x_{t-1}, x_0) = q(x_t \mid x_{t-1})$
# only; it does not give $q(x_{t-1} \mid x_t, x_0) = q(x_{t-1} \mid x_t)$. No point if the latter is claimed; half if the direction of the Markov property is missing.
#
# 1 point: the bound averages the KL over $x_0$ as well, so for each $x_t$ the best model step is the average over $q(x_0 \mid x_t)$: the best mean is $c_0\, \mathbb E[x_0 \mid x_t] + c_t x_t$ (or the best $\hat\epsilon$ is
# $\mathbb E[\epsilon \mid x_t]$), that is the mean of $q(x_{t-1} \mid x_t)$. Half a point for "it averages over all $x_0$" without saying what the optimum is.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. Bayes' rule gives $q(x_{t-1} \mid x_t) = q(x_t \mid x_{t-1})\, q(x_{t-1}) / q(x_t)$. The first factor is the known step, but $q(x_{t-1}) = \int q(x_{t-1} \mid x_0)\, q(x_0)\, dx_0$ and likewise $q(x_t)$ integrate
# over the distribution of the data. That distribution is exactly what we do not know.
# 2. Given $x_0$, the same rule reads $q(x_{t-1} \mid x_t, x_0) = q(x_t \mid x_{t-1}, x_0)\, q(x_{t-1} \mid x_0) / q(x_t \mid x_0)$: both marginals have become known Gaussians and $q(x_0)$ has cancelled. The Markov property is used once,
# for $q(x_t \mid x_{t-1}, x_0) = q(x_t \mid x_{t-1})$: going forward, $x_0$ adds nothing once $x_{t-1}$ is known. Going backward it does add something, so $x_0$ must stay in $q(x_{t-1} \mid x_t, x_0)$.
# 3. $L_{t-1}$ averages the KL over all $x_0$ and all $x_t$. The model's step depends on $x_t$ alone, so for each $x_t$ it faces all the posteriors of those $x_0$ that could have led there, with the weights $q(x_0 \mid x_t)$. The squared error is
# smallest when its mean is their average, $c_0\, \mathbb E[x_0 \mid x_t] + c_t x_t$, and by (16) this is the mean of $q(x_{t-1} \mid x_t)$, the step that generation needs. So the network learns $\mathbb E[x_0 \mid x_t]$, or equally
# $\mathbb E[\epsilon \mid x_t]$, from pairs in which $x_0$ was known.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment"]
# Your own numbers
c0, ct = posterior_coefficients(torch.tensor([300]), LONG)
variance = posterior_variance(torch.tensor([300]), LONG)
w = loss_weight_eps(torch.tensor([2, 1000]), LONG)
print(f"one step back at t = 300 of 1000: mean {c0.item():.4f} x_0 + {ct.item():.4f} x_t", end=", ")
print(f"variance {variance.item():.5f}")
print(
    f"the bound weighs an error in the noise at t = 2 {w[0] / w[1]:.0f} times as much as at t = 1000"
)

# %% [markdown]
# * The ELBO of a diffusion model splits into $L_T$, $L_0$ and one KL per step, with two cancellations and no approximation after Jensen's inequality (1 to 12).
# * Forward the Markov property removes $x_0$, backward it does not; $q(x_{t-1} \mid x_t)$ needs the data, $q(x_{t-1} \mid x_t, x_0)$ does not (13 to 16).
# * The posterior is Gaussian: its mean is a weighted sum of $x_0$ and $x_t$, its variance depends on $t$ alone (17 to 25). In terms of the noise its mean is one short line (30).
# * Each KL is a squared error with a weight; dropping the weight gives the simplified loss (34 to 40). Merging two noises and eliminating $\omega$ leads to the same place (41 to 46).
# * A Gaussian step back is an approximation that small steps make good; for Gaussian data it is exact, and what is left of the bound is entropy and $L_T$'s marginal counterpart (47 to 51).
# * Three slides, three faults: a root below a fraction bar, an index one too high, a Markov property quoted backwards. Short schedules and boundary times expose such things.
#
# ### Test yourself
#
# <details><summary>1. In (12) the sum starts at t = 2. What would the term at t = 1 be, and which term stands for it?</summary>
#
# It would compare $q(x_0 \mid x_1, x_0)$, the point $x_0$, with a density: an infinite KL. $L_0 = -\mathbb E \log p_\theta(x_0 \mid x_1)$ stands in its place. In (5) the factor with $t = 1$ was taken out for this reason.
# </details>
#
# <details><summary>2. Somebody writes the mean as $(x_t - \sqrt{\beta_t}\, \epsilon) / \sqrt{\alpha_t}$. For which noise is this exactly $x_{t-1}$, and why can no network predict that noise well?</summary>
#
# For $\epsilon_t$, the noise of step $t$ alone: it is the forward step solved for $x_{t-1}$. By (44) $\epsilon_t$ consists of $\epsilon$ and $\omega$, and $x_t$ holds nothing of $\omega$. When $\beta_t$ is small compared with $1 - \bar\alpha_t$, nearly all of
# $\epsilon_t$ is $\omega$.
# </details>
#
# <details><summary>3. For which data is $\beta_t$ the optimal reverse variance, and for which $\tilde\beta_t$?</summary>
#
# By (50), $\beta_t$ when $\lambda = 1$: the chain then looks the same in both directions. $\tilde\beta_t$ when $\lambda = 0$: the data are one point, $x_0$ is known, and nothing is added to the posterior's variance.
# </details>
#
# ### What comes next
#
# Everything in (12) is now an expression that a computer can evaluate, except $\hat\epsilon$. In lesson 06 a network learns it, with $L_{\text{simple}}$, and your `posterior_mean_from_eps` and `posterior_variance` become the sampler that turns noise into digits.
#
# ### References
#
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli, *Deep unsupervised learning using nonequilibrium thermodynamics*, ICML 2015: the bound (its appendix B), and small steps as the reason for Gaussian reverse steps.
# * J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, NeurIPS 2020: (12) is its (5), the posterior its (6) and (7), the eps form its (11), the weight its (12), the simplified loss its (14); Section 3.2 on $\beta_t$ and $\tilde\beta_t$.
# * D. Kingma, T. Salimans, B. Poole, J. Ho, *Variational diffusion models*, NeurIPS 2021: the weight as a difference of signal-to-noise ratios.
# * A. Nichol, P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021: learning the variance; the cosine schedule.
# * F. Bao, C. Li, J. Zhu, B. Zhang, *Analytic-DPM: an analytic estimate of the optimal reverse variance in diffusion probabilistic models*, ICLR 2022.
# * C. Luo, *Understanding diffusion models: a unified perspective*, 2022.
