"""Speaks sockets: tells browsers that something happened.

Messages between processes are hints ("run X has reached seq 42") and may be lost at will; what a browser gets
is read from the database, in order and without gaps.
"""
