#!/usr/bin/env bash
# Stops and removes everything that the other scripts made.
source "$(dirname "${BASH_SOURCE[0]}")/scripts/common.sh"
source scripts/processes.sh
source scripts/containers.sh

usage() {
  cat <<'END'
Usage: ./cleanup.sh

Stops what start.sh, testmode.sh and run_tests.sh started, and removes what they made: containers, volumes, network and
images; the generated log with its rotated files, the database, the services' own logs, .venv and caches. Other files
stay: a log that was only followed, and the images of Python and InfluxDB.

  --help    show this
END
}

takes_no_arguments "$@"

remove_docker_objects() {
  if ! engine_answers; then
    ! command -v docker >/dev/null || say "The Docker engine does not answer, so its containers were not removed."
    return
  fi
  remove_test_containers "label=com.request-statistics.tests=$ROOT"
  remove_containers --volumes
  remove_images
}

remove_files() {
  local file
  if [ -f "$RUN_FOLDER/made" ]; then
    while IFS= read -r file; do
      # A folder that has become a link since leads to other files. Only files of the project are noted.
      [ "$(absolute "$file")" != "$file" ] || ! in_project "$file" || remove_with_companions "$file"
    done <"$RUN_FOLDER/made"
  fi
  remove_folder "$(of_writer "$BACKFILL_FOLDER")"
  remove_logs
  rmdir "$SECRETS_FOLDER/keys" "$SECRETS_FOLDER/sessions" "$SECRETS_FOLDER" 2>/dev/null || true
  rm -rf "$RUN_FOLDER" .venv .venv-audit .pytest_cache .mypy_cache .ruff_cache .hypothesis
  find src tests -type d -name __pycache__ -prune -exec rm -rf {} +
}

load_settings
begin_work
stop_processes
remove_docker_objects
remove_files
say "Everything is removed."
