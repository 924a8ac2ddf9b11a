"""What a sweep says, for people: the main table, figures, and one HTML page."""

from analysis.report.figures.paper import Panel, landscape_panels, paper_panels, write_figures
from analysis.report.figures.series import Names, landscape_pair
from analysis.report.html import write_report
from analysis.report.sections.evaluation import evaluation_sections
from analysis.report.sections.paper import paper_sections
from analysis.report.summary import answer_sentence
from analysis.report.tables.cells_table import main_table
from analysis.report.tables.text_formats import TableFormat, render
from analysis.report.terminal import section_for_terminal

__all__ = [
    "Names",
    "Panel",
    "TableFormat",
    "answer_sentence",
    "evaluation_sections",
    "landscape_pair",
    "landscape_panels",
    "main_table",
    "paper_panels",
    "paper_sections",
    "render",
    "section_for_terminal",
    "write_figures",
    "write_report",
]
