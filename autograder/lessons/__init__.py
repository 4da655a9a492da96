"""Hidden checks, one module per lesson: exercises with their oracles, misconceptions and alternatives side by side."""
