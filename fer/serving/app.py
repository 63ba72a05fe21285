"""The HTTP application: is the model ready, and what does it say about these pictures."""

import asyncio
import io
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fer.bundle.predictor import Predictor
from fer.serving.batching import Batcher
from fer.serving.limiter import Room
from fer.serving.metrics import Metrics
from fer.serving.requests import MAX_BYTES, Kind, Picture, Refused, check_size, kind_of, pictures_of
from fer.serving.responses import JSON_LINES, faces_of, lines

T = TypeVar("T")
# Memory for bodies that are being answered, and what a request takes besides its body.
BODIES_BYTES, OVERHEAD_BYTES = 512 << 20, 1 << 16
# How many requests may wait for that memory.
WAITING = 1024
# How many pictures are decoded and judged at once, and how many such pieces of one request are under way: while one
# is judged, the next is decoded.
PIECE, AHEAD = 32, 2
# Decoded faces of all requests together.
FACES = 32 * PIECE
# A client that sends nothing for so long holds memory that others wait for.
SILENCE_S = 30
RETRY_AFTER_S = 5
DECODERS = 4
log = logging.getLogger(__name__)


class Service:
    """One model behind HTTP. ``load`` is called in a thread, so that /ping can say that the model is not there yet.

    ``failed`` is called where the model cannot be loaded; the error is kept in ``failure``.
    """

    def __init__(self, load: Callable[[], Predictor], flip: bool, failed: Callable[[], None]) -> None:
        self.load = load
        self.flip = flip
        self.failed = failed
        self.failure: Exception | None = None
        self.predictor: Predictor | None = None
        self.metrics = Metrics()
        self.batcher = Batcher(self.judge, PIECE, self.metrics.batches.observe)
        self.bodies, self.faces = Room(BODIES_BYTES), Room(FACES)
        self.pool = ThreadPoolExecutor(min(DECODERS, len(os.sched_getaffinity(0))), "decode")
        self.metrics.watch("fer_waiting_requests", "Requests that wait for memory", lambda: self.bodies.waiting)
        self.metrics.watch("fer_faces_under_way", "Faces being decoded or judged", lambda: FACES - self.faces.free)

    def application(self) -> Starlette:
        routes = [
            Route("/ping", self.ping),
            Route("/invocations", self.invocations, methods=["POST"]),
            Route("/metrics", self.count),
        ]
        return Starlette(routes=routes, lifespan=self.lifespan)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(self.start())
        yield
        await loading
        self.pool.shutdown()
        self.batcher.close()

    async def start(self) -> None:
        try:
            self.predictor = await self.in_pool(self.load)
        except Exception as error:
            self.failure = error
            self.failed()

    def judge(self, faces: list[np.ndarray]) -> np.ndarray:
        return self.ready().predict(faces, batch_size=PIECE, flip=self.flip)

    def ready(self) -> Predictor:
        if self.predictor is None:
            raise Refused(503, "the model is being loaded: try again in a moment")
        return self.predictor

    async def ping(self, _: Request) -> Response:
        return Response(status_code=503 if self.predictor is None else 200)

    async def count(self, _: Request) -> Response:
        return Response(self.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def invocations(self, request: Request) -> Response:
        start = time.perf_counter()
        response = await self.answered(request)
        self.metrics.seconds.observe(time.perf_counter() - start)
        self.metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def answered(self, request: Request) -> Response:
        try:
            return Response(await self.answer(request), media_type=JSON_LINES)
        except Refused as refused:
            # Reading the model's log is how users of a batch job learn what was wrong.
            log.warning("%d: %s", refused.status, refused)
            headers = {"Retry-After": str(RETRY_AFTER_S)} if refused.status == 503 else {}
            return JSONResponse({"error": str(refused)}, refused.status, headers)
        except ClientDisconnect:
            return Response(status_code=499)  # for the counts; nobody receives it
        except Exception:
            log.exception("500: judging failed")
            return JSONResponse({"error": "judging failed: the server's log says why"}, 500)

    async def answer(self, request: Request) -> str:
        """The lines for one request. Raises Refused, and ClientDisconnect where nobody waits for them any longer."""
        self.ready()
        kind = kind_of(request.headers.get("content-type", ""))
        size = int(request.headers.get("content-length", MAX_BYTES))
        check_size(size)
        if self.bodies.waiting >= WAITING:
            raise Refused(503, "too many requests wait already: try again in a moment")
        async with self.bodies.taken(size + OVERHEAD_BYTES):
            body = await received(request)
            pictures = await self.in_pool(pictures_of, body, kind)
            return await while_connected(request, self.judged(pictures, kind))

    async def judged(self, pictures: list[Picture], kind: Kind) -> str:
        """The lines for all pictures of a request."""
        turns = asyncio.Semaphore(AHEAD)

        async def in_turn(piece: list[Picture]) -> str:
            async with turns, self.faces.taken(len(piece)):
                return await self.judged_piece(piece, kind)

        pieces = [pictures[start : start + PIECE] for start in range(0, len(pictures), PIECE)]
        return "".join(await asyncio.gather(*map(in_turn, pieces)))

    async def judged_piece(self, pictures: list[Picture], kind: Kind) -> str:
        description = self.ready().description
        faces = await self.in_pool(faces_of, pictures, description.faces)
        good = [face for face in faces if not isinstance(face, Refused)]
        self.metrics.pictures.inc(len(good))
        self.metrics.bad_pictures.inc(len(faces) - len(good))
        if kind == "image" and isinstance(faces[0], Refused):
            raise faces[0]
        found = await asyncio.wrap_future(self.batcher.submit(good)) if good else np.empty((0, 0))
        return lines(pictures, faces, found, description.classes)

    async def in_pool(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)


async def received(request: Request) -> bytes:
    """The body of a request. Raises Refused, and ClientDisconnect."""
    body = io.BytesIO()
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise Refused(408, f"nothing came for {SILENCE_S} seconds, and the body is not complete") from None
        if chunk is None:
            return body.getvalue()
        body.write(chunk)
        check_size(body.tell())


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives; ends it and raises ClientDisconnect as soon as the client is gone."""
    task = asyncio.create_task(work)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
