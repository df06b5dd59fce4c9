#!/usr/bin/env bash
# Starts a broker, InfluxDB, the api and processors, and sends 100,000 lines. The processors: three, or the argument.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# InfluxDB keeps the secret of its first start.
if [ ! -s .secret ]; then
  (umask 077 && head -c 24 /dev/urandom | base64 | tr -d '/+=\n' >.secret)
fi
CLUSTER_SECRET=$(<.secret)
export CLUSTER_SECRET

docker compose --file compose.yml --progress quiet up --detach --build --scale "log_processor=${1:-3}"
docker compose --file compose.yml --progress quiet run --rm sender
cat <<END

The api:      http://127.0.0.1:${API_PORT:-8000}
Partitions:   curl http://127.0.0.1:${API_PORT:-8000}/status
More lines:   CLUSTER_SECRET=\$(cat .secret) docker compose --file compose.yml run --rm sender
To remove it: CLUSTER_SECRET=\$(cat .secret) docker compose --file compose.yml --profile try down --volumes
END
