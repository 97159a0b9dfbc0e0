/* resp_info.c: INFO: what clients read before they trust a server (is it loading, is it a master, which version), by Redis's
 * names as far as they are true of a proxy, and a section about kvmux itself. What only the servers know (their memory, their
 * keys) is not here: there is no section "keyspace", since an empty one would say that there are no keys. */
#include "proto/resp.h"

#include <stdio.h>

#define SERVES_LIKE "7.0.0" /* until a server said what it is: what clients choose features by */

#if defined(__linux__)
#define OS "Linux"
#elif defined(__FreeBSD__)
#define OS "FreeBSD"
#elif defined(__APPLE__)
#define OS "Darwin"
#else
#define OS "unknown"
#endif
#if defined(__x86_64__)
#define ARCH " x86_64"
#elif defined(__aarch64__)
#define ARCH " aarch64"
#else
#define ARCH ""
#endif

typedef unsigned long long ull;
typedef int section_fn(char *to, size_t room, const struct facts *);

/* A number of this process: the same at every call, another after a restart. */
static void put_run_id(char to[41], const struct facts *f) {
    uint64_t x = (uint64_t)(f->wall_usec / 1000000 - f->uptime_sec) << 24 ^ f->pid;
    for (int i = 0; i < 40; i += 8) {
        x += 0x9e3779b97f4a7c15;
        uint64_t z = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        snprintf(to + i, 9, "%08x", (unsigned)(z >> 32));
    }
}

static int put_server(char *to, size_t room, const struct facts *f) {
    char run_id[41];
    put_run_id(run_id, f);
    return snprintf(to, room,
                    "# Server\r\nredis_version:%s\r\nredis_mode:standalone\r\nos:" OS ARCH "\r\narch_bits:%zu\r\n"
                    "process_id:%u\r\nrun_id:%s\r\ntcp_port:%u\r\nserver_time_usec:%lld\r\nuptime_in_seconds:%lld\r\n"
                    "uptime_in_days:%lld\r\nio_threads_active:%u\r\n",
                    f->server_version != NULL ? f->server_version : SERVES_LIKE, 8 * sizeof(void *), f->pid, run_id, f->port,
                    (long long)f->wall_usec, (long long)f->uptime_sec, (long long)f->uptime_sec / 86400, f->threads);
}

static int put_clients(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Clients\r\nconnected_clients:%llu\r\ncluster_connections:0\r\nmaxclients:%llu\r\n"
                              "tracking_clients:0\r\n",
                    (ull)f->clients, (ull)f->clients_max);
}

/* The proxy's own memory. Nothing is ever evicted here, and CONFIG GET maxmemory-policy asks a server. */
static int put_memory(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Memory\r\nused_memory:%llu\r\nused_memory_human:%.2fM\r\nmaxmemory:0\r\n"
                              "maxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n",
                    (ull)f->buffer_bytes, (double)f->buffer_bytes / 1048576);
}

static int put_persistence(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Persistence\r\nloading:0\r\nasync_loading:0\r\n");
}

static int put_stats(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n",
                    (ull)f->total_connections, (ull)f->requests);
}

static int put_replication(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n");
}

static int put_cluster(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# Cluster\r\ncluster_enabled:0\r\n");
}

static int put_kvmux(char *to, size_t room, const struct facts *f) {
    return snprintf(to, room, "# kvmux\r\nkvmux_version:%s\r\npool:%.256s\r\nservers:%u\r\nworkers:%u\r\nusers:%u\r\n",
                    KVMUX_VERSION, f->pool != NULL ? f->pool : "", f->servers, f->threads, f->nusers);
}

static const struct {
    const char *name;
    section_fn *put;
} sections[] = {
    {"server", put_server},           {"clients", put_clients}, {"memory", put_memory},
    {"persistence", put_persistence}, {"stats", put_stats},     {"replication", put_replication},
    {"cluster", put_cluster},         {"kvmux", put_kvmux},
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
    char text[4096];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!is_wanted(m, sections[i].name)) {
            continue;
        }
        if (n > 0) {
            n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
        }
        n += (size_t)sections[i].put(text + n, sizeof text - n, f);
        ASSERT(n < sizeof text); /* numbers and a name that is cut: all sections are well below */
    }
    resp_put_verbatim(o, s->version, NULL, slice(text, n));
}
