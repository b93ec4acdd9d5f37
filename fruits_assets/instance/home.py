"""Where Dagster keeps its runs: a home for each store, made and set up where it is missing."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock

from spark_steps.environment import export
from spark_steps.errors import FruitsError
from spark_steps.storage.s3_address import is_s3

if TYPE_CHECKING:
    import dagster as dg

# The checkout, or where the package is installed.
PACKAGES = Path(__file__).parent.parent.parent
WORKSPACE = PACKAGES / "workspace.yaml"
# sha256 of each dagster.yaml that was copied into homes before the present one. Whoever has edited theirs keeps it.
_EARLIER_CONFIGURATIONS = {
    "a36bdfff1e6c0bc81715bb91dbea553e80743c53bd90e97a4181f5f5c384c943",
    "f2acb2b3155253001118f7cd201db0fdf79e4605ad5fcb89213390001ecd65d1",
    "bc7793e52dcf4d37b169ee7906d4f738ee314461b875294c8e08f2a2b908bbe6",
    "48b41b2b9625e62077ac45454841da363546641ea16e2b8a1bc726ad9b0b02c4",
    "32533b09b062240e583c26d607cc60a9efcafb48af4848828c54bc98f3211014",
}


def ensure_dagster_home(store: str) -> Path:
    """Returns the Dagster home of a store, with databases, set in the environment for this process and its children.

    Args:
        store: A normalised location.

    Raises:
        FruitsError: The home has a ``dagster.yaml`` of its own that lets Dagster send telemetry.
    """
    home = dagster_home(store)
    _make_databases(home)
    return home


def dagster_home(store: str) -> Path:
    """Returns the same without databases, for which Dagster has to be imported.

    It is that of ``DAGSTER_HOME``, else one below ``.dagster`` of the checkout, else one below ``~/.fruits``. Each
    store has its own, because a home has one set of partitions, and the folders of one store would replace those of
    another.
    A home without a ``dagster.yaml`` gets ours: Dagster's default sends telemetry to the United States.

    Args:
        store: A normalised location.

    Raises:
        FruitsError: The home has a ``dagster.yaml`` of its own that lets Dagster send telemetry.
    """
    own = f"{Path(store).name}-{hashlib.sha256(store.encode()).hexdigest()[:8]}"
    home = Path(os.environ.get("DAGSTER_HOME") or _homes() / own).expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    _bring_configuration(home / "dagster.yaml")
    _refuse_telemetry(home / "dagster.yaml")
    # For last_store: which store was worked on, and by the file's time when.
    (home / "store.txt").write_text(store)
    export("DAGSTER_HOME", str(home))
    return home


def _bring_configuration(file: Path) -> None:
    """Writes our ``dagster.yaml`` where there is none, or where an earlier one of ours lies unchanged."""
    if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() in _EARLIER_CONFIGURATIONS:
        shutil.copyfile(Path(__file__).parent / "dagster.yaml", file)


def instance_at_the_terminal(home: Path) -> "dg.DagsterInstance":
    """Returns the instance of a home that leaves standard output and standard error of its runs to the terminal.

    Dagster's own takes both into files during a step, from which other processes copy them to the terminal: no bar
    could be drawn there, and Ctrl-C would have each of those processes write a stack trace.
    """
    import dagster as dg

    from fruits_assets.instance.internals import InstanceRef, NoOpComputeLogManager

    nowhere = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": nowhere}))


def _refuse_telemetry(file: Path) -> None:
    # Dagster sends it unless it is told not to, and asks nobody where to.
    document = yaml.safe_load(file.read_text()) or {}
    if (document.get("telemetry") or {}).get("enabled", True):
        raise FruitsError(
            f"{file} lets Dagster send telemetry to the United States. Add the lines 'telemetry:' and "
            "'  enabled: false' to it."
        )


def _make_databases(home: Path) -> None:
    """Makes Dagster's databases in a home that has none yet, one process at a time.

    Dagster makes them in whichever process comes first, and two that come together (the UI, and a command in another
    terminal) can leave one with two schema versions, which nothing opens again.
    """
    made = home / ".databases"
    with FileLock(home / ".databases.lock"):
        if not made.exists():
            # Here: Dagster takes seconds to import, and is needed for a new home only.
            import dagster as dg

            dg.DagsterInstance.get().dispose()
            made.touch()


def last_store() -> str | None:
    """Returns the store that was worked on last, None where there is none yet or it is no more.

    One in S3 counts as being there: to ask takes credentials, and who opens it is told.
    """
    given = os.environ.get("DAGSTER_HOME")
    notes = [Path(given) / "store.txt"] if given else list(_homes().glob("*/store.txt"))
    stores = [note.read_text() for note in sorted(notes, key=_modified, reverse=True) if note.exists()]
    return next((store for store in stores if is_s3(store) or Path(store).is_dir()), None)


def _homes() -> Path:
    return PACKAGES / ".dagster" if WORKSPACE.exists() else Path.home() / ".fruits"


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
