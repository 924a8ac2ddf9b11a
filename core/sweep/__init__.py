"""The Ray driver of a sweep: it starts trials with Ray Tune, watches them, and publishes their progress.

Nothing is imported here: the actor of a trial loads `core.sweep.trainable` and `core.sweep.worker`, and no more.
"""
