#!/bin/sh
# Handles the variables of the image's entry point that the manifests set.
set -eu

if [ "${DISABLE_SECURITY_PLUGIN:-}" != true ]; then
    echo 'this image has no security plugin: set DISABLE_SECURITY_PLUGIN=true' >&2
    exit 1
fi
exec "$@"
