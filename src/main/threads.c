#include "main/threads.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/mail.h"
#include "main/logfile.h"
#include "main/signals.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/time.h>
#include <unistd.h>

#define IDS_AHEAD (1u << 20) /* clients that come until the successor serves */

struct thread {
    struct threads *all;
    struct worker *worker;
    pthread_t id;
    bool runs;
};

struct threads {
    struct conf *conf; /* until all are made */
    struct shared shared;
    struct control *control;
    struct thread *v;
    unsigned n;
};

/* Lines of a worker travel to control, so that a slow disk stops no client. What may be the last words of the process is
 * written at once. */
static void send_line(void *ctx, enum log_level level, struct slice line) {
    struct threads *t = ctx;
    if (level <= LOG_CRIT) {
        logfile_write(NULL, level, line);
        return;
    }
    struct mail_log *m = mem_alloc(sizeof *m + line.n);
    *m = (struct mail_log){.mail.kind = MAIL_LOG, .level = (int)level, .len = (uint32_t)line.n};
    memcpy(m->line, line.p, line.n);
    mailbox_post(control_mailbox(t->control), &m->mail);
}

static void name_thread(unsigned index) {
    char name[24]; /* Linux takes 15 bytes: enough for ARGS_THREADS_MAX */
    snprintf(name, sizeof name, "worker-%u", index);
#ifdef __APPLE__
    pthread_setname_np(name);
#else
    pthread_setname_np(pthread_self(), name);
#endif
}

static void *run_worker(void *arg) {
    struct thread *self = arg;
    name_thread((unsigned)(self - self->all->v));
    log_set_sink(send_line, self->all);
    while (worker_turn(self->worker, -1)) {
    }
    log_set_sink(NULL, NULL);
    return NULL;
}

static uint64_t random_seed(void) {
    uint64_t seed = 0;
    if (getentropy(&seed, sizeof seed) != 0) {
        seed ^= (uint64_t)getpid(); /* only jitter depends on it */
    }
    return seed;
}

static void shared_init(struct shared *s, const struct threads_opts *opts) {
    struct timeval now;
    gettimeofday(&now, NULL);
    *s = (struct shared){
        .started_wall = (int64_t)now.tv_sec * 1000000 + now.tv_usec,
        .pid = (uint32_t)getpid(),
        .workers = opts->workers,
        .first_client = opts->first_client,
    };
}

static bool add_worker(struct threads *t, const struct listeners *listeners) {
    struct pool_start *starts = control_starts(t->control);
    struct worker_opts opts = {
        .index = t->n,
        .conf = t->conf,
        .starts = starts,
        .shared = &t->shared,
        .control = control_mailbox(t->control),
        .seed = random_seed(),
    };
    struct worker *w = worker_new(&opts);
    mem_free(starts);
    if (w == NULL) {
        return false;
    }
    t->v[t->n] = (struct thread){.all = t, .worker = w};
    listeners_give(listeners, t->conf, t->n, w);
    control_add_worker(t->control, w);
    t->n++;
    return true;
}

struct threads *threads_new(const struct threads_opts *opts) {
    struct threads *t = mem_zalloc(sizeof *t);
    t->conf = conf_ref(opts->conf);
    shared_init(&t->shared, opts);
    struct control_opts control = {
        .conf = t->conf,
        .sources = opts->sources,
        .shared = &t->shared,
        .stats = opts->stats,
        .stats_fd = opts->listeners->stats_fd,
        .admin = opts->admin,
        .hostname = opts->hostname,
        .service = "nutcracker", /* what existing readers look for */
        .listeners = opts->listeners,
        .resolve = listeners_resolve,
    };
    t->control = control_new(&control);
    t->v = mem_zalloc(opts->workers * sizeof *t->v);
    bool ok = t->control != NULL;
    for (unsigned i = 0; ok && i < opts->workers; i++) {
        ok = add_worker(t, opts->listeners);
    }
    if (ok) {
        listeners_commit(opts->listeners, t->conf);
        conf_unref(&t->conf); /* a reload replaces it */
    } else {
        threads_free(&t);
    }
    return t;
}

bool threads_start(struct threads *t) {
    int rc = 0;
    signals_block();
    for (unsigned i = 0; rc == 0 && i < t->n; i++) {
        rc = pthread_create(&t->v[i].id, NULL, run_worker, &t->v[i]);
        t->v[i].runs = rc == 0;
    }
    signals_unblock();
    if (rc != 0) {
        threads_stop(t);
        errno = rc;
    }
    return rc == 0;
}

struct control *threads_control(struct threads *t) {
    return t->control;
}

struct mailbox *threads_mailbox(struct threads *t, uint32_t n) {
    return worker_mailbox(t->v[n % t->n].worker);
}

uint64_t threads_next_client(const struct threads *t) {
    return t->shared.first_client + (control_connections(t->control) + IDS_AHEAD) * t->shared.workers;
}

void threads_stop(struct threads *t) {
    for (unsigned i = 0; i < t->n; i++) {
        struct mail *m = mem_zalloc(sizeof *m);
        m->kind = MAIL_STOP;
        mailbox_post(worker_mailbox(t->v[i].worker), m);
    }
}

void threads_free(struct threads **tp) {
    struct threads *t = *tp;
    *tp = NULL;
    if (t == NULL) {
        return;
    }
    for (unsigned i = 0; i < t->n; i++) {
        if (t->v[i].runs) {
            pthread_join(t->v[i].id, NULL);
        }
    }
    for (unsigned i = 0; i < t->n; i++) {
        worker_free(&t->v[i].worker);
    }
    control_free(&t->control);
    conf_unref(&t->conf);
    mem_free(t->v);
    mem_free(t);
}
