/* model_listen.c: the model's channels: who listens, and PUBLISH. The owner of the connections delivers (on_publish). */
#include "model_int.h"

#include <stdio.h>

static const char *const names[MODEL_NAMES] = {"c:0", "c:1", "c:2", "c:3", "c:*", "c:1*"};

const char *model_name(uint32_t i) {
    return names[i];
}

uint32_t model_name_find(struct slice s) {
    uint32_t i = 0;
    while (i < MODEL_NAMES && !slice_is(s, names[i])) {
        i++;
    }
    return i;
}

bool model_name_hears(uint32_t i, struct slice channel) {
    return slice_is(channel, names[i]) || i == MODEL_CHANNELS || (i == MODEL_CHANNELS + 1 && slice_starts(channel, "c:1"));
}

uint32_t model_tell(const struct model_conn *mc, struct sim_conn *c, struct slice channel, struct slice payload) {
    char t[200];
    uint32_t told = 0;
    for (uint32_t i = 0; i < MODEL_NAMES; i++) {
        if (!(mc->listens >> i & 1) || !model_name_hears(i, channel)) {
            continue;
        }
        if (i < MODEL_CHANNELS) {
            model_say(c, "*3\r\n$7\r\nmessage\r\n");
        } else {
            snprintf(t, sizeof t, "*4\r\n$8\r\npmessage\r\n$%zu\r\n%s\r\n", strlen(names[i]), names[i]);
            model_say(c, t);
        }
        snprintf(t, sizeof t, "$%zu\r\n%.*s\r\n$%zu\r\n%.*s\r\n", channel.n, (int)channel.n, (const char *)channel.p, payload.n, (int)payload.n,
                 (const char *)payload.p);
        model_say(c, t);
        told++;
    }
    return told;
}

static void turn(struct model *m, struct model_conn *mc, struct sim_conn *c, bool on, bool pattern, struct slice name) {
    char t[100];
    uint32_t i = model_name_find(name);
    if (i == MODEL_NAMES || (i >= MODEL_CHANNELS) != pattern) {
        sim_fail("a channel that nobody named: %.*s", (int)name.n, (const char *)name.p);
    }
    if (on && m->opts.refuses != NULL && m->opts.refuses(m->opts.ctx)) {
        model_say(c, "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n");
        return;
    }
    mc->listens = on ? mc->listens | 1u << i : mc->listens & ~(1u << i);
    snprintf(t, sizeof t, "%s%ssubscribe", pattern ? "p" : "", on ? "" : "un");
    char whole[200];
    snprintf(whole, sizeof whole, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:%d\r\n", strlen(t), t, name.n, names[i], __builtin_popcount(mc->listens));
    model_say(c, whole);
}

bool model_serve_listen(struct model *m, struct model_conn *mc, struct sim_conn *c, const struct slice *a, uint32_t n) {
    static const char *const words[] = {"SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE"};
    for (uint32_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_ieq(a[0], slice_str(words[i])) && n == 2) {
            turn(m, mc, c, i % 2 == 0, i >= 2, a[1]);
            mc->is_feed = true;
            return true;
        }
    }
    if (mc->is_feed) {
        sim_fail("a connection that listens got %.*s", (int)a[0].n, (const char *)a[0].p);
    }
    if (!slice_ieq(a[0], slice_str("publish")) || n != 3) {
        return false;
    }
    char t[32];
    model_touched(m, a[2]);
    uint32_t told = m->opts.on_publish != NULL ? m->opts.on_publish(m->opts.ctx, m, a[1], a[2]) : 0;
    snprintf(t, sizeof t, ":%u\r\n", told);
    model_say(c, t);
    return true;
}
