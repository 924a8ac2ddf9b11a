"""Answers about a sweep, from its records alone. Ray, MLflow and the training code are never imported here."""
