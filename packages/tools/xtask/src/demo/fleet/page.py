"""One page of a registry as a picture, signed in with a token. Started by `cargo xtask demo --fleet --screenshot`."""

import argparse
import os
import pathlib

from playwright.sync_api import expect, sync_playwright

# Chromium looks up hosts of its maker where it is not told otherwise.
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token-file", required=True, type=pathlib.Path)
    parser.add_argument("pictures", nargs="+", metavar="PATH=PICTURE", help="a page's path, and the file for its picture")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        # Root may not use Chromium's own sandbox; it visits nothing but this registry.
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=QUIET, chromium_sandbox=os.geteuid() != 0)
        # The certificate is signed by an authority that this run has made, and that no browser knows.
        page = browser.new_page(base_url=arguments.url, ignore_https_errors=True, viewport={"width": 1280, "height": 800}, device_scale_factor=1.5)
        page.goto("/")
        page.get_by_label("Token").fill(arguments.token_file.read_text().strip())
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        for wanted in arguments.pictures:
            path, _, picture = wanted.partition("=")
            answer = page.goto(path)
            assert answer.ok, f"{path}: {answer.status}"
            page.screenshot(path=picture, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
