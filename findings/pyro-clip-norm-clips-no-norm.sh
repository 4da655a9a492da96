#!/usr/bin/env bash
# pyro-ppl 1.9.2: `clip_norm` of ClippedAdam clamps every number by itself.
#
# Guess, written down first: `ClippedAdam({"clip_norm": 1.0})`, the "magnitude of norm to which gradients are clipped",
# shortens a gradient to length 1 and keeps its direction, as `clip_grad_norm_` does.
# Seen: each element is clamped to [-1, 1]. The gradient (100, 1) becomes (1, 1), turned by 44 degrees, and a gradient of a
# million elements may still be 1,000 long. A value copied from a paper that clips norms turns the steps of a small model and
# lets a large one's pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 pyro-ppl==1.9.2
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import math

import torch
from pyro.optim.clipped_adam import ClippedAdam


def clipped(gradient):
    """The gradient that Adam's first average takes in."""
    weight = torch.nn.Parameter(torch.zeros_like(gradient))
    optimiser = ClippedAdam([weight], betas=(0.0, 0.999), clip_norm=1.0)
    weight.grad = gradient.clone()
    optimiser.step()
    return optimiser.state[weight]["exp_avg"]


pair, many = torch.tensor([100.0, 1.0]), torch.full((1_000_000,), 5.0)
turned = math.degrees(torch.nn.functional.cosine_similarity(clipped(pair), pair, dim=0).clamp(max=1).acos())
print(f"(100, 1) becomes {clipped(pair).tolist()}, turned by {turned:.0f} degrees; a million 5s: length {clipped(many).norm():.0f}")
assert clipped(pair).tolist() == [1.0, 1.0] and abs(clipped(many).norm() - 1000) < 1, "the behaviour has changed"
PYTHON
