"""The demo model's training: look-up start, resumable stages, losses and quality numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from demo_training.sam2 import points, quality
from demo_training.sam2.losses import TEMPERATURE, mask_iou, mask_loss
from demo_training.sam2.pool import (
    FRAMES_PER_CLIP,
    SIDE_PX,
    Pool,
    load_pool,
    region_targets,
    sample_clips,
)
from demo_training.sam2.recipe import run_stage
from demo_training.sam2.run import export
from demo_training.sam2.stages import STAGES, Stage
from demo_training.sam2.tracking import DeepSupervision, tracking_step
from sam2vss_lib.datasets.demo.world import World
from sam2vss_lib.errors import DataError
from sam2vss_lib.masklets import sam2
from sam2vss_lib.masklets.sam2 import build_model, demo_config, load_sam2


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return load_pool(tmp_path_factory.mktemp("pool"), num_clips=14, first_seed=77)


def fresh_model() -> Any:
    torch.manual_seed(3)
    return build_model(demo_config()).train()


def test_pool_is_rendered_once_and_regions_fit_images(pool: Pool, tmp_path: Path):
    assert pool.images.shape == (14, FRAMES_PER_CLIP, SIDE_PX, SIDE_PX, 3)
    again = load_pool(tmp_path, num_clips=1, first_seed=77)
    assert (again.regions[0] == pool.regions[0]).all()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    load_pool(tmp_path, num_clips=1, first_seed=77)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_samples_are_normalised_clips_with_their_regions(pool: Pool):
    images, labels = sample_clips(pool, np.random.default_rng(0), batch=2, num_frames=3)
    assert images.shape == (2, 3, 3, SIDE_PX, SIDE_PX)
    assert labels.shape == (2, 3, SIDE_PX, SIDE_PX)
    assert -3 < images.min() < images.max() < 3


def test_targets_are_area_averages(pool: Pool):
    labels = torch.from_numpy(pool.regions[0][:1].astype(np.int64))
    target = region_targets(labels, torch.tensor([0]), torch.tensor([0]), SIDE_PX // 4)
    mask = (labels[0] == 0).float()
    assert torch.allclose(target[0, 0], mask.view(64, 4, 64, 4).mean((1, 3)))


def test_half_of_the_prompts_cover_regions_evenly_and_hit_their_target(pool: Pool):
    labels = torch.from_numpy(pool.regions[:2, 0].astype(np.int64))
    prompts = points.draw_prompts(labels, np.random.default_rng(0), per_image=16)
    x, y = prompts.point_px.T
    for n in range(len(x)):
        region = labels[prompts.image[n], y[n], x[n]]
        share = (labels[prompts.image[n]] == region).float().mean()
        assert prompts.target[n].mean().item() == pytest.approx(share.item(), abs=1e-5)


def test_loss_of_right_and_wrong_masks():
    target = torch.zeros(2, 8, 8)
    target[:, 2:6, 2:6] = 1
    logits = torch.stack([target[0] * 40 - 20, 20 - target[1] * 40])
    right, wrong = mask_loss(logits, target)
    assert right < 1e-3
    # every pixel wrong with logit 20: twice the cross entropy 20 / TEMPERATURE, and all of dice
    assert wrong.item() == pytest.approx(2 * 20 / TEMPERATURE + 1, rel=0.03)
    assert mask_iou(logits, target).tolist() == [1.0, 0.0]


def test_lookup_start_keeps_the_direct_path(pool: Pool):
    """Making features small against the position codes is undone wherever features are read."""
    model = fresh_model()
    images, labels = sample_clips(pool, np.random.default_rng(1), batch=1, num_frames=1)
    prompts = points.draw_prompts(labels[:, 0], np.random.default_rng(1), per_image=4)
    with torch.no_grad():
        before = points.direct_masks(model, points.encode(model, images[:, 0]), prompts)[0]
        points.initialise_lookup(model)
        small = points.encode(model, images[:, 0])
        after = points.direct_masks(model, small, prompts, scale=0.2)[0]
    # layer norm's epsilon weighs more on smaller features, hence not equal to the last bit
    assert torch.allclose(before, after, atol=2e-3 * before.abs().max().item())


@pytest.mark.parametrize("step", [points.direct_step, points.lookup_step, points.point_step])
def test_point_steps_give_gradients_to_what_they_train(step, pool: Pool):
    model = fresh_model()
    loss, numbers = step(model, pool, np.random.default_rng(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(np.isfinite(float(value)) for value in numbers.values())
    kernels = model.sam_mask_decoder.output_hypernetworks_mlps[1].layers[0].weight
    encoder = model.image_encoder.neck.convs[0].conv.weight
    assert kernels.grad.abs().sum() > 0
    assert (encoder.grad is None) == (step is points.lookup_step)


def test_tracking_step_reaches_memory_and_leaves_the_model_as_it_was(pool: Pool):
    model = fresh_model()
    original = model._forward_sam_heads
    loss, numbers = tracking_step(
        model, DeepSupervision(128), pool, np.random.default_rng(0), clips=1, objects=2,
        num_frames=3,
    )  # fmt: skip
    loss.backward()
    assert model._forward_sam_heads == original
    assert 0 <= numbers["track_iou"] <= 1
    assert model.memory_attention.layers[0].cross_attn_image.k_proj.weight.grad.abs().sum() > 0
    assert model.image_encoder.neck.convs[0].conv.weight.grad is None


def direct(model: Any, probe: Any, pool: Pool, rng: np.random.Generator):
    return points.direct_step(model, pool, rng)


def other(model: Any, probe: Any, pool: Pool, rng: np.random.Generator):
    """A second loss on the same weights."""
    loss, _ = points.direct_step(model, pool, rng)
    return -0.3 * loss, {"other": loss.detach()}


RATES = (("sam_mask_decoder.output", 1.0),)


def trained(stage: Stage, pool: Pool, folder: Path) -> Any:
    model = fresh_model()
    run_stage(model, DeepSupervision(128), stage, pool, folder, seed=0)
    return model


def assert_equal_weights(one: Any, two: Any) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name


def test_interrupted_stage_ends_with_the_same_weights(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("demo_training.sam2.recipe._CHECKPOINT_STEPS", 1)
    whole = trained(Stage("short", 2, RATES, (direct,)), pool, tmp_path / "whole")

    def stopped(*_: object) -> Any:
        raise KeyboardInterrupt

    calls = iter([direct, stopped])
    breaking = Stage("short", 2, RATES, (lambda *a: next(calls)(*a),))
    with pytest.raises(KeyboardInterrupt):
        trained(breaking, pool, tmp_path / "parts")
    resumed = trained(Stage("short", 2, RATES, (direct,)), pool, tmp_path / "parts")
    assert_equal_weights(whole, resumed)


def test_checkpoint_of_another_recipe_is_refused(pool: Pool, tmp_path: Path):
    trained(Stage("short", 1, RATES, (direct,)), pool, tmp_path)
    with pytest.raises(DataError, match=r"short\.pt: of another recipe or seed; use a new --out"):
        trained(Stage("short", 1, RATES, (direct,), lr=2e-3), pool, tmp_path)


def in_process(rank: int, folder: Path, pool_folder: Path) -> None:
    """One of two processes that share the losses of a stage."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meet'}", world_size=2, rank=rank)
    stage = Stage("short", 2, RATES, (direct, other))
    model = trained(stage, load_pool(pool_folder, 10, 77), folder)
    torch.save(model.state_dict(), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_processes_train_like_one(pool: Pool, tmp_path: Path):
    load_pool(tmp_path / "pool", num_clips=14, first_seed=77)
    one = trained(Stage("short", 2, RATES, (direct, other)), pool, tmp_path / "one")
    folder = tmp_path / "two"
    folder.mkdir()
    spawn(in_process, (folder, tmp_path / "pool"), nprocs=2)
    states = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in one.state_dict().items():
        assert torch.equal(states[0][name], states[1][name]), name
        assert torch.allclose(states[0][name], value, atol=1e-6), name


def test_every_parameter_is_trained_by_some_stage():
    for name, _ in build_model(demo_config()).named_parameters():
        factors = [
            next((f for prefix, f in stage.rates if name.startswith(prefix)), 0.0)
            for stage in STAGES
        ]
        assert max(factors) > 0, name


def test_exported_weights_load_as_a_checkpoint(tmp_path: Path):
    model = fresh_model()
    path = tmp_path / "mine.safetensors"
    export(model, path)
    assert path.stat().st_size < 10 * 2**20
    config = Path(sam2.__file__).parent / "demo" / "sam2_micro.yaml"
    loaded = load_sam2(path, config=str(config)).predictor.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value.half().float()), name


def test_quality_regions_are_large_and_labelled():
    world = World(quality.HELD_OUT_SEED + 3)
    frame = world.frame(0)
    regions = quality.labelled_regions(world, frame.regions)
    assert regions
    for region, mask in regions.items():
        assert mask.sum() > quality.MIN_REGION_PX
        assert world.region_labels[region] != 0
        assert (frame.regions[mask] == region).all()


def test_quality_iou():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert quality.mask_iou(a, b) == 0
    a[:2], b[1:3] = True, True
    assert quality.mask_iou(a, b) == pytest.approx(1 / 3)
