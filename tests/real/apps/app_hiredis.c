/* hiredis as an application uses it: app_hiredis HOST PORT AUTH_PORT. One JSON line a check, see clients.py. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys that any hash puts on several servers. */
#define TEN "hi:cfcd20 hi:c4ca42 hi:c81e72 hi:eccbc8 hi:a87ff6 hi:e4da3b hi:167909 hi:8f14e4 hi:c9f0f8 hi:45c48c"

static const char *host;
static int port;

static void put_string(const char *s, size_t n) {
    putchar('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)s[i];
        if (b == '"' || b == '\\') {
            printf("\\%c", b);
        } else if (b < 32 || b > 126) {
            printf("\\u%04x", b); /* bytes as if they were Latin-1: the same on every run */
        } else {
            putchar(b);
        }
    }
    putchar('"');
}

static void put_reply(const redisReply *r) {
    switch (r->type) {
    case REDIS_REPLY_NIL:
        fputs("null", stdout);
        break;
    case REDIS_REPLY_INTEGER:
        printf("%lld", r->integer);
        break;
    case REDIS_REPLY_ERROR:
        fputs("{\"error\": ", stdout);
        put_string(r->str, r->len);
        putchar('}');
        break;
    case REDIS_REPLY_ARRAY:
        putchar('[');
        for (size_t i = 0; i < r->elements; i++) {
            if (i > 0) {
                fputs(", ", stdout);
            }
            put_reply(r->element[i]);
        }
        putchar(']');
        break;
    default: /* strings and status */
        put_string(r->str, r->len);
    }
}

static int parts;
static void begin(const char *feature, const char *name) {
    printf("{\"feature\": \"%s\", \"check\": \"%s\", \"result\": [", feature, name);
    parts = 0;
}
static void part(void) {
    if (parts++ > 0) {
        fputs(", ", stdout);
    }
}
static void end(void) {
    puts("]}");
    fflush(stdout);
}

static redisContext *connect_to(int to) {
    const char *limit = getenv("CHECK_SECONDS");
    struct timeval patience = {limit ? atoi(limit) : 4, 0};
    redisContext *c = redisConnectWithTimeout(host, to, patience);
    if (c == NULL || c->err) {
        fprintf(stderr, "connect: %s\n", c ? c->errstr : "no memory");
        exit(1);
    }
    redisSetTimeout(c, patience);
    return c;
}

/* One reply into the result of the current check. Returns its type, or -1 when the connection failed. */
static int take(redisContext *c) {
    redisReply *r = NULL;
    part();
    if (redisGetReply(c, (void **)&r) != REDIS_OK || r == NULL) {
        fputs("{\"failed\": ", stdout);
        put_string(c->errstr, strlen(c->errstr));
        putchar('}');
        return -1;
    }
    int type = r->type;
    put_reply(r);
    freeReplyObject(r);
    return type;
}

/* Commands, separated by '|', as one pipeline; their replies are the result of one check. */
static void check(redisContext *c, const char *feature, const char *name, const char *commands) {
    char *all = strdup(commands), *save = NULL;
    int n = 0;
    for (char *one = strtok_r(all, "|", &save); one != NULL; one = strtok_r(NULL, "|", &save)) {
        if (redisAppendCommand(c, one) == REDIS_OK) {
            n++;
        }
    }
    free(all);
    begin(feature, name);
    for (int i = 0; i < n; i++) {
        take(c);
    }
    end();
}

static void thousands(redisContext *c) {
    enum { N = 5000 };
    int wrong = 0;
    redisReply *r;
    for (int i = 0; i < N; i++) {
        redisAppendCommand(c, "SET hi:p:%d %d", i % 100, i);
        redisAppendCommand(c, "GET hi:p:%d", i % 100);
        if (i % 10 == 0) {
            redisAppendCommand(c, "LPUSH hi:p:%d x", i % 100);
        }
    }
    for (int i = 0; i < 2 * N + N / 10; i++) {
        int at = i % 21; /* ten pairs and one error, which comes third */
        if (redisGetReply(c, (void **)&r) != REDIS_OK) {
            wrong++;
            break;
        }
        int want = at == 2 ? REDIS_REPLY_ERROR : (at < 2 ? at : at - 1) % 2 ? REDIS_REPLY_STRING : REDIS_REPLY_STATUS;
        int number = i / 21 * 10 + (at < 2 ? 0 : (at - 1) / 2);
        wrong += r->type != want || (want == REDIS_REPLY_STRING && atoi(r->str) != number);
        freeReplyObject(r);
    }
    begin("pipeline", "10500 in one");
    printf("%d", wrong);
    end();
}

static void binary(redisContext *c) {
    begin("strings", "bytes");
    redisAppendCommand(c, "SET %s %b", "hi:bin", "\0\r\n$5\xff", (size_t)6);
    redisAppendCommand(c, "GET hi:bin");
    take(c);
    take(c);
    end();
    size_t n = 3 << 20;
    char *big = malloc(n);
    memset(big, 'x', n);
    begin("large values", "3 MB");
    redisAppendCommand(c, "SET hi:big %b", big, n);
    take(c);
    redisReply *r = redisCommand(c, "GET hi:big");
    part();
    printf("%d", r != NULL && r->len == n && memcmp(r->str, big, n) == 0);
    freeReplyObject(r);
    end();
    free(big);
}

