"""Questions to the records of a sweep, one per file: rates, onsets, effects, detectors, costs, forecasts."""
