"""What is asked of the Greengrass nucleus by its IPC, and what its answers mean to whoever asked."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from edge.errors import TransportError
from edge.transports.component import Answer, Then

__all__ = ["NoError", "Questions"]


class NoError(TransportError):
    """The nucleus has answered, and the answer is no."""


class Questions:
    """`rpc` and `model` are awsiotsdk's `eventstreamrpc` and `greengrasscoreipc.model`, which know the errors."""

    def __init__(self, rpc: Any, model: Any, *, answer_s: float) -> None:
        self._rpc, self._model = rpc, model
        self._answer_s = answer_s

    def ask(self, request: Callable[[], "Future[Any]"], then: Then) -> None:
        """Asks; the answer goes to `then`, on awsiotsdk's thread or at once."""
        try:
            future = request()
        except Exception as e:  # noqa: BLE001 - the connection went a moment ago, or it cannot be written down
            then(*self._read(e))
            return
        future.add_done_callback(lambda f: then(*self._read(f.exception())))

    def get(self, request: Callable[[], "Future[Any]"]) -> Any:
        """The answer to a question that must not be asked on awsiotsdk's thread.

        Raises:
            TransportError: there is none.
            NoError: it is no.
        """
        try:
            return request().result(self._answer_s)
        except FutureTimeoutError as e:
            raise TransportError("the nucleus does not answer") from e
        except Exception as e:
            answer, words = self._read(e)
            raise (TransportError if answer is Answer.LOST else NoError)(words) from e

    def _read(self, error: BaseException | None) -> tuple[Answer, str]:
        """The kind of an answer, and its words. The lite nucleus's errors have none where AWS's client looks for them."""
        if error is None:
            return Answer.DONE, ""
        words = f"{type(error).__name__}: {getattr(error, 'message', None) or error}".rstrip(": ")
        if isinstance(error, self._model.UnauthorizedError):
            return Answer.DENIED, words
        if isinstance(error, (self._model.InvalidArgumentsError, self._rpc.SerializeError)):
            return Answer.NEVER, words
        if isinstance(error, self._rpc.EventStreamOperationError):
            return Answer.BUSY, words
        return Answer.LOST, words
