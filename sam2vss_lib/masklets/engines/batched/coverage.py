"""Which configurations of sam2 the engine covers."""

from typing import Any

from sam2vss_lib.errors import SettingsError


def check_covered(name: str, predictor: Any) -> None:
    """Refuse a configuration that the engine does not cover.

    Every official one is covered; a file of the user's own may not be.

    Raises:
        SettingsError: an option is missing.
    """
    wanted = {
        "use_mask_input_as_output_without_sam": predictor.use_mask_input_as_output_without_sam,
        "use_obj_ptrs_in_encoder": predictor.use_obj_ptrs_in_encoder,
        "num_maskmem > 0": predictor.num_maskmem > 0,
        "fill_hole_area = 0": predictor.fill_hole_area <= 0,
        "non_overlap_masks = false": not predictor.non_overlap_masks,
        "memory_attention.batch_first": predictor.memory_attention.batch_first,
    }
    for option, present in wanted.items():
        if not present:
            raise SettingsError(
                f"{name}: the batched engine needs {option} in the model's configuration; "
                "use engine: stock"
            )
