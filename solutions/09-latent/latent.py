# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 09 · Codes, critics and latent space: VQ-VAE, GAN, VQGAN and latent diffusion
#
# The models that paint large pictures do not paint pixels. They first learn a small space in which a picture is a handful of numbers, or a handful of *codes* from a list, and then learn what is likely there. This lesson takes such models apart. What does a code cost, in bits? How does a gradient get past a choice? What does a critic know, and what does it make a generator forget? And what is gained when diffusion moves into the small space?
#
# **At the end you can**
#
# 1. quantise vectors, train a codebook in three ways, and say why codes die and where they go;
# 2. read a VQ-VAE as a latent-variable model, with its bound, its constant KL, and a prior that is worth its bits;
# 3. say what the straight-through gradient replaces, and when it is right;
# 4. derive the best critic, the Jensen-Shannon divergence behind it, and which objective drops a mode first;
# 5. split the error of latent diffusion into the two parts that add up, choose its scale, and compute its cost.
#
# **You need** lesson 01 (ELBO, E step), lesson 03 (`teacher_forcing_log_prob`, the causal transformer), and lessons 05 and 06 (`q_sample`, the noise-prediction loss, DDIM). From information theory only this: a probability $p$ is worth $-\log_2 p$ bits.
#
# **Time** about three and a half hours, best in two sittings (1 to 5: 109 minutes, 6 to 9: 110). On the shorter path, about 150 minutes, you skip what is headed *Further*, since nothing later needs it, and leave the lines "to compare with yours" folded where your checks are green. Three exercises stand in *Further* sections, `ema_codebook` and `perplexity` in 5 and `adaptive_weight` in 7, four points together: come back for them.
# The notebook itself computes for about two minutes on two processor cores.
#
# | section | minutes |
# |---|---|
# | 1 Why not pixels? | 3 |
# | 2 A codebook | 28 |
# | 3 Codes as latent variables | 24 |
# | 4 A gradient through a choice | 29 |
# | 5 Further: codebooks by averages, and dead codes | 25 |
# | 6 A critic instead of a likelihood | 50 |
# | 7 Further: sharpness for codes, VQGAN | 14 |
# | 8 Latent diffusion | 37 |
# | 9 In your own words | 9 |

# %% [markdown]
# **Notation.** As in the lessons before; the new symbols stand below the line of dots.
#
# | symbol | code | meaning |
# |---|---|---|
# | $x$, $z$ | `x`, `z` | an example, and what an encoder makes of it |
# | $\epsilon$, $\bar\alpha_t$ | `eps`, `alpha_bar[t]` | noise, and the share of variance that $t$ steps of noising keep; tables have $T + 1$ entries |
# | $\lambda_1 \ge \lambda_2 \ge \dots$ | `eigenvalues` | variances of the data along their principal axes |
# | ··· | | |
# | $e_1, \dots, e_K \in \mathbb R^D$ | `codebook` (K, D) | the codebook: $K$ codes, vectors of $D$ numbers |
# | $k(z)$ | `indices` | the number of the code nearest to $z$ |
# | $P$ | | positions: how many codes describe one image |
# | $c \in \{1..K\}^P$ | `indices` (B, P) | the code of one image; programs count from 0 |
# | $\pi_k$ | `prior` | share of code $k$ in the training data |
# | $\operatorname{sg}(\cdot)$ | `.detach()` | stop-gradient: the value, without a slope |
# | $n_k$, $S_k$, $m_k$ | `counts`, `sums` | how many points chose code $k$, their sum, their mean $S_k / n_k$ |
# | $p$, $q$ | `p`, `q` | from section 6 on: the law of the data, the law of the generator |
# | $D(x)$ | `discriminator` | a critic's probability that $x$ is real; $a(x)$ its logit |
# | $s$ | `scale` | the factor that brings latents to unit size |
#
# Everything is in nats unless bits are said: a bit is $\log 2 = 0.693$ nats.
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, the companions, and small helpers
import math
from functools import cache
from itertools import pairwise

import sympy
import torch
from torch import nn
from torch.distributions import Normal
from torch.utils.flop_counter import FlopCounterMode

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
    tables,
    track,
    verify_equation,
    widgets,
)

device = get_device()
MIXTURE = exact.MIXTURE_1D  # a companion since lesson 01
LOG2, LOG4 = math.log(2), math.log(4)
findings = {}  # your own numbers, for the end
train_x, test_x = data.digits("train"), data.digits("test")  # (1437, 64) and (360, 64), from 0 to 1


def double(values):
    """Numbers as a tensor in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    """Standard normal draws in double precision, the same for a seed on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope_of(value, *leaves):
    """Its gradient in each leaf, zeros where none flows."""
    found = torch.autograd.grad(value, leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)
    ]


def same(first, second):
    """Whether two SymPy expressions are equal for all values of their symbols."""
    return sympy.simplify(first - second) == 0


def named_ticks(ax, values):
    """Ticks of a logarithmic x axis at these values, and at no others."""
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.minorticks_off()


def share(estimate):
    """A share with its error, for the list at the end."""
    return f"{estimate}".replace("+-", "±")


# %% [markdown]
# **The lesson on one page.** An encoder makes a small description of a picture. Kept as numbers, diffusion learns what is likely among them; kept as codes from a list, a prior does. A decoder makes pictures again, and a critic says whether they look real.


# %% tags=["experiment"]
# Schematic: two small spaces, a prior for each, and a critic
def story():
    """The lesson on one page."""
    fig, ax = schematic.canvas(6.4, 3.3)
    digit = data.companion_digit(device="cpu")[0].numpy()
    left = schematic.picture(ax, (0.6, 1.75), digit, 0.8)
    right = schematic.picture(ax, (5.75, 1.75), digit, 0.8)
    schematic.label(ax, (0.6, 1.15), "$x$")
    schematic.label(ax, (6.25, 1.75), "$\\hat x$")
    z = schematic.node(ax, (2.05, 1.75), "$z$", "posterior", size=0.6)
    codes = schematic.node(
        ax, (3.2, 2.55), "codes\n$e_{c_1} \\dots e_{c_P}$", "code", shape="box", size=(1.3, 0.7)
    )
    scaled = schematic.node(
        ax, (3.2, 0.95), "numbers\n$s\\, z$", "posterior", shape="box", size=(1.3, 0.7)
    )
    prior = schematic.node(
        ax, (4.85, 3.0), "prior $p(c)$", "prior", shape="box", size=(1.25, 0.45), fontsize=11
    )
    walk = schematic.node(
        ax, (4.65, 0.4), "diffusion", "prior", shape="box", size=(1.05, 0.45), fontsize=11
    )
    schematic.arrow(ax, left, z, "encoder", "posterior")
    schematic.arrow(ax, z, codes, role="code")
    schematic.label(ax, (1.75, 2.4), "nearest")
    schematic.arrow(ax, z, scaled, role="posterior")
    schematic.arrow(ax, codes, right, role="model")
    schematic.arrow(ax, scaled, right, role="model")
    schematic.label(ax, (4.3, 1.75), "decoder")
    schematic.arrow(ax, prior, codes, role="prior", dashed=True)
    schematic.arrow(ax, walk, scaled, role="prior", dashed=True)
    critic = schematic.node(
        ax, (5.75, 0.4), "critic", "discriminator", shape="box", size=(0.75, 0.45), fontsize=11
    )
    schematic.arrow(ax, right, critic, role="discriminator", dashed=True)
    return fig


plots.show(
    story(),
    alt="A digit goes through an encoder to z. Above, z becomes the nearest codes, and a prior p(c) says which codes are likely; "
    "below, z stays numbers, scaled by s, and diffusion says what is likely. A decoder makes a digit of either, and a critic looks at it.",
)

# %% [markdown]
# **From earlier lessons.** The E step of 01; 03's transformer over tokens with its exact log-probability and its way of drawing; the noising, the schedule and the exact bits of a grey level from 04 to 06.


# %%
# From lessons 01, 03, 04 and 06
def e_step(x, weights, means, variances):
    """Responsibilities (N, K) of Gaussians with diagonal covariances: means, variances (K, D)."""
    terms = (x[:, None] - means) ** 2 / variances + (2 * math.pi * variances).log()
    return (weights.log() - terms.sum(-1) / 2).softmax(-1)


def teacher_forcing_log_prob(model, x, start):
    """log p(x) of sequences (B, N) under a causal model, with one call, (B,)."""
    first = torch.full_like(x[:, :1], start)
    log_rows = model(torch.cat([first, x[:, :-1]], 1)).log_softmax(-1)
    return log_rows.gather(-1, x[..., None])[..., 0].sum(1)


class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h)); every position sees itself and earlier ones."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = networks.mlp([width, 4 * width, width], nn.GELU)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h):
        B, N, width = h.shape
        q, k, v = (
            part.reshape(B, N, self.heads, -1).transpose(1, 2)
            for part in self.to_qkv(self.norm1(h)).chunk(3, -1)
        )
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.dropout(self.out(seen.transpose(1, 2).reshape(B, N, width)))
        return h + self.dropout(self.mlp(self.norm2(h)))


class Transformer(nn.Module):
    """Tokens (B, N) below `levels`, or the start token `levels`, to logits (B, N, levels)."""

    def __init__(self, levels, length, width=64, depth=2, heads=4, dropout=0.2):
        super().__init__()
        self.embed = nn.Embedding(levels + 1, width)
        self.position = nn.Parameter(0.3 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, levels)

    def forward(self, tokens):
        h = self.embed(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(h)))


@torch.no_grad()
def write(model, count, length, start, generator):
    """Draw sequences (count, length), one token after the other."""
    tokens = torch.full((count, 1), start, device=device)
    for _ in range(length):
        p = model(tokens)[:, -1].softmax(-1).cpu()
        drawn = torch.multinomial(p, 1, generator=generator).to(device)
        tokens = torch.cat([tokens, drawn], 1)
    return tokens[:, 1:]


def linear_alpha_bar(T, first, last):
    """The table alpha_bar (T + 1,), in double precision."""
    beta = torch.linspace(first, last, T, dtype=torch.float64)
    return torch.cat([torch.ones(1).double(), torch.cumprod(1 - beta, 0)])


def column(values, x):
    """Values (B,) in the shape (B, 1, ..., 1) that meets the first axis of x."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def q_sample(x0, t, alpha_bar, eps):
    level = column(alpha_bar[t], x0)
    return level.sqrt() * x0 + (1 - level).sqrt() * eps


def ddim_times(T, steps):
    """From T down to 0 in nearly equal steps, (steps + 1,)."""
    return (T * torch.arange(steps, -1, -1) / steps).round().long()


def level_nats(x, mean, sigma):
    """-log p of grey levels (N, 64) under N(mean, sigma^2), each level a bin of width 1/16 and the
    outer two open, summed over the pixels: (N,). As `discretized_log_likelihood` in 06."""
    half = 1 / 32
    gap = (x - mean).abs()
    outer = (x < half) | (x > 1 - half)
    inside = torch.where(x < half, mean - x, x - mean)
    upper = torch.special.log_ndtr((half - gap) / sigma)
    lower = torch.special.log_ndtr((-half - gap) / sigma)
    bins = upper + torch.log1p(-(lower - upper).exp())
    open_end = torch.special.log_ndtr((half - inside) / sigma)
    return -torch.where(outer, open_end, bins).sum(1)


# %% [markdown]
# ## 1 · Why not pixels?
#
# A photograph of 512 by 512 pixels is 786,432 numbers. Nearly all of that is texture that no two people would describe alike, and a likelihood pays for every grain of it. Why not squeeze the picture into a few numbers, as in lesson 02, and generate *those*? Lesson 02's recipe was: train a VAE, draw $z \sim \mathcal N(0, I)$, decode. Its KL term, which makes that draw sensible, also blurs. So turn it down to a hundredth: the reconstructions are crisp now. Then draw from $\mathcal N(0, I)$ all the same.
#
# **Predict** which share of such samples a classifier recognises as a digit. Of the reconstructions it recognises more than nine in ten.


# %%
# An autoencoder for digits with eight latents and a faint KL
class Autoencoder(nn.Module):
    """encode(x) -> (mu, logvar), decode(z) -> images in [0, 1] or a little beyond."""

    def __init__(self, latents=8):
        super().__init__()
        self.encoder = networks.mlp([64, 256, 256, 2 * latents])
        self.decoder = networks.mlp([latents, 256, 256, 64])

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)

    def decode(self, z):
        return self.decoder(z)


@cache
def train_autoencoder():
    """Squared error and a hundredth of the KL; about 5 seconds."""
    seed_everything(0)
    model = Autoencoder().to(device)

    def loss(model, x):
        mu, logvar = model.encode(x)
        error = (model.decode(mu + (logvar / 2).exp() * torch.randn_like(mu)) - x).square().sum(1)
        kl = (mu**2 + logvar.exp() - 1 - logvar).sum(1) / 2
        return (error + 0.01 * kl).mean()

    fit(model, loss, train_x, steps=budget(1500), batch_size=128, lr=3e-3, label="error + 0.01 KL")
    return model


@torch.no_grad()
def reconstruct(model, x):
    return model.decode(model.encode(x)[0])


# %% predict="my_share"
my_share = 0.9  # your prediction: the share of samples from N(0, I) that are recognised

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: draw from N(0, I) and decode; training takes about 5 seconds
model = train_autoencoder()
generator = torch.Generator().manual_seed(1)
with torch.no_grad():
    drawn = model.decode(torch.randn(500, 8, generator=generator).to(device))
rebuilt = reconstruct(model, test_x)
recognised = {
    "real": metrics.recognised(test_x),
    "rebuilt": metrics.recognised(rebuilt),
    "drawn": metrics.recognised(drawn),
}
rows = torch.cat([test_x[:36:3], rebuilt[:36:3], drawn[:12]]).cpu()
fig, _ = plots.image_grid(
    rows,
    12,
    labels=list(recognised),
    title=f"Recognised: rebuilt {recognised['rebuilt'].value:.0%}, drawn {recognised['drawn'].value:.0%}",
)
plots.show(fig, alt="Three rows of digits: real, rebuilt, and decoded from N(0, I).")
for name, value in recognised.items():
    print(f"{name:8} recognised {value}")
print(f"you predicted {my_share:g} of the drawn ones")
findings["recognised, decoded from N(0, I)"] = share(recognised["drawn"])

# %% [markdown]
# The little space is good, and nobody has said which points of it are taken. $\mathcal N(0, I)$ has become the wrong answer. There are two ways on, and both are two-stage: build the small space first, then learn what is likely in it. In sections 2 to 5 the space is a list of codes, and "what is likely" is a table or a transformer. In section 8 it stays continuous, and diffusion learns it. In between, sections 6 and 7 ask how one judges pictures where no likelihood helps.
#
# ## 2 · A codebook
#
# The smallest space is a list. Fix $K$ vectors $e_1, \dots, e_K$; whatever $z$ comes, say only which one is nearest:
#
# $$k(z) = \arg\min_k \Vert z - e_k \Vert^2 \tag{1}$$
#
# That is *vector quantisation*. Everybody who has the list needs $\log_2 K$ bits to hear $k$, or fewer if some codes are rarer than others.
#
# ### Exercise: `quantize` · ●●○ · 7 minutes · 2 points
#
# The nearest code for any array of vectors. One warning. The expanded square $\Vert z \Vert^2 - 2 z \cdot e + \Vert e \Vert^2$ turns this into one matrix product, and much code does so. Think about what happens to it where $z$ and $e$ are both long and close together.


# %% exercise="quantize"
def quantize(z, codebook):
    """The nearest code of each vector, by Euclidean distance.

    Args:
        z: (..., D), any number of leading axes, none too.
        codebook: (K, D). K = 1 and D = 1 occur.

    Returns:
        indices: LongTensor (...), the number of the nearest row of the codebook. Of rows that are
            equally near, equal rows too, the lowest number.
        codes: (..., D), those rows themselves. Gradients reach the rows of the codebook that were
            chosen; none reaches z.

    Right also far from the origin, where distances are a billionth of the vectors' own lengths.
    """
    ### BEGIN SOLUTION
    distances = (z[..., None, :] - codebook).square().sum(-1)
    indices = distances.argmin(-1)
    return indices, codebook[indices]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Every vector meets every code: give z one more axis, so that the difference has the shape (..., K, D).</details>
# <details><summary>Hint 2: the idea</summary>Square the differences, sum over the last axis, and ask for the place of the smallest along the axis of the codes. <code>argmin</code> takes the first of equals on its own.</details>
# <details><summary>Hint 3: nearly the line</summary><code>z[..., None, :] - codebook</code> broadcasts to (..., K, D). The codes are the codebook indexed with the whole tensor of indices; indexing lets gradients through to the chosen rows, and the indices carry none to z.</details>

# %% checks="quantize"
# Checks of quantize
book = double([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0], [0.0, 1.0]])
places = 1.5 * normal(30, 4, 2, seed=1)
by_hand = [
    [min(range(4), key=lambda k, z=z: ((z - book[k]) ** 2).sum().item()) for z in row]
    for row in places
]
expect(
    list(quantize(places, book)),
    [torch.tensor(by_hand), book[torch.tensor(by_hand)]],
    "quantize: the nearest of four, one by one",
    hint="indices first, then codes; squared differences summed over the last axis, the smallest along the codes",
)
expect(
    quantize(places[0, 0], book)[0].shape + quantize(places[:, :, None], book)[0].shape,
    (30, 4, 1),
    "quantize: indices have z's leading axes, also when there are none",
    hint="do not flatten, or give the axes back: the indices have the shape of z without its last axis",
)
expect(
    quantize(double([[0.0, 1.0], [0.5, 0.5], [9.0, 9.0]]), book)[0],
    torch.tensor([1, 0, 0]),
    "quantize: of equally near codes the lowest number",
    hint="codes 1 and 3 are equal, and (9, 9) is as far from (1, 0) as from (0, 1)",
)
near_each_other = 1e6 + 1e-3 * normal(9, 2, seed=2)
expect(
    quantize(near_each_other, near_each_other)[0],
    torch.arange(9),
    "quantize: far from the origin each code is nearest to itself",
    hint="the expanded square cancels there: subtract first, then square",
)
leaf, leaf_book = places.clone().requires_grad_(), book.clone().requires_grad_()
index, codes = quantize(leaf, leaf_book)
expect(
    slope_of((codes * places).sum(), leaf, leaf_book)
    if codes.requires_grad
    else "nothing is connected",
    [
        0 * places,
        torch.stack([places[torch.tensor(by_hand) == k].sum(0) for k in range(4)]),
    ],
    "quantize: gradients reach the chosen codes, and not z",
    hint="codebook[indices], without detach; and nothing of z in the codes",
)
expect(
    [quantize(normal(3, 1, seed=3), double([[2.0]]))[0], index.dtype],
    [torch.zeros(3, dtype=torch.long), torch.long],
    "quantize: one code on a line, and whole numbers",
    hint="argmin gives a LongTensor",
)

# %%
# Equation (1), against a loop, and moved to another place
index, codes = quantize(places, book)
verify_equation(1, index, torch.tensor(by_hand))
verify_equation(1, quantize(places + 1e5, book + 1e5)[0], index)  # a shift of both changes nothing

# %% [markdown]
# ### Step: `code_slope` · ●○○ · 3 minutes
#
# A good codebook has a small *distortion* $\mathcal D = \frac1N \sum_i \Vert x_i - e_{k(x_i)} \Vert^2$. Move one code a little, so that nobody changes sides. On one axis, $n$ of the $N$ points chose this code $e$; their mean is $m$ and the mean of their squares is $v$. What is $\partial \mathcal D / \partial e$?


# %% step="code_slope"
def code_slope(e, n, N, m, v):
    """d/de of the distortion, an expression in e, the counts n and N, and the means m and v."""
    ### BEGIN SOLUTION
    return 2 * n / N * (e - m)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Only the points of this code feel it. Open the square of one of them.</details>
# <details><summary>Hint 2: the idea</summary>The part of the distortion that contains e is n/N times the mean of (x - e)^2 over the code's own points.</details>
# <details><summary>Hint 3: nearly the line</summary>That mean is v - 2 e m + e^2. Differentiate it in e, and keep the factor n/N.</details>

# %% checks="code_slope"
# Checks of code_slope
e_, n_, N_, m_, v_ = sympy.symbols("e n N m v", positive=True)
points, code = double([0.3, 1.1, 0.7, 4.0, 5.2]), 0.9  # the first three chose the code
mine = points[:3]
values = {e_: code, n_: 3, N_: 5, m_: mine.mean().item(), v_: (mine**2).mean().item()}
distortions = [((mine - code - h) ** 2).sum().item() / 5 for h in (1e-5, -1e-5)]
expect(
    float(code_slope(e_, n_, N_, m_, v_).subs(values)),
    (distortions[0] - distortions[1]) / 2e-5,
    "code_slope: by finite differences of five points",
    rtol=1e-4,
    hint="which points feel the code, and by how many is the whole divided?",
)
expect(
    same(code_slope(e_, n_, N_, m_, v_), sympy.diff(n_ / N_ * (v_ - 2 * e_ * m_ + e_**2), e_)),
    True,
    "code_slope: for all values",
    hint="two numbers agree and not all do: is a symbol missing?",
)

# %% [markdown]
# <details><summary>Lines (2) and (3), to compare with yours</summary>
#
# $$\frac{\partial \mathcal D}{\partial e_k} = \frac{2 n_k}{N} (e_k - m_k) \tag{2}$$
#
# *the derivative of each square, summed over the $n_k$ points of code $k$, whose mean is $m_k$;*
#
# $$\frac{\partial \mathcal D}{\partial e_k} = 0 \quad\Longleftrightarrow\quad e_k = m_k \tag{3}$$
#
# *a code with points is at rest in their mean.* A gradient step of the rate $N / 2 n_k$ lands exactly there. Choosing the nearest code and moving each code to its mean, in turns, is *k-means*, or Lloyd's algorithm. A code that nobody chose has $n_k = 0$ and feels nothing. Remember that.
# </details>

# %%
# Equations (2) and (3), by automatic differentiation
cloud = normal(200, 2, seed=4)
leaf_book = normal(5, 2, seed=5).requires_grad_()
index, codes = quantize(cloud, leaf_book)
(slope,) = slope_of((cloud - codes).square().sum(1).mean(), leaf_book)
counts = torch.bincount(index, minlength=5)
means = torch.stack([cloud[index == k].mean(0) for k in range(5)])
verify_equation(2, slope, 2 * counts[:, None] / 200 * (leaf_book - means))
verify_equation(3, leaf_book - 200 / (2 * counts[:, None]) * slope, means)


# %%
# Given: k-means for many points, and the codes of many points
@torch.no_grad()
def nearest(x, book):
    """Indices as by your quantize, with a matrix product: fine near the origin, and fast."""
    return (book.square().sum(1) - 2 * x @ book.T).argmin(1)


@torch.no_grad()
def lloyd(x, K, steps=60, seed=0):
    """(codebook, counts) of k-means on x (N, D), started from K of the points."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    book = x[order[:K].to(x.device)].clone()
    for _ in range(steps):
        index = nearest(x, book)
        counts = torch.bincount(index, minlength=K)
        sums = torch.zeros_like(book).index_add(0, index, x)
        book = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], book)
    return book, torch.bincount(nearest(x, book), minlength=K)


