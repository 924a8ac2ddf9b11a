"""The published tables as data, and the comparison of a sweep with them."""
