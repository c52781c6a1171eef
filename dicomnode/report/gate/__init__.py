"""The gate: what every object must have before it leaves."""
