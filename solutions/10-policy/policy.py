# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 10 · What to do next: diffusion that acts and plans
#
# Until now you drew pictures. Now you drive. A plan, a few dozen numbers that say where to be and when, is drawn out of noise like a digit, and a robot carries it out.
# Nearly all of it you know already: labels become what the robot sees, holes become start and goal, guidance becomes a wish. What is new is that somebody *acts* on the sample, and the world answers. Four times in this lesson that answer is not the one that the slides promise.
#
# **At the end you can**
#
# 1. say what regression learns from a driver with two habits, and compute what loss is left;
# 2. train and run a diffusion policy, and say what its chunks are good for and what not;
# 3. write down the law of all plans of a linear system, and find optimal control in it;
# 4. plan by inpainting, and say why the textbook way bends the plan;
# 5. guide a plan by a reward, and say which part of the right answer the usual gradient leaves out;
# 6. tell skill from luck in what a conditioned model does, and join skills by their scores.
#
# **You need** lessons 04 to 06 ($q(x_t \mid x_0)$, `p_step`, the best noise prediction), from 07 that a noise predictor is a score in other units, and 08 (conditions, guidance, inpainting). From 01 Bayes' rule and EM.
#
# **Time** a little over three hours, best in two sittings (1 to 4: 90 minutes; 5 to 9: 95 minutes). On the shorter path, about 149 minutes, you skip what is headed *Further*, since nothing later needs it, and leave the lines "to compare with yours" folded where your checks are green. The notebook itself computes for about a minute and a half on two processor cores, most of it in three trainings.
#
# | section | minutes |
# |---|---|
# | 1 The mean of two ways | 16 |
# | 2 Draw, do not average | 23 |
# | 3 Acting | 25 |
# | 4 All plans at once | 26 |
# | 5 A plan with holes | 22 |
# | 6 Wanting more | 26 |
# | 7 Further: luck | 21 |
# | 8 Further: joining skills | 13 |
# | 9 A drive to show around, and in your own words | 10 |

# %% [markdown]
# **Notation.** Two times live in this lesson: $i$ counts steps of the world, $t$ levels of noise. A plan is $x_0$ in noise time, whatever its $i$.
#
# | symbol | code | meaning |
# |---|---|---|
# | $t = 1, \dots, T$ | `t` | level of noise; a LongTensor `(B,)`, one per example |
# | $\bar\alpha_t$, also $a$ | `alpha_bar[t]` | share of the variance of $x_0$ that is left; $\bar\alpha_0 = 1$, tables have $T + 1$ entries |
# | $\epsilon$, $\hat\epsilon$, $\epsilon^*$ | `eps`, `eps_hat` | the noise in $x_t$, a guess of it, and the best guess $\mathbb E[\epsilon \mid x_t]$ |
# | $\hat x_0$ | `x0_hat` | the guess of $x_0$ that belongs to $\hat\epsilon$ |
# | ··· | | |
# | $i = 0, \dots, N$ | `i` | steps of the world |
# | $s_i$, $o_i$, $a_i$ | `state`, `obs`, `actions` | the state, what the robot sees of it, and what it does (field's word: policy, for $p(a \mid s)$) |
# | $H$, $k$ | `horizon`, `execute` | how many actions are planned at once, a *chunk*; how many of them are carried out |
# | $m$, $w_m$ | `way`, `weights` | which way the driver takes, and how often |
# | $\tau = (s_0, \dots, s_H)$ | `states` | a plan (field's word: trajectory) |
# | $A, B, \sigma_u^2$ | `A, B, action_var` | a linear world, $s_{i+1} = A s_i + B u_i$, and the variance of its pushes $u_i$ |
# | $y$, $G$, $W$ | `index`, `value` | what is asked of a plan: $y = G \tau$, exactly or with precision $W$ |
# | $R(\tau)$, $\lambda$ | `reward`, `scale` | what a plan is worth, and how much that counts |
# | $\beta_i(s)$ | `reach` | probability to stand at the goal at the end, from $s$ at step $i$ |
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

import sympy
import torch
from torch import nn

