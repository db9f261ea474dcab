"""A task that no worker was told to import."""

from engine import task


@task
def unknown_there():
    return 1
