"""Request tables shared by test_redis.py and test_side_by_side.py.

SCRIPTS: every Redis command that nutcracker 0.5.0 forwards (compat part 5.2), at least one script each: requests
separated by ';', words as in a shell, @x is a key that shares its hash tag with the script's other keys. Replies are
compared with those of one plain server, so nothing is said here about what they are.
"""
import shlex

# how two replies of one command are compared: "raw" unless here
COMPARE = {
    "smembers": "set", "sinter": "set", "sunion": "set", "sdiff": "set", "hkeys": "set", "hvals": "set", "hgetall": "set",
    "sscan": "scan", "hscan": "scan", "zscan": "scan", "lolwut": "kind", "command": "kind", "time": "kind",
    "info": "kind",
}

SCRIPTS = {
    # key only
    "persist": "SET @k v; PERSIST @k; EXPIRE @k 100; PERSIST @k; PERSIST @none",
    "pttl": "PTTL @none; SET @k v; PTTL @k",
    "ttl": "TTL @none; SET @k v; TTL @k; EXPIRE @k 100000; TTL @k",
    "type": "TYPE @none; SET @k v; TYPE @k; SADD @s a; TYPE @s; ZADD @z 1 a; TYPE @z; HSET @h f v; TYPE @h; RPUSH @l a; TYPE @l",
    "dump": "DUMP @none; SET @k v; DUMP @k",
    "decr": "DECR @k; DECR @k; SET @s abc; DECR @s",
    "get": "GET @none; SET @k v; GET @k; SET @e ''; GET @e; SADD @s a; GET @s",
    "getdel": "SET @k v; GETDEL @k; GET @k; GETDEL @k",
    "incr": "INCR @k; INCR @k; SET @s 9223372036854775807; INCR @s",
    "strlen": "STRLEN @none; SET @k hello; STRLEN @k",
    "hgetall": "HGETALL @none; HSET @h a 1 b 2; HGETALL @h; SET @k v; HGETALL @k",
    "hkeys": "HKEYS @none; HSET @h a 1 b 2; HKEYS @h",
    "hlen": "HLEN @none; HSET @h a 1 b 2; HLEN @h",
    "hvals": "HVALS @none; HSET @h a 1 b 2; HVALS @h",
    "llen": "LLEN @none; RPUSH @l a b; LLEN @l",
    "scard": "SCARD @none; SADD @s a b; SCARD @s",
    "smembers": "SMEMBERS @none; SADD @s a b c; SMEMBERS @s",
    "zcard": "ZCARD @none; ZADD @z 1 a; ZCARD @z",
    # key and one
    "expire": "EXPIRE @none 10; SET @k v; EXPIRE @k 1000; EXPIRE @k abc",
    "expireat": "SET @k v; EXPIREAT @k 33177117420; TTL @none; EXPIREAT @k 1; GET @k",
    "pexpire": "SET @k v; PEXPIRE @k 1000000; PEXPIRE @none 5",
    "pexpireat": "SET @k v; PEXPIREAT @k 33177117420000; PEXPIREAT @none 5",
    "append": "APPEND @k ab; APPEND @k cd; GET @k",
    "decrby": "DECRBY @k 5; DECRBY @k x",
    "getbit": "SETBIT @k 7 1; GETBIT @k 7; GETBIT @k 6; GETBIT @none 1; GETBIT @k -1",
    "getset": "GETSET @k a; GETSET @k b",
    "incrby": "INCRBY @k 5; INCRBY @k -7; INCRBY @k 1.5",
    "incrbyfloat": "INCRBYFLOAT @k 5.5; INCRBYFLOAT @k 1e3; INCRBYFLOAT @k x",
    "setnx": "SETNX @k a; SETNX @k b; GET @k",
    "hexists": "HEXISTS @h f; HSET @h f 1; HEXISTS @h f",
    "hget": "HGET @h f; HSET @h f 1; HGET @h f",
    "hstrlen": "HSTRLEN @h f; HSET @h f abc; HSTRLEN @h f",
    "lindex": "RPUSH @l a b c; LINDEX @l 1; LINDEX @l -1; LINDEX @l 9",
    "rpoplpush": "RPUSH @l a b; RPOPLPUSH @l @m; RPOPLPUSH @none @m; LRANGE @m 0 -1",
    "sismember": "SADD @s a; SISMEMBER @s a; SISMEMBER @s b",
    "zrank": "ZADD @z 1 a 2 b; ZRANK @z b; ZRANK @z c",
    "zrevrank": "ZADD @z 1 a 2 b; ZREVRANK @z b; ZREVRANK @z c",
    "zscore": "ZADD @z 1.5 a; ZSCORE @z a; ZSCORE @z c",
    # key and two
    "getrange": "SET @k hello; GETRANGE @k 1 3; GETRANGE @k -3 -1; GETRANGE @none 0 5",
    "psetex": "PSETEX @k 1000000 v; GET @k; PSETEX @k 0 v",
    "setbit": "SETBIT @k 7 1; SETBIT @k 7 0; SETBIT @k 7 2",
    "setex": "SETEX @k 1000 v; GET @k; SETEX @k -1 v",
    "setrange": "SETRANGE @k 3 abc; GET @k; SETRANGE @k -1 a",
    "hincrby": "HINCRBY @h f 5; HINCRBY @h f -2; HSET @h g x; HINCRBY @h g 1",
    "hincrbyfloat": "HINCRBYFLOAT @h f 5.25; HINCRBYFLOAT @h f 1",
    "hsetnx": "HSETNX @h f a; HSETNX @h f b",
    "lrange": "RPUSH @l a b c; LRANGE @l 0 -1; LRANGE @l 1 1; LRANGE @none 0 -1; LRANGE @l a b",
    "lrem": "RPUSH @l a b a; LREM @l 0 a; LRANGE @l 0 -1",
    "lset": "RPUSH @l a; LSET @l 0 b; LSET @l 5 c; LSET @none 0 c",
    "ltrim": "RPUSH @l a b c; LTRIM @l 1 1; LRANGE @l 0 -1",
    "smove": "SADD @s a; SMOVE @s @t a; SMOVE @s @t a; SMEMBERS @t",
    "zcount": "ZADD @z 1 a 2 b 3 c; ZCOUNT @z 1 2; ZCOUNT @z (1 +inf; ZCOUNT @z a b",
    "zlexcount": "ZADD @z 0 a 0 b; ZLEXCOUNT @z - +; ZLEXCOUNT @z [a (b",
    "zincrby": "ZINCRBY @z 1.5 a; ZINCRBY @z 1 a",
    "zremrangebylex": "ZADD @z 0 a 0 b 0 c; ZREMRANGEBYLEX @z [a [b; ZCARD @z",
    "zremrangebyrank": "ZADD @z 1 a 2 b 3 c; ZREMRANGEBYRANK @z 0 1; ZCARD @z",
    "zremrangebyscore": "ZADD @z 1 a 2 b 3 c; ZREMRANGEBYSCORE @z 1 2; ZCARD @z",
    # key and three
    "linsert": "RPUSH @l a c; LINSERT @l BEFORE c b; LINSERT @l AFTER x y; LRANGE @l 0 -1",
    "lmove": "RPUSH @l a b; LMOVE @l @m LEFT RIGHT; LMOVE @none @m LEFT LEFT; LRANGE @m 0 -1",
    # key and any number
    "sort": "RPUSH @l 3 1 2; SORT @l; SORT @l DESC LIMIT 0 2; SORT @l ALPHA; SORT @l STORE @m; LRANGE @m 0 -1",
    "copy": "SET @k v; COPY @k @m; GET @m; COPY @k @m; COPY @k @m REPLACE",
    "bitcount": "SET @k hello; BITCOUNT @k; BITCOUNT @k 0 1; BITCOUNT @none",
    "bitpos": "SET @k abc; BITPOS @k 1; BITPOS @k 0 1; BITPOS @none 1",
    "bitfield": "BITFIELD @k SET u8 0 200 GET u8 0 INCRBY u8 0 100; BITFIELD @k GET u99 0",
    "exists": "EXISTS @k; SET @k v; EXISTS @k",
    "getex": "SET @k v; GETEX @k; GETEX @k EX 1000; GETEX @none",
    "set": "SET @k v; SET @k v NX; SET @k v XX; SET @n v XX; SET @k w GET; SET @k v EX 100; SET @k v KEEPTTL; SET @k v BOGUS",
    "hdel": "HSET @h a 1 b 2; HDEL @h a x; HDEL @h b; HLEN @h",
    "hmget": "HSET @h a 1; HMGET @h a b; HMGET @none a",
    "hmset": "HMSET @h a 1 b 2; HMSET @h a; HLEN @h",
    "hscan": "HSET @h a 1 b 2; HSCAN @h 0; HSCAN @none 0; HSCAN @h 0 COUNT 100; HSCAN @h x",
    "hset": "HSET @h a 1; HSET @h a 2 b 3; HSET @h a",
    "hrandfield": "HRANDFIELD @none; HSET @h a 1; HRANDFIELD @h; HRANDFIELD @h 2 WITHVALUES",
    "lpush": "LPUSH @l a; LPUSH @l b c; LRANGE @l 0 -1",
    "lpushx": "LPUSHX @l a; RPUSH @l a; LPUSHX @l b",
    "rpush": "RPUSH @l a; RPUSH @l b c; LRANGE @l 0 -1; SET @k v; RPUSH @k a",
    "rpushx": "RPUSHX @l a; RPUSH @l a; RPUSHX @l b",
    "lpop": "RPUSH @l a b c; LPOP @l; LPOP @l 2; LPOP @l; LPOP @l 2",
    "rpop": "RPUSH @l a b c; RPOP @l; RPOP @l 5; RPOP @l",
    "lpos": "RPUSH @l a b a; LPOS @l a; LPOS @l a RANK -1; LPOS @l a COUNT 0; LPOS @l z",
    "sadd": "SADD @s a b; SADD @s b c; SCARD @s",
    "sdiff": "SADD @s a b; SADD @t b; SDIFF @s @t; SDIFF @s",
    "sdiffstore": "SADD @s a b; SADD @t b; SDIFFSTORE @u @s @t; SMEMBERS @u",
    "sinter": "SADD @s a b; SADD @t b; SINTER @s @t; SINTER @s @none",
    "sinterstore": "SADD @s a b; SADD @t b; SINTERSTORE @u @s @t; SMEMBERS @u",
    "srem": "SADD @s a b; SREM @s a x; SCARD @s",
    "sunion": "SADD @s a b; SADD @t c; SUNION @s @t; SUNION @none",
    "sunionstore": "SADD @s a b; SADD @t c; SUNIONSTORE @u @s @t; SMEMBERS @u",
    "srandmember": "SRANDMEMBER @none; SADD @s a; SRANDMEMBER @s; SRANDMEMBER @s 3",
    "sscan": "SADD @s a b; SSCAN @s 0; SSCAN @s 0 MATCH a*; SSCAN @none 0",
    "spop": "SPOP @none; SADD @s a; SPOP @s; SADD @s b; SPOP @s 3; SPOP @s 3",
    "smismember": "SADD @s a; SMISMEMBER @s a b; SMISMEMBER @none a",
    "pfadd": "PFADD @p a b; PFADD @p a; PFCOUNT @p",
    "pfmerge": "PFADD @p a b; PFADD @q c; PFMERGE @r @p @q; PFCOUNT @r",
    "pfcount": "PFADD @p a b; PFADD @q b c; PFCOUNT @p @q; PFCOUNT @none",
    "zadd": "ZADD @z 1 a; ZADD @z NX 2 a; ZADD @z XX CH 3 a; ZADD @z INCR 1 a; ZADD @z x a; ZADD @z GT CH 9 a",
    "zdiff": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZDIFF 2 @z @y; ZDIFF 2 @z @y WITHSCORES",
    "zdiffstore": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZDIFFSTORE @w 2 @z @y; ZRANGE @w 0 -1",
    "zinter": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZINTER 2 @z @y; ZINTER 2 @z @y WEIGHTS 2 3 WITHSCORES",
    "zinterstore": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZINTERSTORE @w 2 @z @y; ZRANGE @w 0 -1 WITHSCORES",
    "zmscore": "ZADD @z 1 a; ZMSCORE @z a b; ZMSCORE @none a",
    "zpopmax": "ZADD @z 1 a 2 b 3 c; ZPOPMAX @z; ZPOPMAX @z 5; ZPOPMAX @z",
    "zpopmin": "ZADD @z 1 a 2 b 3 c; ZPOPMIN @z; ZPOPMIN @z 5; ZPOPMIN @z",
    "zrandmember": "ZRANDMEMBER @none; ZADD @z 1 a; ZRANDMEMBER @z; ZRANDMEMBER @z 2 WITHSCORES",
    "zrange": "ZADD @z 1 a 2 b 3 c; ZRANGE @z 0 -1; ZRANGE @z 0 1 WITHSCORES; ZRANGE @z (1 3 BYSCORE; ZRANGE @z 0 1 REV",
    "zrangebylex": "ZADD @z 0 a 0 b; ZRANGEBYLEX @z - +; ZRANGEBYLEX @z [b + LIMIT 0 1",
    "zrangebyscore": "ZADD @z 1 a 2 b; ZRANGEBYSCORE @z -inf +inf WITHSCORES; ZRANGEBYSCORE @z (1 2",
    "zrangestore": "ZADD @z 1 a 2 b; ZRANGESTORE @w @z 0 0; ZRANGE @w 0 -1",
    "zrem": "ZADD @z 1 a 2 b; ZREM @z a x; ZCARD @z",
    "zrevrange": "ZADD @z 1 a 2 b; ZREVRANGE @z 0 -1; ZREVRANGE @z 0 0 WITHSCORES",
    "zrevrangebylex": "ZADD @z 0 a 0 b; ZREVRANGEBYLEX @z + -",
    "zrevrangebyscore": "ZADD @z 1 a 2 b; ZREVRANGEBYSCORE @z +inf -inf",
    "zscan": "ZADD @z 1 a 2 b; ZSCAN @z 0; ZSCAN @none 0",
    "zunion": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZUNION 2 @z @y; ZUNION 2 @z @y AGGREGATE MAX WITHSCORES",
    "zunionstore": "ZADD @z 1 a 2 b; ZADD @y 1 a; ZUNIONSTORE @w 2 @z @y; ZRANGE @w 0 -1 WITHSCORES",
    "geoadd": "GEOADD @g 13.361389 38.115556 P 15.087269 37.502669 C; GEOADD @g 999 0 X",
    "geodist": "GEOADD @g 13.361389 38.115556 P 15.087269 37.502669 C; GEODIST @g P C; GEODIST @g P C km; GEODIST @g P Z",
    "geopos": "GEOADD @g 13.361389 38.115556 P; GEOPOS @g P Z",
    "geohash": "GEOADD @g 13.361389 38.115556 P; GEOHASH @g P Z",
    "georadius": "GEOADD @g 13.361389 38.115556 P 15.087269 37.502669 C; GEORADIUS @g 15 37 200 km ASC; GEORADIUS @g 15 37 100 km WITHDIST",
    "georadiusbymember": "GEOADD @g 13.361389 38.115556 P 15.087269 37.502669 C; GEORADIUSBYMEMBER @g P 200 km ASC",
    "geosearch": "GEOADD @g 13.361389 38.115556 P 15.087269 37.502669 C; GEOSEARCH @g FROMLONLAT 15 37 BYRADIUS 200 km ASC",
    "geosearchstore": "GEOADD @g 13.361389 38.115556 P; GEOSEARCHSTORE @d @g FROMLONLAT 15 37 BYRADIUS 200 km ASC; ZCARD @d",
    "restore": "SET @k v; RESTORE @m 0 !dump:@k; GET @m; RESTORE @m 0 !dump:@k; RESTORE @n 0 garbage",
    # split
    "mget": "MSET @a 1 @b 2; MGET @a @b @none @a; MGET @a; SADD @s x; MGET @a @s",
    "del": "MSET @a 1 @b 2; DEL @a @b @none; DEL @a; SET @c 1; DEL @c",
    "unlink": "MSET @a 1 @b 2; UNLINK @a @b @none; UNLINK @a",
    "touch": "MSET @a 1 @b 2; TOUCH @a @b @none; TOUCH @a",
    "mset": "MSET @a 1; MSET @a 2 @b 3; MGET @a @b",
    # scripts
    "eval": "EVAL 'return redis.call(\"set\",KEYS[1],ARGV[1])' 1 @k v; GET @k; EVAL 'return {1,2,{3,KEYS[2]}}' 2 @k @m; "
            "EVAL 'return redis.error_reply(\"my own error\")' 1 @k; EVAL 'this is not lua' 1 @k; EVAL 'return nil' 01 @k",
    "evalsha": "EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 @k; EVAL 'return ARGV[1]' 1 @k x; "
               "EVALSHA 098e0f0d1448c0a81dafe820f66d460eb09263da 1 @k y",
    # no key
    "command": "COMMAND",
    "lolwut": "LOLWUT VERSION 5 1 1 1",
}

