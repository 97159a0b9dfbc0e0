#include "proto/resp.h"

extern const struct proto proto_resp;

const struct proto proto_resp = {
    .name = "redis",
    .channels = &resp_channels,
    .txn = {.begun = "+OK\r\n", .kept = "+QUEUED\r\n", .dropped = "+OK\r\n", .empty = "*0\r\n"},
    .parse_req = resp_parse_req,
    .parse_rsp = resp_parse_rsp,
    .build = resp_build,
    .merge = resp_merge,
    .local = resp_local,
    .error = resp_error,
    .greet = resp_greet,
    .probe = resp_probe,
};
