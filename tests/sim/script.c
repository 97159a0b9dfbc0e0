/* script.c: reads a scenario file: lines, words, strings, loop variables, and the head (config, workers, cuts). */
#include "script.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void bad(const struct script *s, uint32_t i, const char *what) {
    fprintf(stderr, "%s:%u: %s\n", s->path, i + 1, what);
    exit(2);
}

/* ---- one line ---- */

struct out {
    uint8_t *p;
    size_t n, cap;
};

static void put(struct out *o, uint8_t c) {
    if (o->n == o->cap) {
        o->cap = o->cap * 2 + 64;
        o->p = mem_realloc(o->p, o->cap);
    }
    o->p[o->n++] = c;
}

static const char *put_var(const struct script *s, uint32_t line, const char *p, const struct script_var *v, struct out *o) {
    const char *end = strchr(p, '}');
    if (end == NULL) {
        bad(s, line, "${ without }");
    }
    for (; v != NULL; v = v->up) {
        if (strlen(v->name) == (size_t)(end - p) && memcmp(v->name, p, (size_t)(end - p)) == 0) {
            char t[16];
            snprintf(t, sizeof(t), "%u", v->value);
            for (char *c = t; *c; c++) {
                put(o, (uint8_t)*c);
            }
            return end + 1;
        }
    }
    bad(s, line, "no such loop variable");
}

static const char *put_escape(const struct script *s, uint32_t line, const char *p, struct out *o) {
    static const char from[] = "rnt0\\\"", to[] = "\r\n\t\0\\\"";
    const char *at = *p != 0 ? strchr(from, *p) : NULL;
    if (at != NULL) {
        put(o, (uint8_t)to[at - from]);
        return p + 1;
    }
    if (*p == 'x' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
        char hex[3] = {p[1], p[2], 0};
        put(o, (uint8_t)strtoul(hex, NULL, 16));
        return p + 3;
    }
    bad(s, line, "unknown escape in a string");
}

static const char *put_string(const struct script *s, uint32_t line, const char *p, const struct script_var *v, struct out *o) {
    size_t start = o->n;
    while (*p != '"') {
        if (*p == 0) {
            bad(s, line, "a string without its end");
        } else if (*p == '\\') {
            p = put_escape(s, line, p + 1, o);
        } else if (p[0] == '$' && p[1] == '{') {
            p = put_var(s, line, p + 2, v, o);
        } else {
            put(o, (uint8_t)*p++);
        }
    }
    p++;
    if (*p == '*') { /* "x"*1000 */
        char *end;
        unsigned long times = strtoul(p + 1, &end, 10);
        size_t len = o->n - start;
        for (unsigned long k = 1; k < times; k++) {
            for (size_t j = 0; j < len; j++) {
                put(o, o->p[start + j]);
            }
        }
        p = end;
    }
    return p;
}

void script_tokens(const struct script *s, uint32_t i, const struct script_var *v, struct line *l) {
    struct out o = {0};
    size_t start[TOKENS_MAX], end[TOKENS_MAX];
    const char *p = s->lines[i];
    *l = (struct line){0};
    for (;;) {
        while (*p == ' ' || *p == '\t' || *p == '\r') {
            p++;
        }
        if (*p == 0 || *p == '#') {
            break;
        }
        if (l->n == TOKENS_MAX) {
            bad(s, i, "too many words");
        }
        start[l->n] = o.n;
        l->t[l->n].quoted = *p == '"';
        if (*p == '"') {
            p = put_string(s, i, p + 1, v, &o);
        } else {
            while (*p != 0 && *p != ' ' && *p != '\t' && *p != '\r') {
                if (p[0] == '$' && p[1] == '{') {
                    p = put_var(s, i, p + 2, v, &o);
                } else {
                    put(&o, (uint8_t)*p++);
                }
            }
        }
        end[l->n++] = o.n;
        put(&o, 0); /* so that words can be used as C strings */
    }
    l->store = o.p;
    for (uint32_t k = 0; k < l->n; k++) {
        l->t[k].s = slice(o.p + start[k], end[k] - start[k]);
    }
}

void line_free(struct line *l) {
    mem_free(l->store);
    l->store = NULL;
}

bool token_is(const struct line *l, uint32_t i, const char *word) {
    return i < l->n && !l->t[i].quoted && slice_is(l->t[i].s, word);
}

/* ---- the file ---- */

static char *read_all(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    size_t n = 0, cap = 65536;
    char *p = mem_alloc(cap);
    for (size_t got; (got = fread(p + n, 1, cap - n - 1, f)) > 0;) {
        n += got;
        if (cap - n < 2) {
            cap *= 2;
            p = mem_realloc(p, cap);
        }
    }
    fclose(f);
    p[n] = 0;
    return p;
}

static uint32_t read_config(struct script *s, uint32_t i, char **config, size_t *len) {
    for (i++; i < s->n && strcmp(s->lines[i], "end") != 0; i++) {
        size_t n = strlen(s->lines[i]);
        *config = mem_realloc(*config, *len + n + 2);
        memcpy(*config + *len, s->lines[i], n);
        *len += n;
        (*config)[(*len)++] = '\n';
        s->lines[i] = s->lines[i] + n; /* nothing left for the run */
    }
    if (i == s->n) {
        bad(s, i - 1, "config without end");
    }
    s->lines[i] += 3;
    return i;
}

static void read_head(struct script *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        char *l = s->lines[i];
        if (strcmp(l, "config") == 0) {
            l[0] = 0;
            i = read_config(s, i, &s->config, &s->config_len);
        } else if (strncmp(l, "config ", 7) == 0) {
            struct script_config *c = mem_zalloc(sizeof *c);
            snprintf(c->name, sizeof c->name, "%s", l + 7);
            c->next = s->others;
            s->others = c;
            l[0] = 0;
            i = read_config(s, i, &c->text, &c->len);
        } else if (strncmp(l, "workers ", 8) == 0) {
            s->workers = (uint32_t)atoi(l + 8);
            l[0] = 0;
        } else if (strcmp(l, "cuts off") == 0) {
            s->cuts = false;
            l[0] = 0;
        } else if (strcmp(l, "seeds off") == 0) {
            s->seeds = false;
            l[0] = 0;
        } else if (strcmp(l, "learns") == 0) {
            s->learns = true;
            l[0] = 0;
        } else if (strcmp(l, "sim only") == 0) {
            l[0] = 0;
        } else if (strstr(l, ">>>") != NULL) {
            size_t n = strlen(l);
            s->longest = n > s->longest ? n : s->longest;
        }
    }
    if (s->config == NULL) {
        bad(s, 0, "no config");
    }
}

struct script *script_read(const char *path) {
    struct script *s = mem_zalloc(sizeof(*s));
    s->path = mem_strdup(path);
    s->text = read_all(path);
    s->workers = 1;
    s->cuts = s->seeds = true;
    for (char *p = s->text; *p != 0;) {
        char *nl = strchr(p, '\n');
        s->lines = mem_realloc(s->lines, (s->n + 1) * sizeof(char *));
        s->lines[s->n++] = p;
        if (nl == NULL) {
            break;
        }
        *nl = 0;
        p = nl + 1;
    }
    read_head(s);
    return s;
}

void script_free(struct script **sp) {
    struct script *s = *sp;
    *sp = NULL;
    mem_free(s->path);
    mem_free(s->text);
    mem_free(s->lines);
    mem_free(s->config);
    while (s->others != NULL) {
        struct script_config *c = s->others;
        s->others = c->next;
        mem_free(c->text);
        mem_free(c);
    }
    mem_free(s);
}
