# shellcheck shell=bash
# Local mode: .venv, and services as processes. Sourced after common.sh.

readonly PROCESSES=(log_generator log_processor api)
readonly VENV_PYTHON=$ROOT/.venv/bin/python
# How long a process may take to end on SIGTERM, in seconds.
readonly STOP_SECONDS=15
# Packages of the caller's would count as installed in .venv, and take the place of those that are to be there.
unset PYTHONPATH PYTHONHOME
# A link to the number and the start of the script that starts or stops services now. A link is made as a whole.
readonly AT_WORK=$RUN_FOLDER/at_work

# is_fit PYTHON: succeed where Bytewax has wheels for this Python, and it can make environments.
is_fit() {
  "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' >/dev/null 2>&1
}

# Print the Python for .venv. Fails where there is none.
find_python() {
  local python
  for python in python3.11 python3.12 python3.10 python3 python; do
    if is_fit "$python"; then
      say "$python"
      return
    fi
  done
  return 1
}

# prepare_venv LOCK_FILE...: make .venv, and install the lock files that have changed since the last time.
prepare_venv() {
  local lock python
  # An interrupted start leaves a .venv without pip.
  if ! is_fit "$VENV_PYTHON" || ! "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) ||
      die "Python 3.10, 3.11 or 3.12 with its venv module is needed, and none is on PATH (Debian: apt install python3-venv)"
    say "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
  fi
  for lock in "$@"; do
    if ! cmp -s "$lock" ".venv/installed-$lock"; then
      say "Installing $lock into .venv"
      "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$lock"
      cp "$lock" ".venv/installed-$lock"
    fi
  done
}

# Print when a process started. That tells it from a later process with the same number. Fails when it has ended.
started_at() {
  local stat
  if [ -d /proc/self ]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # After the name in parentheses come the state and, as the 20th field, the time of the start (proc(5)).
    read -ra stat <<<"${stat##*) }"
    [ "${stat[0]}" != Z ] && printf '%s\n' "${stat[19]}"
  else
    ps -o lstart= -p "$1"
  fi
}

# is_running PROCESS STARTED: succeed where this is still the process that started then.
is_running() { [ -n "$2" ] && [ "$(started_at "$1")" = "$2" ]; }

# Wait until no other script starts or stops services here. The others wait until `end_work`, or the end of this process.
begin_work() {
  local holder pid started told="" ended=$AT_WORK.$$
  until mkdir -p "$RUN_FOLDER" && ln -s "$$ $(started_at "$$")" "$AT_WORK" 2>/dev/null; do
    # Without a holder the file system has no links.
    holder=$(readlink "$AT_WORK") || return 0
    read -r pid started <<<"$holder"
    if is_running "$pid" "$started"; then
      [ -n "$told" ] || say "Waiting for another script that is at work here, process $pid"
      told=yes
      sleep 0.2
      obey
    elif mv "$AT_WORK" "$ended" 2>/dev/null; then
      # Of several that wait, another one may have begun meanwhile: then it goes on.
      [ "$(readlink "$ended")" = "$holder" ] || mv -n "$ended" "$AT_WORK"
      rm -f "$ended"
    fi
  done
}

end_work() { rm -f "$AT_WORK"; }

# End where that was asked for, at a place where nothing is half done. Only start.sh sets `asked_to_stop`.
asked_to_stop=""
obey() { [ -z "$asked_to_stop" ] || exit 1; }

# start_process NAME COMMAND...: run a command apart from the terminal, with its output in a file that is rotated.
start_process() {
  local name=$1 pid
  shift
  # shellcheck disable=SC2016
  nohup "$@" > >(exec sh -c 'echo $$ >"$1" && shift && exec "$@"' sh "$RUN_FOLDER/$name.writer" \
    "$VENV_PYTHON" -m service.log_file "$LOGS_FOLDER/$name.log" >/dev/null 2>&1) 2>&1 </dev/null &
  pid=$!
  printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$RUN_FOLDER/$name.pid"
}

# await_output NAME: wait until all that an ended process said is in its file.
await_output() {
  local writer deadline=$((SECONDS + STOP_SECONDS))
  writer=$(cat "$RUN_FOLDER/$1.writer" 2>/dev/null) || return 0
  while started_at "$writer" >/dev/null && [ "$SECONDS" -lt "$deadline" ]; do
    sleep 0.05
  done
}

# Print the number of the running process that was started under this name. Fails where there is none.
process_of() {
  local pid="" started=""
  [ -f "$RUN_FOLDER/$1.pid" ] || return 1
  # A full disk leaves an empty file, and a process that ended at once has no start.
  read -r pid started <"$RUN_FOLDER/$1.pid" || true
  is_running "$pid" "$started" && printf '%s\n' "$pid"
}

stop_process() {
  local pid deadline=$((SECONDS + STOP_SECONDS))
  if pid=$(process_of "$1"); then
    # The process may have ended just now: Ctrl+C reaches it too.
    kill -TERM "$pid" 2>/dev/null || true
    while process_of "$1" >/dev/null; do
      if [ "$SECONDS" -ge "$deadline" ]; then
        say "$1 did not end on SIGTERM and was killed"
        kill -KILL "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.1
    done
    await_output "$1"
  fi
  rm -f "$RUN_FOLDER/$1.pid" "$RUN_FOLDER/$1.writer"
}

stop_processes() {
  local name
  for name in "${PROCESSES[@]}"; do
    stop_process "$name"
  done
}
