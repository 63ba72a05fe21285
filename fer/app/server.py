"""The dashboard's web server: Streamlit's, with the settings that keep it to itself."""

import importlib
import logging
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from fer.app.dashboard import open_dashboard
from fer.app.origin import OriginGuard, list_names
from fer.app.settings import Settings
from fer.app.workspaces import GONE_AFTER_S
from fer.errors import UserError

SCRIPT = Path(__file__).parent / "entry" / "start.py"
# Seconds that open connections have to end.
STOP_TIMEOUT_S = 3


def build_options(settings: Settings, host: str, port: int) -> dict[str, object]:
    """Streamlit's options, which come before those of a config.toml of the user or of the current directory."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.maxUploadSize": settings.max_upload_mb,
        "server.disconnectedSessionTTL": GONE_AFTER_S,
        # A page of another site may neither connect nor upload.
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        # Nothing is reported to Streamlit's makers.
        "browser.gatherUsageStats": False,
        # What goes wrong is in the log; a visitor sees no code and no path.
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "global.developmentMode": False,
        # The blue of the reports; one theme for both would leave no dark one.
        **{f"theme.{theme}.paddingTop": "2rem" for theme in ("light", "dark")},
        "theme.light.primaryColor": "#2b6cb0",
        "theme.dark.primaryColor": "#4a90d9",
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


def serve(settings: Settings, host: str, port: int, public_hosts: Sequence[str] = ()) -> None:
    """Serve the dashboard until a signal ends it; its runs end then, and the files of its visitors are deleted.

    Args:
        settings: What it shows and allows.
        host: The address to listen on.
        port: The port; 0 takes one that is free.
        public_hosts: Names by which visitors come through a proxy.

    Raises:
        UserError: The address cannot be listened on.
    """
    with create_listener(host, port) as listener:
        import uvicorn
        from starlette.middleware import Middleware
        from streamlit import runtime
        from streamlit.starlette import App
        from streamlit.web.bootstrap import load_config_options

        def is_connected(visit: str) -> bool:
            return runtime.exists() and runtime.get_instance().is_active_session(visit)

        bound = listener.getsockname()[1]
        load_config_options(build_options(settings, host, bound))
        # Before there is a server, Streamlit warns of every function that keeps what it has read.
        logging.getLogger("streamlit.runtime.caching.cache_data_api").setLevel(logging.ERROR)
        # All that the pages import is here when the first visitor comes.
        importlib.import_module("fer.app.pages.navigation")
        guard = Middleware(OriginGuard, names=list_names(host, public_hosts))
        config = uvicorn.Config(
            App(SCRIPT, middleware=[guard]),
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
