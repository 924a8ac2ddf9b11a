"""The report of a sweep for its readers: tables for a terminal and for papers, figures, and one HTML page."""
