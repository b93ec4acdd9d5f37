"""Faults planted into real photos: how many the audit finds, and how many other photos it names.

The photos are copied. Near-duplicates are added; wrong labels, blurred and dark photos replace the photos that they
were made of; photos of something else are added.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from PIL import Image, ImageEnhance, ImageFilter

from benchmarks.studies.audit.exactness import unit_features
from benchmarks.studies.checkouts import pipeline, source_option, this_checkout, weights_option
from spark_steps.audit.photos import read_photos
from spark_steps.audit.plan import plan_findings, plan_splits
from spark_steps.audit.settings import AuditSettings
from spark_steps.store.store import Store

NEAR, WRONG, BLURRED, DARK, OTHERS = 50, 20, 20, 10, 5


def _cropped(photo: Image.Image) -> Image.Image:
    x, y = round(photo.width * 0.04), round(photo.height * 0.04)
    return photo.crop((x, y, photo.width - x, photo.height - y))


def _smaller(photo: Image.Image) -> Image.Image:
    return photo.resize((photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS)


TWINS: Mapping[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "re-encoded": (lambda photo: photo, 40),
    "resized": (_smaller, 90),
    "cropped": (_cropped, 90),
    "brighter": (lambda photo: ImageEnhance.Brightness(photo).enhance(1.15), 90),
}


@dataclass
class Planted:
    """What was planted, by path below the images root.

    Attributes:
        near: The photo that each near-duplicate was made of, and the way.
        wrong: The right label of each photo under a wrong one.
        blurred: Blurred photos.
        dark: Dark photos.
        others: Photos of something else.
    """

    near: dict[str, tuple[str, str]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    blurred: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


def plant(source: Path, images: Path, others: Path | None, seed: int, side: int | None = None) -> Planted:
    """Copies the photos, and plants the faults.

    Args:
        source: The photos.
        images: Where they are copied to.
        others: A folder of pictures of something else.
        seed: Of the choice of photos.
        side: Pixels of a side that the photos are enlarged to before; None for as they are.
    """
    shutil.copytree(source, images)
    for file in images.rglob("*.jpg") if side else ():
        _save(file, file, lambda photo: photo.resize((side or 0, side or 0), Image.Resampling.LANCZOS))
    random = np.random.default_rng(seed)
    photos = sorted(str(path.relative_to(images)) for path in images.rglob("*.jpg"))
    labels = sorted({path.rpartition("/")[0] for path in photos})
    random.shuffle(photos)
    planted, left = Planted(), iter(photos)
    for number in range(NEAR):
        path, way = next(left), list(TWINS)[number % len(TWINS)]
        change, quality = TWINS[way]
        twin = f"{path.rpartition('/')[0]}/planted-near-{number}.jpg"
        _save(images / path, images / twin, change, quality)
        planted.near[twin] = path, way
    for number in range(WRONG):
        path = next(left)
        right = path.rpartition("/")[0]
        wrong = str(random.choice([label for label in labels if label != right]))
        moved = f"{wrong}/planted-wrong-{number}.jpg"
        shutil.move(images / path, images / moved)
        planted.wrong[moved] = right
    for _ in range(BLURRED):
        path = next(left)
        _save(images / path, images / path, lambda photo: photo.filter(ImageFilter.GaussianBlur(photo.width / 40)))
        planted.blurred.add(path)
    for _ in range(DARK):
        path = next(left)
        _save(images / path, images / path, lambda photo: ImageEnhance.Brightness(photo).enhance(0.15))
        planted.dark.add(path)
    for number, file in enumerate(_pictures(others)[:OTHERS]):
        path = f"{random.choice(labels)}/planted-other-{number}.jpg"
        _save(file, images / path)
        planted.others.add(path)
    return planted


def _save(
    source: Path, to: Path, change: Callable[[Image.Image], Image.Image] = lambda photo: photo, quality: int = 90
) -> None:
    with Image.open(source) as photo:
        changed = change(photo.convert("RGB"))
    changed.save(to, "JPEG", quality=quality)


def _pictures(folder: Path | None) -> list[Path]:
    """Returns pictures of a folder that can be read, of different sizes: not the same one in several formats."""
    found: dict[tuple[int, int], Path] = {}
    for file in sorted(folder.glob("*.[jpw]*")) if folder else []:
        try:
            with Image.open(file) as photo:
                photo.convert("RGB")
                if min(photo.size) >= 60 and max(photo.size) <= 2000:
                    found.setdefault(photo.size, file)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return list(found.values())


def describe(name: str, planted: Sequence[str] | set[str], found: set[str], note: str = "") -> str:
    """Returns a row of the table: planted, found, and others that were named."""
    there = set(planted)
    return f"| {name} | {len(there)} | {len(there & found)} | {len(found - there)} | {note} |"


def outcome(store: Store, planted: Planted) -> list[str]:
    """Returns the rows of the table."""
    rows = store.photo_splits.arrow(["path", "group", "label"]).to_pylist()
    group = {row["path"]: row["group"] for row in rows}
    findings = store.photo_audit.arrow(["path", "kind"]).to_pylist()
    named: dict[str, set[str]] = {}
    for one in findings:
        named.setdefault(one["kind"], set()).add(one["path"])
    missed = Counter(way for twin, (path, way) in planted.near.items() if group[twin] != group[path])
    near = {twin for twin, (path, _) in planted.near.items() if group[twin] == group[path]}
    of_group: dict[int, set[str]] = {}
    for row in rows:
        of_group.setdefault(row["group"], set()).add(planted.wrong.get(row["path"], row["label"]))
    mixed = sum(len(labels) > 1 for labels in of_group.values())
    other_kinds = planted.blurred | planted.dark | planted.others
    candidates = named.get("label_candidate", set())
    outliers = named.get("outlier", set())
    return [
        "| planted | photos | found | others named | |",
        "|---|--:|--:|--:|---|",
        f"| near-duplicates | {NEAR} | {len(near)} | {mixed} | others: groups of two right labels; missed: "
        f"{dict(missed) or 'none'} |",
        describe("wrong labels: label_candidate", list(planted.wrong), candidates),
        describe("wrong labels: label_conflict", list(planted.wrong), named.get("label_conflict", set())),
        describe("wrong labels: either", list(planted.wrong), candidates | named.get("label_conflict", set())),
        describe("blurred", planted.blurred, named.get("blurred", set())),
        describe("dark", planted.dark, named.get("dark", set())),
        describe(
            "something else: outlier",
            planted.others,
            outliers,
            f"{len(outliers & other_kinds - planted.others)} of the others are planted blurred or dark ones",
        ),
    ]


def leaks(store: Store, settings: AuditSettings) -> str:
    """Returns the number of pairs of near-duplicates in two splits, by all pairs, as a sentence."""
    features = store.mobilenet_features
    photos = read_photos(features, features.files())
    unit = unit_features(store, photos)
    splits = store.photo_splits.arrow(["path", "split"])
    of_path = dict(zip(splits["path"].to_pylist(), splits["split"].to_pylist(), strict=True))
    of_photo = np.array([of_path[path] for path in photos.rows["path"].to_pylist()])
    of_distinct = np.empty(photos.count, of_photo.dtype)
    of_distinct[photos.distinct] = of_photo
    pairs = np.argwhere(np.triu(unit @ unit.T >= settings.cosine, 1))
    across = int((of_distinct[pairs[:, 0]] != of_distinct[pairs[:, 1]]).sum())
    random = np.random.default_rng(0).choice(of_photo, photos.count)
    by_chance = int((random[pairs[:, 0]] != random[pairs[:, 1]]).sum())
    counts = dict(Counter(of_photo.tolist()))
    return (
        f"Of {len(pairs):,} pairs of near-duplicates {across} are in two splits ({by_chance:,} in a random split). "
        f"Photos: {counts}."
    )


@click.command()
@source_option
@weights_option
@click.option("--others", type=click.Path(exists=True, path_type=Path), help="A folder of pictures of something else.")
@click.option("--seed", default=0, show_default=True, help="Of the choice of photos.")
@click.option("--side", type=int, help="Pixels of a side that the photos are enlarged to before.")
@click.option("--cosine", default=AuditSettings.cosine, show_default=True, help="As FRUITS_AUDIT_COSINE.")
@click.option("--keep", type=click.Path(path_type=Path), help="Directory that keeps photos and store.")
def planted(
    source: Path, weights: str, others: Path | None, seed: int, side: int | None, cosine: float, keep: Path | None
) -> None:
    """Plant faults into a copy of real photos, and count what the audit finds."""
    from fruits_assets.resources import LocalPySparkResource
    from spark_steps.spark.session import local_spark_config

    settings = AuditSettings(cosine=cosine)
    with tempfile.TemporaryDirectory() as temporary:
        directory = keep or Path(temporary)
        images, store = directory / "photos", Store(str(directory / "store"))
        faults = plant(source, images, others, seed, side)
        this_checkout().run(pipeline(str(images), store.root, weights), directory / "home")
        spark = LocalPySparkResource(spark_config=local_spark_config()).spark_session
        store.photo_splits.write(plan_splits(spark, store.mobilenet_features, store.photo_splits, settings).change)
        store.photo_audit.log.create()
        change = plan_findings(store.mobilenet_features, store.photo_splits, store.photo_audit, settings)
        store.photo_audit.write(change)
        spark.stop()
        click.echo("\n".join(outcome(store, faults)))
        findings = store.photo_audit.arrow(["kind", "severity"])
        kinds = pa.TableGroupBy(findings, ["kind", "severity"]).aggregate([([], "count_all")]).to_pylist()
        click.echo(f"Findings: { {(one['kind'], one['severity']): one['count_all'] for one in kinds} }")
        click.echo(leaks(store, settings))
