"""Wrong and right `Pseudo3DConv`s that the checks are tested with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .pseudo3_dconv import pseudo_3d_conv, tap_by_tap


def as_identity(conv, groups=1):
    """Make a convolution with as many channels going in as coming out the identity."""
    nn.init.dirac_(conv.weight, groups)
    nn.init.zeros_(conv.bias)


class _Base(nn.Module):
    """The usual answer; a wrong one changes one thing."""

    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        self.spatial = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.start()

    def start(self):
        as_identity(self.temporal)

    def frames(self, x):
        """`spatial` on every frame."""
        flat = x.transpose(1, 2).flatten(0, 1)
        return self.spatial(flat).unflatten(0, (len(x), -1)).transpose(1, 2)

    def pixels(self, y):
        """`temporal` along the frames of every pixel."""
        rows = y.permute(0, 3, 4, 1, 2)
        made = self.temporal(rows.flatten(0, 2))
        return made.unflatten(0, rows.shape[:3]).permute(0, 3, 4, 1, 2)

    def forward(self, x):
        return self.pixels(self.frames(x))


@pseudo_3d_conv.truth
class Truth(_Base):
    """Tap by tap."""

    def forward(self, x):
        return tap_by_tap(x, **dict(self.named_parameters()))


@pseudo_3d_conv.alternative("frames and pixels into the batch")
class IntoBatch(_Base):
    pass


@pseudo_3d_conv.alternative("frame by frame, row by row")
class FrameByFrame(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        self.spatial = nn.Conv2d(in_channels, out_channels, kernel_size, padding="same")
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, padding="same")
        with torch.no_grad():
            for parameter in self.temporal.parameters():
                parameter.zero_()
            for c in range(out_channels):
                self.temporal.weight[c, c, kernel_size // 2] = 1.0

    def forward(self, x):
        y = torch.stack([self.spatial(x[:, :, f]) for f in range(x.shape[2])], dim=2)
        height, width = y.shape[3:]
        columns = [[self.temporal(y[:, :, :, h, w]) for w in range(width)] for h in range(height)]
        return torch.stack([torch.stack(row, -1) for row in columns], -2)


@pseudo_3d_conv.alternative("two flat kernels of conv3d")
class FlatKernels(_Base):
    def forward(self, x):
        pad = self.spatial.kernel_size[0] // 2
        y = F.conv3d(x, self.spatial.weight[:, :, None], self.spatial.bias, padding=(0, pad, pad))
        return F.conv3d(y, self.temporal.weight[..., None, None], self.temporal.bias, padding=(pad, 0, 0))


@pseudo_3d_conv.alternative("reshape and permute, an identity matrix copied in")
class IdentityCopied(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        middle = (kernel_size - 1) // 2
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, stride=1, padding=middle)
        self.spatial = nn.Conv2d(in_channels, out_channels, (kernel_size, kernel_size), padding=(middle, middle))
        weight = torch.zeros_like(self.temporal.weight)
        weight[:, :, middle] = torch.eye(out_channels)
        self.temporal.load_state_dict({"weight": weight, "bias": torch.zeros(out_channels)})

    def forward(self, x):
        B, C, T, H, W = x.shape
        y = self.spatial(x.permute(0, 2, 1, 3, 4).reshape(B * T, C, H, W))
        y = y.reshape(B, T, -1, H * W).permute(0, 3, 2, 1).reshape(B * H * W, -1, T)
        return self.temporal(y).reshape(B, H, W, -1, T).permute(0, 3, 4, 1, 2)


@pseudo_3d_conv.misconception(
    "temporal starts at random",
    hint="PyTorch's own start mixes the frames from the first step on, and what the picture model has learned is lost. "
    "Write the identity into temporal.weight, and zeros into its bias.",
)
class RandomStart(_Base):
    def start(self):
        pass


@pseudo_3d_conv.misconception(
    "temporal starts at zero",
    hint="With zeros nothing comes through: without a residual the identity has a 1 at its centre tap.",
)
class ZeroStart(_Base):
    def start(self):
        for parameter in self.temporal.parameters():
            nn.init.zeros_(parameter)


@pseudo_3d_conv.misconception(
    "the bias of temporal starts at random",
    hint="An identity adds nothing: the bias of temporal starts at 0 too.",
)
class RandomBias(_Base):
    def start(self):
        nn.init.dirac_(self.temporal.weight)


@pseudo_3d_conv.misconception(
    "the centre tap joins all channels",
    hint="weight[:, :, centre] = 1 adds all channels up. In the identity each channel hears itself alone: a unit "
    "matrix stands at the centre tap.",
)
class AllChannels(_Base):
    def start(self):
        super().start()
        self.temporal.weight.data[:, :, self.temporal.kernel_size[0] // 2] = 1


@pseudo_3d_conv.misconception(
    "the first tap is 1",
    hint="With zeros on both sides the first tap finds an earlier frame. The frame itself meets the centre tap.",
)
class FirstTap(_Base):
    def start(self):
        super().start()
        self.temporal.weight.data = self.temporal.weight.data.roll(-(self.temporal.kernel_size[0] // 2), 2)


@pseudo_3d_conv.misconception(
    "temporal starts as an average",
    hint="Equal taps smear the frames into each other. At the start each frame has to come out as it is.",
)
class Averaging(_Base):
    def start(self):
        super().start()
        weight = self.temporal.weight.data
        weight[:] = weight.sum(2, keepdim=True) / weight.shape[2]


@pseudo_3d_conv.misconception(
    "spatial starts as the identity instead",
    hint="spatial comes from a picture model and keeps its weights. It is temporal that must change nothing at first.",
)
class SpatialIdentity(_Base):
    def start(self):
        as_identity(self.spatial)


@pseudo_3d_conv.misconception(
    "channels and frames are reshaped without a transpose",
    hint="(B, C, F, H, W) reshaped to (B F, C, H, W) mixes channels and frames. Exchange the two axes first.",
)
class NotTransposed(_Base):
    def frames(self, x):
        B, C, T, H, W = x.shape
        y = self.spatial(x.reshape(B * T, C, H, W))
        return y.reshape(B, -1, T, H, W)


@pseudo_3d_conv.misconception(
    "put together without a transpose",
    hint="After the frames' convolution the axes are (B, F, out, H, W): exchange F and out back.",
)
class NotTransposedBack(_Base):
    def frames(self, x):
        B, C, T, H, W = x.shape
        y = self.spatial(x.transpose(1, 2).reshape(B * T, C, H, W))
        return y.reshape(B, -1, T, H, W)


@pseudo_3d_conv.misconception(
    "the pixels are flattened without a transpose",
    hint="Conv1d wants (B H W, C, F): move H and W in front of the channels before you reshape.",
)
class PixelsNotMoved(_Base):
    def pixels(self, y):
        B, C, T, H, W = y.shape
        return self.temporal(y.reshape(B * H * W, C, T)).reshape(B, C, T, H, W)


@pseudo_3d_conv.misconception(
    "no axis is ever moved",
    hint="view and reshape only cut the same row of numbers into other pieces. Move axes by permute or transpose "
    "first, and on the way back too.",
)
class NothingMoved(NotTransposed):
    pixels = PixelsNotMoved.pixels


@pseudo_3d_conv.misconception(
    "the pixels are put together without a transpose",
    hint="After Conv1d the axes are (B H W, out, F): unfold B, H and W, and move H and W to the end.",
)
class PixelsNotMovedBack(_Base):
    def pixels(self, y):
        made = self.temporal(y.permute(0, 3, 4, 1, 2).flatten(0, 2))
        return made.reshape(y.shape)


@pseudo_3d_conv.misconception(
    "temporal runs along the rows of a frame",
    hint="temporal goes along the frames, axis 2 of the film: height and width belong to the batch there.",
)
class AlongRows(_Base):
    def pixels(self, y):
        return super().pixels(y.transpose(2, 3)).transpose(2, 3)


@pseudo_3d_conv.misconception(
    "temporal goes on into the next film",
    hint="The frames of different films are no neighbours. Only the frames of one film lie along the axis of temporal.",
)
class NextFilm(_Base):
    def pixels(self, y):
        joined = y.transpose(0, 1).flatten(1, 2)[None]  # (1, C, B F, H, W)
        return super().pixels(joined)[0].unflatten(1, (len(y), -1)).transpose(0, 1)


@pseudo_3d_conv.misconception(
    "temporal before spatial",
    hint="First the frames, then time: temporal works on the out channels that spatial has made.",
)
class TemporalFirst(_Base):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__(in_channels, out_channels, kernel_size)
        self.temporal = nn.Conv1d(in_channels, in_channels, kernel_size, padding=kernel_size // 2)
        self.start()

    def forward(self, x):
        return self.frames(self.pixels(x))


@pseudo_3d_conv.misconception(
    "the film is repeated at its ends",
    hint="Zeros stand before the first and after the last frame, as around a picture: padding, with no other mode.",
)
class Repeated(_Base):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__(in_channels, out_channels, kernel_size)
        self.temporal.padding_mode = "replicate"
        self.temporal._reversed_padding_repeated_twice = [kernel_size // 2] * 2


@pseudo_3d_conv.misconception(
    "temporal sees the past alone",
    hint="The kernel is centred: as many zeros before the film as after it. Nothing asks for causality here.",
)
class PastAlone(_Base):
    def start(self):
        super().start()
        reach = self.temporal.kernel_size[0] // 2
        self.temporal.padding = (0,)
        self.temporal.weight.data = self.temporal.weight.data.roll(reach, 2)

    def pixels(self, y):
        return super().pixels(F.pad(y, (0, 0, 0, 0, 2 * (self.temporal.kernel_size[0] // 2), 0)))


@pseudo_3d_conv.misconception(
    "the film shrinks", hint="Both convolutions keep sizes: padding kernel_size // 2 in spatial and in temporal."
)
class Shrinks(_Base):
    def start(self):
        super().start()
        self.spatial.padding, self.temporal.padding = (0, 0), (0,)


@pseudo_3d_conv.misconception(
    "padding is always 1", hint="A kernel of 5 needs two zeros on each side: kernel_size // 2."
)
class PaddingOfOne(_Base):
    def start(self):
        super().start()
        self.spatial.padding, self.temporal.padding = (1, 1), (1,)


@pseudo_3d_conv.misconception(
    "a residual is added", hint="The identity stands in temporal's weights. Added besides, it would be there twice."
)
class Residual(_Base):
    def forward(self, x):
        y = self.frames(x)
        return y + self.pixels(y)


@pseudo_3d_conv.misconception(
    "a nonlinearity stands between the two",
    hint="spatial, then temporal, and nothing between them: together they are one convolution in three dimensions.",
)
class Bent(_Base):
    def forward(self, x):
        return self.pixels(F.silu(self.frames(x)))


@pseudo_3d_conv.misconception(
    "each channel has a temporal kernel of its own",
    hint="temporal is a full nn.Conv1d(out, out): every channel may look at every other one, so no groups.",
)
class Depthwise(_Base):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__(in_channels, out_channels, kernel_size)
        pad = kernel_size // 2
        self.temporal = nn.Conv1d(out_channels, out_channels, kernel_size, padding=pad, groups=out_channels)
        as_identity(self.temporal, out_channels)


@pseudo_3d_conv.misconception(
    "one convolution in three dimensions",
    hint="Two small kernels are asked for, self.spatial and self.temporal: a Conv3d has no weights that a picture "
    "model could give.",
)
class Full3D(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return self.conv(x)


@pseudo_3d_conv.misconception(
    "both are convolutions in three dimensions",
    hint="The function is the same, but nn.Conv2d and nn.Conv1d are asked for: only their weights have the form of a "
    "picture model's.",
)
class FlatModules(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size=3):
        super().__init__()
        pad = kernel_size // 2
        self.spatial = nn.Conv3d(in_channels, out_channels, (1, kernel_size, kernel_size), padding=(0, pad, pad))
        self.temporal = nn.Conv3d(out_channels, out_channels, (kernel_size, 1, 1), padding=(pad, 0, 0))
        as_identity(self.temporal)

    def forward(self, x):
        return self.temporal(self.spatial(x))
