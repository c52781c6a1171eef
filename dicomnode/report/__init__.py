"""A prediction becomes DICOM objects: Structured Report and Secondary Capture."""
