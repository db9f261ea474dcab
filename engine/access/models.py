"""Tokens, the audit chain and the one-time setup link. Secrets are stored as hashes only."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A person's key for the REST API and sockets. `digest` is the SHA-256 of a key shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    label = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, help_text="The first characters of the key, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.label} ({self.prefix}…)"


class SetupToken(models.Model):
    """The one-time right to create the first administrator. At most one row exists."""

    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"setup link until {self.expires_at:%H:%M}"


class AuditHead(models.Model):
    """The end of the audit chain: one row, locked by whoever appends, so that entries follow one another."""

    count = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")

    def __str__(self) -> str:
        return f"{self.count} entries"


class AuditEntry(models.Model):
    """Who did what to which object. Appended in the transaction of the deed, never changed.

    `id` counts without gaps. `actor` has no database constraint: an entry outlives the account it names.
    """

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=60, db_index=True)
    obj_type = models.CharField(max_length=40)
    obj_id = models.CharField(max_length=100)
    via = models.CharField(max_length=20)
    data = models.JSONField(default=dict)
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [models.Index(fields=["obj_type", "obj_id"], name="access_audit_object")]

    def __str__(self) -> str:
        return f"{self.id}: {self.actor_name} {self.action} {self.obj_type} {self.obj_id}"
