"""The oracles of 10-policy against enumeration, integrals, control theory and samplers whose law is known exactly."""

import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from autograder.exercise import find_exercise
from course_lib.exact import GaussianData

TABLE = torch.cat([torch.ones(1), torch.cumprod(1 - torch.linspace(0.05, 0.5, 7), 0)]).double()
PAIR = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
A = torch.tensor([[1.0, 0.2], [0.0, 1.0]], dtype=torch.float64)  # position and velocity, a fifth of a second
B = torch.tensor([[0.02], [0.2]], dtype=torch.float64)


def oracle(name):
    return find_exercise(name).oracle


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def riccati(end, control, steps):
    """Gains K_i, u = -K_i s, that minimise 1/2 sum control |u|^2 + 1/2 s_H' end s_H."""
    value, gains = end, []
    for _ in range(steps):
        gain = torch.linalg.solve(control * torch.eye(1).double() + B.T @ value @ B, B.T @ value @ A)
        value = A.T @ value @ (A - B @ gain)
        gains.insert(0, gain)
    return gains


def test_no_action_does_better_than_the_best_one_and_its_loss_is_an_integral():
    weights, variances = torch.tensor([[0.7, 0.3, 0.0]]).double(), torch.tensor([[0.1, 0.4, 1.0]]).double()
    means = torch.tensor([[[0.7, 2.0], [-0.9, 1.0], [50.0, 0.0]]]).double()
    action, floor = oracle("bc_optimum")(weights, means, variances)
    grid, least = torch.linspace(-12, 12, 24_001).double(), 0.0
    for entry in range(2):
        law = Normal(means[0, :, entry], variances[0].sqrt())
        density = (weights[0] * law.log_prob(grid[:, None]).exp()).sum(1)
        places = action[0, entry].item() + torch.linspace(-1, 1, 9)
        losses = [torch.trapezoid(density * (grid - c) ** 2, grid).item() for c in places]
        assert losses[4] == min(losses)
        least += losses[4]
    assert least == pytest.approx(floor.item(), rel=1e-6)


def test_the_chunks_of_four_short_episodes_by_hand():
    chunks, valid = oracle("action_chunks")(torch.arange(9.0)[:, None], [4, 1, 3, 1], 3)
    rows = ["012", "123", "233", "333", "444", "567", "677", "777", "888"]
    assert ["".join(str(int(a)) for a in chunk[:, 0]) for chunk in chunks] == rows
    assert valid.sum(1).tolist() == [3, 3, 2, 1, 1, 3, 2, 1, 1] and valid[:, 0].all() and valid.dtype == torch.bool


def test_a_network_that_is_off_by_a_half_where_it_counts_has_a_loss_of_a_quarter():
    t, level = torch.tensor([1, 4, 7]), TABLE[torch.tensor([1, 4, 7])][:, None, None]
    clean, eps, obs = normal(3, 4, 2), normal(3, 4, 2, seed=1), normal(3, 5, seed=2)
    valid = torch.arange(4) < torch.tensor([4, 1, 2])[:, None]

    def padded(x, t, seen):
        assert torch.equal(seen, obs)
        return (x - level.sqrt() * clean) / (1 - level).sqrt() + torch.where(valid[..., None], 0.5, 1e3)

    assert oracle("policy_loss")(padded, obs, clean, valid, t, eps, TABLE).item() == pytest.approx(0.25)
    mask = ~valid[..., None]

    def planner(x, t):
        assert torch.equal(x[mask.expand_as(x)], clean[mask.expand_as(x)])
        return torch.where(mask, 1e3, (x - level.sqrt() * clean) / (1 - level).sqrt() + 0.5)

    assert oracle("planning_loss")(planner, clean, mask, t, eps, TABLE).item() == pytest.approx(0.25)


