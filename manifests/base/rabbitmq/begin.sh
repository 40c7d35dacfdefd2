#!/bin/sh
# Before a node starts: the cookie that lets it speak to the others, and, where its volume is new, the others forget the node that
# had its name. They refuse it else, and it would start as a broker of its own behind the same Service, with queues of its own.
set -eu

home=${RABBITMQ_HOME_VOLUME:-/var/lib/rabbitmq}
cookie=${COOKIE:-/run/secrets/rabbitmq/erlang-cookie}

# Erlang wants a file that its owner alone can read, which no mounted secret is with a group for the volume.
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
    # Where several start together none answers yet, and nobody has anything to forget.
    if [ "rabbit@$host" = "$RABBITMQ_NODENAME" ] || ! getent hosts "$host" >/dev/null \
        || ! status=$(rabbitmqctl --quiet --node "rabbit@$host" cluster_status --formatter json 2>/dev/null); then
        continue
    fi
    case $status in
        *"\"$RABBITMQ_NODENAME\""*)
            echo "begin: the volume is empty, and $host knows $RABBITMQ_NODENAME: it forgets it, with its copies of the queues"
            rabbitmqctl --node "rabbit@$host" forget_cluster_node "$RABBITMQ_NODENAME"
            exit
            ;;
    esac
done
