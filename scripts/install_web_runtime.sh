#!/bin/sh
# ONNX Runtime Web from npm, for the proof in the browser (tests/export/test_browser_proof.py), into the folder .web.
# No script of a package is run. Without it, or offline, that test is skipped, with the reason.
set -eu
cd "$(dirname "$0")/.."
version=1.30.0
limit=$(command -v timeout > /dev/null && echo "timeout 25" || true)
if grep -q "\"version\": \"$version\"" .web/node_modules/onnxruntime-web/package.json 2> /dev/null; then
  echo "== ONNX Runtime Web is installed"
elif command -v npm > /dev/null; then
  echo "== installing ONNX Runtime Web $version"
  mkdir -p .web
  $limit npm install --prefix .web --ignore-scripts --no-audit --no-fund --no-package-lock --fetch-retries 0 \
    --loglevel error "onnxruntime-web@$version" > /dev/null 2>&1 ||
    echo "== ONNX Runtime Web could not be installed: the proof in the browser will be skipped"
else
  echo "== no npm: the proof in the browser will be skipped"
fi
