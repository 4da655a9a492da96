#!/usr/bin/env bash
# flow-matching 1.0.10: `compute_likelihood` is an estimate from one random draw unless told otherwise.
#
# Guess, written down first: `ODESolver.compute_likelihood` gives the log-likelihood of each example up to the solver's error,
# the same number each time.
# Seen: `exact_divergence=False` is the default, and the trace is estimated along one random vector of signs. In the linear
# flow dx/dt = A x of four dimensions with 0 on A's diagonal and 1 elsewhere, the trace is 0 and the estimates are -4, 0 and
# 12: each example is off by so many nats at any tolerance of the solver; with `exact_divergence=True` none is. An average
# over a test set comes out right; the density of one example, a score of outliers, a ratio of two classes do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchdiffeq==0.2.5 tqdm==4.70.1
"$folder/env/bin/pip" install --quiet --no-deps flow-matching==1.0.10
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from flow_matching.solver import ODESolver
from flow_matching.utils import ModelWrapper

torch.manual_seed(0)
A = 1 - torch.eye(4)


class Linear(ModelWrapper):
    """The velocity A x."""

    def __init__(self):
        super().__init__(torch.nn.Identity())

    def forward(self, x, t, **rest):
        return x @ A.T


def normal(x):
    return torch.distributions.Normal(0, 1).log_prob(x).sum(1)


x = torch.randn(500, 4)
truth = normal(x @ torch.matrix_exp(-A).T)  # the trace of A is 0
solver = ODESolver(velocity_model=Linear())


def off(**options):
    """Errors in nats, one for each example."""
    _, found = solver.compute_likelihood(x_1=x, log_p0=normal, step_size=None, method="dopri5", **options)
    return found - truth


default, exact = off(), off(exact_divergence=True)
errors, times = default.round().unique(return_counts=True)
print("as shipped off by", dict(zip(errors.tolist(), times.tolist())), f"nats (times); mean {default.mean():+.2f}, "
      f"root mean square {default.square().mean().sqrt():.2f}; with exact_divergence=True at most {exact.abs().max():.4f}")
assert errors.tolist() == [-12.0, 0.0, 4.0] and exact.abs().max() < 0.01, "the behaviour has changed"
PYTHON
