"""What a sweep says, for people: tables, figures, and one HTML page."""
