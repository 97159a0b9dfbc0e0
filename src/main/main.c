/* main.c: what was asked for? */
#include "admin/listeners.h"
#include "base/mem.h"
#include "main/diff.h"
#include "main/inherit.h"
#include "main/logfile.h"
#include "main/privileges.h"
#include "main/problems.h"
#include "main/run.h"
#include "main/upgrade.h"
#include "main/where.h"

#include <stdio.h>

void problems_put(const char *file, const struct conf_problems *ps) {
    for (uint32_t i = 0; i < ps->n; i++) {
        const struct conf_problem *p = &ps->v[i];
        fputs(file, stderr);
        if (p->line != 0) {
            fprintf(stderr, ":%u:%u", p->line, p->column);
        }
        fprintf(stderr, ": %s%s\n", p->warning ? "warning: " : "", p->text);
    }
}

/* Whose successor we are not to be says it in its log. */
static void tell_problems(const struct args *a, const struct conf_problems *ps) {
    for (uint32_t i = 0; i < ps->n; i++) {
        if (!ps->v[i].warning) {
            char text[512];
            snprintf(text, sizeof text, "%s:%u:%u: %s", a->conf_file, ps->v[i].line, ps->v[i].column, ps->v[i].text);
            inherit_failed(text);
            return;
        }
    }
}

/* nutcracker's operators look for them in the log file. */
static void log_problems(const struct args *a, const struct conf_problems *ps) {
    if (a->log_file != NULL && logfile_open(a)) {
        conf_problems_log(ps, a->conf_file);
        logfile_close();
    }
}

static int test(const struct args *a, const struct conf *conf, const struct conf_problems *ps) {
    char why[256];
    problems_put(a->conf_file, ps);
    bool ok = conf != NULL && privileges_check(conf, why, sizeof why);
    if (conf != NULL && !ok) {
        fprintf(stderr, "%s: %s\n", a->conf_file, why);
    }
    fprintf(stderr, "%s: configuration file '%s' syntax is %s\n", a->program, a->conf_file, ok ? "ok" : "invalid");
    return ok ? 0 : 1;
}

static int start(const struct args *a) {
    struct conf_problems ps = {0};
    struct conf *conf = conf_read(a->conf_file, a->where != NULL ? listeners_resolve_nothing : listeners_resolve, &ps);
    int rc = 1;
    if (a->test) {
        rc = test(a, conf, &ps);
    } else if (conf == NULL) {
        problems_put(a->conf_file, &ps);
        log_problems(a, &ps);
        tell_problems(a, &ps);
        fprintf(stderr, "%s: configuration file '%s' is invalid\n", a->program, a->conf_file);
    } else if (a->where != NULL) {
        rc = where_run(a, conf);
    } else {
        rc = run(a, &conf, &ps);
    }
    conf_unref(&conf);
    conf_problems_fini(&ps);
    return rc;
}

int main(int argc, char **argv) {
    upgrade_init(argv);
    struct args a;
    mem_init();
    inherit_begin();
    if (!args_parse(&a, argc, argv)) {
        return 1;
    }
    if (a.version) {
        args_put_version();
        if (a.help) {
            args_put_usage(&a);
        }
        if (a.describe) {
            args_put_stats();
        }
        return 0;
    }
    return a.diff_old != NULL ? diff_run(&a) : start(&a);
}
