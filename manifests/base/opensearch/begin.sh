#!/usr/bin/env bash
# Writes a node's configuration and decides whether the node may bootstrap the cluster. Runs before OpenSearch, with the
# image's bash.
#
# Only the first pod bootstraps, on an empty volume, after all other pods have answered that they have no cluster. With
# the setting always on, a lost volume would lead to a second cluster that gets a part of the lines. A pod that does not
# answer may have data, so the script waits for its answer, or for a person who confirms that there is no cluster.
# A file on the volume records the bootstrap, so an interrupted first start can continue. A formed cluster ignores the
# setting.
set -Eeuo pipefail
shopt -s inherit_errexit

install=${OPENSEARCH_HOME:-/usr/share/opensearch}
settings=${SETTINGS:-/etc/irmgard/opensearch.yml}
into=${CONFIGURATION:-/configuration}
port=${PEER_PORT:-9200}
# The number of pods, including this one.
pods=${PODS:-1}
# Seconds until the script fails and Kubernetes restarts it. A node without a cluster answers after half a minute.
patience=${PATIENCE:-180}
founded=$install/data/founded

# Minimum limit of open files. Below it, OpenSearch exits at startup ("bootstrap checks failed").
open_files=${OPEN_FILES:-65535}

cp -R "$install/config/." "$into/"
cp "$settings" "$into/opensearch.yml"

say() { echo "begin: $*"; }

found() {
    say "$HOSTNAME bootstraps the cluster, unless it exists already"
    echo "cluster.initial_cluster_manager_nodes: $HOSTNAME" >>"$into/opensearch.yml"
}

# The container runtime sets the limit; a pod cannot raise it. OpenSearch does not check it with
# discovery.type: single-node.
limit=$(ulimit -Hn)
if [[ $limit != unlimited ]] && ((limit < open_files)) && ! grep -q '^discovery\.type: *single-node' "$settings"; then
    say "a container on this node may open $limit files, but OpenSearch needs $open_files. Raise the container runtime's limit on the" \
        "node: 'systemctl edit containerd', the lines '[Service]' and 'LimitNOFILE=1048576', 'systemctl restart containerd'." \
        "Then delete this pod: kubectl delete pod -n irmgard $HOSTNAME" >&2
    exit 1
fi

# The addresses of all pods, started or not.
addresses() {
    local address rest
    getent ahosts opensearch-nodes | while read -r address rest; do echo "$address"; done | sort -u
}

# Prints the cluster id of the node at an address: `_na_` without a cluster, nothing without an answer.
cluster_of() {
    local answer
    # shellcheck disable=SC2016  # the inner shell's
    answer=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$1" "$port" 2>/dev/null) || return 0
    if [[ $answer =~ \"cluster_uuid\"\ *:\ *\"([^\"]*)\" ]]; then
        echo "${BASH_REMATCH[1]}"
    fi
}

# With discovery.type: single-node, OpenSearch bootstraps by itself.
if [[ $HOSTNAME != *-0 ]] || ! grep -q '^discovery\.seed_hosts:' "$settings"; then
    exit
fi
if [[ -e $founded ]]; then
    found
    exit
fi
if [[ -d $install/data/nodes ]]; then
    exit
fi

until addresses | grep -qxF "$POD_IP"; do
    if ((SECONDS > patience)); then
        say "opensearch-nodes does not resolve to this pod ($POD_IP), so other pods and their cluster cannot be found" >&2
        exit 1
    fi
    sleep 1
done
until [[ -e $founded ]]; do
    silent=()
    free=1
    for pod in $(addresses | grep -vxF "$POD_IP"); do
        cluster=$(cluster_of "$pod")
        case $cluster in
            '') silent+=("$pod") ;;
            _na_) free=$((free + 1)) ;;
            *)
                say "$pod belongs to the cluster $cluster: $HOSTNAME joins it with an empty volume"
                exit
                ;;
        esac
    done
    if ((${#silent[@]} == 0 && free >= pods)); then
        touch "$founded"
        break
    fi
    if ((SECONDS > patience)); then
        say "$HOSTNAME has an empty volume and does not bootstrap a cluster, because other pods may have one: $free of $pods pods have" \
            "none (no answer: ${silent[*]:-none}). Check why they do not answer. If there is no cluster, confirm it while this waits:" \
            "kubectl exec -n irmgard $HOSTNAME -c configuration -- touch $founded" >&2
        exit 1
    fi
    say "waiting: $free of $pods pods have no cluster (no answer: ${silent[*]:-none})"
    sleep 2
done
found
