"""Hold the files of TLS: the trusted authorities, and the certificate that this side shows."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Hold paths, empty where none is given.

    Without `ca` the authorities of the system are trusted.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self, variable: str) -> ssl.SSLContext:
        """Make the context of a client that proves the server's authority and name.

        Raises: ImproperlyConfigured, with the variable, for a file that cannot be used.
        """
        if self.key and not self.cert:
            raise ImproperlyConfigured(
                f"{variable}: a TLS key is given without its certificate; name both."
            )
        for path in filter(None, (self.ca, self.cert, self.key)):
            if not Path(path).is_file():
                raise ImproperlyConfigured(f"{variable}: the TLS file {path!r} does not exist.")
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None, _no_password)
        except (OSError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{variable}: the files of TLS ({self._told()}) cannot be used: {error}"
            ) from error
        return context

    def named(self, ca: str, cert: str, key: str) -> dict[str, str]:
        """Return the given paths under a client's own names for them."""
        paths = {ca: self.ca, cert: self.cert, key: self.key}
        return {name: path for name, path in paths.items() if path}

    def overridden(self, options: Mapping[str, str], ca: str, cert: str, key: str) -> TlsFiles:
        """Return these files, replaced by the files that an address names.

        A key belongs to its certificate: with a certificate of the address no key of ours is used.
        """
        if cert in options:
            return TlsFiles(options.get(ca, self.ca), options[cert], options.get(key, ""))
        return TlsFiles(options.get(ca, self.ca), self.cert, options.get(key, self.key))

    def _told(self) -> str:
        return ", ".join(filter(None, (self.ca, self.cert, self.key))) or "the system's"


def _no_password() -> str:
    raise ValueError("the key is protected by a password")
