"""The SCP: one image in, kept durably, one status out."""
