"""The commands of a node that a bootstrap action calls and this machine must not run: they stand first on its PATH."""

import sys
from pathlib import Path

from tests.emr_emulator.spark import interpreter

_SUDO = """#!/bin/bash
while [[ "$1" == -* ]]; do
  case "$1" in -u|-g) shift 2 ;; *) shift ;; esac
done
while [[ "$1" == *=* ]]; do export "$1"; shift; done
exec "$@"
"""

# What is enabled is started now, if that is asked for, and at each boot.
_SYSTEMCTL = """#!/bin/bash
unit="${@: -1}"
if [[ "$1" == enable ]]; then
  echo "$unit" >> "$EMR_EMULATOR_NODE_DIRECTORY/enabled-units"
  [[ "$2" == --now ]] || exit 0
fi
file="$EMR_EMULATOR_NODE_DIRECTORY/systemd/$unit"
command=$(sed -n 's/^ExecStart=//p' "$file")
while IFS= read -r line; do export "$line"; done < <(sed -n 's/^Environment="\\(.*\\)"$/\\1/p' "$file")
$command </dev/null >>"$EMR_EMULATOR_NODE_DIRECTORY/$unit.log" 2>&1 &
disown
"""

# The seconds since a time of day, by the clock of the emulator.
_ELAPSED = """#!/bin/bash
awk -v now="$(/bin/date +%s.%N)" -v since="$1" '
  function span(start, end) { if (start < since) start = since; return end > start ? end - start : 0 }
  NR > 1 { total += span(from, $1) * speed }
  { from = $1; speed = $2 }
  END { printf "%d", total + span(from, now) * speed }' "$EMR_EMULATOR_CLOCK"
"""

# By that clock, from the creation of the cluster on.
_DATE = """#!/bin/bash
[[ "$*" == +%s ]] || exec /bin/date "$@"
echo $((${EMR_EMULATOR_EPOCH%.*} + $(emulated-elapsed "$EMR_EMULATOR_EPOCH")))
"""

_SLEEP = """#!/bin/bash
[[ "$1" =~ ^[0-9]+$ ]] || exec /bin/sleep "$@"
begin=$(/bin/date +%s.%N)
while (($(emulated-elapsed "$begin") < $1)); do /bin/sleep 0.5; done
"""

_PYTHON = """#!/bin/bash
exec "{python}" "$@"
"""

_SHUTDOWN = """#!/bin/bash
exec "{python}" - <<'EOF'
import json, os, urllib.request
body = json.dumps({{"instance": os.environ["EMR_EMULATOR_NODE"]}}).encode()
url = os.environ["AWS_ENDPOINT_URL"] + "/emulator/lose-instance"
urllib.request.urlopen(urllib.request.Request(url, body, {{"Content-Type": "application/json"}}), timeout=30)
EOF
"""

_AWS = """#!{python}
import sys
import boto3

arguments = []
options = {{}}
words = iter(sys.argv[1:])
flags = ("--only-show-errors", "--quiet", "--no-progress", "--no-cli-pager", "--recursive")
flags += ("--no-termination-protected",)
for word in words:
    if word.startswith("--") and "=" in word:
        options[word.split("=")[0]] = word.split("=", 1)[1]
    elif word in flags:
        options[word] = ""
    elif word.startswith("--"):
        options[word] = next(words)
    else:
        arguments.append(word)
region = options.get("--region", "{region}")


def parts(uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


try:
    if arguments[:2] == ["s3", "cp"]:
        s3 = boto3.client("s3", region_name=region)
        source, target = arguments[2:4]
        if source.startswith("s3://"):
            bucket, key = parts(source)
            if target == "-":
                sys.stdout.buffer.write(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            else:
                import os
                if target.endswith("/") or os.path.isdir(target):
                    target = os.path.join(target, os.path.basename(key))
                s3.download_file(bucket, key, target)
        else:
            bucket, key = parts(target)
            if source == "-":
                s3.put_object(Bucket=bucket, Key=key, Body=sys.stdin.buffer.read())
            else:
                s3.upload_file(source, bucket, key)
    elif arguments[:2] == ["emr", "terminate-clusters"]:
        ids = [options["--cluster-ids"], *arguments[2:]]
        boto3.client("emr", region_name=region).terminate_job_flows(JobFlowIds=ids)
    elif arguments[:2] == ["emr", "modify-cluster-attributes"] and "--no-termination-protected" in options:
        ids = [options["--cluster-id"]]
        emr = boto3.client("emr", region_name=region)
        emr.set_termination_protection(JobFlowIds=ids, TerminationProtected=False)
    else:
        known = "s3 cp, emr modify-cluster-attributes --no-termination-protected and emr terminate-clusters"
        sys.exit(f"the emulator's aws command knows {{known}} only, not " + " ".join(sys.argv[1:]))
except Exception as error:
    sys.exit(f"aws: {{error}}")
"""

# The archive is a file of a few bytes here; what would come out of it is laid down instead: into a directory called
# site-packages the packages, into any other a whole environment.
_TAR = """#!/bin/bash
target=.
previous=
extract=
for word in "$@"; do
  [[ "$previous" == -*C || "$previous" == --directory ]] && target="$word"
  [[ "$word" == --directory=* ]] && target="${{word#*=}}"
  [[ "$word" == -[!-]*x* || "$word" == -x* || "$word" == x*[zf]* || "$word" == --extract ]] && extract=1
  previous="$word"
done
if [[ -z "$extract" ]]; then exec /bin/tar "$@"; fi
[[ -p /dev/stdin ]] && cat >/dev/null
mkdir -p "$target"
case "$target" in
  */site-packages|*/site-packages/) cp -a "{environment}"/lib/python3.*/site-packages/. "$target/" ;;
  *) cp -a "{environment}/." "$target/" ;;
esac
"""


def tar_of(stand_in: Path) -> str:
    """Returns the command that lays down an environment instead of unpacking one."""
    return _TAR.format(environment=stand_in)


def make_shims(directory: Path, region: str, stand_in: Path | None) -> Path:
    """Writes the commands of a cluster's nodes.

    Args:
        directory: Where their folder is made.
        region: Of the cluster.
        stand_in: What `tar` lays down instead of unpacking; without it tar is the machine's own.
    """
    shims = directory / "shims"
    shims.mkdir(parents=True, exist_ok=True)
    commands = {
        "sudo": _SUDO,
        "systemctl": _SYSTEMCTL,
        "date": _DATE,
        "emulated-elapsed": _ELAPSED,
        "sleep": _SLEEP,
        "python3": _PYTHON.format(python=interpreter()),
        "python3.11": _PYTHON.format(python=interpreter()),
        "shutdown": _SHUTDOWN.format(python=sys.executable),
        "aws": _AWS.format(python=sys.executable, region=region),
    }
    if stand_in is not None:
        commands["tar"] = tar_of(stand_in)
    for name, text in commands.items():
        (shims / name).write_text(text)
        (shims / name).chmod(0o755)
    return shims
