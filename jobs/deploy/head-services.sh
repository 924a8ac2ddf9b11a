#!/usr/bin/env bash
# The head: PostgreSQL, which listens on this machine only, and an MLflow server on it for the nodes.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

sudo apt-get -o DPkg::Lock::Timeout=600 update -qq
sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq postgresql
# the login name is the database's user: its socket asks for no password, so there is none to lose
sudo -u postgres psql -qtc "select 1 from pg_roles where rolname = '$USER'" | grep -q 1 ||
  sudo -u postgres createuser "$USER"
for database in mlflow mlflow_auth; do
  sudo -u postgres psql -qtc "select 1 from pg_database where datname = '$database'" | grep -q 1 ||
    sudo -u postgres createdb --owner "$USER" "$database"
done

sed "s|@USER@|$USER|; s|@HERE@|$here|" "$here/mlflow.service" | sudo tee /etc/systemd/system/mlflow.service >/dev/null
sudo systemctl daemon-reload
sudo systemctl enable mlflow.service
sudo systemctl restart mlflow.service
