/* resp_channel.c: publish and subscribe (https://redis.io/docs/latest/develop/pubsub/). A message is an array of bulk strings
 * in RESP2 and a push of the same in RESP3: only the first byte differs. */
#include "proto/resp.h"

static const struct {
    const char *on, *off;         /* the words of the answer */
    const char *ask_on, *ask_off; /* the request, but for the name */
    const char *message;
    int64_t parts; /* of a message */
} words[] = {
    [CHANNEL_NAME] = {"subscribe", "unsubscribe", "*2\r\n$9\r\nSUBSCRIBE\r\n", "*2\r\n$11\r\nUNSUBSCRIBE\r\n", "message", 3},
    [CHANNEL_PATTERN] = {"psubscribe", "punsubscribe", "*2\r\n$10\r\nPSUBSCRIBE\r\n", "*2\r\n$12\r\nPUNSUBSCRIBE\r\n", "pmessage", 4},
    [CHANNEL_SHARD] = {"ssubscribe", "sunsubscribe", "*2\r\n$10\r\nSSUBSCRIBE\r\n", "*2\r\n$12\r\nSUNSUBSCRIBE\r\n", "smessage", 3},
};

static void channel_ask(enum channel_kind kind, bool on, struct slice name, struct out *o) {
    out_str(o, on ? words[kind].ask_on : words[kind].ask_off);
    resp_put_bulk(o, name);
}

static void channel_read(struct slice reply, struct push *push) {
    int64_t n;
    struct slice rest, word;
    *push = (struct push){.what = PUSH_OTHER};
    if (!resp_take_head(reply, '*', &n, &rest) || n < 3 || !resp_take_bulk(&rest, &word) || !resp_take_bulk(&rest, &push->name)) {
        return;
    }
    for (unsigned k = 0; k < ARRAY_LEN(words); k++) {
        push->kind = (enum channel_kind)k;
        if (n == words[k].parts && slice_is(word, words[k].message)) {
            push->what = PUSH_MESSAGE;
            return;
        }
        if (n == 3 && (slice_is(word, words[k].on) || slice_is(word, words[k].off))) {
            push->what = slice_is(word, words[k].on) ? PUSH_JOINED : PUSH_PARTED;
            return;
        }
    }
}

static void channel_tell(uint8_t version, struct buf *b, struct slice message, struct out *o) {
    if (version == 3) {
        out_str(o, ">");
        message = slice(message.p + 1, message.n - 1);
    }
    out_take(o, b, message);
}

static void channel_confirm(uint8_t version, enum channel_kind kind, bool on, struct slice name, uint32_t left, struct out *o) {
    resp_put_head(o, version == 3 ? '>' : '*', 3);
    resp_put_bulk(o, slice_str(on ? words[kind].on : words[kind].off));
    if (name.p != NULL) {
        resp_put_bulk(o, name);
    } else {
        out_str(o, version == 3 ? "_\r\n" : "$-1\r\n");
    }
    resp_put_head(o, ':', left);
}

const struct proto_channels resp_channels = {
    .ask = channel_ask,
    .read = channel_read,
    .tell = channel_tell,
    .confirm = channel_confirm,
};
