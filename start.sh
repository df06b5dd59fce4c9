#!/usr/bin/env bash
# Starts the whole system afresh: in containers, or as processes where there is no Docker.
# shellcheck disable=SC2317  # shellcheck does not see that `trap` and `await` call functions.
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
source scripts/processes.sh
source scripts/containers.sh

usage() {
  cat <<'END'
Usage: ./start.sh [--docker | --local] [--detach] [--keep] [--no-generator]

Starts log_generator, log_processor and api: with InfluxDB in containers or, where there is no Docker, as processes on
SQLite. First it stops an earlier start, and clears its log, data and volumes. Then it prints the URLs and follows the
logs. Ctrl+C stops everything.

  --docker        use containers, or say what is missing
  --local         use processes: needs only Python 3.10, 3.11 or 3.12
  --detach        return when the api is ready and the first lines are stored; ./cleanup.sh stops it
  --keep          clear nothing: go on with the log and the data of the last start
  --no-generator  follow a log of your own, LOG_FILE_PATH, which is never cleared
  --help          show this

Settings: .env.local and docs/settings.md. A variable in the shell wins: LOG_BATCH_SIZE=1000 ./start.sh
END
}

mode="" detach="" keep="" generator=yes
while [ $# -gt 0 ]; do
  case $1 in
    --docker | --local)
      [ -z "$mode" ] || [ "$mode" = "${1#--}" ] || die "--docker or --local, not both"
      mode=${1#--}
      ;;
    --detach) detach=yes ;;
    --keep) keep=yes ;;
    --no-generator) generator="" ;;
    --help)
      usage
      exit
      ;;
    *) unknown_argument "$1" ;;
  esac
  shift
done

# Variables that name files with data.
readonly DATA=(SQLITE_PATH DEAD_LETTERS_PATH)
# Longest waits, in seconds: until a service is ready, and until the first lines are stored.
readonly READY_SECONDS=60
readonly FIRST_LINES_SECONDS=60
# Size at which the log of a container is rotated, in KiB, and lines between two looks at it.
readonly LOG_KILOBYTES=10240 LINES_A_CHECK=1000
# The escape sequence that Compose writes before each line of a log.
readonly CLEAR_LINE=$'\e[2K'

main() {
  command -v curl >/dev/null || die "curl is missing. Install it: it is how this script sees that the api is ready"
  # `obey` ends the script later.
  trap 'asked_to_stop=yes' TERM HUP
  load_settings
  check_log
  check_host
  choose_mode
  obey
  # The paths that docker-compose.yml mounts.
  [ "$mode" != docker ] || export DEAD_LETTERS_PATH=data/dead_letters.jsonl BACKFILL_FOLDER=data/backfill \
    API_KEYS_FILE=secrets/keys/keys.jsonl SESSION_SECRET_FILE=secrets/sessions/secrets
  choose_auth
  [ "$mode" != docker ] || [ -z "$keep" ] || refuse_unknown_token
  stop_earlier
  obey
  check_ports
  check_data
  [ -n "$keep" ] || clear_earlier
  make_log_files
  obey

  trap stop_started EXIT
  if [ "$mode" = docker ]; then start_in_containers; else start_as_processes; fi
  if [ -n "$generator" ]; then
    await "No line is stored" "$FIRST_LINES_SECONDS" "log_generator log_processor api" lines_are_stored
  fi
  show_how_to_ask
  revoke_own_key
  end_work
  if [ -n "$detach" ]; then
    trap - EXIT
    say "It runs in the background; its logs are in $LOGS_FOLDER/. To stop it: ./cleanup.sh"
  else
    follow_logs
  fi
}

check_log() {
  log=$(absolute "$LOG_FILE_PATH") || die "LOG_FILE_PATH=$LOG_FILE_PATH: its folder does not exist"
  if [ -n "$generator" ] && { [ -L "$log" ] || ! in_project "$log"; }; then
    die "LOG_FILE_PATH=$LOG_FILE_PATH is outside the project, so it is not cleared, and no lines are generated into it.
To follow it: $0 --no-generator"
  fi
  if [ -n "$generator" ] && [ -e "$log" ] && ! is_ours "$log"; then
    die "LOG_FILE_PATH=$LOG_FILE_PATH was not made by this script, so it is not cleared, and no lines are generated into it.
To follow it: $0 --no-generator"
  fi
  if [ -n "$generator" ] && [ "$LOG_FORMAT" != simple ]; then
    die "LOG_FORMAT=$LOG_FORMAT: the generator writes simple lines. To follow a log of your own: $0 --no-generator"
  fi
}

