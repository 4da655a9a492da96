"""Hidden checks of 10-policy: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "10-policy"
EXERCISES = (
    "bc_optimum",
    "action_chunks",
    "policy_loss",
    "receding_horizon",
    "trajectory_gaussian",
    "planning_loss",
    "diffuser_plan",
    "reward_guided_eps",
    "inverse_dynamics",
    "goal_conditioned_policy",
    "chain_scores",
)
