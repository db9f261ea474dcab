"""Tasks of the example *parallel checks with a barrier*: three looks at one text, one verdict."""

from __future__ import annotations

import re
from typing import Any

from engine import task


@task(name="demo.take_text")
def take_text(text: str) -> dict[str, Any]:
    """Take the text to check and split it into sentences.

    Args:
        text: The text to check.
    """
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    if not sentences:
        raise ValueError("the text is empty: there is nothing to check")
    return {"text": text, "sentences": sentences}


@task(name="demo.check_length")
def check_length(sentences: list[str], longest: int = 25) -> dict[str, Any]:
    """Find sentences with too many words.

    Args:
        sentences: The sentences to look at.
        longest: Words a sentence may have.
    """
    long = [sentence for sentence in sentences if len(sentence.split()) > longest]
    return {"check": "length", "passed": not long, "findings": long}


@task(name="demo.check_repetition")
def check_repetition(text: str) -> dict[str, Any]:
    """Find words that stand twice in a row.

    Args:
        text: The text to look at.
    """
    found = [match.group(1) for match in re.finditer(r"\b(\w+)\s+\1\b", text, re.IGNORECASE)]
    return {"check": "repetition", "passed": not found, "findings": found}


@task(name="demo.check_numbers")
def check_numbers(text: str) -> dict[str, Any]:
    """Find percentages above 100.

    Args:
        text: The text to look at.
    """
    found = [match.group(0) for match in re.finditer(r"(\d+(?:\.\d+)?)\s?%", text) if float(match.group(1)) > 100]
    return {"check": "numbers", "passed": not found, "findings": found}


@task(name="demo.verdict")
def verdict(length: dict[str, Any], repetition: dict[str, Any], numbers: dict[str, Any]) -> dict[str, Any]:
    """Put the findings of the checks together.

    Args:
        length: What the check of the length found.
        repetition: What the check for repeated words found.
        numbers: What the check of the numbers found.
    """
    checks = [length, repetition, numbers]
    return {
        "passed": all(check["passed"] for check in checks),
        "findings": {check["check"]: check["findings"] for check in checks if check["findings"]},
    }
