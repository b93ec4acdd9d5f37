"""Tags that runs carry, besides Dagster's own."""

import json
from collections.abc import Mapping, Sequence

from fruits_assets.settings import Settings

IMAGES_TAG, STORE_TAG = "fruits/images", "fruits/store"
# The sensor that asked for a run, why it did, and what must change before it does again.
AUTOMATIC_TAG, BECAUSE_TAG, AUTOMATIC_KEY_TAG = "fruits/automatic", "fruits/because", "fruits/automatic-key"
# The folders of a run, as a JSON list, where they are no neighbours: Dagster's own tags name one range of partitions.
FOLDERS_TAG = "fruits/folders"
# The run of whole_pipeline that started a run.
PIPELINE_TAG = "fruits/pipeline"


def locations(settings: Settings) -> dict[str, str]:
    """Returns the tags that say what a run works on."""
    return {IMAGES_TAG: settings.images, STORE_TAG: settings.store}


def folders_tag(folders: Sequence[str]) -> dict[str, str]:
    """Returns the tag of a run that works on these folders, neighbours or not."""
    return {FOLDERS_TAG: json.dumps(list(folders), ensure_ascii=False)}


def tagged_folders(tags: Mapping[str, str]) -> list[str] | None:
    """Returns the folders that a run's tag names; None where Dagster's partitions of the run are its folders."""
    return json.loads(tags[FOLDERS_TAG]) if FOLDERS_TAG in tags else None
