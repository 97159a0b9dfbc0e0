/* gen-docs: prints docs/configuration.md, which is made from the tables of keys.
 *
 *   gen-docs > docs/configuration.md
 *   gen-docs --check docs/configuration.md    exit 1 when the file is not what would be printed */
#include "base/mem.h"
#include "conf/conf.h"

#include <stdio.h>

struct text {
    char *p;
    size_t n;
};

static void append(void *ctx, const char *piece) {
    struct text *t = ctx;
    size_t n = strlen(piece);
    t->p = mem_realloc(t->p, t->n + n + 1);
    memcpy(t->p + t->n, piece, n + 1);
    t->n += n;
}

static bool is_current(const char *path, const struct text *want) {
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror(path);
        return false;
    }
    char *have = mem_alloc(want->n + 1);
    size_t n = fread(have, 1, want->n + 1, f);
    fclose(f);
    bool same = n == want->n && memcmp(have, want->p, n) == 0;
    mem_free(have);
    if (!same) {
        fprintf(stderr, "%s is out of date: run gen-docs > %s\n", path, path);
    }
    return same;
}

int main(int argc, char **argv) {
    struct text t = {0};
    conf_reference(append, &t);
    int rc = 0;
    if (argc == 3 && strcmp(argv[1], "--check") == 0) {
        rc = is_current(argv[2], &t) ? 0 : 1;
    } else if (argc == 1) {
        rc = fwrite(t.p, 1, t.n, stdout) == t.n && fflush(stdout) == 0 ? 0 : 1;
    } else {
        fputs("usage: gen-docs [--check FILE]\n", stderr);
        rc = 2;
    }
    mem_free(t.p);
    return rc;
}
