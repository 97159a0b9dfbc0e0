/* resp_info.c: INFO, as far as clients read it before they trust a server: is it loading, is it a master. */
#include "proto/resp.h"

#include <stdio.h>

#define SERVES_LIKE "7.0.0" /* until a server said what it is: what clients choose features by */

typedef int section_fn(char *to, size_t room, const struct facts *);

static int put_server(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room,
                    "# Server\r\nredis_version:%s\r\nkvmux_version:%s\r\nredis_mode:standalone\r\nprocess_id:%u\r\n"
                    "uptime_in_seconds:%lld\r\nuptime_in_days:%lld\r\nio_threads_active:%u\r\n",
                    f->server_version != NULL ? f->server_version : SERVES_LIKE, KVMUX_VERSION, f->pid, (long long)f->uptime_sec, (long long)f->uptime_sec / 86400,
                    f->threads);
}

static int put_clients(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Clients\r\nconnected_clients:%llu\r\nblocked_clients:0\r\n",
                    (unsigned long long)f->curr_connections);
}

static int put_persistence(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Persistence\r\nloading:0\r\nasync_loading:0\r\n");
}

static int put_stats(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n",
                    (unsigned long long)f->total_connections, (unsigned long long)f->requests);
}

static int put_replication(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
}

static int put_cluster(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Cluster\r\ncluster_enabled:0\r\n");
}

static const struct {
    const char *name;
    section_fn *put;
} sections[] = {
    {"server", put_server}, {"clients", put_clients},         {"persistence", put_persistence},
    {"stats", put_stats},   {"replication", put_replication}, {"cluster", put_cluster},
};

static bool is_wanted(const struct msg *m, const char *name) {
    bool wanted = m->nargs == 1;
    for (uint32_t i = 1; i < m->nargs; i++) {
        struct slice a = msg_arg(m, i);
        wanted |= slice_ieq(a, slice_str(name)) || slice_ieq(a, slice_str("default")) ||
                  slice_ieq(a, slice_str("all")) || slice_ieq(a, slice_str("everything"));
    }
    return wanted;
}

void resp_info(const struct msg *m, const struct session *s, const struct facts *f, struct out *o) {
    char text[2048];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!is_wanted(m, sections[i].name)) {
            continue;
        }
        if (n > 0) {
            n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
        }
        n += (size_t)sections[i].put(text + n, sizeof text - n, f);
        ASSERT(n < sizeof text); /* numbers only: all sections are well below */
    }
    if (s->version == 3) { /* a verbatim string */
        resp_put_head(o, '=', (int64_t)n + 4);
        out_str(o, "txt:");
        out_put(o, slice(text, n));
        out_str(o, "\r\n");
    } else {
        resp_put_bulk(o, slice(text, n));
    }
}
