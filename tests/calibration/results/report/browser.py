"""What a reader sees of a page, and what Chromium makes of it."""

import html
import re
import shutil
import subprocess

import pytest

#: A name that is no markup.
NASTY = '"><script>alert(1)</script>&amp;'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip


def words(page):
    """What a reader sees, without the markup."""
    body = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def browse(page, folder):
    """What Chromium makes of a page: its document after the scripts, and what the console said."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian package chromium)")
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def width_in_a_window(page, width, folder):
    """The width of a page in a window of a width."""
    frame = f"""<!doctype html><iframe width="{width}" height="800" srcdoc="{html.escape(page)}"
        onload="document.body.dataset.wide = this.contentDocument.documentElement.scrollWidth;
                document.body.dataset.shown = this.contentWindow.innerWidth"></iframe>"""
    document, complaints = browse(frame, folder)
    assert complaints == []
    assert f'data-shown="{width}"' in document
    return int(re.search(r'data-wide="(\d+)"', document)[1])


def told(page, script, folder):
    """Run a script at the end of a page, which leaves what it saw in ``data-told`` of the body."""
    document, complaints = browse(
        page.replace("</body>", f"<script>{script}</script></body>"), folder
    )
    assert complaints == []
    return html.unescape(re.search(r'data-told="(.*?)"', document)[1])
