#!/bin/sh
# Runs before a node starts. Writes the Erlang cookie. If the volume is new, it removes the old node of the same name from
# the cluster: otherwise the others would reject the new node, and it would start as a separate broker with its own queues
# behind the same Service.
set -eu

home=${RABBITMQ_HOME_VOLUME:-/var/lib/rabbitmq}
cookie=${COOKIE:-/run/secrets/rabbitmq/erlang-cookie}

# Erlang requires a file that only its owner can read. With fsGroup, a mounted secret is readable by the group.
umask 077
rm -f "$home/.erlang.cookie"
cat "$cookie" >"$home/.erlang.cookie"
chmod 0400 "$home/.erlang.cookie"

if [ -d "$home/mnesia/$RABBITMQ_NODENAME" ]; then
    exit
fi
number=0
while [ "$number" -lt 9 ]; do
    host=rabbitmq-$number$K8S_HOSTNAME_SUFFIX
    number=$((number + 1))
    # When several nodes start together, none answers yet, and there is nothing to remove.
    if [ "rabbit@$host" = "$RABBITMQ_NODENAME" ] || ! getent hosts "$host" >/dev/null \
        || ! status=$(rabbitmqctl --quiet --node "rabbit@$host" cluster_status --formatter json 2>/dev/null); then
        continue
    fi
    case $status in
        *"\"$RABBITMQ_NODENAME\""*)
            echo "begin: the volume is empty, but $host knows $RABBITMQ_NODENAME: removing the old node and its queue replicas from the cluster"
            rabbitmqctl --node "rabbit@$host" forget_cluster_node "$RABBITMQ_NODENAME"
            exit
            ;;
    esac
done
