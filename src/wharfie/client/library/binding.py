"""One description, two clients: what turns an ``async def`` into a method of either.

A class of operations is generic in the transport. Its operations are ``async def`` under a decorator; taken
from an instance over :class:`Blocking` they are ordinary methods, from one over :class:`Awaiting` coroutine
functions, and the type checker knows both::

    class Things(Bound[T]):
        @operation
        async def count(self) -> int: ...

    Client().things.count()               # int
    await AsyncClient().things.count()    # int
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from wharfie.client.library.engine import Engine
from wharfie.client.library.transport import Awaiting, Blocking, Transport, settle

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Transport)


class Bound(Generic[T]):
    """Something whose operations belong to one client."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine


class operation(Generic[P, R]):
    """A question with one answer."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Bound[Blocking], owner: Any) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Bound[Awaiting], owner: Any) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        function = self._function
        if instance._engine.awaits:

            @functools.wraps(function)
            async def awaited(*arguments: P.args, **options: P.kwargs) -> R:
                return await function(instance, *arguments, **options)

            return awaited

        @functools.wraps(function)
        def blocking(*arguments: P.args, **options: P.kwargs) -> R:
            return settle(function(instance, *arguments, **options))

        return blocking


class stream(Generic[P, R]):
    """A question whose answers come one after the other."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Bound[Blocking], owner: Any) -> Callable[P, Stream[R]]: ...
    @overload
    def __get__(self, instance: Bound[Awaiting], owner: Any) -> Callable[P, AsyncStream[R]]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        function = self._function
        kind: Any = AsyncStream if instance._engine.awaits else Stream

        @functools.wraps(function)
        def streaming(*arguments: P.args, **options: P.kwargs) -> Any:
            return kind(function(instance, *arguments, **options))

        return streaming


class Stream(Generic[R]):
    """What comes one after the other; the request is sent when the first is asked for."""

    def __init__(self, source: AsyncGenerator[R, None]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[R]:
        return self

    def __next__(self) -> R:
        try:
            return settle(self._source.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Want no more."""
        settle(self._source.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(Generic[R]):
    """The same in an event loop."""

    def __init__(self, source: AsyncGenerator[R, None]) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        return await self._source.__anext__()

    async def close(self) -> None:
        """Want no more."""
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
