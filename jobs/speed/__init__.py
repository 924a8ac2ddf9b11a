"""Speed measurements as ratios: a row alternates between two implementations, so that noise affects both."""
