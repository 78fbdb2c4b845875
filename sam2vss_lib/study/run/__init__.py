"""Running notebooks: what they will ask for, in which order, into which folders."""
