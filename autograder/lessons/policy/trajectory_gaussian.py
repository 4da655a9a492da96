"""All states of a linear system under Gaussian actions: `trajectory_gaussian`."""

from __future__ import annotations

import torch

from ...conventions import Manner
from ...exercise import exercise


@exercise("trajectory_gaussian", points=2)
def trajectory_gaussian(student, case):
    """(mean, cov) of s_0, ..., s_H stacked in time order, s_{i+1} = A s_i + B u_i with u_i ~ N(0, action_var I)."""
    truth = trajectory_gaussian.oracle

    def given(dims, inputs, horizon, variance=None):
        A, B = 0.5 * case.normal(dims, dims), case.normal(dims, inputs)
        root = case.normal(dims, dims)
        variance = case.number(0.3, 0.8) if variance is None else variance
        return A, B, case.normal(dims), root @ root.T / dims, variance, horizon

    usual = given(3, 2, 4)
    mean, cov = case.unpack(student(*usual), "mean", "cov")
    true_mean, true_cov = truth(*usual)
    case.expect(mean, true_mean, "the mean of every state", points=0.25, dtype=True)
    case.expect(cov, true_cov, "the covariance of all states with all", points=0.75, dtype=True)
    pair, once = given(2, 1, 2), given(2, 1, 1)
    case.expect(
        [student(*pair), student(*once)],
        [truth(*pair), truth(*once)],
        "two steps, and one",
        points=0.25,
    )
    fixed, still = list(given(2, 1, 3)), given(3, 1, 3, 0.0)
    fixed[3] = torch.zeros(2, 2, dtype=torch.float64)
    case.expect(
        [student(*fixed), student(*still)],
        [truth(*fixed), truth(*still)],
        "a start that is known for certain; actions that are all 0",
        points=0.25,
    )
    slight, wide, line = list(given(2, 1, 2, 2.0**-30)), given(2, 3, 2), given(1, 1, 3)
    slight[3] = 1e-10 * slight[3]
    case.conventions(student, usual, truth, points=0.5, also=[slight, wide, line], manner=InOrder())


class InOrder(Manner):
    """Matrices row by row in memory: torch.kron, a right tool here, refuses others."""

    def calls(self, args):
        return [[value.contiguous() if isinstance(value, torch.Tensor) else value for value in args]]


@trajectory_gaussian.truth
def truth(A, B, mean0, cov0, action_var, horizon):
    """One linear system: every state less A times the one before it is a noise of its own."""
    dims, count = len(mean0), horizon + 1
    shift = torch.diag(torch.ones(horizon, dtype=torch.float64), -1)
    system = torch.eye(count * dims, dtype=torch.float64) - torch.kron(shift, A.double().contiguous())
    push = torch.diag(torch.cat([torch.zeros(1), torch.ones(horizon)])).double()
    own = action_var * torch.kron(push, B.double() @ B.double().T)
    own[:dims, :dims] = cov0.double()
    right = torch.cat([mean0.double(), torch.zeros(horizon * dims, dtype=torch.float64)])

    def solve(value):
        return torch.linalg.solve_triangular(system, value, upper=False, unitriangular=True)

    mean, cov = solve(right[:, None])[:, 0], solve(solve(own).mT)
    return mean.to(mean0.dtype), cov.to(cov0.dtype)


def blocks(A, B, mean0, cov0, action_var, horizon, push=None, cross=lambda cov, A: cov @ A.T, grow=None):
    """Means (H + 1) x (S,) and covariances (H + 1) x (H + 1) x (S, S), block by block, along the diagonal and then to
    the right; parts of it can be had otherwise.
    """
    push = action_var * B @ B.T if push is None else push
    means, table = [mean0], [[cov0]]
    for i in range(horizon):
        means.append(A @ means[-1])
        grown = A @ table[i][i] @ A.T if grow is None else grow(table[i][i])
        table.append([None] * (i + 1) + [grown + push])
    for i in range(horizon + 1):
        for j in range(i + 1, horizon + 1):
            table[i].append(cross(table[i][j - 1], A))
            table[j][i] = table[i][j].T
    return means, table


