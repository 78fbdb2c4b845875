"""What computing masklets took, in numbers that do not depend on the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Work:
    """What was computed: the numbers that a plan saves on.

    Attributes:
        image_encodings: frames through the image encoder, counting each resizing.
        prompts: points decoded.
        object_frames: objects propagated times frames.
    """

    image_encodings: int = 0
    prompts: int = 0
    object_frames: int = 0

    def __add__(self, other: Work) -> Work:
        """Sum of two pieces of work."""
        return Work(
            self.image_encodings + other.image_encodings,
            self.prompts + other.prompts,
            self.object_frames + other.object_frames,
        )
