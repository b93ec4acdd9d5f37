"""Checkouts of this project, whose command ``fruits`` is measured side by side: what they are asked is the same."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.machine import describe_machine, sentence_of_machine
from spark_steps.errors import FruitsError

_PROJECT = Path(__file__).parent.parent.parent
_OF_THE_OUTSIDE = ("AWS_", "DAGSTER_", "FRUITS_")
# Without bytecode each process would compile its imports anew, which no user's does.
_NOT_OF_A_USER = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}


@dataclass(frozen=True)
class Checkout:
    """A checkout with an environment of its own.

    Attributes:
        name: What tables call it: its directory, and its commit where git knows it.
        fruits: The command.
    """

    name: str
    fruits: Path

    def environment(self, home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns the environment of the command, without settings and credentials of whoever measures.

        Args:
            home: The Dagster home of one store.
            more: What is set besides.
        """
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OF_THE_OUTSIDE) and name not in _NOT_OF_A_USER
        }
        return {**outside, "DAGSTER_HOME": str(home), **(more or {})}

    def run(self, arguments: Sequence[str], home: Path, more: Mapping[str, str] | None = None) -> "Ran":
        """Runs the command in a process of its own.

        Args:
            arguments: Of ``fruits``; paths among them are absolute.
            home: The Dagster home of one store, made where it is missing.
            more: What its environment has besides.

        Raises:
            FruitsError: It failed.
        """
        home.mkdir(parents=True, exist_ok=True)
        command, environment = [str(self.fruits), *arguments], self.environment(home, more)
        started = time.perf_counter()
        # Not here: a file .env of the present directory would be read.
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise FruitsError(
                f"fruits {' '.join(arguments)} of {self.name} ended with code {done.returncode}:\n{done.stderr[-2000:]}"
            )
        return Ran(seconds, done.stdout)

    def check_photos(self, store: str, count: int, home: Path, more: Mapping[str, str] | None = None) -> None:
        """Raises a FruitsError unless all three tables of a store have so many photos: no time of it would count."""
        report = json.loads(self.run(["report", "--store", store, "--json"], home, more).said)
        found = {name: report[name] for name in ("photos", "usable", "reduced")}
        if set(found.values()) != {count}:
            raise FruitsError(f"The store of {self.name} has {found} of {count:,} photos. It has not done the work.")


@dataclass(frozen=True)
class Ran:
    """A command that ended well.

    Attributes:
        seconds: From the start of its process to its end.
        said: Its standard output.
    """

    seconds: float
    said: str


def pipeline(images: str, store: str, weights: str) -> list[str]:
    """Returns the arguments of the whole pipeline."""
    return ["run", "--images", images, "--store", store, "--weights", weights]


def this_checkout() -> Checkout:
    """Returns the one that measures, with the environment in which it does."""
    return Checkout(_name_of(_PROJECT), Path(sys.executable).with_name("fruits"))


def checkout_at(directory: Path) -> Checkout:
    """Returns the checkout in a directory.

    Raises:
        BadParameter: It has no environment.
    """
    fruits = directory / ".venv" / "bin" / "fruits"
    if not fruits.exists():
        raise click.BadParameter(f"There is no {fruits}. Give a checkout of this project, and run make setup in it.")
    return Checkout(_name_of(directory), fruits)


def _name_of(directory: Path) -> str:
    git = shutil.which("git")
    if git is None:
        return directory.name
    asked = [git, "-C", str(directory), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return f"{directory.name} ({commit})" if commit else directory.name


def _checkouts(context: click.Context, parameter: click.Parameter, given: tuple[Path, ...]) -> tuple[Checkout, ...]:
    found = tuple(map(checkout_at, given))
    names = [checkout.name for checkout in found]
    if len(set(names)) < len(names):
        raise click.BadParameter(f"Two are called alike: {', '.join(names)}. Rename the directory of one.")
    return found


def _source_of_weights(context: click.Context, parameter: click.Parameter, given: str) -> str:
    return str(Path(given).absolute()) if Path(given).exists() else given


checkout_option = click.option(
    "--checkout",
    "checkouts",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    callback=_checkouts,
    help="Checkout whose .venv/bin/fruits is run; may be given again, and they take turns.  [default: this one]",
)
source_option = click.option(
    "--source",
    required=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Folder with real photos, which are linked to.",
)
weights_option = click.option(
    "--weights", default="random:0", show_default=True, callback=_source_of_weights, help="As of fruits run."
)
work_option = click.option(
    "--work",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Where the photos' links and the stores go: on the file system of the source.  [default: /tmp]",
)
json_option = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="File for every single figure."
)


def heading(title: str, sentence: str) -> str:
    """Returns the first lines of a page of results: what was measured, and on what machine."""
    return f"# {title}\n\n{sentence} {sentence_of_machine()}\n"


def write_json(file: Path | None, **measured: Any) -> None:
    """Writes what was measured, and on what machine; nothing where no file is given."""
    if file is not None:
        file.write_text(json.dumps({"machine": describe_machine(), **measured}, indent=1, ensure_ascii=False) + "\n")
