#!/usr/bin/env bash
# Create secrets as files in ~/.unmask that only you can read: Ray's token, or the secrets that are named. Existing secrets
# are kept.
set -euo pipefail
umask 077
mkdir -p ~/.unmask
for name in "${@:-ray_token}"; do
  [ -s ~/.unmask/"$name" ] || openssl rand -hex 32 >~/.unmask/"$name"
done
