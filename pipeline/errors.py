"""Errors that the user can fix: shown as one message, never as a traceback."""


class InputError(Exception):
    """An input or a flag is wrong: the message names the value, the place and the next step."""


class PhotoError(Exception):
    """A photo cannot be used, for good: it becomes a drop with this reason.

    Args:
        reason: a stable word for the drops table, such as `truncated`.
        detail: what it is like.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class DrawError(PhotoError):
    """A draw cannot be made from this photo and box: it becomes a drop with this reason."""


class LockLostError(Exception):
    """Another job has taken over this job's output: this one must stop writing."""
