"""The Ray cluster that runs trials and evaluations: connection, capacity, and nodes, GPUs or reservations that
cannot be used.
"""
