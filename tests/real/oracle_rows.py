r"""What the oracle asks: for each command of src/proto/resp_cmds.def what its arguments may be. test_oracle.py fails when a
row of the table is neither here nor in WHY_NOT.

Forms of one command are separated by ';'. Words:

    $s          a key; the letters are its kinds (below); all keys of a request with '$' share one hash tag
    %s          a key with any tag or none: for commands that kvmux splits, gathers or asks of every server
    #$s  #%s    a number, and so many keys
    A|B|C       one of these words
    [ ... ]     these words, or not
    ( ... )     these words one to three times
    <name>      a value from the generator's v_name
    !word       a word that chance never replaces by an odd one
    anything else is itself

Kinds: s string, n number, b bitmap, c short string, l list, h hash, g set, z sorted set, y sorted set with equal scores, o geo, p sketch, x stream,
- a key that never exists. One key in fifteen is of another kind (but for c, o and y).
"""

# (weight, {command: forms}); within a group all commands are as likely
GROUPS = [
    (24, {
        "append": "$s <v>", "decr": "$n", "decrby": "$n <n>", "get": "$sn", "getdel": "$s", "getrange": "$s <i> <i>", "getset": "$s <v>",
        "getex": "$s [ PERSIST ]; $s EX|PX !100000000; $s EXAT <far>; $s PXAT <farms>; $s EX !0|-1|x; $s BOGUS", "incr": "$n", "incrby": "$n <n>",
        "incrbyfloat": "$n 1.5|-2.25|1e2|x|inf|nan", "lcs": "!$c !$c [ LEN ] [ IDX ] [ MINMATCHLEN 2 ] [ WITHMATCHLEN ]", "msetnx": "$s <v> [ $s <v> ]",
        "psetex": "$s !100000000|0|-1|x <v>",
        "set": "$s <v>; $s <v>; $n <n>; $c <short>; $s <v> [ NX|XX ] [ GET ] [ KEEPTTL ]; $s <v> EX|PX !100000000; $s <v> EXAT <far>; $s <v> PXAT <farms> [ GET ]; $s <v> BAD",
        "setex": "$s !1000000|0|-1|x <v>", "setnx": "$s <v>; $c <short>", "setrange": "$s 0|1|5|50|-1|x <v>", "strlen": "$s", "substr": "$s <i> <i>",
    }),
    (10, {
        "mget": "%sn [ %snl %s ] ( %s ); !many%s", "mset": "%s <v> ( %s <v> ); %n <n> ( %s <v> ); %s <v> %s", "del": "%slhgzx [ %slhgz %s ]",
        "unlink": "%slhgzx [ %slhgz %s ]", "touch": "%sl ( %shgz ); !many%s", "exists": "%sl ( %shgz ); !many%s",
    }),
    (12, {
        "copy": "$slhgzox $slhgzox [ REPLACE ]; $s $s BOGUS; $slhgz $slhgz DB 0|1|2|x [ REPLACE ]", "move": "$slhgz 0|1|2|x", "dump": "$slz", "expire": "$slhgz !100000|0|-1|x [ NX|XX ]; $s !100000 NX XX; $s !100000 BOGUS",
        "expireat": "$slhgz <far> [ NX|XX|GT|LT ]; $s 1; $s <far> NX GT", "expiretime": "$slhgz", "migrate": "127.0.0.1 1 $- 0 10 [ COPY ] [ REPLACE ]; h 1 $- x 10; h 1 !!empty 0 10 KEYS $- $-",
        "object|encoding": "$slhgzxbp", "object|freq": "$s", "object|help": "", "object|idletime": "$s", "object|refcount": "$-l", "object": "BOGUS $s", "persist": "$slhgz",
        "pexpire": "$slhgz !100000000|0|-1|x [ NX|XX ]", "pexpireat": "$slhgz <farms> [ NX|XX|GT|LT ]; $s 1", "pexpiretime": "$slhgz", "pttl": "$slhgz", "rename": "$slhgz $slhgz",
        "renamenx": "$slhgz $slhgz", "restore": "$slhgz !0 <dump> [ REPLACE ]; $s <farms> <dump> ABSTTL REPLACE [ IDLETIME 5 ]; $s !0 <dump> FREQ 5 REPLACE; $s !0 <v>; $s !-1 <dump>",
        "sort": "$l ALPHA [ DESC ]; $lgz ALPHA [ LIMIT 0 3 ] [ STORE $l ]; $n; $l; $lg BY <sortby> ALPHA [ GET # ] [ GET <sortby> ]; $l BY nosort STORE $l; $l BOGUS",
        "sort_ro": "$lgz ALPHA [ DESC ] [ LIMIT <i> <i> ]; $g BY <sortby> GET # ALPHA; $l STORE $l", "ttl": "$slhgz", "type": "$slhgzxobp-",
    }),
    (7, {
        "bitcount": "$b; $b <i> <i> [ BYTE|BIT ]; $b 0", "bitfield": "$b SET u8|i5|u64 <off> <n> [ GET i5|u63 <off> ] [ OVERFLOW SAT|FAIL|WRAP|BAD ] INCRBY u4|i64 <off> <n>; $b; $b GET u99 0; $b GET u8 #1",
        "bitfield_ro": "$b GET u8 <off>; $b GET u8 <off> SET u8 0 1", "bitop": "AND|OR|XOR|BAD $b $b ( $b ); NOT $b $b [ $b ]", "bitpos": "$b 0|1|2 [ <i> <i> [ BYTE|BIT ] ]",
        "getbit": "$b <off>", "setbit": "$b <off> 0|1|2; $b <off> 0|1; $b <off> 1",
    }),
    (16, {
        "hdel": "$h ( <m> )", "hexists": "$h <m>", "hget": "$h <m>", "hgetall": "$h", "hincrby": "$h <m> <n>", "hincrbyfloat": "$h <m> 1.5|x|-2|inf", "hkeys": "$h", "hlen": "$h",
        "hmget": "$h ( <m> )", "hmset": "$h ( <m> <v> ); $h a 1 b", "hrandfield": "!$h; !$h !2|-3|0|x [ WITHVALUES ]", "hscan": "!$h !0|x [ MATCH a*|1? ] !COUNT !1000; $h !0 COUNT !0|x; $h !0 BOGUS",
        "hset": "$h ( <m> <v> ); $h ( <m> <v> ); $h <m>", "hsetnx": "$h <m> <v>", "hstrlen": "$h <m>", "hvals": "$h",
    }),
    (18, {
        "lindex": "$l <i>", "linsert": "$l BEFORE|AFTER|X <m> <m>", "llen": "$l", "lmove": "$l $l LEFT|RIGHT|X LEFT|RIGHT", "lmpop": "#$l LEFT|RIGHT|X [ COUNT 1|2|0|x ]",
        "lpop": "$l [ 0|1|2|x|-1 ]", "lpos": "$l <m> [ RANK 1|-1|2|0 ] [ COUNT 0|1|-1 ] [ MAXLEN 5 ]", "lpush": "$l ( <m> ); $l ( <v> )", "lpushx": "$l ( <m> )", "lrange": "$l <i> <i>",
        "lrem": "$l <i> <m>", "lset": "$l <i> <v>", "ltrim": "$l <i> <i>", "rpop": "$l [ 0|1|2|x ]", "rpoplpush": "$l $l", "rpush": "$l ( <m> ); $l ( <m> ); $l ( <v> )", "rpushx": "$l ( <v> )",
    }),
    (18, {
        "sadd": "$g ( <m> ); $g ( <m> ); $g ( <v> )", "scard": "$g", "sdiff": "%g ( %g )", "sdiffstore": "$g $g ( $g )", "sinter": "%g ( %g )", "sintercard": "#%g [ LIMIT 0|1|2|-1|x ]",
        "sinterstore": "$g $g ( $g )", "sismember": "$g <m>", "smembers": "$g", "smismember": "$g ( <m> )", "smove": "$g $g <m>", "spop": "!$g !1000; !$g !0; !$g !x|-1; !$-",
        "srandmember": "!$g; !$g !2|-3|0|x", "srem": "$g ( <m> )", "sscan": "!$g !0|x [ MATCH a*|1? ] !COUNT !1000; $g !0 COUNT !0|x", "sunion": "%g ( %g )", "sunionstore": "$g $g ( $g )",
    }),
    (24, {
        "zadd": "$y !0 <m> [ !0 <m> ]; $z [ NX|XX ] [ GT|LT ] [ CH ] ( <sa> <m> ); $z ( <sa> <m> ); $z INCR <sa> <m> [ 2 b ]", "zcard": "$z", "zcount": "$z <sc> <sc>", "zdiff": "#%zg [ WITHSCORES ]", "zdiffstore": "$z #$zg",
        "zincrby": "$z <sa> <m>", "zinter": "#%zg [ WEIGHTS <weights> ] [ AGGREGATE SUM|MIN|MAX|AVG ] [ WITHSCORES ]", "zintercard": "#%zg [ LIMIT 0|1|2|-1|x ]",
        "zinterstore": "$z #$zg [ WEIGHTS <weights> ] [ AGGREGATE SUM|MIN|MAX ]", "zlexcount": "$y <lex> <lex>", "zmpop": "#$z MIN|MAX|X [ COUNT 1|2|0|x ]", "zmscore": "$z ( <m> )",
        "zpopmax": "$z [ 0|1|2|x|-1 ]", "zpopmin": "$z [ 0|1|2|x|-1 ]", "zrandmember": "!$z; !$z !2|-3|0|x [ WITHSCORES ]",
        "zrange": "$z <i> <i> [ REV ] [ WITHSCORES ]; $z <sc> <sc> BYSCORE [ REV ] [ LIMIT 0|1|-1 <i> ] [ WITHSCORES ]; $y <lex> <lex> BYLEX [ REV ] [ LIMIT 0 2 ]; $z <i> <i> LIMIT 0 1",
        "zrangebylex": "$y <lex> <lex> [ LIMIT 0|1 <i> ]", "zrangebyscore": "$z <sc> <sc> [ WITHSCORES ] [ LIMIT 0|1 <i> ]", "zrangestore": "$z $z <i> <i>; $z $z <sc> <sc> BYSCORE; $z $y <lex> <lex> BYLEX",
        "zrank": "$z <m>", "zrem": "$z ( <m> )", "zremrangebylex": "$y <lex> <lex>", "zremrangebyrank": "$z <i> <i>", "zremrangebyscore": "$z <sc> <sc>", "zrevrange": "$z <i> <i> [ WITHSCORES ]",
        "zrevrangebylex": "$y <lex> <lex>", "zrevrangebyscore": "$z <sc> <sc> [ WITHSCORES ]", "zrevrank": "$z <m>", "zscan": "!$z !0|x [ MATCH a*|1? ] !COUNT !1000; $z !0 COUNT !0", "zscore": "$z <m>",
        "zunion": "#%zg [ WEIGHTS <weights> ] [ AGGREGATE SUM|MIN|MAX|AVG ] [ WITHSCORES ]", "zunionstore": "$z #$zg [ WEIGHTS <weights> ] [ AGGREGATE SUM|MIN|MAX ]",
    }),
    (7, {
        "pfadd": "$p ( <m> ); $p; $p <v> <v> <v>", "pfcount": "%p ( %p ); $p", "pfmerge": "$p ( $p )",
        "geoadd": "$o <lon> <lat> <m>; $o [ NX|XX ] [ CH ] <lon> <lat> <m> <lon> <lat> <m>; $o 999 0 m; $o <lon> <lat>", "geodist": "$o <m> <m> [ m|km|ft|mi|X ]", "geohash": "$o ( <m> )", "geopos": "$o ( <m> )",
        "georadius": "$o <lon> <lat> 300 km ASC|DESC [ WITHDIST ] [ WITHCOORD ] [ WITHHASH ] [ COUNT 2 ]; $o <lon> <lat> 300 km STORE|STOREDIST $o; $o <lon> <lat> 300 X",
        "georadius_ro": "$o <lon> <lat> 300 km ASC [ WITHDIST ]; $o <lon> <lat> 300 km STORE $o", "georadiusbymember": "$o <m> 300 km ASC [ WITHDIST ]; $o <m> 300 km STORE $o",
        "georadiusbymember_ro": "$o <m> 300 km DESC [ WITHHASH ]", "geosearch": "$o FROMLONLAT <lon> <lat> BYRADIUS 300 km ASC|DESC [ COUNT 2 ] [ WITHDIST ] [ WITHCOORD ]; $o FROMMEMBER <m> BYBOX 400 400 km ASC; $o BYRADIUS 1 km ASC COUNT 1 ANY",
        "geosearchstore": "$o $o FROMLONLAT <lon> <lat> BYRADIUS 300 km ASC [ STOREDIST ]; $o $o FROMMEMBER <m> BYBOX 400 400 km",
    }),
    (18, {
        "xack": "$x G ( <id> )", "xadd": "$x <new> f <v>; $x <new> f <v>; $x <new> a 1 b <v>; $x NOMKSTREAM <new> f v; $x MAXLEN [ = ] 5 <new> f v; $x MAXLEN ~ 100 <new> f v; $x MINID <id> <new> f v; $x <id> f v; $x <new> f; $x 0-0 f v; $x <auto> f v",
        "xautoclaim": "$x G c1|c2 !0|999999999 <id> [ COUNT 2 ] [ JUSTID ]", "xclaim": "$x G c1|c2|c3 !0|999999999 <id> [ <id> ] [ FORCE ] [ JUSTID ] [ LASTID <id> ]", "xdel": "$x ( <id> )",
        "xgroup": "BOGUS $x", "xgroup|create": "$x G <id>|$|0 [ MKSTREAM ] [ ENTRIESREAD 1|x ]; $x G 0 MKSTREAM; $x H 0", "xgroup|createconsumer": "$x G c1|c2", "xgroup|delconsumer": "$x G c1|c2|c3", "xgroup|destroy": "$x G|H",
        "xgroup|help": "", "xgroup|setid": "$x G 0|$|<id> [ ENTRIESREAD 1 ]", "xinfo": "BOGUS", "xinfo|consumers": "$x G", "xinfo|groups": "$x", "xinfo|help": "", "xinfo|stream": "$x [ FULL [ COUNT 2 ] ]", "xlen": "$x",
        "xpending": "$x G [ [ IDLE 0 ] - + 10 [ c1 ] ]; $x G <id> + 5", "xrange": "$x <bound> <bound> [ COUNT 0|1|2|-1 ]; $x - +", "xread": "[ COUNT 2 ] [ BLOCK !1 ] STREAMS $x <id>; STREAMS $x $x <id> 0; STREAMS $x $x 0; COUNT 1 STREAMS $x $$",
        "xreadgroup": "GROUP G c1|c2 [ COUNT 1 ] [ NOACK ] STREAMS $x >; GROUP G c1|c2 STREAMS $x <id>; GROUP G c1 STREAMS $x $x > >; GROUP G c1 BLOCK !1 STREAMS $x >", "xrevrange": "$x <bound> <bound> [ COUNT 2 ]; $x + -",
        "xsetid": "$x <id> [ ENTRIESADDED 5 MAXDELETEDID 0-1 ]; $x <new>", "xtrim": "$x MAXLEN|MINID [ = ] <i>; $x MAXLEN ~ 10 LIMIT 5; $x MINID <id>",
    }),
    (7, {
        "eval": "<script> 1 $sn <v>; <script> 2 $sn $l <v>; <free> 0 <v>; <script> 1; <script> -1 a; <script> x; <script> 99999 $s", "eval_ro": "<script> 1 $s <v>; <free> 0",
        "evalsha": "<sha> 1 $s <v>; <sha> 2 $s $s; x 0", "evalsha_ro": "<sha> 1 $s <v>", "fcall": "kv_set 1 $s <v>; kv_get 1 $s; kv_none 1 $s; kv_get x; kv_get -1", "fcall_ro": "kv_get 1 $s; kv_set 1 $s v",
    }),
    (1, {
        "function": "BOGUS", "function|delete": "kvlib2|nolib", "function|dump": "", "function|flush": "BOGUS x", "function|help": "", "function|list": "[ LIBRARYNAME kv*|no ] [ WITHCODE ]; BOGUS",
        "function|load": "REPLACE <lib>; <lib>; <lib2>; bad", "function|restore": "bad; bad BOGUS", "function|stats": "", "script": "BOGUS", "script|exists": "<sha> [ <sha> ]", "script|flush": "BOGUS x", "script|help": "", "script|load": "<loadable>; bad[lua",
    }),
    (2, {
        "acl": "BOGUS", "acl|help": "", "client": "BOGUS", "client|help": "", "cluster": "BOGUS", "cluster|help": "", "command": "[ BOGUS ]", "command|count": "", "command|docs": "get|set; nosuch; [ get get ]",
        "command|getkeys": "MSET a 1 b 2; GET a; EVAL x 1 a; PING x; NOSUCH a", "command|getkeysandflags": "MSET a 1 b 2; SORT a STORE b", "command|help": "", "command|info": "get set; nosuch", "command|list": "[ FILTERBY PATTERN x* ]; FILTERBY X",
        "config": "BOGUS", "config|get": "databases|maxmemory-policy|timeout", "config|help": "", "latency": "BOGUS", "latency|help": "", "memory": "BOGUS", "lastsave": "", "memory|doctor": "", "memory|malloc-stats": "", "memory|purge": "", "memory|stats": "", "module|list": "", "memory|help": "", "memory|usage": "$sl; $- [ SAMPLES 0 ]; $s SAMPLES x", "module": "BOGUS", "module|help": "",
        "publish": "ch|{t2}ch| <v>; ch", "spublish": "$s <v>", "pubsub": "BOGUS", "pubsub|channels": "[ c* ]; a b", "pubsub|help": "", "pubsub|shardchannels": "[ c* ]", "slowlog": "BOGUS", "slowlog|help": "", "lolwut": "VERSION 9; VERSION x; VERSION", "ping": "[ <v> ]; a b", "echo": "<v>", "select": "99|x|-1|",
    }),
    (1, {
        "keys": "*g*|*|{t1}*|none|*[ab]*|\\*", "dbsize": "", "randomkey": "", "scan": "!x; !0 COUNT 0; !0 COUNT x; !0 BOGUS; !0 MATCH",
    }),
    (0.02, {"flushdb": "[ SYNC|ASYNC ]; BOGUS", "flushall": "[ SYNC|ASYNC ]; BOGUS"}),
]

