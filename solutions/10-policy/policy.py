# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lesson 10 · Behaviour: diffusion that acts and plans

# %%
# Imports
import torch

from course_lib import get_device

device = get_device()


# %%
# From lessons 04 to 06: the forward sample, and a step of Algorithm 2
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
        So valid[:, 0] is True everywhere.
    """
    ### BEGIN SOLUTION
    size = torch.tensor(lengths, device=actions.device)
    last = torch.repeat_interleave(size.cumsum(0) - 1, size)[:, None]  # of the step's episode
    place = torch.arange(len(actions), device=actions.device)[:, None]
    place = place + torch.arange(horizon, device=actions.device)
    return actions[torch.minimum(place, last)], place <= last
    ### END SOLUTION


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


# %% exercise="diffuser_plan"
def diffuser_plan(model, x_T, known, mask, alpha_bar, noise):
    """Ancestral sampling of a plan in which some entries are known.

    At each t = T, ..., 1: the entries of `mask` are set to `known`; the model is called, once; then
    comes lesson 06's `p_step` (given above) with the posterior variance and noise[t]. At t = 1 no
    noise is added. At the end the entries of `mask` are set to `known` once more.

    Args:
        model: model(x, t) -> eps_hat like x, with t a LongTensor (B,).
        x_T: (B, *event), noise.
        known: like x_T; where mask is False it may hold anything, NaN too.
        mask: bool, broadcastable to x_T, True where an entry is known; it may be False everywhere.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        noise: (T + 1, B, *event); noise[0] and noise[1] are not used.

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
            z = noise[step] if step > 1 else torch.zeros_like(x)
            x = p_step(x, model(x, t), t, alpha_bar, z)
    return torch.where(mask, known, x)
    ### END SOLUTION


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
        (B, K (L - O) + O, D). Inputs stay as they are.
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
