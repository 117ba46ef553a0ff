"""The one error type for what a user can mend."""


class UserError(Exception):
    """A mistake the user can mend; its message is one sentence that says how.

    The command line prints the message without a traceback and exits with code 2.
    """


class CheckpointError(UserError):
    """A checkpoint whose files cannot be loaded: a pair ends with it, a grid goes on without."""

    def __init__(self, checkpoint: str, sentence: str) -> None:
        super().__init__(sentence)
        self.checkpoint = checkpoint
