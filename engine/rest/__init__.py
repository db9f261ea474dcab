"""Speaks HTTP: the REST API under `/api/v1/` and the health pages.

Views parse, call one function of `engine.runs.api` and render. No rule about workflows or people lives here.
"""
