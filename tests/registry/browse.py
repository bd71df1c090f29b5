"""The registry's pages in headless Chromium, as people use them. Started by `tests/page/chromium.rs` of the registry, which serves
one busy floor under the development profile (--open) and with tokens (--guarded).

Everything that the browser complains about fails it: a script or a style that the pages' policy stops, a file that is missing."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import urllib.request

from playwright.sync_api import expect, sync_playwright

# Chromium looks up hosts of its maker where it is not told otherwise.
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

# Another site for the browser, and on this computer as well: what is elsewhere it would stop by itself.
STRANGER = "http://localhost:9/"


class Visitor:
    """A page that remembers what the browser complained about."""

    def __init__(self, browser, base, screenshots, **options):
        self.context = browser.new_context(base_url=base, viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.base, self.screenshots, self.complaints = base, screenshots, []
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.own(request.url))

    def own(self, url):
        if not url.startswith(self.base + "/"):
            self.complaints.append(f"asks a stranger: {url}")

    def shot(self, name):
        if self.screenshots:
            self.page.screenshot(path=str(self.screenshots / f"{name}.png"), full_page=True)

    def end(self):
        assert self.complaints == [], self.complaints
        self.context.close()


def post(base, path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def get(base, path):
    with urllib.request.urlopen(base + path, timeout=30) as answer:
        return json.load(answer)


def look_around(browser, arguments):
    """Every page shows what it is for, and what is drawn lies within its drawing."""
    visitor = Visitor(browser, arguments.open, arguments.screenshots)
    page = visitor.page
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Artifacts")
    expect(page.locator("tbody tr")).to_have_count(4)
    visitor.shot("artifacts")
    page.get_by_role("link", name="cooperative_assembly 1.1.0").click()
    expect(page.locator("svg .node")).to_have_count(3)
    drawing = page.locator(".graph svg").bounding_box()
    for node in page.locator("svg .node").all():
        box = node.bounding_box()
        assert drawing["x"] <= box["x"] and box["x"] + box["width"] <= drawing["x"] + drawing["width"]
        assert drawing["y"] <= box["y"] and box["y"] + box["height"] <= drawing["y"] + drawing["height"]
        for text in node.locator("text").all():
            inner = text.bounding_box()
            assert inner["x"] + inner["width"] <= box["x"] + box["width"], "a name is wider than its box"
    visitor.shot("artifact")
    page.locator("svg a", has_text="1.2.0").click()
    expect(page.locator(".notice.critical")).to_contain_text("two safety stops in the canary")
    visitor.shot("quarantined")
    page.get_by_role("link", name="Roll-outs").click()
    page.locator("tbody th a").first.click()
    expect(page.locator(".stages li.now")).to_contain_text("canary")
    visitor.shot("rollout")
    page.goto("/approvals")
    expect(page.locator(".empty")).to_be_visible()
    page.goto("/rollback?site=cell-a")
    visitor.shot("choose")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    visitor.end()


def cells_change_in_place(browser, arguments):
    """What a cell reports shows without loading the page again; the page that was open is still the same one."""
    visitor = Visitor(browser, arguments.open, arguments.screenshots)
    page = visitor.page
    page.goto("/cells")
    expect(page.locator("tbody tr")).to_have_count(3)
    visitor.shot("cells")
    page.evaluate("window.same = true")
    report = get(arguments.open, "/api/v1/cells/cell-a")["report"]
    report |= {"sequence": report["sequence"] + 1, "troubles": ["the gripper does not answer"]}
    post(arguments.open, "/api/v1/cells/cell-a/report", report)
    expect(page.locator("tbody")).to_contain_text("the gripper does not answer", timeout=30_000)
    assert page.evaluate("window.same") is True
    visitor.end()


def without_scripts(browser, arguments):
    """Nothing needs a script: a cell is rolled back, with a reason."""
    visitor = Visitor(browser, arguments.open, arguments.screenshots, java_script_enabled=False)
    page = visitor.page
    page.goto("/cells")
    page.get_by_role("row", name="cell-a").get_by_role("link", name="Roll back").click()
    page.get_by_role("row", name="cooperative_assembly 1.0.0").get_by_role("link", name="Choose").click()
    visitor.shot("confirm")
    page.get_by_label("Why?").fill("it drops the peg")
    page.get_by_role("button", name="Roll back").click()
    expect(page).to_have_url(arguments.open + "/cells/cell-a")
    expect(page.locator("tbody tr").first).to_contain_text("it drops the peg")
    visitor.shot("cell")
    visitor.end()


def sign_in_and_quarantine(browser, arguments):
    """A stranger signs in, comes back to where they were, withdraws an artifact and signs out."""
    visitor = Visitor(browser, arguments.guarded, arguments.screenshots)
    page = visitor.page
    place = f"/artifacts/{arguments.good}"
    page.goto(place)
    visitor.shot("sign_in")
    page.get_by_label("Token").fill(arguments.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(arguments.guarded + place)
    [cookie] = visitor.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict", cookie
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("link", name="Quarantine").click()
    # The browser itself asks for the reason.
    page.get_by_role("button", name="Quarantine it").click()
    expect(page).to_have_url(f"{arguments.guarded}{place}/quarantine")
    page.get_by_label("Why?").fill("it drops the peg")
    visitor.shot("quarantine")
    page.get_by_role("button", name="Quarantine it").click()
    expect(page.locator(".notice.critical")).to_contain_text("by ada")
    with page.expect_download() as download:
        page.get_by_role("link", name="Signature").click()
    assert download.value.failure() is None
    page.get_by_role("button", name="Sign out").click()
    page.goto(place)
    expect(page.get_by_label("Token")).to_be_visible()
    visitor.end()


def a_strangers_page_gets_nowhere(browser, arguments):
    """A page elsewhere that sends a form here has nothing done."""
    visitor = Visitor(browser, arguments.open, None)
    page = visitor.page
    page.goto("/")
    place = f"{arguments.open}/artifacts/{arguments.good}/release"
    page.context.route(STRANGER, lambda route: route.fulfill(content_type="text/html", body=f"""
        <form method=post action="{place}"><input name=form_key value=x><input name=reason value=forged></form>"""))
    page.goto(STRANGER)
    page.evaluate("document.forms[0].submit()")
    expect(page.locator("[role=alert]")).to_contain_text("nothing was done")
    visitor.context.close()


def narrow_and_dark(browser, arguments):
    visitor = Visitor(browser, arguments.open, arguments.screenshots, color_scheme="dark")
    visitor.page.set_viewport_size({"width": 390, "height": 800})
    for name in ("", "cells", "rollouts", f"artifacts/{arguments.good}"):
        visitor.page.goto(f"/{name}")
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        visitor.shot(f"narrow_{name.partition('/')[0] or 'artifacts'}")
    visitor.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--open", "--guarded"):
        parser.add_argument(name, required=True, type=lambda address: f"http://{address}")
    for name in ("--token", "--good", "--bad"):
        parser.add_argument(name, required=True)
    parser.add_argument("--screenshots", type=pathlib.Path, default=os.environ.get("SWARM_SCREENSHOTS"))
    arguments = parser.parse_args()
    if arguments.screenshots:
        arguments.screenshots = pathlib.Path(arguments.screenshots)
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = os.environ.get("SWARM_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        sys.exit(f"none of {', '.join(names)} is installed; SWARM_CHROMIUM may name another browser of the family")
    with sync_playwright() as playwright:
        # Root may not use Chromium's own sandbox; it visits nothing but this test's servers.
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET, chromium_sandbox=os.geteuid() != 0)
        for step in (look_around, cells_change_in_place, without_scripts, narrow_and_dark, sign_in_and_quarantine, a_strangers_page_gets_nowhere):
            print(step.__name__, flush=True)
            step(browser, arguments)
        browser.close()


if __name__ == "__main__":
    main()