# %% [markdown]
# What has the codebook kept, and what has it lost? Let $c = k(x)$ be the code of a point, with the codes in the means:
#
# $$\underbrace{\operatorname{Var} x}_{\text{total}} = \underbrace{\operatorname{Var}\, \mathbb E[x \mid c]}_{\text{between the codes}} + \underbrace{\mathbb E \operatorname{Var}[x \mid c]}_{\text{within} \,=\, \mathcal D} \tag{4}$$
#
# *add and subtract $\mathbb E[x \mid c]$ in the square; the cross term vanishes, because within a code $x - \mathbb E[x \mid c]$ has mean zero.* (Variances are summed over the axes.) The first part is the variance of the *reconstructions*. Hold on to this: it says that they have too little variance, by exactly the error.

# %%
# Equation (4), on the digits with 30 codes
book, counts = lloyd(train_x.double().cpu(), 30)
rebuilt = book[nearest(train_x.double().cpu(), book)]
centre = train_x.double().cpu().mean(0)
total = (train_x.double().cpu() - centre).square().sum(1).mean()
verify_equation(
    4,
    total,
    (rebuilt - centre).square().sum(1).mean()
    + (train_x.double().cpu() - rebuilt).square().sum(1).mean(),
)
print(
    f"of a variance of {total:.2f}, 30 codes keep {(rebuilt - centre).square().sum(1).mean():.2f}"
)

# %% [markdown]
# ### Further: a codebook is a mixture, seen from far away
#
# Lesson 01's mixture with centres $e_k$ and one variance for all, $p(x) = \sum_k \pi_k\, \mathcal N(x; e_k, \sigma^2 I)$, has an E step that shares each point among the centres. Let $\sigma$ shrink:
#
# $$r_k(x) = \frac{\pi_k\, e^{-\Vert x - e_k \Vert^2 / 2 \sigma^2}}{\sum_j \pi_j\, e^{-\Vert x - e_j \Vert^2 / 2 \sigma^2}} \;\longrightarrow\; \mathbb 1[k = k(x)] \qquad (\sigma \to 0) \tag{5}$$
#
# *divide by the largest term: all others are $e^{-\text{gap} / 2\sigma^2}$ and vanish.* So the quantiser is an E step that has made up its mind. What does a made-up mind cost? Take $q(k \mid x)$ all on one code in the ELBO of lesson 01:
#
# $$\log \pi_k - \frac{\Vert x - e_k \Vert^2}{2 \sigma^2} - \frac D2 \log 2 \pi \sigma^2 \;=\; \log p(x) + \log r_k(x) \;\le\; \log p(x) \tag{6}$$
#
# *on the left $\log p(x, k)$, for a point mass has no entropy; then Bayes' rule.* The gap is $-\log r_k$: nothing, if the point has no doubt.

# %%
# Equations (5) and (6)
x, book, prior = normal(6, 2, seed=6), normal(5, 2, seed=7), normal(5, seed=8).softmax(0)
index = quantize(x, book)[0]
for variance in (1.0, 0.1, 1e-4):
    r = e_step(x, prior, book, torch.full((5, 2), variance).double())
    print(
        f"sigma^2 = {variance:g}: r of the nearest code between {r[range(6), index].min():.4f} and 1"
    )
verify_equation(5, r, nn.functional.one_hot(index, 5).double(), atol=1e-6)
variance = 0.3
squares = (x[:, None] - book).square().sum(-1)
joint = (
    prior.log() - squares / (2 * variance) - math.log(2 * math.pi * variance)
)  # log p(x, k), D = 2
r = e_step(x, prior, book, torch.full((5, 2), variance).double())
verify_equation(6, joint, joint.logsumexp(1, keepdim=True) + r.log())
verify_equation(6, joint[range(6), index], joint.logsumexp(1), relation="<=")

# %% [markdown]
# ### Where do the bits go?
#
# One list of whole digits, $K$ of them from 1 to 1,000. A test digit is then told in two parts: the *rate*, $-\log_2 \pi_k$ bits for its code, and the *residual*, the exact grey levels given the code's picture, by lesson 06's bits under $\mathcal N(e_k, \sigma^2)$ with $\sigma$ the root mean squared error. At $K = 1$ there is no code, and everything is residual.
#
# **Predict** by how many bits an image's residual falls when a thousand codes, ten bits, are told first.

# %% predict="my_saving"
my_saving = 10.0  # your prediction: bits of residual that 1,000 codes save, an image

# %% tags=["experiment"]
# Experiment: rate and residual of one dictionary
sizes = (1, 10, 30, 100, 300, 1000)
account = {}
for K in sizes:
    book, counts = lloyd(train_x, K)
    index = nearest(test_x, book)
    prior = counts.double() / counts.sum()
    sigma = (test_x - book[index]).square().mean().sqrt()
    rate = -prior[index].log2().mean().item() + 0.0  # no -0.00
    residual = (
        level_nats(test_x.double(), book[index].double(), sigma.double()).mean().item() / LOG2
    )
    squares = torch.cdist(test_x.double(), book.double()).square()
    joint = prior.log() - squares / (2 * sigma.double() ** 2)
    gap = (joint.logsumexp(1) - joint[torch.arange(len(index)), index]).mean().item()
    account[K] = rate, residual, gap
saving = account[1][1] - account[1000][1]
alone = int((counts == 1).sum())
fig, ax = plots.figure(width=6.2, height=3.4)
places = range(len(sizes))
ax.bar(places, [account[K][1] for K in sizes], color=plots.COLOR["model"], label="residual")
ax.bar(
    places,
    [account[K][0] for K in sizes],
    bottom=[account[K][1] for K in sizes],
    color=plots.COLOR["code"],
    label="rate",
)
ax.set_xticks(places, [f"{K}" for K in sizes])
plots.guess(ax, y=account[1][1] - my_saving)
ax.set(
    xlabel="codes $K$",
    ylabel="bits an image",
    ylim=(100, 215),  # room for the legend
    title=f"{account[1000][0]:.1f} bits of code save {saving:.0f} bits of residual",
)
plots.show(
    fig,
    alt=f"Bars of residual and rate against K. {account[1000][0]:.1f} bits of code save {saving:.0f} of residual.",
)
print("   K   rate   residual   bits a pixel   gap of (6), nats")
for K, (rate, residual, gap) in account.items():
    print(f"{K:4d}{rate:7.2f}{residual:11.1f}{(rate + residual) / 64:15.3f}{gap:15.3f}")
print(f"you predicted {my_saving:g} bits; {alone} of the 1,000 codes are single training digits")
findings["bits of residual saved by 1,000 codes"] = (
    f"{saving:.0f} for {account[1000][0]:.1f} bits of code"
)
findings["bits a pixel, one codebook of 300 and of 1,000"] = ", ".join(
    f"{sum(account[K][:2]) / 64:.3f}" for K in (300, 1000)
)

# %% [markdown]
# Each bit of code pays for itself several times: a code says something about all 64 pixels at once. But be suspicious. Most of the thousand codes *are* training digits, and the list itself, 64,000 numbers, is not on the bill. And look at the last column: the gap of (6), what a made-up mind costs, is less than a tenth of a nat. The point-mass encoder is no sacrifice here.
#
# A list of whole images cannot grow: ten more bits want a thousand times as many codes. The way out is to describe an image by *several* codes from one small list. That is section 3. First, a look at how good a list can ever be.
#
# ### Further: can a codebook beat Shannon?
#
# For a source of which only the covariance is known, Shannon computed in 1959 the least error that any description with a given rate can have, if the source is *Gaussian*. It fills the eigenvalues from below, like water: `GaussianData.distortion` does that. Cut 4x4 patches from two photographs; make as many from the Gaussian with the same covariance; and train codebooks for both, $K = 2$ to 512. The rate is the entropy of the codes' usage.
#
# **Predict**, for each of the two sources, whether its codebooks lie above or below the Gaussian's curve.

# %% predict="my_side_photographs"
my_side_photographs = "above"  # your prediction: "above" or "below" Shannon's curve
my_side_gaussian = "below"  # your prediction for the Gaussian's own samples


# %%
# Given: patches of photographs and of their Gaussian, and codebooks for both
@cache
def patch_codebooks():
    """{source: {K: (codebook, bits, squared error on test patches)}}; about 6 seconds."""
    x = data.image_patches(28_000, size=4, device="cpu")
    law = exact.GaussianData.fit(x[:20_000])
    made = law.sample(28_000, torch.Generator().manual_seed(2)).float()
    found = {}
    for name, points in (("photographs", x), ("their Gaussian", made)):
        found[name] = {}
        for K in track([2**k for k in range(1, 10)][: budget(9)], f"codebooks, {name}"):
            book, _ = lloyd(points[:20_000], K, steps=25)
            index = nearest(points[20_000:], book)
            usage = torch.bincount(index, minlength=K) / len(index)
            bits = torch.special.entr(usage).sum().item() / LOG2
            error = (points[20_000:] - book[index]).square().sum(1).mean().item()
            found[name][K] = book, bits, error
    return law, found


# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: codebooks against Shannon's curve; it takes about 6 seconds
law, found = patch_codebooks()
bits = torch.linspace(0.5, 8.6, 60)
fig, ax = plots.curve(
    bits, [law.distortion(b.item() * LOG2) for b in bits], "exact", label="Shannon, Gaussian"
)
sides = {}
for name, role in (("photographs", "data"), ("their Gaussian", "prior")):
    rates, errors = zip(*[row[1:] for row in found[name].values()], strict=True)
    plots.curve(rates, errors, role, marker="o", label=name, ax=ax)
    below = [error < law.distortion(rate * LOG2) for rate, error in zip(rates, errors, strict=True)]
    sides[name] = "below" if all(below) else "above" if not any(below) else "on both sides of"
ax.set(yscale="log", xlabel="rate, bits a patch", ylabel="squared error a patch")
ax.set_title(
    f"Photographs lie {sides['photographs']} the curve, their Gaussian {sides['their Gaussian']}"
)
said = ", ".join(f"{name} {side} it" for name, side in sides.items())
plots.show(fig, alt=f"Error against rate, with Shannon's curve for the Gaussian: {said}.")
two = found["their Gaussian"].get(2)
lambda1 = law.eigenvalues[0].item()
if two:
    print(f"K = 2 on the Gaussian: error {two[2]:.4f}; exact, tr C - (2/pi) lambda_1 = ", end="")
    print(f"{law.eigenvalues.sum().item() - 2 / math.pi * lambda1:.4f}")
print(
    f"you predicted {my_side_photographs} for the photographs, {my_side_gaussian} for the Gaussian"
)
findings["photographs' codebooks against the Gaussian's curve"] = sides["photographs"]

# %% [markdown]
# No codebook for Gaussian samples can pass the curve, that is a theorem. Photographs pass it with ease, for **the Gaussian is the hardest source of its covariance**. What a photograph has beyond its covariance, edges above all, is what codes are good at.
#
# Now see it. The slider chooses how many different patches a whole photograph may be built from. What does the next bit buy? And is a dictionary learned from photographs better than one from the Gaussian of the same covariance?


# %%
# Given: a photograph, rebuilt from K patches
@cache
def rebuilt_photograph(name, K):
    """The photograph (128, 128) from the codes of one dictionary, and its squared error a patch."""
    picture = data.photograph(0, 128, device="cpu")
    patches = picture.unfold(0, 4, 4).unfold(1, 4, 4).reshape(-1, 16)
    book = patch_codebooks()[1][name][K][0]
    made = book[nearest(patches, book)]
    error = (patches - made).square().sum(1).mean().item()
    return made.reshape(32, 32, 4, 4).permute(0, 2, 1, 3).reshape(128, 128), error


# %% tags=["experiment"]
# Drag: a photograph from K patches
def draw_photograph(bits, dictionary):
    """The original beside the one that the dictionary builds."""
    made, error = rebuilt_photograph(dictionary, 2**bits)
    pair = torch.stack([data.photograph(0, 128, device="cpu"), made])
    title = f"{2**bits} patches of {dictionary}: {bits} bits for 16 pixels, error {error:.3f}"
    return plots.image_grid(pair, 2, gap=4, zoom=2, title=title)


widgets.explore(
    draw_photograph,
    alt="A photograph beside the same one rebuilt from a few 4x4 patches.",
    bits=(1, 9, 5),
    dictionary=["photographs", "their Gaussian"],
)

# %% [markdown]
# ## 3 · Codes as latent variables
#
# Cut an image's description into $P$ positions and give each a code from one list of $K$: $K^P$ descriptions from $K$ vectors. With a decoder $p(x \mid c)$ this is a latent-variable model like any in lessons 01 and 02; its latent is a word of $P$ letters.
#
# $$p(x) = \sum_{c \,\in\, \{1..K\}^P} p(c)\, p(x \mid c) \tag{7}$$
#
# *the sum rule: add up over all words.* For 8 positions of 16 codes those are four billion terms. So, as always, a bound: for any $q(c \mid x)$,
#
# $$\log p(x) \ge \sum_c q(c \mid x) \log p(x \mid c) - \mathrm{KL}\big( q(c \mid x) \,\Vert\, p(c) \big) \tag{8}$$
#
# *lesson 01's ELBO, with a sum in place of the integral.*

# %%
# Equations (7) and (8), by listing all 64 words of 3 letters from 4
K, P = 4, 3
words = tables.all_states([K] * P)  # (64, 3)
letter_log_p = normal(P, K, seed=10).log_softmax(1)  # one table a position
word_log_p = letter_log_p[torch.arange(P), words].sum(1)  # log p(c), (64,)
log_px = 2 * normal(K**P, seed=11)  # log p(x | c) of one image for every word
evidence = (word_log_p + log_px).logsumexp(0)
verify_equation(7, evidence.exp(), (word_log_p.exp() * log_px.exp()).sum())
some_q = normal(K**P, seed=12).softmax(0)
bound = (some_q * log_px).sum() - (some_q * (some_q.log() - word_log_p)).sum()
verify_equation(8, bound, evidence, relation="<=")

# %% [markdown]
# ### Exercise: `vq_elbo` · ●●○ · 8 minutes · 2 points
#
# A VQ-VAE's encoder has made up its mind: given $x$ it names one word $c(x)$, and that is all of $q$. Put this $q$ into (8). What becomes of the sum, and what of the KL? The prior is a product over positions, with a table for each: $p(c) = \prod_i p_i(c_i)$.


# %% exercise="vq_elbo"
def vq_elbo(log_px_given_codes, indices, log_prior):
    """The ELBO of an encoder that puts all of q on one word, for each image of a batch.

    Args:
        log_px_given_codes: (B,), log p(x given c) of each image under its own word.
        indices: LongTensor (B, P), the word of each image, codes from 0 to K - 1.
        log_prior: (P, K), row i the logarithms of the table p_i, so the exponentials of each row
            sum to 1. Entries may be -inf.

    Returns:
        (B,), in nats. -inf where the prior forbids the word.
    """
    ### BEGIN SOLUTION
    places = torch.arange(indices.shape[1], device=indices.device)
    return log_px_given_codes + log_prior[places, indices].sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A point mass: which terms of the sum over words are left? What is the entropy of a distribution without doubt?</details>
# <details><summary>Hint 2: the idea</summary>The KL to the prior is a mean, under q, of log q minus log p. With q one at a single word, log q there is 0, so what is left is minus the log-probability of that word. A product of tables has a sum of logarithms.</details>
# <details><summary>Hint 3: nearly the line</summary>Look up <code>log_prior[i, indices[b, i]]</code> for all b and i at once: indexing with <code>torch.arange(P)</code> and <code>indices</code> broadcasts to (B, P). A sum over the positions, added to the reconstruction.</details>

# %% checks="vq_elbo"
# Checks of vq_elbo
every = torch.arange(K**P)
expect(
    vq_elbo(log_px, words, letter_log_p),
    torch.stack(
        [
            (q * log_px).sum() - (torch.special.xlogy(q, q) - q * word_log_p).sum()
            for q in torch.eye(K**P).double()
        ]
    ),
    "vq_elbo: all 64 words, against (8) with a point mass for q",
    hint="the KL of a point mass has one term; and the prior of a word is a product over positions",
)
forbidden = letter_log_p.clone()
forbidden[1, 2] = -math.inf
got = vq_elbo(log_px, words, forbidden)
expect(
    [got[words[:, 1] == 2], bool(got[words[:, 1] != 2].isfinite().all())],
    [torch.full((16,), -math.inf).double(), True],
    "vq_elbo: an impossible word is worth -inf, and spoils no other",
    hint="0 times -inf is NaN: look entries up instead of multiplying by one-hot vectors",
)
leaf = letter_log_p.clone().requires_grad_()
expect(
    slope_of(vq_elbo(log_px[:5], words[:5], leaf).sum(), leaf)[0],
    double([[5.0, 0, 0, 0], [4.0, 1, 0, 0], [2.0, 1, 1, 1]]),
    "vq_elbo: its gradient counts the letters of the first five words",
    hint="each position looks up its own row; the sum over positions, one value an image",
)

