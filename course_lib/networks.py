"""Small networks that carry the experiments. What an exercise asks for is not here."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.SiLU) -> nn.Sequential:
    """Linear layers of the given sizes with an activation between them and none after the last.

    Example:
        `mlp([64, 256, 2])` maps (..., 64) to (..., 2) through one hidden layer of 256.
    """
    if len(sizes) < 2:
        raise ValueError(f"mlp: sizes={list(sizes)}; expected at least an input and an output size")
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


class Autoencoder(nn.Module):
    """`encoder`, (B, D) -> (B, J) codes, and `decoder`, back to logits (B, D), the same layers the other way. Called on
    images, it gives the logits of their reconstruction.

    Args:
        sizes: of the encoder's layers, from D to J, such as [64, 256, 256, 8].
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(sizes), mlp(sizes[::-1])

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D) -> logits (B, D)."""
        return self.decoder(self.encoder(x))


def reconstruction_cost(model: nn.Module, x: Tensor) -> Tensor:
    """Cross-entropy between images x (B, D) in [0, 1] and their reconstruction, whose logits model(x) gives: nats per
    image, summed over the pixels, a scalar.
    """
    return nn.functional.binary_cross_entropy_with_logits(model(x), x, reduction="sum") / len(x)


class ResidualMLP(nn.Module):
    """A function of a point and a time, (x, t) -> R^D, for noise prediction on low-dimensional data; with a context, of
    that too.

    Residual blocks (He and others, 2016) h <- h + W2 silu(W1 norm(h) + time(t)), where time(t) is linear in the
    cosine series cos(pi k t / T), k = 0..15: smooth in t, and learned. The last layer starts at zero, so an untrained
    network predicts 0.

    Args:
        data_dim: D.
        max_time: T, the largest t.
        hidden_dim: width of the blocks.
        depth: number of blocks.
        context_dim: entries of a context, such as an observation, which enters beside x; 0 for none.
    """

    frequency: Tensor

    def __init__(
        self, data_dim: int, max_time: float, hidden_dim: int = 128, depth: int = 3, context_dim: int = 0
    ) -> None:
        super().__init__()
        self.data_dim, self.context_dim = data_dim, context_dim
        self.inlet = nn.Linear(data_dim + context_dim, hidden_dim)
        self.blocks = nn.ModuleList(_Block(hidden_dim) for _ in range(depth))
        self.outlet = nn.Linear(hidden_dim, data_dim)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)
        self.register_buffer("frequency", torch.arange(_Block.WAVES) * (math.pi / max_time), persistent=False)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """x (B, D), t (B,), integers or floats in [0, T], and a context (B, context_dim) if there is one -> (B, D)."""
        if x.ndim != 2 or x.shape[1] != self.data_dim or t.shape != x.shape[:1]:
            expected = f"x (B, {self.data_dim}) and t (B,)"
            raise ValueError(f"ResidualMLP: expected {expected}, got {tuple(x.shape)} and {tuple(t.shape)}")
        if (0 if context is None else context.shape[-1]) != self.context_dim:
            found = "none" if context is None else str(tuple(context.shape))
            raise ValueError(f"ResidualMLP: expected a context (B, {self.context_dim}), got {found}")
        waves = torch.cos(t[:, None].to(x.dtype) * self.frequency)  # (B, WAVES)
        h = self.inlet(x if context is None else torch.cat([x, context], 1))  # (B, hidden)
        for block in self.blocks:
            h = block(h, waves)
        return self.outlet(h)


class _Block(nn.Module):
    WAVES = 16

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.time = nn.Linear(self.WAVES, width)
        self.second = nn.Linear(width, width)

    def forward(self, h: Tensor, waves: Tensor) -> Tensor:
        return h + self.second(nn.functional.silu(self.first(self.norm(h)) + self.time(waves)))


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
