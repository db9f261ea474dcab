"""The application Daphne serves: pages and API over HTTP, live updates over sockets."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "graflow_site.settings")
pages = get_asgi_application()  # sets Django up; what follows imports models

from engine.live.routing import application as sockets  # noqa: E402

application = ProtocolTypeRouter({"http": pages, "websocket": sockets})
