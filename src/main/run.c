#include "main/run.h"

#include "base/log.h"
#include "base/mem.h"
#include "main/admin_port.h"
#include "main/daemon.h"
#include "main/inherit.h"
#include "main/logfile.h"
#include "main/notify.h"
#include "main/pidfile.h"
#include "main/privileges.h"
#include "main/signals.h"
#include "main/threads.h"
#include "main/upgrade.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WHY_MAX 512

struct run {
    const struct args *args;
    struct conf *conf;
    struct addr stats;
    unsigned workers;
    struct listeners listeners;
    struct admin_port admin;
    struct threads *threads;
    unsigned stops; /* SIGTERM and SIGINT so far */
    uint32_t reloads; /* that the service manager was told of */
    bool reloading; /* and not that it is over */
    bool leaving;   /* it was told that we end, or another process is the one that it listens to */
    bool replaced;  /* another process serves, this one drains */
};

/* To whoever waits for the start, and to the log if that is somewhere else. */
static int say_failed(const struct args *a, const char *why) {
    if (logfile_is_file()) {
        log_line(LOG_ALERT, "start_failed reason=\"%s\"", why);
    }
    inherit_failed(why);
    daemon_tell(a->program, why);
    return 1;
}

static unsigned count_cores(void) {
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
#ifdef CPU_COUNT
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) { /* those that we may use */
        n = CPU_COUNT(&set);
    }
#endif
    return n < 1 ? 1 : n > ARGS_THREADS_MAX ? ARGS_THREADS_MAX : (unsigned)n;
}

static unsigned count_workers(const struct args *a, const struct conf *conf) {
    if (a->threads != 0) {
        return a->threads;
    }
    if (conf->threads != 0) {
        return (unsigned)conf->threads;
    }
    return a->drop_in ? 1 : count_cores();
}

/* Returns the limit that holds from now on. */
static unsigned long long raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

static bool find_stats(struct run *r, char *why, size_t room) {
    const char *host = r->args->stats_addr, *reason = "";
    bool ok = host[0] == '/' ? addr_unix(&r->stats, slice_str(host))
                             : addr_ip(&r->stats, slice_str(host), r->args->stats_port) ||
                                   listeners_resolve(host, r->args->stats_port, &r->stats, &reason);
    if (!ok) {
        snprintf(why, room, "stats address '%s': %s", host, host[0] == '/' ? "the path is too long" : reason);
    }
    return ok;
}

static void say_start(const struct run *r, const struct conf_problems *warnings) {
    log_line(LOG_NOTICE, "start version=" KVMUX_VERSION " pid=%d workers=%u config=%s pools=%u descriptors=%llu run_as=%s",
             (int)getpid(), r->workers, r->conf->file, r->conf->npools, raise_descriptors(), r->args->program);
    conf_problems_log(warnings, r->conf->file);
}

/* The one before holds the lock of the file until we have it. */
static bool take_pidfile(const char *path, char *why, size_t room) {
    int fd = inherit_pid_fd();
    return (fd >= 0 && pidfile_adopt(path, fd)) || pidfile_open(path, why, room);
}

static bool boot(struct run *r, struct conf_problems *warnings, char *why, size_t room) {
    signals_init();
    if (!inherit_take(&r->listeners, why, room) || (r->args->pid_file != NULL && !take_pidfile(r->args->pid_file, why, room))) {
        return false;
    }
    r->workers = count_workers(r->args, r->conf);
    say_start(r, warnings);
    if (!find_stats(r, why, room) || !listeners_open(&r->listeners, r->conf, &r->stats, r->workers, why, room) ||
        !admin_port_open(&r->admin, r->args, r->conf, &r->listeners, why, room) || !privileges_drop(r->conf, why, room)) {
        return false;
    }
    static char hostname[256];
    if (gethostname(hostname, sizeof hostname - 1) != 0) {
        strcpy(hostname, "unknown");
    }
    struct threads_opts opts = {.conf = r->conf, .sources = &warnings->sources, .workers = r->workers, .stats = &r->stats,
                                .admin = r->admin.opts, .hostname = hostname, .listeners = &r->listeners, .first_client = inherit_first_id()};
    r->threads = threads_new(&opts);
    if (r->threads == NULL) {
        snprintf(why, room, "not enough file descriptors");
        return false;
    }
    if (!threads_start(r->threads)) {
        snprintf(why, room, "cannot make threads: %s", strerror(errno));
        return false;
    }
    return true;
}

