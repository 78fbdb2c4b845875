"""TV3S against a slow reading, token by token; its windows, modes and published layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.segmentors.registry import load_segmentor
from sam2vss_lib.segmentors.temporal import selective_scan
from sam2vss_lib.segmentors.temporal.clip_head import join_frames
from sam2vss_lib.segmentors.temporal.state_space import window_groups
from sam2vss_lib.segmentors.temporal.tv3s import Tv3sHead
from tests.oracles import tv3s as oracle
from tests.segmentors.published import published_backbone, published_decoder, random_state

CHANNELS = (3, 4, 5, 6)


def make_head(window: int = 4, shift: int = 2, depth: int = 3, **settings: int) -> Tv3sHead:
    """A small head whose every weight is random and large enough to matter."""
    torch.manual_seed(depth)
    head = Tv3sHead(CHANNELS, 3, 6, window=window, shift=shift, depth=depth, **settings)
    for name, value in head.state_dict().items():
        if value.is_floating_point() and "A_log" not in name:
            value.copy_(0.4 * torch.randn_like(value))
        if "running_var" in name:
            value.abs_().add_(0.3)
    return head.eval()


def make_frames(count: int, height: int, width: int, seed: int = 0) -> list[list[Tensor]]:
    """Stages (1, C_i, h_i, w_i) of frames; (height, width) is that of the first stage."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    return [
        [
            torch.randn(1, c, *size, generator=generator)
            for c, size in zip(CHANNELS, sizes, strict=True)
        ]
        for _ in range(count)
    ]


def slow_logits(head: Tv3sHead, frames: list[list[Tensor]], window: int, shift: int) -> np.ndarray:
    weights = {name: value.double().numpy() for name, value in head.state_dict().items()}
    stages = [[stage[0].double().numpy() for stage in frame] for frame in frames]
    return oracle.clip_logits(weights, stages, window, shift)


@torch.inference_mode()
def fast_logits(head: Tv3sHead, frames: list[list[Tensor]]) -> Tensor:
    return head.clip_logits([head.frame_features(stages) for stages in frames])[0]


