"""Refine a model's label maps of one clip by SAM2's masklets, with the library alone.

    python examples/refine_my_clip.py frames/street base --out out --checkpoint sam2.1_hiera_large

reads the frames in `frames/street` and the labels `base/street/<frame>.png` (8-bit, one class a
value, 255 unlabelled), and writes `out/refined/street/<frame>.png`. Masklets are kept in
`out/masklets`, so that other predictions of the same clip are refined within seconds.
"""

import argparse
from pathlib import Path

from sam2vss_lib import (
    MaskletSettings,
    MaskletStore,
    PredictionFolder,
    generate_masklets,
    load_sam2,
    open_frames,
    refine,
)


def main() -> None:
    """Read the arguments, track, refine, and say how much has changed."""
    parser = argparse.ArgumentParser(description="Refine label maps of one clip by masklets.")
    parser.add_argument("frames", type=Path, help="folder of .jpg or .png frames, named as a clip")
    parser.add_argument("predictions", type=Path, help="folder with <clip>/<frame>.png")
    parser.add_argument("--out", type=Path, required=True, help="folder for masklets and results")
    parser.add_argument("--checkpoint", default="demo", help="demo, an official name, or a path")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--classes", type=int, default=254, help="labels are below this number")
    parser.add_argument("--window", type=int, default=32, help="frames that SAM2 tracks through")
    given = parser.parse_args()

    dataset = open_frames(given.frames)
    model = load_sam2(given.checkpoint, device=given.device)
    store = given.out / "masklets"
    generate_masklets(dataset, model, MaskletSettings(window=given.window), store)

    base = PredictionFolder(given.predictions, given.classes)
    refined = PredictionFolder(given.out / "refined", given.classes)
    refine(dataset, base, MaskletStore(store), refined, device=given.device)

    (clip,) = dataset
    frames = range(clip.num_frames)
    changed = sum(int((base.read(clip, i) != refined.read(clip, i)).sum()) for i in frames)
    total = clip.num_frames * clip.size[0] * clip.size[1]
    folder = refined.root / clip.name
    print(f"{changed} of {total} pixels changed ({changed / total:.1%}), see {folder}")


if __name__ == "__main__":
    main()
