"""The HTTP application: /ping, /invocations and /metrics."""

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
from fer.serving.limiter import MemoryLimiter
from fer.serving.metrics import Metrics
from fer.serving.requests import (
    MAX_BYTES,
    EncodedImage,
    Kind,
    RequestError,
    check_size,
    parse_content_type,
    parse_images,
)
from fer.serving.responses import JSON_LINES, decode_faces, to_json_lines

T = TypeVar("T")
# Memory for the bodies of all requests that are being answered, and what a request takes besides its body.
BODIES_BYTES, OVERHEAD_BYTES = 512 << 20, 1 << 16
# Requests that may wait for that memory.
MAX_WAITING_REQUESTS = 1024
# Images that are decoded and classified at once, and such chunks of one request in flight: while one is classified,
# the next is decoded.
BATCH_SIZE, MAX_CHUNKS_IN_FLIGHT = 32, 2
# Decoded faces of all requests together.
MAX_DECODED_FACES = 32 * BATCH_SIZE
# A silent client holds memory that others wait for.
READ_TIMEOUT_S = 30
RETRY_AFTER_S = 5
MAX_DECODE_THREADS = 4
log = logging.getLogger(__name__)


class Service:
    """One model behind HTTP.

    Args:
        load: Loads the model. It is called in a thread, so that /ping can answer meanwhile.
        flip: Average the probabilities of each face and its mirror image.
        on_failure: Called where the model cannot be loaded, after the error was stored in ``failure``.
    """

    def __init__(self, load: Callable[[], Predictor], flip: bool, on_failure: Callable[[], None]) -> None:
        self.load = load
        self.flip = flip
        self.on_failure = on_failure
        self.failure: Exception | None = None
        self.predictor: Predictor | None = None
        self.metrics = Metrics()
        self.batcher = Batcher(self._classify, BATCH_SIZE, self.metrics.batches.observe)
        self.bodies, self.faces = MemoryLimiter(BODIES_BYTES), MemoryLimiter(MAX_DECODED_FACES)
        self.pool = ThreadPoolExecutor(min(MAX_DECODE_THREADS, len(os.sched_getaffinity(0))), "decode")
        self.metrics.add_gauge("fer_waiting_requests", "Requests that wait for memory", lambda: self.bodies.waiting)
        self.metrics.add_gauge(
            "fer_faces_under_way", "Faces being decoded or classified", lambda: MAX_DECODED_FACES - self.faces.free
        )

    def build_app(self) -> Starlette:
        """Return the ASGI application, which loads the model when it starts."""
        routes = [
            Route("/ping", self._ping),
            Route("/invocations", self._handle_invocations, methods=["POST"]),
            Route("/metrics", self._get_metrics),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(self._load_model())
        yield
        await loading
        self.pool.shutdown()
        self.batcher.close()

    async def _load_model(self) -> None:
        try:
            self.predictor = await self._run_in_pool(self.load)
        except Exception as error:
            self.failure = error
            self.on_failure()

    def _classify(self, faces: list[np.ndarray]) -> np.ndarray:
        return self._get_predictor().predict(faces, batch_size=BATCH_SIZE, flip=self.flip)

    def _get_predictor(self) -> Predictor:
        if self.predictor is None:
            raise RequestError(503, "the model is being loaded: try again in a moment")
        return self.predictor

    async def _ping(self, _: Request) -> Response:
        return Response(status_code=503 if self.predictor is None else 200)

    async def _get_metrics(self, _: Request) -> Response:
        return Response(self.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    async def _handle_invocations(self, request: Request) -> Response:
        start = time.perf_counter()
        response = await self._build_response(request)
        self.metrics.seconds.observe(time.perf_counter() - start)
        self.metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def _build_response(self, request: Request) -> Response:
        try:
            return Response(await self._answer(request), media_type=JSON_LINES)
        except RequestError as error:
            # The model's log is where users of a batch job learn what was wrong.
            log.warning("%d: %s", error.status, error)
            headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else {}
            return JSONResponse({"error": str(error)}, error.status, headers)
        except ClientDisconnect:
            return Response(status_code=499)  # for the counts; nobody receives it
        except Exception:
            log.exception("500: classification failed")
            return JSONResponse({"error": "classification failed: the server's log says why"}, 500)

    async def _answer(self, request: Request) -> str:
        """Return the JSON Lines for a request. Raises RequestError, and ClientDisconnect where the client is gone."""
        self._get_predictor()
        kind = parse_content_type(request.headers.get("content-type", ""))
        size = int(request.headers.get("content-length", MAX_BYTES))
        check_size(size)
        if self.bodies.waiting >= MAX_WAITING_REQUESTS:
            raise RequestError(503, "too many requests wait already: try again in a moment")
        async with self.bodies.reserve(size + OVERHEAD_BYTES):
            body = await _read_body(request)
            images = await self._run_in_pool(parse_images, body, kind)
            return await _run_while_connected(request, self._classify_images(images, kind))

    async def _classify_images(self, images: list[EncodedImage], kind: Kind) -> str:
        """Return the JSON Lines for all images of a request."""
        in_flight = asyncio.Semaphore(MAX_CHUNKS_IN_FLIGHT)

        async def classify_in_turn(chunk: list[EncodedImage]) -> str:
            async with in_flight, self.faces.reserve(len(chunk)):
                return await self._classify_chunk(chunk, kind)

        chunks = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
        return "".join(await asyncio.gather(*map(classify_in_turn, chunks)))

    async def _classify_chunk(self, images: list[EncodedImage], kind: Kind) -> str:
        description = self._get_predictor().description
        faces = await self._run_in_pool(decode_faces, images, description.faces)
        good = [face for face in faces if not isinstance(face, RequestError)]
        self.metrics.images.inc(len(good))
        self.metrics.bad_images.inc(len(faces) - len(good))
        if kind == "image" and isinstance(faces[0], RequestError):
            raise faces[0]
        probabilities = await asyncio.wrap_future(self.batcher.submit(good)) if good else np.empty((0, 0))
        return to_json_lines(images, faces, probabilities, description.classes, description.confidence_rule)

    async def _run_in_pool(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)


async def _read_body(request: Request) -> bytes:
    """Return the body of a request. Raises RequestError, and ClientDisconnect."""
    body = io.BytesIO()
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RequestError(
                408, f"nothing came for {READ_TIMEOUT_S} seconds, and the body is not complete"
            ) from None
        if chunk is None:
            return body.getvalue()
        body.write(chunk)
        check_size(body.tell())


async def _run_while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``; cancel it and raise ClientDisconnect as soon as the client is gone."""
    task = asyncio.create_task(work)
    disconnect = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((task, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        disconnect.cancel()
