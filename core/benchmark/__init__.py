"""Speed as ratios: each row runs two ways of doing one thing in turns, so that the machine's noise hits both."""
