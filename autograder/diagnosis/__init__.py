"""Recognising a mistake that nobody listed.

`transcript` keeps what a student was asked and answered. `makers` and `schemata` make wrong functions out of right
ones, from outside and from inside; `search` finds the one change, or the two, that give the student's very values;
`kinds` says it in words; `remarks` says what else can be told where nothing agrees.
"""
