"""The settings of notebooks, and the profiles that set them."""
