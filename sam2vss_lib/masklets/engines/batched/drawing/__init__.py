"""Objects at the size of the frames: drawn, packed, and handed to the thread that writes."""
