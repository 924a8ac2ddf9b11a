#!/usr/bin/env bash
# Set up a node: install this project with exactly the packages of constraints.txt, and put the secrets into the files
# that Ray and MLflow read.
# --without-mlflow: the cluster has no MLflow server.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  sudo apt-get -o DPkg::Lock::Timeout=600 update -qq # the timeout waits for updates that new machines run at their start
  sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq python3-venv
fi
python3 -m venv ~/unmask-env
~/unmask-env/bin/pip install --quiet -c "$here/constraints.txt" -e "$here/../..[cluster]"
echo "${RAY_HEAD_IP:-$(hostname -I | awk '{print $1}')}" >~/unmask-env/head_ip
[ "${1:-}" = --without-mlflow ] || echo "http://$(cat ~/unmask-env/head_ip):5000" >~/unmask-env/mlflow_uri

chmod -R go= ~/.unmask
mkdir -p ~/.mlflow
install -m 600 /dev/null ~/.mlflow/credentials
printf '[mlflow]\nmlflow_tracking_username = admin\nmlflow_tracking_password = %s\n' \
  "$(cat ~/.unmask/mlflow_password)" >~/.mlflow/credentials

line=". $here/environment.sh"
grep -qxF "$line" ~/.bashrc || echo "$line" >>~/.bashrc
