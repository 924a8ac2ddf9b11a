"""What is stored of a sweep: its description, its records, its progress and its lock. No Ray and no MLflow here."""
