"""The report says what the files say: every cell with its status, nothing from elsewhere."""

import base64
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.errors import DataError
from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.report.report import footnotes, interval_glyph, write_report
from sam2vss_lib.study.report.sections import cell_status, printed_text
from sam2vss_lib.study.results.schema import Result, Row, parse_result
from sam2vss_lib.study.results.text import escape, gain_text
from tests.study.report.browser import find_browser, visit

METRICS = ("mIoU", "FWIoU", "mBIoU", "mVC8", "mVC16")
PROVENANCE = {
    "commit": "c0ffee", "modified": False, "settings_sha256": "5e77", "data_sha256": "da7a",
    "checkpoint_sha256": {"sam2.1_hiera_large": "c4ec"}, "predictions_sha256": {},
    "protocol": "sam2vss-1", "versions": {"python": "3.11"}, "device": "CPU", "seed": 7,
}  # fmt: skip


def row(method: str, ours: list[float | None], paper: list[float | None], **more: Any) -> Any:
    return {
        "method": method, "backbone": "MiT-B1", "status": "run on 343 clips",
        "ours": dict(zip(METRICS, ours, strict=True)),
        "paper": dict(zip(METRICS, paper, strict=True)), **more,
    }  # fmt: skip


def values(**more: Any) -> dict[str, Any]:
    gains: dict[str, Any] = {
        m: {"gain": 1.5, "low": 0.5, "high": 2.5, "clips": 343} for m in METRICS
    }
    gains["mIoU"] = {"gain": -0.5, "low": None, "high": None}
    return {
        "format_version": 1,
        "table": 1,
        "caption": "SAM2 <large> as a refiner; percent.",
        "comparable_with_paper": True,
        "coverage": {"demo": False, "clips": 343, "paper_clips": 343},
        "settings": {"dataset": "data/VSPW_480p", "window": 32},
        "rows": [
            row("CFFM", [38.6, 60.0, None, 90.0, 84.0], [38.5, 60.0, 24.7, 88.6, 84.1]),
            row("SAM2-CFFM", [40.1, 61.5, 29.0, 91.5, 85.5], [40.3, 61.1, 29.3, 89.4, 85.1],
                gains=gains, paper_gains={"mIoU": 1.8, "mBIoU": 4.6}),
            row("TV3S", [None] * 5, [40.0, None, 25.6, 90.7, 87.0], status="not run: a & b"),
            row("I-SAM2", [None] * 5, [18.03, 36.5, 13.3, 52.8, 43.7], status="not run: later"),
        ],
        "claims": [
            {"statement": "it raises mBIoU", "verdict": "holds", **gains["mBIoU"]},
            {"statement": "it raises mIoU", "verdict": "does not hold", "gain": -0.5},
        ],
        "figures": [{"name": "3", "caption": "Strips <b>.", "alt": "Frames & labels"}],
        "notes": ["A limit."],
        **more,
    }  # fmt: skip


def write_notebook(path: Path, *, error: str = "") -> None:
    text = "# A title & more\n\n**Question.** Does it <help>?\n\nMore."
    outputs = [{"output_type": "error", "ename": "DataError", "evalue": error}] if error else []
    cells = [
        {"cell_type": "markdown", "source": text.splitlines(keepends=True)},
        {"cell_type": "code", "source": "x", "outputs": outputs},
    ]
    path.write_text(json.dumps({"cells": cells}))


