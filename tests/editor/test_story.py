"""The first five minutes: draw a workflow that goes round, run it, reject once, approve once, see it succeed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack

PASSWORD = "quiet-otters-count-stars"
SHOTS = Path(__file__).resolve().parents[2] / "screenshots"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def signed_in(stack: Stack, browser: Browser, browser_context_args: dict[str, Any]) -> Callable[..., Page]:
    """`signed_in(theme)`: a page of somebody who may do everything but administer."""
    name = f"ada-{os.urandom(3).hex()}"
    roles = "designer,operator,reviewer"
    stack.manage("create_account", name, "--roles", roles, "--password-stdin", text=PASSWORD)

    def sign_in(theme: str = "light") -> Page:
        page = browser.new_context(**browser_context_args, color_scheme=theme, base_url=stack.base_url).new_page()
        page.complaints = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.complaints.append(str(error)))  # type: ignore[attr-defined]
        page.on(
            "console",
            lambda line: page.complaints.append(line.text) if line.type == "error" else None,  # type: ignore[attr-defined]
        )
        page.goto("/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/login/" not in url)  # and until it is loaded: keys are pressed next
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        return page

    return sign_in


def node(page: Page, task_id: str, **attributes: str) -> Any:
    """The drawn task, in the state the attributes name."""
    wanted = "".join(f"[data-{name}='{value}']" for name, value in attributes.items())
    return page.locator(f"[data-testid=task-node][data-task-id='{task_id}']{wanted}")


def open_example(page: Page) -> str:
    """The page of the example; returns its address."""
    page.get_by_role("link", name="Workflows").first.click()
    page.get_by_role("link", name="Draft and review").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Draft and review")
    return page.url


def add_a_step(page: Page) -> None:
    """Count the words of the draft before it is reviewed: a step after "Write draft", by keyboard."""
    page.get_by_role("link", name="Edit").first.click()
    page.wait_for_url("**/edit/")
    node(page, "publish").click()
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Add a step").fill("count words")
    page.keyboard.press("Enter")
    expect(node(page, "count_words")).to_be_visible()
    settings = page.get_by_role("complementary", name="Settings")
    settings.get_by_role("button", name=re.compile("Use an expression for text", re.IGNORECASE)).click()
    settings.get_by_label(re.compile("^text", re.IGNORECASE)).last.fill("draft.text")
    expect(page.get_by_test_id("save-state")).to_have_text("Saved", timeout=10_000)


def publish_and_run(page: Page) -> str:
    """Publish the draft with a note and start a run; returns the run's address."""
    page.get_by_role("button", name="Publish", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What is new").fill("Counts the words")
    dialog.get_by_role("button", name="Publish version").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Run", exact=True).click()
    dialog.get_by_label("Topic").fill("otters")
    dialog.get_by_role("button", name=re.compile("^(Publish and start|Start run)$")).click()
    page.wait_for_url("**/runs/*/")
    return page.url


def test_the_first_five_minutes(stack: Stack, signed_in: Callable[..., Page]):
    page = signed_in()
    open_example(page)
    add_a_step(page)
    publish_and_run(page)

    expect(node(page, "review", status="feedback_required", iteration="1")).to_be_visible(timeout=15_000)
    expect(page.get_by_test_id("run-status")).to_contain_text("Waiting")
    expect(page.get_by_test_id("inbox-count").first).to_have_text(re.compile(r"[1-9]"))
    page.evaluate("window.untouched = true")  # a reload would lose it

    reviewer = page.context.new_page()
    reviewer.goto("/inbox/")
    item = reviewer.get_by_test_id("inbox-item").filter(has_text="Otters").first
    item.click()
    reviewer.get_by_label("Reason").fill("Shorter, please")
    reviewer.get_by_role("button", name="Reject", exact=True).click()

    expect(node(page, "review", status="feedback_required", iteration="2")).to_be_visible(timeout=15_000)
    expect(node(page, "draft", iteration="2")).to_be_visible()
    expect(page.get_by_test_id("event-row").filter(has_text="Shorter, please").first).to_be_visible()

    reviewer.get_by_test_id("inbox-item").filter(has_text="Otters").first.click()
    expect(reviewer.get_by_text("iteration 2").first).to_be_visible()
    reviewer.get_by_role("button", name="Approve", exact=True).click()

    expect(page.get_by_test_id("run-status")).to_contain_text("Succeeded", timeout=15_000)
    expect(node(page, "count_words", status="completed")).to_be_visible()
    assert page.evaluate("window.untouched") is True

    node(page, "publish").click()
    page.get_by_role("button", name="Retry from here").click()
    first = page.url.partition("?")[0]
    page.get_by_role("dialog", name=re.compile("Retry from “Publish”")).get_by_role("button", name="Retry").click()
    page.wait_for_url(lambda url: "/runs/" in url and not url.startswith(first))
    expect(page.get_by_test_id("run-status")).to_contain_text("Succeeded", timeout=15_000)  # the loop had ended
    assert not page.complaints, page.complaints  # type: ignore[attr-defined]


def addresses(stack: Stack, page: Page) -> dict[str, str]:
    """One address per page, of a run that waits for a person."""
    token = stack.token(f"bot-{os.urandom(3).hex()}", "operator", "viewer")
    body = {"workflow": "draft-and-review", "inputs": {"topic": "pictures"}}
    run = stack.call("POST", "/api/v1/runs/", body, token=token).body
    stack.wait_for(
        lambda: stack.call("GET", f"/api/v1/runs/{run['id']}/status/", token=token).body["status"] == "waiting",
        "a question",
    )
    item = stack.call("GET", f"/api/v1/feedback/?run={run['id']}", token=token).body["results"][0]
    workflow = f"/workflows/{run['workflow']}/"
    daily = {"cron": "30 7 * * *", "inputs": {"topic": "clocks"}}
    for what, made in (("schedules", daily), ("triggers", {"name": "The shop"})):
        stack.call("POST", f"/api/v1{workflow}{what}/", made, token=token, Idempotency_Key="pictures")
    return {
        "home": "/", "workflows": "/workflows/", "new": "/workflows/new/", "workflow": workflow,
        "editor": f"{workflow}edit/", "runs": "/runs/", "run": f"/runs/{run['id']}/",
        "task": f"/runs/{run['id']}/?task=draft", "inbox": "/inbox/", "item": f"/inbox/{item['id']}/",
        "monitor": "/monitor/", "profile": "/profile/",
    }  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_has_its_picture_taken(stack: Stack, signed_in: Callable[..., Page], theme: str):
    page = signed_in(theme)
    SHOTS.mkdir(exist_ok=True)
    found: list[str] = []
    for name, address in addresses(stack, page).items():
        page.goto(address)
        expect(page.locator("main")).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=SHOTS / f"{stack.mode}-{name}-{theme}.png")
        for violation in Axe().run(page).response["violations"]:
            where = [one["target"] for one in violation["nodes"]][:3]
            found.append(f"{name}: {violation['id']}: {violation['help']} at {where}")
    assert not found, "\n".join(found)
    assert not page.complaints, page.complaints  # type: ignore[attr-defined]


