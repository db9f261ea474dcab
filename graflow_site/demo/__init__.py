"""Example workflows that ship with the site, and the tasks they are made of."""

from graflow_site.demo import checks, drafting, numbers, sources

__all__ = ["checks", "drafting", "numbers", "sources"]
