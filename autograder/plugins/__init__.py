"""What the course puts into nbgrader; `nbgrader_config.py` names each by its dotted name.

`preprocessors` make the student's notebook and take in a submission; `as_saved` reads one; `outside` runs cells in the
sandbox and checks outside; `one_by_one` keeps one submission's failure from the others; `pages` makes one page by
nbgrader's command and by ours; `export` leaves a gap where nothing was graded.
"""
