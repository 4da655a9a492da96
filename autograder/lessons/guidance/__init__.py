"""Hidden checks of 08-guidance: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "08-guidance"
EXERCISES = (
    "drop_labels",
    "class_log_probs",
    "mixture_eps",
    "classifier_guided_eps",
    "cfg_eps",
    "guided_gaussian",
    "points_eps",
    "dynamic_threshold",
    "cross_attention",
    "concat_layout",
    "inpaint_step",
    "renoise",
)
