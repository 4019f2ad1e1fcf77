"""Name every command that the service sends to Redis, with arguments that Redis can queue.

A test compares the list with the scripts and the adapters. The keys have the service's prefixes, as
an account may be limited to keys.
"""

from __future__ import annotations

from messaging.cache import keys
from messaging.eventlog.redis_streams.entries import KEY_PREFIX

KEY = f"{keys.PREFIX}doctor"
STREAM = f"{KEY_PREFIX}doctor"

COMMANDS: tuple[tuple[str | int, ...], ...] = (
    # strings and keys
    ("GET", KEY),
    ("MGET", KEY),
    ("STRLEN", KEY),
    ("SET", KEY, "", "PX", 1),
    ("SETNX", KEY, ""),
    ("INCRBY", KEY, 0),
    ("DECRBY", KEY, 0),
    ("DEL", KEY),
    ("EXISTS", KEY),
    ("EXPIRE", KEY, 1),
    ("PEXPIRE", KEY, 1),
    ("PERSIST", KEY),
    ("TTL", KEY),
    ("PTTL", KEY),
    ("SCAN", 0),
    ("DBSIZE",),
    # hashes
    ("HGET", KEY, ""),
    ("HMGET", KEY, ""),
    ("HGETALL", KEY),
    ("HEXISTS", KEY, ""),
    ("HSET", KEY, "", ""),
    ("HSETNX", KEY, "", ""),
    ("HINCRBY", KEY, "", 0),
    ("HDEL", KEY, ""),
    # lists
    ("LINDEX", KEY, 0),
    ("LLEN", KEY),
    ("LRANGE", KEY, 0, 0),
    ("LINSERT", KEY, "BEFORE", "", ""),
    ("LPUSH", KEY, ""),
    ("RPUSH", KEY, ""),
    ("RPOP", KEY),
    ("LREM", KEY, 0, ""),
    ("LTRIM", KEY, 0, 0),
    # sets and sorted sets
    ("SADD", KEY, ""),
    ("SREM", KEY, ""),
    ("SCARD", KEY),
    ("SISMEMBER", KEY, ""),
    ("SMISMEMBER", KEY, ""),
    ("SMEMBERS", KEY),
    ("ZADD", KEY, 0, ""),
    ("ZREM", KEY, ""),
    ("ZREMRANGEBYSCORE", KEY, 0, 0),
    ("ZCARD", KEY),
    ("ZCOUNT", KEY, 0, 0),
    ("ZSCORE", KEY, ""),
    ("ZMSCORE", KEY, ""),
    ("ZRANGE", KEY, 0, 0),
    ("ZREVRANGE", KEY, 0, 0),
    ("ZRANGEBYSCORE", KEY, 0, 0),
    # streams
    ("XADD", STREAM, "*", "", ""),
    ("XLEN", STREAM),
    ("XTRIM", STREAM, "MAXLEN", 0),
    ("XRANGE", STREAM, "-", "+"),
    ("XREVRANGE", STREAM, "+", "-"),
    ("XREAD", "STREAMS", STREAM, 0),
    # all else
    ("EVAL", "return 0", 0),
    ("EVALSHA", "0" * 40, 0),
    ("SCRIPT", "LOAD", "return 0"),
    ("SCRIPT", "EXISTS", "0" * 40),
    ("PUBLISH", keys.CHANGES, "[]"),
    ("SUBSCRIBE", keys.CHANGES),
    ("INFO",),
    ("TIME",),
    ("PING",),
)
