"""Pickles are read as data: equal to what pickle itself gives, and never run."""

import collections
import os
import pickle
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.errors import DataError
from sam2vss_lib.predictions.importers.convert import open_predictions
from sam2vss_lib.predictions.importers.pickled import find_arrays, read_array
from tests.formats import degraded, fake_clips, write_mmseg, write_vspw

PROTOCOLS = (2, 3, 4, 5)
GOOD = [np.arange(600, dtype=np.int64).reshape(20, 30) % 124 + k % 2 for k in range(5)]


def pickled(folder: Path, value: object, protocol: int = 2) -> Path:
    path = folder / "results.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<i8", "f4"])
@pytest.mark.parametrize("kind", ["C", "F", "strided", "tiny", "batch", "shared"])
def test_arrays_equal_those_of_pickle(tmp_path: Path, protocol: int, dtype: str, kind: str):
    values = (np.arange(35 * 41).reshape(35, 41) * 7 % 124).astype(dtype)
    array = {
        "C": values,
        "F": np.asfortranarray(values),
        "strided": values[::2, ::3],
        "tiny": values[:2, :3],
        "batch": values[None],
        "shared": values,
    }[kind]
    saved = [array, array if kind == "shared" else array + 1]
    path = pickled(tmp_path, saved, protocol)
    found = find_arrays(path)
    assert len(found) == 2
    for record, expected in zip(found, pickle.loads(path.read_bytes()), strict=True):
        read = read_array(path, record)
        assert read.shape == expected.shape
        assert read.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read, expected)


def test_long_lists_are_found_whole(tmp_path: Path):
    """Pickle writes lists in batches of 1000."""
    path = pickled(tmp_path, [np.full((9, 9), k % 124, np.uint8) for k in range(2345)])
    found = find_arrays(path)
    assert len(found) == 2345
    assert read_array(path, found[2344])[0, 0] == 2344 % 124


def test_old_numpy_names_are_known(tmp_path: Path):
    """NumPy 1 and 2 name the maker of arrays differently; results come from old systems."""
    path = pickled(tmp_path, GOOD)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    np.testing.assert_array_equal(read_array(path, find_arrays(path)[3]), GOOD[3])