check_host() {
  [[ $API_HOST != unix:* ]] || die "API_HOST=$API_HOST: this script needs an address. See docs/access.md"
}

# Ask for keys where others reach the api, unless AUTH says otherwise.
choose_auth() {
  case $API_HOST in
    localhost | 127.* | ::1) [ "$mode" = local ] || AUTH=${AUTH:-none} ;;
    *) AUTH=${AUTH:-keys} ;;
  esac
  API_PUBLISH=$API_HOST
  [[ $API_HOST != *:* ]] || API_PUBLISH="[$API_HOST]"
  [ "$API_HOST" != localhost ] || API_PUBLISH=127.0.0.1
  export AUTH API_PUBLISH
}

asks_for_keys() { [ "$AUTH" = keys ] || [ "$AUTH" = proxy ]; }

# Make an operator's key, to be shown once, where keys are asked for and none is there; else one for this script alone.
operator_key="" is_new_key=""
make_operator_key() {
  local file
  asks_for_keys || return 0
  if grep -qs '"scope":"operator"' "$API_KEYS_FILE"; then
    operator_key=$(keys_command add operator --expires 10m --note "start.sh, until it is ready") ||
      die "cannot make a key in $API_KEYS_FILE"
    return
  fi
  for file in "$API_KEYS_FILE" "$SESSION_SECRET_FILE"; do
    mkdir -p -- "$(dirname -- "$file")"
    [ -e "$file" ] || ! in_project "$file" || note_made "$file"
  done
  is_new_key=yes
  operator_key=$(keys_command add operator --note "made by start.sh") || die "cannot make a key in $API_KEYS_FILE"
}