# %% [markdown]
# <details><summary>Lines (9) to (11), to compare with yours</summary>
#
# $$\mathrm{ELBO}(x) = \log p(x \mid c(x)) + \log p(c(x)) \tag{9}$$
#
# *one term of the sum survives, and a point mass has entropy 0;*
#
# $$\log p(x) - \mathrm{ELBO}(x) = -\log p\big( c(x) \mid x \big) \tag{10}$$
#
# *$\log p(x) = \log p(x, c) - \log p(c \mid x)$, Bayes' rule at the word $c(x)$: the gap is what the true posterior thinks of the encoder's choice;*
#
# $$\mathrm{KL}(q \,\Vert\, p) = -\log p(c(x)) = P \log K \quad \text{for the uniform prior} \tag{11}$$
#
# *each of $P$ letters has probability $1/K$.* Everybody's prior while the VQ-VAE is trained is the uniform one. (The paper writes $\log K$; that is for each position.) A slide praises "categorical distributions" as flexible posteriors; this one is as rigid as can be, a point mass.
# </details>

# %%
# Equations (9) to (11), through your vq_elbo
elbo = vq_elbo(log_px, words, letter_log_p)
verify_equation(9, elbo, log_px + word_log_p)
log_posterior = word_log_p + log_px - evidence
verify_equation(10, evidence - elbo, -log_posterior)
uniform = torch.full((P, K), -math.log(K)).double()
verify_equation(11, log_px - vq_elbo(log_px, words, uniform), P * math.log(K))

# %% [markdown]
# $P \log K$ contains no weight of any network, so it trains nothing. In lesson 02 the KL pulled the codes towards the prior; here nothing pulls, and the prior can be learned *afterwards*, when the codes stand still. What does that second stage minimise? The average price of the codes,
#
# $$\mathbb E\, [-\log p(c)] = H(u) + \mathrm{KL}(u \,\Vert\, p), \qquad u = \text{the law of } c(x) \text{ over the data} \tag{12}$$
#
# *add and subtract $\log u(c)$.* Maximum likelihood on codes, and at best the entropy of their usage. Three priors, each able to say more than the one before, so each at its best cheaper:
#
# $$P \log K \;\ge\; \sum_i H(c_i) \;\ge\; H(c_1, \dots, c_P) \tag{13}$$
#
# *uniform; a table for each position; a model of the whole word, such as an autoregressive one. The first step is "uniform has most entropy", the second "knowing earlier letters never hurts on average".* A chain-rule model must not peek, of course. Whether it does shows in a sum: over all words, the probabilities that lesson 03's `teacher_forcing_log_prob` gives must add up to one,
#
# $$\sum_{c} \prod_{i=1}^P p(c_i \mid c_{<i}) = 1 \tag{14}$$
#
# *sum over the last letter first, then over the one before.* A model that has seen the letter which it is to guess gives any other number.

# %%
# Equations (12) to (14)
usage = (2 * normal(K**P, seed=13)).softmax(0)
verify_equation(
    12,
    -(usage * word_log_p).sum(),
    torch.special.entr(usage).sum() + (usage * (usage.log() - word_log_p)).sum(),
)
entropies = [
    P * math.log(K),
    sum(
        torch.special.entr(torch.zeros(K).double().index_add(0, words[:, i], usage)).sum()
        for i in range(P)
    ),
    torch.special.entr(usage).sum(),
]
verify_equation(13, *reversed(entropies), relation="<=")
seed_everything(3)
net = Transformer(K, P, width=16).double().eval()
with torch.no_grad():
    total = teacher_forcing_log_prob(net, words, K).exp().sum()
    peeking = net(words).log_softmax(-1).gather(2, words[..., None]).sum(1).exp().sum()
verify_equation(14, total, 1.0)
print(f"shown the very letters that it shall guess, it gives a sum of {peeking:.3f}")

# %% [markdown]
# ### Further: the whole bill
#
# For grey levels the two parts of (9) are both probabilities of something countable, so their sum is a file size:
#
# $$\text{bits per pixel} = \frac{1}{64 \log 2} \Big( \underbrace{-\log p(c)}_{\text{rate}} \;\underbrace{- \log p(x \mid c)}_{\text{residual}} \Big) \tag{15}$$
#
# *(9) with a minus, in bits, shared among 64 pixels.* You have paid this bill in section 2, and will pay it for a VQ-VAE at the end of section 4.

# %%
# Equation (15), on the digits with 30 codes: one position, P = 1
book, counts = lloyd(train_x, 30)
index, prior = nearest(test_x, book), (counts.double() / counts.sum())[None]
sigma = (test_x - book[index]).square().mean().sqrt().double()
residual = level_nats(test_x.double(), book[index].double(), sigma)
elbo = vq_elbo(-residual, index[:, None], prior.log())
rate = -prior[0, index].log2()
verify_equation(15, -elbo.mean() / (64 * LOG2), (rate + residual / LOG2).mean() / 64)

# %% [markdown]
# ## 4 · A gradient through a choice
#
# Now the encoder. It says $z$, the quantiser answers with the nearest code $e$, the decoder draws. To train the encoder one wants the slope of the loss in $z$. But
#
# $$\frac{\partial k(z)}{\partial z} = 0 \quad \text{almost everywhere} \tag{16}$$
#
# *a small move of $z$ changes no mind, except on the borders.* The encoder would never learn. The **straight-through** trick, in one sentence: forwards use the code, backwards pretend that there was no quantiser,
#
# $$\frac{\partial f}{\partial z} := f'(e) \tag{17}$$
#
# *the slope that $f$ has at the code is handed to $z$ as it is.* ($f$ is everything that follows, decoder and loss.)

# %%
# Equation (16), by finite differences at 1,000 places
places, book = normal(1000, 2, seed=14), normal(8, 2, seed=15)
moved = quantize(places + 1e-9, book)[1] - quantize(places, book)[1]
verify_equation(16, moved.abs().max() / 1e-9, 0.0)

# %% [markdown]
# ### Exercise: `straight_through` · ●●○ · 5 minutes · 2 points
#
# One line of arithmetic and one `detach` do it.


# %% exercise="straight_through"
def straight_through(z, codes):
    """The codes forwards, the identity in z backwards.

    Args:
        z, codes: (..., D), one shape.

    Returns:
        (..., D). Its value is that of `codes`, up to rounding. The gradient with respect to z is
        that of the identity; none flows to `codes`, nor to anything that stands behind them.
    """
    ### BEGIN SOLUTION
    return z + (codes - z).detach()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>For the gradient the result should be z plus a constant. Which constant makes the value right?</details>
# <details><summary>Hint 2: the idea</summary>What z lacks to be the code: their difference. It is a constant for the gradient if the graph does not see it.</details>
# <details><summary>Hint 3: nearly the line</summary>One z stays connected, and everything else, the second z too, stands inside one <code>.detach()</code>.</details>

# %% checks="straight_through"
# Checks of straight_through
leaf, codes = normal(4, 3, seed=16).requires_grad_(), normal(4, 3, seed=17).requires_grad_()
weights = normal(4, 3, seed=18)
passed = straight_through(leaf, codes)
expect(
    passed.detach(),
    codes.detach(),
    "straight_through: the value is the code's",
    hint="add to z what it lacks",
)
expect(
    slope_of((passed * weights).sum(), leaf, codes)
    if passed.requires_grad
    else "nothing is connected",
    [weights, 0 * weights],
    "straight_through: the identity's gradient to z, none to the codes",
    hint="exactly one z outside the detach, and no codes outside it",
)
outside = normal(4, 3, seed=17).requires_grad_()
value = (straight_through(leaf, outside) ** 3).sum()
expect(
    slope_of(value, leaf)[0],
    3 * outside.detach() ** 2,
    "straight_through: a cube hands back its slope at the code",
    hint="what follows must see the code's value, not z's",
)

# %%
# Equation (17), through your straight_through
following = networks.mlp([3, 16, 1]).double()
leaf, codes = normal(4, 3, seed=16).requires_grad_(), normal(4, 3, seed=17).requires_grad_()
verify_equation(
    17,
    slope_of(following(straight_through(leaf, codes)).sum(), leaf)[0],
    slope_of(following(codes).sum(), codes)[0],
)

# %% [markdown]
# ### Further: is it true?
#
# "Pretend" is a strong word; can one say how wrong it is? Yes, where the truth is known. Let the encoder be noisy, $z = \mu + s\, \epsilon$, and the codebook all whole numbers. Then the mean of the code *has* a slope in $\mu$:
#
# $$\frac{d}{d\mu}\, \mathbb E \operatorname{round}(\mu + s\, \epsilon) = 1 + 2 \sum_{m=1}^\infty (-1)^m \cos(2 \pi m \mu)\, e^{-2 \pi^2 m^2 s^2} \tag{18}$$
#
# *the mean is a sum over whole numbers $k$ of $k$ times the probability of its cell; its derivative is a sum of normal densities at the borders, one for each, and Poisson's formula turns a sum over borders into a sum over waves.* Averaged over one cell the waves vanish:
#
# $$\int_{-1/2}^{1/2} \frac{d}{d\mu}\, \mathbb E \operatorname{round}(\mu + s\, \epsilon)\, d\mu = 1 \tag{19}$$
#
# *each cosine runs through whole periods.* So straight-through, which says 1, is right on average over a cell, for $f(e) = e$. At one place it is off by up to $2 \sum_m e^{-2 \pi^2 m^2 s^2}$: hardly at all if the noise reaches over half a cell, and by everything if there is none.
#
# **Predict** the noise $s$, in cells, at which straight-through is within ten per cent of the truth everywhere.


# %%
# Equations (18) and (19): densities at the borders against waves
def rounding_slope(mu, s):
    """The right side of (18) at places mu (M,)."""
    m = torch.arange(1, 200, dtype=torch.float64)
    waves = (-1.0) ** m * torch.cos(2 * math.pi * m * mu[:, None])
    return 1 + 2 * (waves * torch.exp(-2 * (math.pi * m * s) ** 2)).sum(1)


mu = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)[:-1]
borders = torch.arange(-30, 30, dtype=torch.float64) + 0.5
for s in (0.1, 0.3, 0.5):
    verify_equation(
        18, Normal(borders, s).log_prob(mu[:, None]).exp().sum(1), rounding_slope(mu, s)
    )
verify_equation(19, rounding_slope(mu, 0.2).mean(), 1.0)

# %% predict="my_noise"
my_noise = 0.2  # your prediction: s, in cells

# %% tags=["experiment"]
# Experiment: the true slope of a rounded number
fig, (left, right) = plots.figure(1, 2, width=9, height=3.3)
for s, role in ((0.1, "noise"), (0.2, "model"), (0.3, "posterior"), (0.5, "data")):
    plots.curve(mu, rounding_slope(mu, s), role, label=f"s = {s:g}", ax=left)
left.axhline(1, color=plots.COLOR["code"], linewidth=1.2)
left.set(xlabel="$\\mu$, in cells", ylabel="slope of the mean code", ylim=(-0.2, 4.2))
noises = torch.linspace(0.05, 0.7, 66, dtype=torch.float64)
worst = torch.stack([(rounding_slope(mu, s) - 1).abs().max() for s in noises])
enough = noises[(worst < 0.1).nonzero()[0, 0]].item()
plots.curve(noises, worst, "code", ax=right)
plots.guess(right, x=my_noise)
right.set(xlabel="noise $s$, in cells", ylabel="largest error", yscale="log")
right.set_title(f"Within a tenth from s = {enough:.2f} on")
plots.show(
    fig,
    alt=f"Left: the slope over a cell for four sizes of noise. Right: its largest distance from 1, below a tenth from s = {enough:.2f}.",
)
# f(e) = e^3 over the cell around 1, s = 0.3: the truth by the borders, what straight-through says by the cells
around = (mu + 1)[:, None]
jumps = (borders + 0.5) ** 3 - (borders - 0.5) ** 3
truth = (Normal(borders, 0.3).log_prob(around).exp() * jumps).sum(1).mean()
cell = Normal(around, 0.3)
said = (
    ((cell.cdf(borders[1:]) - cell.cdf(borders[:-1])) * 3 * (borders[1:] - 0.5) ** 2).sum(1).mean()
)
print(f"within a tenth everywhere from s = {enough:.2f} on; you predicted {my_noise:g}")
print("f(e) = e^3, around 1, s = 0.3, on average over the cell: ", end="")
print(f"straight-through says {said:.2f}, the truth is {truth:.2f}")
findings["noise that makes straight-through right to a tenth, in cells"] = f"{enough:.2f}"

# %% [markdown]
# An encoder without noise, as in every VQ-VAE, sits at $s = 0$, where the true slope is a row of needles, and straight-through replaces them by their average. For a bent $f$ even the average is off. It is a biased estimate that works. How well? For that the codes must move too.
#
# ### Exercise: `vq_loss` · ●●○ · 6 minutes · 2 points
#
# Straight-through gives the codes no gradient. Two extra terms care for them: one pulls each code to the vectors that chose it (section 2's k-means, by gradient), the other, the *commitment*, keeps the encoder near its codes, so that it does not run away from the list.


# %% exercise="vq_loss"
def vq_loss(z, codes, beta=0.25):
    """The codebook's loss and the encoder's commitment: |sg(z) - e|^2 + beta |z - sg(e)|^2.

    Args:
        z: (..., D), the encoder's outputs, any number of leading axes, none too.
        codes: (..., D), the code e of each.
        beta: weight of the second term.

    Returns:
        A scalar: squares are SUMMED over the last axis, and AVERAGED over all positions. The first
        term moves the codes alone, the second z alone.

    Source: van den Oord, Vinyals and Kavukcuoglu (2017), equation 3.
    """
    ### BEGIN SOLUTION
    moves_codes = (z.detach() - codes).square().sum(-1)
    moves_z = (z - codes.detach()).square().sum(-1)
    return (moves_codes + beta * moves_z).mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Both terms have the same value. They differ in what they are blind to.</details>
# <details><summary>Hint 2: the idea</summary>sg is <code>.detach()</code>: on z in the first term, on the codes in the second. beta belongs to the second.</details>
# <details><summary>Hint 3: nearly the line</summary><code>.square().sum(-1)</code> of each difference, the first plus beta times the second, then the mean over whatever axes are left.</details>

# %% checks="vq_loss"
# Checks of vq_loss
leaf, codes = normal(5, 2, 3, seed=19).requires_grad_(), normal(5, 2, 3, seed=20).requires_grad_()
apart = (leaf - codes).detach()
expect(
    vq_loss(leaf, codes, 0.5).detach(),
    1.5 * (apart**2).sum() / 10,
    "vq_loss: its value, with beta = 1/2 on ten positions of three numbers",
    hint="the sum over the last axis, the mean over the positions",
)
expect(
    vq_loss(leaf[0, 0], codes[0, 0]).detach(),
    1.25 * (apart[0, 0] ** 2).sum(),
    "vq_loss: one position, and the usual beta",
    hint="beta is 0.25 unless told otherwise",
)
moved = slope_of(vq_loss(leaf, codes, 0.5), leaf, codes)
unit = slope_of((leaf - codes.detach()).square().sum(-1).mean(), leaf)[0]  # of one square's mean
expect(
    moved,
    [0.5 * unit, -unit],
    "vq_loss: half the pull on z, the whole pull on the codes",
    hint="which term is blind to what, and on which of them stands beta?",
)

# %% [markdown]
# What reaches whom? With $N$ positions,
#
# $$\frac{\partial\, \mathtt{vq\_loss}}{\partial z} = \frac{2 \beta}{N} (z - e), \qquad \text{and to the codes exactly } (2) \tag{20}$$
#
# *the second term's derivative, since the first is blind to $z$; the first term is the distortion of section 2.* The encoder hears two voices,
#
# $$f'(e) + \frac{2 \beta}{N} (z - e) \tag{21}$$
#
# *(17) and (20): what the decoder would like changed, and "stay near your code".*

# %%
# Equations (20) and (21), by automatic differentiation
book = normal(5, 3, seed=21).requires_grad_()
leaf = normal(40, 3, seed=22).requires_grad_()
index, codes = quantize(leaf, book)
to_z, to_book = slope_of(vq_loss(leaf, codes, 0.25), leaf, book)
verify_equation(20, to_z, 2 * 0.25 / 40 * (leaf - codes))
counts = torch.bincount(index, minlength=5)[:, None]
means = torch.zeros(5, 3).double().index_add(0, index, leaf.detach()) / counts.clamp(min=1)
verify_equation(20, to_book, 2 * counts / 40 * (book - means))
both = following(straight_through(leaf, codes)).sum() + vq_loss(leaf, codes, 0.25)
plain = codes.detach().clone().requires_grad_()
verify_equation(
    21,
    slope_of(both, leaf)[0],
    slope_of(following(plain).sum(), plain)[0] + 2 * 0.25 / 40 * (leaf - codes),
)

# %% [markdown]
# ### One `detach` apart
#
# Here is the whole VQ-VAE for digits: 8 positions, 16 codes of 8 numbers, 32 bits an image. And here are four versions of its middle, each one `detach` or one factor away from the right one; the last one applies `vq_loss` to what came *out* of straight-through. Each trains for 600 steps.
#
# **Predict** the share of test digits whose reconstruction is recognised, for each.


# %%
# A VQ-VAE, and four that are one detach away
class VQVAE(nn.Module):
    """Digits (B, 64) to P vectors of D numbers each, a codebook, and back."""

    def __init__(self, positions=8, dim=8, codes=16):
        super().__init__()
        self.shape = positions, dim
        self.encoder = networks.mlp([64, 256, 256, positions * dim])
        self.decoder = networks.mlp([positions * dim, 256, 256, 64])
        self.codebook = nn.Parameter(torch.zeros(codes, dim))

    def encode(self, x):
        return self.encoder(x).reshape(-1, *self.shape)  # (B, P, D)

    def decode(self, codes):
        return self.decoder(codes.flatten(1))

    @torch.no_grad()
    def start_codebook(self, x):
        """Codes start among the encoder's outputs."""
        outputs = self.encode(x).flatten(0, 1)
        self.codebook.copy_(outputs[torch.randperm(len(outputs))[: len(self.codebook)]])


def right(z, codes):
    """(what the decoder gets, extra loss)"""
    return straight_through(z, codes), vq_loss(z, codes)


def no_straight_through(z, codes):
    return codes, vq_loss(z, codes)


def beta_on_codes(z, codes):
    squares = 0.25 * (z.detach() - codes).square() + (z - codes.detach()).square()
    return straight_through(z, codes), squares.sum(-1).mean()


def no_commitment(z, codes):
    return straight_through(z, codes), vq_loss(z, codes, 0.0)


def loss_after(z, codes):
    passed = straight_through(z, codes)
    return passed, vq_loss(z, passed)


@cache
def train_vqvae(middle=right, steps=600, positions=8, codes=16):
    """A VQ-VAE with this middle."""
    seed_everything(0)
    model = VQVAE(positions, 8, codes).to(device)
    model.start_codebook(train_x[:200])

    def loss(model, x):
        z = model.encode(x)
        passed, extra = middle(z, quantize(z, model.codebook)[1])
        return (model.decode(passed) - x).square().sum(1).mean() + positions * extra

    fit(
        model,
        loss,
        train_x,
        steps=budget(steps),
        batch_size=128,
        lr=2e-3,
        label=f"error + vq_loss, {middle.__name__.replace('_', ' ')}",
    )
    return model


@torch.no_grad()
def words_of(model, x):
    """The codes' numbers (B, P) of images."""
    return quantize(model.encode(x), model.codebook)[0]


@torch.no_grad()
def pictures_of(model, indices):
    return model.decode(model.codebook[indices])


# %% predict="my_recognised"
my_recognised = {  # your prediction: shares from 0 to 1
    "right": 0.5,
    "no straight-through": 0.5,
    "beta on the codes' term": 0.5,
    "no commitment": 0.5,
    "vq_loss after straight-through": 0.5,
}

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: five middles; training all takes about 15 seconds
middles = (right, no_straight_through, beta_on_codes, no_commitment, loss_after)
shares, rows = {}, []
print(f"{'':32}error   codes used   recognised")
for name, middle in zip(my_recognised, middles, strict=True):
    model = train_vqvae(middle)
    index = words_of(model, test_x)
    rebuilt = pictures_of(model, index)
    shares[name] = metrics.recognised(rebuilt)
    error = (rebuilt - test_x).square().sum(1).mean().item()
    print(f"{name:32}{error:5.2f}{len(index.unique()):13d}   {shares[name]}")
    rows.append(rebuilt[:36:3])
    findings[f"recognised, {name}"] = share(shares[name])
