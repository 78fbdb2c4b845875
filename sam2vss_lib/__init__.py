"""SAM2 for video semantic segmentation: a library of small stages that talk through files."""
