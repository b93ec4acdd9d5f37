"""The ways in that are not Python: dagster's and dg's command lines, the UI's backfill, and our own command."""

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from fruits_assets.commands.cli import main
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from tests.support.ways_in import Place


@pytest.fixture
def place(tmp_path: Path, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("DAGSTER_HOME", "")
    made = Place(tmp_path, network_file)
    made.use({})
    return made


@pytest.mark.timeout(600)
def test_dagsters_and_dgs_command_lines_take_a_partition_and_a_range(place: Place) -> None:
    module = ("-m", "fruits_assets.definitions")
    with place.instance() as instance:
        instance.add_dynamic_partitions(IMAGE_FOLDERS, sorted(folder.name for folder in place.images.iterdir()))
    place.run("dagster", "asset", "materialize", *module, "--select", "*", "--partition-range", "Banana...Lemon")
    assert place.reduced() == {"Banana": 3, "Blueberry": 3, "Lemon": 3}
    place.run("dg", "launch", "--assets", "raw_images,mobilenet_features", "--partition", "Plum")
    assert "Plum" in place.store.mobilenet_features.folders()
    place.run("dg", "launch", "--job", "reduce_folders", "--partition-range", "Banana...Banana")
    listed = json.loads(place.run("dg", "list", "defs", "--json").stdout)
    assert "raw_images" in json.dumps(listed)


# What other programs of a machine may have set. Whoever asks AWS fails, as does whoever follows the variables.
OF_OTHER_PROGRAMS = {
    **{"SPARK_HOME": "/nowhere", "PYSPARK_SUBMIT_ARGS": "--master yarn", "HADOOP_CONF_DIR": "/nowhere"},
    **{"AWS_PROFILE": "nobody", "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
}


def test_the_command_runs_reports_and_leaves_its_runs_for_the_ui_whatever_other_programs_have_set(
    place: Place,
) -> None:
    place.environment |= OF_OTHER_PROGRAMS
    (place.images / "Plum" / "letter.jpg").write_text("not a photo")
    ran = place.run("fruits", "run", "--components", "5")
    assert "25 photos in 8 folders" in ran.stderr
    assert "Not followed, because Spark has its own settings here: HADOOP_CONF_DIR, PYSPARK_" in ran.stderr
    assert "kept by 5 components" in ran.stdout
    told = json.loads(place.run("fruits", "report", "--store", place.store.root, "--json").stdout)
    assert (told["folders"], told["photos"], told["reduced"], told["components"]) == (8, 25, 24, 5)
    assert told["rejected"] == {"not an image": 1}
    assert set(told["components_for"]) == {"90%", "95%", "99%"}
    # 24 photos have no more than 23 components.
    assert set(told["variance_at"]) == {"23"}
    assert len(told["weights"]["sha256"]) == 64
    assert set(told["bytes"]) == {"photos", "features", "reduced"}
    with place.instance() as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        # By this the timeline and the page of a job find its runs.
        shown = instance.get_runs(
            dg.RunsFilter(tags={".dagster/repository": "__repository__@fruits_assets.definitions"})
        )
        assert len(shown) == len(instance.get_runs()) == 3
        assert all(run.remote_job_origin and run.remote_job_origin.job_name == run.job_name for run in shown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--images", "/nowhere"), "Error: The images folder /nowhere does not exist. Check the path."),
        (("run", "--images", "pyproject.toml"), "is a file. Give the folder"),
        (("run", "--weights", "/nowhere.h5"), "There is no weights file /nowhere.h5"),
        (("run", "--folders", "Mango*"), "None of the 8 folders below"),
        (("run", "--components", "0"), "0 is not in the range 1<=x<=4096"),
        (("run", "--components", "5", "--variance", "0.5"), "exclude each other"),
        (("report", "--store", "/nowhere"), "There is no store at /nowhere"),
    ],
)
def test_what_cannot_be_done_ends_in_one_sentence_and_a_code_that_is_not_0(
    place: Place, arguments: tuple[str, ...], message: str
) -> None:
    done = CliRunner().invoke(main, arguments, env=place.environment)
    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit)
    assert message in done.stderr
    assert not any(place.store.raw_images.folders())


def test_the_sample_is_the_same_each_time(place: Place, tmp_path: Path) -> None:
    for name in ("one", "two"):
        place.run("fruits", "sample", "--out", str(tmp_path / name), "--photos", "2", "--seed", "3")
    one, two = ({f.name + f.parent.name: f.read_bytes() for f in (tmp_path / n).rglob("*.jpg")} for n in ("one", "two"))
    assert len(one) == 16
    assert one == two
    assert len(set(one.values())) == 16
