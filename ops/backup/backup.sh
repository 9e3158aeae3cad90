#!/bin/sh
# Writes the whole database into one new file of the folder $1, and checks that it can be read back.
#
#     PGHOST=… PGUSER=apollo PGPASSWORD=… PGDATABASE=apollo sh ops/backup/backup.sh /backups
#
# Without a folder it writes to standard output, for containers: docs/operations.md has the command.
#
# Safe at any time: it is a snapshot, writers go on. It needs pg_dump of the server's version or a newer one, and the database's
# owner. What else a restore needs is in docs/operations.md: SECRETS__KEYS above all, without which sealed values stay sealed.
set -eu

dump() { pg_dump --format=custom --compress=6 --lock-wait-timeout=60s --no-password; }

: "${PGUSER:=apollo}" "${PGDATABASE:=apollo}"
export PGUSER PGDATABASE

if [ $# -eq 0 ]; then
    dump
    exit
fi

folder=$1
[ -d "$folder" ] || { echo "backup: $folder is no folder" >&2; exit 64; }
umask 077 # it holds participants' data
name=$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump
partial=$folder/.$name.$$
trap 'rm -f "$partial"' EXIT INT TERM HUP

dump > "$partial"
# A dump that was cut short has no list of contents.
pg_restore --list "$partial" > /dev/null
sync "$partial"
# Only a whole one gets its name, so whatever has one can be restored.
mv "$partial" "$folder/$name"
trap - EXIT INT TERM HUP
echo "$folder/$name"
