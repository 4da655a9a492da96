"""Hidden checks of 04-forward, one module per theme; importing them in this order registers the catalogue's order."""

from . import linear, noising, curves, ratio, endings, spread  # isort: skip

LESSON = "04-forward"

__all__ = ["LESSON", "curves", "endings", "linear", "noising", "ratio", "spread"]
