"""The one exception that data raise."""


class DataError(ValueError):
    """Input data that cannot be used: the message names the file or field and says what to do."""
