"""What worker processes of test_neighbours.py are given: the made-up lesson, and an account of what each submission
costs in processor time, in the checker and in its own processes.
"""

import json
import os
import threading
import time
from pathlib import Path

from distributed import WorkerPlugin

at_hand = threading.local()


class Accounts(WorkerPlugin):
    """Adds a line to the file COURSE_COSTS for each submission."""

    name = "accounts"

    def setup(self, worker):
        """Not before the worker is there: what is imported takes a busy machine a while."""
        from tiny import tiny_exercises

        from autograder.grading import workers
        from autograder.guard.guest import GuestProcess

        grade, leave = workers.Grading.grade, GuestProcess.__exit__

        def noted(self, task):
            at_hand.guests, start = 0.0, time.thread_time()
            graded = grade(self, task)
            checker, clock = time.thread_time() - start, self.limits.submission - graded.left
            spent = {"student": task.student, "checker": checker, "guests": at_hand.guests, "clock": clock}
            with Path(os.environ["COURSE_COSTS"]).open("a") as file:
                file.write(json.dumps(spent) + "\n")
            return graded

        def left(self, *error):
            if self._meter:
                at_hand.guests = getattr(at_hand, "guests", 0.0) + self._meter.demand()
            leave(self, *error)

        workers.lesson_exercises = lambda lesson: tiny_exercises()
        workers.Grading.grade = noted
        GuestProcess.__exit__ = left
