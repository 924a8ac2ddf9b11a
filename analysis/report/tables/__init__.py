"""Tables of sweeps, checks and coverage, for a terminal, text files and the report's page."""
