"""What a node runs at boot: the environment, and the switch that ends it."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
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
        self.units = directory / "systemd"
        self.info.mkdir()
        self.units.mkdir()
        self.commands.mkdir()
        (self.info / "instance.json").write_text(json.dumps({"isMaster": is_master}))
        (self.info / "job-flow.json").write_text(json.dumps({"jobFlowId": "j-ABC"}))
        with tarfile.open(self.source, "w:gz") as tar:
            (directory / "cherry.py").write_text("COLOUR = 'red'\n")
            tar.add(directory / "cherry.py", "cherry.py")
        note = f'echo "$(basename "$0") $*" >> {self.calls}\n'
        self.command("sudo", 'exec "$@"')
        self.command("aws", note + f'if [[ $1 == s3 ]]; then cp {self.source} "${{@: -1}}"; fi')
        for name in ("systemctl", "sleep", "shutdown", "dnf"):
            self.command(name, note)
        # Nothing else is on the PATH, this machine's own python3.11 included.
        for name in ("bash", "basename", "cat", "chown", "cp", "gzip", "date", "id", "mkdir", "rm", "tar", "tee"):
            (self.commands / name).symlink_to(str(shutil.which(name)))
        (self.commands / "python3").symlink_to(os.path.realpath(sys.executable))
        self.script = self.run_in(directory / "bootstrap.sh", BOOTSTRAP.read_text())

    def command(self, name: str, text: str) -> None:
        (self.commands / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (self.commands / name).chmod(0o755)

    def run_in(self, path: Path, text: str) -> Path:
        moved = text.replace("/opt/fruits", str(self.home)).replace("/mnt/var/lib/info", str(self.info))
        moved = moved.replace("/etc/systemd/system", str(self.units))
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


def test_the_dead_man_switch_is_armed_before_anything_else_and_for_every_later_boot_too(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.source.unlink()
    assert machine.boot().returncode != 0
    assert machine.called[0] == "systemctl enable --now fruits-dead-man.service"
    unit = (machine.units / "fruits-dead-man.service").read_text().splitlines()
    assert f"ExecStart=/bin/bash {machine.home}/dead-man.sh {REGION}" in unit
    assert f'Environment="PATH={machine.commands}"' in unit
    assert unit[-2:] == ["[Install]", "WantedBy=multi-user.target"]
    assert 7000 < int((machine.home / "deadline").read_text()) - time.time() <= 7200


def test_an_archive_that_cannot_be_fetched_is_tried_three_times_and_named(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.source.unlink()
    done = machine.boot()
    assert [call.partition(" ")[0] for call in machine.called[1:]] == ["aws", "sleep", "aws", "sleep", "aws"]
    assert done.stderr.splitlines()[-1] == "bootstrap.sh failed to fetch s3://staging/environment/x.tar.gz"


def test_a_download_that_fails_twice_does_no_harm(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    again = f"[[ $(grep -c ^aws {machine.calls}) -gt 2 ]] || exit 1"
    (machine.commands / "grep").symlink_to(str(shutil.which("grep")))
    machine.command("aws", f'echo "aws $*" >> {machine.calls}\n{again}\ncp {machine.source} "${{@: -1}}"')
    assert machine.boot().returncode == 0
    assert len([call for call in machine.called if call.startswith("aws")]) == 3


def test_python_3_11_is_installed_where_the_image_has_none(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    python = os.path.realpath(sys.executable)
    (machine.commands / "ln").symlink_to(str(shutil.which("ln")))
    machine.command("dnf", f'echo "dnf $*" >> {machine.calls}\nln -s {python} {machine.commands}/python3.11')
    done = machine.boot()
    assert done.returncode == 0, done.stderr
    assert machine.called[1] == "dnf install --assumeyes --quiet python3.11"


def test_an_image_that_gets_no_python_3_11_is_named_and_its_switch_is_armed(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.command("dnf", "exit 1")
    done = machine.boot()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "bootstrap.sh failed to install python3.11"
    assert machine.called[0].startswith("systemctl enable --now")


@pytest.mark.parametrize(
    "arguments", [[], ["s3://b/k", "soon", REGION], ["https://b/k", "10", REGION], ["s3://b/k", "0", REGION]]
)
def test_a_bootstrap_that_is_called_wrongly_says_so(arguments: list[str], tmp_path: Path) -> None:
    machine = Node(tmp_path)
    done = machine.bash(machine.script, *arguments)
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert not machine.calls.exists()


def end(machine: Node) -> list[str]:
    """Has the switch of a node run at its deadline; returns the calls."""
    machine.add_python()
    machine.boot()
    (machine.home / "deadline").write_text("0")
    machine.calls.unlink()
    machine.bash(machine.home / "dead-man.sh", REGION)
    return machine.called


def test_at_the_greatest_age_the_master_ends_the_cluster_protected_or_not_and_then_itself(tmp_path: Path) -> None:
    unprotect = f"aws emr modify-cluster-attributes --cluster-id j-ABC --no-termination-protected --region {REGION}"
    terminate = f"aws emr terminate-clusters --cluster-ids j-ABC --region {REGION}"
    assert end(Node(tmp_path)) == [unprotect, terminate, "sleep 60"] * 5 + ["shutdown -h now"]


def test_before_the_deadline_the_switch_waits(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    machine.add_python()
    machine.boot()
    machine.calls.unlink()
    over = f"[[ $(wc -l < {machine.calls}) -lt 3 ]] || echo 0 > {machine.home}/deadline"
    machine.command("sleep", f'echo "sleep $*" >> {machine.calls}\n{over}')
    (machine.commands / "wc").symlink_to(str(shutil.which("wc")))
    machine.bash(machine.home / "dead-man.sh", REGION)
    assert machine.called[:3] == ["sleep 60"] * 3
    assert machine.called[3].startswith("aws emr")


def test_a_master_that_cannot_reach_emr_or_has_lost_its_names_shuts_down_all_the_same(tmp_path: Path) -> None:
    machine = Node(tmp_path)
    (machine.info / "job-flow.json").unlink()
    machine.command("aws", f'[[ $1 == s3 ]] && cp {machine.source} "${{@: -1}}"')
    assert end(machine) == ["sleep 60"] * 5 + ["shutdown -h now"]


def test_a_core_node_leaves_the_cluster_to_the_master_and_ends_itself_last(tmp_path: Path) -> None:
    assert end(Node(tmp_path, is_master=False)) == ["sleep 60"] * 5 + ["shutdown -h now"]
