#!/bin/sh
# What the image's entry point does with the variables that the manifests set.
set -eu

if [ "${DISABLE_SECURITY_PLUGIN:-}" != true ]; then
    echo 'this stand-in has no security plugin: set DISABLE_SECURITY_PLUGIN=true' >&2
    exit 1
fi
exec "$@"
