# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 03 · One pixel after the other
#
# Cover a photograph and uncover it slowly, pixel by pixel, from the upper left corner. At every moment you have a fair idea of what comes next: more sky, the other half of that window. Put these small guesses one behind the other, and you have the probability of
# the whole picture. Exactly: no bound, no latent variable, no integral. Models of this kind are called **autoregressive**, because each value is predicted from earlier values of the same thing.
#
# In lesson 02 the likelihood of an image was out of reach, and you bounded it. Here you compute it to the last digit, and pay elsewhere.
#
# **At the end you can**
#
# 1. write any distribution as a product of conditionals, and say exactly what it costs when a pixel cannot see all pixels before it;
# 2. score an image in one pass of a network, and draw one in as many passes as it has pixels;
# 3. build the three classical networks (a recurrence, masked convolutions, a transformer) and prove for each which pixels it looks at;
# 4. find a network that cheats, and say why its splendid loss is worth nothing;
# 5. measure in bits what a model knows about handwritten digits, and tell that apart from how its drawings look.
#
# **You need** lesson 01's entropy and KL divergence on tables (repeated where used), and PyTorch: convolutions, modules, what a gradient is. Lesson 02 is compared with, but not required.
#
# **How to work.** Where a heading says *Exercise*, the cell below it is yours: replace the line that raises `NotImplementedError`, run the cell, then run the check. Three hints are folded below each exercise. Before an experiment you commit to a guess in a small cell of its own; a wrong guess costs nothing and
# teaches most. Some cells ask for a *step* of a derivation and are worth no points: try them on paper first. There are 24 points in all.

# %% [markdown]
# ### Contents
#
# | | section | minutes |
# |--:|---|--:|
# | 1 | Pixels that know of each other | 46 |
# | 2 | One pass scores everything | 13 |
# | 3 | Drawing | 26 |
# | 4 | A recurrence over the image | 17 |
# | 5 | Masks: all pixels at once | 35 |
# | 6 | The blind spot, and two stacks that cure it | 19 |
# | 7 | Digits in bits | 10 |
# | 8 | A causal transformer | 26 |
# | 9 | A mesh is a sequence too | 15 |
# | 10 | In your own words | 10 |
#
# With this page and the end 225 minutes, best in two sittings (1 to 5: 137 minutes, 6 to 10: 80). On the shorter path, about 195 minutes, you skip what is headed *Further*; nothing later needs it. The notebook itself computes for about two minutes on two processor cores, most of it in sections 6 to 8.
#
# ### Notation
#
# | symbol | in code | meaning |
# |---|---|---|
# | $x = (x_1, \dots, x_N)$ | `x` | an image as a sequence of $N$ pixels in *raster order*: row by row, left to right. In code pixel `n = r * W + c` counts from 0, and images are LongTensors `(B, H, W)` |
# | $K$ | `levels` | how many levels a pixel may have, 0 to $K - 1$; the digits have 17 |
# | $x_{<i}$ | | all pixels before $x_i$ |
# | $p$, $q$ | `joint`, `model` | the true distribution, and a model of it |
# | $p(x_i \mid x_{<i})$, $q_i$ | `tables[i]` | the distribution of pixel $i$ when the earlier ones are known: for each past a *row* that sums to 1 |
# | $C_i$, $x_{C_i}$ | `contexts[i]` | the *context* of pixel $i$: which other pixels it may look at, and their values |
# | $H(p)$, $H(x_i \mid x_C)$ | | entropy, and conditional entropy, in nats (1 nat = 1.44 bits) |
# | $I(a; b \mid c)$ | | mutual information: how many nats $b$ tells about $a$ when $c$ is known |
# | $\ell_n$ | `logits` | what a network says about pixel $n$; probabilities are $\operatorname{softmax}(\ell_n)$ |
# | $u$ | `u` | a uniform number in $[0, 1)$; all chance in this lesson comes in through such an argument |
# | $c_k$ | | cumulative probability $p_0 + \dots + p_k$ |
# | $T$ | `temperature` | sharpens ($T < 1$) or flattens ($T > 1$) the rows while drawing |
# | $J, b$ | `coupling`, `field` | of an Ising model: how much neighbours like to be equal, and a pixel to be 1 |
# | $s, f, h(f)$ | `shift`, `flip` | of a copy process: how far to the right it copies from, how often it errs, and the entropy of such an error |
# | $h_{r,c}$ | `h` | the hidden state of a network at row $r$, column $c$ |
# | $m$ | `reach` | how many columns a kernel reaches to each side |
# | $v, h$ | `v`, `h` | the vertical and the horizontal stack of section 6 |
# | $q_i, k_j, v_j$ | `q`, `k`, `v` | queries, keys and values of an attention layer (section 8) |
# | $V, F$ | `vertices`, `faces` | vertices and triangles of a mesh (section 9) |
#
# **What your functions meet.** The checks hand over float32 or float64, axes of length 1, axes in any order in memory, and
# tensors on any device: what you make belongs where the inputs are (`device=x.device`), in their dtype, and what you are
# given stays as it was. Extremes that a specification allows count too: nothing is clipped and no small constant added,
# unless it says so.

# %%
# Imports, and what this lesson keeps at hand
import itertools
import math
from functools import cache, partial

import sympy
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

from course_lib import (
    budget,
    data,
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
    verify_equation,
    widgets,
)

device = get_device()
plots.use_style()
f64 = torch.float64  # exact tables are in double precision, on the CPU
findings = {}  # your own numbers, for the end

train_x, test_x = data.digit_levels("train"), data.digit_levels("test")  # (1437, 8, 8), (360, 8, 8)
LEVELS, SIDE = 17, 8


def entropy(table):
    """-sum p log p in nats, entries 0 counting 0."""
    return torch.special.entr(table).sum()


def mean_and_error(values):
    """Mean of a sample and its standard error."""
    values = values.double()
    return values.mean().item(), values.std().item() / len(values) ** 0.5


# %% [markdown]
# The lesson on one page: what has been drawn goes into a network, the network answers with a row of probabilities for the next pixel, a random number picks a level, and the level joins the image. To *score* an image nobody needs to draw: all rows are computed together.

# %% tags=["experiment"]
# The lesson on one page
fig, ax = schematic.canvas(8.6, 3.3)
digit = data.companion_digit(device="cpu").reshape(64)
known = torch.where(torch.arange(64) < 36, digit, 0.0)
past = schematic.picture(ax, (1.0, 1.6), known.numpy(), 1.5)
network = schematic.node(
    ax,
    (3.5, 1.6),
    "network that sees\nthe past alone",
    "model",
    shape="box",
    size=(1.8, 1.0),
    fontsize=11,
)
row = schematic.node(
    ax, (6.2, 1.6), "$q(x_n \\mid x_{<n})$", "model", shape="box", size=(1.5, 0.8), fontsize=12
)
level = schematic.node(ax, (8.1, 1.6), "$x_n$", "data", size=0.7)
chance = schematic.node(ax, (7.2, 0.5), "$u_n$", "noise", size=0.6)
schematic.arrow(ax, past, network, "$x_{<n}$")
schematic.arrow(ax, network, row, "softmax")
schematic.arrow(ax, row, level)
schematic.arrow(ax, chance, level)
schematic.arrow(ax, level, past, "joins the image, and once more", bend=-1.2, dashed=True)
schematic.label(
    ax, (3.5, 0.6), "4: a recurrence\n5 and 6: masks, two stacks\n8: attention", fontsize=10
)
plots.show(
    fig,
    alt="Schematic: the pixels drawn so far enter a network that sees the past alone; it gives a row of "
    "probabilities; a uniform number picks the next level, which joins the image, and so on.",
)

# %% [markdown]
# ## 1 · Pixels that know of each other
#
# Begin with a model that is as simple as can be. Each of the 64 places of a digit has its own histogram of grey levels, counted over the 1,437 training digits. To draw an image, draw every pixel from the histogram of its place, one independent of the other.
#
# Each pixel by itself is then exactly as it should be. **Predict:** of 1,000 such images, which share will a classifier recognise as a digit? (It is a support vector machine that recognises more than nine in ten of the real ones.)

# %% predict="my_share"
my_share = 0.5  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: every pixel from its own histogram
counts = F.one_hot(train_x.cpu(), LEVELS).sum(0)  # (8, 8, 17)
seed_everything(0)
alone = Categorical(counts / counts.sum(-1, keepdim=True)).sample((1000,))
shares = {
    "test digits": metrics.recognised(test_x[:, None] / 16),
    "pixels drawn alone": metrics.recognised(alone[:, None] / 16),
}
rows = torch.cat([test_x[:12].cpu(), alone[:12]]) / 16
fig, _ = plots.image_grid(
    rows,
    12,
    labels=["real", "alone"],
    title=f"Recognised: {shares['pixels drawn alone'].value:.0%}",
)
plots.show(
    fig, alt="A row of real digits above a row of images whose pixels were drawn one by one."
)
for name, share in shares.items():
    print(f"{name:20} recognised {share}")
print(f"you predicted        {my_share:g}")
findings["recognised, every pixel drawn alone"] = f"{shares['pixels drawn alone']}".replace(
    "+-", "±"
)

# %% [markdown]
# Every pixel is right and the picture is wrong. What makes a digit is not how dark each place is, but how the places go together: a stroke that begins here goes on there. A model of images is a model of *dependence*.
#
# ### The chain rule
#
# A joint distribution of $N$ pixels holds all dependence there is. Take it apart, one pixel at a time:
#
# $$p(x) = p(x_1)\, p(x_2 \mid x_1)\, p(x_3 \mid x_1, x_2) \cdots = \prod_{i=1}^N p(x_i \mid x_{<i}) \tag{1}$$
#
# *the definition of a conditional, $p(a, b) = p(a)\, p(b \mid a)$, used $N - 1$ times.* Nothing was assumed and nothing approximated: **every** distribution has this form. (Count the factors: $N$, and the first one has no condition. A slide with a product from $t = 0$ to $T$ has one too many.)
#
# The other direction is what makes it useful. Write down *any* rows $q_i(\cdot \mid x_{<i})$ you like, each summing to 1, and their product is a distribution over images:
#
# $$\sum_{x_1} \cdots \sum_{x_N} \prod_{i=1}^N q_i(x_i \mid x_{<i}) = 1 \tag{2}$$
#
# *sum over $x_N$ first: only the last factor contains it, and its row gives 1. What is left is the same sum with $N - 1$ factors.* So a network that answers with a softmax is normalised whatever its weights are. You will come back to (2) more than once: it is how one catches a network that cheats.

# %%
# Equation (2): a network that nobody trained; it sees the pixels before i
seed_everything(1)
untrained = networks.mlp([7, 16, 2]).double()
images = tables.all_states([2] * 6)  # all 64 images of 2x3 black and white pixels
log_q = torch.zeros(64, dtype=f64)
for i in range(6):
    past = torch.where(torch.arange(6) < i, images.double() - 0.5, 0.0)
    rows = untrained(torch.cat([past, torch.full((64, 1), i / 6)], 1)).log_softmax(-1)
    log_q += rows.gather(1, images[:, i : i + 1])[:, 0].detach()
verify_equation(2, log_q.exp().sum(), 1.0)

# %% [markdown]
# ### Exercise: `chain_rule_tables` · ●○○ · 4 minutes · 1 point
#
# With few pixels a joint distribution is a table, `joint[x_1, x_2, ..., x_n]`. Take it apart as in (1). Mind the pasts that never happen: there the conditional is anything you like, and the exercise says what it shall be.


# %% exercise="chain_rule_tables"
def chain_rule_tables(joint):
    """The conditionals of a joint table, p(x_{i+1} | x_1, ..., x_i).

    Args:
        joint: (K_1, ..., K_n), n >= 1, entries >= 0 that sum to 1; axis i is variable i + 1.

    Returns:
        A list of n tensors. Tensor i (counted from 0) has shape (K_1, ..., K_{i+1}): the last axis is the variable,
        the axes before it are its past, and every row along the last axis sums to 1. Where the past has probability
        0, the row is uniform, 1 / K_{i+1}.
    """
    ### BEGIN SOLUTION
    conditionals = []
    for i in range(joint.ndim):
        later = list(range(i + 1, joint.ndim))
        upto = (
            joint.sum(later) if later else joint
        )  # a sum over no axis at all would be one over all
        past = upto.sum(-1, keepdim=True)
        conditionals.append(torch.where(past > 0, upto / past, 1 / joint.shape[i]))
    return conditionals
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# For table $i$ the later variables do not matter. How do you get rid of a variable in a joint table?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Sum the later axes away: what is left is the joint of the variable and its past. Dividing by its own sum over the last axis makes rows of it. `torch.where` puts the uniform row where that sum is 0.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `upto = joint.sum(later_axes)`, then `upto / upto.sum(-1, keepdim=True)`. Beware of the last table: nothing is later, and `joint.sum([])` does not mean "sum over no axis". In torch it sums over every axis.
# </details>

# %% checks="chain_rule_tables"
# Checks of chain_rule_tables
generator = torch.Generator().manual_seed(0)
joint = torch.rand(2, 3, 4, generator=generator, dtype=f64)
joint[1], joint[0, 1, 2] = 0, 0  # x_1 = 1 never happens, and one image of the rest
joint /= joint.sum()
found = chain_rule_tables(joint)
expect(
    len(found), 3, "chain_rule_tables: one table for each variable", hint="a list with n entries"
)
expect(
    [tuple(table.shape) for table in found],
    [(2,), (2, 3), (2, 3, 4)],
    "chain_rule_tables: table i has the axes of its past and one for itself",
    hint="sum the later axes away; for the last table there are none, and a sum over [] is one over all",
)
expect(
    found[0],
    joint.sum((1, 2)),
    "chain_rule_tables: the first table has no past",
    hint="p(x_1) is the joint with everything later summed away",
)
expect(
    found[0][:, None, None] * found[1][:, :, None] * found[2],
    joint,
    "chain_rule_tables: their product is the joint, equation (1)",
    hint="divide by the probability of the past, not by that of the variable",
)
for table, name in zip(found, ("first", "second", "third"), strict=True):
    expect(
        table.sum(-1),
        torch.ones(table.shape[:-1], dtype=f64),
        f"chain_rule_tables: rows of the {name} table sum to 1",
        hint="the last axis is the variable; a row whose past never happens is uniform",
    )
expect(
    found[2][1, 2],
    torch.full((4,), 0.25, dtype=f64),
    "chain_rule_tables: a past that never happens has a uniform row",
    hint="0 / 0 is NaN; put 1 / K there",
)

# %%
# Equation (1) with your tables, on an Ising model of 2x3 pixels
ising23 = tables.ising(2, 3, 0.4, 0.1)
product = torch.ones((), dtype=f64)
for table in chain_rule_tables(ising23):
    product = product[..., None] * table
verify_equation(1, product, ising23)

# %% [markdown]
# ### Further: any order, and how many numbers that would be
#
# Why row by row? Nothing in (1) asked for it. For every order $\pi$ of the pixels
#
# $$p(x) = \prod_{i=1}^N p\big(x_{\pi(i)} \mid x_{\pi(1)}, \dots, x_{\pi(i-1)}\big) \tag{3}$$
#
# *(1) after renaming the pixels.* All orders give the same joint, but not the same *rows*, and a network may find those of one order easier to learn than those of another. Section 9 lives from that.
#
# And why networks at all? Count the free numbers in the tables of $N$ pixels with $K$ levels. Each row of $K$ entries has $K - 1$ free ones.
#
# ### Step: `free_entries` · ●○○ · 3 minutes
#
# How many rows has table $i$? Add up, and find the closed form.


# %% step="free_entries"
def free_entries(N, K):
    """How many numbers the conditional tables of N variables with K levels leave free, in closed form.

    Args:
        N, K: SymPy symbols (or integers).

    Returns:
        An expression without a sum.
    """
    ### BEGIN SOLUTION
    return K**N - 1
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Table $i$ has a row for each past, that is for each of the $K^{i-1}$ values of $x_{<i}$.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $\sum_{i=1}^N K^{i-1} (K - 1)$ is a telescope: $K^{i-1} (K - 1) = K^i - K^{i-1}$.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# Last term of the telescope minus the first. As a test: it must be one less than the number of images.
# </details>

# %% checks="free_entries"
# Checks of free_entries
for count, levels in ((6, 2), (3, 5), (4, 17)):
    expect(
        int(free_entries(count, levels)),
        sum(levels ** (i - 1) * (levels - 1) for i in range(1, count + 1)),
        f"free_entries: {count} variables with {levels} levels, counted row by row",
        hint="K^(i-1) rows in table i, with K - 1 free numbers each",
    )

# %% [markdown]
# <details><summary>Line (4), to compare with yours</summary>
#
# $$\sum_{i=1}^N K^{i-1} (K - 1) = \sum_{i=1}^N \big( K^i - K^{i-1} \big) = K^N - 1 \tag{4}$$
#
# *a telescope: every term but the last and the first cancels.* The same number as in the joint table, of course: its $K^N$ entries sum to 1.
# </details>
#
# For a digit, 64 pixels with 17 levels, that is $5.6 \cdot 10^{78}$, about as many as there are atoms in the visible universe. So the rows have to come from a function with far fewer numbers, which gives similar pasts similar rows: a network.

# %%
# Equations (3) and (4): another order, and free numbers counted
order = [3, 0, 5, 1, 4, 2]
turned = torch.ones((), dtype=f64)
for table in chain_rule_tables(ising23.permute(order)):
    turned = turned[..., None] * table
verify_equation(3, turned.permute([order.index(i) for i in range(6)]), ising23)

rows_counted = sum(2**i for i in range(6))  # one free number each
verify_equation(4, rows_counted, 2**6 - 1)
digit_entries = sum(17**i * 16 for i in range(64))
equal = digit_entries == 17**64 - 1  # whole numbers, to the last digit
print(
    f"for 8x8 digits: {digit_entries:.1e}, {'just' if equal else 'not'} what the closed form says"
)

# %% [markdown]
# ### What does it cost not to look?
#
# A model is judged by the nats (or bits) it takes to tell it an image. Lesson 01 took this number apart:
#
# $$\mathbb E_p[-\log q(x)] = H(p) + \operatorname{KL}(p \,\|\, q) \tag{5}$$
#
# *add and subtract $\log p(x)$.* The first term is nobody's fault; the second is the model's, and it can be said pixel by pixel:
#
# $$\operatorname{KL}(p \,\|\, q) = \sum_{i=1}^N \mathbb E_{x_{<i} \sim p} \operatorname{KL}\big( p(\cdot \mid x_{<i}) \,\big\|\, q_i(\cdot \mid x_{<i}) \big) \tag{6}$$
#
# *(1) for $p$ and for $q$ inside the logarithm makes it a sum over $i$; in each term average over $x_i$ first.* Look where the pasts come from: from $p$, the **data**. To measure a model, or to train it, you never ask it to continue its own drawings. You show it true beginnings, and see how well it predicts the next pixel.

# %%
# Equations (5) and (6): two Ising models
p, q = ising23, tables.ising(2, 3, 0.2, -0.3)
divergence = (p * (p / q).log()).sum()
verify_equation(5, -(p * q.log()).sum(), entropy(p) + divergence)


def row_by_row(weights, one, other):
    """sum_i E KL(one_i || other_i), the pasts drawn from the joint table `weights`."""
    nats = torch.zeros((), dtype=f64)
    for i, (a, b) in enumerate(zip(chain_rule_tables(one), chain_rule_tables(other), strict=True)):
        past = weights.sum(list(range(i, 6)))
        nats += (past * (a * (a / b).log()).sum(-1)).sum()
    return nats


verify_equation(6, divergence, row_by_row(p, p, q))

# %% [markdown]
# ### Further: the pasts a model meets when it draws
#
# The same identity with the roles exchanged:
#
# $$\operatorname{KL}(q \,\|\, p) = \sum_{i=1}^N \mathbb E_{x_{<i} \sim q} \operatorname{KL}\big( q_i(\cdot \mid x_{<i}) \,\big\|\, p(\cdot \mid x_{<i}) \big) \tag{7}$$
#
# Now the pasts come from the **model**, and this is what its drawings suffer from: after a slip the model is asked to continue a past that no digit ever had, and nothing in training told it how. A small (6) does not keep (7) small. Remember this in section 7.

# %%
# Equation (7): the same with the model's pasts
p, q = ising23, tables.ising(2, 3, 0.2, -0.3)
verify_equation(7, (q * (q / p).log()).sum(), row_by_row(q, q, p))
print(
    f"with the data's pasts {row_by_row(p, p, q):.3f} nats, with the model's {row_by_row(q, q, p):.3f}"
)

# %% [markdown]
# ### The least that a context costs
#
# Suppose pixel $i$ sees only some of the others, $x_C$, because the network is built that way. Then
#
# $$\mathbb E_p[-\log q_i(x_i \mid x_C)] \;\ge\; H(x_i \mid x_C) = \mathbb E_p[-\log p(x_i \mid x_C)] \tag{8}$$
#
# *(5) for the rows: an entropy plus a KL, which is at least 0, averaged over $x_C$; equality for $q_i = p(x_i \mid x_C)$.* No training, no depth and no cleverness gets below that.