def test_where_nothing_disturbs_planning_again_changes_nothing():
    """A plan of the best controller is the same from every state that it leads through."""
    gain = riccati(100 * torch.eye(2).double(), 1.0, 200)[0]
    closed, start, asked = A - B @ gain, normal(3, 2), []

    def policy(state):
        asked.append(state)
        plan = [state @ torch.linalg.matrix_power(closed, j).T @ -gain.T for j in range(5)]
        return torch.stack(plan, 1)

    route = torch.stack([start @ torch.linalg.matrix_power(closed, i).T for i in range(8)], 1)
    for execute, plans in ((1, 7), (2, 4), (3, 3), (5, 2)):
        asked.clear()
        states, actions = oracle("receding_horizon")(policy, lambda s, u: s @ A.T + u @ B.T, start, 7, execute)
        assert torch.allclose(states, route) and torch.allclose(actions, -route[:, :-1] @ gain.T)
        assert len(asked) == plans and torch.allclose(asked[-1], route[:, (plans - 1) * execute])
    with pytest.raises(ValueError):
        oracle("receding_horizon")(policy, lambda s, u: s, start, 1, 6)


def test_a_random_walks_covariance_is_what_both_have_walked():
    one = torch.ones(1, 1).double()
    mean, cov = oracle("trajectory_gaussian")(one, 2 * one, 3 * one[0], 0.5 * one, 0.25, 6)
    steps = torch.arange(7).double()
    assert torch.equal(mean, torch.full((7,), 3.0).double())
    assert torch.allclose(cov, 0.5 + torch.minimum(steps[:, None], steps))


def test_the_likeliest_plan_that_is_rewarded_for_its_end_is_the_best_controllers_route():
    start, goal, end, H = torch.tensor([0.3, -0.4]).double(), torch.tensor([1.0, 0.0]).double(), [50.0, 20.0], 12
    end = torch.tensor(end).double().diag()
    mean, cov = oracle("trajectory_gaussian")(A, B, start, 0 * PAIR, 0.5, H)
    seen = cov[-2:]
    plan = mean + seen.T @ torch.linalg.solve(seen[:, -2:] + torch.linalg.inv(end), goal - mean[-2:])
    s, route = start - goal, [start]  # the goal stands still
    for gain in riccati(end, 2.0, H):
        s = A @ s - B @ (gain @ s)
        route.append(s + goal)
    assert torch.allclose(plan, torch.cat(route), atol=1e-9)
    actions, residual = oracle("inverse_dynamics")(plan.reshape(1, H + 1, 2), A, B)
    assert residual.abs().max() < 1e-9
    assert torch.allclose(actions[0, 0], -riccati(end, 2.0, H)[0] @ (start - goal))


def test_the_residual_is_what_lies_across_the_actions():
    states, across = torch.zeros(1, 4, 2).double(), torch.stack([B[1, 0], -B[0, 0]])  # at right angles to B
    for i in range(3):
        states[0, i + 1] = A @ states[0, i] + B @ torch.tensor([i - 1.0]).double() + i * across
    actions, residual = oracle("inverse_dynamics")(states, A, B)
    assert torch.allclose(actions[0, :, 0], torch.tensor([-1.0, 0.0, 1.0]).double(), atol=1e-12)
    assert torch.allclose(residual[0], torch.tensor([0.0, 1.0, 2.0]).double() * across.norm(), atol=1e-12)


def test_the_residual_stands_at_right_angles_to_every_action():
    states, drift, push = normal(2, 4, 5), normal(5, 5, seed=1), normal(5, 2, seed=2)
    actions, residual = oracle("inverse_dynamics")(states, drift, push)
    left = states[:, 1:] - states[:, :-1] @ drift.T - actions @ push.T
    assert (left @ push).abs().max() < 1e-12
    assert torch.allclose(residual.square(), left.square().sum(-1))


