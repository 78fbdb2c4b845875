"""`sam2vss apply` on a data set: the single stages' files, films and counts; it resumes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

import sam2vss_lib.apply.run
import sam2vss_lib.masklets.sam2
from sam2vss_lib.datasets import VOID, open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder
from tests.apply.conftest import CLASSES, FRAMES, apply

CLIP = "1_demo5"
# 320x240, enlarged twice, under captions of 32 pixels
GAP, PANEL = 4, (2 * 240 + 32, 2 * 320)


def decoded(path: Path) -> list[Any]:
    with av.open(path) as container:
        return list(container.decode(container.streams.video[0]))


def test_films_have_a_picture_of_every_frame(applied: Path) -> None:
    folder = applied / "films" / CLIP
    changes, masklets = (decoded(folder / name) for name in ("changes.mp4", "masklets.mp4"))
    assert [len(changes), len(masklets)] == [FRAMES, FRAMES]
    assert (changes[0].height, changes[0].width) == (2 * PANEL[0] + GAP, 2 * PANEL[1] + GAP)
    assert (masklets[0].height, masklets[0].width) == PANEL
    assert float(changes[1].time - changes[0].time) == pytest.approx(0.1)  # 10 a second
    with Image.open(folder / "changes.gif") as preview:
        assert (len([*ImageSequence.Iterator(preview)]), preview.width) == (FRAMES, 480)


def test_films_show_the_frame_and_what_changed(applied: Path, clip_root: Path) -> None:
    (clip,) = open_dataset(clip_root, "val")
    shown = decoded(applied / "films" / CLIP / "changes.mp4")[3].to_ndarray(format="rgb24")
    top = shown[32 : PANEL[0], : PANEL[1]].astype(int)
    frame = clip.frame(3).repeat(2, 0).repeat(2, 1)
    assert np.abs(top - frame).mean() < 6
    base, refined = (PredictionFolder(applied / name, CLASSES) for name in ("base", "refined"))
    truth = clip.ground_truth(3)
    before, after = base.read(clip, 3), refined.read(clip, 3)
    right = (before != after) & (after == truth)
    assert right.sum() > 100
    at = right.repeat(2, 0).repeat(2, 1)
    blue = shown[PANEL[0] + GAP + 32 :, PANEL[1] + GAP :][at].astype(int).mean(0)
    assert blue[2] > 140 > blue[0] + 60


def test_counts_are_those_of_the_labels(applied: Path, clip_root: Path) -> None:
    counted = json.loads((applied / "films" / CLIP / "changes.json").read_text())
    (clip,) = open_dataset(clip_root, "val")
    base, refined = (PredictionFolder(applied / name, CLASSES) for name in ("base", "refined"))
    moves = np.zeros((256, 256), int)
    for i, found in enumerate(counted["frames"]):
        before, after, truth = base.read(clip, i), refined.read(clip, i), clip.ground_truth(i)
        changed = before != after
        assert found == {
            "changed": changed.sum(),
            "better": (changed & (after == truth)).sum(),
            "worse": (changed & (before == truth) & (truth != VOID)).sum(),
        }
        np.add.at(moves, (before, after), 1)
    assert counted["moves"] == [[a, b, moves[a, b]] for a, b in np.argwhere(moves).tolist()]
    assert counted["pixels"] == FRAMES * 240 * 320
    assert counted["names"] == list(clip.frames)
    assert {*counted["pictures"]} <= {*clip.frames}


def test_metrics_are_there_before_and_after(applied: Path) -> None:
    base, refined = (
        json.loads((applied / "metrics" / f"{name}.json").read_text())["metrics"]
        for name in ("base", "refined")
    )
    assert base.keys() == refined.keys()
    assert base["mIoU"] != refined["mIoU"]


def test_the_plan_is_said_before_anything_is_made(
    clip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sam2vss_lib.masklets.sam2, "load_sam2", stop)
    out = tmp_path / "out"
    done = apply(clip_root, "--model", "segformer-micro", "--out", out)
    assert done.exit_code == 130
    assert "data set one: 6 frames of 320x240" in done.stderr
    assert "3x3 points every 4 frames, 18 prompts, 8 image encodings" in done.stderr
    assert "MiB are free" in done.stderr.replace("GiB", "MiB")
    assert not out.exists()


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Times and contents of all files but the page's."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("stage", ["segment", "refine", "count_predictions", "make_films"])
def test_what_was_done_before_an_interruption_is_kept(
    applied: Path,
    clip_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(sam2vss_lib.apply.run, stage, stop)
        done = apply(clip_root, "--model", "segformer-micro", "--out", out)
    assert done.exit_code == 130
    assert "the same command goes on" in done.stderr
    before = state(out)
    assert f"masklets/{CLIP}.parquet" in before
    assert apply(clip_root, "--model", "segformer-micro", "--out", out).exit_code == 0
    after = state(out)
    for name, (time, content) in before.items():
        counted = name.startswith("metrics")  # which is done afresh
        assert after[name] == (after[name][0] if counted else time, content), name
    whole = state(applied)
    for name in whole.keys() - {"index.html", "metrics/base.json", "metrics/refined.json"}:
        if not name.endswith((".mp4", f"films/{CLIP}/made_from.json")):  # encoders are threaded
            assert after[name][1] == whole[name][1], name


def test_films_are_made_anew_after_an_interruption(
    applied: Path, clip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(applied, tmp_path / "out")
    shutil.rmtree(out / "films")
    given = (clip_root, "--model", "segformer-micro", "--out", out)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sam2vss_lib.apply.films.write_gif", stop)
        assert apply(*given).exit_code == 130
    assert apply(*given).exit_code == 0
    names = {path.name for path in (applied / "films" / CLIP).iterdir()}
    assert {path.name for path in (out / "films" / CLIP).iterdir()} == names


def test_an_out_of_other_inputs_is_refused_and_kept(
    applied: Path, clip_root: Path, tmp_path: Path, refuse: Any
) -> None:
    out = shutil.copytree(applied, tmp_path / "copy", copy_function=shutil.copy2)
    other = shutil.copytree(clip_root, tmp_path / "two")
    before = state(out)
    model = ("--model", "segformer-micro", "--out", out)
    for arguments, said in (
        ((other, *model), "source is one, not two"),
        ((clip_root, *model, "--stability-score-thresh", 0.7), "settings.stability_score_thresh"),
        ((clip_root, *model, "--vote", "masklet"), "settings.vote is frame, not masklet"),
        ((clip_root, *model, "--fps", 5), "fps is 10.0, not 5.0"),
        ((clip_root, "--model", "segformer-mini", "--out", out), "checkpoint_sha256 is 803501c2"),
    ):
        refused = refuse(3, *arguments)
        assert f"made with other inputs: {said}" in refused
        assert "use another --out" in refused
    after = state(out)
    for name, (_, content) in before.items():
        if not name.startswith("metrics"):  # which say where the labels lie
            assert after[name][1] == content, name


def test_files_of_somebody_else_are_refused(tmp_path: Path, clip_root: Path, refuse: Any) -> None:
    mine = tmp_path / "out" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    said = refuse(3, clip_root, "--model", "segformer-micro")
    assert f"{mine.parent}: holds files of unknown origin, such as thesis.txt" in said
    assert [*mine.parent.iterdir()] == [mine]


def test_adaptive_reads_probabilities_and_says_what_the_gate_found(
    clip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr("sam2vss_lib.refinement.trust._MOST_DOUBT", -1.0)
    done = apply(clip_root, "--model", "segformer-micro", "--vote", "adaptive", "--out", out)
    assert done.exit_code == 0, done.output
    assert (
        "SAM2 was not trusted on 1 of 1 clips, which stay as they were: they would" in done.stderr
    )
    assert "SAM2 was not trusted on 1 of 1 clips" in (out / "index.html").read_text()
    base, refined = (PredictionFolder(out / name, CLASSES) for name in ("base", "refined"))
    (clip,) = open_dataset(clip_root, "val")
    assert base.read_probabilities(clip, 0) is not None
    assert np.array_equal(base.read(clip, 0), refined.read(clip, 0))
    again = apply(clip_root, "--predictions", out / "base", "--vote", "fragment",
                  "--out", tmp_path / "given")  # fmt: skip
    assert again.exit_code == 0, again.output


def test_votes_that_cannot_be_had_are_refused_at_once(
    clip_root: Path, refuse: Callable[..., str], tmp_path: Path
) -> None:
    model = (clip_root, "--model", "segformer-micro")
    said = refuse(2, *model, "--vote", "ensemble")
    assert said == "--vote ensemble: asks several base models; run it by sam2vss refine"
    said = refuse(3, *model, "--vote", "learned", "--arbiter", tmp_path / "none")
    assert said.endswith("none: no such arbiter; make it by sam2vss fusion fit")
    assert not (tmp_path / "out").exists()
