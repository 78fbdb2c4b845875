"""Settings are said once, in their fields: descriptions, docs and the notebooks' table."""

import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import TypeAdapter

from docs.settings import documented_settings, settings_docs
from sam2vss_lib.study.paper import load_paper_tables
from sam2vss_lib.study.run.runner import find_notebooks
from sam2vss_lib.study.settings import (
    IndependentSettings,
    make_settings,
    settings_table,
    settings_without_data,
)

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = find_notebooks()
BASE: dict[str, Any] = {
    "profile": "demo", "dataset": "demo", "out_dir": "out", "stages_dir": "stages",
}  # fmt: skip
BASES = [{"method": "X", "backbone": "b0", "segmentor": "segformer-micro"}]


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schemas of all settings, and of those in them at any depth, by class."""
    found: dict[str, dict[str, Any]] = {}
    for settings in documented_settings():
        schema = TypeAdapter(settings).json_schema()
        found |= {**schema.get("$defs", {}), settings.__name__: schema}
    return found


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    for owner, schema in schemas().items():
        for name, field in schema["properties"].items():
            yield f"{owner}.{name}", field


def test_every_field_is_described_in_a_sentence():
    sentence = re.compile(r"[A-Z0-9].{20,}\.")
    poor = [n for n, field in fields() if not sentence.fullmatch(field.get("description", ""))]
    assert poor == []


def test_no_settings_are_left_out_of_the_docs():
    pattern = re.compile(r"^class (\w+(?:Settings|Options|System|Approximations))\b", re.MULTILINE)
    rooms = [path for path in (ROOT / "sam2vss_lib").iterdir() if path.name != "cli"]
    # the options of commands are made of these settings' fields
    code = "".join(p.read_text("utf-8") for room in rooms for p in room.rglob("*.py"))
    documented = {settings.__name__ for settings in documented_settings()}
    assert {*pattern.findall(code), *schemas()} - documented == set()


def test_the_docs_are_what_the_fields_say():
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == settings_docs(), "run `make docs`"


def test_the_papers_values_are_the_defaults_and_in_its_tables():
    named = re.compile(r"([\d.]+) \((?:Table (\d)|section 3\.1)\)")
    tables, seen = load_paper_tables(), set[str]()
    for name, field in fields():
        if match := named.fullmatch(field.get("paper", "")):
            seen.add(name.partition(".")[2])
            assert float(match[1]) == field["default"], name
            if match[2]:
                rows = tables.loc[tables["table"] == int(match[2]), "row"]
                assert match[1] in {str(row).partition("x")[0] for row in rows}, name
    assert seen == {
        "window", "points_per_side", "pred_iou_thresh", "stability_score_thresh",
        "stability_score_offset",
    }  # fmt: skip


def test_settings_are_there_without_anything_heavy():
    heavy = {"torch", "transformers", "sam2", "pandas", "scipy", "matplotlib"}
    code = f"import sys, sam2vss_lib.study.settings; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def rows_of(table: pd.DataFrame) -> dict[str, list[str]]:
    assert [*table] == ["setting", "value", "changed", "default", "paper", "meaning"]
    return {name: rest for name, *rest in table.to_numpy().tolist()}


def test_the_table_has_values_beside_defaults_and_what_is_given_first():
    settings = make_settings({**BASE, "window": 4, "base_systems": BASES, "max_clips": None})
    rows = rows_of(settings_table(settings))
    meaning = type(settings).model_fields["window"].description
    assert rows["window"] == ["4", "●", "32", "32 (Table 4)", meaning]
    assert rows["dataset"][:3] == ["demo", "", ""]  # it has no default to differ from
    assert rows["base_systems"][:3] == ["X b0", "", ""]
    assert rows["max_clips"][:3] == ["None", "", "None"]
    assert rows["stability_score_offset"][:3] == ["0.9", "", "0.9"]
    assert rows["checkpoint"][3] == "left open"
    assert {*[*rows][:5]} == {"window", "profile", "dataset", "max_clips", "base_systems"}


def test_the_table_leaves_out_places_and_what_is_neither_given_nor_on():
    rows = rows_of(settings_table(make_settings({**BASE, "preset": "fast"})))
    assert rows["merge_iou"][:3] == ["0.7", "●", "None"]
    assert not {"out_dir", "stages_dir", "sweep", "benchmarks", "compile_encoder"} & {*rows}


def test_the_table_has_the_settings_of_the_classifier_one_by_one():
    encoder = {"method": "I-X", "backbone": "b0", "encoder": None, "base": "X b0"}
    own = {"base_systems": BASES, "encoders": [encoder], "classifier": {"epochs": 3}}
    settings = make_settings({**BASE, **own})
    assert isinstance(settings, IndependentSettings)
    rows = rows_of(settings_table(settings))
    assert rows["classifier.epochs"][:3] == ["3", "●", "50"]
    assert rows["encoders"][0] == "I-X b0"
    assert "classifier" not in rows


def test_a_notebook_without_data_has_a_table_too():
    names = {"profile": "demo", "out_dir": "out", "In": ['profile = "demo"', 'out_dir = "out"']}
    assert [*rows_of(settings_table(settings_without_data(names)))] == ["profile"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_say_nothing_of_settings_themselves(notebook: Path):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum("settings_table(settings).style.hide()" in source for source in sources) == 1
    (given,) = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    tokens = tokenize.generate_tokens(io.StringIO("".join(given["source"])).readline)
    assert [token.string for token in tokens if token.type == tokenize.COMMENT] == []
    assert 12 <= len(cells) <= 25
