"""The ImageNet weights of MobileNetV2: downloaded once for each machine, as Keras itself would."""

import os
import shutil
from pathlib import Path

from spark_steps.at_exit import temporary_directory
from spark_steps.errors import FruitsError

# The file that keras.applications.MobileNetV2(weights="imagenet", include_top=False) downloads.
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{IMAGENET_FILE}"
_DOWNLOAD_TIMEOUT_SECONDS = 30


def download_imagenet() -> str:
    """Returns the file of the ImageNet weights, and downloads it if it is not on this machine yet.

    Keras would do so too, but after the import of TensorFlow, which takes seconds, and it writes to the final name of
    the file as it downloads it, where another process would take the part for the whole.

    Raises:
        FruitsError: The file cannot be downloaded; the message has the remedy.
    """
    kept = imagenet_file()
    if not kept.exists():
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with temporary_directory("fruits-", kept.parent) as scratch:
                _download(_IMAGENET_URL, scratch / kept.name).replace(kept)
        except OSError as error:
            raise FruitsError(
                f"The ImageNet weights cannot be downloaded ({error}). Bring {IMAGENET_FILE} from a machine that can, "
                "and give its path as weights; random:0 are weights to try things with, whose features mean nothing."
            ) from error
    return str(kept)


def _download(url: str, target: Path) -> Path:
    # Imported here: it takes a twentieth of a second, and nearly no command downloads.
    from urllib.request import urlopen

    # Without a timeout a firewall that drops packets makes the download hang for ever.
    with urlopen(url, timeout=_DOWNLOAD_TIMEOUT_SECONDS) as answer, target.open("wb") as file:  # noqa: S310
        shutil.copyfileobj(answer, file)
        wanted = int(answer.headers.get("Content-Length", file.tell()))
        if file.tell() != wanted:
            raise OSError(f"the connection ended after {file.tell()} of {wanted} bytes")
    return target


def imagenet_file() -> Path:
    """Returns where the file of the ImageNet weights is kept, downloaded or not."""
    # The path of Keras' cache (keras.src.backend.config.keras_home). Asking Keras would import TensorFlow for seconds.
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models" / IMAGENET_FILE
