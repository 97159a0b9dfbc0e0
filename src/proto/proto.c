#include "proto/proto.h"

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
