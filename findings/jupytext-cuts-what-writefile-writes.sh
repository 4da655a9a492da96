#!/usr/bin/env bash
# jupytext 1.19.6: a `%%writefile` cell that writes a script with "# %%" lines comes back as several cells.
#
# Guess, written down first: a notebook comes back from py:percent with the cells it had; a line of a cell that looks like the
# start of another is escaped, as magics are.
# Seen: nothing is escaped. `%%writefile train.py` with a script in the percent format behind it is cut at each marker: the
# file gets what stands above the first one, here nothing of three lines, and the rest of the script is run in the notebook.
# So is any code cell with such a comment. In the md format the same cell comes back whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jupytext==1.19.6
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import jupytext
import nbformat.v4 as v4

SCRIPT = "%%writefile train.py\n# %% data\nx = 1\n# %% model"


def back(form):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(SCRIPT)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return [cell.source for cell in jupytext.reads(jupytext.writes(notebook, fmt=form), fmt=form).cells]


seen = {form: back(form) for form in ("py:percent", "md")}
print("one cell comes back as", seen)
assert seen == {"py:percent": ["%%writefile train.py", "x = 1", ""], "md": [SCRIPT]}, "the behaviour has changed"
PYTHON
