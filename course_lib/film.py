"""A short film in a notebook: frames in one animated PNG, which every browser plays; paper shows the last one."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from course_lib.picture import display_png, render

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
    step = round(1000 * seconds / (len(few) - 1))
    buffer = io.BytesIO()
    few[-1].save(
        buffer,
        "PNG",
        save_all=True,
        append_images=few,
        default_image=True,  # the last frame, for whoever cannot play the others
        duration=[step] * (len(few) - 1) + [round(1000 * rest)],
        loop=0,
        optimize=True,
    )
    display_png(buffer.getvalue(), size, alt)


def _few_colours(picture: "Picture") -> "Picture":
    from PIL import Image

    return picture.quantize(16, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).convert("RGBA")
