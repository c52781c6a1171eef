"""From a recipe and a manifest to a model folder; `run.py` tells the story in order."""
