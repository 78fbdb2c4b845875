"""The report of a study: pages and LaTeX made from its result files."""
