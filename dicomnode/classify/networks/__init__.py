"""Networks that MONAI has not, or computes otherwise: torchvision's names and arithmetic."""
