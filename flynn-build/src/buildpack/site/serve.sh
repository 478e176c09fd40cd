#!/bin/sh
# Runs the web server of a static site. TERM lets it send what it has begun; by itself it would cut that off.
set -eu
sed "s/@PORT@/${PORT:-8080}/" /layers/site/nginx.conf >/tmp/nginx.conf
nginx -c /tmp/nginx.conf &
server=$!
trap 'kill -QUIT "$server" 2>/dev/null || :' TERM INT
status=0
wait "$server" || status=$?
# A signal ends the wait, but not yet the server.
while kill -0 "$server" 2>/dev/null; do
  status=0
  wait "$server" || status=$?
done
exit "$status"
