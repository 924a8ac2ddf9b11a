#!/usr/bin/env bash
# Make the secrets that all nodes of a cluster and its users share, once: files in ~/.unmask that only you can read.
set -euo pipefail
umask 077
mkdir -p ~/.unmask
for name in ray_token mlflow_password mlflow_secret_key; do
  [ -s ~/.unmask/"$name" ] || openssl rand -hex 32 >~/.unmask/"$name"
done
