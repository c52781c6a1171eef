"""Structured Reports: the measured one and those in sentences, their trees and their modules."""
