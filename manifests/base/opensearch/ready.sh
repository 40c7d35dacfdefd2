#!/usr/bin/env bash
# The readiness probe of OpenSearch. A started node becomes ready when it belongs to the cluster and each index has all
# its copies (green). Only then a rollout or drain stops the next pod, which could have the only copy.
#
# A ready node stays ready: it accepts lines even if copies are missing. A node also becomes ready
# - when it is the only node;
# - when copies are missing (yellow) and the cluster has made none for a minute, because waiting longer does not help;
# - when an index is missing (red) and the cluster has made no copy for ten minutes. This limit is longer because the next
#   pod to stop may be the one that restores the index.
set -Eeuo pipefail

port=${HTTP_PORT:-9200}
# The start time of the process that was ready.
ready=${READY:-/tmp/ready}
# The start time of the process, and the uptime in seconds since which no copy has been made.
quiet=${QUIET:-/tmp/quiet}

# The inner shell expands $0.
# shellcheck disable=SC2016
answer=$(timeout 8 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET /_cluster/health?local=true HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$port")
if [[ $answer != HTTP/1.?' 200 '* ]]; then
    echo "ready: OpenSearch answered ${answer%%$'\r'*}" >&2
    exit 1
fi

# Start time of process 1 in clock ticks since boot: field 22 of its stat. The name in parentheses may contain spaces.
stat=$(</proc/1/stat)
read -ra fields <<<"${stat##*)}"
started=${fields[19]}
if [[ -e $ready && $(<"$ready") == "$started" ]]; then
    exit
fi
# Without a cluster manager, a node sees only itself.
if [[ $answer != *'"discovered_cluster_manager":true'* ]]; then
    rm -f "$quiet"
    echo 'ready: waiting until the node belongs to a cluster' >&2
    exit 1
fi
if [[ $answer == *'"status":"green"'* || $answer == *'"number_of_nodes":1,'* ]]; then
    echo "$started" >"$ready"
    exit
fi
for shards in initializing_shards relocating_shards delayed_unassigned_shards; do
    if [[ $answer =~ \"$shards\":([0-9]+) && ${BASH_REMATCH[1]} == 0 ]]; then
        continue
    fi
    rm -f "$quiet"
    echo "ready: waiting for the copies of each index: ${BASH_REMATCH[1]:-unknown} $shards" >&2
    exit 1
done
read -r up _ </proc/uptime
up=${up%.*}
if [[ ! -e $quiet ]] || ! read -r process since <"$quiet" || [[ $process != "$started" ]]; then
    since=$up
    echo "$started $since" >"$quiet"
fi
# Seconds without a new copy after which the node becomes ready.
patience=600
if [[ $answer == *'"status":"yellow"'* ]]; then
    patience=60
fi
wait=$((since + patience - up))
if ((wait <= 0)); then
    echo "$started" >"$ready"
    exit
fi
echo "ready: copies are missing, but none is being made; ready in $wait s" >&2
exit 1