def stacked(means, table):
    return torch.cat(means), torch.cat([torch.cat(row, 1) for row in table])


@trajectory_gaussian.alternative("block by block")
def block_by_block(A, B, mean0, cov0, action_var, horizon):
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon))


@trajectory_gaussian.alternative("a matrix of start and actions")
def matrix_of_start_and_actions(A, B, mean0, cov0, action_var, horizon):
    S, U = B.shape
    whole = A.new_zeros((horizon + 1) * S, S + horizon * U)
    whole[:S, :S] = torch.eye(S, dtype=A.dtype, device=A.device)
    for i in range(horizon):
        now, then = slice(i * S, (i + 1) * S), slice((i + 1) * S, (i + 2) * S)
        whole[then] = A @ whole[now]
        whole[then, S + i * U : S + (i + 1) * U] = B
    own = torch.block_diag(cov0, action_var * torch.eye(horizon * U, dtype=A.dtype, device=A.device))
    return [whole[:, :S] @ mean0, whole @ own @ whole.T]


@trajectory_gaussian.alternative("sums over powers of A")
def sums_over_powers(A, B, mean0, cov0, action_var, horizon):
    power = [torch.linalg.matrix_power(A, i) for i in range(horizon + 1)]
    S, push = len(mean0), action_var * (B @ B.mT)
    cov = cov0.new_zeros((horizon + 1) * S, (horizon + 1) * S)
    for i in range(horizon + 1):
        for j in range(horizon + 1):
            block = power[i] @ cov0 @ power[j].mT
            for k in range(min(i, j)):
                block = block + power[i - 1 - k] @ push @ power[j - 1 - k].mT
            cov[i * S : (i + 1) * S, j * S : (j + 1) * S] = block
    return torch.stack([p @ mean0 for p in power]).flatten(), cov


@trajectory_gaussian.alternative("one linear system, built with kron")
def built_with_kron(A, B, mean0, cov0, action_var, horizon):
    count = horizon + 1
    before = torch.diag(torch.ones(horizon, dtype=A.dtype, device=A.device), -1)
    whole = torch.linalg.inv(torch.eye(count * len(A), dtype=A.dtype, device=A.device) - torch.kron(before, A))
    own = torch.block_diag(cov0, *[action_var * B @ B.T] * horizon)
    first = torch.cat([mean0, mean0.new_zeros(horizon * len(A))])
    return whole @ first, whole @ own @ whole.T


@trajectory_gaussian.misconception(
    "action_var is squared",
    hint="action_var is a variance already: it multiplies B B' as it is.",
)
def variance_squared(A, B, mean0, cov0, action_var, horizon):
    return block_by_block(A, B, mean0, cov0, action_var**2, horizon)


@trajectory_gaussian.misconception(
    "noise in every state, not along B",
    hint="An action reaches the state through B only: what B u adds to the covariance has at most U directions.",
)
def noise_everywhere(A, B, mean0, cov0, action_var, horizon):
    push = action_var * torch.eye(len(mean0), dtype=A.dtype)
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, push))


@trajectory_gaussian.misconception(
    "the squares of B's entries on the diagonal alone",
    hint="One action moves several entries of the state together, so their noises are correlated: B B', a matrix.",
)
def diagonal_push(A, B, mean0, cov0, action_var, horizon):
    push = action_var * torch.diag(B.square().sum(1))
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, push))


@trajectory_gaussian.misconception(
    "different times are taken to be independent",
    hint="s_{i+1} is made of s_i: the covariance has entries between times, not only blocks on its diagonal.",
)
def times_independent(A, B, mean0, cov0, action_var, horizon):
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, cross=lambda cov, A: 0 * cov))


