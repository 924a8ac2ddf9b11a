"""The Ray cluster that runs trials and evaluations: the connection to it and its capacity."""
