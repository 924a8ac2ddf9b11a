#!/usr/bin/env bash
# Run an MLflow server with user names and passwords. Its data is in PostgreSQL, which libpq's variables select (PGHOST,
# PGUSER, ...), and its artifacts are in S3.
# UNMASK_BUCKET: name of the bucket; the default is the account's bucket unmask-ACCOUNT.
# The account admin has the password in ~/.unmask/mlflow_password, and jobs have an account of their own, whose password is
# in mlflow_job_password. add-mlflow-user.py adds accounts of people.
# UNMASK_HOSTS: allowed host names of the server in requests, besides localhost.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/environment.sh"

account='import boto3; print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Account"])'
bucket=${UNMASK_BUCKET:-unmask-$(python -c "$account")}
hosts=${UNMASK_HOSTS:-$(cat ~/unmask-env/head_ip):5000}
port=${UNMASK_PORT:-5000}
export PGHOST=${PGHOST:-/var/run/postgresql}

settings=$(mktemp)
cat >"$settings" <<INI
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = postgresql:///mlflow_auth
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
INI
MLFLOW_AUTH_ADMIN_PASSWORD=$(cat ~/.unmask/mlflow_password)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat ~/.unmask/mlflow_secret_key)
export MLFLOW_AUTH_CONFIG_PATH=$settings MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
# With the default size of the pool, some requests of dozens of clients fail, and the clients do not repeat them.
export MLFLOW_SQLALCHEMYSTORE_POOL_SIZE=20 MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW=20
# Without this line, the server starts three more processes for jobs of language models.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false

MLFLOW_TRACKING_URI=http://127.0.0.1:$port python "$here/add-mlflow-user.py" job --may-write --wait &
exec mlflow server --host 0.0.0.0 --port "$port" --workers 2 --app-name basic-auth \
  --backend-store-uri postgresql:///mlflow --artifacts-destination "s3://$bucket/mlflow" \
  --allowed-hosts "localhost:$port,127.0.0.1:$port,$hosts"
