#!/usr/bin/env bash
# Drain this spot node when AWS announces its interruption, two minutes ahead, which lets Ray move its trials in time.
#   watch-spot.sh start    runs the watch as a systemd service
#   watch-spot.sh          runs the watch in this shell
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/environment.sh"

if [ "${1:-}" = start ]; then
  sudo systemctl stop unmask-spot.service 2>/dev/null || true
  sudo systemd-run --collect --unit unmask-spot --uid "$USER" --setenv "HOME=$HOME" bash "$here/watch-spot.sh"
  exit
fi

service=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}/latest
noticed() {
  local token
  token=$(curl -sf -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$service/api/token") &&
    curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$service/meta-data/spot/instance-action" >/dev/null
}

until noticed; do sleep 5; done
head=$(cat ~/unmask-env/head_ip):6379
node=$(pgrep -u "$(id -u)" -af -- "--gcs-address=$head" | sed -n 's/.*--node_id=\([0-9a-f]\{56\}\).*/\1/p' | head -1)
ray drain-node --address "$head" --node-id "$node" \
  --reason DRAIN_NODE_REASON_PREEMPTION --reason-message 'AWS takes this spot instance' --deadline-remaining-seconds 100