# Redis 7.2 to 8.4 and Valkey: the servers here do not know them, and say so through kvmux as they say it directly
NEWER = {
    "digest": "$s", "msetex": "1 $s v", "delex": "$s", "delifeq": "$s v", "hexpire": "$h 10 FIELDS 1 f", "hexpireat": "$h <far> FIELDS 1 f", "hexpiretime": "$h FIELDS 1 f", "hgetdel": "$h FIELDS 1 f", "hgetex": "$h FIELDS 1 f",
    "hpersist": "$h FIELDS 1 f", "hpexpire": "$h 10 FIELDS 1 f", "hpexpireat": "$h <far> FIELDS 1 f", "hpexpiretime": "$h FIELDS 1 f", "hpttl": "$h FIELDS 1 f", "hsetex": "$h FIELDS 1 f v", "httl": "$h FIELDS 1 f",
    "xackdel": "$x g IDS 1 1-1", "xcfgset": "$x", "xdelex": "$x IDS 1 1-1", "vadd": "$g VALUES 1 1 m", "vcard": "$g", "vdim": "$g", "vemb": "$g m", "vgetattr": "$g m", "vinfo": "$g", "vismember": "$g m", "vlinks": "$g m",
    "vrandmember": "$g", "vrange": "$g - +", "vrem": "$g m", "vsetattr": "$g m x", "vsim": "$g ELE m",
}
GROUPS.append((1, NEWER))

