#!/bin/sh
# Fills an empty database from the file $1 that backup.sh wrote. All of it, or nothing.
#
#     PGHOST=… PGUSER=apollo PGPASSWORD=… PGDATABASE=apollo sh ops/backup/restore.sh /backups/apollo-20261122T030000Z.dump
#
# The database's owner runs it, while no worker does; then `apollo-worker migrate`, which brings an older backup to the version that
# is installed. docs/operations.md has the way as a whole, and how to get back what came after the backup.
set -eu

: "${PGUSER:=apollo}" "${PGDATABASE:=apollo}"
export PGUSER PGDATABASE

[ $# -eq 1 ] && [ -r "$1" ] || { echo "restore: name one file that backup.sh wrote" >&2; exit 64; }

schemas=$(psql --no-psqlrc --no-password --tuples-only --no-align --command \
    "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'garmin\_%'")
if [ "$schemas" != 0 ]; then
    echo "restore: the database $PGDATABASE holds Apollo's data already. Nothing was changed. Restore into an empty one:" >&2
    echo "    createdb --owner $PGUSER NAME, then PGDATABASE=NAME sh $0 $1" >&2
    exit 1
fi

# With its grants, so that nobody may do here what they might not there: the roles have to be there (ops/postgres/init).
pg_restore --single-transaction --exit-on-error --no-owner --no-password --dbname "$PGDATABASE" "$1"
# Without statistics the first queries of a large study take ages. The warnings would be of the server's own tables.
psql --no-psqlrc --no-password --quiet --command "SET client_min_messages = error" --command ANALYZE
echo "restored: now run apollo-worker migrate"
