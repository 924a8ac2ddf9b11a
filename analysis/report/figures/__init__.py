"""One file per family of figures."""