fig, ax = plots.figure(width=6.2, height=2.9)
places = range(len(shares))
ax.barh(places, [value.value for value in shares.values()], color=plots.COLOR["code"])
ax.scatter(
    list(my_recognised.values()),
    places,
    color=plots.COLOR["guess"],
    zorder=3,
    label="your prediction",
)
ax.set_yticks(places, list(shares))
ax.invert_yaxis()
best = max(shares, key=lambda name: shares[name].value)
ax.set(xlabel="share recognised", xlim=(0, 1), title=f"Best: {best}")
ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1))
plots.show(
    fig,
    alt="Bars: share of reconstructions recognised. "
    + ", ".join(f"{name} {value.value:.0%}" for name, value in shares.items()),
)
names = ["digits", "right", "no jump", "beta", "loose", "after"]
fig, _ = plots.image_grid(torch.cat([test_x[:36:3], *rows]).cpu(), 12, labels=names)
plots.show(fig, alt="Test digits in the first row, then their reconstructions by the five middles.")

# %% [markdown]
# Three of the four mistakes ruin the model. The fourth does no harm at all: with $\beta$ on the wrong term, which is how a widely used program had it for years, the reconstructions are as good or better. No loss curve and no picture would have told anyone. Only a check of gradients does, which is why you were asked for one.
#
# ### What the codes cost: three priors
#
# Train the right one longer, fix it, and write down the words of all training digits. Three priors for them: uniform; a table for each position, counted (plus one for each letter, so that nothing is impossible); and lesson 03's transformer over eight tokens. Draw words from each, decode, and ask the classifier.
#
# **Predict** by how many bits an image, of 32, the transformer beats the tables, and the share of *its* samples that are recognised if the tables reach two in five.


# %%
# Given: the codes of all digits, and three priors for them
@cache
def code_prior():
    """A causal transformer over the eight tokens; 300 steps, more would overfit."""
    index = words_of(train_vqvae(steps=1500), train_x)
    seed_everything(1)
    net = Transformer(16, 8).to(device)

    def loss(net, index):
        return -teacher_forcing_log_prob(net, index, 16).mean()

    fit(
        net,
        loss,
        index,
        steps=budget(300),
        batch_size=128,
        lr=2e-3,
        optimizer=lambda weights, lr: torch.optim.AdamW(weights, lr=lr, weight_decay=0.1),
        label="nats a word",
    )
    return net.eval()


def position_tables(index, codes):
    """log p_i(c_i), (P, K), counted with one more of each letter."""
    counts = nn.functional.one_hot(index, codes).sum(0).double() + 1
    return (counts / counts.sum(1, keepdim=True)).log()


# %% predict="my_bits"
my_bits = 5.0  # your prediction: bits an image that the transformer saves against the tables
my_drawn = 0.5  # your prediction: the share of its samples that are recognised

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: three priors; training takes about 12 seconds
model = train_vqvae(steps=1500)
train_words, test_words = words_of(model, train_x), words_of(model, test_x)
rebuilt = pictures_of(model, test_words)
net, letters = code_prior(), position_tables(train_words, 16)
sigma = (rebuilt - test_x).square().mean().sqrt().double()
given_word = -level_nats(test_x.double(), rebuilt.double(), sigma)
with torch.no_grad():
    written = teacher_forcing_log_prob(net, test_words, 16).double()
equal = torch.full_like(letters, -math.log(16))
elbos = {
    "uniform": vq_elbo(given_word, test_words, equal),
    "tables": vq_elbo(given_word, test_words, letters),
    "transformer": given_word + written,
}
generator = torch.Generator().manual_seed(5)
count = 1000
drawn = {
    "uniform": torch.randint(16, (count, 8), generator=generator).to(device),
    "tables": torch.multinomial(letters.exp().cpu(), count, True, generator=generator).T.to(device),
    "transformer": write(net, count, 8, 16, generator),
}
shares, rates, rows = {}, {}, []
print("prior         bits of code      bits a pixel   samples recognised")
for name, elbo in elbos.items():
    rate = (given_word - elbo) / LOG2
    rates[name] = rate.mean().item()
    samples = pictures_of(model, drawn[name])
    shares[name] = metrics.recognised(samples)
    error = rate.std().item() / len(rate) ** 0.5
    print(
        f"{name:12}{rates[name]:7.2f} +- {error:.2f}{-elbo.mean() / 64 / LOG2:17.3f}   {shares[name]}"
    )
    rows.append(samples[:24])
    findings[f"bits of code and samples recognised, {name}"] = (
        f"{rates[name]:.1f}, {share(shares[name])}"
    )
saved = rates["tables"] - rates["transformer"]
fig, _ = plots.image_grid(
    torch.cat(rows).cpu(),
    12,
    labels=[name for name in shares for _ in range(2)],
    title=f"{saved:.1f} bits lift {shares['tables'].value:.0%} to {shares['transformer'].value:.0%}",
)
plots.show(
    fig,
    alt="Samples from the three priors. Recognised: "
    + ", ".join(f"{name} {value.value:.0%}" for name, value in shares.items()),
)
print(f"{saved:.2f} bits between tables and transformer; you predicted {my_bits:g}")
print(f"recognised {shares['transformer'].value:.0%} of its samples; you predicted {my_drawn:.0%}")
print(
    f"reconstructions recognised {metrics.recognised(rebuilt)}, error {(rebuilt - test_x).square().sum(1).mean():.2f}"
)
half = pictures_of(model, words_of(model, train_x[::2]))
tests = {
    "reconstructions of other digits": metrics.two_sample_accuracy(train_x[1::2], half, limit=700),
    "samples": metrics.two_sample_accuracy(
        train_x, pictures_of(model, drawn["transformer"]), limit=700
    ),
}
for name, value in tests.items():
    print(f"told from real digits: {name:32} {value}")
findings["bits a pixel, VQ-VAE with the transformer"] = f"{-elbo.mean() / 64 / LOG2:.3f}"

# %% [markdown]
# **A few bits are the difference between noise and digits.** A prior is worth its bits not because of the file size but because the bits are where the wrong words go: each bit halves the set of words that it calls likely. The two-sample test tells the samples from real digits only a little better than it tells *reconstructions*: most of what is left is the decoder's fault, and no prior can repair that.
#
# And compare the bill with section 2's. One list of 300 whole digits, with a *larger* error, costs fewer bits a pixel (its codebook is still not billed). Better reconstruction is not better likelihood: the VQ-VAE spends 25 bits on the word, the list 8.
#
# ## 5 · Further: codebooks by averages, and dead codes
#
# By (2) and (3) a code wants to sit in the mean of its points. So why not put it there, instead of walking by gradient? Keep two running averages for each code, how many points chose it and their sum,
#
# $$n_k \leftarrow g\, n_k + (1 - g)\, \#\{i : k(z_i) = k\}, \qquad S_k \leftarrow g\, S_k + (1 - g) \sum_{i : k(z_i) = k} z_i \tag{22}$$
#
# *an exponential moving average with decay $g$, as of the weights in lesson 06*, and divide. A code with hardly any points would divide by nearly nothing; so the counts are smoothed a little, as if each code had $\epsilon_0$ points more, and scaled back so that the total stays.
#
# ### Exercise: `ema_codebook` · ●●○ · 8 minutes · 2 points


