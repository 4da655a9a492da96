"""The one network that every contender trains: a small U-Net for 8x8 images that predicts the noise."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
WAVES = 32


class Block(nn.Module):
    """Residual block: two 3x3 convolutions; the time scales and shifts what the second one sees."""

    def __init__(self, inputs: int, outputs: int, time_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, inputs), nn.GroupNorm(GROUPS, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B, inputs, H, W), time (B, time_dim) -> (B, outputs, H, W)."""
        scale, shift = self.time(time)[..., None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Attention(nn.Module):
    """Every place looks at every other one; a residual layer with `heads` heads."""

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same shape."""
        qkv = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1))  # (B, 3, heads, C / heads, H W)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        h = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2)
        return x + self.out(h.reshape(x.shape))


class UNet(nn.Module):
    """(x, t) -> noise: residual blocks at 8x8, then at 4x4 with attention, then at 8x8 again.

    The last layer starts at zero, so the untrained network predicts 0.

    Args:
        channels: C at 8x8; 2 C at 4x4.
    """

    frequency: Tensor

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        c, time_dim = channels, 4 * channels
        self.register_buffer("frequency", torch.exp(-math.log(1e4) * torch.arange(WAVES) / WAVES), persistent=False)
        self.time = nn.Sequential(nn.Linear(2 * WAVES, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim), nn.SiLU())
        self.inlet = nn.Conv2d(1, c, 3, padding=1)
        self.down1 = Block(c, c, time_dim)
        self.shrink = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.down2 = Block(2 * c, 2 * c, time_dim)
        self.attention = Attention(2 * c)
        self.middle = Block(2 * c, 2 * c, time_dim)
        self.grow = nn.Conv2d(2 * c, c, 3, padding=1)
        self.up = Block(2 * c, c, time_dim)
        self.norm = nn.GroupNorm(GROUPS, c)
        self.outlet = nn.Conv2d(c, 1, 3, padding=1)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (B, 1, 8, 8) and t (B,), counted from 0 -> (B, 1, 8, 8)."""
        phase = t[:, None].to(x.dtype) * self.frequency
        time = self.time(torch.cat([phase.sin(), phase.cos()], 1))  # (B, 4 C)
        h1 = self.down1(self.inlet(x), time)
        h2 = self.middle(self.attention(self.down2(self.shrink(h1), time)), time)
        h = self.grow(F.interpolate(h2, scale_factor=2.0, mode="nearest"))
        return self.outlet(F.silu(self.norm(self.up(torch.cat([h, h1], 1), time))))


def new_network(seed: int, device: torch.device, channels: int = 24) -> UNet:
    """An untrained network, the same for every contender that asks with this seed."""
    torch.manual_seed(seed)
    return UNet(channels).to(device)
