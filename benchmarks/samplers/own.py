"""The student's own samplers: the solutions of `ddim_step`, `p_step` and `heun_step`, walked as in the lessons."""

from __future__ import annotations

import ast
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .gaussian import Impulses, Predictor, course_table

ROOT = Path(__file__).resolve().parents[2]
TABLE = course_table()


def functions(lesson: str, *names: str) -> dict[str, Any]:
    """Functions of a lesson's source by name, solutions and given ones alike, in one namespace."""
    path = ROOT / "solutions" / lesson / f"{lesson[3:]}.py"
    found = {
        node.name: node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    scope: dict[str, Any] = {"torch": torch}
    for name in names:
        exec(compile(ast.Module([found[name]], []), f"{path.name}: {name}", "exec"), scope)
    return scope


SAMPLING = functions(
    "06-sampling", "column", "posterior_variance", "posterior_mean_from_eps", "p_step", "ddim_step", "ddim_times"
)
SCORE = functions("07-score", "ddim_step", "heun_step")


def respaced(steps: int) -> Tensor:
    """alpha_bar (steps + 1,) at lesson 06's `ddim_times`: a table of its own, for walks through all its entries."""
    return TABLE[SAMPLING["ddim_times"](len(TABLE) - 1, steps)].flip(0)


def ddim(predictor: Predictor, x: Tensor, noise: Impulses, steps: int) -> Tensor:
    """`ddim_step` with eta = 0 along `ddim_times`."""
    for t, s in pairwise(SAMPLING["ddim_times"](len(TABLE) - 1, steps).tolist()):
        x = SAMPLING["ddim_step"](x, predictor.eps(x, TABLE[t]), t, s, TABLE)
    return x


def ddpm(predictor: Predictor, x: Tensor, noise: Impulses, steps: int, variance: str) -> Tensor:
    """`p_step` through the table respaced to `steps` steps, as improved DDPM does."""
    table = respaced(steps)
    for t in range(steps, 0, -1):
        z = noise(x) if t > 1 else torch.zeros_like(x)
        x = SAMPLING["p_step"](x, predictor.eps(x, table[t]), torch.full((len(x),), t), table, z, variance)
    return x


def even_root(steps: int, lowest: float = 0.01, power: float = 7.0) -> Tensor:
    """alpha_bar (steps + 1,), even in sigma^(1 / power) (Karras et al., 2022, equation 5), as in lesson 07."""
    high = ((1 - TABLE[-1]) / TABLE[-1]).sqrt()
    low, high = lowest ** (1 / power), high ** (1 / power)
    sigmas = (low + torch.linspace(0, 1, steps, dtype=torch.float64) * (high - low)) ** power
    return torch.cat([torch.ones(1, dtype=torch.float64), 1 / (1 + sigmas**2)])


def heun(predictor: Predictor, x: Tensor, noise: Impulses, steps: int) -> Tensor:
    """`heun_step` on lesson 07's grid."""
    table = even_root(steps)
    for t in range(steps, 0, -1):
        x = SCORE["heun_step"](lambda x, t: predictor.eps(x, table[int(t[0])]), x, t, t - 1, table)
    return x


ddpm_posterior = partial(ddpm, variance="posterior")
ddpm_beta = partial(ddpm, variance="beta")
