# shellcheck shell=bash
# shellcheck disable=SC2034
# Container mode: Docker, images and containers. Sourced after common.sh.

readonly PROJECT=request-statistics
readonly COMPOSE_LABEL=com.docker.compose.project
readonly CONTAINERS=(influx_db log_processor api log_generator)
readonly TEST_IMAGE=request-statistics:test
readonly TEST_PREFIX=request-statistics-tests
readonly TEST_LABEL=(--label "com.request-statistics.tests=$ROOT")
python_image=$(sed -n 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' Dockerfile)
influx_image=$(sed -n 's/^ *image: \(influxdb:.*\)/\1/p' docker-compose.yml)
readonly python_image influx_image
readonly SECRETS_FOLDER=secrets

# These would change the names that docker-compose.yml gives.
unset COMPOSE_FILE COMPOSE_PROJECT_NAME COMPOSE_PROFILES

# Succeed where containers can be used. If not, `docker_problem` says why.
docker_problem=""
docker_is_usable() {
  local answer
  docker_problem=""
  if ! command -v docker >/dev/null; then
    docker_problem="there is no docker on PATH"
  elif ! docker compose version >/dev/null 2>&1; then
    docker_problem="docker has no Compose plugin"
  elif ! answer=$(docker version --format '{{.Server.Version}}' 2>&1); then
    docker_problem="the Docker engine does not answer (${answer##*$'\n'})"
  elif ! has_image "$python_image" && ! pull --platform linux/amd64 "$python_image"; then
    docker_problem="the image $python_image is not here and cannot be pulled"
  elif ! has_image "$influx_image" && ! pull "$influx_image"; then
    docker_problem="the image $influx_image is not here and cannot be pulled"
  fi
  [ -z "$docker_problem" ]
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

pull() {
  say "Pulling ${*: -1}"
  docker pull "$@" >/dev/null 2>&1
}

engine_answers() { command -v docker >/dev/null && docker version >/dev/null 2>&1; }

# Let the containers run as the caller. With a rootless engine, root in a container already is the caller.
export_caller() {
  if ! docker info --format '{{.SecurityOptions}}' | grep -q rootless; then
    HOST_UID=$(id -u)
    HOST_GID=$(id -g)
    export HOST_UID HOST_GID
  fi
}

# Print the containers with our names, or our project's name, that were not made from this folder.
foreign_containers() {
  local name project folder
  docker ps --all --format "{{.Names}}|{{.Label \"$COMPOSE_LABEL\"}}|{{.Label \"$COMPOSE_LABEL.working_dir\"}}" |
    while IFS='|' read -r name project folder; do
      if [[ $project == "$PROJECT" || " ${CONTAINERS[*]} " == *" $name "* ]] &&
        ! { [ "$project" = "$PROJECT" ] && is_root "$folder"; }; then
        say "$name, made ${folder:+in }${folder:-by other means}"
      fi
    done
}

# Succeed where the containers and volumes with our project's name belong to this folder, and not to another clone.
are_ours() {
  local folders
  folders=$(docker ps --all --filter "label=$COMPOSE_LABEL=$PROJECT" --format "{{.Label \"$COMPOSE_LABEL.working_dir\"}}")
  if [ -n "$folders" ]; then is_root "${folders%%$'\n'*}"; else [ -f "$RUN_FOLDER/volumes" ]; fi
}

# Succeed where a folder, perhaps by another path, is this project's root.
is_root() { [ "$(cd "$1" 2>/dev/null && pwd -P)" = "$ROOT" ]; }

refuse_foreign_containers() {
  local foreign
  foreign=$(foreign_containers)
  [ -z "$foreign" ] || die "other containers have the names that this project needs:
$foreign
Remove them yourself, or use no containers: ./start.sh --local"
}

refuse_foreign_volumes() {
  local volumes
  volumes=$(docker volume ls --quiet --filter "label=$COMPOSE_LABEL=$PROJECT")
  are_ours || [ -z "$volumes" ] || die "these volumes were not made by a start from this folder, so they are not cleared:
$volumes
Go on with them: $0 --keep. Or remove them yourself: docker compose down --volumes"
}

# Stop and remove our containers; with --volumes, their data too.
remove_containers() {
  if are_ours; then
    note_volumes
    docker compose --profile monitoring --progress quiet down --remove-orphans "$@"
  fi
}

# Note that the volumes belong to this folder: without containers nothing else tells.
note_volumes() {
  mkdir -p "$RUN_FOLDER"
  touch "$RUN_FOLDER/volumes"
}

# build_image DOCKER COMMAND...
build_image() {
  local log=$LOGS_FOLDER/build.log
  say "Building the image"
  mkdir -p "$RUN_FOLDER" "$LOGS_FOLDER"
  touch "$RUN_FOLDER/images"
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" | show_lines ""
    die "the image cannot be built, see $log. To use no containers: --local"
  fi
}

# start_containers COMPOSE ARGUMENT...
start_containers() {
  export_caller
  make_secrets
  note_volumes
  docker compose "$@"
}

# Give InfluxDB's admin a new token and password.
replace_admin() {
  load_settings
  docker_is_usable || die "$docker_problem"
  has_secret influxdb_admin_token || die "$SECRETS_FOLDER/influxdb_admin_token does not exist: ./start.sh --docker --keep"
  export_caller
  docker compose run --rm --no-deps --volume "$ROOT/$SECRETS_FOLDER:/app/secrets/admin" setup \
    python -m storage replace-admin secrets/admin/influxdb_admin_token secrets/admin/influxdb_password
}

# Start Prometheus and Grafana beside the containers of start.sh.
start_monitoring() {
  load_settings
  docker_is_usable || die "$docker_problem"
  if ! are_ours || [ -z "$(docker compose ps --quiet api)" ]; then
    die "nothing runs in containers: ./start.sh --docker --detach"
  fi
  publish_influxdb
  start_containers --profile monitoring up --detach --no-build prometheus grafana
  cat <<END

Prometheus: http://127.0.0.1:${PROMETHEUS_PORT:-9090}
Grafana:    http://127.0.0.1:${GRAFANA_PORT:-3000}/d/request-statistics
Log in as admin, with the password in $SECRETS_FOLDER/monitoring_password.
END
}

# Add a compose file to those that are used.
add_compose_file() { export COMPOSE_FILE=${COMPOSE_FILE:-docker-compose.yml}:$1; }

# Publish InfluxDB's port where the setting names one.
publish_influxdb() { [ -z "$INFLUXDB_PORT" ] || add_compose_file docker-compose.influxdb-port.yml; }

# Refuse data of InfluxDB whose admin token is not known: setup could do nothing with them.
refuse_unknown_token() {
  if [ -z "$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN" ] && ! has_secret influxdb_admin_token &&
    docker volume inspect "${PROJECT}_influxdb_data" >/dev/null 2>&1; then
    die "InfluxDB has data, but its admin token is not in $SECRETS_FOLDER/influxdb_admin_token.
Give it once: DOCKER_INFLUXDB_INIT_ADMIN_TOKEN=... $0. See docs/upgrade.md"
  fi
}

# Write each secret into a file of its own, which docker-compose.yml names. What a variable has is written, too.
make_secrets() {
  refuse_unknown_token
  make_key_folders
  chmod 700 "$SECRETS_FOLDER"
  make_secret influxdb_password "$DOCKER_INFLUXDB_INIT_PASSWORD"
  make_secret influxdb_admin_token "$DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"
  make_secret monitoring_password ""
}

# Make the folders that the containers have their keys from. Docker would make them for root alone.
make_key_folders() { mkdir -p "$SECRETS_FOLDER/keys" "$SECRETS_FOLDER/sessions"; }

# keys_of_containers ARGUMENT...: run `python -m api keys` on the keys of the containers.
keys_of_containers() {
  make_key_folders
  export_caller
  docker compose --progress quiet run --rm --no-deps --no-TTY keys "$@"
}

has_secret() { [ -s "$SECRETS_FOLDER/$1" ]; }

# make_secret NAME VALUE: write a secret. Without a value it is random, and one that is there stays.
make_secret() {
  local file=$SECRETS_FOLDER/$1 value=$2
  [ -n "$value" ] || ! has_secret "$1" || return 0
  [ -n "$value" ] || value=$(random_secret)
  note_made "$file"
  printf '%s\n' "$value" >"$file"
  chmod 600 "$file"
}

# Print 256 random bits as hexadecimal digits.
random_secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# remove_test_containers FILTER: remove the containers of run_tests.sh, and their network.
remove_test_containers() {
  docker ps --all --quiet --filter "$1" | xargs docker rm --force --volumes >/dev/null 2>&1 || true
  docker network ls --quiet --filter "$1" | xargs docker network rm >/dev/null 2>&1 || true
}

remove_images() {
  [ ! -f "$RUN_FOLDER/images" ] || docker image ls --quiet --filter label=com.request-statistics.image | sort -u | xargs docker image rm --force \
    >/dev/null 2>&1 || true
}

# Set `mode` to docker where containers can be used, else to local, and say why. A mode that is set stays.
choose_mode() {
  case $mode in
    docker) docker_is_usable || die "$docker_problem. Mend that, or use no containers: $0 --local" ;;
    "")
      if docker_is_usable; then
        mode=docker
      else
        mode=local
        say "Without containers, because $docker_problem."
      fi
      ;;
  esac
}
