"""Hidden checks of 01-elbo, one module per theme; importing them in this order registers the catalogue's order."""

from . import draws, likelihood, evidence, posterior, bound, tables, mixture  # isort: skip

LESSON = "01-elbo"

__all__ = ["LESSON", "bound", "draws", "evidence", "likelihood", "mixture", "posterior", "tables"]