def write_folder(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    write_notebook(folder / "executed.ipynb")
    (folder / "result.json").write_text(json.dumps(content))
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    figure = Figure(figsize=(3, 1))
    figure.subplots().plot([0, 1])
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"fig_3.{suffix}")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A full notebook, a demo one, one on some clips, a failed and an unreadable one."""
    root = tmp_path / "vspw"
    write_folder(root / "01_main_results", values())
    demo = {"demo": True, "clips": 4, "paper_clips": None}
    write_folder(root / "02_other", values(coverage=demo, comparable_with_paper=False, table=2))
    part = {"demo": False, "clips": 12, "paper_clips": 343}
    write_folder(root / "04_part", values(coverage=part, comparable_with_paper=False))
    write_folder(root / "05_bad", values())
    (root / "05_bad" / "result.json").write_text('{"format_version": 1, "rows": [{}]}')
    write_folder(root / "06_failed", values())
    write_notebook(root / "06_failed" / "failed.ipynb", error="x.png: missing\nsecond line")
    return root


def section(page: str, name: str) -> str:
    """The text of one section, tags removed."""
    body = page.split(f'<section id="{name}"')[1].split("</section>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body.split(">", 1)[1])).split())


@pytest.mark.parametrize(
    ("ours", "paper", "more", "status"),
    [
        (40.8, 40.3, {}, "reproduced"),
        (40.81, 40.3, {}, "off"),
        (39.7, 40.3, {}, "off"),
        (39.7, 40.3, {"tolerance_points": 1.0}, "reproduced"),
        (40.3, None, {}, "ours only"),
        (None, 40.3, {}, "not run"),
        (40.3, 40.3, {"comparable_with_paper": False}, "not comparable"),
        (40.3, 40.3, {"comparable_with_paper": False, "coverage":
            {"demo": False, "clips": 2, "paper_clips": 343}}, "partial"),
        (40.3, 40.3, {"settings": {"dataset": "demo"}}, "demo"),
        (40.3, 40.3, {"settings": {"dataset": "demo-b"}, "comparable_with_paper": False}, "demo"),
    ],
)  # fmt: skip
def test_status_of_a_cell(
    ours: float | None, paper: float | None, more: dict[str, Any], status: str
):
    line = Row(method="X", ours={"mIoU": ours}, paper={"mIoU": paper})
    result = Result.model_validate({"comparable_with_paper": True, **more})
    assert cell_status(result, line, "mIoU") == status


def test_value_that_was_run_but_is_not_defined():
    line = Row(method="X", ours={"mIoU": 3.0, "mVC16": None}, paper={"mVC16": 80.0})
    assert cell_status(Result(), line, "mVC16") == "no value"


def test_report_shows_every_number_and_verdict(results: Path):
    page = write_report(results).read_text(encoding="utf-8")
    text = section(page, "01_main_results")
    for words in (
        "A title & more", "Does it <help>?", "SAM2 <large> as a refiner", "40.10 ✓ reproduced 40.3",
        "91.50 ≠ off 89.4", "18.03", "+1.50 [+0.50, +2.50]", "−0.50", "+4.6", "✓ holds",
        "✗ does not hold", "Strips <b>.", "A limit.", "c0ffee", "c4ec", "sam2vss-1",
        "not run: a & b", "TV3S MiT-B1 – 40.0 – – – 25.6",
    ):  # fmt: skip
        assert words in text, words
    assert "demo" not in text
    assert 'alt="Frames &amp; labels"' in page


def test_other_states_are_said_plainly(results: Path):
    page = write_report(results).read_text(encoding="utf-8")
    assert "DataError: x.png: missing (see 06_failed/failed.ipynb)" in section(page, "06_failed")
    assert "05_bad/result.json: rows.0.method: Field required" in section(page, "05_bad")
    assert "40.10" not in section(page, "06_failed")  # an earlier run's
    assert "partial: only some of the paper's clips (12 of 343 clips)" in section(page, "04_part")
    assert "Not run." in section(page, "10_paper_checks")


def test_demo_numbers_are_marked_wherever_they_stand(results: Path):
    page = write_report(results).read_text(encoding="utf-8")
    body = page.split('<section id="02_other"')[1].split("</section>")[0]
    marked = re.findall(r"ours \(demo\)", body)
    assert len(marked) == 2 * len(METRICS)  # values and gains
    assert body.count("◇ demo</span>") == 5  # heading, two tables, statements, figure
    assert len(re.findall(r'class="ours edge" title="not comparable \(demo\)', body)) == 9
    assert "These are demo numbers" in page
    latex = (results / "tables.tex").read_text(encoding="utf-8")
    assert latex.count("Demo data, not comparable") == 2


def test_report_is_one_file_without_scripts_or_links_outside(results: Path):
    page = write_report(results).read_text(encoding="utf-8")
    assert "<script" not in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:", "#")) for source in sources)
    picture = next(s for s in sources if s.startswith("data:image/svg+xml;base64,"))
    svg = results / "01_main_results" / "fig_3.svg"
    assert base64.b64decode(picture.partition(",")[2]) == svg.read_bytes()
    assert not re.findall(r"url\(|@import", page)


def test_index_links_to_every_file(results: Path):
    write_report(results)
    page = (results / "index.html").read_text(encoding="utf-8")
    links = {unescape(link) for link in re.findall(r'(?:src|href)="([^"#:]+)["#]', page)}
    assert links >= {"report.html", "tables.tex", "01_main_results/result.json"}
    assert "06_failed/failed.ipynb" in links
    assert [link for link in links if not (results / link).is_file()] == []


def test_same_files_give_the_same_report(results: Path):
    names = ("report.html", "index.html", "tables.tex")
    write_report(results)
    first = [(results / name).read_bytes() for name in names]
    write_report(results)
    assert [(results / name).read_bytes() for name in names] == first
    assert not list(results.glob(".tmp*"))


def test_latex_tables_are_well_formed(results: Path):
    write_report(results)
    latex = (results / "tables.tex").read_text(encoding="utf-8")
    tables = re.findall(r"\\begin\{table\*\}.*?\\end\{table\*\}", latex, flags=re.DOTALL)
    assert len(tables) == 6  # values and gains of three notebooks
    for table in tables:
        columns = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", table)
        assert columns
        body = table.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert {line.count(" & ") + 1 for line in body} == {len(columns[1])}
        assert table.count("{") == table.count("}")
    assert "SAM2-CFFM & MiT-B1 & 40.10 & 40.3" in latex
    assert "I-SAM2 & MiT-B1 & -- & 18.03" in latex
    assert "% 06_failed: failed: DataError: x.png: missing" in latex
    assert not re.search(r"(?<!\\)_(?![a-z]*[}:])", re.sub(r"\\label\{.*?\}|%.*", "", latex))


def test_latex_escapes():
    assert escape("a_b & 50% {x} ~ ^ \\") == (
        r"a\_b \& 50\% \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_letters_of_footnotes_never_run_out():
    rows = [Row(method="X", status=f"not run: {n}") for n in range(30)]
    letters = list(footnotes([*rows, rows[0]]).values())
    assert letters[:2] == ["a", "b"]
    assert letters[25:28] == ["z", "aa", "ab"]
    assert len({*letters}) == 30


def test_interval_is_drawn_to_scale():
    glyph = interval_glyph(Gain(gain=0.0, low=-2.0, high=2.0), 1.0, 2.0)
    assert glyph == {"gain": 50.0, "low": 3.0, "high": 97.0, "paper": 73.5}
    assert interval_glyph(Gain(gain=1.0), None, 2.0)["low"] is None


def test_numbers_are_printed_as_in_the_paper():
    assert [printed_text(v) for v in (18.03, 40.0, None)] == ["18.03", "40.0", ""]
    assert gain_text(-0.5, 1) == "−0.5"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [{"method": 3}]}, "rows.0.method"),
        ({"claims": [{"statement": "s", "verdict": "perhaps"}]}, "claims.0.verdict"),
        ({"tables": [{"title": "t", "columns": ["a", "b"], "rows": [["1"]]}]}, "needs 2 cells"),
        ({"format_version": 2}, "format_version"),
        ({"rows": [{"method": "X", "ours": {"mIoU": float("nan")}}]}, "rows.0.ours.mIoU"),
    ],
)
def test_schema_names_the_field_that_is_wrong(change: dict[str, Any], words: str):
    with pytest.raises(DataError, match=f"^r.json: .*{words}") as caught:
        parse_result({**values(), **change}, "r.json")
    assert "\n" not in str(caught.value)


def test_folder_without_results_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="no such folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no notebook's results here; give one such as"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "01_holiday").mkdir()
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(DataError, match="no notebook's results here; give one such as"):
        write_report(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


#: natural and shown width of every image, once all are decoded
IMAGES = """Promise.all([...document.images].map(image => image.decode())).then(
  () => [...document.images].map(image => [image.naturalWidth, image.clientWidth]))"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@pytest.mark.parametrize(("name", "pictures"), [("report.html", 3), ("index.html", 3)])