/* WATCH by turns: eight clients, each adds ten; all connections are open at once. */
static void counters(redisContext *c) {
    enum { CLIENTS = 8 };
    redisContext *mine[CLIENTS];
    int done[CLIENTS] = {0}, rounds = 0, left = CLIENTS;
    char value[CLIENTS][24];
    for (int i = 0; i < CLIENTS; i++) {
        mine[i] = connect_to(port);
    }
    while (left > 0 && rounds++ < 1000) {
        for (int i = 0; i < CLIENTS; i++) {
            freeReplyObject(redisCommand(mine[i], "WATCH hi:{w}n"));
            redisReply *r = redisCommand(mine[i], "GET hi:{w}n");
            snprintf(value[i], sizeof value[i], "%d", (r != NULL && r->type == REDIS_REPLY_STRING ? atoi(r->str) : 0) + 1);
            freeReplyObject(r);
        }
        for (int k = 0; k < CLIENTS; k++) {
            int i = (k + rounds) % CLIENTS;
            if (done[i] == 10) {
                freeReplyObject(redisCommand(mine[i], "UNWATCH"));
                continue;
            }
            freeReplyObject(redisCommand(mine[i], "MULTI"));
            freeReplyObject(redisCommand(mine[i], "SET hi:{w}n %s", value[i]));
            redisReply *r = redisCommand(mine[i], "EXEC");
            if (r != NULL && r->type == REDIS_REPLY_ARRAY && ++done[i] == 10) {
                left--;
            }
            freeReplyObject(r);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        redisFree(mine[i]);
    }
    check(c, "WATCH", "counters of many clients", "GET hi:{w}n");
}

static void pubsub(redisContext *c) {
    redisContext *s = connect_to(port);
    begin("pub/sub", "messages in order");
    redisAppendCommand(s, "SUBSCRIBE news");
    int heard = take(s);
    for (int i = 0; i < 5; i++) {
        freeReplyObject(redisCommand(c, "PUBLISH news m%d", i));
    }
    for (int i = 0; i < 5 && heard == REDIS_REPLY_ARRAY; i++) {
        heard = take(s);
    }
    end();
    check(s, "pub/sub", "unsubscribe", "UNSUBSCRIBE news|GET hi:none");
    begin("patterns", "messages");
    redisAppendCommand(s, "PSUBSCRIBE user.*");
    heard = take(s);
    freeReplyObject(redisCommand(c, "PUBLISH user.1 a"));
    if (heard == REDIS_REPLY_ARRAY) {
        take(s);
    }
    end();
    redisFree(s);
}

static void blocking(redisContext *c) {
    redisContext *b = connect_to(port);
    begin("blocking", "pops");
    redisAppendCommand(b, "BLPOP {q}1 {q}2 3");
    int done = 0;
    while (!done) {
        redisBufferWrite(b, &done);
    }
    freeReplyObject(redisCommand(c, "RPUSH {q}2 job"));
    take(b);
    end();
    check(b, "blocking", "moves and streams", "RPUSH {q}a x|BLMOVE {q}a {q}b LEFT RIGHT 3|ZADD {q}z 1 m|BZPOPMIN {q}z 3|XREAD BLOCK 20 STREAMS {q}x $|SET {q}k v");
    check(b, "blocking", "nothing comes", "BLPOP {q}none 0.05");
    check(b, "blocking", "any keys", "BLPOP " TEN " 0.05");
    redisFree(b);
}

/* On a connection of its own. */
static void alone(const char *feature, const char *name, int to, const char *commands) {
    redisContext *c = connect_to(to);
    check(c, feature, name, commands);
    redisFree(c);
}

static void lost(redisContext *c) {
    freeReplyObject(redisCommand(c, "SET hi:re v"));
    puts("{\"ask\": \"kill\"}");
    fflush(stdout);
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL) {
        exit(1);
    }
    redisReply *r = NULL;
    for (int tries = 0; tries < 20 && (r == NULL || r->type != REDIS_REPLY_STRING); tries++) {
        freeReplyObject(r);
        r = redisCommand(c, "GET hi:re");
        if (r == NULL) {
            redisReconnect(c);
        }
    }
    begin("reconnect", "after the connections were lost");
    if (r != NULL) {
        put_reply(r);
    }
    freeReplyObject(r);
    end();
}

