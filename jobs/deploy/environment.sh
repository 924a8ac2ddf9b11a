# shellcheck shell=bash
# The environment of all processes of a node. Each `ray` command and each login shell sources this file.
export PATH="$HOME/unmask-env/bin:$PATH"
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$HOME/.unmask/ray_token"
export RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
# The cluster's MLflow server, if there is one. MLflow's clients read name and password from ~/.mlflow/credentials.
if [ -s "$HOME/unmask-env/mlflow_uri" ]; then
  MLFLOW_TRACKING_URI=$(cat "$HOME/unmask-env/mlflow_uri")
  export MLFLOW_TRACKING_URI
fi
# The default of --storage. Only the head of a cluster with a bucket has this file.
if [ -s "$HOME/unmask-env/storage" ]; then
  UNMASK_STORAGE=$(cat "$HOME/unmask-env/storage")
  export UNMASK_STORAGE
fi
# The default of --worker-role. Only the head of a cluster whose workers have no rights of their own has this file.
if [ -s "$HOME/unmask-env/worker_role" ]; then
  UNMASK_WORKER_ROLE=$(cat "$HOME/unmask-env/worker_role")
  export UNMASK_WORKER_ROLE
fi
# The cluster launcher exports OMP_NUM_THREADS=1. Without the variable, a Ray worker has one thread per assigned CPU.
unset OMP_NUM_THREADS
