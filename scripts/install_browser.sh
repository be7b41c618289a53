#!/bin/sh
# Debian's Chromium and the fonts that the browser tests need, where they can be installed: as root, with apt.
# Without them the browser tests are skipped, with the reason.
set -eu
if command -v chromium > /dev/null && [ -d /usr/share/fonts/opentype/noto ]; then
  echo "== Chromium and fonts are installed"
elif [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
  echo "== installing Chromium and fonts"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    chromium fonts-dejavu-core fonts-noto-cjk > /dev/null; } ||
    echo "== Chromium could not be installed: the browser tests will be skipped"
else
  echo "== not root, or no apt: the browser tests will be skipped unless Chromium is installed"
fi
