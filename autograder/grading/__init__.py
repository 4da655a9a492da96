"""Grading a class, from hand-ins to the grade book.

`options` says what commands can be told; `commands` and `students` are the ways in; `classroom` holds the class,
`workers` grade side by side (many by Dask, `cluster`) with a template that `keeper` keeps warm. `runner` grades one
submission: `run` runs its cells, `below` says which of them could matter, `witness` asks earlier functions again.
`graded` is what comes of it, `ledger` (with `sources` and `keys`) what need not be done again, `changes` whose marks a
run has changed, `finished` what of a result is stored, `storing` puts many at once in their places, `gradebook` is
what nbgrader goes on from: `byhand` says what waits for a person, `rows` what has a row there, `removal` who is not to
come back, `lateness` who may hand in until when and what it costs, `roster` enters a list of students, `earned` says
what a class has earned, `exchange` swaps files, `alone` keeps a second run away.
`report` is what a person or a program reads, `progress` what stands there meanwhile, `demo` a sample class.
"""