# the 137 names of part 5.2 less those that the proxy answers itself (PING QUIT AUTH) and MOVE
NUTCRACKER_FORWARDS = set(SCRIPTS)

# Redis commands of 7.0 that nutcracker closes on and that kvmux routes by their keys in this release
MORE_SCRIPTS = {
    "expiretime": "SET @k v; EXPIRETIME @k; EXPIREAT @k 33177117420; EXPIRETIME @k; EXPIRETIME @none",
    "pexpiretime": "SET @k v; PEXPIREAT @k 33177117420000; PEXPIRETIME @k",
    "expire-nx": "SET @k v; EXPIRE @k 100000 XX; EXPIRE @k 100000 NX; EXPIRE @k 100000 NX",
    "bitfield_ro": "SET @k a; BITFIELD_RO @k GET u8 0",
    "bitop": "SET @k a; SET @l b; BITOP AND @d @k @l; GET @d; BITOP NOT @d @k; BITOP BAD @d @k",
    "sort_ro": "RPUSH @l 3 1 2; SORT_RO @l",
    "substr": "SET @k hello; SUBSTR @k 1 2",
    "sintercard": "SADD @s a b; SADD @t b; SINTERCARD 2 @s @t; SINTERCARD 2 @s @t LIMIT 1",
    "zintercard": "ZADD @s 1 a; ZADD @t 1 a; ZINTERCARD 2 @s @t",
    "lcs": "SET @k ohmytext; SET @l mynewtext; LCS @k @l; LCS @k @l LEN",
    "lmpop": "RPUSH @l a b; LMPOP 2 @none @l LEFT; LMPOP 1 @l RIGHT COUNT 5; LMPOP 1 @l LEFT",
    "zmpop": "ZADD @z 1 a 2 b; ZMPOP 2 @none @z MIN; ZMPOP 1 @z MAX COUNT 5; ZMPOP 1 @z MIN",
    "msetnx": "MSETNX @a 1 @b 2; MSETNX @b 1 @c 2; GET @c",
    "rename": "SET @k v; RENAME @k @m; GET @m; RENAME @none @m",
    "renamenx": "SET @k v; SET @m w; RENAMENX @k @m; RENAMENX @k @n",
    "object": "SET @k 12; OBJECT ENCODING @k; OBJECT REFCOUNT @none",
    "georadius_ro": "GEOADD @g 13.361389 38.115556 P; GEORADIUS_RO @g 15 37 200 km",
    "georadiusbymember_ro": "GEOADD @g 13.361389 38.115556 P; GEORADIUSBYMEMBER_RO @g P 200 km",
    "eval_ro": "SET @k v; EVAL_RO 'return redis.call(\"get\",KEYS[1])' 1 @k; EVAL_RO 'return redis.call(\"set\",KEYS[1],1)' 1 @k",
    "xadd": "XADD @x 1-1 f v; XADD @x 1-1 f v; XADD @x 2-1 f v g w; XLEN @x; XRANGE @x - +; XREVRANGE @x + - COUNT 1",
    "xdel": "XADD @x 1-1 f v; XDEL @x 1-1 9-9; XTRIM @x MAXLEN 0; XLEN @x",
    "xgroup": "XADD @x 1-1 f v; XGROUP CREATE @x g 0; XREADGROUP GROUP g c STREAMS @x >; XACK @x g 1-1; XPENDING @x g",
    "xread": "XADD @x 1-1 f v; XADD @y 1-1 f v; XREAD COUNT 2 STREAMS @x @y 0 0; XREAD STREAMS @x 9",
}

