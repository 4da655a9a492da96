#!/usr/bin/env bash
# diffusers 0.42.1: `thresholding=True` alone is plain clipping.
#
# Guess, written down first: `DDPMScheduler(thresholding=True)`, "the dynamic thresholding method" of Imagen, divides a guess
# of x_0 that reaches to 3 by the quantile of its absolute values, 3, so that a pixel at 1.5 becomes 0.5 and contrasts are
# kept.
# Seen: the quantile is held between 1 and `sample_max_value`, whose default is 1, so it is always 1 and the guess is clipped
# at 1 and -1: the pixel becomes 1, as white as the one at 3. `sample_max_value=10` gives 0.5. Saturated colours at a high
# guidance scale, which the option is switched on against, stay as they were.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 diffusers==0.42.1
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from diffusers import DDIMScheduler, DDPMScheduler

image = torch.full((1, 1, 8, 8), 3.0)
image[..., :2] = 1.5


def kept(kind, **options):
    """What becomes of 1.5 and of 3 in the guess of x_0 that a step goes on with."""
    scheduler = kind(prediction_type="sample", thresholding=True, **options)
    scheduler.set_timesteps(10)
    guess = scheduler.step(image, scheduler.timesteps[-1], torch.zeros_like(image)).pred_original_sample
    return round(guess[0, 0, 0, 0].item(), 3), round(guess[0, 0, 0, 7].item(), 3)


for kind in (DDPMScheduler, DDIMScheduler):
    alone, wide = kept(kind), kept(kind, sample_max_value=10.0)
    print(f"{kind.__name__}: 1.5 and 3 become {alone}; with sample_max_value=10 {wide}")
    assert alone == (1.0, 1.0) and wide == (0.5, 1.0), "the behaviour has changed"
PYTHON
