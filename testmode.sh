#!/usr/bin/env bash
# Starts the containers, with the tests and without the generator, for single tests by hand.
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
source scripts/processes.sh
source scripts/containers.sh

usage() {
  cat <<'END'
Usage: ./testmode.sh

Stops the running system, and starts influx_db, log_processor and api from the image with the tests, without the
generator. The data are kept. Then you can run single tests:

END
  show_tests
  cat <<'END'

  --help    show this
END
}

show_tests() {
  cat <<'END'
  docker exec -it log_processor python -m unittest test_logprocessor_storage_integration.TestCustomerStatsIntegration.test_log_handler_and_storage
  docker exec -it log_processor python -m pytest tests/unit -k parser
END
}

takes_no_arguments "$@"

load_settings
docker_is_usable || die "$docker_problem, and test mode needs containers.
A single test without them: ./run_tests.sh --local tests/unit -k parser"
begin_work
stop_processes
refuse_foreign_containers
# shellcheck disable=SC2119
remove_containers
refuse_taken_port API_PORT
[ -z "$INFLUXDB_PORT" ] || refuse_taken_port INFLUXDB_PORT

publish_influxdb
add_compose_file docker-compose.testmode.yml
build_image docker compose build log_processor
start_containers up --detach --no-build --wait log_processor api
end_work
say "Ready. For example:"
show_tests
say "To end it: ./cleanup.sh"
