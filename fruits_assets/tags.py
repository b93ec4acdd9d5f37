"""Tags that runs carry, besides Dagster's own."""

from fruits_assets.settings import Settings

IMAGES_TAG, STORE_TAG = "fruits/images", "fruits/store"
# The sensor that asked for a run, why it did, and what must change before it does again.
AUTOMATIC_TAG, BECAUSE_TAG, AUTOMATIC_KEY_TAG = "fruits/automatic", "fruits/because", "fruits/automatic-key"


def places(settings: Settings) -> dict[str, str]:
    """Returns the tags that say what a run works on."""
    return {IMAGES_TAG: settings.images, STORE_TAG: settings.store}
