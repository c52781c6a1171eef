"""The programming interface: JSON under /api, described by OpenAPI, made by what the pages use."""
