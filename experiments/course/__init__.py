"""The course: the numbered folders beside this one, run, checked against what their heads promise, and listed."""
