"""What computing masklets took, in numbers that do not depend on the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Work:
    """What was computed: the numbers that a plan saves on."""

    image_encodings: int = 0  # frames through the image encoder, counting each resizing
    prompts: int = 0  # points decoded
    object_frames: int = 0  # objects propagated times frames

    def __add__(self, other: Work) -> Work:
        """Sum of two pieces of work."""
        return Work(
            self.image_encodings + other.image_encodings,
            self.prompts + other.prompts,
            self.object_frames + other.object_frames,
        )
