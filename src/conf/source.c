#include "conf/source.h"

#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

struct conf_stamp source_stamp(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        return (struct conf_stamp){{0}};
    }
    return (struct conf_stamp){
        {(uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec}};
}

bool stamp_same(const struct conf_stamp *a, const struct conf_stamp *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

bool stamp_there(const struct conf_stamp *s) {
    return !stamp_same(s, &(struct conf_stamp){{0}});
}

void sources_add(struct conf_sources *s, const char *path) {
    s->v = mem_realloc(s->v, (s->n + 1) * sizeof *s->v);
    s->v[s->n++] = (struct conf_source){mem_strdup(path), source_stamp(path)};
}

void sources_fini(struct conf_sources *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        mem_free(s->v[i].path);
    }
    mem_free(s->v);
    *s = (struct conf_sources){0};
}
