"""Pipelines tried on what somebody uploads: unpacked, run in a process, and what came of it.

Knows no request and no caller: `trying.py` does.
"""
