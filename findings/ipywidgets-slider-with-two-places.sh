#!/usr/bin/env bash
# ipywidgets 8.1.9: the slider of a small number has a step longer than its range.
#
# Guess, written down first: `interact(train, lr=0.001)` makes a slider around 0.001 whose step suits its range.
# Seen: the range follows the number, from -0.001 to 0.003, and the step does not: it is 0.1 for every float, 25 times the
# whole range, so a drag ends at one of the ends, a negative learning rate or three times the given one. `lr=(0.0, 0.01)` has
# the same step, ten times its range. `lr=(0.0, 0.01, 0.0005)` is what was meant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet ipywidgets==8.1.9
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from ipywidgets import interactive


def slider(lr):
    made = interactive(lambda lr: None, lr=lr).children[0]
    return made.min, made.max, made.step


seen = {lr: slider(lr) for lr in (0.001, 2.0, (0.0, 0.01), (0.0, 0.01, 0.0005))}
for lr, (least, most, step) in seen.items():
    print(f"lr={lr}: from {least:g} to {most:g} in steps of {step:g}, {(most - least) / step:.3g} steps in all")
assert seen[0.001] == (-0.001, 0.003, 0.1) and seen[0.0, 0.01] == (0.0, 0.01, 0.1), "the behaviour has changed"
PYTHON
