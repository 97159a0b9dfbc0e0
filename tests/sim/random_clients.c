/* random_clients.c: questions of random clients about all clients. */
#include "random_int.h"

#include "base/num.h"
#include "sim_int.h"

#include <string.h>

/* Questions about all clients, which go round all workers, and answers that nobody wants. */
void rnd_clients_ask(struct rnd_client *c) {
    switch (sim_below(4)) {
    case 0:
        rnd_make(c, "CLIENT KILL ID 4000000000\r\n");
        rnd_want(c, WANT_COUNT, 0, 0);
        break;
    case 1:
        rnd_make(c, "CLIENT REPLY SKIP\r\nPING\r\n");
        break;
    case 2:
        rnd_make(c, "CLIENT INFO\r\n");
        rnd_want(c, WANT_CLIENTS, 0, 1);
        break;
    default:
        rnd_make(c, "CLIENT LIST\r\n");
        rnd_want(c, WANT_CLIENTS, 0, 0);
    }
}

/* "$N\r\n...\r\n" or "=N\r\ntxt:...\r\n" with a line for each client; n: exactly so many, 0: one at least. */
enum got rnd_clients_judge(struct reader *rd, uint32_t n) {
    struct slice line;
    uint64_t size;
    uint32_t lines = 0;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    bool verbatim = line.p[0] == '=';
    if ((line.p[0] != '$' && !verbatim) || line.n < 4 || !num_u64(slice(line.p + 1, line.n - 3), &size)) {
        return GOT_WRONG;
    }
    size_t end = rd->pos + size;
    if (rd->in.n < end + 2) {
        return GOT_MORE;
    }
    rd->pos += verbatim ? 4 : 0; /* "txt:" */
    while (rd->pos < end && rnd_line(rd, &line)) {
        if (!slice_starts(line, "id=") || memmem(line.p, line.n, " cmd=", 5) == NULL) {
            return GOT_WRONG;
        }
        lines++;
    }
    bool whole = rd->pos == end && memcmp(rd->in.p + end, "\r\n", 2) == 0;
    rd->pos = end + 2;
    return whole && lines > 0 && (n == 0 || lines == n) ? GOT_GOOD : GOT_WRONG;
}
