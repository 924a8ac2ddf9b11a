#!/usr/bin/env bash
# Set up a node: install this project with exactly the packages of constraints.txt. Its only secret is Ray's token.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  sudo apt-get -o DPkg::Lock::Timeout=600 update -qq # the timeout waits for updates that new machines run at their start
  sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq python3-venv
fi
python3 -m venv ~/unmask-env
~/unmask-env/bin/pip install --quiet -c "$here/constraints.txt" -e "$here/../..[cluster]"
echo "${RAY_HEAD_IP:-$(hostname -I | awk '{print $1}')}" >~/unmask-env/head_ip
chmod -R go= ~/.unmask

line=". $here/environment.sh"
grep -qxF "$line" ~/.bashrc || echo "$line" >>~/.bashrc
