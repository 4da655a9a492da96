"""Shapes against geometry: moments of shadows, circles through points, volumes and Euler's formula."""

import math

import pytest
import torch

from course_lib import shapes


def grid_places(n):
    """Centres (x, y) of the cells of an n x n world, row by row, (n * n, 2)."""
    middle = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    return torch.stack([middle.repeat(n), middle.repeat_interleave(n)], 1)


@pytest.mark.parametrize(("n", "pixels"), [(8, 12), (3, 5), (4, 9)])
def test_a_shadow_keeps_the_sum_and_the_centre_of_mass(n, pixels):
    """A cell is shared between its two neighbours so that both moments are kept, whatever the angle."""
    angles = torch.tensor([0.0, 0.3, 1.2, 2.5, 4.0], dtype=torch.float64)
    world = torch.rand(n * n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shadow = shapes.shadow_matrix(angles, n, pixels) @ world
    assert shadow.shape == (5, pixels)
    torch.testing.assert_close(shadow.sum(1), world.sum().expand(5))
    along = grid_places(n) @ torch.stack([angles.cos(), angles.sin()])  # (n * n, 5)
    line = torch.arange(pixels, dtype=torch.float64) - (pixels - 1) / 2
    torch.testing.assert_close(shadow @ line, world @ along)


def test_shadows_along_the_axes_are_the_sums_of_rows_and_columns():
    world = torch.arange(16.0, dtype=torch.float64).reshape(4, 4)
    right, down = shapes.shadow_matrix(torch.tensor([0, math.pi / 2]), 4, 6) @ world.flatten()
    torch.testing.assert_close(right[1:5], world.sum(0))
    torch.testing.assert_close(down[1:5], world.sum(1))


def test_half_a_turn_shows_the_mirror_image():
    front, back = shapes.shadow_matrix(torch.tensor([0.4, 0.4 + math.pi], dtype=torch.float64))
    torch.testing.assert_close(front, back.flip(0))


def test_thirty_two_views_see_every_cell():
    views = shapes.shadow_matrix(torch.arange(32) * (2 * math.pi / 32))
    assert torch.linalg.matrix_rank(views.reshape(-1, 64)) == 64


def test_a_line_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="pixels=10 for n=8; expected at least 11"):
        shapes.shadow_matrix(torch.zeros(1), 8, 10)


def test_points_of_a_ring_lie_on_a_circle():
    """Two opposite means know centre and radius: with many points the centre is their mean, the radius the distance."""
    sets = shapes.rings(400, 500, torch.Generator().manual_seed(1)).double()
    assert sets.shape == (400, 500, 2)
    system = torch.cat([2 * sets, torch.ones_like(sets[..., :1])], 2)
    fit = torch.linalg.lstsq(system, sets.square().sum(-1, keepdim=True)).solution[..., 0]
    centre = fit[:, :2]
    radius = (fit[:, 2] + centre.square().sum(1)).sqrt()
    away = (sets - centre[:, None]).norm(dim=2) - radius[:, None]
    assert away.std().item() == pytest.approx(0.02, rel=0.02)
    assert radius.min() > 0.29 and radius.max() < 1.01
    assert radius.mean().item() == pytest.approx(0.65, abs=4 * 0.7 / 12**0.5 / 20)
    assert centre.std().item() == pytest.approx(0.5, abs=4 * 0.5 / 40)
    torch.testing.assert_close(sets, shapes.rings(400, 500, torch.Generator().manual_seed(1)).double())


@pytest.mark.parametrize(
    ("mesh", "count", "volume"),
    [(shapes.box_mesh(), (8, 12), 1.0), (shapes.icosahedron(), (12, 20), 8 * 5 * (3 + math.sqrt(5)) / 12)],
    ids=["box", "icosahedron"],
)
def test_a_mesh_is_closed_and_turned_outwards(mesh, count, volume):
    vertices, faces = mesh[0].double(), mesh[1]
    assert (len(vertices), len(faces)) == count
    torch.testing.assert_close(torch.linalg.det(vertices[faces]).sum() / 6, torch.tensor(volume).double())
    edges = [(a, b) for face in faces.tolist() for a, b in zip(face, [*face[1:], face[0]], strict=True)]
    assert len(set(edges)) == len(edges), "an edge is walked twice in one direction"
    assert {(b, a) for a, b in edges} == set(edges), "an edge has one triangle alone"
    assert len(vertices) - len(edges) // 2 + len(faces) == 2
    side = torch.linalg.cross(
        vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    )
    assert ((side * (vertices[faces].mean(1) - vertices.mean(0))).sum(1) > 0).all()


def test_edges_of_the_icosahedron_have_length_two():
    vertices, faces = shapes.icosahedron()
    lengths = (vertices[faces] - vertices[faces.roll(1, 1)]).norm(dim=2)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 2))
