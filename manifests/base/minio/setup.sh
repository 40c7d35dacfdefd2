#!/bin/sh
# Creates buckets, policies and accounts with MinIO's own client. Idempotent: existing data stays; keys and policies are
# updated from the secret and the files.
set -eu

secrets=/run/secrets
say() { printf 'minio-setup: %s\n' "$*"; }

# In the environment, so that no key is an argument. Keys have only letters and digits, so they need no escaping.
MC_HOST_store="${MINIO_SCHEME:-http}://$(cat "$secrets/minio/root-user"):$(cat "$secrets/minio/root-password")@${MINIO_HOST:-minio:9000}"
export MC_HOST_store

waited=0
until mc --quiet ready store >/dev/null 2>&1; do
    waited=$((waited + 1))
    if [ "$waited" -ge 150 ]; then
        say "MinIO is not ready after $((waited * 2)) s"
        exit 1
    fi
    sleep 2
done

# A deleted original must not survive as a version. New buckets have no versioning. Buckets of earlier releases have it:
# it can only be suspended, and deleted objects leave markers. There a lifecycle rule removes markers and old versions.
without_versions() {
    versioning=$(mc --json version info "$1")
    case $versioning in
        *'"status":"Enabled"'*) mc --quiet version suspend "$1" ;;
        *'"status":"Suspended"'*) ;;
        *) return ;;
    esac
    rules=$(mc --json ilm rule ls "$1" 2>/dev/null || true)
    case $rules in
        *'"ExpiredObjectDeleteMarker":true'*) ;;
        *)
            mc --quiet ilm rule add --expire-delete-marker --noncurrent-expire-days 1 "$1"
            say "$1 had versioning: MinIO removes delete markers and old versions in the background"
            ;;
    esac
}

for bucket in input output; do
    mc --quiet mb --ignore-existing "store/$bucket"
    without_versions "store/$bucket"
    mc --quiet anonymous set none "store/$bucket"
done

for account in irmgard anonymizer operator-shell sweep; do
    mc --quiet admin policy create store "$account" "/setup/$account.json"
    # mc reads the name and the key from standard input.
    printf '%s\n%s\n' "$account" "$(cat "$secrets/accounts/$account")" | mc --quiet admin user add store
    if ! attached=$(mc --json admin policy attach store "$account" --user "$account" 2>&1); then
        case $attached in
            *already*) ;;
            *)
                say "the policy $account cannot be attached: $attached"
                exit 1
                ;;
        esac
    fi
    say "account $account has the policy $account.json"
done
