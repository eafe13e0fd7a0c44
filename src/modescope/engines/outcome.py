"""What went wrong with a member, in a form that reaches another process whole."""

from modescope.errors import ModescopeError, WorkError


def reportable(error: BaseException) -> ModescopeError:
    """Our own errors as they are, others as their words: a user's exception need not survive being sent."""
    return error if isinstance(error, ModescopeError) else WorkError(str(error) or type(error).__name__)