def test_the_best_planner_reaches_the_floor_of_its_loss():
    """Two correlated entries, the first one given: what is left of the second has the variance 0.36."""
    count, level = 40_000, TABLE[4]
    x0 = normal(count, 2, seed=3) @ torch.linalg.cholesky(PAIR).T
    eps, t, mask = normal(count, 2, seed=4), torch.full((count,), 4), torch.tensor([True, False])

    def best(x, t):
        found = (1 - level).sqrt() * (x[..., 1] - level.sqrt() * 0.8 * x[..., 0]) / (0.36 * level + 1 - level)
        return torch.stack([0 * found, found], -1)

    few = slice(0, 2000)
    got = oracle("planning_loss")(best, x0[few, None], mask, t[few], eps[few, None], TABLE)
    shown = torch.stack([x0[:, 0], level.sqrt() * x0[:, 1] + (1 - level).sqrt() * eps[:, 1]], 1)
    errors = (best(shown, t)[:, 1] - eps[:, 1]).square()
    assert torch.isclose(got, errors[few].mean())
    floor = 0.36 * level / (0.36 * level + 1 - level)
    assert abs(errors.mean() - floor) < 4.5 * errors.std() / math.sqrt(count)


def test_a_planner_that_has_seen_clean_entries_ends_in_the_exact_law():
    """The walk is linear in its noises: each of them is sent down alone. Given 1.5, the other entry is N(1.2, 0.36)."""
    errors = []
    for T in (25, 50, 100, 200):
        table = torch.cat([torch.ones(1), torch.cumprod(1 - torch.linspace(0.1 / T, 20 / T, T), 0)]).double()
        noises = torch.cat([torch.zeros(1, T + 1), torch.eye(T + 1)]).double()  # nothing, then each noise alone
        noise = torch.stack([torch.zeros_like(noises), noises], -1).transpose(0, 1)  # (T + 1, B, 2)
        x_T, noise = noise[0], noise.clone()
        mask, known = torch.tensor([True, False]), torch.tensor([1.5, math.nan]).double().expand_as(x_T)

        def model(x, t, table=table):
            level = table[t]
            found = (1 - level).sqrt() * (x[:, 1] - level.sqrt() * 0.8 * x[:, 0]) / (0.36 * level + 1 - level)
            return torch.stack([0 * found, found], 1)

        x0 = oracle("diffuser_plan")(model, x_T, known, mask, table, noise)
        assert (x0[:, 0] == 1.5).all()
        mean, variance = x0[0, 1], (x0[1:, 1] - x0[0, 1]).square().sum()
        errors.append(max(abs(mean - 1.2).item(), abs(variance - 0.36).item()))
    assert errors[-1] < 0.025 and all(b < 0.65 * a for a, b in itertools.pairwise(errors))


def test_with_nothing_known_the_planner_is_the_sampler_of_lesson_06():
    data, x_T, noise = GaussianData([0.4, -1.0], PAIR), normal(5, 2), normal(8, 5, 2, seed=1)
    model = data.eps_model(TABLE)
    got = oracle("diffuser_plan")(model, x_T, torch.full_like(x_T, math.nan), torch.tensor([False]), TABLE, noise)
    assert torch.allclose(got, find_exercise("ddpm_sample").oracle(model, x_T, TABLE, noise))


def test_a_linear_reward_leads_along_the_spread_of_what_is_still_unknown():
    """On Gaussian data the guess is affine in x_t, with a known slope; a quadratic reward changes along it."""
    data, x, t = GaussianData([0.5, -1.0], PAIR), normal(4, 2), torch.tensor([1, 3, 5, 7])
    model, along = data.eps_model(TABLE), torch.tensor([2.0, -1.0]).double()
    linear = oracle("reward_guided_eps")(model, lambda x0: x0 @ along, x, t, TABLE, 1.5)
    bent = oracle("reward_guided_eps")(model, lambda x0: -((x0 @ along) ** 2) / 2, x, t, TABLE, 1.5)
    for b, level in enumerate(TABLE[t]):
        slope = level.sqrt() * PAIR @ torch.linalg.inv(level * PAIR + (1 - level) * torch.eye(2).double())
        guess = data.mean + slope @ (x[b] - level.sqrt() * data.mean)
        plain, pull = model(x, t)[b], 1.5 * (1 - level).sqrt() * slope.T @ along
        assert torch.allclose(linear[b], plain - pull)
        assert torch.allclose(bent[b], plain + (guess @ along) * pull)


