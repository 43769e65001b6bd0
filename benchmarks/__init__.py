"""How fast, how large and how scalable this project is: ``make bench``."""
