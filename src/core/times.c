#include "core/times.h"

#include "base/mem.h"
#include "core/client.h"
#include "stats/times.h"

__attribute__((noinline)) void times_sent_late(struct server *s, struct req *r, uint32_t now) {
    if (r->born == 0) {
        return;
    }
    if (times_sampled(r)) {
        hist_add(&s->times->v[SERVER_TIME_queue], now - r->since, TIMES_SAMPLE);
    }
    r->since = now;
}

/* since 0: its late reply (times_failed). */
__attribute__((noinline)) void times_add_server(const struct server *s, const struct req *r, uint32_t now) {
    if (r->born != 0 && r->since != 0) {
        hist_add(&s->times->v[SERVER_TIME_server], now - r->since, TIMES_SAMPLE);
    }
}

void times_part_ended(struct req *whole, const struct req *part) {
    if (whole->born == 0) {
        whole->born = part->born;
    }
    whole->since = times_now(whole->pool->worker);
}

void times_failed(struct req *r) {
    r->since = (r->flags & REQ_EXPIRED) ? 0 : times_now(r->pool->worker);
}

static enum pool_time class_of(const struct cmd *c) {
    return c->flags & CMD_WRITE ? POOL_TIME_write : c->flags & CMD_READ ? POOL_TIME_read : POOL_TIME_other;
}

/* What took no time is not counted (stats/times.h). */
static void add(const struct pool *p, enum pool_time which, uint32_t usec, uint32_t times) {
    if (usec > 0) {
        hist_add(&p->times->v[which], usec, times);
    }
}

void times_late(const struct req *r, uint32_t now, uint32_t *order, uint32_t *client) {
    uint32_t late = now - r->since, stalled = r->client->roomy ? now - r->client->stalled_at : 0;
    *client = stalled < late ? stalled : late;
    *order = late - *client;
}

__attribute__((noinline)) void times_add_pool(const struct pool *p, const struct req *r, uint32_t now) {
    if (r->born == 0) {
        return;
    }
    hist_add(&p->times->v[class_of(r->cmd)], now - r->born, TIMES_SAMPLE);
    if (r->since != now && r->since != 0) {
        uint32_t order, client;
        times_late(r, now, &order, &client);
        add(p, POOL_TIME_order, order, TIMES_SAMPLE);
        add(p, POOL_TIME_client, client, TIMES_SAMPLE);
    }
}

void times_received(const struct pool *p, uint32_t usec) {
    add(p, POOL_TIME_receive, usec, 1);
}

void times_need(struct server *s) {
    if (s->times == NULL) {
        __atomic_store_n(&s->times, mem_zalloc(sizeof *s->times), __ATOMIC_RELEASE); /* control looks (mail_view) */
    }
}
