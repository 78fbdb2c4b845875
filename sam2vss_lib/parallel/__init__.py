"""Work on many processes of this machine, or of a Ray cluster."""
