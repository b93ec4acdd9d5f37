"""The command ``fruits``: thin commands over the same assets and jobs as the UI, each imported when it is called."""

import os
from importlib import import_module

import click
from click.shell_completion import CompletionItem

# Module and command, and the text in the help of ``fruits``: the first sentence of the command's own help. It is
# repeated here because reading it from the commands would import all of them, with Dagster and Spark.
COMMANDS = {
    "run": (
        "fruits_assets.commands.run:run_command",
        "Register the folders and bring everything up to date; only new and changed photos are run.",
    ),
    "report": ("fruits_assets.commands.report:report_command", "Print what a store holds, and what of it is stale."),
    "history": (
        "fruits_assets.commands.history:history_command",
        "List what changed when in the tables of a store, the newest first.",
    ),
    "identify": (
        "fruits_assets.commands.identify:identify_command",
        "Name the labels that photos are nearest to in a store; the photos need not be in it.",
    ),
    "serve": (
        "fruits_assets.commands.serve:serve_command",
        "Answer over HTTP which labels a photo is nearest to in a store, as identify does.",
    ),
    "export": (
        "fruits_assets.commands.export:export_command",
        "Write the features of all photos to one file or folder, for other programs.",
    ),
    "audit": (
        "fruits_assets.commands.audit:audit_command",
        "Find duplicates, wrong labels and bad photos, and split the photos so that no near-duplicates are apart.",
    ),
    "erase": (
        "fruits_assets.commands.erase:erase_command",
        "Erase photos for good: their files with all versions, their rows in every table, and what Dagster noted of "
        "them.",
    ),
    "convert": (
        "fruits_assets.commands.convert:convert_command",
        "Convert a store of an earlier release in place; no photo is run through the network again.",
    ),
    "ui": ("fruits_assets.commands.ui:ui_command", "Start Dagster's webserver and daemon on the asset graph."),
    "env": (
        "fruits_assets.commands.ui:env_command",
        "Print what dagster's and dg's own commands need, as lines for a shell to evaluate.",
    ),
    "demo": (
        "fruits_assets.commands.run:demo_command",
        "Generate sample photos, run the whole pipeline on them, and print the report.",
    ),
    "sample": (
        "fruits_assets.commands.sample:sample_command",
        "Write generated photos of eight fruits, a folder each; the same for the same seed.",
    ),
    "completion": (
        "fruits_assets.commands.completion:completion_command",
        "Print what a shell needs to complete this command and its options.",
    ),
    "deploy": (
        "fruits_assets.commands.aws.deploy:deploy_command",
        "Create or update what runs on AWS need, and upload the clusters' Python packages.",
    ),
    "doctor": (
        "fruits_assets.commands.aws.doctor:doctor_command",
        "Check what runs on AWS need, from credentials to budget, and say what to do about each.",
    ),
    "estimate": (
        "fruits_assets.commands.aws.estimate:estimate_command",
        "Estimate time and cost of so many photos on the cluster, before there is one.",
    ),
    "clusters": (
        "fruits_assets.commands.aws.clusters:clusters_command",
        "List the clusters of the region with age and cost so far, or end them.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports only the command that is called: importing all of them takes seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands, the everyday ones first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Returns completions of the commands' names without importing the commands."""
        named = [
            CompletionItem(name, help=help_text)
            for name, (_, help_text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands into the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fruits")
@click.pass_context
def main(context: click.Context) -> None:
    """Folders of fruit photos to compact feature tables, as a Dagster asset graph on Spark.

    Exit code 0 after success, 1 after a failure with a message, 2 where the command was called wrongly.
    """
    # https://no-color.org. Where the output is not a terminal, click removes colours itself.
    if os.environ.get("NO_COLOR"):
        context.color = False
