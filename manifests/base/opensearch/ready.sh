#!/usr/bin/env bash
# The readiness probe of OpenSearch. A node that has started becomes ready when it belongs to the cluster and each index has all
# its copies (green). In a rollout or a drain Kubernetes takes the next pod only then. That pod could hold the only copy.
#
# A node that was ready stays ready: an index without a copy is no reason to refuse lines. A node also becomes ready when it is the
# only one, or when the cluster has made no copy for a minute: what is still missing then does not come by waiting. It is ten
# minutes where an index is not there at all (red), since the next pod to be stopped may be the one that brings it.
set -Eeuo pipefail

port=${HTTP_PORT:-9200}
# The start time of the process that was ready.
ready=${READY:-/tmp/ready}
# Since when no copy is made: the start time of the process, and seconds of uptime.
quiet=${QUIET:-/tmp/quiet}

answer=$(timeout 8 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET /_cluster/health?local=true HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$port")
if [[ $answer != HTTP/1.?' 200 '* ]]; then
    echo "ready: OpenSearch answers ${answer%%$'\r'*}" >&2
    exit 1
fi

# When process 1 began, in hundredths of a second since the machine's start: field 22 of its stat, after a name in parentheses.
stat=$(</proc/1/stat)
read -ra fields <<<"${stat##*)}"
started=${fields[19]}
if [[ -e $ready && $(<"$ready") == "$started" ]]; then
    exit
fi
# Without a manager a node sees itself alone.
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
# Seconds without a copy being made: copies are missing, or an index.
patience=600
if [[ $answer == *'"status":"yellow"'* ]]; then
    patience=60
fi
wait=$((since + patience - up))
if ((wait <= 0)); then
    echo "$started" >"$ready"
    exit
fi
echo "ready: copies are missing and none is being made; ready in $wait s" >&2
exit 1