# made by the generator as whole sequences
SEQUENCES = {
    "multi": "sequence", "exec": "sequence", "discard": "sequence", "watch": "sequence", "unwatch": "sequence",
    "blpop": "#", "brpop": "#", "blmove": "#", "blmpop": "#", "brpoplpush": "#", "bzmpop": "#", "bzpopmax": "#", "bzpopmin": "#",
}
# blocking: mostly something is there; if not, a hundredth of a second
BLOCKING = {
    "blpop": "$l [ $l ] !0.01; $l x|-1", "brpop": "$l [ $l ] !0.01", "blmove": "$l $l LEFT|RIGHT LEFT|RIGHT !0.01", "brpoplpush": "$l $l !0.01", "blmpop": "!0.01 #$l LEFT|RIGHT [ COUNT 2 ]; -1 #$l LEFT",
    "bzpopmin": "$z [ $z ] !0.01; $z x|-1", "bzpopmax": "$z [ $z ] !0.01", "bzmpop": "!0.01 #$z MIN|MAX [ COUNT 2 ]",
}

# rows of the table that servers answer or kvmux merges, and that are not asked
WHY_NOT = {
    "commandlog": "a container that the servers here do not know: its subcommands are kvmux's", "commandlog|help": "see commandlog",
    "swapdb": "is refused over several servers",
    "wait": "waits for replicas, of which there are none here", "waitaof": "waits for replicas and for disks",
    "script|kill": "ends what another client runs", "function|kill": "ends what another client runs",
    "script|show": "the servers here do not know it",
    "subscribe": "what a subscriber gets comes by itself: test_channels.py", "unsubscribe": "see subscribe", "psubscribe": "see subscribe", "punsubscribe": "see subscribe", "ssubscribe": "see subscribe",
    "sunsubscribe": "see subscribe", "pubsub|numpat": "see subscribe", "pubsub|numsub": "see subscribe", "pubsub|shardnumsub": "see subscribe",
}

