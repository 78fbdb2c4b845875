"""Data sets and clips made from others: smaller forms, archives, videos."""