# %%
# Equation (8): a hundred random tables of rows, and the right one
pair = ising23.sum((0, 2, 3, 5))  # the second pixel of the first row, and the one below it
best = pair / pair.sum(1, keepdim=True)  # p(x_5 | x_2)
floor = -(pair * best.log()).sum()
rows = torch.rand(100, 2, 2, generator=torch.Generator().manual_seed(2), dtype=f64) + 0.01
costs = -(pair * (rows / rows.sum(-1, keepdim=True)).log()).sum((1, 2))
verify_equation(8, floor, costs, relation="<=")  # a hundred random tables of rows
verify_equation(8, floor, Categorical(best).entropy() @ pair.sum(1))  # equality for the right one

# %% [markdown]
# ### Exercise: `context_entropy` · ●●○ · 8 minutes · 2 points
#
# Add (8) up over all pixels, and you have the least that any model with these contexts can cost. For a table it can be computed exactly. Derive first, on paper, how to get $H(x_i \mid x_C)$ from entropies of joint tables: $p(x_i \mid x_C)$ is a quotient, and $-\log$ of a quotient is a difference.


# %% exercise="context_entropy"
def context_entropy(joint, contexts):
    """The lowest cost, in nats, that a model can reach whose variable i sees the variables in contexts[i] alone.

        sum_i H(x_i | x_contexts[i]),   H(a | b) = E[-log p(a | b)]

    Args:
        joint: (K_1, ..., K_n), sums to 1; entries 0 count 0.
        contexts: n lists of axes of `joint` (counted from 0). contexts[i] may be empty, may stand in any order and may
            name variables before and after i, but never i itself.

    Returns:
        A tensor without axes, in the dtype of `joint`.
    """
    ### BEGIN SOLUTION
    everything = range(joint.ndim)

    def entropy_of(axes):
        """H of the variables in `axes` together."""
        others = [axis for axis in everything if axis not in axes]
        marginal = joint.sum(others) if others else joint
        return torch.special.entr(marginal).sum()

    costs = [
        entropy_of([i, *context]) - entropy_of(context)
        for i, context in zip(everything, contexts, strict=True)
    ]
    return torch.stack(costs).sum()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# $p(x_i \mid x_C) = p(x_i, x_C) / p(x_C)$. What is the expectation of minus the logarithm of each part?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# It is an entropy of a table in which the other variables are summed away: that of $x_i$ and its context together, less that of the context alone. `torch.special.entr` is $-p \log p$ with 0 for $p = 0$.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `entr(joint.sum(others)).sum()` for the axes that are in neither $i$ nor its context, minus the same for the axes not in the context. Where no axis is left to sum, use `joint` itself: a sum over `[]` is one over all axes.
# </details>

# %% checks="context_entropy"
# Checks of context_entropy
coins = torch.full((2, 2, 2), 1 / 8, dtype=f64)
expect(
    context_entropy(coins, [[], [0], [0, 1]]),
    3 * math.log(2),
    "context_entropy: three fair coins cost 3 log 2, whatever they see",
    hint="natural logarithm, and a sum over the variables",
)
expect(
    isinstance(context_entropy(coins, [[], [0], [0, 1]]), torch.Tensor),
    True,
    "context_entropy: a tensor without axes",
    hint="no .item() and no float(...) on the way: a Python number has no dtype",
)
twins = torch.tensor([[0.5, 0.0], [0.0, 0.5]], dtype=f64)  # the second copies the first
expect(
    context_entropy(twins, [[], [0]]),
    math.log(2),
    "context_entropy: a copy costs nothing when the original is seen, and entries 0 count 0",
    hint="0 log 0 is 0: torch.special.entr knows",
)
expect(
    context_entropy(twins, [[], []]),
    2 * math.log(2),
    "context_entropy: and log 2 when it is not",
    hint="an empty context: the entropy of the variable alone",
)
uneven = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(3), dtype=f64)
uneven /= uneven.sum()
everything_before = [[], [0], [1, 0]]
expect(
    context_entropy(uneven, everything_before),
    Categorical(uneven.flatten()).entropy(),
    "context_entropy: with all earlier variables it is the joint's entropy, by torch.distributions",
    hint="the last table has nothing to sum away; a sum over [] is one over all axes",
)
given_last = uneven.sum(0) / uneven.sum((0, 1))  # p(x_2 | x_3), (3, 4): columns sum to 1
by_columns = (uneven.sum((0, 1)) * Categorical(given_last.T).entropy()).sum()
alone = Categorical(uneven.sum((1, 2))).entropy() + Categorical(uneven.sum((0, 1))).entropy()
expect(
    context_entropy(uneven, [[], [2], []]),
    by_columns + alone,
    "context_entropy: a context may lie later",
    hint="average the rows' entropies with the probability of the context, not with equal weights",
)

# %% [markdown]
# Now the question of the lesson, asked exactly. An Ising model on 4x4 pixels with coupling $J = 0.4$: neighbours like to be equal. It has 65,536 images, and $H = 8.663$ nats. Five kinds of contexts: a pixel sees **nothing**; its **row** to the left; the **quadrant** of pixels neither below nor to the right of it; the quadrant and one column
# more to the right for every row upwards (what **plain masks** of size 3x3 will see in section 5); **all** earlier pixels. In the picture the pixel in question is blue, what it sees orange, what came earlier and is not seen grey.

# %% tags=["experiment"]
# Five kinds of contexts, for one pixel of an image of 5x6
kinds = {
    "not known yet": None,
    "earlier, not seen": "noise",
    "seen": "model",
    "the pixel itself": "data",
}
fig, axes = plots.figure(1, 5, width=10, height=2.1)
for ax, kind in zip(axes, ("none", "row", "quadrant", "plain", "full"), strict=True):
    here = 3 * 6 + 2
    drawn = torch.zeros(30, dtype=torch.long)
    drawn[:here] = 1
    drawn[tables.seen(5, 6, kind)[here]] = 2
    drawn[here] = 3
    plots.cells(drawn.reshape(5, 6), kinds, ax, title=kind, legend=False)
plots.show(
    fig,
    alt="A pixel in row 4, column 3 of a 5x6 image. None: it sees no other pixel. Row: the two to its left. Quadrant: "
    "these and the columns above up to its own. Plain: above, one column more to the right with every row. Full: all.",
)

# %% [markdown]
# **Predict** the price of the quadrant in nats, that is, its cost minus $H$, when "none" has a price of 2.43 nats and "row" one of 1.03.

# %% predict="my_price"
my_price = 0.5  # your prediction for the quadrant, in nats

# %% tags=["experiment"]
# Experiment: the price of each context, exactly
big = tables.ising(4, 4, 0.4)
total = entropy(big).item()
names = ("none", "row", "quadrant", "plain", "full")
price = {kind: context_entropy(big, tables.seen(4, 4, kind)).item() - total for kind in names}
for kind, nats in price.items():
    print(f"{kind:10} costs {total + nats:7.4f} nats, {nats:7.4f} more than H")
    findings[f"Ising 4x4, J = 0.4: price of the context “{kind}”"] = f"{nats:.4f} nats"
print(f"you predicted {my_price:g} for the quadrant")
fig, ax = plots.figure(width=6, height=3)
ax.barh(names[:4], [price[kind] for kind in names[:4]], color=plots.COLOR["model"])
plots.guess(ax, x=my_price)
ax.set(xscale="log", xlabel="nats lost, of " + f"{total:.2f}", ylim=(3.6, -0.6), xlim=(1e-3, 5))
factor = price["none"] / price["quadrant"]
ax.set_title(f"The quadrant costs {price['quadrant']:.3f} nats, a {factor:.0f}th of seeing nothing")
plots.show(
    fig, alt="Nats lost by four contexts, from nothing seen to plain masks, on a logarithmic axis."
)
both = context_entropy(big, [[j for j in range(16) if j != i] for i in range(16)]).item()
print(f"if every pixel saw all 15 others: {both:.3f} nats, which is less than H")

# %% [markdown]
# Seeing the left and the upper neighbour buys most of what there is to buy; the last hundredths come from pixels that lie further to the right in the rows above. Keep the numbers of the quadrant and of the plain masks in mind: they will come back as properties of two famous networks.
#
# And look at the last line. Let every pixel see *all* the others, also those that come later, and the sum falls below the entropy. Has somebody found a better code than the best code? No: it is no code at all. Nobody could decode it, since each pixel waits for the others, and the product of such rows does not sum to 1. **A cost below $H$ is never good news.** It means that a model looks at what it should predict.
#
# ### Further: three faces of one price
#
# The price of contexts that are too small, $C_i \subset \{1, \dots, i - 1\}$, is a sum of conditional mutual informations, and it is the KL divergence to the best model that has them:
#
# $$\sum_i H(x_i \mid x_{C_i}) - H(x) = \sum_i I\big(x_i;\, x_{<i} \setminus x_{C_i} \mid x_{C_i}\big) = \operatorname{KL}\Big( p \,\Big\|\, \prod_i p(x_i \mid x_{C_i}) \Big) \tag{9}$$
#
# *first: $H(x) = \sum_i H(x_i \mid x_{<i})$ by (1), and $I(a; b \mid c) = H(a \mid c) - H(a \mid b, c)$ is what $b$ still tells. Second: the left side is $\mathbb E_p[\log p(x) - \sum_i \log p(x_i \mid x_{C_i})]$.*
#
# A process shows it in pure form. The **copy process** has a top row of fair coins, and every pixel below copies the one $s$ columns to the right in the row above, erring with probability $f$. Where there is no such pixel, it is a fair coin again. What is its entropy?
#
# ### Step: `copy_entropy` · ●○○ · 4 minutes
#
# Find it without a computer: look for the pixels that are not coins.


# %% step="copy_entropy"
def copy_entropy(H, W, s, h):
    """The entropy in nats of the copy process on H x W pixels.

    Args:
        H, W, s: SymPy symbols or integers: height, width and shift, 0 <= s <= W.
        h: the entropy of one copying error, -f log f - (1 - f) log(1 - f).

    Returns:
        An expression; log 2 is `sympy.log(2)`.
    """
    ### BEGIN SOLUTION
    return H * W * sympy.log(2) - (H - 1) * (W - s) * (sympy.log(2) - h)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# By (1) the entropy is a sum over pixels. There are two kinds of pixels.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A fair coin has entropy $\log 2$, a copy $h$. How many pixels are copies? Not those of the top row, and not the last $s$ of a row.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# In how many rows, and in how many columns of each, does a pixel have something to copy? These cost $h$ each, all others $\log 2$.
# </details>

# %% checks="copy_entropy"
# Checks of copy_entropy
coin = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
for height, width, shift in ((3, 4, 2), (2, 5, 1), (3, 3, 0)):
    listed = entropy(tables.copy_process(height, width, shift, 0.1)).item()
    expect(
        float(copy_entropy(height, width, shift, coin)),
        listed,
        f"copy_entropy: {height}x{width} pixels, shift {shift}, all images listed",
        hint="count the copies: no pixel of the top row, and none of the last s columns",
    )

# %% [markdown]
# <details><summary>Line (10), to compare with yours</summary>
#
# $$H(x) = H W \log 2 - (H - 1)(W - s)\big( \log 2 - h(f) \big) \tag{10}$$
#
# *each of the $(H - 1)(W - s)$ copies costs $h(f)$ instead of $\log 2$; here $H$ and $W$ without argument are height and width.* And each copy that a context misses costs the difference, $\log 2 - h(f) = 0.368$ nats for $f = 0.1$.
# </details>

# %%
# Equations (9) and (10): one price in three ways, and the copy process
small = tables.ising(2, 3, 0.5, 0.1)
contexts = tables.seen(2, 3, "quadrant")
lost = context_entropy(small, contexts) - entropy(small)
informations = torch.zeros((), dtype=f64)
for i in range(6):
    alone = [[] for _ in range(6)]
    few, all_before = list(alone), list(alone)
    few[i], all_before[i] = contexts[i], list(range(i))
    informations += context_entropy(small, few) - context_entropy(small, all_before)
restricted = torch.ones_like(small)  # the product of p(x_i | x_C), as a table over all images
for i, context in enumerate(contexts):
    others = [axis for axis in range(6) if axis not in (i, *context)]
    pair = small.sum(others, keepdim=True) if others else small
    restricted = restricted * pair / pair.sum(i, keepdim=True)
verify_equation(9, lost, informations, (small * (small / restricted).log()).sum())

copies = tables.copy_process(3, 4, 2, 0.1)
flip_entropy = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
verify_equation(10, entropy(copies), 12 * math.log(2) - 2 * 2 * (math.log(2) - flip_entropy))
missed = context_entropy(copies, tables.seen(3, 4, "plain")) - entropy(copies)
print(f"plain masks miss {missed / (math.log(2) - flip_entropy):.1f} of the 4 copies of shift 2")

# %% [markdown]
# ## 2 · One pass scores everything
#
# A network takes the place of the tables. It reads a sequence of tokens (here: grey levels), and answers at every place with $K$ numbers, the logits $\ell_n$. The likelihood of an image is then
#
# $$\log p(x) = \sum_{n=1}^N \log \operatorname{softmax}(\ell_n)[x_n], \qquad \text{bits per dimension} = \frac{-\log p(x)}{N \log 2} \tag{11}$$
#
# *(1) with softmax rows; a nat is $1 / \log 2$ bits, shared among $N$ pixels.* Seventeen levels without any knowledge cost $\log_2 17 = 4.09$ bits per pixel. Mind that (11) is exact. Lesson 02's model would have to integrate over $z$ here, and bounds what it cannot integrate.
#
# $\ell_n$ may depend on $x_{<n}$ alone. So must the network run $N$ times, each time on a longer beginning? No. Let it be **causal**: what it answers at a place depends on the tokens up to this place. Give it the whole sequence moved by one,
#
# | | 1 | 2 | 3 | … | N |
# |---|---|---|---|---|---|
# | goes in | start | $x_1$ | $x_2$ | … | $x_{N-1}$ |
# | is scored | $x_1$ | $x_2$ | $x_3$ | … | $x_N$ |
#
# and a single pass does all $N$ predictions side by side:
#
# $$\ell_n\big(\text{start}, x_1, \dots, x_{N-1}\big) = \ell_n\big(\text{start}, x_1, \dots, x_{n-1}\big), \qquad n = 1, \dots, N \tag{12}$$
#
# *what comes after place $n$ cannot change its answer.* People call this *teacher forcing*, as if it were a trick: the model gets the true past rather than its own. It is no trick and no approximation. By (6) the true past is exactly what the likelihood asks for.

# %%
# Equations (11) and (12): rows of logits, and a recurrent network on growing beginnings
generator = torch.Generator().manual_seed(4)
logits, x = (
    torch.randn(3, 6, 5, generator=generator, dtype=f64),
    torch.tensor([[0, 4, 2, 1, 3, 3]] * 3),
)
nats = -Categorical(logits=logits).log_prob(x).sum(1)
by_hand = (logits.exp().sum(-1).log() - torch.stack([row[range(6), x[0]] for row in logits])).sum(1)
verify_equation(11, nats, by_hand)
verify_equation(11, Categorical(probs=torch.ones(17)).entropy() / math.log(2), math.log2(17))


class Recurrent(nn.Module):
    """A causal network for sequences: a GRU reads tokens from left to right, and each state says logits."""

    def __init__(self, tokens, levels, width=16):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, levels)

    def forward(self, tokens):
        return self.out(self.rnn(self.embed(tokens))[0])


seed_everything(2)
recurrent = Recurrent(3, 2).double()
tokens = torch.tensor([[2, 0, 1, 1, 0, 1]])  # 2 is the start
whole = recurrent(tokens)[0]
beginnings = torch.stack([recurrent(tokens[:, : n + 1])[0, -1] for n in range(6)])
verify_equation(12, whole, beginnings)

# %% [markdown]
# ### Exercise: `teacher_forcing_log_prob` · ●●○ · 7 minutes · 2 points


