#!/bin/bash
# What every node of a Databricks cluster does before Spark starts: put the packages of the steps in place of those that
# the runtime brings. Uploaded by `fruits deploy`; Databricks runs it as root, with the variables of the cluster:
#
#   FRUITS_ENVIRONMENT=s3://BUCKET/environment/fruits-python3.11-HASH.tar.gz FRUITS_REGION=REGION
set -euo pipefail
shopt -s nullglob

python=/databricks/python/bin/python
scratch=$(mktemp -d)
trap '[[ $? -eq 0 ]] || echo "databricks.sh failed to $doing" >&2; rm -rf "$scratch"' EXIT
umask 022

doing="fetch $FRUITS_ENVIRONMENT"
fetch() {
    "$python" - "$FRUITS_ENVIRONMENT" "$FRUITS_REGION" "$scratch/environment.tar.gz" <<'FETCH'
import sys

import boto3

uri, region, target = sys.argv[1:]
bucket, _, key = uri.removeprefix("s3://").partition("/")
boto3.client("s3", region_name=region).download_file(bucket, key, target)
FETCH
}
for pause in 5 20 0; do
    fetch && break
    [[ $pause -gt 0 ]] || exit 1
    echo "failed to $doing; trying again in $pause s" >&2
    sleep "$pause"
done

doing="unpack $FRUITS_ENVIRONMENT"
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir "$scratch/site-packages"
tar -xzf "$scratch/environment.tar.gz" -C "$scratch/site-packages"

# A package is replaced whole: files of two versions in one folder would be imported beside each other. Folders that
# several packages share, such as google, have no __init__.py, and keep what is in them besides.
doing="put the packages into $packages"
replace() {
    local from=$1 to=$2 entry name gone=() new=()
    for entry in "$from"/*; do
        name=${entry##*/}
        if [[ -d $entry && ! -L $entry && -d $to/$name && ! -L $to/$name && ! -e $entry/__init__.py ]] &&
            [[ $name != *.dist-info && $name != *.libs ]]; then
            replace "$entry" "$to/$name"
            continue
        fi
        [[ $name != *.dist-info ]] || gone+=("$to/${name%%-*}"-*.dist-info)
        gone+=("$to/$name")
        new+=("$entry")
    done
    [[ ${#new[@]} -eq 0 ]] || { rm -rf "${gone[@]}" && mv "${new[@]}" "$to"; }
}
replace "$scratch/site-packages" "$packages"
