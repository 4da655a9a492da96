"""From a lesson's source to its notebooks: parse, check the rules, assemble, execute, release through nbgrader."""
