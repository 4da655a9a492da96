"""The one agreed writing of a mesh: `mesh_to_sequence`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("mesh_to_sequence", points=1)
def mesh_to_sequence(student, case):
    """Vertices by z, y, x; faces renumbered, turned to their lowest number first, and sorted."""
    truth = mesh_to_sequence.oracle
    points, triangles = mesh(case)
    vertices, faces = case.unpack(student(points, triangles), "vertices", "faces")
    right_vertices, right_faces = truth(points, triangles)
    case.expect(vertices, right_vertices, "the vertices, sorted by z, then y, then x", points=0.3, dtype=True)
    case.expect(faces, right_faces, "the faces", points=0.4, dtype=True)
    other = mesh(case)
    turned = rewritten(case, *other)
    case.expect(
        [case.unpack(student(*one), "vertices", "faces") for one in (other, turned)],
        [list(truth(*other))] * 2,
        "the same mesh, written in two ways",
        points=0.2,
    )
    lone = points[:3], torch.tensor([[2, 0, 1]])
    case.conventions(student, turned, truth, points=0.1, also=[lone])


def mesh(case):
    """(vertices (V, 3), faces (F, 3)): different points on a small grid, with many equal z and y; F != V."""
    side = torch.arange(-1, 2)
    grid = torch.cartesian_prod(side, side + 4, 3 * side)
    count = case.integer(8, 12)
    points = grid[torch.randperm(len(grid), generator=case.generator)[:count]]
    triples = torch.combinations(torch.arange(count), 3)
    chosen = triples[torch.randperm(len(triples), generator=case.generator)[: count + 4]]
    faces = torch.stack([face[torch.randperm(3, generator=case.generator)] for face in chosen])
    return points, faces


def rewritten(case, points, faces):
    """The same mesh: vertices and faces in another order, faces turned."""
    order = torch.randperm(len(points), generator=case.generator)
    number = torch.empty_like(order)
    number[order] = torch.arange(len(order), device=order.device)
    turned = torch.stack([face.roll(case.integer(0, 2)) for face in number[faces]])
    return points[order], turned[torch.randperm(len(turned), generator=case.generator)]


@mesh_to_sequence.truth
def truth(vertices, faces):
    """Rows sorted by torch.unique, which also says where each went; of each face's three writings the least."""
    sorted_rows, number = torch.unique(vertices.flip(1), dim=0, return_inverse=True)
    size = len(vertices)
    new = number[faces]
    writings = torch.stack([new.roll(turn, 1) for turn in range(3)])  # (3, F, 3)
    keys = (writings[..., 0] * size + writings[..., 1]) * size + writings[..., 2]
    least = keys.amin(0).sort().values
    faces = torch.stack([least // size**2, least // size % size, least % size], 1)
    return sorted_rows.flip(1), faces


def by_columns(rows, columns):
    """The order of rows sorted by these columns, the last one counting most."""
    order = torch.arange(len(rows), device=rows.device)
    for column in columns:
        order = order[rows[order, column].argsort(stable=True)]
    return order


def steps(vertices, faces, columns=(0, 1, 2), renumber=True, turn=None, sort=(2, 1, 0)):
    """The right answer with one thing changed."""
    order = by_columns(vertices, columns)
    faces = order.argsort()[faces] if renumber else faces
    faces = (turn or turned)(faces)
    return vertices[order], faces[by_columns(faces, sort)]


def turned(faces):
    """Each face from its lowest number on, its sense of rotation kept."""
    return faces.gather(1, (faces.argmin(1, keepdim=True) + torch.arange(3, device=faces.device)) % 3)


@mesh_to_sequence.alternative("stable sorts")
def stable_sorts(vertices, faces):
    return steps(vertices, faces)


@mesh_to_sequence.alternative("plain Python")
def plain_python(vertices, faces):
    v = vertices.tolist()
    order = sorted(range(len(v)), key=lambda i: v[i][::-1])
    number = {old: new for new, old in enumerate(order)}
    out = []
    for a, b, c in faces.tolist():
        a, b, c = number[a], number[b], number[c]
        out.append(min((a, b, c), (b, c, a), (c, a, b)))
    place = vertices.device
    return torch.tensor([v[i] for i in order], device=place), torch.tensor(sorted(out), device=place)


@mesh_to_sequence.alternative("one number for each row")
def one_number_for_each_row(vertices, faces):
    z = vertices - vertices.min(0).values
    base = int(z.max()) + 1
    order = torch.argsort((z[:, 2] * base + z[:, 1]) * base + z[:, 0])
    number = torch.zeros_like(order)
    number[order] = torch.arange(len(order), device=order.device)
    f = number[faces].clone()
    for _ in range(2):
        later = f[:, 0] != f.amin(1)
        f[later] = f[later].roll(-1, 1)
    return vertices[order], f[torch.argsort((f[:, 0] * len(z) + f[:, 1]) * len(z) + f[:, 2])]


@mesh_to_sequence.misconception(
    "sorted by x, then y, then z",
    hint="z counts most, then y, then x: from bottom to top.",
)
def sorted_by_x_then_y_then_z(vertices, faces):
    return steps(vertices, faces, columns=(2, 1, 0))


@mesh_to_sequence.misconception(
    "sorted by z alone",
    hint="Where z is equal, y decides, and where that is equal too, x.",
)
def sorted_by_z_alone(vertices, faces):
    return steps(vertices, faces, columns=(2,))


@mesh_to_sequence.misconception(
    "the columns come back as z, y, x",
    hint="z, y, x is the order of importance in sorting. The columns stay x, y, z.",
)
def columns_come_back_as_z_y_x(vertices, faces):
    points, faces = steps(vertices, faces)
    return points.flip(1), faces


@mesh_to_sequence.misconception(
    "the faces keep the old numbers",
    hint="After sorting, vertex 0 is another point. The faces need the new number of each of their vertices.",
)
def faces_keep_old_numbers(vertices, faces):
    return steps(vertices, faces, renumber=False)


@mesh_to_sequence.misconception(
    "the numbers are taken the wrong way round",
    hint="order[new] is the old number of the vertex at a new place. A face needs the new number of an old vertex: the "
    "inverse, order.argsort().",
)
def numbers_are_taken_wrong_way_round(vertices, faces):
    order = by_columns(vertices, (0, 1, 2))
    faces = turned(order[faces])
    return vertices[order], faces[by_columns(faces, (2, 1, 0))]


@mesh_to_sequence.misconception(
    "the three numbers of a face are sorted",
    hint="Sorting a face may mirror it: (2, 7, 5) is not (2, 5, 7). Turn it, (a, b, c) -> (b, c, a), until its lowest"
    " number stands first.",
)
def three_numbers_of_face_are_sorted(vertices, faces):
    return steps(vertices, faces, turn=lambda faces: faces.sort(1).values)


@mesh_to_sequence.misconception(
    "the faces are not turned",
    hint="Each face begins with its lowest number, after renumbering.",
)
def faces_are_not_turned(vertices, faces):
    return steps(vertices, faces, turn=lambda faces: faces)


@mesh_to_sequence.misconception(
    "the faces are turned before they are renumbered",
    hint="The lowest NEW number stands first: renumber, then turn.",
)
def faces_are_turned_before_they_are_renumbered(vertices, faces):
    order = by_columns(vertices, (0, 1, 2))
    faces = order.argsort()[turned(faces)]
    return vertices[order], faces[by_columns(faces, (2, 1, 0))]


@mesh_to_sequence.misconception(
    "the lowest number is exchanged with the first",
    hint="Exchanging two numbers mirrors the face. Turn it: all three move on by one.",
)
def lowest_number_is_exchanged_with_first(vertices, faces):
    def exchange(faces):
        out, at = faces.clone(), faces.argmin(1)
        rows = torch.arange(len(faces), device=faces.device)
        out[rows, at], out[:, 0] = faces[:, 0], faces[rows, at]
        return out

    return steps(vertices, faces, turn=exchange)


@mesh_to_sequence.misconception(
    "the faces are not sorted",
    hint="The faces are sorted too: by their first number, then the second, then the third.",
)
def faces_are_not_sorted(vertices, faces):
    return steps(vertices, faces, sort=())


@mesh_to_sequence.misconception(
    "the faces are sorted by their first number alone",
    hint="Many faces begin with the same number. The second decides then, and after it the third.",
)
def faces_are_sorted_by_first_number_alone(vertices, faces):
    return steps(vertices, faces, sort=(0,))


@mesh_to_sequence.misconception(
    "the largest comes first",
    hint="From the lowest z upwards: ascending order.",
)
def largest_comes_first(vertices, faces):
    order = by_columns(-vertices, (0, 1, 2))
    faces = turned(order.argsort()[faces])
    return vertices[order], faces[by_columns(faces, (2, 1, 0))]
