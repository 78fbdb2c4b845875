"""What each notebook asks of the stages: one folder per notebook, named like it."""