static void say_serving(const struct run *r) {
    const struct control *control = threads_control(r->threads);
    const struct conf *conf = control_conf(control);
    char status[160];
    snprintf(status, sizeof status, "serving %u pool%s with %u worker%s%s", conf->npools, conf->npools == 1 ? "" : "s", r->workers,
             r->workers == 1 ? "" : "s", control_refused(control) ? "; the last reload was refused, the log says why" : "");
    notify_serving(status);
}

/* What control does, the service manager is told, whoever asked for it. */
static void tell_manager(struct run *r) {
    const struct control *control = threads_control(r->threads);
    if (r->leaving) {
        return;
    }
    if (control_draining(control)) {
        notify_stopping(control_conf(control)->drain_timeout);
        r->leaving = true;
        return;
    }
    if (r->reloads != control_reloads(control)) { /* it may be over already */
        r->reloads = control_reloads(control);
        r->reloading = true;
        notify_reloading();
    }
    if (r->reloading && !control_reloading(control)) {
        r->reloading = false;
        say_serving(r);
    }
}

/* We serve: from here on files and paths are ours, and whoever was before us may go. */
static bool settle(struct run *r, char *why, size_t room) {
    if (r->args->pid_file != NULL && !pidfile_write()) {
        snprintf(why, room, "pid file '%s': %s", r->args->pid_file, strerror(errno));
        return false;
    }
    say_serving(r);
    if (!inherit_serving()) {
        snprintf(why, room, "the kvmux that started this one is gone");
        return false;
    }
    listeners_settle(&r->listeners);
    if (!inherit_clients(r->threads)) {
        log_line(LOG_ERROR, "upgrade_failed reason=\"no thread for clients: %s\"", strerror(errno));
        inherit_end();
    }
    return true;
}

/* Who is replaced drains already. systemd sends SIGTERM to all processes of a service, and once more to those that are left when the main
 * one has ended: that is no wish to have their requests broken off. SIGINT is. */
static void on_stop(struct run *r, int number, const char *name) {
    if (r->replaced && number == SIGTERM) {
        log_line(LOG_NOTICE, "signal name=%s action=none note=\"this process drains already\"", name);
        return;
    }
    r->stops += r->replaced ? 2 : 1;
    if (r->stops == 1) {
        log_line(LOG_NOTICE, "signal name=%s action=drain limit_msec=%lld", name, (long long)control_conf(threads_control(r->threads))->drain_timeout);
        control_drain(threads_control(r->threads));
    } else if (r->stops == 2) {
        log_line(LOG_NOTICE, "signal name=%s action=stop", name);
        threads_stop(r->threads);
    }
}

static void on_reopen(const struct run *r, const char *name) {
    control_reopen(threads_control(r->threads));
    if (logfile_reopen()) {
        log_line(LOG_NOTICE, "signal name=%s action=reopen_log", name);
    } else {
        log_line(LOG_ERROR, "signal name=%s action=reopen_log error=\"%s\" note=\"the old file stays in use\"", name,
                 strerror(errno));
    }
}

/* The log as well, so that whoever sends SIGHUP after renaming it is served. */
static void on_reload(struct run *r, const char *name) {
    on_reopen(r, name);
    if (!r->args->drop_in) {
        log_line(LOG_NOTICE, "signal name=%s action=reload", name);
        control_want_reload(threads_control(r->threads));
    }
}

/* False: `why` says why, and so does the log. */
/* We are what systemd started, and it would not hear who follows us: it would end the successor with us. (A daemon has another pid, and a pid
 * file that systemd reads again.) systemd.exec(5) */
static bool dies_with_us(void) {
    const char *pid = getenv("SYSTEMD_EXEC_PID");
    return pid != NULL && getenv("NOTIFY_SOCKET") == NULL && strtol(pid, NULL, 10) == getpid();
}

static bool begin_upgrade(struct run *r, char *why, size_t room) {
    struct control *control = threads_control(r->threads);
    bool ok = false;
    if (control_draining(control)) {
        snprintf(why, room, "kvmux is shutting down");
    } else if (getpid() == 1) { /* its end would be that of its successor */
        snprintf(why, room, "kvmux is the first process of a container, which ends with it: replace the container");
    } else if (dies_with_us()) {
        snprintf(why, room, "systemd would end the new process with this one: the service needs Type=notify and NotifyAccess=all");
    } else if (inherit_pending()) {
        snprintf(why, room, "the process before this one still drains");
    } else {
        ok = upgrade_start(control, &r->listeners, threads_next_client(r->threads), why, room);
    }
    if (!ok) {
        log_line(LOG_ERROR, "upgrade_failed reason=\"%s\"", why);
    }
    return ok;
}

