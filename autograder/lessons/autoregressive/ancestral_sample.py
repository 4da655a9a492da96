"""An image, pixel by pixel: `ancestral_sample`, its checks and right answers."""

from __future__ import annotations

import itertools

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from .shared import Painter

# Its likeliest level tells whether gradients were on when it was asked: (n + 1) mod 3 at pixel n if they were off.
WATCHER = Source(
    """
def watcher(x):
    pixels = torch.arange(x[0].numel()).reshape(x.shape[1:])
    level = (pixels + (2 if torch.is_grad_enabled() else 1)) % 3
    return 50.0 * torch.nn.functional.one_hot(level, 3).permute(2, 0, 1).double().expand(len(x), -1, -1, -1)
""",
    "watcher",
)


@exercise("ancestral_sample", points=2, after=("sample_categorical",))
def ancestral_sample(student, case):
    """Raster order, one call of the model for each pixel that is not given, each pixel by its own u."""
    step = case.upstream("sample_categorical")

    def truth(*given):
        return walk(step, *given)

    def pairs(*given):
        return [student(*one) for one in given], [truth(*one) for one in given]

    small = torn(case, 2, 3)
    every = torch.cartesian_prod(*[torch.arange(2)] * 6).reshape(-1, 2, 3)
    boxes = small.middles(every)
    case.expect(*pairs((small, boxes)), "2x3 pixels, black and white: the middle of each image's box", points=0.3)
    batch, height, width, levels = case.sizes(4, low=3, high=6)
    model = Painter(case, levels, height, width)
    meant = torch.randint(levels, (batch, height, width), generator=case.generator)
    u = model.middles(meant)
    got = student(model, u)
    case.expect(got, truth(model.again(), u), "another size, more levels", points=0.3, dtype=True)
    case.expect(
        canvases(model, got), expected_canvases(step, model, u), "what the model sees, call by call", points=0.3
    )

    other = torch.randint(levels, (batch, height * width), generator=case.generator)
    numbers = [0, 1, width + 2, height * width]
    beginnings = [(model.again(), u, 1.0, other[:, :m]) for m in numbers]
    case.expect(*pairs(*beginnings), "0, 1, more than a row, and all pixels given", points=0.3)
    counted = [(case_model := model.again(), student(case_model, u, 1.0, other[:, :m])) for m in numbers]
    calls = [answer if isinstance(answer, Failure) else len(asked.calls) for asked, answer in counted]
    case.expect(calls, [height * width - m for m in numbers], "one call for each pixel that is drawn", points=0.2)

    cold = case.number(0.4, 0.7)
    case.expect(
        *pairs((model.again(), model.middles(meant, cold), cold), (model.again(), u, 0.0)),
        "a temperature, and temperature 0",
        points=0.2,
    )
    shape = case.sizes(3, low=2, high=4)
    half = torch.full(shape, 0.5, dtype=torch.float64)
    off = (torch.arange(shape[1] * shape[2]).reshape(shape[1:]) + 1) % 3
    case.expect(student(WATCHER, half), off.expand(*shape), "gradients are switched off", points=0.2)
    single, row = torn(case, 1, 1), torn(case, 1, 3)
    also = [(single, single.middles(every[1:2, :1, :1])), (row, row.middles(every[:9:4, :1]), 1.0, every[:9:4, 0, :1])]
    case.conventions(student, (small, boxes, 1.0, every[:, 0, :2]), truth, points=0.2, also=also)


def torn(case, height, width):
    """A Painter of two levels whose every pixel leans to one of them, half or less as much once any single pixel before
    it is 1: none can be left out unseen.
    """
    model, count = Painter(case, 2, height, width), height * width
    sides = torch.where(case.uniform(count, 1) < 0.5, -1.0, 1.0) * torch.tensor([1.0, -1.0], dtype=torch.float64)
    model.bias = sides * case.uniform(count, 1, low=0.4, high=0.75)
    pull = case.uniform(count, 1, count, low=0.75, high=1.0)
    model.weight = -sides[..., None] * pull * torch.ones(count, count).tril(-1)[:, None]
    return model


def canvases(model, answer):
    """The pixels known at each call: those before the one in turn, whatever stands at the others."""
    if isinstance(answer, Failure):
        return answer
    return [x.flatten(1)[:, :n] if isinstance(x, torch.Tensor) else x for n, x in enumerate(model.calls)]


