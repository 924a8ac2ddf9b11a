"""unmask's engine: configuration, training methods, attacks, probes, verdicts, sweeps and tracking."""
