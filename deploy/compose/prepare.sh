#!/bin/sh
# Make the secrets of compose.yaml, once: what is there is kept. Files are 0600; the one that the
# aggregator reads belongs to its account in the container (10001), which takes root to give.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets broker
if [ ! -e secrets/postgres-password ]; then
    head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >secrets/postgres-password
fi
printf 'postgres:5432:rounds:dreamshare:%s\n' "$(cat secrets/postgres-password)" >secrets/pgpass
if [ "$(id -u)" = 0 ]; then
    chown 10001:10001 secrets/pgpass
else
    echo "prepare: give secrets/pgpass to the container's account: sudo chown 10001:10001 $PWD/secrets/pgpass" >&2
fi
echo "prepare: secrets/ is ready"