def test_page_opens_from_disk_in_a_browser(
    results: Path, tmp_path: Path, browser: str, name: str, pictures: int
):
    write_report(results)
    seen = visit(browser, tmp_path / "profile", results / name, IMAGES)
    assert seen["failed"] == []
    assert seen["errors"] == []
    assert len(seen["value"]) == pictures
    assert all(natural > 0 and shown > 0 for natural, shown in seen["value"])
    folder = results.as_uri()
    assert all(url.startswith((f"{folder}/", "data:")) for url in seen["requests"])
    if name == "report.html":
        assert [url for url in seen["requests"] if not url.startswith("data:")] == [
            f"{folder}/report.html"
        ]


def test_browser_would_notice_what_is_missing(tmp_path: Path, browser: str):
    page = tmp_path / "page.html"
    page.write_text("<img src=nowhere.png><script>console.error('x'); boom()</script>")
    seen = visit(browser, tmp_path / "profile", page, "1 + 1")
    assert len(seen["failed"]) == 1
    assert len(seen["errors"]) >= 2
    assert seen["value"] == 2


def test_rows_that_were_not_run_for_the_same_reason_share_a_footnote():
    rows = [
        Row(method=name, backbone="B1", status=f"not run: profile demo has no {name} B1")
        for name in ("CFFM", "TV3S")
    ]
    assert footnotes(rows) == {"not run: profile demo has no such row": "a"}
    assert list(footnotes([*rows, Row(method="X")]).values()) == ["a", "b"]


def test_command_writes_the_report_and_refuses_another_folder(results: Path):
    runner = CliRunner()
    done = runner.invoke(app, ["report", str(results), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"report": str(results / "report.html")}
    refused = runner.invoke(app, ["report", str(results.parent)])
    assert refused.exit_code == 3
    assert "no notebook's results here; give one such as results/demo" in refused.stderr
