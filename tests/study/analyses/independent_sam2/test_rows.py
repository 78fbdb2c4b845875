"""Table 3 without SAM2: settings, rows that cannot run, seeds, verdicts, bounds, stage folders."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.metrics import paired_gain
from sam2vss_lib.study.analyses.independent_sam2 import rows as independent
from sam2vss_lib.study.analyses.independent_sam2 import study as isam2_study
from sam2vss_lib.study.analyses.independent_sam2 import tables as independent_tables
from sam2vss_lib.study.analyses.independent_sam2.consistency import (
    Consistency,
    consistencies,
    consistency_reading,
    consistency_table,
)
from sam2vss_lib.study.analyses.independent_sam2.rows import (
    EncoderRun,
    independent_claims,
    independent_rows,
)
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.results.tables import table_frame, text_table
from sam2vss_lib.study.settings import (
    IndependentSettings,
    load_profile,
    make_settings,
)
from tests.study.rows import evaluated

BASES = [
    {"method": "SegFormer", "backbone": "micro", "segmentor": "segformer-micro"},
    {"method": "CFFM", "backbone": "MiT-B1", "predictions": "nowhere"},
]
ENCODERS = [
    {"method": "I-CFFM", "backbone": "MiT-B1", "encoder": None, "base": "CFFM MiT-B1"},
    {"method": "I-SAM2", "backbone": "", "encoder": "sam2:demo", "base": "SegFormer micro"},
]
PLACES = {"profile": "demo", "dataset": "demo", "out_dir": "out", "stages_dir": "stages"}
BASE: dict[str, Any] = {**PLACES, "base_systems": BASES, "encoders": ENCODERS}


def make_study(root: Path, **changes: Any) -> IndependentStudy:
    places = {"dataset": str(root), "stages_dir": str(root / "stages"), "device": "cpu"}
    return IndependentStudy(make_settings({**BASE, **places, "bootstrap_samples": 200, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoders": []}, ["'encoders'"]),
        ({"encoders": [*ENCODERS, ENCODERS[0]]}, ["encoders", "twice"]),
        ({"encoders": [{**ENCODERS[0], "base": "X"}]}, ["no base system 'X'", "SegFormer micro"]),
        ({"encoders": [{**ENCODERS[0], "level": 4}]}, ["level"]),
        ({"classifier_seeds": [0, 1]}, ["'classifier_seeds'", "3"]),
        ({"classifier_seeds": [0, 1, 1]}, ["classifier_seeds", "twice"]),
        ({"classifier_seeds": [0, 1, -1]}, ["classifier_seeds", "from 0"]),
        ({"classifier": {"seed": 3}}, ["classifier_seeds"]),
        ({"classifier": {"depth": 3}}, ["classifier.depth"]),
        ({"classifier": {"hidden": "3"}}, ["classifier.hidden", "integer"]),
        ({"train_split": "val"}, ["train_split", "measured on"]),
        ({"train_clips": 1}, ["'train_clips'"]),
        ({"feature_pool": "frame", "feature_frame_stride": 2}, ["feature_frame_stride"]),
    ],
)
def test_bad_settings_give_one_line_naming_them(changes: dict[str, Any], words: list[str]):
    with pytest.raises(SettingsError) as caught:
        make_settings({**BASE, **changes})
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_settings_of_the_training_frames_are_the_studys_but_for_window_and_grid():
    settings = make_settings({**BASE, "pred_iou_thresh": 0.5, "train_points_per_side": 8})
    assert isinstance(settings, IndependentSettings)
    training = settings.training_masklets
    assert (training.window, training.points_per_side) == (1, 8)
    assert training.pred_iou_thresh == 0.5
    with pytest.raises(SettingsError, match="encoders"):
        IndependentStudy(make_settings(PLACES))


def test_profile_of_vspw_has_all_rows_of_the_paper():
    settings = make_settings({**PLACES, **load_profile("vspw", "03")})
    assert isinstance(settings, IndependentSettings)
    assert [system.label for system in settings.encoders] == [
        "I-CFFM MiT-B0", "I-CFFM MiT-B1", "I-CFFM MiT-B2", "I-SAM2",
    ]  # fmt: skip
    assert settings.encoders[-1].base == "CFFM MiT-B1"  # P: section 4.1.1


def test_rows_that_cannot_be_run_say_why(tiny_vspw: Path):
    study = make_study(tiny_vspw)
    cffm, sam2 = study.independent.encoders
    assert study.why_not_encoder(cffm) == "no encoder of CFFM MiT-B1 to take features from"
    # the tiny data set has no train split
    assert "train" in str(study.why_not_encoder(sam2))
    with pytest.raises(SettingsError, match="unknown model 'segfromer'"):
        study.why_not_encoder(sam2.model_copy(update={"encoder": "segfromer"}))
    lost = sam2.model_copy(update={"encoder": "segformer-mit_b0:nowhere.safetensors"})
    assert "nowhere.safetensors" in str(study.why_not_encoder(lost))

    base = study.settings.base_systems[1]
    run = EncoderRun(cffm, base, reason="no encoder", base_reason="no predictions at nowhere")
    rows = independent_rows(study, [run])
    status = {row.name: row.status for row in rows}
    assert status["CFFM", "MiT-B1"] == "not run: no predictions at nowhere"
    assert status["I-CFFM", "MiT-B1"] == "not run: no encoder"
    assert status["I-CFFM_base", "MiT-B1"] == "not run: no encoder"
    assert status["I-SAM2", ""] == "not run: profile demo has no I-SAM2"
    assert len(rows) == 11  # all of the paper's Table 3, each once


def runs_of(study: IndependentStudy, errors: dict[int, float]) -> list[EncoderRun]:
    """I-X of SegFormer and I-SAM2, whose share of wrong pixels is given by seed."""
    micro, sam2 = study.independent.encoders
    base = study.settings.base_systems[0]
    alone = {seed: evaluated(error, seed=seed + 1) for seed, error in errors.items()}
    filled = {seed: evaluated(error / 2, seed=seed + 1) for seed, error in errors.items()}
    worse = {seed: evaluated(error + 0.2, seed=seed + 1) for seed, error in errors.items()}
    bound = evaluated(0.05, seed=9)
    return [
        EncoderRun(micro, base, base=evaluated(0.2), alone=alone, filled=filled, bound=bound,
                   bound_filled=bound),
        EncoderRun(sam2, base, base=evaluated(0.2), alone=worse, filled=filled, bound=bound,
                   bound_filled=bound),
    ]  # fmt: skip


@pytest.fixture
def study(tiny_vspw: Path) -> IndependentStudy:
    micro = {**ENCODERS[1], "method": "I-SegFormer", "backbone": "micro"}
    micro["encoder"] = "segformer-micro"
    return make_study(tiny_vspw, encoders=[micro, ENCODERS[1]])


def test_rows_are_the_first_seeds_and_gains_go_step_by_step(study: IndependentStudy):
    runs = runs_of(study, {0: 0.4, 1: 0.5, 2: 0.6})
    rows = {row.label: row for row in independent_rows(study, runs)}
    table = table_frame([*rows.values()]).set_index(["method", "backbone"])
    assert [*rows][:3] == ["SegFormer micro", "I-SegFormer micro", "I-SegFormer_base micro"]
    alone, filled = rows["I-SegFormer micro"], rows["I-SegFormer_base micro"]
    assert alone.evaluated is runs[0].alone[0]
    assert alone.reference == ("SegFormer", "micro")
    assert filled.reference == ("I-SegFormer", "micro")
    assert "first of 3 seeds" in alone.status
    assert rows["SegFormer micro"].status == study.status
    before, after = (table.loc[(m, "micro"), "mIoU"] for m in ("SegFormer", "I-SegFormer"))
    gain = table.loc[("I-SegFormer", "micro"), "mIoU_gain"]
    assert gain == pytest.approx(after - before, abs=1e-3)
    assert rows["I-SAM2"].paper["mIoU"] == 18.03


def test_claims_need_all_seeds(study: IndependentStudy):
    agreed = independent_claims(study, runs_of(study, {0: 0.4, 1: 0.5, 2: 0.6}))
    verdicts = {claim.statement: claim.verdict for claim in agreed}
    assert verdicts["I-SegFormer micro lowers mIoU against SegFormer micro"] == "holds"
    assert verdicts["I-SegFormer_base micro raises mIoU over I-SegFormer micro"] == "holds"
    assert verdicts["I-SAM2 lowers mIoU against SegFormer micro"] == "holds"
    assert verdicts["I-SAM2 lowers mIoU against I-SegFormer micro"] == "holds"
    assert "I-SegFormer micro lowers mVC8 against SegFormer micro" in verdicts
    assert "I-SegFormer micro lowers mIoU against I-SAM2" not in verdicts

    runs = runs_of(study, {0: 0.4, 1: 0.05, 2: 0.6})
    split = independent_claims(study, runs)[0]
    assert split.verdict == "undecided"
    assert runs[0].base is not None
    for seed, run in runs[0].alone.items():
        gain = paired_gain(runs[0].base.suite, run.suite, samples=2)["mIoU"].gain
        assert f"seed {seed}: {gain:+.2f}" in split.evidence
    failed = independent_claims(study, runs_of(study, dict.fromkeys(range(3), 0.02)))[0]
    assert failed.verdict == "does not hold"


def test_tables_beside_the_table_add_up(study: IndependentStudy):
    runs = runs_of(study, {0: 0.4, 1: 0.5, 2: 0.6})
    values = [run.metrics["metrics"]["mIoU"] for run in runs[0].alone.values()]
    found = independent.spread(runs[0].alone, "mIoU")
    assert found is not None
    assert found == pytest.approx((pd.Series(values).mean(), pd.Series(values).std()))
    seeds = independent_tables.seeds_table(runs).set_index("Row")
    assert seeds.loc["I-SegFormer micro", "mIoU"] == f"{found[0]:.2f} ± {found[1]:.2f}"
    for gap in independent_tables.gaps(runs):
        assert gap.of_masklets + gap.of_classifier == pytest.approx(gap.value - gap.base)
        assert gap.of_classifier < 0 < gap.of_masklets
    assert len(independent_tables.bound_table(runs)) == 4
    assert "the masklets +" in independent_tables.gap_reading(runs)
    whole = text_table("Seeds", independent_tables.seeds_table(runs))
    assert (len(whole.rows), whole.columns[0]) == (4, "Row")

    nothing = [replace(run, alone={}, filled={}, base=None, bound=None) for run in runs]
    assert independent_claims(study, nothing) == []
    assert independent_tables.seeds_table(nothing).empty
    assert independent_tables.gap_reading(nothing) == ""


def test_consistency_is_told_apart_from_constant_labels(study: IndependentStudy):
    runs = runs_of(study, {0: 0.02, 1: 0.03, 2: 0.04})[:1]
    (found,) = consistencies(runs)
    alone = [run.metrics["variants"]["mVC8"] for run in runs[0].alone.values()]
    assert found.alone == pytest.approx(np.mean([variants["vc_code"] for variants in alone]))
    assert found.alone_eq4 == pytest.approx(np.mean([variants["vc_eq4"] for variants in alone]))
    assert (found.raised_clips, found.clips) == (4, 4)
    (line,) = consistency_table([found]).to_dict("records")
    assert line["Clips with I-X above X"] == "4 of 4"
    assert line["X, Eq. 4"] == f"{found.base_eq4:.2f}"
    assert "(above it in 4 of 4 clips)" in consistency_reading([found])

    higher = Consistency("I-X", 90.0, 93.0, 92.0, 94.0, 89.0, 86.0, 3, 4)
    said = consistency_reading([higher])
    assert said.startswith("I-X: +2.0 points mVC8 to its base system (above it in 3 of 4 clips);")
    assert all(points in said for points in ("+3.0", "+4.0", "-3.0"))
    reasons = ("masklets themselves", "these are not the reason", "constant is wrong")
    assert all(reason in said for reason in reasons)
    other = consistency_reading([higher._replace(bound=89.0, filled=89.0, alone_eq4=90.0)])
    lower = consistency_reading([higher._replace(alone=88.0)])
    assert not any(reason in other or reason in lower for reason in reasons)

    together = consistency_reading([higher, higher._replace(label="I-Y", alone=91.0, clips=3)])
    assert together.startswith("I-X, I-Y: +1.0 to +2.0 points mVC8")
    assert "above it in 6 of 7 clips" in together
    assert all(together.count(reason) == 1 for reason in reasons)

    nothing = [replace(run, base=None, bound=None) for run in runs]
    assert consistencies(nothing) == []
    assert consistency_table([]).empty
    assert consistency_reading([]) == ""


def test_figure_shows_every_seed_and_also_nothing(study: IndependentStudy):
    runs = runs_of(study, {0: 0.4, 1: 0.5, 2: 0.6})
    frame = independent_tables.seeds_frame(runs)
    assert len(frame) == 2 * (1 + 3 + 3 + 1 + 1) * 5
    figure = independent_tables.figure_parts(frame, ("mIoU", "mVC8"))
    drawn = [line for line in figure.axes[0].lines if line.get_marker() != "None"]
    dots = sum(np.size(line.get_xdata()) for line in drawn)
    assert dots == 2 * 9
    independent_tables.figure_parts(independent_tables.seeds_frame([]), ("mIoU",))


def test_training_frames_of_another_step_have_a_folder_of_their_own(
    tiny_vspw: Path, monkeypatch: pytest.MonkeyPatch
):
    (tiny_vspw / "train.txt").write_text("first\nsecond\n")
    made: dict[Path, int] = {}

    def generate(frames: Any, _model: Any, _settings: Any, out: Path, **_: Any) -> Any:
        made[out] = sum(clip.num_frames for clip in frames)
        return SimpleNamespace(reused=0)

    monkeypatch.setattr(isam2_study, "generate_masklets", generate)
    for step in (2, 3):
        study = make_study(tiny_vspw, train_frame_step=step)
        study.__dict__["sam2"] = SimpleNamespace(
            checkpoint_sha256="c", config_sha256="d", name="none"
        )
        assert study.training_masklets.root in made
    assert [*made.values()] == [6, 4]  # 3 and 2 of the 5 frames of both clips
