"""A layout as further channels: `concat_layout`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...exercise import exercise

ZERO = (
    "nothing said is taken for class 0",
    "-1 says nothing about a place: there all planes are 0. Clamping it to 0 claims class 0.",
)


@exercise("concat_layout", points=1)
def concat_layout(student, case):
    """x_t's channels, then one 0/1 plane per class, (B, C + K, H, W)."""
    truth, classes = concat_layout.oracle, case.integer(3, 5)
    height, width = case.sizes(2, low=3, high=6)

    def inputs(batch, channels, high):
        layout = torch.randint(-1, high, (batch, height, width), generator=case.generator)
        layout[0, 0, :3] = torch.tensor([-1, 0, high - 1])
        return case.normal(batch, channels, height, width), layout, classes

    given = inputs(4, 1, classes)
    case.expect(student(*given), truth(*given), "the picture, and a plane for each class", points=0.25, dtype=True)
    absent, alone = inputs(2, 2, classes - 1), inputs(3, 2, 1)
    case.expect(
        [student(*absent), student(*alone)],
        [truth(*absent), truth(*alone)],
        "two channels, and classes that are nowhere in the batch",
        points=0.25,
    )
    silent = given[0], torch.full_like(given[1], -1), classes
    case.expect(student(*silent), truth(*silent), "a layout that says nothing", points=0.25)
    side = case.normal(3, 2, 3, 3), torch.randint(-1, 3, (3, 3, 3), generator=case.generator), 3
    case.conventions(student, given, truth, points=0.25, also=[side, (given[0][:1], given[1][:1], classes)])


@concat_layout.truth
def truth(xt, layout, num_classes):
    """Entry by entry."""
    out = torch.zeros(len(xt), xt.shape[1] + num_classes, *xt.shape[2:], dtype=xt.dtype)
    out[:, : xt.shape[1]] = xt
    for b, i, j in (layout >= 0).nonzero().tolist():
        out[b, xt.shape[1] + int(layout[b, i, j]), i, j] = 1.0
    return out


@concat_layout.alternative("compared with each class")
def compared(xt, layout, num_classes):
    planes = layout[:, None] == torch.arange(num_classes, device=layout.device)[:, None, None]
    return torch.cat([xt, planes.to(xt)], 1)


@concat_layout.alternative("one-hot, with a class for nothing in front")
def one_hot(xt, layout, num_classes):
    planes = F.one_hot(layout + 1, num_classes + 1)[..., 1:].permute(0, 3, 1, 2)
    return torch.cat((xt, planes.type(xt.dtype)), dim=1)


@concat_layout.alternative("plane by plane")
def plane_by_plane(xt, layout, num_classes):
    return torch.cat([xt, *(torch.eq(layout, k).unsqueeze(1).to(xt.dtype) for k in range(num_classes))], dim=1)


@concat_layout.misconception(*ZERO)
def clamped(xt, layout, num_classes):
    return compared(xt, layout.clamp(min=0), num_classes)


@concat_layout.misconception(
    "a plane for nothing is left over",
    hint="There are num_classes planes. The one for -1 has to go.",
)
def one_plane_more(xt, layout, num_classes):
    return torch.cat([xt, F.one_hot(layout + 1, num_classes + 1).permute(0, 3, 1, 2).to(xt)], 1)


@concat_layout.misconception(
    "the last plane is left out, not the first",
    hint="After adding 1 the number 0 stands for nothing, so the first plane is the one to leave out.",
)
def wrong_plane_out(xt, layout, num_classes):
    return torch.cat([xt, F.one_hot(layout + 1, num_classes + 1)[..., :-1].permute(0, 3, 1, 2).to(xt)], 1)


@concat_layout.misconception(
    "nothing said is taken for the last class",
    hint="An index of -1 counts from the end. -1 says nothing: there all planes are 0.",
)
def last_class(xt, layout, num_classes):
    return compared(xt, layout % num_classes, num_classes)


@concat_layout.misconception(
    "the planes come first",
    hint="The picture's own channels come first, then the planes.",
)
def planes_first(xt, layout, num_classes):
    whole = compared(xt, layout, num_classes)
    return torch.cat([whole[:, xt.shape[1] :], xt], 1)


@concat_layout.misconception(
    "the classes run backwards",
    hint="Plane k belongs to class k, in order.",
)
def backwards(xt, layout, num_classes):
    whole = compared(xt, layout, num_classes)
    return torch.cat([xt, whole[:, xt.shape[1] :].flip(1)], 1)


@concat_layout.misconception(
    "one plane with the number of the class",
    hint="A class is no size: class 2 is not twice class 1. Each class gets a plane of its own.",
)
def numbers(xt, layout, num_classes):
    return torch.cat([xt, layout[:, None].to(xt)], 1)
