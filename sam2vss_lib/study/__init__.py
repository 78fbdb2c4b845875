"""The study: paper values, settings, results and provenance, tables, figures and report."""
