"""A checkpoint as a folder that needs nothing of this project: weights, network, model card."""
