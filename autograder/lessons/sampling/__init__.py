"""Hidden checks of 06-sampling: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "06-sampling"
EXERCISES = (
    "timestep_embedding",
    "AdaptiveNorm",
    "ddpm_loss",
    "p_step",
    "ddpm_sample",
    "ddim_step",
    "ddim_times",
    "denoising_kl",
    "discretized_log_likelihood",
    "ema_update",
    "bits_per_dim",
)
