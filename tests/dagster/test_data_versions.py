"""What the UI calls out of sync: what was made from something that is another by now, and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from fruits_assets.assets import ALL_ASSETS
from fruits_assets.definitions import build_definitions
from fruits_assets.instance.internals import CachingStaleStatusResolver, LoadingContextForTest
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.resources import local_resources
from fruits_assets.settings import Settings
from tests.support.photos import save_photo

FOLDERS = ["Banana", "Lemon", "Plum"]


class Ways:
    """What is materialized, and what is then out of sync."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        instance.add_dynamic_partitions(IMAGE_FOLDERS, FOLDERS)

    def materialize(self, *assets: str, folders: Sequence[str] = FOLDERS, weights: str | None = None) -> None:
        settings = self.settings.model_copy(update={"weights": weights or self.settings.weights})
        ends = {f"dagster/asset_partition_range_{end}": folders[at] for end, at in (("start", 0), ("end", -1))}
        resources: dict[str, Any] = local_resources(settings)
        done = dg.materialize(
            ALL_ASSETS, instance=self.instance, resources=resources, selection=list(assets) or None, tags=ends
        )
        assert done.success

    def out_of_sync(self) -> set[str]:
        graph = build_definitions(self.settings).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(
            self.instance, graph, loading_context=LoadingContextForTest(self.instance)
        )
        found = set()
        for asset in ALL_ASSETS:
            for folder in FOLDERS if asset.partitions_def else [None]:
                if resolver.get_status(asset.key, folder).value != "FRESH":
                    found.add(asset.key.path[-1] + (f" {folder}" if folder else ""))
        return found


def test_only_what_was_made_from_another_thing_is_out_of_sync(
    settings: Settings, photos: Path, other_network_file: Path, instance: dg.DagsterInstance
) -> None:
    ways = Ways(settings, instance)
    ways.materialize()
    assert ways.out_of_sync() == set()
    ways.materialize("mobilenet_model")
    assert ways.out_of_sync() == set()
    ways.materialize("mobilenet_features")
    ways.materialize("pca_model")
    assert ways.out_of_sync() == set()
    save_photo(photos / "Lemon" / "new.jpg", colour=7)
    ways.materialize("raw_images", "mobilenet_features", folders=["Lemon"])
    of_the_audit = {"photo_splits Lemon", "photo_audit Lemon"}
    assert ways.out_of_sync() == {"pca_model", "reduced_features Lemon", *of_the_audit}
    ways.materialize("pca_model")
    of_another_model = {f"reduced_features {folder}" for folder in FOLDERS}
    assert ways.out_of_sync() == {"store_report", *of_the_audit, *of_another_model}
    ways.materialize("mobilenet_model", weights=str(other_network_file))
    of_the_old_network = {f"mobilenet_features {folder}" for folder in FOLDERS}
    # And what else is made with the network.
    assert of_the_old_network <= ways.out_of_sync()
    assert not any(name.startswith("raw_images") for name in ways.out_of_sync())
