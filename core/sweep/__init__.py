"""The Ray driver of a sweep: it starts trials with Ray Tune, watches them, and publishes their progress.

This file imports nothing, because a trial's actor should load only `core.sweep.trainable` and `core.sweep.worker`.
"""
