#!/usr/bin/env bash
# torchsde 0.2.6: two Brownian motions of the same entropy are not the same motion.
#
# Guess, written down first: a path of `BrownianInterval(0.0, 1.0, size, entropy=7)`, "Brownian interval with fixed entropy",
# depends on its seed and its times alone.
# Seen: W(0.5) is another number when W(0.3) was asked for first. So two step sizes compared with one seed walk under two
# noises: the error of dt=0.05 against dt=0.01 stays at 0.17 on a process of deviation 0.64 instead of falling to 0.013, and no
# strong order can be read off. The note on the option `halfway_tree` says so; with it, or with one object for both walks, the
# error is the right one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchsde==0.2.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from torchsde import BrownianInterval, sdeint

N = 2000


class Relaxing(torch.nn.Module):
    """dy = -y dt + dW."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, y):
        return -y

    def g(self, t, y):
        return torch.ones_like(y)


def motion(**options):
    return BrownianInterval(0.0, 1.0, size=(N, 1), dtype=torch.float64, entropy=7, **options)


def end(dt, noise):
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return sdeint(Relaxing(), torch.zeros(N, 1, dtype=torch.float64), times, bm=noise, dt=dt, method="euler")[-1]


def error(first, second):
    """Root mean square of what the step size does, dt = 0.05 against 0.01."""
    return ((end(0.05, first) - end(0.01, second)) ** 2).mean().sqrt().item()


asked, fresh = motion(), motion()
asked(0.0, 0.3)
moved = (asked(0.0, 0.5) - fresh(0.0, 0.5)).abs().max().item()
one = motion()
seen = {
    "same entropy": error(motion(), motion()),
    "halfway_tree": error(motion(halfway_tree=True, tol=1e-4), motion(halfway_tree=True, tol=1e-4)),
    "one object": error(one, one),
}
print(f"W(0.5) moves by up to {moved:.2f}; errors of dt=0.05:", {name: round(value, 4) for name, value in seen.items()})
assert moved > 0.5 and seen["same entropy"] > 0.15, "the behaviour has changed"
assert seen["halfway_tree"] < 0.02 and seen["one object"] < 0.02, "the behaviour has changed"
PYTHON
