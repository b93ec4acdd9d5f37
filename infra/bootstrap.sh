#!/bin/bash
# What every node of a cluster does at boot: arm the switch that ends the cluster at its greatest age, then unpack the
# Python environment of the steps. Uploaded by `fruits deploy`; EMR runs it as the user hadoop.
#
#   bootstrap.sh s3://BUCKET/environment/fruits-python3.11-HASH.tar.gz MAX_AGE_MINUTES REGION
set -euo pipefail

if [[ $# -ne 3 || ! $1 == s3://* || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bootstrap.sh s3://BUCKET/ARCHIVE MAX_AGE_MINUTES REGION; given: $*" >&2
    exit 2
fi
archive=$1
max_age_minutes=$2
region=$3

home=/opt/fruits
environment=$home/environment
umask 022
sudo mkdir -p "$home"
sudo chown "$(id -u):$(id -g)" "$home"

# ------------------------------------------------------------------------------------------------- the dead-man switch
# First, so that it holds even if everything below fails. A transient timer belongs to systemd, not to this script: it
# lives on when the bootstrap has ended, and ends only with the machine. The master ends the whole cluster; were a core
# node to shut down before it, EMR would put a new one in its place. Shutting down is the last resort, for a master that
# cannot reach EMR: without its master a cluster ends.
cat > "$home/dead-man.sh" <<'SWITCH'
#!/bin/bash
# dead-man.sh REGION: ends the cluster. Goes on whatever fails.
value() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "/mnt/var/lib/info/$1" "$2"
}
for attempt in 1 2 3 4 5; do
    if [[ $(value instance.json isMaster) == True ]]; then
        echo "greatest age reached: ending $(value job-flow.json jobFlowId), attempt $attempt"
        aws emr terminate-clusters --cluster-ids "$(value job-flow.json jobFlowId)" --region "$1"
    fi
    sleep 60
done
shutdown -h now
SWITCH
# The PATH of now: systemd's own may lack the directory of aws.
sudo systemd-run --on-active="$((max_age_minutes * 60))s" --unit=fruits-dead-man --setenv=PATH="$PATH" \
    /bin/bash "$home/dead-man.sh" "$region"

# ----------------------------------------------------------------------------------------------------- the environment
python=/usr/bin/python3.11
if [[ ! -x $python ]]; then
    python=$(command -v python3.11) || {
        echo "This image has no python3.11; EMR has it from release 7.1 on. Choose FRUITS_EMR_RELEASE=emr-7.14.0." >&2
        exit 1
    }
fi
"$python" -m venv --without-pip "$environment"
aws s3 cp --only-show-errors --region "$region" "$archive" "$home/environment.tar.gz"
tar --extract --gzip --no-same-owner --file "$home/environment.tar.gz" \
    --directory "$environment/lib/python3.11/site-packages"
rm "$home/environment.tar.gz"
echo "the steps' Python: $("$environment/bin/python" --version), $environment/bin/python"
