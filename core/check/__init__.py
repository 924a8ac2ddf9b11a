"""The check of one trained network of any origin: is its robustness an illusion? It uses neither Ray nor MLflow."""
