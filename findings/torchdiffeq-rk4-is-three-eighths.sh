#!/usr/bin/env bash
# torchdiffeq 0.2.5: the method called "rk4" is not the classical Runge-Kutta method but Kutta's 3/8 rule.
#
# Guess, written down first: `odeint(method="rk4")` asks the derivative at 0, 1/2, 1/2 and 1 of a step and weights the answers
# by 1/6, 2/6, 2/6, 1/6, as every textbook's RK4 does.
# Seen: it asks at 0, 1/3, 2/3 and 1 and weights by 1/8, 3/8, 3/8, 1/8. The order is the same and the numbers are not: a sampler
# that is checked against a textbook's step, or counts how many distinct times its network sees, disagrees.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchdiffeq==0.2.5
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from torchdiffeq import odeint

asked = []


def slope(t, y):
    asked.append(round(t.item(), 4))
    return y * t.cos()


times = torch.tensor([0.0, 1.0], dtype=torch.float64)
start = torch.ones(1, dtype=torch.float64)
end = odeint(slope, start, times, method="rk4", options={"step_size": 1.0})[-1].item()


def f(t, y):
    return y * torch.tensor(t, dtype=torch.float64).cos()


k1 = f(0, start)
k2, three = f(1 / 2, start + k1 / 2), f(1 / 3, start + k1 / 3)
k3, six = f(1 / 2, start + k2 / 2), f(2 / 3, start + three - k1 / 3)
k4, eight = f(1, start + k3), f(1, start + k1 - three + six)
classical = (start + (k1 + 2 * k2 + 2 * k3 + k4) / 6).item()
eighths = (start + (k1 + 3 * three + 3 * six + eight) / 8).item()
print("asked at", asked, "ends at", end, "classical", classical, "3/8 rule", eighths)
assert asked == [0.0, 0.3333, 0.6667, 1.0] and abs(end - eighths) < 1e-12 < abs(end - classical), "the behaviour has changed"
PYTHON
