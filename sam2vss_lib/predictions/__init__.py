"""Label maps of the clips: the project's folder of PNGs, and everybody else's formats."""