# %% exercise="ema_codebook"
def ema_codebook(counts, sums, z, indices, decay, eps=1e-5):
    """One update of a codebook by running averages, without gradients.

    n_k <- decay n_k + (1 - decay) #{i: indices_i = k}, and S_k likewise with the sum of those z_i.
    The new codebook is S_k / n'_k with the Laplace-smoothed counts

        n'_k = (n_k + eps) / (sum_j n_j + K eps) * sum_j n_j,

    all of the NEW n. n' is used here only, and not kept.

    Args:
        counts: (K,), n. sums: (K, D), S. z: (N, D). indices: LongTensor (N,), the code of each z.
        decay: in [0, 1). eps: > 0. The new counts have a positive sum.

    Returns:
        (counts, sums, codebook), all new tensors; nothing that came in is changed. Codes that nobody
        chose decay like the others. No gradient goes on from the results.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        chosen = nn.functional.one_hot(indices, len(counts)).to(z.dtype)  # (N, K)
        counts = decay * counts + (1 - decay) * chosen.sum(0)
        sums = decay * sums + (1 - decay) * chosen.T @ z
        total = counts.sum()
        smoothed = (counts + eps) / (total + len(counts) * eps) * total
        return counts, sums, sums / smoothed[:, None]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>How many points has each code, and what is their sum? Both can be had at once from a table (N, K) of zeros and ones.</details>
# <details><summary>Hint 2: the idea</summary><code>one_hot(indices, K)</code>, its sum over the points, and its transpose times z. Or <code>bincount</code> with <code>minlength</code>, and <code>index_add</code> into zeros.</details>
# <details><summary>Hint 3: nearly the line</summary>New counts and sums first, with decay on the old and 1 - decay on the batch; then the smoothed counts from the new ones; then the division, with the counts as a column. All under <code>torch.no_grad()</code>.</details>

# %% checks="ema_codebook"
# Checks of ema_codebook
old_counts, old_sums = double([2.0, 3.0, 1.0]), normal(3, 2, seed=23)
points, chosen = normal(5, 2, seed=24), torch.tensor([0, 0, 1, 0, 1])  # nobody takes code 2
new_counts, new_sums, new_book = ema_codebook(
    old_counts.clone(), old_sums.clone(), points, chosen, 0.9, 0.5
)
expect(
    new_counts,
    double([2.1, 2.9, 0.9]),
    "ema_codebook: counts, nine tenths old and one tenth new",
    hint="decay belongs to the old; a code nobody chose decays too",
)
expect(
    (new_sums - 0.9 * old_sums) / 0.1,
    torch.stack([points[[0, 1, 3]].sum(0), points[[2, 4]].sum(0), 0 * points[0]]),
    "ema_codebook: sums, likewise, of each code's own points",
    hint="sums, not means, of the points; times 1 - decay",
)
used_counts = new_sums / new_book
expect(
    [used_counts.mean(1).sum(), used_counts[:, 0].diff() / new_counts.diff()],
    [double(5.9), torch.full((2,), 5.9 / 7.4).double()],
    "ema_codebook: smoothed counts keep the total and shrink the differences",
    hint="n + eps, divided by the sum of n plus K eps, times the sum of n: all with the new counts",
)
kept = ema_codebook(old_counts.clone(), old_sums.clone(), points, chosen, 0.0, 1e-9)[2]
expect(
    kept[:2],
    torch.stack([points[[0, 1, 3]].mean(0), points[[2, 4]].mean(0)]),
    "ema_codebook: without memory, the chosen codes take a k-means step",
    rtol=1e-6,
    hint="at decay 0 only the batch counts",
)
graphs = [
    part.requires_grad
    for part in ema_codebook(old_counts, old_sums, points.clone().requires_grad_(), chosen, 0.9)
]
expect(
    old_counts,
    double([2.0, 3.0, 1.0]),
    "ema_codebook: what came in is unchanged",
    hint="new tensors: no +=, no mul_, no add_",
)
expect(
    any(graphs),
    False,
    "ema_codebook: what comes out carries no gradient",
    hint="make it under torch.no_grad()",
)

# %%
# Equation (22), the same update point by point
new_counts, new_sums, _ = ema_codebook(old_counts, old_sums, points, chosen, 0.9)
by_points = [0.9 * old_counts, 0.9 * old_sums]
for point, k in zip(points, chosen.tolist(), strict=True):
    by_points[0][k] += 0.1
    by_points[1][k] += 0.1 * point
verify_equation(22, new_counts, by_points[0])
verify_equation(22, new_sums, by_points[1])

# %% [markdown]
# ### Exercise: `perplexity` · ●○○ · 4 minutes · 1 point
#
# How many codes does a model really use? Counting those that occur at all is too kind. Take the entropy of the usage, in nats, and its exponential: as many codes as would have that entropy if all were used alike.


# %% exercise="perplexity"
def perplexity(indices, num_codes):
    """exp(H) of the codes' usage, H = -sum_k p_k log p_k with p_k the share of index k.

    Args:
        indices: LongTensor of any shape, with at least one entry, values 0 to num_codes - 1.
        num_codes: K.

    Returns:
        A float32 scalar tensor between 1 and K. A code that does not occur adds nothing: 0 log 0 = 0.
    """
    ### BEGIN SOLUTION
    shares = torch.bincount(indices.flatten(), minlength=num_codes).float() / indices.numel()
    return torch.special.entr(shares).sum().exp()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Shares first: how often does each number occur, among how many?</details>
# <details><summary>Hint 2: the idea</summary><code>torch.bincount</code> wants one axis and knows <code>minlength</code>. For 0 log 0 there are <code>torch.special.entr</code> and <code>torch.xlogy</code>.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.special.entr(p)</code> is -p log p, with 0 at 0. Its sum, then <code>.exp()</code>. float32 all the way.</details>

# %% checks="perplexity"
# Checks of perplexity
expect(
    [
        perplexity(torch.tensor([[4, 4], [4, 4]]), 7),
        perplexity(torch.arange(6).repeat(3), 6),
        perplexity(torch.tensor([1, 5, 1, 5]), 9),
    ],
    [torch.tensor(1.0), torch.tensor(6.0), torch.tensor(2.0)],
    "perplexity: one code, all alike, two of nine",
    hint="the exponential of the entropy in nats, over shares of all entries; unused codes add nothing",
)
expect(
    perplexity(torch.tensor([0, 0, 0, 1]), 2),
    torch.tensor(4 / 27**0.25),
    "perplexity: three to one, 4 / 27^(1/4) codes",
    hint="codes count by how much they are used, not by occurring at all; log is the natural one, and exp undoes it",
)

# %% [markdown]
# $$1 \le e^{H} \le K, \qquad e^{H} = 1 \iff \text{one code}, \quad e^H = K \iff \text{all used alike} \tag{23}$$
#
# *entropy is at least 0 and at most $\log K$.*

# %%
# Equation (23)
shares = normal(9, seed=25).softmax(0)
drawn = torch.multinomial(shares, 5000, True, generator=torch.Generator().manual_seed(0))
verify_equation(23, 1.0, perplexity(drawn, 9), 9.0, relation="<=")

# %% [markdown]
# ### Where dead codes go
#
# A code that nobody chooses cannot be pulled by (2), for $n_k = 0$. It is *dead*, and most badly started codebooks are full of such. Folklore says that the smoothing in `ema_codebook` "only avoids a division by zero". Look closer. After $t$ equal batches, with $n$ and $S$ the batch's,
#
# $$n_k(t) = g^t n_k(0) + (1 - g^t)\, n, \qquad S_k(t) = g^t S_k(0) + (1 - g^t)\, S \tag{24}$$
#
# *a geometric series.* If points and codes keep their places, a used code ends at
#
# $$e_k = m_k\, \frac{n_k}{n'_k}, \qquad \sum_k n'_k = \sum_k n_k, \quad n'_k \text{ between } n_k \text{ and } N / K \tag{25}$$
#
# *$S = n\, m_k$; the scaling keeps the total; $n'_k$ is a weighted mean of $n_k$ and of everybody's share*: k-means up to the smoothing. And a code that nobody chooses? Its sum and its count decay together, so their ratio stays, until $g^t n_k$ meets the smoothing:
#
# $$e_k(t) = e_k(0)\, \frac{g^t n_0\, (N + K \epsilon_0)}{(g^t n_0 + \epsilon_0)\, N} \tag{26}$$
#
# *(24) with $n = S = 0$, divided by the smoothed count; $\epsilon_0$ is the argument `eps`, $N$ the total.* It stands still for about $\ln(n_0 / \epsilon_0) / \ln(1 / g)$ steps, 1,146 at the usual values, **and then falls to the origin.** Whether that revives it depends on who lives at the origin. (Elsewhere one reads that dead codes "fly off". They do where counts start at 0 and sums do not, as in a much-copied program: the cell below says how far.)

# %%
# Equations (24) to (26), a loop of your ema_codebook against the formulas
g, eps0 = 0.9, 0.01
start_n, start_s = double([1.0, 1.0, 1.0]), normal(3, 2, seed=26)
batch_n = torch.bincount(chosen, minlength=3).double()
batch_s = torch.zeros(3, 2).double().index_add(0, chosen, points)
n, S = start_n, start_s
for _ in range(30):
    n, S, book = ema_codebook(n, S, points, chosen, g, eps0)
verify_equation(24, n, g**30 * start_n + (1 - g**30) * batch_n)
verify_equation(24, S, g**30 * start_s + (1 - g**30) * batch_s)
for _ in range(400):
    n, S, book = ema_codebook(n, S, points, chosen, g, eps0)
smoothed = (n + eps0) / (n.sum() + 3 * eps0) * n.sum()
verify_equation(25, book[:2], (batch_s / batch_n[:, None] * (n / smoothed)[:, None])[:2])
verify_equation(25, smoothed.sum(), n.sum())
low, high = torch.minimum(n, n.sum() / 3), torch.maximum(n, n.sum() / 3)
verify_equation(25, low, smoothed, high, relation="<=")
n, S = start_n, start_s
for _ in range(60):
    n, S, book = ema_codebook(n, S, points, chosen, g, eps0)
N = n.sum()
far = 0.99 * (512 + 16e-5) / (1e-5 * 512)  # K = 16, decay 0.99, 512 points, counts from 0
print(f"counts from 0: an unused code goes to {far:,.0f} times its place at the first step")
formula = start_s[2] * g**60 * (N + 3 * eps0) / ((g**60 + eps0) * N)
verify_equation(26, book[2], formula)

# %% [markdown]
# Try it: 32 codes, badly placed around (2, 2), and the two moons, centred at the origin. Four ways to train: gradient descent on (2); averages without smoothing; averages with the usual smoothing; and *restarts*, which put a code that is hardly used onto a point of the batch. 1,500 batches of 256 points.
#
# **Predict** how many of the 32 codes are in use at the end of each.


# %%
# Given: four ways to train a codebook on the moons
@cache
def walk_of_codes(rule, shift=0.0, steps=1500, every=50):
    """Codebooks at every 50th step, (frames, 32, 2), and how many codes were in use."""
    points = data.two_moons(4000, device="cpu").double() + double([shift, 0.0])
    book = 2 + 2 * normal(32, 2, seed=27)
    n, S = torch.ones(32).double(), book.clone()
    generator = torch.Generator().manual_seed(3)
    frames, used = [], []
    for step in range(budget(steps) + 1):
        if step % every == 0:
            frames.append(book)
            used.append(len(nearest(points, book).unique()))
        z = points[torch.randint(4000, (256,), generator=generator)]
        index = nearest(z, book)
        if rule == "gradient":
            found = torch.bincount(index, minlength=32).double()[:, None]
            sums = torch.zeros_like(book).index_add(0, index, z)
            book = book - 1.0 * 2 / 256 * (found * book - sums)
            continue
        n, S, book = ema_codebook(n, S, z, index, 0.99, 1e-12 if rule == "no smoothing" else 1e-5)
        if rule == "restarts":
            dead = (n < 0.5).nonzero()[:, 0]
            if len(dead):
                at = z[torch.randint(256, (len(dead),), generator=generator)]
                n, S, book = n.clone(), S.clone(), book.clone()
                n[dead], S[dead], book[dead] = 1.0, at, at
    return torch.stack(frames), used


# %% predict="my_used"
my_used = {  # your prediction: codes in use at the end, of 32
    "gradient": 16,
    "no smoothing": 16,
    "smoothing": 16,
    "restarts": 16,
}

# %% tags=["experiment"]
# Experiment: which codes revive? it takes about 5 seconds
ends = {}
fig, ax = plots.figure(width=6.2, height=3.2)
for rule, role in zip(my_used, ("noise", "model", "code", "data"), strict=True):
    frames, used = walk_of_codes(rule)
    ends[rule] = used[-1]
    line = {"linestyle": (0, (4, 4)), "zorder": 4} if rule == "no smoothing" else {}
    label = f"{rule}: {used[-1]}"
    plots.curve([50 * i for i in range(len(used))], used, role, label=label, ax=ax, **line)
    moved = (frames[-1] - frames[0]).norm(dim=1)
    print(
        f"{rule:14} {used[-1]:2d} in use; of the others the least has moved by {moved.min():.1g}; you predicted {my_used[rule]}"
    )
away = walk_of_codes("smoothing", 6.0, steps=3000)
print(f"smoothing, data moved by (6, 0): {away[1][-1]} in use after 3,000 steps")
ax.set(xlabel="step", ylabel="codes in use", ylim=(0, 34))
ax.scatter(
    [50 * (len(used) - 1)] * 4,
    list(my_used.values()),
    color=plots.COLOR["guess"],
    zorder=5,
    label="your prediction",
)
ax.legend()
revived = [name for name, n in ends.items() if n > 16]
ax.set_title(f"More than half are alive at the end: {', '.join(revived) or 'nowhere'}")
plots.show(
    fig,
    alt="Codes in use against steps. At the end: "
    + ", ".join(f"{n} {name}" for name, n in ends.items()),
)
findings["codes in use at the end, of 32"] = ", ".join(f"{name} {n}" for name, n in ends.items())

# %% [markdown]
# Gradients leave a dead code exactly where it was. Smoothing revives all, but late, and by luck: they fall to the origin, and the origin lies between the moons. Move the data away, and they fall to the same place, where nobody is. Restarts do it at once, wherever the data are. Watch them: each grey point is a code that nobody uses.


# %% tags=["experiment"]
# Drag: where do dead codes go?
def draw_codes(step, training, moved_data):
    """Moons and codebook at one step."""
    shift = 6.0 if moved_data else 0.0
    frames, used = walk_of_codes(training, shift)
    place = min(step // 50, len(frames) - 1)
    book = frames[place]
    points = data.two_moons(400, device="cpu").double() + double([shift, 0.0])
    alive = torch.bincount(nearest(points, book), minlength=32) > 0
    fig, ax = plots.figure(width=6.2, height=3.4)
    ax.scatter(*points.T, s=4, color=plots.COLOR["data"], linewidths=0, alpha=0.6)
    ax.scatter(*book[~alive].T, s=22, color=plots.COLOR["noise"], linewidths=0)
    ax.scatter(*book[alive].T, s=30, color=plots.COLOR["code"], linewidths=0)
    ax.set(
        xlim=(-3, 9) if moved_data else (-3, 5),
        ylim=(-2.5, 4.5),
        aspect="equal",
        xlabel="first coordinate",
        ylabel="second coordinate",
        title=f"step {50 * place}: {used[place]} codes in use",
    )
    return fig


widgets.explore(
    draw_codes,
    alt="Two moons and 32 codes, those in use in colour, the others grey.",
    step=(0, 1500, 1200),
    training=["smoothing", "gradient", "no smoothing", "restarts"],
    moved_data=False,
)

# %% [markdown]
# ## 6 · A critic instead of a likelihood
#
# Squared error, and every Gaussian likelihood, has an opinion about each pixel. A person looking at a picture has not; they say "real" or "fake". A **generative adversarial network** trains a second network to say it. The *generator* turns noise into examples, $x = G(\epsilon)$; call their law $q$. It has samples and no likelihood: nobody can compute $q(x)$. The *critic* (or discriminator) gets real examples and fakes, half and half, and gives the probability $D(x)$ that $x$ is real. It maximises
#
# $$V(D) = \mathbb E_p \log D(x) + \mathbb E_q \log (1 - D(x)) \tag{27}$$
#
# *twice the mean log-probability of the right answer.* The generator wants the opposite. What does the best possible critic know?
#
# ### Step: `best_answer` · ●○○ · 4 minutes
#
# At one place $x$ write $a = p(x)$, $b = q(x)$, and $y$ for the critic's answer. Its part of (27) is $a \log y + b \log(1 - y)$. Where is that largest?


# %% step="best_answer"
def best_answer(a, b, y):
    """(the derivative of a log y + b log(1 - y) in y, the y in (0, 1) where it is 0)."""
    ### BEGIN SOLUTION
    return a / y - b / (1 - y), a / (a + b)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The derivative of log y is 1/y. The second logarithm has an inner derivative.</details>
# <details><summary>Hint 2: the idea</summary>Set the derivative to zero and bring both fractions to the other side of the equation: a (1 - y) = b y.</details>
# <details><summary>Hint 3: nearly the line</summary>Collect the two terms with y. What is left is the share of one of the two in their sum.</details>

# %% checks="best_answer"
# Checks of best_answer
a_, b_, y_ = sympy.symbols("a b y", positive=True)
part = a_ * sympy.log(y_) + b_ * sympy.log(1 - y_)
answers = best_answer(a_, b_, y_)
grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
expect(
    same(answers[0], sympy.diff(part, y_)),
    True,
    "best_answer: the derivative",
    hint="log(1 - y) has the inner derivative -1",
)
for a, b in ((0.3, 0.1), (0.2, 0.9)):
    best = grid[(a * grid.log() + b * (1 - grid).log()).argmax()].item()
    expect(
        float(sympy.sympify(answers[1]).subs({a_: a, b_: b})),
        best,
        "best_answer: the best of 999 answers",
        atol=1e-3,
        hint="solve a/y = b/(1 - y) for y",
    )

# %% [markdown]
# ### Exercise: `optimal_discriminator` · ●○○ · 4 minutes · 1 point


# %% exercise="optimal_discriminator"
def optimal_discriminator(p, q):
    """The critic that maximises sum_z p log D + q log(1 - D), as a table.

    Args:
        p, q: (Z,), probabilities of the data and of the generator; each may be 0 somewhere.

    Returns:
        (Z,), the best probability of "real" at each place. Where p and q are both 0, 1/2.
    """
    ### BEGIN SOLUTION
    total = p + q
    return torch.where(total > 0, p / torch.where(total > 0, total, 1.0), 0.5)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Your step, at every place of the table at once.</details>
# <details><summary>Hint 2: the idea</summary>A quotient; and where its denominator is 0, another value. No small constant: it would change faint places.</details>
# <details><summary>Hint 3: nearly the line</summary><code>torch.where</code> on whether the sum of both is above 0.</details>

# %% checks="optimal_discriminator"
# Checks of optimal_discriminator
p, q = double([0.5, 0.3, 0.2, 0.0, 0.0]), double([0.1, 0.2, 0.0, 0.7, 0.0])
best = optimal_discriminator(p, q)
expect(
    best[2:],
    double([1.0, 0.0, 0.5]),
    "optimal_discriminator: only real, only fake, neither",
    hint='D is the probability of "real"; where neither goes, 1/2',
)
by_grid = [
    grid[(a * grid.log() + b * (1 - grid).log()).argmax()]
    for a, b in zip(p[:2], q[:2], strict=True)
]
expect(
    best[:2],
    torch.stack(by_grid),
    "optimal_discriminator: the best of 999 answers at the first two places",
    atol=1e-3,
    hint="the share of p in p + q",
)
faint = optimal_discriminator(1e-12 * p, 1e-12 * q)
expect(
    faint[:2],
    best[:2],
    "optimal_discriminator: the same where both are faint",
    hint="nothing is added to the denominator",
)

# %% [markdown]
# <details><summary>Line (28), to compare with yours</summary>
#
# $$\frac ay - \frac b{1 - y} = 0 \iff y = \frac{a}{a + b}, \qquad D^*(x) = \frac{p(x)}{p(x) + q(x)} \tag{28}$$
#
# *each place is maximised by itself.* Read it backwards: $p / q = D^* / (1 - D^*)$, and the logit of the best critic is $\log p - \log q$. Textbooks file GANs under "implicit density"; but the critic, at its best, *is* the ratio of the two densities.
# </details>
#
# ### Exercise: `jensen_shannon` · ●●○ · 6 minutes · 1 point
#
# Put the best critic into $V$. What is left depends on $p$ and $q$ only, and it is a distance of the two that has a name. Write it down, then compare with (29).


# %% exercise="jensen_shannon"
def jensen_shannon(p, q):
    """The Jensen-Shannon divergence: the mean of the KLs of p and of q to m, their even mixture.

    Args:
        p, q: (Z,), tables of probabilities; zeros occur, with 0 log 0 = 0.

    Returns:
        A scalar in nats, from 0 (p = q) to log 2 (nothing in common).
    """
    ### BEGIN SOLUTION
    m = (p + q) / 2
    terms = torch.special.xlogy(p, p) - torch.special.xlogy(p, m)
    return (terms + torch.special.xlogy(q, q) - torch.special.xlogy(q, m)).sum() / 2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>m is (p + q)/2, entry by entry. Each KL is a sum of first times logarithm of first over second.</details>
# <details><summary>Hint 2: the idea</summary><code>torch.special.xlogy(a, b)</code> is a log b, and 0 where a is 0. A quotient can be written as a difference of two such terms.</details>
# <details><summary>Hint 3: nearly the line</summary>xlogy(p, p) - xlogy(p, m), the same for q, the sum over the table, half of it all.</details>

# %% checks="jensen_shannon"
# Checks of jensen_shannon
full_p, full_q = normal(6, seed=30).softmax(0), normal(6, seed=31).softmax(0)
kl = torch.distributions.kl_divergence
as_law = torch.distributions.Categorical
middle = as_law((full_p + full_q) / 2)
expect(
    jensen_shannon(full_p, full_q),
    (kl(as_law(full_p), middle) + kl(as_law(full_q), middle)) / 2,
    "jensen_shannon: as torch.distributions",
    hint="both KLs are to the mixture; half of their sum",
)
expect(
    [jensen_shannon(double([0.4, 0.6, 0.0]), double([0.0, 0.0, 1.0])), jensen_shannon(p, p)],
    [double(LOG2), double(0.0)],
    "jensen_shannon: nothing in common, and the same",
    atol=1e-12,
    hint="0 log 0 = 0; natural logarithms",
)

# %% [markdown]
# <details><summary>Line (29), to compare with yours</summary>
#
# $$V(D^*) = \mathbb E_p \log \frac{p}{p + q} + \mathbb E_q \log \frac{q}{p + q} = 2\, \mathrm{JSD}(p, q) - \log 4 \tag{29}$$
#
# *write $p + q = 2m$; each of the two logarithms gives $-\log 2$ and a KL to $m$.* So a generator that fights the best critic minimises the Jensen-Shannon divergence.
# </details>


# %%
# Equations (27) to (29), on tables with zeros
def critic_value(p, q, D):
    """V of (27) for tables."""
    return (torch.special.xlogy(p, D) + torch.special.xlogy(q, 1 - D)).sum()


best = optimal_discriminator(p, q)
many = torch.rand(2000, 5, generator=torch.Generator().manual_seed(0)).double()
values = torch.stack([critic_value(p, q, D) for D in many])
verify_equation(27, values, critic_value(p, q, best), relation="<=")
leaf = (p / (p + q))[:2].requires_grad_()
verify_equation(28, slope_of(critic_value(p[:2], q[:2], leaf), leaf)[0], 0.0)
verify_equation(28, best[:2], leaf)
verify_equation(29, critic_value(p, q, best), 2 * jensen_shannon(p, q) - LOG4)

# %% [markdown]
# ### Further: what a critic misses
#
# A real critic is not the best one. What it falls short by is again a KL, and exact:
#
# $$V(D^*) - V(D) = 2\, \mathbb E_m\, \mathrm{KL}\big( \mathrm{Bern}(D^*) \,\Vert\, \mathrm{Bern}(D) \big) \tag{30}$$
#
# *at each place $p = 2m D^*$ and $q = 2m (1 - D^*)$; the difference of the logarithms, weighed with these, is the KL of two coins.*

# %%
# Equation (30), for random critics
best, m = optimal_discriminator(full_p, full_q), (full_p + full_q) / 2
D = torch.rand(6, generator=torch.Generator().manual_seed(1)).double() * 0.9 + 0.05
coins = kl(torch.distributions.Bernoulli(best), torch.distributions.Bernoulli(D))
verify_equation(
    30,
    critic_value(full_p, full_q, best) - critic_value(full_p, full_q, D),
    2 * (m * coins).sum(),
)

# %% [markdown]
# ### Two bumps far apart
#
# $$0 \le \mathrm{JSD}(p, q) \le \log 2, \qquad \mathrm{JSD} = \log 2 \iff p \text{ and } q \text{ share nothing} \tag{31}$$
#
# *KLs are not negative; and $p / m \le 2$, with equality where $q = 0$.* There is a catch in that bound. Two bumps far apart have a divergence of $\log 2$, and two bumps twice as far apart have it too. The distance is felt through its slope, and there is none.

# %%
# Equation (31), and the slope of the divergence of N(0, 1) and N(d, 1)
verify_equation(31, 0.0, jensen_shannon(full_p, full_q), LOG2, relation="<=")
verify_equation(31, jensen_shannon(double([1.0, 0.0]), double([0.0, 1.0])), LOG2)
line = torch.linspace(-10, 24, 6801, dtype=torch.float64)
spacing = (line[1] - line[0]).item()
for d in (4.0, 8.0, 12.0):
    at = double(d).requires_grad_()
    laws = [Normal(double(0.0), 1.0).log_prob(line).exp(), Normal(at, 1.0).log_prob(line).exp()]
    distance = jensen_shannon(*laws) * spacing
    print(
        f"distance {d:4g}: log 2 - JSD = {LOG2 - distance.item():.1e}, slope {slope_of(distance, at)[0].item():.1e}"
    )

# %% [markdown]
# So a good critic teaches a bad generator nothing. In the critic's terms: let $a$ be its logit at a fake, $D = \sigma(a)$ with the sigmoid $\sigma$. A sure critic has $a \ll 0$. The generator may minimise $\log(1 - D)$, the *minimax* game, or instead $-\log D$, which wants the same thing: to be called real.
#
# ### Step: `fake_slopes` · ●○○ · 3 minutes
#
# What is the slope of each of the two in $a$? You may use `sympy.exp`.


# %% step="fake_slopes"
def fake_slopes(a):
    """(d/da of log(1 - D), d/da of -log D) for D = 1 / (1 + exp(-a)), expressions in the symbol a."""
    ### BEGIN SOLUTION
    D = 1 / (1 + sympy.exp(-a))
    return -D, -(1 - D)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>The sigmoid's derivative is D (1 - D).</details>
# <details><summary>Hint 2: the idea</summary>Chain rule: the derivative of log(1 - D) in D is -1/(1 - D), that of -log D is -1/D. Something cancels in each.</details>
# <details><summary>Hint 3: nearly the line</summary>Both are negative. One is, but for the sign, D itself, and the other what is missing to one.</details>

# %% checks="fake_slopes"
# Checks of fake_slopes
a_ = sympy.Symbol("a", real=True)
D_ = 1 / (1 + sympy.exp(-a_))
expect(
    all(sympy.sympify(slope).free_symbols <= {a_} for slope in fake_slopes(a_)),
    True,
    "fake_slopes: no other symbol than a",
    hint="write D out as 1 / (1 + exp(-a)), with the a that you are given",
)
for place, name in enumerate(("log(1 - D)", "-log D")):
    objective = (sympy.log(1 - D_), -sympy.log(D_))[place]
    expect(
        float(sympy.sympify(fake_slopes(a_)[place]).subs(a_, -1.5)),
        float((objective.subs(a_, -1.5 + 1e-6) - objective.subs(a_, -1.5 - 1e-6)) / 2e-6),
        f"fake_slopes: {name}, by finite differences",
        rtol=1e-5,
        hint="chain rule through D, whose derivative is D (1 - D)",
    )
    expect(
        same(fake_slopes(a_)[place], sympy.diff(objective, a_)),
        True,
        f"fake_slopes: {name}, for all values",
        hint="one number agrees and not all do",
    )

# %% [markdown]
# ### Exercise: `gan_losses` · ●●● · 10 minutes · 2 points
#
# Both players' losses, with the generator's in the second form. The critic here is any function that gives logits, perhaps many an image. Who may learn from which loss?


# %% exercise="gan_losses"
def gan_losses(discriminator, real, fake):
    """The critic's loss and the generator's non-saturating one.

    d_loss = mean(-log D) over real + mean(-log(1 - D)) over fake,   g_loss = mean(-log D) over fake,

    with D the sigmoid of the logits, each mean over all logits of a batch, and nothing halved.

    Args:
        discriminator: any callable, not always a module: examples to logits of whatever shape, each
            example by itself. It may be called as often as you like.
        real: (B, ...). fake: (C, ...), perhaps of another length.

    Returns:
        (d_loss, g_loss), scalars. From d_loss no gradient reaches `fake`, but the discriminator
        learns from both. From g_loss a gradient reaches `fake`; what it brings to the
        discriminator's own weights is up to you. Both are finite for logits of +-10,000.

    Source: Goodfellow and others (2014), equation 1 and section 3.
    """
    ### BEGIN SOLUTION
    price = nn.functional.softplus  # softplus(-a) = -log D, softplus(a) = -log(1 - D)
    on_real, on_fake = discriminator(real), discriminator(fake.detach())
    d_loss = price(-on_real).mean() + price(on_fake).mean()
    return d_loss, price(-discriminator(fake)).mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>With logits, -log D needs no sigmoid: it is log(1 + e^-a). Which function of torch is that?</details>
# <details><summary>Hint 2: the idea</summary><code>softplus</code> or <code>logsigmoid</code>, or <code>binary_cross_entropy_with_logits</code> against ones and zeros. For d_loss show the critic <code>fake.detach()</code>, for g_loss <code>fake</code> itself.</details>
# <details><summary>Hint 3: nearly the line</summary>-log D is <code>softplus(-a)</code> and -log(1 - D) is <code>softplus(a)</code>. Three calls of the discriminator, three means, two of them added.</details>

# %% checks="gan_losses"
# Checks of gan_losses
real, fake = normal(6, 3, seed=32), normal(4, 3, seed=33).requires_grad_()
weight = double([0.4, -0.3, 0.8]).requires_grad_()


def plain_critic(x):
    """Logits that a network of one weight vector gives."""
    return x @ weight


d_loss, g_loss = gan_losses(plain_critic, real, fake)
chance = [1 / (1 + (-plain_critic(x)).exp()) for x in (real, fake)]
expect(
    [d_loss.detach(), g_loss.detach()],
    [
        (-chance[0].log().mean() - (1 - chance[1]).log().mean()).detach(),
        -chance[1].log().mean().detach(),
    ],
    "gan_losses: by the probabilities themselves",
    hint="real ones pay -log D, fakes -log(1 - D); two means, added; the generator pays -log D",
)
expect(
    slope_of(d_loss, weight, fake) if d_loss.requires_grad else "nothing is connected",
    [
        -((1 - chance[0])[:, None] * real).mean(0).detach()
        + (chance[1][:, None] * fake).mean(0).detach(),
        0 * fake.detach(),
    ],
    "gan_losses: the critic learns from both, and nothing of d_loss reaches the fakes",
    hint="detach the fakes, not the critic's answer",
)
_, g_loss = gan_losses(plain_critic, real, fake)
expect(
    slope_of(g_loss, fake)[0] if g_loss.requires_grad else "nothing is connected",
    (-(1 - chance[1])[:, None] * weight / 4).detach(),
    "gan_losses: the generator's gradient reaches the fakes",
    hint="no detach in g_loss, and -log D, not log(1 - D)",
)
twice = [torch.stack([x, 2 * x], 1).detach() for x in (real, fake)]  # (B, 2, 3)
expect(
    list(gan_losses(lambda x: torch.stack([x, 2 * x], 1), real, fake.detach())),
    [
        torch.log1p((-twice[0]).exp()).mean() + torch.log1p(twice[1].exp()).mean(),
        torch.log1p((-twice[1]).exp()).mean(),
    ],
    "gan_losses: many logits an example",
    hint="the mean over all logits of a batch",
)
sure = gan_losses(lambda x: 1e4 * x[:, 0].sign(), double([[1.0], [-1.0]]), double([[1.0]]))
expect(
    list(sure),
    [double(1.5e4), double(0.0)],
    "gan_losses: logits of 10,000",
    atol=1e-6,
    hint="no sigmoid followed by a logarithm: softplus or logsigmoid",
)

# %% [markdown]
# <details><summary>Line (32), to compare with yours</summary>
#
# $$\frac{d}{da} \log (1 - D) = -\sigma(a), \qquad \frac{d}{da} (-\log D) = -\sigma(-a), \qquad \text{ratio} = e^{-a} \tag{32}$$
#
# *$\sigma' = \sigma (1 - \sigma)$, and $1 - \sigma(a) = \sigma(-a)$.* At $a = -10$ the second slope is 22,026 times the first. That is why it is called *non-saturating*.
# </details>

# %%
# Equation (32), by automatic differentiation through your gan_losses
leaf = double([-10.0]).requires_grad_()
minimax = -nn.functional.softplus(leaf).mean()
second = gan_losses(lambda x: x, double([0.0]), leaf)[1]
slopes = [slope_of(value, leaf)[0].item() for value in (minimax, second)]
verify_equation(32, slopes, [-torch.sigmoid(leaf).item(), -torch.sigmoid(-leaf).item()])
verify_equation(32, slopes[1] / slopes[0], math.exp(10.0))

# %% [markdown]
# ### Further: the critic knows the ratio
#
# Train one: real ones from the course's mixture, fakes from the Gaussian of the same mean and variance. Both densities are known, so (28) can be held against it at every place, and (29) says how well it can do. The value is computed by quadrature, not from samples.
#
# **Predict** the value $V$ that it ends with. Knowing nothing, $D = \frac12$, is worth $-\log 4 = -1.386$.


# %%
# Given: a critic, trained on the mixture and a Gaussian
FAKE = exact.GaussianMixture(double([1.0]), double([[0.45]]), double([[[1.689**2]]]))


@cache
def train_critic():
    """Logits for points (B, 1); about 4 seconds."""
    seed_everything(0)
    net = networks.mlp([1, 64, 64, 1]).to(device)

    def loss(net, real):
        fake = 0.45 + 1.689 * torch.randn_like(real)
        return gan_losses(net, real, fake)[0]

    fit(
        net,
        loss,
        data.mixture_1d(40_000),
        steps=budget(1500),
        batch_size=512,
        lr=5e-3,
        label="the critic's loss",
    )
    return net


# %% predict="my_value"
my_value = -0.7  # your prediction: V after training

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: a trained critic against log p - log q; it takes about 4 seconds
net = train_critic()
line = torch.linspace(-9, 9, 3601, dtype=torch.float64)[:, None]
spacing = (line[1] - line[0]).item()
log_p, log_q = MIXTURE.log_prob(line), FAKE.log_prob(line)
with torch.no_grad():
    logit = net(line.float().to(device))[:, 0].cpu().double()
p_line, q_line = log_p.exp() * spacing, log_q.exp() * spacing
value = (
    -(p_line * nn.functional.softplus(-logit) + q_line * nn.functional.softplus(logit)).sum().item()
)
best_value = (2 * jensen_shannon(p_line, q_line)).item() - LOG4
coins = kl(
    torch.distributions.Bernoulli(logits=log_p - log_q), torch.distributions.Bernoulli(logits=logit)
)
missed = ((p_line + q_line) * coins).sum().item()
fig, (left, right_ax) = plots.figure(1, 2, width=9, height=3.2)
plots.curve(line[:, 0], log_p.exp(), "data", label="data $p$", ax=left)
plots.curve(line[:, 0], log_q.exp(), "model", label="fakes $q$", ax=left)
left.set(xlabel="$x$", xlim=(-6, 6), ylabel="density")
plots.curve(line[:, 0], logit, "discriminator", label="critic's logit", ax=right_ax)
plots.curve(line[:, 0], log_p - log_q, "exact", label="$\\log p - \\log q$", ax=right_ax)
right_ax.set(
    xlabel="$x$",
    xlim=(-6, 6),
    ylabel="logarithm of the ratio",
    ylim=(-6, 3),
    title=f"Value {value:.4f} of {best_value:.4f}",
)
plots.show(
    fig,
    alt=f"Left: both densities. Right: the critic's logit and the exact log ratio. Value {value:.4f} of {best_value:.4f}.",
)
print(f"value {value:.4f}, the best critic's {best_value:.4f}; you predicted {my_value:g}")
print(f"it lacks {best_value - value:.4f}; the KL of (30) is {missed:.4f}")
findings["critic's value, and the best one"] = f"{value:.4f} of {best_value:.4f}"

# %% [markdown]
# Where there are data of either kind, the critic has found the ratio of two densities from samples alone. And even the best critic's value is modest: in Jensen-Shannon terms the two laws are 0.173 nats apart, a quarter of what is possible, although one has two bumps and the other one.
#
# ### Which distance does the generator descend?
#
# "Non-saturating: the same solution, better gradients" is what one reads. Let us see. Fix the best critic for the present $q_\theta$, and take one step of the generator. For the minimax form,
#
# $$\nabla_\theta\, \mathbb E_{q_\theta} \log(1 - D^*) = \nabla_\theta\, 2\, \mathrm{JSD}(p, q_\theta) \tag{33}$$
#
# *(29) says what $V(D^*)$ is; that $D^*$ itself moves with $\theta$ does not matter, for at a maximum the slope in $D$ is zero.* For the other form,
#
# $$\nabla_\theta\, \mathbb E_{q_\theta} [-\log D^*] = \nabla_\theta \big[ \mathrm{KL}(q_\theta \,\Vert\, p) - 2\, \mathrm{JSD}(p, q_\theta) \big] \tag{34}$$
#
# *$-\log D^* = \log \frac{1 - D^*}{D^*} - \log(1 - D^*) = \log \frac qp - \log(1 - D^*)$ with $q$ held fixed; the first gives the gradient of the reverse KL, because $\mathbb E_q \nabla \log q = 0$; the second is (33) with a minus* (Arjovsky and Bottou, 2017). The same best critic, then, but **another divergence**: the reverse KL, and *minus* twice the Jensen-Shannon.

# %%
# Equations (33) and (34), on a softmax table, by automatic differentiation
theta = normal(6, seed=34).requires_grad_()


def table_kl(a, b):
    return (a * (a / b).log()).sum()


made = theta.softmax(0)
best = optimal_discriminator(full_p, made).detach()
descents = {
    33: ((made * (1 - best).log()).sum(), 2 * jensen_shannon(full_p, made)),
    34: ((made * -best.log()).sum(), table_kl(made, full_p) - 2 * jensen_shannon(full_p, made)),
}
first, second = (torch.autograd.grad(side, theta, retain_graph=True)[0] for side in descents[33])
verify_equation(33, first, second)
first, second = (torch.autograd.grad(side, theta, retain_graph=True)[0] for side in descents[34])
verify_equation(34, first, second)

# %% [markdown]
# ### Who drops the mode first?
#
# A generator that cannot represent everything has to choose. Two bumps of equal width, 0.6, with weights 0.3 and 0.7, at distance $d$; the model is *one* Gaussian. Four objectives: forward KL (maximum likelihood), Jensen-Shannon, reverse KL, and the non-saturating one of (34). No network is needed: for each distance and objective the best Gaussian is found on a grid.
#
# **Predict** the order: who gives up the smaller bump first, as $d$ grows, and who never?


# %%
# Given: the best Gaussian for two bumps, by four objectives
OBJECTIVES = ("forward KL", "JSD", "reverse KL", "reverse KL - 2 JSD")
AXIS = torch.linspace(-9, 9, 721, dtype=torch.float64)


def objectives_of(log_p, mean, deviation):
    """The four objectives (4, M) of M Gaussians against a density on AXIS."""
    h = (AXIS[1] - AXIS[0]).item()
    log_q = Normal(mean[:, None], deviation[:, None]).log_prob(AXIS)
    p, q = log_p.exp(), log_q.exp()
    log_m = torch.logaddexp(log_p, log_q) - LOG2
    forward, reverse = (log_p - log_q) @ p * h, (q * (log_q - log_p)).sum(1) * h
    jsd = ((log_p - log_m) @ p + (q * (log_q - log_m)).sum(1)) * h / 2
    return torch.stack([forward, jsd, reverse, reverse - 2 * jsd])


def best_gaussians(log_p, reach):
    """(mean, deviation) of the best Gaussian by each objective, (4, 2): a grid, refined three times."""
    best = []
    grid = torch.cartesian_prod(
        torch.linspace(-reach, reach, 31).double(), torch.linspace(0.45, 3.0, 31).double()
    )
    coarse = objectives_of(log_p, *grid.T)
    for number in range(4):
        centre, size = grid[coarse[number].argmin()], double([reach / 15, 0.085])
        for _ in range(3):
            ticks = torch.linspace(-1, 1, 9).double()
            near = centre + torch.cartesian_prod(ticks, ticks) * size
            near = near[near[:, 1] > 0.05]
            centre, size = near[objectives_of(log_p, *near.T)[number].argmin()], size / 4
        best.append(centre)
    return torch.stack(best)


def two_bumps(d):
    """log density of the two bumps on AXIS."""
    parts = (
        Normal(double([-d / 2, d / 2])[:, None], 0.6).log_prob(AXIS)
        + double([0.3, 0.7]).log()[:, None]
    )
    return parts.logsumexp(0)


@cache
def fits_by_distance():
    """(distances (41,), fits (41, 4, 2)); about 5 seconds."""
    distances = torch.linspace(1, 5, 41 if budget(41) == 41 else 9).double()
    fits = [best_gaussians(two_bumps(d), d / 2 + 0.5) for d in track(distances.tolist(), "fitting")]
    return distances, torch.stack(fits)


def gave_up(distance, fit):
    """Whether the mean of the best Gaussian (..., 2) is nearer to the larger bump's than to that of both."""
    return fit[..., 0] > (0.2 + 0.5) / 2 * distance


