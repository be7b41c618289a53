#!/bin/sh
# Prints a Python that regraft runs on: the argument, or the first one on the path. Reports what is missing otherwise.
#   sh scripts/find_python.sh [PYTHON]
works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ -n "${1:-}" ]; then
    works "$1" || {
        found=$("$1" -V 2>/dev/null) || found="missing, or not a Python"
        echo "regraft needs Python 3.11 or newer; '$1' is $found." >&2
        echo "  name another with: make PYTHON=/path/to/python3.12 ..." >&2
        exit 1
    }
    "$1" -c 'import ensurepip, venv' 2>/dev/null || {
        echo "'$1' cannot create a virtual environment: its modules venv and ensurepip are missing." >&2
        echo "  on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
    echo "$1"
    exit 0
fi
for candidate in python3 python python3.13 python3.12 python3.11; do
    if works "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done
echo python3
