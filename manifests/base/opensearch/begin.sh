#!/usr/bin/env bash
# Writes a node's configuration, and decides whether it may found the cluster. It runs before OpenSearch, with the image's bash.
#
# Only the first pod founds, and only on an empty volume when all other pods have said that they belong to no cluster: were it told
# to for ever, a lost volume would make it found a second one beside that of the others, and each would get a part of the lines. A
# pod that is missing or silent may have data, so it is waited for until it speaks, or until a person says that there is no cluster.
# That it founded is written on its volume, so that a first start that breaks off goes on; a cluster that is there ignores it.
set -Eeuo pipefail
shopt -s inherit_errexit

install=${OPENSEARCH_HOME:-/usr/share/opensearch}
settings=${SETTINGS:-/etc/irmgard/opensearch.yml}
into=${CONFIGURATION:-/configuration}
port=${PEER_PORT:-9200}
# How many pods there are to be, this one among them.
pods=${PODS:-1}
# Seconds until this gives up, and Kubernetes begins it again. A node that finds no cluster answers after half a minute.
patience=${PATIENCE:-180}
founded=$install/data/founded

# What a process of OpenSearch must be allowed to open, or it ends at its start ("bootstrap checks failed").
open_files=${OPEN_FILES:-65535}

cp -R "$install/config/." "$into/"
cp "$settings" "$into/opensearch.yml"

say() { echo "begin: $*"; }

found() {
    say "$HOSTNAME founds the cluster, or did so"
    echo "cluster.initial_cluster_manager_nodes: $HOSTNAME" >>"$into/opensearch.yml"
}

# The limit is the container runtime's, which no pod can raise. A configuration of one node alone is not checked by OpenSearch.
limit=$(ulimit -Hn)
if [[ $limit != unlimited ]] && ((limit < open_files)) && ! grep -q '^discovery\.type: *single-node' "$settings"; then
    say "a container of this node may open $limit files, and OpenSearch wants $open_files. On the node raise the limit of the container" \
        "runtime: 'systemctl edit containerd', the lines '[Service]' and 'LimitNOFILE=1048576', 'systemctl restart containerd'." \
        "Then delete this pod: kubectl delete pod -n irmgard $HOSTNAME" >&2
    exit 1
fi

# The addresses of all pods, started or not.
addresses() {
    local address rest
    getent ahosts opensearch-nodes | while read -r address rest; do echo "$address"; done | sort -u
}

# What the node at an address says: `_na_` while it belongs to no cluster. Nothing where it does not answer.
cluster_of() {
    local answer
    # shellcheck disable=SC2016  # the inner shell's
    answer=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$1" "$port" 2>/dev/null) || return 0
    if [[ $answer =~ \"cluster_uuid\"\ *:\ *\"([^\"]*)\" ]]; then
        echo "${BASH_REMATCH[1]}"
    fi
}

# A configuration of one node alone (discovery.type: single-node) founds by itself.
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
        say "opensearch-nodes does not lead to this pod ($POD_IP): whether the cluster is there already cannot be known" >&2
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
                say "$pod belongs to the cluster $cluster: $HOSTNAME joins it, with an empty volume"
                exit
                ;;
        esac
    done
    if ((${#silent[@]} == 0 && free >= pods)); then
        touch "$founded"
        break
    fi
    if ((SECONDS > patience)); then
        say "$HOSTNAME has an empty volume, and founds no cluster beside pods that may have one: of $pods pods $free have none" \
            "(silent: ${silent[*]:-nobody}). Look why the others do not answer. Where there is no cluster, say so while this waits:" \
            "kubectl exec -n irmgard $HOSTNAME -c configuration -- touch $founded" >&2
        exit 1
    fi
    say "waiting: of $pods pods $free have no cluster (silent: ${silent[*]:-nobody})"
    sleep 2
done
found
