"""Commands: parse, call one function, print, return a number."""
