#!/bin/sh
# Makes sure that a headless Chromium and its driver are there for the browser tests.
# Safe to run again: it does nothing when both are found. TURBO_EVAL_NO_BROWSER=1 turns it off.
set -eu

if [ "${TURBO_EVAL_NO_BROWSER:-}" = 1 ]; then
  echo "browser tests: turned off by TURBO_EVAL_NO_BROWSER=1"
  exit 0
fi

has_browser() {
  command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    command -v google-chrome >/dev/null 2>&1
}

if has_browser && command -v chromedriver >/dev/null 2>&1; then
  echo "browser tests: Chromium and chromedriver are there"
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "browser tests: installing chromium and chromium-driver with apt-get"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver fonts-dejavu-core >/dev/null
  exit 0
fi

{
  echo "browser tests: Chromium or chromedriver is missing, and this user cannot install them."
  echo "  Debian:  sudo apt-get update && sudo apt-get install -y chromium chromium-driver"
  echo "  Ubuntu:  sudo snap install chromium   (brings chromium.chromedriver)"
  echo "  macOS:   brew install --cask chromium chromedriver"
  echo "  Or leave the browser tests out on this machine: TURBO_EVAL_NO_BROWSER=1 make test"
} >&2
exit 1