# End this script's own key.
revoke_own_key() {
  if [ -n "$operator_key" ] && [ -z "$is_new_key" ]; then
    operator_key=${operator_key#rs_}
    keys_command revoke "${operator_key%%_*}"
    operator_key=""
  fi
}

keys_command() {
  if [ "$mode" = docker ]; then
    keys_of_containers "$@" 2>/dev/null
  else
    PYTHONPATH=$ROOT/src "$VENV_PYTHON" -m api keys "$@" 2>/dev/null
  fi
}

stop_earlier() {
  begin_work
  stop_processes
  if engine_answers; then
    if [ "$mode" = docker ]; then
      refuse_foreign_containers
      [ -n "$keep" ] || refuse_foreign_volumes
    fi
    remove_containers
  fi
}

check_ports() {
  refuse_taken_port API_PORT
  [ "$mode" != docker ] || [ -z "$INFLUXDB_PORT" ] || refuse_taken_port INFLUXDB_PORT
}

# Print the path of the file that a variable of DATA names.
data_file() { if [ "$1" = SQLITE_PATH ]; then say "$SQLITE_PATH"; else of_writer "${!1}"; fi; }

# Refuse to clear data that the scripts did not make.
check_data() {
  local variable file
  [ "$mode" = local ] || return 0
  # A heartbeat is empty. It is removed, so that the one of an earlier start does not count.
  file=$(of_writer "$HEARTBEAT_PATH")
  [ ! -s "$file" ] || die "HEARTBEAT_PATH=$HEARTBEAT_PATH is no heartbeat, so it is not removed: name another file"
  [ -z "$keep" ] || return 0
  for variable in "${DATA[@]}"; do
    file=$(data_file "$variable")
    [ -e "$file" ] || continue
    in_project "$file" ||
      die "$variable=${!variable} is outside the project, so it is not cleared. To go on with it: $0 --keep"
    is_ours "$file" ||
      die "$variable=${!variable} was not made by this script, so it is not cleared. To go on with it: $0 --keep"
  done
}

clear_earlier() {
  local variable file
  ! engine_answers || remove_containers --volumes
  for variable in "${DATA[@]}"; do
    file=$(data_file "$variable")
    ! is_ours "$file" || remove_with_companions "$file"
  done
  [ -z "$generator" ] || remove_with_companions "$log"
  remove_folder "$(of_writer "$BACKFILL_FOLDER")"
  remove_logs
}

make_log_files() {
  local name file
  mkdir -p "$RUN_FOLDER" "$LOGS_FOLDER"
  for name in $(services); do
    touch "$LOGS_FOLDER/$name.log"
  done
  if [ -n "$generator" ]; then
    touch "$log"
    note_made "$log"
  fi
  for name in "${DATA[@]}"; do
    file=$(data_file "$name")
    mkdir -p -- "$(dirname -- "$file")"
    ! in_project "$file" || { [ -e "$file" ] && ! is_ours "$file"; } || note_made "$file"
  done
  make_folder "$(of_writer "$BACKFILL_FOLDER")"
}

# The services of this start, in the order in which they are started.
services() {
  [ "$mode" != docker ] || say influx_db
  say log_processor
  say api
  [ -z "$generator" ] || say log_generator
}

start_in_containers() {
  LOG_FOLDER=${log%/*}
  LOG_FILE=${log##*/}
  LOG_PATTERNS=$(patterns_in_container)
  LOG_GID=$(group_of_log)
  export LOG_FOLDER LOG_FILE LOG_PATTERNS LOG_GID
  publish_influxdb
  build_image docker compose build log_processor
  obey
  make_operator_key
  # shellcheck disable=SC2046
  start_containers up --detach --no-build $(services) || fail "The containers do not start" "setup $(services)"
  collect_container_logs
  await "The api is not ready" "$READY_SECONDS" api api_answers /ready
}

# Print LOG_FILES as paths in the container, where the folder of LOG_FILE_PATH is /log.
# shellcheck disable=SC2153
patterns_in_container() {
  local pattern patterns
  IFS=, read -ra patterns <<<"$LOG_FILES"
  for pattern in ${patterns[@]+"${patterns[@]}"}; do
    [[ $pattern == /* ]] || pattern=$ROOT/$pattern
    [[ $pattern == "$LOG_FOLDER"/* ]] ||
      die "LOG_FILES: in containers all logs have to be in the folder of LOG_FILE_PATH, $LOG_FOLDER. $pattern is not"
    printf '/log/%s,' "${pattern#"$LOG_FOLDER"/}"
  done
}

# Print the number of the log's group. Empty where `stat` is not that of Linux: there containers read what the caller may.
group_of_log() {
  local file=$log
  [ -e "$file" ] || file=${log%/*}
  stat -c %g -- "$file" 2>/dev/null || true
}

# Write the output of each container into a file of its own, until all containers have ended.
collect_container_logs() {
  local lines=0
  (
    trap '' HUP
    docker compose logs --follow --no-color | while IFS= read -r line; do
      line=${line#"$CLEAR_LINE"}
      name=${line%% *}
      lines=$((lines + 1))
      [ $((lines % LINES_A_CHECK)) != 0 ] || rotate_logs
      printf '%s\n' "${line#*| }" >>"$LOGS_FOLDER/${name%-1}.log"
    done
  ) </dev/null >/dev/null 2>&1 &
  collector=$!
}

# Give the large logs another name, and remove those that had it.
rotate_logs() { find "$LOGS_FOLDER" -name '*.log' -size "+${LOG_KILOBYTES}k" -exec sh -c 'mv "$1" "$1.1"' sh {} \;; }

start_as_processes() {
  prepare_venv requirements.txt
  export STORAGE=sqlite PYTHONPATH=$ROOT/src PYTHONUNBUFFERED=1
  "$VENV_PYTHON" -m storage setup
  make_operator_key
  # The processor starts before the generator: by default it follows the log from its end.
  rm -f -- "$(of_writer "$HEARTBEAT_PATH")"
  start_service log_processor
  start_service api
  await "The processor does not follow the log" "$READY_SECONDS" log_processor "$VENV_PYTHON" -m log_processor health
  await "The api is not ready" "$READY_SECONDS" api api_answers /ready
  [ -z "$generator" ] || start_service log_generator
}

start_service() { start_process "$1" "$VENV_PYTHON" -m "$1"; }

stop_started() {
  trap '' TERM HUP
  say "Stopping"
  stop_processes
  if [ "$mode" = docker ]; then
    # In a process group of its own: a second Ctrl+C does not reach it.
    set -m
    remove_containers &
    wait $!
  fi
  # The background jobs that follow the logs.
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
}

# await FAULT SECONDS SERVICES COMMAND...: wait until the command succeeds. Ends the script when a service has ended or
# the time is up.
await() {
  local fault=$1 deadline=$((SECONDS + $2)) services=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    obey
    ! ended_service >/dev/null || fail "$(ended_service) has ended" "$(ended_service)"
    [ "$SECONDS" -lt "$deadline" ] || fail "$fault" "$services"
    sleep 0.1
  done
}

# Print a service that has ended by itself. Fails where none has.
ended_service() {
  local name names=(log_processor api)
  # With MAX_LOGS_TO_GENERATE the generator ends after its last line.
  [ -z "$generator" ] || [ -s "$log" ] || names+=(log_generator)
  for name in "${names[@]}"; do
    if [ "$mode" = docker ]; then
      [ "$(docker inspect --format '{{.RestartCount}}' "$name")" != 0 ]
    else
      [ -f "$RUN_FOLDER/$name.pid" ] && ! process_of "$name" >/dev/null
    fi && say "$name" && return
  done
  return 1
}

# fail FAULT SERVICES: show the last lines of the services' logs, and end.
fail() {
  local name
  obey
  for name in $2; do
    say "--- $name: its last lines ---"
    [ "$mode" = docker ] || process_of "$name" >/dev/null || await_output "$name"
    if [ "$mode" = docker ]; then
      docker logs --tail 10 "$(docker compose ps --all --quiet "$name")" 2>&1 | show_lines "" || true
    else
      tail -n 10 "$LOGS_FOLDER/$name.log" | show_lines ""
    fi
  done
  die "$1"
}

api_url() {
  case $API_HOST in
    0.0.0.0 | ::) say "http://127.0.0.1:$API_PORT" ;;
    *:*) say "http://[$API_HOST]:$API_PORT" ;;
    *) say "http://$API_HOST:$API_PORT" ;;
  esac
}

# The key comes by standard input: everyone on the machine can see the arguments of a process.
api_answers() {
  printf '%s\n' "${operator_key:+Authorization: Bearer $operator_key}" |
    curl --silent --fail --noproxy '*' --max-time 5 --header @- "$(api_url)$1"
}

lines_are_stored() { api_answers /customers/stats | grep -q '"total_requests":[1-9]'; }

show_how_to_ask() {
  local customer authorization=""
  customer=$(api_answers '/customers?limit=1' | sed -n 's/.*"customer_id":"\([A-Za-z0-9_.-]*\)".*/\1/p')
  cat <<END

The api:    $(api_url)
Swagger:    $(api_url)/docs
The log:    ${LOG_FILES:-$log}
END
  [ "$mode" != docker ] || [ -z "$INFLUXDB_PORT" ] || say "InfluxDB:   http://127.0.0.1:$INFLUXDB_PORT"
  if [ -n "$is_new_key" ]; then
    authorization="--header 'Authorization: Bearer $operator_key' "
    say
    say "An operator's key, shown only this once: $operator_key"
  elif asks_for_keys; then
    authorization="--header 'Authorization: Bearer KEY' "
  fi
  cat <<END

Try it:     curl ${authorization}'$(api_url)/customers/${customer:+$customer/}stats?from_date=1970-01-01'

END
}

# Show the logs, with the service before each line, until Ctrl+C or until a service ends.
follow_logs() {
  local name
  for name in $(services); do
    tail -n +1 -F "$LOGS_FOLDER/$name.log" 2>/dev/null | show_lines "$(printf '%-13s | ' "$name")" &
  done
  if [ "$mode" = docker ]; then
    wait "$collector" || obey
    die "the containers have ended"
  fi
  until ended_service >/dev/null; do
    obey
    sleep 1
  done
  # Ctrl+C reaches the services as well, and they may end before this script.
  sleep 0.5
  obey
  die "$(ended_service) has ended"
}

# The worker may have ended just now.
stop_worker() { kill -TERM "$worker" 2>/dev/null || true; }

# Ctrl+C can make bash hang in the middle of a command substitution. So a background job, which ignores Ctrl+C, does the
# work, and this shell only waits.
main &
worker=$!
stopped="" status=0
trap 'stopped=130; stop_worker' INT
trap 'stopped=143; stop_worker' TERM HUP
while kill -0 "$worker" 2>/dev/null; do
  status=0
  wait "$worker" || status=$?
done
exit "${stopped:-$status}"
