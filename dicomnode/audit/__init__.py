"""The audit trail as DICOM says it (PS3.15 A.5 to A.7): messages, and where they go.

Pure but for the sinks: it knows neither the worklist nor the page, and is given what happened.
"""
