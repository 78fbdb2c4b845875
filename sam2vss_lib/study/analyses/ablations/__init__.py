"""Tables 4-7: window, point grid, confidence, stability."""
