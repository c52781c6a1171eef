"""Frames in, prediction out: pure functions of a model folder and pixels."""
