/* proxied.c: connections from a load balancer, whose first bytes say who the client is (proxy2.h). Few connections are such, so what
 * is known of them is not in the stream but in a table of the loop, by descriptor. */
#include "io/call.h"
#include "io/io_state.h"
#include "io/proxy2.h"

#include "base/mem.h"

#include <errno.h>

#define PIECES 4 /* of a header that are read in one turn */

struct proxied {
    struct addr from;      /* len 0: the header is still to come, or does not say */
    struct proxy2 *header; /* NULL: all of it is read */
};

static struct proxied *proxied_of(const struct stream *s) {
    const struct loop *loop = s->loop;
    return s->fd >= 0 && (uint32_t)s->fd < loop->nproxied ? loop->proxied[s->fd] : NULL;
}

static struct proxied *proxied_new(const struct stream *s) {
    struct loop *loop = s->loop;
    uint32_t fd = (uint32_t)s->fd;
    if (fd >= loop->nproxied) {
        uint32_t n = fd + fd / 2 + 64;
        loop->proxied = mem_realloc(loop->proxied, n * sizeof *loop->proxied);
        memset(loop->proxied + loop->nproxied, 0, (n - loop->nproxied) * sizeof *loop->proxied);
        loop->nproxied = n;
    }
    ASSERT(loop->proxied[fd] == NULL);
    return loop->proxied[fd] = mem_zalloc(sizeof(struct proxied));
}

void proxied_begin(struct stream *s) {
    proxied_new(s)->header = mem_zalloc(sizeof(struct proxy2));
    s->flags |= STREAM_HEADER;
}

/* The header is there: what is behind it is the client's. */
static void proxied_done(struct stream *s, struct proxied *p) {
    mem_free(p->header);
    p->header = NULL;
    s->flags &= (uint16_t)~STREAM_HEADER;
    s->ops->on_connect(s);
    if (s->state != STREAM_OPEN) {
        return;
    }
    if (s->flags & STREAM_HANDSHAKE) {
        tls_on_ready(s, READY_IN);
    } else {
        stream_run(s);
    }
}

/* False: there is no more of it for now, or the connection ended. */
static bool proxied_read(struct stream *s, struct proxied *p) {
    uint8_t bytes[512];
    ssize_t n = call_recv(s->fd, bytes, min_size(proxy2_want(p->header), sizeof bytes));
    if (n < 0 && errno == EAGAIN) {
        s->flags &= (uint16_t)~STREAM_READABLE;
    } else if (n < 0 && errno == EINTR) {
        stream_left_over(s);
    } else if (n < 0) {
        stream_fail(s, reason_of_errno(errno));
    } else if (n == 0) {
        stream_fail(s, p->header->have > 0 ? REASON_PROXY : REASON_EOF);
    } else {
        switch (proxy2_take(p->header, slice(bytes, (size_t)n), &p->from)) {
        case PROXY2_MORE: return true;
        case PROXY2_DONE: proxied_done(s, p); break;
        case PROXY2_BAD: stream_fail(s, REASON_PROXY); break;
        }
    }
    return false;
}

void proxied_on_ready(struct stream *s, unsigned ready) {
    if (ready & (READY_IN | READY_HUP | READY_ERR)) {
        s->flags |= STREAM_READABLE | ((ready & (READY_HUP | READY_ERR)) ? STREAM_HUP : 0) | ((ready & READY_ERR) ? STREAM_ERROR : 0);
    }
    for (int i = 0; i < PIECES && (s->flags & STREAM_READABLE); i++) {
        if (!proxied_read(s, proxied_of(s))) {
            return;
        }
    }
    stream_left_over(s);
}

void proxied_end(const struct stream *s) {
    struct proxied *p = proxied_of(s);
    if (p != NULL) {
        s->loop->proxied[s->fd] = NULL;
        mem_free(p->header);
        mem_free(p);
    }
}

void proxied_free(struct loop *loop) {
    mem_free(loop->proxied);
    loop->proxied = NULL;
    loop->nproxied = 0;
}

const struct addr *stream_proxied(const struct stream *s) {
    const struct proxied *p = proxied_of(s);
    return p != NULL && p->from.len > 0 ? &p->from : NULL;
}

void stream_comes_from(struct stream *s, const struct addr *from) {
    proxied_new(s)->from = *from;
}
