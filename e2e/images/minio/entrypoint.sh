#!/bin/sh
# Like the original entry point: adds the program's name if it is not the first argument.
set -eu
for program in minio mc; do
    if [ -x "/usr/bin/$program" ] && [ "${1:-}" != "$program" ]; then
        set -- "$program" "$@"
    fi
done
exec "$@"
