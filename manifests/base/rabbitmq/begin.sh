#!/bin/sh
# Before a node starts: the cookie that lets it speak to the others, and, where its volume is new, the others forget the node that
# had its name. They refuse it else, and it would start as a broker of its own behind the same Service, with queues of its own.
# Nor may it start while they are silent: they may boot, or wait for each other. Only rabbitmq-0 does, since one must be the first.
set -eu

home=${RABBITMQ_HOME_VOLUME:-/var/lib/rabbitmq}
cookie=${COOKIE:-/run/secrets/rabbitmq/erlang-cookie}
# Seconds, for all others together: how long they may take to say who belongs to their cluster; and how long a node with data may
# take from its pod's address to Erlang's first words. Where several start for the first time, none has words before that is over.
patience=${PATIENCE:-60}
settling=${SETTLING:-15}

# Erlang wants a file that its owner alone can read, which no mounted secret is with a group for the volume.
umask 077
rm -f "$home/.erlang.cookie"
cat "$cookie" >"$home/.erlang.cookie"
chmod 0400 "$home/.erlang.cookie"

if [ -d "$home/mnesia/$RABBITMQ_NODENAME" ]; then
    exit
fi

# The addresses of all pods, started or not.
addresses() {
    getent ahosts "$K8S_SERVICE_NAME" | cut -d' ' -f1 | sort -u
}

# The names of the other pods: no more than have an address, since for a name that nobody has the name server asks the world.
others() {
    left=$(addresses | grep -cvxF "$POD_IP") || :
    number=0
    while [ "$left" -gt 0 ] && [ "$number" -lt 9 ]; do
        host=rabbitmq-$number$K8S_HOSTNAME_SUFFIX
        number=$((number + 1))
        if [ "rabbit@$host" != "$RABBITMQ_NODENAME" ] && getent hosts "$host" >/dev/null; then
            echo "$host"
            left=$((left - 1))
        fi
    done
}

begun=$(date +%s)
runs=
while :; do
    answered=
    silent=
    for host in $(others); do
        if status=$(rabbitmqctl --quiet --node "rabbit@$host" cluster_status --formatter json 2>/dev/null); then
            answered=$host
            case $status in
                *"\"$RABBITMQ_NODENAME\""*)
                    echo "begin: the volume is empty, and $host knows $RABBITMQ_NODENAME: it forgets it, with its copies of the queues"
                    rabbitmqctl --node "rabbit@$host" forget_cluster_node "$RABBITMQ_NODENAME"
                    exit
                    ;;
            esac
        elif rabbitmqctl --quiet --node "rabbit@$host" ping >/dev/null 2>&1; then
            # Erlang runs there, the broker does not (yet). It may stop and start meanwhile.
            runs=$host
        else
            silent=$host
        fi
    done
    # Who answers does not know the name, and lets it in.
    if [ -n "$answered" ]; then
        exit
    fi
    waited=$(($(date +%s) - begun))
    if [ -n "$runs" ]; then
        why="$runs runs and does not say who belongs to its cluster: its log tells what it waits for"
    elif ! addresses | grep -qxF "$POD_IP"; then
        why="$K8S_SERVICE_NAME does not lead to this pod ($POD_IP): does the cluster's name server work?"
    elif [ "$RABBITMQ_NODENAME" != "rabbit@rabbitmq-0$K8S_HOSTNAME_SUFFIX" ]; then
        why="no other node answers, and rabbitmq-0 alone begins without one: look why that is not there"
    elif [ -z "$silent" ] || [ "$waited" -ge "$settling" ]; then
        exit
    fi
    if [ "$waited" -ge "$patience" ]; then
        echo "begin: $RABBITMQ_NODENAME has an empty volume, and does not start, since it could become a broker of its own:" \
            "after $waited s $why. Kubernetes tries again." >&2
        exit 1
    fi
    sleep 2
done
