"""The time that is left, by what each stage took: measured with a clock that the test turns."""

import pytest

from sam2vss_lib.apply.progress import Progress


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr("sam2vss_lib.apply.progress.time", turned)
    return turned


def test_time_left_is_told_by_each_stage_itself(clock: Clock) -> None:
    progress = Progress({"masklets": 1.0, "refine": 0.5}, {"a": 40, "b": 60})
    with progress.bar():
        with progress.stage("masklets") as (frame, clip):
            assert progress.left() == "time left not known yet"
            for _ in range(40):
                clock.now += 2
                frame("a")
            clip("a")
            # 60 frames of 2 s each, and 100 of refine as guessed
            assert progress.left() == "about 02:50 left"
            for _ in range(60):
                clock.now += 2
                frame("b")
            clip("b")
        with progress.stage("refine") as (frame, clip):
            for _ in range(80):  # told twice, as some stages read twice
                clock.now += 0.05
                frame("a")
            clip("a")
            assert progress.left() == "about 00:06 left"
            clock.now += 1
            clip("b")


def test_what_was_there_already_tells_nothing_of_the_pace(clock: Clock) -> None:
    progress = Progress({"masklets": 1.0}, {"a": 100, "b": 100})
    with progress.bar(), progress.stage("masklets") as (frame, clip):
        clock.now += 1
        clip("a")
        assert progress.left() == "time left not known yet"
        for _ in range(50):
            clock.now += 3
            frame("b")
        assert progress.left() == "about 02:30 left"


def test_promised_lengths_are_corrected(clock: Clock) -> None:
    progress = Progress({"convert": 0.1, "masklets": 1.0}, {"a": 10})
    with progress.bar():
        with progress.stage("convert") as (frame, _):
            for _ in range(12):  # more than the header said
                frame("a")
        progress.correct({"a": 20})
        with progress.stage("masklets") as (frame, _):
            for _ in range(18):
                clock.now += 1
                frame("a")
            assert progress.left() == "about 00:02 left"
