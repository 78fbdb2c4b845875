"""What the engine leaves out of a session, frames and old memories, changes nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2vss_lib.masklets.registry import ENGINES
from tests.masklets.hugging_face.conftest import KINDS

FRAMES, SIZE = 7, (48, 60)  # more than memories reach back


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_as_the_class_itself_goes_through_a_video(kind: str, saved: Callable[[str], Path]) -> None:
    model = ENGINES[f"transformers:{kind}"].load_model(str(saved(kind)), device="cpu")
    rng = np.random.default_rng(4)
    frames = rng.integers(0, 256, (FRAMES, *SIZE, 3)).astype(np.uint8)
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 5:20, 8:30] = masks[1, 20:, :] = True  # the last is empty

    whole = model.processor.init_video_session(inference_device="cpu")
    for frame in frames:
        pixels = model.processor.image_processor(frame, return_tensors="pt")["pixel_values"]
        whole.add_new_frame(pixels)
    model.processor.add_inputs_to_inference_session(whole, 0, [0, 1, 2], input_masks=[*masks])
    wanted = [*model.network.propagate_in_video_iterator(whole, start_frame_idx=0)]

    track = model.start(masks, FRAMES)
    for offset, (frame, expected) in enumerate(zip(frames, wanted, strict=True)):
        logits, presence = model.step(track, offset, model.encode(frame))
        assert torch.equal(logits, expected.pred_masks)
        assert torch.equal(presence, expected.object_score_logits.flatten())
    kept = [o["non_cond_frame_outputs"].values() for o in track.output_dict_per_obj.values()]
    assert not any("high_res_masks" in one for outputs in kept for one in outputs)
    memories = [sum("maskmem_features" in one for one in outputs) for outputs in kept]
    assert memories == [model.network.num_maskmem - 1] * 3
