"""Knows the DICOM standard and nothing of our node."""
