#!/usr/bin/env bash
# Runs all tests: in containers on a real InfluxDB, or in .venv where there is no Docker.
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
source scripts/processes.sh
source scripts/containers.sh

usage() {
  cat <<'END'
Usage: ./run_tests.sh [--docker | --local] [ARGUMENT FOR PYTEST]...

Runs all tests. With Docker they run in a container, against an InfluxDB of their own. Tests that drive the scripts or
kill processes run on this machine after that. Without Docker all tests run in .venv, on SQLite, and also on InfluxDB if
there is an influxd 2 on PATH. A running system is not touched. The summary says what was skipped and why.

  --docker  use containers, or say what is missing
  --local   use .venv: needs only Python 3.10, 3.11 or 3.12
  --help    show this

Other arguments go to pytest: ./run_tests.sh tests/unit -k parser. Paths are relative to the project. Each core runs two
tests at a time; --numprocesses 0 runs one after the other.
END
}

mode=""
pytest_arguments=()
for argument in "$@"; do
  case $argument in
    --docker | --local)
      [ -z "$mode" ] || [ "$mode" = "${argument#--}" ] || die "--docker or --local, not both"
      mode=${argument#--}
      ;;
    --help)
      usage
      exit
      ;;
    *) pytest_arguments+=("$argument") ;;
  esac
done

# Longest wait for the InfluxDB of the tests, in seconds.
readonly INFLUX_SECONDS=60
readonly NAME=$TEST_PREFIX-$$
# The exit status of pytest when no test is selected.
readonly NONE_SELECTED=5

main() {
  choose_mode
  if [ "$mode" = docker ]; then
    run_in_containers
  else
    prepare_venv requirements.txt requirements-test.txt
    run_pytest "$VENV_PYTHON" -m pytest
  fi
}

# run_pytest COMMAND...: run pytest with the arguments of this script. Tests mostly wait, so each core gets two.
run_pytest() {
  # Servers in tests read what the tests make as other users.
  umask 022
  "$@" --numprocesses "$((2 * $(getconf _NPROCESSORS_ONLN)))" --dist worksteal \
    ${pytest_arguments[@]+"${pytest_arguments[@]}"}
}

run_in_containers() {
  local container_status=0 host_status=0
  build_image docker build --target test --tag "$TEST_IMAGE" .
  trap 'remove_test_containers "name=^$NAME\\b"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  start_influxdb
  say "In a container:"
  run_pytest docker run --rm --init --name "$NAME-tests" --network "$NAME" "${TEST_LABEL[@]}" \
    --env TEST_INFLUXDB_URL=http://influx_db:8086 --env TEST_INFLUXDB_ORG --env TEST_INFLUXDB_ADMIN_TOKEN \
    "$TEST_IMAGE" python -m pytest -m "not host" || container_status=$?
  say "On this machine, the tests that drive the scripts or kill processes:"
  if find_python >/dev/null; then
    prepare_venv requirements.txt requirements-test.txt
    run_pytest "$VENV_PYTHON" -m pytest -m host || host_status=$?
  else
    say "Skipped: no Python 3.10, 3.11 or 3.12 is on PATH."
    host_status=$NONE_SELECTED
  fi
  if [ "$container_status" = "$NONE_SELECTED" ]; then exit "$host_status"; fi
  [ "$host_status" != "$NONE_SELECTED" ] || host_status=0
  exit $((container_status ? container_status : host_status))
}

# Start an InfluxDB for these tests alone: on a network of its own, and on a free port for the tests on this machine.
start_influxdb() {
  local deadline=$((SECONDS + INFLUX_SECONDS))
  TEST_INFLUXDB_ORG=test TEST_INFLUXDB_ADMIN_TOKEN=$(random_secret) DOCKER_INFLUXDB_INIT_PASSWORD=$(random_secret)
  export TEST_INFLUXDB_ORG TEST_INFLUXDB_ADMIN_TOKEN DOCKER_INFLUXDB_INIT_PASSWORD
  docker network create "${TEST_LABEL[@]}" "$NAME" >/dev/null
  docker run --detach --name "$NAME-influxdb" --network "$NAME" --network-alias influx_db "${TEST_LABEL[@]}" \
    --publish 127.0.0.1::8086 \
    --env DOCKER_INFLUXDB_INIT_MODE=setup \
    --env DOCKER_INFLUXDB_INIT_USERNAME=admin --env DOCKER_INFLUXDB_INIT_PASSWORD \
    --env DOCKER_INFLUXDB_INIT_ORG="$TEST_INFLUXDB_ORG" --env DOCKER_INFLUXDB_INIT_BUCKET=first \
    --env DOCKER_INFLUXDB_INIT_ADMIN_TOKEN="$TEST_INFLUXDB_ADMIN_TOKEN" \
    "$influx_image" >/dev/null
  TEST_INFLUXDB_URL=http://$(docker port "$NAME-influxdb" 8086/tcp)
  export TEST_INFLUXDB_URL
  until curl --silent --fail --noproxy '*' --output /dev/null "$TEST_INFLUXDB_URL/health"; do
    [ "$SECONDS" -lt "$deadline" ] || die "InfluxDB does not answer: $(docker logs --tail 10 "$NAME-influxdb" 2>&1 | show_lines "")"
    sleep 0.2
  done
}

main
