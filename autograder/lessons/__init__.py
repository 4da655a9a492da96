"""Hidden checks: a package for each lesson, with a file for each exercise; beside them, what several lessons share."""
