"""Everything Ray: the Tune driver, the Train worker group of one trial, progress, resume.

Nothing is imported here: a trial's actors load `core.sweep.trainable` and `core.sweep.worker` and should load no more.
"""
