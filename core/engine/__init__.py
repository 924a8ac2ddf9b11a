"""The training loop of one trial on one DDP rank: precision, step, epoch, checkpoint, seeding, verdict."""
