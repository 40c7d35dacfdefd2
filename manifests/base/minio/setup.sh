#!/bin/sh
# Buckets, policies and accounts, with MinIO's own client. It can be run at any time: what is there stays, keys and policies
# become what the secret and the files say.
set -eu

secrets=/run/secrets
say() { printf 'minio-setup: %s\n' "$*"; }

# Through the environment, so that no key is an argument. They are letters and digits, so nothing needs escaping.
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

# An original that is deleted is gone: a bucket that never had versions keeps none. One that has or had them, which earlier releases
# brought about, keeps a marker for each object that is deleted, and can never be without versions again. There MinIO removes the
# markers and the versions that are no longer current by itself, in the background.
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
            say "$1 had versions: markers of deleted objects go by themselves"
            ;;
    esac
}

for bucket in input output; do
    mc --quiet mb --ignore-existing "store/$bucket"
    without_versions "store/$bucket"
    mc --quiet anonymous set none "store/$bucket"
done

for account in irmgard anonymizer desk sweep; do
    mc --quiet admin policy create store "$account" "/setup/$account.json"
    # Asked for name and key, mc reads them from its input.
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
    say "$account may do what $account.json says"
done
