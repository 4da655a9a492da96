"""Who takes part: each sampler's walk, and what its paper promises."""

from __future__ import annotations

from dataclasses import dataclass

from . import own
from .gaussian import Walk
from .peers import azula_walk, diffusers_walk, k_diffusion_walk


@dataclass(frozen=True)
class Sampler:
    """One row of the table.

    Attributes:
        library: "course", "diffusers", "azula" or "k_diffusion". name: as the table writes it.
        promised: the order of convergence that its paper derives, in steps; 0 where it derives none.
        draws: fresh noise per step, at most; 0 for one that draws none.
        shipped: how it is set, where that is not plain from the name.
        most: steps that are tried; LMS integrates polynomials anew for each, which takes long.
    """

    library: str
    name: str
    walk: Walk
    promised: int
    draws: int = 0
    shipped: str = ""
    most: int = 800


_D, _A, _K = diffusers_walk, azula_walk, k_diffusion_walk
SAMPLERS = (
    Sampler("course", "DDIM", own.ddim, 1, shipped="`ddim_step`, eta = 0, along `ddim_times`"),
    Sampler("course", "Heun", own.heun, 2, shipped="`heun_step` on lesson 07's grid"),
    Sampler("course", "DDPM", own.ddpm_posterior, 0, 1, "`p_step`, posterior variance, respaced table"),
    Sampler("course", "DDPM, beta", own.ddpm_beta, 0, 1, "`p_step`, variance beta_t"),
    Sampler("diffusers", "DDIM", _D("DDIMScheduler", clip_sample=False), 1, shipped="`clip_sample=False`"),
    Sampler("diffusers", "DDPM", _D("DDPMScheduler", clip_sample=False), 0, 1, "`clip_sample=False`"),
    Sampler("diffusers", "PNDM", _D("PNDMScheduler"), 2),
    Sampler(
        "diffusers", "PLMS", _D("PNDMScheduler", skip_prk_steps=True), 2, shipped="`PNDMScheduler(skip_prk_steps=True)`"
    ),
    Sampler("diffusers", "Euler", _D("EulerDiscreteScheduler"), 1),
    Sampler("diffusers", "Euler ancestral", _D("EulerAncestralDiscreteScheduler"), 0, 1),
    Sampler("diffusers", "Heun", _D("HeunDiscreteScheduler"), 2),
    Sampler("diffusers", "DPM-2", _D("KDPM2DiscreteScheduler"), 2, shipped="`KDPM2DiscreteScheduler`"),
    Sampler("diffusers", "DPM-2 ancestral", _D("KDPM2AncestralDiscreteScheduler"), 0, 1),
    Sampler("diffusers", "LMS", _D("LMSDiscreteScheduler"), 4, most=100),
    Sampler("diffusers", "DPM-Solver++ 2M", _D("DPMSolverMultistepScheduler"), 2),
    Sampler(
        "diffusers",
        "DPM-Solver++ 2M, Karras",
        _D("DPMSolverMultistepScheduler", use_karras_sigmas=True),
        2,
        shipped="`use_karras_sigmas=True`",
    ),
    Sampler(
        "diffusers", "DPM-Solver++ 3M", _D("DPMSolverMultistepScheduler", solver_order=3), 3, shipped="`solver_order=3`"
    ),
    Sampler("diffusers", "DPM-Solver++ 2S", _D("DPMSolverSinglestepScheduler"), 2),
    Sampler("diffusers", "DEIS", _D("DEISMultistepScheduler"), 2),
    Sampler("diffusers", "UniPC", _D("UniPCMultistepScheduler"), 3),
    Sampler(
        "diffusers",
        "SDE-DPM-Solver++ 2M",
        _D("DPMSolverMultistepScheduler", algorithm_type="sde-dpmsolver++"),
        2,
        1,
        '`algorithm_type="sde-dpmsolver++"`',
    ),
    Sampler("diffusers", "SA-Solver", _D("SASolverScheduler"), 1, 1),
    Sampler("azula", "DDIM", _A("DDIMSampler"), 1, 1),  # it draws noise, and multiplies it by eta = 0
    Sampler("azula", "DDPM", _A("DDPMSampler"), 0, 1),
    Sampler("azula", "Heun", _A("HeunSampler"), 2),
    Sampler("azula", "Adams-Bashforth, noise", _A("zABSampler"), 2, shipped="`zABSampler`, order 2"),
    Sampler("azula", "Adams-Bashforth, velocity", _A("vABSampler"), 2, shipped="`vABSampler`, order 2"),
    Sampler("azula", "exponential AB, noise", _A("zEABSampler"), 2, shipped="`zEABSampler`, order 2"),
    Sampler("azula", "exponential AB, data", _A("xEABSampler"), 2, shipped="`xEABSampler`, order 2"),
    Sampler("azula", "Rosenbrock AB", _A("REABSampler"), 2, shipped="`REABSampler`, order 2"),
    Sampler("azula", "Ito", _A("ItoSampler"), 0, 1),
    Sampler("azula", "predictor-corrector", _A("PCSampler"), 0, 1, "`PCSampler`, one correction"),
    Sampler("k_diffusion", "Euler", _K("sample_euler"), 1),
    Sampler("k_diffusion", "Euler ancestral", _K("sample_euler_ancestral", random=True), 0, 1),
    Sampler("k_diffusion", "Heun", _K("sample_heun"), 2),
    Sampler("k_diffusion", "DPM-2", _K("sample_dpm_2"), 2),
    Sampler("k_diffusion", "DPM-2 ancestral", _K("sample_dpm_2_ancestral", random=True), 0, 1),
    Sampler("k_diffusion", "DPM-Solver fast", _K("sample_dpm_fast"), 3, shipped="`sample_dpm_fast`, grid of its own"),
    Sampler("k_diffusion", "LMS", _K("sample_lms"), 4, most=100),
    Sampler("k_diffusion", "DPM-Solver++ 2M", _K("sample_dpmpp_2m"), 2),
    Sampler("k_diffusion", "DPM-Solver++ 2S ancestral", _K("sample_dpmpp_2s_ancestral", random=True), 0, 1),
    Sampler("k_diffusion", "DPM-Solver++ 2M SDE", _K("sample_dpmpp_2m_sde", random=True), 2, 1),
    Sampler("k_diffusion", "DPM-Solver++ 3M SDE", _K("sample_dpmpp_3m_sde", random=True), 3, 1),
)


def find(library: str, name: str) -> Sampler:
    """The sampler of this library and name."""
    return next(sampler for sampler in SAMPLERS if (sampler.library, sampler.name) == (library, name))
