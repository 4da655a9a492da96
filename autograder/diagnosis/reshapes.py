"""What may be done to data before they are used: another form, or noise drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch


def _row_by_row(value: torch.Tensor, rows: Iterable[int]) -> torch.Tensor:
    """Drawn anew where it is needed, step by step."""
    drawn = value.clone()
    for row in rows:
        drawn[row] = torch.randn_like(value[row])
    return drawn


Reshape = Callable[[torch.Tensor], torch.Tensor]
RESHAPES: tuple[tuple[str, Reshape], ...] = (
    ("fresh", torch.randn_like),
    ("fresh", lambda v: torch.randn(v.shape).to(v.dtype)),
    ("fresh", torch.rand_like),
    ("fresh", lambda v: _row_by_row(v, range(len(v)))),
    ("fresh", lambda v: _row_by_row(v, reversed(range(len(v))))),
    ("fresh", lambda v: _row_by_row(v, reversed(range(1, len(v))))),
    ("standardised", lambda v: v - v.mean(0)),
    ("standardised", lambda v: (v - v.mean(0)) / v.std(0)),
    ("standardised", lambda v: (v - v.mean(0)) / v.std(0, correction=0)),
    ("standardised", lambda v: (v - v.mean()) / v.std()),
    ("normalised", lambda v: v / v.sum()),
    ("unit length", lambda v: v / v.norm(dim=-1, keepdim=True)),
    ("unit length", lambda v: v / v.norm(dim=-1, keepdim=True) * v.shape[-1] ** 0.5),
    ("normalised", lambda v: v / v.sum(-1, keepdim=True)),
    ("normalised", lambda v: v.softmax(-1)),
    ("bent", torch.sigmoid),
    ("bent", torch.tanh),
    ("bent", torch.nn.functional.softplus),
    ("bent", torch.relu),
    ("rounded", torch.round),
    ("signs of", torch.sign),
    ("rounded", lambda v: (v > 0).to(v.dtype)),
)
