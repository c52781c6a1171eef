"""How models come to be and what they are worth: trained, imported, joined, and measured."""
