#!/usr/bin/env bash
# Set up the services of the head: PostgreSQL, which listens only on this machine, and an MLflow server, to which drivers on
# the head write. MLflow's passwords are made here and stay here. The defaults of --storage and --worker-role become
# the account's bucket and its role of trials.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

sudo apt-get -o DPkg::Lock::Timeout=600 update -qq
sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq postgresql
# The database user has the login name, because PostgreSQL's local socket identifies this user without a password.
[ -n "$(sudo -u postgres psql -qtAc "select 1 from pg_roles where rolname = '$USER'")" ] ||
  sudo -u postgres createuser "$USER"
for database in mlflow mlflow_auth; do
  [ -n "$(sudo -u postgres psql -qtAc "select 1 from pg_database where datname = '$database'")" ] ||
    sudo -u postgres createdb --owner "$USER" "$database"
done

ask='import boto3; print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Account"])'
account=$(~/unmask-env/bin/python -c "$ask")
echo "s3://unmask-$account/results" >~/unmask-env/storage
echo "arn:aws:iam::$account:role/unmask-trial" >~/unmask-env/worker_role

bash "$here/make-secrets.sh" mlflow_password mlflow_secret_key mlflow_job_password
echo "http://$(cat ~/unmask-env/head_ip):5000" >~/unmask-env/mlflow_uri
mkdir -p ~/.mlflow
install -m 600 /dev/null ~/.mlflow/credentials
printf '[mlflow]\nmlflow_tracking_username = job\nmlflow_tracking_password = %s\n' \
  "$(cat ~/.unmask/mlflow_job_password)" >~/.mlflow/credentials

unit=$(sed "s|@USER@|$USER|; s|@HERE@|$here|" "$here/mlflow.service")
sudo tee /etc/systemd/system/mlflow.service >/dev/null <<<"$unit"
sudo systemctl daemon-reload
sudo systemctl enable mlflow.service
sudo systemctl restart mlflow.service
