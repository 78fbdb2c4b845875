"""The study: settings, results with provenance, tables, figures, and the notebook runner."""