# %% predict="my_first"
my_first = "JSD"  # your prediction: who gives up the smaller bump first
my_never = "JSD"  # your prediction: who never does

# %% tags=["experiment"]
# Experiment: who drops the mode first? it takes about 5 seconds
distances, fits = fits_by_distance()
given_up = {}
fig, ax = plots.figure(width=6.2, height=3.4)
for number, (name, role) in enumerate(
    zip(OBJECTIVES, ("data", "discriminator", "model", "posterior"), strict=True)
):
    plots.curve(distances, fits[:, number, 1], role, label=name, ax=ax)
    dropped = gave_up(distances, fits[:, number]).nonzero()
    given_up[name] = distances[dropped[0, 0]].item() if len(dropped) else math.inf
order = sorted(given_up, key=given_up.__getitem__)
never = [name for name in order if given_up[name] == math.inf]
ax.axhline(0.6, color=plots.COLOR["noise"], linewidth=1)
ax.set(xlabel="distance $d$ of the bumps", ylabel="deviation of the best Gaussian")
ax.set_title(f"First to give up a bump: {order[0]}; never: {', '.join(never) or 'none'}")
ax.title.set_fontsize(11)
plots.show(
    fig,
    alt="Deviation of the best Gaussian against distance; it falls to 0.6 where a bump is given up. "
    + ", ".join(f"{name}: {given_up[name]:.1f}" for name in order),
)
for name in order:
    where = f"at d = {given_up[name]:.1f}" if math.isfinite(given_up[name]) else "never"
    print(f"{name:20} gives up the smaller bump {where}")
print(f"you predicted {my_first} first, and {my_never} never")
own = best_gaussians(MIXTURE.log_prob(AXIS[:, None]), 3.0)
print("the course's mixture:   mean   deviation   JSD")
for name, (mean, deviation) in zip(OBJECTIVES, own.tolist(), strict=True):
    jsd = objectives_of(MIXTURE.log_prob(AXIS[:, None]), double([mean]), double([deviation]))[
        1
    ].item()
    print(f"{name:20}{mean:8.2f}{deviation:12.2f}{jsd:6.3f}")
findings["first to give up the smaller bump"] = f"{order[0]}, at d = {given_up[order[0]]:.1f}"

# %% [markdown]
# The objective that GANs are trained with drops a mode before everybody else, before even the reverse KL, whose reputation it shares. And dropping *pays*: on the course's mixture the Gaussian that ignores three tenths of the data has a lower Jensen-Shannon divergence than the one that covers all. Only the forward KL, maximum likelihood, may never call an example impossible. (Put a critic behind section 4's decoder, and its transformer before it, and you have a *VQGAN*: section 7 does, and says what the critic buys.)


# %% tags=["experiment"]
# Drag: when does each give up?
def draw_fits(distance):
    """Two bumps and the four best Gaussians."""
    distances, fits = fits_by_distance()
    place = (distances - distance).abs().argmin()
    fig, ax = plots.figure(width=6.2, height=3.2)
    shown = AXIS[160:561]
    ax.fill_between(
        shown,
        two_bumps(distances[place].item()).exp()[160:561],
        color=plots.COLOR["data"],
        alpha=0.25,
        linewidth=0,
    )
    for (mean, deviation), name, role in zip(
        fits[place].tolist(),
        OBJECTIVES,
        ("data", "discriminator", "model", "posterior"),
        strict=True,
    ):
        ax.plot(
            shown,
            Normal(mean, deviation).log_prob(shown).exp(),
            color=plots.COLOR[role],
            label=name,
        )
    gone = int(gave_up(distances[place], fits[place]).sum())
    ax.set(
        xlabel="$x$",
        ylabel="density",
        ylim=(0, 0.75),
        title=f"distance {distances[place]:.1f}: {gone} of 4 have given up a bump",
    )
    ax.legend(loc="upper left", fontsize=9)
    return fig


widgets.explore(
    draw_fits, alt="Two bumps and the best Gaussian by four objectives.", distance=(1.0, 5.0, 2.4)
)

# %% [markdown]
# ### Further: what dropping costs, exactly
#
# If the modes share nothing and $q$ keeps one of weight $w$, perfectly:
#
# $$\mathrm{KL}(p \Vert q) = \infty, \quad \mathrm{KL}(q \Vert p) = -\log w, \quad \mathrm{JSD} = \tfrac12 \Big[ w \log \tfrac{2w}{1 + w} + (1 - w) \log 2 + \log \tfrac{2}{1 + w} \Big] \tag{35}$$
#
# *on the kept mode $p = w\, q$, so $m = \frac{1 + w}2 q$; on the dropped one $m = p / 2$.* For $w = 0.7$ these are 0.357 and 0.117 nats. Cheap.

# %%
# Equation (35)
w = 0.7
kept_p, kept_q = double([w * 0.4, w * 0.6, 1 - w]), double([0.4, 0.6, 0.0])
verify_equation(35, torch.special.xlogy(kept_q, kept_q / kept_p).sum(), -math.log(w))
verify_equation(
    35,
    jensen_shannon(kept_p, kept_q),
    (w * math.log(2 * w / (1 + w)) + (1 - w) * LOG2 + math.log(2 / (1 + w))) / 2,
)

# %% [markdown]
# ## 7 · Further: sharpness for codes, VQGAN
#
# Section 4's reconstructions are soft. Why? A decoder trained on squared error answers with the mean of all images that share a word, $\mathbb E[x \mid c]$, and (4) says what such answers lack:
#
# $$\operatorname{Var} \hat x = \operatorname{Var} x - \mathcal D, \qquad \hat x = \mathbb E[x \mid c] \tag{36}$$
#
# *the reconstructions vary as much as what lies between the codes.* The variance that is missing is the error, to the last digit: that is *blur*. To cure it one must put variance back, and a critic that can tell soft from sharp asks for exactly that.
#
# ### What sharpness must cost
#
# Could one be sharp for free? Answer with a *draw* $x'$ from $p(x \mid c)$ instead of the mean. Then $x'$ is distributed like the data, perfectly, and
#
# $$\mathbb E \Vert x - x' \Vert^2 = 2\, \mathcal D \tag{37}$$
#
# *given $c$, both are independent draws around the same mean, and their variances add.* So perfect realism never needs more than twice the error (Blau and Michaeli, 2018). It is not free either, unless there is no error at all. A critic that is badly trained can cost more.

# %%
# Equations (36) and (37), on the digits with 30 codes
x = train_x.double().cpu()
index = nearest(x, lloyd(x, 30)[0])
groups = [x[index == k] for k in index.unique()]
within = sum((g - g.mean(0)).square().sum() for g in groups) / len(x)
rebuilt = torch.cat([g.mean(0).expand_as(g) for g in groups])
total = (x - x.mean(0)).square().sum(1).mean()
verify_equation(36, (rebuilt - rebuilt.mean(0)).square().sum(1).mean(), total - within)
pairs = sum(torch.cdist(g, g).square().mean() * len(g) for g in groups) / len(x)
verify_equation(37, pairs, 2 * within)

# %% [markdown]
# ### Exercise: `adaptive_weight` · ●○○ · 4 minutes · 1 point
#
# A VQGAN adds the generator's loss to the reconstruction's. How strongly? The two have nothing in common, not even a unit, and the critic's gradient changes size all the time. So measure both, at the decoder's last layer $L$: compute the gradient of each loss in $L$'s weights, and choose the weight $\lambda$ that makes them equally long.


# %% exercise="adaptive_weight"
def adaptive_weight(rec_grad, gan_grad, delta=1e-6):
    """The factor lambda for which lambda times gan_grad has the Euclidean length of rec_grad.

    Args:
        rec_grad, gan_grad: gradients of one shape and any rank; all entries count alike.
        delta: is added to the length in the denominator, since gan_grad may be 0.

    Returns:
        A 0-dim tensor >= 0.

    Source: Esser, Rombach and Ommer (2021), equation 7.
    """
    ### BEGIN SOLUTION
    return rec_grad.norm() / (gan_grad.norm() + delta)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A factor stretches a vector by itself. Which factor takes a length of 2 to a length of 6?</details>
# <details><summary>Hint 2: the idea</summary>The Euclidean length over all entries, whatever the shape: <code>.norm()</code> without a dimension.</details>
# <details><summary>Hint 3: nearly the line</summary>One length over the other. Below the bar stands the one that is stretched, plus delta.</details>

# %% checks="adaptive_weight"
# Checks of adaptive_weight
rec_grad, gan_grad = normal(4, 5, seed=35), 7 * normal(4, 5, seed=36)
factor = adaptive_weight(rec_grad, gan_grad, 0.0)
expect(
    factor.shape,
    torch.Size([]),
    "adaptive_weight: one number for all entries",
    hint="the length of the whole tensor, not of its rows or columns",
)
expect(
    ((factor * gan_grad) ** 2).sum().sqrt(),
    (rec_grad**2).sum().sqrt(),
    "adaptive_weight: afterwards both are equally long",
    hint="the Euclidean length of one over that of the other, all entries counted; which of them is stretched?",
)
expect(
    [
        adaptive_weight(double([3.0, 4.0]), double([0.0, 0.0])),
        adaptive_weight(double([[3.0], [4.0]]), double([[6.0], [8.0]]), 2.5),
    ],
    [double(5e6), double(0.4)],
    "adaptive_weight: a silent critic, and a visible delta",
    hint="delta is added to the length below the bar",
)

# %% [markdown]
# $$L = \underbrace{\Vert x - \hat x \Vert^2 + \dots}_{L_{\text{rec}}} + \mathtt{vq\_loss} + \lambda\, L_{\text{GAN}}, \qquad \lambda = \frac{\Vert \nabla_L L_{\text{rec}} \Vert}{\Vert \nabla_L L_{\text{GAN}} \Vert + \delta} \tag{38}$$
#
# *so at the last layer both losses speak equally loud.* The dots stand for a *perceptual* term, the squared error between features of a trained classifier; on 8x8 digits it changes nothing one could show, so it is left out here. And the prior is a transformer over the codes, as in section 4. One slide files VQGAN under "autoregressive models", with $P(X) = \prod_t P(x_{t+1} \mid x_1 .. x_t)$. Autoregressive is $p(c)$. Of the pictures it knows no more than (9),
#
# $$\log p(x) \ge \log p(x \mid c(x)) + \sum_i \log p(c_i \mid c_{<i}) \tag{39}$$
#
# *(9), with (14)'s prior*, and where a critic has trained the decoder, not even that.

# %%
# Equations (38) and (39)
lam = adaptive_weight(rec_grad, gan_grad, 0.0)
verify_equation(38, (lam * gan_grad).norm(), rec_grad.norm())
seed_everything(4)
with torch.no_grad():
    spelled = teacher_forcing_log_prob(Transformer(4, 3, width=16).double().eval(), words, 4)
