"""Checkpoints that are missing, damaged, hostile, or something else altogether."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sam2vss_lib.errors import DataError
from sam2vss_lib.segmentors.weights import load_fitting, read_weights, weights_file


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.folder,)


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    path = tmp_path / "pytorch_model.bin"
    torch.save({"weight": Hostile(trace)}, path)
    with pytest.raises(DataError, match=r"pytorch_model.bin: damaged, or holds more than tensors"):
        read_weights(path)
    hostile = pickle.dumps(Hostile(trace), protocol=2)
    path.write_bytes(hostile)
    with pytest.raises(DataError, match=r"pytorch_model.bin: damaged, or holds more than tensors"):
        read_weights(path)
    assert not trace.exists()
    pickle.loads(hostile)
    assert trace.is_dir()  # so it would have run


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02}q\x00.", bytes(64)])
def test_files_of_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_weights(path)
    line = str(error.value)
    assert line.startswith((f"{path}: not a readable checkpoint (", f"{path}: damaged, or holds"))
    assert "\n" not in line


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_truncated_safetensors(tiny_checkpoint: Path, kept: float) -> None:
    data = tiny_checkpoint.read_bytes()
    tiny_checkpoint.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=r"not a readable checkpoint .*; download the file again"):
        read_weights(tiny_checkpoint)


def test_torch_files_are_read_like_safetensors(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    torch.save(load_file(tiny_checkpoint), folder / "pytorch_model.bin")
    state, expected = read_weights(weights_file(folder)), read_weights(tiny_checkpoint)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_other_content_than_named_tensors(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    for content in ([torch.zeros(1)], {"a": {"b": torch.zeros(1)}}, {1: torch.zeros(1)}):
        torch.save(content, path)
        with pytest.raises(DataError, match="something else than named tensors"):
            read_weights(path)


WEIGHTS = {"backbone.weight": torch.ones(2), "head.bias": torch.zeros(1)}


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model.", "_orig_mod.module."])
@pytest.mark.parametrize("wrapper", [(), ("state_dict",), ("model",), ("model", "state_dict")])
def test_wrappers_of_training_loops(tmp_path: Path, prefix: str, wrapper: tuple[str, ...]) -> None:
    content: Any = {prefix + name: value for name, value in WEIGHTS.items()}
    for name in wrapper:
        content = {name: content, "optimizer": {"state": {0: torch.ones(1)}}, "meta": {"epoch": 3}}
    path = tmp_path / "model.pth"
    torch.save(content, path)
    state = read_weights(path)
    assert state.keys() == WEIGHTS.keys()
    assert all(torch.equal(state[name], value) for name, value in WEIGHTS.items())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"module.a": torch.ones(1), "module.b": torch.ones(1), "c": torch.ones(1)},
            "2 of 3 names begin with 'module.', but not c; give the state dict of one model",
        ),
        ({"model": WEIGHTS, "state_dict": WEIGHTS}, r"several state dicts \(state_dict, model\)"),
        ({"weights": WEIGHTS, "epoch": 3}, "named tensors, such as 'weights'; give a state dict"),
        ({"state_dict": {}}, "something else than named tensors"),
    ],
)
def test_weights_in_doubt(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)
    with pytest.raises(DataError, match=rf"model\.pth: .*{words}"):
        read_weights(path)


def test_missing_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such checkpoint"):
        weights_file(tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds no model.safetensors or pytorch_model.bin"):
        weights_file(tmp_path)


def test_no_file_changes_tables_of_indices() -> None:
    network = torch.nn.Linear(2, 3)
    network.register_buffer("relative_position_index", torch.arange(4))
    state = {name: torch.full_like(value, 99) for name, value in network.state_dict().items()}
    load_fitting(state, network, "model", Path("file.pth"))
    assert torch.equal(network.get_buffer("relative_position_index"), torch.arange(4))
    assert torch.equal(network.weight, state["weight"])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (torch.tensor([[1.0, float("nan")]]), "has values that are not finite"),
        (torch.tensor([[1.0, -float("inf")]]), "has values that are not finite"),
        (torch.ones(1, 2, dtype=torch.complex64), "has complex numbers"),
        (torch.ones(1, 2).to_sparse(), "is no plain tensor"),
        (torch.ones(1, 2, device="meta"), "is no plain tensor"),
    ],
)
def test_tensors_that_are_no_weights(tmp_path: Path, value: torch.Tensor, problem: str) -> None:
    path = tmp_path / "model.pth"
    torch.save({"good": torch.ones(2), "head.weight": value}, path)
    with pytest.raises(DataError, match=rf"model\.pth: head\.weight {problem}; give trained"):
        read_weights(path)


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    state = {"weight": torch.ones(1, 2, dtype=torch.int64), "bias": torch.ones(1)}
    with pytest.raises(DataError, match=r"1 of another type \(weight torch\.int64 not torch\.fl"):
        load_fitting(state, network, "line", tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("<!DOCTYPE html><html>", "a web page"),
        ("version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ],
)
def test_what_is_saved_in_place_of_weights_is_named(
    tmp_path: Path, content: str, what: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"weights.pth: is {what}, not weights; download the"):
        read_weights(path)