# %% exercise="teacher_forcing_log_prob"
def teacher_forcing_log_prob(model, x, start):
    """log p(x) of sequences under a causal model, with exactly one call of the model: equations (11) and (12).

    Args:
        model: model(tokens (B, N)) -> logits (B, N, K); entry n depends on tokens 0 to n. A logit may be -inf: a
            probability of 0.
        x: LongTensor (B, N), N >= 1, levels 0 to K - 1.
        start: an int, the token that stands before the first one; often one that no level uses.

    Returns:
        (B,), in nats, in the dtype of the logits: the sum over the sequence, not the mean. Stable for large logits;
        -inf where a level occurs whose logit is -inf; differentiable in the model's weights.
    """
    ### BEGIN SOLUTION
    first = torch.full_like(x[:, :1], start)
    log_rows = model(torch.cat([first, x[:, :-1]], 1)).log_softmax(-1)
    return log_rows.gather(-1, x[..., None])[..., 0].sum(1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Two sequences of the same length: what goes in, and what is scored. Look at the small table above. Which token of $x$ never goes in?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# In go the start token and $x$ without its last one. Then every place has its row of log-probabilities; pick the entry of the level that really comes.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `torch.cat` of a column filled with `start` and `x[:, :-1]`; `.log_softmax(-1)` of the model's answer (never `.softmax().log()`, which underflows); `.gather(-1, x[..., None])`; a sum over the sequence.
# </details>

# %% checks="teacher_forcing_log_prob"
# Checks of teacher_forcing_log_prob
seed_everything(5)
gru, calls = Recurrent(4, 3).double(), []


def remembers(tokens):
    """The GRU, which notes what it was asked."""
    calls.append(tokens.clone())
    return gru(tokens)


x = torch.tensor([[2, 0, 1, 1], [0, 0, 2, 1]])
got = teacher_forcing_log_prob(remembers, x, 3)
expect(
    [len(calls), calls[0].tolist()],
    [1, [[3, 2, 0, 1], [3, 0, 0, 2]]],
    "teacher_forcing_log_prob: one call, and start, x_1, x_2, x_3 go in",
    hint="what is scored must not go in at the same place: move it by one, and call the model once",
)
every = torch.cartesian_prod(*[torch.arange(3)] * 4)  # all 81 sequences
expect(
    teacher_forcing_log_prob(gru, every, 3).exp().sum(),
    torch.tensor(1.0, dtype=f64),
    "teacher_forcing_log_prob: the probabilities of all 81 sequences sum to 1, equation (2)",
    hint="a sum over the sequence of log-probabilities; anything else is not normalised",
)
beginning = torch.tensor([[3], [3]])
by_steps = torch.zeros(2, dtype=f64)
for n in range(4):  # N calls on growing beginnings
    by_steps += Categorical(logits=gru(beginning)[:, -1]).log_prob(x[:, n])
    beginning = torch.cat([beginning, x[:, n : n + 1]], 1)
expect(
    got,
    by_steps,
    "teacher_forcing_log_prob: the same as four calls on growing beginnings",
    hint="the answer at place n is about token n of x",
)
steep = torch.tensor([900.0, 0.0, -math.inf])
expect(
    teacher_forcing_log_prob(
        lambda tokens: steep.expand(*tokens.shape, 3), torch.tensor([[0, 1], [0, 2]]), 0
    ),
    torch.tensor([-900.0, -math.inf]),
    "teacher_forcing_log_prob: large logits and impossible levels",
    hint="log_softmax, not the logarithm of a softmax",
)
gru.zero_grad()
log_p = teacher_forcing_log_prob(gru, x, 3)
expect(
    log_p.requires_grad,
    True,
    "teacher_forcing_log_prob: gradients reach the model",
    hint="no torch.no_grad(), no .item(), no .detach()",
)
log_p.sum().backward()
expect(
    bool((gru.out.bias.grad != 0).any()),
    True,
    "teacher_forcing_log_prob: and they are not all 0",
    hint="the answer must be made of the model's logits",
)

# %% [markdown]
# **Is a recurrent network autoregressive?** A slide says: *"RNNs are not autoregressive since the previous x's are not provided explicitly"*; they go through a hidden state. Take the untrained GRU from above, add up the probabilities of all 64 black and white sequences of length 6, and let (2) decide. **Predict** the sum.

# %% predict="my_sum"
my_sum = 0.5  # your prediction

# %% tags=["experiment"]
# Experiment: all 64 probabilities of a GRU that nobody trained
with torch.no_grad():
    log_p = teacher_forcing_log_prob(recurrent, tables.all_states([2] * 6), 2)
print(f"sum of 64 probabilities: {log_p.exp().sum():.15f}; you predicted {my_sum:g}")
print(f"the smallest is {log_p.exp().min():.4f}, the largest {log_p.exp().max():.4f}")

# %% [markdown]
# If it is 1, the network is a product of rows as in (1), however the past reaches them: the hidden state is a *function* of $x_{<n}$, and that is all (1) asks for. (The same slides call PixelRNN autoregressive two pages later, and there they are right.)
#
# ## 3 · Drawing
#
# To draw an image, go through (1) from left to right: draw $x_1$, then $x_2$ given $x_1$, and so on. Here nothing can be done side by side, because $x_i$ must exist before the row of $x_{i+1}$ can be asked for: $N$ passes for one image.
#
# All chance comes from uniform numbers $u_n \in [0, 1)$. To draw a level from a row, lay the probabilities side by side on the line from 0 to 1 and look in which piece $u$ falls: level $k$ for $c_{k-1} \le u < c_k$, where $c_k = p_0 + \dots + p_k$.
#
# $$P(\text{level } k) = c_k - c_{k-1} = p_k \tag{13}$$
#
# *the length of the piece.* This is the inverse of the cumulative distribution function, read off a table. Two corners need care. A piece of length 0 is never hit, not even by $u = 0$. And in floating-point numbers the whole sum may end at 0.99999994 and a large $u$ lie beyond it. Drawing the last level then is right only if that one is possible.
#
# A **temperature** $T$ sharpens the rows: $\operatorname{softmax}(\ell / T)$. At $T = 1$ they stay as they are, for $T \to 0$ the likeliest level gets everything.
#
# ### Exercise: `sample_categorical` · ●●○ · 6 minutes · 1 point


# %% exercise="sample_categorical"
def sample_categorical(logits, u, temperature=1.0):
    """Draw from rows of logits by given uniform numbers: the inverse of the cumulative distribution.

        the smallest k with u < p_0 + ... + p_k,   p = softmax(logits / temperature)

    Args:
        logits: (*shape, K); -inf is a probability of 0, and every row has a finite entry.
        u: (*shape), numbers in [0, 1).
        temperature: a float >= 0. At 0 the likeliest level is taken, the lowest one of several.

    Returns:
        LongTensor (*shape). A level of probability 0 is never drawn, not at u = 0, and not where rounding leaves the
        whole sum at or below u: there it is the last level with p > 0.
    """
    ### BEGIN SOLUTION
    if temperature == 0:
        return logits.argmax(-1)  # the first of several equal ones
    p = (logits / temperature).softmax(-1)
    passed = (p.cumsum(-1) <= u[..., None]).sum(-1)  # how many pieces end at or before u
    last = ((p > 0) * torch.arange(p.shape[-1], device=p.device)).amax(-1)
    return torch.minimum(passed, last)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# How many of the pieces end at or before $u$? Compare that number with the level you look for.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# `cumsum` of the softmax gives the ends of the pieces, `c <= u[..., None]` says which ones lie behind you, and their number is the level. With `<` instead of `<=`, $u = 0$ draws an impossible first level. At temperature 0 there is nothing to divide by: treat it before.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `(p.cumsum(-1) <= u[..., None]).sum(-1)`, and then not more than the last possible level: the largest $k$ with `p > 0`, for instance by `((p > 0) * torch.arange(K, device=p.device)).amax(-1)` and `torch.minimum`.
# </details>

# %% checks="sample_categorical"
# Checks of sample_categorical
row = torch.tensor([0.3, -math.inf, 1.0, -0.5], dtype=f64)
grid = (torch.arange(1000, dtype=f64) + 0.5) / 1000
drawn = sample_categorical(row.expand(1000, 4), grid)
expect(
    drawn.dtype,
    torch.long,
    "sample_categorical: levels are whole numbers, a LongTensor",
    hint="a count or an index",
)
expect(
    drawn.bincount(minlength=4) / 1000,
    row.softmax(0).float(),
    "sample_categorical: a fine grid of u gives every level its share",
    atol=1.1e-3,
    hint="the smallest k with u < p_0 + ... + p_k",
)
expect(
    bool((drawn.diff() >= 0).all()),
    True,
    "sample_categorical: a larger u never gives a lower level",
    hint="the inverse of the cumulative sum: no other way of drawing uses u like this",
)
walls = torch.tensor([-math.inf, 0.0, -math.inf, 0.0, -math.inf])
expect(
    sample_categorical(walls.expand(3, 5), torch.tensor([0.0, 0.5, 1 - 2**-24])),
    torch.tensor([1, 3, 3]),
    "sample_categorical: an impossible level is never drawn, not at u = 0 and not at the end",
    hint="at u = 0 the first level would do if its piece had a length; at the border the next piece begins",
)
short = torch.tensor(
    [-0.67, -0.12, 0.04, 1.19, -1.29, -math.inf, -math.inf]
)  # its float32 sum ends below 1
ends = short.repeat(400, 1) + torch.linspace(-1, 1, 400)[:, None] * torch.arange(7)
expect(
    bool((sample_categorical(ends, torch.full((400,), 1 - 2**-24)) == 4).all()),
    True,
    "sample_categorical: where rounding leaves the sum below u, it is the last possible level",
    hint="never more than the largest k with p > 0",
)
warm = sample_categorical(row.expand(1000, 4), grid, temperature=0.5).bincount(minlength=4) / 1000
expect(
    warm,
    (row.softmax(0) ** 2 / (row.softmax(0) ** 2).sum()).float(),
    "sample_categorical: half the temperature squares the probabilities",
    atol=1.1e-3,
    hint="divide the logits by the temperature, before the softmax",
)
expect(
    sample_categorical(
        torch.tensor([[1.0, 3.0, 3.0], [5.0, 5.0, 1.0]]), torch.tensor([0.9, 0.9]), temperature=0
    ),
    torch.tensor([1, 0]),
    "sample_categorical: at temperature 0 the likeliest, the lowest of several",
    hint="treat temperature 0 before you divide by it",
)
huge = torch.tensor([[900.0, 899.0], [-900.0, -899.0]])
expect(
    sample_categorical(huge, torch.tensor([0.5, 0.5])),
    torch.tensor([0, 1]),
    "sample_categorical: large logits",
    hint="softmax is stable, exp is not",
)

# %%
# Equation (13): the middles of 100,000 equal cells
cells = (torch.arange(100_000, dtype=f64) + 0.5) / 100_000
row = torch.tensor([0.3, -math.inf, 1.0, -0.5], dtype=f64)
shares = sample_categorical(row.expand(100_000, 4), cells).bincount(minlength=4).double() / 100_000
verify_equation(13, shares, row.softmax(0), atol=1e-5)

# %% [markdown]
# Now whole images. One number $u_n$ for each pixel, so one point $u$ of the cube $[0, 1)^N$ for each image. Which points give the image $x$? Those with $u_n$ in the piece of $x_n$, for every $n$: a box, with sides $p(x_n \mid x_{<n})$.
#
# $$\operatorname{volume}\{u : u \mapsto x\} = \prod_{n=1}^N p(x_n \mid x_{<n}) = p(x) \tag{14}$$
#
# *(13) for each side.* So drawing cuts the cube into boxes, one for each image, each as large as its image is likely. That allows an exact test of a sampler, without statistics: take the middle of each box, and look whether its image comes out.
#
# ### Exercise: `ancestral_sample` · ●●○ · 7 minutes · 2 points


# %% exercise="ancestral_sample"
def ancestral_sample(model, u, temperature=1.0, given=None):
    """Draw images pixel by pixel in raster order, each pixel by `sample_categorical` with its own u.

    Args:
        model: model(x) -> logits (B, K, H, W), for a LongTensor x (B, H, W) of levels; the logits at (r, c) depend on
            earlier pixels alone.
        u: (B, H, W), numbers in [0, 1).
        temperature: of every draw.
        given: None, or a LongTensor (B, m), 0 <= m <= H W: the first m pixels in raster order, which are kept.

    Returns:
        LongTensor (B, H, W) on the device of u. The model is called exactly H W - m times, with gradients switched off.
        While a pixel has not been drawn, any level stands in its place (0 is always one).
    """
    ### BEGIN SOLUTION
    batch, height, width = u.shape
    x = torch.zeros(u.shape, dtype=torch.long, device=u.device)
    known = 0 if given is None else given.shape[1]
    if known:
        x.view(batch, -1)[:, :known] = given
    with torch.no_grad():
        for n in range(known, height * width):
            r, c = divmod(n, width)
            x[:, r, c] = sample_categorical(model(x)[:, :, r, c], u[:, r, c], temperature)
    return x
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# One loop over the pixels, one call of the model in each turn. What does the model see of the pixels that are still to come?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Begin with an image of zeros. For pixel $n$, row `n // W` and column `n % W`, ask the model about the whole image, keep its logits at this one place, draw, write the level into the image. With `given`, the first $m$ pixels are there already and the loop begins later.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `x[:, r, c] = sample_categorical(model(x)[:, :, r, c], u[:, r, c], temperature)` for `n in range(m, H * W)`, under `torch.no_grad()`. `x.view(B, -1)[:, :m] = given` writes the beginning.
# </details>

# %% checks="ancestral_sample"
# Checks of ancestral_sample
height, width = 2, 3
truth = tables.ising(height, width, 0.4, 0.3)
pixels = tables.all_states([2] * 6)


def from_tables(x, calls=None):
    """An exact model: logits (B, 2, H, W) from the joint table, by summing over what is still to come."""
    if calls is not None:
        calls.append(torch.is_grad_enabled())
    rows = []
    for n in range(6):
        same = (
            (pixels[:, None, :n] == x.reshape(len(x), -1)[None, :, :n]).all(-1).double()
        )  # (64, B)
        weight = same * truth.flatten()[:, None]
        rows.append(torch.stack([weight[pixels[:, n] == k].sum(0) for k in (0, 1)], 1).log())
    return torch.stack(rows, -1).reshape(-1, 2, 2, 3)


every = pixels.reshape(-1, 2, 3)
p_one = from_tables(every).softmax(1)[:, 1]  # p(x_n = 1 | x_<n) for each image and pixel
middles = torch.where(every == 1, 1 - p_one / 2, (1 - p_one) / 2)
calls = []
got = ancestral_sample(partial(from_tables, calls=calls), middles)
expect(
    got,
    every,
    "ancestral_sample: the middle of each of the 64 boxes gives its image",
    hint="raster order, the model's logits at the pixel in turn, its own u; write the level before the next call",
)
expect(
    calls,
    [False] * 6,
    "ancestral_sample: six calls, with gradients switched off",
    hint="one call for each pixel that is drawn, under torch.no_grad()",
)
for known in (0, 1, 4, 6):
    calls = []
    first = (1 - every).reshape(64, -1)[:, :known]  # not what u would give
    got = ancestral_sample(partial(from_tables, calls=calls), middles, given=first)
    expect(
        [bool((got.reshape(64, -1)[:, :known] == first).all()), len(calls)],
        [True, 6 - known],
        f"ancestral_sample: {known} given pixels are kept, {6 - known} are drawn",
        hint="given are the first m pixels in raster order; no call is spent on them",
    )
rest = [2 * [0, 1], 2 * [1, 1]]
expect(
    ancestral_sample(from_tables, torch.full((2, 2, 3), 0.999), given=torch.tensor(rest)).reshape(
        2, -1
    )[:, :4],
    torch.tensor(rest),
    "ancestral_sample: given pixels of different images stay with their image",
    hint="given[b] belongs to image b",
)
cold = ancestral_sample(from_tables, torch.full((1, 2, 3), 0.01), temperature=0)
expect(
    cold,
    torch.ones(1, 2, 3, dtype=torch.long),
    "ancestral_sample: the temperature arrives (0: all ones here)",
    hint="hand the temperature on to sample_categorical",
)

# %%
# Equation (14): 64 boxes
joint = tables.ising(2, 3, 0.4, 0.3)
by_row = chain_rule_tables(joint)


def table_model(x):
    """The conditionals as a model: logits (B, 2, 2, 3)."""
    flat = x.reshape(len(x), -1)
    logits = [by_row[n][tuple(flat[:, :n].T)].expand(len(x), 2).log() for n in range(6)]
    return torch.stack(logits, -1).reshape(len(x), 2, 2, 3)


everything = tables.all_states([2] * 6).reshape(-1, 2, 3)
sides = table_model(everything).exp().gather(1, everything[:, None])[:, 0]  # of each box
lower = torch.where(everything == 1, 1 - sides, 0.0)
came = ancestral_sample(table_model, lower + sides / 2)
verify_equation(14, sides.flatten(1).prod(1), joint.flatten())
print(
    f"the middle of its box gives the image: {(came == everything).all((1, 2)).sum()} times of 64"
)

# %% [markdown]
# ### What a low temperature does
#
# Drawings get cleaner at $T < 1$, and everybody uses it. But what is one drawing from then? A natural answer: from the distribution $p(x)^{1/T} / Z$, the joint made sharper. At $T = \frac12$, from the square of $p$. Is that so?
#
# For an Ising model the sharper joint is known. It is the Ising model with $J / T$ and $b / T$. The distribution that the sampler draws from can be listed too. On 3x4 pixels with $J = 0.4$ and $b = 0.1$, at $T = \frac12$, the sharper joint has an entropy of 1.12 nats. **Predict** the entropy of what the sampler draws.

# %% predict="my_entropy"
my_entropy = 1.1  # your prediction, in nats

# %% tags=["experiment"]
# Experiment: what the sampler draws at a temperature, listed
joint = tables.ising(3, 4, 0.4, 0.1)
conditionals = chain_rule_tables(joint)
temperatures = [2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25]


def drawn_at(temperature):
    """The joint table of what the sampler draws: each row sharpened by itself."""
    out = torch.ones((), dtype=f64)
    for table in conditionals:
        sharp = table ** (1 / temperature)
        out = out[..., None] * (sharp / sharp.sum(-1, keepdim=True))
    return out


entropies = {"sharper joint": [], "what is drawn": []}
gaps = []
for temperature in temperatures:
    joined, drawn = joint ** (1 / temperature), drawn_at(temperature)
    joined = joined / joined.sum()
    entropies["sharper joint"].append(entropy(joined).item())
    entropies["what is drawn"].append(entropy(drawn).item())
    gaps.append((joined * (joined / drawn).log()).sum().item())
fig, ax = plots.figure(width=6, height=3.4)
plots.curve(
    temperatures, entropies["what is drawn"], "model", label="what is drawn", marker="o", ax=ax
)
plots.curve(temperatures, entropies["sharper joint"], "exact", label="$p(x)^{1/T} / Z$", ax=ax)
plots.guess(ax, y=my_entropy)
ax.set(xlabel="temperature $T$", ylabel="entropy (nats)", xscale="log")
ax.set_xticks(temperatures, [f"{temperature:g}" for temperature in temperatures])
ax.minorticks_off()
at_half = temperatures.index(0.5)
ax.set_title(
    f"At T = 0.5: {entropies['what is drawn'][at_half]:.2f} nats are drawn, "
    f"the sharper joint has {entropies['sharper joint'][at_half]:.2f}"
)
plots.show(
    fig, alt="Entropy against temperature of the sharper joint and of what the sampler draws."
)
for temperature, gap in zip(temperatures, gaps, strict=True):
    print(f"T = {temperature:4g}   KL from the sharper joint to what is drawn: {abs(gap):.3f} nats")
findings["entropy at T = 0.5: sharper joint, what is drawn"] = (
    f"{entropies['sharper joint'][at_half]:.2f}, {entropies['what is drawn'][at_half]:.2f} nats"
)
greedy_table = torch.tensor([[0.4, 0.0, 0.0], [0.2, 0.2, 0.2]], dtype=f64)
one, two = chain_rule_tables(greedy_table)
first = int(sample_categorical(one.log(), torch.tensor(0.5, dtype=f64), temperature=0))
second = int(sample_categorical(two[first].log(), torch.tensor(0.5, dtype=f64), temperature=0))
print(
    f"a table whose likeliest entry has {greedy_table.max():.1f}: at T = 0 the sampler draws one of ",
    end="",
)
print(f"{greedy_table[first, second]:.1f}")

# %% [markdown]
# Two different distributions. The sampler sharpens each row by itself, and never asks where a choice leads: early pixels are drawn as if all futures were equally sharp. The last line is the same thing at its extreme. The greedy drawing takes the likelier row (0.6 in all) and ends in an entry of 0.2, while the likeliest image has 0.4.
#
# ### Further: why sharper rows do not make the sharper joint
#
# $$\prod_i \frac{p(x_i \mid x_{<i})^{1/T}}{Z_i(x_{<i})} = \frac{p(x)^{1/T}}{\prod_i Z_i(x_{<i})} \;\ne\; \frac{p(x)^{1/T}}{Z}, \qquad Z_i(x_{<i}) = \sum_k p(k \mid x_{<i})^{1/T} \tag{15}$$
#
# *softmax of $\ell / T$ is $p^{1/T}$, normalised; then (1).* The two agree only if the product of the $Z_i$ is the same for every image. Pixels that are independent have that; no others that you would want to draw.

# %%
# Equation (15): sharper rows against the sharper joint
for T in (0.5, 0.7):
    sharper = tables.ising(2, 3, 0.4 / T, 0.1 / T)  # p^(1/T) / Z
    joint = tables.ising(2, 3, 0.4, 0.1)
    normaliser, numerator = torch.ones((), dtype=f64), joint ** (1 / T)
    each = torch.ones((), dtype=f64)
    for table in chain_rule_tables(joint):
        Z = (table ** (1 / T)).sum(-1, keepdim=True)
        normaliser = normaliser[..., None] * Z
        each = each[..., None] * table ** (1 / T) / Z
    verify_equation(15, each, numerator / normaliser)
    gap = (sharper * (sharper / each).log()).sum()
    same = torch.allclose(numerator / numerator.sum(), sharper, rtol=1e-12)
    print(
        f"T = {T}: p^(1/T)/Z is {'' if same else 'not '}the Ising model with J/T and b/T", end="; "
    )
    print(f"KL from the product: {gap:.3f} nats")

# %% [markdown]
# ### Finish a picture that somebody began
#
# Your sampler can continue a given beginning, and what it draws is exactly right: for pixels after $m$, (1) *is* their distribution given the first $m$. Can it also fill in the top, when the bottom row is given? The natural attempt: draw from the top as always, and put the known pixels where they belong.
#
# On the Ising model of 3x4 pixels with the bottom row known, the right answer $p(\text{above} \mid \text{below})$ can be listed. The *total variation* of two distributions is half the sum of $|p - q|$: 0 for equal ones, 1 for those that never agree. **Predict** it for $J = 0.4$, averaged over bottom rows.

# %% predict="my_variation"
my_variation = 0.1  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: the attempt against the right answer, both listed
couplings = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]
variations = {"bottom row known": [], "top row known": []}
for coupling in couplings:
    joint = tables.ising(3, 4, coupling)
    halves = joint.reshape(2**8, 2**4)  # above, below
    above, below = halves.sum(1, keepdim=True), halves.sum(0, keepdim=True)
    variations["bottom row known"].append((0.5 * (halves - above * below).abs().sum()).item())
    parts = joint.reshape(2**4, 2**8)  # the top row, and the rest
    rest = torch.ones(2**4, 1, dtype=f64)
    for table in chain_rule_tables(joint)[4:]:  # what the sampler draws, given the top row
        rest = (rest[..., None] * table.reshape(2**4, -1, 2)).reshape(2**4, -1)
    exact_rest = parts / parts.sum(1, keepdim=True)
    variations["top row known"].append(
        (0.5 * (rest - exact_rest).abs().sum(1) @ parts.sum(1)).item()
    )
fig, ax = plots.figure(width=6, height=3.2)
for (name, values), role in zip(variations.items(), ("model", "data"), strict=True):
    plots.curve(couplings, values, role, label=name, marker="o", ax=ax)
plots.guess(ax, y=my_variation)
at = couplings.index(0.4)
wrong, right = (values[at] for values in variations.values())
ax.set(
    xlabel="coupling $J$",
    ylabel="total variation",
    title=f"At J = 0.4: {wrong:.2f} with the bottom given, {right:.2f} with the top",
)
plots.show(
    fig, alt="Total variation from the right answer against the coupling, bottom or top row known."
)
findings["total variation, bottom row clamped, J = 0.4"] = f"{wrong:.3f}"

# %% [markdown]
# What comes later cannot be heard by what is drawn earlier. A sampler in raster order answers one kind of question exactly, *how does it go on?*, and no other. (Diffusion models will fill holes of any shape, in lesson 08, and have their own trouble with being exact.)
#
# ### Further: the price of clamping
#
# Call the known pixels $x_B$ and the ones drawn before them $x_A$. The attempt draws $x_A$ from $p(x_A)$ instead of $p(x_A \mid x_B)$. On average that is off by
#
# $$\mathbb E_{x_B} \operatorname{KL}\big( p(x_A \mid x_B) \,\|\, p(x_A) \big) = I(x_A; x_B), \qquad p(x_{>m} \mid x_{\le m}) = \prod_{n > m} p(x_n \mid x_{<n}) \tag{16}$$
#
# *first: the definition of mutual information; second: (1) divided by (1) for the beginning, which is why a given beginning costs nothing.*

# %%
# Equation (16): the price of clamping, and a beginning that costs nothing
joint = tables.ising(3, 4, 0.4)
halves = joint.reshape(2**8, 2**4)
above, below = halves.sum(1, keepdim=True), halves.sum(0, keepdim=True)
mean_kl = (below * (halves / below * (halves / below / above).log()).sum(0)).sum()
verify_equation(16, mean_kl, entropy(above) + entropy(below) - entropy(halves))
beginning = joint.sum(list(range(4, 12)))  # the first row, m = 4
continued = torch.ones((), dtype=f64).expand(2, 2, 2, 2)
for table in chain_rule_tables(joint)[4:]:
    continued = continued[..., None] * table
verify_equation(16, joint / beginning.reshape([2] * 4 + [1] * 8), continued)

