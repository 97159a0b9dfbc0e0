/* test_mcb.h: requests of binary clients, made from words. */
#ifndef KVMUX_TEST_MCB_H
#define KVMUX_TEST_MCB_H

#include "test_mc.h"

#include "proto/mcb.h"

/* What a request is made of; lengths that are 0 are strlen's. */
struct ask {
    uint8_t opcode;
    const char *key, *value;
    uint64_t cas;
    uint32_t flags, exptime;     /* extras, as the opcode has them */
    uint64_t delta, initial;
    size_t key_len, value_len;
};

#define ASK_OPAQUE 0x81020304u

static inline size_t ask_extras(const struct ask *a, uint8_t *to) {
    switch ((enum mcb_does)mcb_rule(mcb_find(a->opcode))->does) {
    case MCB_TOUCH:
    case MCB_VERBOSITY:
        mcb_number_write(to, 4, a->exptime);
        return 4;
    case MCB_FLUSH:
        mcb_number_write(to, 4, a->exptime);
        return a->exptime > 0 ? 4 : 0;
    case MCB_STORE:
        mcb_number_write(to, 4, a->flags);
        mcb_number_write(to + 4, 4, a->exptime);
        return 8;
    case MCB_DELTA:
        mcb_number_write(to, 8, a->delta);
        mcb_number_write(to + 8, 8, a->initial);
        mcb_number_write(to + 16, 4, a->exptime);
        return 20;
    default:
        return 0;
    }
}

/* Adds the request's bytes. */
static inline void ask_add(struct text *t, const struct ask *a) {
    uint8_t head[MCB_HEAD], extras[20];
    const char *k = a->key != NULL ? a->key : "", *v = a->value != NULL ? a->value : "";
    struct slice key = slice(k, a->key_len > 0 ? a->key_len : strlen(k)), value = slice(v, a->value_len > 0 ? a->value_len : strlen(v));
    struct mcb_head h = {.magic = MCB_ASKS, .opcode = a->opcode, .nkey = (uint16_t)key.n, .opaque = ASK_OPAQUE, .cas = a->cas};
    h.nextras = (uint8_t)ask_extras(a, extras);
    h.nbody = (uint32_t)(h.nextras + key.n + value.n);
    mcb_head_write(head, &h);
    text_add(t, slice(head, sizeof head));
    text_add(t, slice(extras, h.nextras));
    text_add(t, key);
    text_add(t, value);
}

/* An answer in words: "status cas extras key value" with extras as one number; bytes that are none of text as \xNN. */
static inline void tell_read(struct slice *in, struct text *to) {
    ASSERT(in->n >= MCB_HEAD);
    struct mcb_head h = mcb_head_read(in->p);
    char s[128];
    ASSERT(h.magic == MCB_TELLS && in->p[5] == 0 && in->n >= MCB_HEAD + (size_t)h.nbody && (size_t)h.nkey + h.nextras <= h.nbody);
    snprintf(s, sizeof s, "%02x %x cas=%llu", h.opcode, h.status, (unsigned long long)h.cas);
    text_str(to, s);
    if (h.nextras > 0) {
        text_num(to, "extras", mcb_number(in->p + MCB_HEAD, h.nextras));
    }
    text_str(to, h.opaque == ASK_OPAQUE ? " " : " OTHER OPAQUE ");
    for (uint32_t i = h.nextras; i < h.nbody; i++) {
        uint8_t c = in->p[MCB_HEAD + i];
        snprintf(s, sizeof s, c >= ' ' && c < 127 ? "%c" : "\\x%02x", c);
        text_str(to, i == (uint32_t)h.nextras + h.nkey && h.nkey > 0 ? "|" : "");
        text_str(to, s);
    }
    text_str(to, h.nkey > 0 && h.nbody == (uint32_t)h.nextras + h.nkey ? "|\n" : "\n");
    *in = slice(in->p + MCB_HEAD + h.nbody, in->n - MCB_HEAD - h.nbody);
}

#endif
