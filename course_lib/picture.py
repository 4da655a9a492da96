"""A figure as a notebook shows it: a PNG at twice the screen's resolution, with a text for the blind."""

import base64
import io
from typing import TYPE_CHECKING, Any

from course_lib.ink import drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100  # of the page; a figure of 6 inches is 600 pixels wide there


def show(fig: "Figure | tuple[Figure, Any]", alt: str) -> None:
    """Display the figure as an image with alternative text, and close it. Ends a cell that draws.

    Args:
        fig: a figure, or the (fig, ax) of the functions in `course_lib.plots`.
        alt: what the figure shows and what one learns from it, in a sentence.
    """
    if not alt.strip():
        raise ValueError("show: alt is empty; say in a sentence what the figure shows")
    fig = fig[0] if isinstance(fig, tuple) else fig
    image, size = render(fig, few_colours=True)
    display_png(small(image), size, alt)


def small(image: bytes) -> bytes:
    """The same PNG, packed as tightly as it goes: for a picture that is kept, not for one that somebody waits for."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def render(fig: "Figure", *, few_colours: bool = False) -> tuple[bytes, tuple[int, int]]:
    """The figure as a PNG, and its (width, height) on the page. Closes it, or it would be shown once more.

    With `few_colours` a palette of its 256 commonest ones: a third of the bytes, and no difference to the eye.
    """
    import matplotlib.pyplot as plt
    from PIL import Image

    width, height = (round(float(inches) * DPI) for inches in fig.get_size_inches())
    # A slider waits for this: `savefig` would draw twice to find the layout, and full compression takes long.
    # There is no version or date inside, so equal figures are equal bytes.
    fig.set_dpi(2 * DPI)
    image = Image.fromarray(drawn(fig))
    if few_colours:
        image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    plt.close(fig)
    return buffer.getvalue(), (width, height)


def bundle(image: bytes, size: tuple[int, int], alt: str) -> tuple[dict[str, str], dict[str, Any]]:
    """A PNG as a notebook's output, and the output's metadata; the same from run to run."""
    data = {"image/png": base64.b64encode(image).decode(), "text/plain": alt}
    return data, {"image/png": {"width": size[0], "height": size[1], "alt": alt}}


def display_png(image: bytes, size: tuple[int, int], alt: str) -> None:
    """Display a PNG `size` = (width, height) pixels large; where there is no notebook print `alt`."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(alt)
        return
    data, metadata = bundle(image, size, alt)
    display(data, metadata=metadata, raw=True)
