"""The small SegFormer of the base models' tests serves these too."""

from tests.segmentors.conftest import tiny_architecture, tiny_checkpoint

__all__ = ["tiny_architecture", "tiny_checkpoint"]
