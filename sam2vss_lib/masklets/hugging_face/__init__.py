"""Video models of `transformers` that follow what is prompted, and SAM2 in its layout and ours."""
