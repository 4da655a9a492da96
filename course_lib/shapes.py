"""Small shapes: shadows of a flat picture, rings of points, and two meshes."""

import math

import torch
from torch import Tensor


def shadow_matrix(angles: Tensor, n: int = 8, pixels: int = 12) -> Tensor:
    """What a flat world of n x n cells casts on a line of `pixels` cells, seen from each angle: a linear renderer.

    Cell (row r, column c) has the centre (c - (n - 1)/2, r - (n - 1)/2) and falls on the place
    x cos(angle) + y sin(angle) of the line, whose cells have unit width and the line's middle as their own; its value
    is shared between the two nearest cells in proportion to their nearness. So each view keeps the sum of all values.

    Args:
        angles: (V,), in radians. Angles half a turn apart see mirror images.
        n: cells along a side. pixels: cells of the line, at least (n - 1) sqrt(2) + 1, so that nothing falls off.

    Returns:
        float64 (V, pixels, n * n): shadow = matrix @ world, the world flattened row by row.

    Raises:
        ValueError: the line is too short.
    """
    least = math.ceil((n - 1) * math.sqrt(2)) + 1
    if pixels < least:
        raise ValueError(f"shadow_matrix: pixels={pixels} for n={n}; expected at least {least}")
    middle = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    y, x = (axis.flatten() for axis in torch.meshgrid(middle, middle, indexing="ij"))
    angles = torch.as_tensor(angles, dtype=torch.float64)[:, None]
    place = x * angles.cos() + y * angles.sin() + (pixels - 1) / 2  # (V, n * n), in cells of the line
    away = (place[:, None] - torch.arange(pixels, dtype=torch.float64)[:, None]).abs()  # (V, pixels, n * n)
    return (1 - away).clamp(min=0)


def rings(n: int, points: int, generator: torch.Generator) -> Tensor:
    """Sets of points on circles in the plane: float32 (n, points, 2).

    Each circle has a centre from N(0, 0.25 I) and a radius uniform on [0.3, 1]; its points have independent uniform
    angles, and noise of standard deviation 0.02 in each coordinate. `generator` lives on the CPU.
    """
    centre = 0.5 * torch.randn(n, 1, 2, generator=generator)
    radius = 0.3 + 0.7 * torch.rand(n, 1, 1, generator=generator)
    angle = 2 * math.pi * torch.rand(n, points, generator=generator)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    return centre + radius * circle + 0.02 * torch.randn(n, points, 2, generator=generator)


def box_mesh() -> tuple[Tensor, Tensor]:
    """The unit cube: its corners (8, 3) as integers x, y, z, and 12 triangles (12, 3), counterclockwise seen from
    outside.
    """
    corners = torch.cartesian_prod(*[torch.tensor([0, 1])] * 3).flip(1)  # x changes fastest
    sides = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    return corners, torch.tensor([part for a, b, c, d in sides for part in ((a, b, c), (a, c, d))])


def icosahedron() -> tuple[Tensor, Tensor]:
    """The regular icosahedron with edges of length 2: float64 corners (12, 3), and 20 triangles (20, 3),
    counterclockwise seen from outside.
    """
    golden = (1 + math.sqrt(5)) / 2
    signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    corners = [turned(0.0, s, t * golden, k) for k in range(3) for s, t in signs]
    at = torch.tensor(corners, dtype=torch.float64)
    near = torch.cdist(at, at) < 2.1  # neighbours, and each corner itself
    faces = []
    for a in range(12):
        for b in range(a + 1, 12):
            for c in range(b + 1, 12):
                if near[a, b] and near[b, c] and near[a, c]:
                    outward = torch.linalg.det(at[[a, b, c]]) > 0
                    faces.append((a, b, c) if outward else (a, c, b))
    return at, torch.tensor(faces)


def turned(x: float, y: float, z: float, times: int) -> tuple[float, float, float]:
    """(x, y, z) with its coordinates moved on cyclically, `times` times."""
    values = (x, y, z)
    return values[-times % 3], values[(1 - times) % 3], values[(2 - times) % 3]
