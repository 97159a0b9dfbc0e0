/* clients.c: GET /clients: one mail goes round the workers, and the request waits for it (core/roll.h). */
#include "admin/control_state.h"
#include "admin/request.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/roll.h"

#define CLIENTS_DEFAULT 1000
#define CLIENTS_MAX 10000 /* what a worker spends on it, its clients wait: some 10 ms */

static void put_text(struct str *to, const char *name, const char *value) {
    str_format(to, "\"%s\":", name);
    str_quote(to, slice_str(value));
    str_put(to, ",");
}

static void put_entry(struct str *to, const struct roll_entry *e) {
    str_put(to, "\n {");
    put_text(to, "pool", e->pool);
    put_text(to, "address", e->addr);
    put_text(to, "name", e->name);
    put_text(to, "user", e->user);
    put_text(to, "library", e->lib);
    put_text(to, "last_command", e->command);
    str_format(to, "\"id\":%llu,\"worker\":%u,\"hello\":%u,\"db\":%u,\"age\":%lld,\"idle\":%lld,\"waiting\":%u,", (unsigned long long)e->id,
               e->worker, e->version, e->db, (long long)e->age_sec, (long long)e->idle_sec, e->waiting);
    str_format(to, "\"transaction\":%lld,\"channels\":%u,\"unread_bytes\":%llu,\"unsent_bytes\":%llu,\"blocked\":%s}", (long long)e->txn,
               e->channels, (unsigned long long)e->unread, (unsigned long long)e->unsent, e->blocked ? "true" : "false");
}

void clients_on_mail(struct control *c, struct mail_roll *m) {
    if (m->next < c->nworkers) {
        mailbox_post(worker_mailbox(c->workers[m->next++]), &m->mail);
        return;
    }
    if (round_wants(&c->clients, m->token)) {
        struct str body = {0};
        str_format(&body, "{\"total\":%llu,\"shown\":%u,\"clients\":[", (unsigned long long)m->total, m->n);
        for (uint32_t i = 0; i < m->n; i++) {
            str_put(&body, i == 0 ? "" : ",");
            put_entry(&body, &m->v[i]);
        }
        str_put(&body, "]}\n");
        request_json(c->clients.asker, &body);
        round_end(&c->clients);
    }
    mem_free(m);
}

void tell_clients(struct request *r, struct control *c) {
    struct slice limit = request_arg(r, "limit");
    uint64_t max = CLIENTS_DEFAULT;
    if (limit.p != NULL && (!num_u64(limit, &max) || max > CLIENTS_MAX)) {
        request_say(r, 400, "limit is a number up to %d", CLIENTS_MAX);
        return;
    }
    if (!round_begin(&c->clients, r)) {
        return;
    }
    struct mail_roll *m = mem_zalloc(sizeof *m);
    *m = (struct mail_roll){.mail.kind = MAIL_ROLL, .token = c->clients.token, .max = (uint32_t)max};
    clients_on_mail(c, m);
}
