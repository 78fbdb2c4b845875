"""Files that appear whole, records of what made them, downloads, and where things lie."""
