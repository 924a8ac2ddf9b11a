"""The parts of the page, one file per question."""
