#!/usr/bin/env bash
# torchsde 0.2.6: output times between two steps are read off a straight line.
#
# Guess, written down first: `sdeint(sde, y0, ts, dt=0.1)` shortens a step so that it ends at each time of `ts`, and what it
# returns is the walk at these times.
# Seen: it steps by dt whatever `ts` says and interpolates linearly, so a path asked for at 101 times with dt=0.1 has ten
# steps and ninety points on chords. The squared increments of Brownian motion, which add up to 1 on [0, 1], add up to 0.1,
# and its variance at 0.05 is 0.025, half of the truth. With dt no longer than the gaps of `ts` it is right. A drift or a
# noise level fitted to such paths is that of another process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchsde==0.2.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from torchsde import BrownianInterval, sdeint


class Brownian(torch.nn.Module):
    """dy = dW."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, y):
        return 0 * y

    def g(self, t, y):
        return torch.ones_like(y)


times = torch.linspace(0, 1, 101, dtype=torch.float64)


def walked(dt):
    """Sum of squared increments along 5,000 paths, and the variance at 0.05."""
    noise = BrownianInterval(0.0, 1.0, size=(5000, 1), dtype=torch.float64, entropy=7)
    y = sdeint(Brownian(), torch.zeros(5000, 1, dtype=torch.float64), times, bm=noise, dt=dt, method="euler")
    return (y.diff(dim=0) ** 2).sum(0).mean().item(), y[5].var().item()


seen = {dt: walked(dt) for dt in (0.1, 0.01)}
for dt, (squares, variance) in seen.items():
    print(f"dt={dt}: squared increments {squares:.3f}, right is 1; variance at 0.05 {variance:.4f}, right is 0.05")
assert seen[0.1][0] < 0.11 and seen[0.1][1] < 0.03, "the behaviour has changed"
assert abs(seen[0.01][0] - 1) < 0.02 and abs(seen[0.01][1] - 0.05) < 0.005, "the behaviour has changed"
PYTHON
