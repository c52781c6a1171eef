"""Where bytes and rows are kept: DICOM objects on disk, and the database."""
