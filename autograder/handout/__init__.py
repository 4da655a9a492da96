"""What leaves the house: packs for students (`course pack`) and the site (`course site`), of what is theirs alone."""
