"""From a folder of hand-ins to a notebook that can be run.

`finding` says which file is whose; `notebook_file` reads it, whatever wrote it; `earlier` brings a hand-in of an
earlier release to the lesson as it is now; `recovery` finds the lesson's cells
in it, by `definitions` and place; `restoring` puts the course's own cells back; `beside` takes small files along;
`reasons` says why a name is not there.
"""
