"""What a sweep says, for people: the main table, figures, and one HTML page."""

from analysis.report.figures.paper import landscape_panels, paper_panels, write_figures
from analysis.report.html import write_report
from analysis.report.summary import answer
from analysis.report.table import main_table
from analysis.report.table_text import TableFormat, render

__all__ = [
    "TableFormat",
    "answer",
    "landscape_panels",
    "main_table",
    "paper_panels",
    "render",
    "write_figures",
    "write_report",
]
