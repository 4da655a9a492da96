"""The grammar of a list of triangles: `next_corner_mask`."""

from __future__ import annotations

import itertools

import torch

from ...exercise import exercise


@exercise("next_corner_mask", points=2)
def next_corner_mask(student, case):
    """bool (V,): the vertices with which a canonical triangle goes on, behind a legal beginning of a face list."""
    count = case.integer(5, 6)
    for open_corners, what in enumerate(
        ("where a triangle begins", "the second corner of a triangle", "the third corner of a triangle")
    ):
        questions = [(corners, count) for corners in beginnings(case, count, open_corners)]
        case.expect(asked(student, questions), right(questions), what, points=0.5, dtype=True)
    none = torch.zeros(0, dtype=torch.long)
    last = torch.tensor([count - 3, count - 1, count - 2])
    edges = [(none, count), (last, count), (none, 3), (none, 2), (none, 1), (torch.tensor([0, 2, 1]), 3)]
    case.expect(
        asked(student, edges),
        right(edges),
        "no corners yet, a list that is complete, meshes of three vertices and fewer",
        points=0.25,
        hint="where nothing goes on every entry is False, and nothing is raised",
    )
    first, *others = [(corners, count) for corners in beginnings(case, count, 1)]
    case.conventions(student, first, next_corner_mask.oracle, points=0.25, also=[*others, (none, 1)])


def asked(student, questions):
    """All of them in one crossing."""
    return student.several(*({"op": "call", "args": list(question), "kwargs": {}} for question in questions))


def right(questions):
    return [next_corner_mask.oracle(*question) for question in questions]


def beginnings(case, count, open_corners):
    """Lists over `count` vertices with so many corners of the newest triangle written, in an order that is drawn: for
    each last triangle the earliest, the latest and another beginning behind it, and triangles drawn in front of it.
    """
    triangles = canonical(count)
    found = []
    for place, last in enumerate(triangles):
        behind = sorted({face[:open_corners] for face in triangles[place + 1 :]})
        for begun in {*behind[:1], *behind[-1:], *(behind and [behind[case.integer(0, len(behind) - 1)]])}:
            before = [face for face in triangles[:place] if case.uniform(1).item() < 0.2]
            found.append(torch.tensor([*itertools.chain(*before, last), *begun], dtype=torch.long))
    found += [torch.tensor(begun, dtype=torch.long) for begun in sorted({face[:open_corners] for face in triangles})]
    return [found[i] for i in torch.randperm(len(found), generator=case.generator).tolist()]


def canonical(count):
    """All triangles, lowest corner first, in lexicographic order."""
    return [face for face in itertools.product(range(count), repeat=3) if len({*face}) == 3 and face[0] == min(face)]


@next_corner_mask.truth
def truth(corners, num_vertices):
    """By numbers: the canonical triangles that begin alike have consecutive ones, and a beginning goes on if the last
    of its own comes after that of the last complete triangle.
    """
    written = corners.tolist()
    whole = len(written) // 3 * 3
    done = end_of(written[whole - 3 : whole], num_vertices) if whole else 0
    answers = [end_of([*written[whole:], vertex], num_vertices) > done for vertex in range(num_vertices)]
    return torch.tensor(answers, dtype=torch.bool)


def end_of(begun, count):
    """How many canonical triangles come before the first one behind all that begin so; 0 where none begins so."""
    first, *later = begun
    above = count - 1 - first  # vertices for the other two corners
    before = sum((count - 1 - a) * (count - 2 - a) for a in range(first))
    if above < 2 or any(corner <= first for corner in later) or len({*later}) < len(later):
        return 0
    if not later:
        return before + above * (above - 1)
    second, *third = later
    before += (second - first - 1) * (above - 1)
    if not third:
        return before + above - 1
    return before + third[0] - first - int(third[0] > second)


def split(corners):
    """The last complete triangle (None where there is none) and the corners behind it."""
    written = corners.tolist()
    whole = len(written) // 3 * 3
    return tuple(written[whole - 3 : whole]) if whole else None, written[whole:]


