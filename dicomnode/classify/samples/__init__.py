"""What a model is shown: of a study's images those that it is for, as its network sees them."""
