"""Training: `fit` runs the loop (`loop`), one step of which (`step`) a GPU can record (`graphs`) and several processes
can share (`processes`); a run on disk (`checkpoint`) goes on where it stopped.
"""

from course_lib.training.history import History
from course_lib.training.loop import fit
from course_lib.training.progress import SHORT_BUDGET, budget, track

__all__ = ["SHORT_BUDGET", "History", "budget", "fit", "track"]
