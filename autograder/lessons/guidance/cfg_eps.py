"""Guidance without a classifier: `cfg_eps`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import along, ranks, times_among
from .shared import LABELS_OVERWRITTEN


class Conditional:
    """A network (x, t, y) -> eps that says something else for every label, and refuses what is no batch of labels."""

    def __init__(self, turns):
        self.turns = turns

    def __call__(self, x, t, y):
        whole = isinstance(y, torch.Tensor) and y.dtype == torch.long and y.shape == x.shape[:1]
        if not whole or not isinstance(t, torch.Tensor) or t.shape != x.shape[:1]:
            raise ValueError("model takes x, and a LongTensor (B,) each for t and y")
        turn = along(self.turns[y.clamp(0, len(self.turns) - 1)], x)
        wide = x.double()
        made = (wide * (1 + turn)).sin() + turn * wide.roll(1, -1) + along(t.double(), x) / 10
        return made.to(x.dtype)


@exercise("cfg_eps", points=2)
def cfg_eps(student, case):
    """(1 + w) model(x_t, t, y) - w model(x_t, t, null), like x_t."""
    truth, steps, classes = cfg_eps.oracle, case.integer(6, 9), case.integer(3, 4)
    null = classes + case.integer(2, 4)
    model = Conditional(2 * case.normal(null + 1))

    def given(*shape, w):
        y = torch.arange(shape[0]) % classes  # class 0 among them
        y[-1] = null
        return model, case.normal(*shape), times_among(case, steps, shape[0], 1, 2), y, w, null

    w = case.number(1.5, 3.5)
    rows = given(*case.sizes(2, low=5, high=8), w=w)
    case.expect(student(*rows), truth(*rows), "one w, a null among the labels", points=0.5, dtype=True)
    ends = [(*rows[:4], v, null) for v in (-1.0, 0.0, -0.5)]
    case.expect(
        [student(*one) for one in ends],
        [truth(*one) for one in ends],
        "w = -1 without the label, w = 0 with it alone, and in between",
        points=0.25,
    )
    each = case.uniform(5, low=0.5, high=3.0)
    each[1], each[3] = -1.0, 0.0
    images, square = given(5, 2, 3, 4, w=each), given(5, 5, w=each)
    case.expect(
        [student(*images), student(*square)],
        [truth(*images), truth(*square)],
        "one w per example: images, and a batch as long as its last axis",
        points=0.5,
        hint="w (B,) needs trailing axes before it meets the noise",
    )
    plain = *rows[:4], torch.tensor(w, dtype=torch.float64), null
    case.expect(student(*plain), truth(*plain), "w as a tensor without axes", points=0.25)
    films = [given(*shape, w=w) for shape in ranks(5)]
    one = (model, *(value[:1] for value in rows[1:4]), w, null)
    case.conventions(student, given(5, 3, w=each), truth, points=0.5, also=[*films, one])


@cfg_eps.truth
def truth(model, xt, t, y, w, null):
    """Two questions of one example each, extrapolated from the unlabelled answer through the labelled one."""
    rows = []
    for b in range(len(xt)):
        asked = xt[b : b + 1].double(), t[b : b + 1]
        free, told = (model(*asked, torch.full_like(asked[1], int(label))) for label in (null, y[b]))
        share = float(w[b] if isinstance(w, torch.Tensor) and w.ndim else w)
        rows.append(torch.lerp(free, told, 1 + share))
    return torch.cat(rows).to(xt.dtype)


def both(model, xt, t, y, null):
    """The labelled and the unlabelled answer."""
    return model(xt, t, y), model(xt, t, torch.full_like(y, null))


def wide(w, xt):
    return along(w, xt) if isinstance(w, torch.Tensor) and w.ndim else w


@cfg_eps.alternative("two calls")
def two_calls(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    w = wide(w, xt)
    return (1 + w) * told - w * free


@cfg_eps.alternative("one call with both halves")
def both_halves(model, xt, t, y, w, null):
    labels = torch.cat([y, torch.full_like(y, null)])
    told, free = model(torch.cat([xt, xt]), t.repeat(2), labels).chunk(2)
    w = torch.as_tensor(w, dtype=xt.dtype, device=xt.device).reshape(-1, *[1] * (xt.dim() - 1))
    return told + w * (told - free)


@cfg_eps.alternative("from the unlabelled, s times the difference")
def scaled_difference(model, xt, t, y, w, null):
    free = model(xt, t, torch.zeros_like(y) + null)
    if not isinstance(w, torch.Tensor) and w == -1:
        return free
    s = 1 + wide(w, xt)
    return free + s * (model(xt, t, y) - free)


@cfg_eps.alternative("from the labelled, w times the difference")
def pushed_on(model, xt, t, y, w, null):
    told, free = model(xt, t, y), model(xt, t, torch.full_like(y, null))
    return told + wide(w, xt) * (told - free)


@cfg_eps.misconception(
    "w taken for the scale s",
    hint="Here w = 0 is the plain conditional answer; what you wrote gives the unconditional one there. Libraries' "
    "guidance_scale is s = 1 + w.",
)
def w_for_s(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    return free + wide(w, xt) * (told - free)


@cfg_eps.misconception(
    "labelled and unlabelled change places",
    hint="At w = 0 the labelled answer alone is left. Which of the two must carry the factor 1 + w?",
)
def exchanged(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    w = wide(w, xt)
    return (1 + w) * free - w * told


@cfg_eps.misconception(
    "the difference alone",
    hint="The difference is a direction, in which hardly any noise is left. It is added to a prediction, scaled.",
)
def difference_alone(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    return told - free


@cfg_eps.misconception(
    "the unlabelled answer is added",
    hint="The factors must sum to 1, or the noise changes its size: 1 + w and minus w.",
)
def added(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    w = wide(w, xt)
    return (1 + w) * told + w * free


@cfg_eps.misconception(
    "the factors do not sum to 1",
    hint="w times the labelled less w times the unlabelled is a multiple of the difference. One whole prediction has "
    "to stay.",
)
def no_whole_left(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    w = wide(w, xt)
    return w * told - w * free


@cfg_eps.misconception(
    "class 0 in place of null",
    hint="0 is a class like any other. The label that says nothing is `null`.",
)
def class_0(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, 0)
    w = wide(w, xt)
    return (1 + w) * told - w * free


@cfg_eps.misconception(
    "the label after the last one seen in place of null",
    hint="Which number says nothing is told by `null`; do not count it from the batch.",
)
def counted_null(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, int(y[:-1].max() if len(y) > 1 else y.max()) + 1)
    w = wide(w, xt)
    return (1 + w) * told - w * free


@cfg_eps.misconception(
    "the label is a number, not a batch",
    hint="The model takes one label per example both times, a LongTensor (B,): torch.full_like(y, null).",
)
def label_as_number(model, xt, t, y, w, null):
    told, free = model(xt, t, y), model(xt, t, null)
    w = wide(w, xt)
    return (1 + w) * told - w * free


@cfg_eps.misconception(
    "w meets the wrong axis",
    hint="A w of shape (B,) is matched with the LAST axis of the data. Give it trailing axes first, (B, 1, ..., 1).",
)
def wrong_axis(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    return (1 + w) * told - w * free


@cfg_eps.misconception(
    "the first w for everybody",
    hint="w may hold one number per example: use all of them.",
)
def first_w(model, xt, t, y, w, null):
    told, free = both(model, xt, t, y, null)
    w = w.flatten()[0] if isinstance(w, torch.Tensor) else w
    return (1 + w) * told - w * free


@cfg_eps.misconception(*LABELS_OVERWRITTEN)
def overwritten(model, xt, t, y, w, null):
    told = model(xt, t, y)
    free = model(xt, t, y.fill_(null))
    w = wide(w, xt)
    return (1 + w) * told - w * free
