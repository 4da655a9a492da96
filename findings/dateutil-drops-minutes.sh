#!/usr/bin/env bash
# python-dateutil 4.0.0: "11.30pm" loses its minutes, and "23.30" is a day.
#
# Guess, written down first: `dateutil.parser.parse` takes a dot for a colon, as in British times, or refuses it: "11.30pm" is
# half past eleven in the evening.
# Seen: 11 in the evening. The token is read as the number 11.3, and of an hour with "pm" behind it the whole part is kept,
# though "11.5h" does become half past eleven. "23.30" alone is midnight of the 23rd of this month; behind a date it is
# refused. Half an hour of a deadline goes without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet python-dateutil==4.0.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from datetime import datetime

from dateutil.parser import ParserError, parse


def read(text):
    try:
        return parse(text, default=datetime(2031, 6, 1)).strftime("%d. %H:%M")
    except ParserError:
        return "refused"


texts = "11:30pm", "11.30pm", "2031-06-01 11.30pm", "11.5h", "23.30", "2031-06-01 23.30"
seen = [read(text) for text in texts]
for text, time in zip(texts, seen):
    print(f"{text!r} -> {time}")
expected = ["01. 23:30", "01. 23:00", "01. 23:00", "01. 11:30", "23. 00:00", "refused"]
assert seen == expected, "the behaviour has changed"
PYTHON
