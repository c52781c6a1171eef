"""Mistakes of the configuration, as the interface tells them: one by one."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from dicomnode.errors import ConfigChanged, ConfigError, Mistake

__all__ = ["Route", "Wrong", "wrong"]


class Wrong(BaseModel):
    """A mistake in a file."""

    file: str
    line: int | None
    key: str = Field(description="Such as receive.port; empty for the file as a whole.")
    problem: str


class Route(APIRoute):
    """A route that answers 422 with the mistakes, 409 where somebody was faster."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except ConfigError as error:
                status = 409 if isinstance(error, ConfigChanged) else 422
                mistakes = [wrong(each).model_dump() for each in error.mistakes]
                return JSONResponse({"problem": str(error), "mistakes": mistakes}, status)

        return told


def wrong(mistake: Mistake) -> Wrong:
    """A mistake as it is told."""
    return Wrong(
        file=str(mistake.file), line=mistake.line, key=mistake.key, problem=mistake.problem
    )
