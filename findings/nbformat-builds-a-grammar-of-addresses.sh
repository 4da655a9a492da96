#!/usr/bin/env bash
# nbformat 5.11.1 beside what every JupyterLab brings (jsonschema 4.26.0, rfc3987-syntax 1.1.0, lark 1.3.1): `import nbformat`
# builds 39 parsers of internationalised web addresses, whatever is done with it later.
#
# Guess, written down first: the import reads a schema at most. Which formats of text are looked at is asked for by whoever
# validates, by a `FormatChecker`, and nbformat asks for none; a parser of addresses is built where the first is checked.
# Seen: jsonschema imports rfc3987_syntax as soon as it is imported itself, if it is installed (jupyter-events, and so
# JupyterLab, asks for it), and that one builds its parsers at once. They take ten times what all the rest of the import
# takes, in each process that touches a notebook, kernels' and workers' among them; a notebook is valid without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbformat==5.11.1 jsonschema==4.26.0 lark==1.3.1 rfc3987-syntax==1.1.0
cd "$folder"
cat > look.py <<'PYTHON'
import sys
import time

if sys.argv[1] == "without":
    sys.modules["rfc3987_syntax"] = None  # as if it were not installed
    made = []
else:
    import lark

    made, init = [], lark.Lark.__init__

    def counted(self, *args, **options):
        made.append(options.get("start"))
        init(self, *args, **options)

    lark.Lark.__init__ = counted
start = time.process_time()
import nbformat

spent = time.process_time() - start
nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]))
print(len(made), round(spent, 3))
PYTHON
for _ in 1 2; do  # the first one compiles
    with=$("$folder/env/bin/python" look.py with)
    without=$("$folder/env/bin/python" look.py without)
done
echo "import nbformat, parsers built and seconds of processor time: $with; without rfc3987_syntax: $without"
python3 - $with $without <<'PYTHON'
import sys

parsers, seconds, none, less = map(float, sys.argv[1:])
assert parsers >= 1 and none == 0 and seconds > 2 * less, "the behaviour has changed"
PYTHON