def test_the_gradient_goes_back_through_a_network_that_is_not_symmetric():
    mixing, along, x, t = normal(3, 3, seed=5), normal(3, seed=6), normal(2, 3), torch.tensor([2, 6])
    got = oracle("reward_guided_eps")(lambda x, t: x @ mixing.T, lambda x0: x0 @ along, x, t, TABLE, 1.5)
    for b, level in enumerate(TABLE[t]):
        guess = (torch.eye(3).double() - (1 - level).sqrt() * mixing) / level.sqrt()
        assert torch.allclose(got[b], mixing @ x[b] - 1.5 * (1 - level).sqrt() * guess.T @ along)


def listed(policy, dynamics, goal, horizon):
    """p(a_i given s_i, s_H = goal) from a list of all paths of states and actions."""
    S, A = policy.shape
    found = policy.expand(horizon, S, A).clone()
    for i, start in itertools.product(range(horizon), range(S)):
        mass = torch.zeros(A, dtype=torch.float64)
        for moves in itertools.product(range(A), range(S), repeat=horizon - i):
            chance, now = 1.0, start
            for action, then in zip(moves[::2], moves[1::2], strict=True):
                chance, now = chance * policy[now, action].item() * dynamics[now, action, then].item(), then
            mass[moves[0]] += chance * (now == goal)
        if mass.sum() > 0:
            found[i, start] = mass / mass.sum()
    return found


def test_conditioning_on_the_goal_is_counting_paths():
    policy, dynamics = normal(3, 2).softmax(1), normal(3, 2, 3, seed=1).softmax(2)
    dynamics[0], dynamics[1, 0] = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])  # a sink, a sure action
    for goal in range(3):
        got = oracle("goal_conditioned_policy")(policy, dynamics, goal, 3)
        assert torch.allclose(got, listed(policy, dynamics, goal, 3), atol=1e-12)


def success(rows, dynamics, goal):
    """The chance of the goal from every state when acting by the rows (H, S, A)."""
    reach = torch.eye(dynamics.shape[0]).double()[goal]
    for row in rows.flip(0):
        reach = (row * (dynamics @ reach)).sum(1)
    return reach


def test_acting_on_it_helps_everywhere_and_is_certain_where_nothing_is_left_to_chance():
    policy, dynamics = normal(4, 3).softmax(1), normal(4, 3, 4, seed=1).softmax(2)
    told = success(oracle("goal_conditioned_policy")(policy, dynamics, 2, 5), dynamics, 2)
    assert (told > success(policy.expand(5, 4, 3), dynamics, 2)).all() and (told < 1).all()
    sure = torch.nn.functional.one_hot(torch.tensor([[1, 0, 3], [2, 0, 1], [2, 3, 0], [0, 1, 3]]), 4).double()
    rows = oracle("goal_conditioned_policy")(policy, sure, 2, 5)
    assert torch.allclose(success(rows, sure, 2), torch.ones(4).double())


@pytest.mark.parametrize(("length", "overlap"), [(2, 1), (3, 1), (3, 2), (4, 3), (2, 0)])
def test_the_pieces_of_a_markov_chain_make_its_score(length, overlap):
    """States of one entry, each 0.9 of the one before and noise; without an overlap, independent pieces."""
    skills = 3
    total = skills * (length - overlap) + overlap
    steps = torch.arange(total).double()
    cov = 0.9 ** (steps[:, None] - steps).abs()
    if overlap == 0:
        cov = torch.block_diag(*[cov[:length, :length]] * skills)
    x = normal(2, total)

    def score(start, count):
        window = slice(start, start + count)
        place = x[:, window].clone().requires_grad_()
        law = MultivariateNormal(torch.zeros(count).double(), cov[window, window])
        return torch.autograd.grad(law.log_prob(place).sum(), place)[0]

    stride = length - overlap
    segments = torch.stack([score(k * stride, length) for k in range(skills)], 1)[..., None]
    shared = torch.zeros(2, skills - 1, 0, 1).double()
    if overlap:
        shared = torch.stack([score(k * stride, overlap) for k in range(1, skills)], 1)[..., None]
    got = oracle("chain_scores")(segments, shared)
    assert got.shape == (2, total, 1)
    assert torch.allclose(got[..., 0], score(0, total))
