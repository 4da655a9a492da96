#!/usr/bin/env bash
# normflows 1.7.3: a sample taken before the first batch sets ActNorm by the base's noise, a single one to NaN for good.
#
# Guess, written down first: activation normalisation takes scale and shift from the first batch of data (Kingma and Dhariwal
# 2018, section 3.1), so that a look at samples of the untrained flow changes nothing.
# Seen: whichever call comes first fits it, and sampling fits it to the base's own noise. On data around (100, -50) the first
# mean log-density is then -6,205 nats instead of -2.9, where training was meant to start. `sample(1)` has no spread: scale and
# shift are NaN, no error is raised, a warning about degrees of freedom at most, and no later batch mends them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 normflows==1.7.3
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import math

import normflows
import torch

torch.manual_seed(0)
data = torch.tensor([100.0, -50.0]) + torch.tensor([5.0, 0.2]) * torch.randn(500, 2)
found = {}
for looked in (0, 500, 1):
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(2), [normflows.flows.ActNorm(2)])
    with torch.no_grad():
        if looked:
            flow.sample(looked)
        flow.log_prob(data)
        found[looked] = flow.log_prob(data).mean().item()
    print(f"{looked} samples before the first batch: mean log-density {found[looked]:.1f}")
assert -4 < found[0] < -2, "the behaviour has changed"
assert found[500] < -1000, "the behaviour has changed"
assert math.isnan(found[1]), "the behaviour has changed"
PYTHON
