"""Small worlds in which all that a robot, an expert or chance can do is known exactly.

Everything is float64 on the CPU. i = 0..N counts the steps of a world.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class RoundAbout:
    """A disc between start and goal, and an expert who passes above it or below.

    The expert keeps to one of two ways, path_m(i) = (-1 + 2 i / N, +-height sin(pi i / N)), m = 0 above and 1 below:

        p_0 = (-1, 0) + start e,   a_i = path_m(i + 1) - path_m(i) - pull (p_i - path_m(i)) + noise e_i,
        p_{i+1} = p_i + a_i,

    with e, e_i ~ N(0, I). Given the way all is Gaussian, so whatever is asked about the expert is a mixture of two.
    """

    steps: int = 16
    above: float = 0.7
    height: float = 0.7
    pull: float = 0.3
    noise: float = 0.04
    start: float = 0.15
    radius: float = 0.35

    @cached_property
    def ways(self) -> Tensor:
        """The two ways' places, (2, N + 1, 2): above, below."""
        share = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        height = self.height * torch.sin(math.pi * share)
        return torch.stack([torch.stack([2 * share - 1, side * height], 1) for side in (1, -1)])

    @property
    def shares(self) -> Tensor:
        """How many take each way, (2,)."""
        return torch.tensor([self.above, 1 - self.above], dtype=torch.float64)

    def variance(self, i: int) -> float:
        """Of each coordinate of p_i around its way: v_{i+1} = (1 - pull)^2 v_i + noise^2."""
        value = self.start**2
        for _ in range(i):
            value = (1 - self.pull) ** 2 * value + self.noise**2
        return value

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """n routes of the expert: places (n, N + 1, 2), actions (n, N, 2), and the way that each took, (n,)."""
        way = (torch.rand(n, generator=generator, dtype=torch.float64) >= self.above).long()
        e = torch.randn(self.steps + 1, n, 2, generator=generator, dtype=torch.float64)
        path = self.ways[way]
        places, actions = [path[:, 0] + self.start * e[0]], []
        for i in range(self.steps):
            off = places[-1] - path[:, i]
            actions.append(path[:, i + 1] - path[:, i] - self.pull * off + self.noise * e[i + 1])
            places.append(places[-1] + actions[-1])
        return torch.stack(places, 1), torch.stack(actions, 1), way

    def side(self, place: Tensor, i: int) -> Tensor:
        """p(way given p_i = place), (B, 2) -> (B, 2), by Bayes' rule."""
        off = (place[:, None] - self.ways[:, i]).square().sum(-1)
        return (self.shares.log() - off / (2 * self.variance(i))).softmax(1)

    def chunk(self, place: Tensor, i: int, horizon: int) -> tuple[Tensor, Tensor, Tensor]:
        """The law of the next `horizon` actions given p_i = place (B, 2), a mixture of two Gaussians.

        Returns:
            weights (B, 2), means (B, 2, horizon, 2), and root (horizon, horizon): in both ways and for each
            coordinate the covariance over time is root root^T, the coordinates being independent.

        Raises:
            ValueError: the chunk goes beyond step N.
        """
        if not 1 <= horizon <= self.steps - i:
            raise ValueError(f"chunk: horizon={horizon} at step {i}; expected 1 to {self.steps - i}")
        keep = 1 - self.pull
        j = torch.arange(horizon, dtype=torch.float64)
        off = place[:, None] - self.ways[:, i]  # (B, 2, 2)
        planned = self.ways[:, i + 1 : i + 1 + horizon] - self.ways[:, i : i + horizon]
        means = planned - self.pull * keep ** j[:, None] * off[:, :, None]
        since = j[:, None] - j
        late = -self.pull * keep ** (since - 1).clamp(min=0)
        root = self.noise * torch.where(since > 0, late, (since == 0).double())
        return self.side(place, i), means, root

    def crash(self, places: Tensor) -> Tensor:
        """Which routes (..., M, 2) cross the disc, bool (...): straight pieces are looked at, not points."""
        start, way = places[..., :-1, :], places[..., 1:, :] - places[..., :-1, :]
        length = way.square().sum(-1).clamp(min=1e-300)
        share = (-(start * way).sum(-1) / length).clamp(0, 1)
        nearest = start + share[..., None] * way
        return (nearest.square().sum(-1) < self.radius**2).any(-1)


ROUNDABOUT = RoundAbout()


def double_integrator(dt: float = 0.2) -> tuple[Tensor, Tensor]:
    """A cart that is pushed, s = (position, velocity): A (2, 2) and B (2, 1) of s' = A s + B u.

    Over `dt` the acceleration u is constant, which is exact.
    """
    A = torch.tensor([[1.0, dt], [0.0, 1.0]], dtype=torch.float64)
    return A, torch.tensor([[dt * dt / 2], [dt]], dtype=torch.float64)


def lqr_gains(A: Tensor, B: Tensor, Q: Tensor, R: Tensor, Q_final: Tensor, horizon: int) -> list[Tensor]:
    """The gains K_0..K_{H-1} of the cheapest drive to 0, u_i = -K_i s_i (Kalman, 1960).

    They minimise 1/2 sum_i (s_i' Q s_i + u_i' R u_i) + 1/2 s_H' Q_final s_H over s_{i+1} = A s_i + B u_i, by Riccati's
    recursion from the end. A, Q, Q_final (S, S), B (S, U), R (U, U), definite; each gain is (U, S).
    """
    cost, gains = Q_final, []
    for _ in range(horizon):
        gains.append(torch.linalg.solve(R + B.T @ cost @ B, B.T @ cost @ A))
        cost = Q + A.T @ cost @ (A - B @ gains[-1])
    return gains[::-1]


ICY_BRIDGE = (
    "S~~~G",
    ". . .",
    ".....",
)  # S start, G goal, ~ ice, a blank is rock
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


def bridge_cells() -> list[tuple[int, int]]:
    """(row, column) of every cell of the icy bridge that one can stand on, in the order of its states."""
    return [(r, c) for r, row in enumerate(ICY_BRIDGE) for c, kind in enumerate(row) if kind != " "]


def icy_bridge(slip: float) -> tuple[Tensor, int, int]:
    """A short way over ice and a long way round: dynamics (14, 4, 14), start and goal.

    dynamics[s, a, s'] = p(s' given s, a) for the moves up, down, left, right. Whoever moves while on the ice falls into
    the water, the last state, with probability `slip`, and stays there. A move against a wall goes nowhere; at the goal
    every move stays.
    """
    cells = bridge_cells()
    at = {cell: state for state, cell in enumerate(cells)}
    kinds = [ICY_BRIDGE[r][c] for r, c in cells]
    water, goal = len(cells), kinds.index("G")
    dynamics = torch.zeros(water + 1, len(MOVES), water + 1, dtype=torch.float64)
    dynamics[water, :, water] = 1
    dynamics[goal, :, goal] = 1
    for (r, c), state in at.items():
        if state == goal:
            continue
        fall = slip if kinds[state] == "~" else 0.0
        for move, (down, right) in enumerate(MOVES):
            dynamics[state, move, at.get((r + down, c + right), state)] += 1 - fall
            dynamics[state, move, water] += fall
    return dynamics, kinds.index("S"), goal