def rules(corners, num_vertices, *, strict=True, order=True, ahead=True, lowest=True, different=True, mirror=True):
    """By the rules for each corner; a mistake leaves one of them out."""
    last, begun = split(corners)
    tied = order and last is not None and list(last[: len(begun)]) == begun
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    for v in range(num_vertices):
        face = [*begun, v]
        fine = (v not in begun or not different) and (not lowest or v >= face[0])
        fine &= mirror or len(face) < 3 or v > face[1]
        if ahead and len(face) < 3:
            left = [u for u in range(face[0] + 1, num_vertices) if u not in face]
            fine &= len(left) >= 3 - len(face)
            if tied and v == last[len(begun)]:
                fine &= any([*face, *rest] > list(last) for rest in itertools.permutations(left, 3 - len(face)))
        if tied:
            fine &= v > last[len(begun)] if strict and len(face) == 3 else v >= last[len(begun)]
        mask[v] = bool(fine)
    return mask


@next_corner_mask.alternative("rule after rule")
def rule_after_rule(corners, num_vertices):
    return rules(corners, num_vertices)


@next_corner_mask.alternative("of all that begin so, the last one")
def last_of_all(corners, num_vertices):
    last, begun = split(corners)
    found = []
    for v in range(num_vertices):
        face = [*begun, v]
        left = [u for u in range(num_vertices - 1, face[0], -1) if u not in face]
        whole = tuple(face + left[: 3 - len(face)])
        legal = len(set(whole)) == 3 and whole[0] == min(whole)
        found.append(legal and (last is None or whole > last))
    return torch.as_tensor(found, dtype=torch.bool).to(corners.device)


@next_corner_mask.alternative("all triangles listed")
def all_listed(corners, num_vertices):
    last, begun = split(corners)
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    for face in itertools.permutations(range(num_vertices), 3):
        later = face[0] < face[1] and face[0] < face[2] and (last is None or face > last)
        if later and list(face[: len(begun)]) == begun:
            mask[face[len(begun)]] = True
    return mask


@next_corner_mask.alternative("a table of all triples, numbered")
def numbered(corners, num_vertices):
    V, n = num_vertices, corners.numel() // 3 * 3
    i = torch.arange(V, device=corners.device)
    a, b, c = i[:, None, None], i[None, :, None], i
    legal = (a < b) & (a < c) & (b != c)
    if n:
        x, y, z = corners[n - 3 : n]
        legal &= (a * V + b) * V + c > (x * V + y) * V + z
    for corner in corners[n:]:
        legal = legal[int(corner)].unsqueeze(0)[0]
    return legal.flatten(1).any(1) if legal.ndim > 1 else legal


@next_corner_mask.misconception(
    "the last triangle may come again",
    hint="Strictly after the last complete triangle: the same three corners once more are not allowed.",
)
def may_come_again(corners, num_vertices):
    last, begun = split(corners)
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    for face in canonical(num_vertices):
        if (last is None or face >= last) and list(face[: len(begun)]) == begun:
            mask[face[len(begun)]] = True
    return mask


@next_corner_mask.misconception(
    "only one orientation",
    hint="(0, 1, 2) and (0, 2, 1) are two triangles, seen from two sides. The lowest corner stands first; the other "
    "two in either order.",
)
def one_orientation(corners, num_vertices):
    last, begun = split(corners)
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    for face in itertools.combinations(range(num_vertices), 3):
        if (last is None or face > last) and list(face[: len(begun)]) == begun:
            mask[face[len(begun)]] = True
    return mask


@next_corner_mask.misconception(
    "it does not look ahead",
    hint="A corner is of use only if the triangle can be finished behind it, and comes after the last one then. At the "
    "first and second corner ask what is left for the others.",
)
def no_look_ahead(corners, num_vertices):
    return rules(corners, num_vertices, ahead=False)


@next_corner_mask.misconception(
    "the lowest corner need not stand first",
    hint="A triangle begins with its lowest corner: what follows is larger than the first.",
)
def lowest_anywhere(corners, num_vertices):
    return rules(corners, num_vertices, lowest=False, ahead=False)


@next_corner_mask.misconception(
    "a corner may come twice in one triangle",
    hint="Three different vertices make a triangle: the third corner is neither the first nor the second.",
)
def corner_twice(corners, num_vertices):
    return rules(corners, num_vertices, different=False)


