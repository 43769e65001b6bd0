"""Errors whose message is all that whoever runs this needs."""


class PlainError(Exception):
    """What is wrong, in which file, row or parameter, and the fix; shown without where it was raised."""
