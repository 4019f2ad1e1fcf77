"""Run a MariaDB that tests kill, freeze, fill and lock at will."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import MySQLdb

from tests.support.real_services import ROOT, free_port

CONNECTIONS = 20
SMALL_BYTES = 400 * 1024 * 1024


class MariadbServer:
    """Run MariaDB on a free loopback port, with an account like the one of the project.

    The data is in a small file system of its own where one may be mounted (`is_mounted`).
    `options`: further ones of the server.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self._directory = directory
        self._data = directory / "data"
        self._user = pwd.getpwuid(os.getuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir()
        self.is_mounted = self._run(
            "mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(self._data)
        )
        (directory / "accounts.sql").write_text(
            "CREATE DATABASE IF NOT EXISTS im CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
            "CREATE USER IF NOT EXISTS im@127.0.0.1 IDENTIFIED BY 'im';\n"
            "GRANT ALL ON im.* TO im@127.0.0.1;\n"
            "CREATE USER IF NOT EXISTS chief@127.0.0.1 IDENTIFIED BY 'chief';\n"
            "GRANT ALL ON *.* TO chief@127.0.0.1 WITH GRANT OPTION;\n"
        )
        making = ("--no-defaults", f"--user={self._user}", f"--datadir={self._data}")
        made = self._run(
            "mariadb-install-db",
            *(*making, "--skip-test-db", "--auth-root-authentication-method=normal"),
        )
        assert made, self.log

    def _run(self, *command: str, **environment: str) -> bool:
        with self._output.open("ab") as output, contextlib.suppress(FileNotFoundError):
            done = subprocess.run(
                command,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
            return done.returncode == 0
        return False

    @property
    def _output(self) -> Path:
        return self._directory / "mariadb.log"

    @property
    def log(self) -> str:
        return self._output.read_text(errors="replace")

    def migrate(self) -> None:
        """Create the project's tables."""
        url = f"mysql://im:im@127.0.0.1:{self.port}/im"
        assert self._run(
            *(sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"),
            IM_DATABASE_URL=url,
        ), self.log

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *("mariadbd", f"--defaults-file={ROOT / 'compose/mysql/im.cnf'}"),
                    *(f"--user={self._user}", f"--datadir={self._data}", f"--port={self.port}"),
                    *("--bind-address=127.0.0.1", f"--socket={self._directory / 'socket'}"),
                    *(f"--pid-file={self._directory / 'pid'}", f"--max-connections={CONNECTIONS}"),
                    *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"),
                    f"--init-file={self._directory / 'accounts.sql'}",
                    *self._options,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(MySQLdb.Error):
                self.ask("SELECT 1")
                return
            assert self._process.poll() is None and time.monotonic() < deadline, self.log[-2_000:]
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal: after SIGSTOP the server holds its connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        self.kill()
        if self.is_mounted:
            assert self._run("umount", str(self._data)), self.log

    def connect(self, user: str = "chief") -> Any:
        """Return a connection of the driver's own, past the code that is tested."""
        return MySQLdb.connect(
            host="127.0.0.1", port=self.port, user=user, password=user, connect_timeout=5
        )

    def ask(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute the statements as an administrator, and return the rows of the last one."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())

    def cut_connections(self) -> None:
        """End the connections of the project's account, as a restart of the server does."""
        self.ask("KILL USER im@127.0.0.1")

    # faults, each over when the block ends

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        self.kill()
        yield
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        self.ask("SET GLOBAL read_only = 1")
        try:
            yield
        finally:
            self.ask("SET GLOBAL read_only = 0")

    @contextlib.contextmanager
    def out_of_connections(self) -> Iterator[None]:
        """Take all connections; the server keeps one more for an administrator."""
        self.cut_connections()
        taken = []
        with contextlib.ExitStack() as open_ones:
            with contextlib.suppress(MySQLdb.OperationalError):
                while True:
                    taken.append(
                        open_ones.enter_context(contextlib.closing(self.connect(user="im")))
                    )
            assert len(taken) > 1
            yield

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the disk to the last byte, with the space that the tables have reserved."""
        assert self.is_mounted
        filler = self._data / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4_096)
        try:
            yield
        finally:
            filler.unlink()
