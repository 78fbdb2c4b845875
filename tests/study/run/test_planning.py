"""A study's plan: who is given which parameter, and which masklets are shared."""

import sys
from pathlib import Path

import pytest

from sam2vss_lib.errors import MissingExtra, SettingsError
from sam2vss_lib.masklets.approximations import FAST
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.run.batch import run_study
from sam2vss_lib.study.run.planning import plan_study, wanted_masklets
from sam2vss_lib.study.run.runner import find_notebooks, notebook_parameters
from sam2vss_lib.study.run.stage_jobs import stage_jobs
from sam2vss_lib.study.settings import load_profile, make_settings, profile_notebooks

PLACES = {"profile": "demo", "dataset": "demo", "out_dir": "o", "stages_dir": "s"}


def test_an_override_goes_to_the_notebooks_that_have_it(tmp_path: Path):
    notebooks = find_notebooks("01,04,10")
    plans = plan_study(notebooks, "demo", tmp_path, {"sweep_values": [1, 2], "seed": 3})
    assert [plans[n].get("sweep_values") for n in notebooks] == [None, [1, 2], None]
    assert [plans[n].get("seed") for n in notebooks] == [3, 3, None]


def test_every_notebook_of_a_table_takes_a_preset(tmp_path: Path):
    tables = find_notebooks("01,02,03,04,05,06,07")
    assert {notebook_parameters(notebook)["preset"] for notebook in tables} == {"exact"}
    for notebook, plan in plan_study(tables, "demo", tmp_path, {"preset": "fast"}).items():
        settings = make_settings({**notebook_parameters(notebook), **plan})
        assert settings.masklets.in_use() == FAST.in_use()
        assert all(one.in_use() == FAST.in_use() for one in wanted_masklets(settings))


def test_an_override_that_nobody_has_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"no notebook has a parameter 'windwo'; there are: "):
        plan_study(find_notebooks("01,10"), "demo", tmp_path, {"windwo": 3})


def test_a_profile_may_hold_more_for_some_notebooks(tmp_path: Path):
    assert load_profile("demo")["votes"] == ["frame", "masklet"]
    assert load_profile("demo", "04")["votes"] == ["frame"]
    assert "notebooks" not in load_profile("demo")
    plans = plan_study(find_notebooks("01,04"), "demo", tmp_path, {})
    folders = [Path(plan["out_dir"]).name for plan in plans.values()]
    assert folders == ["01_main_results", "04_window"]


def test_profiles_name_their_notebooks_and_leave_none_to_nobody():
    numbers = {name: find_notebooks(profile_notebooks(name)) for name in ("demo", "vspw", "vipseg")}
    assert numbers["demo"] == find_notebooks()
    assert [notebook.stem for notebook in numbers["vipseg"]] == ["02_cross_dataset"]
    assert {*numbers["vspw"], *numbers["vipseg"]} == {*find_notebooks()}
    assert not {*numbers["vspw"]} & {*numbers["vipseg"]}
    for name in numbers:
        assert "only" not in load_profile(name)


def test_clips_tried_by_the_caller_get_a_folder_of_their_own(tmp_path: Path):
    plans = plan_study(find_notebooks("04"), "demo", tmp_path, {"max_clips": 2})
    assert [Path(plan["out_dir"]).name for plan in plans.values()] == ["04_window_first_2"]


def test_masklets_of_a_sweep_are_those_of_its_values():
    systems = [{"method": "M", "backbone": "b", "segmentor": "s"}]
    plain = make_settings({**PLACES, "window": 4, "base_systems": systems})
    assert wanted_masklets(plain) == [MaskletSettings(window=4)]
    swept = make_settings({**PLACES, "sweep": "window", "sweep_values": [1, 2]})
    assert wanted_masklets(swept) == [MaskletSettings(window=1), MaskletSettings(window=2)]
    assert wanted_masklets(make_settings(PLACES)) == []


def test_the_paper_has_23_ablation_settings():
    settings = [
        make_settings(notebook_parameters(notebook)) for notebook in find_notebooks("04,05,06,07")
    ]
    assert sum(len(wanted_masklets(one)) for one in settings) == 23
    assert len({s for one in settings for s in wanted_masklets(one)}) == 20


def test_nothing_is_shared_with_the_notebook_that_times_its_own_work(tmp_path: Path):
    overrides = {"dataset": str(tmp_path / "nowhere")}
    notebooks = find_notebooks("08")
    plans = plan_study(notebooks, "demo", tmp_path / "out", overrides)
    said: list[str] = []
    assert stage_jobs(plans, 2, said.append) == ([], {})
    assert said == []
    plans = plan_study(find_notebooks("01"), "demo", tmp_path, overrides)
    assert stage_jobs(plans, 2, said.append).jobs == []
    assert len(said) == 1  # even a single setting is worth sharing by two


def test_a_missing_data_set_is_said_and_left_to_the_notebooks(tmp_path: Path):
    overrides = {"dataset": str(tmp_path / "nowhere")}
    plans = plan_study(find_notebooks("04,06"), "demo", tmp_path / "out", overrides)
    said: list[str] = []
    assert stage_jobs(plans, 1, said.append).jobs == []
    assert len(said) == 1
    assert said[0].startswith("masklets in common: ")
    assert "nowhere" in said[0]


def test_nothing_begins_where_ray_is_asked_for_and_missing(
    tiny_vspw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    overrides = {"dataset": str(tiny_vspw)}
    plans = plan_study(find_notebooks("04"), "demo", tmp_path / "out", overrides)
    with pytest.raises(MissingExtra, match=r'pip install "sam2vss\[cluster\]"'):
        run_study(plans, 1, lambda line: None, ray="127.0.0.1:1")
