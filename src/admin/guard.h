/* guard.h: who may ask the admin port for what. Pure.
 *
 * It listens on loopback, where every web page in a browser of this machine can send requests to, too. So:
 *   - Host must be an address, localhost, or the name given with --admin: a page that made its own name point here
 *     ("DNS rebinding") comes with that name. Any address is fine, since a page from there has not been rebound.
 *   - a POST that a browser sends must come from our own page: Origin is where the page came from.
 *   - with a token, a request that carries it is nobody's but the operator's, whatever its Host. */
#ifndef KVMUX_ADMIN_GUARD_H
#define KVMUX_ADMIN_GUARD_H

#include "base/slice.h"

enum access {
    ACCESS_OPEN,  /* tells nothing: everybody, for probes that know neither names nor tokens */
    ACCESS_PAGE,  /* has no data in it: no token, which a browser cannot send before it has the page */
    ACCESS_READ,  /* token */
    ACCESS_WRITE, /* token, or a port that only this machine reaches; Origin */
};

struct guard {
    const char *name;  /* the host given with --admin; NULL: none */
    const char *token; /* NULL: none */
    bool local;        /* nobody outside this machine reaches the port */
    bool unix_path;    /* nor any browser */
};
/* Headers of a request; NULL: not there. */
struct visitor {
    const char *host, *origin, *fetch_site, *authorization;
};

enum guard_says { GUARD_PASS, GUARD_HOST, GUARD_ORIGIN, GUARD_TOKEN, GUARD_REMOTE };
enum guard_says guard_judge(const struct guard *, enum access, const struct visitor *);
/* For the client: what is wrong and what to do. */
const char *guard_words(enum guard_says);

/* The parts of guard_judge, for tests. */
bool guard_host(const char *host, const char *own);
bool guard_origin(const struct visitor *);
bool guard_token(const char *authorization, const char *token); /* takes as long for every wrong token of a length */

#endif
