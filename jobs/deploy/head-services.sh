#!/usr/bin/env bash
# Set up the services of the head: PostgreSQL, which listens only on this machine, and an MLflow server, to which drivers on
# the head write. The server has a user of its own, and its passwords are made in the home of this user and stay there. The
# login user, which runs the drivers, gets the password of the account for jobs. The defaults of --storage and --worker-role
# become the account's bucket and its role of trials.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
service=/var/lib/mlflow
as_mlflow() { sudo -u mlflow -H "$@"; }

sudo apt-get -o DPkg::Lock::Timeout=600 update -qq
sudo apt-get -o DPkg::Lock::Timeout=600 install -y -qq postgresql
# PostgreSQL's local socket identifies the user mlflow without a password.
[ -n "$(sudo -u postgres psql -qtAc "select 1 from pg_roles where rolname = 'mlflow'")" ] ||
  sudo -u postgres createuser mlflow
for database in mlflow mlflow_auth; do
  if [ -z "$(sudo -u postgres psql -qtAc "select 1 from pg_database where datname = '$database'")" ]; then
    sudo -u postgres createdb --owner mlflow "$database"
  elif [ -n "$(sudo -u postgres psql -qtAc "select 1 from pg_roles where rolname = '$USER'")" ]; then
    # Earlier versions ran the server as the login user.
    sudo -u postgres psql -qd "$database" -c "reassign owned by \"$USER\" to mlflow"
  fi
done

# such as arn:aws:sts::123456789012:assumed-role/unmask-head/i-0123
ask='import boto3; print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Arn"])'
IFS=: read -r _ partition _ _ account _ < <(~/unmask-env/bin/python -c "$ask")
echo "s3://unmask-$account/results" >~/unmask-env/storage
echo "arn:$partition:iam::$account:role/unmask-trial" >~/unmask-env/worker_role

# With the login user's group it can read the Python environment, and no secret, because these are for their owner only.
id -u mlflow >/dev/null 2>&1 ||
  sudo useradd --system --create-home --home-dir "$service" --groups "$(id -gn)" mlflow
sudo chmod 700 "$service"
sudo install -m 755 -t "$service" "$here/environment.sh" "$here/make-secrets.sh" "$here/mlflow-server.sh" \
  "$here/add-mlflow-user.py"
sudo ln -sfn ~/unmask-env "$service/unmask-env"
secrets=(mlflow_password mlflow_secret_key mlflow_job_password)
for name in "${secrets[@]}"; do # those that earlier versions made
  if [ -s ~/.unmask/"$name" ]; then
    as_mlflow bash -c "umask 077; mkdir -p ~/.unmask; cat >~/.unmask/$name" <~/.unmask/"$name"
    rm ~/.unmask/"$name"
  fi
done
as_mlflow bash "$service/make-secrets.sh" "${secrets[@]}"

echo "http://$(cat ~/unmask-env/head_ip):5000" >~/unmask-env/mlflow_uri
mkdir -p ~/.mlflow
install -m 600 /dev/null ~/.mlflow/credentials
printf '[mlflow]\nmlflow_tracking_username = job\nmlflow_tracking_password = %s\n' \
  "$(as_mlflow cat "$service/.unmask/mlflow_job_password")" >~/.mlflow/credentials

sudo install -m 644 -t /etc/systemd/system "$here/mlflow.service"
sudo systemctl daemon-reload
sudo systemctl enable mlflow.service
sudo systemctl restart mlflow.service
