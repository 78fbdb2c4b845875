"""Videos and image folders become clips: the right frames, once, whole."""

import os
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ExifTags, Image

from sam2vss_lib.datasets import open_dataset, verify_dataset
from sam2vss_lib.datasets.converting.video import convert_video, video_facts
from sam2vss_lib.errors import DataError, SettingsError

LEVELS = 8  # grey levels are that far apart, more than compression can blur


def write_video(
    path: Path, times: list[Fraction], size: tuple[int, int] = (48, 64), **options: str
) -> Path:
    """A video whose frame n, shown at times[n] seconds, is grey of 16 + LEVELS n."""
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = size
        stream.bit_rate = 4_000_000
        stream.codec_context.time_base = Fraction(1, 3000)
        stream.codec_context.max_b_frames = 0
        for n, time in enumerate(times):
            image = np.full((*size, 3), 16 + LEVELS * n, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = int(time * 3000), Fraction(1, 3000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def frame_numbers(root: Path, clip: str) -> list[int]:
    """Which frames of `write_video` a clip holds."""
    opened = open_dataset(root, "val", clips=[clip]).clips[0]
    grey = [opened.frame(i).mean() for i in range(opened.num_frames)]
    return [round((value - 16) / LEVELS) for value in grey]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """12 frames at 30 a second."""
    return write_video(tmp_path / "walk.mp4", [Fraction(n, 30) for n in range(12)])


def test_every_frame_of_a_video(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    assert convert_video(video, root) == ("walk", False)
    assert frame_numbers(root, "walk") == list(range(12))
    clip = open_dataset(root, "val").clips[0]
    assert clip.frame_files[:2] == ("00000001.jpg", "00000002.jpg")
    assert clip.size == (48, 64)
    assert verify_dataset(root, "val").ok


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (30.0, list(range(12))),
        (15.0, [0, 2, 4, 6, 8, 10]),
        (20.0, [0, 1, 3, 4, 6, 7, 9, 10]),  # at 0, 50, 100 ms the frames begun at 0, 33, 100 ms
        (60.0, [n // 2 for n in range(24)]),
        (1.0, [0]),
    ],
)
def test_frames_a_second(video: Path, tmp_path: Path, fps: float, expected: list[int]):
    convert_video(video, tmp_path / "data", fps=fps)
    assert frame_numbers(tmp_path / "data", "walk") == expected


def test_uneven_times_are_kept(tmp_path: Path):
    times = [Fraction(n, 10) for n in (0, 1, 2, 7, 8)]  # as a screen recording that stood still
    convert_video(write_video(tmp_path / "still.mp4", times), tmp_path / "data", fps=10)
    found = frame_numbers(tmp_path / "data", "still")
    assert found[:9] == [0, 1, 2, 2, 2, 2, 2, 3, 4]
    assert found[9:] in ([], [4])  # how long the last frame lasts, nobody says


def test_height_and_number_of_frames(video: Path, tmp_path: Path):
    convert_video(video, tmp_path / "data", clip="small", max_frames=3, height_px=17)
    clip = open_dataset(tmp_path / "data", "val").clips[0]
    assert (clip.num_frames, clip.size) == (3, (17, 22))  # 22.67 is cut off
    assert frame_numbers(tmp_path / "data", "small") == [0, 1, 2]


def test_images_become_a_clip_in_their_order(tmp_path: Path):
    folder, root = tmp_path / "images", tmp_path / "data"
    folder.mkdir()
    for n in (10, 9, 100):
        Image.new("RGB", (40, 30), (n, n, n)).save(folder / f"{n}.png")
    (folder / "Thumbs.db").write_text("not an image")
    said = list[str]()
    assert convert_video(folder, root, warn=said.append) == ("images", False)
    assert said == [f"{folder}: frames are not numbered evenly: 100 comes after 10"]
    clip = open_dataset(root, "val").clips[0]
    assert clip.frames == ("00000001", "00000002", "00000003")
    assert [int(clip.frame(i)[0, 0, 0]) for i in range(3)] == [9, 10, 100]
    with pytest.raises(SettingsError, match="holds images, which have no times"):
        convert_video(folder, tmp_path / "other", fps=5)
    Image.new("RGB", (40, 31)).save(folder / "11.png")
    with pytest.raises(DataError, match=r"11.png: is 31x40 .* but .*9.png is 30x40"):
        convert_video(folder, tmp_path / "other")
    assert not (tmp_path / "other" / "data").exists()


def test_images_in_each_others_place_are_other_images(tmp_path: Path):
    """Names and sizes stay the same: only contents tell."""
    folder, root = tmp_path / "images", tmp_path / "data"
    folder.mkdir()
    for n in range(3):
        Image.new("RGB", (40, 30), (n, n, n)).save(folder / f"{n}.bmp")
    assert convert_video(folder, root) == ("images", False)
    assert convert_video(folder, root) == ("images", True)
    first = (folder / "0.bmp").read_bytes()
    (folder / "0.bmp").write_bytes((folder / "2.bmp").read_bytes())
    (folder / "2.bmp").write_bytes(first)
    with pytest.raises(DataError, match="made with other inputs: source_sha256"):
        convert_video(folder, root)


def test_a_video_recorded_upright_is_turned(tmp_path: Path):
    path = tmp_path / "phone.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = 48, 64
        image = np.full((48, 64, 3), 40, np.uint8)
        image[:16, :16] = 220  # the corner that comes to lie top right
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    # the matrix of the track header: a quarter turn clockwise instead of none
    as_it_is = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    movie, track, rest = path.read_bytes().split(as_it_is)
    path.write_bytes(movie + as_it_is + track + turned + rest)
    assert video_facts(path) == (1, 30, (64, 48))
    convert_video(path, tmp_path / "data")
    frame = open_dataset(tmp_path / "data", "val").clips[0].frame(0)
    assert frame.shape == (64, 48, 3)
    assert frame[4:12, -12:-4].mean() > 180
    assert frame[4:12, :12].mean() < 80
    assert frame[-12:, -12:].mean() < 80


def test_a_clip_is_made_once_and_listed_once(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    convert_video(video, root, clip="a", max_frames=2)
    convert_video(video, root, clip="b", max_frames=3)
    assert convert_video(video, root, clip="a", max_frames=2) == ("a", True)
    assert (root / "val.txt").read_text() == "a\nb\n"
    with pytest.raises(DataError, match=r"a/origin: made with .*: height_px is None, not 20"):
        convert_video(video, root, clip="a", max_frames=2, height_px=20)
    with pytest.raises(DataError, match="max_frames is 2, not 3"):
        convert_video(video, root, clip="a", max_frames=3)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_masks_drawn_for_a_film_stay_whatever_is_converted(video: Path, tmp_path: Path):
    """Neither another height nor frames that were moved away are a reason to touch them."""
    root = tmp_path / "data"
    convert_video(video, root, max_frames=2)
    mask = root / "data" / "walk" / "mask" / "00000001.png"
    mask.parent.mkdir()
    mask.write_bytes(b"drawn by hand")
    before = files(root)
    with pytest.raises(DataError, match=r"walk/origin: made with other inputs: .*; it is kept: "):
        convert_video(video, root, max_frames=2, height_px=20)
    assert files(root) == before
    shutil.move(root / "data" / "walk" / "origin", tmp_path / "aside")
    for height_px in (None, 20):
        with pytest.raises(DataError, match=r"walk/mask: is there already, .* another --clip$"):
            convert_video(video, root, max_frames=2, height_px=height_px)
    assert mask.read_bytes() == b"drawn by hand"
    assert convert_video(video, root, clip="walk.small", max_frames=2, height_px=20)[0]
    shutil.move(mask.parent, tmp_path / "drawn")
    assert convert_video(video, root, max_frames=2, height_px=20) == ("walk", False)
    assert (root / "val.txt").read_text() == "walk\nwalk.small\n"


@pytest.mark.parametrize("taken", ["origin", "mask"])
@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_nothing_in_the_place_of_a_clip_is_replaced(
    video: Path, tmp_path: Path, taken: str, kind: str
):
    root, mine = tmp_path / "data", tmp_path / "mine"
    place = root / "data" / "walk" / taken
    place.parent.mkdir(parents=True)
    if kind != "dangling link":
        mine.mkdir()
        (mine / "a.png").touch()
    match kind:
        case "folder":
            shutil.copytree(mine, place)
        case "file":
            place.write_text("mine")
        case _:
            place.symlink_to(mine)
    with pytest.raises(DataError, match=rf"walk/{taken}: is there already, and was not made by"):
        convert_video(video, root)
    assert place.is_symlink() == ("link" in kind)
    assert (place.read_text() if kind == "file" else os.listdir(root / "data/walk")) in (
        "mine",
        [taken],
    )
    assert not (root / "val.txt").exists()


def test_a_clip_whose_move_was_cut_off_is_completed(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    convert_video(video, root, max_frames=2)
    frames, hidden = root / "data" / "walk" / "origin", root / ".sam2vss" / "whole" / "walk"
    before = files(root)
    hidden.mkdir(parents=True)
    frames.rename(hidden / "frames")  # as a run leaves it that is killed before the last step
    assert convert_video(video, root, max_frames=2) == ("walk", True)
    assert files(root) == before
    assert not hidden.exists()


LISTS = {
    "plain": (b"a\nb\n", b"walk\n"),
    "no final newline": (b"a\nb", b"\nwalk\n"),
    "Windows": (b"a\r\nb\r\n", b"walk\r\n"),
    "Windows, no final newline": (b"a\r\nb", b"\r\nwalk\r\n"),
    "old Mac": (b"a\rb\r", b"walk\r"),
    "blank lines and blanks": (b"\n a \n\n", b"walk\n"),
    "byte order mark": (b"\xef\xbb\xbfa\n", b"walk\n"),
    "accents": ("caf\u00e9\n".encode(), b"walk\n"),
    "empty": (b"", b"walk\n"),
    "listed": (b"a\r\nwalk\r\nb", b""),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_added_to_and_stays_byte_for_byte(video: Path, tmp_path: Path, name: str):
    before, added = LISTS[name]
    (tmp_path / "val.txt").write_bytes(before)
    convert_video(video, tmp_path, max_frames=1)
    assert (tmp_path / "val.txt").read_bytes() == before + added
    convert_video(video, tmp_path, max_frames=1)
    assert (tmp_path / "val.txt").read_bytes() == before + added


@pytest.mark.parametrize(
    "content",
    [
        "one\ntwo\nthree\n".encode("utf-16"),
        "one\ntwo\nthree\n".encode("utf-16-le"),
        "one\ntwo\nthree\n".encode("utf-16-be"),
        "caf\u00e9\ntwo\n".encode("latin-1"),
        b"one\n../two\n",
        b"one\none\n",
        bytes(range(256)),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_and_kept(
    video: Path, tmp_path: Path, content: bytes
):
    path = tmp_path / "val.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"val\.txt: "):
        convert_video(video, tmp_path, max_frames=1)
    assert path.read_bytes() == content
    assert not (tmp_path / "data").exists()


def test_a_linked_list_is_added_to_where_it_lies(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "lists.txt").write_text("a\n")
    (root / "val.txt").symlink_to("../lists.txt")
    convert_video(video, root, max_frames=1)
    assert (root / "val.txt").is_symlink()
    assert (tmp_path / "lists.txt").read_text() == "a\nwalk\n"
    os.mkfifo(root / "train.txt")
    with pytest.raises(SettingsError, match=r"train.txt: is a pipe"):
        convert_video(video, root, clip="other", split="train")
    assert not (root / "data" / "other").exists()


@pytest.mark.parametrize("name", ["a.b", "run.v1", "0.5", "a.mp4", "2024.05.01 walk"])
def test_a_clip_has_the_whole_name_of_its_video(video: Path, tmp_path: Path, name: str):
    other = video.rename(tmp_path / f"{name}.mp4")
    assert convert_video(other, tmp_path / "data", max_frames=1) == (name, False)
    folder = tmp_path / "images" / name
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / "1.png")
    assert convert_video(folder, tmp_path / "more") == (name, False)
    assert (tmp_path / "more" / "val.txt").read_text() == f"{name}\n"


def test_a_broken_video_leaves_nothing(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    for content, words in ((b"no video", "cannot be decoded"), (b"", "cannot be decoded")):
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(content)
        with pytest.raises(DataError, match=rf"broken.mp4: {words}"):
            convert_video(broken, root)
    sound = tmp_path / "sound.wav"
    with av.open(sound, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    with pytest.raises(DataError, match=r"sound.wav: holds no video"):
        convert_video(sound, root)
    assert not (root / "data").exists()
    assert not (root / "val.txt").exists()


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_a_video_that_ends_early_is_said(tmp_path: Path, name: str):
    times = [Fraction(n, 10) for n in range(30)]
    whole = write_video(tmp_path / name, times, movflags="faststart")
    said = list[str]()
    convert_video(whole, tmp_path / "data", clip="whole", warn=said.append)
    assert said == []
    with av.open(whole) as container:
        starts = [int(packet.pos) for packet in container.demux() if packet.pos is not None]
    path = tmp_path / f"early{whole.suffix}"
    path.write_bytes(whole.read_bytes()[: starts[20]])
    convert_video(path, tmp_path / "data", warn=said.append)
    found = len(frame_numbers(tmp_path / "data", "early"))
    assert 15 < found <= 20
    assert said == [f"{path}: ends early: {found} frames found, 30 promised; fetch the file again"]
    convert_video(path, tmp_path / "data", clip="part", max_frames=3, warn=said.append)
    assert len(said) == 1  # so much was asked for


def test_a_video_that_breaks_off_says_where(tmp_path: Path):
    path = write_video(tmp_path / "broken.mp4", [Fraction(n, 30) for n in range(12)])
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        packets = [p for p in container.demux() if p.pos is not None]
    start = int(packets[7].pos or 0)
    data[start : start + packets[7].size] = bytes(packets[7].size)
    path.write_bytes(data)
    words = r"broken.mp4: cannot be decoded after frame 7 of 12 promised \(Invalid data.*; fetch"
    with pytest.raises(DataError, match=words):
        convert_video(path, tmp_path / "data")
    assert not (tmp_path / "data" / "val.txt").exists()
    convert_video(path, tmp_path / "data", max_frames=7)
    assert frame_numbers(tmp_path / "data", "broken") == list(range(7))


def test_turned_photos_become_upright_frames(tmp_path: Path):
    folder = tmp_path / "photos"
    folder.mkdir()
    image, exif = Image.new("RGB", (40, 30), (20, 20, 20)), Image.Exif()
    image.paste((230, 230, 230), (0, 0, 10, 10))
    exif[ExifTags.Base.Orientation] = 6
    image.save(folder / "1.jpg", exif=exif)
    convert_video(folder, tmp_path / "data")
    clip = open_dataset(tmp_path / "data", "val").clips[0]
    assert clip.frame(0).shape == (*clip.size, 3) == (40, 30, 3)
    assert clip.frame(0)[2:8, -8:-2].min() > 200
    with Image.open(clip.frame_path(0)) as made:
        assert not made.getexif()


def test_what_cannot_be_converted(video: Path, tmp_path: Path):
    root = tmp_path / "data"
    with pytest.raises(SettingsError, match="fps is 0"):
        convert_video(video, root, fps=0)
    with pytest.raises(SettingsError, match=r"clip is '\.\.'"):
        convert_video(video, root, clip="..")
    with pytest.raises(SettingsError, match="split is 'a/b'"):
        convert_video(video, root, split="a/b")
    with pytest.raises(DataError, match=r"none.mp4: no such file"):
        convert_video(tmp_path / "none.mp4", root)
    assert not root.exists()


def test_a_real_video(shared_data: Path, tmp_path: Path):
    source = shared_data / "videos" / "bedroom.mp4"  # 200 frames, 30 a second
    convert_video(source, tmp_path / "data", fps=3, height_px=108)
    clip = open_dataset(tmp_path / "data", "val").clips[0]
    assert (clip.name, clip.num_frames, clip.size) == ("bedroom", 20, (108, 192))
    with av.open(source) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    for i in (0, 7, 19):
        expected = frames[10 * i].resize((192, 108), Image.Resampling.BILINEAR)
        difference = np.abs(np.asarray(expected, float) - clip.frame(i))
        assert difference.mean() < 2.5