verify_equation(39, log_px + spelled, (log_px + spelled).logsumexp(0), relation="<=")

# %% [markdown]
# ### What a critic adds
#
# A VQ-VAE with 4 positions of 16 codes, 16 bits an image, is soft enough to need help. Its encoder and codebook are fixed now, and the decoder is tuned for 600 steps with $L_{\text{rec}} + g\, \lambda\, L_{\text{GAN}}$: without a critic ($g = 0$), and with one ($g = 0.3$).
#
# **Predict**, from (36), the variance of the images without a critic. The data's is 4.70, and the squared error will be about 1.2.


# %%
# Given: tuning a decoder with a critic
@cache
def tuned_decoder(g, steps=600):
    """A decoder for the words of the 16-bit VQ-VAE, tuned with g times the adaptive weight."""
    model = train_vqvae(right, 800, 4)
    words_4 = words_of(model, train_x)
    seed_everything(2)
    decoder = networks.mlp([32, 256, 256, 64]).to(device)
    decoder.load_state_dict(model.decoder.state_dict())
    critic = networks.mlp([64, 128, 128, 1]).to(device)
    inputs = model.codebook.detach()[words_4].flatten(1)
    last = decoder[-1].weight
    for_decoder = torch.optim.Adam(decoder.parameters(), lr=1e-3, betas=(0.5, 0.9))
    for_critic = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    generator = torch.Generator().manual_seed(4)
    for step in track(range(budget(steps)), f"tuning, g = {g:g}"):
        fade = 1 - step / budget(steps)  # rates fall to 0
        for optimizer in (for_decoder, for_critic):
            optimizer.param_groups[0]["lr"] = 1e-3 * fade
        rows = torch.randint(len(train_x), (128,), generator=generator).to(device)
        made = decoder(inputs[rows])
        error = (made - train_x[rows]).square().sum(1).mean()
        if g:
            d_loss, g_loss = gan_losses(critic, train_x[rows], made)
            for_critic.zero_grad()
            d_loss.backward(inputs=list(critic.parameters()))
            for_critic.step()
            _, g_loss = gan_losses(critic, train_x[rows], made)
            slopes = [
                torch.autograd.grad(part, last, retain_graph=True)[0] for part in (error, g_loss)
            ]
            error = error + g * adaptive_weight(*slopes).detach() * g_loss
        for_decoder.zero_grad()
        error.backward(inputs=list(decoder.parameters()))
        for_decoder.step()
    return decoder


# %% predict="my_variance"
my_variance = 4.0  # your prediction: variance of the images without a critic

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: what a critic adds; it takes about 15 seconds
model = train_vqvae(right, 800, 4)
inputs = model.codebook.detach()[words_of(model, train_x)].flatten(1)
print("  g   error   variance   sum   recognised        told from real")
rows, told = [train_x[:12]], {}
for g in (0.0, 0.3):
    decoder = tuned_decoder(g)
    with torch.no_grad():
        made = decoder(inputs)
    error = (made - train_x).square().sum(1).mean().item()
    spread = (made - made.mean(0)).square().sum(1).mean().item()
    told[g] = error, spread, metrics.recognised(made), metrics.two_sample_accuracy(train_x, made)
    print(f"{g:4g}{error:8.3f}{spread:11.3f}{error + spread:6.2f}   {told[g][2]}    {told[g][3]}")
    rows.append(made[:12])
total = (train_x - train_x.mean(0)).square().sum(1).mean().item()
print(f"the data's variance {total:.3f}; you predicted {my_variance:g} for g = 0")
title = f"A critic lifts the variance from {told[0.0][1] / total:.0%} to {told[0.3][1] / total:.0%}"
fig, _ = plots.image_grid(
    torch.cat(rows).cpu(), 12, labels=["real", "g = 0", "g = 0.3"], title=title
)
plots.show(fig, alt=f"Digits, rebuilt without and with a critic. {title}.")
findings["variance without and with a critic, of the data's"] = title.split("from ")[1]

# %% [markdown]
# Without a critic error and variance add up to the data's, nearly, as (36) says of a decoder that gives exact means. With one the variance rises far more than the error, and more digits are recognised. But read the last column as well: a classifier tells the sharpened images from real ones *more* easily. This small critic leaves traces that it does not see itself. "Looks better" and "is distributed like the data" are two things, here as in lesson 06.
#
# ## 8 · Latent diffusion
#
# Back to section 1: an autoencoder whose latents are fine and whose prior is wrong. ("VAE: no mode collapse, effective compression", says a slide. Codes die, as section 5 shows, and of section 1's samples three in five were no digits.) Let lesson 06's diffusion learn the latents' law instead. The bound has three parts,
#
# $$-\log p(x) \le \mathbb E_q [-\log p(x \mid z)] - H(q(z \mid x)) + \mathbb E_q [-\log p(z)] \tag{40}$$
#
# *the negative ELBO, its KL written out.* The first two belong to the autoencoder and are finished before the second stage begins. The last is the diffusion's: its loss is a bound on $-\log p(z)$. Equality holds if and only if $q$ is the posterior. (In the well-known models the KL's weight is 0.000001; ours is 0.01. They are not "VAEs whose latent space diffusion uses": a true VAE's latents would already be $\mathcal N(0, I)$.)

# %%
# Equation (40), where everything is Gaussian
# x = 1.3 z + noise of variance 0.4, z ~ N(0, 0.8)
gain, noise_var, z_var, x_one = 1.3, 0.4, 0.8, 0.9
minus_log_p = -Normal(double(0.0), math.sqrt(gain**2 * z_var + noise_var)).log_prob(double(x_one))


def three_parts(mean, variance):
    """The right side of (40) for q = N(mean, variance)."""
    rebuild = math.log(2 * math.pi * noise_var) / 2 + (
        (x_one - gain * mean) ** 2 + gain**2 * variance
    ) / (2 * noise_var)
    entropy = math.log(2 * math.pi * math.e * variance) / 2
    cross = math.log(2 * math.pi * z_var) / 2 + (mean**2 + variance) / (2 * z_var)
    return rebuild - entropy + cross


total_var = gain**2 * z_var + noise_var
verify_equation(40, minus_log_p, three_parts(0.2, 0.5), relation="<=")
verify_equation(
    40, minus_log_p, three_parts(gain * z_var * x_one / total_var, noise_var * z_var / total_var)
)

# %% [markdown]
# ### Exercise: `latent_scale` · ●○○ · 3 minutes · 1 point
#
# Diffusion was tuned for data of size one. Latents come in any size, so they are multiplied by one number $s$. (The paper's appendix says "component-wise"; its formula averages over everything, and so do its programs.)


# %% exercise="latent_scale"
def latent_scale(z):
    """One over the standard deviation of all entries together.

    Args:
        z: (N, ...), latents of many examples.

    Returns:
        A float: 1 / standard deviation, over ALL entries, about their one common mean, with 1/N.

    Source: Rombach and others (2022), appendix G.
    """
    ### BEGIN SOLUTION
    return 1 / z.std(correction=0).item()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>All entries in one heap, whatever axes there are.</details>
# <details><summary>Hint 2: the idea</summary>torch's <code>std</code> divides by N - 1 unless it is told not to.</details>
# <details><summary>Hint 3: nearly the line</summary><code>z.std(correction=0)</code>, one over it, <code>.item()</code>.</details>

# %% checks="latent_scale"
# Checks of latent_scale
heap = double([[0.0, 4.0], [0.0, 4.0]])
expect(
    latent_scale(heap),
    0.5,
    "latent_scale: zeros and fours deviate by 2",
    hint="one over the standard deviation, about the common mean, with 1/N, over all entries",
)
latents = 3 + normal(4, 5, 2, seed=37) * double([[0.2, 5.0]])
scaled = latent_scale(latents) * (latents - latents.mean())
expect(
    [(scaled**2).mean(), type(latent_scale(latents)) is float],
    [double(1.0), True],
    "latent_scale: afterwards the mean square about the mean is one",
    hint="all entries together, not one number for each latent; a float",
)

# %% [markdown]
# ### Exercise: `latent_diffusion_loss` · ●●○ · 8 minutes · 2 points
#
# The second stage's loss. Think of who is finished and who learns.


# %% exercise="latent_diffusion_loss"
def latent_diffusion_loss(encode, model, x, t, noise, eps, alpha_bar, scale):
    """Lesson 06's loss on scaled latents.

    The clean latent is z_0 = scale times a draw from the encoder's N(mu, exp(logvar)), made with
    `noise`. It is noised to time t with `eps`, the model predicts eps, and the loss is the mean of
    the squared error over all entries.

    Args:
        encode: encode(x) -> (mu, logvar), each (B, *latent).
        model: model(z_t, t) -> (B, *latent), called once.
        x: (B, ...). t: LongTensor (B,), 1 to T. noise, eps: (B, *latent), standard normal.
        alpha_bar: (T + 1,). scale: a float.

    Returns:
        A scalar. Its gradient reaches the model, and never the autoencoder.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        mu, logvar = encode(x)
        z0 = scale * (mu + (logvar / 2).exp() * noise)
    level = column(alpha_bar[t], z0)
    guess = model(level.sqrt() * z0 + (1 - level).sqrt() * eps, t)
    return (eps - guess).square().mean()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Lesson 02's draw from the encoder, times the scale; then lesson 06, with the latent in the data's place.</details>
# <details><summary>Hint 2: the idea</summary>Two noises, two purposes: one makes the latent, the other is what the model has to find. <code>q_sample</code> above does the noising. Call the encoder under <code>torch.no_grad()</code>.</details>
# <details><summary>Hint 3: nearly the line</summary><code>mu + (logvar / 2).exp() * noise</code>, all of it times the scale; <code>q_sample(z0, t, alpha_bar, eps)</code>; the mean square of eps minus the model's answer, outside the no_grad.</details>

# %% checks="latent_diffusion_loss"
# Checks of latent_diffusion_loss
T = 200
ALPHA_BAR = linear_alpha_bar(T, 5e-4, 0.1)
x, t = normal(6, 4, seed=38), torch.tensor([1, 200, 50, 7, 120, 33])
noise, eps = normal(6, 3, seed=39), normal(6, 3, seed=40)
seen = []


def toy_encode(x):
    """mu the first three entries, logvar their halves."""
    return x[:, :3], x[:, 1:] / 2


def all_knowing(zt, t):
    """Knows x and both noises, and takes notes; answers with the eps that is in zt."""
    seen.append((zt, t))
    z0 = 0.5 * (x[:, :3] + torch.exp(x[:, 1:] / 4) * noise)
    level = ALPHA_BAR[t][:, None]
    return (zt - level.sqrt() * z0) / (1 - level).sqrt()


loss = latent_diffusion_loss(toy_encode, all_knowing, x, t, noise, eps, ALPHA_BAR, 0.5)
expect(
    [loss, len(seen), seen[0][1]],
    [double(0.0), 1, t],
    "latent_diffusion_loss: a model that knows everything pays nothing",
    atol=1e-9,
    hint="z_0 = scale times (mu + sigma noise), with sigma = exp(logvar / 2); each example its own t; noised with eps",
)
expect(
    latent_diffusion_loss(toy_encode, lambda z, t: 0 * z + 1, x, t, noise, eps, ALPHA_BAR, 0.5),
    ((eps - 1) ** 2).sum() / 18,
    "latent_diffusion_loss: a model that always says 1",
    hint="the mean over all entries of the squared error, against eps",
)
factor = [double(1.0).requires_grad_(), double(1.0).requires_grad_()]
loss = latent_diffusion_loss(
    lambda x: tuple(factor[0] * part for part in toy_encode(x)),
    lambda z, t: factor[1] * z,
    *(x, t, noise, eps, ALPHA_BAR, 0.5),
)
slopes = slope_of(loss, *factor) if loss.requires_grad else [double(0.0), double(0.0)]
expect(
    slopes[1].item() != 0,
    True,
    "latent_diffusion_loss: a gradient reaches the model",
    hint="the model's answer stays connected: it is outside of the no_grad",
)
expect(
    slopes[0].item() == 0,
    True,
    "latent_diffusion_loss: none reaches the encoder",
    hint="the encoder is finished: call it under no_grad, or detach what it gives",
)

# %% [markdown]
# ### Exercise: `latent_sample` · ●●○ · 8 minutes · 2 points
#
# And the way back: lesson 06's DDIM without fresh noise, among latents, and one single decoding at the end.


# %% exercise="latent_sample"
def latent_sample(decode, model, z_T, times, alpha_bar, scale):
    """Images from noise: DDIM with eta = 0 among scaled latents, then the decoder.

    Args:
        decode: latents to images, called once, on the walk's last latents in the autoencoder's own
            size, that is, with the scale undone.
        model: model(z_t, t) -> noise, with t a LongTensor (B,) on the device of z_T; called once a step.
        z_T: (B, *latent), standard normal already: it is taken as it is.
        times: LongTensor (S + 1,), decreasing, from the first time to 0; steps may be longer than 1.
        alpha_bar: (T + 1,). scale: a float.

    Returns:
        What decode answers, without a graph behind it.

    Source of a step: Song, Meng and Ermon (2021), equation 12 with sigma = 0.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        z = z_T
        for t, s in times.unfold(0, 2, 1).tolist():
            now, then = alpha_bar[t], alpha_bar[s]
            eps_hat = model(z, torch.full((len(z),), t, device=z.device))
            z0_hat = (z - (1 - now).sqrt() * eps_hat) / now.sqrt()
            z = then.sqrt() * z0_hat + (1 - then).sqrt() * eps_hat
        return decode(z / scale)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Each step goes from one entry of times to the next. What does the model's answer say about the clean latent?</details>
# <details><summary>Hint 2: the idea</summary>Estimate z_0 from z_t and the predicted noise, then noise that estimate to the next time, with the same predicted noise. At s = 0 no noise is left. The loss multiplied by the scale; what does the decoder need?</details>
# <details><summary>Hint 3: nearly the line</summary>Loop over pairs (<code>zip(times[:-1], times[1:])</code>); <code>torch.full((len(z),), int(t), device=z.device)</code> for the model; the clean estimate is z minus sqrt(1 - alpha_bar_t) times the noise, over sqrt(alpha_bar_t). After the loop decode z divided by the scale.</details>

# %% checks="latent_sample"
# Checks of latent_sample
spread = double([4.0, 0.25])
scaled_law = exact.GaussianData(torch.zeros(2), (0.5**2 * spread).diag())  # of s z, with s = 0.5
exact_model, questions, decoded = scaled_law.eps_model(ALPHA_BAR), [], []


def noted_model(z, t):
    questions.append(t)
    return exact_model(z, t)


def noted_decode(z):
    decoded.append(z)
    return torch.cat([z, 10 * z], 1)


z_T, walk = normal(5, 2, seed=41), torch.tensor([200, 150, 80, 30, 9, 0])
images = latent_sample(noted_decode, noted_model, z_T, walk, ALPHA_BAR, 0.5)
expect(
    [len(questions), questions[2], len(decoded)],
    [5, torch.full((5,), 80), 1],
    "latent_sample: five questions, at 200, 150, 80, 30 and 9, and one decoding",
    hint="one call a step, with t (B,) the time that z has; decode once, after the loop",
)
many = latent_sample(lambda z: z, exact_model, z_T, torch.arange(200, -1, -1), ALPHA_BAR, 0.5)
expect(
    many,
    z_T * spread.sqrt(),
    "latent_sample: two hundred steps of the exact model give latents of nearly the right size",
    rtol=0.04,
    hint="then.sqrt() z_0 + (1 - then).sqrt() eps; and the scale is undone before decode",
)
short = latent_sample(lambda z: z, exact_model, z_T, torch.tensor([200, 0]), ALPHA_BAR, 0.5)
clean = scaled_law.best_x0(z_T, ALPHA_BAR[200])
expect(
    short,
    2 * clean,
    "latent_sample: one step lands on the mean of what z_T may have been",
    rtol=1e-6,
    hint="a step may be long: its end has the alpha_bar of the next entry of times, at 0 that is 1",
)
weight = double(1.0).requires_grad_()
expect(
    latent_sample(lambda z: weight * z, exact_model, z_T, walk, ALPHA_BAR, 0.5).requires_grad,
    False,
    "latent_sample: no graph stands behind the images",
    hint="all of it under torch.no_grad()",
)

# %% [markdown]
# ### Two errors that add up
#
# Take data that are Gaussian, an autoencoder that keeps the $J$ leading principal axes, and the exact noise predictor. Then everything has a closed form. A walk scales each latent axis by a product of gains,
#
# $$\hat z_0 = z_T \prod_{\text{steps } t \to s} \left( \sqrt{\bar\alpha_s}\, \frac{\sqrt{\bar\alpha_t}\, v}{\bar\alpha_t v + 1 - \bar\alpha_t} + \sqrt{1 - \bar\alpha_s}\, \frac{\sqrt{1 - \bar\alpha_t}}{\bar\alpha_t v + 1 - \bar\alpha_t} \right) \tag{41}$$
#
# *for latents of variance $v$ the two fractions are the best guesses of $z_0$ and of $\epsilon$, per unit of $z_t$*, so the law that comes out is Gaussian, with variances $v_1, \dots, v_J$. Its distance from the data, squared 2-Wasserstein, is
#
# $$W_2^2 = \underbrace{\sum_{j \le J} \big( \sqrt{\lambda_j} - \sqrt{v_j} \big)^2}_{\text{missed by the diffusion}} + \underbrace{\sum_{j > J} \lambda_j}_{\text{dropped by the autoencoder}} \tag{42}$$
#
# *the distance of Gaussians with the same axes is that of their deviations, axis by axis; on a dropped axis the decoded deviation is 0.* The two shares **add**. More steps, a better network, more training: all of that works on the first. Nothing in the second stage touches the second.


# %%
# Equations (41) and (42), with your latent_sample driven along the exact model
PIXELS = exact.GaussianData.fit(data.digits("train", range=(-1, 1)))
eigenvalues = PIXELS.eigenvalues


def latent_variances(J, times, stretch=1.0):
    """Variances (J,) of the latents after the walk, with the scale `stretch` / overall deviation."""
    kept = eigenvalues[:J]
    s = stretch / kept.mean().sqrt().item()
    law = exact.GaussianData(torch.zeros(J), (s**2 * kept).diag())
    gains = latent_sample(
        lambda z: z, law.eps_model(ALPHA_BAR), torch.eye(J).double(), times, ALPHA_BAR, s
    )
    return gains.diagonal() ** 2  # the walk is linear, and axes do not mix


def shares_of_error(J, times, stretch=1.0):
    """(missed by the diffusion, dropped by the autoencoder)"""
    found = latent_variances(J, times, stretch)
    missed = (eigenvalues[:J].sqrt() - found.sqrt()).square().sum().item()
    return missed, eigenvalues[J:].sum().item()


v, walk = 0.37, [200, 130, 60, 20, 0]
gain_of_walk = double(1.0)
for t, s in pairwise(walk):
    a, b = ALPHA_BAR[t], ALPHA_BAR[s]
    gain_of_walk *= (b.sqrt() * a.sqrt() * v + ((1 - b) * (1 - a)).sqrt()) / (a * v + 1 - a)
one_axis = exact.GaussianData(torch.zeros(1), double([[v]])).eps_model(ALPHA_BAR)
walked = latent_sample(lambda z: z, one_axis, double([[1.0]]), torch.tensor(walk), ALPHA_BAR, 1.0)
verify_equation(41, walked[0, 0], gain_of_walk)
out = torch.cat([latent_variances(8, ddim_times(T, 10)), torch.zeros(56).double()])
decoded_law = exact.GaussianData(torch.zeros(64), out.diag())
whole_law = exact.GaussianData(torch.zeros(64), eigenvalues.diag())
verify_equation(
    42,
    sum(shares_of_error(8, ddim_times(T, 10))),
    exact.frechet_distance(whole_law, decoded_law),
    atol=1e-5,
)

# %% [markdown]
# Digits in $[-1, 1]$, or rather the Gaussian with their covariance. **Predict** the number of latents, of 2, 4, 8, 16, 32, 64, with the least total error at 10 steps.

# %% predict="my_latents"
my_latents = 16  # your prediction: the best J at 10 steps

