"""Who may do what: roles, tokens, the first login and the audit log. Knows people, not workflows.

Other rooms ask `policy.can(user, action, obj)` and write `audit.write(...)`; they keep no rules of their own.
"""

from engine.access.actors import SYSTEM, Actor, SystemActor

__all__ = ["SYSTEM", "Actor", "SystemActor"]
