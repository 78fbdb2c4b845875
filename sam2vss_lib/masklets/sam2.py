"""Loading SAM2: any official configuration, a file of one's own, or the embedded demo model."""

import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sam2vss_lib.datasets.manifests import CheckpointFacts, load_checkpoints_manifest
from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.masklets.checkpoints import checkpoint_folder
from sam2vss_lib.masklets.hugging_face.layout import sam2_of_transformers
from sam2vss_lib.masklets.hugging_face.networks import HUB
from sam2vss_lib.storage.files import sha256_file, sha256_json
from sam2vss_lib.storage.state_dicts import read_state_dict

DEMO = "demo"
_DEMO_FOLDER = Path(__file__).parent / "demo"
_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
#: what sam2's own video builder adds to the configurations of its package, hole filling aside
_STOCK_OVERRIDES: dict[str, Any] = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}
_ATTENTION = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sam2Model:
    """A SAM2 model ready to use.

    Its predictor is a stock `SAM2VideoPredictor` in evaluation mode, which also is the `SAM2Base`
    that the image side of sam2 takes.
    """

    name: str  # of the checkpoint, or of its file
    predictor: Any
    checkpoint_sha256: str  # of the weights file
    config_sha256: str  # of the configuration, overrides included
    device: torch.device
    made_with: Mapping[str, str] = field(default_factory=dict)  # as of `MaskletModel`: nothing more
    attention_backend: str | None = None  # kernels of attention; None leaves them to PyTorch

    @contextmanager
    def autocast(self, precision: str) -> Generator[None]:
        """Context in which the model runs with `precision` ("float32" or "bfloat16").

        Raises:
            SettingsError: the device has no such attention kernels as are asked for.
        """
        low, name = precision == "bfloat16", self.attention_backend
        try:
            with (
                torch.autocast(self.device.type, torch.bfloat16) if low else nullcontext(),
                sdpa_kernel(_ATTENTION[name]) if name else nullcontext(),
            ):
                yield
        except RuntimeError as error:
            if name and ("No available kernel" in str(error) or "No viable" in str(error)):
                raise SettingsError(
                    f"attention_backend {name}: not to be had on {self.device} with {precision}; "
                    "try precision bfloat16, or leave it off"
                ) from None
            raise


@contextmanager
def without_script_warning() -> Generator[None]:
    """Without torch's word that `torch.jit.script` is deprecated, which only sam2 can heed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # its kind varies
        yield


def build_model(config: DictConfig) -> Any:
    """Instantiate a SAM2 configuration without touching Hydra's global state.

    It may come with or without its outer `model` key. The `SAM2VideoPredictor` is on the CPU, in
    training mode, with random weights.
    """
    target = {"_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor"}
    return instantiate(OmegaConf.merge(config.get("model", config), target), _recursive_=True)


def demo_config() -> DictConfig:
    """The demo model's configuration."""
    return cast(DictConfig, OmegaConf.load(_DEMO_FOLDER / "sam2_micro.yaml"))


def load_sam2(
    checkpoint: str | Path, *, device: str | torch.device = "cpu", config: str | None = None
) -> Sam2Model:
    """Load a SAM2 model.

    Args:
        checkpoint: `demo`, the name of an official checkpoint (`sam2.1_hiera_large`, ...; see
            `data_manifests/checkpoints.yaml`), a path to a `.pt` or `.safetensors` file, or a
            `Sam2VideoModel` of transformers: its folder, or `hf:` and its name on the hub, of which
            the local cache must have it.
        device: where to put the model.
        config: needed only for files with unofficial names: a configuration of the sam2 package
            (`configs/sam2.1/sam2.1_hiera_t.yaml`), which gets the overrides of sam2's own video
            builder, or a YAML file, which is taken as it stands. Such a file names the classes to
            build, so use none from a source you do not trust.

    Returns:
        The model in evaluation mode. Hole filling is off, whatever the configuration says: sam2
        needs a compiled extension for it that its published wheel lacks.

    Raises:
        SettingsError: an unknown checkpoint name, configuration or device.
        DataError: the weights are missing, unreadable, or do not fit the configuration.
    """
    if _is_of_transformers(str(checkpoint)):
        if config is not None:
            raise SettingsError(f"--config {config}: not for {checkpoint}, which says what it is")
        name, folder, node, state, digest = sam2_of_transformers(str(checkpoint))
        model, identity = _build(node, folder)
        _load_weights(model, state, folder, folder)
    else:
        weights, facts = _find_weights(str(checkpoint))
        source, packaged = _find_config(weights, facts, config)
        model, identity = _build(source, source, _STOCK_OVERRIDES if packaged else {})
        _load_weights(model, read_state_dict(weights), weights, source)
        name, digest = facts.name if facts is not None else weights.name, sha256_file(weights)
        if facts is not None and facts.sha256 not in (None, digest):
            _log.warning("%s: not the published file of this name, its SHA-256 differs", weights)
    model.fill_hole_area = 0
    try:
        device = torch.device(device)
        model = model.float().to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {device}: cannot be used here ({first_line(error)})") from None
    return Sam2Model(name, model, digest, identity, device)


