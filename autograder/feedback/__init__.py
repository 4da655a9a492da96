"""The page that a student reads.

`markup`, `mathematics` and `pictures` make what a student wrote harmless; `page` turns a notebook into HTML in
bounded time; `making` does that in a process of its own; `writer` fills in what the grade book holds.
"""
