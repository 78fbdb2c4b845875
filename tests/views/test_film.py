"""Films decoded again: as many pictures, of the right size and look; whole or not at all."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from sam2vss_lib.errors import RunError
from sam2vss_lib.views.film import film, write_gif
from sam2vss_lib.views.layers import Picture


def pictures(count: int, height: int, width: int) -> list[Picture]:
    """A bright square that moves over a dark ground."""
    made = [np.full((height, width, 3), (20, 40, 60), np.uint8) for _ in range(count)]
    for t, picture in enumerate(made):
        picture[8:24, 4 + 2 * t : 20 + 2 * t] = (220, 180, 40)
    return made


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_film_holds_its_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    shown = pictures(7, *size)
    with film(tmp_path / "a.mp4", 15) as add:
        for picture in shown:
            add(picture)
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 15
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == 7
    for found, picture in zip(decoded, shown, strict=True):
        assert found.shape == (48, 64, 3)
        difference = found[: size[0], : size[1]].astype(int) - picture
        assert np.abs(difference).mean() < 6


def test_odd_rates_are_kept(tmp_path: Path) -> None:
    with film(tmp_path / "a.mp4", 30000 / 1001) as add:
        for picture in pictures(3, 32, 48):
            add(picture)
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_a_film_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with film(tmp_path / "a.mp4", 15) as add:
            add(pictures(1, 32, 48)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    nothing = film(tmp_path / "a.mp4", 15)
    with pytest.raises(RunError, match=r"a\.mp4: a film of no pictures"), nothing:
        pass
    assert not list(tmp_path.iterdir())


def test_a_gif_holds_its_pictures(tmp_path: Path) -> None:
    shown = pictures(5, 32, 48)
    write_gif(tmp_path / "a.gif", shown, 10)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.size, image.info["duration"]) == ((48, 32), 100)
        assert len([*ImageSequence.Iterator(image)]) == 5
        for t, picture in enumerate(shown):
            image.seek(t)
            found = np.asarray(image.convert("RGB"), int)
            assert np.abs(found - picture).mean() < 4