# %% [markdown]
# ## 4 · A recurrence over the image
#
# Which network may give the rows? The oldest answer for sequences is a recurrence, and an image has two directions, so take one from both. **PixelRNN** in its simplest form gives every pixel a state, made from what stands to the left and above, the pixels there included:
#
# $$h_{r,c} = f\big(x_{r,c-1},\, x_{r-1,c},\, h_{r,c-1},\, h_{r-1,c}\big), \qquad \text{logits at } (r, c) \text{ from } h_{r,c} \tag{17}$$
#
# *zeros where there is no such pixel.* By induction $h_{r,c}$ depends on the pixels $(i, j)$ with $i \le r$ and $j \le c$, without $(r, c)$ itself: the quadrant of section 1.
#
# In raster order that would be $H W$ steps one after the other, also in training. But look who waits for whom: $(r, c)$ needs $(r, c-1)$ and $(r-1, c)$ only. Both have the coordinate sum $r + c - 1$. So all pixels with the same $r + c$, a diagonal, can be computed side by side:
#
# $$\text{steps to score an image} = H + W - 1 \text{ diagonals, instead of } H W; \qquad \text{to draw one: } H W \tag{18}$$
#
# *the sum $r + c$ runs from 0 to $(H - 1) + (W - 1)$.* Drawing gains nothing: the pixels themselves are still missing, and come one at a time.
#
# ### Exercise: `diagonal_rnn` · ●●● · 10 minutes · 2 points


# %% exercise="diagonal_rnn"
def diagonal_rnn(cell, inputs, hidden_dim):
    """A recurrence from the left and from above, one diagonal r + c at a time.

        h[r, c] = cell(inputs[r, c], h[r, c - 1], h[r - 1, c]),   zeros outside the image

    Args:
        cell: cell(inputs (M, C), left (M, D), above (M, D)) -> (M, D), each row by itself; M is up to the caller, so
            batch and diagonal may go in together.
        inputs: (B, C, H, W).
        hidden_dim: D.

    Returns:
        h, (B, D, H, W), differentiable. The cell is called exactly H + W - 1 times, once for each diagonal.
    """
    ### BEGIN SOLUTION
    batch, _, height, width = inputs.shape
    h = inputs.new_zeros(
        batch, hidden_dim, height + 1, width + 1
    )  # row 0 and column 0 are the outside

    def flat(values):
        """(B, C, L) -> (B * L, C)"""
        return values.transpose(1, 2).flatten(0, 1)

    for diagonal in range(height + width - 1):
        r = torch.arange(
            max(0, diagonal - width + 1), min(height, diagonal + 1), device=inputs.device
        )
        c = diagonal - r
        new = cell(flat(inputs[:, :, r, c]), flat(h[:, :, r + 1, c]), flat(h[:, :, r, c + 1]))
        # written in place: what is read above is a copy, so gradients are not disturbed
        h[:, :, r + 1, c + 1] = new.unflatten(0, (batch, len(r))).transpose(1, 2)
    return h[:, :, 1:, 1:]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Which pixels lie on diagonal $d$? Row $r$ from where to where, if column $d - r$ must lie in the image as well?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Keep $h$ with one extra row above and one extra column to the left, full of zeros: then the borders need no case of their own. With `r` and `c` two index tensors, `inputs[:, :, r, c]` is the whole diagonal at once, (B, C, L). The cell wants rows (M, C): batch and diagonal together, M = B L.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `r = torch.arange(max(0, d - W + 1), min(H, d + 1))`, `c = d - r`; in the padded $h$ the left neighbour is `h[:, :, r + 1, c]`, the upper one `h[:, :, r, c + 1]`, and the new state goes to `h[:, :, r + 1, c + 1]`. To rows and back: `.transpose(1, 2).flatten(0, 1)`, and `.unflatten(0, (B, L)).transpose(1, 2)`.
# </details>

# %% checks="diagonal_rnn"
# Checks of diagonal_rnn
calls = []


def counting_cell(inputs, left, above):
    calls.append(len(inputs))
    return torch.tanh(inputs[:, :2] - 0.5 * inputs[:, 1:] + 0.7 * left - 0.4 * above + 0.1)


inputs = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=f64)
states = diagonal_rnn(counting_cell, inputs, 2)
expect(
    len(calls),
    8,
    "diagonal_rnn: one call for each of the 4 + 5 - 1 diagonals",
    hint="all pixels with the same r + c go into one call",
)
expect(
    tuple(states.shape),
    (2, 2, 4, 5),
    "diagonal_rnn: states (B, D, H, W)",
    hint="drop the extra row and column",
)
one_by_one = torch.zeros(2, 2, 5, 6, dtype=f64)  # with a border of zeros
for r, c in itertools.product(range(4), range(5)):
    one_by_one[:, :, r + 1, c + 1] = counting_cell(
        inputs[:, :, r, c], one_by_one[:, :, r + 1, c], one_by_one[:, :, r, c + 1]
    )
expect(
    states,
    one_by_one[:, :, 1:, 1:],
    "diagonal_rnn: the same as pixel by pixel",
    hint="left is column c - 1 of the same row, above is row r - 1; zeros outside; batch and diagonal not mixed up",
)
for shape in ((1, 4), (3, 1), (1, 1)):
    thin = inputs[:, :, : shape[0], : shape[1]]
    expect(
        diagonal_rnn(counting_cell, thin, 2),
        states[:, :, : shape[0], : shape[1]],
        f"diagonal_rnn: an image of {shape[0]}x{shape[1]}",
        hint="a diagonal may leave the image on either side",
    )
leaf = inputs.clone().requires_grad_()
diagonal_rnn(counting_cell, leaf, 2)[:, :, -1, -1].sum().backward()
expect(
    bool((leaf.grad != 0).any(1).all()),
    True,
    "diagonal_rnn: the last state's gradient reaches every pixel",
    hint="no detach and no .data; write h where nothing older is overwritten",
)


# %%
# Given: the recurrence as a network, and who influences whom
class PixelRNN(nn.Module):
    """Logits (B, K, H, W) from images (B, H, W) by equation (17), with a gated cell."""

    def __init__(self, levels, hidden=16):
        super().__init__()
        self.levels, self.hidden = levels, hidden
        self.cell_in = nn.Linear(2 * levels + 2 * hidden, 3 * hidden)
        self.out = nn.Linear(hidden, levels)

    def cell(self, inputs, left, above):
        gate, mix, new = self.cell_in(torch.cat([inputs, left, above], 1)).chunk(3, 1)
        before = torch.lerp(left, above, mix.sigmoid())
        return torch.lerp(before, new.tanh(), gate.sigmoid())

    def neighbours(self, x):
        """The pixel to the left and the one above, one-hot, (B, 2K, H, W)."""
        shown = F.one_hot(x, self.levels).movedim(-1, 1).to(self.out.weight.dtype)
        left, above = F.pad(shown, (1, -1)), F.pad(shown, (0, 0, 1, -1))
        return torch.cat([left, above], 1)

    def forward(self, x):
        h = diagonal_rnn(self.cell, self.neighbours(x), self.hidden)
        return self.out(h.movedim(1, -1)).movedim(-1, 1)


def influences(model, height, width):
    """(N, N), entry [i, j]: does another value of pixel j change the logits at pixel i, in any of all images?"""
    count = height * width
    images = tables.all_states([2] * count)
    with torch.no_grad():
        logits = model(images.reshape(-1, height, width)).flatten(2)  # (2^N, K, N)
    flips = 2 ** torch.arange(
        count - 1, -1, -1
    )  # image number n with pixel j flipped is number n ^ flips[j]
    changed = [
        (logits - logits[torch.arange(len(images)) ^ flip]).abs().amax((0, 1)) > 0 for flip in flips
    ]
    return torch.stack(changed, 1)


def as_matrix(contexts):
    """Contexts as a table (N, N): [i, j] says whether pixel i sees pixel j."""
    seen = torch.zeros(len(contexts), len(contexts), dtype=torch.bool)
    for i, context in enumerate(contexts):
        seen[i, context] = True
    return seen


# %%
# Equations (17) and (18): on all 512 images of 3x3, and (18) by counting
seed_everything(3)
rnn = PixelRNN(2).double()
found, rule = influences(rnn, 3, 3), as_matrix(tables.seen(3, 3, "quadrant"))
verify_equation(17, found.sum(), rule.sum())  # as many pairs, and the same ones
verify_equation(17, found.double(), rule.double())
steps = []
diagonal_rnn(lambda inputs, left, above: steps.append(1) or left, torch.zeros(1, 1, 8, 8), 1)
verify_equation(18, len(steps), 8 + 8 - 1)
steps = []
ancestral_sample(lambda x: steps.append(1) or torch.zeros(1, 2, 8, 8), torch.zeros(1, 8, 8))
verify_equation(18, len(steps), 8 * 8)

# %% [markdown]
# **What two slides say.** One has $h_{x,y} = f(h_{x-1,y}, h_{x,y-1}; W)$, below a sentence that rightly speaks of *"hidden states and RGB values"*. The formula forgot the values. Another says that *"each pixel value is affected from all pixels above and to the left"*. Take both literally and let the numbers tell: on how many pixels does each pixel depend, and what would it cost on the Ising model of section 1?
#
# **Predict** how many of the 512 images give different logits if the formula is taken as it stands.

# %% predict="my_number"
my_number = 256  # your prediction, 1 to 512


# %% tags=["experiment"]
# Experiment: the slide's formula as it stands, and what each pixel depends on
class AsOnTheSlide(PixelRNN):
    """The state is a function of two states and of nothing else."""

    def neighbours(self, x):
        return torch.zeros_like(super().neighbours(x))


seed_everything(3)
slide = AsOnTheSlide(2).double()
everything = tables.all_states([2] * 9).reshape(-1, 3, 3)
with torch.no_grad():
    different = len(slide(everything).flatten(1).unique(dim=0))
big = tables.ising(4, 4, 0.4)
least = entropy(big)
lost = context_entropy(big, tables.seen(4, 4, "none")) - least
quadrant = context_entropy(big, tables.seen(4, 4, "quadrant")) - least
print(f"as it stands: different answers for 512 images: {different}; you predicted {my_number}")
print(
    f"   a pixel depends on {int(influences(slide, 3, 3).sum())} others; lost on the Ising model: {lost:.2f} nats"
)
print(
    f"with the pixels: {int(influences(rnn, 3, 3).sum())} of 36 pairs; lost: {quadrant:.3f} of {least:.3f} nats"
)
findings["slide's recurrence: different answers for 512 images"] = f"{different}"

# %% [markdown]
# As it stands, the state knows its place and nothing else: all pixels are independent, and you are back at the first picture of this lesson. With the pixels put back, each sees its quadrant. *All* pixels above it does not see: those above **to the right** come earlier in raster order and remain invisible. The paper's *Diagonal BiLSTM* adds a second recurrence from the right,
# moved down by a row so that nothing leaks, and only then is it true. (Colours are drawn red, then green, then blue, whatever order a slide has.)
#
# ## 5 · Masks: all pixels at once
#
# Fifteen steps for 8x8 pixels, 63 for 32x32, one after the other: training waits. A convolution computes all places at once. But an ordinary one looks in all directions, also at what it should predict. So blind it: set the weights to zero where the kernel would touch the present or the future. This is **PixelCNN**.
#
# A first layer must not see the pixel itself (mask **A**). In later layers the centre holds a hidden state that was made from strictly earlier pixels only, so they may use it (mask **B**).

# %% tags=["experiment"]
# Masks A and B of a 5x5 kernel for one channel
look = {"0: hidden": None, "1: open": "model"}
fig, axes = plots.figure(1, 2, width=5.2, height=2.5)
for ax, kind in zip(axes, "AB", strict=True):
    opened = torch.zeros(25, dtype=torch.long)
    opened[: 12 + (kind == "B")] = 1
    opened = opened.reshape(5, 5)
    plots.cells(opened, look, ax, title=f"kind {kind}", text=opened.tolist(), legend=False)
plots.show(
    fig,
    alt="5x5 masks. Both open the rows above the centre and the left part of its row; B also the centre.",
)

# %% [markdown]
# In colour a pixel has three values, and they know of each other. Their order is part of the chain rule, red, then green, then blue:
#
# $$p(r, g, b \mid \text{before}) = p(r \mid \text{before})\; p(g \mid r, \text{before})\; p(b \mid r, g, \text{before}) \tag{22}$$
#
# *(1) for the three values of one pixel.* So the channels of every layer form three consecutive groups, and at the centre tap a group may look at those before it (A), or at those and at itself (B). A mask that treats all channels alike has to be A for all of them in the first layer, and then green never learns what red is: the three become independent given the past, at a price of
# $H(r) + H(g) + H(b) - H(r, g, b)$. A slide that gives *two masks for all* and 256 levels for each of R, G, B does that. How much is it? (The photograph *china.jpg* from scikit-learn, every channel on four levels.)

# %%
# Equation (22): the pixels of a photograph, each channel on four levels
from sklearn.datasets import load_sample_image

china = (
    torch.from_numpy(load_sample_image("china.jpg").copy()).long() // 64
)  # (427, 640, 3), levels 0..3
code = (china * torch.tensor([16, 4, 1])).sum(-1)
colours = code.flatten().bincount(minlength=64).double().reshape(4, 4, 4)
colours /= colours.sum()  # the joint table of one pixel's r, g, b
red = colours.sum((1, 2))
green = colours.sum(2) / red[:, None].clamp(min=1e-300)
blue = colours / colours.sum(2, keepdim=True).clamp(min=1e-300)
verify_equation(22, colours, red[:, None, None] * green[:, :, None] * blue)
singles = entropy(red) + entropy(colours.sum((0, 2))) + entropy(colours.sum((0, 1)))
print(
    f"one pixel: {entropy(colours):.3f} nats by the chain, {singles:.3f} with independent channels"
)
print(f"what independent channels lose: {singles - entropy(colours):.3f} nats a pixel")
left = torch.stack([code[:, :-1].flatten(), code[:, 1:].flatten()])
pair = (left[0] * 64 + left[1]).bincount(minlength=64 * 64).double().reshape(64, 4, 4, 4)
pair /= pair.sum()
given_left = [
    entropy(pair.sum(axes)) - entropy(pair.sum((1, 2, 3))) for axes in ((2, 3), (1, 3), (1, 2))
]
print(
    f"and when the pixel to the left is known: {sum(given_left) - entropy(pair) + entropy(pair.sum((1, 2, 3))):.3f}"
)

# %% [markdown]
# ### Exercise: `conv_mask` · ●●● · 9 minutes · 3 points


# %% exercise="conv_mask"
def conv_mask(kind, out_channels, in_channels, kernel_size, colours=1):
    """The mask of a causal convolution, by which its weight (out, in, kh, kw) is multiplied.

    Rows above the centre are open, and so are the taps left of the centre in its row. The taps right of the centre and
    the rows below are hidden. At the centre the colours decide:

        kind "A": open where the input's colour comes before the output's
        kind "B": open where it comes before, or is the same

    Args:
        kind: "A" or "B".
        out_channels, in_channels: each is divided by `colours`; the channels of either side form `colours` equal
            consecutive groups (red first, then green, then blue).
        kernel_size: (kh, kw), both odd.
        colours: 1 for grey images.

    Returns:
        float32 (out_channels, in_channels, kh, kw) of zeros and ones.

    Raises:
        ValueError: any other kind.
    """
    ### BEGIN SOLUTION
    if kind not in ("A", "B"):
        raise ValueError(f'kind={kind!r}; expected "A" or "B"')
    middle_row, middle = kernel_size[0] // 2, kernel_size[1] // 2
    mask = torch.zeros(out_channels, in_channels, *kernel_size)
    mask[:, :, :middle_row] = 1
    mask[:, :, middle_row, :middle] = 1
    own = torch.arange(out_channels)[:, None] // (out_channels // colours)
    tap = torch.arange(in_channels) // (in_channels // colours)
    mask[:, :, middle_row, middle] = (tap < own if kind == "A" else tap <= own).float()
    return mask
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Everything except the centre is the same for all channels and both kinds. For the centre you need a small table (out, in). Which colour does channel $o$ of `out_channels` belong to?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Begin with zeros, open the rows above, then the left part of the centre row. The groups are consecutive and equal, so a channel's colour is its number divided by the size of a group, without remainder; the two sides have groups of different sizes. Compare the two colours.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `own = torch.arange(out_channels)[:, None] // (out_channels // colours)`, the same for the inputs as a row; at `[:, :, kh // 2, kw // 2]` goes `tap < own` for A and `tap <= own` for B. With one colour these are all 0 and all 1, as they should be.
# </details>

# %% checks="conv_mask"
# Checks of conv_mask
for kind, own in (("A", 0.0), ("B", 1.0)):
    expect(
        conv_mask(kind, 1, 1, (3, 5))[0, 0],
        torch.tensor([[1.0] * 5, [1, 1, own, 0, 0], [0.0] * 5]),
        f"conv_mask: kind {kind}, a 3x5 kernel, grey",
        hint="open above and to the left; the centre only for B",
    )
expect(
    tuple(conv_mask("A", 4, 2, (3, 1)).shape),
    (4, 2, 3, 1),
    "conv_mask: (out, in, kh, kw)",
    hint="the order of the weight's axes in nn.Conv2d",
)
expect(
    conv_mask("B", 2, 2, (1, 1), colours=2)[:, :, 0, 0],
    torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
    "conv_mask: kind B, two colours: the second sees both, the first only itself",
    hint="rows are outputs; the output's colour must not come before the input's",
)
expect(
    conv_mask("A", 2, 2, (1, 1), colours=2)[:, :, 0, 0],
    torch.tensor([[0.0, 0.0], [1.0, 0.0]]),
    "conv_mask: kind A, two colours: the second sees the first",
    hint="strictly before",
)
six = torch.tensor([0, 0, 1, 1, 2, 2])
nine = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
expect(
    conv_mask("B", 9, 6, (3, 3), colours=3)[:, :, 1, 1].bool(),
    six[None] <= nine[:, None],
    "conv_mask: 9 outputs and 6 inputs in three colours each",
    hint="consecutive groups, rrr ggg bbb: divide by the size of the group, do not take the remainder",
)
expect(
    conv_mask("A", 9, 6, (3, 3), colours=3)[:, :, 0].mean()
    + conv_mask("A", 9, 6, (3, 3), colours=3)[:, :, 1, 0].mean(),
    2.0,
    "conv_mask: earlier pixels are open for all colours",
    hint="the colours matter at the centre alone",
)
for wrong in ("C", "a"):
    try:
        conv_mask(wrong, 1, 1, (3, 3))
        refused = False
    except ValueError:
        refused = True
    expect(
        refused, True, f"conv_mask: kind {wrong!r} is a ValueError", hint='only "A" and "B" exist'
    )

# %% [markdown]
# ### Exercise: `MaskedConv2d` · ●●○ · 4 minutes · 1 point
#
# Now a layer that multiplies by the mask whenever it is called. An optimiser writes into the weight after every step, and what it writes at hidden taps must never come to light.


# %% exercise="MaskedConv2d"
class MaskedConv2d(nn.Module):
    """A convolution whose weight is multiplied by `conv_mask`, with zeros around the image so that its size stays.

    Args:
        kind, in_channels, out_channels, kernel_size, colours: as for `conv_mask`. As in nn.Conv2d the inputs come
            before the outputs here.

    Its parameters are weight (out, in, kh, kw) and bias (out), and nothing else. forward(x (B, in, H, W)) gives
    (B, out, H, W). The mask holds at every call, whatever was written into the weight since the last one.
    """

    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        super().__init__()
        ### BEGIN SOLUTION
        start = nn.Conv2d(in_channels, out_channels, kernel_size)
        self.weight, self.bias = start.weight, start.bias
        self.register_buffer(
            "mask", conv_mask(kind, out_channels, in_channels, kernel_size, colours)
        )
        self.padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# The mask is no parameter: nobody should train it. But it should follow the module to another device or dtype. What does PyTorch call such a tensor?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A buffer: `self.register_buffer("mask", …)`. A throw-away `nn.Conv2d` gives well-scaled first values for weight and bias. Multiply in `forward`, at every call, not once in `__init__`.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `F.conv2d(x, self.weight * self.mask, self.bias, padding=(kh // 2, kw // 2))`; `conv_mask` takes the outputs first.
# </details>

# %% checks="MaskedConv2d"
# Checks of MaskedConv2d
seed_everything(6)
layer = MaskedConv2d("B", 2, 3, (3, 5)).double()
shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
expect(
    sorted(shapes.items()),
    [("bias", (3,)), ("weight", (3, 2, 3, 5))],
    "MaskedConv2d: parameters are weight and bias",
    hint="the mask is a buffer; no layer of its own inside",
)
with torch.no_grad():
    for parameter in layer.parameters():
        parameter.copy_(torch.randn(parameter.shape, dtype=f64))
point = torch.zeros(1, 2, 6, 7, dtype=f64)
point[0, 1, 2, 3] = 1.0  # an image with a single bright value
answer = layer(point)[0] - layer.bias[:, None, None]
expect(
    tuple(answer.shape),
    (3, 6, 7),
    "MaskedConv2d: the image keeps its size",
    hint="padding (kh // 2, kw // 2)",
)
expect(
    answer[:, 3, 4],
    layer.weight[:, 1, 0, 1],
    "MaskedConv2d: a pixel sees one that is above and to its left by its weight",
    hint="a convolution with the weight, plus the bias",
)
expect(
    answer[:, 2, 3],
    layer.weight[:, 1, 1, 2],
    "MaskedConv2d: kind B sees itself",
    hint="the mask of kind B",
)
expect(
    bool((answer[:, :2] == 0).all() and (answer[:, 2, :3] == 0).all()),
    True,
    "MaskedConv2d: nothing earlier sees it, whatever was written into the weight",
    hint="multiply by the mask in forward: what __init__ masked is overwritten by the optimiser",
)
with torch.no_grad():
    layer.weight.fill_(5.0)
