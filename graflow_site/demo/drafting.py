"""Tasks of the example *draft and review*: writing a short text, better each time it is sent back."""

from __future__ import annotations

import re
import textwrap
from typing import Any, Literal

from engine import task

_OPENINGS = {
    "plain": "{topic} in a few words.",
    "warm": "Let us talk about {topic}.",
    "formal": "The following note concerns {topic}.",
}
_POINTS = (
    "What it is: {topic} is best understood by looking at what it changes for the people who use it.",
    "Why it matters: whoever plans with {topic} in mind saves the second attempt.",
    "What to do next: pick one small case, try {topic} there, and write down what you learn.",
    "What to watch: {topic} costs attention before it pays back, so agree on a date to look again.",
)


@task(name="demo.write_draft", max_cycle=5)
def write_draft(
    topic: str, tone: Literal["plain", "warm", "formal"] = "plain", reason: str = "", data: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write a short draft, or a new version of it that answers a reviewer's reason.

    Args:
        topic: What the text is about.
        tone: How it should sound.
        reason: What a reviewer asked for; empty for the first version.
        data: The version that was sent back.
    """
    previous = data or {}
    version = int(previous.get("version", 0)) + 1
    points = [point.format(topic=topic) for point in _POINTS[: min(1 + version, len(_POINTS))]]
    if re.search(r"\bshort(er)?\b", reason, re.IGNORECASE):
        points = points[:1]
    answered = [*previous.get("answered", []), reason] if reason else list(previous.get("answered", []))
    title = topic.strip().capitalize()
    body = "\n\n".join([_OPENINGS[tone].format(topic=topic), *points])
    return {"title": title, "text": textwrap.dedent(body), "version": version, "answered": answered}


@task(name="demo.publish_text")
def publish_text(draft: dict[str, Any]) -> dict[str, Any]:
    """Turn an approved draft into its final form: a slug, a word count and a reading time.

    Args:
        draft: The approved draft: an object with `title` and `text`.
    """
    words = re.findall(r"\w+", draft["text"])
    slug = re.sub(r"[^a-z0-9]+", "-", draft["title"].lower()).strip("-") or "untitled"
    return {
        "slug": slug,
        "title": draft["title"],
        "words": len(words),
        "reading_seconds": round(len(words) / 3.5),
        "versions": draft.get("version", 1),
    }


@task(name="demo.count_words")
def count_words(text: str) -> dict[str, Any]:
    """Count the words and sentences of a text, and name its longest word.

    Args:
        text: Any text.
    """
    words = re.findall(r"\w+", text)
    sentences = [part for part in re.split(r"[.!?]+", text) if part.strip()]
    return {"text": text, "words": len(words), "sentences": len(sentences), "longest": max(words, key=len, default="")}
