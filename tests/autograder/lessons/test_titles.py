"""A title that states an outcome is chosen by the run: the same cell on turned answers shows another title."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lesson_answers import lesson_source

from course_lib import exact, plots

# lesson, first line of the cell, the name that is turned, and how
TURNED: list[tuple[str, str, str, Any]] = [
    ("01-elbo", "# Experiment: the best coin", "coin_model", lambda f: lambda theta: f(1 - torch.as_tensor(theta))),
    (
        "01-elbo",
        "# Experiment: how far the estimate misses",
        "evidence_monte_carlo",
        lambda f: lambda values: f(values) - 5,
    ),
    (
        "01-elbo",
        "# Experiment: prior draws and the posterior",
        "ppca_posterior",
        lambda f: lambda *a: (f(*a)[0] + 3, f(*a)[1]),
    ),
    ("01-elbo", "# Experiment: each line of the slide", "elbo_discrete", lambda f: lambda *a: f(*a) - 1),
    ("01-elbo", "# Experiment: EM on the line", "line_x", lambda x: x.abs()),
    ("02-vae", "# Experiment: the bound as a curve", "posterior", lambda p: p.flip(0)),
    ("02-vae", "# Experiment: which estimator varies less", "pathwise_gradient", lambda f: lambda *a: f(*a) + 1),
    ("02-vae", "# Experiment: the slide against samples", "gaussian_kl", lambda f: lambda *a: 2 * f(*a)),
    ("02-vae", "# Experiment: the price of grey", "bernoulli_log_likelihood", lambda f: lambda *a: 2 * f(*a)),
    ("02-vae", "# Experiment: codes that no digit uses", "train_x", lambda x: 1 - x),
    ("04-forward", "# Experiment: the variance of three chains", "variance_after", lambda f: lambda *a: 2 * f(*a)),
    ("04-forward", "# Experiment: two schedules compared", "log_snr", lambda f: lambda *a: f(*a) - 3),
    ("05-posterior", "# Experiment: the bound's weights", "loss_weight_eps", lambda f: lambda *a: f(*a).flip(0)),
    (
        "05-posterior",
        "# Experiment: the slide's mean",
        "posterior_coefficients",
        lambda f: lambda *a: tuple(0.5 * c for c in f(*a)),
    ),
    (
        "05-posterior",
        "# Experiment: the walk back, with the answer in hand",
        "q_posterior",
        lambda f: lambda *a: (f(*a)[0] + 0.1, f(*a)[1]),
    ),
    ("05-posterior", "# Experiment: small steps", "costs", lambda f: {T: 1 / cost for T, cost in f.items()}),
    (
        "05-posterior",
        "# Experiment: what four choices of the variance cost",
        "reverse_variances",
        lambda f: lambda *a: (f(*a)[0], {name: 1.5 * f(*a)[0].mean(1, keepdim=True) for name in f(*a)[1]}),
    ),
    (
        "05-posterior",
        "# Experiment: one step back, with and without x_0",
        "MIXTURE",
        lambda mixture: exact.GaussianData([0.0], [[1.0]]),
    ),
    (
        "06-sampling",
        "# Experiment: patterns of time",
        "timestep_embedding",
        lambda f: lambda t, dim: f(t, dim) * (1 + t[:, None] / 100),
    ),
    ("06-sampling", "# Experiment: two slides and your p_step", "p_step", lambda f: lambda *a: 0.9 * f(*a)),
    ("06-sampling", "# Experiment: where eta = 1 overtakes", "exact_distance", lambda f: lambda *a: 1 / f(*a)),
    ("08-guidance", "# Experiment: three variances", "limits", lambda f: lambda *a: f(*a)[::-1]),
    (
        "08-guidance",
        "# Experiment: the difference alone",
        "ddim_step",
        lambda f: lambda *a, **k: 1.001 * f(*a, **k),
    ),
    (
        "09-latent",
        "# Experiment: the true slope of a rounded number",
        "rounding_slope",
        lambda f: lambda mu, s: f(mu, 1.3 * s),
    ),
    (
        "09-latent",
        "# Experiment: who drops the mode first?",
        "fits_by_distance",
        lambda f: lambda: (f()[0], f()[1].flip(1)),
    ),
    (
        "09-latent",
        "# Experiment: missed and dropped",
        "shares_of_error",
        lambda f: lambda J, *a: (f(J, *a)[0] + J, f(J, *a)[1]),
    ),
    (
        "11-worlds",
        "# Experiment: guidance moves the place of rest",
        "sds_fixed_point",
        lambda f: lambda *a: f(*a[:-1], 3 * a[-1]),
    ),
    (
        "11-worlds",
        "# Experiment: where score distillation ends",
        "force_table",
        lambda f: lambda: (f()[0].flip(1).neg(), f()[1].flip(1)),
    ),
    (
        "10-policy",
        "# Experiment: the plans that reach the goal",
        "cart_plans",
        lambda f: lambda: type(f())(f().mean, 4 * f().cov),
    ),
    (
        "10-policy",
        "# Experiment: doing as the lucky did",
        "repeated",
        lambda f: lambda *a: ([chance / 2 for chance in f(*a)[0]], f(*a)[1]),
    ),
]


# What an experiment may need of another one.
NEEDED = {"# Experiment: codes that no digit uses": ("# Experiment: a VAE with two latents",)}


@pytest.fixture
def titles(monkeypatch) -> list[list[str]]:
    """The titles of each figure that is shown."""
    shown: list[list[str]] = []

    def keep(fig: Any, alt: str) -> None:
        fig = fig[0] if isinstance(fig, tuple) else fig
        shown.append([ax.get_title(loc=where) for ax in fig.axes for where in ("left", "center")])

    monkeypatch.setattr(plots, "show", keep)
    for name, value in (("COURSE_BUDGET", "short"), ("COURSE_PROGRESS", "off"), ("COURSE_WIDGETS", "static")):
        monkeypatch.setenv(name, value)
    return shown


class Read:
    """A lesson's cells but its experiments, run as far as somebody has read, once for all experiments that follow."""

    def __init__(self, lesson: str) -> None:
        self.cells = [cell for cell in lesson_source(lesson).cells if cell.is_code]
        self.names: dict[str, Any] = {"__name__": "__notebook__"}
        self.run = 0

    def place(self, first: str) -> int:
        """Where the cell stands that begins with this line."""
        (found,) = [place for place, cell in enumerate(self.cells) if cell.source.startswith(first)]
        return found

    def read_to(self, place: int) -> None:
        """Run what stands above this cell and has not been run yet."""
        for cell in self.cells[self.run : place]:
            if not cell.is_experiment or cell.kind == "predict":
                exec(compile(cell.source, cell.name, "exec"), self.names)
        self.run = max(self.run, place)

    @contextlib.contextmanager
    def aside(self) -> Iterator[dict[str, Any]]:
        """All names as they are, and again afterwards; what a function keeps is forgotten."""
        kept = dict(self.names)
        try:
            yield self.names
        finally:
            self.names.clear()
            self.names.update(kept)
            for value in kept.values():
                getattr(value, "cache_clear", int)()


READ: dict[str, Read] = {}


def in_the_pages_order(row: tuple[str, str, str, Any]) -> tuple[str, int]:
    lesson, first, *_ = row
    return lesson, Read(lesson).place(first)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("lesson", "first", "name", "turn"),
    [pytest.param(*row, id=row[1][14:]) for row in sorted(TURNED, key=in_the_pages_order)],
)
def test_turned_answers_show_another_title(lesson, first, name, turn, titles):
    page = READ.get(lesson)
    if page is None or page.run > page.place(first):  # asked out of order
        page = READ[lesson] = Read(lesson)
    code = compile(page.cells[page.place(first)].source, first, "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        page.read_to(page.place(first))
        with page.aside() as names:
            for line in NEEDED.get(first, ()):
                exec(compile(page.cells[page.place(line)].source, line, "exec"), names)
            exec(code, names)
            names[name] = turn(names[name])
            exec(code, names)
    before, after = titles[-2:]
    assert before != after and any(before)