expect(
    bool((layer(point)[0, :, 2, :3] == layer.bias[:, None]).all()),
    True,
    "MaskedConv2d: and again after the next write",
    hint="multiply at every call",
)
first = MaskedConv2d("A", 3, 6, (1, 1), colours=3)
with torch.no_grad():
    for parameter in first.parameters():
        parameter.fill_(1.0)
red = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
expect(
    first(red)[0, :, 0, 0],
    torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0, 2.0]),
    "MaskedConv2d: in a first layer green and blue see the red of their own pixel, red does not",
    hint="hand colours on to conv_mask",
)
first(torch.rand(1, 3, 2, 2)).sum().backward()
expect(
    first.weight.grad is not None and first.bias.grad is not None,
    True,
    "MaskedConv2d: gradients reach weight and bias",
    hint="no .data, no detach, no torch.no_grad",
)

# %% [markdown]
# Why do many such layers together still see the past alone? Write the dependence of layer outputs on layer inputs as a table of yes and no, $N \times N$ in raster order. Mask A gives a table $A$ that is *strictly* lower triangular (earlier pixels only), mask B one, $B$, that is lower triangular with the diagonal. Layers one after the other multiply their tables, and
#
# $$B^n A \ \text{ is strictly lower triangular for every } n, \qquad B^n \ \text{ alone is not} \tag{19}$$
#
# *"earlier or the same", any number of times, after "strictly earlier" is strictly earlier.* One mask A, at the bottom, is enough. And one B in its place is enough to ruin everything.
#
# How far do they see in the end? A plain mask of width $2m + 1$ moves at most $m$ columns to the right, and only while it goes up a row. So after any number of layers pixel $(r, c)$ sees $(i, j)$ with
#
# $$j - c \le m\, (r - i), \qquad i < r \ \text{ or } \ i = r,\ j < c \tag{20}$$
#
# *$m$ columns for every row upwards.* Whatever lies further right is in the **blind spot**, for any depth. That was the context "plain" in section 1.
#
# You should not have to believe such things of a network that somebody hands you. Ask for its derivatives.
#
# ### Exercise: `dependencies` · ●●○ · 6 minutes · 1 point


# %% exercise="dependencies"
def dependencies(f, x):
    """Which outputs of f move with which inputs: non-zero derivatives, pixel by pixel.

    Args:
        f: (1, C, H, W) -> (1, K, H, W), differentiable; it may ignore its input altogether.
        x: (1, C, H, W), where the derivatives are taken. It stays as it was: work on a copy.

    Returns:
        BoolTensor (H W, H W) on the device of x. Entry [i, j], pixels in raster order, says whether any output channel
        at pixel i has a non-zero derivative with respect to any input channel at pixel j.
    """
    ### BEGIN SOLUTION
    slopes = torch.autograd.functional.jacobian(f, x.detach().clone())  # (1, K, H, W, 1, C, H, W)
    moves = (slopes != 0).any(5).any(1)  # over input and output channels: (1, H, W, 1, H, W)
    pixels = x.shape[2] * x.shape[3]
    return moves.reshape(pixels, pixels)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# You need the derivative of *every* output number, one at a time. If you add outputs up before you differentiate, slopes may cancel: the channels of a softmax always do.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# Either a loop over pixels and output channels with `torch.autograd.grad(y[0, k, r, c], x, retain_graph=True, allow_unused=True)`, or all at once with `torch.autograd.functional.jacobian`. Ask `!= 0` for every number, and only then "any" over the channels.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `jacobian(f, x.detach().clone())` has shape (1, K, H, W, 1, C, H, W). `!= 0`, then `.any(5).any(1)`, then a reshape to (H W, H W).
# </details>

# %% checks="dependencies"
# Checks of dependencies
x = torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(7), dtype=f64)
lower = torch.ones(6, 6, dtype=torch.bool).tril()
shift = torch.diag(torch.ones(5), -1).bool()  # pixel i depends on pixel i - 1


def previous(x):
    """Each pixel gets the one before it, in raster order."""
    return F.pad(x.flatten(2), (1, -1)).reshape(x.shape)


expect(
    dependencies(previous, x),
    shift,
    "dependencies: a shift by one pixel",
    hint="entry [i, j]: output i by input j, not the other way round",
)
expect(
    dependencies(lambda x: x.flatten(2).cumsum(2).reshape(x.shape), x),
    lower,
    "dependencies: a running sum",
    hint="raster order: pixel (r, c) is number r W + c",
)
expect(
    dependencies(lambda x: torch.cat([previous(x), -previous(x)], 1).softmax(1), x),
    shift,
    "dependencies: a softmax over channels, whose derivatives cancel in the sum",
    hint="one output number at a time, and != 0 before any sum",
)
expect(
    dependencies(lambda x: torch.cat([previous(x[:, :1]), -previous(x[:, :1])], 1), x),
    shift,
    "dependencies: output channels that cancel",
    hint="!= 0 for each output channel, then any",
)
expect(
    dependencies(lambda x: previous(x[:, :1] - x[:, 1:]), x),
    shift,
    "dependencies: input channels that cancel",
    hint="!= 0 for each input channel, then any",
)
expect(
    dependencies(lambda x: -1e-7 * previous(x) ** 3, x),
    shift,
    "dependencies: small and negative slopes count",
    hint="!= 0, no threshold and no > 0",
)
expect(
    dependencies(lambda x: torch.zeros(1, 4, 2, 3, dtype=f64), x),
    torch.zeros(6, 6, dtype=torch.bool),
    "dependencies: a function that ignores its input",
    hint="allow_unused, or a function that copes",
)
expect(
    dependencies(lambda x: torch.cat([0 * x[:, :1], previous(x[:, 1:])], 1), x),
    shift,
    "dependencies: only the second channels have to do with each other",
    hint="any output channel, and any input channel",
)
leaf = x.clone().requires_grad_()
dependencies(previous, leaf)
dependencies(previous, x)
expect(
    leaf.grad is None and not x.requires_grad,
    True,
    "dependencies: x stays as it was",
    hint="work on x.detach().clone()",
)


# %%
# Given: dependence as tables of yes and no
def step_matrix(mask, height, width):
    """Which pixels one layer with this (kh, kw) mask lets a pixel see: BoolTensor (N, N)."""
    rows, columns = torch.nonzero(mask, as_tuple=True)
    up, right = rows - mask.shape[0] // 2, columns - mask.shape[1] // 2
    r, c = torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)
    i, j = r[:, None] + up, c[:, None] + right  # (N, taps)
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    step = torch.zeros(height * width, height * width)
    here = torch.arange(height * width)[:, None].expand_as(i)
    step[here[inside], (i * width + j)[inside]] = 1
    return step.bool()


def chained(*steps):
    """The boolean product of step matrices, the last layer first."""
    total = steps[0].float()
    for step in steps[1:]:
        total = (total @ step.float() > 0).float()
    return total.bool()


# %%
# Equations (19) and (20): by boolean powers, by the inequality, by derivatives
first, later = (step_matrix(conv_mask(kind, 1, 1, (3, 3))[0, 0], 5, 6) for kind in "AB")
for depth in (1, 2, 5):
    verify_equation(19, chained(*[later] * depth, first).triu().sum(), 0)
print("entries of B^5 on the diagonal:", int(chained(*[later] * 5).diagonal().sum()), "of 30")
for reach in (1, 2):
    size = (2 * reach + 1, 2 * reach + 1)
    a, b = (step_matrix(conv_mask(kind, 1, 1, size)[0, 0], 5, 6) for kind in "AB")
    seed_everything(8)
    stack = [MaskedConv2d("A", 1, 4, size), *[MaskedConv2d("B", 4, 4, size) for _ in range(9)]]
    net = nn.Sequential(
        *itertools.chain.from_iterable((layer.double(), nn.Softplus()) for layer in stack)
    )
    by_slopes = dependencies(net, torch.randn(1, 1, 5, 6, dtype=f64))
    rule = as_matrix(tables.seen(5, 6, "plain", reach))
    by_powers = chained(*[b] * 9, a)
    verify_equation(
        20, by_powers.sum(), rule.sum(), by_slopes.sum()
    )  # as many pairs, and the same ones
    verify_equation(20, by_powers.double(), rule.double(), by_slopes.double())

# %% [markdown]
# ### A network that cheats
#
# Here is the network of this section: a masked layer with A, a few residual blocks with B, logits. The cell below it trains it twice on images of six **fair coins** (2x3 pixels), once as it should be, and once with B in the first layer by mistake. Nobody can predict a fair coin, so no honest model can get below $6 \log 2 = 4.159$ nats.
#
# **Predict** three numbers for the network with the mistake: its loss, the sum of its 64 "probabilities", and how many *different* images come out when 1,000 are drawn.


# %%
# Given: PixelCNN
class Residual(nn.Module):
    """h + 1x1(silu(masked(silu(h))))."""

    def __init__(self, channels, kernel, dropout):
        super().__init__()
        self.masked = MaskedConv2d("B", channels, channels, (kernel, kernel))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h):
        return h + self.mix(self.dropout(F.silu(self.masked(F.silu(h)))))


def everywhere(layer, *maps):
    """A layer on whole images; section 7 has another way."""
    return layer(*maps)


class PixelCNN(nn.Module):
    """Logits (B, K, H, W) from levels (B, H, W): one mask A, then residual blocks with mask B."""

    def __init__(
        self, levels, height, width, channels=32, blocks=3, kernels=(5, 3), dropout=0.0, first="A"
    ):
        super().__init__()
        self.levels = levels
        self.first = MaskedConv2d(first, levels, channels, (kernels[0], kernels[0]))
        self.place = nn.Parameter(
            torch.zeros(channels, height, width)
        )  # what is usual at each place
        self.blocks = nn.ModuleList(Residual(channels, kernels[1], dropout) for _ in range(blocks))
        self.head = nn.Conv2d(channels, levels, 1)

    def one_hot(self, x):
        return F.one_hot(x, self.levels).movedim(-1, 1).to(self.place.dtype)

    def logits(self, shown, apply=everywhere, place=None):
        """From one-hot images (B, K, H, W). `apply` says how a layer is used: `everywhere`, or at one pixel alone."""
        h = apply(self.first, shown) + (self.place if place is None else place)
        for block in self.blocks:
            h = apply(block, h)
        return self.head(F.silu(h))

    def forward(self, x):
        return self.logits(self.one_hot(x))


def image_nats(model, x):
    """-log p(x) of images in nats, (B,): equation (11), one pass."""
    return F.cross_entropy(model(x), x, reduction="none").flatten(1).sum(1)


def mean_nats(model, x):
    return image_nats(model, x).mean()


@cache
def train_coins(first):
    """PixelCNN on fair coins, its first mask "A" or "B"."""
    coins = torch.randint(2, (64 * 150, 2, 3), generator=torch.Generator().manual_seed(0))
    seed_everything(0)
    model = PixelCNN(2, 2, 3, channels=16, blocks=2, kernels=(3, 3), first=first).to(device)
    run = fit(
        model, mean_nats, coins, steps=budget(150), batch_size=64, lr=1e-2, label="nats per image"
    )
    return model, run


# %% predict="my_loss"
my_loss = 3.0  # your prediction for the loss of the network with the mistake, in nats
my_total = 1.0  # your prediction for the sum of its 64 probabilities
my_different = 30  # your prediction for the number of different images among 1,000

# %% tags=["experiment"]
# Experiment: both networks on coins, asked for everything
fig, ax = plots.figure(width=6, height=3.2)
all_coins = tables.all_states([2] * 6).reshape(-1, 2, 3).to(device)
for first, role in (("A", "model"), ("B", "noise")):
    model, run = train_coins(first)
    plots.history(run, ax=ax, role=role, label=f"first mask {first}")
    with torch.no_grad():
        total = (-image_nats(model, all_coins).double()).exp().sum().item()
        u = torch.rand(1000, 2, 3, generator=torch.Generator().manual_seed(1)).to(device)
        drawn = ancestral_sample(model, u)
    different = len(drawn.flatten(1).unique(dim=0))
    print(
        f"mask {first}: loss {run.final:.4f} nats, sum of the 64 probabilities {total:.4f}, ",
        end="",
    )
    print(f"different images among 1,000: {different}; ones {drawn.double().mean():.1%}")
    findings[f"coins, first mask {first}: loss, sum of 64 probabilities, images"] = (
        f"{run.final:.3f} nats, {total:.2f}, {different}"
    )
ax.axhline(6 * math.log(2), color=plots.COLOR["exact"], linestyle="--", label="6 log 2")
ax.set(ylim=(-0.3, 5), title=f"With the mistake the loss falls to {run.final:.4f}")
plots.guess(ax, y=my_loss)
ax.legend(loc="center right", bbox_to_anchor=(1, 0.36))
plots.show(
    fig, alt="Training loss of both networks on fair coins, with the entropy of six coins dashed."
)
print(f"you predicted {my_loss:g} nats, a sum of {my_total:g}, {my_different} images")
inside = torch.randn(1, 2, 2, 3, device=device)
for first in "AB":
    leaks = dependencies(train_coins(first)[0].logits, inside).triu().sum()
    print(f"mask {first}: {int(leaks)} derivatives with respect to the pixel itself or a later one")

# %% [markdown]
# The loss of the network with the mistake is *splendid*, and worthless. It copies the answer from its input; what it gives are no probabilities of one model, and they sum to far more than 1. When it draws, it copies the placeholder: whatever stands on the canvas before a pixel is drawn. Three things expose it: the sum over all small images (2), the derivatives, and fair coins below $N \log 2$. Real data alone would
# not: a loss that is better than everybody else's looks like a discovery.
#
# ### Further: who else looks at the future
#
# Layers that seem harmless can leak as well, because they mix places. Normalisation does, if it takes mean and variance over the image. Put one between masked layers and count pairs $(i, j)$ with $j \ge i$ that have a derivative, of the 78 that must not exist on 3x4 pixels. **Predict** which of four leak: normalisation over the channels of each pixel (call it `"over channels"`), over groups of channels (`"GroupNorm"`), over the batch while training (`"BatchNorm"`), over the batch with frozen statistics (`"BatchNorm, frozen"`).

# %% predict="my_suspects"
my_suspects = {"GroupNorm"}  # your prediction: those that leak, with commas between


