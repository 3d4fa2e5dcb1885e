"""Take the README's picture: the first screen of a report, in a real browser.

python docs/picture.py reports/mini-demo/index.html docs/img/report.png
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = "1180,1050"


def main() -> None:
    """Open the page in headless Chromium and keep what its first screen shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("no Chromium found. Fix: sh tests/browser/install.sh")
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                f"--window-size={SIZE}",
                "--virtual-time-budget=4000",
                f"--screenshot={options.picture.resolve()}",
                options.page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
    sys.stdout.write(f"{options.picture}\n")


if __name__ == "__main__":
    main()
