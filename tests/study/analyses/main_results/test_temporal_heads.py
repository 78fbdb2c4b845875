"""Temporal base models beside the SegFormer of the same encoder."""

from sam2vss_lib.study.analyses.main_results.rows import temporal_gains, temporal_reading
from sam2vss_lib.study.results.schema import Row
from sam2vss_lib.study.results.tables import table_row
from sam2vss_lib.study.settings import StudySettings, make_settings
from tests.study.rows import evaluated


def settings() -> StudySettings:
    base = [{"method": "SegFormer", "backbone": "micro", "segmentor": "segformer-micro"}]
    return make_settings(
        {
            "profile": "demo", "dataset": "demo", "base_systems": base, "bootstrap_samples": 200,
            "out_dir": "out", "stages_dir": "stages",
        }
    )  # fmt: skip


def rows(single_error: float, temporal_error: float) -> list[Row]:
    single, temporal = evaluated(single_error), evaluated(temporal_error, seed=1)
    return [
        table_row(1, "SegFormer", "micro", "run", evaluated=single),
        table_row(1, "SAM2-SegFormer", "micro", "run", ("SegFormer", "micro"), temporal),
        table_row(1, "CFFM", "micro", "run", evaluated=temporal),
        table_row(1, "CFFM", "mini", "run", evaluated=temporal),
        table_row(1, "TV3S", "micro", "not run: no weights"),
    ]


def test_only_rows_with_the_same_backbone_are_compared():
    (found,) = temporal_gains(rows(0.2, 0.05), settings())
    assert (found.row.label, found.other.label) == ("CFFM micro", "SegFormer micro")
    own, other = found.row.ours["mVC8"], found.other.ours["mVC8"]
    assert own is not None
    assert other is not None
    assert found.gains["mVC8"].gain == own - other
    assert found.claim.verdict == "holds"
    said = temporal_reading([found])
    assert said.startswith("1 of 1 temporal base models have a higher mVC8")
    assert "CFFM" not in said


def test_the_reading_says_what_goes_with_a_lower_consistency():
    (found,) = temporal_gains(rows(0.05, 0.2), settings())
    assert found.claim.verdict == "does not hold"
    said = temporal_reading([found])
    assert said.startswith("0 of 1 ")
    assert "CFFM micro" in said
    assert "labels single frames less well, and so flips more (FWIoU -" in said


def test_without_a_segformer_nothing_is_said():
    assert temporal_reading(temporal_gains(rows(0.2, 0.05)[2:], settings())) == ""
