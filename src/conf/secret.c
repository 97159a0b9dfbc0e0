/* secret.c: passwords that do not stand in the file: {file: PATH}, {env: NAME}. */
#include "base/mem.h"
#include "conf/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char *secret_read_file(const char *key, const char *path, size_t max, struct place at, struct conf_problems *ps) {
    struct quoted q;
    struct stat st;
    sources_add(&ps->sources, path);
    if (stat(path, &st) != 0) {
        problem_error(ps, at, "%s: file \"%s\": %s", key, quote(&q, path), strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) { /* a device or a pipe could keep us waiting for ever */
        problem_error(ps, at, "%s: \"%s\" is not a regular file", key, quote(&q, path));
        return NULL;
    }
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        problem_error(ps, at, "%s: file \"%s\": %s", key, quote(&q, path), strerror(errno));
        return NULL;
    }
    char *text = mem_zalloc(max + 3); /* the text, a CR LF or one byte too many, and NUL */
    size_t n = fread(text, 1, max + 2, f);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (n > 0 && text[n - 1] == '\n') {
        n -= n > 1 && text[n - 2] == '\r' ? 2 : 1;
        text[n] = '\0';
    }
    if (failed || n == 0 || n > max || strcspn(text, "\r\n") != n) {
        problem_error(ps, at, "%s: file \"%s\" holds no usable text; allowed: one line of 1 to %zu bytes", key,
                      quote(&q, path), max);
        mem_free(text);
        return NULL;
    }
    return text;
}

static char *read_env(const char *key, const char *name, size_t max, struct place at, struct conf_problems *ps) {
    struct quoted q;
    const char *text = getenv(name);
    if (text == NULL || text[0] == '\0' || strlen(text) > max) {
        problem_error(ps, at, "%s: environment variable \"%s\" %s; allowed: 1 to %zu bytes", key, quote(&q, name),
                      text == NULL ? "is not set" : text[0] == '\0' ? "is empty" : "is too long", max);
        return NULL;
    }
    return mem_strdup(text);
}

char *secret_read(const char *key, const struct node *map, size_t max, struct conf_problems *ps) {
    const struct node *source = map->first, *value = source->next;
    struct place at = {source->line, source->column};
    if (map->n == 2 && value->kind == NODE_SCALAR && value->text[0] != '\0') {
        if (strcmp(source->text, "file") == 0) {
            return secret_read_file(key, value->text, max, at, ps);
        }
        if (strcmp(source->text, "env") == 0) {
            return read_env(key, value->text, max, at, ps);
        }
    }
    problem_error(ps, at, "%s: allowed: a text, {file: PATH} or {env: NAME}", key);
    return NULL;
}