DUMP_OF_V = b"\x00\x01v\x0a\x00"  # completed at run time by a real DUMP


def words(line, tag):
    """One request of a script as a tuple of bytes; !dump:KEY is replaced by the runner."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = "'"
    out = []
    for w in lexer:
        w = w.encode()
        out.append(w.replace(b"@", b"{%s}" % tag, 1) if w.startswith(b"@") or w.startswith(b"!dump:@") else w)
    return tuple(out)


def split_script(text):
    """At ';' outside quotes."""
    out, cur, quoted = [], "", False
    for ch in text:
        if ch == "'":
            quoted = not quoted
        if ch == ";" and not quoted:
            out.append(cur.strip())
            cur = ""
        else:
            cur += ch
    return [x for x in out + [cur.strip()] if x]


def script_requests(text, tag):
    return [words(line, tag) for line in split_script(text)]


def run_script(client, text, tag):
    """[(request, raw reply)], one request after the other."""
    out, dump = [], {}
    for req in script_requests(text, tag):
        full = []
        for w in req:
            if w.startswith(b"!dump:"):
                key = w[6:]
                if key not in dump:
                    dump[key] = client.value("DUMP", key)
                w = dump[key]
            full.append(w)
        out.append((req, client.cmd(*full)))
    return out


def normal(command, raw):
    """What is compared of a raw reply."""
    how = COMPARE.get(command, "raw")
    if raw[:1] == b"-" or how == "raw":
        return raw
    if how == "kind":
        return raw[:1]
    if how == "set":
        return sorted_lines(raw)
    if how == "scan":
        return sorted_lines(raw)
    raise AssertionError(how)


def sorted_lines(raw):
    """Enough for small replies without line ends in their elements: header first, the rest sorted."""
    lines = raw.split(b"\r\n")
    return [lines[0]] + sorted(lines[1:])
