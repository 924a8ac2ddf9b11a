#!/usr/bin/env bash
# Create the secrets that the nodes and users of a cluster share, as files in ~/.unmask that only you can read. Existing
# secrets are kept.
set -euo pipefail
umask 077
mkdir -p ~/.unmask
for name in ray_token mlflow_password mlflow_secret_key; do
  [ -s ~/.unmask/"$name" ] || openssl rand -hex 32 >~/.unmask/"$name"
done
