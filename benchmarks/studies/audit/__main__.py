"""The commands of the studies of the audit."""

import click

from benchmarks.studies.audit.exactness import exactness
from benchmarks.studies.audit.growth import growth, one
from benchmarks.studies.audit.planted import planted


@click.group()
def main() -> None:
    """Measure the audit."""


for command in (exactness, growth, one, planted):
    main.add_command(command)

if __name__ == "__main__":
    main()
