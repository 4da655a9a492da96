"""Which actions explain a path, and what none explains: `inverse_dynamics`."""

from __future__ import annotations

from itertools import pairwise

import torch

from ...exercise import exercise


@exercise("inverse_dynamics", points=1)
def inverse_dynamics(student, case):
    """(actions, residual): least squares u in s' = A s + B u, and the Euclidean norm of what it leaves."""
    truth = inverse_dynamics.oracle

    def given(paths, steps, dims, inputs):
        """B well conditioned: columns of unequal length, neither orthogonal nor nearly parallel."""
        frame = torch.linalg.qr(case.normal(dims, dims)).Q[:, :inputs]
        corner = torch.diag(torch.linspace(0.6, 1.7, inputs)) + 0.3 * torch.ones(inputs, inputs).triu(1)
        return case.normal(paths, steps + 1, dims), case.normal(dims, dims), frame @ corner.double()

    rows = given(3, 5, 4, 2)
    actions, residual = case.unpack(student(*rows), "actions", "residual")
    true_actions, true_residual = truth(*rows)
    case.expect(actions, true_actions, "the actions", points=0.25, dtype=True)
    case.expect(residual, true_residual, "the residual", points=0.25, dtype=True)
    single, whole = given(2, 1, 3, 1), given(3, 2, 2, 2)
    driven = given(2, 3, 4, 2)
    (path, _), A, B = driven
    for i in range(3):
        path[i + 1] = A @ path[i] + B @ case.normal(2)
    case.expect(
        [settled(student(*one)) for one in (single, whole, driven)],
        [settled(truth(*one)) for one in (single, whole, driven)],
        "one action; as many as entries of a state; a path that actions did make",
        points=0.25,
    )
    one = given(1, 1, 2, 1)
    case.conventions(student, rows, truth, points=0.25, also=[one, given(2, 2, 5, 3)])


def settled(value):
    """(actions, residual) with a residual of 0 where it is rounding alone; other answers as they are."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not isinstance(value[1], torch.Tensor):
        return value
    return [value[0], torch.where(value[1].abs() < 1e-9, 0.0, value[1])]


@inverse_dynamics.truth
def truth(states, A, B):
    """In an orthonormal frame whose first directions span B: those give the actions, the others are out of reach."""
    inputs = B.shape[1]
    frame, corner = torch.linalg.qr(B.double(), mode="complete")
    actions, left = [], []
    for path in states.double():
        moved = torch.stack([later - A.double() @ now for now, later in pairwise(path)])
        turned = moved @ frame
        actions.append(torch.linalg.solve_triangular(corner[:inputs], turned[:, :inputs].T, upper=True).T)
        left.append(torch.stack([torch.dist(row, torch.zeros_like(row)) for row in turned[:, inputs:]]))
    return torch.stack(actions).to(states.dtype), torch.stack(left).to(states.dtype)


def drift(states, A):
    """What each step did beside A s, (N, H, S)."""
    return states[:, 1:] - states[:, :-1] @ A.T


def explained(moved, B):
    return moved @ torch.linalg.pinv(B).T


@inverse_dynamics.alternative("the pseudoinverse")
def pseudoinverse(states, A, B):
    moved = drift(states, A)
    actions = explained(moved, B)
    return actions, torch.linalg.vector_norm(moved - actions @ B.T, dim=-1)


@inverse_dynamics.alternative("all steps as columns, Cholesky")
def columns_and_cholesky(states, A, B):
    moved = torch.einsum("nhs->shn", states[:, 1:] - torch.einsum("st,nht->nhs", A, states[:, :-1]))
    flat = moved.reshape(len(A), -1)
    u = torch.cholesky_solve(B.mT @ flat, torch.linalg.cholesky(B.mT @ B))
    left = (flat - B @ u).pow(2).sum(0).sqrt()
    return u.reshape(-1, *moved.shape[1:]).permute(2, 1, 0), left.reshape(moved.shape[1:]).T


@inverse_dynamics.alternative("normal equations, step by step")
def normal_equations(states, A, B):
    actions, left = [], []
    for path in states:
        for now, later in pairwise(path):
            rest = later - A @ now
            actions.append(torch.linalg.solve(B.T @ B, B.T @ rest))
            left.append((rest - B @ actions[-1]).norm())
    shape = len(states), states.shape[1] - 1
    return [torch.stack(actions).reshape(*shape, -1), torch.stack(left).reshape(shape)]


@inverse_dynamics.misconception(
    "what the state does by itself is not taken away",
    hint="Without any action the state moves to A s, not to s: what an action has to explain is s' - A s.",
)
def without_drift(states, A, B):
    moved = states[:, 1:] - states[:, :-1]
    actions = explained(moved, B)
    return actions, torch.linalg.vector_norm(moved - actions @ B.T, dim=-1)


@inverse_dynamics.misconception(
    "A is transposed",
    hint="With states as rows A s is written s @ A.T.",
)
def transposed(states, A, B):
    return pseudoinverse(states, A.T, B)


@inverse_dynamics.misconception(
    "multiplied by B' in place of solved",
    hint="B' is no inverse of B: its columns have other lengths than 1 and are not orthogonal. Least squares is asked "
    "for.",
)
def multiplied(states, A, B):
    moved = drift(states, A)
    actions = moved @ B
    return actions, torch.linalg.vector_norm(moved - actions @ B.T, dim=-1)


@inverse_dynamics.misconception(
    "the residual is squared", hint="The Euclidean norm is the root of the sum of squares: a root is missing."
)
def residual_squared(states, A, B):
    actions, residual = pseudoinverse(states, A, B)
    return actions, residual.square()


@inverse_dynamics.misconception(
    "the residual is a root of a mean",
    hint="A norm sums the squares of a state's entries; it does not average them.",
)
def residual_averaged(states, A, B):
    actions, residual = pseudoinverse(states, A, B)
    return actions, residual / states.shape[-1] ** 0.5


@inverse_dynamics.misconception(
    "the residual is a sum of absolute values",
    hint="The Euclidean norm squares the entries before it sums them.",
)
def residual_absolute(states, A, B):
    moved = drift(states, A)
    actions = explained(moved, B)
    return actions, (moved - actions @ B.T).abs().sum(-1)


@inverse_dynamics.misconception(
    "the residual has one number for each entry",
    hint="One number for each step, (N, H): the norm over the last axis.",
)
def residual_by_entry(states, A, B):
    moved = drift(states, A)
    actions = explained(moved, B)
    return actions, moved - actions @ B.T


@inverse_dynamics.misconception(
    "the residual is what the actions do explain",
    hint="Take away from s' - A s what B u is. What is left is the residual.",
)
def residual_explained(states, A, B):
    moved = drift(states, A)
    actions = explained(moved, B)
    return actions, torch.linalg.vector_norm(actions @ B.T, dim=-1)


@inverse_dynamics.misconception("one residual for a whole path", hint="Every step has a residual of its own: (N, H).")
def residual_of_path(states, A, B):
    actions, residual = pseudoinverse(states, A, B)
    return actions, residual.norm(dim=-1)


@inverse_dynamics.misconception(
    "the steps are read backwards",
    hint="s_i comes first and s_{i+1} is what it became: A acts on the earlier one.",
)
def read_backwards(states, A, B):
    moved = states[:, :-1] - states[:, 1:] @ A.T
    actions = explained(moved, B)
    return actions, torch.linalg.vector_norm(moved - actions @ B.T, dim=-1)


inverse_dynamics.derived(
    "parts exchanged",
    name="actions and residual are exchanged",
    hint="The actions come first, then the residual: return actions, residual.",
)
