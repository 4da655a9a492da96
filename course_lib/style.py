"""The course's look: one colour for one thing, on no background, in ink that reads on any page."""

from typing import TYPE_CHECKING, Any

from course_lib.picture import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe palette, changed until contrast and distances passed their tests.
COLOR = {
    "data": "#0072B2",  # blue
    "model": "#D55E00",  # vermilion
    "prior": "#00875F",  # green
    "posterior": "#A23B7E",  # purple
    "exact": "#1A1A1A",  # the truth, always dashed
    "bound": "#5C4400",  # brown
    "noise": "#8E8E8E",  # grey
    "code": "#6038FF",  # indigo: entries of a codebook
    "discriminator": "#8A9852",  # olive: a critic
    "guess": "#3FA0D8",  # sky blue: what the student predicted, always dotted
}

# Ten colours for the ten digits; a class is also named by its number, never by colour alone.
CLASS_COLORS = (
    "#5E4FC9", "#117733", "#2E9E8F", "#3A86D0", "#A87D00",
    "#CC6677", "#B0305C", "#AA4499", "#777777", "#D55E00",
)  # fmt: skip

INK = "#4D4D4D"
PAPER = "#FFFFFF"  # of a figure that is saved to a file
GAP = "#7F97AD"  # between images: tinted, so that it is neither a dark nor a light pixel
PAGE_WIDTH = 620  # pixels that a figure may take

_STYLE: dict[str, Any] = {
    "figure.figsize": (6.0, 3.6),
    "figure.dpi": DPI,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 2 * DPI,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": "#808080",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.8,
    "xtick.color": "#808080",
    "ytick.color": "#808080",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "font.size": 11,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
}
_styled = False


def use_style() -> None:
    """Apply the course's style to Matplotlib. The functions below do so; bare pyplot needs this call."""
    global _styled
    import matplotlib as mpl
    from cycler import cycler

    roles = ("data", "model", "prior", "posterior", "bound", "noise")
    mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
    mpl.rcParams["axes.prop_cycle"] = cycler(color=[COLOR[role] for role in roles])
    _styled = True


def figure(
    rows: int = 1, columns: int = 1, width: float = 6.0, height: float = 3.6, **keywords: Any
) -> tuple["Figure", Any]:
    """An empty figure in the course's style: (fig, ax) or (fig, axes) as from `plt.subplots`, in inches."""
    import matplotlib.pyplot as plt

    if not _styled:
        use_style()
    return plt.subplots(rows, columns, figsize=(width, height), **keywords)
