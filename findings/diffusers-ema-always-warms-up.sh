#!/usr/bin/env bash
# diffusers 0.42.1: EMAModel warms its decay up when it is told not to.
#
# Guess, written down first: `EMAModel(parameters, decay=0.999, use_ema_warmup=False)`, the default, averages with 0.999 from
# its first step on.
# Seen: without the warm-up it uses min(decay, (1 + step) / (10 + step)): the first update counts nothing of the start, and 0.999
# is reached after 8,990 steps, so a short training run has an average over the last tenth of its steps whatever `decay` says.
# The option chooses between two warm-ups.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 diffusers==0.42.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers.training_utils import EMAModel

weight = torch.nn.Parameter(torch.zeros(1))
average = EMAModel([weight], decay=0.999, use_ema_warmup=False)
decays = {}
for step in range(1, 9101):
    average.step([weight])
    decays[step] = average.cur_decay_value
print({step: round(decays[step], 4) for step in (1, 2, 100, 1000, 9100)})
first = next(step for step, decay in decays.items() if decay >= 0.999 - 1e-12)
print("0.999 is reached at update", first)
assert decays[2] < 0.2, "the behaviour has changed"
assert abs(decays[1000] - 1000 / 1009) < 1e-9 and 8985 < first < 8999, "the behaviour has changed"
PYTHON
