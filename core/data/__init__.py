"""Data sets as uint8 tensors on a device: loading, stratified splits, augmentation, seeded order."""

from core.data.augment import Crops, apply_crops, crop_flip, draw_crops
from core.data.image_set import Dataset, ImageSet, to_float
from core.data.load import check_files, download_files, load_dataset
from core.data.order import epoch_order, rank_slice

__all__ = [
    "Crops",
    "Dataset",
    "ImageSet",
    "apply_crops",
    "check_files",
    "crop_flip",
    "download_files",
    "draw_crops",
    "epoch_order",
    "load_dataset",
    "rank_slice",
    "to_float",
]
