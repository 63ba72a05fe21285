"""`python -m fer.serving --model DIR`: a model behind HTTP, for one machine, SageMaker and other container services."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from fer.bundle.verification import load_verified_predictor
from fer.core.extras import SERVER_PACKAGES, require_packages
from fer.core.installation import format_documentation, get_program_name
from fer.core.token_file import read_token
from fer.core.visible import log_visibly, make_visible
from fer.errors import UserError
from fer.serving.settings import Settings, load_settings

PROGRAM = "python -m fer.serving"


def main() -> int:
    """Serve until a signal ends it; returns the exit code."""
    log_visibly()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load_settings(os.environ)
        serve(settings, _parse_args(settings))
    except UserError as error:
        print(make_visible(f"{get_program_name(PROGRAM)}: {error}"), file=sys.stderr)
        return error.exit_code
    return 0


def _parse_args(settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=get_program_name(PROGRAM), description=format_documentation(__doc__))
    # SageMaker starts every container with this argument.
    parser.add_argument("command", nargs="?", choices=["serve"], default="serve", help=argparse.SUPPRESS)
    parser.add_argument(
        "--model", default=settings.model, help="an unpacked package, a bundle, a run, `latest` or `pretrained`"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every one")
    parser.add_argument("--port", type=int, default=settings.port, help="0 takes one that is free")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="answer only who sends the token in this file, except to /ping"
    )
    parser.add_argument("--attached", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def serve(settings: Settings, args: argparse.Namespace) -> None:
    """Serve until a signal ends it.

    Args:
        settings: What the environment says.
        args: The command line: model, host, port, token_file, attached.

    Raises:
        UserError: A package is missing, the token file is of no use, the address cannot be listened on, or the model
            cannot be loaded.
    """
    require_packages(*SERVER_PACKAGES)
    if settings.runtime == "openvino":
        require_packages("openvino", purpose="FER_RUNTIME=openvino")
    from fer.serving.app import Service
    from fer.serving.stopping import BoundedServer

    token = None if args.token_file is None else read_token(args.token_file)
    with _create_listener(args.host, args.port) as listener:
        service = Service(
            load=lambda: load_verified_predictor(args.model, settings.threads, settings.runtime),
            flip=settings.flip,
            on_failure=lambda: stop(),
            max_bytes=settings.max_body_mb << 20,
        )
        server = BoundedServer(service.build_app(token), settings.stop_s)

        def stop(*_: object) -> None:
            server.should_exit = True

        # uvicorn raises the signal again once it has stopped; that must not end the process with an error.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if args.attached:
            threading.Thread(target=_stop_at_eof, args=(sys.stdin.fileno(), stop), daemon=True).start()
        print(f"Serving {args.model} on http://{_format_address(listener)}", flush=True)
        server.run(sockets=[listener])
    if service.failure is not None:
        raise service.failure


def _stop_at_eof(descriptor: int, stop: Callable[[], None]) -> None:
    """Stop when the pipe on standard input ends: its writer has ended or was killed."""
    # Read past Python's buffer: its lock, held by this thread, would be a fatal error when the process ends.
    while os.read(descriptor, 1):
        pass
    stop()


def _create_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises UserError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
        # Inherited by connections. Without it an answer's body waits 40 ms for the client to acknowledge the headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port} ({error}); choose others with --host and --port"
        ) from None


def _format_address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
