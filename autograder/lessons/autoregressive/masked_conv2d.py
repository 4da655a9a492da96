"""A convolution that looks at the past alone: `MaskedConv2d`, judged with weights of the checker's choice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ...conventions import InDtype
from ...exercise import exercise
from ...student import Failure, is_module

CLOSE = 1e-4  # relative: float32 sums of some hundred products
NO_MODULE = "MaskedConv2d(...) is no nn.Module: derive the class from it and call super().__init__() first"


@exercise("MaskedConv2d", points=1, after=("conv_mask",))
def masked_conv2d(student, case):
    """MaskedConv2d(kind, in, out, kernel_size, colours=1): a convolution with weight times mask, at every call."""
    mask = case.upstream("conv_mask")
    one, two = case.sizes(2, low=2, high=4)
    height, width = case.sizes(2, low=6, high=9)
    settings = [("A", one, one + 3, (3, 5)), ("B", 3 * one, 3 * two, (5, 3), 3)]
    benches = [Bench(case, student, mask, *setting) for setting in settings]
    images = [case.normal(2 + n, bench.inner, height, width, dtype=torch.float32) for n, bench in enumerate(benches)]

    shapes = [bench.shapes() for bench in benches]
    wanted = [{"weight": bench.weight.shape, "bias": bench.bias.shape} for bench in benches]
    case.expect(
        [listed(found) for found in shapes],
        [listed(found) for found in wanted],
        "its parameters are weight and bias",
        points=0.2,
    )
    first, again = [], []
    for bench, image in zip(benches, images, strict=True):
        bench.load(bench.weight)
        first.append((bench.model(image), bench.truth(image, bench.weight)))
        bench.load(bench.other)
        again.append((bench.model(image), bench.truth(image, bench.other)))
    got, right = zip(*first, strict=True)
    case.expect(list(got), list(right), "the masked convolution of an image", points=0.3, rtol=CLOSE)
    got, right = zip(*again, strict=True)
    case.expect(list(got), list(right), "and after the weight was written again", points=0.2, rtol=CLOSE)
    check_slopes(case, benches[1], images[1])
    bench, image = benches[0], images[0]
    case.conventions(
        bench.model,
        (image,),
        lambda x: bench.truth(x, bench.other),
        points=0.15,
        also=[(image[:1, :, :1, :1].double(),), (image[:1, :, :, :1].double(),)],
        manner=InDtype(),
    )


def listed(shapes):
    """Names and shapes in a fixed order, as words."""
    return shapes if isinstance(shapes, Failure) else sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())


def check_slopes(case, bench, image):
    """Gradients of weight and bias; what reaches the hidden taps is free."""
    towards = case.normal(len(image), bench.out, *image.shape[2:], dtype=torch.float32)
    weight, bias = bench.other.double().requires_grad_(), bench.bias.double().requires_grad_()
    out = F.conv2d(image.double(), weight * bench.mask.double(), bias, padding=bench.padding)
    truth = torch.autograd.grad((towards.double() * out).sum(), [weight, bias])
    slopes = bench.model.slopes(image, weights=[towards])
    found = [slopes, slopes] if isinstance(slopes, Failure) else [slopes.get("weight"), slopes.get("bias")]
    if isinstance(found[0], torch.Tensor) and found[0].shape == bench.mask.shape:
        found[0] = found[0] * bench.mask
    case.expect(found, list(truth), "gradients reach weight and bias", points=0.15, rtol=1e-3)


class Bench:
    """One instance of the student's, two weights for it, and what it is to answer."""

    def __init__(self, case, student, mask, kind, inner, out, kernel, colours=1):
        self.inner, self.out, self.padding = inner, out, (kernel[0] // 2, kernel[1] // 2)
        self.weight, self.other = case.normal(2, out, inner, *kernel, dtype=torch.float32) / 3
        self.bias = case.normal(out, dtype=torch.float32)
        self.mask = mask(kind, out, inner, kernel, colours)
        if isinstance(self.mask, torch.Tensor) and self.mask.shape != self.weight.shape:
            self.mask = Failure("form", "conv_mask returned another shape")
        made = student(kind, inner, out, kernel) if colours == 1 else student(kind, inner, out, kernel, colours)
        self.model = made if isinstance(made, Failure) or is_module(made) else Failure("form", NO_MODULE)

    def shapes(self):
        found = self.model.parameters()
        return found if isinstance(found, Failure) else {name: value.shape for name, value in found.items()}

    def load(self, weight):
        """Write weight and bias where parameters of these shapes are."""
        found = self.shapes()
        if not isinstance(found, Failure):
            values = {"weight": weight, "bias": self.bias}
            self.model.load({n: v for n, v in values.items() if found.get(n) == v.shape})

    def truth(self, image, weight):
        """Tap by tap: the image moved, times one matrix over the channels."""
        if not isinstance(self.mask, torch.Tensor):
            return self.mask
        open_weight = (weight * self.mask.float()).to(image.dtype)
        up, side = self.padding
        height, width = image.shape[2:]
        wide = F.pad(image, (side, side, up, up))
        out = self.bias.to(image.dtype)[:, None, None].expand(len(image), -1, height, width).clone()
        for i in range(open_weight.shape[2]):
            for j in range(open_weight.shape[3]):
                out += torch.einsum("bchw,oc->bohw", wide[:, :, i : i + height, j : j + width], open_weight[:, :, i, j])
        return out


def right_mask(kind, out, inner, kernel_size, colours):
    """A right mask, as the lesson's solution makes it."""
    kh, kw = kernel_size
    mask = torch.zeros(out, inner, kh, kw)
    mask[:, :, : kh // 2], mask[:, :, kh // 2, : kw // 2] = 1, 1
    own, tap = torch.arange(out)[:, None] // (out // colours), torch.arange(inner) // (inner // colours)
    mask[:, :, kh // 2, kw // 2] = (tap < own if kind == "A" else tap <= own).float()
    return mask


class _Base(nn.Module):
    """Weight, bias and mask; a wrong answer changes one thing."""

    mask: torch.Tensor

    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, *kernel_size) / 5)
        self.bias = nn.Parameter(torch.randn(out_channels) / 5)
        self.padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        self.register_buffer("mask", right_mask(kind, out_channels, in_channels, kernel_size, colours))

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


@masked_conv2d.alternative("weight, bias and a buffer")
class WeightBiasAndBuffer(_Base):
    pass


@masked_conv2d.alternative("a subclass of nn.Conv2d")
class SubclassOfConv2d(nn.Conv2d):
    mask: torch.Tensor

    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        pad = tuple(size // 2 for size in kernel_size)
        super().__init__(in_channels, out_channels, kernel_size, padding=pad)
        self.register_buffer("mask", right_mask(kind, out_channels, in_channels, kernel_size, colours))

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


@masked_conv2d.alternative("the weight masked in place before each call")
class WeightMaskedInPlaceBeforeEachCall(_Base):
    def forward(self, x):
        with torch.no_grad():
            self.weight.mul_(self.mask)
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


@masked_conv2d.alternative("parameters of its own, the mask made at each call")
class ParametersOfItsOwnMaskMadeAtEachCall(nn.Module):
    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(out_channels, in_channels, *kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.args = kind, out_channels, in_channels, kernel_size, colours

    def forward(self, x):
        weight = self.weight * right_mask(*self.args).to(x)
        return F.conv2d(x, weight, padding="same") + self.bias[:, None, None]


@masked_conv2d.misconception(
    "not masked, or masked once at the start",
    hint="A weight masked when the layer is made is written again by the optimiser's first step, hidden taps too: "
    "multiply by the mask at every call.",
)
class MaskedOnceAtStart(_Base):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight.data *= self.mask

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


@masked_conv2d.misconception(
    "masked at the first call alone",
    hint="The mask holds at every call, whatever was written into the weight since the last one.",
)
class MaskedAtFirstCallAlone(_Base):
    done = False

    def forward(self, x):
        if not self.done:
            self.weight.data *= self.mask
            self.done = True
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


@masked_conv2d.misconception(
    "the bias is forgotten",
    hint="conv2d takes the bias as its third argument.",
)
class BiasIsForgotten(_Base):
    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, padding=self.padding) + 0 * self.bias.sum()


@masked_conv2d.misconception(
    "the image shrinks",
    hint="Zeros around the image keep its size: padding (kh // 2, kw // 2).",
)
class ImageShrinks(_Base):
    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias)


@masked_conv2d.misconception(
    "the padding of the two sides is exchanged",
    hint="padding is (rows, columns), as kernel_size is: kh // 2 first.",
)
class PaddingOfTwoSidesIsExchanged(_Base):
    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding[::-1])


