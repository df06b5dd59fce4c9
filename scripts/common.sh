# shellcheck shell=bash
# Functions of all scripts, which source this file. It changes to the project's root.
set -euo pipefail
# All that the scripts and their processes make is for the caller alone.
umask 077
# With it `cd data` could lead to another folder than ./data, and print its path.
unset CDPATH

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly ROOT
cd "$ROOT"

readonly RUN_FOLDER=.run
# shellcheck disable=SC2034
readonly LOGS_FOLDER=logs
# The file in a folder that says that the scripts made it.
readonly MARK=.made-by-request-statistics

say() { printf '%s\n' "$*"; }

# show_lines BEFORE: print the lines of standard input, each after BEFORE. A `?` stands for a character that a terminal
# would obey, since the output of a service may have text from a log.
show_lines() {
  # By bytes: control characters, those of Unicode (U+0080 to U+009F), and those that hide or reorder text.
  local line LC_ALL=C
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line//[$'\x01'-$'\x08'$'\x0b'-$'\x1f'$'\x7f']/?}
    line=${line//$'\xc2'[$'\x80'-$'\x9f']/?}
    line=${line//$'\xe2\x80'[$'\x8b'-$'\x8f'$'\xa8'-$'\xae']/?}
    line=${line//$'\xe2\x81'[$'\xa0'-$'\xaf']/?}
    printf '%s%s\n' "$1" "$line"
  done
}

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

unknown_argument() {
  printf '%s: unknown argument %q, see %s --help\n' "${0##*/}" "$1" "$0" >&2
  exit 2
}

# takes_no_arguments "$@": accept --help alone.
takes_no_arguments() {
  [ $# != 0 ] || return 0
  case $1 in
    --help)
      usage
      exit
      ;;
    *) unknown_argument "$1" ;;
  esac
}

# Export the variables of .env.local that the shell has not set, or has set to nothing. Our lists of files have a path a
# line, so a path with a line break would stand for others.
load_settings() {
  local line name
  # The last line may have no newline. Editors of Windows end lines with CR and LF.
  while IFS= read -r line || [ -n "$line" ]; do
    [[ ${line%$'\r'} =~ ^([A-Z_]+)=(.*)$ ]] || continue
    name=${BASH_REMATCH[1]}
    [ -n "${!name:-}" ] || export "$name=${BASH_REMATCH[2]}"
    [[ ${!name} != *$'\n'* ]] || die "$name has a line break, and no setting can have one"
  done <.env.local
}

# Print a file's path with the links of its folder resolved. A relative path is relative to the project. Fails where the
# folder does not exist.
absolute() {
  local folder
  folder=$(cd "$(dirname -- "$1")" 2>/dev/null && pwd -P) || return 1
  printf '%s/%s\n' "${folder%/}" "${1##*/}"
}

in_project() { [[ $(absolute "$1") == "$ROOT"/* ]]; }

# Succeed where a path is one of ours: below data/, the generator's log, or a file that the scripts noted.
is_ours() {
  local path
  path=$(absolute "$1") || return 1
  [[ $path == "$ROOT"/data/* || $path == "$ROOT/src/log_generator/api_requests.log" ]] ||
    grep -qxF -- "$path" "$RUN_FOLDER/made" 2>/dev/null
}

# Note that the scripts made a file of the project, so that cleanup.sh may remove it.
note_made() {
  local file
  file=$(absolute "$1")
  grep -qxF -- "$file" "$RUN_FOLDER/made" 2>/dev/null || printf '%s\n' "$file" >>"$RUN_FOLDER/made"
}

# Print the path of a file or folder that the processor's writer has for itself, as src/log_processor/heartbeat.py does.
of_writer() {
  local name=${1##*/}
  case $WRITER:$name in
    main:*) say "$1" ;;
    *:?*.*) say "$(dirname -- "$1")/${name%.*}.$WRITER.${name##*.}" ;;
    *) say "$1.$WRITER" ;;
  esac
}

# Remove a log with its rotated files, or a database with its write-ahead log and the locks of writers. A backup beside
# it is somebody's own.
remove_with_companions() {
  local file
  for file in "$1" "$1"-wal "$1"-shm "$1".*; do
    [[ ${file#"$1"} =~ ^(\.[0-9]+(\.(gz|bz2|xz|zst))?|(\..+)?\.lock|-wal|-shm)?$ ]] || continue
    rm -f -- "$file"
  done
}

# Make a folder of the project with a mark, without which it is never removed. One that is there gets none.
make_folder() {
  if in_project "$1" && [ ! -e "$1" ]; then
    mkdir -p "$1"
    touch "$1/$MARK"
  fi
}

# Remove a folder that is marked as made by the scripts, or the one that earlier releases made without a mark.
remove_folder() {
  in_project "$1" || return 0
  if [ -f "$1/$MARK" ] || [ "$(absolute "$1")" = "$ROOT/data/backfill" ]; then
    rm -rf -- "$1"
  fi
}

# Remove the output of our services and of builds. Behind a link lie files of others that may have the same names.
remove_logs() {
  local name
  [ ! -L "$LOGS_FOLDER" ] || return 0
  for name in influx_db setup log_processor api log_generator build; do
    rm -f -- "$LOGS_FOLDER/$name.log" "$LOGS_FOLDER/$name.log".[0-9]
  done
  rmdir "$LOGS_FOLDER" 2>/dev/null || true
}

# refuse_taken_port VARIABLE: end when another program listens on the port that the variable names.
refuse_taken_port() {
  local port=${!1}
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "port $port is taken by another program. Choose another: $1=$((port + 1)) $0"
  fi
}
