"""How many files a process may have open at once; connections count as files."""

import resource


def allow_open_files(wanted: int) -> int:
    """Raise the limit of open files to `wanted`, as far as the system allows. A limit that is higher stays.

    Returns the limit: how many files the process may have open now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
