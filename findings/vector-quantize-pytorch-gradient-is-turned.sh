#!/usr/bin/env bash
# vector-quantize-pytorch 1.32.0: the gradient of VectorQuantize is not straight-through.
#
# Guess, written down first: as in VQ-VAE, d(code)/d(input) is the identity: the gradient that arrives at the code is the one
# that the input gets.
# Seen: by default the code is written as the input turned and stretched, and the gradient goes back through that turn: it points
# elsewhere and has |code| / |input| times the length, here a sixth to a third. `rotation_trick=False` gives the identity. A
# learning rate or a commitment weight from the VQ-VAE paper then acts on another scale.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 vector-quantize-pytorch==1.32.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from vector_quantize_pytorch import VectorQuantize

torch.manual_seed(0)
x = torch.randn(1, 5, 4, requires_grad=True)
arriving = torch.randn(1, 5, 4)


def passed_on(**options):
    """The gradient that x gets, and |code| / |input|."""
    code, *_ = VectorQuantize(dim=4, codebook_size=8, **options)(x)
    return torch.autograd.grad(code, x, arriving)[0], code.detach().norm(dim=-1) / x.detach().norm(dim=-1)


gradient, stretch = passed_on()
plain, _ = passed_on(rotation_trick=False)
ratio = gradient.norm(dim=-1) / arriving.norm(dim=-1)
print("by default: length over that of the arriving one", ratio, "|code| / |input|", stretch)
print("with rotation_trick=False: furthest from the arriving one", (plain - arriving).abs().max().item())
assert torch.allclose(ratio, stretch, rtol=1e-4) and ratio.max() < 0.5, "the behaviour has changed"
assert torch.equal(plain, arriving), "the behaviour has changed"
PYTHON
