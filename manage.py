#!/usr/bin/env python
"""Django's command line for this site. `python manage.py up` starts everything."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from graflow_site import launcher


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "graflow_site.settings")
    if sys.argv[1:2] == ["up"]:
        # The launcher needs no Django, and loading it would cost every start a second or two.
        sys.exit(launcher.main(sys.argv[2:]))
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as wrong:
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(f"{wrong}\n")  # it names the setting, its value and what was expected; code tells no more
        sys.exit(os.EX_CONFIG)


if __name__ == "__main__":
    main()
