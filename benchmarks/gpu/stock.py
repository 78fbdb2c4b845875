"""Stock's predictor as its own package compiles it for speed."""

from dataclasses import replace
from typing import Any

from sam2vss_lib.masklets.sam2 import Sam2Model


def optimized(name: str, plain: Sam2Model) -> Sam2Model:
    """The same architecture with `vos_optimized`, as sam2 documents it; its weights are random too.

    Raises:
        ImportError: this sam2 has no such predictor.
    """
    from sam2.build_sam import build_sam2_video_predictor

    predictor: Any = build_sam2_video_predictor(
        f"configs/sam2.1/sam2.1_hiera_{name}.yaml",
        device=str(plain.device),
        vos_optimized=True,
        hydra_overrides_extra=[f"++model.image_size={plain.predictor.image_size}"],
    )
    predictor.fill_hole_area = 0
    return replace(plain, predictor=predictor)
