"""Published samplers, each walked with its library's own code: diffusers, azula, and k-diffusion's sampling.py."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .gaussian import Impulses, Predictor, Walk, course_table

TABLE = course_table()
SIGMAS = ((1 - TABLE) / TABLE).sqrt()  # (T + 1,), at t = 0..T


def alpha_bar_at(index: float) -> Tensor:
    """alpha_bar where a library says "timestep `index`", from 0 on; between entries even in log sigma, as they do."""
    whole = int(index)
    share = index - whole
    if share == 0:
        return TABLE[whole + 1]
    log_sigma = (1 - share) * SIGMAS[whole + 1].log() + share * SIGMAS[min(whole + 2, len(SIGMAS) - 1)].log()
    return 1 / (1 + (2 * log_sigma).exp())


def diffusers_walk(name: str, **options: Any) -> Walk:
    """A scheduler of diffusers in the loop of its documentation, on the course's schedule."""

    def walk(predictor: Predictor, x: Tensor, noise: Impulses, steps: int) -> Tensor:
        import diffusers

        kind = getattr(diffusers, name)
        scheduler = kind(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", **options)
        scheduler.set_timesteps(steps)
        x = x * float(scheduler.init_noise_sigma)
        with _noise_of(kind, noise):
            for t in scheduler.timesteps:
                seen = scheduler.scale_model_input(x, t)
                x = scheduler.step(predictor.eps(seen, alpha_bar_at(float(t))), t, x).prev_sample
        return x

    return walk


@contextmanager
def _noise_of(kind: type, noise: Impulses) -> Any:
    """`randn_tensor`, by which a scheduler's module draws, gives impulses."""
    module = sys.modules[kind.__module__]
    original = getattr(module, "randn_tensor", None)
    if original is not None:
        module.randn_tensor = lambda shape, **rest: noise(torch.empty(shape, dtype=torch.float64))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if original is not None:
            module.randn_tensor = original  # type: ignore[attr-defined]


def azula_walk(name: str, **options: Any) -> Walk:
    """A sampler of azula on its own VP schedule, as shipped."""

    def walk(predictor: Predictor, x: Tensor, noise: Impulses, steps: int) -> Tensor:
        from azula import denoise, sample
        from azula.noise import VPSchedule

        schedule = VPSchedule()

        class Perfect(denoise.Denoiser):
            def __init__(self) -> None:
                super().__init__()
                self.schedule = schedule

            def forward(self, x_t: Tensor, t: Tensor, **rest: Any) -> Any:
                alpha, sigma = schedule(t)
                return denoise.DiracPosterior(mean=predictor.x0(x_t / alpha, sigma / alpha))

        sampler = getattr(sample, name)(Perfect(), steps=steps, silent=True, dtype=torch.float64, **options)
        drawn = torch.randn_like
        torch.randn_like = lambda like, **rest: noise(like)  # type: ignore[assignment]
        try:
            return sampler(x * schedule.sigma(torch.ones((), dtype=torch.float64)))
        finally:
            torch.randn_like = drawn

    return walk


def k_diffusion_walk(name: str, **options: Any) -> Walk:
    """A function of k-diffusion on the grid of Karras et al. that its examples use, over the course's noise levels."""

    def walk(predictor: Predictor, x: Tensor, noise: Impulses, steps: int) -> Tensor:
        sampling = k_sampling()
        sigmas = sampling.get_sigmas_karras(steps, 0.01, SIGMAS[-1].item()).double()

        def model(y: Tensor, sigma: Tensor) -> Tensor:
            return predictor.x0(y, sigma[0].double())

        rest = dict(options)
        if rest.pop("random", False):
            rest["noise_sampler"] = lambda sigma, sigma_next: noise(x)
        if name == "sample_dpm_fast":  # which makes its own grid, and counts calls
            return sampling.sample_dpm_fast(model, x * sigmas[0], 0.01, sigmas[0].item(), steps, disable=True)
        return getattr(sampling, name)(model, x * sigmas[0], sigmas, disable=True, **rest)

    return walk


def k_sampling() -> Any:
    """k_diffusion.sampling by itself: the package's __init__ asks for image models that nothing here needs."""
    if "k_diffusion.sampling" not in sys.modules:
        folder = next(Path(place) / "k_diffusion" for place in sys.path if (Path(place) / "k_diffusion").is_dir())
        package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
        package.__path__ = [str(folder)]
        utils.append_dims = lambda x, ndim: x[(...,) + (None,) * (ndim - x.ndim)]  # type: ignore[attr-defined]
        package.utils = utils  # type: ignore[attr-defined]
        sys.modules |= {"k_diffusion": package, "k_diffusion.utils": utils}
    return importlib.import_module("k_diffusion.sampling")


def installed(library: str) -> bool:
    """Whether a library is there, without importing it."""
    return any((Path(place) / library).is_dir() for place in sys.path if place)


MAKERS: dict[str, Callable[..., Walk]] = {
    "diffusers": diffusers_walk,
    "azula": azula_walk,
    "k_diffusion": k_diffusion_walk,
}
