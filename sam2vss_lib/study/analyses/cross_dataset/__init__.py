"""Table 2: another data set with no setting changed."""
