"""One trial on one DDP rank: its loop, training step, state and checkpoint, seeding, and what its verdict rests on."""
