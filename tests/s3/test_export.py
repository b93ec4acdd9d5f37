"""An export of a store in S3."""

from pathlib import Path

from click.testing import CliRunner

from fruits_assets.commands.cli import main
from tests.support.aws.s3_server import S3
from tests.support.reduced_store import reduced_store


def test_a_store_in_s3_gives_the_same_file(tmp_path: Path, s3: S3) -> None:
    here, there = reduced_store(tmp_path / "store").root, f"{s3.bucket}/results"
    s3.put_folder(Path(here), "results")
    for kind in ("csv", "parquet"):
        for store, file in ((here, "here"), (there, "there")):
            done = CliRunner().invoke(main, ["export", "--store", store, f"--{kind}", str(tmp_path / f"{file}.{kind}")])
            assert done.exit_code == 0, done.stderr
        assert (tmp_path / f"there.{kind}").read_bytes() == (tmp_path / f"here.{kind}").read_bytes()
