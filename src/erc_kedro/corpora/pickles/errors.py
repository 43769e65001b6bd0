"""Why a pickle is not read."""


class BrokenError(Exception):
    """No pickle, or none that ends; the message says what is wrong with it."""


class ForbiddenError(Exception):
    """The pickle asks for something that is neither a plain value nor an array; the message names it."""


class TooLargeError(Exception):
    """What the pickle builds is beyond the bytes allowed; the message says in what way."""
