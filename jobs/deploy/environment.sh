# shellcheck shell=bash
# What every process of a node has in its environment. Sourced before each `ray` command, and by logins.
export PATH="$HOME/unmask-env/bin:$PATH"
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$HOME/.unmask/ray_token"
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
# the cluster's MLflow server, if it has one; MLflow's clients find name and password in ~/.mlflow/credentials
if [ -s "$HOME/unmask-env/mlflow_uri" ]; then
  MLFLOW_TRACKING_URI=$(cat "$HOME/unmask-env/mlflow_uri")
  export MLFLOW_TRACKING_URI
fi
# on the head of a cluster with a bucket: where jobs keep their results unless --storage says otherwise
if [ -s "$HOME/unmask-env/storage" ]; then
  UNMASK_STORAGE=$(cat "$HOME/unmask-env/storage")
  export UNMASK_STORAGE
fi
# the cluster launcher exports OMP_NUM_THREADS=1; without it a Ray worker has one thread per CPU it was given
unset OMP_NUM_THREADS
