/* model_mc.c: the memcached side of the model. */
#include "base/mem.h"
#include "base/num.h"
#include "model_int.h"

#include <stdio.h>

#define WORDS_MAX 512

static uint32_t split(struct slice line, struct slice *w) {
    uint32_t n = 0;
    for (size_t i = 0; i < line.n && n < WORDS_MAX;) {
        while (i < line.n && line.p[i] == ' ') {
            i++;
        }
        size_t start = i;
        while (i < line.n && line.p[i] != ' ') {
            i++;
        }
        if (i > start) {
            w[n++] = slice(line.p + start, i - start);
        }
    }
    return n;
}

static void say_values(struct model *m, struct sim_conn *c, const struct slice *w, uint32_t n, bool cas) {
    for (uint32_t i = 1; i < n; i++) {
        uint8_t *v;
        size_t len;
        uint32_t flags;
        model_touched(m, w[i]);
        if (!model_get(m, w[i], &v, &len, &flags)) {
            continue;
        }
        const struct model_key *k = model_find(m, w[i]);
        char t[400];
        int tn = snprintf(t, sizeof(t), "VALUE %.*s %u %zu", (int)w[i].n, (const char *)w[i].p, flags, len);
        if (cas) {
            tn += snprintf(t + tn, sizeof(t) - (size_t)tn, " %llu", (unsigned long long)(k != NULL ? k->cas : 0));
        }
        sim_peer_send(c, slice(t, (size_t)tn));
        model_say(c, "\r\n");
        sim_peer_send(c, slice(v, len));
        model_say(c, "\r\n");
        mem_free(v);
    }
    model_say(c, "END\r\n");
}

static const char *store(struct model *m, const struct slice *w, uint32_t n, struct slice value) {
    const struct model_key *k = model_find(m, w[1]);
    uint64_t flags = 0, cas = 0;
    num_u64(w[2], &flags);
    model_touched(m, w[1]);
    if (slice_is(w[0], "add") && k != NULL) {
        return "NOT_STORED\r\n";
    }
    if (slice_is(w[0], "replace") && k == NULL) {
        return "NOT_STORED\r\n";
    }
    if (slice_is(w[0], "cas")) {
        num_u64(w[5], &cas);
        if (k == NULL || k->cas != cas) {
            return k == NULL ? "NOT_FOUND\r\n" : "EXISTS\r\n";
        }
    }
    model_put(m, w[1], value, (uint32_t)flags);
    return "STORED\r\n";
}

static bool has_flag(const struct slice *w, uint32_t n, char flag) {
    for (uint32_t i = 2; i < n; i++) {
        if (w[i].p[0] == flag) {
            return true;
        }
    }
    return false;
}

/* mg with the flags k, f, c and v. */
static void meta_get(struct model *m, struct sim_conn *c, const struct slice *w, uint32_t n) {
    uint8_t *v;
    size_t len;
    uint32_t flags;
    char t[200];
    if (has_flag(w, n, 'q')) {
        sim_fail("a server received a quiet request: it might not answer");
    }
    model_touched(m, w[1]);
    if (!model_get(m, w[1], &v, &len, &flags)) {
        model_say(c, "EN\r\n");
        return;
    }
    int tn = snprintf(t, sizeof(t), "VA %zu", len);
    for (uint32_t i = 2; i < n; i++) {
        if (slice_is(w[i], "k")) {
            tn += snprintf(t + tn, sizeof(t) - (size_t)tn, " k%.*s", (int)min_size(w[1].n, 100), (const char *)w[1].p);
        } else if (!slice_is(w[i], "v")) {
            tn += snprintf(t + tn, sizeof(t) - (size_t)tn, " %c%u", w[i].p[0], slice_is(w[i], "f") ? flags : 1);
        }
    }
    sim_peer_send(c, slice(t, (size_t)tn));
    model_say(c, "\r\n");
    sim_peer_send(c, slice(v, len));
    model_say(c, "\r\n");
    mem_free(v);
}

static void serve_line(struct model *m, struct sim_conn *c, const struct slice *w, uint32_t n) {
    if ((slice_is(w[0], "get") || slice_is(w[0], "gets")) && n >= 2) {
        say_values(m, c, w, n, slice_is(w[0], "gets"));
    } else if (slice_is(w[0], "delete") && n >= 2) {
        model_touched(m, w[1]);
        model_say(c, slice_starts(w[1], "u:") || model_del(m, w[1]) ? "DELETED\r\n" : "NOT_FOUND\r\n");
    } else if (slice_is(w[0], "touch") && n >= 3) {
        model_touched(m, w[1]);
        model_say(c, model_find(m, w[1]) != NULL ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
    } else if (slice_is(w[0], "mg") && n >= 2) {
        meta_get(m, c, w, n);
    } else if (slice_is(w[0], "md") && n >= 2) {
        model_touched(m, w[1]);
        model_say(c, slice_starts(w[1], "u:") || model_del(m, w[1]) ? "HD\r\n" : "NF\r\n");
    } else if (slice_is(w[0], "version")) {
        model_say(c, "VERSION 1.6.0\r\n");
    } else if (slice_is(w[0], "flush_all") || slice_is(w[0], "verbosity")) {
        model_say(c, "OK\r\n");
    } else {
        model_say(c, "ERROR\r\n");
    }
}

static bool is_storage(struct slice w) {
    static const char *const names[] = {"set", "add", "replace", "append", "prepend", "cas"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_is(w, names[i])) {
            return true;
        }
    }
    return false;
}

size_t model_mc_serve(struct model *m, struct sim_conn *c, struct slice in) {
    static struct slice w[WORDS_MAX];
    const uint8_t *lf = memchr(in.p, '\n', in.n);
    if (lf == NULL) {
        return 0;
    }
    size_t end = (size_t)(lf - in.p);
    if (end < 1 || in.p[end - 1] != '\r') {
        sim_fail("a server received a line without CR LF: %.*s", (int)end, (const char *)in.p);
    }
    uint32_t n = split(slice(in.p, end - 1), w);
    if (n == 0) {
        sim_fail("a server received an empty line");
    }
    if (slice_is(w[n - 1], "noreply")) {
        sim_fail("a server received noreply: it would not answer");
    }
    bool meta = slice_is(w[0], "ms");
    if (!is_storage(w[0]) && !meta) {
        serve_line(m, c, w, n);
        return end + 1;
    }
    uint64_t bytes;
    if (n < (meta ? 3 : 5) || !num_u64(w[meta ? 2 : 4], &bytes)) {
        sim_fail("a server received a bad storage line");
    }
    if (in.n < end + 1 + bytes + 2) {
        return 0;
    }
    if (memcmp(in.p + end + 1 + bytes, "\r\n", 2) != 0) {
        sim_fail("a server received data that does not end in CR LF");
    }
    if (meta) {
        model_touched(m, w[1]);
        model_put(m, w[1], slice(in.p + end + 1, bytes), 0);
        model_say(c, has_flag(w, n, 'c') ? "HD c1\r\n" : "HD\r\n");
        return end + 1 + bytes + 2;
    }
    model_say(c, store(m, w, n, slice(in.p + end + 1, bytes)));
    return end + 1 + bytes + 2;
}
