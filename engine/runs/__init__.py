"""Remembers runs so that any process can continue them: the engine's only Django models (app label `engine`).

Other rooms come in through `engine.runs.api`; workers also through `ledger` and `leases`.
"""
