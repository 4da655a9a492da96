"""Wrong and right `AdaptiveNorm`s that the checks are tested with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .adaptive_norm import adaptive_norm, modulated


class _Plain(nn.Module):
    """The usual answer; each mistake below overrides one part of it."""

    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.norm: nn.Module = nn.GroupNorm(groups, channels, affine=False)
        self.project = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def halves(self, emb):
        scale, shift = self.project(emb)[:, :, None, None].chunk(2, dim=1)
        return scale, shift

    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return self.norm(h) * (1 + scale) + shift


@adaptive_norm.truth
class Truth(nn.Module):
    """From the definition, one group of one example at a time."""

    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.groups = groups
        self.linear = nn.Linear(embed_dim, 2 * channels)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h, emb):
        return modulated(h, emb, self.linear.weight, self.linear.bias, self.groups)


@adaptive_norm.alternative("GroupNorm and chunk")
class Chunked(_Plain):
    pass


@adaptive_norm.alternative("F.group_norm and unflatten")
class Functional(nn.Module):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.groups = groups
        self.to_scale_shift = nn.Linear(embed_dim, channels * 2)
        self.to_scale_shift.weight.data.zero_()
        self.to_scale_shift.bias.data.fill_(0)

    def forward(self, h, emb):
        scale, shift = self.to_scale_shift(emb).unflatten(1, (2, -1)).unbind(1)
        normed = F.group_norm(h, self.groups)
        return torch.addcmul(shift[..., None, None], normed, 1 + scale[..., None, None])


@adaptive_norm.alternative("mean and variance by hand, einsum")
class ByHand(nn.Module):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__()
        self.channels, self.groups = channels, groups
        self.linear = nn.Linear(embed_dim, 2 * channels)
        self.linear.load_state_dict({name: torch.zeros_like(v) for name, v in self.linear.state_dict().items()})

    def forward(self, h, emb):
        parts = h.reshape(len(h), self.groups, -1)
        centred = parts - parts.mean(-1, keepdim=True)
        normed = (centred * (centred.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt()).view_as(h)
        out = self.linear(emb)
        scale, shift = out[:, : self.channels], out[:, self.channels :]
        return normed + torch.einsum("bchw,bc->bchw", normed, scale) + shift.reshape(*shift.shape, 1, 1)


@adaptive_norm.misconception(
    "scale without the 1 +",
    hint="The normalised h is multiplied by 1 + scale. With scale = 0, as at the start, your module wipes h out, and "
    "no gradient gets through it.",
)
class NoOne(_Plain):
    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return self.norm(h) * scale + shift


@adaptive_norm.misconception(
    "shift is the first half",
    hint="The first half of the Linear's output is the scale, the second the shift.",
)
class Swapped(_Plain):
    def halves(self, emb):
        return super().halves(emb)[::-1]


@adaptive_norm.misconception(
    "scale and shift alternate",
    hint="The first C outputs of the Linear are the scales, the last C the shifts: split it into two blocks.",
)
class Interleaved(_Plain):
    def halves(self, emb):
        out = self.project(emb)[:, :, None, None]
        return out[:, 0::2], out[:, 1::2]


@adaptive_norm.misconception(
    "an activation before the Linear",
    hint="The Linear is applied to emb itself. Many networks put a SiLU before it; here the embedding has been through "
    "its own layers already.",
)
class Activated(_Plain):
    def halves(self, emb):
        return super().halves(F.silu(emb))


@adaptive_norm.misconception(
    "the group norm keeps its own affine",
    hint="nn.GroupNorm learns a scale and a shift of its own unless told affine=False. Here scale and shift come from "
    "emb alone.",
)
class Affine(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.norm = nn.GroupNorm(groups, channels)


@adaptive_norm.misconception(
    "the Linear starts with random weights",
    hint="Set the Linear's weight and bias to zero, so that a new module normalises and does nothing else.",
)
class RandomStart(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.project = nn.Linear(embed_dim, 2 * channels)


@adaptive_norm.misconception(
    "only the weight starts at zero",
    hint="nn.Linear draws its bias at random too: set both to zero.",
)
class RandomBias(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.project = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.project.weight)


@adaptive_norm.misconception(
    "only the bias starts at zero",
    hint="The weight is random still, so scale and shift are not 0 at the start: set both weight and bias to zero.",
)
class RandomWeight(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.project = nn.Linear(embed_dim, 2 * channels)
        nn.init.zeros_(self.project.bias)


@adaptive_norm.misconception(
    "groups is ignored",
    hint="The number of groups is an argument: pass it on to the group norm.",
)
class EightGroups(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, 8)


@adaptive_norm.misconception(
    "all channels in one group",
    hint="Your norm takes its mean and variance over all channels of an example. Each group of channels has its own.",
)
class OneGroup(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, 1)


@adaptive_norm.misconception(
    "every channel a group of its own",
    hint="That is instance norm. A group holds C / groups channels, which share their mean and variance.",
)
class Instance(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, channels)


@adaptive_norm.misconception(
    "number of groups taken for channels per group",
    hint="groups says how many groups there are. nn.GroupNorm wants that number first, then the channels.",
)
class PerGroup(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, channels // groups)


@adaptive_norm.misconception(
    "batch norm in place of group norm",
    hint="Batch norm takes its mean over the examples, so that one image's features depend on the others'. Group norm "
    "works on each example alone.",
)
class Batch(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.norm = nn.BatchNorm2d(channels, affine=False)


@adaptive_norm.misconception(
    "normalised after scale and shift",
    hint="Normalise first. A norm behind the scale and shift takes away again most of what they did.",
)
class NormLast(_Plain):
    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return self.norm(h * (1 + scale) + shift)


@adaptive_norm.misconception(
    "the shift is scaled as well",
    hint="First times 1 + scale, then plus shift: the bracket is around 1 + scale alone.",
)
class ShiftFirst(_Plain):
    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return (self.norm(h) + shift) * (1 + scale)


@adaptive_norm.misconception(
    "exp(scale) in place of 1 + scale",
    hint="Both are 1 at the start, but the factor asked for is 1 + scale.",
)
class Exponential(_Plain):
    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return self.norm(h) * scale.exp() + shift


@adaptive_norm.misconception(
    "nothing is normalised",
    hint="You scale and shift h itself. Group norm comes first.",
)
class NoNorm(_Plain):
    def forward(self, h, emb):
        scale, shift = self.halves(emb)
        return h * (1 + scale) + shift


@adaptive_norm.misconception(
    "two Linears",
    hint="One nn.Linear with 2C outputs gives both, split in the middle. Two of them can do the same, but saved "
    "weights would not fit.",
)
class TwoLinears(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.project = nn.Linear(embed_dim, channels)
        self.shift = nn.Linear(embed_dim, channels)
        for layer in (self.project, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def halves(self, emb):
        return self.project(emb)[:, :, None, None], self.shift(emb)[:, :, None, None]


@adaptive_norm.misconception(
    "the Linear has no bias",
    hint="Without a bias, scale and shift are 0 wherever emb is 0. Leave nn.Linear its bias, and set it to zero "
    "at first.",
)
class NoBias(_Plain):
    def __init__(self, channels, embed_dim, groups=8):
        super().__init__(channels, embed_dim, groups)
        self.project = nn.Linear(embed_dim, 2 * channels, bias=False)
        nn.init.zeros_(self.project.weight)


@adaptive_norm.misconception(
    "no gradient reaches emb",
    hint="emb was cut off from the graph (detach, .data, no_grad), so the layers that make the embedding never learn.",
)
class Detached(_Plain):
    def halves(self, emb):
        return super().halves(emb.detach())


@adaptive_norm.misconception(
    "h is overwritten",
    hint="mul_ and add_ write into the tensor they are called on. The block around this module needs h again for its "
    "skip connection.",
)
class Overwritten(_Plain):
    def forward(self, h, emb):
        h.copy_(self.norm(h))
        scale, shift = self.halves(emb)
        return h * (1 + scale) + shift
