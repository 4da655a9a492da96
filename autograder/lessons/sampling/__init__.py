"""Hidden checks of 06-sampling, in the order of the lesson. Importing them in this order registers the exercises."""

from . import embedding, norm, norm_answers, loss, step, step_answers, loop, loop_answers, skip  # isort: skip
from . import skip_times, kl, levels, weights  # isort: skip

LESSON = "06-sampling"

__all__ = [
    "LESSON",
    "embedding",
    "kl",
    "levels",
    "loop",
    "loop_answers",
    "loss",
    "norm",
    "norm_answers",
    "skip",
    "skip_times",
    "step",
    "step_answers",
    "weights",
]
