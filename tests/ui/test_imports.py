"""What commands do not import, so that they start at once."""

import subprocess
import sys

import pytest


def loaded_by(program: str, *modules: str) -> tuple[int, str]:
    """Runs a program in a process of its own; returns (0, "") where it loads none of the modules, else their names."""
    look = f"\nsys.exit(' '.join(name for name in {modules!r} if name in sys.modules) or 0)"
    command = [sys.executable, "-c", f"import sys\n{program}{look}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["identify", "--help"], ["report", "--help"]])
def test_help_imports_neither_spark_nor_dagster(arguments: list[str]) -> None:
    program = f"from fruits_assets.commands.cli import main\nmain({arguments!r}, standalone_mode=False)"
    assert loaded_by(program, "pyspark", "dagster", "boto3") == (0, "")


def test_help_of_no_command_imports_spark_or_dagster() -> None:
    program = (
        "from fruits_assets.commands.cli import COMMANDS, main\n"
        "for arguments in ['--help'], ['--version'], *([name, '--help'] for name in COMMANDS):\n"
        "    main(arguments, standalone_mode=False)"
    )
    assert loaded_by(program, "pyspark", "dagster", "tensorflow") == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["report", "--json", "--rejected"],
        *([name, "--help"] for name in ("report", "history", "serve", "convert", "sample", "completion")),
    ],
)
def test_what_opens_no_store_imports_neither_numpy_nor_pyarrow(arguments: list[str]) -> None:
    program = (
        "import contextlib, click\n"
        "from fruits_assets.commands.cli import main\n"
        "with contextlib.suppress(click.UsageError):\n"
        f"    main({arguments!r}, standalone_mode=False)"
    )
    assert loaded_by(program, "numpy", "pyarrow", "deltalake", "PIL") == (0, "")


def test_what_is_imported_while_java_starts_holds_no_lock_that_its_start_waits_for() -> None:
    # setuptools' stand-in for distutils imports all of setuptools, and with it logging's lock, under Python's one lock
    # for imports; a fork takes the two in the other order. Matplotlib only takes long.
    program = "import pandas, fruits_assets.definitions, fruits_assets.jobs.pipeline"
    assert loaded_by(program, "distutils", "matplotlib") == (0, "")


def test_a_photo_loads_the_decoders_and_the_colour_management_that_it_needs_and_no_other() -> None:
    decoding = "import io\nfrom PIL import Image\nfrom spark_steps.photos.decoding import decode\nout = io.BytesIO()\n"
    jpeg = f"{decoding}Image.new('RGB', (40, 30)).save(out, 'JPEG')\ndecode(out.getvalue(), 10**6)"
    assert loaded_by(jpeg, "pillow_heif", "PIL._avif", "PIL.ImageCms") == (0, "")
    avif = f"{decoding}Image.new('RGB', (40, 30)).save(out, 'AVIF')\ndecode(out.getvalue(), 10**6)"
    assert loaded_by(avif, "pillow_heif", "PIL.ImageCms") == (0, "")
