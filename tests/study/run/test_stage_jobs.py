"""What is computed before notebooks run is all that they ask for."""

from pathlib import Path

from sam2vss_lib.datasets.demo import DemoSplit, write_demo
from sam2vss_lib.parallel.job_graph import run_jobs
from sam2vss_lib.study.run.planning import plan_study, planned_settings
from sam2vss_lib.study.run.runner import find_notebooks
from sam2vss_lib.study.run.stage_jobs import stage_jobs
from sam2vss_lib.study.stages import Study

SYSTEMS = [{"method": "SegFormer", "backbone": "micro", "segmentor": "segformer-micro"}]


def test_notebooks_find_every_label_and_metric(tmp_path: Path):
    data = tmp_path / "data"
    write_demo(data, {"val": DemoSplit(first_seed=7, clips=2, frames=3)})
    overrides = {
        "dataset": str(data), "base_systems": SYSTEMS, "points_per_side": 2, "window": 3,
        "sweep_values": [2, 3],
    }  # fmt: skip
    plans = plan_study(find_notebooks("01,04"), "demo", tmp_path / "out", overrides)
    jobs, needs = stage_jobs(plans, 2, lambda line: None)
    assert frozenset[object]().union(*needs.values()) < {job.name for job in jobs}
    run_jobs(jobs, workers=2, what="stages", done=lambda job, failure: None)
    main, sweep = (Study(settings) for settings in planned_settings(plans).values())
    for system in main.settings.base_systems:
        main.evaluated(main.base(system))
        for vote in main.settings.votes:
            main.evaluated(main.refined(system, vote))
    stores = sweep.masklets_for(list(sweep.settings.masklet_sweep().values()))
    for system in sweep.settings.base_systems:
        for masklets in stores.values():
            sweep.evaluated(sweep.refined(system, "frame", masklets))
    for study in (main, sweep):
        stages = {stage.stage for stage in study.log}
        assert stages == {"masklets", "segment", "refine", "evaluate"}
        assert [stage for stage in study.log if stage.reused < stage.clips] == []


def test_errors_are_left_to_the_notebooks(tmp_path: Path):
    overrides = {"dataset": str(tmp_path / "nowhere")}
    plans = plan_study(find_notebooks("01,03"), "demo", tmp_path / "out", overrides)
    assert stage_jobs(plans, 2, lambda line: None).jobs == []
    assert not (tmp_path / "out").exists()


def test_one_process_leaves_labels_to_the_notebooks(tmp_path: Path):
    plans = plan_study(find_notebooks("01,04"), "demo", tmp_path, {"max_clips": 1})
    jobs, needs = stage_jobs(plans, 1, lambda line: None)
    assert {job.kind for job in jobs} == {"masklets in common"}
    assert all(needed == {job.name for job in jobs} for needed in needs.values())
