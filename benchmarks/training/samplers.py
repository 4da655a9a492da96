"""Samples from a trained network: the course's chain, a loop by hand, and diffusers' schedulers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

from benchmarks.training.diffusion import Diffusion
from course_lib import chain

Model = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Chain:
    """x <- keep x + gain eps(x, t) + spread z for each t in `times`, z ~ N(0, I).

    The coefficients are computed in double precision before anything runs.
    """

    times: list[int]
    keep: list[float]
    gain: list[float]
    spread: list[float]

    @classmethod
    def ddpm(cls, diffusion: Diffusion) -> Self:
        """All T steps, with the variance of q(x_{t-1} | x_t, x_0) (Ho and others, 2020, algorithm 2)."""
        return cls._between(diffusion, list(range(diffusion.steps - 1, -1, -1)), eta=1.0)

    @classmethod
    def ddim(cls, diffusion: Diffusion, steps: int) -> Self:
        """`steps` deterministic steps at t = 0, T / steps, ... (Song and others, 2021, equation 12, sigma = 0).

        Raises ValueError where `steps` does not divide T: the walk would begin far below t = T, 501 steps of 1000 at
        t = 500.
        """
        if steps < 1 or diffusion.steps % steps:
            raise ValueError(f"steps={steps}: expected a divisor of T = {diffusion.steps}")
        stride = diffusion.steps // steps
        return cls._between(diffusion, [stride * i for i in range(steps - 1, -1, -1)], eta=0.0)

    @classmethod
    def _between(cls, diffusion: Diffusion, times: list[int], eta: float) -> Self:
        betas = torch.linspace(diffusion.first, diffusion.last, diffusion.steps, dtype=torch.float64)
        alpha_bar = (1 - betas).cumprod(0).tolist()
        keep, gain, spread = [], [], []
        for now, then in pairwise([*(alpha_bar[t] for t in times), 1.0]):
            variance = eta**2 * (1 - then) / (1 - now) * (1 - now / then)
            keep.append((then / now) ** 0.5)
            gain.append((1 - then - variance) ** 0.5 - keep[-1] * (1 - now) ** 0.5)
            spread.append(variance**0.5)
        return cls(times, keep, gain, spread)

    def ours(self, model: Model, like: Tensor) -> Callable[[Tensor], Tensor]:
        """From noise x (N, ...) like `like` to samples of the same shape, with the course's `chain`.

        It hands over t alone; the coefficients lie in a table, made once as in a notebook, so that a recording of the
        walk on a GPU serves the next one.
        """
        table = torch.zeros(3, max(self.times) + 1, device=like.device, dtype=like.dtype)
        table[:, self.times] = torch.tensor([self.keep, self.gain, self.spread], device=like.device, dtype=like.dtype)
        noisy = any(self.spread)

        def step(x: Tensor, t: Tensor) -> Tensor:
            keep, gain, spread = table[:, t[:1]].view(3, *(1,) * x.ndim)
            x = keep * x + gain * model(x, t)
            return x + spread * torch.randn_like(x) if noisy else x

        return lambda x: chain(step, x, self.times, progress=False)[0]

    @torch.inference_mode()
    def plain(self, model: Model, x: Tensor) -> Tensor:
        """The same by hand, with the coefficients as Python numbers."""
        times = torch.tensor(self.times, device=x.device)[:, None].expand(-1, len(x))
        for t, keep, gain, spread in zip(times, self.keep, self.gain, self.spread, strict=True):
            x = (keep * x).add_(model(x, t), alpha=gain)
            if spread:
                x.add_(torch.randn_like(x), alpha=spread)
        return x


@torch.no_grad()
def diffusers_ddpm(model: Model, diffusion: Diffusion, x: Tensor) -> Tensor:
    """The loop of diffusers' DDPMPipeline with its DDPMScheduler."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(diffusion.steps, diffusion.first, diffusion.last, "linear", clip_sample=False)
    scheduler.set_timesteps(diffusion.steps)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t.to(x.device).expand(len(x))), t, x).prev_sample
    return x


@torch.no_grad()
def diffusers_ddim(model: Model, diffusion: Diffusion, x: Tensor, steps: int) -> Tensor:
    """The loop of diffusers' DDIMPipeline with its DDIMScheduler, eta = 0."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(diffusion.steps, diffusion.first, diffusion.last, "linear", clip_sample=False)
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t.to(x.device).expand(len(x))), t, x).prev_sample
    return x


@torch.inference_mode()
def forwards(model: Model, x: Tensor, steps: int) -> Tensor:
    """`steps` evaluations of the network and nothing else: the limit of any sampler."""
    t = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for _ in range(steps):
        model(x, t)
    return x
