"""What every contender minimises, and the held-out loss that all of them are judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

LEVELS = 8  # times per held-out image


@dataclass(frozen=True, eq=False)
class Diffusion:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, alpha_bar_t = prod_{s <= t} (1 - beta_s).

    Ho and others (2020), equation 4. As in the libraries, t counts from 0 to T - 1.

    Attributes:
        first, last: beta_0 and beta_{T-1}; straight between them.
        signal, noise: sqrt(alpha_bar) and sqrt(1 - alpha_bar), (T,).
    """

    first: float
    last: float
    signal: Tensor
    noise: Tensor

    @classmethod
    def linear(
        cls, steps: int, first: float, last: float, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> Self:
        """T = `steps` betas from `first` to `last`; the products are taken in double precision."""
        alpha_bar = (1 - torch.linspace(first, last, steps, dtype=torch.float64)).cumprod(0)
        return cls(first, last, alpha_bar.sqrt().to(device, dtype), (1 - alpha_bar).sqrt().to(device, dtype))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.signal)

    def loss(self, model: Callable[[Tensor, Tensor], Tensor], x0: Tensor) -> Tensor:
        """Mean squared error of the predicted noise (equation 14) for one t and one eps per image."""
        t = torch.randint(self.steps, (len(x0),), device=x0.device)
        eps = torch.randn_like(x0)
        return (model(self.noised(x0, t, eps), t) - eps).square().mean()

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t of x0 (B, 1, H, W), t (B,) and eps like x0."""
        return self.signal[t, None, None, None] * x0 + self.noise[t, None, None, None] * eps


@dataclass(frozen=True, eq=False)
class Plan:
    """How to train: the same for all contenders.

    The optimiser is AdamW with PyTorch's defaults; its learning rate falls from `lr` to 0 along a cosine. The moving
    average of the weights has the decay min(`ema`, (1 + step) / (10 + step)), step = 0, 1, ...
    """

    diffusion: Diffusion
    steps: int
    batch_size: int = 64
    lr: float = 2e-3
    ema: float = 0.995

    def describe(self) -> dict[str, Any]:
        """What stands in the results."""
        betas = f"{self.diffusion.steps} steps, beta {self.diffusion.first:g} to {self.diffusion.last:g}"
        return {"schedule": betas, "batch_size": self.batch_size, "lr": self.lr, "ema": self.ema}


@torch.no_grad()
def held_out_loss(model: nn.Module, diffusion: Diffusion, images: Tensor, seed: int = 0) -> float:
    """The loss on `images` (N, 1, H, W) with the same t and eps for everybody.

    Each image is taken at `LEVELS` times, one from each of so many equal parts of 0..T-1, so all times weigh alike.
    The generator is a CPU one: the numbers do not depend on the device.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(images)
    part = torch.arange(LEVELS).repeat_interleave(count)
    t = ((part + torch.rand(len(part), generator=generator, dtype=torch.float64)) * diffusion.steps / LEVELS).long()
    eps = torch.randn(len(part), *images.shape[1:], generator=generator)
    total = 0.0
    for level in range(LEVELS):
        rows = slice(level * count, (level + 1) * count)
        here, noise = t[rows].to(images.device), eps[rows].to(images)
        total += (model(diffusion.noised(images, here, noise), here) - noise).square().mean().item()
    return total / LEVELS
