"""Prints the address for a web server to listen on, and the URL of that server.

usage: choose_address.py HOST PORT

scripts/run runs this program. Exit status: 3 when HOST is no name or address of this machine,
1 when PORT is taken or not permitted.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys

UNKNOWN = 3


def main(host: str, port: int) -> int:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return UNKNOWN
    # A name of both kinds, as localhost is, stands for its IPv4 address, which all clients try.
    family, _, _, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
    address = ipaddress.ip_address(place[0])
    if len(place) > 2 and place[3]:
        return UNKNOWN  # granian takes no scope
    try:
        socket.create_server((str(address), port), family=family).close()
    except OverflowError:
        return 1
    except OSError as error:
        return UNKNOWN if error.errno == errno.EADDRNOTAVAIL else 1
    asked = address
    if address.is_unspecified:
        asked = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    print(address, f"http://{f'[{asked}]' if asked.version == 6 else asked}:{port}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
