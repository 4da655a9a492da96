"""What leaves the house: a pack for students (`course pack`), of what is theirs alone."""
