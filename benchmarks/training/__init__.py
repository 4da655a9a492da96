"""Training and sampling beside other libraries: speed, and quality after equal steps.

`python -m benchmarks.training` measures and writes results/training.json, .md and .png. The other libraries are listed
in benchmarks/requirements.txt; those that are not installed are left out.
"""
