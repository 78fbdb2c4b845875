"""Pictures of frames, labels and masklets: plain functions from arrays to arrays of colours."""
