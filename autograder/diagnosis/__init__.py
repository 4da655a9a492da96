"""Recognising a mistake that nobody listed.

`transcript` keeps what a student was asked and answered. `makers` and `schemata` make wrong functions out of right
ones, from outside and from inside, and `parts` by making one of their steps in another way. `search` finds the one
change, or the two, that give the student's very values, as long as `work`, which is counted, is left; `kinds` says it
in words; `forms` and `remarks` say what is plain without a search, and what can be told where nothing agrees.
"""
