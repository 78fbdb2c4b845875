"""Table 3: masklets classified by their own features."""
