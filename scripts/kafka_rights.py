"""Gives the service's account on a broker its rights, as the broker's own account.

usage: RIGHTS_URL=… IM_TLS_CA=… kafka_rights.py ACCOUNT

scripts/services runs this program. RIGHTS_URL is the address of the broker's account. The address
is a variable and no argument, because it holds a password. Safe to repeat.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from messaging.links import TlsFiles, complete_log_url, read_kafka_url

PREFIX = "im-message"  # of the names of both topics and of the consumers' group
RIGHTS = {
    ResourceType.TOPIC: (
        ACLOperation.DESCRIBE,
        ACLOperation.READ,
        ACLOperation.WRITE,
        ACLOperation.CREATE,
        ACLOperation.DESCRIBE_CONFIGS,
        ACLOperation.ALTER_CONFIGS,
    ),
    ResourceType.GROUP: (ACLOperation.DESCRIBE, ACLOperation.READ),
}


def main(account: str) -> None:
    files = TlsFiles(os.environ["IM_TLS_CA"])
    link = read_kafka_url("URL", complete_log_url("URL", os.environ["RIGHTS_URL"], files))
    rights = [
        ACL(
            f"User:{account}",
            "*",
            operation,
            ACLPermissionType.ALLOW,
            ResourcePattern(kind, PREFIX, ACLResourcePatternType.PREFIXED),
        )
        for kind, operations in RIGHTS.items()
        for operation in operations
    ]
    client = KafkaAdminClient(bootstrap_servers=list(link.servers), **link.security)
    with closing(client) as admin:
        failed = admin.create_acls(rights)["failed"]
        if failed:
            sys.exit(f"the broker refused these rights: {failed}")


if __name__ == "__main__":
    main(sys.argv[1])
