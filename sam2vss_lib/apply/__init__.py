"""One command from frames to films: all stages of one's own footage, and a page that shows them."""
