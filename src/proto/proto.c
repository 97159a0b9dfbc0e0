#include "proto/proto.h"

#include "base/mem.h"

#define PROTO(id, name, object) extern const struct proto object;
#include "proto/proto.def"
#undef PROTO

static const struct proto *const rows[] = {
#define PROTO(id, name, object) &object,
#include "proto/proto.def"
#undef PROTO
};

const struct proto *proto_by_id(enum proto_id id) {
    ASSERT((unsigned)id < PROTO_COUNT);
    return rows[id];
}

void msg_init(struct msg *m) {
    *m = (struct msg){.args_cap = 64};
    m->args = mem_alloc(m->args_cap * sizeof *m->args);
}

void msg_fini(struct msg *m) {
    mem_free(m->args);
    mem_free(m->scratch);
    *m = (struct msg){0};
}
