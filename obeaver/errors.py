"""Every error that obeaver raises on purpose, as one tree.

    ObeaverError
    ├── ApiError                      an answer to a client; carries status, type, code, param
    │   ├── BadRequest                400  the request is wrong; `param` names the parameter
    │   │   ├── ContextLengthExceeded 400  the prompt leaves no room for an answer
    │   │   ├── GrammarTooComplex     400  what the answer must hold to cannot be followed further
    │   │   └── TemplateFailed        400  the model's chat template rejects the conversation
    │   │       └── NoChatTemplate    400  the model has none: it goes on with texts
    │   ├── Unauthorized              401  no key, or a wrong one
    │   ├── Forbidden                 403  a host or an origin that may not call
    │   ├── NotFound                  404  unknown route, model or alias
    │   ├── MethodNotAllowed          405  with `Allow`
    │   ├── RequestTimeout            408  the client took too long to send its request
    │   ├── Conflict                  409  another operation of this kind is under way
    │   ├── PayloadTooLarge           413  the body is over the limit
    │   ├── UnsupportedMediaType      415  the body is not JSON
    │   ├── QueueFull                 429  with `Retry-After`
    │   │   └── TooManyRequests       429  of one client
    │   ├── InternalError             500  our fault; the message holds no detail
    │   │   ├── EngineFailed          500  a step of the engine failed
    │   │   └── ModelLoadFailed       500  a model could not be loaded; the message says why
    │   └── Unavailable               503  not ready, unhealthy, or draining; with `Retry-After`
    │       ├── ArchiveUnavailable    503  stored responses cannot be read or written
    │       ├── TimedOut              503  the answer took longer than `--request-timeout`
    │       └── ModelNotLoaded        503  no model is loaded yet
    ├── CommandError                  ends a command: one line on stderr, exit status 1
    │   ├── ModelError                a model folder or file is broken or unsupported
    │   │   └── NotEnoughMemory       a model needs more than there is
    │   ├── ProviderError             an execution provider is not here, or takes nothing of the model
    │   ├── FetchError                a download failed
    │   └── StoreError                the model store cannot be used
    └── GrammarError                  a grammar does not compile; in `engine.grammar`, and a client's 400

`ApiError`s become the body `{"error": {message, type, param, code}}`; nothing else reaches a client.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class ObeaverError(Exception):
    """Root of the tree. `str(error)` is one sentence that a person can act on."""


class ApiError(ObeaverError):
    """An error that a client sees.

    Args:
        message: One sentence: what is wrong and what to do. Never quotes the request's text.
        param: JSON path of the parameter at fault, such as `messages[0].role`.
        code: Machine-readable reason; the class's own code if not given.
        headers: Extra response headers.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else self.default_code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON object that goes to the client."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class BadRequest(ApiError):
    """The request cannot be honoured as it stands."""

    status = 400
    type = "invalid_request_error"


class ContextLengthExceeded(BadRequest):
    """The prompt leaves no room for one token of answer."""

    default_code = "context_length_exceeded"


class GrammarTooComplex(BadRequest):
    """What the answer must hold to compiles, and takes too much work on the way that the answer has taken."""

    default_code = "grammar_too_complex"


class TemplateFailed(BadRequest):
    """The chat template raised, or cannot express the conversation."""

    default_code = "chat_template_failed"


class NoChatTemplate(TemplateFailed):
    """The model has no chat template: it goes on with texts, and knows no conversations."""

    default_code = "no_chat_template"


class Unauthorized(ApiError):
    """No API key, or a wrong one."""

    status = 401
    type = "authentication_error"
    default_code = "invalid_api_key"


class Forbidden(ApiError):
    """The Host header or the origin is not one that may call."""

    status = 403
    type = "permission_error"
    default_code = "forbidden"


class NotFound(ApiError):
    """Unknown route, model or alias."""

    status = 404
    type = "invalid_request_error"
    default_code = "not_found"


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class RequestTimeout(ApiError):
    """The request did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"


class Conflict(ApiError):
    """Another operation of this kind is under way."""

    status = 409
    type = "conflict_error"
    default_code = "conflict"


class PayloadTooLarge(ApiError):
    """The body is over the limit."""

    status = 413
    type = "invalid_request_error"
    default_code = "payload_too_large"


class UnsupportedMediaType(ApiError):
    """The body is declared as something else than JSON."""

    status = 415
    type = "invalid_request_error"
    default_code = "unsupported_media_type"


class QueueFull(ApiError):
    """Too many requests wait already.

    Args:
        message: What the client reads.
        retry_after_s: Whole seconds for the `Retry-After` header.
    """

    status = 429
    type = "rate_limit_error"
    default_code = "queue_full"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_s)})


class TooManyRequests(QueueFull):
    """One client has as many requests open as it may."""

    default_code = "too_many_requests"


class InternalError(ApiError):
    """Our fault. The detail goes to the log, not to the client."""

    default_code = "internal_error"


class EngineFailed(InternalError):
    """A step of the engine failed; the sequences it was computing end with this."""

    default_code = "engine_failed"


class ModelLoadFailed(InternalError):
    """A model could not be loaded. The message says why, without this machine's paths."""

    default_code = "model_load_failed"


class Unavailable(ApiError):
    """Not ready, unhealthy, or shutting down.

    Args:
        message: As for every error.
        code: As for every error.
        headers: Beside `Retry-After`.
        retry_after_s: Whole seconds for that header.
    """

    status = 503
    type = "server_error"
    default_code = "unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after_s: int = 1,
    ) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(retry_after_s), **(headers or {})})


class ArchiveUnavailable(Unavailable):
    """Stored responses cannot be read or written: the disk is full, read-only or damaged."""

    default_code = "archive_unavailable"


class TimedOut(Unavailable):
    """The answer took longer than the server allows."""

    default_code = "timed_out"


class ModelNotLoaded(Unavailable):
    """The server runs, and no model is loaded."""

    default_code = "model_not_loaded"


class CommandError(ObeaverError):
    """Ends a command with one line on stderr and exit status 1."""


class ModelError(CommandError):
    """A model folder or file is broken, incomplete or of an unsupported kind."""


class NotEnoughMemory(ModelError):
    """A model needs more memory than there is; the message has both numbers."""


class ProviderError(CommandError):
    """An execution provider is not on this machine, cannot be used, or takes nothing of the model."""


class FetchError(CommandError):
    """A download failed: network, hash, space."""


class StoreError(CommandError):
    """The model store cannot be read or written."""
