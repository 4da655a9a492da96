"""From pictures to films: `Pseudo3DConv`, judged as it is made and with weights of the checker's choice."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...conventions import InDtype
from ...exercise import exercise
from .shared import CLOSE, Bench


@exercise("Pseudo3DConv", points=3)
def pseudo_3d_conv(student, case):
    """Pseudo3DConv(in, out, kernel_size=3): `spatial` on every frame, then `temporal` along the frames of every pixel,
    which starts as the identity.
    """
    inner, out = case.sizes(2, low=2, high=4)
    batch, frames, height, width = case.sizes(4, low=3, high=7)
    usual, wide = Bench(case, student(inner, out), shapes(inner, out, 3)), made(case, student, inner, out, 5)
    x = 0.5 + case.normal(batch, inner, frames, height, width, dtype=torch.float32)
    usual.check_parameters(case, points=0.25)
    check_start(case, usual, wide, x)
    model = usual.load()
    case.expect(model(x), bench_truth(usual, x), "films, with weights of any kind", points=0.75, rtol=CLOSE)
    single = made(case, student, 1, inner, 1)
    benches = [wide, single, usual, usual]
    single.load(), wide.load()
    others = [x, case.normal(2, 1, 3, 2, 4, dtype=torch.float32), x[:1, :, :1], x[:, :, :2, :1, :2]]
    case.expect(
        [bench.model(film) for bench, film in zip(benches, others, strict=True)],
        [bench_truth(bench, film) for bench, film in zip(benches, others, strict=True)],
        "kernels of 5 and of 1, one channel, one frame, frames smaller than the kernel",
        points=0.5,
        rtol=CLOSE,
    )
    usual.check_gradients(case, x[:2], tap_by_tap, points=0.25)
    case.conventions(model, (x,), lambda x: bench_truth(usual, x), points=0.25, manner=InDtype())


def made(case, student, inner, out, size):
    """A bench for one of the student's with this kernel size."""
    return Bench(case, student(inner, out, size), shapes(inner, out, size))


def check_start(case, usual, wide, x):
    """As constructed: the temporal weights are those of the identity, and the film that comes out is its frames'."""
    own = usual.own(), wide.own()
    start = [{n: p[n] for n in ("temporal.weight", "temporal.bias")} if isinstance(p, dict) else p for p in own]
    true = []
    for bench in (usual, wide):
        weight = torch.zeros(bench.shapes["temporal.weight"])
        for channel in range(len(weight)):
            weight[channel, channel, weight.shape[2] // 2] = 1
        true.append({"temporal.weight": weight, "temporal.bias": torch.zeros(len(weight))})
    case.expect(
        start,
        true,
        "temporal starts as the identity",
        points=0.25,
        hint="the centre tap from each channel to itself is 1, and all other taps and the bias are 0",
    )
    case.expect(
        [usual.model(x), wide.model(x)],
        [frame_by_frame(x, p) if isinstance(p, dict) else p for p in own],
        "at first the film is what `spatial` makes of its frames",
        points=0.75,
        rtol=CLOSE,
    )


def shapes(inner, out, size):
    """The parameters asked for."""
    return {
        "spatial.weight": (out, inner, size, size),
        "spatial.bias": (out,),
        "temporal.weight": (out, out, size),
        "temporal.bias": (out,),
    }


def bench_truth(bench, x):
    """The layer with the bench's weights, in the dtype of x."""
    return tap_by_tap(x, **{name: value.to(x.dtype) for name, value in bench.weights.items()})


def frame_by_frame(x, weights):
    """What the convolution of pictures makes of every frame by itself: the film moved to where each tap finds it, times
    the tap's matrix over the channels.
    """
    kernel, made = weights["spatial.weight"], weights["spatial.bias"][:, None, None, None]
    reach, (height, width) = kernel.shape[2] // 2, x.shape[3:]
    around = F.pad(x, (reach,) * 4)
    for i in range(kernel.shape[2]):
        for j in range(kernel.shape[3]):
            moved = around[:, :, :, i : i + height, j : j + width]
            made = made + torch.einsum("bcfhw,oc->bofhw", moved, kernel[:, :, i, j])
    return made


def tap_by_tap(x, **weights):
    """The same along the frames, of what was made of each."""
    kernel, film = weights["temporal.weight"], weights["temporal.bias"][:, None, None, None]
    reach, frames = kernel.shape[2] // 2, x.shape[2]
    around = F.pad(frame_by_frame(x, weights), (0, 0, 0, 0, reach, reach))
    for k in range(kernel.shape[2]):
        film = film + torch.einsum("bmfhw,om->bofhw", around[:, :, k : k + frames], kernel[:, :, k])
    return film
