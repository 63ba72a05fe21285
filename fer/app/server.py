"""The dashboard's web server: Streamlit's, with the settings that keep it to itself."""

import logging
import os
import signal
import socket
from pathlib import Path

from fer.app.dashboard import open_dashboard
from fer.app.settings import Settings
from fer.app.workspaces import GONE_AFTER_S
from fer.errors import UserError

SCRIPT = Path(__file__).parent / "entry" / "start.py"
# Seconds that open connections have to end.
STOP_TIMEOUT_S = 3


def build_streamlit_environment(settings: Settings, host: str, port: int) -> dict[str, str]:
    """The variables by which Streamlit takes its options; they come before a visitor's or a directory's config.toml."""
    return {
        "STREAMLIT_SERVER_ADDRESS": host,
        "STREAMLIT_SERVER_PORT": str(port),
        "STREAMLIT_SERVER_HEADLESS": "true",
        "STREAMLIT_SERVER_MAX_UPLOAD_SIZE": str(settings.max_upload_mb),
        "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": str(GONE_AFTER_S),
        # A page of another site may neither connect nor upload.
        "STREAMLIT_SERVER_ENABLE_CORS": "true",
        "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "true",
        "STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "false",
        "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none",
        "STREAMLIT_SERVER_RUN_ON_SAVE": "false",
        # Nothing is reported to Streamlit's makers.
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        # What goes wrong is in the log; a visitor sees no code and no path.
        "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "none",
        "STREAMLIT_CLIENT_TOOLBAR_MODE": "minimal",
        "STREAMLIT_GLOBAL_DEVELOPMENT_MODE": "false",
        "STREAMLIT_LOGGER_HIDE_WELCOME_MESSAGE": "true",
    }


def create_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes one that is free. Raises UserError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port} ({error}); choose others with --host and --port"
        ) from None


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve the dashboard until a signal ends it; its runs end then, and the files of its visitors are deleted.

    Args:
        settings: What it shows and allows.
        host: The address to listen on.
        port: The port; 0 takes one that is free.

    Raises:
        UserError: The address cannot be listened on.
    """
    with create_listener(host, port) as listener:
        bound = listener.getsockname()[1]
        # Before its import: then it reads them.
        os.environ.update(build_streamlit_environment(settings, host, bound))
        import uvicorn
        from streamlit import runtime
        from streamlit.starlette import App

        def is_connected(visit: str) -> bool:
            return runtime.exists() and runtime.get_instance().is_active_session(visit)

        config = uvicorn.Config(
            App(SCRIPT),
            ws="websockets-sansio",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        server = uvicorn.Server(config)

        def stop(*_: object) -> None:
            server.should_exit = True

        # uvicorn raises the signal again once it has stopped; that must not end the process before it has cleaned up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        with open_dashboard(settings, is_connected):
            shown = f"[{host}]" if ":" in host else host
            print(f"Dashboard of {settings.outputs} on http://{shown}:{bound}", flush=True)
            server.run(sockets=[listener])
