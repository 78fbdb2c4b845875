"""Where refinement spoils what was right, and why: harmed pixels in fragments, by cause."""
