"""A film is one animated picture whose still is its end."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from course_lib import film, plots


@pytest.fixture
def shown(monkeypatch):
    """What `play` hands to the page: (bytes, size, alt)."""
    seen = []
    monkeypatch.setattr(film, "display_png", lambda *what: seen.append(what))
    return seen


def moment(place, width=3.0):
    fig, ax = plots.figure(width=width, height=1.5)
    ax.axvspan(place, place + 0.2, color=plots.COLOR["data"])
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return fig


def column_of_ink(picture):
    """How far right the wide bar stands, 0 to 1."""
    pixels = np.asarray(picture.convert("RGBA")).astype(int)
    blue = (pixels[..., 2] > 120) & (pixels[..., 0] < 60) & (pixels[..., 3] > 200)
    return np.nonzero(blue)[1].mean() / pixels.shape[1]


def test_all_frames_play_in_their_order_and_the_end_stands_still(shown):
    places = [0.0, 0.2, 0.4, 0.6, 0.8]
    film.play((moment(place) for place in places), "A bar moves right.", seconds=2.0, rest=1.0)
    ((image, size, alt),) = shown
    assert size == (300, 150) and alt == "A bar moves right."
    opened = Image.open(io.BytesIO(image))
    still, *frames = [frame.copy() for frame in ImageSequence.Iterator(opened)]
    assert opened.size == size and len(frames) == len(places)
    where = [column_of_ink(frame) for frame in frames]
    assert where == sorted(where) and where[-1] - where[0] > 0.4
    assert column_of_ink(still) == pytest.approx(where[-1], abs=0.01)


def test_a_film_has_no_background(shown):
    film.play([moment(0.1), moment(0.5)], "Two moments.")
    corner = Image.open(io.BytesIO(shown[0][0])).convert("RGBA").getpixel((299, 0))
    assert corner[3] == 0


@pytest.mark.parametrize(
    ("frames", "alt", "message"),
    [
        ([0.1], "One.", "at least two"),
        ([0.1, 0.2], "  ", "alt is empty"),
    ],
)
def test_errors(frames, alt, message):
    with pytest.raises(ValueError, match=message):
        film.play([moment(place) for place in frames], alt)
    plt.close("all")


def test_frames_have_one_size():
    with pytest.raises(ValueError, match="different sizes"):
        film.play([moment(0.1), moment(0.1, width=4.0)], "Two sizes.")


def test_images_play_in_their_order_and_the_last_ones_stand_still(shown):
    frames = torch.zeros(3, 2, 2, 3)
    frames[1, 0, 0, 0], frames[2, 1, 1, 2] = 1.0, 0.5
    film.show(frames, 2, "two images", seconds=0.6, rest=1.0, zoom=2)
    ((data, size, alt),) = shown
    assert alt == "two images" and size == (2 * (3 + 1 + 3), 4)
    image = Image.open(io.BytesIO(data))
    assert image.n_frames == 4 and image.size == size  # the still one, and three that move
    pictures, times = [], []
    for n in range(4):
        image.seek(n)
        pictures.append(np.asarray(image.convert("RGB"))[::2, ::2, 0])
        times.append(image.info.get("duration"))
    assert np.array_equal(pictures[0], pictures[3]) and times[1:] == [300, 300, 1000]
    assert pictures[2][0, 0] == 255 and pictures[1][0, 0] == 0
    assert pictures[3][1, 3 + 1 + 2] == 128 and pictures[3][0, 0] == 0


def test_the_same_frames_are_the_same_bytes(shown):
    frames = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        film.show(frames, 3, "noise")
    assert shown[0] == shown[1]


def test_values_are_clipped_to_the_range(shown):
    film.show(np.array([[[[-3.0, 0.0]]], [[[1.0, 3.0]]]]), 1, "two pixels", range=(-1, 1), zoom=1)
    image = Image.open(io.BytesIO(shown[0][0]))
    assert np.asarray(image.convert("RGB"))[0, :, 0].tolist() == [255, 255]
    image.seek(1)
    assert np.asarray(image.convert("RGB"))[0, :, 0].tolist() == [0, 128]


def test_what_is_no_film_is_refused():
    with pytest.raises(ValueError, match=r"expected frames \(T, N, H, W\)"):
        film.show(torch.zeros(1, 2, 8, 8), 2, "one frame")
    with pytest.raises(ValueError, match="alt is empty"):
        film.show(torch.zeros(2, 2, 8, 8), 2, " ")
