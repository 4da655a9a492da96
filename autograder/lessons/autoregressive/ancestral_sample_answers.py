"""Wrong answers that the checks of `ancestral_sample` are tested with."""

from __future__ import annotations

import torch

from .ancestral_sample import ancestral_sample, level_of


def places(u, order="rows"):
    """(n, r, c) of all pixels, n counting in the order given."""
    _, height, width = u.shape
    if order == "rows":
        return [(n, n // width, n % width) for n in range(height * width)]
    return [(n, n % height, n // height) for n in range(height * width)]


def began(u, given):
    """A canvas of zeros, its beginning given, and how long that is."""
    x = torch.zeros(u.shape, dtype=torch.long, device=u.device)
    known = 0 if given is None else given.shape[1]
    if known:
        x.view(len(x), -1)[:, :known] = given
    return x, known


def drawn(model, u, temperature, given, look=None, number=None, order="rows"):
    """A walk with one thing changed: `look(logits, r, c)` picks the row, `number(u, r, c)` the chance."""
    x, known = began(u, given)
    with torch.no_grad():
        for n, r, c in places(u, order):
            if n < known:
                continue
            logits = model(x)
            row = look(logits, r, c) if look else logits[:, :, r, c]
            x[:, r, c] = level_of(row, number(u, r, c) if number else u[:, r, c], temperature)
    return x


@ancestral_sample.misconception(
    "column by column",
    hint="Raster order goes along a row before it goes to the next one. The model's answer at a pixel is worth "
    "something only when all pixels before it in this order are drawn.",
)
def column_by_column(model, u, temperature=1.0, given=None):
    return drawn(model, u, temperature, given, order="columns")


@ancestral_sample.misconception(
    "all pixels from one call",
    hint="You ask the model once and draw all pixels from its answer. But the row of a pixel depends on the LEVELS of"
    " the pixels before it: write each into the image, then ask again.",
)
def all_pixels_from_one_call(model, u, temperature=1.0, given=None):
    x, known = began(u, given)
    with torch.no_grad():
        levels = level_of(model(x).movedim(1, -1), u, temperature)
    x.view(len(x), -1)[:, known:] = levels.reshape(len(x), -1)[:, known:]
    return x


@ancestral_sample.misconception(
    "one call for each row of the image",
    hint="The pixels of a row depend on each other too: one call for each pixel.",
)
def one_call_for_each_row(model, u, temperature=1.0, given=None):
    x, known = began(u, given)
    width = u.shape[2]
    with torch.no_grad():
        for r in range(u.shape[1]):
            if (r + 1) * width <= known:
                continue
            first = max(0, known - r * width)
            levels = level_of(model(x)[:, :, r].transpose(1, 2), u[:, r], temperature)
            x[:, r, first:] = levels[:, first:]
    return x


@ancestral_sample.misconception(
    "the temperature is not handed on",
    hint="sample_categorical takes the temperature as its third argument.",
)
def temperature_is_not_handed_on(model, u, temperature=1.0, given=None):
    return drawn(model, u, 1.0, given)


@ancestral_sample.misconception(
    "the same u for all pixels",
    hint="Each pixel has a number of its own, u[:, r, c].",
)
def same_u_for_all_pixels(model, u, temperature=1.0, given=None):
    return drawn(model, u, temperature, given, number=lambda u, r, c: u[:, 0, 0])


@ancestral_sample.misconception(
    "chance of its own",
    hint="All chance comes in through u: the same u always gives the same image.",
)
def chance_of_its_own(model, u, temperature=1.0, given=None):
    return drawn(
        model, u, temperature, given, number=lambda u, r, c: torch.rand(len(u), dtype=u.dtype, device=u.device)
    )


@ancestral_sample.misconception(
    "the likeliest level at every pixel",
    hint="argmax draws the same image again and again. Draw with sample_categorical and the pixel's u.",
)
def likeliest_level_at_every_pixel(model, u, temperature=1.0, given=None):
    return drawn(model, u, 0.0, given)


@ancestral_sample.misconception(
    "the logits of the pixel before",
    hint="The logits AT (r, c) are about pixel (r, c) already: nothing is moved by one here.",
)
def logits_of_pixel_before(model, u, temperature=1.0, given=None):
    def look(logits, r, c):
        n = r * u.shape[2] + c
        return logits.flatten(2)[:, :, max(n - 1, 0)]

    return drawn(model, u, temperature, given, look=look)


@ancestral_sample.misconception(
    "the given pixels are not used, or drawn over",
    hint="given holds the first m pixels in raster order. They are kept, and the drawing begins behind them, with "
    "pixel number m.",
)
def given_pixels_are_not_used_or_drawn_over(model, u, temperature=1.0, given=None):
    return drawn(model, u, temperature, None)


@ancestral_sample.misconception(
    "the model is asked for given pixels too",
    hint="The images are right, but each call is a pass of the network: H W - m of them are enough.",
)
def model_is_asked_for_given_pixels_too(model, u, temperature=1.0, given=None):
    x, known = began(u, given)
    with torch.no_grad():
        for n, r, c in places(u):
            logits = model(x)[:, :, r, c]
            if n >= known:
                x[:, r, c] = level_of(logits, u[:, r, c], temperature)
    return x


@ancestral_sample.misconception(
    "given pixels column by column",
    hint="The first m pixels in raster order fill row after row.",
)
def given_pixels_column_by_column(model, u, temperature=1.0, given=None):
    x, known = began(u, None)[0], 0 if given is None else given.shape[1]
    for n, r, c in places(u, "columns"):
        if n < known:
            x[:, r, c] = given[:, n]
    with torch.no_grad():
        for n, r, c in places(u):
            if n >= known:
                x[:, r, c] = level_of(model(x)[:, :, r, c], u[:, r, c], temperature)
    return x


@ancestral_sample.misconception(
    "the first image's given pixels for all",
    hint="given is (B, m): each image has its own beginning.",
)
def first_images_given_pixels_for_all(model, u, temperature=1.0, given=None):
    return drawn(model, u, temperature, None if given is None else given[:1].expand_as(given))


@ancestral_sample.misconception(
    "gradients are left on",
    hint="The images are right, but every call keeps what a backward pass would need, and memory fills up: put the "
    "loop under torch.no_grad().",
)
def gradients_are_left_on(model, u, temperature=1.0, given=None):
    x, known = began(u, given)
    for n, r, c in places(u):
        if n >= known:
            x[:, r, c] = level_of(model(x)[:, :, r, c], u[:, r, c], temperature)
    return x
