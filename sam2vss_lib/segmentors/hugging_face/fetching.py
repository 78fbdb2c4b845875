"""A model from the Hugging Face hub into its local cache, where loading looks for it."""

from pathlib import Path

from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.storage.downloads import OFFLINE_REASON, asked_offline

#: configurations, tokenizer and weights; no pickles, which are never loaded
_WANTED = ("*.json", "merges.txt", "spiece.model", "model*.safetensors")


def fetch_model(
    name: str, *, offline: bool = False, endpoint: str | None = None, timeout_s: float = 30.0
) -> Path:
    """Fetch what is missing of a model, by the hub's own client: its folder in the cache.

    Args:
        name: the repository, `owner/name`.
        offline: whether only the cache is looked at; so do $SAM2VSS_OFFLINE and $HF_HUB_OFFLINE.
        endpoint: address of the hub or of a mirror of it.
        timeout_s: how long to wait for an answer about a file.

    Raises:
        DataError: it is not there, gated, has no safetensors, or the network is none.
        SettingsError: that is no name of a repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    only_here = offline or asked_offline()
    try:
        found = snapshot_download(
            name,
            allow_patterns=list(_WANTED),
            local_files_only=only_here,
            endpoint=endpoint,
            etag_timeout=timeout_s,
        )
    except HFValidationError:
        raise SettingsError(f"hf:{name}: is no name of a model on the hub, owner/name") from None
    except GatedRepoError:
        raise DataError(
            f"hf:{name}: is gated; accept its terms on its page, log in by `hf auth login`, and "
            "fetch it again"
        ) from None
    except RepositoryNotFoundError:
        raise DataError(
            f"hf:{name}: no such model on the hub, or a private one; check the name, or log in by "
            "`hf auth login`"
        ) from None
    except LocalEntryNotFoundError:
        why = f"the network may not be used: {OFFLINE_REASON}" if only_here else "no answer"
        raise DataError(
            f"hf:{name}: is not in the cache, and cannot be fetched ({why}); fetch it later, or "
            "give a folder"
        ) from None
    except Exception as error:  # of the client, its connection or the disk
        raise DataError(f"hf:{name}: cannot be fetched ({first_line(error)}); try again") from None
    folder = Path(found)
    if not list(folder.glob("model*.safetensors")):
        raise DataError(f"hf:{name}: has no model.safetensors; use a revision or model with it")
    return folder
