"""Grading a class: restore submissions, run each in its own process, write nbgrader's grade book and feedback."""