@next_corner_mask.misconception(
    "the order of the faces is forgotten",
    hint="Not only the newest triangle counts: it has to come after the last complete one in the list.",
)
def order_forgotten(corners, num_vertices):
    return rules(corners, num_vertices, order=False)


@next_corner_mask.misconception(
    "only what is written already is ruled out",
    hint="A list is sorted: it is not enough that a triangle is new, it has to come after the last one.",
)
def new_is_enough(corners, num_vertices):
    _, begun = split(corners)
    written = {tuple(face) for face in corners[: len(corners) // 3 * 3].reshape(-1, 3).tolist()}
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    for face in canonical(num_vertices):
        if face not in written and list(face[: len(begun)]) == begun:
            mask[face[len(begun)]] = True
    return mask


@next_corner_mask.misconception(
    "anything may begin a list",
    hint="The first corner of all is a lowest one already: two larger vertices have to be left for the other two.",
)
def anything_begins(corners, num_vertices):
    return (
        torch.ones(num_vertices, dtype=torch.bool, device=corners.device)
        if len(corners) == 0
        else rules(corners, num_vertices)
    )


@next_corner_mask.misconception(
    "each corner is held against the last triangle's",
    hint="Lexicographic: once an earlier corner is larger than the last triangle's, the later ones are free.",
)
def corner_by_corner(corners, num_vertices):
    last, begun = split(corners)
    mask = rules(corners, num_vertices)
    if last is not None:
        mask &= torch.arange(num_vertices, device=corners.device) >= last[len(begun)]
    return mask


@next_corner_mask.misconception(
    "a triangle begins strictly after the last one's first corner",
    hint="Many triangles have the same first corner: it may stay the same as long as something comes after.",
)
def first_corner_strict(corners, num_vertices):
    last, begun = split(corners)
    mask = rules(corners, num_vertices)
    if last is not None and not begun:
        mask[last[0]] = False
    return mask


@next_corner_mask.misconception(
    "the second corner strictly after the last one's",
    hint="With the first corner the same, the second may be the same too, as long as a larger third is left.",
)
def second_corner_strict(corners, num_vertices):
    last, begun = split(corners)
    mask = rules(corners, num_vertices)
    if last is not None and begun == [last[0]]:
        mask[last[1]] = False
    return mask


@next_corner_mask.misconception(
    "the last three corners taken for the last triangle",
    hint="corners may end inside a triangle. The last complete one ends at a multiple of three.",
)
def last_three(corners, num_vertices):
    last, begun = split(corners)
    mask = torch.zeros(num_vertices, dtype=torch.bool, device=corners.device)
    known = tuple(corners[-3:].tolist()) if last is not None else None
    for face in canonical(num_vertices):
        if (known is None or face > known) and list(face[: len(begun)]) == begun:
            mask[face[len(begun)]] = True
    return mask


@next_corner_mask.misconception(
    "each vertex serves once",
    hint="A vertex belongs to many triangles. Only within one triangle are the corners different.",
)
def each_vertex_once(corners, num_vertices):
    mask = rules(corners, num_vertices)
    mask[corners] = False
    return mask


@next_corner_mask.misconception(
    "the mask is turned round", hint="True marks a vertex with which the list can go on, not one that is ruled out."
)
def turned_round(corners, num_vertices):
    return ~rules(corners, num_vertices)


@next_corner_mask.misconception(
    "numbers of vertices in place of a mask", hint="A bool tensor with one entry per vertex is asked for."
)
def numbers(corners, num_vertices):
    return rules(corners, num_vertices).nonzero()[:, 0]


@next_corner_mask.misconception(
    "the mask is no bool", hint="True and False are asked for, not ones and zeros: dtype=torch.bool."
)
def no_bool(corners, num_vertices):
    return rules(corners, num_vertices).float()


@next_corner_mask.misconception(
    "a beginning without corners is not expected",
    hint="corners may be empty: there is no last triangle then, and corners[-1] raises an error.",
)
def empty_not_expected(corners, num_vertices):
    corners[-1].item()
    return rules(corners, num_vertices)
