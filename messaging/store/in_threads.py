"""Run the statements of tables in threads, for the adapters on an event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from messaging.database.threads import DatabaseThreads
from messaging.store.statements import Statements

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Held = TypeVar("Held", bound=Statements)
Held_co = TypeVar("Held_co", bound=Statements, covariant=True)


class InThreads(Generic[Held_co]):
    """Give each job the tables over the connection of one of the threads."""

    def __init__(self, tables: type[Held_co], *, name: str, threads: int, timeout_s: float) -> None:
        self._tables = tables
        self._threads = DatabaseThreads(name=name, threads=threads, timeout_s=timeout_s)

    async def with_tables(self, job: Callable[[Held_co], Result]) -> Result:
        return await self._threads.run(lambda connection: job(self._tables(connection)))

    async def close(self) -> None:
        await self._threads.close()


def in_thread(
    statement: Callable[Concatenate[Held, Arguments], Result],
) -> Callable[Concatenate[InThreads[Held], Arguments], Coroutine[Any, Any, Result]]:
    """Return a method of an adapter that runs this statement of its tables in a thread."""

    async def method(
        self: InThreads[Held], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return await self.with_tables(lambda tables: statement(tables, *args, **kwargs))

    return method