@masked_conv2d.misconception(
    "the mask is a parameter",
    hint="nn.Parameter makes the mask something to be trained, and an optimiser would open it. register_buffer keeps "
    "it with the module and out of training.",
)
class MaskIsParameter(_Base):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        mask = self.mask
        del self.mask
        self.mask = nn.Parameter(mask)


@masked_conv2d.misconception(
    "the colours are not handed on",
    hint="conv_mask takes colours as its last argument; without it green never sees red.",
)
class ColoursAreNotHandedOn(_Base):
    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        super().__init__(kind, in_channels, out_channels, kernel_size)


@masked_conv2d.misconception(
    "always kind A",
    hint="The kind is handed on to conv_mask: B opens the centre.",
)
class AlwaysKindA(_Base):
    def __init__(self, kind, in_channels, out_channels, kernel_size, colours=1):
        super().__init__("A", in_channels, out_channels, kernel_size, colours)


@masked_conv2d.misconception(
    "the layer cannot go to another dtype",
    hint="A mask kept as a plain attribute (or cast to float32) does not follow the module to float64 or to a GPU: use "
    "register_buffer.",
)
class LayerCannotGoToAnotherDtype(_Base):
    def forward(self, x):
        x = x.float()
        return F.conv2d(x, (self.weight * self.mask).float(), self.bias.float(), padding=self.padding)


@masked_conv2d.misconception(
    "gradients do not reach the weight",
    hint="weight.data and detach() cut the weight off from its gradient. Multiply the parameter itself.",
)
class GradientsDoNotReachWeight(_Base):
    def forward(self, x):
        return F.conv2d(x, self.weight.data * self.mask, self.bias, padding=self.padding)
