#!/bin/sh
# ONNX Runtime Web and sharp from npm, for the proof in the browser and the program for Node (tests/export), into .web.
# No script of a package is run. Without them, or offline, these tests are skipped, with the reason.
set -eu
cd "$(dirname "$0")/.."
version=1.30.0
sharp=0.35.5
limit=$(command -v timeout > /dev/null && echo "timeout 25" || true)
if grep -q "\"version\": \"$version\"" .web/node_modules/onnxruntime-web/package.json 2> /dev/null &&
  grep -q "\"version\": \"$sharp\"" .web/node_modules/sharp/package.json 2> /dev/null; then
  echo "== ONNX Runtime Web and sharp are installed"
elif command -v npm > /dev/null; then
  echo "== installing ONNX Runtime Web $version and sharp $sharp"
  mkdir -p .web
  $limit npm install --prefix .web --ignore-scripts --no-audit --no-fund --no-package-lock --fetch-retries 0 \
    --loglevel error "onnxruntime-web@$version" "sharp@$sharp" > /dev/null 2>&1 ||
    echo "== ONNX Runtime Web and sharp could not be installed: tests of exports in JavaScript will be skipped"
else
  echo "== no npm: tests of exports in JavaScript will be skipped"
fi
