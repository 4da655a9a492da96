"""For authors: a lesson's skeleton, and its proofs alone, told in words."""
