# shellcheck shell=bash
# What all scripts share. Sourced by them; it leaves the shell in the project's root.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly ROOT
cd "$ROOT"

readonly RUN_FOLDER=.run
# shellcheck disable=SC2034
readonly LOGS_FOLDER=logs

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

unknown_argument() {
  printf '%s: unknown argument %s, see %s --help\n' "${0##*/}" "$1" "$0" >&2
  exit 2
}

# For a script without arguments of its own: takes_no_arguments "$@".
takes_no_arguments() {
  case ${1:-} in
    "") ;;
    --help)
      usage
      exit
      ;;
    *) unknown_argument "$1" ;;
  esac
}

# Export the variables of .env.local that the shell does not set.
load_settings() {
  local line
  while IFS= read -r line; do
    [[ $line =~ ^([A-Z_]+)=(.*)$ ]] || continue
    [ -n "${!BASH_REMATCH[1]+set}" ] || export "${BASH_REMATCH[1]}=${BASH_REMATCH[2]}"
  done <.env.local
}

# A file's path with the links of its folder resolved; a relative one is relative to the project. Fails without folder.
absolute() {
  local folder
  folder=$(cd "$(dirname "$1")" 2>/dev/null && pwd -P) || return 1
  printf '%s/%s\n' "${folder%/}" "${1##*/}"
}

in_project() { [[ $(absolute "$1") == "$ROOT"/* ]]; }

# Note that a file of the project was made by us, so that cleanup.sh may remove it.
note_made() {
  local file
  file=$(absolute "$1")
  grep -qxF -- "$file" "$RUN_FOLDER/made" 2>/dev/null || printf '%s\n' "$file" >>"$RUN_FOLDER/made"
}

# Remove a log with its rotated files, or a database with what SQLite keeps beside it.
remove_with_companions() { rm -f -- "$1" "$1".* "$1"-wal "$1"-shm; }

# refuse_taken_port VARIABLE: when another program listens on the port that it names.
refuse_taken_port() {
  local port=${!1}
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port is taken by another program. Choose another: $1=$((port + 1)) $0"
  fi
}
