"""Approximations as settings: off by default, told apart in stores, chosen by presets."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import Dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.masklets.approximations import EXACT, FAST, Approximations
from sam2vss_lib.masklets.generate import generate_masklets
from sam2vss_lib.masklets.plan import passes, planned_work, proposals_from
from sam2vss_lib.masklets.sam2 import Sam2Model
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.study.settings import StudySettings
from sam2vss_lib.study.stages import Study

#: of the default settings before there were any approximations
DEFAULT_SHA256 = "75c79490bf3638268e7de36dc0183a3770228a563b2064e2e76604454c9a9886"
SOME = {
    "share_anchor_encoding": True,
    "merge_iou": 0.7,
    "memory_stride_frames": 2,
    "recent_memories": 1,
    "compile_encoder": True,
    "compile_step": True,
    "attention_backend": "math",
    "channels_last": True,
}


def test_settings_without_any_are_the_same_as_ever() -> None:
    assert MaskletSettings().sha256() == DEFAULT_SHA256
    assert MaskletSettings().in_use() == EXACT.in_use() == {}
    assert MaskletSettings.from_preset("exact") == MaskletSettings()
    assert not set(SOME) & set(MaskletSettings().identity())


def test_each_approximation_has_a_hash_of_its_own() -> None:
    assert set(SOME) == set(Approximations.model_fields)
    settings = [MaskletSettings.model_validate({name: value}) for name, value in SOME.items()]
    assert len({one.sha256() for one in [MaskletSettings(), *settings]}) == len(SOME) + 1
    for one, (name, value) in zip(settings, SOME.items(), strict=True):
        assert one.in_use() == {name: value}
        assert one.identity()[name] == value


@pytest.mark.parametrize("gone", ["memory_pool", "image_size_px"])
def test_an_approximation_of_earlier_versions_is_refused_in_one_line(gone: str) -> None:
    message = f"unknown setting '{gone}'"
    with pytest.raises(SettingsError, match=message) as caught:
        MaskletSettings.from_preset("exact", **{gone: 2})
    assert "\n" not in str(caught.value)


def test_presets_are_starting_points() -> None:
    fast = MaskletSettings.from_preset("fast", window=8, memory_stride_frames=1)
    assert fast.in_use() == {k: v for k, v in FAST.in_use().items() if k != "memory_stride_frames"}
    assert fast.window == 8
    with pytest.raises(SettingsError, match="unknown preset 'quick'; there are: exact, fast"):
        MaskletSettings.from_preset("quick")
    with pytest.raises(SettingsError, match="'merge_iou'"):
        MaskletSettings.from_preset("fast", merge_iou=0.1)


def test_stock_has_no_approximations() -> None:
    with pytest.raises(SettingsError, match=r"merge_iou.*: engine stock has no such approximation"):
        MaskletSettings.from_preset("fast", engine="stock")


def test_a_study_takes_a_preset() -> None:
    places = {"profile": "demo", "out_dir": "out", "stages_dir": "stages", "dataset": "demo"}
    fast = StudySettings.model_validate({**places, "preset": "fast", "compile_encoder": True})
    assert fast.masklets.in_use() == {**FAST.in_use(), "compile_encoder": True}
    assert StudySettings.model_validate(places).masklets == MaskletSettings()


def test_a_study_keeps_masklets_of_each_preset_apart(small_world: Dataset, tmp_path: Path) -> None:
    places = {"profile": "demo", "out_dir": "out", "stages_dir": str(tmp_path)}
    given = {**places, "dataset": str(small_world.root)}
    folders = set[Path]()
    for changes in ({}, {"preset": "exact"}, {"preset": "fast"}, {"preset": "fast", "window": 8}):
        study = Study(StudySettings.model_validate({**given, **changes}))
        folders |= {*study.masklet_folders([study.settings.masklets], study.dataset).values()}
    assert len(folders) == 3  # the first two are the same


def test_only_settings_that_leave_out_the_same_share_a_pass() -> None:
    exact, shorter = MaskletSettings(), MaskletSettings(window=8)
    strided = MaskletSettings(memory_stride_frames=2)
    strided_shorter = MaskletSettings(memory_stride_frames=2, window=8)
    merged = [MaskletSettings(merge_iou=0.8, window=window) for window in (8, 32)]
    groups = passes([exact, strided, shorter, strided_shorter, *merged])
    assert groups == [[exact, shorter], [strided, strided_shorter], merged[:1], merged[1:]]
    assert proposals_from(strided, [exact, shorter]) is None
    assert proposals_from(strided, [strided_shorter]) == strided_shorter


def test_a_shared_encoding_of_anchors_saves_one_each() -> None:
    settings = MaskletSettings(window=10)
    shared = settings.model_copy(update={"share_anchor_encoding": True})
    assert planned_work([40], [settings]).image_encodings == 44
    assert planned_work([40], [shared]).image_encodings == 40
    assert planned_work([40], [settings, shared]).image_encodings == 84


def test_a_store_of_one_setting_is_not_taken_for_another(
    demo_model: Sam2Model, small_world: Dataset, tmp_path: Path
) -> None:
    changes = {"window": 3, "points_per_side": 2, "pred_iou_thresh": 0.05}
    exact = MaskletSettings.model_validate(changes)
    strided = MaskletSettings.model_validate({**changes, "memory_stride_frames": 2})
    generate_masklets(small_world, demo_model, exact, tmp_path)
    with pytest.raises(DataError, match="memory_stride_frames"):
        generate_masklets(small_world, demo_model, strided, tmp_path)
    assert generate_masklets(small_world, demo_model, exact, tmp_path).reused == 1
    stored = MaskletStore(tmp_path).metadata(small_world.clips[0].name)
    assert stored["settings"] == exact.identity()


def test_options_of_the_command(small_world: Dataset, tmp_path: Path) -> None:
    arguments = ["masklets", "--checkpoint=demo", "--device=cpu", f"--dataset={small_world.root}"]
    options = ["--window=2", "--points-per-side=2", "--preset=fast", "--merge-iou=0.9"]
    done = CliRunner().invoke(app, [*arguments, *options, f"--out={tmp_path}"])
    assert done.exit_code == 0, done.output
    settings = MaskletStore(tmp_path).metadata(small_world.clips[0].name)["settings"]
    expected = MaskletSettings.from_preset("fast", window=2, points_per_side=2, merge_iou=0.9)
    assert settings == expected.identity()
