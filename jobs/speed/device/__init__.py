"""Rows for one device, a GPU or a CPU, which run where neither Ray nor MLflow is installed."""
