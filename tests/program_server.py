"""Forks our programs from one process that has imported them: to import them anew takes longer than most tests run.

A program is a process of its own all the same, which has only the fork in common with the others. It is started by
`programs.py`.
"""

import atexit
import gc
import importlib
import json
import os
import resource
import runpy
import signal
import socket
import sys
import threading
import time
import traceback

MODULES = (
    "api.app",
    "log_generator.log_writer",
    "log_generator.schedule",
    "log_generator.traffic",
    "log_processor.commands.backfill",
    "log_processor.commands.check",
    "log_processor.commands.verify",
    "log_processor.run",
    "storage.influxdb.setup",
    "storage.sqlite.backup",
    "aiohttp",
    "uvicorn",
    "uvloop",
)
MESSAGE_BYTES = 1 << 20
LEAST_DESCRIPTOR = 3


def next_program(control: socket.socket) -> list[str]:
    """Fork for each request that comes. Returns in each new process: its module and its arguments."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, LEAST_DESCRIPTOR)
        if not message:
            os._exit(0)
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        # This process waits for the program, and tells how it ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output, errors, told = descriptors
        program = os.fork()
        if program:
            os.write(told, f"{program}\n".encode())
            _, status = os.waitpid(program, 0)
            os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
        request = json.loads(message)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.closerange(LEAST_DESCRIPTOR, max(descriptors[-1], control.fileno()) + 1)
        control.detach()
        resource.setrlimit(resource.RLIMIT_NOFILE, request["open_files"])
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        return list(request["command"])


def run(module: str) -> int:
    """Run a program as `python -m` does. Returns its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    # The garbage collector of a program would copy all of this.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # The terminal's Ctrl+C is for the programs alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, *arguments = next_program(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    status = run(module)
    # All that the interpreter does at its end, but for removing each object: that takes longer than most programs.
    getattr(threading, "_shutdown")()  # noqa: B009
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
