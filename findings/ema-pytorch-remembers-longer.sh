#!/usr/bin/env bash
# ema-pytorch 0.8.3: `update_every=10`, the default, makes the average ten times as slow.
#
# Guess, written down first: `EMA(model, beta=0.99)` is an average over some 100 training steps, 1 / (1 - beta);
# `update_every`, "to save on compute", takes it in coarser strides.
# Seen: beta is applied once per `update_every` calls as it is, not to their power, so the average reaches back 1,000 steps.
# After a weight jumps from 0 to 1 the average is at 0.63 some 1,000 calls later, and at 0.63 after 100 with `update_every=1`.
# The default beta, 0.9999, so reaches back 100,000 steps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 ema-pytorch==0.8.3
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import math

import torch
from ema_pytorch import EMA


def calls_until(share, every):
    """After the weight's jump from 0 to 1, calls until the average has taken so much of it; warm-up long over."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    average = EMA(model, beta=0.99, update_after_step=0, update_every=every)
    for _ in range(5000):
        average.update()
    assert average.get_current_decay() > 0.99 - 1e-6
    model.weight.data.fill_(1)
    calls = 0
    while average.ema_model.weight.item() < share:
        average.update()
        calls += 1
    return calls


seen = {every: calls_until(1 - math.exp(-1), every) for every in (1, 10)}
print("calls until 1 - 1/e of a jump is taken, by update_every:", seen)
assert 90 < seen[1] < 110 and 900 < seen[10] < 1100, "the behaviour has changed"
PYTHON
