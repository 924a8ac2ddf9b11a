#!/usr/bin/env bash
# Every node: this project and exactly the packages of constraints.txt, and the secrets where Ray and MLflow look for them.
# --without-mlflow: the head runs no MLflow server.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  sudo apt-get -o DPkg::Lock::Timeout=600 update -qq # images are still updating themselves when SSH answers
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
