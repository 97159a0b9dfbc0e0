#include "conf/problem.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct conf_problems *ps, struct place at, bool warning, const char *format, va_list args) {
    if (ps->n >= PROBLEMS_MAX) {
        return;
    }
    if (ps->n == ps->cap) {
        ps->cap = ps->cap == 0 ? 8 : ps->cap * 2;
        ps->v = mem_realloc(ps->v, ps->cap * sizeof *ps->v);
    }
    char line[PROBLEM_MAX];
    if (ps->n == PROBLEMS_MAX - 1) {
        snprintf(line, sizeof line, "more than %d problems: the rest is not shown", PROBLEMS_MAX);
        warning = false;
    } else if (vsnprintf(line, sizeof line, format, args) < 0) {
        line[0] = '\0';
    }
    ps->v[ps->n++] =
        (struct conf_problem){.line = at.line, .column = at.column, .warning = warning, .text = mem_strdup(line)};
}

void problem_error(struct conf_problems *ps, struct place at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(ps, at, false, format, args);
    va_end(args);
}

void problem_warn(struct conf_problems *ps, struct place at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add(ps, at, true, format, args);
    va_end(args);
}

static bool comes_after(const struct conf_problem *a, const struct conf_problem *b) {
    /* line 0 minus 1 wraps: the whole file comes last */
    uint32_t la = a->line - 1, lb = b->line - 1;
    return la != lb ? la > lb : a->column > b->column;
}

/* Insertion: stable, and the list is nearly in order already. */
void problems_sort(struct conf_problems *ps) {
    for (uint32_t i = 1; i < ps->n; i++) {
        struct conf_problem p = ps->v[i];
        uint32_t j = i;
        for (; j > 0 && comes_after(&ps->v[j - 1], &p); j--) {
            ps->v[j] = ps->v[j - 1];
        }
        ps->v[j] = p;
    }
}

const char *quote(struct quoted *q, const char *value) {
    size_t n = strlen(value);
    log_quote(q->text, sizeof q->text - 3, slice(value, n));
    if (strlen(q->text) < n && n >= sizeof q->text - 8) {
        strcat(q->text, "...");
    }
    return q->text;
}

uint32_t conf_errors(const struct conf_problems *ps) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < ps->n; i++) {
        n += ps->v[i].warning ? 0 : 1;
    }
    return n;
}

void conf_problems_fini(struct conf_problems *ps) {
    for (uint32_t i = 0; i < ps->n; i++) {
        mem_free(ps->v[i].text);
    }
    mem_free(ps->v);
    sources_fini(&ps->sources);
    *ps = (struct conf_problems){0};
}

void conf_problems_log(const struct conf_problems *ps, const char *file) {
    for (uint32_t i = 0; i < ps->n; i++) {
        const struct conf_problem *p = &ps->v[i];
        char text[LOG_LINE_MAX];
        log_quote(text, sizeof text, slice_str(p->text));
        if (p->warning) {
            log_line(LOG_WARN, "config_warning at=%s:%u:%u text=\"%s\"", file, p->line, p->column, text);
        } else {
            log_line(LOG_ERROR, "config_error at=%s:%u:%u text=\"%s\"", file, p->line, p->column, text);
        }
    }
}
