/* A small application with hiredis: hiredis_app HOST PORT. Prints "ok" and exits 0. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                   \
    do {                                                              \
        if (!(what)) {                                                \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);        \
            exit(1);                                                  \
        }                                                             \
    } while (0)

static redisContext *c;

static redisReply *ask(redisReply *r) {
    if (r == NULL) {
        fprintf(stderr, "connection: %s\n", c->errstr);
        exit(1);
    }
    return r;
}

#define ASK(...) ask(redisCommand(c, __VA_ARGS__))

int main(int argc, char **argv) {
    CHECK(argc == 3);
    struct timeval patience = {20, 0};
    c = redisConnectWithTimeout(argv[1], atoi(argv[2]), patience);
    CHECK(c != NULL && c->err == 0);
    redisSetTimeout(c, patience);

    redisReply *r = ASK("SET %s %b", "hi:bin", "\0\r\n$5", (size_t)5);
    CHECK(r->type == REDIS_REPLY_STATUS && strcmp(r->str, "OK") == 0);
    freeReplyObject(r);
    r = ASK("GET %s", "hi:bin");
    CHECK(r->type == REDIS_REPLY_STRING && r->len == 5 && memcmp(r->str, "\0\r\n$5", 5) == 0);
    freeReplyObject(r);
    r = ASK("GET hi:none");
    CHECK(r->type == REDIS_REPLY_NIL);
    freeReplyObject(r);
    r = ASK("NOSUCH");
    CHECK(r->type == REDIS_REPLY_ERROR && strncmp(r->str, "ERR unknown command", 19) == 0);
    freeReplyObject(r);
    r = ASK("MSET hi:1 a hi:2 b hi:3 c");
    CHECK(r->type == REDIS_REPLY_STATUS);
    freeReplyObject(r);
    r = ASK("MGET hi:1 hi:none hi:3 hi:2");
    CHECK(r->type == REDIS_REPLY_ARRAY && r->elements == 4 && r->element[1]->type == REDIS_REPLY_NIL && r->element[3]->str[0] == 'b');
    freeReplyObject(r);

    /* a pipeline: replies in order, errors among them */
    enum { N = 5000 };
    for (int i = 0; i < N; i++) {
        CHECK(redisAppendCommand(c, "SET hi:p:%d %d", i % 100, i) == REDIS_OK);
        CHECK(redisAppendCommand(c, "GET hi:p:%d", i % 100) == REDIS_OK);
        if (i % 10 == 0) {
            CHECK(redisAppendCommand(c, "LPUSH hi:p:%d x", i % 100) == REDIS_OK);
        }
    }
    for (int i = 0; i < N; i++) {
        CHECK(redisGetReply(c, (void **)&r) == REDIS_OK && r->type == REDIS_REPLY_STATUS);
        freeReplyObject(r);
        CHECK(redisGetReply(c, (void **)&r) == REDIS_OK && r->type == REDIS_REPLY_STRING && atoi(r->str) == i);
        freeReplyObject(r);
        if (i % 10 == 0) {
            CHECK(redisGetReply(c, (void **)&r) == REDIS_OK && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "WRONGTYPE", 9) == 0);
            freeReplyObject(r);
        }
    }
    r = ASK("QUIT");
    CHECK(r->type == REDIS_REPLY_STATUS && strcmp(r->str, "OK") == 0);
    freeReplyObject(r);
    redisFree(c);
    puts("ok");
    return 0;
}
