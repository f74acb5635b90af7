"""The dashboard: the chat server, and the page that people meet their models on."""

from pathlib import Path

import obeaver
from obeaver.api.routes import dashboard_routes
from obeaver.app.application import Application
from obeaver.app.chat import chat_application
from obeaver.config import Settings
from obeaver.errors import CommandError
from obeaver.models.store import StoredModel
from obeaver.web.access import DEFAULT_OPEN_PATHS

OPEN_PATHS = (*DEFAULT_OPEN_PATHS, "/static/")
"""The page needs no key: it is the same for everybody, it tells nothing of this server, and it has to be there to ask
for the key that everything else needs."""


def dashboard_application(settings: Settings, *models: StoredModel) -> Application:
    """`obeaver dashboard`: the chat API and the page over it, over some models or none.

    Args:
        settings: What the server was told.
        models: Those to load at the start.

    Raises:
        CommandError: The files of the page are not there.
    """
    folder = page_folder()
    return chat_application(
        settings, *models, make_routes=lambda state: dashboard_routes(state, folder), open_paths=OPEN_PATHS
    )


def page_folder(package: Path = Path(obeaver.__file__).parent) -> Path:
    """The folder of the page: inside the package where it was installed, beside it in the project's own tree.

    Args:
        package: The folder of the package.

    Raises:
        CommandError: It is in neither place.
    """
    for folder in (package / "static", package.parent / "static"):
        if (folder / "index.html").is_file():
            return folder
    raise CommandError("the files of the page are missing: install obeaver anew, or use obeaver serve")
