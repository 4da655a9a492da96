"""Why samplers differ from their papers: each reason with its smallest case, on Gaussian data."""

from __future__ import annotations

import math
from typing import Any

import torch

from .gaussian import Impulses, Predictor, law
from .own import even_root, heun
from .peers import alpha_bar_at, azula_walk, diffusers_walk, k_diffusion_walk

VARIANCES = torch.tensor([0.04, 0.25, 1.0, 4.0], dtype=torch.float64)
_ONE = torch.ones(1, dtype=torch.float64)


def _errors(walk: Any, steps: int, variances: torch.Tensor = VARIANCES) -> list[float]:
    """Relative errors of the deviation, one for each variance."""
    return (law(walk, variances, steps).deviation / variances.sqrt() - 1).tolist()


def last_step(steps: tuple[int, ...] = (20, 50, 200, 1000), lowest: float = 0.01) -> dict[str, Any]:
    """The last step of a Karras grid, from `lowest` to 0, is Euler's whatever comes before it: relative error left."""
    variances = torch.tensor([1e-4, 1e-3, 0.04, 1.0], dtype=torch.float64)
    left = (variances / (variances + lowest**2)).sqrt() - 1
    return {
        "variances": variances.tolist(),
        "found": {n: _errors(heun, n, variances) for n in steps},
        "left for ever": left.tolist(),
        "smallest sigma": float(((1 - even_root(10)[1]) / even_root(10)[1]).sqrt()),
    }


def no_last_step(calls: tuple[int, ...] = (20, 50, 200, 800), lowest: float = 0.01) -> dict[str, Any]:
    """DPM-Solver fast stops at `lowest`: what it gives has that noise in it, v + sigma^2 in place of v."""
    variances = torch.tensor([1e-4, 1e-3, 0.04, 1.0], dtype=torch.float64)
    return {
        "variances": variances.tolist(),
        "found": {n: _errors(k_diffusion_walk("sample_dpm_fast"), n, variances) for n in calls},
        "left for ever": ((1 + lowest**2 / variances).sqrt() - 1).tolist(),
    }


def fifteenth_step() -> dict[int, list[float]]:
    """DPM-Solver++ 2M with `final_sigmas_type="sigma_min"`: lower order at the end only below 15 steps."""
    walk = diffusers_walk("DPMSolverMultistepScheduler", final_sigmas_type="sigma_min")
    return {n: _errors(walk, n) for n in (13, 14, 15, 16, 50)}


def first_time() -> dict[int, tuple[float, float]]:
    """DDIM's default spacing, "leading": where it starts, and the deviation that N(0, 1) data then have there."""
    import diffusers

    found = {}
    for n in (10, 20, 30, 50, 67, 334):
        scheduler = diffusers.DDIMScheduler(clip_sample=False)
        scheduler.set_timesteps(n)
        found[n] = int(scheduler.timesteps[0]), alpha_bar_at(float(scheduler.timesteps[0])).item()
    return found


def twice_at_the_end() -> dict[str, Any]:
    """ "trailing" spacing: numbers of steps that give one time too many, -1, and what N(0, 1) data become."""
    import diffusers

    too_many = {}
    for n in range(2, 201):
        scheduler = diffusers.DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
        scheduler.set_timesteps(n)
        if len(scheduler.timesteps) != n:
            too_many[n] = [int(t) for t in scheduler.timesteps[-2:]]
    walk = diffusers_walk("DDIMScheduler", timestep_spacing="trailing", clip_sample=False)
    return {"numbers": too_many, "deviation": {n: law(walk, _ONE, n).deviation.item() for n in (60, 61, 62)}}


def clipped() -> dict[str, Any]:
    """DDIM as shipped clips its guess of x_0 at +-1. Deviation by quadrature over x_T, since clipping is not linear."""
    x = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    mass = torch.exp(-(x[:, 0] ** 2) / 2)
    mass /= mass.sum()
    found = {}
    for clip in (True, False):
        walk = diffusers_walk("DDIMScheduler", clip_sample=clip)
        found["shipped" if clip else "clip_sample=False"] = []
        for variance in (0.04, 0.25, 1.0):
            predictor = Predictor(torch.tensor([variance], dtype=torch.float64))
            out = walk(predictor, x.clone(), Impulses(2), 50)[:, 0]  # DDIM with eta = 0 draws nothing
            mean = (mass * out).sum()
            deviation = (mass * (out - mean) ** 2).sum().sqrt().item()
            found["shipped" if clip else "clip_sample=False"].append(deviation / math.sqrt(variance) - 1)
    return found


def exponential_end() -> dict[int, list[float]]:
    """azula's exponential Adams-Bashforth on its default times, even in t: the last step is huge in log sigma."""
    return {n: _errors(azula_walk("xEABSampler"), n) for n in (10, 20, 50, 100)}


def calls() -> dict[str, int]:
    """Network calls for "20 steps"."""
    names = {
        "DDIM": "DDIMScheduler",
        "PNDM": "PNDMScheduler",
        "Heun": "HeunDiscreteScheduler",
        "DPM-2": "KDPM2DiscreteScheduler",
        "DPM-Solver++ 2S": "DPMSolverSinglestepScheduler",
    }
    found = {name: law(diffusers_walk(kind), _ONE, 20).calls for name, kind in names.items()}
    found["PLMS"] = law(diffusers_walk("PNDMScheduler", skip_prk_steps=True), _ONE, 20).calls
    found["azula Heun"] = law(azula_walk("HeunSampler"), _ONE, 20).calls
    return found
