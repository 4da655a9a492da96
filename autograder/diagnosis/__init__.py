"""Recognising a mistake that nobody listed.

`transcript` keeps what a student was asked and answered (`questions`, `asked`). Wrong functions are made of right ones
from outside, by `makers` (what goes in; `reshapes`, `steps`), `results` (what comes out), `asking` (functions they are
handed) and `modules`; from inside by `schemata`, with the `changes` of each operation; and by `parts`, which makes one
of a formula's `quantities` in another way (`ways`, `splits`, `blocks`), or has it told by `solving` and `explaining`
what that one must have been.

`search` finds the one change, or the two (`batches`), that give the student's very values, as long as `work`, which is
counted, is left; `kinds` says it in words. `forms`, `scenes` and `remarks` say what is plain without a search, and what
can be told where nothing agrees. `naming` is the way in.
"""