# kvmux refuses inside MULTI what concerns several servers; redis says at once what it does not know
NOT_IN_MULTI = {"keys", "dbsize", "randomkey", "scan", "flushdb", "flushall", "function", "script", "select", "command", "client", "acl", "config", "latency", "memory", "module", "pubsub", "slowlog", "cluster", "object",
                "xgroup", "xinfo", "lolwut", "migrate"} | {n.split("|")[0] for n in NEWER}

SCRIPTS = [
    "return {KEYS[1],ARGV[1],#ARGV}", "return redis.call('incr',KEYS[1])", "return {1,{2,{3,'x'}},false,true,3.9}", "return redis.error_reply('mine')", "return redis.status_reply('fine')", "syntax error here",
    "return redis.call('set',KEYS[1],ARGV[1] or 'none')", "return redis.pcall('lpush',KEYS[1],'x')", "return redis.call('nosuch',KEYS[1])", "return redis.call('get',KEYS[1])", "return redis.sha1hex(KEYS[1] or '')",
    "return cjson.encode({a=1,b={1,2}})", "redis.setresp(3); return {map={a=1},double=1.5}", "return redis.call('lrange',KEYS[2] or KEYS[1],0,-1)", "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])", "return undefined_variable",
    "#!lua flags=no-writes\nreturn redis.call('del',KEYS[1])",
]
FREE = ["return 1", "return {ARGV[1] or 'x', #KEYS}", "return redis.call('echo','hi')", "error('boom')", "return string.rep('x', 3000)"]   # no key
LOADABLE = ["return {'loaded',KEYS[1],ARGV[1]}", "return redis.call('append',KEYS[1],'+')", "return redis.call('type',KEYS[1])"]
LIB = ("#!lua name=kvlib\nredis.register_function('kv_set', function(k, a) return redis.call('set', k[1], a[1] or 'f') end)\n"
       "redis.register_function{function_name='kv_get', callback=function(k) return redis.call('get', k[1]) end, flags={'no-writes'}}\n")
LIB2 = "#!lua name=kvlib2\nredis.register_function('kv_two', function(k) return 2 end)\n"

UNKNOWN = ["NOSUCH", "GETT", "foo", "x" * 300, "", "\xff\xfe", "GET\r\n", "se t"]
# in place of a word, one time in forty
ODD = ["", "0", "-1", "1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "99999999999999999999", "x", "1.5", "1e3", " 1", "1 ", "+1", "01", "0x10", "nan", "inf", "-inf", "\x00", "\r\n", "*", "$5\r\nhello\r\n",
       "y" * 300, "\xff" * 40]
