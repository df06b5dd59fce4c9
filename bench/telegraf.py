"""Telegraf on the same log: inputs.tail with grok, outputs.influxdb_v2, with the settings that made it fastest."""

import subprocess
import time
from pathlib import Path

from bench.fresh_stores import FreshStore

LOOK_SECONDS = 0.5
QUIET_SECONDS = 10.0
CONFIGURATION = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  metric_batch_size = 5000
  metric_buffer_limit = 200000
  omit_hostname = true
  quiet = true
[[inputs.tail]]
  files = ["{log}"]
  initial_read_offset = "beginning"
  watch_method = "inotify"
  path_tag = ""
  max_undelivered_lines = 20000
  name_override = "api_requests"
  data_format = "grok"
  grok_patterns = ['%{{STAMP:time:ts-"2006-01-02 15:04:05"}} %{{NOTSPACE:customer_id:tag}} \
%{{NOTSPACE:request_path}} %{{NUMBER:status_code:int}} %{{NUMBER:duration:float}}']
  grok_custom_patterns = 'STAMP %{{YEAR}}-%{{MONTHNUM}}-%{{MONTHDAY}} %{{TIME}}'
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "{token}"
  organization = "{org}"
  bucket = "{bucket}"
  content_encoding = "identity"
"""
SETTINGS = "metric_batch_size 5,000, metric_buffer_limit 200,000, max_undelivered_lines 20,000"


def catch_up(command: str, fresh: FreshStore, log: Path, lines: int) -> float:
    """Seconds from its start until so many points are in the bucket, or no more come: two lines may share a point."""
    assert fresh.server is not None
    configuration = fresh.folder / "telegraf.conf"
    configuration.write_text(
        CONFIGURATION.format(
            log=log,
            url=fresh.server.url,
            token=fresh.server.admin_token,
            org=fresh.server.org,
            bucket=fresh.store.environment["INFLUXDB_BUCKET"],
        )
    )
    began = time.monotonic()
    with (fresh.folder / "telegraf.out").open("wb") as output:
        process = subprocess.Popen([command, "--config", configuration], stdout=output, stderr=subprocess.STDOUT)
    try:
        stored, grown = 0, began
        while stored < lines and time.monotonic() < grown + QUIET_SECONDS:
            time.sleep(LOOK_SECONDS)
            if (points := fresh.points()) > stored:
                stored, grown = points, time.monotonic()
        if not stored:
            raise RuntimeError(f"Telegraf stores nothing:\n{(fresh.folder / 'telegraf.out').read_text()[-2000:]}")
        return grown - began
    finally:
        process.terminate()
        process.wait()
