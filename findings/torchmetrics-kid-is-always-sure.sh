#!/usr/bin/env bash
# torchmetrics 1.9.0: the deviation that KernelInceptionDistance reports is 0 for 1,000 images.
#
# Guess, written down first: `KernelInceptionDistance().compute()` gives mean and standard deviation of the estimate, so two
# models whose distances are ten deviations apart differ.
# Seen: it is the spread over subsets of 1,000 (the default) drawn without replacement from the images given. With 1,000
# images all subsets are the same set and it is 0 up to rounding, while the distance of fresh sets of 1,000 from the same two
# laws varies by more than a quarter of itself here. It falls with the overlap of the subsets, not with what is known.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import torch
from torchmetrics.image.kid import KernelInceptionDistance


class Pixels(torch.nn.Module):
    """The image is its own feature."""

    def forward(self, images):
        return images.flatten(1)


def distance(seed):
    """Mean and deviation as reported, N(0, 1) against N(0.1, 1) in 16 pixels, 1,000 images each."""
    torch.manual_seed(seed)
    metric = KernelInceptionDistance(feature=Pixels(), subsets=5)
    metric.update(torch.randn(1000, 1, 4, 4), real=True)
    metric.update(torch.randn(1000, 1, 4, 4) + 0.1, real=False)
    mean, deviation = metric.compute()
    return mean.item(), deviation.item()


seen = [distance(seed) for seed in range(30)]
means = torch.tensor([mean for mean, _ in seen])
reported = max(deviation for _, deviation in seen)
print(f"distance {means.mean():.4f}, over 30 fresh sets it varies by {means.std():.4f}; reported: at most {reported:.1e}")
assert reported < 1e-5 and means.std() > 1000 * reported, "the behaviour has changed"
PYTHON
