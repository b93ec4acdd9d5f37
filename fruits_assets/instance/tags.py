"""Tags that runs carry, besides Dagster's own."""

import json
from collections.abc import Mapping, Sequence

from fruits_assets.settings import Settings

IMAGES_TAG, STORE_TAG = "fruits/images", "fruits/store"
# The sensor that requested a run, the reason, and a key of the state of the store: no second run has the same key.
AUTOMATIC_TAG, BECAUSE_TAG, AUTOMATIC_KEY_TAG = "fruits/automatic", "fruits/because", "fruits/automatic-key"
# The folders of a run as a JSON list, where they are not contiguous: Dagster's own tags name one range of partitions.
FOLDERS_TAG = "fruits/folders"
# The id of the run of whole_pipeline that started a run.
PIPELINE_TAG = "fruits/pipeline"
# The name of a check that failed after a stage, so that the pipeline ended there.
CHECK_FAILED_TAG = "fruits/check-failed"
# Of runs that follow each other, such as those of fruits run: what their steps run on is kept between them.
KEEP_TAG = "fruits/keep-cluster"
# Where the steps of a run were sent to, such as a cluster; and what was created for them, with spaces between.
PLACE_TAG, CREATED_TAG = "fruits/ran-on", "fruits/created"
# What the engine has billed for the jobs of a run, in euros.
BILLED_TAG = "fruits/billed-eur"


def locations(settings: Settings) -> dict[str, str]:
    """Returns the tags with the images root and the store that a run works on."""
    return {IMAGES_TAG: settings.images, STORE_TAG: settings.store}


def folders_tag(folders: Sequence[str]) -> dict[str, str]:
    """Returns the tag of a run that works on these folders, contiguous or not."""
    return {FOLDERS_TAG: json.dumps(list(folders), ensure_ascii=False)}


def tagged_folders(tags: Mapping[str, str]) -> list[str] | None:
    """Returns the folders in the tag of a run; None without the tag, when Dagster's own tags name the partitions."""
    return json.loads(tags[FOLDERS_TAG]) if FOLDERS_TAG in tags else None
