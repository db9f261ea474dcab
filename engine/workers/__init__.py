"""Turns a job into one attempt: claim, carry out, record. Celery is the wire, the database the truth."""
