"""The stored state of a sweep: its description, records, progress and lock. This package uses no Ray and no MLflow."""