class _Bomb:
    """What pickle would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (  # pyright: ignore[reportDeprecated]
            f"touch {self.target}",
        )

    def __init__(self, target: Path) -> None:
        self.target = target


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int):
    target = tmp_path / "owned"
    path = pickled(tmp_path, [GOOD[0], _Bomb(target)], protocol)
    with pytest.raises(DataError, match=r"needs (posix|nt).system, which label arrays do not"):
        find_arrays(path)
    assert not target.exists()


def test_disguised_calls_are_refused(tmp_path: Path):
    """Known names called with other arguments, and instructions that call."""
    path = tmp_path / "results.pkl"
    for program in (
        b"cnumpy\nndarray\n(cos\nsystem\ntR.",
        b"\x80\x02cnumpy\ndtype\n(X\x01\x00\x00\x00OtR.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        b"(S'echo'\nios\nsystem\n.",
        b"\x80\x02X\x01\x00\x00\x00xQ.",
        b"\x80\x02]q\x00(h\x00e.",
        b"\x80\x02]h\x05.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R.",
    ):
        path.write_bytes(program)
        with pytest.raises(DataError) as error:
            find_arrays(path)
        assert "\n" not in str(error.value)


def test_hostile_programs_cost_nothing(tmp_path: Path):
    """Sizes larger than memory, deep nests, states of what is no array, registered names."""
    path, name = tmp_path / "results.pkl", b"\x80\x02cnumpy\ndtype\n"
    array = b"cnumpy._core.multiarray\n_reconstruct\n)R(K\1%b%b\x89C\4aaaatb"
    dtype = b"cnumpy\ndtype\nX\2\0\0\0%b\x85R(K\3X\1\0\0\0<tb"
    size = b"\x8a\x08" + (2**62).to_bytes(8, "little")
    for program in (
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b".",  # bytes
        b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"].",  # a frame
        b"\x80\x02c" + b"a" * 10_000_000,  # a name without an end
        b"\x80\x02]" + array % (size + size + b"\x86", dtype % b"u1") + b"a.",  # a shape
        b"\x80\x02]" + array % (b"K\4\x85", dtype % b"O8") + b"a.",  # objects
        b"\x80\x02]" + array % (b"K\4\x85", dtype % b"V4") + b"a.",  # structures
        b"\x80\x02)" + b"\x85" * 1_000_000 + b".",  # tuples in tuples
        name + b"NN\x86b.",  # a function's state
        name + name[2:] + b"K\1\x85R\x85R.",
        b"\x80\x02\x82\x01.",  # a name from copyreg
        b"\x80\x02Pid\n.",
        b"\x80\x02cnumpy\nndarray\n)\x81.",
        b"\x80\x05\x97.",  # a buffer that is elsewhere
        b"\x80\x02cnumpy._core.multiarray\nscalar\n)R.",
    ):
        path.write_bytes(program)
        tracemalloc.start()
        try:
            with pytest.raises(DataError) as error:
                read_array(path, find_arrays(path)[0])
            peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()
        assert "\n" not in str(error.value)
        assert peak_mib < (100 if program[3:4] == b"\x85" else 1)


BAD = {
    "dictionary": ({"a": 1}, "instruction EMPTY_DICT"),
    "no list": (GOOD[0], "holds an array, not a list of arrays"),
    "empty list": ([], "holds an empty list, not a list of arrays"),
    "number": ([GOOD[0], 3], "result 1 is of type int, not an array"),
    "nested": ([GOOD], "result 0 is of type list, not an array"),
    "objects": ([np.array([{}])], r"instruction EMPTY_DICT"),
    "texts": ([np.array(["a"])], "no pickle of arrays"),
    "temporary files": (
        ["/scratch/tmpabc.npy"] * 3,
        "name of a temporary file; run the test with --fo",
    ),
    "long names": (["/scratch/" + 90 * "x"], "name of a temporary file"),
    "ordered": ([collections.OrderedDict()], "needs collections.OrderedDict, which label arrays"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_contents_are_one_line(tmp_path: Path, case: str):
    value, message = BAD[case]
    path = pickled(tmp_path, value)
    with pytest.raises(DataError, match=message) as error:
        find_arrays(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_bad_results_name_the_frame(tmp_path: Path):
    clips = fake_clips(2)
    dataset = open_dataset(write_vspw(tmp_path / "root", clips), "val")
    good = [labels for clip in degraded(clips, void=False) for labels in clip.labels]
    where = rf"results.pkl: result 5 \({clips[1].name}/{clips[1].frames[1]}\): "
    for bad, message in (
        (good[5].astype(np.float32), r"is float32 \(30, 48\); results must be"),
        (np.stack([good[5]] * 2), r"is uint8 \(2, 30, 48\); results must be"),
        (good[5][:, :40], r"is 30x40 \(height x width\) but"),
        (good[5].astype(np.int64) - 1000, "holds values from -"),
        (np.full_like(good[5], 124), "label 124 is neither class"),
    ):
        path = pickled(tmp_path, [*good[:5], bad, *good[6:]])
        source = open_predictions("mmseg-pkl", path, dataset)
        with pytest.raises(DataError, match=where + message):
            source.read(dataset.clips[1], 1)


def test_unpadded_frame_names_follow_the_order_of_the_systems(tmp_path: Path):
    """They sort names as text: 10 before 9."""
    clip = fake_clips(1, num_frames=2)[0]
    named = type(clip)(clip.name, ("9", "10"), clip.labels, clip.instances)
    dataset = open_dataset(write_vspw(tmp_path / "root", [named]), "val")
    assert dataset.clips[0].frames == ("9", "10")
    path = pickled(tmp_path, [np.full((30, 48), 10), np.full((30, 48), 9)])
    source = open_predictions("mmseg-pkl", path, dataset)
    assert [source.read(dataset.clips[0], i)[0, 0] for i in (0, 1)] == [9, 10]


def test_arrays_stay_in_the_file(tmp_path: Path):
    path = pickled(tmp_path, [np.full((300, 400), k, np.int64) for k in range(40)], 4)  # 38 MB
    tracemalloc.start()
    try:
        read_array(path, find_arrays(path)[39])
        peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert peak_mib < 6


@settings(deadline=None, max_examples=300)
@given(data=st.data(), protocol=st.sampled_from(PROTOCOLS))
def test_damaged_pickles_give_one_line_or_arrays(data: st.DataObject, protocol: int):
    content = bytearray(pickle.dumps(GOOD[:2], protocol=protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        # most of the instructions lie near the ends of arrays
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 160))
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "results.pkl"
        path.write_bytes(content)
        lines = 1
        try:
            for array in find_arrays(path):
                read_array(path, array)
        except DataError as error:
            lines = len(str(error).splitlines())
    assert lines == 1


def test_written_results_are_those_of_mmcv(tmp_path: Path):
    """The helper writes protocol 2, in which bytes are text."""
    path = write_mmseg(tmp_path / "r.pkl", fake_clips(1))
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert b"_codecs" in path.read_bytes()
