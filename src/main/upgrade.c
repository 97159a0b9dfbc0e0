#include "main/upgrade.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/handover.h"
#include "main/link.h"
#include "main/pidfile.h"
#include "main/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND_MSEC 5000
#define SKIPPED_MAX 100
#define WHY_MAX (2 * LINK_WHY_MAX) /* quoted */

extern char **environ;

static char **program_argv;
static char program_path[PATH_MAX];

static struct {
    pid_t pid; /* of the successor's process group: it may go on in a child (inherit_begin); 0: none */
    int link;
    int msec;  /* for it to say something */
    bool runs; /* the thread */
    pthread_t thread;
    struct control *control;
    atomic_int state; /* enum upgrade_state: what follows is written before */
    char why[WHY_MAX];
    bool takes_clients; /* it understands our passports */
    struct mailbox heir; /* of clients that go, and how the thread hears of them */
    int bell[2];
    atomic_bool ending; /* no more of them will come */
    uint32_t lost;      /* that could not be sent; the thread's until it has ended */
} up = {.link = -1, .bell = {-1, -1}};

/* ---- the program ---- */

/* The first place in PATH where it can be run. */
static bool search_path(const char *name, char *to, size_t room) {
    const char *dirs = getenv("PATH");
    while (dirs != NULL && *dirs != '\0') {
        size_t n = strcspn(dirs, ":");
        int len = snprintf(to, room, "%.*s/%s", (int)n, dirs, name);
        if (n > 0 && len > 0 && (size_t)len < room && access(to, X_OK) == 0) {
            return true;
        }
        dirs += n + (dirs[n] == ':');
    }
    return false;
}

void upgrade_init(char **argv) {
    char found[PATH_MAX], here[PATH_MAX];
    const char *name = argv[0];
    program_argv = argv;
    if (strchr(name, '/') == NULL && search_path(name, found, sizeof found)) {
        name = found;
    }
    bool absolute = name[0] == '/' || getcwd(here, sizeof here) == NULL;
    int n = absolute ? snprintf(program_path, sizeof program_path, "%s", name)
                     : snprintf(program_path, sizeof program_path, "%s/%s", here, name);
    if (n < 0 || (size_t)n >= sizeof program_path) {
        program_path[0] = '\0';
    }
}

/* What the program was started with, and where its end of the link is. The caller frees the array, not what is in it. */
static char **make_environ(char *link_text, size_t room, int fd) {
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **env = mem_alloc((n + 2) * sizeof *env);
    memcpy(env, environ, n * sizeof *env);
    snprintf(link_text, room, LINK_ENV "=%d", fd);
    env[n] = link_text;
    env[n + 1] = NULL;
    return env;
}

/* Returns 0, or an errno. `fd` is the only descriptor that it gets beside the standard ones. */
static int spawn(pid_t *pid, int fd) {
    char link_text[64];
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, fd, STDERR_FILENO + 1);
    char **env = make_environ(link_text, sizeof link_text, STDERR_FILENO + 1);
    int rc = posix_spawn(pid, program_path, &files, &attr, program_argv, env);
    mem_free(env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc;
}

/* ---- the other end ---- */

static void say(enum upgrade_state state) {
    atomic_store(&up.state, (int)state);
    control_wake(up.control);
}

static void fail(const char *why, size_t n) {
    char quoted[WHY_MAX];
    snprintf(up.why, sizeof up.why, "%s", log_quote(quoted, sizeof quoted, slice(why, n)));
    say(UPGRADE_FAILED);
}

static void ring_bell(void *ctx) {
    ssize_t n = write(up.bell[1], "", 1); /* full: it will wake anyway */
    (void)n;
}

static void send_client(struct mail_client *m) {
    const struct link_head head = {.kind = LINK_CLIENT};
    if (!link_send(up.link, &head, sizeof head, &m->passport, passport_size(&m->passport), &m->fd, 1)) {
        up.lost++;
    }
    close(m->fd);
    mem_free(m);
}

/* Until nobody sends any more. */
static void send_clients(void) {
    char some[64];
    for (bool ending = false; !ending;) {
        struct mail *m;
        ending = atomic_load(&up.ending); /* looked at first: what was posted before it is there */
        while ((m = mailbox_take(&up.heir)) != NULL) {
            send_client((struct mail_client *)(void *)m);
        }
        if (!ending && read(up.bell[0], some, sizeof some) < 0 && errno != EINTR) {
            break;
        }
    }
}

union word {
    struct link_head head;
    char bytes[WHY_MAX];
};

/* SERVING or FAILED; what else a later version may say before is skipped. As link_recv. */
static ssize_t first_word(union word *w) {
    int fds[LINK_FDS_MAX];
    unsigned nfds;
    ssize_t n;
    int skipped = 0;
    do {
        n = link_recv(up.link, w, sizeof *w, fds, &nfds, up.msec);
        while (nfds > 0) {
            close(fds[--nfds]);
        }
    } while (n > 0 && w->head.kind != LINK_SERVING && w->head.kind != LINK_FAILED && skipped++ < SKIPPED_MAX);
    return n;
}

