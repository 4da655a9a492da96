#!/usr/bin/env bash
# nbgrader 0.9.6: a time without a zone loses its "PM".
#
# Guess, written down first: `nbgrader.utils.parse_utc` hands the text to dateutil, so "2026-11-27 11:30 PM" in a
# timestamp.txt or as a due date is half past eleven in the evening, and a zone it does not know is refused.
# Seen: the last of three words is taken for the zone. "PM" is no zone, so it is dropped without a word, and the hand-in
# counts as made twelve hours earlier (or the due date falls at noon). With " UTC" behind it the same time is right. A zone
# that dateutil does not know, such as AEST, is dropped as well: ten hours off, silently.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nbgrader==0.9.6 python-dateutil==2.9.0.post0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
from nbgrader.utils import parse_utc

seen = {text: parse_utc(text).strftime("%d. %H:%M") for text in (
    "2026-11-27 11:30 PM", "2026-11-27 11:30 PM UTC", "2026-11-27 23:30 EST", "2026-11-27 23:30 AEST")}
for text, time in seen.items():
    print(f"{text!r} -> {time}")
assert list(seen.values()) == ["27. 11:30", "27. 23:30", "28. 04:30", "27. 23:30"], "the behaviour has changed"
PYTHON
