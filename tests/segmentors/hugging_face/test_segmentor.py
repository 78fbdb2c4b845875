"""Labels and probabilities against the processors' own post-processing, called plainly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from numpy.typing import NDArray

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.segmentors.hugging_face.loading import load_hugging_face
from sam2vss_lib.segmentors.settings import InferenceOptions
from tests.segmentors.hugging_face.conftest import KINDS, LABELS

Frames = list[NDArray[np.uint8]]
Saved = Callable[[str], Path]


@torch.no_grad()
def plainly(kind: str, folder: Path, frames: Frames) -> list[Any]:
    """What transformers itself says of frames: segmentation and scores (M, H, W) of each."""
    auto = (
        hf.AutoModelForUniversalSegmentation
        if kind.startswith(("mask2former", "oneformer", "eomt", "videomt"))
        else hf.AutoModelForSemanticSegmentation
    )
    network: Any = auto.from_pretrained(folder).eval()
    sizes = [frame.shape[:2] for frame in frames]
    if kind == "videomt":  # the whole clip at once
        processor: Any = hf.AutoVideoProcessor.from_pretrained(folder)
        output = network(**processor(videos=[np.stack(frames)], return_tensors="pt"))
        return processor.post_process_semantic_segmentation(
            output, target_sizes=sizes, return_segmentation_scores=True
        )
    if kind == "oneformer":
        images = hf.OneFormerImageProcessor.from_pretrained(folder, class_info_file="")
        processor = hf.OneFormerProcessor(images, hf.AutoTokenizer.from_pretrained(folder))
    else:
        processor = hf.AutoImageProcessor.from_pretrained(folder)
    found: list[Any] = []
    for frame in frames:
        words = {"task_inputs": ["semantic"]} if kind == "oneformer" else {}
        output = network(**processor(images=[frame], return_tensors="pt", **words))
        found += processor.post_process_semantic_segmentation(
            output, target_sizes=[frame.shape[:2]], return_segmentation_scores=True
        )
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "eomt_padded"])
def test_labels_are_those_of_the_processor(kind: str, saved: Saved, clip: Frames) -> None:
    model = load_hugging_face(str(saved(kind)), options=InferenceOptions(batch_frames=2))
    found = list(model.predict_clip(clip, with_probabilities=True))
    expected = plainly(kind, saved(kind), clip)
    assert len(found) == len(expected) == len(clip)
    assert len(np.unique([one.labels for one in found])) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.labels.dtype == torch.uint8
        np.testing.assert_array_equal(ours.labels, theirs.segmentation)
        scores = theirs.segmentation_scores
        is_logits = kind in ("segformer", "upernet", "dpt", "beit")
        shares = scores.softmax(0) if is_logits else scores / scores.sum(0)
        assert ours.probabilities is not None
        assert ours.probabilities.dtype == torch.float16
        blocks = shares.reshape(len(LABELS), 12, 4, 20, 4).mean((2, 4))
        np.testing.assert_allclose(ours.probabilities, blocks, atol=2e-3)
    without = [one.labels for one in model.predict_clip(clip)]
    assert all(torch.equal(a, b.labels) for a, b in zip(without, found, strict=True))


def test_labels_of_a_padded_frame_lie_where_the_frame_does(saved: Saved, clip: Frames) -> None:
    folder = saved("eomt_padded")
    model = load_hugging_face(str(folder))
    (found,) = model.predict_clip(clip[:1])
    network: Any = hf.AutoModelForUniversalSegmentation.from_pretrained(folder).eval()
    processor: Any = hf.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        output = network(**processor(images=clip[:1], return_tensors="pt"))
    # a frame of 48 x 80 is 38 x 64 in the network's 64 x 64
    masks = torch.nn.functional.interpolate(output.masks_queries_logits, (64, 64), mode="bilinear")
    classes = output.class_queries_logits[0].softmax(-1)[:, :-1]
    scores = torch.einsum("qc,qhw->chw", classes, masks[0, :, :38].sigmoid())
    plain = torch.nn.functional.interpolate(scores[None], (48, 80), mode="bilinear")[0].argmax(0)
    assert len(plain.unique()) > 1
    assert (plain == found.labels).float().mean() > 0.97  # up to one more interpolation


def test_state_of_videomt_is_carried_and_starts_anew(saved: Saved, clip: Frames) -> None:
    model = load_hugging_face(str(saved("videomt")))
    whole = [one.labels for one in model.predict_clip(clip)]
    again = [one.labels for one in model.predict_clip(iter(clip))]
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    alone = [next(iter(model.predict_clip([frame]))).labels for frame in clip]
    assert torch.equal(whole[0], alone[0])
    assert any(not torch.equal(a, b) for a, b in zip(whole[1:], alone[1:], strict=True))
    assert not model.network.layers[-1]._forward_hooks


def test_probabilities_of_a_class_are_sums_and_unmapped_labels_are_void(
    saved: Saved, clip: Frames
) -> None:
    own = load_hugging_face(str(saved("segformer")))
    model = own.for_classes(["ROAD", "sky"])
    assert model.unmapped == ("car", "unicorn")
    assert model.num_classes == 2
    before = list(own.predict_clip(clip, with_probabilities=True))
    after = list(model.predict_clip(clip, with_probabilities=True))
    table = torch.tensor([1, 0, 255, 255])
    for ours, mapped in zip(before, after, strict=True):
        assert torch.equal(mapped.labels, table[ours.labels.long()].to(torch.uint8))
        assert ours.probabilities is not None
        assert mapped.probabilities is not None
        assert torch.allclose(mapped.probabilities, ours.probabilities[[1, 0]], atol=1e-3)
    assert any((one.labels == 255).any() for one in after)


def test_frames_of_another_type_are_refused(saved: Saved, clip: Frames) -> None:
    model = load_hugging_face(str(saved("segformer")))
    wrong: Any = clip[0].astype(np.float32)
    with pytest.raises(SettingsError, match=r"a frame is float32 \(48, 80, 3\), not uint8"):
        next(iter(model.predict_clip([wrong])))
