"""Folders with one Parquet file a clip, each with its checksum beside it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sam2vss_lib.errors import DataError
from sam2vss_lib.storage.files import atomic_path, sha256_file, write_text


class ClipFiles:
    """A folder of `<clip>.parquet`, and `<clip>.parquet.sha256` as `sha256sum --check` reads it.

    It is made on the first write. Files of other programs may come without checksums.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, clip: str) -> Path:
        """File of a clip."""
        return self.root / f"{clip}.parquet"

    def checksum_path(self, clip: str) -> Path:
        """Checksum of a clip's file."""
        return self.root / f"{clip}.parquet.sha256"

    @contextmanager
    def writing(self, clip: str) -> Generator[Path]:
        """Yield a path to write a clip's file to; it appears whole when the block ends, or not."""
        path = self.path(clip)
        with atomic_path(path) as temporary:
            yield temporary
            # before the file itself, which is thus never without; alone it means nothing
            write_text(self.checksum_path(clip), f"{sha256_file(temporary)}  {path.name}\n")

    def check(self, clip: str) -> None:
        """Compare a clip's file with its checksum, where there is one.

        Raises:
            DataError: the file is missing or has changed.
        """
        path, checksum = self.path(clip), self.checksum_path(clip)
        try:
            wanted = checksum.read_text(encoding="utf-8", errors="replace").split()
            if wanted and sha256_file(path) == wanted[0]:
                return
        except FileNotFoundError:
            if path.is_file():
                return
            raise DataError(f"{path}: no such file") from None
        raise DataError(
            f"{path}: changed since it was written, by its checksum {checksum.name}; move both "
            "away to have it made anew"
        )
