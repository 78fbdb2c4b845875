"""A report replaces an earlier one, and nothing else."""

import json
from pathlib import Path

import pytest

from sam2vss_lib.errors import SettingsError
from sam2vss_lib.storage.records import check_report


def test_an_earlier_result_may_be_replaced(tmp_path: Path) -> None:
    check_report(tmp_path / "new.json", "metrics")
    (tmp_path / "old.json").write_text(json.dumps({"metrics": {}, "protocol": {}}))
    check_report(tmp_path / "old.json", "metrics", "protocol")
    (tmp_path / "empty.json").touch()
    check_report(tmp_path / "empty.json", "metrics")


@pytest.mark.parametrize("content", ["clip_1\nclip_2\n", '{"1": "wall"}', "[]", "\x89PNG"])
def test_other_files_are_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "val.txt"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match=r"val\.txt: holds no earlier result; use another name"):
        check_report(path, "metrics", "protocol")
    assert path.read_text(encoding="latin-1") == content
