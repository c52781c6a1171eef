"""A DICOM Application Entity beside a PACS: receive, classify, report, deliver."""

__all__ = ["__version__"]

__version__ = "0.1.0"