static void on_upgrade(struct run *r, const char *name) {
    char why[WHY_MAX];
    if (begin_upgrade(r, why, sizeof why)) {
        log_line(LOG_NOTICE, "signal name=%s action=upgrade", name);
    }
}

/* The same for the admin port, where somebody waits for the outcome. */
static void on_upgrade_wanted(struct run *r) {
    char why[WHY_MAX];
    struct control *control = threads_control(r->threads);
    if (control_upgrade_wanted(control) && !begin_upgrade(r, why, sizeof why)) {
        control_upgrade_answer(control, false, why);
    }
}

/* The new program has a word for us. */
static void on_upgrade_news(struct run *r) {
    char why[WHY_MAX];
    struct control *control = threads_control(r->threads);
    enum upgrade_state state = upgrade_news(why, sizeof why);
    if (state == UPGRADE_FAILED) {
        log_line(LOG_ERROR, "upgrade_failed reason=\"%s\" note=\"this process goes on\"", why);
        control_upgrade_answer(control, false, why);
    } else if (state == UPGRADE_SERVING) {
        log_line(LOG_NOTICE, "upgraded pid=%d limit_msec=%lld note=\"another process serves, this one drains\"", (int)getpid(),
                 (long long)control_conf(control)->drain_timeout);
        control_upgrade_answer(control, true, "another process serves, this one drains");
        r->leaving = r->replaced = true;
        listeners_lend(&r->listeners);
        pidfile_leave();
        struct mailbox *heir = upgrade_heir();
        if (heir != NULL) {
            control_leave(control, heir);
        } else {
            control_drain(control);
        }
    }
    uint32_t clients;
    if (inherit_over(&clients)) {
        log_line(LOG_NOTICE, "took_over clients=%u", clients);
    }
}

static void on_level(const char *name, int change) {
    char line[128];
    log_set_level(log_level() + change);
    int n = snprintf(line, sizeof line, "signal name=%s action=log_level level=%d", name, log_level());
    /* past the level: somebody just asked for it */
    logfile_write(NULL, LOG_NOTICE, slice(line, (size_t)n));
}

static void on_signal(struct run *r, const struct signal_row *row) {
    switch (row->action) {
    case SIGNAL_STOP: on_stop(r, row->number, row->name); break;
    case SIGNAL_RELOAD: on_reload(r, row->name); break;
    case SIGNAL_REOPEN: on_reopen(r, row->name); break;
    case SIGNAL_LOUDER: on_level(row->name, 1); break;
    case SIGNAL_QUIETER: on_level(row->name, -1); break;
    case SIGNAL_UPGRADE: on_upgrade(r, row->name); break;
    }
}

static void serve(struct run *r) {
    struct control *control = threads_control(r->threads);
    signals_wake(control);
    do {
        const struct signal_row *row;
        while ((row = signals_take()) != NULL) {
            on_signal(r, row);
        }
        on_upgrade_wanted(r);
        on_upgrade_news(r);
        tell_manager(r);
    } while (control_turn(control, -1));
    signals_wake(NULL);
}

int run(const struct args *a, struct conf **conf, struct conf_problems *problems) {
    struct run r = {.args = a, .conf = *conf, .listeners.stats_fd = -1, .admin.opts.fd = -1};
    *conf = NULL;
    char why[WHY_MAX];
    int rc = 0;
    log_set_level(a->log_level);
    if (!logfile_open(a)) {
        snprintf(why, sizeof why, "log file '%s': %s", a->log_file, strerror(errno));
        rc = say_failed(a, why);
    } else if (a->daemonize && !inherit_pending() && !daemon_start(a->program)) {
        snprintf(why, sizeof why, "cannot go into the background: %s", strerror(errno));
        rc = say_failed(a, why);
    } else if (!boot(&r, problems, why, sizeof why) || !settle(&r, why, sizeof why)) {
        rc = say_failed(a, why);
        if (r.threads != NULL) {
            threads_stop(r.threads);
        }
    } else {
        conf_unref(&r.conf); /* a reload replaces it */
        daemon_up();
        serve(&r);
        upgrade_end();
        on_upgrade_news(&r);
    }
    inherit_end();
    threads_free(&r.threads);
    admin_port_fini(&r.admin);
    listeners_fini(&r.listeners);
    pidfile_close();
    if (rc == 0) {
        log_line(LOG_NOTICE, "stop pid=%d", (int)getpid());
    }
    logfile_close();
    conf_unref(&r.conf);
    return rc;
}
