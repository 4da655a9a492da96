"""A walk along one latent: `traverse`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("traverse", points=1)
def traverse(student, case):
    """z (J,), values (V,) -> (V, J): row v is z with entry `dim` set to values[v]."""
    latent, steps = case.sizes(2, low=3)
    z, values = case.normal(latent), 2 * case.normal(steps)
    middle = case.integer(1, latent - 2)
    case.expect(student(z, middle, values), traverse.oracle(z, middle, values), "a walk along one latent", points=0.5)
    case.expect(
        [student(z, dim, values[:1]) for dim in (0, latent - 1)],
        [traverse.oracle(z, dim, values[:1]) for dim in (0, latent - 1)],
        "the first and the last latent, a single value",
        points=0.25,
    )
    also = [(z[:1], 0, values), (z, middle, values[:1]), (z[:1], 0, values[:1])]
    case.conventions(student, (z, middle, values), traverse.oracle, points=0.25, also=also)


@traverse.truth
def truth(z, dim, values):
    axis = torch.eye(len(z), dtype=z.dtype)[dim]
    return torch.outer(torch.ones_like(values), z * (1 - axis)) + torch.outer(values, axis)


@traverse.misconception(
    "every row is the same tensor",
    hint="All rows are views of one z, which holds the last value in the end. Copy z (clone, repeat) before you write.",
)
def every_row_is_same_tensor(z, dim, values):
    z, rows = z.clone(), []
    for value in values:
        z[dim] = value
        rows.append(z)
    return torch.stack(rows)


@traverse.misconception(
    "the given code z is overwritten",
    hint="Writing z[dim] = value changes the caller's code. Work on a copy.",
)
def given_code_z_is_overwritten(z, dim, values):
    rows = []
    for value in values:
        z[dim] = value
        rows.append(z.clone())
    return torch.stack(rows)


@traverse.misconception(
    "the value is added",
    hint="Entry `dim` is set to each value, whatever it was before.",
)
def value_is_added(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] += values
    return rows


@traverse.misconception(
    "rows and columns change places",
    hint="One code per row: shape (V, J), ready for the decoder.",
)
def rows_and_columns_change_places(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] = values
    return rows.T


@traverse.misconception(
    "the other latents are set to 0",
    hint="Only entry `dim` changes; all others keep what z has there. You walk from z, not from the origin.",
)
def other_latents_are_set_to_0(z, dim, values):
    rows = torch.zeros(len(values), len(z), dtype=z.dtype)
    rows[:, dim] = values
    return rows


@traverse.alternative("repeat and assign")
def repeat_and_assign(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] = values
    return rows


@traverse.alternative("cat around the entry")
def cat_around_entry(z, dim, values):
    before, after = z[:dim].expand(len(values), -1), z[dim + 1 :].expand(len(values), -1)
    return torch.cat([before, values[:, None], after], dim=1)


@traverse.alternative("torch.where, row by row")
def torch_where_row_by_row(z, dim, values):
    here = torch.arange(z.numel(), device=z.device) == dim
    return torch.stack([torch.where(here, value, z) for value in values])