def _is_of_transformers(checkpoint: str) -> bool:
    known = checkpoint in ("", *load_checkpoints_manifest())  # whatever a folder here is named
    return not known and (checkpoint.startswith(HUB) or Path(checkpoint).is_dir())


def _build(
    config: DictConfig | Path, source: Path, overrides: Mapping[str, Any] | None = None
) -> tuple[Any, str]:
    """The model of a configuration or of a file that holds one, and the configuration's hash."""
    try:
        node = cast(DictConfig, OmegaConf.load(config) if isinstance(config, Path) else config)
        node = OmegaConf.merge(node.get("model", node), dict(overrides or {}))
        model = build_model(cast(DictConfig, node))
        return model, sha256_json(OmegaConf.to_container(node, resolve=True))
    except Exception as error:  # YAML, OmegaConf, Hydra and sam2 itself each have their own
        raise SettingsError(f"{source}: not a SAM2 configuration ({first_line(error)})") from None


def _find_weights(checkpoint: str) -> tuple[Path, CheckpointFacts | None]:
    """Weights file, and what is known of it if its name or file name is one of the manifest's."""
    manifest = load_checkpoints_manifest()
    facts, hint = manifest.get(checkpoint), "check the path"
    if checkpoint == DEMO:
        path, hint = _DEMO_FOLDER / "sam2_micro.safetensors", "install the package again"
    elif facts is not None:
        path = checkpoint_folder() / str(facts.file)
        hint = (
            f"run `sam2vss checkpoints fetch {checkpoint}`, or get it from {facts.url} and set "
            "SAM2VSS_CHECKPOINTS to its folder"
        )
    elif checkpoint.endswith(_SUFFIXES):
        path = Path(checkpoint)
        facts = next((entry for entry in manifest.values() if entry.file == path.name), None)
    else:
        raise SettingsError(
            f"unknown checkpoint {checkpoint!r}: give one of {', '.join(manifest)}, a path that "
            f"ends in {', '.join(_SUFFIXES)}, or a folder or {HUB}NAME of transformers"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint file; {hint}")
    return path, facts


def _find_config(
    weights: Path, facts: CheckpointFacts | None, config: str | None
) -> tuple[Path, bool]:
    """Configuration file, and whether it is one of the sam2 package."""
    if config is None and facts is not None and facts.name == DEMO:
        return _DEMO_FOLDER / "sam2_micro.yaml", False
    wanted = config or (facts.config if facts is not None else None)
    if wanted is None:
        raise SettingsError(
            f"{weights}: not the name of an official checkpoint, so say its configuration with "
            "--config (a YAML file, or configs/sam2.1/sam2.1_hiera_t.yaml and the like)"
        )
    packaged = Path(str(resources.files("sam2"))) / wanted
    if packaged.is_file() and packaged != Path(wanted):  # the same where `wanted` is absolute
        return packaged, True
    if Path(wanted).is_file():
        return Path(wanted), False
    raise SettingsError(f"unknown configuration {wanted!r}: no such file, none in sam2 either")


def _load_weights(model: Any, state: Mapping[str, Tensor], weights: Path, source: Path) -> None:
    """Put weights into a model; every tensor must be there with the right shape, and no other."""
    expected = {name: value.shape for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    if wrong := [n for n in expected | found if expected.get(n) != found.get(n)]:
        raise DataError(
            f"{weights}: weights do not fit {source.name}: {len(wrong)} tensors are missing, "
            f"unexpected or of another shape, such as {wrong[0]}; pass the right --config"
        )
    model.load_state_dict(state)
