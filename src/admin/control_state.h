/* control_state.h: the inside of control, for the files of admin. */
#ifndef KVMUX_ADMIN_CONTROL_STATE_H
#define KVMUX_ADMIN_CONTROL_STATE_H

#include "admin/control.h"
#include "admin/health.h"
#include "admin/learn.h"
#include "admin/names.h"
#include "admin/stats_port.h"
#include "base/log.h"
#include "core/mail.h"
#include "io/resolve.h"

struct control {
    struct control_opts opts;
    struct conf *conf;
    struct shared *shared;
    struct bufpool bufs;
    struct loop *loop;
    struct mailbox mailbox;
    struct resolver *resolver;
    struct ring **rings; /* per pool: the one that workers use now */
    struct worker **workers;
    uint32_t nworkers, stopped;
    struct health **health; /* per pool, an array of its servers */
    struct lore *lore;      /* per pool */
    struct pool_block *pool_blocks; /* what control itself counts: server_ejects */
    struct names names;
    struct stats_port stats_port;
    struct timer drain_timer;
    bool draining;
    struct log_limit log_limit;
};

/* To every worker. */
void control_post_ring(struct control *, uint32_t pool);
void control_post_commands(struct control *, uint32_t pool);
void control_post_watch(struct control *, uint32_t pool, uint32_t server);
void control_post_addrs(struct control *, uint32_t pool, uint32_t server, const struct addr *, uint32_t n);

#endif
