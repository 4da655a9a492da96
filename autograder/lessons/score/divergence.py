"""How much a field spreads: `divergence`, exact and by probes."""

from __future__ import annotations

import torch
from torch.func import jacfwd, jacrev, jvp, vmap

from ...exercise import exercise
from ...sandbox.wire import Source

# A field that is its own weights: a tensor that can be called, so that the divergence can be differentiated in it.
FIELD = """
class Field(torch.Tensor):
    def __call__(self, x):
        weights = self.as_subclass(torch.Tensor).to(x.dtype)
        return (x @ weights).sin() + x.roll(1, -1) * x

field = torch.tensor({weights}, dtype=torch.float64).as_subclass(Field)
"""


@exercise("divergence", points=3)
def divergence(student, case):
    """sum_i df_i/dx_i for every row, or (1/N) sum_n v_n . J v_n with probes; differentiable in f's parameters."""
    truth = divergence.oracle

    def field(dims):
        return Source(FIELD.format(weights=case.normal(dims, dims).tolist()), "field")

    dims, side = case.integer(4, 6), case.integer(3, 5)
    rows = case.integer(2, dims - 1)
    f, x = field(dims), case.normal(rows, dims)
    case.expect(
        student(f, x), truth(f.run(), x), "the exact trace, fewer rows than dimensions", points=0.75, dtype=True
    )
    shapes = (field(1), case.normal(4, 1) + 2), (field(side), case.normal(side, side)), (f, case.normal(1, dims))
    case.expect(
        [student(g, places) for g, places in shapes],
        [truth(g.run(), places) for g, places in shapes],
        "one dimension, as many rows as dimensions, one row",
        points=0.5,
    )
    probes, single = 1.5 * case.normal(2, rows, dims), case.normal(1, rows, dims)
    case.expect(
        [student(f, x, probes), student(f, x, probes=single)],
        [truth(f.run(), x, probes), truth(f.run(), x, single)],
        "the mean over probes that are no signs",
        points=0.5,
    )
    pull = case.normal(rows)

    def slope(*given):
        leaf = f.run().as_subclass(torch.Tensor).clone().requires_grad_()

        def same_field(x):
            return (x @ leaf).sin() + x.roll(1, -1) * x

        return torch.autograd.grad((truth(same_field, *given) * pull).sum(), leaf)[0]

    for what, given, points in (("without probes", (x,), 0.5), ("with probes", (x, probes), 0.25)):
        case.expect(
            student.gradient(f, *given, weights=[pull], wrt=[0]),
            [slope(*given)],
            f"its gradient with respect to the field's weights, {what}",
            points=points,
            hint="the result must keep its graph: create_graph=True, no detach, no .item()",
        )
    case.conventions(student, (f, x, probes), truth, points=0.5)


@divergence.truth
def truth(f, x, probes=None):
    """By forward-mode differentiation, row by row."""

    def row(x):
        return f(x[None])[0]

    if probes is None:
        return vmap(jacfwd(row))(x).diagonal(dim1=1, dim2=2).sum(1)
    along = [vmap(lambda x, v: jvp(row, (x,), (v,))[1] @ v)(x, v) for v in probes]
    return torch.stack(along).mean(0)


def _pulled(f, x, v, graph=True):
    """v^T J for every row."""
    x = x.detach().requires_grad_()
    y = f(x)
    return torch.autograd.grad((y * v).sum(), x, create_graph=graph)[0]


def _axes(x):
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)


def _exact(f, x, graph=True):
    return sum(_pulled(f, x, axis, graph)[:, i] for i, axis in enumerate(_axes(x)))


def _probed(f, x, probes, graph=True):
    return sum((_pulled(f, x, v, graph) * v).sum(1) for v in probes) / len(probes)


@divergence.alternative("the Jacobian of the whole batch")
def jacobian_of_whole_batch(f, x, probes=None):
    J = torch.autograd.functional.jacobian(f, x, create_graph=True)  # (B, D, B, D)
    own = torch.stack([J[b, :, b] for b in range(len(x))])
    if probes is None:
        return torch.einsum("bii->b", own)
    return torch.einsum("nbi,bij,nbj->nb", probes, own, probes).mean(0)


@divergence.alternative("vmap of jacrev")
def vmap_of_jacrev(f, x, probes=None):
    J = vmap(jacrev(lambda row: f(row.unsqueeze(0)).squeeze(0)))(x)
    if probes is None:
        return torch.stack([matrix.trace() for matrix in J])
    return torch.stack([(v * (J @ v[..., None])[..., 0]).sum(1) for v in probes]).sum(0) / probes.shape[0]


