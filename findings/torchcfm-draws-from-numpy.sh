#!/usr/bin/env bash
# torchcfm 1.0.7: pairs of optimal transport are drawn by NumPy's global generator.
#
# Guess, written down first: after `torch.manual_seed`, `OTPlanSampler.sample_plan`, which takes tensors and gives tensors,
# draws the same pairs again.
# Seen: it draws by `numpy.random.choice`. Two calls after the same torch seed give different pairs; after the same NumPy
# seed the same. A training run seeded in torch alone is not reproducible.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 POT==0.9.7
"$folder/env/bin/pip" install --quiet --no-deps torchcfm==1.0.7
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import pathlib
import sysconfig

import numpy as np
import torch

# The module by itself: the package's __init__ wants libraries for models that nothing here needs.
path = pathlib.Path(sysconfig.get_paths()["purelib"]) / "torchcfm" / "optimal_transport.py"
spec = importlib.util.spec_from_file_location("optimal_transport", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

sampler = module.OTPlanSampler(method="exact")
x0, x1 = torch.randn(64, 2), torch.randn(64, 2)


def drawn(seed):
    seed(0)
    return sampler.sample_plan(x0, x1)[0]


by_torch = torch.equal(drawn(torch.manual_seed), drawn(torch.manual_seed))
by_numpy = torch.equal(drawn(np.random.seed), drawn(np.random.seed))
print("same pairs after the same seed: of torch", by_torch, "- of NumPy", by_numpy)
assert (by_torch, by_numpy) == (False, True), "the behaviour has changed"
PYTHON