# %% tags=["experiment"]
# Experiment: four normalisations between masked layers
class OverChannels(nn.Module):
    """Layer normalisation of each pixel by itself."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, h):
        return self.norm(h.movedim(1, -1)).movedim(-1, 1)


norms = {
    "over channels": OverChannels,
    "GroupNorm": partial(nn.GroupNorm, 4),
    "BatchNorm": nn.BatchNorm2d,
    "BatchNorm, frozen": nn.BatchNorm2d,
}
caught = set()
small_images = tables.all_states([2] * 6).reshape(-1, 2, 3)
for name, norm in norms.items():
    seed_everything(0)
    net = nn.Sequential(
        *[
            MaskedConv2d("A", 2, 16, (3, 3)),
            norm(16),
            nn.SiLU(),
            MaskedConv2d("B", 16, 16, (3, 3)),
            norm(16),
            nn.SiLU(),
        ],
        MaskedConv2d("B", 16, 2, (3, 3)),
    ).double()
    net.train(name != "BatchNorm, frozen")
    leaks = int(dependencies(net, torch.randn(1, 2, 3, 4, dtype=f64)).triu().sum())
    total = 0.0
    with torch.no_grad():
        for image in small_images:  # one by one: nothing may leak through the batch
            logits = net(F.one_hot(image[None], 2).movedim(-1, 1).double())
            total += (-F.cross_entropy(logits, image[None], reduction="sum")).exp().item()
    caught |= {name} if leaks else set()
    print(f"{name:18} {leaks:3d} of 78 pairs leak; the 64 probabilities sum to {total:.4f}")
print(
    f"you suspected {', '.join(sorted(my_suspects))}: {'right' if my_suspects == caught else 'not quite'}"
)

# %% [markdown]
# A mean over the image contains every pixel, the future ones too, and one example per batch does not help. (Twelve of the 78 pairs cannot leak this way: the last pixel enters no open tap.)
#
# ### Further: colours in the mask
#
# Does a network with colours in its mask reach the chain's number in (22), and one without only the sum of the singles? One pixel of *china.jpg* at a time, so kernels of 1x1, trained on the whole table of colours. **Predict** what the network *without* reaches.

# %% predict="my_nats"
my_nats = 3.0  # your prediction, in nats per pixel

# %% tags=["experiment"]
# Experiment: the colours of single pixels, with and without colours in the mask
palette = tables.all_states([4, 4, 4])  # all colours, (64, 3)
weights = colours.flatten().float()
shown = F.one_hot(palette, 4).flatten(1)[:, :, None, None].float()  # (64, 12, 1, 1)
print(
    f"exact: {entropy(colours):.4f} by the chain, {singles:.4f} if independent; you predicted {my_nats:g}"
)
for groups in (3, 1):
    seed_everything(0)
    net = nn.Sequential(
        *[
            MaskedConv2d("A", 12, 96, (1, 1), groups),
            nn.SiLU(),
            MaskedConv2d("B", 96, 96, (1, 1), groups),
            nn.SiLU(),
        ],
        MaskedConv2d("B", 96, 12, (1, 1), groups),
    )

    def colour_nats(net, shown, palette, weights):
        logits = net(shown).reshape(-1, 3, 4)
        nats = F.cross_entropy(logits.movedim(-1, 1), palette, reduction="none").sum(1)
        return (weights * nats).sum()

    batch = [shown, palette, weights]
    fit(net, colour_nats, batch, steps=budget(400), batch_size=64, lr=2e-2, progress=False)
    with torch.no_grad():
        reached = colour_nats(net, *batch).item()
    print(f"colours={groups} in the mask: {reached:.4f} nats per pixel")
    findings[f"one pixel of china.jpg, colours={groups} in the mask"] = f"{reached:.3f} nats"

# %% [markdown]
# ## 6 · The blind spot, and two stacks that cure it
#
# By (20) a stack of plain 3x3 masks is blind to the pixels that lie far to the right in the rows above. Deeper does not help. Wider kernels push the border outwards, but it stays. A slide that lists *gated layers* as an improvement of PixelCNN forgets what came in the same paper: the cure for the blind spot.
#
# The trouble is the shape of a plain mask: it has to leave out the right part of its own row, and a layer that must look around that corner loses what lies behind. So split the work between **two stacks** of feature maps.
#
# * The **vertical** stack $v$ looks at the rows above, in full width: no corner. Its kernel ends with the row before (first layer) or with its own row (later layers, whose row holds rows above only).
# * The **horizontal** stack $h$ looks along its own row to the left, and takes from $v$, at its own place, whatever comes from above.
#
# Never back from $h$ to $v$: $v$ at a place is used by pixels further left, and must not know the row.
#
# $$\text{sees}(h_{r,c}) = \underbrace{\{(i, j) : i < r\}}_{\text{from } v,\ \text{all columns in reach}} \cup\ \underbrace{\{(r, j) : j < c\}}_{\text{from } h} = \text{all earlier pixels, and nothing else} \tag{21}$$
#
# *with enough layers: every layer of $v$ reaches further to both sides.*
#
# ### Exercise: `two_stack_layer` · ●●● · 10 minutes · 2 points
#
# One layer of both stacks, without bias and gate (the network below adds them). Write it with convolutions, or with a loop over the kernel's taps. A loop over pixels would be right as well, but the training below runs through your function some thousand times.


# %% exercise="two_stack_layer"
def two_stack_layer(v, h, w_v, w_h, w_vh, kind):
    """One layer of a vertical and a horizontal stack.

        v'[r, c] = sum_{i, j} w_v[:, :, i, j] v[r - s - (kr - 1) + i, c - (kc - 1)/2 + j]
        h'[r, c] = sum_j w_h[:, :, 0, j] h[r, c - s - (kw - 1) + j]  +  w_vh v'[r, c]

    with s = 1 for kind "A" (the first layer), s = 0 for kind "B", and zeros outside the image. So the last row of w_v
    meets row r - s, and the last tap of w_h column c - s. Each w[:, :, i, j] is a matrix that acts on channels.

    Args:
        v: (B, C, H, W). h: (B, C', H, W).
        w_v: (V, C, kr, kc), kc odd. w_h: (D, C', 1, kw). w_vh: (D, V, 1, 1).
        kind: "A" or "B"; no other occurs.

    Returns:
        (v', h'): (B, V, H, W) and (B, D, H, W).
    """
    ### BEGIN SOLUTION
    s = 1 if kind == "A" else 0
    rows, columns, width = *w_v.shape[2:], w_h.shape[3]
    # Zeros before, and for kind A the last row (column) cut off behind: everything moves by one.
    v_new = F.conv2d(F.pad(v, (columns // 2, columns // 2, rows - 1 + s, -s)), w_v)
    along = F.conv2d(F.pad(h, (width - 1 + s, -s)), w_h)
    return v_new, along + F.conv2d(v_new, w_vh)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# `F.conv2d` without padding puts the *first* tap of the kernel on the first row it sees. Where must zeros be added so that the *last* row of `w_v` meets row $r - s$?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# All the padding goes in front: $k_r - 1 + s$ rows above, and none below. With $s = 1$ that is one row too many, so the last row of the image is dropped. Sideways the same number on both sides for $v$; for $h$ all of it to the left. `F.pad(x, (left, right, above, below))` takes negative numbers, which cut.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `F.conv2d(F.pad(v, (kc // 2, kc // 2, kr - 1 + s, -s)), w_v)`, for $h$ with `(kw - 1 + s, -s)`, and the new $v$ (not the old one) through `w_vh`.
# </details>

# %% checks="two_stack_layer"
# Checks of two_stack_layer
generator = torch.Generator().manual_seed(9)
v, h = (
    torch.randn(2, 3, 4, 5, generator=generator, dtype=f64),
    torch.randn(2, 2, 4, 5, generator=generator, dtype=f64),
)
for kind, kernel in (("A", (2, 3, 2)), ("B", (3, 5, 3)), ("A", (1, 1, 1)), ("B", (1, 1, 1))):
    rows, columns, taps = kernel
    w_v, w_h, w_vh = (
        torch.randn(*shape, generator=generator, dtype=f64)
        for shape in ((4, 3, rows, columns), (5, 2, 1, taps), (5, 4, 1, 1))
    )
    s, name = {"A": 1, "B": 0}[kind], f"kind {kind}, kernels {rows}x{columns} and 1x{taps}"
    got = two_stack_layer(v, h, w_v, w_h, w_vh, kind)
    places, ones, twos = ((3, 2), (0, 4)), [], []
    for r, c in places:  # the formula at two pixels, written out
        one, two = torch.zeros(2, 4, dtype=f64), torch.zeros(2, 5, dtype=f64)
        for i, j in itertools.product(range(rows), range(columns)):
            row, column = r - s - (rows - 1) + i, c - (columns - 1) // 2 + j
            if 0 <= row < 4 and 0 <= column < 5:
                one += v[:, :, row, column] @ w_v[:, :, i, j].T
        for j in range(taps):
            column = c - s - (taps - 1) + j
            if 0 <= column < 5:
                two += h[:, :, r, column] @ w_h[:, :, 0, j].T
        ones.append(one)
        twos.append(two + one @ w_vh[:, :, 0, 0].T)
    expect(
        [tuple(part.shape) for part in got],
        [(2, 4, 4, 5), (2, 5, 4, 5)],
        f"two_stack_layer: {name}, shapes",
        hint="(v', h'), and the image keeps its size",
    )
    expect(
        [got[0][:, :, r, c] for r, c in places],
        ones,
        f"two_stack_layer: {name}, v' at (3, 2) and (0, 4)",
        hint="the last row of w_v meets row r - s; columns are centred",
    )
    expect(
        [got[1][:, :, r, c] for r, c in places],
        twos,
        f"two_stack_layer: {name}, h' at (3, 2) and (0, 4)",
        hint="the last tap of w_h meets column c - s of h; then w_vh times the new v",
    )


# %%
# Given: two gated stacks as a network
class GatedLayer(nn.Module):
    """A layer of both stacks with biases and gates, tanh(a) sigmoid(b), and a residual path in the horizontal one."""

    def __init__(self, kind, inputs, channels, kernel, dropout):
        super().__init__()
        rows, columns, taps = kernel
        self.kind = kind
        self.w_v = nn.Conv2d(inputs, 2 * channels, (rows, columns)).weight
        self.w_h = nn.Conv2d(inputs, 2 * channels, (1, taps)).weight
        self.w_vh = nn.Conv2d(2 * channels, 2 * channels, 1).weight
        self.bias = nn.Parameter(torch.zeros(2, 2 * channels, 1, 1))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, v, h):
        v_new, h_new = two_stack_layer(v, h, self.w_v, self.w_h, self.w_vh, self.kind)
        v_new, h_new = (
            self.gated(x + bias) for x, bias in zip((v_new, h_new), self.bias, strict=True)
        )
        h_new = self.mix(self.dropout(h_new))
        return v_new, h_new if self.kind == "A" else h + h_new

    def gated(self, x):
        a, b = x.chunk(2, 1)
        return a.tanh() * b.sigmoid()


class TwoStacks(PixelCNN):
    """Logits (B, K, H, W) from levels (B, H, W) by two stacks: a gated PixelCNN without a blind spot."""

    def __init__(self, levels, height, width, channels=24, depth=3, kernel=(2, 3, 2), dropout=0.0):
        nn.Module.__init__(self)
        self.levels = levels
        self.first = GatedLayer("A", levels, channels, (kernel[0], kernel[1], 3), dropout)
        self.place = nn.Parameter(torch.zeros(channels, height, width))
        self.layers = nn.ModuleList(
            GatedLayer("B", channels, channels, kernel, dropout) for _ in range(depth)
        )
        self.head = nn.Conv2d(channels, levels, 1)

    def logits(self, shown, apply=everywhere, place=None):
        v, h = apply(self.first, shown, shown)
        h = h + (self.place if place is None else place)
        for layer in self.layers:
            v, h = apply(layer, v, h)
        return self.head(F.silu(h))


# %%
# Equation (21): derivatives of two stacks with layers enough to reach from side to side
seed_everything(10)
wide = TwoStacks(2, 4, 6, channels=6, depth=5).double()
found = dependencies(wide.logits, torch.randn(1, 2, 4, 6, dtype=f64))
rule = as_matrix(tables.seen(4, 6, "full"))
verify_equation(21, found.sum(), rule.sum())  # as many pairs, and the same ones
verify_equation(21, found.double(), rule.double())

# %% [markdown]
# **Does it matter in practice?** A data set made for the purpose: the copy process of section 1 on 6x6 pixels with shift $s = 2$. Each pixel below copies the one in the row above, two columns to the *right*: in the blind spot of 3x3 masks, outside the quadrant, within reach of 5x5 masks. By (10) it has 17.59 nats, and somebody who does not see the copied pixel pays for all coins, 24.95.
#
# Four networks of this lesson are trained for 200 steps each. **Predict** what the recurrence (17) will pay.

# %% predict="my_cost"
my_cost = 20.0  # your prediction, in nats


# %%
# Given: images that copy, and four networks for them
def copied_images(count, size, shift, flip, seed):
    """Images of the copy process, LongTensor (count, size, size), and their log-probabilities, (count,)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(2, (count, size, size), generator=generator)
    flips = (torch.rand(count, size, size, generator=generator) < flip).long()
    for r in range(1, size):
        x[:, r, : size - shift] = x[:, r - 1, shift:] ^ flips[:, r, : size - shift]
    errors = flips[:, 1:, : size - shift].flatten(1)
    coins = size * size - errors.shape[1]
    log_p = torch.where(errors == 1, math.log(flip), math.log(1 - flip)).sum(1) - coins * math.log(
        2
    )
    return x, log_p


@cache
def train_on_copies(name):
    """One of four networks, trained on the copy process with shift 2."""
    images, _ = copied_images(200 * 64, 6, 2, 0.1, seed=0)
    seed_everything(0)
    make = {
        "plain 3x3": partial(PixelCNN, 2, 6, 6, channels=24, blocks=2, kernels=(3, 3)),
        "2-D recurrence": partial(PixelRNN, 2, 16),
        "plain 5x5": partial(PixelCNN, 2, 6, 6, channels=24, blocks=2, kernels=(5, 5)),
        "two stacks": partial(TwoStacks, 2, 6, 6, channels=16, depth=2),
    }
    model = make[name]().to(device)
    fit(
        model,
        mean_nats,
        images,
        steps=budget(200),
        batch_size=64,
        lr=1e-2,
        label=f"nats per image, {name}",
    )
    return model


# %% tags=["experiment"]
# Experiment: four networks on the copy process
print("Training four small networks takes about 10 seconds.")
images, log_p = copied_images(2000, 6, 2, 0.1, seed=1)
coin = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
exact_cost = 36 * math.log(2) - 5 * 4 * (math.log(2) - coin)
blind_cost = 36 * math.log(2)
paid = {}
for name in ("plain 3x3", "2-D recurrence", "plain 5x5", "two stacks"):
    model = train_on_copies(name)
    with torch.no_grad():
        nats = image_nats(model, images.to(device)).cpu()
    more, doubt = mean_and_error(
        nats + log_p
    )  # precise for a model that sees, as the two logarithms then go together
    cost, error = min([(exact_cost + more, doubt), mean_and_error(nats)], key=lambda pair: pair[1])
    paid[name] = cost
    print(
        f"{name:15} pays {cost:6.3f} +- {error:.3f} nats, {cost - exact_cost:.3f} more than the entropy"
    )
    findings[f"copy process, {name}"] = f"{cost:.3f} ± {error:.3f} nats"
fig, ax = plots.figure(width=6, height=2.8)
ax.barh(list(paid), list(paid.values()), color=plots.COLOR["model"])
for line, text in ((exact_cost, "entropy"), (blind_cost, "blind")):
    ax.axvline(
        line,
        color=plots.COLOR["exact"],
        linestyle="--" if text == "entropy" else ":",
        label=f"{text}: {line:.2f}",
    )
plots.guess(ax, x=my_cost)
ax.set(xlim=(15, 26.5), xlabel="nats per image", ylim=(3.6, -0.6))
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
see = [name for name, cost in paid.items() if cost < (exact_cost + blind_cost) / 2]
ax.set_title(f"They see it: {', '.join(see) or 'none'}")
plots.show(fig, alt="Nats paid by four networks, between the entropy and the cost of being blind.")

# %% [markdown]
# Not "a little worse": networks that are blind pay exactly the price of (9), to the third digit, and no training would help. Architecture decides what can be learned at all; training, how much of it is.
#
# Now play with what a pixel sees. How many layers do two stacks need until nothing is missing? Does a 5x5 kernel rid plain masks of the blind spot, or only move it?


# %% tags=["experiment"]
# Drag: what does this pixel see?
def layer_steps(kernel, architecture, height=8, width=8):
    """Step matrices of the first and of every later layer, for one stack or for both."""
    half = kernel // 2
    if architecture == "plain masks":
        a, b = torch.zeros(2, kernel, kernel)
        a[:half], a[half, :half] = 1, 1
        b[:half], b[half, : half + 1] = 1, 1
        return [(step_matrix(a, height, width),), (step_matrix(b, height, width),)]
    above, here, before, same = torch.zeros(4, kernel, kernel)
    above[:half], here[: half + 1] = 1, 1  # of the vertical stack: rows above, and with its own
    before[half, :half], same[half, : half + 1] = (
        1,
        1,
    )  # of the horizontal one: to the left, and with itself
    return [
        (step_matrix(one, height, width), step_matrix(two, height, width))
        for one, two in ((above, before), (here, same))
    ]


@cache
def reached(architecture, kernel, layers):
    """BoolTensor (64, 64): what the output of `layers` layers sees."""
    if architecture == "2-D recurrence":
        return as_matrix(tables.seen(8, 8, "quadrant"))
    first, later = layer_steps(kernel, architecture)
    if architecture == "plain masks":
        return chained(*[later[0]] * (layers - 1), first[0])
    v, h = first[0], first[0] | first[1]
    for _ in range(layers - 1):
        v = chained(later[0], v)
        h = chained(later[1], h) | v
    return h


def draw_seen(architecture, kernel, layers, row, column):
    here = row * 8 + column
    drawn = torch.zeros(64, dtype=torch.long)
    drawn[:here] = 1
    drawn[reached(architecture, kernel, layers)[here]] = 2
    drawn[here] = 3
    sees = int((drawn == 2).sum())
    look = {
        "not known yet": None,
        "earlier, not seen": "noise",
        "seen": "model",
        "the pixel itself": "data",
    }
    return plots.cells(drawn.reshape(8, 8), look, title=f"It sees {sees} of {here} earlier pixels")


widgets.explore(
    draw_seen,
    alt="The pixels of an 8x8 image that one pixel sees, those it does not see, and those to come.",
    architecture=["plain masks", "two stacks", "2-D recurrence"],
    kernel=[3, 5],
    layers=(1, 8, 3),
    row=(0, 7, 5),
    column=(0, 7, 2),
)

# %% [markdown]
# If the blind spot is so bad, why did plain PixelCNNs do so well? Because in natural images it hides little that matters. Slide the coupling of an Ising model and see what each context loses, exactly.


# %% tags=["experiment"]
# Drag: when does the blind spot matter?
couplings = [n / 20 for n in range(1, 21)]
lost_by = {name: [] for name in ("none", "row", "quadrant", "plain")}
for coupling in couplings:
    joint = tables.ising(4, 4, coupling)
    least = entropy(joint)
    for name, lost in lost_by.items():
        lost.append((context_entropy(joint, tables.seen(4, 4, name)) - least).item())


def draw_lost(coupling, context):
    fig, ax = plots.figure(width=6, height=3)
    others = [name for name in lost_by if name != context]
    for name, lost in lost_by.items():
        if name == context:
            plots.curve(couplings, lost, "model", ax=ax, label=name, linewidth=2.6)
        else:
            label = "the others" if name == others[0] else None
            plots.curve(couplings, lost, "noise", ax=ax, linewidth=1.0, label=label)
    now = lost_by[context][round(coupling * 20) - 1]
    ax.axvline(coupling, color=plots.COLOR["data"], linewidth=1)
    ax.set(
        xlabel="coupling $J$",
        ylabel="nats lost, of the best possible",
        yscale="log",
        ylim=(1e-6, 12),
    )
    ax.minorticks_off()  # fifty of them would take half of the time
    ax.set_title(f"“{context}” loses {now:.4f} nats at J = {coupling:.2f}")
    return fig


widgets.explore(
    draw_lost,
    alt="Nats lost on an Ising model against its coupling, for four contexts.",
    coupling=(0.05, 1.0, 0.4),
    context=["plain", "quadrant", "row", "none"],
)

# %% [markdown]
# ## 7 · Digits in bits
#
# Everything is ready for the handwritten digits: 8x8 pixels, 17 levels, the same 360 test digits for all. The models are exactly comparable, for (11) has one meaning for everybody. First those that only count, then two networks of yours. The bits of lesson 02's kind of model are a bound, marked as such.
#
# | model | what it knows |
# |---|---|
# | uniform | nothing: $\log_2 17$ |
# | own histogram | how dark each place is |
# | left neighbour | for each place a table, given the pixel to the left |
# | VAE | a code of 8 numbers, pixels independent given the code |
# | plain PixelCNN | all earlier pixels but those in the blind spot |
# | two stacks | all earlier pixels |
#
# **Predict** how many bits per pixel your two-stack network will need on digits that it has never seen.

# %% predict="my_bits"
my_bits = 3.0  # your prediction, in bits per pixel


# %%
# Given: networks for the digits, and models that only count
@cache
def train_digits(name):
    """A pixel network for the digits, trained once: "plain PixelCNN" or "two stacks"."""
    seed_everything(0)
    if name == "two stacks":
        model = TwoStacks(LEVELS, SIDE, SIDE, channels=24, depth=3, dropout=0.1)
    else:
        model = PixelCNN(LEVELS, SIDE, SIDE, channels=32, blocks=3, dropout=0.1)
    model = model.to(device)
    run = fit(
        model,
        mean_nats,
        train_x,
        steps=budget(700),
        batch_size=32,
        lr=1e-2,
        ema=0.99,
        label=f"nats per image, {name}",
    )
    return model, run


class DigitVAE(nn.Module):
    """Lesson 02's model with one softmax over 17 levels for each pixel."""

    def __init__(self, latent=8):
        super().__init__()
        self.encoder = networks.mlp([64, 256, 256, 2 * latent])
        self.decoder = networks.mlp([latent, 256, 256, 64 * LEVELS])

    def negative_elbo(self, x):
        """In nats per image, (B,), with one code for each."""
        mu, logvar = self.encoder(x.flatten(1) / 8 - 1).chunk(2, 1)
        z = mu + (logvar / 2).exp() * torch.randn_like(mu)
        logits = self.decoder(z).reshape(len(x), 64, LEVELS)
        reconstruction = F.cross_entropy(logits.movedim(-1, 1), x.flatten(1), reduction="none").sum(
            1
        )
        return reconstruction + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)


@cache
def train_vae():
    seed_everything(0)
    model = DigitVAE().to(device)

    def loss(model, x):
        return model.negative_elbo(x).mean()

    fit(model, loss, train_x, steps=budget(800), lr=2e-3, label="nats per image, VAE")
    return model


def counted_nats():
    """-log p of the test digits under models that only count, each (360,) in nats."""
    train, test = train_x.cpu(), test_x.cpu()
    histogram = F.one_hot(train, LEVELS).sum(0) + 1.0  # (8, 8, 17)
    histogram = histogram / histogram.sum(-1, keepdim=True)
    own = -histogram.log().expand(len(test), -1, -1, -1).gather(-1, test[..., None])[..., 0]
    pairs = (
        20 * histogram[:, :, None].expand(8, 8, LEVELS, LEVELS).clone()
    )  # 20 imagined pixels like the histogram
    for r, c in itertools.product(range(8), range(1, 8)):
        seen = train[:, r, c - 1] * LEVELS + train[:, r, c]
        pairs[r, c] += seen.bincount(minlength=LEVELS**2).reshape(LEVELS, LEVELS)
    pairs = pairs / pairs.sum(-1, keepdim=True)
    left = own.clone()
    for r, c in itertools.product(range(8), range(1, 8)):
        left[:, r, c] = -pairs[r, c][test[:, r, c - 1], test[:, r, c]].log()
    return {
        "uniform": torch.full((len(test),), 64 * math.log(LEVELS)),
        "own histogram": own.flatten(1).sum(1),
        "left neighbour": left.flatten(1).sum(1),
    }


# %% tags=["experiment"]
# Experiment: bits per pixel of the test digits
print("Training three networks takes about 30 seconds.")
nats = counted_nats()
vae = train_vae()
trained = {name: train_digits(name)[0] for name in ("plain PixelCNN", "two stacks")}
with torch.no_grad():
    seed_everything(4)
    nats["VAE (at most)"] = (
        torch.stack([vae.negative_elbo(test_x) for _ in range(20)]).mean(0).cpu()
    )
    for name, model in trained.items():
        nats[name] = image_nats(model, test_x).cpu()
bits = {name: mean_and_error(values / (64 * math.log(2))) for name, values in nats.items()}
for name, (mean, error) in bits.items():
    print(f"{name:16} {mean:.3f} +- {error:.3f} bits per pixel")
    findings[f"bits per pixel on test digits, {name}"] = f"{mean:.3f} ± {error:.3f}"
apart, error = mean_and_error((nats["plain PixelCNN"] - nats["two stacks"]) / (64 * math.log(2)))
print(f"plain PixelCNN minus two stacks, digit by digit: {apart:.3f} +- {error:.3f}")
weights = [f"{name} {networks.parameter_count(model):,}" for name, model in trained.items()]
print("weights:", ", ".join(weights))
fig, ax = plots.figure(width=6.4, height=3.2)
values, errors = zip(*bits.values(), strict=True)
roles = ["noise"] * 3 + ["bound"] + ["model"] * 2
ax.barh(
    list(bits), values, xerr=[2 * e for e in errors], color=[plots.COLOR[role] for role in roles]
)
plots.guess(ax, x=my_bits)
ax.set(xlim=(1, 4.3), ylim=(5.6, -0.6), xlabel="bits per pixel")
ax.set_title(
    f"Two stacks: {bits['two stacks'][0]:.2f} bits, the VAE: {bits['VAE (at most)'][0]:.2f} at most"
)
plots.show(fig, alt="Bits per pixel on the test digits of six models, from uniform to two stacks.")

# %% [markdown]
# Each row of the table adds knowledge, and each is paid back in bits. The VAE sees how the pixels go together, through its code; but given the code its pixels are independent, and it can only bound its own likelihood. (*"No dependencies among pixels, can generate all pixels at the same time!"* says a slide about VAEs. Given $z$, yes. Summed over $z$ they depend (in lesson 01's linear model with covariance $W W^\top + \sigma^2 I$), or a VAE could draw nothing but the first picture of this lesson.)
#
# Plain and two stacks differ in gates and depth as well as in the blind spot, so do not read the last difference as the price of blindness.
#
# ### Drawing, without doing everything again
#
# `ancestral_sample` runs the whole network for every pixel, although a new pixel changes little: of every feature map a single column, the one at its own place, has to be computed anew, and all before it stay what they were. So keep the maps, and in each step apply every layer to the small window that this one place looks at. That is given code here. Your own sampler is the judge of it: both must draw the same digits from the same $u$.


# %%
# Given: a sampler that computes only what changes
class Walk:
    """Uses the layers of a pixel network on a part of one row, and keeps their inputs. Call it as `apply`."""

    UP, SIDE = 2, 3  # how far any layer here looks up, and to each side

    def __init__(self, batch, height, width, like):
        self.size, self.like = (batch, height + self.UP, width + 2 * self.SIDE), like
        self.maps = {}

    def go(self, row, first, last):
        """From now on: the columns first to last - 1 of this row."""
        self.row, self.first, self.last = row, first, last

    def write(self, layer, *values):
        """Store what `layer` gets there, each (B, C, 1, columns)."""
        batch, height, width = self.size
        if layer not in self.maps:  # with a border of zeros
            self.maps[layer] = [
                self.like.new_zeros(batch, x.shape[1], height, width) for x in values
            ]
        columns = slice(self.first + self.SIDE, self.last + self.SIDE)
        for kept, x in zip(self.maps[layer], values, strict=True):
            kept[:, :, self.row + self.UP, columns] = x[:, :, 0]

    def __call__(self, layer, *values):
        self.write(layer, *values)
        rows = slice(self.row, self.row + self.UP + 1)
        columns = slice(self.first, self.last + 2 * self.SIDE)
        out = layer(*[kept[:, :, rows, columns] for kept in self.maps[layer]])
        here = slice(self.SIDE, self.SIDE + self.last - self.first)
        parts = out if isinstance(out, tuple) else (out,)
        parts = tuple(part[:, :, self.UP :, here] for part in parts)
        return parts if isinstance(out, tuple) else parts[0]


@torch.no_grad()
def draw(model, u, temperature=1.0, given=None):
    """What `ancestral_sample` draws, computing only what changes."""
    height, width = u.shape[1:]
    x = torch.zeros(u.shape, dtype=torch.long, device=u.device)
    known = 0 if given is None else given.shape[1]
    if known:
        x.flatten(1)[:, :known] = given  # a view
    walk = Walk(*u.shape, like=model.place)

    def look(row, first, last):
        walk.go(row, first, last)
        shown = model.one_hot(x[:, row : row + 1, first:last])
        return model.logits(shown, walk, model.place[:, row : row + 1, first:last])

    for r, c in itertools.product(range(height), range(width)):
        if (
            c == 0
        ):  # the vertical stack looks to the right as well: its row comes first, from the rows above
            look(r, 0, width)
        logits = look(r, c, c + 1)[:, :, 0, 0]
        if r * width + c >= known:
            x[:, r, c] = sample_categorical(logits, u[:, r, c], temperature)
        shown = model.one_hot(x[:, r : r + 1, c : c + 1])  # now the pixel is known
        walk.write(model.first, *[shown] * len(walk.maps[model.first]))
    return x


# %% [markdown]
# Look at the table of bits once more. Lesson 06 will train a diffusion model on these very digits. It needs at most about 2.5 bits per pixel, far more than yours, and of its drawings a classifier recognises four out of five. **Predict** which share of your two-stack digits it will recognise.

# %% predict="my_recognised"
my_recognised = 0.9  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: digits drawn at three temperatures, and forty of them pixel by pixel
model, _ = train_digits("two stacks")
u = torch.rand(300, SIDE, SIDE, generator=torch.Generator().manual_seed(5)).to(device)
same = (draw(model, u[:20]) == ancestral_sample(model, u[:20])).all((1, 2)).sum()
print(f"the quick sampler draws what ancestral_sample draws: {same} of 20 images")
drawn = {temperature: draw(model, u, temperature) for temperature in (1.0, 0.8, 0.6)}
shares = {temperature: metrics.recognised(x[:, None] / 16) for temperature, x in drawn.items()}
for temperature, share in shares.items():
    with torch.no_grad():
        own = image_nats(model, drawn[temperature]).mean().item() / (64 * math.log(2))
    print(f"T = {temperature}: recognised {share}; {own:.2f} bits per pixel under the model itself")
    findings[f"two-stack digits recognised at T = {temperature}"] = f"{share}".replace("+-", "±")
print(f"you predicted {my_recognised:g} at T = 1")
rows = torch.cat([drawn[temperature][:12] for temperature in drawn] + [test_x[:12]]).cpu() / 16
fig, _ = plots.image_grid(
    rows,
    12,
    labels=[*(f"T = {t}" for t in drawn), "real"],
    title=f"Recognised at T = 1: {shares[1.0].value:.0%}",
)
plots.show(fig, alt="Digits drawn by two stacks at three temperatures, and real ones.")
digits = drawn[0.6][:40].cpu() / 16
film.show(
    torch.stack([torch.where(torch.arange(64).reshape(8, 8) < n, digits, 0.0) for n in range(65)]),
    10,
    alt="Forty digits of the two stacks appear, pixel by pixel, row by row from the upper left.",
)

# %% [markdown]
# The better likelihood draws the worse pictures. How can that be? A likelihood is a sum over pixels of how well each is predicted *from a true past* (6), and most of the bits of a digit go into which of two neighbouring grey levels a pixel has. In that, nobody beats a model with the exact rows. What makes an eight an eight is a small part of the sum. And while drawing the model meets *its own* pasts (7): after two strange pixels it stands
# where no digit has ever been. Diffusion settles the large shape first and the grey levels last, and is charged for the last. **Likelihood and beauty are two things**; lesson 06 tells the same story from the other side, and sends you back here.
#
# At a lower temperature the drawings look better and the variety shrinks. By section 3 they are then drawn from something that has no simple name.
#
# **Complete a digit.** The upper half of a test digit is given; by (16) the model's continuation is exactly its own $p(\text{below} \mid \text{above})$. How often will the completed digit be taken for the one it was?

# %% predict="my_same"
my_same = 0.9  # your prediction, between 0 and 1

# %% tags=["experiment"]
# Experiment: upper halves completed
model, _ = train_digits("two stacks")
halves = test_x.flatten(1)[:, :32]
u = torch.rand(len(halves), SIDE, SIDE, generator=torch.Generator().manual_seed(6)).to(device)
finished = draw(model, u, 0.8, given=halves)
seen, _ = metrics.recognise(finished[:, None] / 16)
classes = data.digits("test", labels=True)[1].cpu()
same = (seen == classes).double()
share, error = mean_and_error(same)
print(
    f"completed at T = 0.8 and taken for the original's class: {share:.2f} +- {error:.2f}; you predicted {my_same:g}"
)
findings["halves completed, taken for the same digit"] = f"{share:.2f} ± {error:.2f}"
ways = torch.cat([draw(model, u[12 * k : 12 * k + 12], 0.8, given=halves[:12]) for k in range(3)])
rows = (
    torch.cat(
        [test_x[:12], test_x[:12] * (torch.arange(8, device=device) < 4)[:, None], ways]
    ).cpu()
    / 16
)
fig, _ = plots.image_grid(
    rows,
    12,
    labels=["original", "given", "one way", "another", "a third"],
    title=f"The same digit in {share:.0%}",
)
plots.show(fig, alt="Test digits, their upper halves, and three completions of each.")

# %% [markdown]
# And watch one being drawn. Left the unfinished digit, right what the model thinks of the next pixel. Go through a stroke's edge and through the background. Where is the model sure, and where is it surprised by its own draw?


# %% tags=["experiment"]
# Drag: the next pixel
@cache
def one_walk(temperature):
    """A digit drawn at this temperature, (8, 8), and the probabilities of all its pixels, (64, 17)."""
    model, _ = train_digits("two stacks")
    u = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(3)).to(device)
    x = draw(model, u, temperature)
    with torch.no_grad():
        logits = model(x)[0].flatten(1).T.cpu()
    if temperature == 0:
        return x[0].cpu(), F.one_hot(logits.argmax(1), LEVELS).float()
    return x[0].cpu(), (logits / temperature).softmax(1)


