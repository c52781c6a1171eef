"""The configuration as pages and interface change it: checked, tried, saved, remembered."""
