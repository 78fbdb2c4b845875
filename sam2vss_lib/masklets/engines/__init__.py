"""The programs that make masklets: one folder each, named in `registry`."""
