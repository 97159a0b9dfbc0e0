/* What a server says of its commands: whatever it is, the rows made of it can be used: every request with such a name is
 * judged, and its keys lie inside it. */
#include "proto/resp.h"

#include "proto/learn.h"

#include <stdio.h>

extern const struct proto proto_resp;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const tails[] = {"", " a", " a b", " 2 a b c", " a 1 b store c", " x streams a b 1 2"};

static void use(struct msg *m, const char *name, const char *tail) {
    char line[256];
    int n = snprintf(line, sizeof line, "%.*s%s\r\n", ROW_NAME_MAX, name, tail);
    struct parser ps = {0};
    if (proto_resp.parse_req(&ps, slice(line, (size_t)n), m) != PARSE_DONE || m->route == ROUTE_SKIP) {
        return;
    }
    size_t sum = 0;
    for (uint32_t i = 0; i < m->nkeys; i++) {
        struct slice key = msg_key(m, i);
        for (size_t k = 0; k < key.n; k++) {
            sum += key.p[k]; /* is it memory of ours? */
        }
    }
    ASSERT(m->route == ROUTE_REPLY || m->nkeys > 0 || m->route == ROUTE_ANY || m->route == ROUTE_ALL || m->route == ROUTE_LEASE ||
           m->cmd->id < RESP_COMMANDS || sum > 0);
    ASSERT(!(m->cmd->flags & CMD_STATE) || m->cmd->id < RESP_COMMANDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct parser ps = {0};
    struct rsp r = {0};
    struct identity id;
    if (size == 0 || proto_resp.parse_rsp(&ps, NULL, slice(data, size), &r) != PARSE_DONE) {
        return 0;
    }
    struct shelf shelf;
    struct rows rows = {0};
    struct msg m;
    resp_hear_who(slice(data, r.len), &id);
    shelf_init(&shelf, 256);
    resp_hear_what(slice(data, r.len), &shelf, &rows);
    resp_hear_every(slice(data, r.len), &shelf, &rows);
    struct book *book = book_new(&rows);
    msg_init(&m);
    m.learned = book;
    for (uint32_t i = 0; i < rows.n && i < 64; i++) {
        for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
            char name[ROW_NAME_MAX + 1];
            memcpy(name, rows.v[i]->name, sizeof name);
            char *bar = strchr(name, '|');
            if (bar != NULL) {
                *bar = ' ';
            }
            use(&m, name, tails[t]);
        }
    }
    msg_fini(&m);
    book_unref(&book);
    rows_fini(&rows);
    shelf_fini(&shelf);
    return 0;
}