def test_a_phone_shows_pages_without_sideways_scrolling(stack: Stack, signed_in: Callable[..., Page]):
    page = signed_in()
    page.set_viewport_size({"width": 360, "height": 740})
    SHOTS.mkdir(exist_ok=True)
    wide = []
    for name, address in addresses(stack, page).items():
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=SHOTS / f"{stack.mode}-{name}-phone.png")
        if page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(name)
    assert not wide


def typed(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def add_by_keyboard(page: Page, first: str, words: str, task_id: str) -> None:
    """A further step, by the quick add that key `first` opens."""
    typed(page, first)
    expect(page.get_by_role("combobox", name="Add a step")).to_be_focused()
    page.keyboard.type(words)
    offered = page.get_by_role("listbox").get_by_role("option", selected=True)  # the catalogue may still be on its way
    expect(offered).to_contain_text(re.compile(words, re.IGNORECASE))
    typed(page, "Enter")
    expect(node(page, task_id)).to_be_visible()


def test_a_loop_is_drawn_run_rejected_and_approved_by_keyboard_alone(stack: Stack, signed_in: Callable[..., Page]):
    page = signed_in()
    typed(page, "g", "w")
    page.wait_for_url("**/workflows/")
    page.goto("/workflows/new/")
    page.keyboard.type("By keyboard")
    typed(page, "Enter")
    page.wait_for_url("**/edit/")
    expect(page.get_by_text("Begin with a first step")).to_be_visible()

    add_by_keyboard(page, "/", "take text", "take_text")
    expect(page.get_by_test_id("problem")).to_contain_text("Nothing fills the parameter")
    typed(page, "Enter")  # to the settings: the parameter that nothing fills is the first thing there
    field = page.get_by_role("complementary", name="Settings").get_by_label(re.compile("^Text")).last
    expect(field).to_be_focused()
    page.keyboard.type("Otters float.")
    typed(page, "Escape")
    add_by_keyboard(page, "Tab", "approval", "approval")
    add_by_keyboard(page, "Tab", "count words", "count_words")
    typed(page, "ArrowLeft", "c", "ArrowLeft", "Enter")
    loop = page.get_by_role("dialog", name="This wire goes round")
    expect(loop.get_by_label("At most this many executions")).to_be_focused()
    typed(page, "2", "Enter")
    expect(loop).to_be_hidden()
    expect(page.get_by_test_id("save-state")).to_have_text("Saved", timeout=10_000)

    typed(page, "Control+Enter")
    expect(page.get_by_role("button", name="Publish and start")).to_be_focused()
    typed(page, "Enter")
    page.wait_for_url("**/runs/*/")
    expect(node(page, "approval", status="feedback_required")).to_be_visible(timeout=15_000)
    run = page.url

    typed(page, "g", "i")
    page.wait_for_url("**/inbox/")
    expect(page.get_by_text("goes back to “Take text”, iteration 2 of 2")).to_be_visible()
    typed(page, "r")
    page.keyboard.type("Once more")
    typed(page, "Control+Enter")
    expect(page.get_by_text("Rejected: Do you approve this?")).to_be_visible()
    page.goto(run)
    expect(node(page, "approval", status="feedback_required", iteration="2")).to_be_visible(timeout=15_000)
    typed(page, "g", "i")
    page.wait_for_url("**/inbox/")
    expect(page.get_by_text("all 2 iterations are used: the run ends as rejected")).to_be_visible()
    typed(page, "a")
    expect(page.get_by_text("Approved: Do you approve this?")).to_be_visible()
    page.goto(run)
    expect(page.get_by_test_id("run-status")).to_contain_text("Succeeded", timeout=15_000)
    assert not page.complaints, page.complaints  # type: ignore[attr-defined]
