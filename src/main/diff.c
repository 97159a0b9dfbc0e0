#include "main/diff.h"

#include "admin/listeners.h"
#include "conf/diff.h"
#include "main/problems.h"

#include <stdio.h>
#include <unistd.h>

struct view {
    const char *pool; /* whose head line is there; NULL: none, or the section's */
    bool any, colour;
};

static const char *colour(const struct view *v, const char *code) {
    return v->colour ? code : "";
}

static const char *kind_colour(const struct view *v, enum diff_kind kind) {
    static const char *const codes[] = {[DIFF_ADDED] = "\033[32m", [DIFF_REMOVED] = "\033[31m", [DIFF_CHANGED] = "\033[33m", [DIFF_KEYS] = "\033[36m"};
    return colour(v, codes[kind]);
}

static void put_head(struct view *v, const char *pool) {
    if (v->any && v->pool == pool) {
        return;
    }
    printf("%s%s%s%s\n", v->any ? "\n" : "", colour(v, "\033[1m"), pool != NULL ? pool : "kvmux: (the whole process)", colour(v, "\033[0m"));
    v->pool = pool;
    v->any = true;
}

static void put(void *ctx, const struct diff *d) {
    static const char signs[] = {[DIFF_ADDED] = '+', [DIFF_REMOVED] = '-', [DIFF_CHANGED] = '~', [DIFF_KEYS] = '='};
    struct view *v = ctx;
    char what[160];
    put_head(v, d->pool);
    snprintf(what, sizeof what, "%s%s%s", d->what, d->name != NULL ? " " : "", d->name != NULL ? d->name : "");
    printf("  %s%c %-32s", kind_colour(v, d->kind), signs[d->kind], what);
    if (d->name != NULL && strcmp(d->what, "server") != 0 && d->kind != DIFF_CHANGED) {
        printf(" %s", diff_word(d->kind)); /* the name says it all */
    } else if (d->from != NULL && d->to != NULL && strcmp(d->from, d->to) != 0) {
        printf(" %s -> %s", d->from, d->to);
    } else if (d->from != NULL && d->to != NULL) {
        printf(" changed (%s)", d->to);
    } else {
        printf(" %s", d->from != NULL ? d->from : d->to != NULL ? d->to : diff_word(d->kind));
    }
    printf("%s%s\n", d->restart ? "  (needs a restart)" : "", colour(v, "\033[0m"));
}

static struct conf *read_file(const char *path) {
    struct conf_problems ps = {0};
    struct conf *conf = conf_read(path, listeners_resolve_nothing, &ps);
    problems_put(path, &ps);
    conf_problems_fini(&ps);
    return conf;
}

int diff_run(const struct args *a) {
    struct conf *old = read_file(a->diff_old), *now = read_file(a->diff_new);
    int rc = old != NULL && now != NULL ? 0 : 1;
    if (rc == 0) {
        struct view v = {.colour = isatty(STDOUT_FILENO) != 0};
        if (conf_diff(old, now, put, &v) == 0) {
            puts("no differences");
        }
    }
    conf_unref(&old);
    conf_unref(&now);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}
