/* deeds.c: the routes that change something. Each leaves a line in the log, ten a second at most. */
#include "admin/control_state.h"
#include "admin/request.h"
#include "admin/view.h"
#include "base/num.h"

int request_pool(struct request *r, const struct control *c) {
    struct slice name = request_arg(r, "pool");
    if (name.p == NULL) {
        request_say(r, 400, "the argument pool is missing");
        return -1;
    }
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        if (slice_is(name, c->conf->pools[p].name)) {
            return (int)p;
        }
    }
    request_say(r, 404, "there is no pool of that name");
    return -1;
}

/* The server that is meant; NULL after saying that there is none. */
static struct health *request_server(struct request *r, struct control *c) {
    int pool = request_pool(r, c);
    if (pool < 0) {
        return NULL;
    }
    struct slice name = request_arg(r, "server");
    if (name.p == NULL) {
        request_say(r, 400, "the argument server is missing");
        return NULL;
    }
    const struct conf_pool *conf = &c->conf->pools[pool];
    for (uint32_t s = 0; s < conf->nservers; s++) {
        if (slice_is(name, conf->servers[s].name)) {
            return &c->pools[pool]->servers[s]->health;
        }
    }
    request_say(r, 404, "pool %s has no server of that name", conf->name);
    return NULL;
}

/* A script that posts in a loop must not fill the disk. */
static bool may_log(struct control *c) {
    return log_pass(&c->deeds_log, loop_now(c->loop), 1000000, 10);
}

static void log_deed(const struct request *r, struct control *c, const char *what) {
    if (may_log(c)) {
        log_line(LOG_NOTICE, "admin_post action=%s from=%s", what, request_from(r));
    }
}

void do_eject(struct request *r, struct control *c) {
    struct health *h = request_server(r, c);
    if (h == NULL) {
        return;
    }
    if (h->state == HEALTH_ALIVE && view_servers_in_use(c, h->pool) == 1 && !request_flag(r, "force")) {
        request_say(r, 409, "it is the last server of the pool that is in use: without it nobody is served; force=1 if that is wanted");
        return;
    }
    log_deed(r, c, "eject");
    request_say(r, 200, health_take_out(h) ? "out, until it is returned" : "it was out already");
}

void do_return(struct request *r, struct control *c) {
    struct health *h = request_server(r, c);
    if (h != NULL) {
        log_deed(r, c, "return");
        request_say(r, 200, health_bring_back(h) ? "in use again" : "it was in use already");
    }
}

void do_reload(struct request *r, struct control *c) {
    struct conf_problems problems = {0};
    struct str body = {0};
    log_deed(r, c, "reload");
    bool taken = control_reload(c, &problems);
    for (uint32_t i = 0; i < problems.n; i++) {
        const struct conf_problem *p = &problems.v[i];
        str_put(&body, c->conf->file);
        str_format(&body, ":%u:%u: %s", p->line, p->column, p->warning ? "warning: " : "");
        str_put(&body, p->text);
        str_put(&body, "\n");
    }
    str_put(&body, taken ? "taken: the workers switch now; the log says what is different\n" : "nothing was changed\n");
    conf_problems_fini(&problems);
    request_answer(r, taken ? 200 : 422, "text/plain; charset=utf-8", &body);
}

void do_drain(struct request *r, struct control *c) {
    if (!c->draining) {
        log_deed(r, c, "drain");
    }
    request_say(r, 202, "draining: the process ends when nothing is in flight, after %lld ms at the latest",
                (long long)c->conf->drain_timeout);
    control_drain(c);
}

/* Starting programs is main's: it looks after this turn, and answers through control_upgrade_answer. */
void do_upgrade(struct request *r, struct control *c) {
    if (c->upgrade_asker != NULL) {
        request_say(r, 409, "another upgrade is under way");
        return;
    }
    log_deed(r, c, "upgrade");
    c->upgrade_asker = r;
    c->upgrade_wanted = true;
    request_wait(r);
}

bool control_upgrade_wanted(struct control *c) {
    bool wanted = c->upgrade_wanted;
    c->upgrade_wanted = false;
    return wanted;
}

void control_upgrade_answer(struct control *c, bool done, const char *words) {
    struct request *r = c->upgrade_asker;
    c->upgrade_asker = NULL;
    c->upgrade_wanted = false;
    if (r != NULL) {
        request_say(r, done ? 200 : 409, "%s", words);
        request_go_on(r);
    }
}

void do_log_level(struct request *r, struct control *c) {
    uint64_t level;
    if (!num_u64(request_arg(r, "level"), &level) || level > LOG_MAX) {
        request_say(r, 400, "level is a number between 0 and %d", LOG_MAX);
        return;
    }
    int before = log_level();
    log_set_level(before > (int)level ? before : (int)level); /* the line counts for the louder of the two */
    if (may_log(c)) {
        log_line(LOG_NOTICE, "admin_post action=log_level level=%d from=%s", (int)level, request_from(r));
    }
    log_set_level((int)level);
    request_say(r, 200, "%d", log_level());
}
