"""wharfie: a container engine in Python."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.client.errors import DaemonUnreachable as DaemonUnreachable
    from wharfie.client.errors import EngineTimeout as EngineTimeout
    from wharfie.client.library.client import AsyncClient as AsyncClient
    from wharfie.client.library.client import Client as Client
    from wharfie.client.library.container import Container as Container
    from wharfie.client.library.errors import BadRequest as BadRequest
    from wharfie.client.library.errors import BuildFailed as BuildFailed
    from wharfie.client.library.errors import CommandFailed as CommandFailed
    from wharfie.client.library.errors import Conflict as Conflict
    from wharfie.client.library.errors import EngineError as EngineError
    from wharfie.client.library.errors import Forbidden as Forbidden
    from wharfie.client.library.errors import NotFound as NotFound
    from wharfie.client.library.errors import ServerError as ServerError
    from wharfie.client.library.errors import TransferFailed as TransferFailed
    from wharfie.client.library.errors import Unauthorized as Unauthorized
    from wharfie.client.library.session import Output as Output
    from wharfie.client.library.session import Result as Result
    from wharfie.client.library.session import Session as Session
    from wharfie.errors import WharfieError as WharfieError
else:

    def __getattr__(name: str) -> object:
        from wharfie.client.library.public import find

        return find(name)
