"""The student's side of grading: what runs where a submission runs, and nothing that knows an answer.

Nothing in this folder imports the rest of `autograder`, so that a sandbox can hold it alone.
"""
