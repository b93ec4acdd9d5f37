"""The Dagster home of each store, in which Dagster keeps its runs; created and configured where it is missing."""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock

from fruits_assets.terminal.problems import disk_is_full
from spark_steps.environment import export
from spark_steps.errors import FruitsError
from spark_steps.storage.locations import is_remote, with_home, write_bytes

if TYPE_CHECKING:
    import dagster as dg

# Dagster takes the path of its configuration for a pattern, which such a path does not match: then it uses its
# defaults, which send telemetry. The path of a database becomes a URL as it is: a question mark begins the query there,
# and a percent sign with two digits is another character.
_NOT_IN_A_HOME = re.compile(r"[?*[]|%(?=[0-9A-Fa-f]{2})")

# The checkout, or the directory in which the package is installed.
PACKAGES = Path(__file__).parent.parent.parent
WORKSPACE = PACKAGES / "workspace.yaml"
# sha256 of each former dagster.yaml of this project. A home's file with one of these hashes was never edited, and is
# replaced by the current one; a file with any other hash stays.
_EARLIER_CONFIGURATIONS = {
    "a36bdfff1e6c0bc81715bb91dbea553e80743c53bd90e97a4181f5f5c384c943",
    "f2acb2b3155253001118f7cd201db0fdf79e4605ad5fcb89213390001ecd65d1",
    "bc7793e52dcf4d37b169ee7906d4f738ee314461b875294c8e08f2a2b908bbe6",
    "48b41b2b9625e62077ac45454841da363546641ea16e2b8a1bc726ad9b0b02c4",
    "32533b09b062240e583c26d607cc60a9efcafb48af4848828c54bc98f3211014",
}


def ensure_dagster_home(store: str) -> Path:
    """Returns the Dagster home of a store with its databases, and sets ``DAGSTER_HOME`` for this process and children.

    Args:
        store: The store's normalised location.

    Raises:
        FruitsError: The home has a ``dagster.yaml`` of its own that lets Dagster send telemetry.
    """
    home = dagster_home(store)
    _make_databases(home)
    return home


def dagster_home(store: str) -> Path:
    """Returns the Dagster home of a store as ``ensure_dagster_home`` does, but makes no databases.

    Dagster has to be imported to make databases, which takes seconds.

    The home is ``DAGSTER_HOME``, else a directory below ``.dagster`` of the checkout, else one below ``~/.fruits``.
    Each store has its own home: a home has one set of partitions, so the folders of one store would replace those of
    another. A home without a ``dagster.yaml`` gets the project's: Dagster's default sends telemetry to the United
    States.

    Args:
        store: The store's normalised location.

    Raises:
        FruitsError: The home cannot be written, has a ``dagster.yaml`` of its own that lets Dagster send telemetry, or
            has a path that Dagster cannot use.
    """
    own = f"{_NOT_IN_A_HOME.sub('_', Path(store).name)}-{hashlib.sha256(store.encode()).hexdigest()[:8]}"
    home = Path(with_home(os.environ.get("DAGSTER_HOME") or str(_homes() / own))).absolute()
    if found := _NOT_IN_A_HOME.search(str(home)):
        raise FruitsError(
            f"Dagster cannot use the home {home}, because of the {found[0]} in its path. Set DAGSTER_HOME to a folder "
            "without it."
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        _bring_configuration(home / "dagster.yaml")
        # For last_store: the text names the store, and the file's modification time is when it was last used.
        write_bytes(str(home / "store.txt"), store.encode())
    except OSError as error:
        if disk_is_full(error):
            raise
        raise FruitsError(
            f"Dagster cannot keep its runs in {home}: {error.strerror}. Set DAGSTER_HOME to a directory in which you "
            "may write."
        ) from error
    _refuse_telemetry(home / "dagster.yaml")
    export("DAGSTER_HOME", str(home))
    return home


def _bring_configuration(file: Path) -> None:
    """Writes the project's ``dagster.yaml`` where there is none, or where there is an unedited earlier version."""
    if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() in _EARLIER_CONFIGURATIONS:
        # In one piece: another process that starts now would read an empty file.
        write_bytes(str(file), (Path(__file__).parent / "dagster.yaml").read_bytes())


def instance_at_the_terminal(home: Path) -> "dg.DagsterInstance":
    """Returns the instance of a home, configured not to capture standard output and standard error of steps.

    By default Dagster captures both into files during a step, and other processes copy those files to the terminal. No
    progress bar could be drawn then, and at Ctrl-C each of those processes would write a stack trace.
    """
    import dagster as dg

    from fruits_assets.instance.internals import InstanceRef, NoOpComputeLogManager

    nowhere = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": nowhere}))


def _refuse_telemetry(file: Path) -> None:
    # Dagster sends telemetry unless its configuration turns it off, and the destination cannot be configured.
    document = yaml.safe_load(file.read_text()) or {}
    if (document.get("telemetry") or {}).get("enabled", True):
        raise FruitsError(
            f"{file} lets Dagster send telemetry to the United States. Add the lines 'telemetry:' and "
            "'  enabled: false' to it."
        )


def _make_databases(home: Path) -> None:
    """Makes Dagster's databases in a home that has none yet, one process at a time.

    Dagster makes them at first use, without a lock. Two processes that start together (the UI, and a command in another
    terminal) can leave a database with two schema versions, which Dagster cannot open again.
    """
    made = home / ".databases"
    with FileLock(home / ".databases.lock"):
        if not made.exists():
            # Imported here: Dagster takes seconds to import, and only a new home needs it.
            import dagster as dg

            dg.DagsterInstance.get().dispose()
            made.touch()


def last_store() -> str | None:
    """Returns the store that was used last and still exists, None where there is none.

    A store in S3 is assumed to exist: a check would need credentials, and opening the store reports a missing one.
    """
    given = os.environ.get("DAGSTER_HOME")
    notes = [Path(with_home(given)) / "store.txt"] if given else list(_homes().glob("*/store.txt"))
    stores = [note.read_text() for note in sorted(notes, key=_modified, reverse=True) if note.exists()]
    return next((store for store in stores if is_remote(store) or Path(store).is_dir()), None)


def _homes() -> Path:
    return PACKAGES / ".dagster" if WORKSPACE.exists() else Path.home() / ".fruits"


def _modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
