#!/usr/bin/env bash
# azula 0.11.1: DDIMSampler's eta multiplies the variance of the fresh noise, where DDIM's multiplies its deviation.
#
# Guess, written down first: `DDIMSampler(eta=0.5)`, which names Song et al. (2021), draws noise with half of DDPM's standard
# deviation, as equation 16 of that paper and the DDIM of other libraries do.
# Seen: it draws noise with half of DDPM's variance, so its eta is the paper's eta squared. Both ends, 0 and 1, agree;
# between them a setting copied from a paper adds more noise than was meant: 0.71 of DDPM's deviation for 0.5, 0.45 for 0.2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/env/bin/pip" install --quiet azula==0.11.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from azula.denoise import Denoiser, DiracPosterior
from azula.noise import VPSchedule
from azula.sample import DDIMSampler


class Zero(Denoiser):
    """Data that are the point 0."""

    def __init__(self):
        super().__init__()
        self.schedule = VPSchedule()

    def forward(self, x_t, t, **rest):
        return DiracPosterior(mean=0 * x_t)


def fresh(eta):
    """Standard deviation of the noise that one step adds: the walk stands at 0, so nothing else moves it."""
    torch.manual_seed(0)
    sampler = DDIMSampler(Zero(), eta=eta, silent=True)
    return sampler.step(torch.zeros(200_000), torch.tensor(0.5), torch.tensor(0.4)).std().item()


shares = {eta: fresh(eta) / fresh(1.0) for eta in (0.2, 0.5)}
print("share of DDPM's deviation:", {eta: round(share, 3) for eta, share in shares.items()})
assert all(abs(share - eta**0.5) < 0.01 for eta, share in shares.items()), "the behaviour has changed"
PYTHON
