#include "proto/proto.h"

#include "base/mem.h"

void msg_init(struct msg *m) {
    *m = (struct msg){.args_cap = 64, .max_bytes = REQUEST_BYTES_MAX, .max_args = REQUEST_ARGS_MAX};
    m->args = mem_alloc(m->args_cap * sizeof *m->args);
}

void msg_fini(struct msg *m) {
    mem_free(m->args);
    mem_free(m->scratch);
    *m = (struct msg){0};
}
