"""What a notebook leaves: rows, tables, statements, figures, and their files."""
