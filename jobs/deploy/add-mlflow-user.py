"""Add an account to an MLflow server that asks for passwords, with rights on the experiment of unmask alone.

    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python jobs/deploy/add-mlflow-user.py alice

prints the password of a new account that may read. It runs as the user that has ~/.unmask/mlflow_password. Run it
again to change the rights of an account; its password stays.
"""

from __future__ import annotations

import argparse
import os
import secrets
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

SECRETS = Path.home() / ".unmask"
EXPERIMENT = "unmask"
START_S = 600


def main() -> None:
    """Create the account, and the experiment if the server does not have it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--may-write", action="store_true", help="the account of jobs, which write and delete runs")
    parser.add_argument("--wait", action="store_true", help=f"wait up to {START_S} s for the server")
    options = parser.parse_args()
    os.environ["MLFLOW_TRACKING_USERNAME"] = "admin"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = (SECRETS / "mlflow_password").read_text().strip()
    deadline = time.monotonic() + (START_S if options.wait else 0)
    while True:
        try:
            experiment = _experiment(MlflowClient())
            break
        except MlflowException:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)
    _add(options.name, experiment, "MANAGE" if options.may_write else "READ")


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return found.experiment_id if found else client.create_experiment(EXPERIMENT)


def _add(name: str, experiment: str, right: str) -> None:
    accounts = get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"])
    file = SECRETS / f"mlflow_{name}_password"
    stored = file.exists()
    password = file.read_text().strip() if stored else secrets.token_urlsafe(24)
    try:
        accounts.create_user(name, password)
        if not stored:
            print(f"password of {name}: {password}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    accounts.grant_user_permission(name, "experiment", experiment, right)


if __name__ == "__main__":
    main()
