"""What a node runs at boot: the environment, and the switch that ends it."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from fruits_assets.aws.environment import BOOTSTRAP
from tests.support.aws.stack import (
    REGION,
)


class Node:
    """A directory that stands for a node: bootstrap.sh with other paths, and commands that write down their calls."""

    def __init__(self, directory: Path, is_master: bool = True) -> None:
        self.home, self.info, self.commands = directory / "fruits", directory / "info", directory / "commands"
        self.calls = directory / "calls.txt"
        self.source = directory / "archive.tar.gz"
        self.info.mkdir()
        self.commands.mkdir()
        (self.info / "instance.json").write_text(json.dumps({"isMaster": is_master}))
        (self.info / "job-flow.json").write_text(json.dumps({"jobFlowId": "j-ABC"}))
        with tarfile.open(self.source, "w:gz") as tar:
            (directory / "cherry.py").write_text("COLOUR = 'red'\n")
            tar.add(directory / "cherry.py", "cherry.py")
        note = f'echo "$(basename "$0") $*" >> {self.calls}\n'
        self.command("sudo", 'exec "$@"')
        self.command("aws", note + f'if [[ $1 == s3 ]]; then cp {self.source} "${{@: -1}}"; fi')
        for name in ("systemd-run", "sleep", "shutdown"):
            self.command(name, note)
        # Nothing else is on the PATH, this machine's own python3.11 included.
        for name in ("bash", "basename", "cat", "chown", "cp", "gzip", "id", "mkdir", "rm", "tar"):
            (self.commands / name).symlink_to(str(shutil.which(name)))
        (self.commands / "python3").symlink_to(os.path.realpath(sys.executable))
        self.script = self.run_in(directory / "bootstrap.sh", BOOTSTRAP.read_text())

    def command(self, name: str, text: str) -> None:
        (self.commands / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (self.commands / name).chmod(0o755)

    def run_in(self, path: Path, text: str) -> Path:
        moved = text.replace("/opt/fruits", str(self.home)).replace("/mnt/var/lib/info", str(self.info))
        path.write_text(moved.replace("/usr/bin/python3.11", "/nonexistent/python3.11"))
        return path

    def add_python(self) -> None:
        (self.commands / "python3.11").symlink_to(os.path.realpath(sys.executable))

    def bash(self, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(shutil.which("bash")), str(script), *arguments]
        environment = {"PATH": str(self.commands)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def boot(self) -> subprocess.CompletedProcess[str]:
        return self.bash(self.script, "s3://staging/environment/x.tar.gz", "120", REGION)

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


def test_a_node_gets_the_environment_at_the_path_that_spark_uses(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    python = machine.home / "environment" / "bin" / "python"
    command = [str(python), "-c", "import sys, cherry; print(sys.version_info[:2], cherry.COLOUR)"]
    assert subprocess.check_output(command, text=True).strip() == "(3, 11) red"
    assert not (machine.home / "environment.tar.gz").exists()


def test_the_dead_man_switch_is_armed_before_anything_else_and_stays_when_that_fails(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.source.unlink()
    assert machine.boot().returncode != 0
    first = machine.called[0]
    assert first.startswith("systemd-run --on-active=7200s --unit=fruits-dead-man")
    assert first.endswith(f"{machine.home}/dead-man.sh {REGION}")


def test_an_image_without_python_3_11_is_named(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    done = machine.boot()
    assert done.returncode == 1
    assert "no python3.11" in done.stderr
    assert machine.called[0].startswith("systemd-run")


@pytest.mark.parametrize(
    "arguments", [[], ["s3://b/k", "soon", REGION], ["https://b/k", "10", REGION], ["s3://b/k", "0", REGION]]
)
def test_a_bootstrap_that_is_called_wrongly_says_so(arguments: list[str], tmp_path: Path) -> None:
    machine = Node(tmp_path)
    done = machine.bash(machine.script, *arguments)
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert not machine.calls.exists()


def test_at_the_greatest_age_the_master_ends_the_cluster_and_then_itself(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.boot()
    machine.calls.unlink()
    machine.bash(machine.home / "dead-man.sh", REGION)
    end = f"aws emr terminate-clusters --cluster-ids j-ABC --region {REGION}"
    assert machine.called == [end, "sleep 60"] * 5 + ["shutdown -h now"]


def test_a_master_that_cannot_reach_emr_shuts_down_all_the_same(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.boot()
    machine.command("aws", "exit 255")
    machine.calls.unlink()
    (machine.info / "job-flow.json").unlink()
    machine.bash(machine.home / "dead-man.sh", REGION)
    assert machine.called == ["sleep 60"] * 5 + ["shutdown -h now"]


def test_a_core_node_leaves_the_cluster_to_the_master_and_ends_itself_last(tmp_path: Path) -> None:
    machine = Node(tmp_path, is_master=False)
    machine.add_python()
    machine.boot()
    machine.calls.unlink()
    machine.bash(machine.home / "dead-man.sh", REGION)
    assert machine.called == ["sleep 60"] * 5 + ["shutdown -h now"]