int main(int argc, char **argv) {
    if (argc < 4) {
        return 2;
    }
    host = argv[1];
    port = atoi(argv[2]);
    redisContext *c = connect_to(port);
    check(c, "connect", "ping echo", "PING|PING hello|ECHO hello");
    check(c, "strings", "commands", "SET hi:a 1|GET hi:a|GET hi:none|INCR hi:a|SET hi:t v EX 1000|TTL hi:t|SETNX hi:a 5|GETDEL hi:t");
    binary(c);
    check(c, "hashes", "commands", "HSET hi:h a 1 b 2|HGETALL hi:h|HMGET hi:h a no|HINCRBY hi:h a 5|HDEL hi:h b|HLEN hi:h|HSCAN hi:h 0");
    check(c, "lists", "commands", "RPUSH hi:l a b c|LRANGE hi:l 0 -1|LPOP hi:l|RPOP hi:l 2|LLEN hi:l");
    check(c, "sets", "commands", "SADD hi:s x|SMEMBERS hi:s|SISMEMBER hi:s y|SCARD hi:s");
    check(c, "sorted sets", "commands", "ZADD hi:z 1 a 2.5 b|ZRANGE hi:z 0 -1 WITHSCORES|ZSCORE hi:z b|ZPOPMIN hi:z");
    check(c, "streams", "commands", "XADD hi:x 1-1 f v|XRANGE hi:x - +|XREAD STREAMS hi:x 0|XGROUP CREATE hi:x g 0|XREADGROUP GROUP g me STREAMS hi:x >|XACK hi:x g 1-1");
    check(c, "multi-key", "split", "MSET hi:cfcd20 a hi:c4ca42 b hi:c81e72 c hi:eccbc8 d hi:a87ff6 e hi:e4da3b f hi:167909 g hi:8f14e4 h hi:c9f0f8 i hi:45c48c j|MGET " TEN " hi:none|EXISTS " TEN " hi:none|TOUCH " TEN
                                   "|DEL hi:cfcd20 hi:c4ca42 hi:c81e72|UNLINK " TEN);
    check(c, "multi-key", "tagged", "SADD {g}a 1 2|SUNIONSTORE {g}b {g}a|RENAME {g}b {g}c|SCARD {g}c");
    check(c, "multi-key", "set algebra", "SADD hi:cfcd20 7|SADD hi:c4ca42 7|SADD hi:c81e72 7|SADD hi:eccbc8 7|SADD hi:a87ff6 7|SADD hi:e4da3b 7|SINTER " TEN "|SUNION " TEN "|SDIFF " TEN "|DEL " TEN);
    check(c, "multi-key", "msetnx of any keys", "MSETNX hi:cfcd20 a hi:c4ca42 b hi:c81e72 c hi:eccbc8 d hi:a87ff6 e hi:e4da3b f hi:167909 g hi:8f14e4 h hi:c9f0f8 i hi:45c48c j|DEL " TEN);
    thousands(c);
    check(c, "pipeline", "errors inside", "SET hi:e 1|LPUSH hi:e x|GET hi:e|NOSUCH|INCR hi:e");
    check(c, "transactions", "multi exec", "MULTI|SET {tx}a 1|INCR {tx}a|GET {tx}b|EXEC|GET {tx}a");
    check(c, "transactions", "discard, error", "MULTI|SET {tx}a 9|DISCARD|MULTI|NOSUCH x|EXEC|GET {tx}a|EXEC");
    check(c, "transactions", "any keys", "MULTI|SET hi:cfcd20 1|SET hi:c4ca42 1|SET hi:c81e72 1|SET hi:eccbc8 1|SET hi:a87ff6 1|SET hi:e4da3b 1|SET hi:167909 1|SET hi:8f14e4 1|SET hi:c9f0f8 1|SET hi:45c48c 1|EXEC|DEL " TEN);
    counters(c);
    check(c, "scripts", "any keys", "EVAL return(#KEYS) 10 " TEN);
    check(c, "scripts", "eval", "EVAL return(KEYS[1]) 1 hi:a|EVAL return{KEYS[1],ARGV[1]} 1 hi:a v|EVALSHA 0000000000000000000000000000000000000000 1 hi:a");
    pubsub(c);
    blocking(c);
    check(c, "SELECT", "own database", "SELECT 3|SET hi:db three|SELECT 0|GET hi:db|SELECT 3|GET hi:db|SELECT 99|SELECT 0");
    check(c, "INFO, CLIENT", "names", "CLIENT SETNAME worker-1|CLIENT GETNAME|CONFIG GET maxmemory-policy");
    int locked = atoi(argv[3]);
    alone("AUTH", "password", locked, "AUTH pw|SET auth:k v|GET auth:k|ACL WHOAMI");
    alone("AUTH", "user", locked, "AUTH app apw|SET auth:k v|GET auth:k|ACL WHOAMI");
    alone("not through a proxy", "MONITOR", port, "MONITOR");
    alone("SWAPDB", "two databases", port, "SWAPDB 8 9");
    alone("not through a proxy", "client tracking", port, "CLIENT TRACKING ON BCAST");
    alone("not through a proxy", "CONFIG SET", port, "CONFIG SET maxmemory-policy noeviction");
    check(c, "errors", "cluster", "CLUSTER INFO|CLUSTER SLOTS|READONLY|ASKING");
    check(c, "errors", "of the server", "LPUSH hi:a x|NOSUCH x|GET|HSET h x|GET hi:a");
    lost(c);
    check(c, "connect", "quit", "QUIT");
    redisFree(c);
    puts("{\"end\": true}");
    return 0;
}
