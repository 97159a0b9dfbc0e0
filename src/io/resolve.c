#include "io/resolve.h"

#include "base/mem.h"
#include "io/io_state.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/time.h>

#define TRY_MSEC 2000
#define TRIES 2
#define TTL_UNKNOWN 60 /* seconds; what /etc/hosts says has no TTL */

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct timer timer; /* c-ares' own time-outs */
    struct list queries;
};

/* One lookup under way. c-ares may answer inside ares_getaddrinfo; the callback comes later, from the loop. */
struct query {
    struct list link;
    struct resolver *resolver;
    struct lookup *lookup; /* NULL: cancelled */
    struct timer timer;    /* answered: call back in the next turn */
    struct addr addrs[RESOLVE_MAX];
    unsigned n;
    uint32_t ttl;
    const char *why;
};

static void resolver_arm(struct resolver *r) {
    struct timeval most = {.tv_sec = 3600}, tv;
    const struct timeval *next = ares_timeout(r->channel, &most, &tv);
    int64_t usec = (int64_t)next->tv_sec * 1000000 + next->tv_usec;
    if (usec < 3600000000) {
        timer_set(r->loop, &r->timer, clock_now() + usec);
    } else {
        timer_cancel(r->loop, &r->timer);
    }
}

static void resolver_on_timer(struct timer *t) {
    struct resolver *r = CONTAINER_OF(t, struct resolver, timer);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolver_arm(r);
}

static void resolver_on_ready(void *ctx, int fd, unsigned ready) {
    struct resolver *r = ctx;
    bool in = (ready & (READY_IN | READY_HUP | READY_ERR)) != 0, out = (ready & (READY_OUT | READY_ERR)) != 0;
    ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    resolver_arm(r);
}

/* c-ares says what it waits for; 0 and 0: the descriptor is about to be closed. */
static void resolver_on_state(void *ctx, ares_socket_t fd, int readable, int writable) {
    struct resolver *r = ctx;
    backend_watch_resolver(r->loop->backend, fd, (readable ? READY_IN : 0u) | (writable ? READY_OUT : 0u));
}

struct resolver *resolver_new(struct loop *loop) {
    static bool ready; /* control thread only */
    if (!ready && ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return NULL;
    }
    ready = true;
    struct resolver *r = mem_zalloc(sizeof *r);
    r->loop = loop;
    list_init(&r->queries);
    timer_init(&r->timer, resolver_on_timer);
    struct ares_options o = {.timeout = TRY_MSEC, .tries = TRIES, .sock_state_cb = resolver_on_state, .sock_state_cb_data = r};
    if (ares_init_options(&r->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
        mem_free(r);
        return NULL;
    }
    loop->resolver_fn = resolver_on_ready;
    loop->resolver_ctx = r;
    return r;
}

static void query_free(struct query *q) {
    list_remove(&q->timer.link);
    list_remove(&q->link);
    mem_free(q);
}

void resolver_free(struct resolver **rp) {
    struct resolver *r = *rp;
    *rp = NULL;
    if (r == NULL) {
        return;
    }
    LIST_EACH(&r->queries, l) {
        lookup_cancel(CONTAINER_OF(l, struct query, link)->lookup);
    }
    ares_destroy(r->channel); /* ends every open query through its callback */
    LIST_EACH_SAFE(&r->queries, l) {
        query_free(CONTAINER_OF(l, struct query, link));
    }
    timer_cancel(r->loop, &r->timer);
    r->loop->resolver_fn = NULL;
    mem_free(r);
}

static void query_on_timer(struct timer *t) {
    struct query *q = CONTAINER_OF(t, struct query, timer);
    struct lookup *l = q->lookup;
    list_remove(&q->link); /* the callback may free the resolver */
    if (l != NULL) {
        l->resolver = NULL;
        l->query = NULL;
        l->fn(l, q->addrs, q->n, q->ttl, q->why);
    }
    query_free(q);
}

/* In the next turn, however quickly the answer was known. */
static void query_answered(struct query *q) {
    timer_set(q->resolver->loop, &q->timer, q->resolver->loop->now);
}

static void query_on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *answer) {
    struct query *q = ctx;
    q->ttl = TTL_UNKNOWN;
    q->why = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status); /* said only when there is no address */
    for (struct ares_addrinfo_node *n = answer != NULL ? answer->nodes : NULL; n != NULL && q->n < RESOLVE_MAX; n = n->ai_next) {
        if (n->ai_addrlen > sizeof q->addrs[0].sa) {
            continue;
        }
        memcpy(q->addrs[q->n].sa.bytes, n->ai_addr, n->ai_addrlen);
        q->addrs[q->n++].len = n->ai_addrlen;
        if (n->ai_ttl > 0 && (uint32_t)n->ai_ttl < q->ttl) {
            q->ttl = (uint32_t)n->ai_ttl;
        }
    }
    if (answer != NULL) {
        ares_freeaddrinfo(answer);
    }
    query_answered(q);
}

void lookup_start(struct resolver *r, struct lookup *l, const char *host, uint16_t port, lookup_fn *fn) {
    ASSERT(l->resolver == NULL);
    struct query *q = mem_zalloc(sizeof *q);
    *q = (struct query){.resolver = r, .lookup = l};
    timer_init(&q->timer, query_on_timer);
    list_push(&r->queries, &q->link);
    *l = (struct lookup){.fn = fn, .resolver = r, .port = port, .query = q};
    if (addr_ip(&q->addrs[0], slice_str(host), port)) {
        /* c-ares 1.18 asks the name server for an IPv4 address as if it were a name when the family is open */
        q->n = 1;
        q->ttl = TTL_UNKNOWN;
        q->why = "";
        query_answered(q);
        return;
    }
    char service[8];
    char *to = service + sizeof service - 1;
    *to = '\0';
    unsigned rest = port;
    do {
        *--to = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV};
    ares_getaddrinfo(r->channel, host, to, &hints, query_on_answer, q);
    resolver_arm(r);
}

void lookup_cancel(struct lookup *l) {
    if (l != NULL && l->resolver != NULL) {
        struct query *q = l->query;
        q->lookup = NULL;
        l->resolver = NULL;
        l->query = NULL;
    }
}
