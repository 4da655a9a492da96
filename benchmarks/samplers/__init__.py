"""Published samplers and the student's own against exact truth: `python -m benchmarks.samplers`, docs/samplers.md."""
