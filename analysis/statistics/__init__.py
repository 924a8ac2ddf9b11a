"""Statistical procedures on numbers: they know neither records nor sweeps."""
