"""The commands of the program, by subject; `cli.py` puts them together."""
