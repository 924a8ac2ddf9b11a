"""One trial on one DDP rank: its loop, training step, state, checkpoint and seeding, and its verdict measurements."""