def expected_canvases(step, model, u):
    again = model.again()
    walk(step, again, u)
    return [x.flatten(1)[:, :n] for n, x in enumerate(again.calls)]


def walk(step, model, u, temperature=1.0, given=None):
    """Pixel by pixel with `step` for the draws; a Failure where it gives no levels."""
    batch, height, width = u.shape
    x = torch.zeros(batch, height, width, dtype=torch.long)
    known = 0 if given is None else given.shape[1]
    for n, (r, c) in enumerate(itertools.product(range(height), range(width))):
        if n < known:
            x[:, r, c] = given[:, n]
            continue
        level = step(model(x.clone())[:, :, r, c], u[:, r, c], temperature)
        if not isinstance(level, torch.Tensor):
            return level if isinstance(level, Failure) else Failure("form", "sample_categorical returned no tensor")
        if level.shape != x[:, r, c].shape:
            return Failure("form", "sample_categorical returned another shape")
        x[:, r, c] = level.long()
    return x


@ancestral_sample.truth
@torch.no_grad()
def truth(model, u, temperature=1.0, given=None):
    """Image by image: u thins out as the pieces before the drawn one are taken off it."""
    batch, height, width = u.shape
    known = 0 if given is None else given.shape[1]
    x = torch.zeros(batch, height * width, dtype=torch.long)
    if known:
        x[:, :known] = given
    for n in range(known, height * width):
        logits = model(x.reshape(batch, height, width)).flatten(2)[:, :, n].double()
        for image, row in enumerate(logits):
            if temperature == 0:
                x[image, n] = row.tolist().index(max(row.tolist()))
                continue
            left = float(u[image].flatten()[n])
            for level, p in enumerate((row / temperature).softmax(0).tolist()):
                if p > 0:
                    x[image, n] = level
                    left -= p
                    if left < 0:
                        break
    return x.reshape(batch, height, width)


def level_of(logits, u, temperature):
    """A right draw, as the lesson's solution makes it."""
    if temperature == 0:
        return logits.argmax(-1)
    p = (logits / temperature).softmax(-1)
    last = ((p > 0) * torch.arange(p.shape[-1], device=p.device)).amax(-1)
    return torch.minimum((p.cumsum(-1) <= u[..., None]).sum(-1), last)


@ancestral_sample.alternative("two loops over rows and columns")
@torch.no_grad()
def two_loops_over_rows_and_columns(model, u, temperature=1.0, given=None):
    B, H, W = u.shape
    m = 0 if given is None else given.size(1)
    x = torch.zeros((B, H, W), dtype=torch.int64, device=u.device)
    for r in range(H):
        for c in range(W):
            if r * W + c < m:
                x[:, r, c] = given[:, r * W + c]
            else:
                x[:, r, c] = level_of(model(x)[..., r, c], u[:, r, c], temperature)
    return x


@ancestral_sample.alternative("a flat canvas, under inference_mode")
def flat_canvas_under_inference_mode(model, u, temperature=1.0, given=None):
    with torch.inference_mode():
        pixels = u[0].numel()
        start = u.new_zeros(len(u), 0).long() if given is None else given
        x = torch.cat([start, torch.ones(len(u), pixels - start.shape[1], dtype=torch.long, device=u.device)], 1)
        for n in range(start.shape[1], pixels):
            logits = model(x.view(u.shape)).flatten(2)[..., n]
            x[:, n] = level_of(logits, u.flatten(1)[:, n], temperature)
        return x.view(u.shape).clone()


@ancestral_sample.alternative("a list of columns that grows")
@torch.no_grad()
def list_of_columns_that_grows(model, u, temperature=1.0, given=None):
    B, H, W = u.shape
    drawn = [] if given is None else list(given.T)
    while len(drawn) < H * W:
        n = len(drawn)
        blank = [torch.zeros(B, dtype=torch.long, device=u.device)] * (H * W - n)
        logits = model(torch.stack(drawn + blank, 1).reshape(B, H, W)).reshape(B, -1, H * W)[:, :, n]
        drawn.append(level_of(logits, u.reshape(B, -1)[:, n], temperature))
    return torch.stack(drawn, 1).reshape(B, H, W)
