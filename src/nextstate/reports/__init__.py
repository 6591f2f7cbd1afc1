"""The page that shows what was found: evaluations in, one self-contained HTML file and its JSON out."""

from nextstate.reports.chapter import Chapter, read_chapter
from nextstate.reports.page import write_report

__all__ = ["Chapter", "read_chapter", "write_report"]