@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [((16, 16), 4, 2), ((17, 26), 4, 1), ((9, 31), 5, 3), ((8, 8), 4, 2), ((3, 2), 3, 1)],
    ids=["whole", "odd size", "uneven cut", "one window", "smaller than a window"],
)
def test_logits_equal_the_slow_reading(size: tuple[int, int], window: int, shift: int) -> None:
    head = make_head(window, shift)
    frames = make_frames(4, *size)
    wanted = slow_logits(head, frames, window, shift)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(fast_logits(head, frames).numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("numbers", [1, 3000])
def test_windows_in_stretches_equal_the_slow_reading(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token at a time, and a few, across the borders of frames."""
    monkeypatch.setitem(selective_scan._CHUNK_NUMBERS, "cpu", numbers)
    head, frames = make_head(), make_frames(4, 16, 24)
    wanted = slow_logits(head, frames, 4, 2)
    np.testing.assert_allclose(fast_logits(head, frames).numpy(), wanted, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(2, 6), st.data())
def test_any_size_equals_the_slow_reading(
    height: int, width: int, window: int, data: st.DataObject
) -> None:
    shift = data.draw(st.integers(0, window - 1))
    head = make_head(window, shift, depth=2)
    frames = make_frames(2, height, width)
    wanted = slow_logits(head, frames, window, shift)
    np.testing.assert_allclose(fast_logits(head, frames).numpy(), wanted, atol=1e-4)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(2, 9), st.data())
def test_every_cell_is_in_one_window(
    rows: int, columns: int, window: int, data: st.DataObject
) -> None:
    shift = data.draw(st.integers(0, window - 1))
    groups = window_groups(rows * window, columns * window, window, shift)
    cells = torch.cat([group.flatten() for group in groups]).sort().values
    assert torch.equal(cells, torch.arange(rows * columns * window**2))
    assert sum(map(len, groups)) == (rows + (shift > 0)) * (columns + (shift > 0))


def test_published_shift_gives_nine_kinds_of_windows() -> None:
    """Of a 60 x 120 grid: 2 x 5 whole windows, and pieces of half and of a quarter."""
    sizes = {group.shape[1]: len(group) for group in window_groups(60, 120, 20, 10)}
    assert sizes == {400: 2 * 5, 200: 2 * 2 + 2 * 5, 100: 4}


@torch.inference_mode()
def test_carrying_the_state_is_reading_the_whole_clip() -> None:
    head = make_head()
    frames = [head.frame_features(stages) for stages in make_frames(5, 12, 18)]
    state = head.new_state()
    carried = torch.zeros(0)
    for i, features in enumerate(frames, start=1):
        carried = head.next_logits(features, state)
        torch.testing.assert_close(carried, head.clip_logits(frames[:i]), rtol=0, atol=1e-5)
    fresh = head.next_logits(frames[-1], head.new_state())
    torch.testing.assert_close(fresh, head.clip_logits(frames[-1:]), rtol=0, atol=1e-5)
    assert (carried - fresh).abs().max() > 1e-3


@torch.inference_mode()
def test_clips_of_a_batch_do_not_meet() -> None:
    head = make_head()
    clips = [[head.frame_features(s) for s in make_frames(4, 12, 18, seed)] for seed in (1, 2)]
    joined = [join_frames(frames) for frames in zip(*clips, strict=True)]
    apart = torch.cat([head.clip_logits(clip) for clip in clips])
    torch.testing.assert_close(head.clip_logits(joined), apart, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_features_for_eq_3_are_what_the_classifier_reads() -> None:
    head = make_head()
    frames = [head.frame_features(stages) for stages in make_frames(4, 16, 16)]
    read = head.clip_features(frames)
    assert read.shape == (1, 6, 8, 8)
    logits = nn.functional.interpolate(head.linear_pred2(read), (16, 16), mode="bilinear")
    torch.testing.assert_close(head.clip_logits(frames), logits)


def test_gradients_reach_every_parameter() -> None:
    head = make_head().train()
    frames = make_frames(4, 12, 16)
    seen = [head.frame_features(stages) for stages in frames]
    (head.clip_logits(seen).square().mean() + head.frame_logits(seen[0]).square().mean()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # a bias in front of the batch norm has none but rounding: the norm takes it away
        assert name.startswith("linear_c") or parameter.grad.any(), name


def published_layout() -> dict[str, list[int]]:
    """Keys and shapes of the published head on MiT-B1, B2 and B5."""
    layout = published_decoder((64, 128, 320, 512))
    for i in range(8):
        mixer = f"vs.layers.{i}.mixer."
        layout |= {
            mixer + "A_log": [512, 16],
            mixer + "D": [512],
            mixer + "in_proj.weight": [1024, 256],
            mixer + "conv1d.weight": [512, 1, 4],
            mixer + "conv1d.bias": [512],
            mixer + "x_proj.weight": [48, 512],
            mixer + "dt_proj.weight": [512, 16],
            mixer + "dt_proj.bias": [512],
            mixer + "out_proj.weight": [256, 512],
            f"vs.layers.{i}.norm.weight": [256],
        }
    layout |= {"vs.norm_f.weight": [256]}
    return layout | {"linear_pred2.weight": [124, 256, 1, 1], "linear_pred2.bias": [124]}


@pytest.fixture(scope="module")
def published_b1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the authors publish it: an mmcv checkpoint with random weights."""
    layout = published_backbone((64, 128, 320, 512), (2, 2, 2, 2))
    layout |= {f"decode_head.{key}": shape for key, shape in published_layout().items()}
    path = tmp_path_factory.mktemp("tv3s") / "b1.pth"
    meta = {"CLASSES": ["wall"], "PALETTE": [[1, 2, 3]], "config": "model = 1", "epoch": 3}
    torch.save({"meta": meta, "state_dict": random_state(layout), "optimizer": {}}, path)
    return path


def test_published_state_dict_loads_strictly(published_b1: Path) -> None:
    segmentor = load_segmentor(f"tv3s-mit_b1:{published_b1}")
    assert (segmentor.name, segmentor.num_classes) == ("tv3s-mit_b1", 124)


def test_wrong_checkpoints_are_told_by_their_keys(published_b1: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fit tv3s-mit_b2: \d+ missing \(backbone.stages.0.bl"):
        load_segmentor(f"tv3s-mit_b2:{published_b1}")
    with pytest.raises(DataError, match=r"fit mrcfa-mit_b1: \d+ missing \(decode_head.deco1"):
        load_segmentor(f"mrcfa-mit_b1:{published_b1}")
    state = torch.load(published_b1, weights_only=True)["state_dict"]
    del state["backbone.block2.0.attn.kv.bias"]
    state["decode_head.vs.layers.0.mixer.extra"] = torch.zeros(1)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(DataError) as error:
        load_segmentor(f"tv3s-mit_b1:{path}")
    line = str(error.value)
    kept = "backbone.stages.1.blocks.0.attention."
    assert f"2 missing ({kept}k_proj.bias, {kept}v_proj.bias)" in line
    assert "1 unexpected (decode_head.vs.layers.0.mixer.extra)" in line
    assert "\n" not in line


def test_a_shift_beyond_the_window_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"shift 4 is not within 0\.\.3"):
        make_head(window=4, shift=4)
