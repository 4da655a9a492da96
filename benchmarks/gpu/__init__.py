"""What is found out on a machine with one NVIDIA card; started by `benchmarks/on_gpu.sh`.

`parts` says what is run, in which order and for how long; `lesson` runs one lesson from top to bottom; `page` says what
came of it.
"""
