"""SegFormer, and its encoder MiT that the temporal models share."""
