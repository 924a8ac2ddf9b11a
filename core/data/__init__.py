"""Data sets as uint8 tensors on a device: loading, stratified splits, augmentation, seeded order."""
