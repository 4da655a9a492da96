"""Labels that say nothing now and then: `drop_labels`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import LABELS_OVERWRITTEN


@exercise("drop_labels", points=1)
def drop_labels(student, case):
    """null where u < p, else y: LongTensor (B,)."""
    truth, classes = drop_labels.oracle, case.integer(3, 5)
    null = classes + case.integer(2, 5)
    count = case.integer(9, 12)
    p = case.number(0.3, 0.7)
    y = torch.randint(0, classes - 1, (count,), generator=case.generator)  # the last class is not among them
    u = case.uniform(count, low=0.02, high=0.98)
    u[:4] = torch.tensor([p / 2, (1 + p) / 2, p / 3, 1 - (1 - p) / 3], dtype=u.dtype)
    y[:4] = torch.tensor([1, 1, 0, 0])
    u = torch.where((u - p).abs() < 1e-3, u + 0.01, u)
    case.expect(student(y, u, p, null), truth(y, u, p, null), "each example on its own", points=0.25, dtype=True)
    edge = u.clone()
    edge[1] = 0.0
    case.expect(
        [student(y, edge, 0.0, null), student(y, edge, 1.0, null)],
        [truth(y, edge, 0.0, null), truth(y, edge, 1.0, null)],
        "p = 0 drops none and p = 1 all, u = 0 among them",
        points=0.25,
    )
    ties = torch.tensor([0.25, 0.0, 0.5, 0.75, 0.125], dtype=torch.float64)
    labels = torch.tensor([1, 0, 2, 1, 2])
    case.expect(
        [student(labels, ties, q, null) for q in (0.25, 0.5)],
        [truth(labels, ties, q, null) for q in (0.25, 0.5)],
        "u equal to p keeps its label",
        points=0.25,
    )
    one = y[:1], u[:1], p, null
    case.conventions(student, (y, u, p, null), truth, points=0.25, also=[one, (labels, ties, 0.5, classes)])


@drop_labels.truth
def truth(y, u, p, null):
    """Example by example, in Python's own numbers."""
    return torch.tensor([null if chance < p else label for label, chance in zip(y.tolist(), u.tolist(), strict=True)])


@drop_labels.alternative("where")
def by_where(y, u, p, null):
    return torch.where(u < p, torch.full_like(y, null), y)


@drop_labels.alternative("masked_fill")
def by_masked_fill(y, u, p, null):
    return y.masked_fill(u < p, null)


@drop_labels.alternative("a clone, indexed")
def by_index(y, u, p, null):
    labels = y.clone()
    labels[torch.lt(u, p)] = null
    return labels


@drop_labels.alternative("arithmetic")
def by_arithmetic(y, u, p, null):
    drop = (u < p).long()
    return y * (1 - drop) + null * drop


@drop_labels.misconception(
    "the labels are kept where they should be dropped",
    hint="p is the share that is dropped: null stands where u is below p.",
)
def kept_where_dropped(y, u, p, null):
    return torch.where(u < p, y, torch.full_like(y, null))


@drop_labels.misconception(
    "u equal to p is dropped too",
    hint="u is uniform on [0, 1), so 0 does occur: with p = 0 nothing may be dropped, which u < p keeps and u <= p "
    "breaks.",
)
def ties_dropped(y, u, p, null):
    return torch.where(u <= p, torch.full_like(y, null), y)


@drop_labels.misconception(
    "the whole batch is dropped together",
    hint="Each example has its own u: compare all of them with p, not the first one.",
)
def together(y, u, p, null):
    return torch.full_like(y, null) if u[0] < p else y.clone()


@drop_labels.misconception(
    "chance is drawn inside",
    hint="The chance is an argument: use the u that you are given, and the same call always gives the same answer.",
)
def drawn_inside(y, u, p, null):
    return torch.where(torch.rand(len(y)) < p, torch.full_like(y, null), y)


@drop_labels.misconception(
    "null is taken to be the number of labels seen",
    hint="Which number means nothing is told by `null`; y.max() + 1 is another one whenever a class is missing.",
)
def null_is_counted(y, u, p, null):
    return torch.where(u < p, y.max() + 1, y)


@drop_labels.misconception(
    "a dropped label becomes class 0",
    hint="0 is a class like any other. A label that says nothing is `null`.",
)
def becomes_class_0(y, u, p, null):
    return y * (u >= p).long()


@drop_labels.misconception(*LABELS_OVERWRITTEN)
def overwritten(y, u, p, null):
    y[u < p] = null
    return y
