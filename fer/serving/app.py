"""The HTTP application: /ping, /invocations and /metrics."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fer.bundle.predictor import Predictor
from fer.serving.answers import Answer
from fer.serving.authentication import RequireToken
from fer.serving.batching import Batcher
from fer.serving.bodies import read_body
from fer.serving.body_memory import BodyMemory, Share
from fer.serving.connection import STATE_KEY
from fer.serving.disconnection import run_while_connected
from fer.serving.limiter import MemoryLimiter
from fer.serving.metrics import Metrics
from fer.serving.picture_limits import MAX_REQUEST_PIXELS, check_cost, measure_images, split_by_cost
from fer.serving.requests import (
    MAX_BYTES,
    EncodedImage,
    RequestError,
    check_size,
    parse_content_type,
    parse_images,
)
from fer.serving.responses import decode_faces, to_json_lines
from fer.serving.sequences import FrameRun, answer_frame_run, check_frame_run, parse_frame_run
from fer.serving.threads import Workers

# Memory for the bodies of all requests that are being answered, and for their answers until they are read.
BODIES_BYTES = 512 << 20
# Images that are decoded and classified at once, and such chunks of one request in flight: while one is classified,
# the next is decoded.
BATCH_SIZE, MAX_CHUNKS_IN_FLIGHT = 32, 2
# Pixels that are decoded at once: a tenth of a second. Larger images are decoded one after the other by another thread,
# so that they never keep small ones waiting, also where a client leaves, which does not end the decoding.
BATCH_PIXELS = 4_000_000
# Images whose headers are read at once.
MEASURED_IMAGES = 256
# Decoded faces of all requests together.
MAX_DECODED_FACES = 32 * BATCH_SIZE
RETRY_AFTER_S = 5
MAX_DECODE_THREADS = 4
log = logging.getLogger(__name__)


class Service:
    """One model behind HTTP.

    Args:
        load: Loads the model. It is called in a thread, so that /ping can answer meanwhile.
        flip: Average the probabilities of each face and its mirror image.
        on_failure: Called where the model cannot be loaded, after the error was stored in ``failure``.
        max_bytes: Largest body of a request.
    """

    def __init__(
        self, load: Callable[[], Predictor], flip: bool, on_failure: Callable[[], None], max_bytes: int = MAX_BYTES
    ) -> None:
        self.load = load
        self.flip = flip
        self.on_failure = on_failure
        self.failure: Exception | None = None
        self.predictor: Predictor | None = None
        self.metrics = Metrics()
        self.batcher = Batcher(self._classify, BATCH_SIZE, self.metrics.batches.observe)
        self.bodies, self.faces = BodyMemory(BODIES_BYTES, max_bytes), MemoryLimiter(MAX_DECODED_FACES)
        self.pool = Workers(min(MAX_DECODE_THREADS, len(os.sched_getaffinity(0))), "decode")
        self.large_pool = Workers(1, "decode_large")
        self.sequence_pool = Workers(1, "classify_sequence")
        self.metrics.add_gauge("fer_waiting_requests", "Requests that wait for memory", lambda: self.bodies.waiting)
        self.metrics.add_gauge(
            "fer_faces_under_way", "Faces being decoded or classified", lambda: MAX_DECODED_FACES - self.faces.free
        )

    def build_app(self, token: bytes | None = None) -> ASGIApp:
        """Return the ASGI application, which loads the model; who lacks ``token``, if any, is refused."""
        routes = [
            Route("/ping", self._ping),
            Route("/invocations", self._invoke, methods=["POST"]),
            Route("/metrics", self._get_metrics),
        ]
        routed = Starlette(routes=routes, lifespan=self._lifespan)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # Starlette's way to the same method takes a twentieth of what a request costs beside its picture.
            if scope["type"] == "http" and scope["path"] == "/invocations" and scope["method"] == "POST":
                response = await self._handle_invocation(scope, receive)
                await response(scope, receive, send)
            else:
                await routed(scope, receive, send)

        return app if token is None else RequireToken(app, token)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(self._load_model())
        yield
        await loading
        self.pool.close()
        self.large_pool.close()
        self.sequence_pool.close()
        self.batcher.close()

    async def _load_model(self) -> None:
        try:
            self.predictor = await self.pool.run(self.load)
        except Exception as error:
            self.failure = error
            self.on_failure()

    def _classify(self, faces: list[np.ndarray]) -> np.ndarray:
        return self._get_predictor().predict_all(faces, batch_size=BATCH_SIZE, flip=self.flip)

    def _get_predictor(self) -> Predictor:
        if self.predictor is None:
            raise RequestError(503, "the model is being loaded: try again in a moment")
        return self.predictor

    async def _ping(self, _: Request) -> Response:
        return Response(status_code=503 if self.predictor is None else 200)

    async def _get_metrics(self, _: Request) -> Response:
        return Response(self.metrics.render(), media_type=CONTENT_TYPE_LATEST)

    async def _invoke(self, request: Request) -> Response:
        return await self._handle_invocation(request.scope, request.receive)

    async def _handle_invocation(self, scope: Scope, receive: Receive) -> Response:
        start = time.perf_counter()
        response = await self._build_response(scope, receive)
        self.metrics.seconds.observe(time.perf_counter() - start)
        self.metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def _build_response(self, scope: Scope, receive: Receive) -> Response:
        share = self.bodies.open()
        try:
            answer = Answer(await self._answer(scope, receive, share), share)
        except BaseException as error:
            share.close()
            return self._refuse(error)
        share.shrink(len(answer.body))
        return answer

    def _refuse(self, error: BaseException) -> Response:
        """Return what a client hears of an error. Raises the error where it is none that concerns the client."""
        if isinstance(error, asyncio.CancelledError):
            # Nothing cancels a request but the server's end, see fer/serving/stopping.py.
            error = RequestError(503, "the server is being stopped: ask again in a moment")
        if isinstance(error, RequestError):
            # The model's log is where users of a batch job learn what was wrong.
            log.warning("%d: %s", error.status, error)
            headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else {}
            return JSONResponse({"error": str(error)}, error.status, headers)
        if isinstance(error, ClientDisconnect):
            return Response(status_code=499)  # for the counts; nobody receives it
        if not isinstance(error, Exception):
            raise error
        log.error("500: classification failed", exc_info=error)
        return JSONResponse({"error": "classification failed: the server's log says why"}, 500)

    async def _answer(self, scope: Scope, receive: Receive, share: Share) -> str:
        """Return the JSON Lines for a request. Raises RequestError, and ClientDisconnect where the client is gone."""
        self._get_predictor()
        headers = Headers(scope=scope)
        content_type = headers.get("content-type", "")
        kind = parse_content_type(content_type)
        run = parse_frame_run(content_type, kind)
        check_size(int(headers.get("content-length", 0)), self.bodies.largest)
        body = await read_body(receive, share)
        work = self._classify_picture(body) if kind == "image" else self._classify_archive(body, run)
        return await run_while_connected(scope["state"][STATE_KEY], work)

    async def _classify_picture(self, body: bytes) -> str:
        """Return the line of JSON for the only picture of a request. Raises RequestError."""
        (image,) = parse_images(body, "image")
        try:
            async with self.faces.reserve(1):
                answers = await self.pool.run_first(self._submit_picture, image, BATCH_PIXELS)
        except _LargePictureError:
            answers = await self.large_pool.run_first(self._submit_picture, image, MAX_REQUEST_PIXELS)
        return self._format_answers([image], [None], answers)

    def _submit_picture(self, image: EncodedImage, most_pixels: int, answer: asyncio.Future[np.ndarray]) -> None:
        """Decode a picture in a thread of its pool, and have it classified without a turn of the event loop between.

        Raises RequestError, and _LargePictureError where it has more pixels than may be decoded here.
        """
        images = measure_images([image])
        if images[0].cost > most_pixels:
            raise _LargePictureError
        (face,) = decode_faces(images, self._get_predictor().description.faces)
        self._count([face])
        if isinstance(face, RequestError):
            raise face
        self.batcher.submit_for(answer, [face])

    async def _classify_archive(self, body: bytes, run: FrameRun | None) -> str:
        """Return the JSON Lines for the pictures of an archive. Raises RequestError."""
        images = await self.pool.run(_parse_archive, body)
        for start in range(MEASURED_IMAGES, len(images), MEASURED_IMAGES):
            part = slice(start, start + MEASURED_IMAGES)
            images[part] = await self.pool.run(measure_images, images[part])
        check_cost(images)
        if run is not None:
            return await self._classify_frame_run(images, run)
        in_flight = asyncio.Semaphore(MAX_CHUNKS_IN_FLIGHT)

        async def classify_in_turn(chunk: list[EncodedImage]) -> str:
            if sum(image.cost for image in chunk) > BATCH_PIXELS:
                # It may wait for long, and must not hold what small ones need.
                async with in_flight:
                    return await self._classify_chunk(chunk, self.large_pool)
            async with in_flight, self.faces.reserve(len(chunk)):
                return await self._classify_chunk(chunk, self.pool)

        chunks = split_by_cost(images, BATCH_SIZE, BATCH_PIXELS)
        return "".join(await asyncio.gather(*map(classify_in_turn, chunks)))

    async def _classify_frame_run(self, images: list[EncodedImage], run: FrameRun) -> str:
        """Return the JSON Lines for frames that follow each other. Raises RequestError."""
        predictor = check_frame_run(self._get_predictor(), images)
        async with self.faces.reserve(len(images)):
            faces: list[np.ndarray | RequestError] = []
            for chunk in split_by_cost(images, BATCH_SIZE, BATCH_PIXELS):
                pool = self.large_pool if sum(image.cost for image in chunk) > BATCH_PIXELS else self.pool
                faces += await pool.run(decode_faces, chunk, predictor.description.faces)
            self._count(faces)
            return await self.sequence_pool.run(answer_frame_run, predictor, run, images, faces, self.flip)

    def _count(self, faces: Sequence[np.ndarray | RequestError]) -> None:
        bad = sum(isinstance(face, RequestError) for face in faces)
        self.metrics.images.inc(len(faces) - bad)
        self.metrics.bad_images.inc(bad)

    async def _classify_chunk(self, images: list[EncodedImage], pool: Workers) -> str:
        faces = await pool.run(decode_faces, images, self._get_predictor().description.faces)
        self._count(faces)
        good = [face for face in faces if not isinstance(face, RequestError)]
        answers = await self.batcher.submit(good) if good else np.empty((0, 0))
        return self._format_answers(images, faces, answers)

    def _format_answers(
        self, images: Sequence[EncodedImage], faces: Sequence[np.ndarray | RequestError | None], answers: np.ndarray
    ) -> str:
        description = self._get_predictor().description
        return to_json_lines(images, faces, answers, description.classes, description.confidence_rule)


class _LargePictureError(Exception):
    """A picture takes too long to be decoded among others."""


def _parse_archive(body: bytes) -> list[EncodedImage]:
    """Return the images of an archive, the first of them measured: most have no others. Raises RequestError."""
    images = parse_images(body, "shard")
    return [*measure_images(images[:MEASURED_IMAGES]), *images[MEASURED_IMAGES:]]