def draw_next(drawn, temperature):
    x, rows = one_walk(temperature)
    fig, (left, right) = plots.figure(1, 2, width=7.2, height=2.8, width_ratios=[1, 1.9])
    canvas = torch.where(torch.arange(64) < drawn, x.flatten(), 0).reshape(1, 8, 8) / 16
    plots.image_grid(canvas, 1, ax=left, title=f"{drawn} pixels drawn")
    if drawn < 64:
        level = int(x.flatten()[drawn])
        shades = [
            plots.COLOR["model"] if k == level else plots.COLOR["noise"] for k in range(LEVELS)
        ]
        right.bar(range(LEVELS), rows[drawn], color=shades)
        nats = -rows[drawn][level].log2().item()
        right.set_title(f"Next: level {level}, a surprise of {abs(nats):.1f} bits")
    else:
        right.set_title("Nothing is left to draw")
    right.set(
        xlim=(-0.7, 16.7), ylim=(0, 1), xlabel="grey level of the next pixel", ylabel="probability"
    )
    return fig


widgets.explore(
    draw_next,
    alt="An unfinished digit and the probabilities of its next pixel.",
    drawn=(0, 64, 28),
    temperature=[1.0, 0.0, 0.5, 0.8, 1.5],
)

# %% [markdown]
# ## 8 · A causal transformer
#
# The third classical network forgets about rows and columns. It reads an image as one sequence, and lets every place fetch what it needs from any earlier place, however far: **attention**. Each place $i$ sends out a *query* $q_i$ and offers a *key* $k_i$ and a *value* $v_i$, all three linear in its own state. What it gets back is
#
# $$y_i = \sum_{j \le i} a_{ij}\, v_j, \qquad a_{ij} = \operatorname{softmax}_{j \le i} \left( \frac{q_i \cdot k_j}{\sqrt d} \right) \tag{23}$$
#
# *a weighted mean of the values at $i$ and before; $d$ is the length of a query, and the root keeps scores of independent entries at variance 1.* The *causal mask* $j \le i$ does here what masks A and B do for convolutions. There is no A: the sequence goes in moved by one (section 2), so place $i$ holds $x_{i-1}$, and may see itself.
#
# When a sequence grows, only the newest places ask. So let there be $M \le N$ queries, those of the **last** $M$ of $N$ places.
#
# ### Exercise: `causal_attention` · ●●○ · 6 minutes · 2 points


# %% exercise="causal_attention"
def causal_attention(q, k, v):
    """Attention of the last M of N positions to themselves and to what came before: equation (23).

    Args:
        q: (B, heads, M, d), queries of the positions N - M, ..., N - 1 (counted from 0), 1 <= M <= N.
        k: (B, heads, N, d), keys of all positions. v: (B, heads, N, e), their values.

    Returns:
        (B, heads, M, e). Query i sees the keys 0 to N - M + i; scores are divided by sqrt(d). Stable for large scores.
    """
    ### BEGIN SOLUTION
    M, N = q.shape[-2], k.shape[-2]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    future = torch.ones(M, N, dtype=torch.bool, device=q.device).triu(N - M + 1)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# All scores at once are one matrix product, (M, N). Which of them must not count? And what has to stand there so that a softmax gives them nothing?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $-\infty$ before the softmax (a zero *after* it would leave the others' sum below 1). Query $i$ stands at place $N - M + i$, so the forbidden triangle begins $N - M + 1$ columns to the right of the diagonal.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `scores = q @ k.mT / math.sqrt(d)`; `torch.ones(M, N, dtype=torch.bool, device=q.device).triu(N - M + 1)` is the future; `masked_fill(future, -math.inf)`, softmax over the keys, `@ v`. PyTorch's own `is_causal=True` means another triangle when $M < N$.
# </details>

# %% checks="causal_attention"
# Checks of causal_attention
generator = torch.Generator().manual_seed(11)
q, k, v = (torch.randn(2, 3, 5, size, generator=generator, dtype=f64) for size in (4, 4, 6))
full = F.scaled_dot_product_attention(q, k, v, is_causal=True)
expect(
    causal_attention(q, k, v),
    full,
    "causal_attention: M = N agrees with PyTorch's own",
    hint="scores over sqrt(d), the softmax over the keys, keys after the query hidden before the softmax",
)
for last in (1, 2, 4):
    expect(
        causal_attention(q[:, :, -last:], k, v),
        full[:, :, -last:],
        f"causal_attention: the last {last} of 5 positions",
        hint="query i stands at position N - M + i, and sees everything up to there",
    )
expect(
    causal_attention(300 * q, 300 * k, v).isfinite().all(),
    True,
    "causal_attention: large scores",
    hint="softmax, not exp over a sum",
)
expect(
    causal_attention(q, k, torch.ones_like(v)),
    torch.ones(2, 3, 5, 6, dtype=f64),
    "causal_attention: weights sum to 1 over the past",
    hint="-inf before the softmax, no zeros after it",
)

# %%
# Equation (23): against sums written out, and against PyTorch
generator = torch.Generator().manual_seed(12)
q, k, v = (torch.randn(1, 2, 6, 4, generator=generator, dtype=f64) for _ in range(3))
a = torch.zeros(1, 2, 6, 6, dtype=f64)
for i in range(6):
    a[:, :, i, : i + 1] = ((k[:, :, : i + 1] * q[:, :, i : i + 1]).sum(-1) / 2).softmax(-1)
mine = causal_attention(q, k, v)
verify_equation(23, mine, a @ v, F.scaled_dot_product_attention(q, k, v, is_causal=True))

# %% [markdown]
# Keys and values of a place depend on the tokens up to this place, in every layer, and what comes later never changes them. So when a token is added, everything old can be kept:
#
# $$k_j, v_j \text{ depend on tokens} \le j \quad\Longrightarrow\quad \text{the last rows of a pass over all} = \text{new queries against stored keys and values} \tag{24}$$
#
# *(23) for the newest places alone, with the same $k_j$, $v_j$.* This is the **cache** with which every language model writes. It changes nothing, to the last digit, and it saves almost everything.
#
# ### Exercise: `self_attention` · ●●○ · 8 minutes · 2 points


# %% exercise="self_attention"
def self_attention(x, w_qkv, w_out, heads, cache=None):
    """Causal self-attention with several heads, for new positions behind those in a cache.

    Args:
        x: (B, M, D), the states of the M new positions; `heads` divides D.
        w_qkv: (3 D, D). Its first D rows make the queries, the next D the keys, the last D the values (as in
            nn.MultiheadAttention); each x is multiplied as x w^T. Head number a has the entries a D/heads to
            (a + 1) D/heads - 1 of each.
        w_out: (D, D).
        cache: None, or (k, v), each (B, heads, P, D/heads): keys and values of the P positions before.

    Returns:
        (y, (k, v)): y (B, M, D) = the heads' answers side by side, times w_out^T; k and v of all P + M positions. No
        bias and no residual. The given cache stays as it was.
    """
    ### BEGIN SOLUTION
    q, k, v = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (x @ w_qkv.T).chunk(3, -1)
    )  # (B, heads, M, D/heads)
    if cache is not None:
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    seen = causal_attention(q, k, v)
    return seen.transpose(1, 2).flatten(2) @ w_out.T, (k, v)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# One matrix product makes all three, (B, M, 3D). Cut it into three, and each of them into heads. Which axis order does `causal_attention` want?
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# (B, M, D) → (B, M, heads, D/heads) → (B, heads, M, D/heads): a reshape and then a transpose, in this order. The stored keys stand before the new ones; queries are new ones only. On the way back the same two steps in reverse.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (x @ w_qkv.T).chunk(3, -1))`, `torch.cat([cache[0], k], 2)`, and at the end `.transpose(1, 2).flatten(2) @ w_out.T`.
# </details>

# %% checks="self_attention"
# Checks of self_attention
generator = torch.Generator().manual_seed(13)
x = torch.randn(2, 5, 6, generator=generator, dtype=f64)
w_qkv, w_out = (torch.randn(*shape, generator=generator, dtype=f64) for shape in ((18, 6), (6, 6)))
torchs = nn.MultiheadAttention(6, 3, bias=False, batch_first=True, dtype=f64)
with torch.no_grad():
    torchs.in_proj_weight.copy_(w_qkv)
    torchs.out_proj.weight.copy_(w_out)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    truth = torchs(x, x, x, attn_mask=hidden, need_weights=False)[0]
y, (k, v) = self_attention(x, w_qkv, w_out, 3)
expect(
    y,
    truth,
    "self_attention: agrees with nn.MultiheadAttention",
    hint="queries, keys, values in this order; heads are consecutive pieces; w_out at the end, transposed",
)
expect(
    [tuple(k.shape), tuple(v.shape)],
    [(2, 3, 5, 2)] * 2,
    "self_attention: keys and values (B, heads, positions, D/heads)",
    hint="return those of all positions, split into heads",
)
parts, stored = [], None
for piece in x.split([2, 1, 2], 1):
    before = None if stored is None else [part.clone() for part in stored]
    given = stored
    part, stored = self_attention(piece, w_qkv, w_out, 3, stored)
    parts.append(part)
    unchanged = before is None or all(torch.equal(a, b) for a, b in zip(before, given, strict=True))
    expect(
        unchanged,
        True,
        f"self_attention: the given cache stays as it was ({stored[0].shape[2]} positions now)",
        hint="torch.cat makes a new tensor; do not write into the old one",
    )
expect(
    torch.cat(parts, 1),
    truth,
    "self_attention: in pieces of 2, 1, 2 with the cache",
    hint="stored keys and values first, then the new ones; queries are the new ones alone",
)
expect(
    list(stored),
    [k, v],
    "self_attention: and the cache ends as the same keys and values",
    hint="the cache returned holds all positions",
)


