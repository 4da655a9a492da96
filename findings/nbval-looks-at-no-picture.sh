#!/usr/bin/env bash
# nbval 0.11.0: strict comparison leaves pictures out.
#
# Guess, written down first: `pytest --nbval`, which compares stored outputs with fresh ones, fails when a figure comes out
# different; that is why one gives it `--nbval-lax` or sanitizers.
# Seen: `image/png` and `image/jpeg` are skipped. A cell whose stored picture is black and whose fresh one is white passes;
# only that there is text beside a picture, and the same text, is compared. `--nbdime` compares them. A notebook of plots that
# has gone wrong in every plot is green.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbval==0.11.0 ipykernel pillow==12.0.0
cd "$folder"
export PATH="$folder/env/bin:$PATH" HOME="$folder" JUPYTER_PLATFORM_DIRS=0
python -W ignore - <<'PYTHON'
import base64
import io
import re
import subprocess
import sys

import nbformat.v4 as v4
from nbformat import write
from PIL import Image


def picture(shade):
    held = io.BytesIO()
    Image.new("L", (32, 32), shade).save(held, "png")
    return base64.b64encode(held.getvalue()).decode()


def cell(text):
    """Shows a white picture and "a picture"; a black one and the text were stored."""
    code = v4.new_code_cell(
        "from IPython.display import display\n"
        f"display({{'image/png': '{picture(255)}', 'text/plain': 'a picture'}}, raw=True)", execution_count=1)
    code.outputs = [v4.new_output("display_data", data={"image/png": picture(0), "text/plain": text})]
    return code


notebook = v4.new_notebook(cells=[cell("a picture"), cell("another picture")])
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
write(notebook, "figures.ipynb")
command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-rA", "--tb=no", "figures.ipynb"]
report = subprocess.run(command, capture_output=True, text=True).stdout
outcome = dict(reversed(line) for line in re.findall(r"^(PASSED|FAILED) \S*Cell (\d)", report, re.M))
print("black stored, white now:", outcome["0"], "- with another text beside it:", outcome["1"])
assert outcome == {"0": "PASSED", "1": "FAILED"}, "the behaviour has changed"
PYTHON
