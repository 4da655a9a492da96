"""A short film in a notebook: frames in one animated PNG, which every browser plays; paper shows the last one."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from course_lib.picture import display_png, render
from course_lib.style import GAP, PAGE_WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture


def play(frames: Iterable["Figure | tuple[Figure, Any]"], alt: str, *, seconds: float = 3.0, rest: float = 1.5) -> None:
    """Display figures of one size as a film that begins again and again, and close them.

    Args:
        frames: figures, or (fig, ax) pairs as `course_lib.plots` gives them; at least two. From a generator each is
            closed before the next one is made.
        alt: what the film shows, in a sentence.
        seconds: from the first frame to the last.
        rest: seconds for which the last frame stays.

    Where nothing moves (a printed page, a viewer without animation) the last frame stands there.
    """
    from PIL import Image

    if not alt.strip():
        raise ValueError("play: alt is empty; say in a sentence what the film shows")
    drawn = [render(frame[0] if isinstance(frame, tuple) else frame) for frame in frames]
    if len(drawn) < 2:
        raise ValueError(f"play: expected at least two frames, got {len(drawn)}")
    sizes = {size for _, size in drawn}
    if len(sizes) > 1:
        raise ValueError(f"play: frames of different sizes, {sorted(sizes)}; give all figures one size")
    (size,) = sizes
    # Once the page's resolution, not twice, and few colours: a film has many pictures to carry.
    few = [_few_colours(Image.open(io.BytesIO(image)).convert("RGBA").resize(size)) for image, _ in drawn]
    display_png(_animated(few, seconds, rest), size, alt)


def show(
    frames: Any,
    columns: int,
    alt: str,
    *,
    range: tuple[float, float] = (0, 1),
    seconds: float = 4.0,
    rest: float = 2.0,
    zoom: int | None = None,
) -> None:
    """Display grey images that come into being, side by side as in `plots.image_grid`, as a film.

    Args:
        frames: (T, N, H, W), T >= 2: at each moment N images.
        columns: images in a row.
        range: the values shown black and white.
        zoom: pixels on the page per image pixel; default: what fits, 1 to 12.
        alt, seconds, rest: as for `play`.
    """
    from PIL import Image

    if not alt.strip():
        raise ValueError("show: alt is empty; say in a sentence what the film shows")
    values = frames.detach().cpu().numpy() if isinstance(frames, Tensor) else np.asarray(frames)
    if values.ndim != 4 or len(values) < 2 or values.shape[1] < 1:
        raise ValueError(f"show: expected frames (T, N, H, W) with T >= 2, got {values.shape}")
    black, white = range
    shades = (255 * ((values - black) / (white - black)).clip(0, 1)).round().astype(np.uint8)
    zoom = zoom or max(1, min(12, PAGE_WIDTH // (columns * (values.shape[3] + 1))))
    sheets = [Image.fromarray(_sheet(images, columns, zoom)) for images in shades]
    display_png(_animated(sheets, seconds, rest), sheets[0].size, alt)


def _animated(frames: "list[Picture]", seconds: float, rest: float) -> bytes:
    step = round(1000 * seconds / (len(frames) - 1))
    buffer = io.BytesIO()
    frames[-1].save(
        buffer,
        "PNG",
        save_all=True,
        append_images=frames,
        default_image=True,  # the last frame, for whoever cannot play the others
        duration=[step] * (len(frames) - 1) + [round(1000 * rest)],
        loop=0,
        optimize=True,
    )
    return buffer.getvalue()


def _few_colours(picture: "Picture") -> "Picture":
    from PIL import Image

    return picture.quantize(16, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGBA")


def _sheet(images: np.ndarray, columns: int, zoom: int) -> np.ndarray:
    """Images (N, H, W) of bytes as one RGB sheet, a line of one image pixel between them."""
    from matplotlib.colors import to_rgb

    count, height, width = images.shape
    rows = -(-count // columns)
    gap = (255 * np.asarray(to_rgb(GAP))).round().astype(np.uint8)
    sheet = np.empty((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), np.uint8)
    sheet[:] = gap
    for i, image in enumerate(images):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image[..., None]
    return sheet.repeat(zoom, 0).repeat(zoom, 1)