# %%
# Given: the transformer
class Block(nn.Module):
    """h + attention(norm(h)), then h + mlp(norm(h))."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.w_qkv = nn.Parameter(torch.randn(3 * width, width) / width**0.5)
        self.w_out = nn.Parameter(torch.randn(width, width) / width**0.5)
        self.mlp = networks.mlp([width, 4 * width, width], nn.GELU)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h, cache):
        seen, cache = self_attention(self.norm1(h), self.w_qkv, self.w_out, self.heads, cache)
        h = h + self.dropout(seen)
        return h + self.dropout(self.mlp(self.norm2(h))), cache


class Transformer(nn.Module):
    """Logits (B, M, K) for M new tokens behind those in a cache, and the new cache."""

    def __init__(
        self, tokens, levels, length, width=48, depth=2, heads=4, dropout=0.0, positions=True
    ):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.position = nn.Parameter(torch.randn(length, width) * (0.3 if positions else 0.0))
        self.position.requires_grad_(positions)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, levels)

    def forward(self, tokens, cache=None):
        cache = cache or [None] * len(self.blocks)
        past = 0 if cache[0] is None else cache[0][0].shape[2]
        h = self.embed(tokens) + self.position[past : past + tokens.shape[1]]
        new = []
        for block, stored in zip(self.blocks, cache, strict=True):
            h, kept = block(h, stored)
            new.append(kept)
        return self.head(self.norm(h)), new

    def logits(self, tokens):
        """As `teacher_forcing_log_prob` wants it."""
        return self(tokens)[0]


# %%
# Equation (24): all at once, and in pieces of 5, 1, 34 and 24 tokens
seed_everything(14)
writer = Transformer(18, 17, 64).double()
tokens = torch.randint(17, (2, 64), generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    whole, pieces, stored = writer.logits(tokens), [], None
    for piece in tokens.split([5, 1, 34, 24], 1):
        part, stored = writer(piece, stored)
        pieces.append(part)
verify_equation(24, whole, torch.cat(pieces, 1))
gap = (whole - torch.cat(pieces, 1)).abs().max()
size = "less" if gap < 1e-12 else "more"
print(f"logits up to {whole.abs().max():.1f}; the two ways differ by {size} than 1e-12")

# %% [markdown]
# ### Further: what the cache saves
#
# $$\text{tokens through the layers to draw } N: \quad 1 + 2 + \dots + N = \tfrac12 N (N + 1) \ \text{ without a cache}, \quad N \ \text{ with one} \tag{25}$$
#
# *without, every draw reads the whole beginning again; Gauss's sum.* For a digit 2,080 against 64. (Attention itself still looks at all stored keys.)

# %%
# Equation (25): counting tokens
seen_by_layers = {"without": 0, "with": 0}
stored = None
with torch.no_grad():
    for n in range(64):
        seen_by_layers["without"] += writer.logits(tokens[:1, : n + 1]).shape[1]
        part, stored = writer(tokens[:1, n : n + 1], stored)
        seen_by_layers["with"] += part.shape[1]
verify_equation(25, seen_by_layers["without"], 64 * 65 / 2)
verify_equation(25, seen_by_layers["with"], 64)

# %% [markdown]
# ### Where am I?
#
# Nothing in (23) knows *where* a key comes from. Shuffle the earlier keys together with their values, and the sum is the same. A slide draws a sweeping conclusion: self-attention *"works on sets"*. Is that so for a causal network? Take one for eight tokens, shuffle the first seven, and look at the last logits. With one layer and without a table of
# positions they stay what they were. **Predict** by how much they change with **two** such layers: 0 (a set is a set), or a number?

# %% predict="my_change"
my_change = 0.0  # your prediction for two layers without positions


# %%
# Given: how much the last logits change when the first seven tokens are shuffled
def order_felt(depth, positions):
    seed_everything(15)
    net = Transformer(8, 8, 8, width=16, depth=depth, positions=positions).double()
    sequence = torch.tensor([[3, 1, 4, 1, 5, 0, 2, 6]])
    with torch.no_grad():
        before, after = (
            net.logits(x)[:, -1] for x in (sequence, sequence[:, [4, 6, 0, 2, 5, 3, 1, 7]])
        )
    return (before - after).abs().max().item()


# %% tags=["experiment"]
# Experiment: shuffled tokens, one layer and two, without positions and with
for depth, positions in itertools.product((1, 2), (False, True)):
    name = f"{depth} layer{'s' if depth > 1 else ''} with{'' if positions else 'out'} positions"
    print(f"{name:26} the last logits change by {order_felt(depth, positions):.3f}")
print(f"you predicted {my_change:g} for two layers without")
findings["order felt by 2 layers without positions"] = f"{order_felt(2, False):.2f}"

# %% [markdown]
# $$\text{one causal layer without positions: } y_i \text{ depends on token } i \text{ and on the multiset of tokens} < i; \quad \text{two layers: on their order too} \tag{26}$$
#
# *one layer: the sum (23) does not change when its terms are shuffled. Two: now the keys are first-layer outputs, and output $j$ has seen the first $j$ tokens, so it knows which came before it.*

# %%
# Equation (26): eight tokens, shuffled
verify_equation(26, round(order_felt(1, False), 9), 0.0)
verify_equation(26, 1e-3, order_felt(2, False), relation="<=")

# %% [markdown]
# So the mask itself carries some order, if there are layers enough. Yet it is much easier to learn where one is from a table of positions, and that is what the network for the digits gets.
#
# **The digits once more.** The transformer is trained as the other two were, scored by your `teacher_forcing_log_prob`, and draws with its cache. It must *learn* that the pixel above is eight tokens back; a convolution has that built in. **Predict** its bits per pixel.

# %% predict="my_transformer_bits"
my_transformer_bits = 1.8  # your prediction, in bits per pixel


# %%
# Given: training the transformer, and drawing with its cache
@cache
def train_transformer():
    """A transformer for the digits as sequences; token 17 is the start."""
    seed_everything(0)
    model = Transformer(LEVELS + 1, LEVELS, 64, dropout=0.1).to(device)

    def loss(model, x):
        return -teacher_forcing_log_prob(model.logits, x, LEVELS).mean()

    fit(
        model,
        loss,
        train_x.flatten(1),
        steps=budget(700),
        batch_size=32,
        lr=1e-2,
        ema=0.99,
        label="nats per image, transformer",
    )
    return model


@torch.no_grad()
def write(model, u, temperature=1.0, start=17):
    """Sequences (B, N) from u (B, N): one token at a time, with the cache."""
    token, cache, out = torch.full_like(u[:, :1], start).long(), None, []
    for n in range(u.shape[1]):
        logits, cache = model(token, cache)
        token = sample_categorical(logits[:, 0], u[:, n], temperature)[:, None]
        out.append(token)
    return torch.cat(out, 1)


# %% tags=["experiment"]
# Experiment: the transformer's bits and drawings
print("Training the transformer takes about 20 seconds.")
model = train_transformer()
with torch.no_grad():
    nats = -teacher_forcing_log_prob(model.logits, test_x.flatten(1), LEVELS).cpu()
mean, error = mean_and_error(nats / (64 * math.log(2)))
print(
    f"transformer: {mean:.3f} +- {error:.3f} bits per pixel, {networks.parameter_count(model):,} weights"
)
print(f"you predicted {my_transformer_bits:g}")
findings["bits per pixel on test digits, transformer"] = f"{mean:.3f} ± {error:.3f}"
u = torch.rand(300, SIDE, SIDE, generator=torch.Generator().manual_seed(5)).to(device)
pictures = {
    "two stacks": draw(train_digits("two stacks")[0], u, 0.8),
    "transformer": write(model, u.flatten(1), 0.8).reshape(-1, SIDE, SIDE),
}
shares = {name: metrics.recognised(x[:, None] / 16) for name, x in pictures.items()}
for name, share in shares.items():
    print(f"{name:12} T = 0.8: recognised {share}")
    findings[f"recognised at T = 0.8, {name}"] = f"{share}".replace("+-", "±")
rows = torch.cat([x[:24] for x in pictures.values()]).cpu() / 16
title = ", ".join(f"{name} {share.value:.0%}" for name, share in shares.items())
names = [name for name in pictures for _ in range(2)]
fig, _ = plots.image_grid(rows, 12, labels=names, title=f"Recognised at T = 0.8: {title}")
plots.show(
    fig, alt="Digits drawn by the two stacks and by the transformer from the same random numbers."
)

# %% [markdown]
# Compare with section 7: which of the two needs fewer bits, and of which are more drawings recognised? Whatever your run says, the two lists need not agree, for the reasons given there.
#
# The three networks side by side:
#
# | | sees | steps to score $H \times W$ | steps to draw |
# |---|---|---|---|
# | recurrence in raster order | everything earlier, through one state | $H W$ | $H W$ |
# | Row LSTM (paper) | a triangle above and the row: no more to the right than plain masks | $H$ | $H W$ |
# | diagonal recurrence | its quadrant (two of them: everything) | $H + W - 1$ | $H W$ |
# | plain masks | all but the blind spot | 1 | $H W$ |
# | two stacks, transformer | everything earlier | 1 | $H W$ |
#
# In colour, with the channels in order, drawing takes $3 H W$ steps: a slide's *1024 forward passes* for 32x32 are right for grey. And *slow in training and generation alike* is half right: a recurrence needs 63 steps to score 32x32 pixels, and 1,024 to draw them.
#
# ## 9 · A mesh is a sequence too
#
# Whatever can be written down as a sequence of tokens can be modelled like this: text, sound, and shapes. A triangle mesh is a list of *vertices*, points with whole-number coordinates, and a list of *faces*, triples of vertex numbers. Here is a new trouble: a mesh has no first vertex. The same tetrahedron can be written in many ways. In how many?
#
# ### Step: `writings` · ●○○ · 2 minutes


# %% step="writings"
def writings(V, F):
    """In how many ways can a mesh with V different vertices and F different triangles be written down?

    The vertices may stand in any order (their numbers in the faces change along), the faces too, and each face may
    begin with any of its three corners; its sense of rotation stays.

    Args:
        V, F: SymPy symbols or integers.
    """
    ### BEGIN SOLUTION
    return sympy.factorial(V) * sympy.factorial(F) * 3**F
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Three choices that have nothing to do with each other: multiply.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# $V$ things can be put in order in $V!$ ways. Turning a triangle has three positions, and each of the $F$ triangles is turned by itself.
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `sympy.factorial` of each number, and a power of 3.
# </details>

# %% checks="writings"
# Checks of writings
expect(
    int(writings(3, 1)),
    18,
    "writings: a single triangle has 18",
    hint="six orders of its corners, three first ones",
)
points, triangles = "abcd", ("abc", "adb")  # two triangles on four points, listed
listed = set()
for order in itertools.permutations(points):
    for faces in itertools.permutations(triangles):
        for turns in itertools.product(range(3), repeat=2):
            turned = [face[n:] + face[:n] for face, n in zip(faces, turns, strict=True)]
            listed.add((order, tuple(tuple(order.index(p) for p in face) for face in turned)))
expect(
    int(writings(4, 2)),
    len(listed),
    "writings: four points and two triangles, all of them listed",
    hint="orders of the vertices, orders of the faces, and three turns for each face",
)

# %% [markdown]
# <details><summary>Line (27), to compare with yours</summary>
#
# $$\text{writings of a mesh} = V!\; F!\; 3^F \tag{27}$$
#
# *orders of the vertices, orders of the faces, turns of each face. All are different, even for a symmetric mesh, because the list of vertices is part of the writing.*
# </details>
#
# A model of random writings would have to spread its probability over all of them. PolyGen's way out: agree on **one**. Sort the vertices from bottom to top (by $z$, then $y$, then $x$), number the faces accordingly, let each begin with its lowest number, and sort them.
#
# ### Exercise: `mesh_to_sequence` · ●●○ · 7 minutes · 1 point


# %% exercise="mesh_to_sequence"
def mesh_to_sequence(vertices, faces):
    """The one agreed writing of a triangle mesh.

    Args:
        vertices: LongTensor (V, 3), columns x, y, z; no two rows are equal.
        faces: LongTensor (F, 3), F >= 1, each row three different row numbers of `vertices`, in a sense of rotation.

    Returns:
        (vertices, faces). Vertices (V, 3) sorted by z, then y, then x; the columns are still x, y, z. Faces (F, 3) with
        the new numbers, each turned (never mirrored) until its lowest number stands first, then sorted by their
        first, second and third number. The same mesh gives the same result, however it was written.
    """
    ### BEGIN SOLUTION
    order = torch.arange(len(vertices), device=vertices.device)
    for column in (0, 1, 2):  # stable sorts, the most important column last
        order = order[vertices[order, column].argsort(stable=True)]
    number = order.argsort()  # of each old vertex in the new list
    faces = number[faces]
    turn = (faces.argmin(1, keepdim=True) + torch.arange(3, device=faces.device)) % 3
    faces = faces.gather(1, turn)
    for column in (2, 1, 0):
        faces = faces[faces[:, column].argsort(stable=True)]
    return vertices[order], faces
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>
#
# Four things in a row: order the vertices, renumber the faces, turn each face, order the faces. `order` says which old vertex stands at a new place. The faces need the opposite: the new place of each old vertex.
# </details>
# <details><summary>Hint 2: the idea</summary>
#
# A stable sort keeps the order of equal entries. So sort by the least important column first and by the most important one last. The inverse of a permutation is its `argsort`. Turning is not sorting: (5, 2, 7) becomes (2, 7, 5), and never (2, 5, 7).
# </details>
# <details><summary>Hint 3: nearly the line</summary>
#
# `order = order[vertices[order, column].argsort(stable=True)]` for columns x, y, z in this order; `number = order.argsort()`, `number[faces]`; `faces.gather(1, (faces.argmin(1, keepdim=True) + torch.arange(3)) % 3)`. Plain Python lists with `sorted(..., key=...)` are fine as well.
# </details>

# %% checks="mesh_to_sequence"
# Checks of mesh_to_sequence
pyramid = torch.tensor([[0, 0, 0], [4, 0, 0], [4, 3, 0], [0, 3, 0], [2, 1, 5]])  # x, y, z
sides = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [0, 2, 1], [0, 3, 2]])
points, triangles = mesh_to_sequence(pyramid, sides)
expect(
    points,
    torch.tensor([[0, 0, 0], [4, 0, 0], [0, 3, 0], [4, 3, 0], [2, 1, 5]]),
    "mesh_to_sequence: vertices from bottom to top, then by y, then by x",
    hint="z counts most; the columns stay x, y, z",
)
corners = {tuple(sorted(map(tuple, pyramid[face].tolist()))) for face in sides}
expect(
    {tuple(sorted(map(tuple, points[face].tolist()))) for face in triangles} == corners,
    True,
    "mesh_to_sequence: the faces are the same triangles in space",
    hint="new numbers: the place of each old vertex in the new list, the inverse of the order",
)
expect(
    bool((triangles[:, 0] == triangles.amin(1)).all()),
    True,
    "mesh_to_sequence: each face begins with its lowest number",
    hint="after renumbering, turn each face",
)


def volume(points, triangles):
    """Signed: it changes its sign when triangles are mirrored."""
    return torch.linalg.det(points[triangles].double()).sum() / 6


expect(
    volume(points, triangles),
    volume(pyramid, sides),
    "mesh_to_sequence: the sense of rotation is kept",
    hint="turn a face, (a, b, c) -> (b, c, a); never sort its three numbers",
)
expect(
    triangles.tolist(),
    sorted(triangles.tolist()),
    "mesh_to_sequence: faces sorted by first, second, third number",
    hint="sort rows by the third column, then stably by the second, then by the first",
)
for seed in range(3):
    generator = torch.Generator().manual_seed(seed)
    shuffle = torch.randperm(5, generator=generator)
    mixed = shuffle.argsort()[sides][torch.randperm(6, generator=generator)].roll(seed, 1)
    expect(
        mesh_to_sequence(pyramid[shuffle], mixed),
        (points, triangles),
        f"mesh_to_sequence: shuffled in another way ({seed + 1} of 3), the same result",
        hint="is every one of the four steps done, in the right order?",
    )

# %%
# Equation (27): every writing of a tetrahedron; a sample of them through your function
corner = ((0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, 2))
triangles = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))
every = set()
for order in itertools.permutations(range(4)):
    place = {old: new for new, old in enumerate(order)}
    new = [tuple(place[n] for n in face) for face in triangles]
    turned = [[face, face[1:] + face[:1], face[2:] + face[:2]] for face in new]
    for faces in itertools.permutations(turned):
        every.update(
            (tuple(corner[n] for n in order), choice) for choice in itertools.product(*faces)
        )
verify_equation(27, len(every), math.factorial(4) * math.factorial(4) * 3**4)
sample = sorted(every)[:: len(every) // 500]
canonical = {
    str([part.tolist() for part in mesh_to_sequence(*map(torch.tensor, writing))])
    for writing in sample
}
print(
    f"{len(every)} writings of a tetrahedron; {len(sample)} of them have {len(canonical)} agreed form"
)

# %% [markdown]
# ### Further: what disorder costs
#
# $$\text{nats for a random writing} = \text{nats for the agreed one} + \log\big( V!\; F!\; 3^F \big) \tag{28}$$
#
# *all writings of a mesh are equally likely, so given the mesh a writing has a probability of one over (27), and (1) adds the two.* For the tetrahedron 10.75 nats that say nothing about its shape.
#
# Corners of boxes show it with a network: 8 corners with coordinates 0 to 5, written as 24 numbers, $z$, $y$, $x$ for each corner. There are 3,375 boxes, so a perfect model of sorted corners pays $\log 3375 = 8.12$ nats; of shuffled ones, $8!$ orders each, 18.73. A small transformer is trained on sorted ones. **Predict** the share of what it then draws that is a box, all 24 numbers right.

# %% predict="my_boxes"
my_boxes = 0.3  # your prediction, between 0 and 1

# %%
# Equation (28): equal shares
writing_share = torch.full((len(every),), 1 / len(every), dtype=f64)  # of one mesh: equal shares
verify_equation(28, entropy(writing_share), math.log(math.factorial(4) ** 2 * 3**4))
pairs = list(itertools.combinations(range(6), 2))
verify_equation(
    28,
    math.log(len(pairs) ** 3 * math.factorial(8)),
    math.log(len(pairs) ** 3) + math.log(math.factorial(8)),
)


def sorted_boxes():
    """All 3375 boxes as sequences of 24 numbers: z, y, x of each corner, the corners sorted."""
    lows_highs = torch.tensor(pairs)
    z, y, x = (lows_highs[index] for index in tables.all_states([15] * 3).T)  # (3375, 2) each
    corners = [
        torch.stack([z[:, i], y[:, j], x[:, k]], 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ]
    return torch.cat(corners, 1)


@cache
def train_boxes():
    boxes = sorted_boxes()
    order = torch.randint(len(boxes), (400 * 64,), generator=torch.Generator().manual_seed(0))
    seed_everything(0)
    model = Transformer(7, 6, 24, width=32).to(device)

    def loss(model, x):
        return -teacher_forcing_log_prob(model.logits, x, 6).mean()

    fit(model, loss, boxes[order], steps=budget(400), batch_size=64, lr=6e-3, label="nats per box")
    return model


# %% tags=["experiment"]
# Experiment: boxes, their cost and the share drawn right
print("Training takes about 10 seconds.")
model, boxes = train_boxes(), sorted_boxes()
with torch.no_grad():
    nats = -teacher_forcing_log_prob(model.logits, boxes.to(device), 6).cpu()
mean, _ = mean_and_error(nats)  # over all boxes: no sampling error
written = write(
    model, torch.rand(500, 24, generator=torch.Generator().manual_seed(1)).to(device), start=6
).cpu()
known = set(map(tuple, boxes.tolist()))
hits = torch.tensor([tuple(row) in known for row in written.tolist()]).double()
share, error = mean_and_error(hits)
print(
    f"sorted: {mean:.3f} nats, exact {math.log(len(boxes)):.3f}; in random order at least ", end=""
)
print(f"{math.log(len(boxes) * math.factorial(8)):.3f}")
print(
    f"drawn: {share:.1%} +- {error:.1%} are boxes, {len(set(map(tuple, written.tolist())) & known)} different ones"
)
print(f"you predicted {my_boxes:.0%}")
findings["boxes: nats above the exact cost, share drawn right"] = (
    f"{mean - math.log(len(boxes)):.3f}, {share:.1%}"
)

# %% [markdown]
# ## 10 · In your own words
#
# This question is graded by a person.

# %% [markdown] written="why_exact" points=2
# ### Question: `why_exact` · ●●○ · 10 minutes · 2 points
#
# Answer in at most twelve sentences, with numbers from this notebook where you have them.
#
# 1. Why does training need one pass of a PixelCNN, and drawing one for every pixel?
# 2. Why is this likelihood exact, where the VAE's is a bound?
# 3. A friend's mask leaks a single pixel, and the loss is far better than everybody else's. Why is that loss worthless?
# 4. Name one test that would have shown the leak.
#
# ### BEGIN MARK SCHEME
# Half a point each.
#
# 1. In training all of $x_{<i}$ is known for every $i$, so the $N$ conditionals are computed side by side; while drawing, $x_i$ must exist before the row of $x_{i+1}$ can be asked for.
# 2. Nothing is integrated: the product of $N$ normalised rows *is* $p(x)$. The VAE averages over $z$ and drops a KL divergence, the gap.
# 3. The network copies the answer instead of predicting it. Its "probabilities" no longer sum to 1 (to 64 for 64 images of coins), so the loss is no code length; and when it draws, it copies the placeholder.
# 4. One of: derivatives (`dependencies` is not strictly lower triangular), the sum over all small images, fair coins below $N \log 2$. No point for "the samples look bad" alone.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# 1. A training image is complete, so every pixel's past is there from the start. The masks make sure that the answer at a place depends on its own past only, and one pass of the convolutions gives all 64 rows together. A drawing has no past beyond what was drawn: the level of pixel $i$ goes into the row of pixel $i + 1$, so there are as many passes as pixels, 64 for a digit.
# 2. By the chain rule $p(x)$ is a product of 64 rows, and each row is a softmax that sums to 1. All of them can be evaluated, and their product is the probability itself. A VAE has to average over all codes $z$; that integral is out of reach, and what it computes leaves out the KL divergence from its encoder to the true posterior.
# 3. A pixel that sees itself does not need to be predicted; the network copies it and says "certain". On fair coins, which nobody can predict, the loss went from 4.159 to 0.000 nats, and the 64 numbers summed to 64 instead of 1: they are not the probabilities of any distribution, so minus their logarithm is not the length of any code. Asked to draw, it copied the zeros of the canvas a thousand times.
# 4. Its derivatives: `dependencies` shows an entry on or above the diagonal.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:66} {value}")

# %% [markdown]
# * Every distribution is a product of rows, and every product of rows is a distribution (1 to 4). What a limited context costs can be said exactly and beforehand (5 to 10).
# * With true pasts one pass scores everything (11, 12). Drawing cuts the cube of uniform numbers into boxes of volume $p(x)$ (13, 14), sharpens rows and not the joint (15), and finishes beginnings, not endings (16).
# * Three networks, three contexts: a quadrant (17, 18), everything but a blind spot (19, 20), everything (21, 23). Colours are part of the chain (22), a cache is free (24, 25), order comes from the mask too (26), and an agreed order saves $\log V!$ and more (27, 28).
# * A cost below the entropy means that a model looks at the answer. Sums over all small images and derivatives say so; a loss never does.
# * Several slides, several faults, each shown by a number: one factor too many in the chain rule, a recurrence without pixels, a quadrant that is not "all above", recurrent networks that are autoregressive after all, masks without colours, sets that have an order.
#
# ## Test yourself
#
# <details><summary>1. Somebody trains a PixelCNN in which the first layer is B and all later ones are A. Is it causal?</summary>
#
# Yes: one strictly earlier step is enough, wherever it stands, and (19) does not care about the place. With residual paths around the later layers it is not: the path around them consists of B alone.
# </details>
#
# <details><summary>2. A model needs 1.8 bits per pixel on average. How many bytes would a file with one test digit have, if an ideal coder used its rows?</summary>
#
# $64 \cdot 1.8 = 115$ bits, between 14 and 15 bytes, against 33 bytes for the uniform code of 4.09 bits. And the receiver decodes pixel by pixel with the same network: it needs the same $N$ passes as drawing does.
# </details>
#
# <details><summary>3. With a model for raster order, could you fill a hole in the middle of an image by drawing many images and keeping those that agree with the rest?</summary>
#
# In principle yes, this is exact. Draw from the hole on, and keep a drawing with the probability that the model gives to the known pixels after it. But that probability shrinks with every known pixel, and soon nothing is ever kept: (16) says how far the two distributions are apart.
# </details>
#
# ## What comes next
#
# You paid for an exact likelihood with one pass for every pixel, in an order that images do not have. Lesson 04 begins with another idea: drown the whole image in noise, a little at a time, and learn the way back. Lesson 06 draws digits in this way and measures them in bits as you did; compare its table with yours. And lesson 09 gives your transformer codes to write in place of pixels.
#
# ## References
#
# * A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, *Pixel recurrent neural networks*, ICML 2016: masks A and B, colours, Row LSTM, Diagonal BiLSTM; (1) is its (1), (22) its (2).
# * A. van den Oord and others, *Conditional image generation with PixelCNN decoders*, NeurIPS 2016: the blind spot, two stacks, the gate (its equation 2).
# * T. Salimans, A. Karpathy, X. Chen, D. Kingma, *PixelCNN++*, ICLR 2017: shifts in place of masks, as in `two_stack_layer`.
# * P. Ramachandran and others, *Fast generation for convolutional autoregressive models*, ICLR 2017 workshop: computing only what changes.
# * A. Vaswani and others, *Attention is all you need*, NeurIPS 2017: (23) is its (1).
# * C. Nash, Y. Ganin, S. Eslami, P. Battaglia, *PolyGen: an autoregressive generative model of 3D meshes*, ICML 2020.
# * B. Frey, *Graphical models for machine learning and digital communication*, 1998, and H. Larochelle, I. Murray, *The neural autoregressive distribution estimator*, AISTATS 2011: the chain rule with networks.
# * L. Theis, A. van den Oord, M. Bethge, *A note on the evaluation of generative models*, ICLR 2016: likelihood and beauty.
