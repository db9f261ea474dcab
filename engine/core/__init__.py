"""What a workflow means and what happens next: values and pure rules, no I/O, no clock, no framework."""
