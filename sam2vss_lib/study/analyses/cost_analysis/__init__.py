"""What a frame costs, and what an object adds."""
