"""The model card, `model.toml`: what a model is, sees, says and was measured to do. No torch."""
