"""Speed measurements as ratios: each row runs two ways of doing one thing in turns, so that noise hits both."""
