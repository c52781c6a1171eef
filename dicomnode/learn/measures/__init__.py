"""How well probabilities tell the truth: measures, their intervals, and tests between two models.

Numbers in, numbers out: arrays of numpy, no files, no networks. `evaluation.py` joins the parts.
"""
