"""Hidden checks of 11-worlds: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "11-worlds"
EXERCISES = (
    "sds_gradient",
    "sds_fixed_point",
    "SetLinear",
    "chamfer_distance",
    "earth_movers_distance",
    "next_corner_mask",
    "pointer_log_probs",
    "Pseudo3DConv",
)
