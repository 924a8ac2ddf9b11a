"""Reading stored checkpoints, and what the trials of a sweep start from. This package uses no Ray and no MLflow."""
