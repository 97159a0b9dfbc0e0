#include "admin/certs.h"

#include "admin/control_state.h"

#include <time.h>

#define DAY_USEC INT64_C(86400000000)

static void look_at(const struct control *c, const struct conf_pool *p, const char *key, int64_t ends) {
    int64_t left = ends - loop_wall(c->loop);
    if (ends == 0 || (left > 0 && left >= c->conf->tls_expiry_warning * DAY_USEC)) {
        return;
    }
    struct tm tm;
    char text[32];
    const time_t at = (time_t)(ends / 1000000);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    if (left > 0) {
        log_line(LOG_WARN, "certificate_expires pool=%s key=%s at=%s days=%lld", p->name, key, text, (long long)(left / DAY_USEC));
    } else {
        log_line(LOG_ERROR, "certificate_expired pool=%s key=%s at=%s note=\"whoever checks it refuses the connection\"", p->name, key, text);
    }
}

void certs_look(struct certs *s) {
    const struct control *c = s->control;
    for (uint32_t i = 0; i < c->conf->npools; i++) {
        const struct conf_pool *p = &c->conf->pools[i];
        look_at(c, p, "tls_certificate", p->tls_pem.expires);
        look_at(c, p, "server_tls_certificate", p->server_tls_pem.expires);
    }
    timer_set(c->loop, &s->timer, loop_now(c->loop) + DAY_USEC);
}

static void certs_on_timer(struct timer *t) {
    certs_look(CONTAINER_OF(t, struct certs, timer));
}

void certs_init(struct certs *s, struct control *c) {
    *s = (struct certs){.control = c};
    timer_init(&s->timer, certs_on_timer);
    certs_look(s);
}

void certs_fini(struct certs *s) {
    timer_cancel(s->control->loop, &s->timer);
}
