"""Hidden checks of 03-autoregressive: the lesson's name, and its exercises in order. Each has a file of its name."""

LESSON = "03-autoregressive"
EXERCISES = (
    "chain_rule_tables",
    "context_entropy",
    "teacher_forcing_log_prob",
    "sample_categorical",
    "ancestral_sample",
    "diagonal_rnn",
    "conv_mask",
    "MaskedConv2d",
    "dependencies",
    "two_stack_layer",
    "causal_attention",
    "self_attention",
    "mesh_to_sequence",
)