# %% tags=["experiment"]
# Experiment: missed and dropped
sizes = (2, 4, 8, 16, 32, 64)
missed, dropped = zip(*[shares_of_error(J, ddim_times(T, 10)) for J in sizes], strict=True)
totals = {
    steps: [sum(shares_of_error(J, ddim_times(T, steps))) for J in sizes]
    for steps in (5, 10, 20, 50)
}
best = {steps: sizes[min(range(6), key=values.__getitem__)] for steps, values in totals.items()}
fig, ax = plots.figure(width=6.2, height=3.3)
places = range(len(sizes))
ax.bar(places, dropped, color=plots.COLOR["code"], label="dropped by the autoencoder")
ax.bar(places, missed, bottom=dropped, color=plots.COLOR["model"], label="missed by the diffusion")
ax.set_xticks(places, [f"{J}" for J in sizes])
ax.legend()
ax.set(xlabel="latents $J$", ylabel="$W_2^2$", title=f"10 steps: least at J = {best[10]}")
plots.show(
    fig, alt=f"Bars of both shares against J, at 10 steps; the total is least at J = {best[10]}."
)
print("  J   dropped   missed at 10 steps   totals at 5, 10, 20, 50 steps")
for i, J in enumerate(sizes):
    print(
        f"{J:3d}{dropped[i]:10.3f}{missed[i]:12.3f}"
        + " " * 10
        + "".join(f"{totals[n][i]:8.3f}" for n in totals)
    )
at_steps = ", ".join(f"{J} at {n}" for n, J in best.items())
print(f"best J, by steps: {at_steps}; you predicted {my_latents} at 10")
findings["best number of latents at 10 steps, Gaussian data"] = f"{best[10]}"

# %% [markdown]
# No squeezing is best: **on Gaussian data a latent space buys cost, not quality.** What real latents gain beyond that comes from what a Gaussian does not have.
#
# ### Further: the scale
#
# Is unit size the best one? In scaled latents the signal-to-noise ratio at every time is another one:
#
# $$\log \mathrm{SNR}_t = \log \frac{s^2\, \bar\alpha_t}{1 - \bar\alpha_t} = \log \frac{\bar\alpha_t}{1 - \bar\alpha_t} + 2 \log s \tag{43}$$
#
# *the signal $s z$ has $s^2$ times the variance.* So $s$ shifts the whole schedule, early or late, and unit size is a convention. **Predict** the best factor on it, at 10 steps.

# %%
# Equation (43), at three times, for latents of variance 1 scaled by 3
levels_seen = ALPHA_BAR[[10, 60, 150]]
signal, noise_left = 3.0**2 * levels_seen, 1 - levels_seen
verify_equation(
    43, (signal / noise_left).log(), (levels_seen / noise_left).log() + 2 * math.log(3.0)
)

# %% predict="my_stretch"
my_stretch = 1.0  # your prediction: the best scale, in units of latent_scale

# %% tags=["experiment"]
# Experiment: the scale, at 5 to 200 steps
stretches = [0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0]
fig, ax = plots.figure(width=6.2, height=3.3)
at = {}
for steps, role in ((5, "noise"), (10, "model"), (20, "posterior"), (200, "data")):
    at[steps] = [shares_of_error(8, ddim_times(T, steps), stretch)[0] for stretch in stretches]
    plots.curve(stretches, at[steps], role, marker="o", label=f"{steps} steps", ax=ax)
least = stretches[min(range(len(stretches)), key=at[10].__getitem__)]
ratio = at[10][0] / at[10][stretches.index(1.0)]
plots.guess(ax, x=my_stretch)
ax.set(
    xscale="log",
    yscale="log",
    xlabel="scale, in units of latent_scale",
    ylabel="missed by the diffusion",
    ylim=(None, 200),  # room for the legend
)
named_ticks(ax, [0.2, 0.5, 1, 2, 5, 10, 20])
ax.legend(loc="upper right", ncols=2, fontsize=9)
ax.set_title(
    f"10 steps: least at {least:g} times unit size, {ratio:.0f} times unit's error at a fifth"
)
ax.title.set_fontsize(10)
plots.show(
    fig,
    alt=f"Error against scale for 5 to 200 steps. At 10 steps least at {least:g}; {ratio:.1f} times as large at a fifth as at 1.",
)
print(f"best at 10 steps: {least:g} times unit size; you predicted {my_stretch:g}")
findings["best scale at 10 steps, in units of latent_scale"] = f"{least:g}"

# %% [markdown]
# Unit size is not the optimum, but the valley is wide. What ruins a model is latents that are too *small*: then all but the last few steps see nothing but noise.
#
# ### Further: what a smaller side saves
#
# $$\text{convolution: } 2\, C_{\text{in}} C_{\text{out}}\, k^2\, h w, \qquad \text{attention: } 4\, n^2 d \quad (n = h w) \tag{44}$$
#
# *each output pixel of each channel is a sum of $C_{\text{in}} k^2$ products; queries meet keys, and weights meet values, $n^2$ times $d$ products each; a multiplication and an addition are two operations.* A side $f$ times shorter divides the first by $f^2$ and the second by $f^4$. The famous 512x512 pixels at 64x64 latents, $f = 8$ and 4 channels for 3: 48 times fewer numbers, 64 times less convolution, 4,096 times less attention. "Diffusion is hard to learn at high resolution", says a slide: what can be computed is that it is dear. (The same slide draws a "ViT-based autoencoder"; the one of the paper is convolutional.)


# %%
# Equation (44): torch's own counter on one layer, and the sizes that it gives
def flops_of(call):
    """Floating-point operations of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


convolution = nn.Conv2d(5, 7, 3, padding=1)
verify_equation(
    44, flops_of(lambda: convolution(torch.zeros(1, 5, 6, 8))), 2 * 5 * 7 * 3**2 * 6 * 8
)
queries, keys, values = torch.zeros(10, 4), torch.zeros(4, 10), torch.zeros(10, 4)
verify_equation(44, flops_of(lambda: (queries @ keys) @ values), 4 * 10**2 * 4)


# %%
# Given: what lesson 06's U-Net costs a call, layer by layer
def unet_flops(C=24, embed=64):
    """Operations of one call of lesson 06's U-Net on one 8x8 digit, by (44)."""

    def convolution(first, second, side, kernel=3):
        return 2 * first * second * kernel**2 * side**2

    def block(first, second, side):
        skip = convolution(first, second, side, 1) if first != second else 0
        told = 4 * embed * (first + second)  # the time, through one linear layer for each norm
        return convolution(first, second, side) + convolution(second, second, side) + skip + told

    total = 2 * 2 * embed**2 + convolution(1, C, 8) + convolution(C, 1, 8)
    total += block(C, C, 8) + block(2 * C, C, 8) + 2 * block(2 * C, 2 * C, 4)
    total += convolution(C, 2 * C, 4) + convolution(2 * C, C, 8)
    return total + 4 * 16**2 * 2 * C + 4 * convolution(2 * C, 2 * C, 4, 1)


# %% [markdown]
# ### Digits by latent diffusion
#
# Now the real thing: section 1's autoencoder, your scale, your loss, and for a model not a U-Net but a small multilayer perceptron on eight numbers. Beside it, as a control, the same kind of network trained on the 64 pixels themselves. For comparison also a Gaussian fitted to the latents. **Predict** the share recognised, by latent diffusion and by the control. ($\mathcal N(0, I)$ had two in five.)


# %%
# Given: diffusion among latents, the pixel control, and lesson 06's way back
@cache
def the_scale():
    with torch.no_grad():
        return latent_scale(train_autoencoder().encode(train_x)[0])


@cache
def train_latent_diffusion(steps=3000):
    """A noise predictor for eight latents; about 15 seconds."""
    autoencoder, s = train_autoencoder(), the_scale()
    seed_everything(3)
    net = networks.ResidualMLP(8, T, hidden_dim=128).to(device)
    table = ALPHA_BAR.float().to(device)

    def loss(net, x):
        t = torch.randint(1, T + 1, (len(x),), device=x.device)
        noise, eps = (
            torch.randn(len(x), 8, device=x.device),
            torch.randn(len(x), 8, device=x.device),
        )
        return latent_diffusion_loss(autoencoder.encode, net, x, t, noise, eps, table, s)

    fit(
        net,
        loss,
        train_x,
        steps=budget(steps),
        batch_size=256,
        lr=2e-3,
        ema=0.99,
        label="latent diffusion",
    )
    return net


@cache
def train_on_pixels(steps=2000):
    """The same kind of network on pixels in [-1, 1]; about 10 seconds."""
    seed_everything(3)
    net = networks.ResidualMLP(64, T, hidden_dim=128).to(device)
    table = ALPHA_BAR.float().to(device)

    def loss(net, x):
        t, eps = torch.randint(1, T + 1, (len(x),), device=x.device), torch.randn_like(x)
        return (eps - net(q_sample(x, t, table, eps), t)).square().mean()

    fit(
        net,
        loss,
        2 * train_x - 1,
        steps=budget(steps),
        batch_size=256,
        lr=2e-3,
        ema=0.99,
        label="pixel diffusion",
    )
    return net


@torch.no_grad()
def ancestral(net, x, generator, keep=()):
    """Lesson 06's walk with fresh noise, from T to 0; the clean estimates at the times in `keep` too."""
    table, kept = ALPHA_BAR.float().to(device), []
    for t in range(T, 0, -1):
        now, before = table[t], table[t - 1]
        beta = 1 - now / before
        eps_hat = net(x, torch.full((len(x),), t, device=device))
        if t in keep:
            kept.append(x)
        mean = (x - beta / (1 - now).sqrt() * eps_hat) / (1 - beta).sqrt()
        z = torch.randn(x.shape, generator=generator).to(device)
        x = mean + (beta * (1 - before) / (1 - now)).sqrt() * z if t > 1 else mean
    return (x, kept) if keep else x


# %% predict="my_latent"
my_latent = 0.6  # your prediction: recognised, latent diffusion
my_pixels = 0.6  # your prediction: recognised, the same network on pixels

# %% tags=["experiment", "nbval-ignore-output"]
# Experiment: digits by latent diffusion; training takes about 25 seconds
autoencoder, net, s = train_autoencoder(), train_latent_diffusion(), the_scale()
on_pixels = train_on_pixels()
generator = torch.Generator().manual_seed(6)
count, table = 500, ALPHA_BAR.float().to(device)
z_T = torch.randn(count, 8, generator=generator).to(device)
with torch.no_grad():
    law = exact.GaussianData.fit(autoencoder.encode(train_x)[0])
    fitted = autoencoder.decode(law.sample(count, generator).float().to(device))
    walked = ancestral(net, z_T, generator)
    samples = {
        "fitted Gaussian": fitted,
        "latent diffusion, 200 steps": autoencoder.decode(walked / s),
        "latent DDIM, 10 steps": latent_sample(
            autoencoder.decode, net, z_T, ddim_times(T, 10), table, s
        ),
        "decoded without undoing the scale": autoencoder.decode(walked),
    }
    noise = torch.randn(count, 64, generator=generator).to(device)
    samples["pixels, same network, 200 steps"] = (ancestral(on_pixels, noise, generator) + 1) / 2
shares = {name: metrics.recognised(x) for name, x in samples.items()}
for name, value in shares.items():
    print(f"{name:36} recognised {value}")
    findings[f"recognised, {name}"] = share(value)
mine, control = "latent diffusion, 200 steps", "pixels, same network, 200 steps"
print(f"you predicted {my_latent:g} for latent diffusion, {my_pixels:g} for pixels")
rows = torch.cat([samples[name][:24] for name in (control, mine)]).cpu()
fig, _ = plots.image_grid(
    rows,
    12,
    labels=["pixels"] * 2 + ["latents"] * 2,
    title=f"Recognised: on pixels {shares[control].value:.0%}, on latents {shares[mine].value:.0%}",
)
plots.show(
    fig,
    alt=f"Samples by one kind of network: on pixels {shares[control].value:.0%} recognised, on latents {shares[mine].value:.0%}.",
)
cost = flops_of(lambda: net(z_T[:1], torch.ones(1, device=device).long()))
decoding = flops_of(lambda: autoencoder.decode(z_T[:1]))
whole = 200 * unet_flops() / (200 * cost + decoding)
print(
    f"operations a call: {cost:,} here, {unet_flops():,} for lesson 06's U-Net; a whole sample costs {whole:.1f} times less"
)
findings["lesson 06's U-Net, operations of a sample, in units of ours"] = f"{whole:.1f}"

# %% [markdown]
# Compare with your share from lesson 06, which took a U-Net on pixels and some forty times the operations. The same little network on pixels fails. Where does the work go? Into the autoencoder, which learned in five seconds what a digit is made of; the diffusion only has to learn which of eight numbers go together.
#
# ### The prize
#
# 48 digits by latent diffusion, from noise, in one look. What you see is the *decoder* all the time: even pure noise in latent space decodes to strokes.

# %% tags=["experiment"]
# The prize: noise among latents becomes digits
times_shown = [200, 170, 140, 110, 90, 75, 60, 50, 40, 32, 25, 19, 14, 10, 6, 3]
generator = torch.Generator().manual_seed(7)
start = torch.randn(48, 8, generator=generator).to(device)
end, moments = ancestral(train_latent_diffusion(), start, generator, keep=times_shown)
with torch.no_grad():
    frames = [train_autoencoder().decode(z / the_scale()).cpu() for z in [*moments, end]]
film.show(
    torch.stack(frames).reshape(len(frames), 48, 8, 8).clamp(0, 1).numpy(),
    8,
    "48 digits arise while diffusion walks from noise to data among eight latents.",
)

# %% [markdown]
# ## 9 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="why_two_stages" points=3
# ### Question: `why_two_stages` · ●●○ · 8 minutes · 3 points
#
# Answer in at most fourteen sentences, with the quantities and your own numbers.
#
# 1. While a VQ-VAE with a uniform prior is trained, its KL is $P \log K$. So what does the learned prior do, when is it trained, and what can it never repair?
# 2. A GAN's generator has samples but no likelihood. What does the discriminator know about $p$ and $q$, and why can dropping a mode pay?
# 3. Which errors of a latent diffusion model can more diffusion steps remove, and which not?
#
# ### BEGIN MARK SCHEME
# 1 point: the constant KL trains nothing, so the prior is learned afterwards, on fixed codes, by maximum likelihood; it lowers the rate, at best to the entropy of the usage, and makes sampled codes plausible ($\log p(c)$, or bits). It cannot repair the decoder, nor what the codes dropped. Half without the quantity $\log p(c)$.
#
# 1 point: at its best $D^* = p / (p + q)$, the ratio of the densities. The generator then descends $2\,\mathrm{JSD} - \log 4$, or with the non-saturating loss $\mathrm{KL}(q \Vert p) - 2\,\mathrm{JSD}$; both are finite when a mode is dropped (JSD at most $\log 2$, reverse KL $-\log w$) and may be lower than for a $q$ that covers everything badly. Half without one of the quantities.
#
# 1 point: steps (and a better network) remove the discretisation, $\sum_{j \le J} (\sqrt{\lambda_j} - \sqrt{v_j})^2$; they cannot touch the reconstruction error, the dropped $\sum_{j > J} \lambda_j$, nor a wrong decoder. Half without the quantity.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. $P \log K = 32$ bits whatever the weights are, so the first stage never hears of a prior. The prior is fitted afterwards, when the codes stand still, by maximum likelihood: it lowers $-\log p(c)$ from 32 to about 27 bits with one table a position and to about 25 with a transformer, and the last step alone lifted the recognised samples from two in five to nearly two in three. It can never repair what the encoder threw away or what the decoder draws badly: samples are told from real digits as easily as reconstructions are.
# 2. The best discriminator is $p / (p + q)$, so it knows the ratio of the densities everywhere, though nobody can compute $q$. What the generator descends is $2\,\mathrm{JSD} - \log 4$, or $\mathrm{KL}(q \Vert p) - 2\,\mathrm{JSD}$ with the usual loss. Neither is infinite where $q = 0$: dropping a mode of weight 0.3 costs 0.117 nats of JSD, less than one Gaussian over both modes of the mixture, 0.173. So dropping pays.
# 3. The error is $\sum_{j \le J} (\sqrt{\lambda_j} - \sqrt{v_j})^2$, missed by the diffusion, plus $\sum_{j > J} \lambda_j$, dropped by the autoencoder. More steps shrink the first towards zero (a network's own error stays). The second is decided before the diffusion begins, and no number of steps touches it.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:60} {value}")

# %% [markdown]
# * A codebook is k-means (1 to 4), an E step that has made up its mind (5, 6), and on photographs it beats what Shannon allows for their Gaussian.
# * A VQ-VAE is a latent-variable model whose encoder has no doubt; its KL is $P \log K$ and trains nothing (9 to 11). The prior comes afterwards (12 to 14), and few bits of it decide between noise and digits.
# * Straight-through replaces needles by their average (16 to 19). Which term carries $\beta$ shows in gradients only.
# * Dead codes stay dead by gradient, fall to the origin by averages (26), and come back by restarts.
# * The best critic is the ratio of the densities (28), its value a Jensen-Shannon divergence (29). The loss GANs use descends another divergence (34), which is the first to drop a mode.
# * Blur is missing variance, exactly the error (36); a critic buys it back.
# * In latent diffusion two errors add up (42): only one of them is the diffusion's. The scale shifts the schedule (43); the gain is cost (44).
#
# ## Test yourself
#
# <details><summary>1. Your VQ-VAE uses 5 of 512 codes. A friend suggests a larger commitment weight, another one Laplace smoothing. What would you do?</summary>
#
# Restart unused codes at encoder outputs. Commitment moves encoders towards codes that are in use; dead ones feel nothing, since their count in (2) is zero. Smoothing moves dead codes to the origin after $\ln(n_0/\epsilon_0)/\ln(1/g)$ steps, which helps only if the data live there.
# </details>
#
# <details><summary>2. A critic has been trained to the end and gives D = 1/2 everywhere. What do you know, and what do you not know?</summary>
#
# If it is the best critic, $p = q$ by (28), and $V = -\log 4$. But a critic that is too weak, or not trained enough, gives 1/2 as well; (30) says by how much it may be fooled.
# </details>
#
# <details><summary>3. You double the latents of a latent diffusion model and keep the number of steps. Which of its two errors falls, and which may rise?</summary>
#
# What the autoencoder drops falls. What the diffusion misses may rise, since there are more axes to get right in the same number of steps; in the exact table above it did, from 0.16 at two latents to 0.53 at 32.
# </details>
#
# ## What comes next
#
# What you have is a kit: codes or numbers for the small space; a table, a transformer, a score for what is likely in it; a critic where no likelihood helps; guidance from lesson 08 to steer it. The models in the papers below are made of these parts, with larger networks. In lesson 10 what is drawn is no picture but a plan: what a robot does next.
#
# ## References
#
# * A. van den Oord, O. Vinyals, K. Kavukcuoglu, *Neural discrete representation learning*, NeurIPS 2017: VQ-VAE, (17), `vq_loss`, averages. S. Lloyd, *Least squares quantization in PCM*, 1982. Y. Bengio, N. Léonard, A. Courville, *Estimating or propagating gradients through stochastic neurons*, 2013: straight-through.
# * C. Shannon, *Coding theorems for a discrete source with a fidelity criterion*, 1959; T. Cover, J. Thomas, *Elements of information theory*, 2006, section 10.3.
# * A. Razavi, A. van den Oord, O. Vinyals, *Generating diverse high-fidelity images with VQ-VAE-2*, NeurIPS 2019: averages and priors. P. Dhariwal and others, *Jukebox*, 2020: restarts of dead codes.
# * I. Goodfellow and others, *Generative adversarial nets*, NeurIPS 2014: (27) to (29), and the non-saturating loss. M. Arjovsky, L. Bottou, *Towards principled methods for training generative adversarial networks*, ICLR 2017: (34) is its Theorem 2.5.
# * P. Esser, R. Rombach, B. Ommer, *Taming transformers for high-resolution image synthesis*, CVPR 2021: VQGAN and (38). Y. Blau, T. Michaeli, *The perception-distortion tradeoff*, CVPR 2018: (37).
# * R. Rombach, A. Blattmann, D. Lorenz, P. Esser, B. Ommer, *High-resolution image synthesis with latent diffusion models*, CVPR 2022. J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*, ICLR 2021.