from course_lib import (
    budget,
    exact,
    expect,
    expect_same,
    film,
    fit,
    get_device,
    networks,
    plots,
    schematic,
    seed_everything,
    verify_equation,
    widgets,
    worlds,
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
# **The lesson on one page.** Noise becomes a plan; the first few steps are carried out; the world answers; and again.


# %% tags=["experiment"]
# Schematic: plan, act, look
def story():
    """The lesson on one page."""
    fig, ax = schematic.canvas(6.4, 3.1)
    noise = schematic.node(ax, (0.75, 2.45), "$x_T$", "noise", shape="box", size=(0.8, 0.6))
    plan = schematic.node(ax, (3.3, 2.45), "plan $x_0$", "model", shape="box", size=(1.2, 0.6))
    act = schematic.node(
        ax, (5.6, 2.45), "first $k$\nactions", "posterior", shape="box", size=(1.2, 0.7)
    )
    world = schematic.node(ax, (5.6, 0.75), "world", "data", size=(1.1, 0.7))
    seen = schematic.node(ax, (3.3, 0.75), "$o_i$", "data", shape="box", size=(0.8, 0.55))
    wish = schematic.node(ax, (0.95, 0.75), "start, goal,\nreward", "prior", size=(1.4, 0.8))
    schematic.arrow(ax, noise, plan, "T steps back", "model")
    schematic.arrow(ax, plan, act, role="posterior")
    schematic.arrow(ax, act, world, role="posterior")
    schematic.arrow(ax, world, seen, "$s_{i+k}$", "data", offset=-0.18)
    schematic.arrow(ax, seen, plan, "1 to 3", "data", offset=0.36)
    schematic.arrow(ax, wish, (2.75, 2.1), "5, 6", "prior", offset=-0.25)
    schematic.label(ax, (4.45, 1.62), "again, from where you are")
    return fig


plots.show(
    story(),
    alt="Noise becomes a plan in T steps; the first k actions of the plan go to the world; what is seen of its answer goes "
    "into the next plan. Start, goal and reward enter the plan from below.",
)

# %% [markdown]
# **From lessons 04 to 06.** Schedules, the forward sample, and a step of Algorithm 2.


# %%
# From lessons 04 to 06: schedules, the forward sample, a step of Algorithm 2
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


def steps_of(T):
    """Lesson 04's linear schedule with T levels, ending where its thousand end."""
    return alpha_bar_from_beta(linear_beta(T, 0.1 / T, 20 / T))


SHORT = alpha_bar_from_beta(linear_beta(6, 0.05, 0.5))  # every mistake is large here
T = 100
ALPHA_BAR = steps_of(T)  # for what is trained
TABLE = ALPHA_BAR.float().to(device)  # the same where networks live


# %% [markdown]
# ## 1 · The mean of two ways
#
# A robot drives from left to right, and in the middle stands a round-about. A good driver shows how: seven times of ten she passes above, three times below, and never does she touch the disc. You record 2,000 of her drives, sixteen steps each, and train a network by squared error: in goes the place and the step, out come the next eight actions. The field's name for this is *behaviour cloning*.
#
# Let it drive.


# %%
# The round-about: the driver's recorded drives, and how it is drawn
WORLD = worlds.ROUNDABOUT
N = WORLD.steps
UNIT = 0.125  # actions are about as long as this, so networks see actions / UNIT
DRIVES, MOVES, WAYS = WORLD.sample(2000, torch.Generator().manual_seed(1))


def seen_at(place, i):
    """What the robot sees: its place (B, 2) and how late it is, from -1 to 1, (B, 3)."""
    return torch.cat([place, torch.full_like(place[:, :1], 2 * i / N - 1)], 1)


def arena(ax, title=""):
    """The round-about with start and goal."""
    from matplotlib.patches import Circle

    look = {"facecolor": (0.56, 0.56, 0.56, 0.35), "edgecolor": plots.COLOR["noise"]}
    ax.add_patch(Circle((0, 0), WORLD.radius, linewidth=1.6, **look))
    ax.plot([1], [0], marker="*", markersize=13, color=plots.COLOR["prior"], zorder=4)
    ax.set(xlim=(-1.5, 1.35), ylim=(-1.05, 1.05), aspect="equal", xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    ax.grid(False)


def draw_routes(ax, routes, role, *, robots=True, alpha=0.35, width=1.0):
    """Routes (n, M, 2) as lines, with a robot at the end of each."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(routes.numpy(), colors=plots.COLOR[role], alpha=alpha, linewidths=width)
    ax.add_collection(lines)
    if robots:
        ax.scatter(*routes[:, -1].T.numpy(), s=14, color=plots.COLOR[role], linewidths=0, zorder=3)


def per_cent(share):
    return f"{100 * float(share):.0f}%"


def one_hot_step(place, i):
    """Place and step, the step as one of N numbers that is 1: (B, 2 + N)."""
    clock = nn.functional.one_hot(i, N).to(place)
    return torch.cat([place, clock], 1)


@cache
def trained_clone(steps=2000):
    """A network that was taught eight actions at once by squared error."""
    seed_everything(0)
    starts = torch.arange(N - 7).repeat(len(DRIVES))
    rows = torch.arange(len(DRIVES)).repeat_interleave(N - 7)
    ahead = torch.stack([MOVES[rows, starts + j] for j in range(8)], 1).flatten(1) / UNIT
    inputs = one_hot_step(DRIVES[rows, starts], starts).float()
    net = networks.mlp([2 + N, 128, 128, 16]).to(device)
    fit(
        net,
        lambda net, x, y: (net(x) - y).square().sum(1).mean(),
        [inputs, ahead.float()],
        steps=budget(steps),
        batch_size=256,
        label="squared error of a chunk",
    )
    return net


def clone_acts(place, i):
    """Eight actions by the clone at step i, (B, 8, 2)."""
    x = one_hot_step(place, torch.full((len(place),), i)).float()
    return UNIT * trained_clone()(x.to(device)).detach().cpu().double().reshape(-1, 8, 2)


# %% tags=["experiment"]
# Experiment: the driver and her clone; training takes about 4 seconds
fresh, _, _ = WORLD.sample(1000, torch.Generator().manual_seed(2))
first = clone_acts(fresh[:, 0], 0)
half = fresh[:, 0] + first.sum(1)
both = torch.cat([first, clone_acts(half, 8)], 1)
cloned = torch.cat([fresh[:, :1], fresh[:, :1] + both.cumsum(1)], 1)


def drive_frame(j, pictures, count=40):
    """Routes up to step j, side by side: pictures are (title, routes, role)."""
    fig, axes = plots.figure(1, len(pictures), width=6.2, height=2.5)
    for ax, (title, routes, role) in zip(axes, pictures, strict=True):
        arena(ax, title)
        draw_routes(ax, routes[:count, : j + 1], role)
    return fig


crashed = WORLD.crash(cloned).double().mean()
pictures = [
    ("the driver", fresh, "data"),
    (f"her clone: {per_cent(crashed)} crash", cloned, "model"),
]
film.play(
    (drive_frame(j, pictures) for j in range(N + 1)),
    alt="Left, forty drives of the driver, who passes the disc above or below. Right, forty drives of the network that "
    "was taught by squared error.",
)
findings["the clone's crashes, eight actions at once (the driver has none)"] = per_cent(crashed)

# %% [markdown]
# The network is not stupid, nor was it trained too little: soon you compute that its loss is as good as the best there is. It answers a question well. It is the wrong question.
#
# Which one? Squared error compares the answer $c$ with the driver's action $a$. Put the mean in between:
#
# $$\mathbb E \Vert a - c \Vert^2 = \mathbb E \big\Vert (a - \mathbb E a) + (\mathbb E a - c) \big\Vert^2 = \mathbb E \Vert a - \mathbb E a \Vert^2 + \Vert c - \mathbb E a \Vert^2 \tag{1}$$
#
# *add and subtract the mean; the cross term is $2\, \mathbb E[a - \mathbb E a] \cdot (\mathbb E a - c) = 0$.* So at every place the best $c$ is the mean of what the driver does there, and the first term is a floor that no network gets below. The mean of "pass above" and "pass below" is "drive on".
#
# What does the driver do at a place $s$? She keeps to one of her two ways, $m$, with Gaussian deviations. You do not see $m$. But the place tells something about it:
#
# $$p(a \mid s) = \sum_m w_m(s)\; p(a \mid s, m), \qquad w_m(s) = \frac{w_m\, p(s \mid m)}{\sum_n w_n\, p(s \mid n)} \tag{2}$$
#
# *average over the way, given $s$; Bayes' rule.* A mixture again, and its weights move with the place.

# %%
# Equations (1) and (2)
# (1): a table of four actions in the plane, and every c on a grid.
probability = double([0.4, 0.3, 0.2, 0.1])
table = double([[0.1, 0.2], [0.0, -0.3], [0.2, 0.1], [-0.1, 0.4]])
grid = torch.cartesian_prod(*[torch.linspace(-0.5, 0.5, 21, dtype=torch.float64)] * 2)
centre = probability @ table
error = (table - grid[:, None]).square().sum(2) @ probability
spread = probability @ (table - centre).square().sum(1)
verify_equation(1, error, spread + (grid - centre).square().sum(1))
# (2): the heights of place and action at step 3; the joint density on a grid of actions, divided by its sum.
i, height = 3, double([-0.1, 0.05, 0.2])
weights, means, root = WORLD.chunk(torch.stack([WORLD.ways[0, i, :1].expand(3), height], 1), i, 1)
acts = torch.linspace(-1, 1, 4001, dtype=torch.float64)
joint = 0.0
for m, share in enumerate(WORLD.shares):
    way = WORLD.ways[m, :, 1]
    off = height - way[i]
    of_place = torch.exp(-(off**2) / (2 * WORLD.variance(i)))
    middle = way[i + 1] - way[i] - WORLD.pull * off
    of_act = torch.exp(-((acts[:, None] - middle) ** 2) / (2 * WORLD.noise**2))
    joint = joint + share * of_place * of_act
numeric = joint / (joint.sum(0) * (acts[1] - acts[0]))  # p(a | s) at the three heights
each = torch.distributions.Normal(means[:, :, 0, 1], root[0, 0]).log_prob(acts[:, None, None]).exp()
shown = slice(1600, 2401, 100)  # where the densities are large
verify_equation(2, (weights * each).sum(2)[shown], numeric[shown])

# %% [markdown]
# ### Exercise: `bc_optimum` · ●○○ · 6 minutes · 2 points
#
# So where does behaviour cloning end? Take any driver whose actions are a mixture of Gaussians, and say two things: the action that has the least expected squared error, and the error that even this action has.


# %% exercise="bc_optimum"
def bc_optimum(weights, means, variances):
    """The action that behaviour cloning by squared error ends with, and the loss that is left.

    In each of B situations the expert's action is drawn from a mixture of K Gaussians,
    p(a given s) = sum_k weights_k N(means_k, variances_k I).

    Args:
        weights: (B, K), each row summing to 1; a weight may be 0.
        means: (B, K, A), A >= 1 entries of an action.
        variances: (B, K), of every entry of an action in mode k; not negative.

    Returns:
        (action, floor): action (B, A), the one that minimises E |a - action|^2, summed over the
        entries of a, and floor (B,), that minimum.
    """
    ### BEGIN SOLUTION
    action = (weights[..., None] * means).sum(1)
    within = (weights * variances).sum(1) * means.shape[-1]
    between = (weights * (means - action[:, None]).square().sum(-1)).sum(1)
    return action, within + between
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>(1) names both: a mean, and a variance summed over the entries of the action.</details>
# <details><summary>Hint 2: the idea</summary>The mean of a mixture is the weighted mean of the modes' means. Its variance has two sources: actions differ within a mode, and the modes differ from each other.</details>
# <details><summary>Hint 3: nearly the line</summary>Within: the weighted mean of the modes' variances, once for each of the A entries. Between: the weighted mean of the squared distances from each mode's mean to the overall mean.</details>

# %% checks="bc_optimum"
# Checks of bc_optimum
weights = double([[0.7, 0.3], [0.2, 0.8], [0.0, 1.0]])
means = normal(3, 2, 3, seed=1)
variances = double([[0.1, 0.4], [0.3, 0.0], [5.0, 0.2]])
action, floor = bc_optimum(weights, means, variances)


def squared_error(c):
    """E |a - c|^2 in each situation, written out for every entry: a variance and a squared distance."""
    return sum(
        weights[:, k, None] * (variances[:, k, None] + (means[:, k] - c) ** 2) for k in range(2)
    ).sum(1)


leaf = action.detach().clone().requires_grad_()
(slope,) = torch.autograd.grad(squared_error(leaf).sum(), leaf)
expect(
    slope,
    torch.zeros(3, 3).double(),
    "bc_optimum: no better action nearby",
    hint="which constant has the least expected squared error? Mind the weights",
)
expect(
    floor,
    squared_error(action),
    "bc_optimum: the floor is the expected squared error of that action",
    hint="within the modes (each of the A entries has this variance) and between them",
)
expect(
    [action[2], floor[2]],
    [means[2, 1], 3 * double(0.2)],
    "bc_optimum: a mode that never happens does not count",
    hint="a weight may be 0",
)
line = torch.linspace(-6, 6, 20001, dtype=torch.float64)[:, None]
mixture = exact.MIXTURE_1D
density = mixture.log_prob(line).exp() * (line[1] - line[0])
mean = (density * line[:, 0]).sum()
verify_equation(
    3,
    bc_optimum(mixture.weights[None], mixture.means[None], mixture.covs[None, :, 0, 0])[1],
    (density * (line[:, 0] - mean) ** 2).sum(),
    of="bc_optimum",
    hint="the variance of the two bumps of lesson 01, by an integral",
)

# %% [markdown]
# <details><summary>Line (3), to compare with yours</summary>
#
# $$\mathbb E a = \sum_k w_k\, m_k, \qquad \text{floor} = \underbrace{A \sum_k w_k\, v_k}_{\text{within the modes}} + \underbrace{\sum_k w_k\, \Vert m_k - \mathbb E a \Vert^2}_{\text{between them}} \tag{3}$$
#
# *the law of total variance, with $k$ as what one averages over first; $A$ entries of variance $v_k$.*
#
# </details>
#
# Now hold the clone against its floor. Was it trained too little?


# %%
# Given: the chunk of least squared error at every place, by your bc_optimum
def best_chunk(place, i, horizon=8):
    """The chunk of least squared error, (B, horizon, 2), and that error per entry, in units of UNIT^2, (B,)."""
    weights, means, root = WORLD.chunk(place, i, horizon)
    inside = (root.square().sum() / horizon).expand(len(place), 2)  # on average over the entries
    action, floor = bc_optimum(weights, means.flatten(2), inside)
    return action.reshape(-1, horizon, 2), floor / UNIT**2 / (2 * horizon)


# %% tags=["experiment"]
# Experiment: was the clone trained too little?
print("mean squared error per entry, chunks of eight actions\nstep     least     clone")
for i in (0, 4, 8):
    at = fresh[:, i]
    best, least = best_chunk(at, i)
    excess = ((best - clone_acts(at, i)) / UNIT).square().mean()
    least = least.mean()
    print(
        f"{i:4} {least:9.4f} {least + excess:9.4f}    of which the clone's own fault {excess:.4f}"
    )
    if i == 0:
        findings["at the start: least squared error, and what the clone adds by its own fault"] = (
            f"{least:.3f}, {excess:.4f}"
        )

# %% [markdown]
# More data, a larger network, longer training: all they can remove is the last column. The rest is spread, within the modes at every step and at the start also *between* them, and there is nothing to learn in it.
#
# Drag the robot. The two clouds are where the driver may be six such actions later, each as strong as its weight; the arrow is what squared error does. **Where is the arrow right, and where does it point at nobody?**


# %%
# Drag: two modes and their mean
def draw_modes(step, height):
    """What the driver does at a place, and the mean of it."""
    from matplotlib.patches import Ellipse

    place = torch.stack([WORLD.ways[0, step, 0], double(height)])
    weights, means, root = WORLD.chunk(place[None], step, 1)
    action, _ = bc_optimum(weights, means[:, :, 0], root[0, 0].square().expand(1, 2))
    fig, ax = plots.figure(width=5, height=3.5)
    arena(ax)
    for weight, mean in zip(weights[0], means[0, :, 0], strict=True):
        for size in (2, 4):
            middle, wide = (place + 4 * mean).tolist(), 4 * size * root[0, 0].item()
            look = {"color": plots.COLOR["data"], "linewidth": 0, "alpha": 0.5 * weight.item()}
            ax.add_patch(Ellipse(middle, wide, wide, **look))
    tip = (place + 4 * action[0]).tolist()
    look = {"arrowstyle": "-|>", "color": plots.COLOR["model"], "linewidth": 2.4}
    ax.annotate("", tip, place.tolist(), arrowprops=look)
    ax.plot(*place.tolist(), "o", color=plots.COLOR["model"], markersize=9)
    ax.set_title(f"above with {weights[0, 0]:.2f}, below with {weights[0, 1]:.2f}")
    return fig, ax


widgets.explore(
    draw_modes,
    alt="The robot beside the disc, two clouds of what the driver may do, and an arrow to their mean.",
    step=(0, 12, 1),
    height=(-0.9, 0.9, 0.05),
)

# %% [markdown]
# A step away from the middle line the place says which way is meant, one cloud fades, and the mean is right. Only where the place does *not* say it does the mean point at nobody. Keep this in mind: it decides in section 3 what crashes.
#

# %% [markdown]
# ## 2 · Draw, do not average
#
# The driver's actions have a law, $p(a \mid o)$, given what the robot sees, $o$. You know how to draw from a law with a condition: that is lesson 08, with $o$ in the place of the label. A robot that draws passes above or below, as she does, and never drives on.
#
# A **diffusion policy** (Chi and others, 2023) does this for a *chunk* of actions at once,
#
# $$a_i, a_{i+1}, \dots, a_{i+H-1} \;\sim\; p(a_i, \dots, a_{i+H-1} \mid o_i) \tag{4}$$
#
# *$H$ actions, the first of them for now.* A well-known slide writes $p(a_{t:t+H} \mid s_t)$. Three things to mend there: with both ends counted these are $H + 1$ actions; its $t$ is time in the world, while in the loss $t$ is a level of noise; and it leaves out that only the first few actions are carried out before the next plan (section 3). The condition is what was *seen*, in the paper the last few observations.
#
# ### Exercise: `action_chunks` · ●●○ · 7 minutes · 2 points
#
# First the data. Recorded drives stand one after another in a long table. Every step of every drive begins a chunk, also those near its end, where the chunk runs out of actions and must not run into the next drive.


# %% exercise="action_chunks"
def action_chunks(actions, lengths, horizon):
    """What the expert does from each step on: one chunk of `horizon` actions per step.

    Args:
        actions: (N, A), the episodes one after another.
        lengths: a list of ints >= 1, the episodes' lengths; they sum to N.
        horizon: an int >= 1; it may exceed an episode.

    Returns:
        (chunks, valid): chunks (N, horizon, A), one row for every step, none dropped, and valid
        (N, horizon), bool. chunks[n, j] is actions[n + j] as long as that belongs to the episode
        of step n, with valid True; afterwards it is that episode's last action, with valid False.
        So valid[:, 0] is True everywhere. Both are on the device of `actions`.
    """
    ### BEGIN SOLUTION
    size = torch.tensor(lengths, device=actions.device)
    last = torch.repeat_interleave(size.cumsum(0) - 1, size)[:, None]  # of the step's episode
    place = torch.arange(len(actions), device=actions.device)[:, None]
    place = place + torch.arange(horizon, device=actions.device)
    return actions[torch.minimum(place, last)], place <= last
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Write down, for horizon 3 and episodes of 4 and 1 steps, which row of <code>actions</code> stands at [n, j]. Then it is a table of row numbers that you need.</details>
# <details><summary>Hint 2: the idea</summary>Without ends, the row number is n + j. For each step you need the number of its episode's last row; nothing may be above that, and what would be is padding. <code>cumsum</code> finds the ends, <code>repeat_interleave</code> tells each step its own.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>last</code> of shape (N, 1) and <code>place</code> of shape (N, horizon): the smaller of the two, entry by entry, are the rows to take by <code>actions[rows]</code>; valid is where place did not have to be cut.</details>

# %% checks="action_chunks"
# Checks of action_chunks
numbered = torch.stack([torch.arange(9.0), -torch.arange(9.0)], 1).double()  # action n is (n, -n)
lengths = [4, 1, 3, 1]
chunks, valid = action_chunks(numbered, lengths, 3)
rows = [[0, 1, 2], [1, 2, 3], [2, 3, 3], [3, 3, 3], [4, 4, 4]]
rows += [[5, 6, 7], [6, 7, 7], [7, 7, 7], [8, 8, 8]]
expect(
    chunks.shape,
    torch.Size([9, 3, 2]),
    "action_chunks: one chunk for every step",
    hint="no step is dropped: (N, horizon, A)",
)
expect(
    chunks[..., 0],
    double(rows),
    "action_chunks: no chunk runs into the next episode",
    hint="behind the episode's last action comes that action again; an episode may have one step",
)
expect(
    valid.dtype,
    torch.bool,
    "action_chunks: valid is True or False",
    hint="a comparison gives such a tensor",
)
expect(
    valid.int(),
    torch.tensor([[n + j == row for j, row in enumerate(r)] for n, r in enumerate(rows)]).int(),
    "action_chunks: valid where the action is the step's own",
    hint="the first entry of a chunk is always valid, and so is an episode's last action itself",
)
expect(
    action_chunks(numbered[:5], [2, 3], 6),
    (
        numbered[torch.tensor([[0] + [1] * 5, [1] * 6, [2, 3] + [4] * 4, [3] + [4] * 5, [4] * 6])],
        torch.arange(6) < torch.tensor([2, 1, 3, 2, 1])[:, None],
    ),
    "action_chunks: a horizon longer than any episode",
    hint="padding may be more than one entry, and the last episode has an end too",
)
expect(
    [lengths, numbered[:, 0]],
    [[4, 1, 3, 1], torch.arange(9).double()],
    "action_chunks: what was given is still there",
    hint="do not take the list apart, and do not write into actions",
)

# %% [markdown]
# ### Exercise: `policy_loss` · ●●○ · 7 minutes · 2 points
#
# Now the loss: lesson 06's, with an observation beside the noisy chunk, and with padding. The network must be fed the padding, since its input has one size. But it shall not be praised for guessing it.


# %% exercise="policy_loss"
def policy_loss(model, obs, chunk, valid, t, eps, alpha_bar):
    """The loss of a diffusion policy for one batch: predict the noise in a noisy chunk of actions.

    The whole chunk is noised to level t, padding too (a network needs an input of one size); the
    observation never is. One call model(x_t, t, obs) predicts eps. The result is the mean of the
    squared error over the A entries of all valid steps of the batch: one sum over one count;
    padding is in neither.

    Args:
        model: model(x_t, t, obs) -> eps_hat (B, H, A).
        obs: (B, O), what the policy sees.
        chunk, eps: (B, H, A). valid: bool (B, H), False where the chunk is padding; something is
            valid.
        t: LongTensor (B,), 1 <= t <= T; its entries may differ.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        A scalar tensor, differentiable in the model's parameters.
    """
    ### BEGIN SOLUTION
    error = (model(q_sample(chunk, t, alpha_bar, eps), t, obs) - eps).square()
    counted = valid[..., None].expand_as(error)
    return torch.where(counted, error, 0.0).sum() / counted.sum()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Noise the chunk, ask the model once, square the difference. Then ask of each entry whether it counts.</details>
# <details><summary>Hint 2: the idea</summary><code>q_sample</code> works for chunks as it is. An entry counts if its step is valid; <code>valid</code> (B, H) needs one more axis to say so for all A entries. The mean is over what counts: divide by the number of entries that count, not by all.</details>
# <details><summary>Hint 3: nearly the line</summary><code>error = (model(...) - eps).square()</code>; with <code>counted</code> the mask in error's shape, the sum of error where counted, over <code>counted.sum()</code>.</details>


# %% checks="policy_loss"
# Checks of policy_loss
def toy_policy(x, t, obs):
    """Couples a chunk's neighbours, its level and what is seen."""
    mixed = x + 0.5 * x.roll(1, 1) + 0.3 * x.roll(1, 2)
    return (mixed * (1 + column(t, x) / 5) + obs.sum(1).reshape(-1, 1, 1)).sin()


obs, chunk, eps = normal(4, 3, seed=1), normal(4, 5, 2, seed=2), normal(4, 5, 2, seed=3)
t = torch.tensor([1, 6, 3, 4])
valid = torch.arange(5) < torch.tensor([5, 1, 3, 2])[:, None]
error = [
    (toy_policy(x[None], s[None], o[None])[0] - e).square()
    for x, s, o, e in zip(q_sample(chunk, t, SHORT, eps), t, obs, eps, strict=True)
]
everything = torch.ones_like(valid)
expect(
    policy_loss(toy_policy, obs, chunk, everything, t, eps, SHORT),
    torch.stack(error).mean(),
    "policy_loss: without padding, the mean squared error of the noise",
    hint="noise the chunk to its own level, leave the observation alone, and call model(x_t, t, obs)",
)
one_by_one = [error[b][j] for b in range(4) for j in range(5) if valid[b, j]]
expect(
    policy_loss(toy_policy, obs, chunk, valid, t, eps, SHORT),
    torch.stack(one_by_one).mean(),
    "policy_loss: padding is in neither sum nor count",
    hint="one sum over all valid entries of the batch, over how many they are; padding is noised like the rest",
)
calls = []
policy_loss(
    lambda *given: calls.append(given) or toy_policy(*given), obs, chunk, valid, t, eps, SHORT
)
expect(
    [len(calls), calls[0][2]],
    [1, obs],
    "policy_loss: one call, and the observation as it came",
    hint="only the chunk is noised",
)
gain = torch.ones((), dtype=torch.float64, requires_grad=True)
loss = policy_loss(lambda *given: gain * toy_policy(*given), obs, chunk, valid, t, eps, SHORT)
expect(
    loss.requires_grad,
    True,
    "policy_loss: the model learns from it",
    hint="no detach, no torch.no_grad(): the loss must be differentiable in the model's parameters",
)

# %% [markdown]
# What should the network answer? Given $o$ the chunk is a mixture of two Gaussians, so lesson 08's perfect answer is at hand: noise each mode, and average the modes' scores by how likely each is at $x_t$ *and* at this place.
#
# $$\epsilon^*(x_t, t, s) = -\sqrt{1 - \bar\alpha_t}\; \nabla_{x_t} \log q(x_t \mid s) = -\sqrt{1 - \bar\alpha_t}\, \sum_m r_m(x_t, s)\, \nabla_{x_t} \log q(x_t \mid s, m) \tag{5}$$
#
# *lesson 07: the best noise is the score in other units; and the score of a mixture averages with $r_m(x_t, s) \propto w_m(s)\, q(x_t \mid s, m)$.*


# %%
# Equation (5): the best answer, and the derivative of the log density
def best_policy_eps(x, t, place, i, alpha_bar):
    """eps*(x_t, t, s) for chunks (B, H, 2) in units of UNIT, at places (B, 2), all at step i and level t."""
    a = alpha_bar[t]
    weights, means, root = WORLD.chunk(place, i, x.shape[1])
    values, axes = torch.linalg.eigh(root @ root.T / UNIT**2)
    away = torch.einsum("bkha,hj->bkja", x[:, None] - a.sqrt() * means / UNIT, axes)
    spread = (a * values.clamp(min=0) + 1 - a)[:, None]
    logs = weights.log() - (away.square() / spread).sum((2, 3)) / 2
    each = torch.einsum("bkja,hj->bkha", away / spread, axes)
    return (1 - a).sqrt() * (logs.softmax(1)[..., None, None] * each).sum(1)


i, level, place = 2, 3, double([[-0.8, 0.1], [-0.7, -0.02]])
x = normal(2, 4, 2, seed=4)
leaf = x.clone().requires_grad_()
densities = []
for b in range(2):
    weights, means, root = WORLD.chunk(place[b : b + 1], i, 4)
    cov = torch.kron(root @ root.T / UNIT**2, torch.eye(2).double()).expand(2, 8, 8)
    chunk_law = exact.GaussianMixture(weights[0], means[0].flatten(1) / UNIT, cov)
    densities.append(chunk_law.noised(SHORT[level]).log_prob(leaf[b].reshape(1, -1)))
(score,) = torch.autograd.grad(torch.cat(densities).sum(), leaf)
verify_equation(5, best_policy_eps(x, level, place, i, SHORT), -(1 - SHORT[level]).sqrt() * score)
# (4): chunks of eight that are drawn from it, one after another, have the driver's law of places.
weights, means, root = WORLD.chunk(WORLD.ways[:1, 0].expand(40_000, 2), 0, 8)
chosen = torch.multinomial(weights, 1, generator=torch.Generator().manual_seed(5))
drawn = means.gather(1, chosen.reshape(-1, 1, 1, 1).expand(-1, 1, 8, 2))[:, 0]
drawn = drawn + torch.einsum("hj,bja->bha", root, normal(40_000, 8, 2, seed=6))
end = WORLD.ways[0, 0] + drawn.sum(1)
halfway = WORLD.shares @ WORLD.ways[:, 8]
verify_equation(4, end.mean(0), halfway, standard_error=0.7 / 40_000**0.5)

# %% [markdown]
# Train one. The network is lesson 06's, with what the robot sees as a context; 32,000 chunks of eight, four thousand steps. Then ask how far it is from the best answer. **Predict** the level $t$, of a hundred, at which a chunk planned at the start ($i = 0$) is guessed worst. (The figure begins at $t = 3$. Below, the noise is so small that a wrong guess of it moves a plan by less than a hundredth of a step.)


# %%
# Given: a diffusion policy, and its training
class Policy(nn.Module):
    """Noise in a chunk of actions, given what is seen: (x (B, H, A), t (B,), obs (B, O)) -> (B, H, A)."""

    def __init__(self, horizon, actions=2, seen=3):
        super().__init__()
        self.body = networks.ResidualMLP(horizon * actions, T, context_dim=seen)

    def forward(self, x, t, obs):
        return self.body(x.flatten(1), t, obs).reshape(x.shape)


@cache
def trained_policy(steps=4000, horizon=8):
    """A diffusion policy that has seen all chunks of the recorded drives."""
    chunks, valid = action_chunks(MOVES.flatten(0, 1), [N] * len(MOVES), horizon)
    at = torch.cat([seen_at(DRIVES[:, i], i) for i in range(N)], 1).reshape(len(MOVES) * N, 3)
    seed_everything(0)
    net = Policy(horizon).to(device)

    def loss(net, obs, chunk, valid):
        t = torch.randint(1, T + 1, (len(obs),), device=obs.device)
        return policy_loss(net, obs, chunk, valid, t, torch.randn_like(chunk), TABLE)

    fit(
        net,
        loss,
        [at.float(), (chunks / UNIT).float(), valid],
        steps=budget(steps),
        batch_size=256,
        lr=2e-3,
        ema=0.995,
        label="squared error of the noise",
    )
    return net


def network_eps(net, x, t, place, i):
    """The network's answer to chunks (B, H, 2) in double precision, all at level t and step i."""
    times = torch.full((len(x),), t, device=device)
    with torch.no_grad():
        return net(x.float().to(device), times, seen_at(place, i).float().to(device)).cpu().double()


# %% predict="my_hardest"
my_hardest = 100  # your prediction: the level t of the largest error, for chunks planned at i = 0

# %% tags=["experiment"]
# Experiment: how far from the best answer? Training takes about 20 seconds
net, levels = trained_policy(), [3, 6, 10, 15, 20, 25, 30, 40, 50, 65, 80, 100]
fig, ax = plots.figure(height=3.2)
for i, role in ((0, "model"), (4, "posterior")):
    at, ahead = DRIVES[:1000, i], MOVES[:1000, i : i + 8] / UNIT
    errors = []
    for t in levels:
        xt = q_sample(ahead, torch.full((1000,), t), ALPHA_BAR, normal(1000, 8, 2, seed=t))
        gap = network_eps(net, xt, t, at, i) - best_policy_eps(xt, t, at, i, ALPHA_BAR)
        errors.append(gap.square().mean().item())
    plots.curve(levels, errors, role, label=f"planned at i = {i}", ax=ax, marker="o", markersize=4)
    if i == 0:
        hardest, worst = levels[errors.index(max(errors))], max(errors)
plots.guess(ax, x=my_hardest)
ax.set(xlabel="level of noise t", ylabel="mean square error per entry", ylim=(0, None))
ax.set_title(f"At the start the hardest level is t = {hardest}")
plots.show(
    fig,
    alt="The network's squared distance from the best noise prediction over the level, at the start and at step 4.",
)
findings["the policy's largest error against the best answer, at i = 0"] = (
    f"{worst:.3f} at t = {hardest}"
)

# %% [markdown]
# Small everywhere, and where it is largest the walk decides between above and below. At step 4 the place has decided, and the error is small at all levels.
#
# Now look at the fan of plans. Two sliders move the robot, in time and across; the thin lines are thirty plans of eight actions, drawn out of noise by your network; the thick one is the clone's. **Where does the fan split, and who follows the driver there?**


# %%
# Given: plans from a network, by Algorithm 2 on every second level
def draw_chunks(net, place, i, *, skip=2, seed=0, eps_of=None):
    """Chunks (B, 8, 2) of actions at places (B, 2), drawn by the diffusion policy."""
    table, generator = TABLE[::skip], torch.Generator().manual_seed(seed)
    noise = torch.randn(len(table), len(place), 8, 2, generator=generator).to(device)
    obs = seen_at(place, i).float().to(device)
    x = noise[0]
    with torch.no_grad():
        for step in range(len(table) - 1, 0, -1):
            t = torch.full((len(x),), step, device=device)
            eps = net(x, skip * t, obs) if eps_of is None else eps_of(x, skip * t, obs)
            x = p_step(x, eps, t, table, noise[step])
    return UNIT * x.cpu().double()


# %% tags=["experiment"]
# Drag: the robot, and its fan of plans
def draw_fan(step, height):
    """Thirty plans of the diffusion policy, and the clone's one."""
    place = torch.stack([WORLD.ways[0, step, 0], double(height)]).expand(30, 2)
    plans = draw_chunks(trained_policy(), place, step, skip=5)
    paths = torch.cat([place[:, None], place[:, None] + plans.cumsum(1)], 1)
    mean = torch.cat([place[:1], place[:1] + clone_acts(place[:1], step)[0].cumsum(0)])
    fig, ax = plots.figure(width=5, height=3.5)
    arena(ax, f"{(paths[:, -1, 1] > 0).sum()} of 30 plans end above")
    draw_routes(ax, paths, "data", alpha=0.6)
    ax.plot(*mean.T.numpy(), color=plots.COLOR["model"], linewidth=2.4, label="the clone's plan")
    ax.plot(*place[0].tolist(), "o", color=plots.COLOR["model"], markersize=9)
    ax.legend(loc="lower left")
    return fig, ax


widgets.explore(
    draw_fan,
    alt="The robot, thirty plans of eight actions from the diffusion policy, and the clone's one plan.",
    step=(0, 8, 0),
    height=(-0.9, 0.9, 0.0),
)

# %% [markdown]
# One plan is not yet a drive: the world has not answered.
#

# %% [markdown]
# ## 3 · Acting
#
# A plan of eight actions is carried out, all of it or its beginning; then the robot looks where it is and plans again. That is a *receding horizon*: the end of the plan moves on as you drive.
#
# ### Exercise: `receding_horizon` · ●●○ · 8 minutes · 2 points
#
# Write the loop, for any policy and any world.


# %% exercise="receding_horizon"
def receding_horizon(policy, step, state, steps, execute):
    """Plan a chunk, carry out its first `execute` actions, plan again from where you are.

    Args:
        policy: policy(state (B, S)) -> a chunk of actions (B, H, A); H is known after a call.
        step: step(state (B, S), action (B, A)) -> the next state (B, S).
        state: (B, S), where everybody starts.
        steps: an int >= 1, steps of the environment in all; where `execute` does not divide it, the
            last chunk is cut off.
        execute: an int >= 1, how many actions of a chunk are carried out.

    Returns:
        (states, actions): states (B, steps + 1, S), the given one first, and actions (B, steps, A).
        The policy is called exactly ceil(steps / execute) times, `step` exactly `steps` times.

    Raises:
        ValueError: execute > H, however small `steps` is; raised after the first call of `policy`
            and before any call of `step`.
    """
    ### BEGIN SOLUTION
    states, actions = [state], []
    while len(actions) < steps:
        chunk = policy(state)
        if execute > chunk.shape[1]:
            raise ValueError(f"execute={execute}, but the chunk has {chunk.shape[1]} actions")
        for j in range(min(execute, steps - len(actions))):
            state = step(state, chunk[:, j])
            states.append(state)
            actions.append(chunk[:, j])
    return torch.stack(states, 1), torch.stack(actions, 1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Two loops: an outer one that plans, an inner one that acts. When does each end?</details>
# <details><summary>Hint 2: the idea</summary>Keep a list of states and a list of actions. As long as actions are missing, plan from the <em>latest</em> state and carry out <code>execute</code> actions, or fewer if no more are needed. Compare execute with the chunk's length right after planning.</details>
# <details><summary>Hint 3: nearly the line</summary><code>while len(actions) &lt; steps</code>, then <code>for j in range(min(execute, steps - len(actions)))</code> with the action <code>chunk[:, j]</code>; at the end <code>torch.stack(..., 1)</code> twice.</details>

# %% checks="receding_horizon"
# Checks of receding_horizon
asked = []


def counting_policy(state):
    """Five actions (B, 5, 2) that depend on the state; remembers where it was asked."""
    asked.append(state)
    return torch.stack([state[:, :2] * (j + 1) - j for j in range(5)], 1).sin()


def turning(state, action):
    """A world that answers: the next state depends on state and action."""
    return torch.cat([state[:, 1:2] + action[:, :1], 0.5 * state[:, :1] - action[:, 1:]], 1)


begin = normal(3, 2, seed=1)
states, actions = receding_horizon(counting_policy, turning, begin, 7, 3)
expect(
    [states.shape, actions.shape],
    [torch.Size([3, 8, 2]), torch.Size([3, 7, 2])],
    "receding_horizon: seven actions, and one state more",
    hint="the given state comes first; a last chunk is cut off when all steps are done",
)
expect(
    states[:, 1:],
    torch.stack([turning(states[:, i], actions[:, i]) for i in range(7)], 1),
    "receding_horizon: each state is the world's answer to the last state and action",
    hint="step(state, action), once for every action, always from the latest state",
)
expect(
    [len(asked), torch.stack(asked, 1)],
    [3, states[:, [0, 3, 6]]],
    "receding_horizon: planned from where the robot is, every third step",
    hint="ceil(steps / execute) calls of the policy, each with the latest state",
)
right = torch.cat([counting_policy(states[:, i])[:, :3] for i in (0, 3, 6)], 1)[:, :7]
expect(
    actions,
    right,
    "receding_horizon: the first three actions of each plan",
    hint="chunk[:, 0] comes first after planning",
)
for steps, execute in ((5, 5), (6, 1), (3, 4)):
    asked.clear()
    states, _ = receding_horizon(counting_policy, turning, begin, steps, execute)
    expect(
        [states.shape[1] - 1, len(asked)],
        [steps, -(-steps // execute)],
        f"receding_horizon: {steps} steps, {execute} carried out of each plan",
        hint="as many steps as asked for, and no plan that is not needed",
    )
carried = []
try:
    receding_horizon(counting_policy, lambda s, a: carried.append(1) or turning(s, a), begin, 3, 6)
    said = "nothing"
except ValueError:
    said = "ValueError"
expect(
    [said, len(carried)],
    ["ValueError", 0],
    "receding_horizon: more actions than a plan has are refused, before anything is done",
    hint="compare execute with chunk.shape[1], even when fewer steps are asked for",
)

# %% [markdown]
# Begin with behaviour cloning, and leave training out of it: take the *exact* best chunk at every place, as your `bc_optimum` gives it. It carries out $k$ actions of each plan. At $k = 16$ it looks once, at the start; at $k = 1$ it looks after every step. **Predict** what share crashes at $k = 1$.


# %%
# Given: worlds that answer, policies that are exact, and drives
def windy(gust=0.0, seed=0):
    """The round-about as `step`: states (x, y, i); a gust moves the robot after its action."""
    generator = torch.Generator().manual_seed(seed)

    def step(state, action):
        wind = gust * torch.randn(action.shape, generator=generator, dtype=torch.float64)
        return state + torch.cat([action + wind, torch.ones_like(action[:, :1])], 1)

    return step


def planner(draw, horizon):
    """A policy for `receding_horizon` that plans by draw(place, i, how many)."""

    def policy(state):
        i = int(state[0, 2])
        ahead = min(horizon, N - i)
        chunk = draw(state[:, :2], i, ahead)
        return nn.functional.pad(chunk, (0, 0, 0, horizon - ahead))  # beyond the end nobody acts

    return policy


def mean_chunk(place, i, ahead):
    """What squared error ends with."""
    return best_chunk(place, i, ahead)[0]


def driver_chunk(generator):
    """A perfect sampler: draws what the driver does."""

    def draw(place, i, ahead):
        weights, means, root = WORLD.chunk(place, i, ahead)
        chosen = torch.multinomial(weights, 1, generator=generator)[:, 0]
        fresh = torch.randn(len(place), ahead, 2, generator=generator, dtype=torch.float64)
        return means[torch.arange(len(place)), chosen] + root @ fresh

    return draw


def drive(policy, execute, n=2000, gust=0.0, seed=3):
    """n drives from the driver's own starts, (n, N + 1, 2)."""
    start = WORLD.ways[0, 0] + WORLD.start * normal(n, 2, seed=seed)
    state = torch.cat([start, torch.zeros(n, 1).double()], 1)
    states, _ = receding_horizon(policy, windy(gust, seed + 1), state, N, execute)
    return states[..., :2]


def outcome(routes):
    """Shares that crash, and that pass above among those who do not."""
    crash = WORLD.crash(routes)
    above = routes[:, N // 2, 1] > 0
    passed = (above & ~crash).sum() / (~crash).sum().clamp(min=1)
    return crash.double().mean().item(), passed.item() if not crash.all() else math.nan


# %% predict="my_crash"
my_crash = 0.5  # your prediction: share of crashes by squared error at k = 1

# %% tags=["experiment"]
# Experiment: squared error at its best, acting in a closed loop
print("carried out     crash     above, of those who pass (the driver: 0.70)")
fig, axes = plots.figure(1, 3, width=6.2, height=1.9)
for k in (1, 2, 4, 8, 16):
    routes = drive(planner(mean_chunk, 16), k)
    crash, above = outcome(routes)
    print(f"k = {k:2} {crash:14.3f} {'nobody' if math.isnan(above) else f'{above:.2f}':>9}")
    if k in (1, 4, 8):
        ax = axes[(1, 4, 8).index(k)]
        arena(ax, f"k = {k}: {per_cent(crash)} crash")
        draw_routes(ax, routes[:40], "model")
    if k == 1:
        findings["squared error at k = 1: crash, above (the driver 0, 0.70)"] = (
            f"{crash:.3f}, {above:.2f}"
        )
plots.show(
    fig,
    alt="Forty drives by the exact mean when one, four and eight actions of a plan are carried out.",
)
print(f"you predicted {my_crash:g} for the crashes at k = 1")

# %% [markdown]
# Surprised? At $k = 1$ squared error hardly ever crashes. The first mean step goes a little to the side; there the place says a little more about the way; so the next mean goes further to that side. Acting breaks the tie, and the loop amplifies it. But it breaks it in favour of the majority: more drives go above than the driver's seven of ten, and at $k = 4$ all of them do. The loss is at its floor and no sampled drive looks wrong, and yet the law is not hers.
#
# With $k = 8$ nothing breaks the tie in time. **Chunks make regression worse.** So the reason to draw is real, but it is not that a single action cannot have two modes.
#
# Now your diffusion policy drives, trained as it is, with fifty steps of noise for each plan. **Predict** the share above when it plans anew after every step.

# %% predict="my_above"
my_above = 0.9  # your prediction: share above at k = 1, of those who pass

# %% tags=["experiment"]
# Experiment: the diffusion policy drives; it takes about 6 seconds
fig, axes = plots.figure(1, 3, width=6.2, height=1.9)
print("carried out     crash                above, of those who pass (the driver: 0.70)")
for ax, k in zip(axes, (1, 4, 8), strict=True):
    generator = itertools.count(10)

    def network_chunk(place, i, ahead, seeds=generator):
        return draw_chunks(trained_policy(), place, i, seed=next(seeds))[:, :ahead]

    routes = drive(planner(network_chunk, 8), k, n=1000)
    crash, above = outcome(routes)
    error = (crash * (1 - crash) / 1000) ** 0.5
    print(f"k = {k:2} {crash:14.3f} +- {error:.3f} {above:14.3f} +- 0.015")
    arena(ax, f"k = {k}: {per_cent(crash)} crash")
    draw_routes(ax, routes[:40], "model")
plots.show(
    fig,
    alt="Forty drives of the diffusion policy when one, four and eight actions of a plan are carried out.",
)
print(f"you predicted {my_above:g} for the share above at k = 1")
findings["diffusion policy at k = 8: crash, above (the clone above crashed)"] = (
    f"{crash:.3f}, {above:.2f}"
)

# %% [markdown]
# It drives as the driver does, up to a few points that are its own error. (With fewer steps of noise each plan is a little biased, and whoever plans sixteen times is biased sixteen times.)
#
# ### What looking again forgets
#
# Planning anew at every step, the robot does not remember which way it chose. Does it dither between above and below? Ask the law. Say that at every $i$ the policy has the driver's own $p(a_i \mid s_i)$. Start with the same $p(s_0)$, and go on:
#
# $$p(s_i, s_{i+1}) = p(s_i) \int p(a_i \mid s_i)\, p(s_{i+1} \mid s_i, a_i)\, da_i, \qquad p(s_{i+1}) = \int p(s_i, s_{i+1})\, ds_i \tag{6}$$
#
# *the left side follows from $p(s_i)$, which is right by the line before; the right side hands it on.* A chunk drawn from the right law hands on all of its places in this way. So **every place and every pair of neighbours has the driver's probability, whatever $k$**. The side taken is a place in the middle. A crash is made of pairs: if no piece of hers ever touches the disc, none of the robot's does.
#
# What may differ is the law of whole paths. The cell below lists all paths of a walker on a line who keeps her direction nine times of ten, which her place does not show, and of a robot with her $p(a_i \mid s_i)$.


# %%
# Equation (6): a walker who keeps her direction, and her mimic, path by path
def walker_and_mimic(steps=5, first=0.6, keep=0.9):
    """Probabilities of all paths, {path: p}, of the walker and of a robot that knows p(a_i given s_i) alone."""
    walker = {}
    for moves in itertools.product((1, -1), repeat=steps):
        p = first if moves[0] == 1 else 1 - first
        for one, next_one in itertools.pairwise(moves):
            p *= keep if one == next_one else 1 - keep
        walker[tuple(itertools.accumulate((0, *moves)))] = p
    reached, moved = {}, {}
    for path, p in walker.items():
        for i in range(steps):
            reached[i, path[i]] = reached.get((i, path[i]), 0.0) + p
            moved[i, path[i], path[i + 1]] = moved.get((i, path[i], path[i + 1]), 0.0) + p
    mimic = {
        path: math.prod(moved[i, path[i], path[i + 1]] / reached[i, path[i]] for i in range(steps))
        for path in walker
    }
    return walker, mimic


def table_of(law, *steps):
    """The joint probabilities of the places at these steps."""
    found = {}
    for path, p in law.items():
        places = tuple(path[i] for i in steps)
        found[places] = found.get(places, 0.0) + p
    return found


walker, mimic = walker_and_mimic()
for i in range(5):
    pairs, hers = table_of(mimic, i, i + 1), table_of(walker, i, i + 1)
    verify_equation(6, double(list(pairs.values())), double([hers[pair] for pair in pairs]))
divergence = sum(p * math.log(p / mimic[path]) for path, p in walker.items())
turns = [
    sum(p * sum(path[i] == path[i + 2] for i in range(4)) for path, p in law.items())
    for law in (walker, mimic)
]
print(f"all pairs agree; but the divergence of the laws of paths is {divergence:.3f} nats,")
print(f"and she turns {turns[0]:.2f} times a path on average, the mimic {turns[1]:.2f} times")

# %% [markdown]
# The mimic turns more often. No place and no step betrays it; only who looks at a whole path sees it dither.
#
# ### Step: `dither_variance` · ●●○ · 5 minutes
#
# How far does dithering go when the state says *nothing* about what was chosen? A robot moves by $v$ to the left or to the right at every step. Each plan draws its direction by a fair coin, and keeps it for $k$ steps; then the next plan draws anew. After $N$ steps, $k$ a divisor of $N$: what is the variance of the place?


# %% step="dither_variance"
def dither_variance(N, k, v):
    """The variance of the place after N steps of length v, the direction drawn anew every k steps.

    An expression in the SymPy symbols N, k and v.
    """
    ### BEGIN SOLUTION
    return N * k * v**2
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Count the coins. The draws are independent, so variances add up.</details>
# <details><summary>Hint 2: the idea</summary>Each plan moves the robot by k v to one side or to the other. What is the variance of one such move, and how many are there?</details>
# <details><summary>Hint 3: nearly the line</summary>One move has the variance (k v) squared; there are N / k of them.</details>

# %% checks="dither_variance"
# Checks of dither_variance
N_, k_, v_ = sympy.symbols("N k v", positive=True)
for steps, kept in ((6, 1), (6, 2), (6, 3), (8, 8)):
    coins = itertools.product((-1, 1), repeat=steps // kept)
    ends = double([sum(kept * 0.1 * coin for coin in row) for row in coins])
    verify_equation(
        7,
        float(dither_variance(N_, k_, v_).subs({N_: steps, k_: kept, v_: 0.1})),
        ends.square().mean(),
        of="dither_variance",
        hint="all sequences of coins, listed: how many are drawn, and how far does each go?",
    )
one_plan = (k_ * v_) ** 2
expect_same(
    dither_variance(N_, k_, v_) * k_,
    one_plan * N_,
    "dither_variance: N / k plans, each with the variance of one",
    hint="independent moves: their variances add up",
)

# %% [markdown]
# <details><summary>Line (7), to compare with yours</summary>
#
# $$\operatorname{Var} x_N = \frac{N}{k} \cdot (k v)^2 = N\, k\, v^2 \tag{7}$$
#
# *$N / k$ independent moves of length $k v$.*
#
# </details>
#
# Sixteen steps of length 0.1 end 0.4 from home, by standard deviation, when every step is planned anew, and 1.6 when the plan is made once. If the driver really does go to one side, only the long chunk does as she does. That is what chunks are for: **for what was chosen and the state does not say**, not for modes. (The slide's "chunks model multimodal action distributions" is about the sampler, not about the chunk.)
#
# And the price? While a chunk runs, the robot does not look. Let a gust move it after every step, by 0.1 in each direction, and let a *perfect* sampler drive. **Predict** the share of crashes when all sixteen steps are planned at once; with a plan at every step it is 6 of 100.

# %% predict="my_gusty"
my_gusty = 0.1  # your prediction: share of crashes with gusts at k = 16

# %% tags=["experiment"]
# Experiment: how long to commit?
ks, calm, gusty, regression = (1, 2, 4, 8, 16), [], [], []
generator = torch.Generator().manual_seed(4)
print("carried out   calm: crash, above       gusts: crash     squared error, gusts")
for k in ks:
    perfect = planner(driver_chunk(generator), 16)
    quiet = outcome(drive(perfect, k, n=5000))
    calm.append(quiet[0])
    gusty.append(outcome(drive(perfect, k, n=5000, gust=0.1))[0])
    regression.append(outcome(drive(planner(mean_chunk, 16), k, n=5000, gust=0.1))[0])
    print(f"k = {k:2} {quiet[0]:12.4f} {quiet[1]:9.3f} {gusty[-1]:17.3f} {regression[-1]:17.3f}")
fig, ax = plots.figure(height=3)
for shares, role, name in (
    (calm, "data", "drawn, calm"),
    (gusty, "posterior", "drawn, gusts"),
    (regression, "model", "squared error, gusts"),
):
    plots.curve(ks, shares, role, label=name, ax=ax, marker="o", markersize=5)
plots.guess(ax, y=my_gusty)
ax.set(xscale="log", xticks=ks, xlabel="actions carried out of each plan, k", ylabel="crashes")
ax.set_xticklabels(ks)
ax.minorticks_off()
ax.set_title(
    f"Drawn, with gusts: {per_cent(gusty[0])} crash at k = 1, {per_cent(gusty[-1])} at k = 16"
)
plots.show(fig, alt="Share of crashes over the number of actions carried out, calm and with gusts.")
findings["perfect sampler, gusts: crashes at k = 1 and 16"] = f"{gusty[0]:.3f}, {gusty[-1]:.3f}"

# %% [markdown]
# Calm, $k$ makes no difference at all, as (6) says. With gusts every step without a look costs. So $k$ weighs hidden choices against surprises, and here, where the place shows the choice, surprises win. Drag both.


# %%
# Drag: how long to commit, and how much wind
def draw_wind(execute, gust):
    """Fifty drives of a perfect sampler."""
    sampler = planner(driver_chunk(torch.Generator().manual_seed(6)), 16)
    routes = drive(sampler, execute, n=50, gust=gust)
    crash = WORLD.crash(routes)
    fig, ax = plots.figure(width=5, height=3.5)
    arena(ax, f"{int(crash.sum())} of 50 crash")
    for role, chosen in (("data", ~crash), ("model", crash)):
        if chosen.any():
            draw_routes(ax, routes[chosen], role, alpha=0.5)
    return fig, ax


widgets.explore(
    draw_wind,
    alt="Fifty drives around the disc, those that crash in another colour.",
    execute=(1, 16, 8),
    gust=(0.0, 0.2, 0.1),
)

# %% [markdown]
# All this imitates. Somebody had to show the way. What if nobody did, and you want to be at a place that no drive has gone to?
#

# %% [markdown]
# ## 4 · All plans at once
#
# Take a world so simple that the law of *all* plans can be written down. A cart on a rail has a position and a velocity; a push changes its velocity, and with it the position:
# $s_{i+1} = A s_i + B u_i$. Nobody drives. The pushes are chance, $u_i \sim \mathcal N(0, \sigma_u^2)$, and the cart wanders about.
#
# Now keep, of all these wanderings, those that start at rest at $-1$ and stand at rest at $1$ sixteen steps later. There may be none among a million. But there is a law of them, and it is what planning asks for:
#
# $$\begin{aligned} & p(\tau \mid y) = \frac{p(\tau)\, p(y \mid \tau)}{p(y)}; \\ \text{for entries of a Gaussian } \tau{:} \quad & \mathbb E[\tau_r \mid \tau_y = y] = \mu_r + C_{ry}\, C_{yy}^{-1} (y - \mu_y), \\ & \operatorname{Cov}[\tau_r \mid \tau_y = y] = C_{rr} - C_{ry}\, C_{yy}^{-1} C_{yr} \end{aligned} \tag{8}$$
#
# *Bayes' rule; where $y$ names entries of the plan itself, a regression of the other entries $r$ on them* (`GaussianData.given`, given to you). So all that is missing is the Gaussian $p(\tau)$.


# %%
# Equation (8) on a grid: two entries of a Gaussian, the second one given
pair = exact.GaussianData([0.3, -0.2], double([[0.8, 0.5], [0.5, 0.6]]))
line = torch.linspace(-8, 8, 4001, dtype=torch.float64)
value = 0.7
joint = pair.log_prob(torch.stack([line, torch.full_like(line, value)], 1)).exp()
share = joint / joint.sum()
mean = share @ line
left = pair.given([1], [value])
verify_equation(8, left.mean, mean)
verify_equation(8, left.cov, share @ (line - mean).square())

# %% [markdown]
# ### Exercise: `trajectory_gaussian` · ●●○ · 9 minutes · 2 points
#
# Write it down, for any linear world: the mean and the covariance of all states, stacked in the order of time.


# %% exercise="trajectory_gaussian"
def trajectory_gaussian(A, B, mean0, cov0, action_var, horizon):
    """The Gaussian of all states of a linear system that is driven by Gaussian actions.

    s_{i+1} = A s_i + B u_i for i = 0..H-1, with s_0 ~ N(mean0, cov0) and u_i ~ N(0, action_var I),
    all independent.

    Args:
        A: (S, S). B: (S, U). mean0: (S,). cov0: (S, S), positive semi-definite.
        action_var: a float >= 0. horizon: H, an int >= 1.

    Returns:
        (mean, cov): ((H + 1) S,) and ((H + 1) S, (H + 1) S), of s_0, s_1, ..., s_H one after
        another: s_i fills the entries i S to i S + S - 1. cov is symmetric and may be singular:
        with U < S not every plan is possible.
    """
    ### BEGIN SOLUTION
    S = len(mean0)
    mean, cov = mean0, cov0
    for _ in range(horizon):
        across = A @ cov[-S:]  # the next state with all before it
        own = across[:, -S:] @ A.T + action_var * B @ B.T
        cov = torch.cat([torch.cat([cov, across.T], 1), torch.cat([across, own], 1)])
        mean = torch.cat([mean, A @ mean[-S:]])
    return mean, cov
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Go step by step: you know the law of s_0, ..., s_i; append s_{i+1}. What is its mean, its covariance with all before it, and its own?</details>
# <details><summary>Hint 2: the idea</summary>s_{i+1} is A times the last state, plus a push that knows nothing of the past. So its covariance with everything before is A times the covariance of s_i with everything before; the push counts in its own covariance alone.</details>
# <details><summary>Hint 3: nearly the line</summary>The last S rows of the covariance so far are those of s_i. A times them is a new row of blocks, its transpose the new column. Into the corner comes the covariance of A s_i and that of B u_i. (Or: each state is a matrix times s_0 plus matrices times the pushes; stack these.)</details>

# %% checks="trajectory_gaussian"
# Checks of trajectory_gaussian
A = double([[0.9, 0.4, 0.0], [-0.2, 0.7, 0.3], [0.1, 0.0, 1.1]])
B = double([[1.0, 0.0], [0.5, -1.0], [0.0, 0.3]])
mean0, cov0 = double([1.0, -0.5, 0.3]), double([[0.5, 0.1, 0.0], [0.1, 0.3, 0.2], [0.0, 0.2, 0.4]])
mean, cov = trajectory_gaussian(A, B, mean0, cov0, 0.6, 3)
expect(
    [mean.shape, cov.shape],
    [torch.Size([12]), torch.Size([12, 12])],
    "trajectory_gaussian: four states of three entries",
    hint="horizon 3 means s_0 to s_3: (H + 1) S entries",
)
expect(
    [mean[:3], mean[9:]],
    [mean0, A @ A @ A @ mean0],
    "trajectory_gaussian: the pushes have mean 0",
    hint="the mean of s_i goes through A once a step",
)


def all_routes(count):
    """Covariance of all states by what each source of chance, alone and of size 1, does to every state."""
    sources = []
    root = torch.linalg.cholesky(cov0)
    for source in range(3 + 2 * count):
        state = root[:, source] if source < 3 else torch.zeros(3).double()
        states = [state]
        for i in range(count):
            push = torch.zeros(2).double()
            if source >= 3 and (source - 3) // 2 == i:
                push[(source - 3) % 2] = 0.6**0.5
            states.append(A @ states[-1] + B @ push)
        sources.append(torch.cat(states))
    sources = torch.stack(sources, 1)
    return sources @ sources.T


truth = all_routes(3)
expect(
    [cov[:3, :3], cov[3:6, 3:6]],
    [truth[:3, :3], truth[3:6, 3:6]],
    "trajectory_gaussian: the first two states' own covariances",
    hint="action_var is a variance; which matrix is transposed?",
)
verify_equation(
    9,
    cov,
    truth,
    of="trajectory_gaussian",
    hint="what does a push do to the states after it, and to those before? Covariances of different steps too",
)
expect(
    trajectory_gaussian(A, B, mean0, cov0, 0.6, 1)[1],
    all_routes(1),
    "trajectory_gaussian: one step",
    hint="horizon 1: two states, one push",
)
expect(
    trajectory_gaussian(A, B, mean0, 0 * cov0, 0.0, 2)[1],
    torch.zeros(9, 9).double(),
    "trajectory_gaussian: without chance, no spread",
    hint="all covariance comes from cov0 and action_var",
)

# %% [markdown]
# <details><summary>Line (9), to compare with yours</summary>
#
# $$\begin{aligned} & \mathbb E s_{i+1} = A\, \mathbb E s_i, \qquad \operatorname{Cov}(s_{i+1}, s_j) = A \operatorname{Cov}(s_i, s_j) \;\; (j \le i), \\ & \operatorname{Cov}(s_{i+1}) = A \operatorname{Cov}(s_i) A^\top + \sigma_u^2\, B B^\top \end{aligned} \tag{9}$$
#
# *the push $u_i$ has mean 0 and is independent of all states up to $s_i$.*
#
# </details>
#
# The cart has two numbers a state and one push a step, so most plans are impossible: the covariance is singular, and that is as it should be. Sixteen steps, seventeen states, thirty-four entries. Give it start and goal. **Predict** at which step the plans that are left differ most in position.


# %%
# Given: the cart, and its plans
CART_A, CART_B = worlds.double_integrator()
STEPS = 16
ENTRIES = 2 * (STEPS + 1)
ENDS = [0, 1, ENTRIES - 2, ENTRIES - 1]  # position and velocity at the start and at the goal
INSIDE = list(range(2, ENTRIES - 2))
FROM_TO = double([-1.0, 0.0, 1.0, 0.0])
FAR = torch.eye(ENTRIES, dtype=torch.float64)[-2]  # FAR @ plan is the position at the end


@cache
def cart_plans():
    """The law of all plans of the cart, without any wish."""
    start = torch.diag(double([1.0, 0.25]))
    return exact.GaussianData(
        *trajectory_gaussian(CART_A, CART_B, torch.zeros(2).double(), start, 1.0, STEPS)
    )


def whole(inside, ends):
    """Plans of all entries from the free ones (..., 30) and start and goal (4,)."""
    ends = ends.expand(*inside.shape[:-1], 4)
    return torch.cat([ends[..., :2], inside, ends[..., 2:]], -1)


def draw_tube(ax, mean, cov, role, label):
    """Position over the steps, with a band of two standard deviations."""
    spread = cov.diagonal()[::2].clamp(min=0).sqrt()
    plots.curve(range(STEPS + 1), mean[::2], role, label=label, error=spread, ax=ax)


# %% predict="my_widest"
my_widest = 15  # your prediction: the step i at which the plans differ most in position

# %% tags=["experiment"]
# Experiment: the plans that reach the goal
left = cart_plans().given(ENDS, FROM_TO)
sd = left.cov.diagonal()[::2].sqrt()  # of the positions at i = 1..15
widest = 1 + int(sd.argmax())
some = whole(left.sample(12, torch.Generator().manual_seed(0)), FROM_TO)
fig, ax = plots.figure(height=3)
for path in some[:, ::2]:
    plots.curve(range(STEPS + 1), path, "data", ax=ax, linewidth=0.8, alpha=0.7)
plots.curve(range(STEPS + 1), whole(left.mean, FROM_TO)[::2], "model", label="their mean", ax=ax)
plots.guess(ax, x=my_widest)
ax.set(xlabel="step i", ylabel="position")
ax.set_title(f"Widest at step {widest}, by ± {sd.max():.2f}")
plots.show(fig, alt="Twelve plans of the cart from -1 to 1, position over steps, and their mean.")


def cart_frame(i):
    """Twelve carts, each on its rail, at step i."""
    fig, ax = plots.figure(width=6, height=2.3)
    ax.hlines(range(12), -2, 2, color=plots.COLOR["noise"], linewidth=0.6)
    ax.scatter(some[:, 2 * i], range(12), marker="s", s=42, color=plots.COLOR["data"], zorder=3)
    ax.axvline(1, color=plots.COLOR["prior"], linewidth=2)
    ax.set(xlim=(-1.9, 1.9), ylim=(-1, 12), yticks=[], xlabel="position", title=f"step {i}")
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return fig


film.play(
    (cart_frame(i) for i in range(STEPS + 1)),
    alt="Twelve carts on parallel rails leave the left together, go their own ways, and stop together at the goal.",
)

# %% [markdown]
# Each of the twelve was pushed by chance, and all of them stand at the goal in the same moment, at rest. Conditioning does that, without a controller.
#
# ### Wishes are likelihoods
#
# Often you do not demand, you prefer. A reward $R(\tau) = -\tfrac12 (G\tau - y)^\top W (G\tau - y)$ says that $G\tau$ should be near $y$. Weigh each plan by $e^{R}$:
#
# $$p(\tau)\, e^{R(\tau)} \;\propto\; \mathcal N\big(\tau;\; \mu + K (y - G \mu),\; C - K G C\big), \qquad K = C G^\top \big(G C G^\top + W^{-1}\big)^{-1} \tag{10}$$
#
# *$e^R$ is, up to a factor, the density of having measured $y = G\tau$ with Gaussian errors of precision $W$: (8) for the pair $(\tau, y)$.* A wish is a measurement that has not been made (field's word: control as inference).
#
# The mode of this law is the plan with the largest $\log p(\tau) + R(\tau)$. But what is $\log p(\tau)$? Plans are made of pushes, so it is $-\sum_i u_i^2 / (2 \sigma_u^2)$ and a constant: *probability is effort*. The mode is the plan that trades effort for reward best. That is optimal control.
#
# ### Step: `one_push` · ●○○ · 5 minutes
#
# By hand, with one push: you are at $s$, the push brings you to $s + u$, and the reward there is $-\frac{\lambda}{2} (s + u - g)^2$. Which $u$ has the largest $-\frac{u^2}{2\sigma^2} - \frac{\lambda}{2} (s + u - g)^2$?


# %% step="one_push"
def one_push(s, g, sigma, lam):
    """The best push: an expression in the SymPy symbols s, g, sigma (of the push, a deviation) and lam."""
    ### BEGIN SOLUTION
    return sigma**2 * lam * (g - s) / (1 + sigma**2 * lam)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A parabola in u: where is its slope 0?</details>
# <details><summary>Hint 2: the idea</summary>The slope is minus u over sigma squared, less lam (s + u - g). Collect u.</details>
# <details><summary>Hint 3: nearly the line</summary>u times (1 / sigma squared + lam) equals lam (g - s).</details>

# %% checks="one_push"
# Checks of one_push
s_, g_, sigma_, lam_, u_ = sympy.symbols("s g sigma lambda u", positive=True)
worth = -(u_**2) / (2 * sigma_**2) - lam_ * (s_ + u_ - g_) ** 2 / 2
expect_same(
    sympy.diff(worth, u_).subs(u_, one_push(s_, g_, sigma_, lam_)),
    0,
    "one_push: no better push nearby",
    hint="effort and reward both count: the slope of their sum is 0",
)
law = exact.GaussianData([0.0, 0.0], double([[0.7, 0.7], [0.7, 0.7 + 0.5]]))  # push, measured end
verify_equation(
    11,
    float(one_push(s_, g_, sigma_, lam_).subs({s_: -0.4, g_: 1.0, sigma_: 0.7**0.5, lam_: 2})),
    law.given([1], [1.4]).mean,
    of="one_push",
    hint="as a measurement of s + u with the variance 1 / lam: a regression",
)

# %% [markdown]
# <details><summary>Line (11), to compare with yours</summary>
#
# $$u^* = \frac{\sigma^2 \lambda}{1 + \sigma^2 \lambda}\, (g - s) \tag{11}$$
#
# *slope 0, solved for $u$: a share of the way, the larger the cheaper pushes are and the more the goal counts.*
#
# </details>
#
# With many steps the same problem is the *linear quadratic regulator*, LQR (Kalman, 1960), which works backwards from the goal by Riccati's equation and gives a gain for every step. Two fields, one answer:
#
# $$\begin{aligned} & \mathbb E\big[\tau \mid s_0 \text{ fixed, weighted by } e^R\big] = \text{the route of } u_i = -K_i\,(s_i - g), \\ & \text{with costs } \tfrac{1}{2\sigma_u^2} u^2 \text{ a push and } \tfrac12 (s_H - g)^\top W (s_H - g) \end{aligned} \tag{12}$$
#
# *mode and mean of a Gaussian are one; the goal is at rest, so $A g = g$ and one may count from it.*


# %%
# Equations (10) and (12)
def weighed(law, G, y, W):
    """The law times exp of the reward -1/2 (G x - y)' W (G x - y)."""
    gain = torch.linalg.solve(G @ law.cov @ G.T + torch.linalg.inv(W), G @ law.cov).T
    cov = law.cov - gain @ G @ law.cov
    return exact.GaussianData(law.mean + gain @ (y - G @ law.mean), (cov + cov.T) / 2)


# (10): gradient 0 at the mean, and minus the Hessian is the precision, by automatic differentiation.
law = exact.GaussianData([0.3, -0.2, 0.5], 0.4 * torch.eye(3).double() + 0.2)
G, y, W = (
    double([[1.0, -2.0, 0.0], [0.0, 1.0, 1.0]]),
    double([0.4, 1.0]),
    torch.diag(double([3.0, 0.5])),
)
new = weighed(law, G, y, W)


def log_worth(x):
    miss = G @ x - y
    return law.log_prob(x[None])[0] - miss @ W @ miss / 2


hessian = torch.autograd.functional.hessian(log_worth, new.mean)
verify_equation(10, torch.autograd.functional.jacobian(log_worth, new.mean), 0.0)
verify_equation(10, -hessian, torch.linalg.inv(new.cov))
# (12): from a start that is fixed, with a wish for place and velocity at the end.
start, goal = double([-1.0, 0.5]), double([1.0, 0.0])
wish = torch.diag(double([50.0, 20.0]))
fixed = exact.GaussianData(
    *trajectory_gaussian(CART_A, CART_B, start, torch.zeros(2, 2).double(), 0.5, STEPS)
)
last = torch.eye(ENTRIES).double()[-2:]
nothing, per_push = torch.zeros(2, 2).double(), double([[1 / 0.5]])
state, driven = start - goal, [start]
for K in worlds.lqr_gains(CART_A, CART_B, nothing, per_push, wish, STEPS):
    state = CART_A @ state - CART_B @ (K @ state)
    driven.append(state + goal)
verify_equation(12, weighed(fixed, last, goal, wish).mean, torch.cat(driven))

# %% [markdown]
# So you can plan in a world that you can write down, exactly and without a network. A real one you cannot write down. There you have recorded plans, and a diffusion model of them. How do you ask *it* for start and goal?
#

# %% [markdown]
# ## 5 · A plan with holes
#
# A plan of seventeen states is a picture seventeen pixels long. Start and goal are known pixels, the rest is a hole: lesson 08's inpainting. So Diffuser (Janner and others, 2022) plans, and so most texts tell it: *train on whole plans; while sampling, overwrite start and goal at every level.*
#
# Lesson 08 has warned you. What does a network that was trained on whole plans believe, when it finds the clean start $y$ in a plan at level $t$? It takes $y$ for a *noisy* value, and what it answers for the others is the left side of
#
# $$\underbrace{\mathbb E\big[\epsilon \mid x_t^{\text{free}},\; x_t^{\text{known}} = y\big]}_{\text{trained on whole plans}} \qquad \text{in place of} \qquad \underbrace{\mathbb E\big[\epsilon \mid x_t^{\text{free}},\; x_0^{\text{known}} = y\big]}_{\text{right: the best noise for } p(x_0^{\text{free}} \mid y)} \tag{13}$$
#
# *the least squared error is reached by the mean given what stands in the input.* For the network at level $t$, a start at $-1$ is a start at $-1/\sqrt{\bar\alpha_t}$, give or take $\sqrt{1/\bar\alpha_t - 1}$.
#
# The remedy is in (13) itself: in *training* too, leave the known entries clean. Then the mean given the input is the right side. Diffuser's code does so, in one line of its loss that its paper does not mention.


# %%
# For checks: a small planner, and masks
def toy_planner(x, t):
    """Couples neighbours in the plan and its level."""
    return ((x + 0.7 * x.roll(1, 1) - 0.4 * x.roll(1, 2)) * (1 + column(t, x) / 4)).sin()


ends = torch.tensor([True, False, False, False, True])[
    :, None
]  # (L, 1): the first and the last state
no_ends = torch.zeros(5, 1, dtype=torch.bool)

# %% [markdown]
# ### Exercise: `planning_loss` · ●●○ · 6 minutes · 2 points
#
# That loss: known entries in sight, and nobody asked about them.


# %% exercise="planning_loss"
def planning_loss(model, x0, mask, t, eps, alpha_bar):
    """The loss of a planner that learns with the given entries in sight.

    In the network's input the entries where mask is True are x_0's own, clean; the others are noised
    to level t. One call model(input, t) predicts eps. The result is the mean of the squared error
    over all entries of the batch that are not given: one sum over one count, not a mean of means.

    Args:
        model: model(x, t) -> eps_hat like x.
        x0, eps: (B, L, S), plans of L states.
        mask: bool, broadcastable to x0, True where an entry is given, such as start and goal; not
            everything is given.
        t: LongTensor (B,), 1 <= t <= T; its entries may differ.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.

    Returns:
        A scalar tensor, differentiable in the model's parameters. Inputs stay as they are.

    Source: Janner and others (2022); their code sets start and goal in the noisy plan in training too.
    """
    ### BEGIN SOLUTION
    xt = torch.where(mask, x0, q_sample(x0, t, alpha_bar, eps))
    error = (model(xt, t) - eps).square()
    free = ~mask.expand_as(error)
    return torch.where(free, error, 0.0).sum() / free.sum()
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>As <code>policy_loss</code>, with two differences: what the input holds where the mask is True, and which entries count.</details>
# <details><summary>Hint 2: the idea</summary><code>torch.where(mask, ..., ...)</code> makes the input, and broadcasts by itself. The count needs the mask in x0's full shape: how many entries of the <em>batch</em> are free?</details>
# <details><summary>Hint 3: nearly the line</summary><code>free = ~mask.expand_as(x0)</code>; the sum of the squared error where free, over <code>free.sum()</code>.</details>


# %% checks="planning_loss"
# Checks of planning_loss
x0, eps = normal(4, 5, 2, seed=1), normal(4, 5, 2, seed=2)
t = torch.tensor([1, 6, 3, 4])
xt = q_sample(x0, t, SHORT, eps)
expect(
    planning_loss(toy_planner, x0, no_ends, t, eps, SHORT),
    (toy_planner(xt, t) - eps).square().mean(),
    "planning_loss: with nothing given, lesson 06's loss",
    hint="True in the mask is given, False is free",
)
shown = xt.clone()
shown[:, [0, 4]] = x0[:, [0, 4]]
error = (toy_planner(shown, t) - eps).square()
expect(
    planning_loss(toy_planner, x0, ends, t, eps, SHORT),
    error[:, 1:4].mean(),
    "planning_loss: start and goal clean in the input, and not counted",
    hint="what does the model see where the mask is True? Over how many entries is the mean?",
)
each = torch.arange(10).reshape(5, 2) < torch.tensor([0, 1, 5, 9]).reshape(4, 1, 1)  # (B, L, S)
error = (toy_planner(torch.where(each, x0, xt), t) - eps).square()
free = [
    error[place] for place in itertools.product(range(4), range(5), range(2)) if not each[place]
]
expect(
    planning_loss(toy_planner, x0, each, t, eps, SHORT),
    torch.stack(free).mean(),
    "planning_loss: a mask of its own for every plan",
    hint="one sum over all free entries of the batch, over how many they are: no mean of means",
)
gain = torch.ones((), dtype=torch.float64, requires_grad=True)
loss = planning_loss(lambda x, t: gain * toy_planner(x, t), x0, ends, t, eps, SHORT)
expect(
    loss.requires_grad,
    True,
    "planning_loss: the model learns from it",
    hint="no detach, no torch.no_grad(): the loss must be differentiable in the model's parameters",
)

# %% [markdown]
# ### Exercise: `diffuser_plan` · ●●○ · 8 minutes · 3 points
#
# And the sampler. It is the same for both networks: only what the network believes differs.


# %% exercise="diffuser_plan"
def diffuser_plan(model, x_T, known, mask, alpha_bar, noise):
    """Ancestral sampling of a plan in which some entries are known.

    At each t = T, ..., 1: the entries of `mask` are set to `known`; the model is called, once; then
    comes lesson 06's `p_step` (given above) with the posterior variance and noise[t]. At t = 1 no
    noise is added. At the end the entries of `mask` are set to `known` once more.

    Args:
        model: model(x, t) -> eps_hat like x, with t a LongTensor (B,) on the device of x_T.
        x_T: (B, *event), noise.
        known: like x_T; where mask is False it may hold anything, NaN too.
        mask: bool, broadcastable to x_T, True where an entry is known; it may be False everywhere.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        noise: (T + 1, B, *event), finite; noise[0] is not used, and noise[1] adds nothing.

    Returns:
        x_0 like x_T, without gradients: exactly `known` wherever the broadcast mask is True. With a
        mask that is False everywhere, lesson 06's sampler. Inputs stay as they are.
    """
    ### BEGIN SOLUTION
    x = x_T
    with torch.no_grad():
        for step in range(len(alpha_bar) - 1, 0, -1):
            x = torch.where(mask, known, x)
            t = torch.full((len(x),), step, device=x.device)
            x = p_step(x, model(x, t), t, alpha_bar, noise[step])  # whose variance is 0 at t = 1
    return torch.where(mask, known, x)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Lesson 06's loop with one line more, and that line stands before the model's call.</details>
# <details><summary>Hint 2: the idea</summary><code>torch.where(mask, known, x)</code> sets what is known and lets no NaN in. The step itself spoils the known entries again; so once more at the end.</details>
# <details><summary>Hint 3: nearly the line</summary><code>for step in range(T, 0, -1)</code>: set, call with <code>t = torch.full((B,), step, device=x_T.device)</code>, <code>p_step</code> with <code>noise[step]</code>; all under <code>torch.no_grad()</code>; set.</details>

# %% checks="diffuser_plan"
# Checks of diffuser_plan
x_T, noise = normal(3, 5, 2, seed=1), normal(7, 3, 5, 2, seed=2)
known = torch.where(ends, normal(3, 5, 2, seed=3), torch.nan)  # NaN where nothing is known
x = x_T
for step in range(6, 0, -1):
    t = torch.full((3,), step)
    x = p_step(x, toy_planner(x, t), t, SHORT, noise[step] * (step > 1))
expect(
    diffuser_plan(toy_planner, x_T, x_T * torch.nan, no_ends, SHORT, noise),
    x,
    "diffuser_plan: with nothing known, Algorithm 2",
    hint="t from T down to 1, noise[t] at step t, none at t = 1; and no NaN from known",
)
heard = []


def listening(x, t):
    """The toy planner, remembering what it was asked."""
    heard.append((x.clone(), t.clone()))
    return toy_planner(x, t)


plan = diffuser_plan(listening, x_T, known, ends, SHORT, noise)
expect(
    [plan[:, [0, 4]], bool(plan.isfinite().all())],
    [known[:, [0, 4]], True],
    "diffuser_plan: the known entries come out exactly, and nothing is NaN",
    hint="choose by torch.where, do not multiply; and set them once more at the end",
)
expect(
    [[x[:, [0, 4]] for x, _ in heard], [t.tolist() for _, t in heard]],
    [[known[:, [0, 4]]] * 6, [[step] * 3 for step in range(6, 0, -1)]],
    "diffuser_plan: the model sees the known entries clean, once at each level",
    hint="set them before the call, at every level, as they are: not noised",
)
x = x_T
for step in range(6, 0, -1):
    x = torch.cat([known[:, :1], x[:, 1:4], known[:, 4:]], 1)
    t = torch.full((3,), step)
    x = p_step(x, toy_planner(x, t), t, SHORT, noise[step] * (step > 1))
expect(
    plan[:, 1:4],
    x[:, 1:4],
    "diffuser_plan: the free entries, step by step",
    hint="one p_step with the posterior variance at each level",
)
other = noise.clone()
other[:2] += 100.0
gain = torch.ones((), dtype=torch.float64, requires_grad=True)
made = diffuser_plan(lambda x, t: gain * toy_planner(x, t), x_T, known, ends, SHORT, other)
expect(
    [made, made.requires_grad],
    [plan, False],
    "diffuser_plan: no noise at t = 1, and no gradients",
    hint="the posterior variance is 0 at t = 1; noise[0] belongs to no step; torch.no_grad()",
)
expect(
    [x_T, known, noise],
    [
        normal(3, 5, 2, seed=1),
        torch.where(ends, normal(3, 5, 2, seed=3), torch.nan),
        normal(7, 3, 5, 2, seed=2),
    ],
    "diffuser_plan: the inputs are still there",
    hint="make a new tensor instead of writing into one",
)

# %% [markdown]
# Now the trial. The cart's plans are Gaussian, so perfect networks of both kinds are known, and both are affine in $x_t$. Your sampler then maps Gaussians to Gaussians, and the law of what it makes can be followed without drawing anything (`exact.sampled_law`). Start at rest at $-1$, goal at rest at $1$; by (8) the position after the first step is $-0.978$ on average.
#
# **Predict** that position when a perfect network of *whole* plans is overwritten at every one of a thousand levels.


# %%
# Given: perfect networks of two kinds, as affine maps, and the law of your sampler
def affine_whole(law, alpha_bar):
    """The best noise prediction for whole plans, t -> (E, e)."""
    values, axes = torch.linalg.eigh(law.cov)

    def at(t):
        a = alpha_bar[t]
        E = (axes * ((1 - a).sqrt() / (a * values.clamp(min=0) + 1 - a))) @ axes.T
        return E, -E @ (a.sqrt() * law.mean)

    return at


def affine_told(law, index, value, alpha_bar):
    """The best noise prediction with clean entries in sight; for these themselves it says 0."""
    rest = [j for j in range(len(law.mean)) if j not in index]
    inside, dim = affine_whole(law.given(index, value), alpha_bar), len(law.mean)

    def at(t):
        E, e = torch.zeros(dim, dim).double(), torch.zeros(dim).double()
        own, shift = inside(t)
        E[torch.tensor(rest)[:, None], torch.tensor(rest)] = own
        e[rest] = shift
        return E, e

    return at


def overwrite(index, value, dim, alpha_bar=None):
    """For `exact.sampled_law`: set entries, clean or, with a table, noised to the level."""
    K, k, V = torch.eye(dim).double(), torch.zeros(dim).double(), torch.zeros(dim, dim).double()
    K[index, index] = 0.0
    k[index] = value
    if alpha_bar is None:
        return lambda t: (K, k, V)
    V[index, index] = 1.0
    return lambda t: (K, alpha_bar[t].sqrt() * k, (1 - alpha_bar[t]) * V)


def inside_of(law):
    """The free entries of a plan's law."""
    return exact.GaussianData(law.mean[INSIDE], law.cov[INSIDE][:, INSIDE])


def planned_law(way, levels, value=None):
    """The law of the free entries by one of four ways to plan; from end to end as above, unless told otherwise."""
    value = FROM_TO if value is None else value
    table, law = steps_of(levels), cart_plans()
    clean = overwrite(ENDS, value, ENTRIES)
    net = affine_told(law, ENDS, value, table) if way == "told" else affine_whole(law, table)
    after = overwrite(ENDS, value, ENTRIES, table) if way == "noised" else clean
    return inside_of(exact.sampled_law(net, table, ENTRIES, None if way == "last" else after))


# (13): both answers at one place, by regressions in the joint Gaussian of eps, x_t and x_0.
law, a = cart_plans(), SHORT[4]
unit, none = torch.eye(ENTRIES).double(), torch.zeros(ENTRIES, ENTRIES).double()
joint = torch.cat(
    [
        torch.cat([unit, (1 - a).sqrt() * unit, none], 1),
        torch.cat([(1 - a).sqrt() * unit, a * law.cov + (1 - a) * unit, a.sqrt() * law.cov], 1),
        torch.cat([none, a.sqrt() * law.cov, law.cov], 1),
    ]
)
everything = exact.GaussianData(torch.zeros(3 * ENTRIES).double(), joint)
x = 0.5 * normal(ENTRIES, seed=3)
x[ENDS] = FROM_TO
noisy = [ENTRIES + j for j in INSIDE]
as_noisy = everything.given([*noisy, *(ENTRIES + j for j in ENDS)], x[[*INSIDE, *ENDS]])
as_clean = everything.given([*noisy, *(2 * ENTRIES + j for j in ENDS)], x[[*INSIDE, *ENDS]])
for net, answer in (
    (affine_whole(law, SHORT), as_noisy),
    (affine_told(law, ENDS, FROM_TO, SHORT), as_clean),
):
    E, e = net(4)
    verify_equation(13, (E @ x + e)[INSIDE], answer.mean[INSIDE])

# %% predict="my_first"
my_first = -0.978  # your prediction: mean position after the first step, whole plans overwritten

# %% tags=["experiment"]
# Experiment: planning by inpainting, four ways; it takes about 4 seconds
right = cart_plans().given(ENDS, FROM_TO)
names = {
    "clean": "whole plans, overwritten",
    "noised": "whole plans, overwritten with noised ends",
    "last": "whole plans, overwritten at the end only",
    "told": "trained with clean ends",
}
fig, ax = plots.figure(height=3.1)
print("squared distance from the right law (position after the first step; right: -0.978)")
print(" " * 42 + "".join(f"T = {levels:<15}" for levels in (50, 100, 1000)))
for way, name in names.items():
    row = []
    for levels in (50, 100, 1000):
        law = planned_law(way, levels)
        distance = exact.frechet_distance(law, right)
        row.append(f"{distance:8.4f} ({law.mean[0]:6.3f})   ")
        if levels == 100 and way in ("clean", "told"):
            role = "model" if way == "clean" else "data"
            cov = torch.zeros(ENTRIES, ENTRIES).double()
            cov[torch.tensor(INSIDE)[:, None], torch.tensor(INSIDE)] = law.cov
            draw_tube(ax, whole(law.mean, FROM_TO), cov, role, name)
        if levels == 1000 and way == "clean":
            findings[
                "whole plans overwritten, T = 1000: position after one step (right -0.978)"
            ] = f"{law.mean[0]:.3f}"
            jump = law.mean[0].item()
    print(f"{name:42}" + "".join(row))
plots.curve(range(STEPS + 1), whole(right.mean, FROM_TO)[::2], "exact", label="right", ax=ax)
ax.legend(loc="upper left")
ax.set(
    xlabel="step i",
    ylabel="position",
    title=f"At T = 1000 the first step still lands at {jump:.2f}",
)
plots.show(
    fig,
    alt="Position over steps with bands, a hundred levels: whole plans overwritten, trained with clean ends, and the right mean.",
)
print(f"you predicted {my_first:g}")

# %% [markdown]
# Overwriting puts the ends where you want them, and *tears the plan off*: in its first step the cart covers more than ten times the right distance, and a thousand levels do not mend it. (Nor do sixteen thousand.) The variant with noised ends, which looks more careful, is a little worse here. Trained with clean ends, the error is that of finite steps, and goes away with them.
#
# Mind what you have paid: this network answers for *these* entries. Where masks vary, it must be told which entries are clean, by the mask as one more input.
#
# Drag start and goal. **For which wish is overwriting nearly right?**


# %%
# Drag: start, goal, and three plans
@cache
def by_basis(way):
    """A law is affine in start and goal: its mean at 0, what each of them adds, and its spread."""
    values = torch.cat([torch.zeros(1, 4), torch.eye(4)]).double()
    plans = cart_plans()
    laws = [plans.given(ENDS, v) if way == "right" else planned_law(way, 50, v) for v in values]
    shift = laws[0].mean
    return shift, torch.stack([law.mean - shift for law in laws[1:]], 1), laws[0].cov


@cache
def gains_to_goal():
    """LQR with a goal that counts a million times a push."""
    heavy, nothing = 1e6 * torch.eye(2).double(), torch.zeros(2, 2).double()
    return worlds.lqr_gains(CART_A, CART_B, nothing, double([[1.0]]), heavy, STEPS)


def draw_plan(start, speed, goal):
    """The exact tube, the overwritten one, and the regulator's route."""
    value = double([start, speed, goal, 0.0])
    fig, ax = plots.figure(width=5.4, height=3.1)
    means = []
    for way, role, name in (
        ("clean", "model", "overwritten"),
        ("right", "data", "all plans that get there"),
    ):
        shift, slope, cov = by_basis(way)
        means.append(shift + slope @ value)
        full = torch.zeros(ENTRIES, ENTRIES).double()
        full[2:-2, 2:-2] = cov
        draw_tube(ax, whole(means[-1], value), full, role, name)
    state, driven = value[:2] - value[2:], [value[0]]
    for K in gains_to_goal():
        state = CART_A @ state - CART_B @ (K @ state)
        driven.append(state[0] + goal)
    plots.curve(range(STEPS + 1), torch.stack(driven), "exact", label="LQR", ax=ax)
    off = (means[0] - means[1])[::2].abs().max()
    ax.set(xlabel="step i", ylabel="position", ylim=(-3, 3), xticks=(0, 8, 16), yticks=(-2, 0, 2))
    ax.set_title(f"overwriting is off by {off:.2f} at most")
    return fig, ax


widgets.explore(
    draw_plan,
    alt="Position over steps: the tube of all plans from start to goal, the overwritten tube, and the regulator's route.",
    start=(-1.5, 1.5, -1.0),
    speed=(-1.0, 1.0, 0.0),
    goal=(-1.5, 1.5, 1.0),
)

# %% [markdown]
# ### Two real planners
#
# So far the networks were perfect. Train two small ones on the driver's recorded drives, seventeen places each: one on whole drives, one with start and goal in sight. Then ask both for a start where she rarely is, 0.2 above the middle line.


# %%
# Given: planners on the driver's drives
ROUTE_ENDS = torch.zeros(N + 1, 1, dtype=torch.bool)
ROUTE_ENDS[[0, N]] = True


class Planner(nn.Module):
    """Noise in a plan, (x (B, L, S), t (B,)) -> like x."""

    def __init__(self, entries):
        super().__init__()
        self.body = networks.ResidualMLP(entries, T)

    def forward(self, x, t):
        return self.body(x.flatten(1), t).reshape(x.shape)


@cache
def trained_planner(told, steps=1500):
    """A planner of the driver's routes; `told` is whether start and goal are in sight in training."""
    seed_everything(0)
    net = Planner(2 * (N + 1)).to(device)
    mask = (ROUTE_ENDS & told).to(device)

    def loss(net, x0):
        t = torch.randint(1, T + 1, (len(x0),), device=x0.device)
        return planning_loss(net, x0, mask, t, torch.randn_like(x0), TABLE)

    fit(
        net,
        loss,
        DRIVES.float(),
        steps=budget(steps),
        batch_size=256,
        lr=3e-3,
        ema=0.99,
        label=f"squared error of the noise, {'ends in sight' if told else 'whole drives'}",
    )
    return net


def plan_routes(net, start, goal, n, seed=0, eps_of=None):
    """n routes from start to goal by your sampler, (n, N + 1, 2)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(T + 1, n, N + 1, 2, generator=generator).to(device)
    known = torch.zeros(n, N + 1, 2, device=device)
    known[:, 0], known[:, N] = start.float().to(device), goal.float().to(device)
    model = net if eps_of is None else eps_of
    plan = diffuser_plan(model, noise[0], known, ROUTE_ENDS.to(device), TABLE, noise)
    return plan.cpu().double()


# %% tags=["experiment"]
# Experiment: two trained planners; it takes about 25 seconds
start, goal = double([-1.0, 0.2]), double([1.0, 0.0])
drift = (1 - WORLD.pull) * (start - WORLD.ways[0, 0]) + WORLD.ways[:, 1]  # where each way leads
share = WORLD.side(start[None], 0)[0]
expected = share @ drift
fig, axes = plots.figure(1, 2, width=6.2, height=2.5)
print(f"mean height after the first step; the driver's own: {expected[1]:.3f}")
for ax, told, name in ((axes[0], False, "overwritten"), (axes[1], True, "trained with clean ends")):
    routes = plan_routes(trained_planner(told), start, goal, 2000)
    first = routes[:, 1, 1]
    above = (routes[:, N // 2, 1] > 0).double().mean()
    print(f"{name:24} {first.mean():.3f} +- {first.std() / 2000**0.5:.3f}, above {above:.2f}")
    arena(ax, name)
    draw_routes(ax, routes[:40], "model" if told is False else "data", robots=False)
plots.show(
    fig,
    alt="Forty planned routes each from a start above the middle line: overwritten, and trained with clean ends.",
)

# %% [markdown]
# The routes look alike, as they did in lesson 08: with networks this bias hides. It is in the mean of the first step, a few hundredths, many standard errors. On a robot, the first step is the one that is carried out.
#

# %% [markdown]
# ## 6 · Wanting more
#
# Start and goal are demands. A reward is a wish, and section 4 knows the right answer to it: the law $p(\tau)\, e^{R(\tau)}$. A diffusion model has to get there on its way through the noise. Let $y$ be the wish, taken as a measurement:
#
# $$\nabla_{x_t} \log q(x_t \mid y) = \nabla_{x_t} \log q(x_t) + \nabla_{x_t} \log p(y \mid x_t) \tag{14}$$
#
# *Bayes' rule, $p(y)$ does not depend on $x_t$: lesson 08's classifier guidance.* The first term is the network. The second asks: how likely is the wish to be fulfilled, *given the noisy plan*? Not given the plan.
#
# For Gaussian plans and a quadratic reward one can say it. Given $x_t$, the clean plan is Gaussian around $\hat x_0(x_t)$, and $y$ measures $G x_0$ with precision $W$:
#
# $$p(y \mid x_t) = \int p(y \mid x_0)\, q(x_0 \mid x_t)\, dx_0 = \mathcal N\big(y;\; G\, \hat x_0(x_t),\; G \operatorname{Cov}[x_0 \mid x_t]\, G^\top + W^{-1}\big) \tag{15}$$
#
# *a Gaussian seen through $G$, plus an independent error.* So besides $\hat x_0$ one needs the spread of $x_0$ given $x_t$. Does the network know it?
#
# ### Step: `spread_from_slope` · ●●○ · 6 minutes
#
# It does: where $\hat x_0$ hangs strongly on $x_t$, much is still open. Find the law on the line. For data of variance $v$ you know $\hat x_0$ and the variance of $x_0$ given $x_t$ from lesson 05's regressions. Express the variance by the slope $d\hat x_0 / dx_t$ and $a = \bar\alpha_t$ alone, without $v$. (What you find holds for any data.)


# %% step="spread_from_slope"
def spread_from_slope(slope, a):
    """Var[x_0 given x_t] as an expression in the SymPy symbols slope, for d x0_hat / d x_t, and a, for alpha_bar_t."""
    ### BEGIN SOLUTION
    return (1 - a) / sympy.sqrt(a) * slope
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>x_t has the variance a v + 1 - a, and its covariance with x_0 is sqrt(a) v. Write down the regression's slope, and the variance that it leaves.</details>
# <details><summary>Hint 2: the idea</summary>The slope is the covariance over the variance of x_t. What is left is v, less the slope times the covariance. Bring it to one fraction.</details>
# <details><summary>Hint 3: nearly the line</summary>What is left is v (1 - a) / (a v + 1 - a). Divide it by the slope: v goes away.</details>

# %% checks="spread_from_slope"
# Checks of spread_from_slope
v_, a_, d_ = sympy.symbols("v a d", positive=True)
precision = 1 / v_ + a_ / (1 - a_)  # Bayes' rule: prior and likelihood, each a parabola
slope = sympy.sqrt(a_) / (1 - a_) / precision
expect_same(
    spread_from_slope(slope, a_),
    1 / precision,
    "spread_from_slope: for Gaussian data of any variance",
    hint="the variance that the regression of x_0 on x_t leaves, over its slope",
)
# Any data: the two bumps of lesson 01, by an integral over x_0.
line = torch.linspace(-6, 6, 8001, dtype=torch.float64)
density, level = exact.MIXTURE_1D.log_prob(line[:, None]).exp(), SHORT[4]
place = double([[-0.7], [0.2], [1.1]])
likelihood = (
    torch.distributions.Normal(level.sqrt() * line, (1 - level).sqrt()).log_prob(place).exp()
)
posterior = likelihood * density / (likelihood * density).sum(1, keepdim=True)
mean = posterior @ line
leaf = place.clone().requires_grad_()
weight = torch.softmax(
    -((leaf - level.sqrt() * line) ** 2) / (2 * (1 - level)) + density.clamp(min=1e-300).log(), 1
)
(slopes,) = torch.autograd.grad((weight @ line).sum(), leaf)
formula = sympy.lambdify((d_, a_), spread_from_slope(d_, a_))
verify_equation(
    16,
    torch.stack([double(formula(s.item(), level.item())) for s in slopes]),
    posterior @ line.square() - mean.square(),
    of="spread_from_slope",
    hint="for the two bumps, where the spread differs from place to place",
)

# %% [markdown]
# <details><summary>Line (16), to compare with yours</summary>
#
# $$\operatorname{Cov}[x_0 \mid x_t] = \frac{1 - \bar\alpha_t}{\sqrt{\bar\alpha_t}}\; \frac{\partial \hat x_0}{\partial x_t} \tag{16}$$
#
# *on the line $\frac{v (1 - a)}{a v + 1 - a}$ over $\frac{\sqrt a\, v}{a v + 1 - a}$; in general the second derivative of $\log q(x_t)$, as Tweedie's formula is the first.*
#
# </details>
#
# In practice nobody computes that matrix. One takes the reward of the guessed clean plan as if it were certain:
#
# $$\nabla_{x_t} \log p(y \mid x_t) \approx \nabla_{x_t} R(\hat x_0(x_t)) = \Big( \frac{\partial \hat x_0}{\partial x_t} \Big)^{\!\top} \nabla R(\hat x_0) \tag{17}$$
#
# *(15) without $G \operatorname{Cov} G^\top$; the chain rule.* It is exact for a reward that is affine on Gaussian plans, since then nothing depends on the spread. Elsewhere something is missing; you will see how much.
#
# ### Exercise: `reward_guided_eps` · ●●○ · 8 minutes · 2 points
#
# Write it for any model and any reward. The model stands inside $\hat x_0$, so the derivative goes through it.


# %% exercise="reward_guided_eps"
def reward_guided_eps(model, reward, xt, t, alpha_bar, scale):
    """eps_hat moved by the gradient of the reward of the guessed clean plan.

        eps_hat - scale sqrt(1 - alpha_bar_t) grad_{x_t} reward(x0_hat(x_t)),

    where x0_hat is the clean plan that belongs to x_t and eps_hat = model(x_t, t). The gradient goes
    through the model too: x0_hat depends on x_t directly and through eps_hat.

    Args:
        model: model(x_t, t) -> eps_hat like x_t.
        reward: reward(x_0 (B, *event)) -> (B,), row b from plan b alone; differentiable.
        xt: (B, *event). t: LongTensor (B,), 1 <= t <= T; its entries may differ.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        scale: a float; 0 gives eps_hat.

    Returns:
        Like xt. Each plan has its own gradient (nothing is divided by B). Works under
        torch.no_grad() too; leaves nothing in any parameter's .grad; inputs stay as they are; no
        gradient comes back.
    """
    ### BEGIN SOLUTION
    level = column(alpha_bar[t], xt)
    with torch.enable_grad():
        x = xt.detach().clone().requires_grad_()
        eps_hat = model(x, t)
        x0_hat = (x - (1 - level).sqrt() * eps_hat) / level.sqrt()
        (slope,) = torch.autograd.grad(reward(x0_hat).sum(), x)
    return eps_hat.detach() - scale * (1 - level).sqrt() * slope
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Lesson 08's classifier guidance, with another quantity to differentiate: the reward of x0_hat, and x0_hat is made of x_t and of the model's answer.</details>
# <details><summary>Hint 2: the idea</summary>A detached copy of xt that requires gradients; the model's answer at it; x0_hat from both; one reward per plan. The gradient of their sum holds each plan's own. All inside <code>with torch.enable_grad():</code></details>
# <details><summary>Hint 3: nearly the line</summary><code>(slope,) = torch.autograd.grad(reward(x0_hat).sum(), x)</code>; then the answer, detached, less scale times sqrt(1 - alpha_bar_t) times slope, each plan at its own level.</details>


# %% checks="reward_guided_eps"
# Checks of reward_guided_eps
def wavy_reward(x0):
    """Couples the entries of a plan; one number for each."""
    return (x0 * x0.roll(1, 1)).sum((1, 2)) - 0.3 * x0.square().sum((1, 2))


xt, t = 0.6 * normal(4, 5, 2, seed=1), torch.tensor([1, 6, 3, 4])
expect(
    reward_guided_eps(toy_planner, wavy_reward, xt, t, SHORT, 0.0),
    toy_planner(xt, t),
    "reward_guided_eps: scale 0 is the model's answer",
    hint="the guidance is added to eps_hat = model(x_t, t)",
)


def reward_at(x, t):
    """The reward of the guessed clean plans, step by step."""
    level = column(SHORT[t], x)
    return wavy_reward((x - (1 - level).sqrt() * toy_planner(x, t)) / level.sqrt())


numeric = torch.zeros_like(xt)
for place in itertools.product(range(5), range(2)):
    nudge = torch.zeros_like(xt)
    nudge[:, place[0], place[1]] = 1e-5
    numeric[:, place[0], place[1]] = (reward_at(xt + nudge, t) - reward_at(xt - nudge, t)) / 2e-5
guided = reward_guided_eps(toy_planner, wavy_reward, xt, t, SHORT, 1.5)
expect(
    guided,
    toy_planner(xt, t) - 1.5 * column((1 - SHORT[t]).sqrt(), xt) * numeric,
    "reward_guided_eps: the gradient by small nudges, each plan at its own level",
    rtol=1e-5,
    atol=1e-7,
    hint="through x_t and through the model; which sign and which root turn a score into a noise?",
)
expect(
    reward_guided_eps(toy_planner, wavy_reward, xt[:1], t[:1], SHORT, 1.5),
    guided[:1],
    "reward_guided_eps: a plan alone and in a batch",
    hint="the gradient of the sum, not of the mean",
)
with torch.no_grad():
    quiet = reward_guided_eps(toy_planner, wavy_reward, xt, t, SHORT, 1.5)
expect(
    [quiet, quiet.requires_grad, xt.requires_grad],
    [guided, False, False],
    "reward_guided_eps: under torch.no_grad() too, and nothing is left behind",
    hint="torch.enable_grad() inside; a detached copy of xt, and a detached answer",
)
gain = torch.ones((), dtype=torch.float64, requires_grad=True)
made = reward_guided_eps(lambda x, t: gain * toy_planner(x, t), wavy_reward, xt, t, SHORT, 1.5)
expect(
    [made, made.requires_grad, gain.grad is None],
    [guided, False, True],
    "reward_guided_eps: with a model that can learn, too",
    hint="torch.autograd.grad instead of backward(), and a detached answer",
)
law = cart_plans()
E, e = affine_whole(law, SHORT)(3)
plans = normal(3, ENTRIES, seed=5)
got = reward_guided_eps(
    lambda x, t: x @ E.T + e,
    lambda x0: -((x0 @ FAR - 3) ** 2) / 2,
    plans,
    torch.tensor([3, 3, 3]),
    SHORT,
    1.0,
)
level = SHORT[3]
jacobian = (torch.eye(ENTRIES).double() - (1 - level).sqrt() * E) / level.sqrt()
guess = plans @ jacobian.T - ((1 - level) / level).sqrt() * e
verify_equation(
    17,
    got - plans @ E.T - e,
    -(1 - level).sqrt() * (3 - guess @ FAR)[:, None] * (jacobian.T @ FAR),
    of="reward_guided_eps",
    hint="on the cart's plans, where the model is affine and everything can be written down",
)

# %% [markdown]
# The trial, again by exact laws: the cart starts at rest near 0, and the wish is $R = -\frac{\lambda}{2} (\text{position}_{16} - 3)^2$. Four gradients: the right one (15); yours (17); the cheaper one that leaves the Jacobian out and adds $\nabla R(\hat x_0)$ as it is; and the reward of the noisy plan itself, $R(x_t)$. **Predict** the end position at $\lambda = 1$ by (17); right is 2.09.


# %%
# Equations (14) and (15), and given: four ways to be guided, as affine maps
def calm_plans():
    """The cart's plans from rest near 0."""
    return exact.GaussianData(
        *trajectory_gaussian(
            CART_A, CART_B, torch.zeros(2).double(), 0.01 * torch.eye(2).double(), 1.0, STEPS
        )
    )


def affine_guided(way, law, g, y, lam, alpha_bar):
    """The noise of one of four guidances for R = -lam/2 (g x_0 - y)^2, t -> (E, e)."""
    values, axes = torch.linalg.eigh(law.cov)
    values = values.clamp(min=0)

    def at(t):
        a = alpha_bar[t]
        spread = a * values + 1 - a
        E = (axes * ((1 - a).sqrt() / spread)) @ axes.T
        e = -E @ (a.sqrt() * law.mean)
        J = (axes * (a.sqrt() * values / spread)) @ axes.T  # of x0_hat = J x + j
        j = law.mean - J @ (a.sqrt() * law.mean)
        open_still = (g @ axes).square() @ (values * (1 - a) / spread)  # g Cov[x_0 | x_t] g
        push, row, shift = {
            "right": (J.T @ g / (open_still + 1 / lam), g @ J, g @ j),
            "through": (J.T @ g * lam, g @ J, g @ j),
            "bare": (g * lam, g @ J, g @ j),
            "noisy": (g * lam, g, 0.0),
        }[way]
        root = (1 - a).sqrt()
        return E + root * torch.outer(push, row), e - root * push * (y - shift)

    return at


law, g, y, lam = calm_plans(), FAR, double(3.0), 0.7
E, e = affine_guided("right", law, g, y, lam, SHORT)(4)
x, a = normal(ENTRIES, seed=6), SHORT[4]
target = weighed(law, g[None], y[None], double([[lam]]))  # section 4's law, then noised
verify_equation(14, E @ x + e, target.best_eps(x[None], a)[0])
plain = law.best_eps(x[None], a)[0]
unit = torch.eye(ENTRIES).double()
both = exact.GaussianData(  # x_t, and what is measured of x_0
    torch.zeros(ENTRIES + 1).double(),
    torch.cat(
        [
            torch.cat([a * law.cov + (1 - a) * unit, a.sqrt() * law.cov @ g[:, None]], 1),
            torch.cat([a.sqrt() * g @ law.cov, (g @ law.cov @ g + 1 / lam)[None]])[None],
        ]
    ),
)
leaf = x.clone().requires_grad_()
gain = torch.linalg.solve(both.cov[:-1, :-1], both.cov[:-1, -1])
spread = both.cov[-1, -1] - both.cov[-1, :-1] @ gain
measured = torch.distributions.Normal(leaf @ gain, spread.sqrt()).log_prob(y)
verify_equation(15, E @ x + e - plain, -(1 - a).sqrt() * torch.autograd.grad(measured, leaf)[0])

# %% predict="my_end"
my_end = 2.09  # your prediction: mean end position by (17), at lambda = 1

# %% tags=["experiment"]
# Experiment: four guidances against the exact law; it takes about 5 seconds
ways = {
    "right": "right, (15)",
    "through": "R(x0_hat), (17)",
    "bare": "R(x0_hat), no Jacobian",
    "noisy": "R(x_t)",
}
table, end = steps_of(400), ENTRIES - 2
fig, ax = plots.figure(height=3.1)
line = torch.linspace(-1, 5, 400, dtype=torch.float64)
print("end position, mean ± deviation, and squared distance of the law of plans from the right one")
print(" " * 26 + "".join(f"lambda = {lam:<15g}" for lam in (0.1, 1.0, 10.0)))
target = {
    lam: weighed(calm_plans(), FAR[None], double([3.0]), double([[lam]]))
    for lam in (0.1, 1.0, 10.0)
}
for (way, name), role in zip(ways.items(), ("data", "model", "posterior", "noise"), strict=True):
    row = []
    for lam, wanted in target.items():
        affine = affine_guided(way, calm_plans(), FAR, double(3.0), lam, table)
        law = exact.sampled_law(affine, table, ENTRIES)
        distance = exact.frechet_distance(law, wanted)
        mean, sd = law.mean[end].item(), law.cov[end, end].sqrt().item()
        row.append(f"{mean:6.3f} ± {sd:.3f}, {distance:6.4f}  ")
        if lam == 1:
            shown = torch.distributions.Normal(mean, sd).log_prob(line).exp()
            plots.curve(line, shown, role, label=name, ax=ax)
            if way == "through":
                findings["guided through R(x0_hat), lambda = 1: end (right 2.09 ± 0.83)"] = (
                    f"{mean:.2f} ± {sd:.2f}"
                )
                through = mean
    print(f"{name:24}" + "".join(row))
row = [f"{w.mean[end]:6.3f} ± {w.cov[end, end].sqrt():.3f}" + " " * 10 for w in target.values()]
print(f"{'section 4':24}" + "".join(row))
wanted = torch.distributions.Normal(target[1.0].mean[end], target[1.0].cov[end, end].sqrt())
plots.curve(line, wanted.log_prob(line).exp(), "exact", label="section 4", ax=ax)
plots.guess(ax, x=my_end)
ax.set(xlabel="position at the end", ylabel="density")
ax.legend(fontsize=8)
ax.set_title(f"At λ = 1 R(x0_hat) pulls to {through:.2f}; right is {wanted.mean:.2f}")
plots.show(
    fig,
    alt="Densities of the end position by four guidances at lambda 1, and the right one, dashed.",
)
print(f"you predicted {my_end:g}")

# %% [markdown]
# The right gradient is right: what guidance failed at in lesson 08 was not walking, but the slope. Yours *over*-guides: it trusts a guess that at high levels is hardly one. The cheaper gradient, plainly wrong as a derivative, comes closer at $\lambda \ge 1$, because two errors meet. And $R(x_t)$ pulls too little all along.
#
# (For Gaussian plans the missing matrix does not move with $x_t$, so an affine reward makes (17) exact. On two bumps not even that: for the mixture of lesson 01, $R = x_0$, $\bar\alpha_t = 0.5$ and $x_t = 0$, (17) says 1.88 in place of 0.96.)


# %%
# The remark: an affine reward on two bumps
level = double(0.5)
line = torch.linspace(-6, 6, 8001, dtype=torch.float64)
prior = exact.MIXTURE_1D.log_prob(line[:, None]).exp()


def open_mean(x, tilt):
    """E[exp(tilt x_0) given x_t = x], by an integral; differentiable in x."""
    weight = torch.exp(-((x - level.sqrt() * line) ** 2) / (2 * (1 - level))) * prior
    return (weight * torch.exp(tilt * line)).sum() / weight.sum()


leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
right = torch.autograd.grad(open_mean(leaf, 1.0).log(), leaf)[0].item()
weight = torch.softmax(-((leaf - level.sqrt() * line) ** 2) / (2 * (1 - level)) + prior.log(), 0)
usual = torch.autograd.grad(weight @ line, leaf)[0].item()
print(f"slope of log E[exp R | x_t]: {right:.2f}; slope of R(x0_hat): {usual:.2f}")

# %% [markdown]
# ### Ask your planner for a favour
#
# The planner of section 5 has seen her drive, with ends in sight. Ask it to pass *below*: $R$ is minus the mean height of the route. Nothing is trained anew. Drag how much you care. **How many pass below at best, and what happens when you care more than that?**


# %%
# Given: the planner, guided
def below(x0):
    """Minus the mean height of a route, in units of its largest height."""
    return -x0[..., 1].mean(1) / WORLD.height


def asked_for(scale):
    """The planner's noise with a wish to pass below."""
    net = trained_planner(True)
    return lambda x, t: reward_guided_eps(net, below, x, t, TABLE, scale)


# %% tags=["experiment"]
# Drag: how much you care
@cache
def favour(scale):
    """A hundred routes with this wish."""
    ends = double([[-1.0, 0.0], [1.0, 0.0]])
    return plan_routes(None, *ends, 100, seed=7, eps_of=asked_for(scale))


def draw_favour(scale):
    """A hundred routes of the planner that was asked to pass below."""
    routes = favour(scale)
    fig, ax = plots.figure(width=5, height=3.5)
    lost = routes[..., 1].abs().amax(1) > 1
    below_now = ((routes[:, N // 2, 1] < 0) & ~lost).sum()
    arena(ax, f"{below_now} of 100 pass below, {int(lost.sum())} are lost")
    draw_routes(ax, routes, "data", alpha=0.4, robots=False)
    return fig, ax


CARES = [1.0, 0.0, 0.5, 1.5, 2.0, 3.0, 5.0]
for scale in CARES:
    favour(scale)  # so that no drag waits for it
widgets.explore(
    draw_favour,
    alt="A hundred planned routes around the disc, guided to pass below.",
    scale=CARES,
)

# %% [markdown]
# A wish goes a long way without any training. But a little further some routes are thrown off the page, and soon all of them: the gradient pushes a plan to where nobody ever drove, there the network's answer means nothing, its derivative means less, and the next push is larger. A network cannot say "I have not seen this". Whoever guides one keeps the wish small.
#

# %% [markdown]
# ## 7 · Further: luck
#
# Decision Diffuser (Ajay and others, 2023) plans by a condition: draw *states* from $p(s_i, \dots, s_{i+H} \mid s_i, \text{return})$ with a large return, guided as in lesson 08, and read the actions off. A well-known slide says that it "models future state and reward distributions". It does not: no reward is drawn. The return is a condition, like a label. That is a great difference, as you are about to see.
#
# ### Exercise: `inverse_dynamics` · ●○○ · 4 minutes · 1 point
#
# First the reading off. Which push explains each step of a drawn path, and what does no push explain? (Where the world is not known, this is a small network.)


# %% exercise="inverse_dynamics"
def inverse_dynamics(states, A, B):
    """The actions that explain a path of states best, and what no action explains.

    For each step the u with the least |s_{i+1} - A s_i - B u|, and that least value.

    Args:
        states: (N, H + 1, S). A: (S, S). B: (S, U), of full column rank.

    Returns:
        (actions, residual): (N, H, U), and (N, H), Euclidean norms in the space of states.
    """
    ### BEGIN SOLUTION
    moved = states[:, 1:] - states[:, :-1] @ A.T
    actions = moved @ torch.linalg.pinv(B).T
    return actions, torch.linalg.vector_norm(moved - actions @ B.T, dim=-1)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>A v that you know, s' - A s, shall be B u: more equations than unknowns.</details>
# <details><summary>Hint 2: the idea</summary>Least squares: the pseudo-inverse of B, <code>torch.linalg.pinv</code>, gives the best u. The residual is the length of what is left, with a root.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>moved = states[:, 1:] - states[:, :-1] @ A.T</code>: times the pseudo-inverse's transpose from the right; then the norm over the last axis of moved less B u.</details>

# %% checks="inverse_dynamics"
# Checks of inverse_dynamics
A = double([[0.9, 0.4, 0.0], [-0.2, 0.7, 0.3], [0.1, 0.0, 1.1]])
B = double([[1.0, 0.0], [0.5, -1.0], [0.0, 0.3]])
pushes, path = normal(2, 4, 2, seed=1), [normal(2, 3, seed=2)]
for i in range(4):
    path.append(torch.stack([A @ s + B @ u for s, u in zip(path[-1], pushes[:, i], strict=True)]))
driven = torch.stack(path, 1)
found, residual = inverse_dynamics(driven, A, B)
expect(
    [found, residual],
    [pushes, torch.zeros(2, 4).double()],
    "inverse_dynamics: the pushes of a path that was driven",
    hint="s_{i+1} - A s_i = B u; states stand in rows, so mind the transposes",
)
drawn = normal(2, 5, 3, seed=3)
found, residual = inverse_dynamics(drawn, A, B)
misses = [[drawn[n, i + 1] - A @ drawn[n, i] - B @ found[n, i] for i in range(4)] for n in range(2)]
misses = torch.stack([torch.stack(row) for row in misses])
expect(
    misses @ B,
    torch.zeros(2, 4, 2).double(),
    "inverse_dynamics: what is left has nothing of any push in it",
    hint="at the least square the rest is perpendicular to the columns of B",
)
expect(
    residual,
    misses.square().sum(2).sqrt(),
    "inverse_dynamics: the length of what is left",
    hint="the Euclidean norm for every step, with its root",
)

# %% [markdown]
# What would the plans of section 5 ask of the motor?


# %% tags=["experiment"]
# Experiment: the pushes that two plans ask for
for way, name in (("told", "trained with clean ends"), ("clean", "overwritten")):
    plan = whole(planned_law(way, 100).mean, FROM_TO).reshape(1, STEPS + 1, 2)
    pushes, residual = inverse_dynamics(plan, CART_A, CART_B)
    print(
        f"{name:24} first push {pushes[0, 0, 0]:6.2f}, largest {pushes.abs().max():6.2f};"
        f" unexplained at most {residual.max():.2f}"
    )

# %% [markdown]
# Now the luck. A bridge over ice is the short way from S to G; whoever moves on the ice falls into the water with probability 0.3. The way round is longer and safe. Many walkers, who move at random, are watched for eight steps, and nearly all get nowhere. You keep those who stand at G in the end and do as they did: condition on the return.
#
# ### Exercise: `goal_conditioned_policy` · ●●● · 10 minutes · 2 points
#
# What did they do, in each state and at each step? Work from the end: call $\beta_i(s)$ the probability of standing at the goal at the end, for one who is in $s$ at step $i$.


# %% exercise="goal_conditioned_policy"
def goal_conditioned_policy(policy, dynamics, goal, horizon):
    """How those acted who stood at the goal after `horizon` steps.

    In state s everybody acts by policy[s], and the world answers by dynamics[s, a]. Only s_H counts:
    the goal may be passed and left again.

    Args:
        policy: (S, A), p(a given s). dynamics: (S, A, S), p(s' given s, a).
        goal: an int, the number of a state. horizon: H, an int >= 1.

    Returns:
        (H, S, A): p(a_i = a given s_i = s, s_H = goal) for i = 0..H-1. Where the goal is out of reach
        from state s at step i under `policy`, the row of `policy`. No NaN anywhere.
        On the device of `policy`.
    """
    ### BEGIN SOLUTION
    reach = torch.zeros_like(policy[:, 0])
    reach[goal] = 1.0
    rows = []
    for _ in range(horizon):
        joint = policy * (dynamics @ reach)  # p(a, s_H = goal given s)
        reach = joint.sum(1)
        share = joint / torch.where(reach > 0, reach, 1.0)[:, None]
        rows.insert(0, torch.where(reach[:, None] > 0, share, policy))
    return torch.stack(rows)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>At the end beta is 1 at the goal and 0 elsewhere. How does beta at step i follow from beta at step i + 1?</details>
# <details><summary>Hint 2: the idea</summary>Bayes' rule for the action: how often it is taken, times the probability of the goal after it, divided by the sum over the actions; and that sum is beta of the step before.</details>
# <details><summary>Hint 3: nearly the line</summary><code>dynamics @ reach</code> is (S, A). Times the policy, and over its sum; where the sum is 0, the policy's row. Go from the last step to the first and put each table in front of the others.</details>

# %% checks="goal_conditioned_policy"
# Checks of goal_conditioned_policy
toy_dynamics = double(
    [
        [[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]],
        [[0.0, 0.3, 0.7], [0.5, 0.1, 0.4]],
        [[0.4, 0.0, 0.6], [0.0, 0.9, 0.1]],
    ]
)
toy_walk = double([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])


def by_listing(policy, dynamics, goal, horizon):
    """The same from all paths of states and actions, one after another."""
    S, A = policy.shape
    rows = torch.zeros(horizon, S, A).double()
    for i, s in itertools.product(range(horizon), range(S)):
        for acts in itertools.product(range(A), repeat=horizon - i):
            for states in itertools.product(range(S), repeat=horizon - i):
                p, now = 1.0, s
                for a, state in zip(acts, states, strict=True):
                    p, now = p * policy[now, a] * dynamics[now, a, state], state
                rows[i, s, acts[0]] += p * (now == goal)
        rows[i, s] = rows[i, s] / rows[i, s].sum() if rows[i, s].sum() > 0 else policy[s]
    return rows


kept = goal_conditioned_policy(toy_walk, toy_dynamics, 2, 3)
expect(
    [kept.shape, kept.sum(2)],
    [torch.Size([3, 3, 2]), torch.ones(3, 3).double()],
    "goal_conditioned_policy: at every step and in every state probabilities of actions",
    hint="(H, S, A), and each row sums to 1",
)
expect(
    kept[2],
    by_listing(toy_walk, toy_dynamics, 2, 1)[0],
    "goal_conditioned_policy: the last step, by Bayes' rule",
    hint="policy times the probability that this action leads to the goal, over the sum",
)
verify_equation(
    18,
    kept,
    by_listing(toy_walk, toy_dynamics, 2, 3),
    of="goal_conditioned_policy",
    hint="all paths, listed. The goal may be passed and left; only the last state counts; the first table is for i = 0",
)
barred = toy_dynamics.clone()
barred[0] = double([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # state 0 is a trap
expect(
    goal_conditioned_policy(toy_walk, barred, 2, 2)[:, 0],
    toy_walk[0].expand(2, 2),
    "goal_conditioned_policy: out of reach, as before",
    hint="where nothing leads to the goal, the sum is 0: take the policy's row, and let no NaN arise",
)
barred[0] = double([[1 - 1e-14, 0.0, 1e-14], [1 - 4e-14, 0.0, 4e-14]])
expect(
    goal_conditioned_policy(toy_walk, barred, 2, 1)[0, 0],
    double([0.2, 0.8 * 4]) / (0.2 + 0.8 * 4),
    "goal_conditioned_policy: hardly ever is not never",
    hint="compare with 0 itself; no small number added, and none as a bound",
)

# %% [markdown]
# <details><summary>Line (18), to compare with yours</summary>
#
# $$\begin{aligned} \beta_i(s) & = \sum_a p(a \mid s) \sum_{s'} p(s' \mid s, a)\, \beta_{i+1}(s'), \\ p(a_i = a \mid s_i = s, s_H = g) & = \frac{p(a \mid s)\, \sum_{s'} p(s' \mid s, a)\, \beta_{i+1}(s')}{\beta_i(s)} \end{aligned} \tag{18}$$
#
# *average over what is done and what the world answers, with $\beta_H(s) = 1$ at the goal and 0 elsewhere; Bayes' rule for $a$.*
#
# </details>
#
# **Predict**: somebody acts as the successful did, on the bridge with slip 0.3, eight steps. How often do they stand at G? (Those who move at random: 0.0085. The best one can do: 1, by the way round.)


# %%
# Given: the bridge, time as a part of the state, and conditioning again and again
def with_time(dynamics, horizon):
    """The same world with the step in its state, i S + s; after the last step nothing moves."""
    S, A, _ = dynamics.shape
    longer = torch.zeros((horizon + 1) * S, A, (horizon + 1) * S).double()
    for i in range(horizon):
        longer[i * S : (i + 1) * S, :, (i + 1) * S : (i + 2) * S] = dynamics
    last = torch.arange(horizon * S, (horizon + 1) * S)
    longer[last, :, last] = 1.0
    return longer


def reaching(rows, dynamics, start, goal):
    """Probability of the goal at the end, from start, for tables of actions (H, S, A)."""
    at = torch.zeros(len(dynamics)).double()
    at[start] = 1.0
    for table in rows:
        at = torch.einsum("s,sa,sat->t", at, table, dynamics)
    return at[goal].item()


def repeated(slip, times, horizon=8):
    """Conditioning again and again on what came out: success before and after each, and the last tables."""
    dynamics, start, goal = worlds.icy_bridge(slip)
    S, A, _ = dynamics.shape
    longer = with_time(dynamics, horizon)
    rows = torch.full((horizon, S, A), 1 / A).double()
    chances = [reaching(rows, dynamics, start, goal)]
    for _ in range(times):
        flat = torch.cat([rows, rows[-1:]]).flatten(0, 1)  # ((H + 1) S, A)
        told = goal_conditioned_policy(flat, longer, horizon * S + goal, horizon)
        rows = torch.stack([told[i, i * S : (i + 1) * S] for i in range(horizon)])
        chances.append(reaching(rows, dynamics, start, goal))
    return chances, rows


# %% predict="my_lucky"
my_lucky = 0.9  # your prediction: how often G is reached by one who acts as the successful did

# %% tags=["experiment"]
# Experiment: doing as the lucky did
fig, ax = plots.figure(height=3)
print("chance of the goal: at random, and after conditioning once, twice, three and six times")
for slip, role in ((0.0, "data"), (0.1, "posterior"), (0.3, "model")):
    chances, _ = repeated(slip, 12)
    numbers = "".join(f"{chances[n]:9.4f}" for n in (0, 1, 2, 3, 6))
    print(f"slip {slip:g}" + " " * (6 - len(f"{slip:g}")) + numbers)
    plots.curve(range(13), chances, role, label=f"slip {slip:g}", ax=ax, marker="o", markersize=4)
plots.guess(ax, y=my_lucky)
ax.set(xlabel="conditioned how often", ylabel="chance of the goal")
ax.set_title(f"Slip 0.3: {chances[1]:.2f} after once, {chances[6]:.2f} after six times")
plots.show(fig, alt="Chance of the goal over the number of conditionings, for three slips.")
print(f"you predicted {my_lucky:g}")
findings["bridge, slip 0.3: acting as the successful did (possible: 1)"] = f"{chances[1]:.3f}"


def bridge_places(rows, slip, count=60, seed=1):
    """Cells of walkers over time, (H + 1, count)."""
    dynamics, start, _ = worlds.icy_bridge(slip)
    generator = torch.Generator().manual_seed(seed)
    at = torch.full((count,), start)
    places = [at]
    for table in rows:
        act = torch.multinomial(table[at], 1, generator=generator)[:, 0]
        at = torch.multinomial(dynamics[at, act], 1, generator=generator)[:, 0]
        places.append(at)
    return torch.stack(places)


def bridge_frame(moment, crowds):
    """Two crowds on the bridge at one moment; who fell in lies below."""
    cells = worlds.bridge_cells()
    spots = torch.tensor([(c, -r) for r, c in cells] + [(2, -3.2)]).double()
    fig, axes = plots.figure(1, 2, width=6.2, height=2.6)
    jitter = 0.22 * (torch.rand(60, 2, generator=torch.Generator().manual_seed(9)) - 0.5) * 3
    for ax, (title, places) in zip(axes, crowds, strict=True):
        for r, c in cells:
            kind = worlds.ICY_BRIDGE[r][c]
            ax.add_patch(square(c, -r, icy=kind == "~"))
            if kind in "SG":
                ax.annotate(kind, (c - 0.42, -r + 0.22), fontsize=9, fontweight="bold")
        where = spots[places[moment]] + jitter
        ax.scatter(*where.T.numpy(), s=9, color=plots.COLOR["data"], linewidths=0, zorder=3)
        fallen = int((places[moment] == len(cells)).sum())
        ax.annotate(f"in the water: {fallen}", (2.6, -3.25), fontsize=9)
        ax.set(
            xlim=(-0.7, 4.7), ylim=(-3.7, 0.7), aspect="equal", xticks=[], yticks=[], title=title
        )
        ax.spines[:].set_visible(False)
        ax.grid(False)
    return fig


def square(x, y, icy):
    """A cell of the bridge."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    fill = to_rgba(plots.COLOR["guess" if icy else "noise"], 0.25)
    return Rectangle(
        (x - 0.47, y - 0.47),
        0.94,
        0.94,
        facecolor=fill,
        edgecolor=plots.COLOR["noise"],
        linewidth=0.8,
    )


crowds = []
for times in (1, 10):
    places = bridge_places(repeated(0.3, times)[1], 0.3)
    there = (places[-1] == worlds.icy_bridge(0.3)[2]).sum()
    crowds.append((f"conditioned {times}x: {there} of 60 at G", places))
film.play(
    (bridge_frame(moment, crowds) for moment in range(9)),
    alt="Sixty walkers on the bridge over eight steps, after conditioning once and ten times; those who fell lie below.",
)

# %% [markdown]
# Three of four drown. Those who stood at G after eight random steps had mostly crossed the ice: a random walker hardly finds the way round, and some were lucky on the bridge. They *were* successful. But what made them so was in part the ice, and you can copy their moves, not their luck. **Conditioning on a good return asks for good actions and for good luck, and does not tell them apart.** Where the world has no chance (slip 0), once is enough.
#
# Do it again, and watch those who act as the lucky did. Each repeat is a step of lesson 01's EM for the probability of the goal: the E step asks which actions led there, the M step makes them the policy. So
#
# $$\log p_{\text{new}}(s_H = g) \;\ge\; \log p_{\text{old}}(s_H = g) \tag{19}$$
#
# *EM never makes its objective worse* (lesson 01). Luck averages out because each round *acts* in the world again. A diffusion model that was trained once on recorded data is round one.

# %%
# Equation (19), two hundred times
for slip in (0.1, 0.3):
    chances, _ = repeated(slip, 200)
    logs = double(chances).log()
    verify_equation(19, logs[:-1], logs[1:], relation="<=", atol=1e-12)
    print(f"slip {slip:g}: after 200 repeats {chances[-1]:.4f}")


# %% [markdown]
# ## 8 · Further: joining skills
#
# Nobody has recorded the long plan. But somebody recorded how to grasp, somebody how to carry, somebody how to put down, and each skill ends in states in which the next one begins. Can three short models be one long one (Mishra and others, 2023)?
#
# If the future depends on the past through the present state alone, yes:
#
# $$p(s_0, \dots, s_K) = p(s_0, s_1) \prod_{k=1}^{K-1} p(s_{k+1} \mid s_k) = \frac{\prod_{k=0}^{K-1} p(s_k, s_{k+1})}{\prod_{k=1}^{K-1} p(s_k)} \tag{20}$$
#
# *the chain rule; a conditional is a pair over what it is conditioned on.* Each junction is counted twice above, and once below. Logarithms make a sum of it, and derivatives a sum of scores.


# %%
# For checks and experiments: four states of a Markov chain
apart = (torch.arange(4)[:, None] - torch.arange(4)).abs().double()
markov = exact.GaussianData(torch.zeros(4).double(), 0.9**apart)

# %% [markdown]
# ### Exercise: `chain_scores` · ●●○ · 7 minutes · 2 points
#
# Put it together for windows of any length and any overlap.


# %% exercise="chain_scores"
def chain_scores(segments, shared, weight=1.0):
    """The score of a long plan from the scores of K skills that overlap.

    Skill k sees a window of L states, which begins L - O states after that of skill k - 1, so that
    neighbours share O states. Result: at each state the sum of the scores of all skills that see it,
    minus weight times the score of the marginal at each junction that contains it.

    Args:
        segments: (B, K, L, D), the skills' scores; skill k's window begins at state k (L - O).
        shared: (B, K - 1, O, D), the scores of the marginals at the junctions; junction k is where
            skills k and k + 1 meet. 0 <= O < L: with O = 0 the skills lie end to end, with O > L / 2
            more than two meet. With K = 1 it is (B, 0, O, D).
        weight: a float, the share of a junction's marginal that is taken away.

    Returns:
        (B, K (L - O) + O, D), on the device of `segments`. Inputs stay as they are.
    """
    ### BEGIN SOLUTION
    B, K, L, D = segments.shape
    stride = L - shared.shape[2]
    total = segments.new_zeros(B, (K - 1) * stride + L, D)
    for k in range(K):
        total[:, k * stride : k * stride + L] += segments[:, k]
    for k in range(1, K):
        total[:, k * stride : (k - 1) * stride + L] -= weight * shared[:, k - 1]
    return total
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: a nudge</summary>Draw K = 3 windows of L = 5 with O = 2 above each other. Where does each begin? Where do neighbours lie on each other?</details>
# <details><summary>Hint 2: the idea</summary>Window k begins at k (L - O). The junction of k and k + 1 is the last O states of window k, which are the first O of window k + 1. Start from zeros, add and subtract slices.</details>
# <details><summary>Hint 3: nearly the line</summary>With <code>stride = L - O</code>: add segments[:, k] to <code>total[:, k * stride : k * stride + L]</code>, and subtract from <code>total[:, (k + 1) * stride : k * stride + L]</code> for each junction k.</details>


# %% checks="chain_scores"
# Checks of chain_scores
def state_by_state(segments, shared, weight):
    """The same, asking of every state which windows and junctions contain it."""
    B, K, L, D = segments.shape
    overlap = shared.shape[2]
    stride, rows = L - overlap, []
    for n in range((K - 1) * stride + L):
        own = [segments[:, k, n - k * stride] for k in range(K) if 0 <= n - k * stride < L]
        met = [
            shared[:, k - 1, n - k * stride] for k in range(1, K) if 0 <= n - k * stride < overlap
        ]
        rows.append(sum(own) - weight * sum(met, torch.zeros(B, D).double()))
    return torch.stack(rows, 1)


for overlap in (2, 1, 4, 0):
    segments, shared = normal(2, 3, 5, 2, seed=1), normal(2, 2, overlap, 2, seed=2)
    expect(
        chain_scores(segments, shared),
        state_by_state(segments, shared, 1.0),
        f"chain_scores: three windows of five, {overlap} shared",
        hint="where does window k begin, and which states do neighbours share? Three windows may meet",
    )
segments, shared = normal(2, 3, 5, 2, seed=1), normal(2, 2, 2, 2, seed=2)
expect(
    chain_scores(segments, shared, 0.25),
    state_by_state(segments, shared, 0.25),
    "chain_scores: a share of the junction's score",
    hint="weight multiplies what is subtracted",
)
expect(
    chain_scores(segments[:, :1], shared[:, :0]),
    segments[:, 0],
    "chain_scores: one skill alone",
    hint="K = 1 has no junction",
)
expect(
    segments,
    normal(2, 3, 5, 2, seed=1),
    "chain_scores: the inputs are still there",
    hint="add into a new tensor",
)
# Four states of a Markov chain: pairs over junctions.
at = normal(3, 4, seed=4)
pairs = torch.stack(
    [
        exact.GaussianData([0.0, 0.0], markov.cov[:2, :2]).score(at[:, k : k + 2], 1.0)
        for k in range(3)
    ],
    1,
)[..., None]
single = -at[:, 1:3, None, None]  # of N(0, 1)
verify_equation(
    20,
    chain_scores(pairs, single)[..., 0],
    markov.score(at, 1.0),
    of="chain_scores",
    hint="a chain of four states is its three pairs over its two inner states",
)

# %% [markdown]
# So at $t = 0$ the scores add up exactly. And on the way? Take the simplest product there is, two experts on the line, each $\mathcal N(0, 1)$: their product is $\mathcal N(0, \tfrac12)$. Put noise on it, and compare with the product of the two noised experts:
#
# $$\underbrace{\frac{1}{a / 2 + 1 - a}}_{\text{precision of the noised product}} \;\ne\; \underbrace{\frac{1}{a + 1 - a} + \frac{1}{a + 1 - a} = 2}_{\text{of the product of the noised}} \tag{21}$$
#
# *noise adds variances, products add precisions.* It is section 5 of lesson 08 once more: adding scores at every level does not walk to the product. **Predict** the variance that ancestral sampling with the sum of the two scores ends with.


# %%
# Equation (21), by an integral over x_0
a = double(0.4)
line = torch.linspace(-12, 12, 6001, dtype=torch.float64)
spacing = line[1] - line[0]
one = torch.distributions.Normal(0.0, 1.0).log_prob(line).exp()
product = one**2 / (one**2).sum()
noised = torch.stack(
    [
        torch.distributions.Normal(a.sqrt() * line, (1 - a).sqrt()).log_prob(x).exp() @ product
        for x in line[::10]
    ]
)
variance = (noised * line[::10] ** 2).sum() / noised.sum()
verify_equation(21, 1 / (a / 2 + 1 - a), 1 / variance)
both = torch.distributions.Normal(0.0, (a + 1 - a).sqrt()).log_prob(line).exp() ** 2
verify_equation(21, 2.0, both.sum() / (both @ line**2))

# %% predict="my_product"
my_product = 0.5  # your prediction: variance by ancestral sampling with the sum of two scores


# %% tags=["experiment"]
# Experiment: experts and skills, composed at every level
def ddim_variance(K, table):
    """Variance of DDIM's samples from N(0, 1) with K times the noise of N(0, 1)."""
    variance = 1.0
    for t in range(len(table) - 1, 0, -1):
        now, then = table[t], table[t - 1]
        gain = (then / now).sqrt() * (1 - (1 - now) * K) + (1 - then).sqrt() * (1 - now).sqrt() * K
        variance = variance * gain.item() ** 2
    return variance


table = steps_of(1000)
print("experts  the product   ancestral (limit)     DDIM (abar_T^(K-1))")
for K in (2, 3):
    summed = exact.sampled_law(
        lambda t, K=K: (K * (1 - table[t]).sqrt() * torch.eye(1).double(), torch.zeros(1).double()),
        table,
        1,
    )
    ancestral = summed.cov.item()
    print(
        f"{K:4} {1 / K:14.3f} {ancestral:11.3f} ({1 / (2 * K - 1):.3f}) {ddim_variance(K, table):14.1e}"
        f" ({table[-1].item() ** (K - 1):.1e})"
    )
    if K == 2:
        findings["two experts added at every level: variance (right 0.5)"] = f"{ancestral:.3f}"
print(f"you predicted {my_product:g} for two experts\n")


def chain_eps(weight):
    """Noise of three pairs of a chain of four states, joined, as an affine map of x_t."""
    pair = markov.cov[:2, :2]

    def at(t):
        a = table[t]
        own = torch.linalg.inv(a * pair + (1 - a) * torch.eye(2).double())
        scores = torch.stack([-torch.eye(4).double()[:, k : k + 2] @ own for k in range(3)], 1)
        met = -torch.eye(4).double()[:, 1:3, None, None]  # a junction's x_t is N(0, 1)
        joined = chain_scores(scores[..., None], met, weight)[..., 0]
        return -(1 - a).sqrt() * joined.T, torch.zeros(4).double()

    return at


print(
    "three skills over four states   squared distance   variance of a shared state   Cov(s_0, s_3)"
)
for weight in (1.0, 0.5, 0.0):
    law = exact.sampled_law(chain_eps(weight), table, 4)
    distance = exact.frechet_distance(law, markov)
    print(
        f"junctions taken off: {weight:<3g}"
        + f"{distance:24.3f} {law.cov[1, 1]:28.3f} {law.cov[0, 3]:15.3f}"
    )
print(f"right {markov.cov[1, 1]:71.3f} {markov.cov[0, 3]:15.3f}")

# %% [markdown]
# A third in place of a half; and DDIM, without fresh noise, ends nearly in a point. Composed skills with the junctions taken off come close at the junctions, yet what the first state says about the last is half of what it should be. A few Langevin steps at each level, lesson 07's, mend most of it (Du and others, 2023). Without taking off the junctions, states that are shared are counted twice, and too sure.
#
# (The dependency factor of Mishra and others is another thing than this `weight`: at a junction it mixes what the earlier and the later skill say.)
#

# %% [markdown]
# ## 9 · A drive to show around, and in your own words
#
# The prize: your diffusion policy drives in gusts, and you see it think. Each plan comes out of noise before your eyes. The first guesses are wild; then they gather, many of them on the clone's way through the middle; then each plan of the fan makes up its mind; one of them is driven for two steps; the wind blows; and it plans again.


# %% tags=["experiment"]
# The prize: a fan of plans, condensing
def thinking(place, i, moments, seed, count=24):
    """The guessed clean plans on the way out of noise at some levels, and the last ones: routes (count, up to 9, 2)."""
    net, table, generator = trained_policy(), TABLE[::2], torch.Generator().manual_seed(seed)
    where = place.expand(count, 2)
    obs = seen_at(where, i).float().to(device)
    noise = torch.randn(len(table), count, 8, 2, generator=generator).to(device)
    x, guesses = noise[0], []
    with torch.no_grad():
        for step in range(len(table) - 1, 0, -1):
            t = torch.full((count,), step, device=device)
            eps = net(x, 2 * t, obs)
            if step in moments:
                guesses.append((x - (1 - table[step]).sqrt() * eps) / table[step].sqrt())
            x = p_step(x, eps, t, table, noise[step])
    left = N - i  # nobody acts beyond the end
    plans = [UNIT * guess[:, :left].cpu().double().cumsum(1) for guess in [*guesses, x]]
    return [torch.cat([where[:, None], where[:, None] + plan], 1) for plan in plans]


def film_of_a_drive(seed=4, gust=0.05):
    """Frames (trail, fan, chosen) of one drive."""
    place, frames = WORLD.ways[0, 0] + double([0.0, 0.02]), []
    trail, wind = [place], torch.Generator().manual_seed(seed)
    for i in range(0, N, 2):
        fans = thinking(place, i, (42, 30, 22, 16, 10, 4) if i == 0 else (22, 6), seed + i)
        frames += [(torch.stack(trail), fan, None) for fan in fans]
        chosen = fans[-1][0]
        for j in (1, 2):
            push = torch.randn(2, generator=wind, dtype=torch.float64)
            place = place + chosen[j] - chosen[j - 1] + gust * push
            trail.append(place)
        frames.append((torch.stack(trail), fans[-1], chosen))
    return frames


def thinking_frame(trail, fan, chosen):
    """The robot, where it has been, and what it considers."""
    fig, ax = plots.figure(width=6.2, height=4.3)
    arena(ax)
    draw_routes(ax, fan, "data", alpha=0.5, robots=False)
    if chosen is not None:
        ax.plot(*chosen.T.numpy(), color=plots.COLOR["posterior"], linewidth=2.4)
    ax.plot(*trail.T.numpy(), color=plots.COLOR["model"], linewidth=3)
    ax.plot(*trail[-1].tolist(), "o", color=plots.COLOR["model"], markersize=11)
    return fig


film.play(
    (thinking_frame(*frame) for frame in film_of_a_drive()),
    alt="A robot drives round the disc in gusts. Before every second step a fan of plans condenses out of noise.",
    seconds=8.0,
)

# %% [markdown]
# This question is graded by a person.

# %% [markdown] written="why_chunks" points=2
# ### Question: `why_chunks` · ●●○ · 8 minutes · 2 points
#
# A colleague clones a driver by squared error, one action at a time. The loss equals the floor. In the closed loop nobody crashes, but the clone takes the majority's side more often than the driver. The colleague asks for two things: more data, and chunks of eight actions. What would each of them change? And what would chunks change if the colleague drew actions from a diffusion policy instead? Answer in at most ten sentences, with numbers from this notebook.
#
# ### BEGIN MARK SCHEME
# 1 point: the optimum of the squared error is the conditional mean; the loss is at its floor, so the clone is at the optimum, and neither more data nor a larger network changes anything. That the loop amplifies the mean towards the majority (0.80 in place of 0.70) is a property of the optimum.
#
# 0.5 points: chunks make the regression worse. They commit, but to the mean of the modes: at $k = 4$ always the majority's side, from $k = 8$ on always into the obstacle.
#
# 0.5 points: for a sampler chunks are not needed for modes: calm, $k$ makes no difference (places and pairs have the right law at every $k$). They cost reaction (with gusts 6, 15, 28% crashes at $k = 1, 4, 16$) and pay only where the state does not say what was chosen (dithering, $N k v^2$), or where the network errs at every plan.
# ### END MARK SCHEME
#
# ### BEGIN SOLUTION
# The best answer under squared error is the mean of what the driver does there, and the floor is the variance within and between her two ways. The loss is at the floor, so the clone *is* that mean, and more data only find it again. In the closed loop the mean leans to the majority; a little further to that side the place speaks more for it, and so on: 0.80 above instead of 0.70, without any error of training.
# Chunks make this worse. They commit to the mean of two ways: carried out four at a time it goes above always, eight at a time it drives into the disc always.
# With a diffusion policy each plan is one of her plans. Without wind the side and the crashes have the right probabilities for every $k$, since every place and every pair of neighbouring places has: so chunks are not what makes it multimodal. They cost reaction, with gusts 6% crashes at $k = 1$ and 28% at $k = 16$. They pay where the state does not show what was chosen, since a new choice at every plan dithers, and where a network's small error enters with every plan.
# ### END SOLUTION

# %% [markdown]
# ## What you have shown

# %% tags=["experiment", "nbval-ignore-output"]
# Your own numbers
for what, value in findings.items():
    print(f"{what:82} {value}")

# %% [markdown]
# * Squared error ends at the mean (1), and what it cannot reach is the spread within and between the modes (3), with weights that move with the place (2). In a closed loop that mean leans to the majority; in chunks it crashes.
# * A diffusion policy draws chunks (4); its best answer is a mixture's score (5). With the right $p(a \mid s)$ every place and every pair is right (6), and only whole paths dither (7): chunks are for what the state does not show, and they cost reaction.
# * Plans of a linear world are one Gaussian (9). A demand is a condition (8), a wish a measurement (10), probability is effort (11), and LQR is its mean (12).
# * Overwriting makes a network of whole plans believe a noisy start (13); training with the known entries clean does not.
# * Guidance by a reward needs the probability of the wish given the *noisy* plan (14, 15); the spread is in the slope of the guess (16), and the usual gradient leaves it out (17).
# * Conditioning on success copies luck (18), and repeating it is EM (19). Scores of a chain's parts add up to the chain's (20) at $t = 0$, and not on the way (21).
# * Slides corrected: chunks with $H + 1$ actions and a world's time in the loss; chunks "for multimodal actions"; Decision Diffuser "models rewards"; guidance by the reward of a noisy plan; planning as overwriting.
#
# ### Test yourself
#
# <details><summary>1. A clone's loss is twice the floor at the start and at the floor everywhere else. Would more training mend its crashes in chunks of eight?</summary>
#
# No. At the floor the chunk is the mean of two ways, 0.28 high at most, and the disc is 0.35 high. Training brings it nearer to that mean.
# </details>
#
# <details><summary>2. You overwrite start and goal of an unconditional planner and double T. What happens to the jump after the start?</summary>
#
# It shrinks a little and stays: the network takes the clean start for a noisy one at every level. Train with the ends clean, or give the mask to the network.
# </details>
#
# <details><summary>3. A planner conditioned on the highest return in its data fails half of the time, though everybody in the data with that return succeeded. Is the model bad?</summary>
#
# Not necessarily. In a world with chance the successful were in part lucky, and the condition asks for their luck too. Act, record, and condition again.
# </details>
#
# ### What comes next
#
# Here the world was a line of code, and it answered truthfully. Lesson 11, which is optional, makes worlds: an object from its shadows, sets of points, meshes, and films out of a model of single frames.
#
# ### References
#
# * C. Chi and others, *Diffusion policy: visuomotor policy learning via action diffusion*, RSS 2023: observations, chunks and the receding horizon.
# * M. Janner and others, *Planning with diffusion for flexible behavior synthesis*, ICML 2022: plans as pictures, inpainting, guidance by a value.
# * A. Ajay and others, *Is conditional generative modeling all you need for decision-making?*, ICLR 2023: states by a condition on the return, actions by inverse dynamics.
# * S. Levine, *Reinforcement learning and control as probabilistic inference*, 2018 (arXiv 1805.00909): wishes as measurements.
# * R. Kalman, *Contributions to the theory of optimal control*, 1960: the regulator.
# * K. Paster and others, *You can't count on luck: why decision transformers and RvS fail in stochastic environments*, NeurIPS 2022.
# * U. Mishra and others, *Generative skill chaining: long-horizon skill planning with diffusion models*, CoRL 2023.
# * Y. Du and others, *Reduce, reuse, recycle: compositional generation with energy-based diffusion models and MCMC*, ICML 2023: why summed scores need corrections.
