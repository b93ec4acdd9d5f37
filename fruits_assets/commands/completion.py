"""``fruits completion``: the script with which a shell completes the command, and completions of option values."""

import click
from click.shell_completion import CompletionItem, get_completion_class

_VARIABLE = "_FRUITS_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print what a shell needs to complete this command and its options.

    \b
    Examples:
      eval "$(fruits completion bash)"      # in ~/.bashrc
      eval "$(fruits completion zsh)"       # in ~/.zshrc, after compinit
      fruits completion fish > ~/.config/fish/completions/fruits.fish
    """
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101
    root = context.find_root()
    click.echo(complete(root.command, {}, "fruits", _VARIABLE).source())


def folders(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns completions of a folder's path."""
    return [CompletionItem(incomplete, type="dir")]


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns completions of a file's path."""
    return [CompletionItem(incomplete, type="file")]


def weights_sources(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns completions of a source of weights: a keyword or a file's path."""
    words = [word for word in ("imagenet", "random:0") if word.startswith(incomplete)]
    return [CompletionItem(word) for word in words] or [CompletionItem(incomplete, type="file")]
