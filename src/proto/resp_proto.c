#include "proto/resp.h"

#include "proto/learn.h"

extern const struct proto proto_resp;

static const struct lessons lessons = {
    .who = resp_ask_who,
    .hear_who = resp_hear_who,
    .what = resp_ask_what,
    .hear_what = resp_hear_what,
};
/* What is said does not hang on the request. */
static void error(enum reason why, const struct cmd *cmd, uint32_t tag, struct out *o) {
    (void)cmd;
    (void)tag;
    resp_error(why, o);
}

const struct proto proto_resp = {
    .name = "redis",
    .channels = &resp_channels,
    .waits = &resp_waits,
    .cmds = resp_cmds,
    .ncmds = RESP_COMMANDS,
    .any_case = true,
    .learn = &lessons,
    .txn = {.begun = "+OK\r\n", .kept = "+QUEUED\r\n", .dropped = "+OK\r\n", .empty = "*0\r\n",
            .begin = "*1\r\n$5\r\nMULTI\r\n", .run = "*1\r\n$4\r\nEXEC\r\n"},
    .script = {.load = resp_script_load, .digest = resp_script_digest},
    .parse_req = resp_parse_req,
    .parse_rsp = resp_parse_rsp,
    .build = resp_build,
    .merge = resp_merge,
    .local = resp_local,
    .survey = resp_survey,
    .slow = resp_slow,
    .show = resp_show,
    .error = error,
    .greet = resp_greet,
    .probe = resp_probe,
};