@trajectory_gaussian.misconception(
    "only neighbours are correlated",
    hint="s_0 goes into s_1, and with it into s_2: the states two steps apart have a covariance too.",
)
def only_neighbours(A, B, mean0, cov0, action_var, horizon):
    means, table = blocks(A, B, mean0, cov0, action_var, horizon)
    rows = [[c if abs(i - j) < 2 else 0 * c for j, c in enumerate(row)] for i, row in enumerate(table)]
    return stacked(means, rows)


@trajectory_gaussian.misconception(
    "the covariances of earlier with later times are turned round",
    hint="Cov[s_{i+1}, s_i] = A Cov[s_i], which stands below the diagonal. To its right stands the transpose.",
)
def blocks_turned(A, B, mean0, cov0, action_var, horizon):
    means, table = blocks(A, B, mean0, cov0, action_var, horizon)
    return stacked(means, [[c.T for c in row] for row in table])


@trajectory_gaussian.misconception(
    "between times the covariance is not moved by A",
    hint="From Cov[s_i, s_i] to Cov[s_i, s_{i+1}] one of the two has taken a step: which matrix has acted on it?",
)
def not_moved(A, B, mean0, cov0, action_var, horizon):
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, cross=lambda cov, A: cov))


@trajectory_gaussian.misconception(
    "earlier noise is forgotten",
    hint="The noise of one action stays in the state and is carried on by A. Each step adds to it.",
)
def earlier_noise_forgotten(A, B, mean0, cov0, action_var, horizon):
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, grow=lambda cov: 0 * cov))


@trajectory_gaussian.misconception(
    "A acts on one side of the covariance only",
    hint="Cov[A s] = A Cov[s] A': a covariance has two sides.",
)
def one_side(A, B, mean0, cov0, action_var, horizon):
    return stacked(*blocks(A, B, mean0, cov0, action_var, horizon, grow=lambda cov: A @ cov))


@trajectory_gaussian.misconception(
    "the spread of the start is left out",
    hint="s_0 is drawn as well, with the covariance cov0, and what it was is felt in every later state.",
)
def start_certain(A, B, mean0, cov0, action_var, horizon):
    return block_by_block(A, B, mean0, 0 * cov0, action_var, horizon)


@trajectory_gaussian.misconception(
    "noise before the first action",
    hint="s_0 has the covariance cov0 alone: the first action changes s_1.",
)
def noise_at_start(A, B, mean0, cov0, action_var, horizon):
    return block_by_block(A, B, mean0, cov0 + action_var * B @ B.T, action_var, horizon)


@trajectory_gaussian.misconception(
    "the mean stays where it was",
    hint="Even without any action A moves the state: the mean of s_{i+1} is A times that of s_i.",
)
def mean_stays(A, B, mean0, cov0, action_var, horizon):
    return mean0.repeat(horizon + 1), block_by_block(A, B, mean0, cov0, action_var, horizon)[1]


@trajectory_gaussian.misconception(
    "the start is left out of the stack",
    hint="H steps have H + 1 states: s_0 stands first.",
)
def start_left_out(A, B, mean0, cov0, action_var, horizon):
    mean, cov = block_by_block(A, B, mean0, cov0, action_var, horizon)
    return mean[len(mean0) :], cov[len(mean0) :, len(mean0) :]


@trajectory_gaussian.misconception(
    "stacked by entries of the state, not by times",
    hint="All of s_0 comes first, then all of s_1: s_i begins at entry i S.",
)
def by_entries(A, B, mean0, cov0, action_var, horizon):
    mean, cov = block_by_block(A, B, mean0, cov0, action_var, horizon)
    order = torch.arange(len(mean)).reshape(horizon + 1, -1).T.flatten()
    return mean[order], cov[order][:, order]


trajectory_gaussian.derived(
    "transpose of",
    "A",
    name="A is transposed",
    hint="A state is a column here: A @ s. With states as rows that is s @ A.T.",
)
trajectory_gaussian.derived(
    "parts exchanged",
    name="mean and covariance are exchanged",
    hint="The mean comes first, then the covariance: return mean, cov.",
)
