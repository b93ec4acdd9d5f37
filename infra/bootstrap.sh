#!/bin/bash
# What every node of a cluster does at its first boot: put in place the switch that ends the cluster at its greatest age,
# then unpack the Python environment of the steps. Uploaded by `fruits deploy`; EMR runs it as the user hadoop.
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

doing="make $home"
trap '[[ $? -eq 0 ]] || echo "bootstrap.sh failed to $doing" >&2' EXIT
thrice() {
    local pause
    for pause in 5 20; do
        "$@" && return
        echo "failed to $doing; trying again in $pause s" >&2
        sleep "$pause"
    done
    "$@"
}

sudo mkdir -p "$home"
sudo chown "$(id -u):$(id -g)" "$home"

# ------------------------------------------------------------------------------------------------- the dead-man switch
# First, so that it holds even if everything below fails. A service that is enabled, with its deadline in a file: a
# transient timer would be gone after a reboot. What EMR says of the node is kept too, because its own place is on another
# disk. The master ends the whole cluster; were a core node to shut down before it, EMR would put a new one in its place.
# Shutting down is the last resort, for a master that cannot reach EMR: without its master a cluster ends.
doing="put the dead-man switch in place"
cp /mnt/var/lib/info/instance.json /mnt/var/lib/info/job-flow.json "$home" || true
echo $(($(date +%s) + max_age_minutes * 60)) > "$home/deadline"
cat > "$home/dead-man.sh" <<'SWITCH'
#!/bin/bash
# dead-man.sh REGION: waits for the deadline, and ends the cluster. Goes on whatever fails.
value() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "/opt/fruits/$1" "$2"
}
while (($(date +%s) < $(cat /opt/fruits/deadline))); do
    sleep 60
done
for attempt in 1 2 3 4 5; do
    if [[ $(value instance.json isMaster) == True ]]; then
        cluster=$(value job-flow.json jobFlowId)
        echo "greatest age reached: ending $cluster, attempt $attempt"
        aws emr modify-cluster-attributes --cluster-id "$cluster" --no-termination-protected --region "$1"
        aws emr terminate-clusters --cluster-ids "$cluster" --region "$1"
    fi
    sleep 60
done
shutdown -h now
SWITCH
# The PATH of now: systemd's own may lack the directory of aws.
sudo tee /etc/systemd/system/fruits-dead-man.service > /dev/null <<UNIT
[Unit]
Description=Ends the cluster at its greatest age
[Service]
Environment="PATH=$PATH"
ExecStart=/bin/bash $home/dead-man.sh $region
Restart=on-failure
[Install]
WantedBy=multi-user.target
UNIT
sudo systemctl enable --now fruits-dead-man.service

# ----------------------------------------------------------------------------------------------------- the environment
doing="install python3.11"
python=/usr/bin/python3.11
if [[ ! -x $python ]] && ! python=$(command -v python3.11); then
    thrice sudo dnf install --assumeyes --quiet python3.11
    python=$(command -v python3.11)
fi
doing="make $environment"
"$python" -m venv --without-pip "$environment"
doing="fetch $archive"
thrice aws s3 cp --only-show-errors --region "$region" "$archive" "$home/environment.tar.gz"
doing="unpack $archive"
tar --extract --gzip --no-same-owner --file "$home/environment.tar.gz" \
    --directory "$environment/lib/python3.11/site-packages"
rm "$home/environment.tar.gz"
echo "the steps' Python: $("$environment/bin/python" --version), $environment/bin/python"
