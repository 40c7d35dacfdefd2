#!/usr/bin/env bash
# The readiness probe of OpenSearch. A node that has started is ready when it belongs to the cluster and each index has all its
# copies (green). Kubernetes takes the next pod only then, in a rollout or a drain: else it could be the pod with the only copy.
#
# Once it was ready, a node answers for itself: an index that lacks a copy is no reason to send lines nowhere. Nor is it where the
# node is the only one, or for longer than ten minutes after the start.
set -Eeuo pipefail

port=${HTTP_PORT:-9200}
# Where the process is written that has been ready.
mark=${MARK:-/tmp/ready}
# Seconds since its start after which a node is ready without all copies.
patience=${PATIENCE:-600}

answer=$(timeout 8 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET /_cluster/health?local=true HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$port")
if [[ $answer != HTTP/1.?' 200 '* ]]; then
    echo "ready: OpenSearch answers ${answer%%$'\r'*}" >&2
    exit 1
fi

# When process 1 began, in hundredths of a second since the machine's start: field 22 of its stat, after a name in parentheses.
stat=$(</proc/1/stat)
read -ra fields <<<"${stat##*)}"
started=${fields[19]}
if [[ -e $mark && $(<"$mark") == "$started" ]]; then
    exit
fi
# Without a manager a node sees itself alone.
if [[ $answer != *'"discovered_cluster_manager":true'* ]]; then
    echo 'ready: waiting until the node belongs to a cluster' >&2
    exit 1
fi
read -r up _ </proc/uptime
if [[ $answer == *'"status":"green"'* || $answer == *'"number_of_nodes":1,'* ]] || ((${up%.*} - started / 100 > patience)); then
    echo "$started" >"$mark"
    exit
fi
echo 'ready: waiting until each index has all its copies' >&2
exit 1
