#!/bin/sh
# The users of Apollo's programs, with the rights in permissions.json and no others; neither may manage. Run it as often as you
# like: it sets the passwords anew, which is how one is replaced.
#
#   RABBITMQ_MANAGEMENT_URL             such as http://rabbitmq:15672
#   RABBITMQ_USER, RABBITMQ_PASSWORD    an administrator of RabbitMQ
#   RABBITMQ_RECEIVER_PASSWORD          for apollo_receiver
#   RABBITMQ_WORKER_PASSWORD            for apollo_worker
set -eu
: "${RABBITMQ_MANAGEMENT_URL:?}" "${RABBITMQ_USER:?}" "${RABBITMQ_PASSWORD:?}"
: "${RABBITMQ_RECEIVER_PASSWORD:?}" "${RABBITMQ_WORKER_PASSWORD:?}"
here=$(dirname "$0")

# The passwords go through standard input, where nobody can read them from the list of processes; the body, if it holds
# none, is a file.
send() { # method path body
    printf 'user = "%s:%s"\ndata = "%s"\n' "$RABBITMQ_USER" "$RABBITMQ_PASSWORD" "$3" |
        curl --config - --silent --show-error --fail --output /dev/null --request "$1" \
            --header 'content-type: application/json' --retry 5 --retry-connrefused \
            "$RABBITMQ_MANAGEMENT_URL/api/$2"
}

send PUT users/apollo_receiver "{\\\"password\\\":\\\"$RABBITMQ_RECEIVER_PASSWORD\\\",\\\"tags\\\":\\\"\\\"}"
send PUT users/apollo_worker "{\\\"password\\\":\\\"$RABBITMQ_WORKER_PASSWORD\\\",\\\"tags\\\":\\\"\\\"}"
send POST definitions "@$here/permissions.json"
echo "apollo_receiver and apollo_worker have their rights"