/* The thread: the first word, and then the clients. */
static void *listen_to_it(void *arg) {
    union word w;
    ssize_t n = first_word(&w);
    if (n > 0 && w.head.kind == LINK_SERVING) {
        up.takes_clients = w.head.n == PASSPORT_VERSION;
        say(UPGRADE_SERVING);
        send_clients();
    } else if (n > 0 && w.head.kind == LINK_FAILED) {
        fail(w.bytes + sizeof w.head, (size_t)n - sizeof w.head);
    } else {
        const char *why = n == 0                      ? "the new program ended without a word"
                          : n > 0 || errno == EBADMSG ? "the new program says something else than kvmux would"
                          : errno == ETIMEDOUT        ? "the new program says nothing (upgrade_timeout)"
                                                      : strerror(errno);
        fail(why, strlen(why));
    }
    return NULL;
}

static bool send_listeners(const struct listeners *l) {
    for (uint32_t i = 0; i < l->n; i++) {
        const struct listening *at = &l->v[i];
        const struct link_head head = {.kind = LINK_LISTENERS, .n = at->path != NULL};
        for (uint32_t k = 0; k < at->nfds; k += LINK_FDS_MAX) {
            uint32_t n = at->nfds - k < LINK_FDS_MAX ? at->nfds - k : LINK_FDS_MAX;
            if (!link_send(up.link, &head, sizeof head, NULL, 0, at->fds + k, n)) {
                return false;
            }
        }
    }
    return true;
}

static bool send_all(const struct listeners *l, uint64_t first_id) {
    const struct link_hello hello = {{.kind = LINK_HELLO, .n = LINK_VERSION}, first_id};
    const struct link_head pid = {.kind = LINK_PIDFILE}, begin = {.kind = LINK_BEGIN};
    int pid_fd = pidfile_fd();
    return link_send(up.link, &hello, sizeof hello, NULL, 0, NULL, 0) && send_listeners(l) &&
           (pid_fd < 0 || link_send(up.link, &pid, sizeof pid, NULL, 0, &pid_fd, 1)) &&
           link_send(up.link, &begin, sizeof begin, NULL, 0, NULL, 0);
}

/* ---- begin and end ---- */

static void forget(void) {
    if (up.runs) {
        pthread_join(up.thread, NULL);
        up.runs = false;
    }
    if (up.link >= 0) {
        close(up.link);
        up.link = -1;
    }
    if (up.bell[0] >= 0) {
        mailbox_fini(&up.heir);
        close(up.bell[0]);
        close(up.bell[1]);
        up.bell[0] = up.bell[1] = -1;
    }
}

/* It is ours until it serves. The number is not another group's meanwhile: its first process is waited for here only. */
static void kill_it(void) {
    if (up.pid > 0) {
        kill(-up.pid, SIGKILL);
        waitpid(up.pid, NULL, 0);
        up.pid = 0;
    }
}

bool upgrade_start(struct control *control, const struct listeners *l, uint64_t first_id, char *why, size_t room) {
    int ends[2], rc = 0;
    if (upgrade_under_way()) {
        snprintf(why, room, "another upgrade is under way");
        return false;
    }
    if (!link_pair(ends, SEND_MSEC)) {
        snprintf(why, room, "no socket pair: %s", strerror(errno));
        return false;
    }
    if (pipe(up.bell) != 0) {
        snprintf(why, room, "no pipe: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        up.bell[0] = up.bell[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(up.bell[i], F_SETFD, FD_CLOEXEC);
    }
    fcntl(up.bell[1], F_SETFL, O_NONBLOCK);
    mailbox_init(&up.heir, ring_bell, NULL);
    up.link = ends[0];
    up.control = control;
    up.msec = (int)control_conf(control)->upgrade_timeout;
    rc = spawn(&up.pid, ends[1]);
    close(ends[1]);
    if (rc != 0) {
        up.pid = 0;
    } else if (!send_all(l, first_id) && errno != EPIPE && errno != ECONNRESET) { /* else it has ended, and its last word is to be heard */
        rc = errno;
    } else {
        atomic_store(&up.state, UPGRADE_STARTING);
        signals_block();
        rc = pthread_create(&up.thread, NULL, listen_to_it, NULL);
        signals_unblock();
        up.runs = rc == 0;
    }
    if (rc != 0) {
        snprintf(why, room, "%s: %s", program_path, strerror(rc));
        atomic_store(&up.state, UPGRADE_NONE);
        kill_it();
        forget();
    }
    return rc == 0;
}

bool upgrade_under_way(void) {
    return up.link >= 0;
}

enum upgrade_state upgrade_news(char *why, size_t room) {
    enum upgrade_state state = (enum upgrade_state)atomic_load(&up.state);
    if (state == UPGRADE_SERVING) {
        atomic_store(&up.state, UPGRADE_NONE);
        up.pid = 0;
    } else if (state == UPGRADE_FAILED) {
        snprintf(why, room, "%s", up.why);
        atomic_store(&up.state, UPGRADE_NONE);
        kill_it();
        forget();
    } else {
        state = UPGRADE_NONE;
    }
    return state;
}

struct mailbox *upgrade_heir(void) {
    return up.takes_clients ? &up.heir : NULL;
}

void upgrade_end(void) {
    if (up.runs) {
        atomic_store(&up.ending, true);
        ring_bell(NULL);
        shutdown(up.link, SHUT_RD);
        pthread_join(up.thread, NULL);
        up.runs = false;
        if (up.lost > 0) {
            log_line(LOG_WARN, "upgrade_lost clients=%u note=\"the new process did not take them\"", up.lost);
        }
    }
}
