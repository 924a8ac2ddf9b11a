"""Network architectures by name, for any class count, channels and image size."""

from core.models.build import build_model

__all__ = ["build_model"]