@divergence.alternative("all probes in one large batch")
def all_probes_in_one_batch(f, x, probes=None):
    directions = _axes(x)[:, None].expand(-1, len(x), -1) if probes is None else probes
    many = x.repeat(len(directions), 1).requires_grad_()
    with torch.enable_grad():
        (back,) = torch.autograd.grad(f(many), many, directions.reshape(many.shape), create_graph=True)
    each = (back * directions.reshape(many.shape)).sum(1).reshape(len(directions), len(x))
    return each.sum(0) if probes is None else each.mean(0)


@divergence.misconception(
    "the whole Jacobian is summed",
    hint="The divergence is the trace: only d f_i / d x_i, output and input with the same index, belongs to it. The "
    "gradient of f(x).sum() mixes all pairs.",
)
def whole_jacobian(f, x, probes=None):
    return _pulled(f, x, torch.ones_like(x)).sum(1) if probes is None else _probed(f, x, probes)


@divergence.misconception(
    "the diagonal is not summed",
    hint="You return d f_i / d x_i for every i, shape (B, D). The divergence is their sum, one number per row.",
)
def diagonal_not_summed(f, x, probes=None):
    if probes is not None:
        return torch.stack([_pulled(f, x, v) * v for v in probes]).mean(0)
    return torch.stack([_pulled(f, x, axis)[:, i] for i, axis in enumerate(_axes(x))], 1)


@divergence.misconception(
    "the mean over the dimensions",
    hint="A trace is a sum over the dimensions, not their mean.",
)
def mean_over_dimensions(f, x, probes=None):
    return (_exact(f, x) if probes is None else _probed(f, x, probes)) / x.shape[1]


@divergence.misconception(
    "one number for the whole batch",
    hint="Each row has its own divergence: the answer has shape (B,).",
)
def one_number_for_batch(f, x, probes=None):
    return (_exact(f, x) if probes is None else _probed(f, x, probes)).mean()


@divergence.misconception(
    "the rows are added up",
    hint="Each row has its own divergence: sum over the dimensions, not over the batch.",
)
def rows_added_up(f, x, probes=None):
    return (_exact(f, x) if probes is None else _probed(f, x, probes)).sum()


@divergence.misconception(
    "the probes are added, not averaged",
    hint="Each probe is an estimate of the whole trace. With N of them take the mean.",
)
def probes_added(f, x, probes=None):
    return _exact(f, x) if probes is None else _probed(f, x, probes) * len(probes)


@divergence.misconception(
    "the probes are turned into signs",
    hint="Probes may be any numbers, and are used as they come: v . J v with v itself.",
)
def probes_as_signs(f, x, probes=None):
    return _exact(f, x) if probes is None else _probed(f, x, probes.sign())


@divergence.misconception(
    "the probes are normalised",
    hint="Probes are used as they come. Dividing v . J v by v . v is another quantity, a Rayleigh quotient.",
)
def probes_normalised(f, x, probes=None):
    return _exact(f, x) if probes is None else _probed(f, x, probes / probes.norm(dim=-1, keepdim=True))


@divergence.misconception(
    "the probes are ignored",
    hint="With probes the estimate v . J v is asked for, which costs one backward pass per probe whatever D is.",
)
def probes_ignored(f, x, probes=None):
    return _exact(f, x)


@divergence.misconception(
    "only the first probe is used",
    hint="probes has shape (N, B, D): take the mean over all N of them.",
)
def first_probe_only(f, x, probes=None):
    return _exact(f, x) if probes is None else _probed(f, x, probes[:1])


@divergence.misconception(
    "the second product with the probe is missing",
    hint="torch.autograd.grad gives v^T J. Multiply by v once more before you sum.",
)
def second_product_missing(f, x, probes=None):
    return _exact(f, x) if probes is None else sum(_pulled(f, x, v).sum(1) for v in probes) / len(probes)


@divergence.misconception(
    "the graph is lost",
    hint="The value is right, but it cannot be differentiated with respect to what f contains: create_graph=True, and "
    "no detach or .item().",
)
def graph_lost(f, x, probes=None):
    return (_exact(f, x, False) if probes is None else _probed(f, x, probes, False)).detach()


@divergence.misconception(
    "the sign is turned",
    hint="The divergence is the trace of the Jacobian itself: positive where the field spreads.",
)
def sign_turned(f, x, probes=None):
    return -(_exact(f, x) if probes is None else _probed(f, x, probes))
