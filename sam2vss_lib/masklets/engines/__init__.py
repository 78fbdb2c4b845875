"""The programs that make masklets: one folder each, named in the registry of `masklets`."""
