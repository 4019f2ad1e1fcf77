"""Read the options of the database's address into the arguments of mysqlclient.

Both libraries that mysqlclient can be built on read `ssl_mode`. With VERIFY_IDENTITY, MariaDB's
library too enforces TLS, and proves the server's authority and name.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from messaging.links import addresses
from messaging.links.files import TlsFiles

FILES = ("ssl_ca", "ssl_cert", "ssl_key")
KNOWN = ("tls", "ssl_mode", "unix_socket", *FILES)


def database_options(variable: str, scheme: str, query: str, files: TlsFiles) -> dict[str, Any]:
    """Return the entries that the query of an address adds to Django's OPTIONS.

    Raises: ImproperlyConfigured for an unknown option or a file that cannot be used.
    """
    options = addresses.options(variable, query, KNOWN if scheme == "mysql" else ())
    is_asked = "ssl_mode" in options or any(name in options for name in FILES)
    is_asked |= options.get("tls", "").lower() in ("true", "1", "on", "yes")
    addresses.refuse_unless(variable, options, "ssl_mode", "verify_identity")
    addresses.refuse_unless(
        variable, options, "tls", "true", "1", "on", "yes", *(() if is_asked else ("false", "0"))
    )
    found = files.overridden(options, *FILES)
    wanted: dict[str, Any] = {name: options[name] for name in ("unix_socket",) if name in options}
    if is_asked:
        found.context(variable)
        paths = found.named("ca", "cert", "key")
        wanted |= {"ssl_mode": "VERIFY_IDENTITY", "ssl": paths if found.ca else paths | _system()}
    return wanted


def _system() -> dict[str, str]:
    """Return the path of the system's authorities; MySQL's library has no default for the path."""
    places = ssl.get_default_verify_paths()
    if places.cafile and Path(places.cafile).is_file():
        return {"ca": places.cafile}
    return {"capath": places.capath} if places.capath else {}
