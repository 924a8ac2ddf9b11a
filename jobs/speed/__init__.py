"""Measurements of speed, memory and start-up. Two implementations are compared in turns, so that noise affects both."""
