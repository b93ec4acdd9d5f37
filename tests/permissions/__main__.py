"""Takes each permission of the stack's roles away, runs the whole graph on the emulator, and gives it back.

``python -m tests.permissions`` fills the table of docs/permissions.md: with a row after each good run that follows, so
that it can be ended at any time and taken up again (``--missing``).
"""

import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from fruits_assets.aws.permissions import Permission, template_permissions
from spark_steps.features.weights import load_model
from tests.emr_emulator import Emulator
from tests.permissions import table
from tests.permissions.table import Row, Table
from tests.support.aws.denied import DeniedRuns, Outcome
from tests.support.aws.permissions import are_asked_for

# After so many runs that got as far as a cluster there is one with all permissions, which takes a minute: it makes up
# for what all of them have left undone.
_CLUSTERS_PER_GOOD_RUN = 4


class Trial:
    """The runs without permissions, and what they show.

    Attributes:
        runs: The stack on the emulator.
        broken: What must not be, in sentences.
    """

    def __init__(self, runs: DeniedRuns) -> None:
        self.runs = runs
        self.broken: list[str] = []
        self._owed: list[tuple[str, Row]] = []
        self._is_done, self._clusters = True, 0

    def asked_for(self) -> list[Permission]:
        """Runs everything with all permissions, and returns those that were asked for."""
        self.runs.aws.asked()
        outcome = self.runs.run(new=True)
        if not outcome.is_good:
            raise click.ClickException(f"The run with all permissions is not good: {outcome}")
        return are_asked_for(template_permissions(), self.runs.aws.asked(), self.runs.values)

    def without_all(self, permissions: Sequence[Permission]) -> None:
        """Shows that a run is good without all of these together, and that the doctor names each."""
        with self.runs.without(*permissions):
            outcome = self.runs.run(new=True)
            named = " ".join(check.detail for check in self.runs.examine() if check.name == "permissions")
        if not outcome.is_good or outcome.left:
            self.broken.append(f"Without what no run asks for: {outcome}")
            return
        asked = [one for one in permissions if f"{one.filled(self.runs.values).action} on " not in named]
        self.broken += [f"The doctor does not name {one.title} of {one.role}." for one in asked]
        known = table.read()
        unasked = {role: set(titles) for role, titles in known.unasked.items()}
        for one in permissions:
            unasked.setdefault(one.role, set()).add(one.title)
        table.write(Table(known.rows, {role: sorted(titles) for role, titles in unasked.items()}))

    def without(self, permission: Permission) -> None:
        """Runs everything without a permission, and then with it."""
        with self.runs.without(permission):
            # What former runs have left stays where it is, as long as there is something to do.
            outcome = self.runs.run(new=self._is_done)
            doctor = self._doctor(permission)
        row = Row(permission.title, table.short(outcome.sentence) or _good(outcome), self._left(outcome), doctor)
        click.echo(f"{permission.role}: {row}")
        if self._is_named(permission, outcome):
            self._owed.append((permission.role, row))
        self._is_done = self.runs.is_complete(outcome.rows)
        self._clusters += outcome.created
        if self._clusters >= _CLUSTERS_PER_GOOD_RUN:
            self.settle()

    def settle(self) -> None:
        """Runs everything with all permissions, and writes the rows that were owed such a run."""
        if not self._owed:
            return
        outcome = self.runs.run(new=False)
        self._is_done, self._clusters = True, 0
        if outcome.is_good and not outcome.left:
            table.write(table.merged(table.read(), self._owed))
        else:
            self.broken.append(f"The run after those without {[row.permission for _, row in self._owed]}: {outcome}")
        self._owed = []

    def _doctor(self, permission: Permission) -> str:
        filled = permission.filled(self.runs.values)
        naming = [check for check in self.runs.examine() if f"{filled.action} on " in check.detail]
        # Its own check first: others may fail for the same.
        for check in sorted(naming, key=lambda one: one.name != "permissions"):
            return f"`{check.name}`: {check.state}"
        self.broken.append(f"The doctor does not name {permission.title} of {permission.role}.")
        return "nothing"

    def _is_named(self, permission: Permission, outcome: Outcome) -> bool:
        """Returns whether a message names what is denied, and no library; what does not is no row of the table."""
        said = outcome.sentence
        if said and permission.action not in said:
            self.broken.append(f"Without {permission.title} the message names another action: {said}")
        elif "botocore" in said:
            self.broken.append(f"Without {permission.title} the message names a library: {said}")
        elif not said and not outcome.is_good:
            self.broken.append(f"Without {permission.title} there is no message, and the rows {outcome.rows}")
        else:
            return True
        return False

    def _left(self, outcome: Outcome) -> str:
        idle = self.runs.settings.idle_minutes
        return f"{len(outcome.left)}, until it has been idle for {idle} minutes" if outcome.left else "none"


def _good(outcome: Outcome) -> str:
    warnings = [table.short(line.strip()) for line in outcome.said if "denies" in line]
    return "; ".join(["the run is good", *warnings])


def _weights(directory: Path) -> Path:
    file = directory / "random.tflite"
    file.write_bytes(load_model("random:0", str(directory)).flatbuffer)
    return file


@click.command()
@click.option("--only", default="", help="Permissions whose role and title hold this text.")
@click.option("--missing", is_flag=True, help="Only those that are not in the table.")
def main(only: str, missing: bool) -> None:
    """Fill the table of docs/permissions.md."""
    # A run that is ended from outside ends its emulator too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    known = table.read()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        weights = _weights(directory)
        aws = Emulator.start(directory / "aws", stack=True, log_seconds=3, executors=1, startup_seconds=0.2)
        try:
            aws.enforce_iam(True)
            trial = Trial(DeniedRuns(aws, weights))
            wanted = [
                one
                for one in template_permissions()
                if only in f"{one.role} {one.title}" and not (missing and known.has(one))
            ]
            asked = trial.asked_for() if wanted else []
            if unasked := [one for one in wanted if one not in asked]:
                trial.without_all(unasked)
            for one in wanted:
                if one in asked:
                    trial.without(one)
            trial.settle()
        finally:
            aws.stop()
    for sentence in trial.broken:
        click.secho(sentence, fg="red", err=True)
    sys.exit(bool(trial.broken))


if __name__ == "__main__":
    main()
